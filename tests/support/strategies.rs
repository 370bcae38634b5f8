//! Random rules and tables for property tests.

// Each test binary has a copy of this module and uses its own part of it.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::sync::OnceLock;

use ipvs_client::{
    Change, Checksum, Daemon, DaemonRole, Destination, DestinationKey, Family, Forwarding, InterfaceName, Netmask,
    Persistence, Protocol, SchedulerName, Service, ServiceFlags, ServiceKey, Table, Timeouts, Tunnel,
    plan::{RuleService, State, Traced},
};
use ipvsadm_rs::view::rules;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// How far the values go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Whatever the kernel takes over netlink.
    Kernel,
    /// What a rule can say.
    Rule,
}

/// A table without counters, in the order of listings.
pub type Rules = BTreeMap<ServiceKey, RulesOfService>;

/// A service and its real servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RulesOfService {
    pub service: Service,
    pub servers: BTreeMap<DestinationKey, Destination>,
}

/// Every scheduler that Linux has ever had, and the absence of one.
pub const SCHEDULERS: [&str; 15] =
    ["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh", "twos", "none"];

/// Those of the kernel at hand; all, if that is not known.
pub static SCHEDULERS_AT_HAND: OnceLock<Vec<&str>> = OnceLock::new();

/// The longest timeout, in seconds.
const TIMEOUT_MAXIMUM: u32 = 31 * 24 * 60 * 60;

const SCHEDULER_FLAGS: u32 = ServiceFlags::SCHEDULER_1 | ServiceFlags::SCHEDULER_2 | ServiceFlags::SCHEDULER_3;

fn family() -> impl Strategy<Value = Family> + Clone {
    prop_oneof![Just(Family::Ipv4), Just(Family::Ipv6)]
}

fn other(family: Family) -> Family {
    match family {
        Family::Ipv4 => Family::Ipv6,
        Family::Ipv6 => Family::Ipv4,
    }
}

/// Any address, the odd ones often.
fn address(family: Family) -> BoxedStrategy<IpAddr> {
    const V4: [Ipv4Addr; 5] = [
        Ipv4Addr::UNSPECIFIED,
        Ipv4Addr::BROADCAST,
        Ipv4Addr::LOCALHOST,
        Ipv4Addr::new(224, 0, 0, 1),
        Ipv4Addr::new(192, 168, 0, 1),
    ];
    const V6: [Ipv6Addr; 6] = [
        Ipv6Addr::UNSPECIFIED,
        Ipv6Addr::LOCALHOST,
        Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0x102, 0x304),
        Ipv6Addr::new(0, 0, 0, 0, 0, 0, 1, 0x80),
        Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1),
        Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1),
    ];
    match family {
        Family::Ipv4 => {
            prop_oneof![3 => any::<u32>().prop_map(Ipv4Addr::from), 1 => select(&V4[..])].prop_map(IpAddr::V4).boxed()
        }
        Family::Ipv6 => prop_oneof![
            2 => any::<u128>().prop_map(Ipv6Addr::from),
            2 => sparse_segments().prop_map(Ipv6Addr::from),
            1 => select(&V6[..]),
        ]
        .prop_map(IpAddr::V6)
        .boxed(),
    }
}

/// Segments many of which are 0, for the shortening of addresses.
fn sparse_segments() -> impl Strategy<Value = [u16; 8]> {
    proptest::array::uniform8(prop_oneof![Just(0), Just(1), any::<u16>()])
}

/// An address that the kernel takes for a real server's: unicast.
fn unicast(family: Family) -> BoxedStrategy<IpAddr> {
    match family {
        Family::Ipv4 => (prop_oneof![8 => 1_u8..=223, 1 => Just(127), 1 => 240_u8..=254], any::<[u8; 3]>())
            .prop_map(|(first, [second, third, fourth])| {
                // The ends of 127/8 are broadcast addresses.
                let fourth = if first == 127 { fourth.clamp(1, 254) } else { fourth };
                IpAddr::from([first, second, third, fourth])
            })
            .boxed(),
        Family::Ipv6 => prop_oneof![
            6 => (prop_oneof![0x2000_u16..=0x3fff, 0xfc00_u16..=0xfdff], sparse_segments()).prop_map(
                |(first, mut segments)| {
                    segments[0] = first;
                    Ipv6Addr::from(segments)
                }
            ),
            1 => Just(Ipv6Addr::LOCALHOST),
            1 => (1_u128..=u32::MAX.into()).prop_map(Ipv6Addr::from),
        ]
        .prop_map(IpAddr::V6)
        .boxed(),
    }
}

