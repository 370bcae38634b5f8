//! Replies of a real kernel, read, followed and spoiled.

use proptest::prelude::*;
use proptest::sample::Index;

use super::read::Legacy;
use super::ruleset::{Chain, Ruleset};
use super::*;
use netlink_exchange::{Message, Messages};

/// The replies of a kernel with this program's byte order, and before them the rules as nft lists them.
#[cfg(target_endian = "little")]
const CAPTURE: &str = include_str!("../tests/little-endian/nftables.hex");
#[cfg(target_endian = "big")]
const CAPTURE: &str = include_str!("../tests/big-endian/nftables.hex");

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

/// The packet filter that these datagrams describe. What cannot be read is left out.
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

fn interface(name: &str) -> Interface {
    Interface { name: name.to_owned(), index: Some(2) }
}

fn to(protocol: Protocol, address: &str, port: u16) -> Packet {
    let source = if address.contains(':') { "2001:db8::9" } else { "198.18.0.1" };
    Packet::first(protocol, address.parse().unwrap(), port).from(source.parse().unwrap()).on(interface("eth0"))
}

/// The rules in the capture's listing, each after `FAMILY TABLE CHAIN HANDLE`.
fn listed() -> Vec<(String, String)> {
    let mut rules = Vec::new();
    let (mut table, mut chain) = (String::new(), String::new());
    for line in CAPTURE.lines().filter_map(|line| line.strip_prefix("#   ")) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["table", family, name, "{", ..] => table = format!("{family} {name}"),
            ["chain", name, "{", ..] => chain = (*name).to_owned(),
            ["set" | "map", ..] => {}
            [rule @ .., "#", "handle", handle] => rules.push((format!("{table} {chain} {handle}"), rule.join(" "))),
            _ => {}
        }
    }
    rules
}

/// A place as the capture's listing has it: what the kernel answered leads to the rule that nft prints.
fn spelled(place: &Place) -> String {
    let Place { family, table, chain, handle, action, .. } = place;
    let Some(handle) = handle else { return format!("{family} {table} {chain}: policy {action}") };
    let name = format!("{family} {table} {chain} {handle}");
    let (_, rule) = listed().into_iter().find(|(of, _)| *of == name).unwrap_or_else(|| panic!("no rule {name}"));
    format!("{family} {table} {chain}: {rule}")
}

#[test]
fn all_rules_are_read() {
    let ruleset = captured().ruleset;
    let mut read: Vec<String> = Vec::new();
    for Chain { family, table, name, rules, .. } in &ruleset.chains {
        read.extend(rules.iter().map(|rule| format!("{family} {table} {name} {}", rule.handle)));
    }
    let mut listed: Vec<String> = listed().into_iter().map(|(name, _)| name).collect();
    read.sort();
    listed.sort();
    assert_eq!(read, listed);
    assert_eq!(read.len(), 22);
}

#[test]
fn packets_end_where_the_rules_say() {
    let (tcp, udp) = (Protocol::TCP, Protocol::UDP);
    let firewall = captured();
    let web = || to(tcp, "192.0.2.1", 80);
    let open = |packet: Packet| Packet { source: None, ..packet };
    let cases: &[(Packet, &str)] = &[
        (web(), "accepted"),
        (to(tcp, "192.0.2.1", 8001), "accepted"),
        (to(tcp, "192.0.2.1", 90), "dropped by inet filter input: policy drop"),
        (to(tcp, "192.0.2.2", 80), "to 10.0.0.7:8080 by ip nat prerouting: ip daddr 192.0.2.2 tcp dport 80 dnat"),
        (to(tcp, "192.0.2.1", 81), "to -:8081 by ip nat prerouting: ip daddr 192.0.2.1 tcp dport 81 redirect"),
        (to(tcp, "192.0.2.3", 23), "dropped by inet filter input: tcp dport vmap @ports"),
        (to(tcp, "192.0.2.3", 25), "dropped by inet filter other: counter packets 0 bytes 0 reject"),
        // It returns from the other chain.
        (to(tcp, "192.0.2.3", 25).from([10, 1, 2, 3].into()), "dropped by inet filter input: policy"),
        (to(tcp, "192.0.2.3", 85).from([198, 51, 100, 7].into()), "accepted"),
        (to(tcp, "192.0.2.3", 91).from([198, 51, 100, 7].into()), "dropped"),
        (open(to(tcp, "192.0.2.3", 85)), "depends on: source address in ip mangle PREROUTING: ip saddr 203.0.113.1-"),
        (to(tcp, "2001:db8::1", 85), "accepted"),
        (to(tcp, "2001:db8::2", 85), "dropped by inet filter input: policy"),
        (to(udp, "192.0.2.1", 5000), "depends on: limit in inet filter input: limit rate 10/second"),
        (to(udp, "192.0.2.1", 5001), "dropped"),
        (to(udp, "192.0.2.1", 53), "dropped by inet filter input: policy"),
        (to(udp, "192.0.2.1", 54).marked(0x110), "dropped by inet filter other: counter packets 0 bytes 0 reject"),
        (
            web().from([203, 0, 113, 5].into()),
            "dropped by ip mangle PREROUTING: ip saddr 203.0.113.1-203.0.113.9 ct state new",
        ),
        (
            web().from([203, 0, 113, 5].into()).on(interface("lo")),
            "dropped by netdev edge ingress: ip saddr 203.0.113.0/24 drop",
        ),
        (
            Packet { input: None, ..web().from([203, 0, 113, 50].into()) },
            "depends on: input interface in netdev edge ingress: policy accept",
        ),
        (to(tcp, "192.0.2.1", 90).on(interface("wg0")), "accepted"),
        (web().in_state(State::Invalid), "dropped by inet filter input: ct state vmap { invalid : drop, "),
    ];
    for (packet, expected) in cases {
        let said = match firewall.outcome(packet, &Way::delivered()) {
            Outcome::Accepted => "accepted".to_owned(),
            Outcome::Dropped(place) => format!("dropped by {}", spelled(&place)),
            Outcome::Redirected { place, address, port } => {
                let address = address.map_or("-".to_owned(), |address| address.to_string());
                format!("to {address}:{} by {}", port.unwrap_or(0), spelled(&place))
            }
            Outcome::Unknown(because) => {
                let place = because.place.map(|place| spelled(&place));
                format!("{} in {}", because.doubt, place.unwrap_or_default()).replace("it depends", "depends")
            }
        };
        assert!(said.starts_with(expected), "{packet:?}: {said}");
    }
}

