//! What the kernel reports beside the rules: counters, daemons, timeouts, and the table with all of it.

use std::net::IpAddr;

use super::{Destination, InterfaceName, Service};

/// Totals since the last zeroing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections scheduled.
    pub connections: u64,
    /// Packets from clients.
    pub incoming_packets: u64,
    /// Packets to clients that came by here; none under direct routing and tunnelling.
    pub outgoing_packets: u64,
    /// Bytes from clients.
    pub incoming_bytes: u64,
    /// Bytes to clients that came by here.
    pub outgoing_bytes: u64,
}

/// The kernel estimator's rates, per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Connections.
    pub connections: u64,
    /// Packets from clients.
    pub incoming_packets: u64,
    /// Packets to clients.
    pub outgoing_packets: u64,
    /// Bytes from clients.
    pub incoming_bytes: u64,
    /// Bytes to clients.
    pub outgoing_bytes: u64,
}

/// Counters and rates of one service or destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// The totals.
    pub counters: Counters,
    /// The rates.
    pub rates: Rates,
}

/// The bytes that came in: as much of the counters as socket options tell in full, which are read faster than netlink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IncomingBytes(pub u64);

/// What of counters is read with services and destinations: [`Statistics`], [`IncomingBytes`], or `()` for none of them, which
/// takes half the time.
pub trait Detail: Copy + sealed::Detail {
    /// The counters and rates, if they were read.
    fn statistics(&self) -> Option<&Statistics>;
}

impl Detail for Statistics {
    fn statistics(&self) -> Option<&Statistics> {
        Some(self)
    }
}

impl Detail for () {
    fn statistics(&self) -> Option<&Statistics> {
        None
    }
}

impl Detail for IncomingBytes {
    #[inline]
    fn statistics(&self) -> Option<&Statistics> {
        None
    }
}

mod sealed {
    use super::{IncomingBytes, Statistics};

    /// How it is read.
    pub trait Detail: Sized {
        /// With `reader`, which is called only if statistics are wanted.
        fn read<E>(reader: impl FnOnce() -> Result<Statistics, E>) -> Result<Self, E>;
        /// From what socket options tell, if that will do.
        const TOLD: Option<fn(IncomingBytes) -> Self>;
    }

    impl Detail for () {
        fn read<E>(_: impl FnOnce() -> Result<Statistics, E>) -> Result<Self, E> {
            Ok(())
        }

        const TOLD: Option<fn(IncomingBytes) -> Self> = Some(|_| ());
    }

    impl Detail for IncomingBytes {
        fn read<E>(reader: impl FnOnce() -> Result<Statistics, E>) -> Result<Self, E> {
            reader().map(|statistics| Self(statistics.counters.incoming_bytes))
        }

        const TOLD: Option<fn(IncomingBytes) -> Self> = Some(|bytes| bytes);
    }

    impl Detail for Statistics {
        fn read<E>(reader: impl FnOnce() -> Result<Self, E>) -> Result<Self, E> {
            reader()
        }

        const TOLD: Option<fn(IncomingBytes) -> Self> = None;
    }
}

/// A service as the kernel reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServiceEntry<D = Statistics> {
    /// The rule.
    pub service: Service,
    /// What went through it.
    pub statistics: D,
}

/// A destination as the kernel reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DestinationEntry<D = Statistics> {
    /// The rule.
    pub destination: Destination,
    /// Connections in an active state.
    pub active_connections: u32,
    /// Connections in any other state.
    pub inactive_connections: u32,
    /// Persistence templates.
    pub persistent_connections: u32,
    /// What went through it.
    pub statistics: D,
}

impl Statistics {
    /// These counters and rates.
    #[must_use]
    pub const fn new(counters: Counters, rates: Rates) -> Self {
        Self { counters, rates }
    }
}

impl<D> ServiceEntry<D> {
    /// A service, and what went through it.
    #[must_use]
    pub const fn new(service: Service, statistics: D) -> Self {
        Self { service, statistics }
    }
}

impl<D: Detail> DestinationEntry<D> {
    /// Whether its counters have any of its connections, if it has any. They have none within the first two seconds, after
    /// counters were zeroed, and of connections that came by synchronisation.
    #[must_use]
    pub fn is_counted(&self) -> bool {
        let is_used = self.active_connections > 0 || self.inactive_connections > 0;
        !is_used || self.statistics.statistics().is_none_or(|statistics| statistics.counters.connections > 0)
    }
}

impl<D> DestinationEntry<D> {
    /// A destination without connections, and what went through it.
    #[must_use]
    pub const fn new(destination: Destination, statistics: D) -> Self {
        Self { destination, active_connections: 0, inactive_connections: 0, persistent_connections: 0, statistics }
    }

    /// The same, and this went through it.
    pub(crate) fn with<E>(self, statistics: E) -> DestinationEntry<E> {
        let Self { destination, active_connections, inactive_connections, persistent_connections, .. } = self;
        DestinationEntry { destination, active_connections, inactive_connections, persistent_connections, statistics }
    }
}

