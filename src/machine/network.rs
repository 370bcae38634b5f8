//! What rtnetlink reports, as plain values. Numbers are in host byte order; an index is the interface's number in its
//! network namespace.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipvs_client::Family;

use super::numbers::{
    AddressFlags, LinkFlags, NeighbourState, OperationalState, RouteKind, RouteProtocol, RuleAction, Scope,
};

/// The address of an interface or neighbour on its medium: a MAC address of 6 bytes on Ethernet, an IPv4 address on an
/// IPIP tunnel, 20 bytes on InfiniBand. Printed as `02:00:00:00:00:fe`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HardwareAddress(pub Vec<u8>);

impl fmt::Display for HardwareAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            write!(f, "{}{byte:02x}", if index == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

/// A range of addresses: an address and how many of its leading bits count. Printed as `192.0.2.0/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Prefix {
    /// The address.
    pub address: IpAddr,
    /// Bits that count: 0 to 32 or 128.
    pub length: u8,
}

impl Prefix {
    /// Just this address.
    #[must_use]
    pub const fn host(address: IpAddr) -> Self {
        let length = match address {
            IpAddr::V4(_) => 32,
            IpAddr::V6(_) => 128,
        };
        Self { address, length }
    }

    /// All addresses of a family: where a default route leads.
    #[must_use]
    pub const fn all(family: Family) -> Self {
        let address = match family {
            Family::Ipv4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Family::Ipv6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        Self { address, length: 0 }
    }

    /// Whether this is a single address.
    #[must_use]
    pub const fn is_host(&self) -> bool {
        self.length == Self::host(self.address).length
    }

    /// Whether an address is in the range.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        // Shifted as far as the width, all bits are gone: then nothing counts, and all is equal.
        match (self.address, address) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                let shift = 32 - u32::from(self.length).min(32);
                a.to_bits().checked_shr(shift) == b.to_bits().checked_shr(shift)
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                let shift = 128 - u32::from(self.length).min(128);
                a.to_bits().checked_shr(shift) == b.to_bits().checked_shr(shift)
            }
            _ => false,
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub index: u32,
    /// Its name. Bytes that are no UTF-8 are replaced.
    pub name: String,
    /// Its flags.
    pub flags: LinkFlags,
    /// Its medium, `ARPHRD_*` of `linux/if_arp.h`: 1 for Ethernet, 772 for loopback.
    pub medium: u16,
    /// The driver's kind, as `bridge`, `dummy`, `ipip`, `veth`. None for hardware and loopback.
    pub kind: Option<String>,
    /// The largest packet, in bytes.
    pub mtu: u32,
    /// Its own address on the medium.
    pub address: Option<HardwareAddress>,
    /// Whether it works.
    pub state: OperationalState,
    /// The number of the bridge, bond or VRF it belongs to.
    pub master: Option<u32>,
    /// The number of the link below it, for a VLAN or a tunnel, or of the peer of a veth. It may be one of another network
    /// namespace.
    pub lower: Option<u32>,
}

impl Link {
    /// The VRF that it is a member of, if it is: that has a table of routes of its own. `links` are all of this host.
    #[must_use]
    pub fn vrf<'l>(&self, links: &'l [Link]) -> Option<&'l Link> {
        links.iter().find(|other| self.master == Some(other.index) && other.kind.as_deref() == Some("vrf"))
    }
}

/// An address of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The number of its interface.
    pub index: u32,
    /// The host's own address.
    pub address: IpAddr,
    /// How many leading bits name the network.
    pub prefix: u8,
    /// The other end's address, on a link of two ends; the prefix is that of the peer then.
    pub peer: Option<IpAddr>,
    /// The broadcast address, if it has one (IPv4).
    pub broadcast: Option<IpAddr>,
    /// The label, as `lo:0` (IPv4; the kernel takes the interface's name if there is none).
    pub label: Option<String>,
    /// How far it is valid.
    pub scope: Scope,
    /// Its flags.
    pub flags: AddressFlags,
    /// Seconds until it vanishes. None: for ever.
    pub valid: Option<u32>,
    /// Seconds until it is deprecated: no longer what connections of this host begin with. None: never.
    pub preferred: Option<u32>,
}

