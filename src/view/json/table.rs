//! The table, with everything the kernel reports about it.

use std::net::{IpAddr, Ipv4Addr};

use ipvs_client::{
    Checksum, Counters, Destination, DestinationEntry, DestinationKey, Family, Forwarding, Info, Netmask, Rates,
    Service, ServiceKey, TableService, Tunnel,
    estimation::{INTERVAL_SECONDS, Stopped},
    hash_tables::{HashTable, HashTables},
};
use serde::Serialize;

use crate::view::{HashNote, rules, text};

/// What stands before the services.
#[derive(Debug, Serialize)]
pub struct TableHead {
    ipvs_version: String,
    /// Hash buckets.
    connection_table_size: u32,
    hash_tables: Option<HashTablesDocument>,
    estimation: EstimationDocument,
    services: [(); 0],
}

/// Whether the kernel counts.
#[derive(Debug, Serialize)]
struct EstimationDocument {
    running: bool,
    /// The setting that stops it.
    stopped_by: Option<&'static str>,
    interval_seconds: u32,
}

impl From<Option<Stopped>> for EstimationDocument {
    fn from(stopped: Option<Stopped>) -> Self {
        let stopped_by = stopped.map(|stopped| match stopped {
            Stopped::SwitchedOff => "run_estimation",
            Stopped::NoProcessors => "est_cpulist",
        });
        Self { running: stopped.is_none(), stopped_by, interval_seconds: INTERVAL_SECONDS }
    }
}

/// How full the kernel's tables are.
#[derive(Debug, Serialize)]
struct HashTablesDocument {
    connections: HashTableDocument,
    services: HashTableDocument,
    connection_limit: Option<u64>,
}

#[derive(Debug, Serialize)]
struct HashTableDocument {
    entries: u64,
    buckets: u64,
    empty_buckets: Option<u64>,
    load_factor: Option<i32>,
}

impl From<HashTables> for HashTablesDocument {
    fn from(tables: HashTables) -> Self {
        Self {
            connections: tables.connections.into(),
            services: tables.services.into(),
            connection_limit: tables.connection_limit,
        }
    }
}

impl From<HashTable> for HashTableDocument {
    fn from(table: HashTable) -> Self {
        let HashTable { entries, buckets, empty_buckets, load_factor, .. } = table;
        Self { entries, buckets, empty_buckets, load_factor }
    }
}

impl TableHead {
    /// Of this IPVS, of its tables if the kernel reports them, and whether it counts.
    #[must_use]
    pub fn of(info: &Info, tables: Option<HashTables>, stopped: Option<Stopped>) -> Self {
        Self {
            ipvs_version: text::version(info),
            connection_table_size: info.connection_table_size,
            hash_tables: tables.map(HashTablesDocument::from),
            estimation: stopped.into(),
            services: [],
        }
    }
}

/// What names a service: a protocol, an address and a port, or a mark.
#[derive(Debug, Serialize)]
pub struct KeyDocument {
    protocol: Option<&'static str>,
    address: Option<IpAddr>,
    port: Option<u16>,
    fwmark: Option<u32>,
    family: &'static str,
}

/// What names a real server.
#[derive(Debug, Serialize)]
pub struct ServerKeyDocument {
    address: IpAddr,
    port: u16,
}

/// A service with its servers.
#[derive(Debug, Serialize)]
pub struct ServiceDocument<'t> {
    #[serde(flatten)]
    key: KeyDocument,
    scheduler: std::borrow::Cow<'t, str>,
    scheduler_flags: Vec<&'static str>,
    one_packet: bool,
    persistence: Option<PersistenceDocument>,
    persistence_engine: Option<std::borrow::Cow<'t, str>>,
    hash: Option<&'t HashNote>,
    counters: CountersDocument,
    rates: RatesDocument,
    servers: Vec<ServerDocument>,
}

#[derive(Debug, Serialize)]
struct PersistenceDocument {
    timeout_seconds: u32,
    /// Of IPv4.
    netmask: Option<Ipv4Addr>,
    /// Of IPv6.
    prefix_length: Option<u8>,
}

#[derive(Debug, Serialize)]
struct ServerDocument {
    #[serde(flatten)]
    key: ServerKeyDocument,
    family: &'static str,
    forwarding: &'static str,
    tunnel: Option<TunnelDocument>,
    weight: u32,
    upper_threshold: u32,
    lower_threshold: u32,
    active_connections: u32,
    inactive_connections: u32,
    persistent_connections: u32,
    counted: bool,
    counters: CountersDocument,
    rates: RatesDocument,
}

#[derive(Debug, Serialize)]
struct TunnelDocument {
    #[serde(rename = "type")]
    kind: &'static str,
    port: Option<u16>,
    checksum: &'static str,
}

