//! What the packet filter is said to do, and what it does: rules are loaded into the kernel, packets sent to it, and the
//! answer must be what became of them. Two network namespaces with a cable between them for each trial.
//!
//! User-mode-linux has no IPv4 tables of nftables. So this runs on the machine's own kernel if that has all that is
//! needed and we are root, and otherwise on Debian's stock kernel.

mod cable;
pub mod director;
mod random;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::{env, fs};

use anyhow::{Context as _, Result, bail, ensure};
use ipvsadm_rs::host::nft::Listings;
use nix::sys::socket::{self, AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage};
use packet_filter::{Doubt, Firewall, Hook, Outcome, Packet, Place, Protocol, State, Way};

use self::cable::{
    Beyond, Destination, Flow, PORTS, Probe, TRACKING, VIP, arrived, client, command, ensure_so, nft, vip, with_cable,
};
use self::random::{random_rules, random_rules_elsewhere, random_rules_established};
use crate::support::{self, Guest, Subject, Trial, trial};

/// What a trial does.
type Run = fn() -> Result<()>;

/// With this in its environment the binary only says whether it may read the rules.
const READ_ONLY: &str = "FIREWALL_READ_ONLY";

/// In a process that has only to read the packet filter and to print what comes of it: does that.
pub fn only_read() -> bool {
    let wanted = env::var_os(READ_ONLY).is_some();
    if wanted {
        println!("{:?}", Firewall::read().map(drop));
    }
    wanted
}

/// What is tried, and where.
pub fn subject() -> Subject {
    Subject {
        guest: || Guest { memory: 1024, kernel: Some("stock"), here: filters_here(), ..Guest::default() },
        trials,
        ..Subject::named("firewall")
    }
}

fn trials() -> Result<Vec<Trial>> {
    let trials: [(&str, Run); _] = [
        ("outcomes: rules of nft", rules_of_nft),
        ("outcomes: rules of iptables-nft", rules_of_iptables),
        ("outcomes: random rules", random_rules),
        ("outcomes: random rules, established connections", random_rules_established),
        ("outcomes: random rules, sent and forwarded", random_rules_elsewhere),
        ("outcomes: packets of no connection", packets_of_no_connection),
        ("outcomes: packets of known connections", packets_of_known_connections),
        ("outcomes: packets sent and forwarded", sent_and_forwarded),
        ("outcomes: multicast and other protocols", multicast_and_other_protocols),
        ("marks", marks),
        ("arp: requests and answers", requests_and_answers),
        ("reading: large sets", large_sets),
        ("reading: no rules, older tables, no permission", what_cannot_be_read),
    ];
    Ok(trials.into_iter().map(|(name, run)| trial(name, run)).collect())
}

