//! What the packet filter is said to do, and what it does: rules are loaded into the kernel, packets sent to it, and the
//! answer must be what became of them. Two network namespaces with a cable between them for each trial.
//!
//! User-mode-linux has no IPv4 tables of nftables. So this runs on the machine's own kernel if that has all that is
//! needed and we are root, and otherwise on Debian's stock kernel.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, fmt, fs, thread};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use ipvsadm_rs::host::nft::Listings;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, CpuSet, sched_setaffinity, setns, unshare};
use nix::sys::socket::{self, AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage};
use nix::unistd::Pid;
use packet_filter::{Doubt, Firewall, Hook, Interface, Outcome, Packet, Place, Property, Protocol, State, Way};
use proptest::prelude::{Just, ProptestConfig, any};
use proptest::strategy::{BoxedStrategy, Strategy, Union};
use proptest::test_runner::{TestCaseError, TestRng, TestRunner};

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

// ---- tools ----------------------------------------------------------------------------------------------------------

/// Runs a program in this thread's namespace; it must succeed. Returns what it prints.
fn command(program: &str, words: &[&str], input: &str) -> Result<String> {
    let mut child = Command::new(program)
        .args(words)
        .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {program}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} {words:?}: {error}\n{input}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Loads rules in place of those that are there.
fn nft(rules: &str) -> Result<()> {
    command("nft", &["-f", "-"], &format!("flush ruleset\n{rules}\n")).map(drop)
}

/// Where connections come from: the first is that of everything else.
const CLIENTS: [[u8; 4]; 3] = [[10, 9, 0, 2], [10, 9, 0, 3], [10, 9, 0, 66]];
/// Where they go to.
const VIP: [u8; 4] = [10, 9, 0, 1];
/// Ports with a listener.
const PORTS: [u16; 4] = [1000, 1001, 1002, 1003];
/// All rules let packets to this port through: what was sent before one that is there has been dealt with.
const SENTINEL: u16 = 9;

fn vip(v6: bool) -> IpAddr {
    if v6 { Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, 1).into() } else { Ipv4Addr::from(VIP).into() }
}

fn client(v6: bool, number: usize) -> IpAddr {
    let octets = CLIENTS[number % CLIENTS.len()];
    if v6 {
        Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, u16::from(octets[3])).into()
    } else {
        Ipv4Addr::from(octets).into()
    }
}

/// Two namespaces, with a cable between them: the client's, and the server's with the rules, which the thread is in.
struct Cable {
    client: File,
    server: File,
    udp: Vec<(u16, UdpSocket)>,
    tcp: Vec<(u16, TcpListener)>,
    sentinel: (UdpSocket, UdpSocket),
    /// The next source port: every probe is a new connection.
    port: Cell<u16>,
    input: Interface,
}

/// How often it is tried whether a cable works already.
const TRIES: u32 = 2000;

/// A probe: a connection's first packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Probe {
    protocol: Protocol,
    v6: bool,
    client: usize,
    port: u16,
}

/// Where a probe came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arrival {
    Nowhere,
    At(u16),
    /// At one of the listeners, but its connection did not come about, so that it is not known at which.
    Somewhere,
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { protocol, v6, client: number, port } = *self;
        write!(f, "{protocol} {} -> {} port {port}", client(v6, number), vip(v6))
    }
}

/// Runs `work` with a cable.
fn with_cable<T: Send>(work: impl FnOnce(&Cable) -> Result<T> + Send) -> Result<T> {
    support::in_fresh_namespace(|| {
        let cable = Cable::new()?;
        work(&cable)
    })
}

/// The namespace of this thread.
fn namespace() -> Result<File> {
    Ok(File::open("/proc/thread-self/ns/net")?)
}

