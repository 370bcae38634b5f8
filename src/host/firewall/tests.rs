//! Replies of a real kernel, read, written out and spoiled.

use std::fmt::Write as _;

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::model::{InterfaceName, Protocol};
use netlink_exchange::{Message, Messages};

/// The replies, and before them the rules as nft lists them.
const CAPTURE: &str = include_str!("../../../tests/captures/nftables.hex");

/// The datagrams of the capture.
fn datagrams() -> Vec<Vec<u8>> {
    let mut datagrams = vec![Vec::new()];
    for line in CAPTURE.lines().filter(|line| !line.starts_with('#')) {
        if line.is_empty() {
            datagrams.push(Vec::new());
        }
        let bytes = (0..line.len() / 2).map(|at| u8::from_str_radix(&line[2 * at..2 * at + 2], 16).unwrap());
        datagrams.last_mut().unwrap().extend(bytes);
    }
    datagrams
}

/// The packet filter that these datagrams tell of. What cannot be read is left out.
fn firewall(datagrams: &[Vec<u8>]) -> (Firewall, usize) {
    let mut ruleset = Ruleset::default();
    let mut wrong = 0;
    for message in datagrams.iter().flat_map(|datagram| Messages::new(datagram)) {
        wrong += usize::from(message.and_then(|message| ruleset.add(&message)).is_err());
    }
    ruleset.finish();
    (Firewall { ruleset, legacy: Legacy::default() }, wrong)
}

fn captured() -> Firewall {
    let (firewall, wrong) = firewall(&datagrams());
    assert_eq!(wrong, 0, "not all of the capture can be read");
    firewall
}

fn interface(name: &[u8]) -> Option<Interface> {
    Some(Interface { name: InterfaceName::cut(name), index: Some(2) })
}

fn to(protocol: Protocol, address: &str, port: u16) -> Packet {
    Packet {
        source: Some(if address.contains(':') { "2001:db8::9" } else { "198.18.0.1" }.parse().unwrap()),
        ..Packet::first(protocol, address.parse().unwrap(), port, interface(b"eth0"))
    }
}

/// All rules, as `TABLE CHAIN: RULE # handle N`.
fn rules(firewall: &Firewall) -> Vec<String> {
    let chains = firewall.ruleset.chains.iter().enumerate();
    let places =
        chains.flat_map(|(chain, content)| (0..content.rules.len()).map(move |rule| At { chain, rule: Some(rule) }));
    places.map(|at| firewall.place(at).to_string()).collect()
}

#[test]
fn rules_are_spelled_as_nft_does() {
    let mut expected = Vec::new();
    let (mut table, mut chain) = (String::new(), String::new());
    for line in CAPTURE.lines().filter_map(|line| line.strip_prefix("#   ")) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["table", family, name, "{", ..] => table = format!("{family} {name}"),
            ["chain", name, "{", ..] => chain = (*name).to_owned(),
            ["set" | "map", ..] => {}
            [.., "handle", _] => expected.push(format!("{table} {chain}: {}", words.join(" "))),
            _ => {}
        }
    }
    // Counts are left out, and so are a log's prefix and a limit's rate; the rest is said in another way.
    let ways = [
        (" packets 0 bytes 0", ""),
        (" with icmpx admin-prohibited", ""),
        (" prefix \"odd \"", ""),
        ("limit rate 10/second", "limit"),
        ("0x000000", "0x"),
        ("0x07", "0x7"),
        ("meta l4proto ipv6-icmp", "meta l4proto icmpv6"),
        ("meta l4proto tcp tcp", "tcp"),
        ("tcp flags != syn / fin,syn,rst,ack", "tcp flags & fin,syn,rst,ack != syn"),
        ("meta mark set mark and 0xffffff00 xor 0x20", "meta mark set meta mark & 0xffffff00 ^ 0x20"),
        ("meta l4proto udp fib", "fib"),
        ("meta l4proto udp xt", "xt"),
    ];
    let expected: Vec<String> = expected
        .into_iter()
        .map(|line| ways.iter().fold(line, |line, (theirs, ours)| line.replace(theirs, ours)))
        .collect();
    let mut differences = String::new();
    let rules = rules(&captured());
    for rule in &rules {
        if !expected.contains(rule) {
            let _ = writeln!(differences, "+ {rule}");
        }
    }
    for rule in &expected {
        if !rules.contains(rule) {
            let _ = writeln!(differences, "- {rule}");
        }
    }
    assert!(differences.is_empty(), "\n{differences}");
    assert_eq!(rules.len(), 22);
}

