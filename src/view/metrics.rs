//! The table as metrics, in the text format of Prometheus or of OpenMetrics. Both want all samples of a metric together, so
//! the servers are held, [`MetricsTable::BYTES_A_SERVER`] each; the text is not.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::net::IpAddr;
use std::time::Duration;

use ipvs_client::{
    Checksum, Counters, Daemon, DestinationKey, Family, Forwarding, Info, Netmask, Service, ServiceKey, TableService,
    Timeouts, Tunnel,
    hash_tables::{HashTable, HashTables},
};

use super::append::Draft;
use super::{rules, text};
use crate::escape::escaped_bytes;
use crate::grammar::Exposition;
use crate::metrics::{Id, Kind, METRICS, Metric, Scope, Selection};

/// Text that is gathered before it is written.
const PIECE: usize = 32 * 1024;

/// Services and servers, as far as there are metrics of them.
#[derive(Debug, Default)]
pub struct MetricsTable {
    services: Vec<ServiceRow>,
    servers: Vec<ServerRow>,
    /// Servers that have connections and no counters.
    uncounted: u64,
}

#[derive(Debug)]
struct ServiceRow {
    service: Service,
    counters: Counters,
    /// Where its servers end.
    end: usize,
}

#[derive(Debug)]
struct ServerRow {
    key: DestinationKey,
    forwarding: Forwarding,
    weight: u32,
    upper_threshold: u32,
    lower_threshold: u32,
    active: u32,
    inactive: u32,
    persistent: u32,
    counters: Counters,
}

impl MetricsTable {
    /// What a server takes.
    pub const BYTES_A_SERVER: usize = size_of::<ServerRow>();

    /// Add a service, with its servers if they are wanted.
    pub fn push(&mut self, of: &TableService, with_servers: bool) {
        self.uncounted += of.destinations.iter().filter(|entry| !entry.is_counted()).count() as u64;
        if with_servers {
            self.servers.extend(of.destinations.iter().map(|entry| ServerRow {
                key: entry.destination.key,
                forwarding: entry.destination.forwarding,
                weight: entry.destination.weight,
                upper_threshold: entry.destination.upper_threshold,
                lower_threshold: entry.destination.lower_threshold,
                active: entry.active_connections,
                inactive: entry.inactive_connections,
                persistent: entry.persistent_connections,
                counters: entry.statistics.counters,
            }));
        }
        let (service, counters) = (of.entry.service, of.entry.statistics.counters);
        self.services.push(ServiceRow { service, counters, end: self.servers.len() });
    }

    /// Each service with its servers.
    fn rows(&self) -> impl Iterator<Item = (&ServiceRow, &[ServerRow])> {
        let mut start = 0;
        self.services.iter().map(move |service| {
            let servers = self.servers.get(start..service.end).unwrap_or_default();
            start = service.end;
            (service, servers)
        })
    }
}

/// All that there are metrics of.
#[derive(Debug)]
pub struct Sample {
    /// The kernel's IPVS.
    pub info: Info,
    /// Whether the kernel counts.
    pub estimation_runs: bool,
    /// How full its tables are, if it says.
    pub hash_tables: Option<HashTables>,
    /// The timeouts.
    pub timeouts: Timeouts,
    /// The daemons that run.
    pub daemons: Vec<Daemon>,
    /// The changes that would make the table equal to a file, if it was compared with one.
    pub saved_rules_changes: Option<u64>,
    /// Services and servers.
    pub table: MetricsTable,
    /// When all that was read, since 1970.
    pub read_at: Duration,
}

/// Write the metrics that are chosen.
///
/// # Errors
/// The output fails.
pub fn write(out: &mut dyn Write, format: Exposition, only: Selection, sample: &Sample) -> io::Result<()> {
    let mut text = Text { out, format, draft: Draft::new() };
    for metric in METRICS.iter().filter(|metric| only.has(metric)) {
        match metric.scope {
            Scope::Whole => whole(&mut text, metric, sample)?,
            Scope::Service => services(&mut text, metric, &sample.table)?,
            Scope::Server => servers(&mut text, metric, &sample.table)?,
        }
    }
    text.end()
}

/// Write that the table could not be read.
///
/// # Errors
/// The output fails.
pub fn write_failure(out: &mut dyn Write, format: Exposition) -> io::Result<()> {
    let mut text = Text { out, format, draft: Draft::new() };
    for metric in METRICS.iter().filter(|metric| metric.id == Id::ScrapeSuccess) {
        text.head(metric);
        text.sample(metric, |_| {}, 0);
    }
    text.end()
}