impl Cable {
    fn new() -> Result<Self> {
        // What one processor does it does in order: the sentinel comes after what was sent before.
        let mut processors = CpuSet::new();
        processors.set(0)?;
        sched_setaffinity(Pid::from_raw(0), &processors)?;
        let server = namespace()?;
        unshare(CloneFlags::CLONE_NEWNET)?;
        let client_side = namespace()?;
        setns(server.as_fd(), CloneFlags::CLONE_NEWNET)?;
        // Programs that are started have this file, too.
        let path = format!("/proc/{}/fd/{}", std::process::id(), client_side.as_raw_fd());
        command(
            "ip",
            &[
                "link",
                "add",
                "fw0",
                "address",
                "02:00:00:00:00:01",
                "type",
                "veth",
                "peer",
                "name",
                "fw1",
                "address",
                "02:00:00:00:00:02",
                "netns",
                &path,
            ],
            "",
        )
        .context("the cable")?;
        let mut lines =
            format!("link set fw0 up\naddr add {}/24 dev fw0\naddr add {}/64 dev fw0 nodad\n", vip(false), vip(true));
        let mut other = "link set lo up\nlink set fw1 up\n".to_owned();
        for v6 in [false, true] {
            let prefix = if v6 { "64 nodad" } else { "24" };
            let prefix = prefix.split_once(' ').map_or((prefix, ""), |parts| parts);
            for number in 0..CLIENTS.len() {
                let address = client(v6, number);
                lines += &format!("neigh replace {address} lladdr 02:00:00:00:00:02 dev fw0 nud permanent\n");
                other += &format!("addr add {address}/{} dev fw1 {}\n", prefix.0, prefix.1);
            }
            other += &format!("neigh replace {} lladdr 02:00:00:00:00:01 dev fw1 nud permanent\n", vip(v6));
        }
        setns(client_side.as_fd(), CloneFlags::CLONE_NEWNET)?;
        command("ip", &["-batch", "-"], &other)?;
        let sender = UdpSocket::bind((client(false, 0), SENTINEL))?;
        setns(server.as_fd(), CloneFlags::CLONE_NEWNET)?;
        command("ip", &["-batch", "-"], &lines)?;
        let everywhere = IpAddr::from(Ipv6Addr::UNSPECIFIED);
        let mut udp = Vec::new();
        let mut tcp = Vec::new();
        for port in PORTS {
            udp.push((port, UdpSocket::bind((everywhere, port))?));
            tcp.push((port, TcpListener::bind((everywhere, port))?));
        }
        for (_, socket) in &udp {
            socket.set_nonblocking(true)?;
        }
        for (_, socket) in &tcp {
            socket.set_nonblocking(true)?;
        }
        let receiver = UdpSocket::bind((vip(false), SENTINEL))?;
        receiver.set_read_timeout(Some(Duration::from_secs(20)))?;
        let index = nix::net::if_::if_nametoindex("fw0")?;
        let input = Interface { name: "fw0".to_owned(), index: Some(index) };
        let cable =
            Self { client: client_side, server, udp, tcp, sentinel: (sender, receiver), port: Cell::new(20000), input };
        cable.warm_up()?;
        Ok(cable)
    }

    /// Waits until packets get through: the kernel takes its time to notice that a cable is plugged in at both ends.
    fn warm_up(&self) -> Result<()> {
        let (_, receiver) = &self.udp[0];
        for v6 in [false, true] {
            let sender = self.at_client(|| Ok(UdpSocket::bind((client(v6, 0), 0))?))?;
            let arrives = || {
                // It may be an error as long as nothing gets through.
                let _ = sender.send_to(b"!", (vip(v6), PORTS[0]));
                thread::sleep(Duration::from_millis(10));
                receiver.recv(&mut [0; 8]).is_ok()
            };
            ensure!((0..TRIES).any(|_| arrives()), "nothing gets through the cable to {}", vip(v6));
        }
        self.settle()?;
        while receiver.recv(&mut [0; 8]).is_ok() {}
        Ok(())
    }

