//! Namespaces with cables between them, and packets through them.

use std::cell::Cell;
use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{fmt, fs, thread};

use anyhow::{Context as _, Result, bail, ensure};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, CpuSet, sched_setaffinity, setns, unshare};
use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, SockaddrStorage};
use nix::unistd::Pid;
use packet_filter::{Firewall, Hook, Interface, Outcome, Packet, Protocol, Way};

use crate::support;

/// Runs a program in this thread's namespace; it must succeed. Returns what it prints.
pub(super) fn command(program: &str, words: &[&str], input: &str) -> Result<String> {
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
pub(super) fn nft(rules: &str) -> Result<()> {
    command("nft", &["-f", "-"], &format!("flush ruleset\n{rules}\n")).map(drop)
}

/// Where connections come from: the first is that of everything else.
pub(super) const CLIENTS: [[u8; 4]; 3] = [[10, 9, 0, 2], [10, 9, 0, 3], [10, 9, 0, 66]];
/// Where they go to.
pub(super) const VIP: [u8; 4] = [10, 9, 0, 1];
/// Ports with a listener.
pub(super) const PORTS: [u16; 4] = [1000, 1001, 1002, 1003];
/// All rules let packets to this port through: what was sent before one that is there has been dealt with.
pub(super) const SENTINEL: u16 = 9;

pub(super) fn vip(v6: bool) -> IpAddr {
    if v6 { Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, 1).into() } else { Ipv4Addr::from(VIP).into() }
}

pub(super) fn client(v6: bool, number: usize) -> IpAddr {
    let octets = CLIENTS[number % CLIENTS.len()];
    if v6 {
        Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, u16::from(octets[3])).into()
    } else {
        Ipv4Addr::from(octets).into()
    }
}

/// Two namespaces, with a cable between them: the client's, and the server's with the rules, which the thread is in.
pub(super) struct Cable {
    pub(super) client: File,
    pub(super) server: File,
    pub(super) udp: Vec<(u16, UdpSocket)>,
    pub(super) tcp: Vec<(u16, TcpListener)>,
    pub(super) sentinel: (UdpSocket, UdpSocket),
    /// The next source port: every probe is a new connection.
    pub(super) port: Cell<u16>,
    pub(super) input: Interface,
}

/// How often it is tried whether a cable works already.
pub(super) const TRIES: u32 = 2000;

/// A probe: a connection's first packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Probe {
    pub(super) protocol: Protocol,
    pub(super) v6: bool,
    pub(super) client: usize,
    pub(super) port: u16,
}

/// Where a probe came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
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
pub(super) fn with_cable<T: Send>(work: impl FnOnce(&Cable) -> Result<T> + Send) -> Result<T> {
    support::in_fresh_namespace(|| {
        let cable = Cable::new()?;
        work(&cable)
    })
}

/// The namespace of this thread.
pub(super) fn namespace() -> Result<File> {
    Ok(File::open("/proc/thread-self/ns/net")?)
}

