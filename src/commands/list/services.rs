//! Services with their destinations, as listings read them.

use std::net::IpAddr;

use anyhow::Result;
use ipvs_client::{Client, Detail, ServiceEntry, TableService};

use crate::commands::labels::NamedLabels;
use crate::grammar::{Listing, Subject};

/// Services whose destinations are held at once.
const SERVICES_AT_ONCE: usize = 16;
/// Services of a table that is read so. The kernel's own table of services has 256 buckets up to Linux 7.0
/// (`IP_VS_SVC_TAB_SIZE`), whose chains are long beyond this.
const SERVICES_AT_MOST: usize = 16 * 1024;

/// The services with their destinations, which are read a few services at a time and not held longer than it takes to use
/// them. For names everything is read first, so that they are looked up together; and of a very large table, because the
/// kernel finds services quickest in its own order.
pub(super) fn for_services<D: Detail>(
    client: &mut Client,
    mut entries: Vec<ServiceEntry<D>>,
    listing: &Listing,
    labels: &mut NamedLabels,
    mut each: impl FnMut(&mut NamedLabels, &TableService<D>) -> Result<()>,
) -> Result<()> {
    let few_at_once = listing.numeric && entries.len() <= SERVICES_AT_MOST;
    if listing.sorted && few_at_once {
        entries.sort_unstable_by_key(|entry| entry.service.key);
    }
    let at_once = if few_at_once { SERVICES_AT_ONCE } else { entries.len().max(1) };
    for entries in entries.chunks(at_once) {
        let mut services = Vec::with_capacity(entries.len());
        for &entry in entries {
            let key = entry.service.key;
            let Some(mut destinations) = client.destinations_with(&key)? else {
                // It was deleted in between. What was named on the command line is reported in the words for that.
                if let Subject::Service(_) = listing.subject {
                    client.service(&key)?;
                }
                continue;
            };
            if listing.sorted {
                // The newest is first, and what is in order already is sorted quickest: it saves 3 % of the instructions of `-Sn`,
                // kernel included.
                destinations.reverse();
                destinations.sort_unstable_by_key(|entry| entry.destination.key);
            }
            services.push(TableService { entry, destinations });
        }
        if listing.sorted && !few_at_once {
            services.sort_unstable_by_key(|service| service.entry.service.key);
        }
        labels.look_up(services.iter().flat_map(addresses));
        services.iter().try_for_each(|service| each(labels, service))?;
    }
    Ok(())
}

/// The addresses of a service and its destinations.
pub(super) fn addresses<D>(service: &TableService<D>) -> impl Iterator<Item = IpAddr> {
    let servers = service.destinations.iter().map(|entry| entry.destination.key.address);
    service.entry.service.key.address().into_iter().chain(servers)
}
