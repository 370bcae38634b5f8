//! Random rules.

use std::cell::{Cell, RefCell};
use std::env;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use packet_filter::{Doubt, Firewall, Outcome, Property, Protocol, State, Way};
use proptest::prelude::{Just, ProptestConfig, any};
use proptest::strategy::{BoxedStrategy, Strategy, Union};
use proptest::test_runner::{TestCaseError, TestRng, TestRunner};

use super::cable::{Beyond, CLIENTS, Destination, Flow, PORTS, Probe, TRACKING, ensure_so, nft, with_cable};

/// One of these.
fn one_of(texts: &'static [&'static str]) -> BoxedStrategy<String> {
    proptest::sample::select(texts).prop_map(str::to_owned).boxed()
}

/// What a rule asks for; `vague` are the things of which not all is known.
fn matching(vague: bool) -> BoxedStrategy<String> {
    let port = || proptest::sample::select(&PORTS);
    let source = || {
        proptest::sample::select(&[
            "10.9.0.2",
            "10.9.0.3",
            "10.9.0.66",
            "10.9.0.0/26",
            "10.9.0.64/26",
            "10.0.0.0/8",
            "0.0.0.0/0",
        ])
    };
    let not = || proptest::sample::select(&["", "!= "]);
    let protocol = || proptest::sample::select(&["tcp", "udp", "th"]);
    let mut all = vec![
        (protocol(), not(), port())
            .prop_map(|(protocol, not, port)| with_protocol(protocol, &format!("dport {not}{port}")))
            .boxed(),
        (protocol(), not(), port(), 0_u16..3)
            .prop_map(|(protocol, not, port, more)| {
                with_protocol(protocol, &format!("dport {not}{port}-{}", port + more))
            })
            .boxed(),
        (protocol(), not(), proptest::sample::subsequence(&["1000", "1001", "1002-1010", "20-30"], 1..=4))
            .prop_map(|(protocol, not, ports)| {
                with_protocol(protocol, &format!("dport {not}{{ {} }}", ports.join(", ")))
            })
            .boxed(),
        (protocol(), proptest::sample::select(&["<", ">", "<=", ">="]), port())
            .prop_map(|(protocol, sign, port)| with_protocol(protocol, &format!("dport {sign} {port}")))
            .boxed(),
        (not(), source()).prop_map(|(not, source)| format!("ip saddr {not}{source}")).boxed(),
        (
            not(),
            proptest::sample::subsequence(&["10.9.0.2", "10.9.0.3-10.9.0.60", "10.9.0.64/27", "192.0.2.0/24"], 1..=4),
        )
            .prop_map(|(not, sources)| format!("ip saddr {not}{{ {} }}", sources.join(", ")))
            .boxed(),
        (
            not(),
            proptest::sample::subsequence(
                &["10.9.0.2 . 1000", "10.9.0.3 . 1000-1002", "10.9.0.0/24 . 1003", "10.9.0.66 . 1001"],
                1..=4,
            ),
        )
            .prop_map(|(not, pairs)| {
                format!("meta l4proto {{ tcp, udp }} ip saddr . th dport {not}{{ {} }}", pairs.join(", "))
            })
            .boxed(),
        (0_u32..4, 0_u32..4).prop_map(|(mask, mark)| format!("meta mark & {mask} == {}", mark & mask)).boxed(),
        (not(), 0_u32..4).prop_map(|(not, mark)| format!("meta mark {not}{mark}")).boxed(),
        (not(), 0_u32..4).prop_map(|(not, mark)| format!("ct mark {not}{mark}")).boxed(),
        one_of(&[
            "ct state new",
            "ct state != new",
            "ct state established,related",
            "ct state invalid",
            "ct state untracked",
            "ct state { new, established }",
            "ct direction original",
            "ct status dnat",
            "ip protocol tcp",
            "ip6 nexthdr udp",
            "meta nfproto ipv4",
            "meta nfproto ipv6",
            "meta l4proto tcp",
            "meta l4proto { udp, icmp }",
            "iifname \"fw0\"",
            "iifname \"fw*\"",
            "iifname != \"lo\"",
            "iif fw0",
            "iif != fw0",
            "iif lo",
            "ip daddr 10.9.0.1",
            "ip daddr != 10.9.0.1",
            "ip6 daddr fd09::1",
            "ip6 saddr fd09::/64",
            "ip6 saddr fd09::2",
            "ip6 saddr { fd09::3, fd09::40-fd09::50 }",
            "tcp flags syn",
            "tcp flags & (syn|ack) == syn",
            "tcp flags ! syn",
            "tcp flags & (fin|rst) != 0",
            "meta pkttype host",
            "fib daddr type local",
            "ip frag-off & 0x1fff != 0",
            "ip version 4",
            "meta protocol ip",
            "meta mark { 1, 3 }",
            "meta mark 1-2",
            "udp sport 9",
            "tcp sport 20000-65000",
        ]),
    ];
    if vague {
        all.push(one_of(&[
            "limit rate 1/day burst 3 packets",
            "numgen random mod 2 0",
            "ip ttl < 64",
            "ip dscp cs0",
            "meta length > 40",
            "fib saddr type unicast",
            "tcp window > 100",
            "meta cpu 0",
            "udp checksum 0",
            "ip id 0",
            "th sport 20000-40000",
            "meta iiftype ether",
            "ether type ip6",
            "tcp option maxseg size > 500",
            "ether saddr 02:00:00:00:00:02",
            "meta skuid 0",
            "socket transparent 1",
            "ip hdrlength 5",
            "ip6 hoplimit 64",
        ]));
    }
    Union::new(all).boxed()
}

