//! The ways of IPVS's packets through a director's rules: what is said of each part of a way, against real packets through a
//! real IPVS, on Debian's stock kernel.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use ipvs_client::{Client, Destination, Forwarding, Protocol, Service, Tunnel, scheduler};
use ipvsadm_rs::commands::legs::{Flow, Leg, Server, Tracking, Which};
use packet_filter::{Doubt, Firewall, Outcome, Property};

use super::cable::{Beyond, Cable, PORTS, TRACKING, arrived, client, command, ensure_so, find, nft, vip, with_cable};
use crate::support::{self, Guest, Subject, trial};

/// What is tried, and where: other kernels for tests have no tables of nftables for IPv4, or no IPVS.
pub fn subject() -> Subject {
    Subject {
        guest: || Guest { memory: 1024, kernel: Some("stock"), ..Guest::default() },
        trials: || {
            Ok(vec![
                trial("connections unknown to connection tracking", || through_a_director(false)),
                trial("connections known to connection tracking", || through_a_director(true)),
                trial("nft is not looked for by PATH", nft_by_path),
                trial("a note hides nothing behind it", a_note_hides_nothing),
            ])
        },
        ..Subject::named("director")
    }
}

/// Its services, by port: masquerading over UDP and TCP, direct routing and a tunnel over UDP.
const MASQUERADED: u16 = PORTS[0];
const DIRECT: u16 = PORTS[1];
const TUNNELLED: u16 = PORTS[2];

/// Chains, each with its hook, priority and rules; `;` ends a rule. The sentinel is let through before.
const CASES: &[(&str, i32, &str)] = &[
    ("prerouting", -300, "ct state invalid accept; drop"),
    ("prerouting", 0, "ct state invalid drop"),
    ("prerouting", 0, "tcp flags & (fin|syn|rst|ack) != syn ct state new drop"),
    ("prerouting", 0, "ct state established,related accept; ct state new udp dport { 1000-1002 } accept; drop"),
    ("input", 0, "ct state new accept; drop"),
    ("input", 0, "fib daddr type local accept; drop"),
    ("input", 150, "drop"),
    ("forward", 0, "drop"),
    ("forward", 0, "ct state invalid drop"),
    ("forward", 0, "ct state established,related accept; drop"),
    ("forward", 0, "ct state untracked drop"),
    ("forward", 0, "ip saddr 10.9.0.1 drop"),
    ("forward", 0, "iifname fw1 oifname fw0 ip saddr 10.8.0.1 accept; drop"),
    ("forward", 150, "ct state untracked drop"),
    ("forward", 150, "ip saddr 10.9.0.1 drop"),
    ("forward", 150, "ct state invalid drop"),
    ("output", -300, "ct state untracked accept; drop"),
    ("output", -300, "ct state new,established accept; drop"),
    ("output", 0, "ct state untracked drop"),
    ("output", 0, "ct state new,established drop"),
    ("output", 0, "ip daddr 10.9.0.1 drop"),
    ("output", 0, "ip daddr 10.8.0.1 drop"),
    ("output", 0, "ip protocol ipencap drop"),
    ("output", 0, "fib daddr type local drop"),
    ("output", 0, "iifname fw0 drop"),
    ("output", 0, "oifname != fw1 drop"),
    ("postrouting", 0, "iifname fw0 oifname fw1 drop"),
    ("postrouting", 0, "iifname fw1 drop"),
    ("postrouting", 0, "ct state untracked drop"),
    ("postrouting", 0, "ct state != untracked drop"),
];

/// A client's connection by IPVS.
struct Connection {
    protocol: Protocol,
    forwarding: Forwarding,
    port: u16,
    client: SocketAddr,
    /// Whether connection tracking knows IPVS's connections (`net.ipv4.vs.conntrack`).
    known: bool,
}

impl Connection {
    fn flow(&self, cable: &Cable) -> Flow {
        Flow { vip: vip(false), protocol: self.protocol, port: self.port, input: Some(cable.input.clone()) }
    }

