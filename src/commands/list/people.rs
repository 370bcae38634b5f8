//! `-L --table` and `-L --wide`: what is shown is read first, because the columns are as wide as what is in them.

use anyhow::Result;
use ipvs_client::Client;

use super::standstill::Standstill;
use super::{for_services, hash_notes};
use crate::commands::labels::NamedLabels;
use crate::commands::{Output, terminal};
use crate::grammar::{Format, Listing, Subject};
use crate::view::{HashNotes, boxed, text, wide};

pub(super) fn list(client: &mut Client, listing: &Listing, output: &mut Output) -> Result<()> {
    let canvas = terminal::canvas(listing.color);
    let boxed = listing.format == Format::Table;
    match listing.subject {
        Subject::Timeouts if boxed => boxed::timeouts(output, &client.timeouts()?, canvas)?,
        Subject::Timeouts => text::timeouts(output, &client.timeouts()?)?,
        Subject::Daemons if boxed => boxed::daemons(output, &client.daemons()?, canvas)?,
        // Their lines have no columns.
        Subject::Daemons => client.daemons()?.iter().try_for_each(|daemon| text::daemon(output, daemon))?,
        Subject::Connections(wanted) => super::connections::list(client, listing, &wanted, output)?,
        Subject::Table | Subject::Service(_) => {
            let mut labels = NamedLabels::new(listing.numeric, listing.resolve_timeout);
            let (info, entries) = match listing.subject {
                Subject::Service(key) => (None, vec![client.service(&key)?]),
                _ => (Some(client.info()?), client.services()?),
            };
            let notes = if boxed { HashNotes::new() } else { hash_notes::read(client, &entries)? };
            let mut services = Vec::with_capacity(entries.len());
            let mut standstill = Standstill::of(listing);
            for_services(client, entries, listing, &mut labels, |_, service| {
                service.destinations.iter().for_each(|entry| standstill.look(entry));
                services.push(service.clone());
                Ok(())
            })?;
            standstill.tell();
            if boxed {
                boxed::services(output, &mut labels, listing, info.as_ref(), &services, canvas)?;
            } else {
                wide::services(output, &mut labels, listing, info.as_ref(), &services, &notes, canvas.color)?;
            }
        }
    }
    Ok(())
}
