//! `--wide`: the listings of ipvsadm with columns as wide as what is in them. Nothing is cut and no number shortened.

use std::io::{self, Write};

use ipvs_client::{
    DestinationEntry, Info, Protocol, ServiceEntry, ServiceKey, TableService,
    connections::{Connection, EngineData},
};

use super::columns::{Column, GAP, Line, Text, lines};
use super::connections::expiry;
use super::marks::Mark;
use super::{HashNote, HashNotes, Labels, text};
use crate::escape::escaped_bytes;
use crate::grammar::{Columns, Listing};

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
    notes: &HashNotes,
    color: bool,
) -> io::Result<()> {
    if let Some(info) = info {
        text::version_line(out, info)?;
    }
    let columns = columns(listing.columns);
    // The lines of services have no columns but those of numbers; they are put in afterwards.
    let mut rows = Vec::new();
    let mut flags = Vec::new();
    for service in services {
        rows.push(service_row(labels, listing, &service.entry));
        let note = notes.get(&service.entry.service.key).map(HashNote::text).unwrap_or_default();
        flags.push(Some(scheduling(listing, &service.entry) + &note));
        for server in &service.destinations {
            rows.push(server_row(labels, listing, &service.entry.service.key, server));
            flags.push(None);
        }
    }
    if !has_numbers(listing.columns) {
        return without_numbers(out, &columns, &rows, &flags, color);
    }
    let mut lines = lines(&columns, &rows)?.into_iter();
    writeln!(out, "{}\n  -> RemoteAddress:Port", lines.next().unwrap_or_default().text)?;
    lines.try_for_each(|line| writeln!(out, "{}", painted(&line, color)))
}

/// The lines of services are free text here, and widen no column.
fn without_numbers(
    out: &mut impl Write,
    columns: &[Column],
    rows: &[Vec<Text>],
    flags: &[Option<String>],
    color: bool,
) -> io::Result<()> {
    let servers: Vec<Vec<Text>> =
        rows.iter().zip(flags).filter(|(_, flags)| flags.is_none()).map(|(row, _)| row.clone()).collect();
    let mut servers = lines(columns, &servers)?.into_iter();
    let header = servers.next().unwrap_or_default();
    writeln!(out, "Prot LocalAddress:Port Scheduler Flags\n{}", header.text)?;
    for (row, flags) in rows.iter().zip(flags) {
        match flags {
            Some(flags) => writeln!(out, "{} {flags}", row[0].text)?,
            None => writeln!(out, "{}", painted(&servers.next().unwrap_or_default(), color))?,
        }
    }
    Ok(())
}

fn painted(line: &Line, color: bool) -> String {
    if color { line.paint(&line.text, 0) } else { line.text.clone() }
}

const fn has_numbers(columns: Columns) -> bool {
    matches!(columns, Columns::Stats | Columns::Rate)
}

fn columns(columns: Columns) -> Vec<Column> {
    const REMOTE: Column = Column::left("  -> RemoteAddress:Port");
    const LOCAL: Column = Column::left("Prot LocalAddress:Port");
    const FORWARD: Column = Column::left("Forward");
    const WEIGHT: Column = Column::right("Weight");
    const ACTIVE: Column = Column::right("ActiveConn");
    const INACTIVE: Column = Column::right("InActConn");
    let right = Column::right;
    match columns {
        Columns::Plain => vec![REMOTE, FORWARD, WEIGHT, ACTIVE, INACTIVE],
        Columns::Stats => {
            vec![LOCAL, right("Conns"), right("InPkts"), right("OutPkts"), right("InBytes"), right("OutBytes")]
        }
        Columns::Rate => vec![LOCAL, right("CPS"), right("InPPS"), right("OutPPS"), right("InBPS"), right("OutBPS")],
        Columns::Thresholds => vec![REMOTE, right("Uthreshold"), right("Lthreshold"), ACTIVE, INACTIVE],
        Columns::PersistentConnections => vec![REMOTE, WEIGHT, right("PersistConn"), ACTIVE, INACTIVE],
        Columns::TunnelInfo => vec![REMOTE, FORWARD, Column::left("TunnelInfo"), WEIGHT, ACTIVE, INACTIVE],
    }
}

fn service_row(labels: &mut Labels, listing: &Listing, entry: &ServiceEntry) -> Vec<Text> {
    let mut row = vec![Text::plain(labels.service_name(&entry.service.key, text::KIND))];
    if has_numbers(listing.columns) {
        row.extend(text::numbers(listing.columns, &entry.statistics).map(|number| Text::plain(number.to_string())));
    }
    row
}