#[test]
fn places_say_what_was_matched() {
    let firewall = captured();
    let web = || to(Protocol::TCP, "192.0.2.1", 80);
    let cases: &[(Packet, &str)] = &[
        (to(Protocol::TCP, "192.0.2.1", 90), "inet filter input: policy drop"),
        (
            to(Protocol::TCP, "192.0.2.3", 23),
            "inet filter input # handle 15 (drop; matches protocol tcp, destination port 23)",
        ),
        (to(Protocol::TCP, "192.0.2.3", 25), "inet filter other # handle 8 (reject)"),
        (
            web().from([203, 0, 113, 5].into()),
            "ip mangle PREROUTING # handle 3 (drop; matches source address 203.0.113.5, connection state new)",
        ),
        (web().in_state(State::Invalid), "inet filter input # handle 11 (drop; matches connection state invalid)"),
        (
            to(Protocol::TCP, "192.0.2.1", 81),
            "ip nat prerouting # handle 3 (redirect; matches destination address 192.0.2.1, protocol tcp, \
             destination port 81)",
        ),
        (
            Packet { source: None, ..to(Protocol::TCP, "192.0.2.3", 85) },
            "ip mangle PREROUTING # handle 3 (drop; matches source address, connection state)",
        ),
        (
            to(Protocol::UDP, "192.0.2.1", 5000),
            "inet filter input # handle 21 (accept; matches limit, protocol udp, destination port 5000)",
        ),
    ];
    for (packet, expected) in cases {
        let place = match firewall.outcome(packet, &Way::delivered()) {
            Outcome::Dropped(place) | Outcome::Redirected { place, .. } => place,
            Outcome::Unknown(Because { place: Some(place), .. }) => place,
            outcome => panic!("{packet:?}: {outcome:?}"),
        };
        assert_eq!(place.to_string(), *expected, "{packet:?}");
    }
    // Only up to a priority in one hook.
    let blocked = to(Protocol::TCP, "192.0.2.1", 90);
    assert_eq!(firewall.outcome(&blocked, &Way::delivered().up_to(Hook::Input, -1)), Outcome::Accepted);
}

#[test]
fn names_that_cannot_be_typed_make_no_command() {
    let mut place = Place {
        family: TableFamily::Inet,
        table: "f".to_owned(),
        chain: "i".to_owned(),
        handle: Some(3),
        matched: Vec::new(),
        action: Action::Drop,
    };
    assert_eq!(place.undo().as_deref(), Some("nft delete rule inet f i handle 3"));
    for name in ["i; flush ruleset", "-f", "", "i\n", "3"] {
        place.chain = name.to_owned();
        assert_eq!((place.undo(), place.chain_words()), (None, None), "{name:?}");
    }
}

#[test]
fn arp_rules_are_found() {
    let firewall = captured();
    let eth0 = interface("eth0");
    let arp = firewall.arp([192, 0, 2, 1].into(), Some(&eth0));
    let rules: Vec<String> = arp.rules.iter().map(spelled).collect();
    assert_eq!(
        rules,
        [
            "arp lvs input: arp daddr ip 192.0.2.1 drop",
            "arp lvs output: arp saddr ip 192.0.2.1 arp saddr ip set 10.0.0.2"
        ]
    );
    assert!(
        matches!(&arp.request, Outcome::Dropped(place) if place.matched == [Property::Destination(Some([192, 0, 2, 1].into()))]),
        "{arp:?}"
    );
    assert_eq!((arp.answer, arp.mangled), (Outcome::Accepted, Some([10, 0, 0, 2].into())));
    let other = firewall.arp([192, 0, 2, 9].into(), Some(&eth0));
    assert_eq!(other.rules, []);
    assert_eq!((other.request, other.answer, other.mangled), (Outcome::Accepted, Outcome::Accepted, None));
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

    /// Whatever the kernel says, it is read or refused, and followed; never a panic, never without end.
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
        for (address, port) in [("192.0.2.1", 80), ("192.0.2.3", 25), ("2001:db8::1", 85)] {
            for packet in [to(Protocol::TCP, address, port), Packet { source: None, ..to(Protocol::TCP, address, port) }] {
                for state in [State::New, State::Established, State::Related, State::Invalid, State::Untracked] {
                    let packet = packet.clone().in_state(state);
                    let _ = printed(&firewall.outcome(&packet, &Way::delivered()));
                    let _ = firewall.mark(&packet, &Way::sent());
                    let _ = printed(&firewall.outcome(&Packet { input: None, ..packet }, &Way::forwarded()));
                }
            }
        }
        let _ = firewall.arp([192, 0, 2, 1].into(), None);
    }
}

/// What is said of an outcome.
fn printed(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Accepted => String::new(),
        Outcome::Dropped(place) | Outcome::Redirected { place, .. } => place.to_string(),
        Outcome::Unknown(because) => because.to_string(),
    }
}
