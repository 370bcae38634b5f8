//! Whether a replacement takes no more out of the table than it may.

use super::difference::find;
use super::{Phase, State, Step};
use crate::model::{Change, Limits, RemovalLimit};

/// A limit that these steps exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excess {
    /// No service would be left of this many.
    Empty {
        /// The services that there are.
        services: usize,
    },
    /// More would be deleted than may be.
    Removals {
        /// The rules that would be deleted.
        removed: usize,
        /// The rules that there are.
        of: usize,
        /// The limit.
        limit: RemovalLimit,
    },
}

/// Whether these steps from `have` to `want` stay within the limits.
///
/// # Errors
/// The limit that they do not stay within.
pub fn check_limits(limits: Limits, have: &State, want: &State, steps: &[Step]) -> Result<(), Excess> {
    let services = have.services.len();
    if limits.keep_some && services > 0 && want.services.is_empty() {
        return Err(Excess::Empty { services });
    }
    if let Some(limit) = limits.removals {
        let of = have.services.iter().map(|service| 1 + service.destinations.len()).sum();
        let removed = removals(have, steps);
        if !limit.allows(removed, of) {
            return Err(Excess::Removals { removed, of, limit });
        }
    }
    Ok(())
}

/// The rules that these steps delete: a service goes with its servers.
fn removals(have: &State, steps: &[Step]) -> usize {
    let rules = |step: &Step| match step.change {
        Change::DeleteService(key) => 1 + find(&have.services, &key).map_or(0, |service| service.destinations.len()),
        Change::DeleteDestination(..) => 1,
        _ => 0,
    };
    steps.iter().filter(|step| step.phase == Phase::Deletion).map(rules).sum()
}
