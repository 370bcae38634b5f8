//! The way of clients' packets to programs on a real server, and of the answers.

use std::net::IpAddr;

use ipvs_client::Protocol;
use packet_filter::{Hook, Interface, Outcome, Packet, State as Tracked, Way};

use super::legs::{number, on, out};
use super::{Ways, before_input, by_index, client, inputs, passage, ports_of, to};
use crate::doctor::State;
use crate::doctor::facts::{Facts, Vip};
use crate::doctor::passage::{Fate, OverIp, Passage, Selector, Stage};
use crate::machine::{Link, Listener, RouteKind};

/// Administrators let themselves in, not clients.
const SSH: u16 = 22;

impl Ways {
    /// What becomes of packets to programs that listen on virtual addresses, or to what rules send them to.
    pub(super) fn delivered(&mut self, facts: &Facts) -> Vec<Passage> {
        let mut passages = Vec::new();
        for vip in &facts.vips {
            let tunnels = tunnels(facts, vip.address);
            let inputs = match tunnels.is_empty() {
                true => inputs(facts, vip.address),
                false => tunnels.iter().map(|link| Some(super::interface(link))).collect(),
            };
            for input in inputs {
                let name = input.as_ref().map(|input| input.name.clone());
                let found = self.programs(facts, *vip, input.as_ref());
                passages.extend(found.into_iter().map(|passage| Passage { input: name.clone(), ..passage }));
            }
            passages.extend(self.outer(facts, vip.address, &tunnels));
        }
        passages
    }

    fn programs(&mut self, facts: &Facts, vip: Vip, input: Option<&Interface>) -> Vec<Passage> {
        let held = facts.network().is_ok_and(|network| network.places(vip.address).next().is_some())
            || facts.path(vip.address).is_ok_and(|path| path.is_some_and(|route| route.kind == RouteKind::Local));
        let mut passages = Vec::new();
        let mut done = Vec::new();
        // What rules give another destination, needs no address and no program that listens on it.
        for (protocol, port) in ports_of(facts, vip, &self.ports) {
            let packet = on(Packet::first(number(protocol), vip.address, port), input);
            // Docker's rules ask whether the destination is this machine's.
            let packet = if held { packet.to_own_address() } else { packet };
            let Some(outcome @ Outcome::Redirected { .. }) = self.outcome(&[(packet.clone(), before_input())]) else {
                continue;
            };
            done.push((protocol, port));
            let Outcome::Redirected { address, port: to_port, .. } = outcome else { continue };
            let then = self.redirected(facts, vip.address, protocol, (address, to_port.unwrap_or(port)), input);
            let mut fate = self.fate(&[(packet, before_input())]);
            if let Some(Fate::Redirected { then: rest, .. }) = fate.value_mut() {
                **rest = then;
            }
            passages.push(passage(vip.address, protocol, port, to(protocol, vip.address, port), Stage::In, fate));
        }
        if !held && vip.port.is_none() {
            return passages;
        }
        for (protocol, port, is_certain) in targets(facts, vip) {
            if done.contains(&(protocol, port)) {
                continue;
            }
            let weight = if is_certain { State::Fail } else { State::Warn };
            let packet = on(Packet::first(number(protocol), vip.address, port), input);
            let later = packet.clone().later().in_state(Tracked::Established);
            let fate = self.fate(&[(packet, Way::delivered()), (later, Way::delivered())]);
            let is_in = fate.value() == Some(&Fate::Accepted);
            let mut found = passage(vip.address, protocol, port, to(protocol, vip.address, port), Stage::In, fate);
            found.weight = weight;
            passages.push(found);
            if is_in {
                passages.extend(self.reply(facts, vip.address, protocol, port, weight));
            }
        }
        passages
    }

    /// What becomes of a packet that a rule gave another destination; without an address that of the interface.
    fn redirected(
        &mut self,
        facts: &Facts,
        vip: IpAddr,
        protocol: Protocol,
        (address, port): (Option<IpAddr>, u16),
        input: Option<&Interface>,
    ) -> Fate {
        let held = facts.addresses.value().map(Vec::as_slice).unwrap_or_default();
        let own = || {
            let of_input = |index: Option<u32>| {
                held.iter().find(|one| {
                    index.is_none_or(|index| one.index == index)
                        && one.address.is_ipv4() == vip.is_ipv4()
                        && !one.address.is_loopback()
                })
            };
            of_input(input.and_then(|input| input.index)).map(|one| one.address)
        };
        let Some(target) = address.or_else(own) else { return Fate::Accepted };
        let packet = on(Packet::first(number(protocol), target, port), input).tracked_before();
        let legs = match held.iter().any(|one| one.address == target) || target.is_loopback() {
            true => vec![(packet, Way::through(&[Hook::Input]))],
            false => {
                let output = self.route(target).and_then(|route| route.output);
                let output = output.and_then(|index| by_index(facts, index));
                vec![(out(packet, output.as_ref()), Way::through(&[Hook::Forward, Hook::Postrouting]))]
            }
        };
        self.fate(&legs).value().cloned().unwrap_or(Fate::Accepted)
    }