fn with_protocol(protocol: &str, rest: &str) -> String {
    match protocol {
        "th" => format!("meta l4proto {{ tcp, udp }} th {rest}"),
        protocol => format!("{protocol} {rest}"),
    }
}

/// Where a rule of a chain may lead: chains further on, so that there are no circles.
const CHAINS: [&str; 3] = ["c1", "c2", "c3"];

/// What a rule does, in a chain from which those from `first` on may be reached.
fn doing(first: usize) -> BoxedStrategy<String> {
    let mut all = vec![
        one_of(&[
            "accept",
            "drop",
            "accept",
            "drop",
            "reject",
            "return",
            "counter",
            "continue",
            "counter drop",
            "log drop",
            "counter accept",
        ]),
        (0_u32..4).prop_map(|mark| format!("meta mark set {mark}")).boxed(),
        (0_u32..4).prop_map(|mark| format!("meta mark set meta mark | {mark}")).boxed(),
        (0_u32..4).prop_map(|mark| format!("ct mark set {mark}")).boxed(),
        one_of(&[
            "meta mark set ct mark",
            "meta mark set tcp dport map { 1000 : 1, 1001-1002 : 2 }",
            "meta l4proto vmap { tcp : accept, udp : continue }",
        ]),
    ];
    if first < CHAINS.len() {
        let chain = || proptest::sample::select(&CHAINS[first..]);
        all.push(
            (proptest::sample::select(&["jump", "goto"]), chain())
                .prop_map(|(how, chain)| format!("{how} {chain}"))
                .boxed(),
        );
        all.push(
            chain()
                .prop_map(|chain| format!("tcp dport vmap {{ 1000 : jump {chain}, 1001-1002 : drop, 1003 : return }}"))
                .boxed(),
        );
        all.push(chain().prop_map(|chain| format!("ct state vmap {{ new : goto {chain}, invalid : drop }}")).boxed());
        all.push(
            chain()
                .prop_map(|chain| format!("meta mark vmap {{ 0 : jump {chain}, 1-2 : drop, 3 : continue }}"))
                .boxed(),
        );
    }
    Union::new(all).boxed()
}

