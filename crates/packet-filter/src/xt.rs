//! Matches and targets of iptables inside nf_tables rules (`nft_compat`), as iptables-nft and arptables-nft write them.
//!
//! Their content is a C structure in host byte order, laid out by `linux/netfilter/xt_*.h`, `linux/netfilter/nf_nat.h` and
//! `linux/netfilter_arp/arpt_mangle.h`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What a packet must be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    /// A comment: always.
    Comment,
    /// The connection's state is one of these bits, those of `XT_CONNTRACK_STATE_BIT`.
    State { states: u32, inverted: bool },
    /// Ports in these ranges.
    Ports { source: PortRange, destination: PortRange },
    /// A port in any of these ranges.
    AnyPort { which: Which, ranges: Vec<(u16, u16)>, inverted: bool },
    /// TCP flags: of `mask` just these.
    TcpFlags { ports: (PortRange, PortRange), mask: u8, flags: u8, inverted: bool },
    /// The packet's mark.
    Mark { mark: u32, mask: u32, inverted: bool },
    /// Addresses in ranges.
    Addresses { source: Option<AddressRange>, destination: Option<AddressRange> },
    /// The destination's type is in this mask of `1 << RTN_*`.
    DestinationType { mask: u16, inverted: bool },
    /// To whom the frame was sent, `PACKET_*`.
    PacketType { kind: u32, inverted: bool },
    /// Any other.
    Other(String),
}

/// Addresses from one to another, or all but them. The kernel has 16 bytes for each, of which IPv4 uses the first 4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressRange {
    /// The first.
    pub from: Vec<u8>,
    /// The last.
    pub to: Vec<u8>,
    /// All but them.
    pub inverted: bool,
}

/// Ports from one to another, or all but them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    /// The first.
    pub from: u16,
    /// The last.
    pub to: u16,
    /// All but them.
    pub inverted: bool,
}

impl PortRange {
    /// Whether all ports are in it.
    pub fn is_any(&self) -> bool {
        (self.from, self.to, self.inverted) == (0, u16::MAX, false)
    }
}

/// `XT_MULTIPORT_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The source port.
    Source,
    /// The destination port.
    Destination,
    /// Either.
    Either,
}

/// `XT_CONNTRACK_STATE_UNTRACKED`. The others are those of nf_tables.
pub const STATE_UNTRACKED: u32 = 1 << 8;

/// What happens to a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// It is dropped, with an answer.
    Reject,
    /// Nothing that decides anything.
    Continue,
    /// `mark = (mark & !mask) ^ bits`.
    Mark { bits: u32, mask: u32 },
    /// The marks of packet and connection become something else.
    AnyMark,
    /// It goes without connection tracking.
    NoTrack,
    /// Its destination becomes this.
    Destination { address: Option<IpAddr>, port: Option<u16> },
    /// It goes to this machine itself, to this port.
    Redirect { port: Option<u16> },
    /// Its source becomes another; done with this base chain.
    Source,
    /// In an ARP packet the addresses become these, and then as the verdict says.
    Mangle { source: Option<Ipv4Addr>, target: Option<Ipv4Addr>, then: Then },
    /// Any other.
    Other(String),
}

/// What follows a mangled ARP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It is accepted.
    Accept,
    /// It is dropped.
    Drop,
    /// The next rule.
    Continue,
}

impl Match {
    /// From name, revision and content.
    pub fn decode(name: &str, revision: u32, content: &[u8]) -> Self {
        let read = Content(content);
        Self::known(name, revision, &read).unwrap_or_else(|| Self::Other(name.to_owned()))
    }

