//! What the packet filter does with packets of the cluster on their whole way.

mod cluster;
mod delivered;
pub mod legs;
mod scheduled;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use ipvs_client::Protocol;
use packet_filter::{Firewall, Hook, Interface, Outcome, Place, TableFamily, Unreadable, Way};

use legs::Leg;

use crate::doctor::facts::{Fact, Facts, Vip};
use crate::doctor::passage::{ArpPassage, Fate, OverIp, RulePlace, Selector, Stage};
use crate::doctor::quiet::speakers;
use crate::doctor::segment::incoming;
use crate::doctor::{State, passage::Passage};
use crate::host::nft::Listings;
use crate::host::route;
use crate::machine::{Link, Route, RouteQuery};

const FROM: &str = "the kernel's nf_tables";
/// Ports that are tried where none is named, at most.
const PORTS: usize = 256;
/// Services whose ways are looked at, at most.
const SERVICES: usize = 500;

/// The packet filter, and the machine that it is on.
pub(super) struct Ways {
    firewall: Result<Firewall, Unreadable>,
    listings: Listings,
    network: Result<route::Client, route::Error>,
    /// Ports that rules name.
    ports: Vec<u16>,
}

impl Ways {
    pub(super) fn read(network: Result<route::Client, route::Error>) -> Self {
        let firewall = Firewall::read();
        let ports = firewall.as_ref().map(|firewall| firewall.ports().into_iter().take(PORTS).collect());
        Self { ports: ports.unwrap_or_default(), firewall, listings: Listings::new(), network }
    }

    /// Add to the facts what becomes of packets.
    pub(super) fn fill(&mut self, facts: &mut Facts) {
        facts.arp = self.arp(facts);
        self.add_marked(facts);
        facts.scheduled.extend(self.scheduled(facts));
        facts.delivered = self.delivered(facts);
        facts.cluster = self.cluster(facts);
    }

    /// What becomes of a packet on all parts of its way: the first thing that happens to it.
    fn outcome(&self, legs: &[Leg]) -> Option<Outcome> {
        let firewall = self.firewall.as_ref().ok()?;
        let mut outcomes = legs.iter().map(|(packet, way)| firewall.outcome(packet, way));
        Some(outcomes.find(|outcome| *outcome != Outcome::Accepted).unwrap_or(Outcome::Accepted))
    }

    /// The same as a fact.
    fn fate(&mut self, legs: &[Leg]) -> Fact<Fate> {
        match self.outcome(legs) {
            Some(outcome) => Fact::known(self.fate_of(outcome), FROM),
            None => self.unreadable(),
        }
    }

    fn unreadable(&self) -> Fact<Fate> {
        Fact::unreadable(self.firewall.as_ref().err().map_or_else(String::new, ToString::to_string), FROM)
    }

    fn fate_of(&mut self, outcome: Outcome) -> Fate {
        match outcome {
            Outcome::Accepted => Fate::Accepted,
            Outcome::Dropped(place) => Fate::Stopped {
                how: "dropped".to_owned(),
                rule: self.listings.words(&place),
                place: Some(self.rule_place(&place)),
            },
            Outcome::Redirected { place, address, port } => {
                Fate::Redirected { address, port, rule: self.listings.words(&place), then: Box::new(Fate::Accepted) }
            }
            Outcome::Unknown(because) => Fate::Depends(match &because.place {
                Some(place) => format!("{} in {}", because.doubt, self.listings.words(place)),
                None => because.doubt.to_string(),
            }),
            other => Fate::Depends(format!("{other:?}")),
        }
    }

    fn rule_place(&self, place: &Place) -> RulePlace {
        let has = |name: &str| {
            self.firewall.as_ref().is_ok_and(|firewall| firewall.has_chain(place.family, &place.table, name))
        };
        RulePlace {
            family: place.family.to_string(),
            table: place.table.clone(),
            chain: place.chain.clone(),
            handle: place.handle,
            can_be_typed: place.chain_words().is_some(),
            is_iptables: matches!(place.family, TableFamily::Ip | TableFamily::Ip6)
                && ["INPUT", "FORWARD", "OUTPUT", "PREROUTING", "POSTROUTING"].into_iter().any(has),
            has_docker_user: has("DOCKER-USER"),
        }
    }