fn port() -> impl Strategy<Value = u16> {
    prop_oneof![1 => Just(0), 1 => Just(80), 1 => Just(u16::MAX), 3 => any::<u16>()]
}

pub fn service_key() -> BoxedStrategy<ServiceKey> {
    let protocol = select(&[Protocol::Tcp, Protocol::Udp, Protocol::Sctp][..]);
    let mark = prop_oneof![Just(1), Just(u32::MAX), Just(0x8000_0000), 1..=u32::MAX];
    prop_oneof![
        3 => (protocol, family().prop_flat_map(address), port())
            .prop_map(|(protocol, address, port)| ServiceKey::Address { protocol, address, port }),
        1 => (mark, family()).prop_map(|(mark, family)| ServiceKey::Mark { mark, family }),
    ]
    .boxed()
}

/// A service of this name.
pub fn service(key: ServiceKey, reach: Reach) -> BoxedStrategy<Service> {
    let one_packet = !matches!(key.protocol(), Some(Protocol::Tcp | Protocol::Sctp));
    let flags = (0..8_u32, any::<bool>()).prop_map(move |(scheduler, packet)| {
        let one_packet = if one_packet && packet { ServiceFlags::ONE_PACKET } else { 0 };
        ServiceFlags::from_bits((scheduler * ServiceFlags::SCHEDULER_1) & SCHEDULER_FLAGS | one_packet)
    });
    let engine = prop_oneof![3 => Just(SchedulerName::EMPTY), 1 => Just(SchedulerName::cut(b"sip"))];
    // Every port at once needs persistence, says ipvsadm; the kernel does not mind.
    let persistence = if reach == Reach::Rule && key.port() == Some(0) {
        persistence(key.family()).prop_map(Some).boxed()
    } else {
        proptest::option::of(persistence(key.family())).boxed()
    };
    let schedulers = SCHEDULERS_AT_HAND.get_or_init(|| SCHEDULERS.to_vec());
    (select(schedulers.as_slice()), flags, persistence, engine)
        .prop_map(move |(scheduler, flags, persistence, engine)| {
            let mut service = Service::new(key, SchedulerName::cut(scheduler.as_bytes())).flags(flags).engine(engine);
            service.persistence = persistence;
            service
        })
        .boxed()
}

fn persistence(family: Family) -> impl Strategy<Value = Persistence> {
    let timeout = prop_oneof![Just(1), Just(360), Just(TIMEOUT_MAXIMUM), 1..=TIMEOUT_MAXIMUM];
    let netmask = match family {
        Family::Ipv4 => prop_oneof![
            Just(Netmask::host(family)),
            Just(Netmask::V4(Ipv4Addr::UNSPECIFIED)),
            any::<u32>().prop_map(|bits| Netmask::V4(bits.into())),
        ]
        .boxed(),
        Family::Ipv6 => (1..=128_u8).prop_map(Netmask::V6).boxed(),
    };
    (timeout, netmask).prop_map(|(timeout, netmask)| Persistence { timeout, netmask })
}

/// A name for a real server of this service. If `mixed`, some are of the other family.
pub fn server_key(service: ServiceKey, reach: Reach, mixed: bool) -> BoxedStrategy<DestinationKey> {
    let own = service.family();
    let family = if mixed { prop_oneof![3 => Just(own), 1 => Just(other(own))].boxed() } else { Just(own).boxed() };
    (family.prop_flat_map(unicast), port(), any::<bool>())
        .prop_map(move |(address, port, same)| {
            // A tunnel, the one way into the other family, cannot change the port.
            let bound = reach == Reach::Rule && (same || Family::of(address) != own);
            let port = service.port().filter(|_| bound).unwrap_or(port);
            DestinationKey { address, port }
        })
        .boxed()
}

/// A real server of this name of this service.
pub fn server(service: ServiceKey, key: DestinationKey, reach: Reach) -> BoxedStrategy<Destination> {
    let weight = prop_oneof![Just(0), Just(1), Just(i32::MAX as u32), 0..=i32::MAX as u32];
    // Rules go no further, and neither does Linux 7.2; older kernels take any 32 bits for thresholds.
    let limit = i32::MAX as u32;
    let upper = prop_oneof![2 => Just(0), 1 => Just(limit), 1 => 0..=limit];
    let lower = prop_oneof![Just(0), Just(limit), 0..=limit];
    (forwarding(service, key, reach), weight, upper, lower)
        .prop_map(move |(forwarding, weight, upper, lower)| {
            let server = Destination::new(key.address, key.port).forwarding(forwarding).weight(weight);
            server.thresholds(upper, lower.min(upper))
        })
        .boxed()
}

