//! One of several directors that announce the same addresses and do not know each other's connections.

use ipvs_client::mapping::{self, HashScheduler};
use ipvs_client::{
    Change, Destination, Protocol, SchedulerName, Service, ServiceFlags, ServiceKey, TableService, scheduler,
};

use super::setting::{TABLE, setting};
use crate::doctor::facts::{Facts, Slots};
use crate::doctor::judgement::{Fix, Judged, Judgement, Skip, State, shell, unless_bad};

/// `mh-port` in the kernel's flags: the client's port counts, too.
const MH_PORT: u32 = ServiceFlags::SCHEDULER_2;

pub(in crate::doctor) fn sloppy(facts: &Facts) -> Judged {
    let services = facts.services()?;
    let has =
        |wanted: Protocol| services.iter().any(|one| one.entry.service.key.protocol().is_none_or(|p| p == wanted));
    let mut found = Vec::new();
    if has(Protocol::Tcp) {
        found.extend(setting(facts, "net/ipv4/vs/sloppy_tcp", 1, State::Warn)?);
    }
    if services.iter().any(|one| one.entry.service.key.protocol() == Some(Protocol::Sctp)) {
        found.extend(setting(facts, "net/ipv4/vs/sloppy_sctp", 1, State::Warn)?);
    }
    if found.is_empty() { Err(Skip::does_not_apply("no service of TCP or SCTP")) } else { Ok(found) }
}

pub(in crate::doctor) fn schedule_icmp(facts: &Facts) -> Judged {
    setting(facts, "net/ipv4/vs/schedule_icmp", 1, State::Warn)
}

pub(in crate::doctor) fn conntrack(facts: &Facts) -> Judged {
    let mut found = setting(facts, "net/ipv4/vs/conntrack", 0, State::Warn)?;
    // Where firewalld lets only tracked packets on, it is D14 that says to track them.
    if facts.runs(&["firewalld"]) {
        for judgement in found.iter_mut().filter(|judgement| judgement.state == State::Warn) {
            judgement.undo = None;
            judgement.fix = Some(Fix::Advice(
                "firewalld can let packets on to the servers only because they are tracked: allow them by a policy of its \
                 own first, then: sysctl -w net.ipv4.vs.conntrack=0"
                    .to_owned(),
            ));
        }
    }
    Ok(found)
}

pub(in crate::doctor) fn scheduler(facts: &Facts) -> Judged {
    let services = facts.services()?;
    if services.is_empty() {
        return Err(Skip::does_not_apply("no service"));
    }
    let mut found: Vec<_> = services.iter().filter_map(|service| by_scheduler(&service.entry.service)).collect();
    found.extend(services.iter().flat_map(|service| by_thresholds(service)));
    unless_bad(found, format!("so it is for each of {}", services.len()), TABLE)
}

/// The flags whose meaning depends on the scheduler.
const OF_SCHEDULERS: u32 = ServiceFlags::SCHEDULER_1 | ServiceFlags::SCHEDULER_2 | ServiceFlags::SCHEDULER_3;

/// The service as several directors can have it. A client's connections stay together without a memory for them where only
/// the client's address counts.
fn stateless(rule: &Service) -> Service {
    let is_mh = HashScheduler::named(rule.scheduler) == Some(HashScheduler::Mh);
    let by_address = rule.persistence.is_some() || (is_mh && rule.flags.bits() & MH_PORT == 0);
    let kept = ServiceFlags::from_bits(rule.flags.bits() & !OF_SCHEDULERS);
    let flags = if by_address { kept } else { kept.with(MH_PORT) };
    let mut wanted = mapping::with_fallback(&rule.scheduler(scheduler::MH).flags(flags));
    (wanted.persistence, wanted.engine) = (None, SchedulerName::EMPTY);
    wanted
}

fn by_scheduler(rule: &Service) -> Option<Judgement> {
    let (key, name) = (rule.key, rule.scheduler);
    let warn = |fact: String| {
        let edit = [Change::EditService(stateless(rule))];
        Some(Judgement::warn(fact, TABLE).changes(edit).undo_changes([Change::EditService(*rule)]))
    };
    let note = |fact: String| Some(Judgement::note(fact, TABLE));
    let has = |flag: u32| rule.flags.scheduler() & flag != 0;
    match HashScheduler::named(name) {
        // Each packet is a connection of its own.
        _ if rule.flags.one_packet() => None,
        Some(HashScheduler::Mh) if !has(ServiceFlags::SCHEDULER_1) => {
            warn(format!("{key} has the scheduler mh without mh-fallback"))
        }
        Some(HashScheduler::Mh) if has(MH_PORT) && rule.persistence.is_none() => None,
        Some(_) if !has(MH_PORT) && rule.persistence.is_some() => None,
        _ if rule.persistence.is_some() => {
            warn(format!("{key} is persistent (-p), which each director remembers alone"))
        }
        Some(HashScheduler::Mh) => {
            note(format!("{key} has the scheduler mh without mh-port: all connections of a client go to one server"))
        }
        Some(HashScheduler::Sh | HashScheduler::Dh) => {
            note(format!("{key} has the scheduler {name}: a server more or less moves most clients, with mh few"))
        }
        None if key.protocol() == Some(Protocol::Udp) => note(format!(
            "{key} has the scheduler {name}: right for requests of one packet each (DNS), wrong for conversations (QUIC)"
        )),
        None => warn(format!("{key} has the scheduler {name}")),
    }
}

