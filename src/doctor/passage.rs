//! What the packet filter does with packets: facts, as they are read.

use std::fmt;
use std::net::IpAddr;

use super::fact::Fact;
use super::judgement::State;

/// Where a packet is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// To IPVS, or to the program that serves clients.
    In,
    /// From IPVS to a real server.
    SentOn,
    /// From a masqueraded server to IPVS, and on to the client.
    Answer,
    /// From a program here to the client.
    Out,
}

/// A transport or other protocol over IP, by its name as iptables(8) and nft(8) take it, or by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverIp(pub &'static str);

impl OverIp {
    /// IPv4 in IP: a tunnel's packets.
    pub const IPIP: Self = Self("4");
    /// GRE.
    pub const GRE: Self = Self("47");
    /// VRRP.
    pub const VRRP: Self = Self("112");

    /// Whether its packets have ports.
    #[must_use]
    pub fn has_ports(self) -> bool {
        matches!(self.0, "tcp" | "udp" | "sctp")
    }

    /// The name of it that firewalld takes.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::IPIP => "ipencap",
            Self::GRE => "gre",
            Self::VRRP => "vrrp",
            Self(name) => name,
        }
    }
}

impl fmt::Display for OverIp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// What tells these packets from others: as much as a rule that lets them through has to name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// The protocol.
    pub protocol: OverIp,
    /// The source address, where that is what they have in common.
    pub source: Option<IpAddr>,
    /// The source port.
    pub source_port: Option<u16>,
    /// The destination address.
    pub destination: Option<IpAddr>,
    /// The destination port.
    pub port: Option<u16>,
}

impl Selector {
    /// Whether the packets are of IPv6.
    #[must_use]
    pub fn is_ipv6(&self) -> bool {
        self.source.or(self.destination).is_some_and(|address| address.is_ipv6())
    }
}

/// A rule, or the policy of a base chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RulePlace {
    /// The table's family, as nft(8) has it.
    pub family: String,
    /// The table.
    pub table: String,
    /// The chain.
    pub chain: String,
    /// The rule's number; None for a policy.
    pub handle: Option<u64>,
    /// Whether all of these names can be typed.
    pub can_be_typed: bool,
    /// Whether iptables(8) keeps the table.
    pub is_iptables: bool,
    /// Whether Docker has its chain for users' rules in the table.
    pub has_docker_user: bool,
}

/// What the rules of a packet filter do with a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is let through.
    Accepted,
    /// It is not.
    Stopped {
        /// What is done with it: "dropped".
        how: String,
        /// The rule or policy that does it, and where it stands, in words.
        rule: String,
        /// The same for a command; None if it is not known.
        place: Option<RulePlace>,
    },
    /// It gets another destination.
    Redirected {
        /// The address; None if it is the interface's own, or not known.
        address: Option<IpAddr>,
        /// The port, if it is another.
        port: Option<u16>,
        /// The rule that does it, in words.
        rule: String,
        /// What becomes of it there.
        then: Box<Fate>,
    },
    /// It depends on what is not known, such as the client: in words.
    Depends(String),
}

/// A packet and what the packet filter does with it.
#[derive(Clone, Debug)]
pub struct Passage {
    /// The virtual address that it is about, if it is about one.
    pub vip: Option<IpAddr>,
    /// The packet in words: "tcp to 192.0.2.1:80".
    pub packet: String,
    /// Where it is.
    pub stage: Stage,
    /// What tells it from others.
    pub selector: Selector,
    /// The interface that it comes in by, if that is known.
    pub input: Option<String>,
    /// How bad it is if it does not get through: worse where its port was named, or is one that only the virtual address is
    /// listened on.
    pub weight: State,
    /// Whether it would get through if connection tracking knew IPVS's connections (`net.ipv4.vs.conntrack`).
    pub passes_if_tracked: bool,
    /// Whether another destination takes it away from IPVS.
    pub taken_from_ipvs: bool,
    /// What happens to it.
    pub fate: Fact<Fate>,
}

/// What the rules for ARP do about a virtual address on an interface.
#[derive(Clone, Debug)]
pub struct ArpPassage {
    /// The virtual address.
    pub vip: IpAddr,
    /// The interface.
    pub interface: String,
    /// With questions for it that come in.
    pub incoming: Fact<Fate>,
    /// With what goes out and has it as its sender.
    pub outgoing: Fact<Fate>,
}