/// Text as it is put together.
struct Text<'o> {
    out: &'o mut dyn Write,
    format: Exposition,
    draft: Draft,
}

impl Text<'_> {
    /// The lines above a metric's samples.
    fn head(&mut self, metric: &Metric) {
        let Metric { name, kind, unit, help, .. } = *metric;
        let (name, kind) = match (self.format, kind) {
            (Exposition::Prometheus, Kind::Counter) => (name, "counter"),
            (Exposition::Prometheus, Kind::Gauge | Kind::Info) | (Exposition::OpenMetrics, Kind::Gauge) => {
                (name, "gauge")
            }
            (Exposition::OpenMetrics, Kind::Counter) => (name.strip_suffix("_total").unwrap_or(name), "counter"),
            (Exposition::OpenMetrics, Kind::Info) => (name.strip_suffix("_info").unwrap_or(name), "info"),
        };
        let mut line = |keyword: &str, rest: &str| {
            for part in ["# ", keyword, " ", name, " ", rest, "\n"] {
                self.draft.push_str(part);
            }
        };
        match self.format {
            Exposition::Prometheus => {
                line("HELP", help);
                line("TYPE", kind);
            }
            Exposition::OpenMetrics => {
                line("TYPE", kind);
                if let Some(unit) = unit {
                    line("UNIT", unit);
                }
                line("HELP", help);
            }
        }
    }

    /// A sample with labels, each written by [`label`].
    fn sample(&mut self, metric: &Metric, labels: impl FnOnce(&mut Labels<'_>), value: impl itoa::Integer) {
        self.draft.push_str(metric.name);
        let mut written = Labels { draft: &mut self.draft, first: true };
        labels(&mut written);
        if !written.first {
            self.draft.push(b'}');
        }
        self.draft.push(b' ');
        self.draft.push_number(value);
        self.draft.push(b'\n');
    }

    /// Write what there is, once it is enough.
    fn pass_on(&mut self) -> io::Result<()> {
        if self.draft.len() < PIECE {
            return Ok(());
        }
        self.out.write_all(self.draft.as_bytes())?;
        self.draft.clear();
        Ok(())
    }

    fn end(mut self) -> io::Result<()> {
        if self.format == Exposition::OpenMetrics {
            self.draft.push_str("# EOF\n");
        }
        self.out.write_all(self.draft.as_bytes())
    }
}

/// Labels as they are written.
struct Labels<'d> {
    draft: &'d mut Draft,
    first: bool,
}

impl Labels<'_> {
    fn name(&mut self, name: &str) {
        self.draft.push(if self.first { b'{' } else { b',' });
        self.first = false;
        self.draft.push_str(name);
        self.draft.push_str("=\"");
    }

    /// A label of plain characters.
    fn plain(&mut self, name: &str, value: &str) {
        self.name(name);
        self.draft.push_str(value);
        self.draft.push(b'"');
    }

    /// A label of any bytes, such as a name: control characters in hexadecimal, and what has a meaning in labels escaped.
    fn any(&mut self, name: &str, value: &[u8]) {
        self.name(name);
        for character in escaped_bytes(value).chars() {
            match character {
                '\\' => self.draft.push_str("\\\\"),
                '"' => self.draft.push_str("\\\""),
                '\n' => self.draft.push_str("\\n"),
                other => self.draft.push_str(other.encode_utf8(&mut [0; 4])),
            }
        }
        self.draft.push(b'"');
    }

    fn number(&mut self, name: &str, value: impl itoa::Integer) {
        self.name(name);
        self.draft.push_number(value);
        self.draft.push(b'"');
    }

    /// A number, or nothing where there is none.
    fn number_if(&mut self, name: &str, value: Option<impl itoa::Integer>) {
        match value {
            Some(value) => self.number(name, value),
            None => self.plain(name, ""),
        }
    }

    fn address(&mut self, name: &str, address: IpAddr) {
        self.name(name);
        push_address(self.draft, address);
        self.draft.push(b'"');
    }
}

fn push_address(draft: &mut Draft, address: IpAddr) {
    match address {
        IpAddr::V4(address) => draft.push_ipv4(address),
        // Writing to memory does not fail.
        IpAddr::V6(address) => drop(write!(draft, "{address}")),
    }
}

fn family(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "ipv4",
        Family::Ipv6 => "ipv6",
    }
}

