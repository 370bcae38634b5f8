//! Listings in a user namespace other than the first, where netlink is refused: what the kernel tells by socket options.

use anyhow::Result;
use ipvs_client::{Asked, Client, Error, PartialTable, Refusal, TableService};
use netlink_exchange::Errno;

use super::services::addresses;
use crate::commands::Output;
use crate::commands::labels::NamedLabels;
use crate::grammar::{Columns, Format, Listing, Subject};
use crate::view::text;

/// Whether all that a listing shows can be had that way.
pub(super) fn can_show(listing: &Listing) -> bool {
    matches!(listing.format, Format::Classic)
        && matches!(listing.subject, Subject::Table | Subject::Service(_))
        && matches!(listing.columns, Columns::Plain | Columns::Thresholds | Columns::PersistentConnections)
}

/// The listing, and on standard error what is left out.
pub(super) fn list(client: &mut Client, listing: &Listing, output: &mut Output) -> Result<()> {
    let PartialTable { info, mut table, servers_left_out, .. } = client.partial_table()?;
    match listing.subject {
        Subject::Service(key) => {
            table.services.retain(|service| service.entry.service.key == key);
            if table.services.is_empty() {
                return Err(Error::Refused(Refusal::new(Asked::OneService, Errno::ESRCH)).into());
            }
        }
        _ => text::version_line(output, &info)?,
    }
    if listing.sorted {
        table.sort();
    }
    let mut labels = NamedLabels::new(listing.numeric, listing.resolve_timeout);
    labels.look_up(table.services.iter().flat_map(addresses));
    text::header(output, listing.columns)?;
    for TableService { entry, destinations } in &table.services {
        text::service(output, &mut labels, listing, entry)?;
        for destination in destinations {
            text::destination(output, &mut labels, listing, &entry.service.key, destination)?;
        }
    }
    say!(
        "the kernel answers netlink only in the first user namespace: left out are IPv6 services, persistence engines and \
         servers through tunnels (servers left out: {servers_left_out})"
    );
    Ok(())
}
