//! The virtual addresses: whether this machine has them as it should, and no other machine answers for them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipvs_client::{DaemonRole, Family};

use crate::doctor::facts::Facts;
use crate::doctor::judgement::{Judged, Judgement, ROUTES, Skip, State, unless_bad};
use crate::doctor::quiet::Place;
use crate::machine::{Prefix, RouteKind};

pub(in crate::doctor) fn is_local(facts: &Facts) -> Judged {
    if facts.vips.is_empty() {
        return Err(Skip::does_not_apply("no virtual address is known; name one to have it looked at"));
    }
    let mut bad = Vec::new();
    let mut unusable = None;
    let mut standing_by = None;
    let to_servers = to_servers(facts).unwrap_or_default();
    for vip in &facts.vips {
        let address = vip.address;
        let path = facts.path(address)?;
        if path.is_some_and(|route| route.kind == RouteKind::Local) {
            continue;
        }
        if facts.network()?.places(address).any(|place| place.held.flags.is_dad_failed()) {
            unusable = Some(address);
            continue;
        }
        let stands_by =
            facts.daemons.value().is_some_and(|all| all.iter().any(|daemon| daemon.role == DaemonRole::Backup));
        if stands_by || facts.is_managed() {
            standing_by = Some(address);
            continue;
        }
        let goes = path
            .and_then(|route| route.output)
            .map_or_else(|| "nowhere".to_owned(), |index| format!("out by {}", facts.interface(index)));
        let device = device_for(facts, address, &to_servers).unwrap_or_else(|| "INTERFACE".to_owned());
        bad.push(
            Judgement::fail(format!("packets to {address} go {goes}"), ROUTES)
                .command(format!("ip addr add {} dev {device}", Prefix::host(address)))
                .undo(format!("ip addr del {} dev {device}", Prefix::host(address))),
        );
    }
    match unusable {
        Some(address) if bad.is_empty() => {
            Err(Skip::does_not_apply(format!("{address} is here, and failed duplicate address detection (D20)")))
        }
        _ if bad.is_empty() => match standing_by {
            Some(address) => {
                Err(Skip::does_not_apply(format!("{address} is not here, as on a director that stands by")))
            }
            None => unless_bad(bad, "all virtual addresses are local", ROUTES),
        },
        _ => Ok(bad),
    }
}

/// The interface on which a virtual address belongs: that of its network, that of the way to clients or to the servers, or
/// else the first that answers ARP.
fn device_for(facts: &Facts, vip: IpAddr, to_servers: &ToServers) -> Option<String> {
    let first = || facts.speaking().ok()?.first().map(|link| link.name.clone());
    let near = || match crate::doctor::segment::incoming(facts, vip).ok()?[..] {
        [link] => Some(link.name.clone()),
        _ => None,
    };
    let to_clients = || Some(facts.interface(facts.way_to_clients(vip).ok()??.output?));
    let to_servers = || to_servers.get(&Family::of(vip)).cloned();
    near().or_else(to_clients).or_else(to_servers).or_else(first)
}

/// The interface of the way to the first server of each family that has one.
type ToServers = BTreeMap<Family, String>;

fn to_servers(facts: &Facts) -> Result<ToServers, Skip> {
    let mut found = ToServers::new();
    for (_, entry) in facts.servers()? {
        let address = entry.destination.key.address;
        let route = facts.path(address).ok().flatten().filter(|route| route.kind == RouteKind::Unicast);
        if let Some(index) = route.and_then(|route| route.output) {
            found.entry(Family::of(address)).or_insert_with(|| facts.interface(index));
        }
    }
    Ok(found)
}

pub(in crate::doctor) fn prefix(facts: &Facts) -> Judged {
    let from = facts.addresses.from();
    let mut bad = Vec::new();
    let mut seen = false;
    for vip in &facts.vips {
        for Place { link, held } in facts.network()?.places(vip.address) {
            seen = true;
            let host = Prefix::host(vip.address).length;
            if held.prefix == host || link.flags.is_loopback() {
                continue;
            }
            let (address, prefix, name) = (vip.address, held.prefix, &link.name);
            let found = Judgement::warn(format!("{address}/{prefix} on {name}"), from);
            let others: Vec<_> = facts
                .addresses
                .get()?
                .iter()
                .filter(|other| {
                    other.index == link.index
                        && other.address != address
                        && other.address.is_ipv4() == address.is_ipv4()
                })
                .collect();
            let is_source = is_source(facts, address);
            // The kernel takes the first address of a network as the source, and others of it not; and an interface has to
            // have a network by one of its addresses.
            if !is_source && (held.flags.is_secondary() || others.is_empty()) {
                bad.push(Judgement { state: State::Note, ..found });
                continue;
            }
            let network = Prefix { address, length: prefix };
            let depends = others.iter().any(|other| other.flags.is_secondary() && network.contains(other.address));
            bad.push(if facts.managers.value().is_some_and(|all| all.iter().any(|one| one == "keepalived")) {
                found.advice(format!(
                    "Write {address}/{host} in place of {address}/{prefix} under virtual_ipaddress in keepalived.conf, and \
                     reload keepalived; by hand it would only fail over."
                ))
            } else if depends {
                found.advice(format!(
                    "Other addresses of {name} are secondary to it, and would go with it: make it {address}/{host} where \
                     it is configured."
                ))
            } else {
                found
                    .command(format!(
                        "ip addr add {address}/{host} dev {name} && ip addr del {address}/{prefix} dev {name}"
                    ))
                    .undo(format!(
                        "ip addr add {address}/{prefix} dev {name} && ip addr del {address}/{host} dev {name}"
                    ))
            });
        }
    }
    if !seen {
        return Err(Skip::does_not_apply("no virtual address is on an interface here"));
    }
    unless_bad(bad, "no virtual address has a wide prefix", from)
}

