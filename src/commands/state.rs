//! What the kernel has, as the state that rules are compared with.

use super::progress::Progress;
use crate::kernel::{Client, Error};
use crate::model::Service;
use crate::plan::{RuleService, State, Traced};

/// Read the rules; timeouts and daemons only if `want` has any.
pub(super) fn read_state(client: &mut Client, want: &State) -> Result<State, Error> {
    let rules = client.service_rules()?;
    let mut progress = Progress::new("reading services", rules.len());
    let mut services = Vec::with_capacity(rules.len());
    for service in rules {
        progress.step();
        services.extend(read_service(client, service)?);
    }
    services.sort_by_cached_key(|service: &RuleService| service.service.rule.key.rank());
    let timeouts = want.timeouts.map(|_| client.timeouts()).transpose()?;
    let daemons = if want.daemons.is_empty() { Vec::new() } else { client.daemons()? };
    Ok(State {
        services,
        timeouts: timeouts.map(|rule| Traced { rule, line: 0 }),
        daemons: daemons.into_iter().map(|daemon| Traced { rule: (daemon.role, Some(daemon)), line: 0 }).collect(),
    })
}

/// A service with its destinations; nothing if another program has deleted it since it was listed.
pub(super) fn read_service(client: &mut Client, service: Service) -> Result<Option<RuleService>, Error> {
    let Some(rules) = client.destination_rules(&service.key)? else { return Ok(None) };
    // The newest is first, and what is in order already is sorted quickest.
    let mut destinations: Vec<_> = rules.into_iter().rev().map(|rule| Traced { rule, line: 0 }).collect();
    destinations.sort_unstable_by_key(|destination| destination.rule.key);
    Ok(Some(RuleService { service: Traced { rule: service, line: 0 }, destinations }))
}
