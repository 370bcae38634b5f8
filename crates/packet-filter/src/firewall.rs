//! The questions that can be asked.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;

use crate::evaluate::{At, End, Hit, Left, Leg, Open, evaluate, mentions};
use crate::known::Known;
use crate::packet::{Interface, Packet, State};
use crate::place::{Action, Because, Doubt, Place};
use crate::property::{Property, properties};
use crate::read::{self, Legacy, Unreadable};
use crate::ruleset::{Chain, Hook, Ruleset, TableFamily};

/// The packet filter of a network namespace, as it was when it was read.
#[derive(Clone, Debug, Default)]
pub struct Firewall {
    /// The rules of nf_tables, those of iptables-nft among them.
    pub(super) ruleset: Ruleset,
    /// The tables of the older iptables.
    pub(super) legacy: Legacy,
}

/// A packet's way through the kernel: the hooks that it comes to, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way(Vec<Leg>);

impl Way {
    /// To a program on this machine: ingress, prerouting and input.
    #[must_use]
    pub fn delivered() -> Self {
        Self::through(&[Hook::Ingress, Hook::Prerouting, Hook::Input])
    }

    /// Through this machine: ingress, prerouting, forward and postrouting.
    #[must_use]
    pub fn forwarded() -> Self {
        Self::through(&[Hook::Ingress, Hook::Prerouting, Hook::Forward, Hook::Postrouting])
    }

    /// From this machine: output and postrouting.
    #[must_use]
    pub fn sent() -> Self {
        Self::through(&[Hook::Output, Hook::Postrouting])
    }

    /// Through these hooks only. Where the packet changes between two hooks (a part of the kernel gives it another
    /// destination, or sends it on), these are two questions.
    #[must_use]
    pub fn through(hooks: &[Hook]) -> Self {
        Self(hooks.iter().map(|&hook| (hook, i32::MIN..=i32::MAX)).collect())
    }

    /// In this hook only through chains up to this priority, with those that have it: to a part of the kernel that has
    /// its own place there.
    #[must_use]
    pub fn up_to(self, hook: Hook, priority: i32) -> Self {
        self.narrowed(hook, |all| *all.start()..=priority)
    }

    /// In this hook only through chains after this priority: from a part of the kernel that has its own place there.
    #[must_use]
    pub fn after(self, hook: Hook, priority: i32) -> Self {
        self.narrowed(hook, |all| priority.saturating_add(1)..=*all.end())
    }

    fn narrowed(mut self, hook: Hook, new: impl Fn(&RangeInclusive<i32>) -> RangeInclusive<i32>) -> Self {
        for (_, priorities) in self.0.iter_mut().filter(|(other, _)| *other == hook) {
            *priorities = new(priorities);
        }
        self
    }

    fn comes_to(&self, hook: Hook) -> bool {
        self.0.iter().any(|(other, _)| *other == hook)
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
        self.ask(packet, way).0
    }

    /// The mark that a packet has at the end of its way; `None` if it does not get through for certain, or its mark is not
    /// certain.
    #[must_use]
    pub fn mark(&self, packet: &Packet, way: &Way) -> Option<u32> {
        self.ask(packet, way).1?.mark
    }

    fn ask(&self, packet: &Packet, way: &Way) -> (Outcome, Option<Left>) {
        let legacy = if packet.destination.is_ipv4() { &self.legacy.ip } else { &self.legacy.ip6 };
        let local = packet.local || way.comes_to(Hook::Input);
        self.run(&Known::of(packet, local), way, legacy)
    }

    /// Whether there is a chain of this name.
    #[must_use]
    pub fn has_chain(&self, family: TableFamily, table: &str, name: &str) -> bool {
        self.ruleset.chain(family, table, name).is_some()
    }

    /// The numbers that rules compare with something of two bytes, as ports are: each port that a rule names is among them.
    /// Of a range these are both ends.
    #[must_use]
    pub fn ports(&self) -> BTreeSet<u16> {
        self.ruleset.ports()
    }

    /// What the rules for ARP do about an address on an interface.
    #[must_use]
    pub fn arp(&self, address: Ipv4Addr, interface: Option<&Interface>) -> Arp {
        const REQUEST: u16 = 1;
        const ANSWER: u16 = 2;
        let request = Known::arp(REQUEST, None, Some(address), interface, None);
        let answer = Known::arp(ANSWER, Some(address), None, None, interface);
        let (request, _) = self.run(&request, &Way::through(&[Hook::Ingress, Hook::Input]), &self.legacy.arp);
        let (answer, left) = self.run(&answer, &Way::through(&[Hook::Output]), &self.legacy.arp);
        let mangled = match left {
            Some(Left { arp_sender: Some(IpAddr::V4(sender)), .. }) if sender != address => Some(sender),
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

    /// What becomes of a packet, and what is left of it if it gets through.
    fn run(&self, packet: &Known<'_>, way: &Way, legacy: &[String]) -> (Outcome, Option<Left>) {
        let outcome = match evaluate(&self.ruleset, packet.clone(), &way.0) {
            // What the older tables do may be anything, but they bring back nothing that is dropped.
            End::Accepted(left) if legacy.is_empty() => return (Outcome::Accepted, Some(left)),
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
        Open::Device(chain) => of_chain(chain, Property::Input(None), packet),
        Open::Related(chain) => of_chain(chain, Property::State(Some(State::Related)), packet),
        Open::Expression(at, index) => {
            let expression = at.rule.and_then(|rule| rule.expressions.get(index));
            Because { doubt: Doubt::Packet(properties(expression, packet, None)), place: Some(place_of(at, packet)) }
        }
    }
}

/// It depends on this whether a base chain is asked.
fn of_chain(chain: &Chain, property: Property, packet: &Known<'_>) -> Because {
    let place = place_of(At { chain, rule: None }, packet);
    Because { doubt: Doubt::Packet(vec![property]), place: Some(place) }
}
