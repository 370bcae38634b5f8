//! The rows of the table: services with their servers beneath, filtered and in order.

use std::cmp::Ordering;

use ipvs_client::{Counters, Destination, DestinationKey, ServiceKey};

use super::meter::PerSecond;

/// What can be sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    /// Family, protocol, address, port.
    Name,
    /// The weight; of a service its servers' together.
    Weight,
    /// Active connections.
    Active,
    /// Inactive connections.
    Inactive,
    /// New connections, per second or all.
    Connections,
    /// Packets from clients.
    IncomingPackets,
    /// Packets to clients.
    OutgoingPackets,
    /// Bytes from clients.
    IncomingBytes,
    /// Bytes to clients.
    OutgoingBytes,
}

impl Column {
    /// Every column, from left to right.
    pub(crate) const ALL: [Self; 9] = [
        Self::Name,
        Self::Weight,
        Self::Active,
        Self::Inactive,
        Self::Connections,
        Self::IncomingPackets,
        Self::OutgoingPackets,
        Self::IncomingBytes,
        Self::OutgoingBytes,
    ];

    /// The column this many further on, without end.
    pub(crate) fn step(self, by: isize) -> Self {
        let here = Self::ALL.iter().position(|column| *column == self).unwrap_or(0);
        Self::ALL[(here as isize + by).rem_euclid(Self::ALL.len() as isize) as usize]
    }
}

/// A service or one of its servers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    /// The service.
    pub(crate) service: ServiceKey,
    /// The server, if this is one's row.
    pub(crate) server: Option<Destination>,
    /// The scheduler, of a service.
    pub(crate) scheduler: String,
    /// The weight; of a service its servers' together.
    pub(crate) weight: u64,
    /// Active connections.
    pub(crate) active: u64,
    /// Inactive connections.
    pub(crate) inactive: u64,
    /// Persistence templates.
    pub(crate) persistent: u64,
    /// Since the last zeroing.
    pub(crate) counters: Counters,
    /// Per second.
    pub(crate) rates: PerSecond,
}

impl Row {
    /// What names it.
    pub(crate) fn id(&self) -> (ServiceKey, Option<DestinationKey>) {
        (self.service, self.server.map(|server| server.key))
    }

    /// Its name by itself.
    pub(crate) fn name(&self) -> String {
        match &self.server {
            Some(server) => server.key.to_string(),
            None => self.service.to_string(),
        }
    }

    /// Which goes first, in the column's natural order: names from A on, numbers from the largest on.
    pub(crate) fn compare(&self, other: &Self, column: Column, totals: bool) -> Ordering {
        let by_name = || self.service.cmp(&other.service).then(self.id().1.cmp(&other.id().1));
        let pick = |row: &Self, rate: fn(&PerSecond) -> f64, total: fn(&Counters) -> u64| match totals {
            true => total(&row.counters) as f64,
            false => rate(&row.rates),
        };
        let largest = |rate: fn(&PerSecond) -> f64, total: fn(&Counters) -> u64| {
            pick(other, rate, total).total_cmp(&pick(self, rate, total))
        };
        let order = match column {
            Column::Name => Ordering::Equal,
            Column::Weight => other.weight.cmp(&self.weight),
            Column::Active => other.active.cmp(&self.active),
            Column::Inactive => other.inactive.cmp(&self.inactive),
            Column::Connections => largest(|rates| rates.connections, |total| total.connections),
            Column::IncomingPackets => largest(|rates| rates.incoming_packets, |total| total.incoming_packets),
            Column::OutgoingPackets => largest(|rates| rates.outgoing_packets, |total| total.outgoing_packets),
            Column::IncomingBytes => largest(|rates| rates.incoming_bytes, |total| total.incoming_bytes),
            Column::OutgoingBytes => largest(|rates| rates.outgoing_bytes, |total| total.outgoing_bytes),
        };
        order.then_with(by_name)
    }
}
