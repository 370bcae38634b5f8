//! Digest and order of the services whose scheduler chooses by a table.

use anyhow::Result;
use ipvs_client::mapping::{HashScheduler, Mapping, Member};
use ipvs_client::{Client, ServiceEntry};

use crate::host::table_sizes;
use crate::view::{HashNote, HashNotes};

/// Read those services' servers in the kernel's order, the newest first.
pub(in crate::commands) fn read<D>(client: &mut Client, entries: &[ServiceEntry<D>]) -> Result<HashNotes> {
    let mut kernel = None;
    let mut notes = HashNotes::new();
    let is_hash = |entry: &&ServiceEntry<D>| HashScheduler::named(entry.service.scheduler).is_some();
    for ServiceEntry { service, .. } in entries.iter().filter(is_hash) {
        // One that has been deleted is not listed.
        let Some(servers) = client.destinations_with::<()>(&service.key)? else { continue };
        let kernel = kernel.get_or_insert_with(|| table_sizes::read().kernel);
        let members: Vec<Member> = servers.iter().map(Member::reported).collect();
        let digest = Mapping::new(service, &members, kernel).and_then(|mapping| mapping.digest());
        notes.insert(
            service.key,
            HashNote {
                unknown: digest.as_ref().err().map(ToString::to_string),
                digest: digest.ok().map(|digest| digest.to_string()),
                canonical_order: members.is_sorted_by(|newer, older| newer.server > older.server),
            },
        );
    }
    Ok(notes)
}
