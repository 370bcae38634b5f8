//! `--table`: tables for reading, with shares as bars and numbers with units, as wide as the terminal.

use std::io::{self, Write};

use ipvs_client::{
    Counters, Daemon, DestinationEntry, Info, Service, ServiceEntry, TableService, Timeouts,
    connections::{ConnectionKey, CountKeys, Counts},
};

pub use super::canvas::Canvas;
use super::canvas::{BOLD, DETAILS, Detail};
use super::columns::{Column, Line, Text, cut_to, lines, shortened, total, widths};
use super::connections::counted;
use super::marks::Mark;
use super::wide::{WithData, connection_row, engine_texts};
use super::{Labels, text};
use crate::grammar::{Columns, Listing};

/// How narrow a name may be cut.
const NAME_AT_LEAST: usize = 14;

/// SGR parameters.
const CYAN: &str = "36";
const GREEN: &str = "32";

/// A listing of services.
///
/// # Errors
/// The output fails.
pub fn services(
    out: &mut impl Write,
    labels: &mut Labels,
    listing: &Listing,
    info: Option<&Info>,
    services: &[TableService],
    canvas: Canvas,
) -> io::Result<()> {
    if let Some(info) = info {
        text::version_line(out, info)?;
    }
    let mut columns = columns(listing.columns);
    let names: Vec<Vec<Text>> = services
        .iter()
        .map(|service| service.destinations.iter().map(|server| name(labels, service, server, canvas)).collect())
        .collect();
    let rows_with = |detail: Detail| -> Vec<Vec<Text>> {
        let rows = services.iter().zip(&names).flat_map(|(service, names)| {
            let whole = Whole::of(service);
            let servers = service.destinations.iter().zip(names);
            servers.map(move |(server, name)| {
                let mut row = vec![name.clone()];
                row.extend(values(listing, server, &whole, canvas, detail));
                row
            })
        });
        rows.collect()
    };
    // The most that there is room for.
    let mut rows = Vec::new();
    for detail in DETAILS {
        rows = rows_with(detail);
        if total(&widths(&columns, &rows)) <= canvas.room() {
            break;
        }
    }
    if total(&widths(&columns, &rows)) > canvas.room() {
        for row in &mut rows {
            let mut columns = columns.iter();
            row.retain(|_| columns.next().is_some_and(|column| !column.bars));
        }
        columns.retain(|column| !column.bars);
    }
    cut_to(&columns, &mut rows, canvas.room(), canvas.ellipsis());
    let mut lines = lines(&columns, &rows)?.into_iter();
    let mut parts = vec![vec![Line::colored(lines.next().unwrap_or_default().text, BOLD)]];
    parts.extend(services.iter().map(|service| {
        let title = shortened(&title(labels, listing, &service.entry), canvas.room(), canvas.ellipsis());
        let servers = lines.by_ref().take(service.destinations.len());
        std::iter::once(Line::colored(title, BOLD)).chain(servers).collect()
    }));
    canvas.draw(out, &parts)?;
    let servers = || services.iter().flat_map(|service| &service.destinations);
    for mark in [Mark::NoWeight, Mark::Full] {
        if servers().any(|server| Mark::of(server) == mark) {
            let sign = mark.sign(canvas.unicode).to_owned();
            let painted = Line::colored(sign.clone(), mark.color()).paint(&sign, 0);
            writeln!(out, "{} {}", if canvas.color { painted } else { sign }, mark.meaning())?;
        }
    }
    Ok(())
}

/// What a server's shares are of.
struct Whole {
    weight: u64,
    traffic: u64,
    connections: u64,
}

impl Whole {
    fn of(service: &TableService) -> Self {
        let sum = |number: fn(&DestinationEntry) -> u64| {
            service.destinations.iter().fold(0u64, |sum, server| sum.saturating_add(number(server)))
        };
        Self {
            weight: sum(|server| server.destination.weight.into()),
            traffic: sum(|server| traffic(&server.statistics.counters)),
            connections: sum(|server| server.statistics.rates.connections),
        }
    }
}

const fn traffic(counters: &Counters) -> u64 {
    counters.incoming_bytes.saturating_add(counters.outgoing_bytes)
}

/// `TCP 20.20.20.20:80  wrr persistent 360  20 connections, 9.16 kB in, 0 B out`
fn title(labels: &mut Labels, listing: &Listing, entry: &ServiceEntry) -> String {
    let mut title = labels.service_name(&entry.service.key, 0);
    title.push_str("  ");
    title.push_str(&text::scheduling(&entry.service));
    let (counters, rates) = (&entry.statistics.counters, &entry.statistics.rates);
    let number = |number| with_unit(number, "", listing.exact);
    let bytes = |number| with_unit(number, "B", listing.exact);
    title.push_str("  ");
    title.push_str(&match listing.columns {
        Columns::Rate => format!(
            "{} connections/s, {}/s in, {}/s out",
            number(rates.connections),
            bytes(rates.incoming_bytes),
            bytes(rates.outgoing_bytes)
        ),
        _ => format!(
            "{} connections, {} in, {} out",
            number(counters.connections),
            bytes(counters.incoming_bytes),
            bytes(counters.outgoing_bytes)
        ),
    });
    title
}

