//! `-L`

pub(super) mod connections;
pub(super) mod hash_notes;
mod json;
pub(super) mod metrics;
mod partial;
mod people;
mod services;
mod standstill;

use anyhow::Result;
use ipvs_client::{Client, Detail, Error, ServiceEntry, Statistics, TableService};

use super::labels::NamedLabels;
use super::{Output, status};
use crate::grammar::{Columns, Format, Listing, Subject};
use crate::host::module;
use crate::view::text;
use services::for_services;
use standstill::Standstill;

pub(super) fn run(listing: &Listing, output: &mut Output) -> Result<u8> {
    let mut client = module::connect()?;
    let outcome = match listing_with(&mut client, listing, output) {
        Err(error) if matches!(error.downcast_ref(), Some(Error::NotPermitted)) && partial::can_show(listing) => {
            partial::list(&mut client, listing, output)
        }
        outcome => outcome,
    };
    match outcome {
        // What the original calls a failed listing, whatever failed.
        Err(error) if matches!(error.downcast_ref(), Some(Error::Refused(_))) => {
            say!("{error:#}");
            Ok(status::FAILED)
        }
        outcome => outcome.map(|()| status::OK),
    }
}

/// The listing, over a client that is there already.
pub(super) fn listing_with(client: &mut Client, listing: &Listing, output: &mut Output) -> Result<()> {
    match listing.format {
        Format::Classic => {}
        Format::Json(json) => return json::list(client, listing, json, output),
        Format::Wide | Format::Table => return people::list(client, listing, output),
    }
    let mut labels = NamedLabels::new(listing.numeric, listing.resolve_timeout);
    match listing.subject {
        Subject::Timeouts => text::timeouts(output, &client.timeouts()?)?,
        Subject::Daemons => {
            for daemon in client.daemons()? {
                text::daemon(output, &daemon)?;
            }
        }
        Subject::Connections(wanted) => connections::list(client, listing, &wanted, output)?,
        // Not to read counters takes half the time.
        Subject::Service(_) | Subject::Table => match listing.columns {
            Columns::Stats | Columns::Rate => write_services::<Statistics>(client, listing, &mut labels, output)?,
            _ => write_services::<()>(client, listing, &mut labels, output)?,
        },
    }
    Ok(())
}

/// The lines of the services and their destinations.
fn write_services<D: Detail>(
    client: &mut Client,
    listing: &Listing,
    labels: &mut NamedLabels,
    output: &mut Output,
) -> Result<()> {
    let entries: Vec<ServiceEntry<D>> = match listing.subject {
        Subject::Service(key) => vec![client.service_with(&key)?],
        _ => {
            text::version_line(output, &client.info()?)?;
            client.services_with()?
        }
    };
    text::header(output, listing.columns)?;
    let mut standstill = Standstill::of(listing);
    for_services(client, entries, listing, labels, |labels, TableService { entry, destinations }| {
        text::service(output, labels, listing, entry)?;
        for destination in destinations {
            text::destination(output, labels, listing, &entry.service.key, destination)?;
            standstill.look(destination);
        }
        Ok(())
    })?;
    standstill.tell();
    Ok(())
}
