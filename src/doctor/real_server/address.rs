//! Where the virtual address is.

use std::net::IpAddr;

use super::{INCOMING, OUTGOING, carries_traffic, no_vip, silenced, start, stop};
use crate::doctor::facts::Facts;
use crate::doctor::judgement::{Judged, Judgement, ROUTES, State, unless_bad};
use crate::doctor::quiet::{Fault, IGNORE, Place, faults};
use crate::doctor::roles::redirection;
use crate::doctor::segment::{Bearing, bearing};
use crate::machine::{Prefix, RouteKind};

pub(in crate::doctor) fn vip_is_here(facts: &Facts) -> Judged {
    if facts.vips.is_empty() {
        return Err(no_vip());
    }
    let from = facts.addresses.from();
    let mut bad = Vec::new();
    let mut good = Vec::new();
    let mut missing = Vec::new();
    let network = facts.network()?;
    for vip in facts.vips.iter().map(|vip| vip.address) {
        let mut places: Vec<_> = network.quiet(vip).collect();
        // Where rules for ARP keep it quiet, it may be on any interface.
        if silenced(facts, vip, INCOMING) && silenced(facts, vip, OUTGOING) {
            places.extend(network.exposed(vip));
        }
        if places.is_empty() {
            if let Some(rule) = redirection(facts, vip) {
                good.push(format!("{vip} is not needed here: its packets get another destination by {rule}"));
            } else if let Some(place) = network.exposed(vip).next() {
                // That it is there is what R4 judges.
                good.push(format!("{vip}/{} on {}", place.held.prefix, place.link.name));
            } else if facts.path(vip).is_ok_and(|path| path.is_some_and(|route| route.kind == RouteKind::Local)) {
                good.push(format!("packets to {vip} are this machine's by a route ({ROUTES})"));
            } else if let Some(why) = is_masqueraded(facts, vip) {
                good.push(why);
            } else {
                missing.push(vip);
            }
            continue;
        }
        let serves = places.iter().any(|place| place.fault().is_none());
        let again = if serves { String::new() } else { format!(" && {}", start(facts, &[vip], false)) };
        for (Place { link, held }, fault) in faults(&places) {
            let (prefix, name) = (held.prefix, &link.name);
            let delete = format!("ip addr del {vip}/{prefix} dev {name}{again}");
            let add = match serves {
                true => format!("ip addr add {vip}/{prefix} dev {name}"),
                false => format!("{} && ip addr add {vip}/{prefix} dev {name}", stop(facts, &[vip])),
            };
            let found = match fault {
                // A second, narrow one does not undo what the wide one does.
                Fault::Wide(_) => {
                    let taken = Prefix { address: vip, length: prefix };
                    let needed = needed_within(facts, taken, link.index);
                    let state = if needed.is_some() { State::Fail } else { State::Warn };
                    let what = needed.map_or_else(String::new, |what| format!(": {what} is in it"));
                    Judgement::new(
                        state,
                        format!("{vip}/{prefix} on {name} makes all of {taken} this machine's own{what}"),
                        from,
                    )
                    .command(delete)
                    .undo(add)
                }
                Fault::Down => Judgement::fail(format!("{vip} is on {name}, which is down"), from)
                    .command(format!("ip link set {name} up"))
                    .undo(format!("ip link set {name} down")),
                Fault::Duplicate => {
                    Judgement::fail(format!("{vip} on {name} is a duplicate of another host's, and not used"), from)
                        .command(delete)
                        .undo(add)
                }
                Fault::Tentative => {
                    Judgement::fail(format!("{vip} on {name} is checked for duplicates, and not used yet"), from)
                        .command(delete)
                        .undo(add)
                }
            };
            bad.push(found);
        }
        let right = places.iter().filter(|place| place.fault().is_none());
        good.extend(right.map(|place| format!("{vip}/{} on {}", place.held.prefix, place.link.name)));
    }
    if !missing.is_empty() {
        let list: Vec<_> = missing.iter().map(ToString::to_string).collect();
        bad.push(
            Judgement::fail(format!("{} is not on lo, a dummy or a tunnel", list.join(", ")), from)
                .command(start(facts, &missing, false))
                .undo(stop(facts, &missing)),
        );
    }
    unless_bad(bad, good.join(", "), from)
}

