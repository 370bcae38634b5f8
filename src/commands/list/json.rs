//! `-L --json`: everything that is known, whatever columns are asked for.

use anyhow::Result;
use ipvs_client::{Client, estimation, hash_tables};

use super::{for_services, hash_notes};
use crate::commands::Output;
use crate::commands::labels::NamedLabels;
use crate::grammar::{Json, Listing, Subject};
use crate::view::json::{self, DaemonDocument, ServiceDocument, TableHead, TimeoutsDocument};

pub(super) fn list(client: &mut Client, listing: &Listing, json: Json, output: &mut Output) -> Result<()> {
    let pretty = json.pretty;
    match listing.subject {
        Subject::Timeouts => json::write(output, "timeouts", &TimeoutsDocument::from(&client.timeouts()?), pretty)?,
        Subject::Daemons => {
            let daemons: Vec<DaemonDocument> = client.daemons()?.iter().map(DaemonDocument::from).collect();
            json::write(output, "daemons", &daemons, pretty)?;
        }
        Subject::Connections(wanted) => super::connections::list(client, listing, &wanted, output)?,
        Subject::Table | Subject::Service(_) => {
            let info = client.info()?;
            let entries = match listing.subject {
                Subject::Service(key) => vec![client.service(&key)?],
                _ => client.services()?,
            };
            let notes = hash_notes::read(client, &entries)?;
            // The table is shown even where only root may read this.
            let tables = hash_tables::read().unwrap_or_default();
            let head = TableHead::of(&info, tables, estimation::stopped());
            let mut services = json::Stream::begin(output, "table", &head, pretty)?;
            for_services(client, entries, listing, &mut NamedLabels::new(true, 0), |_, service| {
                let hash = notes.get(&service.entry.service.key);
                Ok(services.element(&ServiceDocument::from(service).hash(hash))?)
            })?;
            services.end()?;
        }
    }
    Ok(())
}
