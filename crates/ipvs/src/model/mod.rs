//! The nouns of IPVS as plain values: services, destinations, counters, daemons, the whole table.
//!
//! Nothing here knows of text, netlink or files. Numbers are in host byte order unless said otherwise. Limits come from
//! the kernel's user interface, `include/uapi/linux/ip_vs.h`, and from ipvsadm(8).
//!
//! A [`Service`] and its [`Destination`]s are what a rule says; a [`ServiceKey`] and a [`DestinationKey`] are what names them; a
//! [`Change`] is what can be asked of the kernel; a [`Table`] is what it reports, with counters.

mod change;
mod hash_tables;
mod limits;
mod name;
mod service;
mod state;
mod text;

pub use change::Change;
pub use hash_tables::{HashTable, HashTables};
pub use limits::{Limits, RemovalLimit};
pub use name::{BadName, InterfaceName, Name, SchedulerName, scheduler};
pub use service::{
    Checksum, Destination, DestinationKey, Family, Forwarding, Netmask, Persistence, Protocol, Service, ServiceFlags,
    ServiceKey, Tunnel,
};
pub use state::{
    Counters, Daemon, DaemonRole, DestinationEntry, Detail, IncomingBytes, Info, PartialTable, Rates, ServiceEntry,
    Statistics, Stopped, Table, TableService, Timeouts,
};
pub use text::BadKey;