    fn server(&self, beyond: &Beyond) -> Server {
        let (forwarding, output) = (self.forwarding, Some(beyond.output.clone()));
        Server { forwarding, address: Beyond::ADDRESS.into(), port: self.port, output }
    }

    fn tracking(&self) -> Tracking {
        Tracking { known: self.known, loose: true }
    }

    /// The way of a client's packet, as the doctor has it: to IPVS, and on to the server.
    fn request(&self, which: Which, cable: &Cable, beyond: &Beyond) -> Vec<Leg> {
        let from_client = |(packet, way): Leg| (packet.from(self.client.ip()).from_port(self.client.port()), way);
        let flow = self.flow(cable);
        let state = self.tracking().request(which, Some(self.forwarding), self.protocol);
        let (outgoing, on) = flow.sent_on(which, self.tracking(), &self.server(beyond));
        let outgoing = match self.forwarding {
            Forwarding::Tunnel(_) => (outgoing.from(Beyond::GATEWAY.into()), on),
            _ => from_client((outgoing, on)),
        };
        vec![from_client(flow.request(which, state)), outgoing]
    }

    /// The way of a masqueraded server's packet, as the doctor has it: to IPVS, and on to the client.
    fn answer(&self, which: Which, cable: &Cable, beyond: &Beyond) -> Vec<Leg> {
        let client = (self.client.ip(), Some(self.client.port()));
        let legs = self.flow(cable).answer(which, self.tracking(), &self.server(beyond), client, Some(&cable.input));
        legs.into()
    }
}

/// What becomes of a packet on the parts of its way.
fn outcome(firewall: &Firewall, legs: &[Leg]) -> Outcome {
    let outcomes = legs.iter().map(|(packet, way)| firewall.outcome(packet, way));
    outcomes.into_iter().find(|outcome| *outcome != Outcome::Accepted).unwrap_or(Outcome::Accepted)
}

/// Whether what is said of these legs is so. What is known of the packets is enough to say it, but for whether a server's
/// address is this machine's.
fn check(firewall: &Firewall, legs: &[Leg], arrived: bool) -> Result<Outcome> {
    let outcome = outcome(firewall, legs);
    ensure_so(&outcome, arrived)?;
    if let Outcome::Unknown(because) = &outcome {
        ensure!(because.doubt == Doubt::Packet(vec![Property::Other("fib".to_owned())]), "{because}");
    }
    Ok(outcome)
}

fn through_a_director(known: bool) -> Result<()> {
    // Namespaces that come after have a tunnel's end.
    command("modprobe", &["ipip"], "")?;
    with_cable(|cable| {
        let beyond = Beyond::new(cable)?;
        for setting in ["all/rp_filter", "fw0/rp_filter", "fw1/rp_filter"] {
            fs::write(format!("/proc/sys/net/ipv4/conf/{setting}"), "0")?;
        }
        let listener = beyond.inside(cable, || {
            let lines =
                "link set lo up\naddr add 10.9.0.1/32 dev lo\nlink set tunl0 up\naddr add 10.9.0.1/32 dev tunl0\n";
            command("ip", &["-batch", "-"], lines)?;
            for setting in ["all/rp_filter", "tunl0/rp_filter", "fw2/rp_filter"] {
                fs::write(format!("/proc/sys/net/ipv4/conf/{setting}"), "0")?;
            }
            let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, MASQUERADED))?;
            listener.set_nonblocking(true)?;
            Ok(listener)
        })?;
        let mut ipvs = Client::connect()?;
        let services = [
            (
                Service::udp(vip(false), MASQUERADED, scheduler::RR),
                Destination::masquerade(Beyond::ADDRESS, MASQUERADED),
            ),
            (
                Service::tcp(vip(false), MASQUERADED, scheduler::RR),
                Destination::masquerade(Beyond::ADDRESS, MASQUERADED),
            ),
            (Service::udp(vip(false), DIRECT, scheduler::RR), Destination::direct(Beyond::ADDRESS, DIRECT)),
            (
                Service::udp(vip(false), TUNNELLED, scheduler::RR),
                Destination::tunnel(Beyond::ADDRESS, TUNNELLED, Tunnel::Ipip),
            ),
        ];
        for (service, destination) in services {
            ipvs.add_service(&service)?;
            ipvs.add_destination(&service.key, &destination)?;
        }
        fs::write("/proc/sys/net/ipv4/vs/conntrack", if known { "1" } else { "0" })?;
        let director = Director { cable, beyond, listener, known };
        let mut dropped = 0;
        for (hook, priority, rules) in CASES {
            dropped +=
                director.try_rules(hook, *priority, rules).with_context(|| format!("{hook} {priority}: {rules}"))?;
        }
        ensure!(dropped > 30, "only {dropped} packets were dropped");
        Ok(())
    })
}

