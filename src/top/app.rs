//! The state of the live view, and what changes it.

mod keys;

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use ipvs_client::{
    Change, Destination, DestinationKey, ServiceKey, Table, TableService,
    estimation::Stopped,
    plan::drain::{Disturbance, Drain, Left, Look},
};

use super::connections::Connections;
use super::meter::{Meter, PerSecond};
use super::rows::{Column, Row};

/// Readings that the small graphs can show.
const HISTORY: usize = 240;

/// What the view asks for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    /// To end.
    Quit,
    /// To read the table now.
    Read,
    /// To give a server another weight.
    SetWeight(ServiceKey, DestinationKey, u32),
    /// To begin to drain a server.
    Drain(ServiceKey, DestinationKey),
    /// To make a change.
    Change(Change),
}

/// What names a row.
pub(crate) type Id = (ServiceKey, Option<DestinationKey>);

/// What the keys mean at the moment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Mode {
    Normal,
    Filter,
    /// A weight is being typed for this server.
    Weight {
        service: ServiceKey,
        server: Destination,
        text: String,
    },
    Confirm(Question),
    Help,
}

/// What is done if the answer is yes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Question {
    /// To end, which undoes the drains that are under way.
    End,
    /// To give this server, as it was when it was chosen, another weight.
    Weight { service: ServiceKey, server: Destination, weight: u32 },
    /// To drain this server.
    Drain { service: ServiceKey, server: Destination },
    /// To stop draining it.
    StopDraining { service: ServiceKey, server: DestinationKey },
}

/// What stands in the last line until the next key.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Message {
    /// The service or server that was looked into is gone.
    Gone(Id),
    /// A drain has come to its end.
    Drained(DestinationKey),
    /// A drain ended because of what another program did.
    Disturbed(Disturbance),
    /// A weight was asked for of a server that is being drained.
    IsDraining,
    /// A weight was asked for of a service.
    ServiceHasNoWeight,
    /// A service was to be drained.
    ServiceIsNotDrained,
    /// No server can have this weight.
    NoWeight(u64),
    /// The answer was not yes.
    NothingChanged,
    /// The table kept changing while it was read.
    Unsettled,
    /// The server is not in the table any more.
    NoServer,
    /// What another part of the program reports: a refusal, an error, who has the lock.
    Failed(String),
}

/// Whether rates are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rates {
    /// They are.
    Known,
    /// Not yet: one reading has nothing to compare with.
    NotYet,
    /// Not: counters that stand still say nothing.
    Never,
}

/// A server that is being drained from here.
#[derive(Clone, Debug)]
pub(crate) struct Draining {
    service: ServiceKey,
    pub(crate) server: DestinationKey,
    drain: Drain,
    pub(crate) left: Left,
}

/// The state of the live view.
#[derive(Clone, Debug)]
pub(crate) struct App {
    /// Seconds between readings, to be shown.
    pub(crate) interval: u32,
    pub(crate) colored: bool,
    /// The options that choose among connections, as they were given.
    pub(crate) chosen_connections: String,
    table: Vec<TableService>,
    meters: HashMap<Id, Meter>,
    readings: u64,
    pub(crate) history: [VecDeque<u64>; 3],
    pub(crate) column: Column,
    pub(crate) reversed: bool,
    pub(crate) totals: bool,
    pub(crate) filter: String,
    selected: Option<Id>,
    /// The service that is looked into, and the server, if one is.
    pub(crate) inside: Option<Id>,
    pub(crate) connections: Option<Connections>,
    pub(crate) mode: Mode,
    pub(crate) message: Option<Message>,
    pub(crate) stopped: Option<Stopped>,
    pub(crate) draining: Vec<Draining>,
}

impl App {
    /// A view that nothing has been read for yet.
    pub(crate) fn new(interval: u32, colored: bool) -> Self {
        Self {
            interval,
            colored,
            chosen_connections: String::new(),
            table: Vec::new(),
            meters: HashMap::new(),
            readings: 0,
            history: Default::default(),
            column: Column::Name,
            reversed: false,
            totals: false,
            filter: String::new(),
            selected: None,
            inside: None,
            connections: None,
            mode: Mode::Normal,
            message: None,
            stopped: None,
            draining: Vec::new(),
        }
    }

