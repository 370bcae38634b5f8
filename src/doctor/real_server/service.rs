//! What serves the clients: the program, and the packet filter before it.

use std::collections::BTreeSet;

use super::no_vip;
use crate::doctor::facts::{Facts, Vip};
use crate::doctor::firewall::passages;
use crate::doctor::judgement::{Judged, Judgement, State, unless_bad};
use crate::doctor::passage::Fate;
use crate::doctor::roles::redirection;
use crate::machine::Listener;

pub(in crate::doctor) fn listeners(facts: &Facts) -> Judged {
    if facts.vips.is_empty() {
        return Err(no_vip());
    }
    let all = facts.listeners.get()?;
    let from = facts.listeners.from();
    let own: BTreeSet<_> =
        facts.addresses.get()?.iter().map(|held| held.address).filter(|address| !address.is_loopback()).collect();
    let mut bad = Vec::new();
    let mut good = BTreeSet::new();
    for Vip { address: vip, port, .. } in &facts.vips {
        if let Some(rule) = redirection(facts, *vip) {
            match behind(facts, *vip, all) {
                Ok(words) => {
                    good.insert(words);
                }
                Err(words) => bad.push(
                    Judgement::fail(format!("{words}, where clients of {vip} come by {rule}"), from)
                        .advice("Start the program that serves clients, or change the rule."),
                ),
            }
            continue;
        }
        let wanted = |listener: &&Listener| port.is_none_or(|port| listener.port == port);
        let (for_vip, others): (Vec<&Listener>, Vec<&Listener>) =
            all.iter().filter(wanted).partition(|listener| listener.gets(*vip));
        good.extend(for_vip.iter().map(|listener| format!("{} {}", listener.protocol.service_name(), listener.port)));
        let mut here = Vec::new();
        for other in &others {
            let covered = for_vip.iter().any(|one| one.port == other.port && one.protocol == other.protocol);
            if covered
                || !own.contains(&other.address)
                || other.address.is_ipv4() != vip.is_ipv4()
                || facts.vips.iter().any(|vip| vip.address == other.address)
            {
                continue;
            }
            // A program that serves the RIP alone may not be for clients at all, unless nothing else serves the VIP.
            let state = if port.is_some() || for_vip.is_empty() { State::Fail } else { State::Note };
            let fact =
                format!("{} port {} listens on {} only", other.protocol.service_name(), other.port, other.address);
            here.push(Judgement::new(state, fact, from).advice(format!(
                "Let the program listen on {vip} or on all addresses. If it is not to serve clients, leave it, and name the port that is: {vip}:PORT"
            )));
        }
        if for_vip.is_empty() && here.is_empty() {
            let which = port.map_or_else(String::new, |port| format!(" port {port}"));
            here.push(
                Judgement::fail(format!("nothing listens on {vip}{which}"), from)
                    .advice("Start the program that serves clients."),
            );
        }
        bad.extend(here);
    }
    let list: Vec<_> = good.into_iter().collect();
    unless_bad(bad, format!("clients can reach {}", list.join(", ")), from)
}

/// Whether a program is where a rule sends clients to: yes, or what is missing there.
fn behind(facts: &Facts, vip: std::net::IpAddr, listeners: &[Listener]) -> Result<String, String> {
    let mut missing = String::new();
    let held: Vec<_> = facts.addresses.value().into_iter().flatten().map(|held| held.address).collect();
    for passage in facts.delivered.iter().filter(|passage| passage.vip == Some(vip)) {
        let Some(Fate::Redirected { address, port, .. }) = passage.fate.value() else { continue };
        let Some(port) = port.or(passage.selector.port) else { continue };
        let name = passage.selector.protocol;
        let to = match address {
            // A container or another machine: what listens there is not seen here.
            Some(address) if !held.contains(address) => return Ok(format!("{name} {port} of {address}")),
            Some(address) => format!("{address} port {port}"),
            None => format!("port {port}"),
        };
        let is_there = listeners.iter().any(|one| {
            one.port == port
                && one.protocol.service_name() == name.0
                && match address {
                    Some(address) => one.gets(*address),
                    // The interface's own address.
                    None => one.address.is_unspecified() || held.contains(&one.address),
                }
        });
        if is_there {
            return Ok(format!("{name} {port}"));
        }
        missing = format!("nothing listens on {to}");
    }
    Err(missing)
}

pub(in crate::doctor) fn firewall(facts: &Facts) -> Judged {
    passages(facts, &facts.delivered, "no program is known to serve clients; name its port as VIP:PORT")
}
