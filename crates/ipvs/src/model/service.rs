//! Virtual services and their real servers: what a rule says.

use std::cmp::Ordering;
use std::net::{IpAddr, Ipv4Addr};

use super::SchedulerName;

/// A transport protocol that IPVS schedules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Protocol {
    /// `IPPROTO_TCP`
    Tcp = 6,
    /// `IPPROTO_UDP`
    Udp = 17,
    /// `IPPROTO_SCTP`
    Sctp = 132,
}

impl Protocol {
    /// The protocol of this IANA number, if IPVS schedules it.
    #[must_use]
    pub const fn from_number(number: u16) -> Option<Self> {
        match number {
            6 => Some(Self::Tcp),
            17 => Some(Self::Udp),
            132 => Some(Self::Sctp),
            _ => None,
        }
    }

    /// The protocol of this name, in small letters (`/etc/services`) or in capitals (the kernel).
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Tcp, Self::Udp, Self::Sctp]
            .into_iter()
            .find(|protocol| name == protocol.name() || name == protocol.service_name())
    }

    /// The name in capitals, as listings show it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        }
    }

    /// The name in small letters, as `/etc/services` has it.
    #[must_use]
    pub const fn service_name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum Family {
    /// `AF_INET`
    Ipv4 = 2,
    /// `AF_INET6`
    Ipv6 = 10,
}

impl Family {
    /// The family of this address.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::Ipv4,
            IpAddr::V6(_) => Self::Ipv6,
        }
    }
}

/// What names a virtual service: an address and port, or a firewall mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ServiceKey {
    /// `-t`, `-u`, `--sctp-service`: packets of a protocol to a virtual address (VIP) and port.
    Address {
        /// The transport protocol.
        protocol: Protocol,
        /// The virtual address (VIP).
        address: IpAddr,
        /// The port; 0 is every port, for persistent services.
        port: u16,
    },
    /// `-f`: packets that the firewall has marked.
    Mark {
        /// The mark, not 0.
        mark: u32,
        /// The family of the packets meant (`-6`).
        family: Family,
    },
}

impl ServiceKey {
    /// The service for TCP to this address and port; port 0 is every port, for persistent services.
    #[must_use]
    pub fn tcp(address: impl Into<IpAddr>, port: u16) -> Self {
        Self::Address { protocol: Protocol::Tcp, address: address.into(), port }
    }

    /// The service for UDP to this address and port.
    #[must_use]
    pub fn udp(address: impl Into<IpAddr>, port: u16) -> Self {
        Self::Address { protocol: Protocol::Udp, address: address.into(), port }
    }

    /// The service for SCTP to this address and port.
    #[must_use]
    pub fn sctp(address: impl Into<IpAddr>, port: u16) -> Self {
        Self::Address { protocol: Protocol::Sctp, address: address.into(), port }
    }

    /// The service for packets of this family that the firewall gives this mark.
    #[must_use]
    pub const fn mark(mark: u32, family: Family) -> Self {
        Self::Mark { mark, family }
    }

    /// The family of the service's packets.
    #[must_use]
    pub const fn family(&self) -> Family {
        match *self {
            Self::Address { address, .. } => Family::of(address),
            Self::Mark { family, .. } => family,
        }
    }

    /// The virtual address, where the key has one.
    #[must_use]
    pub const fn address(&self) -> Option<IpAddr> {
        match *self {
            Self::Address { address, .. } => Some(address),
            Self::Mark { .. } => None,
        }
    }

    /// The port, where the key has one.
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        match *self {
            Self::Address { port, .. } => Some(port),
            Self::Mark { .. } => None,
        }
    }

    /// The transport protocol, where the key has one.
    #[must_use]
    pub const fn protocol(&self) -> Option<Protocol> {
        match *self {
            Self::Address { protocol, .. } => Some(protocol),
            Self::Mark { .. } => None,
        }
    }
}

impl ServiceKey {
    /// Its place in the order of listings, where addresses come before marks; addresses by family, protocol, address and port, as
    /// numbers; marks by mark and family. To compare three numbers takes a quarter of the instructions of comparing the parts.
    pub(crate) fn place(&self) -> (u64, u128, u16) {
        match *self {
            Self::Address { protocol, address, port } => {
                let bits = match address {
                    IpAddr::V4(address) => u32::from(address).into(),
                    IpAddr::V6(address) => u128::from(address),
                };
                (u64::from(Family::of(address) as u16) << 8 | u64::from(protocol as u8), bits, port)
            }
            Self::Mark { mark, family } => (1 << 63 | u64::from(mark) << 16 | u64::from(family as u16), 0, 0),
        }
    }
}

/// The order of listings.
impl Ord for ServiceKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place().cmp(&other.place())
    }
}