    /// Whether the kernel counts, as it was found with the last reading.
    pub(crate) fn set_stopped(&mut self, stopped: Option<Stopped>) {
        self.stopped = stopped;
    }

    /// Say something in the last line until the next key.
    pub(crate) fn say(&mut self, message: Message) {
        self.message = Some(message);
    }

    /// Whether rates are known.
    pub(crate) const fn known(&self) -> Rates {
        match (self.stopped, self.readings) {
            (Some(_), _) => Rates::Never,
            (None, 0 | 1) => Rates::NotYet,
            (None, _) => Rates::Known,
        }
    }

    /// The table as it was read at this time, from any beginning.
    pub(crate) fn read(&mut self, mut table: Table, now: Duration) -> Vec<Action> {
        table.sort();
        let mut meters = HashMap::with_capacity(self.meters.len());
        let old = &self.meters;
        let mut meter = |id: Id, counters| {
            let mut meter = old.get(&id).copied().unwrap_or_else(|| Meter::new(counters, now));
            meter.read(counters, now);
            meters.insert(id, meter);
        };
        for service in &table.services {
            let key = service.entry.service.key;
            meter((key, None), service.entry.statistics.counters);
            for entry in &service.destinations {
                meter((key, Some(entry.destination.key)), entry.statistics.counters);
            }
        }
        self.meters = meters;
        self.table = table.services;
        self.readings += 1;
        let total = self.rates();
        if self.known() == Rates::Known {
            for (history, rate) in
                self.history.iter_mut().zip([total.connections, total.incoming_bytes, total.outgoing_bytes])
            {
                if history.len() == HISTORY {
                    history.pop_front();
                }
                history.push_back(rate.round() as u64);
            }
        }
        if let Some(id) = self.inside.take_if(|id| !exists(&self.table, id)) {
            self.say(Message::Gone(id));
        }
        self.look_at_drains()
    }

    /// How far drains are, and what follows.
    fn look_at_drains(&mut self) -> Vec<Action> {
        let mut actions = Vec::new();
        let table = &self.table;
        let mut message = None;
        self.draining.retain_mut(|draining| {
            let service = table.iter().find(|service| service.entry.service.key == draining.service);
            let now = service.map_or(&[][..], |service| &service.destinations);
            match draining.drain.look(now) {
                Look::Waiting(left) => {
                    draining.left = left;
                    return true;
                }
                Look::Gone => {
                    actions.push(Action::Change(Change::DeleteDestination(draining.service, draining.server)));
                    message = Some(Message::Drained(draining.server));
                }
                Look::Disturbed(what) => message = Some(Message::Disturbed(what)),
            }
            false
        });
        self.message = message.or(self.message.take());
        actions
    }

    /// The draining of this server, which is as `former` says, has begun.
    pub(crate) fn drain_began(&mut self, service: ServiceKey, former: Destination) {
        let server = former.key;
        let drain = Drain::server(service, former);
        self.draining.push(Draining { service, server, drain, left: Left::default() });
    }

    /// Whether a server of this service is being drained from here.
    pub(crate) fn drains(&self, service: &ServiceKey) -> bool {
        self.draining.iter().any(|draining| draining.service == *service)
    }

    /// What puts everything back that is half done, when the view ends: no drain goes on without it.
    pub(crate) fn leave(&mut self) -> Vec<Change> {
        let draining = std::mem::take(&mut self.draining);
        draining.iter().flat_map(|draining| self.back(draining)).collect()
    }

    fn back(&self, draining: &Draining) -> Vec<Change> {
        let service = self.table.iter().find(|service| service.entry.service.key == draining.service);
        service.map_or_else(Vec::new, |service| draining.drain.back(&service.destinations))
    }

    /// Of which service and servers connections are wanted, if any.
    pub(crate) fn wants_connections(&self) -> Option<(ServiceKey, Vec<DestinationKey>)> {
        let (service, server) = self.inside?;
        let servers = match server {
            Some(server) => vec![server],
            None => {
                let there = self.table.iter().find(|there| there.entry.service.key == service)?;
                there.destinations.iter().map(|entry| entry.destination.key).collect()
            }
        };
        Some((service, servers))
    }