/// Whether this kernel has tables of all families, veth, and lets us make them.
fn filters_here() -> bool {
    let try_it = || -> Result<()> {
        support::in_fresh_namespace(|| {
            nft("table inet a { chain b { type nat hook prerouting priority -100; tcp dport 1 redirect; fib daddr type local; }; }
                 table arp c { }; table netdev d { }")?;
            command("iptables-nft", &["-A", "INPUT", "-m", "multiport", "-p", "tcp", "--dports", "1,2"], "")?;
            command("ip", &["link", "add", "name", "fw0", "type", "veth", "peer", "name", "fw1"], "")?;
            Ok(())
        })
    };
    try_it().is_ok()
}

// ---- fixed rules ----------------------------------------------------------------------------------------------------

/// What is expected of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Accepted,
    /// Dropped by a rule with this in it.
    Dropped(&'static str),
    /// Sent to this port, by a rule with this in it.
    Redirected(u16, &'static str),
    /// It depends on this.
    Unknown(&'static str),
}

use Expected::{Accepted, Dropped, Redirected, Unknown};

const fn tcp(port: u16) -> Probe {
    Probe { protocol: Protocol::TCP, v6: false, client: 0, port }
}

const fn udp(port: u16) -> Probe {
    Probe { protocol: Protocol::UDP, ..tcp(port) }
}

const fn v6(probe: Probe) -> Probe {
    Probe { v6: true, ..probe }
}

const fn from(client: usize, probe: Probe) -> Probe {
    Probe { client, ..probe }
}

/// Rules, and what is expected of probes.
type Case = (&'static str, &'static [(Probe, Expected)]);

fn ensure_expected(rules: &str, probe: Probe, outcome: &Outcome, expected: Expected) -> Result<()> {
    let so = match (outcome, expected) {
        (Outcome::Accepted, Accepted) => true,
        (Outcome::Dropped(place), Dropped(text)) => printed(place).contains(text),
        (Outcome::Redirected { place, port, .. }, Redirected(expected, text)) => {
            *port == Some(expected) && printed(place).contains(text)
        }
        (Outcome::Unknown(because), Unknown(text)) => because.doubt.to_string().contains(text),
        _ => false,
    };
    ensure!(so, "{rules}\n{probe}: {expected:?} was expected, not {outcome:?}");
    Ok(())
}

/// The rule at a place as nft prints it.
fn printed(place: &Place) -> String {
    Listings::new().words(place)
}

/// Loads each case's rules and tries its probes.
fn try_cases(cases: &[Case], load: impl Fn(&str) -> Result<()> + Sync) -> Result<()> {
    with_cable(|cable| {
        for (rules, probes) in cases {
            load(rules)?;
            let firewall = Firewall::read()?;
            for (probe, expected) in *probes {
                let outcome = cable.check(&firewall, *probe).with_context(|| (*rules).to_owned())?;
                ensure_expected(rules, *probe, &outcome, *expected)?;
            }
        }
        Ok(())
    })
}

fn rules_of_nft() -> Result<()> {
    const CASES: &[Case] = &[
        ("", &[(tcp(1000), Accepted), (v6(udp(1000)), Accepted)]),
        ("table inet f { chain i { type filter hook input priority 0; policy drop; udp dport 9 accept; tcp dport { 1000, 1002-1003 } accept; }; }",
         &[(tcp(1000), Accepted), (tcp(1001), Dropped("policy drop")), (v6(tcp(1003)), Accepted), (udp(1000), Dropped("policy drop"))]),
        ("table ip f { chain i { type filter hook input priority 0; tcp dport 1000 drop; ip saddr 10.9.0.64/26 reject; }; }",
         &[(tcp(1000), Dropped("tcp dport 1000 drop")), (v6(tcp(1000)), Accepted), (from(2, udp(1001)), Dropped("ip saddr 10.9.0.64/26 reject")), (udp(1001), Accepted)]),
        ("table inet f { set s { type ipv4_addr; flags interval; elements = { 10.9.0.3-10.9.0.60 }; }
          chain other { ip saddr @s return; meta l4proto tcp reject with tcp reset; }
          chain i { type filter hook input priority 0; udp dport 9 accept; ct state vmap { established : accept, invalid : drop }; jump other; tcp dport vmap { 1000 : accept, 1001 : drop, 1002 : goto other }; }; }",
         &[(tcp(1000), Dropped("reject with tcp reset")), (from(1, tcp(1000)), Accepted), (from(1, tcp(1001)), Dropped("tcp dport vmap { 1000 : accept, 1001 : drop, 1002 : goto other }")),
           (from(1, tcp(1002)), Accepted), (from(1, tcp(1003)), Accepted), (udp(1000), Accepted)]),
        ("table inet f { chain m { type filter hook prerouting priority mangle; ip saddr . th dport { 10.9.0.2 . 1000-1001, 10.9.0.3 . 1002 } meta mark set 0x11; }
          chain i { type filter hook input priority 0; meta mark & 0xf0 == 0x10 drop; }; }",
         &[(tcp(1000), Dropped("meta mark & 0x000000f0 == 0x00000010 drop")), (udp(1001), Dropped("meta mark")), (udp(1002), Accepted), (from(1, udp(1002)), Dropped("meta mark"))]),
        ("table inet f { chain i { type filter hook input priority 0; iifname \"fw*\" tcp dport 1000 drop; iifname \"fw0\" udp dport 1001 drop; iif lo drop; tcp flags & (fin|syn|rst|ack) == syn tcp dport 1002 drop; ip6 nexthdr udp udp dport 1003 drop; }; }",
         &[(tcp(1000), Dropped("iifname \"fw*\" tcp dport 1000 drop")), (udp(1001), Dropped("iifname \"fw0\"")), (tcp(1002), Dropped("tcp dport 1002 drop")), (udp(1002), Accepted),
           (v6(udp(1003)), Dropped("ip6 nexthdr udp")), (udp(1003), Accepted)]),
        ("table inet f { chain i { type filter hook input priority 0; limit rate 1/day tcp dport 1000 drop; limit rate 1/day log; ip ttl < 5 udp dport 1001 drop; ip dscp cs1 udp dport 1002 accept; }; }",
         &[(tcp(1000), Unknown("limit")), (v6(tcp(1001)), Accepted), (udp(1001), Unknown("network header"))]),
        ("table ip n { chain p { type nat hook prerouting priority dstnat; tcp dport 1000 redirect to :1001; ip daddr 10.9.0.1 udp dport 1000 dnat to 10.9.0.1:1002; tcp dport 1002 dnat to 10.9.0.1:1002; udp dport 1003 dnat to 192.0.2.1; }; }",
         &[(tcp(1000), Redirected(1001, "tcp dport 1000 redirect to :1001")), (udp(1000), Redirected(1002, "ip daddr 10.9.0.1 udp dport 1000 dnat to 10.9.0.1:1002")), (tcp(1002), Accepted),
           (udp(1003), Redirected(1003, "dnat to 192.0.2.1")), (v6(tcp(1000)), Accepted)]),
        // Before connection tracking has seen it, a packet counts as invalid; after notrack, as untracked.
        ("table ip f { chain r { type filter hook prerouting priority raw; ct state invalid tcp dport 1000 drop; tcp dport 1001 notrack; }
          chain i { type filter hook input priority 0; ct state untracked drop; ct state invalid drop; ct mark != 0 drop; }; }",
         &[(tcp(1000), Dropped("ct state invalid tcp dport 1000 drop")), (tcp(1001), Dropped("ct state untracked drop")), (tcp(1002), Accepted)]),
        ("table ip f { flags dormant; chain i { type filter hook input priority 0; policy drop; }; }", &[(tcp(1000), Accepted)]),
        ("table netdev f { chain i { type filter hook ingress device fw0 priority 0; tcp dport 1000 drop; }; }
          table inet g { chain i { type filter hook ingress device fw0 priority 0; udp dport 1000 drop; }; }",
         &[(tcp(1000), Dropped("tcp dport 1000 drop")), (udp(1000), Dropped("udp dport 1000 drop")), (tcp(1001), Accepted)]),
        ("table inet f { chain i { type filter hook input priority 0; fib daddr type local tcp dport 1000 drop; fib saddr type local drop; ct status dnat drop; }; }",
         &[(tcp(1000), Dropped("fib daddr type local tcp dport 1000 drop")), (tcp(1001), Unknown("fib"))]),
        ("table inet f { map m { type inet_service : mark; elements = { 1000 : 0x7, 1001 : 0x8 }; }
          chain i { type filter hook input priority 0; meta mark set tcp dport map @m; meta mark 7 drop; udp dport != { 9, 1000 } counter drop; }; }",
         &[(tcp(1000), Dropped("meta mark 0x00000007 drop")), (tcp(1001), Accepted), (udp(1000), Accepted), (udp(1001), Dropped("udp dport != { 9, 1000 } counter packets"))]),
        ("table inet f { chain i { type filter hook input priority 0; ip saddr 10.9.0.0/16 ip saddr != { 10.9.0.2, 10.9.0.60-10.9.0.70 } drop; ip6 saddr fd09::/64 ip6 saddr != fd09::2 drop; }; }",
         &[(tcp(1000), Accepted), (from(1, tcp(1000)), Dropped("ip saddr 10.9.0.0/16 ip saddr != { 10.9.0.2, 10.9.0.60-10.9.0.70 } drop")), (from(2, tcp(1000)), Accepted), (v6(from(1, udp(1000))), Dropped("ip6 saddr fd09::/64 ip6 saddr != fd09::2 drop"))]),
        // Of two chains of the same priority the newer comes first.
        ("table ip f { chain a { type filter hook input priority 0; meta mark set 1; udp dport 1000 meta mark 2 drop; }; chain b { type filter hook input priority 0; tcp dport 1000 meta mark 1 drop; meta mark set 2; }; }",
         &[(tcp(1000), Accepted), (udp(1000), Accepted)]),
        ("table ip f { chain b { type filter hook input priority 0; tcp dport 1000 meta mark 1 drop; }; }
          table inet g { chain a { type filter hook input priority 0; meta mark set 1; }; }",
         &[(tcp(1000), Dropped("tcp dport 1000 meta mark 0x00000001 drop"))]),
    ];
    try_cases(CASES, nft)
}