fn name(labels: &mut Labels, service: &TableService, server: &DestinationEntry, canvas: Canvas) -> Text {
    let mark = Mark::of(server);
    let Service { key, .. } = service.entry.service;
    let name = labels.text(server.destination.key.address, server.destination.key.port, key.protocol());
    Text::colored(format!("{} {name}", mark.sign(canvas.unicode)), mark.color())
}

fn columns(columns: Columns) -> Vec<Column> {
    const SERVER: Column = Column::cut("  Server", NAME_AT_LEAST);
    const FORWARD: Column = Column::left("Fwd");
    const WEIGHT: Column = Column::right("Weight");
    const ACTIVE: Column = Column::right("Active");
    const INACTIVE: Column = Column::right("Inact");
    let right = Column::right;
    match columns {
        Columns::Plain => {
            vec![
                SERVER,
                FORWARD,
                WEIGHT,
                Column::bars("Share"),
                ACTIVE,
                INACTIVE,
                right("Traffic"),
                Column::bars("Share"),
            ]
        }
        Columns::Stats => vec![
            SERVER,
            right("Conns"),
            right("Packets in"),
            right("out"),
            right("Bytes in"),
            right("out"),
            Column::bars("Share"),
        ],
        Columns::Rate => vec![
            SERVER,
            right("Conns/s"),
            right("Packets/s in"),
            right("out"),
            right("Bytes/s in"),
            right("out"),
            Column::bars("Share"),
        ],
        Columns::Thresholds => vec![SERVER, ACTIVE, INACTIVE, right("Lower"), right("Upper"), Column::bars("Filled")],
        Columns::PersistentConnections => {
            vec![SERVER, WEIGHT, Column::bars("Share"), right("Persistent"), ACTIVE, INACTIVE]
        }
        Columns::TunnelInfo => {
            vec![SERVER, FORWARD, Column::left("Tunnel"), WEIGHT, Column::bars("Share"), ACTIVE, INACTIVE]
        }
    }
}

/// What stands behind the server's name.
fn values(listing: &Listing, entry: &DestinationEntry, whole: &Whole, canvas: Canvas, detail: Detail) -> Vec<Text> {
    let server = &entry.destination;
    let (counters, rates) = (&entry.statistics.counters, &entry.statistics.rates);
    let plain = |number: u32| Text::plain(number.to_string());
    let number = |number| Text::plain(with_unit(number, "", listing.exact));
    let bytes = |number| Text::plain(with_unit(number, "B", listing.exact));
    let forward = Text::plain(text::forwarding_name(server.forwarding));
    let (active, inactive) = (plain(entry.active_connections), plain(entry.inactive_connections));
    let weight = plain(server.weight);
    let weights = Text::colored(canvas.share(server.weight.into(), whole.weight, detail), CYAN);
    let traffics = |part, whole| Text::colored(canvas.share(part, whole, detail), GREEN);
    match listing.columns {
        Columns::Plain => vec![
            forward,
            weight,
            weights,
            active,
            inactive,
            bytes(traffic(counters)),
            traffics(traffic(counters), whole.traffic),
        ],
        Columns::Stats => vec![
            number(counters.connections),
            number(counters.incoming_packets),
            number(counters.outgoing_packets),
            bytes(counters.incoming_bytes),
            bytes(counters.outgoing_bytes),
            traffics(traffic(counters), whole.traffic),
        ],
        Columns::Rate => vec![
            number(rates.connections),
            number(rates.incoming_packets),
            number(rates.outgoing_packets),
            bytes(rates.incoming_bytes),
            bytes(rates.outgoing_bytes),
            traffics(rates.connections, whole.connections),
        ],
        Columns::Thresholds => {
            let connections = u64::from(entry.active_connections) + u64::from(entry.inactive_connections);
            let filled = traffics(connections, server.upper_threshold.into());
            vec![active, inactive, plain(server.lower_threshold), plain(server.upper_threshold), filled]
        }
        Columns::PersistentConnections => {
            vec![weight, weights, plain(entry.persistent_connections), active, inactive]
        }
        Columns::TunnelInfo => {
            vec![forward, Text::plain(text::tunnel_info(server.forwarding)), weight, weights, active, inactive]
        }
    }
}