/// What this machine needs to reach of a network that an address makes its own.
fn needed_within(facts: &Facts, taken: Prefix, index: u32) -> Option<String> {
    let is_other = |address: IpAddr| taken.contains(address) && address != taken.address;
    let routes = facts.routes.value().into_iter().flatten();
    if let Some(gateway) = routes.filter_map(|route| route.gateway).find(|gateway| is_other(*gateway)) {
        return Some(format!("the gateway {gateway}"));
    }
    let held = facts.addresses.value().into_iter().flatten();
    let others = held.filter(|held| held.index != index && Prefix::host(held.address).length != held.prefix);
    let overlaps = |network: Prefix| taken.contains(network.address) || network.contains(taken.address);
    others
        .map(|held| Prefix { address: held.address, length: held.prefix })
        .find(|network| network.address.is_ipv4() == taken.address.is_ipv4() && overlaps(*network))
        .map(|network| format!("the network {network}"))
}

/// Whether the machine is a server for masquerading, as far as that can be seen: the director is its gateway, and the virtual
/// address is not here.
fn is_masqueraded(facts: &Facts, vip: IpAddr) -> Option<String> {
    let answers = facts.probe.as_ref()?.answers.value()?;
    let of_vip = answers.iter().find(|answer| answer.address == vip)?;
    let gateway = facts.routes.value()?.iter().filter(|route| route.destination.length == 0).find_map(|r| r.gateway)?;
    let known = facts.neighbours.value()?.iter().find(|entry| entry.address == gateway)?;
    let asked = answers.iter().find(|answer| answer.address == gateway).map(|answer| &answer.hardware);
    (asked.or(known.hardware.as_ref()) == Some(&of_vip.hardware)).then(|| {
        format!("{vip} is not here, and the gateway {gateway} is the director: masquerading (-m) needs no more")
    })
}

pub(in crate::doctor) fn vip_elsewhere(facts: &Facts) -> Judged {
    let from = facts.addresses.from();
    let mut bad = Vec::new();
    let mut silent = Vec::new();
    if facts.vips.is_empty() {
        return Err(no_vip());
    }
    let network = facts.network()?;
    for vip in facts.vips.iter().map(|vip| vip.address) {
        let is_hidden = network.quiet(vip).next().is_some();
        for Place { link, held } in network.exposed(vip) {
            let (prefix, name) = (held.prefix, &link.name);
            if silenced(facts, vip, INCOMING) {
                silent.push(format!("{vip} on {name}, whose rules for ARP stop questions"));
                continue;
            }
            // 8 answers for nothing at all.
            if vip.is_ipv4() && facts.settings.effective(IGNORE.name, name) == Ok(8) {
                bad.push(Judgement::note(format!("{vip} is on {name}, where arp_ignore is 8"), from));
                continue;
            }
            let (state, why) = match bearing(facts, vip, link) {
                Bearing::No(why) => (State::Warn, format!(" ({why})")),
                _ => (State::Fail, String::new()),
            };
            let found = Judgement::new(state, format!("{vip}/{prefix} is on {name}{why}"), from);
            let delete = format!("ip addr del {vip}/{prefix} dev {name}");
            let add = format!("ip addr add {vip}/{prefix} dev {name}");
            bad.push(match is_hidden {
                true => found.command(delete).undo(add),
                false if carries_traffic(facts, vip) => found.advice(format!(
                    "Clients are connected to {vip} here. Take the server out of the table first, then: {delete} && {}",
                    start(facts, &[vip], false)
                )),
                false => found
                    .command(format!("{delete} && {}", start(facts, &[vip], false)))
                    .undo(format!("{} && {add}", stop(facts, &[vip]))),
            });
        }
    }
    unless_bad(bad, if silent.is_empty() { "on none".to_owned() } else { silent.join(", ") }, from)
}
