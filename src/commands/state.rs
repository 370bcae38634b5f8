//! What the kernel has, as the state that rules are compared with.

use ipvs_client::{
    Client, Destination, Error,
    mapping::HashScheduler,
    plan::{RuleService, State},
    transaction,
};

use super::progress::Progress;

/// Read the rules; timeouts and daemons only if `like` has any.
pub(super) fn read_state(client: &mut Client, like: &State) -> Result<State, Error> {
    let mut progress = None;
    transaction::read_state(client, like, |total| {
        progress.get_or_insert_with(|| Progress::new("reading services", total)).step();
    })
}

/// Whether the order of a service's servers says which client gets which.
pub(super) fn has_order(service: &RuleService) -> bool {
    HashScheduler::named(service.service.rule.scheduler).is_some()
}

/// The servers of a service as a file is to have them that brings the table back: where their order counts in the order of
/// their addition, elsewhere sorted.
pub(super) fn servers_to_restore<'s>(state: &State, service: &'s RuleService) -> Vec<&'s Destination> {
    match has_order(service) {
        true => state.in_order(service).into_iter().map(|server| &server.rule).collect(),
        false => service.destinations.iter().map(|server| &server.rule).collect(),
    }
}
