//! Which real server, and what it is like.

use std::net::IpAddr;

use ipvs_client::{Change, Checksum, Destination, DestinationKey, Family, Forwarding, Protocol, ServiceKey, Tunnel};

use crate::grammar::check::{OptionSet, together};
use crate::grammar::error::{Error, usage};
use crate::grammar::line::{Line, set, words_of};
use crate::grammar::request::Request;
use crate::grammar::table::{Command, Completion, OptionSpec, Value};
use crate::grammar::values;

/// The largest weight and threshold: that of a C `int`.
const LARGEST: u32 = i32::MAX as u32;
/// The kinds of tunnel.
const TUNNELS: [(&str, TunnelType); 3] =
    [("ipip", TunnelType::Ipip), ("gue", TunnelType::Gue), ("gre", TunnelType::Gre)];
/// The commands that say what a server is like.
const SERVERS: &[Command] = &[Command::AddServer, Command::EditServer];

pub(super) const OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        short: Some(b'r'),
        long: "real-server",
        value: Value::Required("RIP[:PORT]"),
        completion: Completion::Servers,
        with: &[Command::AddServer, Command::EditServer, Command::DeleteServer, Command::List],
        help: "The real server; the service's port if none is given, and another one only with -m",
        set: |line, value| {
            line.server.early = Some(value.text());
            line.early_values(false)
        },
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        short: Some(b'g'),
        long: "gatewaying",
        group: Some("forwarding-method"),
        with: SERVERS,
        help: "Forward by direct routing (DR), the default",
        set: |line, _| set(&mut line.server.method, Forwarding::DirectRoute),
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        short: Some(b'i'),
        long: "ipip",
        group: Some("forwarding-method"),
        with: SERVERS,
        help: "Forward by tunnelling",
        set: |line, _| set(&mut line.server.method, Forwarding::Tunnel(Tunnel::Ipip)),
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        short: Some(b'm'),
        long: "masquerading",
        group: Some("forwarding-method"),
        with: SERVERS,
        help: "Forward by masquerading (NAT)",
        set: |line, _| set(&mut line.server.method, Forwarding::Masquerade),
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        short: Some(b'w'),
        long: "weight",
        value: Value::Required("WEIGHT"),
        with: SERVERS,
        help: "The real server's share, 0 to 2147483647; 1 if not given, 0 for no new connections",
        set: |line, value| set(&mut line.server.weight, value.number(0, LARGEST, "illegal weight specified")?),
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        short: Some(b'x'),
        long: "u-threshold",
        value: Value::Required("CONNECTIONS"),
        with: SERVERS,
        help: "No new connections for the real server while it has this many; 0: no limit",
        set: |line, value| {
            set(&mut line.server.upper_threshold, value.number(0, LARGEST, "illegal u_threshold specified")?)
        },
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        short: Some(b'y'),
        long: "l-threshold",
        value: Value::Required("CONNECTIONS"),
        with: SERVERS,
        help: "After -x was reached, new connections again below this many; 0: three quarters of -x",
        set: |line, value| {
            set(&mut line.server.lower_threshold, value.number(0, LARGEST, "illegal l_threshold specified")?)
        },
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        long: "tun-type",
        value: Value::Required("ipip|gue|gre"),
        completion: Completion::Words(&words_of(&TUNNELS)),
        with: SERVERS,
        help: "The kind of tunnel for -i; ipip if not given",
        set: |line, value| {
            let known = TunnelType::named(value.text()).ok_or_else(|| usage("illegal tunnel type specified"))?;
            set(&mut line.server.tunnel_type, known)
        },
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        long: "tun-port",
        value: Value::Required("PORT"),
        with: SERVERS,
        help: "The UDP port of a gue tunnel",
        set: |line, value| {
            set(&mut line.server.tunnel_port, value.number(1, 65535, "illegal tunnel port specified")? as u16)
        },
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        long: "tun-nocsum",
        with: SERVERS,
        help: "No checksum in the tunnel, the default",
        ..OptionSpec::PLAIN
    },
    OptionSpec { long: "tun-csum", with: SERVERS, help: "A checksum in the tunnel (gue, gre)", ..OptionSpec::PLAIN },
    OptionSpec {
        long: "tun-remcsum",
        with: SERVERS,
        help: "Remote checksum offload in the tunnel (gue)",
        ..OptionSpec::PLAIN
    },
];

/// What the options of a real server said.
pub(in crate::grammar) struct ServerOptions<'w> {
    pub name: Option<(IpAddr, Option<u16>)>,
    method: Forwarding,
    pub weight: u32,
    upper_threshold: u32,
    lower_threshold: u32,
    tunnel_type: TunnelType,
    tunnel_port: u16,
    /// A name that was given before the protocol was known.
    pub early: Option<&'w [u8]>,
}

