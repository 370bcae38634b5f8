//! `-L`

use std::fs::File;
use std::io::BufReader;
use std::net::IpAddr;

use anyhow::{Context, Result};

use super::{Output, status};
use crate::grammar::{Listing, Subject};
use crate::kernel::{Client, Error};
use crate::model::{DestinationEntry, ServiceEntry, Table, TableService};
use crate::view::{Labels, connections, text};

/// Bytes of the kernel's list of connections read at once.
const CONNECTIONS_BUFFER: usize = 64 * 1024;

pub(super) fn run(listing: &Listing, output: &mut Output) -> Result<u8> {
    match listing_with(&mut Client::connect()?, listing, output) {
        // What the original calls a failed listing, whoever failed.
        Err(error) if matches!(error.downcast_ref(), Some(Error::Refused(_))) => {
            say!("{error:#}");
            Ok(status::FAILED)
        }
        outcome => outcome.map(|()| status::OK),
    }
}

/// The listing, over a client that is there already.
pub(super) fn listing_with(client: &mut Client, listing: &Listing, output: &mut Output) -> Result<()> {
    let mut labels = labels(listing.numeric);
    match listing.subject {
        Subject::Timeouts => text::timeouts(output, &client.timeouts()?)?,
        Subject::Daemons => {
            for daemon in client.daemons()? {
                text::daemon(output, &daemon)?;
            }
        }
        Subject::Connections => {
            // Anybody may read the file; ipvsadm asks the kernel first, which answers root only.
            client.info()?;
            let file = File::open(connections::PATH).context(connections::PATH)?;
            let source = BufReader::with_capacity(CONNECTIONS_BUFFER, file);
            connections::list(source, output, &mut labels, listing.engine_data)?;
        }
        Subject::Service(key) => {
            let entry = client.service(&key)?;
            let destinations = client.destinations(&key)?;
            write_table(Table { services: vec![TableService { entry, destinations }] }, listing, &mut labels, output)?;
        }
        Subject::Table => {
            text::version_line(output, &client.info()?)?;
            write_table(client.table()?, listing, &mut labels, output)?;
        }
    }
    Ok(())
}

/// Names or numbers.
pub(super) fn labels(numeric: bool) -> Labels {
    if numeric { Labels::numeric() } else { Labels::with_names() }
}

/// Every address of a table, for looking their names up at once.
fn addresses(table: &Table) -> impl Iterator<Item = IpAddr> + '_ {
    table.services.iter().flat_map(|service| {
        let servers = service.destinations.iter().map(|entry| entry.destination.key.address);
        service.entry.service.key.address().into_iter().chain(servers)
    })
}

fn write_table(mut table: Table, listing: &Listing, labels: &mut Labels, output: &mut Output) -> Result<()> {
    if listing.sorted {
        table.sort();
    }
    labels.look_up(addresses(&table));
    text::header(output, listing.columns)?;
    for TableService { entry, destinations } in &table.services {
        write_service(entry, destinations, listing, labels, output)?;
    }
    Ok(())
}

fn write_service(
    entry: &ServiceEntry,
    destinations: &[DestinationEntry],
    listing: &Listing,
    labels: &mut Labels,
    output: &mut Output,
) -> Result<()> {
    text::service(output, labels, listing, entry)?;
    for destination in destinations {
        text::destination(output, labels, listing, &entry.service.key, destination)?;
    }
    Ok(())
}