    /// Does something in the client's namespace.
    fn at_client<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        setns(self.client.as_fd(), CloneFlags::CLONE_NEWNET)?;
        let result = work();
        setns(self.server.as_fd(), CloneFlags::CLONE_NEWNET)?;
        result
    }

    /// Waits until all that was sent has been dealt with.
    fn settle(&self) -> Result<()> {
        let (sender, receiver) = &self.sentinel;
        sender.send_to(b"!", (vip(false), SENTINEL)).context("sending the sentinel")?;
        let mut buffer = [0; 8];
        receiver.recv(&mut buffer).context("the sentinel does not arrive")?;
        Ok(())
    }

    fn next_port(&self) -> u16 {
        let port = self.port.get();
        self.port.set(if port >= 60000 { 20000 } else { port + 1 });
        port
    }

    /// The packet that a probe is.
    fn packet(&self, probe: Probe) -> Packet {
        self.vague(probe).from(client(probe.v6, probe.client))
    }

    /// The same, if it is not known where it comes from.
    fn vague(&self, probe: Probe) -> Packet {
        Packet::first(probe.protocol, vip(probe.v6), probe.port).on(self.input.clone())
    }

    /// Sends a probe and sees where it comes out.
    fn send(&self, probe: Probe, source_port: u16) -> Result<Arrival> {
        let from = SocketAddr::new(client(probe.v6, probe.client), source_port);
        let to = SocketAddr::new(vip(probe.v6), probe.port);
        match probe.protocol {
            Protocol::UDP => self.send_datagram(from, to),
            Protocol::TCP => self.send_connection(from, to),
            other => bail!("no probes of {other}"),
        }
    }

    fn send_datagram(&self, from: SocketAddr, to: SocketAddr) -> Result<Arrival> {
        let socket = self.at_client(|| Ok(UdpSocket::bind(from)?))?;
        socket.send_to(b"?", to)?;
        self.settle()?;
        let mut arrival = Arrival::Nowhere;
        for (port, socket) in &self.udp {
            match socket.recv_from(&mut [0; 8]) {
                Ok((_, sender)) => {
                    ensure!(sender.port() == from.port(), "a datagram of {sender}");
                    arrival = Arrival::At(*port);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(arrival)
    }

    /// Begins a connection from the client.
    fn begin(&self, from: SocketAddr, to: SocketAddr) -> Result<OwnedFd> {
        let family = if from.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let stream = self.at_client(|| Ok(socket::socket(family, SockType::Stream, flags, None)?))?;
        socket::bind(stream.as_raw_fd(), &SockaddrStorage::from(from))?;
        match socket::connect(stream.as_raw_fd(), &SockaddrStorage::from(to)) {
            Ok(()) | Err(Errno::EINPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(stream)
    }

    /// Connects from the client, without waiting for it.
    fn connect(&self, from: SocketAddr, to: SocketAddr) -> Result<TcpStream> {
        self.begin(from, to).map(TcpStream::from)
    }

    fn send_connection(&self, from: SocketAddr, to: SocketAddr) -> Result<Arrival> {
        let stream = self.begin(from, to)?;
        // The answer to the first packet may be queued behind the first sentinel, what the client makes of it behind the
        // second.
        for _ in 0..3 {
            self.settle()?;
        }
        // Whether the first packet got through is seen at the client: the rest of the handshake is of another state.
        let mut polled = [PollFd::new(stream.as_fd(), PollFlags::POLLOUT)];
        poll(&mut polled, PollTimeout::ZERO)?;
        let writable = polled[0].any().unwrap_or(false);
        let error = socket::getsockopt(&stream, socket::sockopt::SocketError)?;
        if !writable || error != 0 {
            return Ok(Arrival::Nowhere);
        }
        let mut arrival = Arrival::Somewhere;
        for (port, listener) in &self.tcp {
            match listener.accept() {
                Ok((_, peer)) if peer.port() == from.port() => arrival = Arrival::At(*port),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(arrival)
    }

    /// What is said of a probe, and whether it is so.
    fn check(&self, firewall: &Firewall, probe: Probe) -> Result<Outcome> {
        let source_port = self.next_port();
        let outcome = firewall.outcome(&self.packet(probe).from_port(source_port), &Way::delivered());
        let vague = firewall.outcome(&self.vague(probe), &Way::delivered());
        let arrival = self.send(probe, source_port)?;
        for outcome in [&outcome, &vague] {
            let so = match outcome {
                Outcome::Accepted => arrival == Arrival::At(probe.port) || arrival == Arrival::Somewhere,
                Outcome::Dropped(_) => arrival == Arrival::Nowhere,
                // The rest of the way is not followed.
                Outcome::Redirected { port: Some(port), .. } => match arrival {
                    Arrival::At(at) => at == *port,
                    Arrival::Nowhere | Arrival::Somewhere => true,
                },
                _ => true,
            };
            ensure!(so, "{probe} from port {source_port}: {outcome:?}, but it arrived {arrival:?}");
        }
        Ok(outcome)
    }
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

// ---- random rules ---------------------------------------------------------------------------------------------------

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

fn random_rules() -> Result<()> {
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
fn random_rules_established() -> Result<()> {
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
                let packet = cable.packet(flow.probe).from_port(flow.port).in_state(State::Established);
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
fn random_rules_elsewhere() -> Result<()> {
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

/// Whether an outcome is what became of a packet.
fn ensure_so(outcome: &Outcome, arrived: bool) -> Result<()> {
    let so = match outcome {
        Outcome::Accepted => arrived,
        Outcome::Dropped(_) => !arrived,
        _ => true,
    };
    ensure!(so, "{outcome:?}, but it {}", if arrived { "arrived" } else { "did not arrive" });
    Ok(())
}

// ---- connections ----------------------------------------------------------------------------------------------------

/// Turns connection tracking on.
const TRACKING: &str = "table inet t { chain i { type filter hook input priority -400; ct state new counter; }; }";

/// A connection from a client, of which packets have passed in both directions.
struct Flow {
    probe: Probe,
    /// The client's.
    port: u16,
    ends: Ends,
}

/// Its two ends: the client's and the server's.
enum Ends {
    Udp(UdpSocket),
    Tcp(TcpStream, TcpStream),
}

impl Flow {
    fn open(cable: &Cable, probe: Probe) -> Result<Self> {
        let to = SocketAddr::new(vip(probe.v6), probe.port);
        let (port, ends) = if probe.protocol == Protocol::UDP {
            let socket = cable.at_client(|| Ok(UdpSocket::bind((client(probe.v6, probe.client), 0))?))?;
            socket.connect(to)?;
            socket.set_nonblocking(true)?;
            socket.send(b"?")?;
            cable.settle()?;
            let (_, server) = find(&cable.udp, probe.port)?;
            let (_, from) = server.recv_from(&mut [0; 8]).context("a datagram without rules")?;
            // The server's socket serves all its addresses: the answer would come from any of them.
            ensure!(from.port() == socket.local_addr()?.port(), "a datagram of {from}");
            server.send_to(b"!", from)?;
            cable.settle()?;
            socket.recv(&mut [0; 8]).context("an answer without rules")?;
            (from.port(), Ends::Udp(socket))
        } else {
            let from = SocketAddr::new(client(probe.v6, probe.client), cable.next_port());
            let stream = cable.connect(from, to)?;
            for _ in 0..3 {
                cable.settle()?;
            }
            let (_, listener) = find(&cable.tcp, probe.port)?;
            let (accepted, peer) = listener.accept().context("a connection without rules")?;
            ensure!(peer.port() == from.port(), "a connection of {peer}");
            accepted.set_nonblocking(true)?;
            (from.port(), Ends::Tcp(stream, accepted))
        };
        Ok(Self { probe, port, ends })
    }

    /// Sends from the client, and says whether it arrives.
    fn send(&mut self, cable: &Cable) -> Result<bool> {
        let received = match &mut self.ends {
            Ends::Udp(socket) => {
                socket.send(b"?")?;
                cable.settle()?;
                find(&cable.udp, self.probe.port)?.1.recv(&mut [0; 8])
            }
            Ends::Tcp(stream, accepted) => {
                stream.write_all(b"?")?;
                cable.settle()?;
                accepted.read(&mut [0; 8])
            }
        };
        arrived(received)
    }

    /// Sends from the server, and says whether it arrives.
    fn answer(&mut self, cable: &Cable) -> Result<bool> {
        let received = match &mut self.ends {
            Ends::Udp(socket) => {
                // A packet that is dropped on its way out is an error here.
                let _ = find(&cable.udp, self.probe.port)?.1.send_to(b"!", socket.local_addr()?);
                cable.settle()?;
                socket.recv(&mut [0; 8])
            }
            Ends::Tcp(stream, accepted) => {
                accepted.write_all(b"!")?;
                cable.settle()?;
                stream.read(&mut [0; 8])
            }
        };
        arrived(received)
    }
}

fn find<T>(sockets: &[(u16, T)], port: u16) -> Result<&(u16, T)> {
    sockets.iter().find(|(other, _)| *other == port).context("no such port")
}

/// Whether a socket that does not wait has received something.
fn arrived(received: std::io::Result<usize>) -> Result<bool> {
    match received {
        Ok(length) => Ok(length > 0),
        // A refusal with an answer.
        Err(error)
            if [ErrorKind::WouldBlock, ErrorKind::ConnectionReset, ErrorKind::ConnectionRefused]
                .contains(&error.kind()) =>
        {
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

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
        ("tcp flags & (fin|syn) != 0 drop", Unknown("TCP flags")),
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
            let packet = cable.packet(flow.probe).from_port(flow.port).in_state(State::Established);
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
            let invalid = firewall.outcome(&packet.in_state(State::Invalid), &Way::delivered());
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

/// Where a packet goes that does not stay.
#[derive(Clone, Copy, Debug)]
enum Destination {
    /// From this machine to the client.
    Client,
    /// From the client through this machine.
    Beyond,
}

impl Destination {
    fn hooks(self) -> &'static [Hook] {
        match self {
            Self::Client => &[Hook::Output, Hook::Postrouting],
            Self::Beyond => &[Hook::Ingress, Hook::Prerouting, Hook::Forward, Hook::Postrouting],
        }
    }

    fn way(self) -> Way {
        match self {
            Self::Client => Way::sent(),
            Self::Beyond => Way::forwarded(),
        }
    }
}

/// A third namespace, on another cable of the server's.
struct Beyond {
    client: Vec<(u16, UdpSocket)>,
    beyond: Vec<(u16, UdpSocket)>,
    output: Interface,
}

impl Beyond {
    const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 8, 0, 1);

    fn new(cable: &Cable) -> Result<Self> {
        unshare(CloneFlags::CLONE_NEWNET)?;
        let namespace = namespace()?;
        setns(cable.server.as_fd(), CloneFlags::CLONE_NEWNET)?;
        let path = format!("/proc/{}/fd/{}", std::process::id(), namespace.as_raw_fd());
        let lines = format!(
            "link add name fw1 type veth peer name fw2 address 02:00:00:00:00:03 netns {path}\nlink set fw1 up\n\
             addr add 10.8.0.254/24 dev fw1\nneigh replace 10.8.0.1 lladdr 02:00:00:00:00:03 dev fw1 nud permanent\n"
        );
        command("ip", &["-batch", "-"], &lines)?;
        fs::write("/proc/sys/net/ipv4/ip_forward", "1")?;
        let sockets = || -> Result<Vec<(u16, UdpSocket)>> {
            let mut sockets = Vec::new();
            for port in PORTS {
                let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))?;
                socket.set_nonblocking(true)?;
                sockets.push((port, socket));
            }
            Ok(sockets)
        };
        setns(namespace.as_fd(), CloneFlags::CLONE_NEWNET)?;
        command(
            "ip",
            &["-batch", "-"],
            "link set fw2 up\naddr add 10.8.0.1/24 dev fw2\nroute add default via 10.8.0.254\n",
        )?;
        let beyond = sockets();
        setns(cable.server.as_fd(), CloneFlags::CLONE_NEWNET)?;
        let client = cable.at_client(|| {
            command("ip", &["route", "add", "10.8.0.0/24", "via", "10.9.0.1"], "")?;
            sockets()
        })?;
        let output = Interface { name: "fw1".to_owned(), index: Some(nix::net::if_::if_nametoindex("fw1")?) };
        let this = Self { client, beyond: beyond?, output };
        for destination in [Destination::Client, Destination::Beyond] {
            let arrives = || {
                thread::sleep(Duration::from_millis(10));
                this.send(cable, destination, 0, PORTS[0]).is_ok_and(|(_, arrived)| arrived)
            };
            ensure!((0..TRIES).any(|_| arrives()), "nothing gets through to {destination:?}");
        }
        Ok(this)
    }

    /// Sends a datagram between this client, or the server, and this port. Returns what it was, and whether it arrived.
    fn send(&self, cable: &Cable, destination: Destination, number: usize, port: u16) -> Result<(Packet, bool)> {
        let from_port = cable.next_port();
        let client = client(false, number);
        let (packet, receivers) = match destination {
            Destination::Client => {
                let socket = UdpSocket::bind((vip(false), from_port))?;
                // A packet that is dropped on its way out is an error here.
                let _ = socket.send_to(b"?", (client, port));
                let packet = Packet::first(Protocol::UDP, client, port).from(vip(false)).out(cable.input.clone());
                (packet, &self.client)
            }
            Destination::Beyond => {
                let socket = cable.at_client(|| Ok(UdpSocket::bind((client, from_port))?))?;
                socket.send_to(b"?", (Self::ADDRESS, port))?;
                let packet = Packet::first(Protocol::UDP, Self::ADDRESS.into(), port).from(client);
                (packet.on(cable.input.clone()).out(self.output.clone()), &self.beyond)
            }
        };
        // What is sent on may be queued behind the first sentinel.
        cable.settle()?;
        cable.settle()?;
        let received = find(receivers, port)?.1.recv_from(&mut [0; 8]);
        if let Ok((_, from)) = &received {
            ensure!(from.port() == from_port, "a datagram of {from}");
        }
        Ok((packet.from_port(from_port), arrived(received.map(|(length, _)| length))?))
    }
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
