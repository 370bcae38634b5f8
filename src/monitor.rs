//! What changes in the table from one reading to the next.

use std::collections::HashMap;
use std::time::Duration;

use ipvs_client::{
    Change, Daemon, DaemonRole, DestinationEntry, DestinationKey, IncomingBytes, ServiceKey, Table, Timeouts,
    plan::{self, Options, RuleService, State, Traced},
};

/// A server that had traffic and gets no packets for this time is without traffic. Longer than the kernel's counters are behind.
pub const QUIET_AFTER: Duration = Duration::from_secs(10);

/// What is read of the table.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Services and servers, in any order.
    pub table: Table<IncomingBytes>,
    /// The timeouts.
    pub timeouts: Timeouts,
    /// The daemons that run.
    pub daemons: Vec<Daemon>,
    /// When it was read, since the first reading.
    pub at: Duration,
}

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The table has changed, as if by this.
    Changed(Change),
    /// Something about a real server of a service.
    Server(ServiceKey, DestinationKey, Notice),
}

/// What happened to a real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// It has as many connections as its upper threshold, and gets no more.
    ThresholdReached {
        /// Its connections.
        connections: u64,
        /// The threshold.
        threshold: u32,
    },
    /// It has few enough again.
    ThresholdLeft {
        /// Its connections.
        connections: u64,
    },
    /// It had traffic, and gets no more packets.
    TrafficStopped,
    /// It gets packets again.
    TrafficResumed,
}

/// What is known of a server from before.
#[derive(Clone, Copy, Debug)]
struct Known {
    bytes: u64,
    /// When packets last came, if any did while we looked.
    last: Option<Duration>,
    is_quiet: bool,
    is_full: bool,
    seen: u64,
}

/// The table as it was last read.
#[derive(Debug, Default)]
pub struct Monitor {
    have: State,
    servers: HashMap<(ServiceKey, DestinationKey), Known>,
    readings: u64,
}

impl Monitor {
    /// What has happened since the last reading. Of the first reading everything that is there is an addition: carried out on
    /// an empty table in their order, the changes give the table.
    pub fn read(&mut self, reading: &Reading) -> Vec<Event> {
        let want = state(reading);
        if self.readings == 0 {
            // All timeouts differ from none.
            self.have.timeouts = Some(Traced { rule: Timeouts::new(0, 0, 0), line: 0 });
        }
        self.readings += 1;
        let steps = plan::difference(&self.have, &want, Options::default());
        let mut events: Vec<Event> = steps.into_iter().map(|step| Event::Changed(step.change)).collect();
        self.have = want;
        for service in &reading.table.services {
            let key = service.entry.service.key;
            for entry in &service.destinations {
                let server = entry.destination.key;
                let notices = self.server(key, entry, reading.at);
                events.extend(notices.into_iter().flatten().map(|notice| Event::Server(key, server, notice)));
            }
        }
        let readings = self.readings;
        self.servers.retain(|_, known| known.seen == readings);
        events
    }

    fn server(
        &mut self,
        service: ServiceKey,
        entry: &DestinationEntry<IncomingBytes>,
        at: Duration,
    ) -> [Option<Notice>; 2] {
        let IncomingBytes(bytes) = entry.statistics;
        let connections = u64::from(entry.active_connections) + u64::from(entry.inactive_connections);
        let new = Known { bytes, last: None, is_quiet: false, is_full: false, seen: 0 };
        let known = self.servers.entry((service, entry.destination.key)).or_insert(new);
        known.seen = self.readings;
        let mut notices = [None, None];
        // After -Z they are fewer.
        if bytes > known.bytes {
            known.last = Some(at);
            if std::mem::take(&mut known.is_quiet) {
                notices[0] = Some(Notice::TrafficResumed);
            }
        } else if !known.is_quiet && known.last.is_some_and(|last| at.saturating_sub(last) >= QUIET_AFTER) {
            known.is_quiet = true;
            notices[0] = Some(Notice::TrafficStopped);
        }
        known.bytes = bytes;
        let threshold = entry.destination.upper_threshold;
        if !known.is_full && threshold > 0 && connections >= threshold.into() {
            known.is_full = true;
            notices[1] = Some(Notice::ThresholdReached { connections, threshold });
        } else if known.is_full && has_room(connections, threshold, entry.destination.lower_threshold) {
            known.is_full = false;
            notices[1] = Some(Notice::ThresholdLeft { connections });
        }
        notices
    }
}