fn rule(first: usize, vague: bool) -> BoxedStrategy<String> {
    (proptest::collection::vec(matching(vague), 0..3), doing(first))
        .prop_map(|(mut words, last)| {
            words.push(last);
            // nft refuses a rule that no packet can match.
            let mut said: [Option<&str>; 2] = [None; 2];
            let mut kept = Vec::new();
            for part in &words {
                let protocols = protocols(part);
                let fits =
                    |(one, other): (&Option<&str>, &Option<&str>)| one.is_none() || other.is_none() || one == other;
                if said.iter().zip(&protocols).all(fits) {
                    said = [protocols[0].or(said[0]), protocols[1].or(said[1])];
                    kept.push(part.as_str());
                }
            }
            if kept.is_empty() { "counter".to_owned() } else { kept.join(" ") }
        })
        .boxed()
}

/// Of which protocol of the network and of the transport layer a part of a rule speaks.
fn protocols(part: &str) -> [Option<&'static str>; 2] {
    let word = |word: &str| part.split([' ', ',']).any(|other| other == word);
    let network = match (word("ip6") || word("ipv6"), word("ip") || word("ipv4")) {
        (true, _) => Some("IPv6"),
        (_, true) => Some("IPv4"),
        _ => None,
    };
    let transport = match (word("tcp") || part.contains("tcp"), word("udp")) {
        _ if part.contains("icmp") => Some("UDP or ICMP"),
        (true, true) => Some("either"),
        (true, _) => Some("TCP"),
        (_, true) => Some("UDP"),
        _ => None,
    };
    [network, transport]
}

/// Rules of a chain, each with its end of line.
fn body(first: usize, vague: bool) -> BoxedStrategy<String> {
    proptest::collection::vec(rule(first, vague), 0..5)
        .prop_map(|rules| rules.iter().map(|rule| format!("  {rule}\n")).collect())
        .boxed()
}

/// Base chains for packets to this machine.
const DELIVERED: &[&str] = &[
    "type filter hook prerouting priority -300",
    "type filter hook prerouting priority -150",
    "type nat hook prerouting priority -100",
    "type filter hook input priority 0",
    "type filter hook input priority 50",
];
/// Base chains for packets that this machine sends, for itself or others.
const SENT: &[&str] = &[
    "type filter hook prerouting priority -300",
    "type filter hook prerouting priority -150",
    "type filter hook forward priority 0",
    "type filter hook output priority -300",
    "type filter hook output priority 0",
    "type filter hook postrouting priority -150",
    "type filter hook postrouting priority 0",
];

/// A rule set: one table with some of these base chains. The probes of no rules come in front.
fn rules(bases: &[&'static str], vague: bool) -> BoxedStrategy<String> {
    let base = move |header: &'static str| {
        let nat = header.contains("nat");
        let extra = match header {
            "type filter hook prerouting priority -300" => {
                one_of(&["", "", "  tcp dport 1000 notrack\n", "  ip saddr 10.9.0.3 notrack\n"])
            }
            header if header.contains("nat") => one_of(&[
                "  tcp dport 1000 redirect to :1001\n",
                "  ip saddr 10.9.0.3 meta l4proto udp redirect to :1002\n",
                "  meta l4proto { tcp, udp } th dport 1003 redirect to :1003\n",
                "",
            ]),
            _ => Just(String::new()).boxed(),
        };
        let policy =
            if nat { Just("accept").boxed() } else { proptest::sample::select(&["accept", "accept", "drop"]).boxed() };
        // Refusing with an answer is for filters after connection tracking, and not in postrouting.
        let refuses = !nat && !header.contains("-300") && !header.contains("postrouting");
        let body = body(0, vague).prop_map(move |body| if refuses { body } else { body.replace("reject", "drop") });
        (proptest::option::weighted(0.6, (policy, body, extra)), Just(header)).prop_map(|(content, header)| {
            let Some((policy, body, extra)) = content else { return String::new() };
            let name = header.split_whitespace().map(|word| word.trim_start_matches('-')).collect::<Vec<_>>().join("_");
            format!(" chain b_{name} {{\n  {header}; policy {policy};\n  udp dport 9 accept\n{extra}{body} }}\n")
        })
    };
    let chain = move |number: usize| {
        body(number + 1, vague).prop_map(move |body| {
            // These are jumped to from any hook.
            format!(" chain {} {{\n{} }}\n", CHAINS[number], body.replace("reject", "drop"))
        })
    };
    let bases: Vec<_> = bases.iter().map(|header| base(header).boxed()).collect();
    let chains: Vec<_> = (0..CHAINS.len()).rev().map(|number| chain(number).boxed()).collect();
    (chains, bases)
        .prop_map(|(chains, bases)| format!("table inet f {{\n{}{}}}\n", chains.concat(), bases.concat()))
        .boxed()
}

