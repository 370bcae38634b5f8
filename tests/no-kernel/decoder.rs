//! Replies of a real kernel read to the last value, and every way of spoiling them.
//!
//! The replies are in `captures/`, by the kernel's byte order, each with the kernel and the command that it came from.

use std::fmt::{Debug, Display};
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use ipvs_client::{
    Checksum, Counters, Daemon, DaemonRole, Destination, DestinationEntry, Family, Forwarding, Info, InterfaceName,
    Netmask, Persistence, Protocol, Rates, SchedulerName, Service, ServiceEntry, ServiceFlags, ServiceKey, Statistics,
    Timeouts, Tunnel, decode,
};
use netlink_exchange::{Attribute, Attributes, Message, Messages, WireError, Writer};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::strategies;

// ---- what was taken down --------------------------------------------------------------------------------------------

/// Numbers are in the byte order of the kernel, so the captures are of a kernel with this program's.
const CAPTURES: &str =
    if cfg!(target_endian = "big") { "tests/captures/big-endian" } else { "tests/captures/little-endian" };

/// All captures but those of refusals: the same table, daemons and timeouts as both programs received them.
/// Ours reads some servers by socket options, which is not in these, so there is only one such table of big-endian.
const TABLES: &[&str] =
    if cfg!(target_endian = "big") { &["original-table"] } else { &["original-table", "ours-table"] };
const DAEMONS: [&str; 2] = ["original-daemons", "ours-daemons"];
const TIMEOUTS: [&str; 2] = ["original-timeouts", "ours-timeouts"];
const REFUSALS: [&str; 5] = ["original-exists", "ours-exists", "ours-added", "refused-words", "refused-words-capped"];

/// The datagrams of a capture.
fn capture(name: &str) -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(CAPTURES).join(name).with_extension("hex");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut datagrams = vec![Vec::new()];
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if line.is_empty() {
            datagrams.push(Vec::new());
        }
        let bytes = (0..line.len() / 2).map(|at| u8::from_str_radix(&line[2 * at..2 * at + 2], 16));
        let bytes: Result<Vec<u8>, _> = bytes.collect();
        let bytes = bytes.unwrap_or_else(|error| panic!("{}: {error}: {line}", path.display()));
        datagrams.last_mut().expect("it begins with one").extend(bytes);
    }
    datagrams.retain(|datagram| !datagram.is_empty());
    assert!(!datagrams.is_empty(), "{} holds nothing", path.display());
    datagrams
}

fn messages(datagram: &[u8]) -> Vec<Message<'_>> {
    Messages::new(datagram).collect::<Result<_, _>>().expect("the kernel's messages are whole")
}

/// The payloads of the replies with this command (`IPVS_CMD_*`).
fn replies(name: &str, command: u8) -> Vec<Vec<u8>> {
    const MINIMUM_TYPE: u16 = 16;
    let datagrams = capture(name);
    let all = datagrams.iter().flat_map(|datagram| messages(datagram));
    let replies = all.filter(|message| message.kind >= MINIMUM_TYPE && message.payload[0] == command);
    replies.map(|message| message.payload.to_vec()).collect()
}

const NEW_SERVICE: u8 = 1;
const NEW_DESTINATION: u8 = 5;
const NEW_DAEMON: u8 = 9;
const SET_CONFIG: u8 = 12;
const SET_INFO: u8 = 14;

fn statistics(counters: [u64; 5], rates: [u64; 5]) -> Statistics {
    let [connections, incoming_packets, outgoing_packets, incoming_bytes, outgoing_bytes] = counters;
    let counters = Counters { connections, incoming_packets, outgoing_packets, incoming_bytes, outgoing_bytes };
    let [connections, incoming_packets, outgoing_packets, incoming_bytes, outgoing_bytes] = rates;
    let rates = Rates { connections, incoming_packets, outgoing_packets, incoming_bytes, outgoing_bytes };
    Statistics::new(counters, rates)
}

