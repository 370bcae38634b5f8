//! `--reorder`: what it costs, said before, and who would need it.

use std::collections::HashSet;
use std::fmt::Write as _;

use ipvs_client::mapping::{HashScheduler, Kernel, Loss, Mapping, Member};
use ipvs_client::{
    Change, Client, DestinationKey, Error, ServiceKey,
    plan::{self, Options, Phase, RuleService, State, Step},
};

use crate::commands::called;
use crate::host::{sysctl, table_sizes};
use crate::view::drain::counted;

/// Whether connections end whose server is deleted, even if it is added again.
const EXPIRE_NODEST: &str = "net/ipv4/vs/expire_nodest_conn";

/// What these steps from `have` to `want` cost the clients of servers that are deleted and added again, a line for each
/// service.
pub(super) fn costs(client: &mut Client, have: &State, want: &State, steps: &[Step]) -> Result<Vec<String>, Error> {
    let ends = sysctl::read(EXPIRE_NODEST).is_ok_and(|value| value.trim() != "0");
    let mut sizes = None;
    let mut lines = Vec::new();
    for of_service in moves(steps).chunk_by(|one, other| one.0 == other.0) {
        let Some((key, _)) = of_service.first() else { continue };
        let (Some(before), Some(after)) = (service(have, key), service(want, key)) else { continue };
        let moved: HashSet<DestinationKey> = of_service.iter().map(|(_, server)| *server).collect();
        // Those that are new have no clients yet.
        let live = before.destinations.iter().filter(|server| moved.contains(&server.rule.key)).count();
        if live == 0 {
            continue;
        }
        let servers = client.destinations_with::<()>(key)?.unwrap_or_default();
        let connections: u64 = servers
            .iter()
            .filter(|entry| moved.contains(&entry.destination.key))
            .map(|entry| u64::from(entry.active_connections) + u64::from(entry.inactive_connections))
            .sum();
        let mut line = format!("{key}: servers to delete and add again: {live} of {}", before.destinations.len());
        let connections = counted(connections, "connection");
        // Writing to a string cannot fail.
        let _ = match ends {
            true => write!(line, "; {connections} to them can end, as net.ipv4.vs.expire_nodest_conn is 1"),
            false => write!(line, "; packets of {connections} to them are dropped for a moment"),
        };
        let kernel = sizes.get_or_insert_with(|| table_sizes::read().kernel);
        if let Some(Loss { slots, moved, .. }) = loss((have, before), (want, after), kernel) {
            let _ = write!(line, "; the clients of {moved} of {slots} slots get another server");
        }
        let zero = |server: &DestinationKey| {
            after.destinations.iter().any(|one| one.rule.key == *server && one.rule.weight == 0)
        };
        if after.service.rule.scheduler == ipvs_client::scheduler::MH && moved.iter().any(zero) {
            line.push_str("; those with weight 0 have no slots until their weight rises");
        }
        lines.push(line);
    }
    Ok(lines)
}

/// The service of this name in a state.
fn service<'s>(state: &'s State, key: &ServiceKey) -> Option<&'s RuleService> {
    state.services.iter().find(|service| service.service.rule.key == *key)
}

/// The servers that are deleted and added again, with their services.
fn moves(steps: &[Step]) -> Vec<(ServiceKey, DestinationKey)> {
    let steps = steps.iter().filter(|step| step.phase == Phase::Order);
    let deletions = steps.filter_map(|step| match step.change {
        Change::DeleteDestination(key, server) => Some((key, server)),
        _ => None,
    });
    deletions.collect()
}

/// The slots that get another server; nothing if that is not known.
fn loss(before: (&State, &RuleService), after: (&State, &RuleService), kernel: &Kernel) -> Option<Loss> {
    let mapping = |(state, service): (&State, &RuleService)| {
        // The kernel lists the newest first.
        let members: Vec<Member> =
            state.in_order(service).into_iter().rev().map(|server| Member::of(&server.rule)).collect();
        Mapping::new(&service.service.rule, &members, kernel)
    };
    Some(mapping(before).ok()?.loss(&mapping(after).ok()?, &[]))
}

/// What is said at a terminal where servers will not stand in the order of these rules.
pub(super) fn hint(have: &State, want: &State, options: Options) -> Option<String> {
    let steps = plan::difference(have, want, Options { reorder: true, ..options });
    let moves = moves(&steps);
    let services: HashSet<ServiceKey> = moves.iter().map(|(key, _)| *key).collect();
    let first = moves.first()?.0;
    let which = match services.len() {
        1 => first.to_string(),
        number => format!("{first} and of {}", counted(number as u64 - 1, "other service")),
    };
    Some(format!("the servers of {which} are not in the order of {}; --reorder puts them in order", named(want)))
}

/// What the order is called that is wanted.
fn named(want: &State) -> &'static str {
    if want.keeps_order { "the rules" } else { "their addresses" }
}

/// What is said at a terminal of a server that was added to a live service of a hash scheduler.
pub(in crate::commands) fn hint_of_added(
    client: &mut Client,
    key: &ServiceKey,
    server: DestinationKey,
) -> Option<String> {
    let scheduler = HashScheduler::named(client.service_with::<()>(key).ok()?.service.scheduler)?.name();
    let servers = client.destination_rules(key).ok()??;
    let program = called::command_line();
    (!servers.is_sorted_by(|newer, older| newer.key > older.key)).then(|| {
        format!(
            "{scheduler} fills its table from {server} on now; the servers of {key} are not in the order of their \
             addresses, in which other directors may have them; to put them in order: {program} -S -n | {program} -R \
             --replace --reorder"
        )
    })
}
