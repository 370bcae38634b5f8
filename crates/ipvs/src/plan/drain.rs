//! Taking real servers out without breaking connections: weight 0, waiting, and the way back. No clock, no kernel.

use std::fmt;

use crate::model::{Change, Destination, DestinationEntry, DestinationKey, Protocol, ServiceKey};

/// Looks in a row that must find nothing left. A connection that was being scheduled while the weight became 0 is in no
/// number yet at the first one.
const QUIET_LOOKS: u32 = 2;

/// The draining of one or all real servers of a service.
#[derive(Clone, Debug)]
pub struct Drain {
    service: ServiceKey,
    /// Each server as it was and as it is while it drains, which differs in the weight at least.
    servers: Vec<(Destination, Destination)>,
    /// Whether these are all servers of the service, and so are to be its only ones.
    whole_service: bool,
    quiet: u32,
}

/// What is still there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Connections that count, see [`Drain::look`].
    pub connections: u64,
    /// Clients that persistence binds to the servers (templates).
    pub clients: u64,
}

impl Left {
    /// Both together.
    #[must_use]
    pub const fn total(self) -> u64 {
        self.connections + self.clients
    }
}

/// What a look found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// So much is left.
    Waiting(Left),
    /// Nothing is left.
    Gone,
    /// Another program has changed what was being drained.
    Disturbed(Disturbance),
}

/// What another program did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Disturbance {
    /// The server is not there any more.
    Deleted(DestinationKey),
    /// The server has this weight again.
    Weight(DestinationKey, u32),
    /// The service has a server that it had not.
    Added(DestinationKey),
}

impl fmt::Display for Disturbance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deleted(key) => write!(f, "another program has deleted {key}"),
            Self::Weight(key, weight) => write!(f, "another program has given {key} the weight {weight}"),
            Self::Added(key) => write!(f, "another program has added {key}"),
        }
    }
}

impl Drain {
    /// The draining of one server, which is as `former` says.
    #[must_use]
    pub fn server(service: ServiceKey, former: Destination) -> Self {
        Self::edited(service, former, Destination { weight: 0, ..former })
    }

    /// The draining of one server, which is as `former` says and is to become what `target` says, of weight 0.
    #[must_use]
    pub fn edited(service: ServiceKey, former: Destination, target: Destination) -> Self {
        Self { service, servers: vec![(former, target)], whole_service: false, quiet: 0 }
    }

    /// The draining of all servers of a service.
    #[must_use]
    pub fn whole_service(service: ServiceKey, servers: impl IntoIterator<Item = Destination>) -> Self {
        let servers = servers.into_iter().map(|former| (former, Destination { weight: 0, ..former })).collect();
        Self { service, servers, whole_service: true, quiet: 0 }
    }

    /// The servers that are drained, as they were.
    pub fn servers(&self) -> impl Iterator<Item = &Destination> {
        self.servers.iter().map(|(former, _)| former)
    }

    /// What begins it. Servers that have weight 0 already are left alone.
    pub fn begin(&self) -> impl Iterator<Item = Change> {
        let changed = self.servers.iter().filter(|(former, target)| former != target);
        changed.map(|(_, target)| Change::EditDestination(self.service, *target))
    }

    /// Look at the service's servers as they are now.
    ///
    /// Of connections those count that the kernel calls active: with TCP and SCTP, those being opened or established. The
    /// inactive ones are closed or half closed and are only remembered until their time is over (`tcpfin`, two minutes),
    /// so waiting for them would be waiting for no client. Of UDP the kernel calls everything inactive, and a mark can stand
    /// for UDP: there both count.
    pub fn look(&mut self, now: &[DestinationEntry]) -> Look {
        let inactive_count = match self.service {
            ServiceKey::Address { protocol, .. } => protocol == Protocol::Udp,
            ServiceKey::Mark { .. } => true,
        };
        let mut left = Left::default();
        for (_, target) in &self.servers {
            let Some(entry) = now.iter().find(|entry| entry.destination.key == target.key) else {
                return Look::Disturbed(Disturbance::Deleted(target.key));
            };
            if entry.destination.weight != 0 {
                return Look::Disturbed(Disturbance::Weight(target.key, entry.destination.weight));
            }
            left.connections += u64::from(entry.active_connections);
            if inactive_count {
                left.connections += u64::from(entry.inactive_connections);
            }
            left.clients += u64::from(entry.persistent_connections);
        }
        if self.whole_service
            && let Some(new) = now.iter().find(|entry| !self.is_drained(entry.destination.key))
        {
            return Look::Disturbed(Disturbance::Added(new.destination.key));
        }
        if left.total() > 0 {
            self.quiet = 0;
            return Look::Waiting(left);
        }
        self.quiet += 1;
        if self.quiet >= QUIET_LOOKS { Look::Gone } else { Look::Waiting(left) }
    }

    fn is_drained(&self, key: DestinationKey) -> bool {
        self.servers.iter().any(|(_, target)| target.key == key)
    }

