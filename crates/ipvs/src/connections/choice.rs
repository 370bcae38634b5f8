//! Which connections, in what order, and how many of a kind.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::net::IpAddr;

use super::{Connection, Word};
use crate::model::ServiceKey;

/// Which connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Only those to this virtual service; port 0 is any port. Of a service by mark there are none, because a connection
    /// does not show its mark.
    pub service: Option<ServiceKey>,
    /// Only those to this real server, at this port or at any.
    pub server: Option<(IpAddr, Option<u16>)>,
}

impl Choice {
    /// All of them.
    pub const ALL: Self = Self { service: None, server: None };

    /// Whether it is one of these.
    #[must_use]
    pub fn has(&self, connection: &Connection) -> bool {
        let of_service = match self.service {
            Some(ServiceKey::Address { protocol, address, port }) => {
                connection.virtual_address.0 == address
                    && (port == 0 || connection.virtual_address.1 == port)
                    && connection.protocol.as_bytes() == protocol.name().as_bytes()
            }
            Some(ServiceKey::Mark { .. }) => false,
            None => true,
        };
        let of_server = self.server.is_none_or(|(address, port)| {
            connection.destination.0 == address && port.is_none_or(|port| connection.destination.1 == port)
        });
        of_service && of_server
    }
}

/// What connections are sorted or counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionKey {
    /// The kernel's state of it.
    State,
    /// The real server's address and port.
    Server,
    /// The client's address; sorted, with its port.
    Client,
    /// The time until it is forgotten. Nothing is counted by it.
    Expires,
}

impl Connection {
    /// The order by this key; what is equal by it comes in order of client, virtual address and server.
    #[must_use]
    pub fn order(&self, other: &Self, key: ConnectionKey) -> Ordering {
        let rest = |c: &Self| (c.source, c.virtual_address, c.destination);
        match key {
            ConnectionKey::State => self.state.as_bytes().cmp(other.state.as_bytes()),
            ConnectionKey::Server => self.destination.cmp(&other.destination),
            ConnectionKey::Client => Ordering::Equal,
            ConnectionKey::Expires => self.expires.cmp(&other.expires),
        }
        .then_with(|| rest(self).cmp(&rest(other)))
    }
}

/// How many connections there are of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// What they have in common.
    pub of: Counted,
    /// How many.
    pub connections: u64,
}

/// What connections that are counted together have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Counted {
    /// Their state.
    State(Word),
    /// The client's address.
    Client(IpAddr),
    /// The real server's address and port.
    Server(IpAddr, u16),
}

impl Counted {
    /// The address, if it is one.
    #[must_use]
    pub const fn address(&self) -> Option<IpAddr> {
        match *self {
            Self::State(_) => None,
            Self::Client(address) | Self::Server(address, _) => Some(address),
        }
    }
}

/// Counts, kept while connections are read.
#[derive(Debug)]
pub struct Counter {
    key: ConnectionKey,
    counts: HashMap<Counted, u64>,
}

impl Counter {
    /// Nothing counted yet.
    #[must_use]
    pub fn by(key: ConnectionKey) -> Self {
        Self { key, counts: HashMap::new() }
    }

    /// Count one.
    pub fn add(&mut self, connection: &Connection) {
        let of = match self.key {
            ConnectionKey::Client => Counted::Client(connection.source.0),
            ConnectionKey::Server => Counted::Server(connection.destination.0, connection.destination.1),
            ConnectionKey::State | ConnectionKey::Expires => Counted::State(connection.state),
        };
        *self.counts.entry(of).or_default() += 1;
    }

    /// What was counted, the most first, and of as many in order.
    #[must_use]
    pub fn counts(self) -> Vec<Count> {
        let mut counts: Vec<Count> =
            self.counts.into_iter().map(|(of, connections)| Count { of, connections }).collect();
        counts.sort_unstable_by(|a, b| b.connections.cmp(&a.connections).then_with(|| a.of.cmp(&b.of)));
        counts
    }
}