    fn known(name: &str, revision: u32, read: &Content<'_>) -> Option<Self> {
        Some(match (name, revision) {
            ("comment", _) => Self::Comment,
            ("conntrack", 1..=3) => {
                // Behind eight addresses of 16 bytes, two times, a protocol and four ports.
                const FLAGS: usize = 8 * 16 + 2 * 4 + 2 + 4 * 2;
                const STATE: u16 = 1;
                const STATE_ALIAS: u16 = 1 << 13;
                (read.u16(FLAGS)? & !STATE_ALIAS == STATE).then_some(())?;
                let states = match revision {
                    1 => u32::from(read.u8(FLAGS + 4)?),
                    _ => u32::from(read.u16(FLAGS + 4)?),
                };
                Self::State { states, inverted: read.u16(FLAGS + 2)? & STATE != 0 }
            }
            ("state", 0) => {
                /// `XT_STATE_UNTRACKED`.
                const UNTRACKED: u32 = 1 << 6;
                let states = read.u32(0)?;
                let untracked = if states & UNTRACKED != 0 { STATE_UNTRACKED } else { 0 };
                Self::State { states: states & !UNTRACKED | untracked, inverted: false }
            }
            ("tcp", 0) => {
                const OPTION: usize = 8;
                (read.u8(OPTION)? == 0).then_some(())?;
                let inverted = read.u8(OPTION + 3)?;
                Self::TcpFlags {
                    ports: (read.ports(0, inverted & 1 != 0)?, read.ports(4, inverted & 2 != 0)?),
                    mask: read.u8(OPTION + 1)?,
                    flags: read.u8(OPTION + 2)?,
                    inverted: inverted & 4 != 0,
                }
            }
            ("udp", 0) => {
                let inverted = read.u8(8)?;
                Self::Ports {
                    source: read.ports(0, inverted & 1 != 0)?,
                    destination: read.ports(4, inverted & 2 != 0)?,
                }
            }
            ("multiport", 1) => {
                const MOST: usize = 15;
                let which = match read.u8(0)? {
                    0 => Which::Source,
                    1 => Which::Destination,
                    2 => Which::Either,
                    _ => return None,
                };
                let count = usize::from(read.u8(1)?).min(MOST);
                let mut ranges = Vec::new();
                let mut index = 0;
                while index < count {
                    let first = read.u16(2 + 2 * index)?;
                    // The flag means that the next port is the range's end.
                    let ranged = read.u8(2 + 2 * MOST + index)? != 0;
                    index += 1 + usize::from(ranged);
                    ranges.push((first, if ranged { read.u16(2 * index)? } else { first }));
                }
                Self::AnyPort { which, ranges, inverted: read.u8(2 + 3 * MOST)? != 0 }
            }
            ("mark", 1) => Self::Mark { mark: read.u32(0)?, mask: read.u32(4)?, inverted: read.u8(8)? != 0 },
            ("iprange", 1) => {
                let flags = read.u8(64)?;
                let range = |flag: u8, at: usize| -> Option<Option<AddressRange>> {
                    if flags & flag == 0 {
                        return Some(None);
                    }
                    let (from, to) = (read.0.get(at..at + 16)?, read.0.get(at + 16..at + 32)?);
                    let inverted = flags & (flag << 4) != 0;
                    Some(Some(AddressRange { from: from.to_vec(), to: to.to_vec(), inverted }))
                };
                Self::Addresses { source: range(1, 0)?, destination: range(2, 32)? }
            }
            ("addrtype", 1) => {
                const INVERT_DESTINATION: u32 = 2;
                let (source, mask, flags) = (read.u16(0)?, read.u16(2)?, read.u32(4)?);
                (source == 0 && flags & !INVERT_DESTINATION == 0).then_some(())?;
                Self::DestinationType { mask, inverted: flags & INVERT_DESTINATION != 0 }
            }
            ("pkttype", 0) => Self::PacketType { kind: read.u32(0)?, inverted: read.u32(4)? != 0 },
            _ => return None,
        })
    }
}

impl Target {
    /// From name, revision and content.
    pub fn decode(name: &str, revision: u32, content: &[u8]) -> Self {
        let read = Content(content);
        Self::known(name, revision, &read).unwrap_or_else(|| Self::Other(name.to_owned()))
    }