    /// The connections that were wanted.
    pub(crate) fn set_connections(&mut self, connections: Option<Connections>) {
        self.connections = connections;
    }

    /// The rates of everything together.
    pub(crate) fn rates(&self) -> PerSecond {
        let mut total = PerSecond::default();
        for service in &self.table {
            total += self.rates_of(&(service.entry.service.key, None));
        }
        total
    }

    fn rates_of(&self, id: &Id) -> PerSecond {
        self.meters.get(id).map(Meter::rates).unwrap_or_default()
    }

    /// How many services and servers there are.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.table.len(), self.table.iter().map(|service| service.destinations.len()).sum())
    }

    /// Active, inactive and persistent connections of everything together.
    pub(crate) fn connected(&self) -> (u64, u64, u64) {
        let mut sum = (0, 0, 0);
        for entry in self.table.iter().flat_map(|service| &service.destinations) {
            sum.0 += u64::from(entry.active_connections);
            sum.1 += u64::from(entry.inactive_connections);
            sum.2 += u64::from(entry.persistent_connections);
        }
        sum
    }

    /// The rows to be shown, in order: services with their servers beneath.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let order = |rows: &mut Vec<(Row, Vec<Row>)>| {
            rows.sort_by(|(one, _), (other, _)| self.order(one, other));
        };
        let mut services: Vec<(Row, Vec<Row>)> =
            self.table.iter().filter_map(|service| self.rows_of(service)).collect();
        order(&mut services);
        services.into_iter().flat_map(|(service, servers)| std::iter::once(service).chain(servers)).collect()
    }

    fn order(&self, one: &Row, other: &Row) -> std::cmp::Ordering {
        let order = one.compare(other, self.column, self.totals);
        if self.reversed { order.reverse() } else { order }
    }

    /// The row of a service and those of its servers, as far as the filter lets them pass: all servers of a service whose
    /// own name has the text in it, otherwise those that have.
    fn rows_of(&self, service: &TableService) -> Option<(Row, Vec<Row>)> {
        let key = service.entry.service.key;
        if self.inside.is_some_and(|(inside, _)| inside != key) {
            return None;
        }
        let mut own = Row {
            service: key,
            server: None,
            scheduler: service.entry.service.scheduler.text().into_owned(),
            weight: 0,
            active: 0,
            inactive: 0,
            persistent: 0,
            counters: service.entry.statistics.counters,
            rates: self.rates_of(&(key, None)),
        };
        let mut servers = Vec::with_capacity(service.destinations.len());
        for entry in &service.destinations {
            let server = entry.destination;
            let row = Row {
                service: key,
                server: Some(server),
                scheduler: String::new(),
                weight: server.weight.into(),
                active: entry.active_connections.into(),
                inactive: entry.inactive_connections.into(),
                persistent: entry.persistent_connections.into(),
                counters: entry.statistics.counters,
                rates: self.rates_of(&(key, Some(server.key))),
            };
            own.weight += row.weight;
            own.active += row.active;
            own.inactive += row.inactive;
            own.persistent += row.persistent;
            servers.push(row);
        }
        let filter = self.filter.to_lowercase();
        let passes = |name: String| name.to_lowercase().contains(&filter);
        if !passes(format!("{} {}", own.name(), own.scheduler)) {
            servers.retain(|row| passes(row.name()));
            if servers.is_empty() {
                return None;
            }
        }
        servers.sort_by(|one, other| self.order(one, other));
        Some((own, servers))
    }

    /// Where the selection is among these rows.
    pub(crate) fn selected(&self, rows: &[Row]) -> usize {
        rows.iter().position(|row| Some(row.id()) == self.selected).unwrap_or(0)
    }

    /// How far the drain of this server is, if one is under way.
    pub(crate) fn drain_of(&self, row: &Row) -> Option<&Draining> {
        let (service, server) = row.id();
        self.draining.iter().find(|draining| draining.service == service && Some(draining.server) == server)
    }
}

/// Whether this service or server is in the table.
fn exists(table: &[TableService], (service, server): &Id) -> bool {
    table
        .iter()
        .filter(|there| there.entry.service.key == *service)
        .any(|there| server.is_none_or(|server| there.destinations.iter().any(|entry| entry.destination.key == server)))
}