/// Whether packets to real servers have this address as their source.
fn is_source(facts: &Facts, address: IpAddr) -> bool {
    facts.paths.values().any(|path| {
        path.value()
            .and_then(Option::as_ref)
            .is_some_and(|route| route.kind == RouteKind::Unicast && route.preferred_source == Some(address))
    })
}

pub(in crate::doctor) fn ipv6(facts: &Facts) -> Judged {
    let mut seen = false;
    let mut bad = Vec::new();
    let from = facts.addresses.from();
    for vip in facts.vips.iter().filter(|vip| vip.address.is_ipv6()) {
        for Place { link, held } in facts.network()?.places(vip.address) {
            seen = true;
            let (whole, name) = (format!("{}/{}", held.address, held.prefix), &link.name);
            if held.flags.is_dad_failed() {
                bad.push(
                    Judgement::fail(format!("{whole} on {name} failed duplicate address detection: another host had it, which --probe names if it still has"), from)
                        .command(format!(
                            "ip addr del {whole} dev {name} && ip addr add {whole} dev {name} nodad preferred_lft 0"
                        ))
                        .undo(format!("ip addr del {whole} dev {name} && ip addr add {whole} dev {name}")),
                );
            } else if is_source(facts, held.address) {
                bad.push(
                    Judgement::warn(format!("{whole} on {name} is the source of packets to real servers"), ROUTES)
                        .command(format!("ip addr change {whole} dev {name} preferred_lft 0"))
                        .undo(format!("ip addr change {whole} dev {name} preferred_lft forever")),
                );
            }
        }
    }
    if !seen {
        return Err(Skip::does_not_apply("no IPv6 VIP is here"));
    }
    unless_bad(bad, "in use, and no source", from)
}

pub(in crate::doctor) fn answers(facts: &Facts) -> Judged {
    let Some(probe) = &facts.probe else {
        return Err(Skip("not asked: --probe asks".to_owned()));
    };
    let all = probe.answers.get()?;
    let own: BTreeSet<_> =
        facts.links.get()?.iter().filter_map(|link| link.address.as_ref()).map(ToString::to_string).collect();
    let mut bad = Vec::new();
    let mut at_work = Vec::new();
    for vip in facts.vips.iter().map(|vip| vip.address) {
        let foreign: Vec<_> =
            all.iter().filter(|a| a.address == vip && !own.contains(&a.hardware.to_string())).collect();
        let speaking = facts.speaking()?;
        let here = facts.network()?.places(vip).any(|place| speaking.iter().any(|link| link.index == place.link.index));
        // Where this director stands by, the other one answers.
        if let ([answer], false) = (foreign.as_slice(), here) {
            at_work.push(format!("{} for {vip} on {}", answer.hardware, answer.interface));
            continue;
        }
        for answer in foreign {
            let mut names: Vec<_> = facts
                .owners(&answer.hardware)
                .into_iter()
                .filter(|name| *name != vip && !matches!(name, IpAddr::V6(name) if name.is_unicast_link_local()))
                .map(|name| name.to_string())
                .collect();
            names.dedup();
            let who = match names.as_slice() {
                [] => format!("the machine with the MAC address {}", answer.hardware),
                names => names.join(", "),
            };
            let fact = format!(
                "{} ({}) answers for {vip} on {}",
                answer.hardware,
                if names.is_empty() { "unknown".to_owned() } else { names.join(", ") },
                answer.interface
            );
            bad.push(
                Judgement::fail(fact, probe.answers.from())
                    .elsewhere(who, format!("ipvsadm-rs realserver start {vip}"))
                    .undo(format!("ipvsadm-rs realserver stop {vip}")),
            );
        }
    }
    let good = match at_work.is_empty() {
        true => "no other machine answers".to_owned(),
        false => format!("only the director at work answers: {}", at_work.join(", ")),
    };
    unless_bad(bad, good, probe.answers.from())
}