fn whole(text: &mut Text<'_>, metric: &Metric, sample: &Sample) -> io::Result<()> {
    let Sample { info, timeouts, daemons, hash_tables, .. } = sample;
    let tables =
        [("connections", hash_tables.map(|of| of.connections)), ("services", hash_tables.map(|of| of.services))];
    let mut of_tables = |value: fn(HashTable) -> Option<i64>, otherwise: Option<u32>| {
        let values = tables.map(|(name, table)| (name, table.and_then(value)));
        let otherwise = otherwise.map(|value| ("connections", Some(value.into())));
        let mut values =
            values.into_iter().chain(otherwise).filter_map(|(name, value)| Some((name, value?))).peekable();
        if values.peek().is_some() {
            text.head(metric);
        }
        values.for_each(|(name, value)| text.sample(metric, |labels| labels.plain("table", name), value));
    };
    let number = |value: u64| i64::try_from(value).ok();
    match metric.id {
        Id::TableEntries => of_tables(|table| i64::try_from(table.entries).ok(), None),
        Id::TableBuckets => {
            let otherwise = hash_tables.is_none().then_some(info.connection_table_size);
            of_tables(|table| i64::try_from(table.buckets).ok(), otherwise);
        }
        Id::TableEmptyBuckets => of_tables(|table| i64::try_from(table.empty_buckets?).ok(), None),
        Id::TableLoadFactor => of_tables(|table| table.load_factor.map(i64::from), None),
        Id::Ipvs => {
            text.head(metric);
            text.sample(metric, |labels| labels.plain("version", &text::version(info)), 1);
        }
        Id::Timeout => {
            text.head(metric);
            for (name, seconds) in [("tcp", timeouts.tcp), ("tcpfin", timeouts.tcp_fin), ("udp", timeouts.udp)] {
                text.sample(metric, |labels| labels.plain("timeout", name), seconds);
            }
        }
        Id::Daemon => {
            if !daemons.is_empty() {
                text.head(metric);
            }
            daemons.iter().for_each(|daemon| text.sample(metric, |labels| daemon_labels(labels, daemon), 1));
        }
        Id::EstimationRunning => single(text, metric, Some(i64::from(sample.estimation_runs))),
        Id::UncountedServers => single(text, metric, number(sample.table.uncounted)),
        Id::ConnectionLimit => single(text, metric, hash_tables.and_then(|of| of.connection_limit).and_then(number)),
        Id::SavedRulesChanges => single(text, metric, sample.saved_rules_changes.and_then(number)),
        Id::LastUpdate => {
            text.head(metric);
            text.draft.push_str(metric.name);
            // Milliseconds: two scrapes of a second differ.
            let read_at = sample.read_at;
            let _ = writeln!(text.draft, " {}.{:03}", read_at.as_secs(), read_at.subsec_millis());
        }
        _ => single(text, metric, Some(1)),
    }
    text.pass_on()
}

/// A metric without labels, if there is a value.
fn single(text: &mut Text<'_>, metric: &Metric, value: Option<i64>) {
    if let Some(value) = value {
        text.head(metric);
        text.sample(metric, |_| {}, value);
    }
}

fn daemon_labels(labels: &mut Labels<'_>, daemon: &Daemon) {
    labels.plain("role", daemon.role.name());
    labels.any("interface", daemon.interface.as_bytes());
    labels.number("sync_id", daemon.sync_id);
    labels.number_if("maximum_length_bytes", daemon.maximum_length);
    match daemon.group {
        Some(group) => labels.address("multicast_group", group),
        None => labels.plain("multicast_group", ""),
    }
    labels.number_if("multicast_port", daemon.port);
    labels.number_if("multicast_ttl", daemon.ttl);
}

fn services(text: &mut Text<'_>, metric: &Metric, table: &MetricsTable) -> io::Result<()> {
    if table.services.is_empty() {
        return Ok(());
    }
    text.head(metric);
    for ServiceRow { service, counters, .. } in &table.services {
        let value = match metric.id {
            Id::ServiceConnections => counters.connections,
            Id::ServiceIncomingPackets => counters.incoming_packets,
            Id::ServiceOutgoingPackets => counters.outgoing_packets,
            Id::ServiceIncomingBytes => counters.incoming_bytes,
            Id::ServiceOutgoingBytes => counters.outgoing_bytes,
            _ => 1,
        };
        let labels = |labels: &mut Labels<'_>| {
            service_labels(labels, &service.key);
            if metric.id == Id::ServiceInfo {
                service_info(labels, service);
            }
        };
        text.sample(metric, labels, value);
        text.pass_on()?;
    }
    Ok(())
}