fn forwarding(service: ServiceKey, key: DestinationKey, reach: Reach) -> BoxedStrategy<Forwarding> {
    let checksum = select(&[Checksum::None, Checksum::Full, Checksum::Remote][..]);
    let tunnel = prop_oneof![
        Just(Tunnel::Ipip),
        (1..=u16::MAX, checksum).prop_map(|(port, checksum)| Tunnel::Gue { port, checksum }),
        any::<bool>().prop_map(|checksum| Tunnel::Gre { checksum }),
    ];
    let tunnel = tunnel.prop_map(Forwarding::Tunnel);
    if Family::of(key.address) != service.family() {
        return tunnel.boxed();
    }
    match reach {
        Reach::Rule if service.port().is_some_and(|port| port != key.port) => Just(Forwarding::Masquerade).boxed(),
        Reach::Rule => prop_oneof![Just(Forwarding::Masquerade), Just(Forwarding::DirectRoute), tunnel].boxed(),
        Reach::Kernel => prop_oneof![
            2 => Just(Forwarding::Masquerade),
            2 => Just(Forwarding::DirectRoute),
            1 => Just(Forwarding::Local),
            1 => Just(Forwarding::Bypass),
            4 => tunnel,
        ]
        .boxed(),
    }
}

/// A table. If `mixed`, some servers are of another family than their service.
pub fn rules(services: Range<usize>, servers: Range<usize>, reach: Reach, mixed: bool) -> BoxedStrategy<Rules> {
    let of_service = service_key().prop_flat_map(move |key| {
        let one = server_key(key, reach, mixed).prop_flat_map(move |name| server(key, name, reach));
        (service(key, reach), vec(one.boxed(), servers.clone()))
    });
    vec(of_service.boxed(), services)
        .prop_map(|all| {
            let of = |(service, servers): (Service, Vec<Destination>)| {
                let servers = servers.into_iter().map(|server| (server.key, server)).collect();
                (service.key, RulesOfService { service, servers })
            };
            all.into_iter().map(of).collect()
        })
        .boxed()
}

/// What becomes of a thing between two tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Goes,
    Comes,
    Stays,
    Changes,
}

impl Fate {
    fn any() -> impl Strategy<Value = Self> {
        prop_oneof![1 => Just(Self::Goes), 1 => Just(Self::Comes), 2 => Just(Self::Stays), 2 => Just(Self::Changes)]
    }

    fn before_and_after<T: Copy>(self, one: T, another: T) -> (Option<T>, Option<T>) {
        match self {
            Self::Goes => (Some(one), None),
            Self::Comes => (None, Some(one)),
            Self::Stays => (Some(one), Some(one)),
            Self::Changes => (Some(one), Some(another)),
        }
    }
}

/// Two tables with much in common.
pub fn two_tables(services: Range<usize>, servers: Range<usize>) -> BoxedStrategy<(Rules, Rules)> {
    let reach = Reach::Rule;
    let service = service_key().prop_flat_map(move |key| {
        let one = server_key(key, reach, true)
            .prop_flat_map(move |name| (Fate::any(), server(key, name, reach), server(key, name, reach)));
        (Fate::any(), service(key, reach), service(key, reach), vec(one.boxed(), servers.clone()))
    });
    vec(service, services)
        .prop_map(|all| {
            let (mut before, mut after) = (Rules::new(), Rules::new());
            for (fate, service, another, servers) in all {
                let (mut servers_before, mut servers_after) = (BTreeMap::new(), BTreeMap::new());
                for (fate, server, another) in servers {
                    let (old, new) = fate.before_and_after(server, another);
                    servers_before.remove(&server.key);
                    servers_after.remove(&server.key);
                    servers_before.extend(old.map(|old| (old.key, old)));
                    servers_after.extend(new.map(|new| (new.key, new)));
                }
                let (old, new) = fate.before_and_after(service, another);
                before.remove(&service.key);
                after.remove(&service.key);
                before.extend(old.map(|service| (service.key, RulesOfService { service, servers: servers_before })));
                after.extend(new.map(|service| (service.key, RulesOfService { service, servers: servers_after })));
            }
            (before, after)
        })
        .boxed()
}

