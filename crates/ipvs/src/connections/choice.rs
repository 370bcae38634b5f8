//! Which connections, in what order, and what they are counted by.

use std::cmp::Ordering;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::{Connection, Origin, Word};
use crate::model::ServiceKey;

/// Which connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Only those to this virtual service; port 0 is any port. Of a service by mark there are none, because a connection
    /// does not show its mark.
    pub service: Option<ServiceKey>,
    /// Only those to this real server, at this port or at any.
    pub server: Option<(IpAddr, Option<u16>)>,
    /// Only those of these clients.
    pub client: Option<Network>,
    /// Only those in this state, by the kernel's name.
    pub state: Option<Word>,
    /// Only those made so.
    pub origin: Option<Origin>,
    /// Only those that are forgotten within this number of seconds unless packets come.
    pub expires_within: Option<u32>,
}

/// The kernel's names of states: of TCP, UDP, SCTP and persistence templates (`ip_vs_proto_tcp.c`, `ip_vs_proto_udp.c`,
/// `ip_vs_proto_sctp.c`, `ip_vs_state_name`).
pub const STATES: [&str; 25] = [
    "NONE",
    "ESTABLISHED",
    "SYN_SENT",
    "SYN_RECV",
    "FIN_WAIT",
    "TIME_WAIT",
    "CLOSE",
    "CLOSE_WAIT",
    "LAST_ACK",
    "LISTEN",
    "SYNACK",
    "UDP",
    "INIT1",
    "INIT",
    "COOKIE_SENT",
    "COOKIE_REPLIED",
    "COOKIE_WAIT",
    "COOKIE",
    "COOKIE_ECHOED",
    "SHUTDOWN_SENT",
    "SHUTDOWN_RECEIVED",
    "SHUTDOWN_ACK_SENT",
    "REJECTED",
    "CLOSED",
    "ASSURED",
];

impl Choice {
    /// All of them.
    pub const ALL: Self =
        Self { service: None, server: None, client: None, state: None, origin: None, expires_within: None };

    /// Whether it is one of these.
    #[must_use]
    pub fn has(&self, connection: &Connection) -> bool {
        let of_service = match self.service {
            Some(ServiceKey::Address { protocol, address, port }) => {
                connection.virtual_address.0 == address
                    && (port == 0 || connection.virtual_address.1 == port)
                    && connection.protocol.as_bytes() == protocol.name().as_bytes()
            }
            Some(ServiceKey::Mark { .. }) => false,
            None => true,
        };
        let of_server = self.server.is_none_or(|(address, port)| {
            connection.destination.0 == address && port.is_none_or(|port| connection.destination.1 == port)
        });
        let of_client = self.client.is_none_or(|client| client.has(connection.source.0));
        of_service
            && of_server
            && of_client
            && self.state.is_none_or(|state| connection.state == state)
            && self.origin.is_none_or(|origin| connection.origin == origin)
            && self.expires_within.is_none_or(|seconds| connection.expires <= seconds)
    }
}

/// The addresses that begin as one of them does: `10.0.0.0/8`, `2001:db8::/32`, or an address alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    /// The number of bits that count.
    prefix: u32,
}

impl Network {
    /// Whether this address is one of them.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(ours), IpAddr::V4(other)) => {
                let differing = ours.to_bits() ^ other.to_bits();
                differing.leading_zeros() >= self.prefix
            }
            (IpAddr::V6(ours), IpAddr::V6(other)) => {
                let differing = ours.to_bits() ^ other.to_bits();
                differing.leading_zeros() >= self.prefix
            }
            _ => false,
        }
    }
}

/// A text that is not a [`Network`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadNetwork;

impl fmt::Display for BadNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an address, or an address with the length of a prefix")
    }
}

impl std::error::Error for BadNetwork {}

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| BadNetwork)?;
        let bits = if address.is_ipv4() { u32::BITS } else { u128::BITS };
        let prefix = match prefix {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().map_err(|_| BadNetwork)?
            }
            Some(_) => return Err(BadNetwork),
            None => bits,
        };
        if prefix <= bits { Ok(Self { address, prefix }) } else { Err(BadNetwork) }
    }
}

/// What connections are sorted or counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionKey {
    /// The kernel's state of it.
    State,
    /// The real server's address and port.
    Server,
    /// The client's address; sorted, with its port.
    Client,
    /// The time until it is forgotten. Nothing is counted by it.
    Expires,
}

impl Connection {
    /// The order by this key; what is equal by it comes in order of client, virtual address and server.
    #[must_use]
    pub fn order(&self, other: &Self, key: ConnectionKey) -> Ordering {
        let rest = |c: &Self| (c.source, c.virtual_address, c.destination);
        match key {
            ConnectionKey::State => self.state.as_bytes().cmp(other.state.as_bytes()),
            ConnectionKey::Server => self.destination.cmp(&other.destination),
            ConnectionKey::Client => Ordering::Equal,
            ConnectionKey::Expires => self.expires.cmp(&other.expires),
        }
        .then_with(|| rest(self).cmp(&rest(other)))
    }
}

/// What connections are counted by: one thing, or two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountKeys {
    /// The first.
    pub first: ConnectionKey,
    /// The second, if there is one.
    pub second: Option<ConnectionKey>,
}

/// How many connections there are of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// What they have in common.
    pub of: Counted,
    /// What else they have in common, where they are counted by two things.
    pub and: Option<Counted>,
    /// How many.
    pub connections: u64,
}

impl Count {
    /// All that they have in common.
    pub fn parts(&self) -> impl Iterator<Item = &Counted> {
        std::iter::once(&self.of).chain(&self.and)
    }
}

/// What connections that are counted together have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Counted {
    /// Their state.
    State(Word),
    /// The client's address.
    Client(IpAddr),
    /// The real server's address and port.
    Server(IpAddr, u16),
}

impl Counted {
    /// The address, if it is one.
    #[must_use]
    pub const fn address(&self) -> Option<IpAddr> {
        match *self {
            Self::State(_) => None,
            Self::Client(address) | Self::Server(address, _) => Some(address),
        }
    }
}