/// Whether a server that was full gets connections again: below the lower threshold, or without one below three quarters of
/// the upper (`ip_vs_dest_update_overload`, `ip_vs_unbind_dest`).
fn has_room(connections: u64, upper: u32, lower: u32) -> bool {
    match (upper, lower) {
        (0, 0) => true,
        (_, 0) => connections * 4 < u64::from(upper) * 3,
        _ => connections < lower.into(),
    }
}

/// A reading as the state that is compared: in the order of listings.
fn state(reading: &Reading) -> State {
    let mut services: Vec<RuleService> = reading
        .table
        .services
        .iter()
        .map(|service| {
            let mut destinations: Vec<_> =
                service.destinations.iter().map(|entry| Traced { rule: entry.destination, line: 0 }).collect();
            destinations.sort_unstable_by_key(|destination| destination.rule.key);
            RuleService { service: Traced { rule: service.entry.service, line: 0 }, destinations }
        })
        .collect();
    services.sort_unstable_by_key(|service| service.service.rule.key);
    let daemon = |role| reading.daemons.iter().find(|daemon| daemon.role == role).copied();
    let roles = [DaemonRole::Master, DaemonRole::Backup];
    State {
        keeps_order: false,
        services,
        timeouts: Some(Traced { rule: reading.timeouts, line: 0 }),
        daemons: roles.map(|role| Traced { rule: (role, daemon(role)), line: 0 }).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipvs_client::{Destination, Service, ServiceEntry, TableService, scheduler};

    fn reading(at: u64, bytes: u64, connections: u32, thresholds: (u32, u32)) -> Reading {
        let mut server = Destination::new([10, 0, 0, 2].into(), 80);
        (server.upper_threshold, server.lower_threshold) = thresholds;
        let mut entry = DestinationEntry::new(server, IncomingBytes(bytes));
        entry.active_connections = connections;
        let service = Service::tcp([10, 0, 0, 1], 80, scheduler::WLC);
        let service = ServiceEntry::new(service, IncomingBytes::default());
        let table = Table { services: vec![TableService { entry: service, destinations: vec![entry] }] };
        Reading { table, timeouts: Timeouts::new(900, 120, 300), daemons: Vec::new(), at: Duration::from_secs(at) }
    }

    fn notices(monitor: &mut Monitor, reading: &Reading) -> Vec<Notice> {
        let events = monitor.read(reading);
        events
            .into_iter()
            .filter_map(|event| match event {
                Event::Server(_, _, notice) => Some(notice),
                Event::Changed(_) => None,
            })
            .collect()
    }

    #[test]
    fn the_first_reading_is_the_table() {
        let mut monitor = Monitor::default();
        let events = monitor.read(&reading(0, 0, 0, (0, 0)));
        assert!(
            matches!(
                events[..],
                [
                    Event::Changed(Change::AddService(_)),
                    Event::Changed(Change::AddDestination(..)),
                    Event::Changed(Change::SetTimeouts(_)),
                ]
            ),
            "{events:?}"
        );
        assert_eq!(monitor.read(&reading(2, 0, 0, (0, 0))), []);
    }

    #[test]
    fn traffic_stops_only_where_there_was_some() {
        let mut monitor = Monitor::default();
        let mut at = |at, packets| notices(&mut monitor, &reading(at, packets, 0, (0, 0)));
        assert_eq!(at(0, 5), []);
        assert_eq!(at(20, 5), []);
        assert_eq!(at(22, 6), []);
        assert_eq!(at(31, 6), []);
        assert_eq!(at(32, 6), [Notice::TrafficStopped]);
        assert_eq!(at(50, 6), []);
        // Zeroed, and then some.
        assert_eq!(at(52, 0), []);
        assert_eq!(at(54, 1), [Notice::TrafficResumed]);
    }

    #[test]
    fn thresholds_are_reached_and_left_as_the_kernel_has_it() {
        for (thresholds, left) in [((100, 0), 74), ((100, 50), 49)] {
            let mut monitor = Monitor::default();
            let mut with = |connections| notices(&mut monitor, &reading(0, 0, connections, thresholds));
            assert_eq!(with(99), []);
            assert_eq!(with(100), [Notice::ThresholdReached { connections: 100, threshold: 100 }]);
            assert_eq!(with(120), []);
            assert_eq!(with(left + 1), []);
            assert_eq!(with(left), [Notice::ThresholdLeft { connections: left.into() }]);
        }
    }
}