fn probe() -> impl Strategy<Value = Probe> {
    (any::<bool>(), proptest::bool::weighted(0.25), 0..CLIENTS.len(), proptest::sample::select(&PORTS)).prop_map(
        |(tcp, v6, client, port)| Probe { protocol: if tcp { Protocol::TCP } else { Protocol::UDP }, v6, client, port },
    )
}

/// How many random rule sets are tried here, and on an emulated machine, where starting nft takes a third of a second.
const RULE_SETS: u32 = 300;
const RULE_SETS_EMULATED: u32 = 40;
/// How many probes of each.
const PROBES: usize = 8;

/// How often each outcome was given for random rules.
#[derive(Default)]
struct Given {
    accepted: u32,
    dropped: u32,
    redirected: u32,
    unknown: u32,
}

impl Given {
    fn count(&mut self, outcome: &Outcome) -> Result<()> {
        match outcome {
            Outcome::Accepted => self.accepted += 1,
            Outcome::Dropped(_) => self.dropped += 1,
            Outcome::Redirected { .. } => self.redirected += 1,
            Outcome::Unknown(_) => self.unknown += 1,
            other => bail!("{other:?}"),
        }
        Ok(())
    }
}

/// Tries random rule sets with these base chains. `each` gets rules, not loaded, and probes, and returns the outcomes; and
/// nothing if nft refuses the rules. `open` says which doubts there may be though all is known.
fn try_random(
    bases: &[&'static str],
    each: impl Fn(&str, &[Probe]) -> Result<Option<Vec<Outcome>>>,
    open: impl Fn(&Doubt) -> bool,
) -> Result<Given> {
    let sets = if env::var_os("IPVS_IN_KERNEL").is_some() { RULE_SETS_EMULATED } else { RULE_SETS };
    let given = RefCell::new(Given::default());
    let refused = Cell::new(0);
    for vague in [false, true] {
        let strategy = (rules(bases, vague), proptest::collection::vec(probe(), PROBES));
        let config = ProptestConfig {
            cases: sets / 2,
            failure_persistence: None,
            max_shrink_iters: 200,
            ..ProptestConfig::default()
        };
        let holds = |(rules, probes): (String, Vec<Probe>)| -> Result<()> {
            // nft refuses rules in which one part contradicts another; not all of these are foreseen above.
            let Some(outcomes) = each(&rules, &probes).with_context(|| rules.clone())? else {
                refused.set(refused.get() + 1);
                return Ok(());
            };
            for outcome in outcomes {
                if let (false, Outcome::Unknown(because)) = (vague, &outcome) {
                    ensure!(open(&because.doubt), "{because}, though all is known\n{rules}");
                }
                given.borrow_mut().count(&outcome)?;
            }
            Ok(())
        };
        let holds = |value| holds(value).map_err(|error| TestCaseError::fail(format!("{error:#}")));
        // The same rule sets each time: whether nft takes them is not for chance to say.
        let random = TestRng::deterministic_rng(config.rng_algorithm);
        TestRunner::new_with_rng(config, random).run(&strategy, holds).map_err(|error| anyhow!("{error}"))?;
    }
    let given = given.into_inner();
    let Given { accepted, dropped, redirected, unknown } = given;
    eprintln!("accepted {accepted}, dropped {dropped}, redirected {redirected}, unknown {unknown}");
    ensure!(refused.get() <= sets / 20, "nft refuses {} of {sets} rule sets", refused.get());
    ensure!(accepted.min(dropped) > sets / 2, "too few of a kind to mean anything");
    ensure!(unknown < (accepted + dropped) / 4, "too often it is not known: {unknown}");
    Ok(given)
}

pub(super) fn random_rules() -> Result<()> {
    with_cable(|cable| {
        let each = |rules: &str, probes: &[Probe]| {
            if nft(rules).is_err() {
                return Ok(None);
            }
            let firewall = Firewall::read()?;
            probes.iter().map(|probe| cable.check(&firewall, *probe)).collect::<Result<_>>().map(Some)
        };
        let given = try_random(DELIVERED, each, |_| false)?;
        ensure!(given.redirected > 0, "no redirection");
        Ok(())
    })
}

/// Packets of connections that were there before the rules.
pub(super) fn random_rules_established() -> Result<()> {
    with_cable(|cable| {
        let each = |rules: &str, probes: &[Probe]| {
            nft(TRACKING)?;
            let flows: Vec<Flow> = probes.iter().map(|probe| Flow::open(cable, *probe)).collect::<Result<_>>()?;
            // In one transaction, so that connections stay known.
            if nft(&format!("{TRACKING}\n{rules}")).is_err() {
                return Ok(None);
            }
            let firewall = Firewall::read()?;
            let mut outcomes = Vec::new();
            for mut flow in flows {
                let packet = cable.packet(flow.probe).from_port(flow.port).later().in_state(State::Established);
                let outcome = firewall.outcome(&packet, &Way::delivered());
                let arrived = flow.send(cable)?;
                ensure_so(&outcome, arrived).with_context(|| flow.probe.to_string())?;
                outcomes.push(outcome);
            }
            Ok(Some(outcomes))
        };
        // Which packet of the connection it is, and what was done to those before, is not said.
        let open = |doubt: &Doubt| match doubt {
            Doubt::Packet(properties) => properties.iter().all(|property| match property {
                Property::ConnectionMark | Property::Mark | Property::TcpFlags => true,
                Property::Other(name) => name.starts_with("ct key "),
                _ => false,
            }),
            _ => false,
        };
        let given = try_random(DELIVERED, each, open)?;
        ensure!(given.redirected == 0, "an established connection is redirected again");
        Ok(())
    })
}

/// Datagrams that this machine sends, or forwards.
pub(super) fn random_rules_elsewhere() -> Result<()> {
    with_cable(|cable| {
        let beyond = Beyond::new(cable)?;
        let each = |rules: &str, probes: &[Probe]| {
            if nft(rules).is_err() {
                return Ok(None);
            }
            let firewall = Firewall::read()?;
            let mut outcomes = Vec::new();
            for probe in probes {
                for destination in [Destination::Client, Destination::Beyond] {
                    let (packet, arrived) = beyond.send(cable, destination, probe.client, probe.port)?;
                    let outcome = firewall.outcome(&packet, &destination.way());
                    ensure_so(&outcome, arrived).with_context(|| format!("{destination:?} {probe}"))?;
                    outcomes.push(outcome);
                }
            }
            Ok(Some(outcomes))
        };
        // What this machine sends may have come in on an interface, if a part of the kernel sends it on.
        let open = |doubt: &Doubt| matches!(doubt, Doubt::Packet(all) if matches!(all.as_slice(), [Property::Input(None)] | [Property::Other(_)]));
        try_random(SENT, each, open).map(drop)
    })
}