/// Those of a capture. The big-endian machine is an emulated one, so slow that the rates were 0 again.
fn captured(counters: [u64; 5], rates: [u64; 5]) -> Statistics {
    statistics(counters, if cfg!(target_endian = "big") { [0; 5] } else { rates })
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn key(protocol: Protocol, text: &str, port: u16) -> ServiceKey {
    ServiceKey::Address { protocol, address: address(text), port }
}

fn service(key: ServiceKey, scheduler: &str, flags: u32) -> ServiceEntry {
    let service = Service::new(key, SchedulerName::cut(scheduler.as_bytes())).flags(ServiceFlags::from_bits(flags));
    ServiceEntry::new(service, Statistics::default())
}

#[test]
fn services() {
    let mut tcp = service(key(Protocol::Tcp, "192.0.2.1", 80), "wrr", 0);
    tcp.statistics = captured([1, 4, 3, 222, 176], [0, 0, 0, 21, 16]);
    let mut sctp = service(key(Protocol::Sctp, "2001:db8::1", 0), "sh", ServiceFlags::SCHEDULER_2);
    sctp.service.persistence = Some(Persistence { timeout: 2_678_400, netmask: Netmask::V6(65) });
    let mut sip = service(key(Protocol::Udp, "192.0.2.1", 5061), "wlc", ServiceFlags::ONE_PACKET);
    sip.service.persistence = Some(Persistence { timeout: 30, netmask: Netmask::V4(Ipv4Addr::new(255, 0, 255, 1)) });
    sip.service.engine = SchedulerName::cut(b"sip");
    let mut udp = service(key(Protocol::Udp, "192.0.2.1", 5060), "rr", 0);
    udp.statistics = captured([9, 9, 0, 702, 0], [1, 1, 0, 66, 0]);
    let mark = service(ServiceKey::Mark { mark: 1, family: Family::Ipv4 }, "none", 0);
    let flags = ServiceFlags::SCHEDULER_1 | ServiceFlags::SCHEDULER_3;
    let mark6 = service(ServiceKey::Mark { mark: u32::MAX, family: Family::Ipv6 }, "mh", flags);
    // The kernel's order is that of its hashes, which is another in each namespace.
    let mut expected = [tcp, sctp, sip, udp, mark, mark6];
    expected.sort_by_key(|entry| entry.service.key);
    for name in TABLES {
        let read = replies(name, NEW_SERVICE).into_iter().map(|payload| decode::service(&payload));
        let mut read: Vec<ServiceEntry> = read.collect::<Result<_, _>>().expect("services");
        read.sort_by_key(|entry| entry.service.key);
        assert_eq!(read, expected, "{name}");
    }
}

fn destination(text: &str, port: u16, forwarding: Forwarding, weight: u32) -> DestinationEntry {
    let destination = Destination::new(address(text), port).forwarding(forwarding).weight(weight);
    DestinationEntry::new(destination, Statistics::default())
}

#[test]
fn destinations() {
    let gue = |port, checksum| Forwarding::Tunnel(Tunnel::Gue { port, checksum });
    let gre = |checksum| Forwarding::Tunnel(Tunnel::Gre { checksum });
    let ipip = Forwarding::Tunnel(Tunnel::Ipip);
    let seen = |mut entry: DestinationEntry, connections, packets, bytes, rate| {
        entry.inactive_connections = connections as u32;
        entry.statistics = captured([connections, packets, 0, bytes, 0], [0, 0, 0, rate, 0]);
        entry
    };
    let mut limited = destination("10.0.0.1", 80, Forwarding::DirectRoute, 0);
    limited.destination.upper_threshold = 2_147_483_647;
    limited.destination.lower_threshold = 100;
    let mut masqueraded = destination("10.0.0.254", 8080, Forwarding::Masquerade, 2_147_483_647);
    masqueraded.active_connections = 1;
    masqueraded.statistics = captured([1, 4, 3, 222, 176], [0, 0, 0, 21, 16]);
    let expected = [
        limited,
        seen(destination("10.0.0.2", 5060, Forwarding::DirectRoute, 3), 2, 2, 176, 16),
        seen(destination("10.0.0.3", 5060, gue(6080, Checksum::Remote), 1), 2, 2, 156, 15),
        seen(destination("10.0.0.4", 5060, gre(true), 1), 2, 2, 136, 13),
        seen(destination("10.0.0.5", 5060, ipip, 1), 3, 3, 234, 22),
        // Of an IPv6 service, as is the next.
        destination("10.0.0.6", 0, gue(65535, Checksum::Full), 7),
        destination("10.0.0.7", 1, ipip, 1),
        masqueraded,
        destination("fd00::1", 8443, Forwarding::DirectRoute, 1),
        destination("fd00::2", 0, gre(false), 1),
    ];
    for name in TABLES {
        for family in [Family::Ipv4, Family::Ipv6] {
            // Each has its own family, so that of the service does not matter.
            let read = replies(name, NEW_DESTINATION).into_iter().map(|payload| decode::destination(&payload, family));
            let mut read: Vec<DestinationEntry> = read.collect::<Result<_, _>>().expect("destinations");
            read.sort_by_key(|entry| entry.destination.key);
            assert_eq!(read, expected, "{name}");
        }
    }
}

/// The kernel's order is quicker to read, and nothing that counts.
#[test]
fn attributes_come_in_any_order() {
    in_any_order(NEW_DESTINATION, 2, |payload| decode::destination(payload, Family::Ipv4));
    in_any_order(NEW_SERVICE, 1, decode::service);
}

/// Whatever the order of these replies' attributes, and whichever of them is missing or of another size, the same is read.
fn in_any_order<T: PartialEq + Debug>(command: u8, nest_of: u16, decode: impl Fn(&[u8]) -> Result<T, WireError>) {
    for payload in replies(TABLES[0], command) {
        let read = |attributes: &[Attribute<'_>]| {
            let mut writer = Writer::with_capacity(512);
            let message = writer.begin(0, 0, 0, command, 1);
            let nest = writer.nest(nest_of);
            attributes.iter().for_each(|attribute| writer.bytes(attribute.kind, attribute.payload));
            writer.end_nest(nest);
            writer.end(message);
            decode(&writer.as_bytes()[16..])
        };
        let nest = Attributes::generic(&payload).expect("a header").next().expect("a nest").expect("a whole one");
        let all: Vec<Attribute<'_>> = nest.nested().collect::<Result<_, _>>().expect("whole attributes");
        let whole = read(&all);
        assert_eq!(whole, decode(&payload));
        assert!(whole.is_ok());
        for at in 0..all.len() {
            let mut turned = all.clone();
            turned.rotate_left(at);
            assert_eq!(read(&turned), whole, "beginning with attribute {}", all[at].kind);

            let mut without = all.clone();
            let missing = without.remove(at).kind;
            let forwards = read(&without);
            without.reverse();
            assert_eq!(read(&without), forwards, "without attribute {missing}");

            // A size that is not the usual one.
            let mut longer = all.clone();
            let wrong = [0; 5];
            longer[at].payload = &wrong;
            let forwards = read(&longer);
            longer.rotate_left(at);
            assert_eq!(read(&longer), forwards, "with attribute {missing} of five bytes");
        }
    }
}

#[test]
fn daemons() {
    let group = address("239.255.255.255");
    let master = Daemon::new(DaemonRole::Master, InterfaceName::cut(b"lo"), 255);
    let master = master.maximum_length(1400).group(group).port(65535).ttl(255);
    let backup = Daemon::new(DaemonRole::Backup, InterfaceName::cut(b"dummy0"), 0);
    let backup = backup.maximum_length(1452).group(address("ff05::51")).port(8848).ttl(1);
    for name in DAEMONS {
        let read: Result<Vec<_>, _> = replies(name, NEW_DAEMON).iter().map(|payload| decode::daemon(payload)).collect();
        assert_eq!(read, Ok(vec![master, backup]), "{name}");
    }
}

#[test]
fn timeouts_and_info() {
    for name in TIMEOUTS {
        let read: Vec<_> = replies(name, SET_CONFIG).iter().map(|payload| decode::timeouts(payload)).collect();
        assert_eq!(read, [Ok(Timeouts::new(901, 121, 301))], "{name}");
    }
    for name in TABLES {
        let read: Vec<_> = replies(name, SET_INFO).iter().map(|payload| decode::info(payload)).collect();
        assert_eq!(read, [Ok(Info::new(0x01_02_01, 4096))], "{name}");
    }
}

/// The error number of an answer, and the kernel's words (an extended acknowledgement).
fn verdict(name: &str) -> (i32, Option<String>) {
    const ERROR: u16 = 2;
    const CAPPED: u16 = 0x100;
    let datagrams = capture(name);
    let message = messages(datagrams.last().expect("one at least")).remove(0);
    assert_eq!(message.kind, ERROR);
    let (code, copy) = message.payload.split_first_chunk::<4>().expect("an error number");
    let length = u32::from_ne_bytes(*copy.first_chunk().expect("the request's header")) as usize;
    let length = if message.flags & CAPPED == 0 { length } else { 16 };
    let attributes: Vec<Attribute<'_>> =
        Attributes::new(&copy[length..]).collect::<Result<_, _>>().expect("whole attributes");
    let words = attributes.iter().find(|attribute| attribute.kind == 1);
    let words = words.map(|words| String::from_utf8_lossy(words.string()).into_owned());
    (i32::from_ne_bytes(*code), words)
}

#[test]
fn refusals_and_acknowledgements() {
    const EEXIST: i32 = 17;
    const ERANGE: i32 = 34;
    let words = Some("Attribute failed policy validation".to_owned());
    assert_eq!(verdict("original-exists"), (-EEXIST, None));
    assert_eq!(verdict("ours-exists"), (-EEXIST, None));
    assert_eq!(verdict("ours-added"), (0, None));
    assert_eq!(verdict("refused-words"), (-ERANGE, words.clone()));
    assert_eq!(verdict("refused-words-capped"), (-ERANGE, words));
}

// ---- what no kernel at hand sends -----------------------------------------------------------------------------------

/// A reply made by hand.
fn reply(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::default();
    let message = writer.begin(0x1c, 0, 1, NEW_SERVICE, 1);
    write(&mut writer);
    writer.end(message);
    let bytes = writer.as_bytes();
    assert_eq!(messages(bytes).len(), 1);
    messages(bytes)[0].payload.to_vec()
}

fn write_statistics(writer: &mut Writer, kind: u16, value: u64, wide: bool) {
    let nest = writer.nest(kind);
    for field in 1..=10 {
        // Bytes are 64-bit in both.
        if wide || [4, 5].contains(&field) {
            writer.bytes(field, &value.to_ne_bytes());
        } else {
            writer.u32(field, value as u32);
        }
    }
    writer.end_nest(nest);
}

fn write_service(writer: &mut Writer, without: u16, statistics: &[(u16, u64, bool)]) {
    let nest = writer.nest(1);
    if without != 1 {
        writer.u16(1, 2);
    }
    if without != 3 {
        writer.bytes(3, &[10, 0, 0, 1]);
    }
    writer.u16(2, 6);
    writer.be16(4, 80);
    if without != 6 {
        writer.string(6, b"rr");
    }
    if without != 7 {
        writer.bytes(7, &[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
    }
    for (kind, value, wide) in statistics {
        write_statistics(writer, *kind, *value, *wide);
    }
    // Of a kernel to come.
    writer.string(99, b"unheard of");
    writer.end_nest(nest);
}

#[test]
fn wide_counters_win_in_either_order() {
    let big = u64::from(u32::MAX) + 5;
    let expected = statistics([big; 5], [big; 5]);
    for order in [[(10, 7, false), (12, big, true)], [(12, big, true), (10, 7, false)]] {
        let payload = reply(|writer| write_service(writer, 0, &order));
        assert_eq!(decode::service(&payload).map(|entry| entry.statistics), Ok(expected));
    }
    let payload = reply(|writer| write_service(writer, 0, &[(10, 7, false)]));
    assert_eq!(decode::service(&payload).map(|entry| entry.statistics), Ok(statistics([7; 5], [7; 5])));
    let payload = reply(|writer| write_service(writer, 0, &[]));
    assert_eq!(decode::service(&payload), Ok(service(key(Protocol::Tcp, "10.0.0.1", 80), "rr", 0)));
}

#[test]
fn what_is_missing_is_named() {
    let missing = [
        (1, "the service's address family is missing"),
        (3, "the service's address is missing"),
        (6, "the scheduler's name is missing"),
        (7, "the service's flags is missing"),
    ];
    for (without, message) in missing {
        let payload = reply(|writer| write_service(writer, without, &[]));
        assert_eq!(decode::service(&payload).map_err(|error| error.to_string()), Err(message.to_owned()));
    }
    let nothing = reply(|_| {});
    let printed = |outcome: Result<(), WireError>| outcome.map_err(|error| error.to_string());
    assert_eq!(printed(decode::service(&nothing).map(drop)), Err("the service is missing".to_owned()));
    let destination = decode::destination(&nothing, Family::Ipv4).map(drop);
    assert_eq!(printed(destination), Err("the destination is missing".to_owned()));
    assert_eq!(printed(decode::daemon(&nothing).map(drop)), Err("the daemon is missing".to_owned()));
    assert_eq!(printed(decode::info(&nothing).map(drop)), Err("the IPVS version is missing".to_owned()));
    assert_eq!(decode::timeouts(&nothing), Ok(Timeouts::default()));
}

#[test]
fn what_means_nothing_is_refused() {
    let with_prefix = |prefix: u32| {
        let payload = reply(|writer| {
            let nest = writer.nest(1);
            writer.u16(1, 10);
            writer.u32(5, 1);
            writer.string(6, b"rr");
            writer.bytes(7, &[1_u32.to_ne_bytes(), [0xff; 4]].concat());
            writer.u32(9, prefix);
            writer.end_nest(nest);
        });
        decode::service(&payload).map(|entry| entry.service.persistence.map(|persistence| persistence.netmask))
    };
    for prefix in [1, 64, 128] {
        assert_eq!(with_prefix(prefix.into()), Ok(Some(Netmask::V6(prefix))));
    }
    for value in [0, 129, 256, u32::MAX] {
        let error = WireError::Value { what: "the service's netmask", value: value.into() };
        assert_eq!(with_prefix(value), Err(error));
    }
    let with_family_and_protocol = |family: u16, protocol: u16| {
        let payload = reply(|writer| {
            let nest = writer.nest(1);
            writer.u16(1, family);
            writer.u16(2, protocol);
            writer.bytes(3, &[0; 16]);
            writer.string(6, b"rr");
            writer.bytes(7, &[0; 8]);
            writer.end_nest(nest);
        });
        decode::service(&payload).map(|entry| entry.service.key).map_err(|error| error.to_string())
    };
    assert!(with_family_and_protocol(2, 6).is_ok() && with_family_and_protocol(10, 132).is_ok());
    let unknown = |what: &str, value: u16| Err(format!("{what} has the unknown value {value}"));
    assert_eq!(with_family_and_protocol(3, 6), unknown("the address family", 3));
    assert_eq!(with_family_and_protocol(2, 1), unknown("the service's protocol", 1));
}

#[test]
fn an_old_kernel_s_destination_is_of_the_service_s_family() {
    let payload = |address: &[u8]| {
        reply(|writer| {
            let nest = writer.nest(2);
            writer.bytes(1, address);
            writer.be16(2, 80);
            writer.u32(3, 3);
            writer.u32(4, 1);
            writer.end_nest(nest);
        })
    };
    let read = |bytes: &[u8], family| decode::destination(&payload(bytes), family).map(|entry| entry.destination);
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&[10, 0, 0, 1]);
    assert_eq!(read(&bytes, Family::Ipv4), Ok(Destination::new(address("10.0.0.1"), 80)));
    assert_eq!(read(&bytes, Family::Ipv6), Ok(Destination::new(address("a00:1::"), 80)));
    let short = WireError::Size { what: "the destination's address", need: 16, have: 4 };
    assert_eq!(read(&bytes[..4], Family::Ipv6), Err(short));
}

#[test]
fn every_error_says_what_is_wrong() {
    let printed = |bytes: &[u8]| Messages::new(bytes).find_map(|message| message.err()).map(|error| error.to_string());
    assert_eq!(printed(&[]), None);
    assert_eq!(printed(&[1; 15]).as_deref(), Some("a message header is cut off: 16 bytes needed, 15 there"));
    let mut header = [0; 16];
    header[..4].copy_from_slice(&15_u32.to_ne_bytes());
    assert_eq!(printed(&header).as_deref(), Some("a message claims the impossible length 15"));
    header[..4].copy_from_slice(&u32::MAX.to_ne_bytes());
    assert_eq!(printed(&header).as_deref(), Some("a message is cut off: 4294967295 bytes needed, 16 there"));
    let printed = |bytes: &[u8]| Attributes::new(bytes).find_map(|one| one.err()).map(|error| error.to_string());
    let header = |length: u16| [length.to_ne_bytes(), [0; 2]].concat();
    assert_eq!(printed(&header(4)[..3]).as_deref(), Some("an attribute header is cut off: 4 bytes needed, 3 there"));
    assert_eq!(printed(&header(3)).as_deref(), Some("an attribute claims the impossible length 3"));
    assert_eq!(printed(&header(9)).as_deref(), Some("an attribute is cut off: 9 bytes needed, 4 there"));
}

// ---- spoilt replies -------------------------------------------------------------------------------------------------

/// One way of spoiling a datagram.
#[derive(Clone, Debug)]
enum Spoil {
    Flip(Index, u8),
    Cut(Index),
    /// A 16-bit number, where lengths and types stand.
    Number(Index, u16),
    /// A 32-bit number, where lengths of messages stand.
    WideNumber(Index, u32),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    /// A part of the datagram once more.
    Repeat(Index, Index),
}

fn spoil() -> impl Strategy<Value = Spoil> {
    let length = prop_oneof![0..40_u16, Just(u16::MAX), any::<u16>()];
    let wide = prop_oneof![0..500_u32, Just(u32::MAX), Just(0x8000_0000), any::<u32>()];
    prop_oneof![
        3 => (any::<Index>(), 0..8_u8).prop_map(|(at, bit)| Spoil::Flip(at, bit)),
        1 => any::<Index>().prop_map(Spoil::Cut),
        4 => (any::<Index>(), length).prop_map(|(at, number)| Spoil::Number(at, number)),
        2 => (any::<Index>(), wide).prop_map(|(at, number)| Spoil::WideNumber(at, number)),
        1 => (any::<Index>(), vec(any::<u8>(), 0..24)).prop_map(|(at, bytes)| Spoil::Insert(at, bytes)),
        1 => (any::<Index>(), 1..24_usize).prop_map(|(at, length)| Spoil::Remove(at, length)),
        1 => (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Spoil::Repeat(from, to)),
    ]
}

impl Spoil {
    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let size = bytes.len();
        let mut put = |at: &Index, number: &[u8]| {
            // Everything in netlink stands at multiples of 4, types 2 behind.
            let at = at.index(size) & !1;
            for (to, from) in bytes.iter_mut().skip(at).zip(number) {
                *to = *from;
            }
        };
        match self {
            Self::Flip(at, bit) => bytes[at.index(size)] ^= 1 << bit,
            Self::Cut(at) => bytes.truncate(at.index(size)),
            Self::Number(at, number) => put(at, &number.to_ne_bytes()),
            Self::WideNumber(at, number) => put(at, &number.to_ne_bytes()),
            Self::Insert(at, new) => drop(bytes.splice(at.index(size)..at.index(size), new.iter().copied())),
            Self::Remove(at, length) => drop(bytes.drain(at.index(size)..usize::min(at.index(size) + length, size))),
            Self::Repeat(from, to) => {
                let part = bytes[from.index(size)..].to_vec();
                let at = to.index(size);
                bytes.splice(at..at, part);
            }
        }
    }
}

/// An attribute of any shape.
#[derive(Clone, Debug)]
enum Node {
    Leaf(u16, Vec<u8>),
    Nest(u16, Vec<Node>),
}

fn node() -> impl Strategy<Value = Node> {
    let kind = || prop_oneof![8 => 0..17_u16, 1 => any::<u16>()];
    let payload = prop_oneof![
        4 => select(&[1, 2, 4, 8, 16][..]).prop_flat_map(|size: usize| vec(prop_oneof![Just(0), Just(2), any::<u8>()], size)),
        1 => vec(any::<u8>(), 0..40),
    ];
    let leaf = (kind(), payload).prop_map(|(kind, payload)| Node::Leaf(kind, payload));
    leaf.prop_recursive(4, 24, 6, move |inner| {
        (kind(), vec(inner, 0..6)).prop_map(|(kind, nodes)| Node::Nest(kind, nodes)).boxed()
    })
}

fn write_node(writer: &mut Writer, node: &Node) {
    match node {
        Node::Leaf(kind, payload) => writer.bytes(*kind, payload),
        Node::Nest(kind, nodes) => {
            let nest = writer.nest(*kind);
            for node in nodes {
                write_node(writer, node);
            }
            writer.end_nest(nest);
        }
    }
}

/// Reads everything there is in these bytes, in every way there is. Whatever they are, the walks end, errors are in
/// words, and what is read makes sense.
fn read_all(bytes: &[u8]) -> Result<(), TestCaseError> {
    let mut count = 0;
    for message in Messages::new(bytes) {
        count += 1;
        prop_assert!(count <= bytes.len() / 16 + 1, "the messages do not end");
        match message {
            Ok(message) => {
                prop_assert!(message.payload.len() + 16 <= bytes.len());
                read_payload(message.payload)?;
            }
            Err(error) => is_reported(&error)?,
        }
    }
    Ok(())
}

fn read_payload(payload: &[u8]) -> Result<(), TestCaseError> {
    let rule = decode::service_rule(payload);
    match decode::service(payload) {
        Ok(entry) => {
            prop_assert_eq!(rule, Ok(entry.service));
            is_sensible(&entry.service)?;
        }
        Err(error) => is_reported(&error)?,
    }
    for family in [Family::Ipv4, Family::Ipv6] {
        let rule = decode::destination_rule(payload, family);
        match decode::destination(payload, family) {
            Ok(entry) => prop_assert_eq!(rule, Ok(entry.destination)),
            Err(error) => is_reported(&error)?,
        }
    }
    for error in [decode::daemon(payload).err(), decode::timeouts(payload).err(), decode::info(payload).err()] {
        error.map_or(Ok(()), |error| is_reported(&error))?;
    }
    match Attributes::generic(payload) {
        Ok(attributes) => walk(attributes, payload.len(), 0),
        Err(error) => is_reported(&error),
    }
}

fn walk(attributes: Attributes<'_>, size: usize, depth: u32) -> Result<(), TestCaseError> {
    let mut count = 0;
    for attribute in attributes {
        count += 1;
        prop_assert!(count <= size / 4 + 1, "the attributes do not end");
        match attribute {
            Ok(attribute) => {
                prop_assert!(attribute.payload.len() + 4 <= size);
                prop_assert!(!attribute.string().contains(&0));
                prop_assert_eq!(attribute.u32("it").is_ok(), attribute.payload.len() == 4);
                if depth < 6 {
                    walk(attribute.nested(), attribute.payload.len(), depth + 1)?;
                }
            }
            Err(error) => is_reported(&error)?,
        }
    }
    Ok(())
}

fn is_reported(error: &impl Display) -> Result<(), TestCaseError> {
    prop_assert!(!error.to_string().is_empty());
    Ok(())
}

fn is_sensible(service: &Service) -> Result<(), TestCaseError> {
    let no_mark = matches!(service.key, ServiceKey::Mark { mark: 0, .. });
    prop_assert!(!no_mark);
    match (service.persistence.map(|persistence| persistence.netmask), service.key.family()) {
        (Some(Netmask::V6(prefix)), Family::Ipv6) => prop_assert!((1..=128).contains(&prefix)),
        (None, _) | (Some(Netmask::V4(_)), Family::Ipv4) => {}
        wrong => prop_assert!(false, "{:?}", wrong),
    }
    Ok(())
}

fn any_datagram() -> impl Strategy<Value = Vec<u8>> {
    let names = [TABLES, &DAEMONS, &TIMEOUTS, &REFUSALS].concat();
    select(names.into_iter().flat_map(capture).collect::<Vec<_>>())
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 8192, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn spoilt_replies_are_read_or_refused(datagram in any_datagram(), spoils in vec(spoil(), 1..8)) {
        let mut bytes = datagram;
        for spoil in &spoils {
            spoil.apply(&mut bytes);
        }
        read_all(&bytes)?;
        // Past the header, the rest may be anything.
        read_payload(bytes.get(16..).unwrap_or_default())?;
    }

    #[test]
    fn random_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..300)) {
        read_all(&bytes)?;
        read_payload(&bytes)?;
    }
}

