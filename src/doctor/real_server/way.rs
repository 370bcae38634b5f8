//! The way of answers.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::no_vip;
use crate::doctor::facts::{Answer, Facts, Return};
use crate::doctor::judgement::{Judged, Judgement, ROUTES, Skip, State, shell, unless_bad};
use crate::doctor::roles::redirection;
use crate::doctor::segment::{incoming, leaves_by};
use crate::machine::{Prefix, Route, RouteKind};

pub(in crate::doctor) fn way_back(facts: &Facts) -> Judged {
    if facts.vips.is_empty() {
        return Err(no_vip());
    }
    let mut bad = Vec::new();
    let (mut good, mut open) = (Vec::new(), Vec::new());
    for vip in facts.vips.iter().map(|vip| vip.address) {
        // Answers get the rule's source back; they are sent from the machine's own address.
        if redirection(facts, vip).is_some() {
            good.push(format!("answers for {vip} leave as those of this machine's own address"));
            continue;
        }
        if let Some(found) = other_way_than_own(facts, vip)? {
            bad.push(found);
            continue;
        }
        let outside = facts.way_to_clients(vip)?;
        let usable = |route: &&Route| route.kind == RouteKind::Unicast;
        let Some(usual) = outside.filter(usable) else {
            // Clients of this network alone need no router.
            let near = facts
                .returns
                .iter()
                .any(|one| one.from == vip && one.network.is_some() && one.route.value().is_some_and(Option::is_some));
            let found = match carries(facts, vip) || near {
                true => Judgement::warn(
                    format!("answers from {vip} reach some networks only: there is no default route"),
                    ROUTES,
                ),
                false => Judgement::fail(format!("no route has a gateway for answers from {vip}"), ROUTES),
            };
            let vrf = facts.network()?.vrf_of(vip).map_or_else(String::new, |vrf| format!(" vrf {}", shell(&vrf.name)));
            bad.push(
                found.advice(format!("Set the router that clients are behind: ip route add default via ROUTER{vrf}")),
            );
            continue;
        };
        let Some(gateway) = usual.gateway else {
            good.push(format!("answers from {vip} go to the segment itself"));
            continue;
        };
        match by_director(facts, vip)? {
            Seen::No(who) => good.push(format!("the gateway is {gateway}, which is not the director: {who}")),
            Seen::NotAsked => {
                open.push(format!("the gateway is {gateway}; whether that is the director is found out with --probe"))
            }
            Seen::By(all) => bad.extend(all),
        }
    }
    bad.dedup();
    if bad.is_empty() && good.is_empty() {
        return Err(Skip(open.join("; ")));
    }
    unless_bad(bad, good.join(", "), ROUTES)
}

/// Whether clients are connected here.
fn carries(facts: &Facts, vip: IpAddr) -> bool {
    super::carries_traffic(facts, vip)
}

/// Where a rule of policy routing is for the machine's own address on the interface that clients come in by, and the virtual
/// address goes another way.
fn other_way_than_own(facts: &Facts, vip: IpAddr) -> Result<Option<Judgement>, Skip> {
    let links = incoming(facts, vip)?;
    let policies = facts.policies.get()?;
    let of_vip = facts.way_to_clients(vip)?;
    // Where clients may come in by several interfaces, a rule of another one than answers leave by may be for administrators.
    let matters = |index: u32| {
        links.iter().any(|link| link.index == index)
            && (links.len() == 1 || of_vip.is_some_and(|route| leaves_by(route, index)))
    };
    let own = facts
        .addresses
        .get()?
        .iter()
        .filter(|held| matters(held.index) && held.address != vip && held.address.is_ipv4() == vip.is_ipv4());
    for held in own {
        let rule = policies.iter().find(|rule| {
            rule.from.length > 0
                && !rule.inverted
                && rule.table != 0
                && rule.from.contains(held.address)
                && !rule.from.contains(vip)
        });
        let Some(rule) = rule else { continue };
        let of_own = facts.way_to_clients(held.address)?;
        let key = |route: Option<&Route>| route.map(|route| (route.gateway, route.output));
        if key(of_own) == key(of_vip) || of_own.is_none() {
            continue;
        }
        let words = |route: Option<&Route>| match route {
            None => "nowhere".to_owned(),
            Some(route) => {
                let gateway = route.gateway.map_or_else(String::new, |gateway| format!(" via {gateway}"));
                let output = route.output.map_or_else(String::new, |index| format!(" by {}", facts.interface(index)));
                format!("{}{output}", gateway.trim_start()).trim_start().to_owned()
            }
        };
        let (table, family) = (rule.table, if vip.is_ipv6() { "-6 " } else { "" });
        // Clients that are served already find their way.
        let state = if carries(facts, vip) { State::Note } else { State::Fail };
        let fact = format!(
            "answers from {vip} go {}, those from {} {}: the rule of policy routing is for {} only",
            words(of_vip),
            held.address,
            words(of_own),
            rule.from
        );
        return Ok(Some(
            Judgement::new(state, fact, ROUTES)
                .command(format!("ip {family}rule add from {vip} lookup {table}"))
                .undo(format!("ip {family}rule del from {vip} lookup {table}")),
        ));
    }
    Ok(None)
}