impl PartialOrd for ServiceKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// How wide a net of clients is held together by persistence (`-M`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Netmask {
    /// An IPv4 mask; the kernel takes any pattern of bits.
    V4(Ipv4Addr),
    /// An IPv6 prefix length, 1 to 128.
    V6(u8),
}

impl Netmask {
    /// The mask that distinguishes every client, the default: 255.255.255.255 or 128.
    #[must_use]
    pub const fn host(family: Family) -> Self {
        match family {
            Family::Ipv4 => Self::V4(Ipv4Addr::BROADCAST),
            Family::Ipv6 => Self::V6(128),
        }
    }

    /// Whether this is the default.
    #[must_use]
    pub fn is_host(self) -> bool {
        matches!(self, Self::V4(Ipv4Addr::BROADCAST) | Self::V6(128))
    }
}

/// Persistence (`-p`, `-M`): clients stay with the real server they were given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Persistence {
    /// Seconds for which an idle client is remembered.
    pub timeout: u32,
    /// Clients under one mask are one client.
    pub netmask: Netmask,
}

/// The flags of a service, as bits of `IP_VS_SVC_F_*` in `linux/ip_vs.h`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ServiceFlags(u32);

impl ServiceFlags {
    /// `IP_VS_SVC_F_PERSISTENT`
    pub const PERSISTENT: u32 = 0x01;
    /// `IP_VS_SVC_F_ONEPACKET`: one-packet scheduling (`-o`).
    pub const ONE_PACKET: u32 = 0x04;
    /// `IP_VS_SVC_F_SCHED1`: `-b flag-1`, `sh-fallback`, `mh-fallback`.
    pub const SCHEDULER_1: u32 = 0x08;
    /// `IP_VS_SVC_F_SCHED2`: `-b flag-2`, `sh-port`, `mh-port`.
    pub const SCHEDULER_2: u32 = 0x10;
    /// `IP_VS_SVC_F_SCHED3`: `-b flag-3`.
    pub const SCHEDULER_3: u32 = 0x20;
    /// The flags a user sets as such; persistence is in [`Service::persistence`].
    const SETTABLE: u32 = Self::ONE_PACKET | Self::SCHEDULER_1 | Self::SCHEDULER_2 | Self::SCHEDULER_3;

    /// All flags that are known here, persistence included.
    pub(crate) const KNOWN: u32 = Self::SETTABLE | Self::PERSISTENT;

    /// The settable flags among these bits.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits & Self::SETTABLE)
    }

    /// The bits, as the kernel numbers them.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether one-packet scheduling is on.
    #[must_use]
    pub const fn one_packet(self) -> bool {
        self.0 & Self::ONE_PACKET != 0
    }

    /// These flags and those bits.
    #[must_use]
    pub const fn with(self, bits: u32) -> Self {
        Self::from_bits(self.0 | bits)
    }

    /// The scheduler's flags alone.
    #[must_use]
    pub const fn scheduler(self) -> u32 {
        self.0 & !Self::ONE_PACKET
    }
}

/// A virtual service: what `-A` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Service {
    /// What names it.
    pub key: ServiceKey,
    /// The scheduling method, such as `wrr`.
    pub scheduler: SchedulerName,
    /// One-packet scheduling and the scheduler's flags.
    pub flags: ServiceFlags,
    /// Persistence, if the service is persistent.
    pub persistence: Option<Persistence>,
    /// The persistence engine (`--pe sip`), empty for none. The kernel takes one without persistence, too.
    pub engine: SchedulerName,
}

impl Service {
    /// A service with this scheduler and nothing else.
    #[must_use]
    pub const fn new(key: ServiceKey, scheduler: SchedulerName) -> Self {
        let flags = ServiceFlags::from_bits(0);
        Self { key, scheduler, flags, persistence: None, engine: SchedulerName::EMPTY }
    }

    /// A service for TCP.
    #[must_use]
    pub fn tcp(address: impl Into<IpAddr>, port: u16, scheduler: SchedulerName) -> Self {
        Self::new(ServiceKey::tcp(address, port), scheduler)
    }

    /// A service for UDP.
    #[must_use]
    pub fn udp(address: impl Into<IpAddr>, port: u16, scheduler: SchedulerName) -> Self {
        Self::new(ServiceKey::udp(address, port), scheduler)
    }

    /// A service for SCTP.
    #[must_use]
    pub fn sctp(address: impl Into<IpAddr>, port: u16, scheduler: SchedulerName) -> Self {
        Self::new(ServiceKey::sctp(address, port), scheduler)
    }

    /// A service for packets that the firewall marks.
    #[must_use]
    pub const fn mark(mark: u32, family: Family, scheduler: SchedulerName) -> Self {
        Self::new(ServiceKey::mark(mark, family), scheduler)
    }

