//! Which interfaces matter to a virtual address: those on the segments where its clients, its router or the directors are.

use std::net::IpAddr;

use super::facts::Facts;
use super::judgement::Skip;
use super::quiet::speakers;
use crate::machine::{Link, Prefix, Route};

/// What an interface has to do with a virtual address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bearing {
    /// Who asks for the address is there.
    Certain,
    /// They may be there.
    Possible,
    /// They are not, and why.
    No(&'static str),
}

/// What this interface has to do with a virtual address.
#[must_use]
pub fn bearing(facts: &Facts, vip: IpAddr, link: &Link) -> Bearing {
    let links = facts.links.value().map(Vec::as_slice).unwrap_or_default();
    if is_certain(facts, vip, link) {
        return Bearing::Certain;
    }
    if networks(facts, link, vip).next().is_none() {
        return Bearing::No("it has no address, so no router or director is reached by it");
    }
    if is_inner_bridge(links, link) {
        return Bearing::No("it is a bridge for containers or virtual machines of this machine");
    }
    let others = || speakers(links).filter(|other| other.index != link.index);
    let is_only = others().all(|other| networks(facts, other, vip).next().is_none() || is_inner_bridge(links, other));
    if is_only { Bearing::Certain } else { Bearing::Possible }
}

/// Whether who asks for the address is on this interface's segment.
fn is_certain(facts: &Facts, vip: IpAddr, link: &Link) -> bool {
    let answered = facts
        .probe
        .as_ref()
        .and_then(|probe| probe.answers.value())
        .is_some_and(|answers| answers.iter().any(|answer| answer.address == vip && answer.interface == link.name));
    let is_neighbour = networks(facts, link, vip).any(|network| network.contains(vip) && !network.is_host());
    let leads_to_clients = || {
        facts.returns.iter().filter(|one| one.from == vip).any(|one| {
            let route = one.route.value().and_then(Option::as_ref);
            route.is_some_and(|route| leaves_by(route, link.index))
        })
    };
    answered || is_neighbour || leads_to_clients()
}

/// The networks of an interface, of the address's family.
fn networks<'f>(facts: &'f Facts, link: &'f Link, vip: IpAddr) -> impl Iterator<Item = Prefix> + 'f {
    let held = facts.addresses.value().into_iter().flatten();
    held.filter(move |held| held.index == link.index && held.address.is_ipv4() == vip.is_ipv4() && held.address != vip)
        .map(|held| Prefix { address: held.address, length: held.prefix })
}

/// Whether a bridge has only ports that lead to containers and virtual machines of this machine, or none at all.
fn is_inner_bridge(links: &[Link], link: &Link) -> bool {
    let leads_in = |port: &Link| matches!(port.kind.as_deref(), Some("veth" | "tun" | "vnet" | "dummy"));
    link.kind.as_deref() == Some("bridge") && links.iter().filter(|port| port.master == Some(link.index)).all(leads_in)
}

/// Whether a route's packets leave by this interface, or may.
#[must_use]
pub fn leaves_by(route: &Route, index: u32) -> bool {
    route.output == Some(index) || route.next_hops.iter().any(|hop| hop.output == index)
}

/// The interfaces that clients' packets to an address come in by: one if that is certain, several if it may be any of them.
///
/// # Errors
/// Links or addresses could not be read.
pub fn incoming(facts: &Facts, vip: IpAddr) -> Result<Vec<&Link>, Skip> {
    let links = facts.links.get()?;
    let network = facts.network()?;
    // An interface that has it and answers for it.
    let holders: Vec<&Link> = network.exposed(vip).map(|place| place.link).filter(|link| link.flags.is_up()).collect();
    if !holders.is_empty() {
        return Ok(holders);
    }
    let answers = facts.probe.as_ref().and_then(|probe| probe.answers.value());
    let heard: Vec<&Link> = speakers(links)
        .filter(|link| answers.into_iter().flatten().any(|one| one.address == vip && one.interface == link.name))
        .collect();
    if !heard.is_empty() {
        return Ok(heard);
    }
    let near = |link: &&Link| networks(facts, link, vip).any(|network| network.contains(vip) && !network.is_host());
    let near: Vec<&Link> = speakers(links).filter(near).collect();
    if !near.is_empty() {
        return Ok(near);
    }
    let all = speakers(links).filter(|link| !matches!(bearing(facts, vip, link), Bearing::No(_)));
    Ok(all.collect())
}