/// Connections.
///
/// # Errors
/// The output fails.
pub fn connections(
    out: &mut impl Write,
    labels: &mut Labels,
    connections: &[WithData<'_>],
    engine_data: bool,
    canvas: Canvas,
) -> io::Result<()> {
    const COLUMNS: [Column; 8] = [
        Column::left("Prot"),
        Column::left("Expires"),
        Column::left("State"),
        Column::cut("Client", NAME_AT_LEAST),
        Column::cut("Virtual service", NAME_AT_LEAST),
        Column::cut("Server", NAME_AT_LEAST),
        Column::left("Engine"),
        Column::cut("Data", NAME_AT_LEAST),
    ];
    let columns = &COLUMNS[..if engine_data { 8 } else { 6 }];
    let rows = connections.iter().map(|(connection, engine)| {
        let mut row = connection_row(labels, connection);
        if engine_data {
            row.extend(engine_texts(*engine));
        }
        row
    });
    canvas.draw_columns(out, columns, rows.collect())
}

/// Connections, counted.
///
/// # Errors
/// The output fails.
pub fn counts(
    out: &mut impl Write,
    labels: &mut Labels,
    keys: CountKeys,
    counts: &Counts,
    canvas: Canvas,
) -> io::Result<()> {
    let column = |key| match key {
        ConnectionKey::State | ConnectionKey::Expires => Column::cut("State", NAME_AT_LEAST),
        ConnectionKey::Server => Column::cut("Server", NAME_AT_LEAST),
        ConnectionKey::Client => Column::cut("Client", NAME_AT_LEAST),
    };
    let mut columns: Vec<Column> = std::iter::once(keys.first).chain(keys.second).map(column).collect();
    columns.extend([Column::right("Connections"), Column::bars("Share")]);
    let total = counts.iter().map(|count| count.connections).sum();
    let rows = counts.iter().map(|count| {
        let mut row: Vec<Text> = count.parts().map(|part| Text::plain(counted(part, labels))).collect();
        row.push(Text::plain(count.connections.to_string()));
        row.push(Text::colored(canvas.share(count.connections, total, DETAILS[0]), GREEN));
        row
    });
    canvas.draw_columns(out, &columns, rows.collect())
}

/// Timeouts.
///
/// # Errors
/// The output fails.
pub fn timeouts(out: &mut impl Write, timeouts: &Timeouts, canvas: Canvas) -> io::Result<()> {
    let columns = [Column::left("Timeout"), Column::right("Idle seconds")];
    let rows = [("TCP", timeouts.tcp), ("TCP after FIN", timeouts.tcp_fin), ("UDP", timeouts.udp)];
    let rows = rows.map(|(name, seconds)| vec![Text::plain(name), Text::plain(seconds.to_string())]);
    canvas.draw_columns(out, &columns, rows.into())
}

/// Synchronisation daemons.
///
/// # Errors
/// The output fails.
pub fn daemons(out: &mut impl Write, daemons: &[Daemon], canvas: Canvas) -> io::Result<()> {
    const NAMES: [&str; 7] = ["Daemon", "Interface", "Sync id", "Group", "Port", "TTL", "Longest message"];
    let columns = NAMES.map(Column::left);
    let rows = daemons.iter().map(|daemon| {
        let or_dash = |text: Option<String>| Text::plain(text.unwrap_or_else(|| "-".to_owned()));
        vec![
            Text::plain(daemon.role.name()),
            Text::plain(daemon.interface.to_string()),
            Text::plain(daemon.sync_id.to_string()),
            or_dash(daemon.group.map(|group| group.to_string())),
            or_dash(daemon.port.map(|port| port.to_string())),
            or_dash(daemon.ttl.map(|ttl| ttl.to_string())),
            or_dash(daemon.maximum_length.map(|length| format!("{length} B"))),
        ]
    });
    canvas.draw_columns(out, &columns, rows.collect())
}

/// Three digits and a unit of thousands, as in `9.16 kB`; or all digits.
fn with_unit(number: u64, unit: &str, exact: bool) -> String {
    let separator = if unit.is_empty() { "" } else { " " };
    if exact || number < 1000 {
        return format!("{number}{separator}{unit}");
    }
    let mut value = number as f64;
    for prefix in ["", "k", "M", "G", "T", "P", "E"] {
        // What would be rounded to four digits gets the next prefix.
        if value < 999.5 {
            let digits = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
            return format!("{value:.digits$} {prefix}{unit}");
        }
        value /= 1000.0;
    }
    format!("{number}{separator}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_and_a_unit() {
        for (number, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.00 kB"),
            (9163, "9.16 kB"),
            (9999, "10.0 kB"),
            (99_949, "99.9 kB"),
            (99_951, "100 kB"),
            (999_499, "999 kB"),
            (999_500, "1.00 MB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(with_unit(number, "B", false), text, "{number}");
        }
        assert_eq!(with_unit(u64::MAX, "B", true), "18446744073709551615 B");
        assert_eq!((with_unit(12, "", false), with_unit(12_345, "", false)), ("12".into(), "12.3 k".into()));
    }
}