    /// The way back, from the service's servers as they are now. What another program has changed stays as that.
    pub fn back(&self, now: &[DestinationEntry]) -> Vec<Change> {
        let mut changes = Vec::new();
        for (former, target) in self.servers.iter().filter(|(former, target)| former != target) {
            let Some(entry) = now.iter().find(|entry| entry.destination.key == target.key) else { continue };
            let present = entry.destination;
            let back = if present == *target { *former } else { Destination { weight: former.weight, ..present } };
            if present.weight == 0 && present != back {
                changes.push(Change::EditDestination(self.service, back));
            }
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(server: &str, weight: u32, active: u32, inactive: u32, persistent: u32) -> DestinationEntry {
        let server: std::net::SocketAddr = server.parse().unwrap();
        DestinationEntry {
            destination: Destination { weight, ..Destination::new(server.ip(), server.port()) },
            active_connections: active,
            inactive_connections: inactive,
            persistent_connections: persistent,
            statistics: crate::model::Statistics::default(),
        }
    }

    fn service(protocol: Protocol) -> ServiceKey {
        ServiceKey::Address { protocol, address: [20, 20, 20, 20].into(), port: 80 }
    }

    fn one(protocol: Protocol, weight: u32) -> Drain {
        Drain::server(service(protocol), entry("10.0.0.1:80", weight, 0, 0, 0).destination)
    }

    #[test]
    fn closed_connections_are_not_waited_for_but_those_of_udp_are() {
        let now = [entry("10.0.0.1:80", 0, 0, 7, 0)];
        let mut drain = one(Protocol::Tcp, 3);
        assert_eq!(drain.look(&now), Look::Waiting(Left::default()));
        assert_eq!(drain.look(&now), Look::Gone);
        for mut drain in [one(Protocol::Udp, 3), {
            let mark = ServiceKey::Mark { mark: 1, family: crate::model::Family::Ipv4 };
            Drain::server(mark, now[0].destination)
        }] {
            assert_eq!(drain.look(&now), Look::Waiting(Left { connections: 7, clients: 0 }));
        }
    }

    #[test]
    fn a_connection_that_comes_late_is_waited_for() {
        let mut drain = one(Protocol::Tcp, 3);
        assert_eq!(drain.look(&[entry("10.0.0.1:80", 0, 0, 0, 0)]), Look::Waiting(Left::default()));
        let late = Left { connections: 1, clients: 2 };
        assert_eq!(drain.look(&[entry("10.0.0.1:80", 0, 1, 0, 2)]), Look::Waiting(late));
        assert_eq!(drain.look(&[entry("10.0.0.1:80", 0, 0, 0, 0)]), Look::Waiting(Left::default()));
        assert_eq!(drain.look(&[entry("10.0.0.1:80", 0, 0, 0, 0)]), Look::Gone);
    }

    #[test]
    fn what_others_do_is_noticed_and_kept() {
        let key = |server| entry(server, 0, 0, 0, 0).destination.key;
        let mut drain = one(Protocol::Tcp, 3);
        assert_eq!(drain.look(&[]), Look::Disturbed(Disturbance::Deleted(key("10.0.0.1:80"))));
        assert_eq!(drain.back(&[]), []);
        let heavier = [entry("10.0.0.1:80", 5, 0, 0, 0)];
        assert_eq!(drain.look(&heavier), Look::Disturbed(Disturbance::Weight(key("10.0.0.1:80"), 5)));
        assert_eq!(drain.back(&heavier), []);
        let mut threshold = entry("10.0.0.1:80", 0, 1, 0, 0);
        threshold.destination.upper_threshold = 9;
        let back = Destination { weight: 3, ..threshold.destination };
        assert_eq!(drain.back(&[threshold]), [Change::EditDestination(service(Protocol::Tcp), back)]);
    }

    #[test]
    fn a_service_is_all_its_servers() {
        let had = [entry("10.0.0.1:80", 3, 0, 0, 0), entry("10.0.0.2:80", 0, 0, 0, 0)];
        let mut drain = Drain::whole_service(service(Protocol::Tcp), had.map(|entry| entry.destination));
        let drained = [entry("10.0.0.1:80", 0, 2, 0, 0), entry("10.0.0.2:80", 0, 3, 0, 1)];
        assert_eq!(
            drain.begin().collect::<Vec<_>>(),
            [Change::EditDestination(service(Protocol::Tcp), drained[0].destination)]
        );
        assert_eq!(drain.look(&drained), Look::Waiting(Left { connections: 5, clients: 1 }));
        assert_eq!(drain.back(&drained), [Change::EditDestination(service(Protocol::Tcp), had[0].destination)]);
        let more = [drained[0], drained[1], entry("10.0.0.3:80", 1, 0, 0, 0)];
        assert_eq!(drain.look(&more), Look::Disturbed(Disturbance::Added(more[2].destination.key)));
    }

    #[test]
    fn an_edit_goes_back_whole() {
        let former = entry("10.0.0.1:80", 3, 0, 0, 0).destination;
        let target = Destination { weight: 0, forwarding: crate::model::Forwarding::Masquerade, ..former };
        let drain = Drain::edited(service(Protocol::Tcp), former, target);
        let now = [DestinationEntry { destination: target, ..entry("10.0.0.1:80", 0, 1, 0, 0) }];
        assert_eq!(drain.back(&now), [Change::EditDestination(service(Protocol::Tcp), former)]);
    }
}
