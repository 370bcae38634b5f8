//! Packets that questions are about.

use std::fmt;
use std::net::IpAddr;

use crate::numbers::ct;

/// A protocol over IP, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Protocol(pub u8);

impl Protocol {
    /// ICMP.
    pub const ICMP: Self = Self(1);
    /// IPv4 in IP: a tunnel's packets.
    pub const IPIP: Self = Self(4);
    /// TCP.
    pub const TCP: Self = Self(6);
    /// UDP.
    pub const UDP: Self = Self(17);
    /// ICMPv6.
    pub const ICMPV6: Self = Self(58);
    /// VRRP.
    pub const VRRP: Self = Self(112);
    /// SCTP.
    pub const SCTP: Self = Self(132);

    /// Whether the transport header begins with two ports.
    pub(super) fn has_ports(self) -> bool {
        matches!(self, Self::TCP | Self::UDP | Self::SCTP)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ICMP => f.pad("icmp"),
            Self::IPIP => f.pad("ipencap"),
            Self::TCP => f.pad("tcp"),
            Self::UDP => f.pad("udp"),
            Self::ICMPV6 => f.pad("icmpv6"),
            Self::VRRP => f.pad("vrrp"),
            Self::SCTP => f.pad("sctp"),
            Self(number) => number.fmt(f),
        }
    }
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its number. Without it a rule that compares numbers (`iif`) has no certain answer.
    pub index: Option<u32>,
}

/// The state that connection tracking gives a packet (`ct state`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// The first packet of a connection.
    New,
    /// A packet of a connection of which packets of both directions have passed.
    Established,
    /// A packet that has to do with another connection, such as an ICMP error.
    Related,
    /// A packet of no known connection, such as one in the middle of a connection of which only one half passes here.
    Invalid,
    /// A packet that connection tracking ignores.
    Untracked,
}

impl State {
    /// `NF_CT_STATE_BIT`
    pub(super) const fn bit(self) -> u32 {
        match self {
            Self::New => ct::NEW,
            Self::Established => ct::ESTABLISHED,
            Self::Related => ct::RELATED,
            Self::Invalid => ct::INVALID,
            Self::Untracked => ct::UNTRACKED,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::New => "new",
            Self::Established => "established",
            Self::Related => "related",
            Self::Invalid => "invalid",
            Self::Untracked => "untracked",
        })
    }
}

/// Which packet of a connection it is. Of TCP it shows in the flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    First,
    Answer,
    Later,
}

/// A packet. What is left open may be anything; if it makes a difference, the answer is
/// [`Outcome::Unknown`](crate::Outcome::Unknown) and names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    pub(super) protocol: Protocol,
    pub(super) source: Option<IpAddr>,
    pub(super) source_port: Option<u16>,
    pub(super) destination: IpAddr,
    pub(super) port: Option<u16>,
    pub(super) input: Option<Interface>,
    pub(super) output: Option<Interface>,
    pub(super) mark: u32,
    pub(super) phase: Phase,
    pub(super) state: State,
    pub(super) tracked: bool,
    pub(super) local: bool,
}

impl Packet {
    /// The first packet of a connection to this address and port.
    #[must_use]
    pub fn first(protocol: Protocol, destination: IpAddr, port: u16) -> Self {
        Self { port: Some(port), ..Self::to(protocol, destination) }
    }

    /// The first packet of its kind to this address, of a protocol without ports.
    #[must_use]
    pub fn to(protocol: Protocol, destination: IpAddr) -> Self {
        Self {
            protocol,
            source: None,
            source_port: None,
            destination,
            port: None,
            input: None,
            output: None,
            mark: 0,
            phase: Phase::First,
            state: State::New,
            tracked: false,
            local: false,
        }
    }

    /// From this address, of the same family as the destination.
    #[must_use]
    pub fn from(self, source: IpAddr) -> Self {
        Self { source: Some(source), ..self }
    }

    /// From this port.
    #[must_use]
    pub fn from_port(self, port: u16) -> Self {
        Self { source_port: Some(port), ..self }
    }

    /// It comes in on this interface. Rules in output do not see that, those in postrouting do (since Linux 5.7); a packet
    /// that a part of the kernel sends on has it there, too.
    #[must_use]
    pub fn on(self, input: Interface) -> Self {
        Self { input: Some(input), ..self }
    }

    /// It goes out by this interface.
    #[must_use]
    pub fn out(self, output: Interface) -> Self {
        Self { output: Some(output), ..self }
    }

    /// It has this mark to begin with; otherwise 0.
    #[must_use]
    pub fn marked(self, mark: u32) -> Self {
        Self { mark, ..self }
    }

    /// It is the answer to the first packet of a connection: of TCP, SYN and ACK.
    #[must_use]
    pub fn answer(self) -> Self {
        Self { phase: Phase::Answer, ..self }
    }

    /// It is a packet after the first two of a connection, and not its last: of TCP, ACK without SYN, FIN and RST.
    #[must_use]
    pub fn later(self) -> Self {
        Self { phase: Phase::Later, ..self }
    }

    /// Connection tracking gives it this state, as soon as it has seen it: after priority -200 of prerouting or output. Up to
    /// then a packet is invalid to rules, if it is not untracked.
    #[must_use]
    pub fn in_state(self, state: State) -> Self {
        Self { state, ..self }
    }

    /// Connection tracking has seen it before the first hook that is asked about: a part of the kernel sends on what came in.
    #[must_use]
    pub fn tracked_before(self) -> Self {
        Self { tracked: true, ..self }
    }

    /// Its destination is an address of this machine, wherever it goes. A packet that comes to input is that anyway.
    #[must_use]
    pub fn to_own_address(self) -> Self {
        Self { local: true, ..self }
    }
}