/// What names a service, with the values of node_exporter.
fn service_labels(labels: &mut Labels<'_>, key: &ServiceKey) {
    match *key {
        ServiceKey::Address { protocol, address, port } => {
            labels.address("local_address", address);
            labels.number("local_port", port);
            labels.plain("proto", protocol.name());
            labels.plain("local_mark", "");
        }
        ServiceKey::Mark { mark, .. } => {
            labels.plain("local_address", "");
            labels.plain("local_port", "0");
            labels.plain("proto", "FWM");
            labels.name("local_mark");
            let _ = write!(labels.draft, "{mark:08X}\"");
        }
    }
    labels.plain("family", family(key.family()));
}

fn service_info(labels: &mut Labels<'_>, service: &Service) {
    labels.any("scheduler", service.scheduler.as_bytes());
    labels.name("scheduler_flags");
    rules::write_scheduler_flags(labels.draft, service.scheduler, service.flags);
    labels.draft.push(b'"');
    labels.plain("one_packet", if service.flags.one_packet() { "true" } else { "false" });
    labels.number_if("persistence_seconds", service.persistence.map(|persistence| persistence.timeout));
    match service.persistence.map(|persistence| persistence.netmask) {
        Some(Netmask::V4(mask)) => labels.address("persistence_mask", mask.into()),
        Some(Netmask::V6(length)) => labels.number("persistence_mask", length),
        None => labels.plain("persistence_mask", ""),
    }
    labels.any("persistence_engine", service.engine.as_bytes());
}

fn servers(text: &mut Text<'_>, metric: &Metric, table: &MetricsTable) -> io::Result<()> {
    if table.servers.is_empty() {
        return Ok(());
    }
    text.head(metric);
    // What all servers of a service have in common is put together once. It saves a third of the instructions, kernel included.
    let mut common = Draft::new();
    for (service, servers) in table.rows() {
        common.clear();
        common.push_str(metric.name);
        service_labels(&mut Labels { draft: &mut common, first: true }, &service.service.key);
        common.push_str(",remote_address=\"");
        for server in servers {
            let draft = &mut text.draft;
            draft.push_bytes(common.as_bytes());
            push_address(draft, server.key.address);
            draft.push_str("\",remote_port=\"");
            draft.push_number(server.key.port);
            draft.push(b'"');
            if metric.id == Id::ServerInfo {
                server_info(&mut Labels { draft, first: false }, server);
            }
            let draft = &mut text.draft;
            draft.push_str("} ");
            draft.push_number(server_value(metric.id, server));
            draft.push(b'\n');
        }
        text.pass_on()?;
    }
    Ok(())
}

fn server_value(id: Id, server: &ServerRow) -> u64 {
    let counters = &server.counters;
    match id {
        Id::ServerConnections => counters.connections,
        Id::ServerIncomingPackets => counters.incoming_packets,
        Id::ServerOutgoingPackets => counters.outgoing_packets,
        Id::ServerIncomingBytes => counters.incoming_bytes,
        Id::ServerOutgoingBytes => counters.outgoing_bytes,
        Id::ServerActive => server.active.into(),
        Id::ServerInactive => server.inactive.into(),
        Id::ServerPersistent => server.persistent.into(),
        Id::ServerWeight => server.weight.into(),
        Id::ServerUpperThreshold => server.upper_threshold.into(),
        Id::ServerLowerThreshold => server.lower_threshold.into(),
        _ => 1,
    }
}

fn server_info(labels: &mut Labels<'_>, server: &ServerRow) {
    let (forwarding, tunnel) = match server.forwarding {
        Forwarding::DirectRoute => ("dr", None),
        Forwarding::Masquerade => ("nat", None),
        Forwarding::Tunnel(tunnel) => ("tunnel", Some(tunnel)),
        Forwarding::Local => ("local", None),
        Forwarding::Bypass => ("bypass", None),
    };
    labels.plain("forwarding", forwarding);
    labels.plain("tunnel_type", tunnel.map_or("", Tunnel::name));
    let (port, checksum) = match tunnel {
        Some(Tunnel::Gue { port, checksum: Checksum::Full }) => (Some(port), "full"),
        Some(Tunnel::Gue { port, checksum: Checksum::Remote }) => (Some(port), "remote"),
        Some(Tunnel::Gue { port, checksum: Checksum::None }) => (Some(port), "none"),
        Some(Tunnel::Gre { checksum: true }) => (None, "full"),
        Some(_) => (None, "none"),
        None => (None, ""),
    };
    labels.number_if("tunnel_port", port);
    labels.plain("tunnel_checksum", checksum);
    labels.plain("remote_family", family(Family::of(server.key.address)));
}