fn rules_of_iptables() -> Result<()> {
    const CASES: &[Case] = &[
        (
            "*filter\n:INPUT DROP [0:0]\n-A INPUT -p udp --dport 9 -j ACCEPT\n-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n-A INPUT -m conntrack --ctstate INVALID -j DROP\n-A INPUT -p tcp -m multiport --dports 1000,1002:1003 -m comment --comment web -j ACCEPT\n-A INPUT -s 10.9.0.64/26 -p udp -m udp --dport 1000:1001 -m conntrack --ctstate NEW -j ACCEPT\nCOMMIT\n",
            &[
                (tcp(1000), Accepted),
                (tcp(1001), Dropped("policy drop")),
                (tcp(1003), Accepted),
                (udp(1000), Dropped("policy drop")),
                (from(2, udp(1001)), Accepted),
            ],
        ),
        (
            "*filter\n-A INPUT -p tcp -m tcp --dport 1000 --tcp-flags FIN,SYN,RST,ACK SYN -j REJECT --reject-with tcp-reset\n-A INPUT -m iprange --src-range 10.9.0.3-10.9.0.9 -j DROP\n-A INPUT -m addrtype --dst-type LOCAL -p udp --dport 1001 -j DROP\n-A INPUT -m hashlimit --hashlimit-name h --hashlimit-above 100/sec -p tcp --dport 1003 -j DROP\n-A INPUT -m pkttype --pkt-type broadcast -j DROP\n-A INPUT -m state --state NEW -i fw+ -p udp --dport 1003 -j DROP\nCOMMIT\n",
            &[
                (tcp(1000), Dropped("reject")),
                (from(1, tcp(1001)), Dropped("ip saddr 10.9.0.3-10.9.0.9")),
                (udp(1001), Dropped("fib daddr type local")),
                (tcp(1003), Unknown("hashlimit")),
                (udp(1002), Accepted),
                (udp(1003), Dropped("ct state new")),
            ],
        ),
        (
            "*nat\n-A PREROUTING -d 10.9.0.1 -p tcp --dport 1000 -j REDIRECT --to-ports 1001\n-A PREROUTING -p udp --dport 1000 -j DNAT --to-destination 10.9.0.1:1002\nCOMMIT\n*mangle\n-A PREROUTING -p tcp --dport 1002 -j MARK --set-mark 5\nCOMMIT\n*filter\n-A INPUT -m mark --mark 1/1 -j DROP\nCOMMIT\n*raw\n-A PREROUTING -p tcp --dport 1003 -j CT --notrack\nCOMMIT\n",
            &[
                (tcp(1000), Redirected(1001, "redirect to :1001")),
                (udp(1000), Redirected(1002, "dnat to 10.9.0.1:1002")),
                (tcp(1002), Dropped("mark")),
                (tcp(1003), Accepted),
            ],
        ),
    ];
    try_cases(CASES, |rules| {
        nft("")?;
        command("iptables-nft-restore", &[], rules).map(drop)
    })
}