/// A service with its destinations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableService<D = Statistics> {
    /// The service.
    pub entry: ServiceEntry<D>,
    /// Its real servers.
    pub destinations: Vec<DestinationEntry<D>>,
}

/// The virtual server table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table<D = Statistics> {
    /// The services, in the order they were read or sorted.
    pub services: Vec<TableService<D>>,
}

/// What the kernel tells of the table without netlink: IPv4 services without their persistence engines, and their IPv4 servers but
/// for those through tunnels.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartialTable {
    /// The version and the size of the connection table.
    pub info: Info,
    /// The services that are told of.
    pub table: Table<()>,
    /// How many servers these have that are not told of.
    pub servers_left_out: usize,
}

impl<D> Default for Table<D> {
    fn default() -> Self {
        Self { services: Vec::new() }
    }
}

impl<D> Table<D> {
    /// Put services and destinations into the order of listings.
    pub fn sort(&mut self) {
        self.services.sort_by_key(|service| service.entry.service.key);
        for service in &mut self.services {
            service.destinations.sort_by_key(|entry| entry.destination.key);
        }
    }
}

/// Why the kernel's estimation does not run, and so no counter moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// The sysctl `run_estimation` is 0.
    SwitchedOff,
    /// The sysctl `est_cpulist` names no processor.
    NoProcessors,
}

/// What the kernel's IPVS is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Info {
    /// The version as `NVERSION` packs it: 0x010201 is 1.2.1.
    pub version: u32,
    /// Buckets of the connection table.
    pub connection_table_size: u32,
}

impl Info {
    /// An IPVS of this version, with a table of connections of this size.
    #[must_use]
    pub const fn new(version: u32, connection_table_size: u32) -> Self {
        Self { version, connection_table_size }
    }
}

/// Idle seconds after which a connection is forgotten (`--set`). For a change, 0 keeps what is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// TCP connections.
    pub tcp: u32,
    /// TCP connections that have seen a FIN.
    pub tcp_fin: u32,
    /// UDP.
    pub udp: u32,
}

impl Timeouts {
    /// These, and where they are 0 those of `present`: what `--set` makes of what is.
    #[must_use]
    pub const fn over(self, present: Self) -> Self {
        const fn or(new: u32, present: u32) -> u32 {
            if new == 0 { present } else { new }
        }
        Self {
            tcp: or(self.tcp, present.tcp),
            tcp_fin: or(self.tcp_fin, present.tcp_fin),
            udp: or(self.udp, present.udp),
        }
    }
}

/// Which half of connection synchronisation a daemon is. The numbers are `IP_VS_STATE_*` of `linux/ip_vs.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum DaemonRole {
    /// Sends its connections.
    Master = 1,
    /// Receives the master's.
    Backup = 2,
}

impl DaemonRole {
    /// The word for it on the command line and in listings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Master => "master",
            Self::Backup => "backup",
        }
    }
}

/// A connection synchronisation daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Daemon {
    /// Master or backup.
    pub role: DaemonRole,
    /// The interface it multicasts on.
    pub interface: InterfaceName,
    /// The group of daemons that talk to each other, 0 to 255.
    pub sync_id: u32,
    /// Bytes of a message's payload at most; `None` leaves it to the kernel.
    pub maximum_length: Option<u16>,
    /// The multicast group; `None` is the kernel's 224.0.0.81.
    pub group: Option<IpAddr>,
    /// The UDP port; `None` is the kernel's 8848.
    pub port: Option<u16>,
    /// The time to live of its packets; `None` is the kernel's 1.
    pub ttl: Option<u8>,
}

impl Daemon {
    /// A daemon on this interface, in the group of this number; all else is left to the kernel.
    #[must_use]
    pub const fn new(role: DaemonRole, interface: InterfaceName, sync_id: u32) -> Self {
        Self { role, interface, sync_id, maximum_length: None, group: None, port: None, ttl: None }
    }

    /// The same with this many bytes of a message's payload at most.
    #[must_use]
    pub const fn maximum_length(self, bytes: u16) -> Self {
        Self { maximum_length: Some(bytes), ..self }
    }

    /// The same with this multicast group.
    #[must_use]
    pub const fn group(self, group: IpAddr) -> Self {
        Self { group: Some(group), ..self }
    }

    /// The same with this UDP port.
    #[must_use]
    pub const fn port(self, port: u16) -> Self {
        Self { port: Some(port), ..self }
    }

    /// The same with this time to live of its packets.
    #[must_use]
    pub const fn ttl(self, ttl: u8) -> Self {
        Self { ttl: Some(ttl), ..self }
    }
}

impl Timeouts {
    /// These timeouts, in seconds; 0 keeps what is.
    #[must_use]
    pub const fn new(tcp: u32, tcp_fin: u32, udp: u32) -> Self {
        Self { tcp, tcp_fin, udp }
    }
}