/// A director with a client and a server.
struct Director<'c> {
    cable: &'c Cable,
    beyond: Beyond,
    listener: TcpListener,
    known: bool,
}

impl Director<'_> {
    /// Loads rules, and tries packets of each kind. Returns how many of them are dropped.
    fn try_rules(&self, hook: &str, priority: i32, rules: &str) -> Result<usize> {
        nft(TRACKING)?;
        let (stream, accepted) = self.connect()?.context("a connection without rules")?;
        nft(&format!(
            "{TRACKING}\ntable ip f {{ chain i {{ type filter hook {hook} priority {priority}; udp dport 9 accept; {rules}; }}; }}"
        ))?;
        let firewall = Firewall::read()?;
        let mut outcomes = Vec::new();
        for (port, forwarding) in [
            (MASQUERADED, Forwarding::Masquerade),
            (DIRECT, Forwarding::DirectRoute),
            (TUNNELLED, Forwarding::Tunnel(Tunnel::Ipip)),
        ] {
            outcomes.extend(self.datagrams(&firewall, port, forwarding).with_context(|| format!("{forwarding:?}"))?);
        }
        outcomes.extend(self.tcp(&firewall, stream, accepted).context("TCP")?);
        Ok(outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Dropped(_))).count())
    }

    fn datagrams(&self, firewall: &Firewall, port: u16, forwarding: Forwarding) -> Result<Vec<Outcome>> {
        let Self { cable, beyond, known, .. } = self;
        let socket = cable.at_client(|| Ok(UdpSocket::bind((client(false, 0), cable.next_port()))?))?;
        socket.set_nonblocking(true)?;
        let from = socket.local_addr()?;
        let connection = Connection { protocol: Protocol::Udp, forwarding, port, client: from, known: *known };
        socket.send_to(b"?", (vip(false), port))?;
        self.settle()?;
        let (_, server) = find(&beyond.beyond, port)?;
        let received = server.recv_from(&mut [0; 8]).map(|(_, sender)| usize::from(sender == from));
        let request = arrived(received).context("a request")?;
        let mut outcomes =
            vec![check(firewall, &connection.request(Which::First, cable, beyond), request).context("a request")?];
        if request && forwarding == Forwarding::Masquerade {
            server.send_to(b"!", from)?;
            self.settle()?;
            let answer = arrived(socket.recv(&mut [0; 8]))?;
            let legs = connection.answer(Which::First, cable, beyond);
            outcomes.push(check(firewall, &legs, answer).context("an answer")?);
        }
        Ok(outcomes)
    }

    /// A new connection, and more packets of one from before the rules.
    fn tcp(&self, firewall: &Firewall, mut stream: TcpStream, mut accepted: TcpStream) -> Result<Vec<Outcome>> {
        let Self { cable, beyond, known, .. } = self;
        let connection = |client: SocketAddr| Connection {
            protocol: Protocol::Tcp,
            forwarding: Forwarding::Masquerade,
            port: MASQUERADED,
            client,
            known: *known,
        };
        let from = SocketAddr::new(client(false, 0), cable.next_port());
        let begun = cable.connect(from, SocketAddr::new(vip(false), MASQUERADED))?;
        self.settle()?;
        let connected = connection(from);
        let mut legs = connected.request(Which::First, cable, beyond);
        legs.extend(connected.answer(Which::First, cable, beyond));
        let mut outcomes = vec![check(firewall, &legs, begun.peer_addr().is_ok()).context("a connection")?];

        let known_one = connection(stream.local_addr()?);
        stream.write_all(b"?")?;
        self.settle()?;
        let request = arrived(accepted.read(&mut [0; 8]))?;
        let legs = known_one.request(Which::Later, cable, beyond);
        outcomes.push(check(firewall, &legs, request).context("a later request")?);
        accepted.write_all(b"!")?;
        self.settle()?;
        let answer = arrived(stream.read(&mut [0; 8]))?;
        let legs = known_one.answer(Which::Later, cable, beyond);
        outcomes.push(check(firewall, &legs, answer).context("a later answer")?);
        Ok(outcomes)
    }

    /// A connection from the client to the server, and its two ends.
    fn connect(&self) -> Result<Option<(TcpStream, TcpStream)>> {
        let from = SocketAddr::new(client(false, 0), self.cable.next_port());
        let stream = self.cable.connect(from, SocketAddr::new(vip(false), MASQUERADED))?;
        self.settle()?;
        loop {
            match self.listener.accept() {
                Ok((accepted, peer)) if peer == from => {
                    accepted.set_nonblocking(true)?;
                    return Ok(Some((stream, accepted)));
                }
                // Of an earlier case.
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Each hop may put a packet behind the sentinel.
    fn settle(&self) -> Result<()> {
        (0..4).try_for_each(|_| self.cable.settle())
    }
}

/// The doctor's words for a rule are those of the nft in the system's folders.
fn nft_by_path() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (fake, run) = (folder.path().join("nft"), folder.path().join("run"));
    fs::write(&fake, format!("#!/bin/sh\n: >{}\n", run.display()))?;
    fs::set_permissions(&fake, fs::Permissions::from_mode(0o755))?;
    with_a_vip(|| {
        nft("table ip f { chain i { type filter hook input priority 0; tcp dport 80 drop; }; }")?;
        let output = Command::new(support::ours()).arg("doctor").env("PATH", folder.path()).output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(said.contains("ip f i: tcp dport 80 drop # handle 2"), "{said}");
        ensure!(!run.exists(), "the nft that PATH names was run");
        Ok(())
    })
}

/// That packets which end connections late are dropped on the way in is a note. What is dropped on the way out is the fault.
fn a_note_hides_nothing() -> Result<()> {
    with_a_vip(|| {
        nft("table ip f {
                chain i { type filter hook input priority 0; ct state invalid drop; };
                chain o { type filter hook output priority 0; tcp dport 80 drop; };
            }")?;
        let said = support::run(&["doctor"], b"")?.stdout;
        ensure!(said.contains("FAIL  D14") && said.contains("ip f o: tcp dport 80 drop"), "{said}");
        ensure!(said.contains("the end of connections"), "{said}");
        Ok(())
    })
}

/// In a namespace with a VIP, and a service there with direct routing.
fn with_a_vip(work: impl FnOnce() -> Result<()> + Send) -> Result<()> {
    support::in_fresh_namespace(|| {
        command("ip", &["link", "add", "name", "vip0", "type", "dummy"], "")?;
        command("ip", &["addr", "add", "10.9.9.9/32", "dev", "vip0"], "")?;
        command("ip", &["link", "set", "vip0", "up"], "")?;
        support::succeed(&["-R"], b"-A -t 10.9.9.9:80 -s rr\n-a -t 10.9.9.9:80 -r 10.8.0.1 -g\n")?;
        work()
    })
}