impl ServerOptions<'_> {
    pub const DEFAULT: Self = Self {
        name: None,
        method: Forwarding::DirectRoute,
        weight: 1,
        upper_threshold: 0,
        lower_threshold: 0,
        tunnel_type: TunnelType::Ipip,
        tunnel_port: 0,
        early: None,
    };
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum TunnelType {
    Ipip,
    Gue,
    Gre,
}

impl TunnelType {
    fn named(text: &[u8]) -> Option<Self> {
        TUNNELS.iter().find(|(word, _)| word.as_bytes() == text).map(|(_, kind)| *kind)
    }

    fn name(self) -> &'static str {
        TUNNELS.iter().find(|(_, kind)| *kind == self).map_or("", |(word, _)| word)
    }
}

impl Line<'_> {
    pub(super) fn read_server(&mut self, text: &[u8], protocol: Option<Protocol>) -> Result<(), Error> {
        let outcome = values::address_port(text, protocol, self.names);
        self.server.name = Some(self.known(outcome, text, "illegal real server address[:port] specified")?);
        Ok(())
    }

    /// The server's name as typed; without a port it has the service's.
    pub(super) fn server_key(&self, key: ServiceKey) -> Result<DestinationKey, Error> {
        let (address, port) = self.server.name.ok_or(Error::NoCommand)?;
        Ok(DestinationKey { address, port: port.or(key.port()).unwrap_or(0) })
    }

    pub(super) fn destination(&mut self, key: ServiceKey) -> Result<Destination, Error> {
        let mut server = self.server_key(key)?;
        let forwarding = self.forwarding(key, server)?;
        // Only masquerading can change the port; with the others the packet arrives as it was sent.
        if forwarding != Forwarding::Masquerade
            && let Some(port) = key.port()
        {
            self.replaced_port = (server.port != port).then_some(server.port);
            server.port = port;
        }
        Ok(Destination::new(server.address, server.port)
            .forwarding(forwarding)
            .weight(self.server.weight)
            .thresholds(self.server.upper_threshold, self.server.lower_threshold))
    }

    /// What the forwarding method and the tunnel's options come to.
    fn forwarding(&self, key: ServiceKey, server: DestinationKey) -> Result<Forwarding, Error> {
        const TYPE: OptionSet = OptionSet::of(&["tun-type"]);
        const PORT: OptionSet = OptionSet::of(&["tun-port"]);
        const NO_CHECKSUM: OptionSet = OptionSet::of(&["tun-nocsum"]);
        const CHECKSUM: OptionSet = OptionSet::of(&["tun-csum"]);
        const REMOTE_CHECKSUM: OptionSet = OptionSet::of(&["tun-remcsum"]);
        const CHECKSUMS: OptionSet = NO_CHECKSUM.with(CHECKSUM).with(REMOTE_CHECKSUM);
        const OF_TUNNELS: OptionSet = TYPE.with(PORT).with(CHECKSUMS);
        let given = self.given.and(OF_TUNNELS);
        let Forwarding::Tunnel(_) = self.server.method else {
            if Family::of(server.address) != key.family() {
                return Err(usage("Different address family is allowed only for tunneling servers"));
            }
            return match given.count() {
                0 => Ok(self.server.method),
                _ => Err(usage("Tunnel options conflict with forward method")),
            };
        };
        let kind = self.server.tunnel_type;
        let (required, allowed) = match kind {
            TunnelType::Ipip => (OptionSet::NONE, TYPE),
            TunnelType::Gue => (PORT, OF_TUNNELS),
            TunnelType::Gre => (OptionSet::NONE, TYPE.with(NO_CHECKSUM).with(CHECKSUM)),
        };
        together("tunnel type", kind.name(), given, required, allowed, CHECKSUMS)?;
        Ok(Forwarding::Tunnel(match kind {
            TunnelType::Ipip => Tunnel::Ipip,
            TunnelType::Gre => Tunnel::Gre { checksum: given.meets(CHECKSUM) },
            TunnelType::Gue => Tunnel::Gue {
                port: self.server.tunnel_port,
                checksum: if given.meets(CHECKSUM) {
                    Checksum::Full
                } else if given.meets(REMOTE_CHECKSUM) {
                    Checksum::Remote
                } else {
                    Checksum::None
                },
            },
        }))
    }
}

/// `-a`
pub(in crate::grammar) fn add(line: &mut Line<'_>) -> Result<Request, Error> {
    let key = line.key()?;
    line.destination(key).map(|server| Request::Change(Change::AddDestination(key, server)))
}

/// `-e`
pub(in crate::grammar) fn edit(line: &mut Line<'_>) -> Result<Request, Error> {
    let key = line.key()?;
    line.destination(key).map(|server| Request::Change(Change::EditDestination(key, server)))
}

/// `-d`
pub(in crate::grammar) fn delete(line: &mut Line<'_>) -> Result<Request, Error> {
    let key = line.key()?;
    Ok(Request::Change(Change::DeleteDestination(key, line.server_key(key)?)))
}