fn scheduling(listing: &Listing, entry: &ServiceEntry) -> String {
    if has_numbers(listing.columns) { String::new() } else { text::scheduling(&entry.service) }
}

fn server_row(labels: &mut Labels, listing: &Listing, key: &ServiceKey, entry: &DestinationEntry) -> Vec<Text> {
    let server = &entry.destination;
    let name = format!("  -> {}", labels.text(server.key.address, server.key.port, key.protocol()));
    let number = |number: u32| Text::plain(number.to_string());
    let forward = Text::plain(text::forwarding_name(server.forwarding));
    let mut row = vec![Text::colored(name, Mark::of(entry).color())];
    match listing.columns {
        Columns::Plain => row.extend([forward, number(server.weight)]),
        Columns::TunnelInfo => {
            row.extend([forward, Text::plain(text::tunnel_info(server.forwarding)), number(server.weight)]);
        }
        Columns::Thresholds => row.extend([number(server.upper_threshold), number(server.lower_threshold)]),
        Columns::PersistentConnections => row.extend([number(server.weight), number(entry.persistent_connections)]),
        Columns::Stats | Columns::Rate => {
            let numbers = text::numbers(listing.columns, &entry.statistics);
            row.extend(numbers.map(|number| Text::plain(number.to_string())));
            return row;
        }
    }
    row.extend([number(entry.active_connections), number(entry.inactive_connections)]);
    row
}

/// A connection, and the data of its persistence engine.
pub type WithData<'e> = (Connection, Option<&'e EngineData>);

/// A listing of connections, which are gone through twice: for the widths of the columns, and line by line.
///
/// # Errors
/// The output fails.
pub fn connections<'e>(
    out: &mut impl Write,
    labels: &mut Labels,
    connections: impl Iterator<Item = WithData<'e>> + Clone,
    engine_data: bool,
) -> io::Result<()> {
    const COLUMNS: [Column; 9] = [
        Column::left("pro"),
        Column::left("expire"),
        Column::left("state"),
        Column::left("source"),
        Column::left("virtual"),
        Column::left("destination"),
        Column::left("origin"),
        Column::left("pe name"),
        Column::left("pe_data"),
    ];
    let columns = &COLUMNS[..if engine_data { 9 } else { 7 }];
    let mut row = |(connection, engine): WithData<'_>| {
        let mut row = connection_row(labels, &connection);
        row.push(Text::plain(connection.origin.name()));
        if engine_data {
            row.extend(engine_texts(engine));
        }
        row
    };
    let mut widths: Vec<usize> = columns.iter().map(|column| column.header.len()).collect();
    for connection in connections.clone() {
        for (widest, text) in widths.iter_mut().zip(row(connection)) {
            *widest = text.width().max(*widest);
        }
    }
    let headers = columns.iter().map(|column| Text::plain(column.header)).collect();
    writeln!(out, "IPVS connection entries\n{}", line(&widths, headers))?;
    connections.into_iter().try_for_each(|connection| writeln!(out, "{}", line(&widths, row(connection))))
}

/// Texts in columns of these widths, each at the left.
fn line(widths: &[usize], texts: Vec<Text>) -> String {
    let mut line = String::new();
    for (Text { text, .. }, width) in texts.iter().zip(widths) {
        line.push_str(&format!("{text:<width$}{:GAP$}", ""));
    }
    line.truncate(line.trim_end().len());
    line
}

/// Protocol, expiry, state and endpoints of a connection.
pub(super) fn connection_row(labels: &mut Labels, connection: &Connection) -> Vec<Text> {
    let protocol = connection.protocol.text();
    let named = Protocol::named(&protocol);
    let mut row = vec![Text::plain(protocol), Text::plain(expiry(connection)), Text::plain(connection.state.text())];
    for (address, port) in [connection.source, connection.virtual_address, connection.destination] {
        row.push(Text::plain(labels.text(address, port, named)));
    }
    row
}

/// Name and data of a connection's engine, if it has one.
pub(super) fn engine_texts(engine: Option<&EngineData>) -> [Text; 2] {
    let texts = engine.map(|engine| (escaped_bytes(engine.name.as_bytes()), escaped_bytes(&engine.data)));
    let (name, data) = texts.unwrap_or_default();
    [Text::plain(name), Text::plain(data)]
}