impl Address {
    /// An address as `ip address add ADDRESS/32 dev …` (or `/128`) makes it.
    #[must_use]
    pub const fn host(index: u32, address: IpAddr) -> Self {
        Self {
            index,
            address,
            prefix: Prefix::host(address).length,
            peer: None,
            broadcast: None,
            label: None,
            scope: Scope::Universe,
            flags: AddressFlags(0),
            valid: None,
            preferred: None,
        }
    }
}

/// One of several ways of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextHop {
    /// The number of the interface.
    pub output: u32,
    /// The gateway, if it is not on the link.
    pub gateway: Option<IpAddr>,
    /// Its share, beginning with 1.
    pub weight: u32,
}

/// A route, as it stands in a table or as the answer to a [`RouteQuery`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where it leads. Its address says the family.
    pub destination: Prefix,
    /// Whence the packets have to come (IPv6).
    pub source: Option<Prefix>,
    /// What it does.
    pub kind: RouteKind,
    /// The table: see [`Route::MAIN`] and [`Route::LOCAL`].
    pub table: u32,
    /// Who set it.
    pub protocol: RouteProtocol,
    /// How far away the destination is.
    pub scope: Scope,
    /// The gateway, if the destination is not on the link. It can be of the other family.
    pub gateway: Option<IpAddr>,
    /// The number of the interface that packets leave by.
    pub output: Option<u32>,
    /// The source address for packets that have none yet.
    pub preferred_source: Option<IpAddr>,
    /// The metric: of several routes to a destination the one with the smallest is used.
    pub priority: Option<u32>,
    /// The ways, if there are several.
    pub next_hops: Vec<NextHop>,
    /// `RTNH_F_*` and `RTM_F_*` of `linux/rtnetlink.h`. Not used when adding.
    pub flags: u32,
}

impl Route {
    /// The table that is looked into if no rule says otherwise, `RT_TABLE_MAIN`.
    pub const MAIN: u32 = 254;
    /// The table of the host's own addresses, kept by the kernel, `RT_TABLE_LOCAL`.
    pub const LOCAL: u32 = 255;

    /// A route as `ip route add DESTINATION dev …` makes it in the table main.
    #[must_use]
    pub const fn on_link(destination: Prefix, output: u32) -> Self {
        Self {
            destination,
            source: None,
            kind: RouteKind::Unicast,
            table: Self::MAIN,
            protocol: RouteProtocol::Boot,
            scope: match destination.address {
                IpAddr::V4(_) => Scope::Link,
                // IPv6 has no such thing.
                IpAddr::V6(_) => Scope::Universe,
            },
            gateway: None,
            output: Some(output),
            preferred_source: None,
            priority: None,
            next_hops: Vec::new(),
            flags: 0,
        }
    }
}

/// A question to the kernel: which route would such a packet take?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteQuery {
    /// Its destination.
    pub to: IpAddr,
    /// Its source. None: not chosen yet.
    pub from: Option<IpAddr>,
    /// The number of the interface it came in by. None: it is from this host.
    pub input: Option<u32>,
    /// The number of the interface it is to leave by. None: any.
    pub output: Option<u32>,
    /// Its firewall mark. None: 0.
    pub mark: Option<u32>,
}

impl RouteQuery {
    /// For a packet of this host.
    #[must_use]
    pub const fn to(to: IpAddr) -> Self {
        Self { to, from: None, input: None, output: None, mark: None }
    }
}

/// What the kernel knows of another host on a link: an entry of the ARP or neighbour discovery table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// The number of the interface.
    pub index: u32,
    /// The neighbour's address.
    pub address: IpAddr,
    /// Its address on the medium, if known.
    pub hardware: Option<HardwareAddress>,
    /// How well it is known.
    pub state: NeighbourState,
    /// `NTF_*` of `linux/neighbour.h`.
    pub flags: u8,
}

/// A rule of policy routing (`ip rule`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its family.
    pub family: Family,
    /// Its place: the smallest is looked at first.
    pub priority: u32,
    /// For packets from there.
    pub from: Prefix,
    /// For packets to there.
    pub to: Prefix,
    /// For packets that come in by the interface of this name (`lo`: that are this host's own).
    pub input: Option<String>,
    /// For packets that are to leave by the interface of this name.
    pub output: Option<String>,
    /// For packets whose firewall mark, under the mask, is this.
    pub mark: Option<(u32, u32)>,
    /// For all packets but those.
    pub inverted: bool,
    /// What to do.
    pub action: RuleAction,
    /// The table to look into. 0 if the action is another.
    pub table: u32,
}