    /// The program's answer, if it is stopped.
    fn reply(&mut self, facts: &Facts, vip: IpAddr, protocol: Protocol, port: u16, weight: State) -> Option<Passage> {
        let client = client(facts, vip)?;
        let output = facts.way_to_clients(vip).ok().flatten()?.output.and_then(|index| by_index(facts, index));
        let packet = Packet::to(number(protocol), client).from(vip).from_port(port);
        let packet = out(packet.answer().in_state(Tracked::Established), output.as_ref());
        let fate = self.fate(&[(packet, Way::sent())]);
        if !matches!(fate.value(), Some(Fate::Stopped { .. })) {
            return None;
        }
        let words = format!("the answer of {} {}", protocol.service_name(), std::net::SocketAddr::new(vip, port));
        let mut found = passage(vip, protocol, port, words, Stage::Out, fate);
        found.selector =
            Selector { source: Some(vip), source_port: Some(port), destination: None, port: None, ..found.selector };
        found.weight = weight;
        Some(found)
    }

    /// The outer packets of a tunnel that has the address, if they are stopped.
    fn outer(&mut self, facts: &Facts, vip: IpAddr, tunnels: &[&Link]) -> Option<Passage> {
        let tunnel = tunnels.iter().find(|link| matches!(link.kind.as_deref(), Some("ipip" | "gre")))?;
        let links = facts.links.value()?;
        let (protocol, name) = match tunnel.kind.as_deref() {
            Some("gre") => (packet_filter::Protocol(47), OverIp::GRE),
            _ => (packet_filter::Protocol::IPIP, OverIp::IPIP),
        };
        let entries: Vec<&Link> = crate::doctor::segment::incoming(facts, vip).ok()?;
        let [entry] = entries.iter().filter(|link| link.index != tunnel.index).collect::<Vec<_>>()[..] else {
            return None;
        };
        let own = facts.addresses.value()?.iter().find(|held| held.index == entry.index && held.address.is_ipv4())?;
        let packet = Packet::to(protocol, own.address).on(super::interface(entry));
        let fate = self.fate(&[(packet, Way::delivered())]);
        if fate.value() == Some(&Fate::Accepted) {
            return None;
        }
        let holds = facts.network().ok()?.places(vip).any(|place| {
            links
                .iter()
                .any(|link| link.index == place.link.index && tunnels.iter().any(|tunnel| tunnel.index == link.index))
        });
        let words = format!("the tunnel's packets to {} ({})", own.address, name.word());
        let mut found = passage(vip, Protocol::Tcp, 0, words, Stage::In, fate);
        found.selector =
            Selector { protocol: name, source: None, source_port: None, destination: Some(own.address), port: None };
        found.input = Some(entry.name.clone());
        found.weight = if holds { State::Fail } else { State::Note };
        Some(found)
    }
}

/// The tunnels that bring clients' packets: those that have the address, or that are up where it is on another interface
/// without ARP.
fn tunnels(facts: &Facts, vip: IpAddr) -> Vec<&Link> {
    let links = facts.links.value().map(Vec::as_slice).unwrap_or_default();
    let up: Vec<&Link> = links.iter().filter(|link| link.flags.is_up() && crate::doctor::is_tunnel(link)).collect();
    let places: Vec<u32> =
        facts.network().map(|network| network.places(vip).map(|place| place.link.index).collect()).unwrap_or_default();
    let holding: Vec<&Link> = up.iter().copied().filter(|link| places.contains(&link.index)).collect();
    if holding.is_empty() { up } else { holding }
}

/// The ports that clients use: the one that was named, or those that programs listen on; and whether that is certain.
fn targets(facts: &Facts, vip: Vip) -> Vec<(Protocol, u16, bool)> {
    let listening: Vec<&Listener> =
        facts.listeners.value().into_iter().flatten().filter(|one| one.gets(vip.address)).collect();
    let mut targets: Vec<(Protocol, u16, bool)> = match vip.port {
        Some(port) => {
            let named = listening.iter().filter(|one| one.port == port);
            let mut found: Vec<_> = named.map(|one| (one.protocol, port, true)).collect();
            if found.is_empty() {
                found.push((Protocol::Tcp, port, true));
            }
            found
        }
        None => {
            // What listens on all addresses may be for others than clients; over UDP it may be a client itself.
            let of = |one: &&Listener| (one.protocol, one.port, one.address == vip.address);
            let for_clients = |(protocol, port, bound): &(Protocol, u16, bool)| {
                *bound || (*protocol == Protocol::Tcp && *port != SSH)
            };
            listening.iter().map(of).filter(for_clients).collect()
        }
    };
    targets.sort_unstable_by_key(|(protocol, port, bound)| (*port, *protocol, !bound));
    targets.dedup_by_key(|(protocol, port, _)| (*port, *protocol));
    // A single program is the one that clients are for.
    if let [(_, _, certain)] = targets.as_mut_slice() {
        *certain = true;
    }
    targets
}