/// Servers with thresholds: who is above one is counted by each director for itself.
fn by_thresholds(service: &TableService) -> Option<Judgement> {
    let rule = &service.entry.service;
    HashScheduler::named(rule.scheduler)?;
    let limited: Vec<_> = service
        .destinations
        .iter()
        .map(|entry| entry.destination)
        .filter(|server| server.upper_threshold != 0)
        .collect();
    let first = limited.first()?;
    let fact = format!("{}: {} has an upper threshold, which counts this director's connections", rule.key, first.key);
    let edit = |server: &Destination| Change::EditDestination(rule.key, server.thresholds(0, 0));
    let back = |server: &Destination| Change::EditDestination(rule.key, *server);
    Some(Judgement::warn(fact, TABLE).changes(limited.iter().map(edit)).undo_changes(limited.iter().map(back)))
}

pub(in crate::doctor) fn alike(facts: &Facts) -> Judged {
    let wanted: Vec<ServiceKey> = facts.services()?.iter().map(|service| service.entry.service.key).collect();
    let slots: Vec<&Slots> = facts.slots.get()?.iter().filter(|slots| wanted.contains(&slots.service)).collect();
    if slots.is_empty() {
        return Err(Skip::does_not_apply("no service with the scheduler mh, sh or dh"));
    }
    let program = &facts.program;
    let peers = facts.peers.get()?;
    if peers.is_empty() {
        let how = format!("{program} -L --json >FILE prints it there, {program} doctor --peer FILE compares");
        return match slots.iter().find(|slots| !slots.canonical_order) {
            Some(slots) => {
                let fact = format!("the servers of {} are not in the order of their addresses", slots.service);
                Ok(vec![Judgement::note(fact, TABLE).advice(format!("Compare with another director's table: {how}"))])
            }
            None => Err(Skip(format!("no other director's table was given: {how}"))),
        };
    }
    let mut found = Vec::new();
    for peer in peers {
        let file = shell(&peer.file);
        if peer.differences > 0 {
            let fact = format!("rules that differ: {}; {program} diff {file} shows them", peer.differences);
            found.push(Judgement::warn(fact, &peer.file).advice(format!(
                "Load the same file on both: {program} -R --replace --file RULES; {program} diff {file} shows what that undoes."
            )));
        }
        for slots in &slots {
            match (&slots.digest, peer.digests.get(&slots.service)) {
                (Ok(here), Some(Some(there))) if here == there => {}
                (Ok(here), Some(Some(there))) => {
                    let fact = format!("the digest of {} is {here} here, and {there} there", slots.service);
                    found.push(in_order(program, Judgement::warn(fact, &peer.file), slots, &peer.file));
                }
                (Err(why), _) => {
                    found.push(Judgement::note(
                        format!("the digest of {} is not known here: {why}", slots.service),
                        TABLE,
                    ));
                }
                (Ok(_), _) => {
                    let fact = format!("the digest of {} is not known there", slots.service);
                    found.push(Judgement::note(fact, &peer.file));
                }
            }
        }
    }
    unless_bad(
        found,
        "rules and digests are equal",
        peers.iter().map(|peer| peer.file.as_str()).collect::<Vec<_>>().join(", "),
    )
}

/// How the order of a director becomes that of the servers' addresses: this one's, if it is not.
fn in_order(program: &str, found: Judgement, slots: &Slots, peer: &str) -> Judgement {
    const BEFORE: &str = "/run/ipvsadm.rules.before";
    const RULES: &str = "/run/ipvsadm.rules.in-order";
    // Without --all a file says no order.
    let command = format!(
        "{program} -S -n --all --file {BEFORE} && {program} -S -n --file {RULES} && {program} -R --replace --reorder \
         --file {RULES}"
    );
    match slots.canonical_order {
        false => found.command(command).undo(format!("{program} -R --replace --reorder --file {BEFORE}")),
        true => found
            .elsewhere(format!("the director whose table {peer} is"), command)
            .undo(format!("{program} -R --replace --reorder --file {BEFORE}")),
    }
}

pub(in crate::doctor) fn routers(_: &Facts) -> Judged {
    Ok(vec![Judgement::note("what the routers do cannot be seen from here", "").advice(
        "On the routers: the hash takes addresses and ports (Linux: net.ipv4.fib_multipath_hash_policy=1, \
         net.ipv6.fib_multipath_hash_policy=1), and the next hops are a resilient group (Linux: ip nexthop ... type \
         resilient; elsewhere resilient hashing or consistent ECMP).",
    )])
}