#[test]
fn packets_end_where_the_rules_say() {
    use Protocol::{Tcp, Udp};
    let firewall = captured();
    let web = to(Tcp, "192.0.2.1", 80);
    let cases: &[(Packet, &str)] = &[
        (web.clone(), "accepted"),
        (to(Tcp, "192.0.2.1", 8001), "accepted"),
        (to(Tcp, "192.0.2.1", 90), "dropped by inet filter input: policy drop"),
        (to(Tcp, "192.0.2.2", 80), "to 10.0.0.7:8080 by ip nat prerouting: ip daddr 192.0.2.2 tcp dport 80 dnat"),
        (to(Tcp, "192.0.2.1", 81), "to -:8081 by ip nat prerouting: ip daddr 192.0.2.1 tcp dport 81 redirect"),
        (to(Tcp, "192.0.2.3", 23), "dropped by inet filter input: tcp dport vmap @ports"),
        (to(Tcp, "192.0.2.3", 25), "dropped by inet filter other: counter reject"),
        // It returns from the other chain.
        (
            Packet { source: Some([10, 1, 2, 3].into()), ..to(Tcp, "192.0.2.3", 25) },
            "dropped by inet filter input: policy",
        ),
        (Packet { source: Some([198, 51, 100, 7].into()), ..to(Tcp, "192.0.2.3", 85) }, "accepted"),
        (Packet { source: Some([198, 51, 100, 7].into()), ..to(Tcp, "192.0.2.3", 91) }, "dropped"),
        (
            Packet { source: None, ..to(Tcp, "192.0.2.3", 85) },
            "depends on \"ip saddr 203.0.113.1-203.0.113.9\" in ip mangle",
        ),
        (to(Tcp, "2001:db8::1", 85), "accepted"),
        (to(Tcp, "2001:db8::2", 85), "dropped by inet filter input: policy"),
        (to(Udp, "192.0.2.1", 5000), "depends on \"limit\" in inet filter input: limit udp dport 5000 accept"),
        (to(Udp, "192.0.2.1", 5001), "dropped"),
        (to(Udp, "192.0.2.1", 53), "dropped by inet filter input: policy"),
        (Packet { mark: 0x110, ..to(Udp, "192.0.2.1", 54) }, "dropped by inet filter other: counter reject"),
        (
            Packet { source: Some([203, 0, 113, 5].into()), ..web.clone() },
            "dropped by ip mangle PREROUTING: ip saddr 203.0.113.1-203.0.113.9 ct state new",
        ),
        (
            Packet { source: Some([203, 0, 113, 5].into()), input: interface(b"lo"), ..web.clone() },
            "dropped by netdev edge ingress: ip saddr 203.0.113.0/24 drop",
        ),
        (Packet { source: Some([203, 0, 113, 50].into()), input: None, ..web.clone() }, "depends on \"\" in netdev"),
        (Packet { input: interface(b"wg0"), ..to(Tcp, "192.0.2.1", 90) }, "accepted"),
        (
            Packet { state: State::Invalid, ..web.clone() },
            "dropped by inet filter input: ct state vmap { invalid : drop, ",
        ),
    ];
    for (packet, expected) in cases {
        let said = match firewall.verdict(packet, Destiny::Delivered) {
            Verdict::Accepted => "accepted".to_owned(),
            Verdict::Dropped(place) => format!("dropped by {place}"),
            Verdict::Redirected { place, address, port } => {
                let address = address.map_or("-".to_owned(), |address| address.to_string());
                format!("to {address}:{} by {place}", port.unwrap_or(0))
            }
            Verdict::Unknown(because) => because
                .to_string()
                .replace("it is not known on which interface the packet comes in", "depends on \"\"")
                .replace("it depends", "depends"),
        };
        assert!(said.starts_with(expected), "{packet:?}: {said}");
    }
    let connection = firewall.connection(&web, Destiny::Scheduled);
    assert_eq!(connection.first, Verdict::Accepted);
    assert_eq!(connection.invalid_dropped().map(|place| place.handle), Some(Some(11)));
}