    /// The same with these flags.
    #[must_use]
    pub const fn flags(self, flags: ServiceFlags) -> Self {
        Self { flags, ..self }
    }

    /// The same with this scheduler.
    #[must_use]
    pub const fn scheduler(self, scheduler: SchedulerName) -> Self {
        Self { scheduler, ..self }
    }

    /// The same with persistence: a client that was idle for no longer than this many seconds stays with its server.
    #[must_use]
    pub const fn persistent(self, timeout: u32) -> Self {
        let netmask = Netmask::host(self.key.family());
        self.persistence(Persistence { timeout, netmask })
    }

    /// The same with this persistence.
    #[must_use]
    pub const fn persistence(self, persistence: Persistence) -> Self {
        Self { persistence: Some(persistence), ..self }
    }

    /// The same with this persistence engine, such as `sip`.
    #[must_use]
    pub const fn engine(self, engine: SchedulerName) -> Self {
        Self { engine, ..self }
    }
}

/// How a tunnel checks its outer packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Checksum {
    /// `--tun-nocsum`, the default.
    #[default]
    None,
    /// `--tun-csum`: an ordinary checksum.
    Full,
    /// `--tun-remcsum`: remote checksum offload, for GUE.
    Remote,
}

/// How a packet is wrapped on its way to a tunnelling real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Tunnel {
    /// IP in IP.
    Ipip,
    /// Generic UDP encapsulation, to this port.
    Gue {
        /// The UDP port at the real server.
        port: u16,
        /// The checksum of the outer packet.
        checksum: Checksum,
    },
    /// Generic routing encapsulation; the kernel knows no remote checksum for it.
    Gre {
        /// Whether the outer packet has a checksum.
        checksum: bool,
    },
}

impl Tunnel {
    /// Its name, as `--tun-type` has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ipip => "ipip",
            Self::Gue { .. } => "gue",
            Self::Gre { .. } => "gre",
        }
    }
}

/// The forwarding method: how packets reach the real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Forwarding {
    /// `-m`: network address translation.
    Masquerade,
    /// The real server is this machine. The kernel sets this by itself; no option asks for it.
    Local,
    /// `-i`: tunnelling.
    Tunnel(Tunnel),
    /// `-g`: direct routing (DR).
    DirectRoute,
    /// A transparent cache is passed by. No option asks for it.
    Bypass,
}

/// What names a real server within its service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DestinationKey {
    /// The real server's address (RIP).
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
}

/// A real server of a service: what `-a` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Destination {
    /// What names it.
    pub key: DestinationKey,
    /// How packets reach it.
    pub forwarding: Forwarding,
    /// Its share, 0 to 2147483647; 0 takes no new connections.
    pub weight: u32,
    /// No new connections above this many; 0: no limit (`-x`).
    pub upper_threshold: u32,
    /// New connections again below this many; 0: unset (`-y`).
    pub lower_threshold: u32,
}

impl DestinationKey {
    /// The server at this address and port.
    #[must_use]
    pub fn new(address: impl Into<IpAddr>, port: u16) -> Self {
        Self { address: address.into(), port }
    }
}

impl Destination {
    /// A server as `-a` makes it when nothing but its name is given: direct routing, weight 1, no thresholds.
    #[must_use]
    pub const fn new(address: IpAddr, port: u16) -> Self {
        Self {
            key: DestinationKey { address, port },
            forwarding: Forwarding::DirectRoute,
            weight: 1,
            upper_threshold: 0,
            lower_threshold: 0,
        }
    }

    /// A server by direct routing, of weight 1.
    #[must_use]
    pub fn direct(address: impl Into<IpAddr>, port: u16) -> Self {
        Self::new(address.into(), port)
    }

    /// A server by masquerading (NAT), of weight 1.
    #[must_use]
    pub fn masquerade(address: impl Into<IpAddr>, port: u16) -> Self {
        Self::new(address.into(), port).forwarding(Forwarding::Masquerade)
    }

    /// A server through a tunnel, of weight 1.
    #[must_use]
    pub fn tunnel(address: impl Into<IpAddr>, port: u16, tunnel: Tunnel) -> Self {
        Self::new(address.into(), port).forwarding(Forwarding::Tunnel(tunnel))
    }

    /// The same with this forwarding method.
    #[must_use]
    pub const fn forwarding(self, forwarding: Forwarding) -> Self {
        Self { forwarding, ..self }
    }

    /// The same with this weight.
    #[must_use]
    pub const fn weight(self, weight: u32) -> Self {
        Self { weight, ..self }
    }

    /// The same with thresholds: no new connections above `upper`, and new ones again below `lower`; 0 is none.
    #[must_use]
    pub const fn thresholds(self, upper: u32, lower: u32) -> Self {
        Self { upper_threshold: upper, lower_threshold: lower, ..self }
    }
}
