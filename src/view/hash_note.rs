//! What listings add to services whose scheduler chooses by a table.

use std::collections::HashMap;

use ipvs_client::ServiceKey;
use serde::Serialize;

/// The table of such a service.
#[derive(Clone, Debug, Serialize)]
pub struct HashNote {
    /// Its digest: equal on directors that choose alike.
    pub digest: Option<String>,
    /// Why that is not known.
    pub unknown: Option<String>,
    /// Whether the servers are in the order of their addresses, in which rules are loaded that say no other.
    pub canonical_order: bool,
}

/// Those of a listing.
pub type HashNotes = HashMap<ServiceKey, HashNote>;

impl HashNote {
    /// What stands behind a service in a listing for people.
    #[must_use]
    pub fn text(&self) -> String {
        let digest = self.digest.as_deref().unwrap_or("unknown");
        let order = if self.canonical_order { "" } else { " servers not in the order of their addresses" };
        format!(" digest {digest}{order}")
    }
}