#[test]
fn arp_rules_are_found() {
    let firewall = captured();
    let arp = firewall.arp([192, 0, 2, 1].into(), interface(b"eth0"));
    let rules: Vec<&str> = arp.rules.iter().map(|place| place.rule.as_str()).collect();
    assert_eq!(rules, ["arp daddr ip 192.0.2.1 drop", "arp saddr ip 192.0.2.1 arp saddr ip set 10.0.0.2"]);
    assert!(matches!(&arp.request, Verdict::Dropped(place) if place.handle == Some(3)), "{arp:?}");
    assert_eq!((arp.answer, arp.mangled), (Verdict::Accepted, Some([10, 0, 0, 2].into())));
    let other = firewall.arp([192, 0, 2, 9].into(), interface(b"eth0"));
    assert_eq!(other.rules, []);
    assert_eq!((other.request, other.answer, other.mangled), (Verdict::Accepted, Verdict::Accepted, None));
}

/// One way of spoiling a datagram.
#[derive(Clone, Debug)]
enum Spoil {
    Set(Index, u8),
    Cut(Index),
    Remove(Index, u8),
    Repeat(Index, Index),
}

fn spoil() -> impl Strategy<Value = Spoil> {
    prop_oneof![
        6 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Spoil::Set(at, byte)),
        1 => any::<Index>().prop_map(Spoil::Cut),
        1 => (any::<Index>(), 1..16_u8).prop_map(|(at, count)| Spoil::Remove(at, count)),
        2 => (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Spoil::Repeat(from, to)),
    ]
}

fn apply(bytes: &mut Vec<u8>, spoil: &Spoil) {
    if bytes.is_empty() {
        return;
    }
    match spoil {
        Spoil::Set(at, byte) => {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
        Spoil::Cut(at) => bytes.truncate(at.index(bytes.len())),
        Spoil::Remove(at, count) => {
            let at = at.index(bytes.len());
            bytes.drain(at..(at + usize::from(*count)).min(bytes.len()));
        }
        // Attributes of one place in another.
        Spoil::Repeat(from, to) => {
            let (from, to) = (from.index(bytes.len()) & !3, to.index(bytes.len()) & !3);
            let part: Vec<u8> = bytes[from..].iter().take(16).copied().collect();
            for (byte, new) in bytes[to..].iter_mut().zip(part) {
                *byte = new;
            }
        }
    }
}

/// A message of its own, whole but for what is in it.
fn message(payload: &[u8], kind: u16) -> Vec<u8> {
    let length = u32::try_from(16 + payload.len()).unwrap();
    let mut bytes = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), &[0; 10], payload].concat();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the kernel says, it is read or refused, followed and written out; never a panic, never without end.
    #[test]
    fn spoiled_replies_do_no_harm(spoils in proptest::collection::vec((any::<Index>(), spoil()), 1..40), inside: bool) {
        let whole = datagrams();
        let mut datagrams: Vec<Vec<u8>> = if inside {
            let messages = whole.iter().flat_map(|datagram| Messages::new(datagram)).filter_map(Result::ok);
            let payloads: Vec<(Vec<u8>, u16)> =
                messages.map(|Message { payload, kind, .. }| (payload.to_vec(), kind)).collect();
            let mut payloads = payloads;
            for (which, spoil) in &spoils {
                let which = which.index(payloads.len());
                apply(&mut payloads[which].0, spoil);
            }
            payloads.iter().map(|(payload, kind)| message(payload, *kind)).collect()
        } else {
            whole
        };
        if !inside {
            for (which, spoil) in &spoils {
                let which = which.index(datagrams.len());
                apply(&mut datagrams[which], spoil);
            }
        }
        let (firewall, _) = firewall(&datagrams);
        rules(&firewall);
        for (address, port) in [("192.0.2.1", 80), ("192.0.2.3", 25), ("2001:db8::1", 85)] {
            for source in [None, Some(if address.contains(':') { "2001:db8::9" } else { "10.1.2.3" }.parse().unwrap())] {
                let packet = Packet { source, ..to(Protocol::Tcp, address, port) };
                let _ = firewall.connection(&packet, Destiny::Delivered);
                let _ = firewall.connection(&Packet { input: None, ..packet }, Destiny::Forwarded(None));
            }
        }
        let _ = firewall.arp([192, 0, 2, 1].into(), None);
    }
}
