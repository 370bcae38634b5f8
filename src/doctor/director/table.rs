//! The table: its services and their servers, who keeps it, and whether it is the saved one.

use ipvs_client::mapping::{self, HashScheduler};
use ipvs_client::{Change, Destination, Forwarding};

use super::setting::TABLE;
use crate::doctor::facts::Facts;
use crate::doctor::judgement::{Judged, Judgement, Skip, shell, unless_bad};

pub(in crate::doctor) fn ports(facts: &Facts) -> Judged {
    let mut bad = Vec::new();
    for (key, entry) in facts.servers()? {
        let server = entry.destination;
        let keeps = matches!(server.forwarding, Forwarding::DirectRoute | Forwarding::Tunnel(_));
        let Some(port) = key.port() else { continue };
        if !keeps || port == 0 || server.key.port == port {
            continue;
        }
        let mut right = server;
        right.key.port = port;
        let changes = [Change::DeleteDestination(key, server.key), Change::AddDestination(key, right)];
        let back = [Change::DeleteDestination(key, right.key), Change::AddDestination(key, server)];
        let fact =
            format!("{key} sends to port {} of {}, but packets keep port {port}", server.key.port, server.key.address);
        bad.push(Judgement::warn(fact, TABLE).changes(changes).undo_changes(back));
    }
    let rules = facts.rules.value().and_then(Option::as_ref);
    for port in rules.into_iter().flat_map(|rules| &rules.ports) {
        let file = rules.map_or("", |rules| rules.path.as_str());
        let path = shell(file);
        let fact = format!("line {} asks for port {}, but packets keep port {}", port.line, port.written, port.counts);
        let found = Judgement::warn(fact, &path);
        bad.push(if port.literal {
            found.edit(&format!("{}s/:{}\\b/:{}/", port.line, port.written, port.counts), file, "")
        } else {
            found.advice("Name the service's port there, or use masquerading (-m).")
        });
    }
    unless_bad(bad, "no server has another port than its service", TABLE)
}

pub(in crate::doctor) fn capacity(facts: &Facts) -> Judged {
    let services = facts.services()?;
    if services.is_empty() {
        return Err(Skip::does_not_apply("no service"));
    }
    let mut bad = Vec::new();
    for service in &services {
        let key = service.entry.service.key;
        let name = key.to_string();
        let servers = &service.destinations;
        if servers.is_empty() {
            bad.push(Judgement::fail(format!("{name} has no server"), TABLE).add_server(key));
            continue;
        }
        if servers.iter().all(|entry| entry.destination.weight == 0) {
            let saved = |server: &Destination| {
                let weights = &facts.rules.value()?.as_ref()?.weights;
                weights.get(&(key, server.key)).copied().filter(|weight| *weight > 0)
            };
            let edit = servers.iter().map(|entry| {
                let weight = saved(&entry.destination).unwrap_or(1);
                Change::EditDestination(key, entry.destination.weight(weight))
            });
            let fact = match servers.len() {
                1 => format!("the only server of {name} has weight 0"),
                number => format!("all {number} servers of {name} have weight 0"),
            };
            let back = servers.iter().map(|entry| Change::EditDestination(key, entry.destination));
            bad.push(Judgement::fail(fact, TABLE).changes(edit).undo_changes(back));
            continue;
        }
        let full = |entry: &&ipvs_client::DestinationEntry| {
            let limit = entry.destination.upper_threshold;
            limit != 0 && entry.active_connections + entry.inactive_connections >= limit
        };
        let open: Vec<_> = servers.iter().filter(|entry| entry.destination.weight > 0).collect();
        if open.iter().all(full) {
            let unlimited = |entry: &&ipvs_client::DestinationEntry| {
                Change::EditDestination(key, entry.destination.thresholds(0, 0))
            };
            bad.push(
                Judgement::fail(format!("all servers of {name} are at their upper threshold"), TABLE)
                    .changes(open.iter().map(unlimited))
                    .undo_changes(open.iter().map(|entry| Change::EditDestination(key, entry.destination))),
            );
        }
    }
    unless_bad(bad, format!("each of {} has one", services.len()), TABLE)
}

pub(in crate::doctor) fn refusing(facts: &Facts) -> Judged {
    let services = facts.services()?;
    if !services.iter().any(|service| HashScheduler::named(service.entry.service.scheduler).is_some()) {
        return Err(Skip::does_not_apply("no service with the scheduler sh, mh or dh"));
    }
    let mut bad = Vec::new();
    for service in services {
        let rule = service.entry.service;
        let servers = service.destinations.iter().map(|entry| &entry.destination);
        for refusing in mapping::refusing(&rule, servers) {
            let found = Judgement::fail(format!("{}: {refusing}", rule.key), TABLE);
            bad.push(match refusing.scheduler.fallback_flag() {
                Some(_) => found
                    .changes([Change::EditService(mapping::with_fallback(&rule))])
                    .undo_changes([Change::EditService(rule)]),
                None => found.advice(format!(
                    "Give {} a weight above 0, or delete it, which moves clients of other servers, too.",
                    refusing.server
                )),
            });
        }
    }
    unless_bad(bad, "none refuses clients for a weight of 0", TABLE)
}

pub(in crate::doctor) fn managers(facts: &Facts) -> Judged {
    let all = facts.managers.get()?;
    let from = facts.managers.from();
    Ok(vec![match all.as_slice() {
        [] => Judgement::ok("none runs: the table is kept by hand or by a service", from),
        [one] => Judgement::ok(
            format!("{one} runs: it overwrites changes by hand, or does not bring back what was deleted by hand"),
            from,
        ),
        several => Judgement::warn(format!("{} run at once", several.join(" and ")), from)
            .advice("Leave the table to one of them."),
    }])
}

pub(in crate::doctor) fn saved(facts: &Facts) -> Judged {
    let from = facts.rules.from();
    let Some(rules) = facts.rules.get()? else {
        return Err(Skip::does_not_apply("there is no file of saved rules; --rules names one"));
    };
    let (program, path) = (&facts.program, &shell(&rules.path));
    if !rules.bad.is_empty() {
        let found = Judgement::warn(format!("lines that are not right: {}", rules.bad.join("; ")), path);
        return Ok(vec![found.advice(format!("Fix them: {program} -R --check --file {path}"))]);
    }
    if facts.is_managed() {
        return Err(Skip::does_not_apply("another program keeps the table"));
    }
    let table = facts.table.get()?;
    if rules.differences == 0 {
        return Ok(vec![Judgement::ok(format!("the table is what {path} says"), from)]);
    }
    // That is not to be saved: it is what there is before the rules are loaded.
    if table.services.is_empty() && !rules.schedulers.is_empty() {
        let fact = format!("the table is empty, and {path} has rules");
        return Ok(vec![
            Judgement::warn(fact, from).command(format!("{program} -R --file {path}")).undo(format!("{program} -C")),
        ]);
    }
    let all = if rules.whole { " --all" } else { "" };
    let fact = format!("rules that differ: {}; {program} diff {path} shows them", rules.differences);
    let kept = shell(&format!("{}.before", rules.path));
    Ok(vec![
        Judgement::warn(fact, path)
            .command(format!("cp -p {path} {kept} && {program} -S -n{all} --file {path}"))
            .undo(format!("mv {kept} {path}")),
    ])
}