// ---- connections ----------------------------------------------------------------------------------------------------

/// Rules in a table of their own, with connection tracking.
fn rules_in(hook: &str, rules: &str) -> String {
    format!(
        "{TRACKING}
         table ip f {{ chain i {{ type filter hook {hook} priority 0; udp dport 9 accept; {rules}; }}; }}
         table ip n {{ chain p {{ type nat hook prerouting priority -100; tcp dport 1000 redirect to :1001; }}; }}"
    )
}

fn packets_of_known_connections() -> Result<()> {
    // What becomes of data of a TCP connection.
    const ESTABLISHED: &[(&str, Expected)] = &[
        ("ct state established accept; drop", Accepted),
        ("ct state new,invalid,related,untracked drop", Accepted),
        ("ct state established drop", Dropped("ct state established drop")),
        ("ct state vmap { established : drop, related : accept }", Dropped("established : drop")),
        ("ct state != established drop; tcp dport 1000 drop", Dropped("tcp dport 1000 drop")),
        ("ct direction reply drop", Unknown("ct key 1")),
        ("ct mark 7 drop", Unknown("connection mark")),
        ("tcp flags & (fin|syn|rst) != 0 drop", Accepted),
        ("tcp flags & psh == 0 drop", Unknown("TCP flags")),
    ];
    // What becomes of an answer that a port of the client's is closed.
    const RELATED: &[(&str, Expected)] = &[
        ("ct state related accept; drop", Accepted),
        ("ct state new,invalid,established,untracked drop", Accepted),
        ("ct state related drop", Dropped("ct state related drop")),
        ("ct state established,related ip saddr 10.9.0.2 drop", Dropped("ip saddr 10.9.0.2")),
        ("meta l4proto icmp drop", Dropped("icmp")),
        ("udp dport 1000 drop", Accepted),
        ("icmp type echo-request drop", Unknown("transport header")),
    ];
    with_cable(|cable| {
        for (rules, expected) in ESTABLISHED {
            nft(TRACKING)?;
            let mut flow = Flow::open(cable, tcp(PORTS[0]))?;
            nft(&rules_in("input", rules))?;
            let packet = cable.packet(flow.probe).from_port(flow.port).later().in_state(State::Established);
            let outcome = Firewall::read()?.outcome(&packet, &Way::delivered());
            ensure_so(&outcome, flow.send(cable)?).with_context(|| (*rules).to_owned())?;
            ensure_expected(rules, flow.probe, &outcome, *expected)?;
        }
        for (rules, expected) in ESTABLISHED {
            for hook in ["output", "postrouting"] {
                for protocol in [Protocol::TCP, Protocol::UDP] {
                    nft(TRACKING)?;
                    let mut flow = Flow::open(cable, Probe { protocol, ..tcp(PORTS[0]) })?;
                    let rules = rules.replace("tcp dport", "meta l4proto { tcp, udp } th sport");
                    nft(&rules_in(hook, &rules))?;
                    let packet = Packet::first(protocol, client(false, 0), flow.port)
                        .from(vip(false))
                        .from_port(PORTS[0])
                        .out(cable.input.clone())
                        .later()
                        .in_state(State::Established);
                    let outcome = Firewall::read()?.outcome(&packet, &Way::sent());
                    ensure_so(&outcome, flow.answer(cable)?).with_context(|| rules.clone())?;
                    match expected {
                        Dropped("tcp dport 1000 drop") => {
                            ensure!(matches!(outcome, Outcome::Dropped(_)), "{outcome:?}")
                        }
                        Unknown("TCP flags") if protocol == Protocol::UDP => {
                            ensure!(outcome == Outcome::Accepted, "{outcome:?}")
                        }
                        expected => ensure_expected(&rules, flow.probe, &outcome, *expected)?,
                    }
                }
            }
        }
        for (rules, expected) in RELATED {
            nft(&rules_in("input", rules))?;
            let socket = UdpSocket::bind((vip(false), 0))?;
            socket.connect((client(false, 0), 999))?;
            socket.set_nonblocking(true)?;
            socket.send(b"?")?;
            cable.settle()?;
            let refused = match socket.recv(&mut [0; 8]) {
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => true,
                Err(error) if error.kind() == ErrorKind::WouldBlock => false,
                other => bail!("{other:?}"),
            };
            let packet = Packet::to(Protocol::ICMP, vip(false))
                .from(client(false, 0))
                .on(cable.input.clone())
                .in_state(State::Related);
            let outcome = Firewall::read()?.outcome(&packet, &Way::through(&[Hook::Input]));
            ensure_so(&outcome, refused).with_context(|| (*rules).to_owned())?;
            ensure_expected(rules, udp(999), &outcome, *expected)?;
            // It may be the first packet of a connection that was expected, which may be translated; not here.
            let outcome = Firewall::read()?.outcome(&packet, &Way::delivered());
            ensure_so(&outcome, refused).with_context(|| (*rules).to_owned())?;
        }
        Ok(())
    })
}

// ---- packets of no connection ---------------------------------------------------------------------------------------

