//! `-L -c`: all connections or some, as they come, sorted or counted.

use std::io::BufRead;

use anyhow::{Result, ensure};
use ipvs_client::{
    Client,
    connections::{
        Choice, Connection, Count, CountKeys, Counted, Counter, ENGINE_PATH, EngineTable, Held, PATH, Row, Skipped,
        open, read, rows,
    },
};

use crate::commands::labels::NamedLabels;
use crate::commands::{Output, terminal};
use crate::grammar::{ConnectionView, Connections, Format, Listing};
use crate::view::json::{self, ConnectionCounts, ConnectionDocument};
use crate::view::wide::WithData;
use crate::view::{Labels, boxed, connections, wide};

/// Connections whose names are looked up together.
const LOOKED_UP_TOGETHER: usize = 16 * 1024;

pub(super) fn list(client: &mut Client, listing: &Listing, wanted: &Connections, output: &mut Output) -> Result<()> {
    // Anybody may read the file; ipvsadm asks the kernel first, which answers root only.
    client.info()?;
    let mut labels = NamedLabels::new(listing.numeric, listing.resolve_timeout);
    let choice = &wanted.choice;
    if let ConnectionView::Counted(keys) = wanted.view {
        return count(listing, choice, keys, &mut labels, output);
    }
    // JSON has everything, whatever columns are asked for.
    let with_data = listing.engine_data || matches!(listing.format, Format::Json(_));
    let engines = if with_data { EngineTable::of_kernel()? } else { EngineTable::default() };
    report(ENGINE_PATH, engines.skipped());
    let source = open()?;
    let skipped = match (wanted.view, listing.format) {
        (ConnectionView::Sorted(key), _) => {
            let (mut all, skipped) = held(source, choice)?;
            all.sort(key);
            show(&all, &engines, listing, &mut labels, output)?;
            skipped
        }
        (_, Format::Wide | Format::Table) => {
            let (all, skipped) = held(source, choice)?;
            show(&all, &engines, listing, &mut labels, output)?;
            skipped
        }
        // Line by line: there can be millions.
        (_, Format::Classic) if listing.numeric => numbers(source, choice, &engines, listing, output)?,
        (_, Format::Classic) => names(source, choice, &engines, listing, &mut labels, output)?,
        (_, Format::Json(json)) => {
            let mut list = json::Stream::begin(output, KIND, &NONE, json.pretty)?;
            let skipped = read(source, |connection| match choice.has(connection) {
                true => list.element(&ConnectionDocument::new(connection, engines.of(connection))),
                false => Ok(()),
            })?;
            list.end()?;
            skipped
        }
    };
    report(PATH, skipped);
    Ok(())
}

/// Say how many lines of a list were skipped.
pub(in crate::commands) fn report(path: &'static str, skipped: Skipped) {
    if let Some(message) = skipped.message(path) {
        say!("{message}");
    }
}

/// The document's kind.
const KIND: &str = "connections";
const NONE: [(); 0] = [];

/// The original's lines, by number.
fn numbers(
    source: impl BufRead,
    choice: &Choice,
    engines: &EngineTable,
    listing: &Listing,
    output: &mut Output,
) -> Result<Skipped> {
    connections::header(output, listing.engine_data)?;
    let mut labels = Labels::numeric();
    let all = *choice == Choice::ALL && !listing.engine_data;
    let skipped = rows(source, |row| match row {
        Row::Usual(usual) if all => connections::usual(output, usual),
        row => {
            let connection = &row.connection();
            match choice.has(connection) {
                true => connections::line(output, &mut labels, connection, engines.of(connection)),
                false => Ok(()),
            }
        }
    })?;
    Ok(skipped)
}

/// The original's lines, with names.
fn names(
    source: impl BufRead,
    choice: &Choice,
    engines: &EngineTable,
    listing: &Listing,
    labels: &mut NamedLabels,
    output: &mut Output,
) -> Result<Skipped> {
    connections::header(output, listing.engine_data)?;
    // Names are looked up together, so some connections have to wait for each other; all of them could be too many.
    let mut waiting = Vec::new();
    let mut write_waiting = |waiting: &mut Vec<Connection>| {
        labels.look_up(waiting.iter().flat_map(addresses));
        waiting
            .drain(..)
            .try_for_each(|connection| connections::line(output, labels, &connection, engines.of(&connection)))
    };
    let skipped = read(source, |connection| {
        if choice.has(connection) {
            waiting.push(*connection);
        }
        if waiting.len() < LOOKED_UP_TOGETHER { Ok(()) } else { write_waiting(&mut waiting) }
    })?;
    write_waiting(&mut waiting)?;
    Ok(skipped)
}

/// The connections wanted, all at once, in little room.
fn held(source: impl BufRead, choice: &Choice) -> Result<(Held, Skipped)> {
    let mut all = Held::default();
    let mut fits = true;
    let skipped = read(source, |connection| {
        if choice.has(connection) {
            fits &= all.push(connection);
        }
        Ok(())
    })?;
    ensure!(fits, "{PATH}: more than 256 names of protocols and states");
    Ok((all, skipped))
}

fn addresses(connection: &Connection) -> [std::net::IpAddr; 3] {
    [connection.source.0, connection.virtual_address.0, connection.destination.0]
}

fn show(
    all: &Held,
    engines: &EngineTable,
    listing: &Listing,
    labels: &mut NamedLabels,
    output: &mut Output,
) -> Result<()> {
    labels.look_up(all.iter().flat_map(|connection| addresses(&connection)));
    let engine_data = listing.engine_data;
    let with_data =
        || all.iter().map(|connection| (connection, engines.of(&connection))).collect::<Vec<WithData<'_>>>();
    match listing.format {
        Format::Classic => {
            connections::header(output, engine_data)?;
            all.iter().try_for_each(|one| connections::line(output, labels, &one, engines.of(&one)))?;
        }
        Format::Wide => wide::connections(output, labels, &with_data(), engine_data)?,
        Format::Table => {
            boxed::connections(output, labels, &with_data(), engine_data, terminal::canvas(listing.color))?;
        }
        Format::Json(json) => {
            let mut list = json::Stream::begin(output, KIND, &NONE, json.pretty)?;
            all.iter().try_for_each(|one| list.element(&ConnectionDocument::new(&one, engines.of(&one))))?;
            list.end()?;
        }
    }
    Ok(())
}

fn count(
    listing: &Listing,
    choice: &Choice,
    keys: CountKeys,
    labels: &mut NamedLabels,
    output: &mut Output,
) -> Result<()> {
    let mut counter = Counter::by(keys);
    let skipped = read(open()?, |connection| {
        if choice.has(connection) {
            counter.add(connection);
        }
        Ok(())
    })?;
    let counts = counter.counts();
    labels.look_up(counts.iter().flat_map(Count::parts).filter_map(Counted::address));
    match listing.format {
        Format::Classic | Format::Wide => connections::list_counts(&counts, output, labels)?,
        Format::Table => boxed::counts(output, labels, keys, &counts, terminal::canvas(listing.color))?,
        Format::Json(json) => {
            json::write(output, "connection_counts", &ConnectionCounts::new(keys, &counts), json.pretty)?;
        }
    }
    report(PATH, skipped);
    Ok(())
}
