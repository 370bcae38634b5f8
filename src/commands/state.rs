//! What the kernel has, as the state that rules are compared with.

use ipvs_client::{Client, Error, plan::State, transaction};

use super::progress::Progress;

/// Read the rules; timeouts and daemons only if `like` has any.
pub(super) fn read_state(client: &mut Client, like: &State) -> Result<State, Error> {
    let mut progress = None;
    transaction::read_state(client, like, |total| {
        progress.get_or_insert_with(|| Progress::new("reading services", total)).step();
    })
}