fn packets_of_no_connection() -> Result<()> {
    // Rules, and what becomes of a packet in the middle of a connection that connection tracking does not know.
    const CASES: &[(&str, Expected)] = &[
        ("ct state invalid drop", Dropped("ct state invalid drop")),
        ("ct state vmap { established : accept, related : accept, invalid : drop }", Dropped("invalid : drop")),
        ("tcp dport 1000 accept; ct state invalid drop", Accepted),
        ("ct state new accept; drop", Dropped("drop")),
        ("tcp flags & (fin|syn|rst|ack) == ack drop", Dropped("ack")),
        (
            "ct direction original drop; ct mark 0 drop; ct state established drop; ct state new tcp dport 1001 drop",
            Accepted,
        ),
        ("ct state untracked drop", Accepted),
    ];
    with_cable(|cable| {
        for (rules, expected) in CASES {
            nft("")?;
            let (_, listener) = &cable.tcp[0];
            let mut sender = cable.at_client(|| Ok(TcpStream::connect((vip(false), PORTS[0]))?))?;
            cable.settle()?;
            let (mut receiver, _) = listener.accept().context("the connection from before the rules")?;
            receiver.set_nonblocking(true)?;
            nft(&format!(
                "table ip f {{ chain i {{ type filter hook input priority 0; udp dport 9 accept; {rules}; }}; }}
                 table ip n {{ chain p {{ type nat hook prerouting priority -100; tcp dport 1000 redirect to :1001; }}; }}"
            ))?;
            // Otherwise what it does not know is a new connection.
            fs::write("/proc/sys/net/netfilter/nf_conntrack_tcp_loose", "0")?;
            sender.write_all(b"?")?;
            for _ in 0..3 {
                cable.settle()?;
            }
            let arrived = match receiver.read(&mut [0; 8]) {
                Ok(length) => length == 1,
                Err(error) if error.kind() == ErrorKind::WouldBlock => false,
                Err(error) => return Err(error.into()),
            };
            let firewall = Firewall::read()?;
            let packet = cable.packet(tcp(PORTS[0]));
            let first = firewall.outcome(&packet, &Way::delivered());
            ensure!(matches!(first, Outcome::Redirected { port: Some(1001), .. }), "{rules}: {first:?}");
            let invalid = firewall.outcome(&packet.later().in_state(State::Invalid), &Way::delivered());
            ensure!(arrived == (invalid == Outcome::Accepted), "{rules}: {invalid:?}, arrived: {arrived}");
            ensure_expected(rules, tcp(PORTS[0]), &invalid, *expected)?;
        }
        // What comes after IPVS does not count.
        nft(
            "table ip f { chain i { type filter hook input priority 100; policy drop; }; chain j { type filter hook input priority 99; tcp dport 1001 drop; }; }",
        )?;
        let firewall = Firewall::read()?;
        let way = Way::delivered().up_to(Hook::Input, 99);
        let scheduled = |port| firewall.outcome(&cable.packet(tcp(port)), &way);
        ensure!(scheduled(1000) == Outcome::Accepted, "{:?}", scheduled(1000));
        ensure!(matches!(scheduled(1001), Outcome::Dropped(_)), "{:?}", scheduled(1001));
        Ok(())
    })
}

// ---- other ways -----------------------------------------------------------------------------------------------------

/// Packets that go out of this machine, or through it, arrive if they are said to.
fn sent_and_forwarded() -> Result<()> {
    const CASES: &[(&str, Destination, Expected)] = &[
        ("", Destination::Client, Accepted),
        (
            "add rule inet f o udp dport 1000 oifname fw0 drop",
            Destination::Client,
            Dropped("udp dport 1000 oifname \"fw0\" drop"),
        ),
        (
            "add rule inet f o iifname fw0 drop; add rule inet f o oif fw1 drop; add rule inet f w drop; add rule inet f i drop",
            Destination::Client,
            Accepted,
        ),
        (
            "add rule inet f q ip saddr 10.9.0.1 oif fw0 udp dport 1000 drop",
            Destination::Client,
            Dropped("ip saddr 10.9.0.1 oif"),
        ),
        (
            "add rule inet f o ct state new counter; add rule inet f o ct state invalid,untracked drop",
            Destination::Client,
            Accepted,
        ),
        ("", Destination::Beyond, Accepted),
        (
            "add rule inet f w iifname fw0 oifname fw1 udp dport 1000 drop",
            Destination::Beyond,
            Dropped("iifname \"fw0\" oifname \"fw1\""),
        ),
        ("add rule inet f i drop; add rule inet f o drop", Destination::Beyond, Accepted),
        (
            "add rule inet f q iifname fw0 oifname fw1 drop",
            Destination::Beyond,
            Dropped("iifname \"fw0\" oifname \"fw1\""),
        ),
        ("add rule inet f q iifname fw1 drop", Destination::Beyond, Accepted),
        ("add rule inet f q iifname fw0 drop", Destination::Client, Unknown("input interface")),
        (
            "add rule inet f p oifname fw1 drop; add rule inet f w ct state vmap { new : jump c, invalid : drop }; add rule inet f c ip daddr 10.8.0.0/24 reject",
            Destination::Beyond,
            Dropped("ip daddr 10.8.0.0/24 reject"),
        ),
    ];
    with_cable(|cable| {
        let beyond = Beyond::new(cable)?;
        for (rules, destination, expected) in CASES {
            nft(&format!(
                "table inet f {{ chain c {{ }};
                   chain p {{ type filter hook prerouting priority 0; }}; chain i {{ type filter hook input priority 0; udp dport 9 accept; }};
                   chain w {{ type filter hook forward priority 0; }}; chain o {{ type filter hook output priority 0; }};
                   chain q {{ type filter hook postrouting priority 0; }}; }}
                 {}",
                rules.replace("; ", "\n")
            ))?;
            let firewall = Firewall::read()?;
            let (packet, arrived) = beyond.send(cable, *destination, 0, PORTS[0])?;
            let outcome = firewall.outcome(&packet, &destination.way());
            ensure_so(&outcome, arrived).with_context(|| (*rules).to_owned())?;
            ensure_expected(rules, udp(PORTS[0]), &outcome, *expected)?;
            // Hook by hook it is the same: nothing in these rules is handed on from one to the next.
            let outcomes = destination.hooks().iter().map(|hook| firewall.outcome(&packet, &Way::through(&[*hook])));
            let first = outcomes.into_iter().find(|outcome| *outcome != Outcome::Accepted);
            ensure!(first.as_ref().unwrap_or(&Outcome::Accepted) == &outcome, "{rules}: {outcome:?}, but {first:?}");
        }
        Ok(())
    })
}

