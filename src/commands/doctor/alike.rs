//! What is to be alike on several directors.

use std::path::Path;

use anyhow::Result;
use ipvs_client::{Client, ServiceKey};

use crate::commands::diff::{self, Peer};
use crate::commands::list::hash_notes;
use crate::doctor::facts::{PeerTable, Slots};
use crate::view::HashNote;

/// The slots of the services whose scheduler chooses by a table.
pub(super) fn slots(client: &mut Client) -> Result<Vec<Slots>> {
    let entries = client.services_with::<()>()?;
    let of = |(service, note): (ServiceKey, HashNote)| Slots {
        service,
        digest: note.digest.ok_or(note.unknown.unwrap_or_default()),
        canonical_order: note.canonical_order,
    };
    let mut all: Vec<_> = hash_notes::read(client, &entries)?.into_iter().map(of).collect();
    all.sort_unstable_by_key(|slots| slots.service);
    Ok(all)
}

/// The tables of other directors, compared with this one's.
pub(super) fn compared(client: &mut Client, peers: Vec<(&Path, Peer)>) -> Result<Vec<PeerTable>> {
    let compare = |(file, peer): (&Path, Peer)| {
        let differences = diff::differences(client, &peer)?;
        Ok(PeerTable { file: file.display().to_string(), differences, digests: peer.digests })
    };
    peers.into_iter().map(compare).collect()
}