proptest! {
    // Making these takes longer than reading them.
    #![proptest_config(ProptestConfig { cases: 1024, ..config() })]

    #[test]
    fn any_nesting_is_read_or_refused(nodes in vec(node(), 0..8), top in 0..4_u16) {
        let payload = reply(|writer| {
            let nest = writer.nest(top);
            for node in &nodes {
                write_node(writer, node);
            }
            writer.end_nest(nest);
            for node in &nodes {
                write_node(writer, node);
            }
        });
        read_payload(&payload)?;
    }
}

#[test]
fn every_cut_of_every_reply_is_read_or_refused() {
    for datagram in [TABLES, &DAEMONS, &TIMEOUTS, &REFUSALS].concat().into_iter().flat_map(capture) {
        for length in 0..datagram.len() {
            let cut = &datagram[..length];
            read_all(cut).unwrap_or_else(|problem| panic!("{problem} in {cut:?}"));
            // Whatever is missing at the end of a message is noticed: nothing half is read as whole.
            let whole = Messages::new(&datagram).flatten().map(|message| 16 + message.payload.len());
            let boundaries: Vec<usize> = whole
                .scan(0, |end, size| {
                    *end += size.next_multiple_of(4);
                    Some(*end)
                })
                .collect();
            let noticed = Messages::new(cut).any(|message| message.is_err());
            assert_eq!(noticed, length != 0 && !boundaries.contains(&length), "{length} of {}", datagram.len());
        }
    }
}

/// A key of the strategies is written as the kernel would and read again.
#[test]
fn keys_are_read_as_they_are_written() {
    let mut runner = proptest::test_runner::TestRunner::new(config());
    let outcome = runner.run(&strategies::service_key(), |key| {
        let payload = reply(|writer| {
            let nest = writer.nest(1);
            writer.u16(1, key.family() as u16);
            match key {
                ServiceKey::Mark { mark, .. } => writer.u32(5, mark),
                ServiceKey::Address { protocol, address, port } => {
                    writer.u16(2, protocol as u16);
                    match address {
                        IpAddr::V4(address) => writer.bytes(3, &[&address.octets()[..], &[0; 12]].concat()),
                        IpAddr::V6(address) => writer.bytes(3, &address.octets()),
                    }
                    writer.be16(4, port);
                }
            }
            writer.string(6, b"rr");
            writer.bytes(7, &[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
            writer.end_nest(nest);
        });
        prop_assert_eq!(decode::service(&payload), Ok(service(key, "rr", 0)));
        Ok(())
    });
    assert_eq!(outcome, Ok(()));
}