    /// What the rules for ARP do about virtual addresses, if any is about one.
    fn arp(&mut self, facts: &Facts) -> Fact<Vec<ArpPassage>> {
        let firewall = match &self.firewall {
            Ok(firewall) => firewall,
            Err(error) => return Fact::unreadable(error, FROM),
        };
        let links = facts.links.value().map(Vec::as_slice).unwrap_or_default();
        let mut found = Vec::new();
        let mut any = false;
        for vip in facts.vips.iter().map(|vip| vip.address) {
            let IpAddr::V4(address) = vip else { continue };
            for input in speakers(links).map(interface) {
                let arp = firewall.arp(address, Some(&input));
                any |= !arp.rules.is_empty() || arp.request != Outcome::Accepted || arp.answer != Outcome::Accepted;
                found.push((vip, input.name, arp));
            }
        }
        if !any {
            return Fact::known(Vec::new(), FROM);
        }
        let mut passages = Vec::new();
        for (vip, interface, arp) in found {
            let outgoing = match (arp.answer, arp.mangled) {
                (Outcome::Accepted, Some(sender)) => {
                    let rules: Vec<_> = arp.rules.iter().map(|place| self.listings.words(place)).collect();
                    Fate::Stopped { how: format!("given the source {sender}"), rule: rules.join(" or "), place: None }
                }
                (outcome, _) => self.fate_of(outcome),
            };
            passages.push(ArpPassage {
                vip,
                interface,
                incoming: Fact::known(self.fate_of(arp.request), FROM),
                outgoing: Fact::known(outgoing, FROM),
            });
        }
        Fact::known(passages, FROM)
    }

    /// The route of a packet from here.
    fn route(&mut self, to: IpAddr) -> Option<Route> {
        self.network.as_mut().ok()?.route_to(&RouteQuery::to(to)).ok()
    }
}

fn interface(link: &Link) -> Interface {
    Interface { name: link.name.clone(), index: Some(link.index) }
}

fn by_index(facts: &Facts, index: u32) -> Option<Interface> {
    facts.links.value()?.iter().find(|link| link.index == index).map(interface)
}

/// The interfaces that clients' packets come in by: none if that is not known.
fn inputs(facts: &Facts, vip: IpAddr) -> Vec<Option<Interface>> {
    match incoming(facts, vip) {
        Ok(links) if links.len() == 1 => links.into_iter().map(|link| Some(interface(link))).collect(),
        _ => vec![None],
    }
}

fn to(protocol: Protocol, address: IpAddr, port: u16) -> String {
    format!("{} to {}", protocol.service_name(), SocketAddr::new(address, port))
}

fn over(protocol: Protocol) -> OverIp {
    OverIp(protocol.service_name())
}

/// A passage of packets to an address and port.
fn passage(vip: IpAddr, protocol: Protocol, port: u16, words: String, stage: Stage, fate: Fact<Fate>) -> Passage {
    Passage {
        vip: Some(vip),
        packet: words,
        stage,
        selector: Selector {
            protocol: over(protocol),
            source: None,
            source_port: None,
            destination: Some(vip),
            port: Some(port),
        },
        input: None,
        weight: State::Fail,
        passes_if_tracked: false,
        taken_from_ipvs: false,
        fate,
    }
}

/// The client that answers are thought to go to.
fn client(facts: &Facts, vip: IpAddr) -> Option<IpAddr> {
    let seen = facts.progress.value().into_iter().flatten().find(|one| one.service.0 == vip).map(|one| one.client);
    let usual = || facts.returns.iter().find(|one| one.from == vip && one.network.is_none()).map(|one| one.client);
    seen.or_else(usual)
}

/// The ports to try of an address: the one that was named, those that programs listen on, and those that rules name.
fn ports_of(facts: &Facts, vip: Vip, ports: &[u16]) -> BTreeSet<(Protocol, u16)> {
    let mut all = BTreeSet::new();
    let listening = facts.listeners.value().into_iter().flatten().filter(|one| one.gets(vip.address));
    all.extend(listening.map(|one| (one.protocol, one.port)));
    all.extend(ports.iter().flat_map(|port| [(Protocol::Tcp, *port), (Protocol::Udp, *port)]));
    if let Some(named) = vip.port {
        all.retain(|(_, port)| *port == named);
        all.insert((Protocol::Tcp, named));
        all.insert((Protocol::Udp, named));
    }
    all.retain(|(_, port)| *port != 0);
    all
}

/// To a program here, in parts: before and after the rules that give it another destination.
fn before_input() -> Way {
    Way::through(&[Hook::Ingress, Hook::Prerouting])
}