// ---- multicast, other protocols, marks ------------------------------------------------------------------------------

/// Datagrams of synchronisation daemons and packets of VRRP, both to groups.
fn multicast_and_other_protocols() -> Result<()> {
    const CASES: &[(&str, Protocol, Expected)] = &[
        ("", Protocol::UDP, Accepted),
        ("", Protocol::VRRP, Accepted),
        ("udp dport 8848 drop", Protocol::UDP, Dropped("udp dport 8848 drop")),
        ("udp dport 8848 drop", Protocol::VRRP, Accepted),
        ("ip protocol 112 drop", Protocol::VRRP, Dropped("ip protocol")),
        ("meta l4proto 112 accept; drop", Protocol::VRRP, Accepted),
        ("meta l4proto { tcp, udp, icmp } accept; drop", Protocol::VRRP, Dropped("drop")),
        ("meta pkttype multicast drop", Protocol::UDP, Dropped("multicast")),
        ("meta pkttype host drop", Protocol::VRRP, Accepted),
        ("fib daddr type multicast accept; drop", Protocol::VRRP, Accepted),
        (
            "fib daddr type local accept; fib daddr type multicast drop",
            Protocol::UDP,
            Dropped("fib daddr type multicast"),
        ),
        ("ip daddr 224.0.0.0/8 drop", Protocol::VRRP, Dropped("ip daddr 224.0.0.0/8")),
        ("ct state new accept; drop", Protocol::UDP, Accepted),
        ("ct state new drop", Protocol::VRRP, Dropped("ct state new")),
        ("th dport 8848 drop", Protocol::VRRP, Unknown("destination port")),
    ];
    with_cable(|cable| {
        let (sync, vrrp) = (Ipv4Addr::new(224, 0, 0, 81), Ipv4Addr::new(224, 0, 0, 18));
        let receiver = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 8848))?;
        for group in [sync, vrrp] {
            receiver.join_multicast_v4(&group, &Ipv4Addr::from(VIP))?;
        }
        receiver.set_nonblocking(true)?;
        for (rules, protocol, expected) in CASES {
            // What gets through is counted after all that is asked about.
            nft(&format!(
                "table ip f {{ counter passed {{ }};
                   chain i {{ type filter hook input priority 0; udp dport 9 accept; {rules}; }};
                   chain z {{ type filter hook input priority 1000; ip protocol 112 counter name passed; }}; }}"
            ))?;
            let firewall = Firewall::read()?;
            let way = Way::delivered().up_to(Hook::Input, 999);
            let (packet, arrived) = if *protocol == Protocol::UDP {
                let sender = cable.at_client(|| {
                    let sender = UdpSocket::bind((client(false, 0), 0))?;
                    command("ip", &["route", "replace", "224.0.0.0/4", "dev", "fw1"], "")?;
                    sender.send_to(b"?", (sync, 8848))?;
                    Ok(sender)
                })?;
                cable.settle()?;
                drop(sender);
                (Packet::first(*protocol, sync.into(), 8848), arrived(receiver.recv(&mut [0; 8]))?)
            } else {
                cable.at_client(|| send_raw(protocol.0, client(false, 0), vrrp))?;
                cable.settle()?;
                let counter = command("nft", &["list", "counter", "ip", "f", "passed"], "")?;
                (Packet::to(*protocol, vrrp.into()), !counter.contains("packets 0 "))
            };
            let packet = packet.from(client(false, 0)).on(cable.input.clone());
            let outcome = firewall.outcome(&packet, &way);
            ensure_so(&outcome, arrived).with_context(|| format!("{rules}: {protocol}"))?;
            ensure_expected(rules, udp(8848), &outcome, *expected)?;
        }
        Ok(())
    })
}