    fn known(name: &str, revision: u32, read: &Content<'_>) -> Option<Self> {
        /// `NF_NAT_RANGE_MAP_IPS`.
        const ADDRESS: u32 = 1;
        /// `NF_NAT_RANGE_PROTO_SPECIFIED`.
        const PORT: u32 = 2;
        Some(match (name, revision) {
            ("REJECT", _) => Self::Reject,
            (
                "LOG" | "NFLOG" | "AUDIT" | "TRACE" | "CLASSIFY" | "DSCP" | "TOS" | "TTL" | "HL" | "CHECKSUM"
                | "TCPMSS" | "SECMARK" | "CONNSECMARK" | "TEE" | "RATEEST" | "IDLETIMER" | "LED" | "ECN",
                _,
            ) => Self::Continue,
            ("MARK", 2) => Self::Mark { bits: read.u32(0)?, mask: read.u32(4)? },
            ("MARK" | "CONNMARK", _) => Self::AnyMark,
            ("NOTRACK", _) => Self::NoTrack,
            // struct xt_ct_target_info begins with its flags; XT_CT_NOTRACK is 1.
            ("CT", _) if read.u16(0)? & 1 != 0 => Self::NoTrack,
            ("CT", _) => Self::Continue,
            ("SNAT" | "MASQUERADE", _) => Self::Source,
            // struct nf_nat_ipv4_multi_range_compat
            ("DNAT" | "REDIRECT", 0) if read.0.len() < 40 && read.u32(0)? == 1 => {
                let flags = read.u32(4)?;
                let address = Ipv4Addr::from(read.array::<4>(8)?);
                let port = (flags & PORT != 0).then_some(u16::from_be_bytes(read.array(16)?));
                match name {
                    "REDIRECT" => Self::Redirect { port },
                    _ => Self::Destination { address: (flags & ADDRESS != 0).then_some(address.into()), port },
                }
            }
            // For IPv6 the same revision has another structure.
            ("REDIRECT", 0) if read.0.len() >= 40 => {
                let port = read.u32(0)? & PORT != 0;
                Self::Redirect { port: port.then_some(u16::from_be_bytes(read.array(36)?)) }
            }
            // struct nf_nat_range, which does not have the family: iptables' own rules leave the rest of an IPv4 address 0.
            ("DNAT", 1 | 2) => {
                let flags = read.u32(0)?;
                let address = read.array::<16>(4)?;
                let address = match address {
                    [a, b, c, d, rest @ ..] if rest == [0; 12] => IpAddr::from([a, b, c, d]),
                    address => IpAddr::from(Ipv6Addr::from(address)),
                };
                let port = (flags & PORT != 0).then_some(u16::from_be_bytes(read.array(36)?));
                Self::Destination { address: (flags & ADDRESS != 0).then_some(address), port }
            }
            ("mangle", 0) => {
                const SOURCE: u8 = 4;
                const TARGET: u8 = 8;
                let flags = read.u8(40)?;
                let address = |flag: u8, at: usize| -> Option<Option<Ipv4Addr>> {
                    Some(if flags & flag == 0 { None } else { Some(read.array::<4>(at)?.into()) })
                };
                Self::Mangle {
                    source: address(SOURCE, 32)?,
                    target: address(TARGET, 36)?,
                    then: match read.u32(44)?.cast_signed() {
                        0 => Then::Drop,
                        1 => Then::Accept,
                        -1 => Then::Continue,
                        _ => return None,
                    },
                }
            }
            _ => return None,
        })
    }
}

/// The bytes of a C structure.
struct Content<'a>(&'a [u8]);

impl Content<'_> {
    fn array<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.0.get(at..)?.first_chunk().copied()
    }

    fn u8(&self, at: usize) -> Option<u8> {
        self.0.get(at).copied()
    }

    fn u16(&self, at: usize) -> Option<u16> {
        self.array(at).map(u16::from_ne_bytes)
    }

    fn u32(&self, at: usize) -> Option<u32> {
        self.array(at).map(u32::from_ne_bytes)
    }

    fn ports(&self, at: usize, inverted: bool) -> Option<PortRange> {
        Some(PortRange { from: self.u16(at)?, to: self.u16(at + 2)?, inverted })
    }
}