pub fn timeouts() -> impl Strategy<Value = Timeouts> {
    let one = || prop_oneof![Just(0), Just(TIMEOUT_MAXIMUM), 0..=TIMEOUT_MAXIMUM];
    (one(), one(), one()).prop_map(|(tcp, tcp_fin, udp)| Timeouts::new(tcp, tcp_fin, udp))
}

/// A daemon on an interface of this name.
pub fn daemon(role: DaemonRole, interface: impl Strategy<Value = InterfaceName> + 'static) -> BoxedStrategy<Daemon> {
    let group = prop_oneof![
        (224..=239_u8, any::<[u8; 3]>())
            .prop_map(|(first, [second, third, fourth])| { IpAddr::from([first, second, third, fourth]) }),
        sparse_segments().prop_map(|mut segments| {
            segments[0] |= 0xff00;
            IpAddr::from(segments)
        }),
    ];
    let values = (1..=65507_u16, group, 1..=u16::MAX, 1..=u8::MAX);
    (interface, 0..=255_u32, values, any::<[bool; 4]>())
        .prop_map(move |(interface, sync_id, (length, group, port, ttl), said)| {
            let mut daemon = Daemon::new(role, interface, sync_id);
            daemon.maximum_length = said[0].then_some(length);
            daemon.group = said[1].then_some(group);
            daemon.port = said[2].then_some(port);
            daemon.ttl = said[3].then_some(ttl);
            daemon
        })
        .boxed()
}

/// Any name that an interface can have and a rules file can hold.
pub fn interface() -> impl Strategy<Value = InterfaceName> {
    let first = (b'!'..=b'~').prop_filter("a # begins a comment", |byte| *byte != b'#');
    (first, vec(b'!'..=b'~', 0..15)).prop_map(|(first, mut rest)| {
        rest.insert(0, first);
        InterfaceName::cut(&rest)
    })
}

/// What makes these rules of an empty table.
pub fn changes(rules: &Rules) -> impl Iterator<Item = Change> + '_ {
    rules.values().flat_map(|RulesOfService { service, servers }| {
        let servers = servers.values().map(|server| Change::AddDestination(service.key, *server));
        [Change::AddService(*service)].into_iter().chain(servers)
    })
}

/// A change as a rule, without the end of the line.
pub fn line(change: &Change) -> String {
    rules::text(change)
}

/// The lines of a rules file for these.
pub fn file(rules: &Rules) -> String {
    changes(rules).map(|change| line(&change) + "\n").collect()
}

/// What a table read from the kernel says.
pub fn rules_of(table: &Table) -> Rules {
    let of_service = |service: &ipvs_client::TableService| {
        let servers = service.destinations.iter().map(|entry| (entry.destination.key, entry.destination)).collect();
        (service.entry.service.key, RulesOfService { service: service.entry.service, servers })
    };
    table.services.iter().map(of_service).collect()
}

/// The rules as a state, with the lines that they have in [`file`].
pub fn state(rules: &Rules) -> State {
    let mut lines = 1..;
    let mut traced = || lines.next().unwrap_or_default();
    let services = rules.values().map(|of_service| RuleService {
        service: Traced { rule: of_service.service, line: traced() },
        destinations: of_service.servers.values().map(|rule| Traced { rule: *rule, line: traced() }).collect(),
    });
    State { services: services.collect(), ..State::default() }
}

/// The rules that a state holds.
pub fn rules_of_services(services: &[RuleService]) -> Rules {
    let of_service = |service: &RuleService| {
        let servers = service.destinations.iter().map(|one| (one.rule.key, one.rule)).collect();
        (service.service.rule.key, RulesOfService { service: service.service.rule, servers })
    };
    services.iter().map(of_service).collect()
}

/// How many changes lead from one table to the other: a service that goes takes its servers with it.
pub fn distance(before: &Rules, after: &Rules) -> usize {
    let gone = before.keys().filter(|key| !after.contains_key(key)).count();
    let there = after.iter().map(|(key, new)| match before.get(key) {
        None => 1 + new.servers.len(),
        Some(old) => {
            let gone = old.servers.keys().filter(|key| !new.servers.contains_key(key)).count();
            let differing = new.servers.iter().filter(|(key, server)| old.servers.get(key) != Some(server)).count();
            usize::from(old.service != new.service) + gone + differing
        }
    });
    gone + there.sum::<usize>()
}