/// Sends an IPv4 packet of any protocol, with a few bytes in it.
fn send_raw(protocol: u8, from: IpAddr, to: Ipv4Addr) -> Result<()> {
    let IpAddr::V4(from) = from else { bail!("{from}") };
    let socket = socket::socket(AddressFamily::Inet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Raw)?;
    // Version and length, then: a hop limit as VRRP wants it, the protocol. The kernel fills in the rest.
    let mut packet = vec![0x45, 0, 0, 28, 0, 0, 0, 0, 255, protocol, 0, 0];
    packet.extend(from.octets());
    packet.extend(to.octets());
    packet.extend([0x21, 1, 100, 0, 0, 1, 0, 0]);
    socket::sendto(
        socket.as_raw_fd(),
        &packet,
        &SockaddrStorage::from(SocketAddr::new(to.into(), 0)),
        MsgFlags::empty(),
    )?;
    Ok(())
}

/// The mark that a packet gets is the one that a rule after it sees.
fn marks() -> Result<()> {
    const CASES: &[(&str, Option<u32>)] = &[
        ("", Some(0)),
        ("ip daddr 10.9.0.1 tcp dport 1000 meta mark set 7", Some(7)),
        ("ip daddr 10.9.0.1 udp dport 1000 meta mark set 7", Some(0)),
        ("meta mark set 0x30; meta mark set meta mark | 4", Some(0x34)),
        ("meta mark set tcp dport map { 1000 : 5, 1001 : 6 }", Some(5)),
        // Only some clients, or not at all.
        ("ip saddr 10.9.0.3 meta mark set 8", None),
        ("ip saddr 10.9.0.3 meta mark set 0", Some(0)),
        ("tcp dport 1000 drop", None),
    ];
    with_cable(|cable| {
        for (rules, expected) in CASES {
            nft(&format!("table ip f {{ chain p {{ type filter hook prerouting priority mangle; {rules}; }}; }}"))?;
            let way = Way::through(&[Hook::Prerouting]);
            let mark = Firewall::read()?.mark(&cable.vague(tcp(PORTS[0])), &way);
            ensure!(mark == *expected, "{rules}: {mark:?}");
            let Some(mark) = mark else { continue };
            command(
                "nft",
                &[&format!(
                    "add chain ip f i {{ type filter hook input priority 0; }}; add rule ip f i tcp dport 1000 meta mark {mark} drop"
                )],
                "",
            )?;
            let outcome = cable.check(&Firewall::read()?, tcp(PORTS[0]))?;
            ensure!(matches!(outcome, Outcome::Dropped(_)), "{rules}: {outcome:?}");
        }
        Ok(())
    })
}

// ---- ARP ------------------------------------------------------------------------------------------------------------

fn requests_and_answers() -> Result<()> {
    /// Rules in which `VIP` stands for the address that is asked for; how many speak of it; what else is expected.
    struct Case {
        rules: &'static str,
        mentions: usize,
        request: Option<&'static str>,
        answer: Option<&'static str>,
        mangled: bool,
    }
    const QUIET: Case = Case { rules: "", mentions: 0, request: None, answer: None, mangled: false };
    const CASES: &[Case] = &[
        QUIET,
        Case {
            rules: "add rule arp f i arp daddr ip VIP drop",
            mentions: 1,
            request: Some("arp daddr ip VIP drop"),
            ..QUIET
        },
        Case {
            rules: "add rule arp f i arp operation request iifname fw0 arp daddr ip { 192.0.2.1, VIP } counter drop",
            mentions: 1,
            request: Some("arp operation request iifname \"fw0\" arp daddr ip {"),
            ..QUIET
        },
        Case {
            rules: "add rule arp f i arp daddr ip 192.0.2.1 drop\nadd rule arp f i arp operation reply drop",
            ..QUIET
        },
        Case {
            rules: "add rule arp f o arp saddr ip VIP drop",
            mentions: 1,
            answer: Some("arp saddr ip VIP drop"),
            ..QUIET
        },
        Case {
            rules: "add rule arp f o oifname fw0 arp saddr ip VIP arp saddr ip set 10.9.0.1\nadd rule arp f o arp saddr ip 10.9.0.1 counter",
            mentions: 1,
            mangled: true,
            ..QUIET
        },
        Case {
            rules: "add rule arp f i arp daddr ip != VIP drop\nadd rule arp f i iifname != fw0 drop",
            mentions: 1,
            ..QUIET
        },
        Case {
            rules: "arptables -A INPUT -i fw0 -d VIP -j DROP",
            mentions: 1,
            request: Some("arp daddr ip VIP counter packets"),
            ..QUIET
        },
        Case {
            rules: "arptables -A OUTPUT -s VIP -j mangle --mangle-ip-s 10.9.0.1",
            mentions: 1,
            mangled: true,
            ..QUIET
        },
    ];
    with_cable(|cable| {
        for (number, case) in CASES.iter().enumerate() {
            let asked = Ipv4Addr::new(10, 9, 0, 100 + u8::try_from(number)?);
            let spelled = |text: &str| text.replace("VIP", &asked.to_string());
            command("ip", &["addr", "add", &format!("{asked}/32"), "dev", "fw0"], "")?;
            let rules = spelled(case.rules);
            match rules.strip_prefix("arptables ") {
                Some(words) => {
                    nft("")?;
                    command("arptables-nft", &words.split(' ').collect::<Vec<_>>(), "")?;
                }
                None => nft(&format!(
                    "table arp f {{ chain i {{ type filter hook input priority 0; }}; chain o {{ type filter hook output priority 0; }}; }}\n{rules}"
                ))?,
            }
            let arp = Firewall::read()?.arp(asked, Some(&cable.input));
            ensure!(arp.rules.len() == case.mentions, "{rules}: {arp:?}");
            for (outcome, expected) in [(&arp.request, case.request), (&arp.answer, case.answer)] {
                let so = match (outcome, expected) {
                    (Outcome::Accepted, None) => true,
                    (Outcome::Dropped(place), Some(text)) => printed(place).contains(&spelled(text)),
                    _ => false,
                };
                ensure!(so, "{rules}: {expected:?} was expected: {arp:?}");
            }
            let expected = case.mangled.then_some(Ipv4Addr::from(VIP));
            ensure!(arp.mangled == expected, "{rules}: {arp:?}");
            // The client asks for the address before it sends; without an answer it does not.
            let sender = cable.at_client(|| Ok(UdpSocket::bind((client(false, 0), 0))?))?;
            sender.send_to(b"?", (asked, PORTS[0]))?;
            for _ in 0..4 {
                cable.settle()?;
            }
            // What was held back before may be there, too: the client goes on asking for a while.
            let own = sender.local_addr()?.port();
            let received = || cable.udp[0].1.recv_from(&mut [0; 8]).ok();
            let arrived = std::iter::from_fn(received).any(|(_, from)| from.port() == own);
            let answered = arp.request == Outcome::Accepted && arp.answer == Outcome::Accepted && arp.mangled.is_none();
            ensure!(arrived == answered, "{rules}: {arp:?}, arrived: {arrived}");
        }
        Ok(())
    })
}

