//! The table as metrics, in the text format of Prometheus or of OpenMetrics. Both want all samples of a metric together, so
//! services and servers are read once for each: from rows ([`RowMaker`]) that the caller keeps, in memory or not.

mod labels;
mod rows;

use std::fmt::Write as _;
use std::io::{self, Read, Seek, Write};
use std::time::Duration;

use ipvs_client::{
    Daemon, Info, Timeouts,
    hash_tables::{HashTable, HashTables},
};

use super::append::Draft;
use super::text;
use crate::grammar::Exposition;
use crate::metrics::{Id, Kind, METRICS, Metric, Scope, Selection};

use labels::{Labels, daemon_labels};
use rows::Kind as RowKind;
pub use rows::{Row, RowMaker, RowReader, Table};

/// Text that is gathered before it is written.
const PIECE: usize = 32 * 1024;

/// All that there are metrics of, beside services and servers.
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
    /// Servers that have connections and no counters.
    pub uncounted_servers: u64,
    /// When all that was read, since 1970.
    pub read_at: Duration,
}

/// Write the metrics that are chosen.
///
/// # Errors
/// The output fails, or reading the table does.
pub fn write<R: Read + Seek>(
    out: &mut dyn Write,
    format: Exposition,
    only: Selection,
    sample: &Sample,
    table: &mut Table<R>,
) -> io::Result<()> {
    let mut buffer = Vec::new();
    let mut text = Text { out, format, draft: Draft::new() };
    for metric in METRICS.iter().filter(|metric| only.has(metric)) {
        match metric.scope {
            Scope::Whole => whole(&mut text, metric, sample)?,
            Scope::Service => services(&mut text, metric, &mut table.services, &mut buffer)?,
            Scope::Server => servers(&mut text, metric, &mut table.servers, &mut buffer)?,
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
        text.plain(metric, 0);
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

    /// A sample with labels.
    fn sample(&mut self, metric: &Metric, labels: impl FnOnce(&mut Labels<'_>), value: impl itoa::Integer) {
        self.draft.push_str(metric.name);
        self.draft.push(b'{');
        labels(&mut Labels::new(&mut self.draft));
        self.end_sample([&[]; 2], value);
    }

    /// The end of a sample: the rest of its labels, and its value.
    fn end_sample(&mut self, labels: [&[u8]; 2], value: impl itoa::Integer) {
        labels.into_iter().for_each(|labels| self.draft.push_bytes(labels));
        self.draft.push_str("} ");
        self.draft.push_number(value);
        self.draft.push(b'\n');
    }

    /// A sample without labels.
    fn plain(&mut self, metric: &Metric, value: impl itoa::Integer) {
        self.draft.push_str(metric.name);
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
        Id::UncountedServers => single(text, metric, number(sample.uncounted_servers)),
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
        text.plain(metric, value);
    }
}

fn services<R: Read + Seek>(
    text: &mut Text<'_>,
    metric: &Metric,
    rows: &mut R,
    buffer: &mut Vec<u8>,
) -> io::Result<()> {
    let mut rows = RowReader::new(rows, buffer)?;
    let mut has_head = false;
    while let Some(row) = rows.next_row()? {
        if !std::mem::replace(&mut has_head, true) {
            text.head(metric);
        }
        let info = if metric.id == Id::ServiceInfo { row.service_info() } else { &[] };
        text.draft.push_str(metric.name);
        text.draft.push(b'{');
        text.end_sample([row.labels(), info], row.value(metric.id));
        text.pass_on()?;
    }
    Ok(())
}

fn servers<R: Read + Seek>(text: &mut Text<'_>, metric: &Metric, rows: &mut R, buffer: &mut Vec<u8>) -> io::Result<()> {
    let mut rows = RowReader::new(rows, buffer)?;
    let mut has_head = false;
    // What the servers of a service have in common is put together once.
    let (mut common, mut info) = (Draft::new(), Draft::new());
    while let Some(row) = rows.next_row()? {
        match row.kind() {
            Some(RowKind::Heading) => {
                common.clear();
                common.push_str(metric.name);
                common.push(b'{');
                common.push_bytes(row.labels());
            }
            Some(RowKind::Info) if metric.id == Id::ServerInfo => {
                info.clear();
                info.push_bytes(row.labels());
            }
            Some(RowKind::Server) => {
                if !std::mem::replace(&mut has_head, true) {
                    text.head(metric);
                }
                text.draft.push_bytes(common.as_bytes());
                text.end_sample([row.labels(), info.as_bytes()], row.value(metric.id));
                text.pass_on()?;
            }
            _ => {}
        }
    }
    Ok(())
}
