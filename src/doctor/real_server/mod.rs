//! The checks of a real server: a file for each thing that they are about, which [`CHECKS`](super::CHECKS) names.

mod address;
mod arp;
mod boot;
mod service;
mod tunnel;
mod way;

use std::net::IpAddr;

pub(super) use address::{vip_elsewhere, vip_is_here};
pub(super) use arp::{arp_announce, arp_ignore, arp_rules};
pub(super) use boot::{announcement, boot};
pub(super) use service::{firewall, listeners};
pub(super) use tunnel::{spoofing, tunnel};
pub(super) use way::way_back;

use super::facts::{Fact, Facts, Vip};
use super::judgement::Skip;
use super::passage::{ArpPassage, Fate};
use super::quiet::Network;

fn no_vip() -> Skip {
    Skip::does_not_apply("no virtual address is known; name it to have it looked at")
}

/// The IPv4 addresses among those that are looked at. IPv6 knows no such trouble: a host answers for an address only on the
/// interface that has it.
fn ipv4(facts: &Facts) -> Result<Vec<&Vip>, Skip> {
    if facts.vips.is_empty() {
        return Err(no_vip());
    }
    let vips: Vec<_> = facts.vips.iter().filter(|vip| vip.address.is_ipv4()).collect();
    if vips.is_empty() {
        Err(Skip::does_not_apply("IPv6 hosts answer only for addresses of the interface that is asked"))
    } else {
        Ok(vips)
    }
}

/// Where a virtual address is kept quiet already, if that is not on `lo`.
fn quiet_interface(facts: &Facts, vip: IpAddr) -> Option<String> {
    let other = |network: Network<'_>| {
        let mut others = network.quiet(vip).filter(|place| !place.link.flags.is_loopback());
        others.next().map(|place| place.link.name.clone())
    };
    facts.network().ok().and_then(other)
}

/// The command that makes a real server for virtual addresses; where they already are, if that is on a quiet interface.
fn start(facts: &Facts, vips: &[IpAddr], persist: bool) -> String {
    let persist = if persist { " --persist" } else { "" };
    let mut commands: Vec<(String, Vec<String>)> = Vec::new();
    for vip in vips {
        let program = &facts.program;
        let command = match quiet_interface(facts, *vip) {
            Some(name) => format!("{program} realserver start{persist} --interface {name}"),
            None => format!("{program} realserver start{persist}"),
        };
        match commands.iter_mut().find(|(known, _)| *known == command) {
            Some((_, words)) => words.push(vip.to_string()),
            None => commands.push((command, vec![vip.to_string()])),
        }
    }
    let all: Vec<_> = commands.into_iter().map(|(command, vips)| format!("{command} {}", vips.join(" "))).collect();
    all.join(" && ")
}

/// What takes it back.
fn stop(facts: &Facts, vips: &[IpAddr]) -> String {
    let words: Vec<_> = vips.iter().map(ToString::to_string).collect();
    format!("{} realserver stop {}", facts.program, words.join(" "))
}

/// Whether rules for ARP stop this on all interfaces.
fn silenced(facts: &Facts, vip: IpAddr, rule: fn(&ArpPassage) -> &Fact<Fate>) -> bool {
    let mut of_vip = facts.arp.value().into_iter().flatten().filter(|passage| passage.vip == vip).peekable();
    of_vip.peek().is_some() && of_vip.all(|passage| matches!(rule(passage).value(), Some(Fate::Stopped { .. })))
}

const INCOMING: fn(&ArpPassage) -> &Fact<Fate> = |passage| &passage.incoming;
const OUTGOING: fn(&ArpPassage) -> &Fact<Fate> = |passage| &passage.outgoing;

/// Whether clients are connected to a program here through a virtual address.
fn carries_traffic(facts: &Facts, vip: IpAddr) -> bool {
    facts.traffic.value().and_then(|all| all.get(&vip)).is_some_and(|traffic| traffic.established > 0)
}