impl Cable {
    pub(super) fn new() -> Result<Self> {
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
    pub(super) fn warm_up(&self) -> Result<()> {
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
    pub(super) fn at_client<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        setns(self.client.as_fd(), CloneFlags::CLONE_NEWNET)?;
        let result = work();
        setns(self.server.as_fd(), CloneFlags::CLONE_NEWNET)?;
        result
    }

    /// Waits until all that was sent has been dealt with.
    pub(super) fn settle(&self) -> Result<()> {
        let (sender, receiver) = &self.sentinel;
        sender.send_to(b"!", (vip(false), SENTINEL)).context("sending the sentinel")?;
        let mut buffer = [0; 8];
        receiver.recv(&mut buffer).context("the sentinel does not arrive")?;
        Ok(())
    }

    pub(super) fn next_port(&self) -> u16 {
        let port = self.port.get();
        self.port.set(if port >= 60000 { 20000 } else { port + 1 });
        port
    }

    /// The packet that a probe is.
    pub(super) fn packet(&self, probe: Probe) -> Packet {
        self.vague(probe).from(client(probe.v6, probe.client))
    }

    /// The same, if it is not known where it comes from.
    pub(super) fn vague(&self, probe: Probe) -> Packet {
        Packet::first(probe.protocol, vip(probe.v6), probe.port).on(self.input.clone())
    }

    /// Sends a probe and sees where it comes out.
    pub(super) fn send(&self, probe: Probe, source_port: u16) -> Result<Arrival> {
        let from = SocketAddr::new(client(probe.v6, probe.client), source_port);
        let to = SocketAddr::new(vip(probe.v6), probe.port);
        match probe.protocol {
            Protocol::UDP => self.send_datagram(from, to),
            Protocol::TCP => self.send_connection(from, to),
            other => bail!("no probes of {other}"),
        }
    }

    pub(super) fn send_datagram(&self, from: SocketAddr, to: SocketAddr) -> Result<Arrival> {
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
    pub(super) fn begin(&self, from: SocketAddr, to: SocketAddr) -> Result<OwnedFd> {
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
    pub(super) fn connect(&self, from: SocketAddr, to: SocketAddr) -> Result<TcpStream> {
        self.begin(from, to).map(TcpStream::from)
    }

    pub(super) fn send_connection(&self, from: SocketAddr, to: SocketAddr) -> Result<Arrival> {
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
    pub(super) fn check(&self, firewall: &Firewall, probe: Probe) -> Result<Outcome> {
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

/// Whether an outcome is what became of a packet.
pub(super) fn ensure_so(outcome: &Outcome, arrived: bool) -> Result<()> {
    let so = match outcome {
        Outcome::Accepted => arrived,
        Outcome::Dropped(_) => !arrived,
        _ => true,
    };
    ensure!(so, "{outcome:?}, but it {}", if arrived { "arrived" } else { "did not arrive" });
    Ok(())
}

/// Turns connection tracking on.
pub(super) const TRACKING: &str =
    "table inet t { chain i { type filter hook input priority -400; ct state new counter; }; }";

/// A connection from a client, of which packets have passed in both directions.
pub(super) struct Flow {
    pub(super) probe: Probe,
    /// The client's.
    pub(super) port: u16,
    pub(super) ends: Ends,
}

/// Its two ends: the client's and the server's.
pub(super) enum Ends {
    Udp(UdpSocket),
    Tcp(TcpStream, TcpStream),
}

impl Flow {
    pub(super) fn open(cable: &Cable, probe: Probe) -> Result<Self> {
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
    pub(super) fn send(&mut self, cable: &Cable) -> Result<bool> {
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
    pub(super) fn answer(&mut self, cable: &Cable) -> Result<bool> {
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

pub(super) fn find<T>(sockets: &[(u16, T)], port: u16) -> Result<&(u16, T)> {
    sockets.iter().find(|(other, _)| *other == port).context("no such port")
}

/// Whether a socket that does not wait has received something.
pub(super) fn arrived(received: std::io::Result<usize>) -> Result<bool> {
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

/// Where a packet goes that does not stay.
#[derive(Clone, Copy, Debug)]
pub(super) enum Destination {
    /// From this machine to the client.
    Client,
    /// From the client through this machine.
    Beyond,
}

impl Destination {
    pub(super) fn hooks(self) -> &'static [Hook] {
        match self {
            Self::Client => &[Hook::Output, Hook::Postrouting],
            Self::Beyond => &[Hook::Ingress, Hook::Prerouting, Hook::Forward, Hook::Postrouting],
        }
    }

    pub(super) fn way(self) -> Way {
        match self {
            Self::Client => Way::sent(),
            Self::Beyond => Way::forwarded(),
        }
    }
}

/// A third namespace, on another cable of the server's.
pub(super) struct Beyond {
    pub(super) client: Vec<(u16, UdpSocket)>,
    pub(super) beyond: Vec<(u16, UdpSocket)>,
    pub(super) namespace: File,
    pub(super) output: Interface,
}

impl Beyond {
    pub(super) const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 8, 0, 1);
    /// The server's address there.
    pub(super) const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 8, 0, 254);

    pub(super) fn new(cable: &Cable) -> Result<Self> {
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
        let this = Self { client, beyond: beyond?, namespace, output };
        for destination in [Destination::Client, Destination::Beyond] {
            let arrives = || {
                thread::sleep(Duration::from_millis(10));
                this.send(cable, destination, 0, PORTS[0]).is_ok_and(|(_, arrived)| arrived)
            };
            ensure!((0..TRIES).any(|_| arrives()), "nothing gets through to {destination:?}");
        }
        Ok(this)
    }

    /// Does something in this namespace.
    pub(super) fn inside<T>(&self, cable: &Cable, work: impl FnOnce() -> Result<T>) -> Result<T> {
        setns(self.namespace.as_fd(), CloneFlags::CLONE_NEWNET)?;
        let result = work();
        setns(cable.server.as_fd(), CloneFlags::CLONE_NEWNET)?;
        result
    }

    /// Sends a datagram between this client, or the server, and this port. Returns what it was, and whether it arrived.
    pub(super) fn send(
        &self,
        cable: &Cable,
        destination: Destination,
        number: usize,
        port: u16,
    ) -> Result<(Packet, bool)> {
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