#[derive(Debug, Serialize)]
struct CountersDocument {
    connections: u64,
    packets_in: u64,
    packets_out: u64,
    bytes_in: u64,
    bytes_out: u64,
}

#[derive(Debug, Serialize)]
struct RatesDocument {
    connections_per_second: u64,
    packets_in_per_second: u64,
    packets_out_per_second: u64,
    bytes_in_per_second: u64,
    bytes_out_per_second: u64,
}

impl From<&ServiceKey> for KeyDocument {
    fn from(key: &ServiceKey) -> Self {
        Self {
            protocol: key.protocol().map(|protocol| protocol.service_name()),
            address: key.address(),
            port: key.port(),
            fwmark: match key {
                ServiceKey::Mark { mark, .. } => Some(*mark),
                ServiceKey::Address { .. } => None,
            },
            family: family(key.family()),
        }
    }
}

impl From<&DestinationKey> for ServerKeyDocument {
    fn from(key: &DestinationKey) -> Self {
        Self { address: key.address, port: key.port }
    }
}

impl<'t> ServiceDocument<'t> {
    /// The same with what is known of the scheduler's table.
    #[must_use]
    pub fn hash(self, hash: Option<&'t HashNote>) -> Self {
        Self { hash, ..self }
    }
}

impl<'t> From<&'t TableService> for ServiceDocument<'t> {
    fn from(of: &'t TableService) -> Self {
        let service: &Service = &of.entry.service;
        Self {
            key: (&service.key).into(),
            scheduler: service.scheduler.text(),
            scheduler_flags: rules::scheduler_flags(service.scheduler, service.flags).collect(),
            one_packet: service.flags.one_packet(),
            persistence: service.persistence.map(|persistence| PersistenceDocument {
                timeout_seconds: persistence.timeout,
                netmask: match persistence.netmask {
                    Netmask::V4(mask) => Some(mask),
                    Netmask::V6(_) => None,
                },
                prefix_length: match persistence.netmask {
                    Netmask::V4(_) => None,
                    Netmask::V6(length) => Some(length),
                },
            }),
            persistence_engine: (!service.engine.is_empty()).then(|| service.engine.text()),
            hash: None,
            counters: of.entry.statistics.counters.into(),
            rates: of.entry.statistics.rates.into(),
            servers: of.destinations.iter().map(ServerDocument::from).collect(),
        }
    }
}

impl From<&DestinationEntry> for ServerDocument {
    fn from(entry: &DestinationEntry) -> Self {
        let Destination { key, forwarding, weight, upper_threshold, lower_threshold, .. } = entry.destination;
        Self {
            key: (&key).into(),
            family: family(Family::of(key.address)),
            forwarding: match forwarding {
                Forwarding::DirectRoute => "dr",
                Forwarding::Masquerade => "nat",
                Forwarding::Tunnel(_) => "tunnel",
                Forwarding::Local => "local",
                Forwarding::Bypass => "bypass",
            },
            tunnel: match forwarding {
                Forwarding::Tunnel(tunnel) => Some(tunnel.into()),
                _ => None,
            },
            weight,
            upper_threshold,
            lower_threshold,
            active_connections: entry.active_connections,
            inactive_connections: entry.inactive_connections,
            persistent_connections: entry.persistent_connections,
            counted: entry.is_counted(),
            counters: entry.statistics.counters.into(),
            rates: entry.statistics.rates.into(),
        }
    }
}

impl From<Tunnel> for TunnelDocument {
    fn from(tunnel: Tunnel) -> Self {
        let checksum = |checksum| match checksum {
            Checksum::None => "none",
            Checksum::Full => "full",
            Checksum::Remote => "remote",
        };
        let (port, checksum) = match tunnel {
            Tunnel::Gue { port, checksum: kind } => (Some(port), checksum(kind)),
            Tunnel::Gre { checksum: true } => (None, "full"),
            _ => (None, "none"),
        };
        Self { kind: tunnel.name(), port, checksum }
    }
}

impl From<Counters> for CountersDocument {
    fn from(counters: Counters) -> Self {
        Self {
            connections: counters.connections,
            packets_in: counters.incoming_packets,
            packets_out: counters.outgoing_packets,
            bytes_in: counters.incoming_bytes,
            bytes_out: counters.outgoing_bytes,
        }
    }
}

impl From<Rates> for RatesDocument {
    fn from(rates: Rates) -> Self {
        Self {
            connections_per_second: rates.connections,
            packets_in_per_second: rates.incoming_packets,
            packets_out_per_second: rates.outgoing_packets,
            bytes_in_per_second: rates.incoming_bytes,
            bytes_out_per_second: rates.outgoing_bytes,
        }
    }
}

fn family(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "ipv4",
        Family::Ipv6 => "ipv6",
    }
}
