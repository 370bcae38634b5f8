//! The questions that can be asked.

use std::net::{IpAddr, Ipv4Addr};

use crate::evaluate::{At, End, Hit, Open, evaluate, mentions};
use crate::known::Known;
use crate::packet::{Interface, Packet};
use crate::place::{Action, Because, Doubt, Place};
use crate::property::{Property, properties};
use crate::read::{self, Legacy, Unreadable};
use crate::ruleset::{Hook, Ruleset, TableFamily};

/// The packet filter of a network namespace, as it was when it was read.
#[derive(Clone, Debug, Default)]
pub struct Firewall {
    /// The rules of nf_tables, those of iptables-nft among them.
    pub(super) ruleset: Ruleset,
    /// The tables of the older iptables.
    pub(super) legacy: Legacy,
}

/// A packet's way through the kernel: the hooks that it comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    hooks: &'static [Hook],
    limit: Option<(Hook, i32)>,
}

impl Way {
    /// To a program on this machine: prerouting and input.
    #[must_use]
    pub const fn delivered() -> Self {
        Self { hooks: &[Hook::Ingress, Hook::Prerouting, Hook::Input], limit: None }
    }

    /// Through this machine: prerouting, forward and postrouting.
    #[must_use]
    pub const fn forwarded() -> Self {
        Self { hooks: &[Hook::Ingress, Hook::Prerouting, Hook::Forward, Hook::Postrouting], limit: None }
    }

    /// From this machine: output and postrouting.
    #[must_use]
    pub const fn sent() -> Self {
        Self { hooks: &[Hook::Output, Hook::Postrouting], limit: None }
    }

    /// In this hook only through chains up to this priority, with those that have it: to a part of the kernel that has
    /// its own place there. Other hooks are not changed.
    #[must_use]
    pub const fn up_to(self, hook: Hook, priority: i32) -> Self {
        Self { limit: Some((hook, priority)), ..self }
    }
}

/// What becomes of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It gets through.
    Accepted,
    /// It is dropped or rejected.
    Dropped(Place),
    /// It gets another destination. The rest of its way is not followed.
    Redirected {
        /// By which rule.
        place: Place,
        /// The address; `None` if it is the interface's own (`redirect`), or not known.
        address: Option<IpAddr>,
        /// The port, if it is known.
        port: Option<u16>,
    },
    /// It depends.
    Unknown(Because),
}

/// What the rules for ARP do about an address.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Arp {
    /// The rules in which it stands: as an address that must match, in a range or a set, or as a new address.
    pub rules: Vec<Place>,
    /// Of a request for it that comes in.
    pub request: Outcome,
    /// Of an answer that says where it is (and of a request that has it as its source) as it goes out.
    pub answer: Outcome,
    /// The address that an outgoing ARP packet with this one as its source has in the end, if that is another.
    pub mangled: Option<Ipv4Addr>,
}

impl Firewall {
    /// Read the rules of the network namespace this thread is in.
    ///
    /// # Errors
    /// They cannot be read, and why. Reading rules loads what the kernel needs for it, so a kernel that cannot has no
    /// rules of nf_tables.
    pub fn read() -> Result<Self, Unreadable> {
        Ok(Self { ruleset: read::ruleset()?, legacy: Legacy::read()? })
    }

    /// What becomes of a packet on its way.
    #[must_use]
    pub fn outcome(&self, packet: &Packet, way: &Way) -> Outcome {
        let legacy = if packet.destination.is_ipv4() { &self.legacy.ip } else { &self.legacy.ip6 };
        let local = way.hooks.contains(&Hook::Input);
        self.run(&Known::of(packet, local), way, legacy).0
    }

    /// What the rules for ARP do about an address on an interface.
    #[must_use]
    pub fn arp(&self, address: Ipv4Addr, interface: Option<&Interface>) -> Arp {
        const REQUEST: u16 = 1;
        const ANSWER: u16 = 2;
        const IN: Way = Way { hooks: &[Hook::Ingress, Hook::Input], limit: None };
        const OUT: Way = Way { hooks: &[Hook::Output], limit: None };
        let request = Known::arp(REQUEST, None, Some(address), interface, None);
        let answer = Known::arp(ANSWER, Some(address), None, None, interface);
        let (request, _) = self.run(&request, &IN, &self.legacy.arp);
        let (answer, sender) = self.run(&answer, &OUT, &self.legacy.arp);
        let mangled = match sender {
            Some(IpAddr::V4(sender)) if sender != address => Some(sender),
            _ => None,
        };
        Arp { rules: self.arp_rules(address), request, answer, mangled }
    }

    /// The rules of the arp family in which an address stands.
    fn arp_rules(&self, address: Ipv4Addr) -> Vec<Place> {
        let packet = Known::arp(1, Some(address), Some(address), None, None);
        let chains = self.ruleset.chains.iter().filter(|chain| chain.family == TableFamily::Arp);
        let rules = chains.flat_map(|chain| chain.rules.iter().map(move |rule| (chain, rule)));
        rules
            .filter(|(chain, rule)| mentions(&self.ruleset, chain, rule, address))
            .map(|(chain, rule)| place_of(At { chain, rule: Some(rule) }, &packet))
            .collect()
    }

    /// What becomes of a packet, and the sender's address that it then has if it is ARP.
    fn run(&self, packet: &Known<'_>, way: &Way, legacy: &[String]) -> (Outcome, Option<IpAddr>) {
        let outcome = match evaluate(&self.ruleset, packet.clone(), way.hooks, way.limit) {
            // What the older tables do may be anything, but they bring back nothing that is dropped.
            End::Accepted(sender) if legacy.is_empty() => return (Outcome::Accepted, sender),
            End::Accepted(_) => Outcome::Unknown(Because { doubt: Doubt::OlderTables(legacy.to_vec()), place: None }),
            End::Dropped(hit) => Outcome::Dropped(match place(hit) {
                place @ Place { action: Action::Map(_), .. } => Place { action: Action::Drop, ..place },
                place => place,
            }),
            End::Redirected { hit, address, port } => Outcome::Redirected { place: place(hit), address, port },
            End::Unknown(open) => Outcome::Unknown(because(open, packet)),
        };
        (outcome, None)
    }
}

/// A place in the rules, for people and programs.
fn place(Hit { at: At { chain, rule }, matched }: Hit<'_>) -> Place {
    let policy = match &chain.base {
        Some(base) if base.drops => Action::Drop,
        _ => Action::Accept,
    };
    Place {
        family: chain.family,
        table: chain.table.clone(),
        chain: chain.name.clone(),
        handle: rule.map(|rule| rule.handle),
        matched,
        action: rule.map_or(policy, Action::of),
    }
}

/// The same, with all that the rule asks of a packet.
fn place_of(at: At<'_>, packet: &Known<'_>) -> Place {
    let expressions = at.rule.into_iter().flat_map(|rule| &rule.expressions);
    place(Hit { at, matched: properties(expressions, packet, None) })
}

fn because(open: Open<'_>, packet: &Known<'_>) -> Because {
    match open {
        Open::TooMany => Because { doubt: Doubt::TooMany, place: None },
        Open::Device(chain) => Because {
            doubt: Doubt::Packet(vec![Property::Input(None)]),
            place: Some(place_of(At { chain, rule: None }, packet)),
        },
        Open::Expression(at, index) => {
            let expression = at.rule.and_then(|rule| rule.expressions.get(index));
            Because { doubt: Doubt::Packet(properties(expression, packet, None)), place: Some(place_of(at, packet)) }
        }
    }
}