// ---- reading --------------------------------------------------------------------------------------------------------

fn large_sets() -> Result<()> {
    with_cable(|cable| {
        let addresses = |from: u32| -> String {
            let addresses = (0..20_000_u32).map(|number| Ipv4Addr::from(from + 4 * number).to_string());
            addresses.collect::<Vec<_>>().join(", ")
        };
        let (low, high) = (addresses(0x0a09_0002), addresses(0x0a09_0003));
        nft(&format!(
            "table ip f {{
               set one {{ type ipv4_addr; elements = {{ {low} }}; }}
               set other {{ type ipv4_addr; flags interval; elements = {{ {high} }}; }}
               chain i {{ type filter hook input priority 0; tcp dport 1000 ip saddr @one drop; tcp dport 1001 ip saddr @other drop; }}; }}"
        ))?;
        let firewall = Firewall::read()?;
        for (probe, expected) in [
            (tcp(1000), Dropped("@one")),
            (from(1, tcp(1000)), Accepted),
            (from(2, tcp(1000)), Dropped("@one")),
            (tcp(1001), Accepted),
            (from(1, tcp(1001)), Dropped("@other")),
        ] {
            let outcome = cable.check(&firewall, probe)?;
            ensure_expected("large sets", probe, &outcome, expected)?;
        }
        Ok(())
    })
}

fn what_cannot_be_read() -> Result<()> {
    support::in_fresh_namespace(|| {
        let outcome = |port| -> Result<Outcome> {
            let packet = Packet::first(Protocol::TCP, vip(false), port);
            Ok(Firewall::read()?.outcome(&packet, &Way::delivered()))
        };
        let dropped = |port| match outcome(port)? {
            Outcome::Dropped(place) => Ok(place),
            other => bail!("{other:?}"),
        };
        ensure!(outcome(1000)? == Outcome::Accepted, "{:?}", outcome(1000));

        nft("table ip f { chain i { type filter hook input priority 0; tcp dport 1001 drop; }; }")?;
        command("iptables-legacy", &["-A", "INPUT", "-p", "tcp", "--dport", "1000", "-j", "DROP"], "")?;
        let doubt = Doubt::OlderTables(vec!["filter".to_owned()]);
        ensure!(matches!(outcome(1000)?, Outcome::Unknown(because) if because.doubt == doubt), "{:?}", outcome(1000));
        let place = dropped(1001)?;
        ensure!(printed(&place) == "ip f i: tcp dport 1001 drop # handle 2", "{place}");
        ensure!(
            place.to_string() == "ip f i # handle 2 (drop; matches protocol tcp, destination port 1001)",
            "{place}"
        );
        let v6 = Packet::first(Protocol::TCP, vip(true), 1000);
        let firewall = Firewall::read()?;
        ensure!(firewall.outcome(&v6, &Way::delivered()) == Outcome::Accepted, "{firewall:?}");

        // What undoes a rule or a policy does.
        let undo =
            |place: &Place| -> Result<()> { command("sh", &["-c", &place.undo().context("no undo")?], "").map(drop) };
        undo(&place)?;
        ensure!(dropped(1001).is_err(), "{place} is still there");
        nft("table ip f { chain i { type filter hook input priority 0; policy drop; }; }")?;
        let place = dropped(1000)?;
        ensure!(printed(&place) == "ip f i: policy drop", "{place}");
        undo(&place)?;
        ensure!(dropped(1000).is_err(), "{place} is still so");

        const NOBODY: u32 = 65534;
        let mut command = Command::new("/proc/self/exe");
        let output = command.env(READ_ONLY, "1").uid(NOBODY).gid(NOBODY).output().context("as nobody")?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(said == "Err(NotPermitted)\n", "{said}");
        Ok(())
    })
}