/// Whether answers go by the director.
enum Seen {
    NotAsked,
    No(String),
    By(Vec<Judgement>),
}

fn by_director(facts: &Facts, vip: IpAddr) -> Result<Seen, Skip> {
    let Some(probe) = &facts.probe else { return Ok(Seen::NotAsked) };
    let answers = probe.answers.get()?;
    let is_vip = |answer: &&Answer| answer.address == vip;
    let directors: BTreeSet<_> = answers.iter().filter(is_vip).map(|answer| answer.hardware.to_string()).collect();
    let neighbours = facts.neighbours.get()?;
    let hardware = |gateway: IpAddr| {
        let answered = answers.iter().find(|answer| answer.address == gateway).map(|answer| &answer.hardware);
        let known = || neighbours.iter().find(|entry| entry.address == gateway)?.hardware.as_ref();
        answered.or_else(known).map(ToString::to_string)
    };
    let to_director = |route: &Route| {
        let gateway = route.gateway?;
        Some((gateway, hardware(gateway).filter(|mac| directors.contains(mac))?))
    };
    let traffic = facts.traffic.value().and_then(|all| all.get(&vip)).copied().unwrap_or_default();
    let mut found = Vec::new();
    let ways = facts.returns.iter().filter(|one| one.from == vip);
    for Return { network, route, .. } in ways {
        let Some(route) = route.get()?.as_ref() else { continue };
        let Some((gateway, mac)) = to_director(route) else { continue };
        let name = network.map_or_else(|| "default".to_owned(), |network: Prefix| network.to_string());
        let fact = format!("{name} goes via {gateway}, the director ({mac})");
        if traffic.established > 0 {
            found.push(Judgement::note(format!("{fact}, which lets them through: clients are connected"), ROUTES));
            continue;
        }
        let state = if traffic.half_open > 0 { State::Fail } else { State::Warn };
        let half = match traffic.half_open {
            0 => String::new(),
            number => format!("; {number} connections wait for the client's answer"),
        };
        let judged = Judgement::new(state, format!("{fact}{half}"), ROUTES);
        // The route as it stands in a table, for the command.
        let listed = facts.routes.get()?.iter().find(|one| {
            one.gateway == Some(gateway)
                && network.map_or(one.destination.length == 0, |network| one.destination == network)
        });
        let metric =
            listed.and_then(|route| route.priority).map_or_else(String::new, |metric| format!(" metric {metric}"));
        // Without it, another way has to be there.
        let covers = |other: &&Route| {
            other.gateway.is_some_and(|gateway| hardware(gateway).is_none_or(|mac| !directors.contains(&mac)))
                && network.is_some_and(|network| {
                    other.destination.length < network.length && other.destination.contains(network.address)
                })
        };
        found.push(match facts.routes.get()?.iter().find(covers) {
            Some(_) => judged
                .command(format!("ip route del {name} via {gateway}{metric}"))
                .undo(format!("ip route add {name} via {gateway}{metric}")),
            None => judged.advice(format!(
                "If the director does not forward what comes from its own address (accept_local=1, rp_filter=0, \
                 ip_forward=1 there), set the router that clients are behind: ip route replace {name} via ROUTER{metric}"
            )),
        });
    }
    if !found.is_empty() {
        return Ok(Seen::By(found));
    }
    Ok(Seen::No(match directors.is_empty() {
        true => "no interface answers for the VIP".to_owned(),
        false => format!("for the VIP answers {}", directors.into_iter().collect::<Vec<_>>().join(" and ")),
    }))
}
