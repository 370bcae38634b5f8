//! What IPVS reports as a whole: timeouts, daemons, the version.

use std::net::IpAddr;

use ipvs_client::{Daemon, Timeouts};
use serde::Serialize;

/// `-L --timeout`
#[derive(Debug, Serialize)]
pub struct TimeoutsDocument {
    tcp_seconds: u32,
    tcp_fin_seconds: u32,
    udp_seconds: u32,
}

impl From<&Timeouts> for TimeoutsDocument {
    fn from(timeouts: &Timeouts) -> Self {
        Self { tcp_seconds: timeouts.tcp, tcp_fin_seconds: timeouts.tcp_fin, udp_seconds: timeouts.udp }
    }
}

/// A daemon of `-L --daemon`
#[derive(Debug, Serialize)]
pub struct DaemonDocument {
    role: &'static str,
    interface: String,
    sync_id: u32,
    maximum_length_bytes: Option<u16>,
    multicast_group: Option<IpAddr>,
    multicast_port: Option<u16>,
    multicast_ttl: Option<u8>,
}

impl From<&Daemon> for DaemonDocument {
    fn from(daemon: &Daemon) -> Self {
        Self {
            role: daemon.role.name(),
            interface: daemon.interface.to_string(),
            sync_id: daemon.sync_id,
            maximum_length_bytes: daemon.maximum_length,
            multicast_group: daemon.group,
            multicast_port: daemon.port,
            multicast_ttl: daemon.ttl,
        }
    }
}

/// `-v`
#[derive(Debug, Serialize)]
pub struct VersionDocument {
    /// The program's name.
    pub program: &'static str,
    /// Its version.
    pub version: &'static str,
    /// The version of ipvsadm whose command lines and listings it has.
    pub ipvsadm_version: &'static str,
    /// The version of IPVS that it was made for.
    pub ipvs_version: &'static str,
}
