//! `-L -c`: all connections or some, as they come, sorted or counted.

use std::fs::File;
use std::io::{self, BufRead, BufReader};

use anyhow::{Context, Result};

use super::labels;
use crate::commands::{Output, terminal};
use crate::grammar::{ConnectionKey, ConnectionView, Connections, Format, Listing};
use crate::kernel::Client;
use crate::view::connections::{self, Connection, Counter};
use crate::view::json::{self, ConnectionCounts, ConnectionDocument};
use crate::view::{Labels, boxed, wide};

/// Bytes of the kernel's list read at once.
const BUFFER: usize = 64 * 1024;

/// The kernel's list of connections, of the network namespace we are in.
pub(in crate::commands) fn kernel_list() -> io::Result<BufReader<File>> {
    File::open(connections::PATH).map(|file| BufReader::with_capacity(BUFFER, file))
}

pub(super) fn list(client: &mut Client, listing: &Listing, wanted: &Connections, output: &mut Output) -> Result<()> {
    // Anybody may read the file; ipvsadm asks the kernel first, which answers root only.
    client.info()?;
    let source = kernel_list().context(connections::PATH)?;
    let mut labels = labels(listing.numeric, listing.resolve_timeout);
    match wanted.view {
        ConnectionView::Counted(key) => count(source, listing, wanted, key, &mut labels, output),
        ConnectionView::AsTheyCome => match listing.format {
            // Line by line: there can be millions.
            Format::Classic => Ok(connections::list(source, output, &mut labels, listing.engine_data, wanted)?),
            Format::Json(json) => {
                let mut list = json::Stream::begin(output, KIND, &NONE, json.pretty)?;
                connections::read(source, |connection| match connection.is_of(wanted) {
                    true => list.element(&ConnectionDocument::from(connection)),
                    false => Ok(()),
                })?;
                Ok(list.end()?)
            }
            Format::Wide | Format::Table => show(&held(source, wanted)?, listing, &mut labels, output),
        },
        ConnectionView::Sorted(key) => {
            let mut connections = held(source, wanted)?;
            connections.sort_unstable_by(|a, b| a.order(b, key));
            show(&connections, listing, &mut labels, output)
        }
    }
}

/// The document's kind.
const KIND: &str = "connections";
const NONE: [(); 0] = [];

/// The connections wanted, all at once.
fn held(source: impl BufRead, wanted: &Connections) -> Result<Vec<Connection<'static>>> {
    let mut all = Vec::new();
    connections::read(source, |connection| {
        if connection.is_of(wanted) {
            all.push(connection.clone().into_owned());
        }
        Ok(())
    })?;
    Ok(all)
}

fn show(all: &[Connection<'_>], listing: &Listing, labels: &mut Labels, output: &mut Output) -> Result<()> {
    let addresses = all.iter().flat_map(|c| [c.source.0, c.virtual_address.0, c.destination.0]);
    labels.look_up(addresses);
    let engine_data = listing.engine_data;
    match listing.format {
        Format::Classic => connections::list_of(all, output, labels, engine_data)?,
        Format::Wide => wide::connections(output, labels, all, engine_data)?,
        Format::Table => boxed::connections(output, labels, all, engine_data, terminal::canvas(listing.color))?,
        Format::Json(json) => {
            let mut list = json::Stream::begin(output, KIND, &NONE, json.pretty)?;
            all.iter().try_for_each(|connection| list.element(&ConnectionDocument::from(connection)))?;
            list.end()?;
        }
    }
    Ok(())
}

fn count(
    source: impl BufRead,
    listing: &Listing,
    wanted: &Connections,
    key: ConnectionKey,
    labels: &mut Labels,
    output: &mut Output,
) -> Result<()> {
    let mut counter = Counter::by(key);
    connections::read(source, |connection| {
        if connection.is_of(wanted) {
            counter.add(connection);
        }
        Ok(())
    })?;
    let counts = counter.counts();
    labels.look_up(counts.iter().filter_map(|count| count.of.address()));
    match listing.format {
        Format::Classic | Format::Wide => connections::list_counts(&counts, output, labels)?,
        Format::Table => boxed::counts(output, labels, key, &counts, terminal::canvas(listing.color))?,
        Format::Json(json) => {
            json::write(output, "connection_counts", &ConnectionCounts::new(key, &counts), json.pretty)?;
        }
    }
    Ok(())
}
