//! What the rules do with a packet: base chains in the order of their hooks and priorities, rule by rule.
//!
//! Not everything about the packet is known, nor is every expression. Where it matters, both ways are followed, and only if
//! they end differently is the answer "unknown".

use std::net::IpAddr;

use super::bits::{Bits, Truth};
use super::expression::{Base, Data, Expression, Operator, REGISTERS, Register, Target, Verdict};
use super::numbers::{ct, family as nfproto, meta};
use super::packet::{ARP_SENDER, ARP_TARGET, Facts, State};
use super::ruleset::{BaseChain, Chain, Hook, Rule, Ruleset, Set, TableFamily};
use super::xt;

/// `NF_IP_PRI_CONNTRACK`: connection tracking itself, in prerouting and output.
const CONNTRACK: i32 = -200;
/// `NF_IP_PRI_NAT_DST` and `NF_IP_PRI_NAT_SRC`: chains of type `nat` are asked at these, whatever their own priorities are.
const NAT_DESTINATION: i32 = -100;
const NAT_SOURCE: i32 = 100;
/// `XT_ADDRTYPE_*` are `1 << RTN_*`; `RTN_LOCAL`.
const RTN_LOCAL: u8 = 2;
/// Expressions that are looked at for one answer, at most. The kernel lets no chains go in circles; this is for what is
/// not known too often.
const STEPS: usize = 1_000_000;
/// Ways that are put by at a time, at most.
const WAYS: usize = 2_000;
/// `NFT_JUMP_STACK_SIZE`
const DEPTH: usize = 16;

/// Where in the rules something is: a rule, or a base chain's policy without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// The chain, in [`Ruleset::chains`].
    pub chain: usize,
    /// The rule in it.
    pub rule: Option<usize>,
}

/// How it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The packet gets through; with the sender's address that it has then, if it is ARP.
    Accepted(Option<IpAddr>),
    /// It does not.
    Dropped(At),
    /// It goes elsewhere. Nothing says where if it is not known.
    Redirected { at: At, address: Option<IpAddr>, port: Option<u16> },
    /// It depends.
    Unknown(Doubt),
}

/// What it depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// On this expression, by its number in the rule.
    Expression(At, usize),
    /// On whether a chain of a device is asked: the interface is not known.
    Device(usize),
    /// There are more ways than can be followed.
    TooMany,
}

/// The chains to ask, in order, each as its number, its hook and whether it is known that it is asked.
struct Stop {
    chain: usize,
    hook: Hook,
    priority: i32,
    nat: bool,
    drops: bool,
    asked: Truth,
}

/// One way through the rules.
#[derive(Clone)]
struct Way {
    stop: usize,
    /// Chain and next rule, the innermost last; empty before the first rule of a base chain.
    stack: Vec<(usize, usize)>,
    /// The expression to go on with, in the rule on top of the stack.
    expression: usize,
    registers: Registers,
    facts: Facts,
    /// Its end, if that is known already.
    ended: Option<Outcome>,
}

/// The registers: values, and for each word which expression of the rule put it there.
#[derive(Clone)]
struct Registers {
    bits: Bits,
    origin: [usize; REGISTERS],
}

impl Registers {
    fn new() -> Self {
        Self { bits: Bits::unknown(REGISTERS * 4), origin: [0; REGISTERS] }
    }

    fn load(&self, register: Register, length: usize) -> Bits {
        self.bits.part(register.0 * 4, length)
    }

    /// The kernel fills the last word with zeros.
    fn store(&mut self, register: Register, value: &Bits, origin: usize) {
        self.bits.put(register.0 * 4, value);
        let used = value.len().next_multiple_of(4);
        self.bits.put(register.0 * 4 + value.len(), &Bits::known(&vec![0; used - value.len()]));
        for word in self.origin.iter_mut().skip(register.0).take(used / 4) {
            *word = origin;
        }
    }

    /// Which expression put the first word there of which not all is known.
    fn doubt(&self, register: Register, length: usize) -> Option<usize> {
        (register.0..REGISTERS.min(register.0 + length.div_ceil(4)))
            .find(|word| self.bits.part(word * 4, 4).all().is_none())
            .map(|word| self.origin[word])
    }
}

/// What an expression comes to.
enum Step {
    /// Go on if so. The number is the expression that is to blame for a doubt, if it is not the one at hand.
    Go(Truth, Option<usize>),
    /// A verdict.
    Verdict(Verdict),
    /// One of several verdicts, or the next rule (`None`).
    OneOf(Vec<Option<Verdict>>, Option<usize>),
    /// The packet's way ends here.
    End(Outcome),
}

const GO: Step = Step::Go(Truth::Yes, None);

/// Follow a packet through these hooks; in the one of `limit` only through chains up to that priority.
pub fn evaluate(ruleset: &Ruleset, facts: Facts, hooks: &[Hook], limit: Option<(Hook, i32)>) -> Outcome {
    let stops = stops(ruleset, &facts, hooks, limit);
    let mut evaluation = Evaluation { ruleset, stops, left: STEPS, pending: Vec::new() };
    let way = Way { stop: 0, stack: Vec::new(), expression: 0, registers: Registers::new(), facts, ended: None };
    evaluation.all(way)
}

/// The base chains to ask, in order.
fn stops(ruleset: &Ruleset, facts: &Facts, hooks: &[Hook], limit: Option<(Hook, i32)>) -> Vec<Stop> {
    let mut stops = Vec::new();
    for &hook in hooks {
        let from = stops.len();
        // Of chains of the same priority the newest comes first (`nf_hook_entries_grow`).
        for (index, chain) in ruleset.chains.iter().enumerate().rev() {
            let Some(base) = chain.base.as_ref().filter(|base| base.hook == Some(hook)) else { continue };
            let asked = match hook {
                Hook::Ingress if chain.family == TableFamily::Netdev || chain.family == TableFamily::Inet => {
                    facts.comes_in_on_one_of(&base.devices)
                }
                _ => Truth::from(sees(chain.family, facts.family)),
            };
            let priority = priority(base, hook);
            if asked == Truth::No || limit.is_some_and(|(hooked, last)| hooked == hook && priority > last) {
                continue;
            }
            stops.push(Stop { chain: index, hook, priority, nat: base.nat, drops: base.drops, asked });
        }
        stops[from..].sort_by_key(|stop| stop.priority);
    }
    stops
}

/// Whether chains of tables of this family see packets of that one.
fn sees(table: TableFamily, packet: u8) -> bool {
    match table {
        TableFamily::Inet => matches!(packet, nfproto::IPV4 | nfproto::IPV6),
        family => family.number() == packet,
    }
}

fn priority(base: &BaseChain, hook: Hook) -> i32 {
    match (base.nat, hook) {
        (true, Hook::Prerouting | Hook::Output) => NAT_DESTINATION,
        (true, Hook::Input | Hook::Postrouting) => NAT_SOURCE,
        _ => base.priority,
    }
}

struct Evaluation<'a> {
    ruleset: &'a Ruleset,
    stops: Vec<Stop>,
    left: usize,
    /// Ways that are still to be followed, each with what made it part from the one before.
    pending: Vec<(Way, Doubt)>,
}

impl Evaluation<'_> {
    /// Follow all ways.
    fn all(&mut self, first: Way) -> Outcome {
        let mut outcome = self.follow(first);
        while let Some((way, doubt)) = self.pending.pop() {
            if let Outcome::Unknown(_) = outcome {
                return outcome;
            }
            let other = self.follow(way);
            outcome = match (outcome, other) {
                (_, Outcome::Unknown(doubt)) => Outcome::Unknown(doubt),
                // Which of the rules drops it does not matter.
                (Outcome::Dropped(at), Outcome::Dropped(_)) => Outcome::Dropped(at),
                (one, other) if one == other => one,
                _ => Outcome::Unknown(doubt),
            };
        }
        outcome
    }

    /// Follow one way to its end. Others that part from it are put by.
    fn follow(&mut self, mut way: Way) -> Outcome {
        let ruleset = self.ruleset;
        loop {
            let Some((chain, rule)) = way.stack.last().copied() else {
                if let Some(outcome) = self.enter(&mut way) {
                    return outcome;
                }
                continue;
            };
            let at = At { chain, rule: Some(rule) };
            let Some(content) = ruleset.chains.get(chain).and_then(|chain| chain.rules.get(rule)) else {
                way.stack.pop();
                way.expression = 0;
                if way.stack.is_empty()
                    && let Some(outcome) = self.policy(&mut way)
                {
                    return outcome;
                }
                continue;
            };
            let index = way.expression;
            let Some(expression) = content.expressions.get(index) else {
                next_rule(&mut way);
                continue;
            };
            if self.left == 0 || self.pending.len() > WAYS {
                return Outcome::Unknown(Doubt::TooMany);
            }
            self.left -= 1;
            if index == 0 {
                way.registers = Registers::new();
            }
            way.expression += 1;
            let outcome = match self.step(&mut way, at, index, expression) {
                Step::Go(Truth::Yes, _) => None,
                Step::Go(Truth::No, _) => {
                    next_rule(&mut way);
                    None
                }
                Step::Go(Truth::Maybe, blamed) => {
                    if matters(content, way.expression) {
                        let mut other = way.clone();
                        next_rule(&mut other);
                        self.pending.push((other, Doubt::Expression(at, blamed.unwrap_or(index))));
                    } else {
                        next_rule(&mut way);
                    }
                    None
                }
                Step::Verdict(verdict) => self.verdict(&mut way, at, index, &verdict),
                Step::OneOf(verdicts, blamed) => {
                    let doubt = Doubt::Expression(at, blamed.unwrap_or(index));
                    for verdict in verdicts {
                        let mut other = way.clone();
                        match verdict {
                            None => next_rule(&mut other),
                            Some(verdict) => {
                                if let Some(outcome) = self.verdict(&mut other, at, index, &verdict) {
                                    // An end is a way, too: one that is at its end.
                                    other.stack.clear();
                                    other.ended = Some(outcome);
                                }
                            }
                        }
                        self.pending.push((other, doubt));
                    }
                    match self.pending.pop() {
                        Some((other, _)) => way = other,
                        None => next_rule(&mut way),
                    }
                    None
                }
                Step::End(outcome) => Some(outcome),
            };
            if let Some(outcome) = outcome {
                return outcome;
            }
        }
    }

    /// Begin with the base chain that is next, or end.
    fn enter(&mut self, way: &mut Way) -> Option<Outcome> {
        if let Some(outcome) = way.ended.take() {
            return Some(outcome);
        }
        let Some(stop) = self.stops.get(way.stop) else {
            return Some(Outcome::Accepted(way.facts.arp_sender()));
        };
        // Only connections have their addresses translated.
        if stop.nat && !matches!(way.facts.state, State::New) {
            way.stop += 1;
            return None;
        }
        if stop.asked == Truth::Maybe {
            let mut other = way.clone();
            other.stop += 1;
            self.pending.push((other, Doubt::Device(stop.chain)));
        }
        way.facts.enter(stop.hook, self.ruleset.chains.get(stop.chain).map(|chain| chain.family));
        way.stack.push((stop.chain, 0));
        way.expression = 0;
        None
    }

    /// At the end of a base chain.
    fn policy(&self, way: &mut Way) -> Option<Outcome> {
        let stop = self.stops.get(way.stop)?;
        way.stop += 1;
        stop.drops.then_some(Outcome::Dropped(At { chain: stop.chain, rule: None }))
    }

    fn verdict(&self, way: &mut Way, at: At, index: usize, verdict: &Verdict) -> Option<Outcome> {
        match verdict {
            Verdict::Continue => {}
            Verdict::Break => next_rule(way),
            Verdict::Accept => {
                way.stack.clear();
                way.stop += 1;
            }
            Verdict::Drop => return Some(Outcome::Dropped(at)),
            Verdict::Elsewhere => return Some(Outcome::Unknown(Doubt::Expression(at, index))),
            Verdict::Return => {
                way.stack.pop();
                way.expression = 0;
                if way.stack.is_empty() {
                    return self.policy(way);
                }
            }
            Verdict::Jump(name) | Verdict::Goto(name) => {
                let Chain { family, table, .. } = self.ruleset.chains.get(at.chain)?;
                let Some(chain) = self.ruleset.chain_index(*family, table, name).filter(|_| way.stack.len() <= DEPTH)
                else {
                    return Some(Outcome::Unknown(Doubt::Expression(at, index)));
                };
                next_rule(way);
                if matches!(verdict, Verdict::Goto(_)) {
                    way.stack.pop();
                }
                way.stack.push((chain, 0));
            }
        }
        None
    }

    fn step(&self, way: &mut Way, at: At, index: usize, expression: &Expression) -> Step {
        match expression {
            Expression::Payload { target, base, offset, length } => {
                let value = match way.facts.header(*base) {
                    Some(header) => header.part(*offset, (*length).min(REGISTERS * 4)),
                    None if *base == Base::Transport => return Step::Go(Truth::No, None),
                    None => Bits::unknown((*length).min(REGISTERS * 4)),
                };
                way.registers.store(*target, &value, index);
                GO
            }
            Expression::PayloadWrite { source, base, offset, length } => {
                let value = way.registers.load(*source, (*length).min(REGISTERS * 4));
                way.facts.write(*base, *offset, &value);
                GO
            }
            Expression::Meta { target, key } => {
                let value = match way.facts.meta(*key) {
                    Some(value) => value,
                    None => return Step::Go(Truth::No, None),
                };
                way.registers.store(*target, &value, index);
                GO
            }
            Expression::MetaWrite { source, key } => {
                match *key {
                    meta::MARK => way.facts.mark = way.registers.load(*source, 4),
                    meta::PKTTYPE => way.facts.packet_type = Bits::unknown(1),
                    _ => {}
                }
                GO
            }
            Expression::Ct { target, key } => {
                let Some(value) = self.connection(way, *key) else { return Step::Go(Truth::No, None) };
                way.registers.store(*target, &value, index);
                GO
            }
            Expression::CtWrite { source, key } => {
                // Without a connection there is nothing to mark.
                if *key == ct::MARK && self.state(way).is_none_or(|state| state == State::New) {
                    way.facts.connection_mark = way.registers.load(*source, 4);
                }
                GO
            }
            Expression::Fib { target, local } => {
                let value = match (local, way.facts.local) {
                    (true, true) => Bits::number(u32::from(RTN_LOCAL)),
                    // A name of an interface is the longest that it can be.
                    _ => Bits::unknown(16),
                };
                way.registers.store(*target, &value, index);
                GO
            }
            Expression::Compare { source, operator, data } => {
                let value = way.registers.load(*source, data.len());
                let holds = match operator {
                    Operator::Equal => value.equal(data),
                    Operator::NotEqual => value.equal(data).invert_if(true),
                    Operator::Less => value.at_least(data).invert_if(true),
                    Operator::AtMost => value.at_most(data),
                    Operator::Greater => value.at_most(data).invert_if(true),
                    Operator::AtLeast => value.at_least(data),
                };
                Step::Go(holds, way.registers.doubt(*source, data.len()))
            }
            Expression::Range { source, inverted, from, to } => {
                let value = way.registers.load(*source, from.len());
                Step::Go(value.within(from, to).invert_if(*inverted), way.registers.doubt(*source, from.len()))
            }
            Expression::Bitwise { source, target, mask, flip } => {
                let origin = way.registers.doubt(*source, mask.len()).unwrap_or(index);
                let value = way.registers.load(*source, mask.len()).masked(mask, flip);
                way.registers.store(*target, &value, origin);
                GO
            }
            Expression::ByteOrder { source, target, length, size } => {
                let origin = way.registers.doubt(*source, *length).unwrap_or(index);
                let mut value = way.registers.load(*source, *length);
                if cfg!(target_endian = "little") {
                    value = value.swapped(*size);
                }
                way.registers.store(*target, &value, origin);
                GO
            }
            Expression::Lookup { set, source, target, inverted } => {
                let chain = &self.ruleset.chains[at.chain];
                match self.ruleset.sets.get(&(chain.family, chain.table.clone(), set.clone())) {
                    Some(set) => lookup(set, way, *source, *target, *inverted, index),
                    None => self.anything(way, index),
                }
            }
            Expression::Value { target, data } => {
                way.registers.store(*target, &Bits::known(data), index);
                GO
            }
            Expression::Verdict(verdict) => Step::Verdict(verdict.clone()),
            Expression::Reject { .. } => Step::Verdict(Verdict::Drop),
            Expression::DestinationNat { address, port } => {
                let size = way.facts.address_size();
                let address = address.map(|register| way.registers.load(register, size));
                let port = port.map(|register| way.registers.load(register, 2));
                Self::translate(way, at, address, port)
            }
            Expression::Redirect { port } => {
                let port = port.map(|register| way.registers.load(register, 2));
                Self::translate(way, at, Some(Bits::unknown(way.facts.address_size())), port)
            }
            Expression::SourceNat { .. } => Step::Verdict(Verdict::Accept),
            Expression::NoTrack => {
                self.no_track(way);
                GO
            }
            Expression::Ignored(_) => GO,
            Expression::Match(content) => self.xt_match(way, content),
            Expression::Target(content) => self.xt_target(way, at, index, content),
            Expression::Elsewhere(_) => Step::End(Outcome::Unknown(Doubt::Expression(at, index))),
            Expression::Unknown(_) => self.anything(way, index),
        }
    }

    /// An expression that may match or not, and load anything.
    fn anything(&self, way: &mut Way, index: usize) -> Step {
        way.registers.store(Register(0), &Bits::unknown(REGISTERS * 4), index);
        Step::Go(Truth::Maybe, None)
    }

    /// Whether connection tracking has seen the packet where the way is.
    fn tracked(&self, way: &Way) -> Truth {
        match self.stops.get(way.stop) {
            Some(Stop { hook: Hook::Ingress, .. }) => Truth::No,
            Some(Stop { hook: Hook::Prerouting | Hook::Output, priority, .. }) => match priority.cmp(&CONNTRACK) {
                std::cmp::Ordering::Less => Truth::No,
                std::cmp::Ordering::Equal => Truth::Maybe,
                std::cmp::Ordering::Greater => Truth::Yes,
            },
            _ => Truth::Yes,
        }
    }

    /// The connection's state here; `None` if it is not known. What has not been tracked yet counts as invalid.
    fn state(&self, way: &Way) -> Option<State> {
        match (way.facts.state, self.tracked(way)) {
            (State::Untracked, _) => Some(State::Untracked),
            (_, Truth::No) => Some(State::Invalid),
            (_, Truth::Maybe) => None,
            (state, Truth::Yes) => Some(state),
        }
    }

    /// A fact of the connection; `None` if there is no connection, so that a rule that asks for it does not match.
    fn connection(&self, way: &Way, key: u32) -> Option<Bits> {
        let state = self.state(way);
        match (key, state) {
            (ct::STATE, Some(state)) => Some(Bits::number(state.bit())),
            (ct::STATE, None) => Some(Bits::unknown(4)),
            // There is no connection, so there is nothing to load.
            (_, Some(State::Invalid | State::Untracked)) => None,
            (ct::DIRECTION, Some(_)) => Some(Bits::known(&[0])),
            (ct::MARK, Some(_)) => Some(way.facts.connection_mark.clone()),
            (ct::STATUS, Some(State::New)) => Some(Bits::partly(&0_u32.to_ne_bytes(), &ct::STATUS_KNOWN.to_ne_bytes())),
            _ => Some(Bits::unknown(REGISTERS * 4)),
        }
    }

    fn no_track(&self, way: &mut Way) {
        if self.tracked(way) == Truth::No {
            way.facts.state = State::Untracked;
        }
    }

    /// The destination becomes another.
    fn translate(way: &Way, at: At, address: Option<Bits>, port: Option<Bits>) -> Step {
        let facts = &way.facts;
        let (old_address, old_port) = (facts.destination_address(), facts.destination_port());
        let same = |new: &Option<Bits>, old: &Bits| new.as_ref().is_none_or(|new| new == old && new.all().is_some());
        // To where it was going anyway, as a redirection of the address that the interface itself has.
        if same(&address, &old_address) && same(&port, &old_port) {
            return Step::Verdict(Verdict::Accept);
        }
        let port = port.unwrap_or(old_port);
        Step::End(Outcome::Redirected {
            at,
            address: address.unwrap_or(old_address).all().and_then(address_of),
            port: port.all().and_then(|bytes| bytes.try_into().ok()).map(u16::from_be_bytes),
        })
    }

    fn xt_match(&self, way: &Way, content: &xt::Match) -> Step {
        let facts = &way.facts;
        let ports = |range: &xt::PortRange, offset: usize| match facts.header(Base::Transport) {
            Some(header) => header
                .part(offset, 2)
                .within(&range.from.to_be_bytes(), &range.to.to_be_bytes())
                .invert_if(range.inverted),
            None => Truth::No,
        };
        let holds = match content {
            xt::Match::Comment => Truth::Yes,
            xt::Match::State { states, inverted } => match self.state(way) {
                Some(state) => Truth::from(states & state.xt_bit() != 0).invert_if(*inverted),
                None => Truth::Maybe,
            },
            xt::Match::Ports { source, destination } => ports(source, 0).and(ports(destination, 2)),
            xt::Match::AnyPort { which, ranges, inverted } => {
                let any = |offset: usize| {
                    ranges.iter().fold(Truth::No, |found, &(from, to)| {
                        either(found, ports(&xt::PortRange { from, to, inverted: false }, offset))
                    })
                };
                let found = match which {
                    xt::Which::Source => any(0),
                    xt::Which::Destination => any(2),
                    xt::Which::Either => either(any(0), any(2)),
                };
                found.invert_if(*inverted)
            }
            xt::Match::TcpFlags { ports: (source, destination), mask, flags, inverted } => {
                const FLAGS: usize = 13;
                let set = match facts.header(Base::Transport) {
                    Some(header) => header.part(FLAGS, 1).masked(&[*mask], &[0]).equal(&[*flags]),
                    None => Truth::No,
                };
                // Without a mask any flags will do.
                let set = if *mask == 0 { Truth::from(*flags == 0) } else { set };
                set.invert_if(*inverted).and(ports(source, 0)).and(ports(destination, 2))
            }
            xt::Match::Mark { mark, mask, inverted } => {
                let masked = facts.mark.masked(&mask.to_ne_bytes(), &[0; 4]);
                masked.equal(&mark.to_ne_bytes()).invert_if(*inverted)
            }
            xt::Match::Addresses { source, destination } => {
                let size = facts.address_size();
                let within = |range: &Option<xt::AddressRange>, address: Bits| match range {
                    Some(xt::AddressRange { from, to, inverted }) => match (from.get(..size), to.get(..size)) {
                        (Some(from), Some(to)) => address.within(from, to).invert_if(*inverted),
                        _ => Truth::Maybe,
                    },
                    None => Truth::Yes,
                };
                within(source, facts.source_address()).and(within(destination, facts.destination_address()))
            }
            xt::Match::DestinationType { mask, inverted } => match facts.local {
                true => Truth::from(*mask == 0 || mask & (1 << RTN_LOCAL) != 0).invert_if(*inverted && *mask != 0),
                false => Truth::Maybe,
            },
            xt::Match::PacketType { kind, inverted } => match facts.packet_type.all() {
                Some(known) => Truth::from(known.first().is_some_and(|&known| u32::from(known) == *kind)),
                None => Truth::Maybe,
            }
            .invert_if(*inverted),
            xt::Match::Other(_) => Truth::Maybe,
        };
        Step::Go(holds, None)
    }

    fn xt_target(&self, way: &mut Way, at: At, index: usize, content: &xt::Target) -> Step {
        match content {
            xt::Target::Reject => Step::Verdict(Verdict::Drop),
            xt::Target::Continue(_) => GO,
            xt::Target::Mark { bits, mask } => {
                way.facts.mark = way.facts.mark.masked(&(!mask).to_ne_bytes(), &bits.to_ne_bytes());
                GO
            }
            xt::Target::AnyMark => {
                way.facts.mark = Bits::unknown(4);
                way.facts.connection_mark = Bits::unknown(4);
                GO
            }
            xt::Target::NoTrack => {
                self.no_track(way);
                GO
            }
            xt::Target::Destination { address, port } => {
                let address = address.map(|address| match address {
                    // All zeros but for the first bytes is an IPv4 address only where such packets are.
                    IpAddr::V4(address) if way.facts.address_size() == 4 => Bits::known(&address.octets()),
                    IpAddr::V4(address) => {
                        let mut bytes = [0; 16];
                        bytes[..4].copy_from_slice(&address.octets());
                        Bits::known(&bytes)
                    }
                    IpAddr::V6(address) => Bits::known(&address.octets()),
                });
                Self::translate(way, at, address, port.map(|port| Bits::known(&port.to_be_bytes())))
            }
            xt::Target::Redirect { port } => {
                let address = Some(Bits::unknown(way.facts.address_size()));
                Self::translate(way, at, address, port.map(|port| Bits::known(&port.to_be_bytes())))
            }
            xt::Target::Source => Step::Verdict(Verdict::Accept),
            xt::Target::Mangle { source, target, then } => {
                for (address, offset) in [(source, ARP_SENDER), (target, ARP_TARGET)] {
                    if let Some(address) = address {
                        way.facts.write(Base::Network, offset, &Bits::known(&address.octets()));
                    }
                }
                Step::Verdict(match then {
                    xt::Then::Accept => Verdict::Accept,
                    xt::Then::Drop => Verdict::Drop,
                    xt::Then::Continue => Verdict::Continue,
                })
            }
            xt::Target::Other(_) => Step::End(Outcome::Unknown(Doubt::Expression(at, index))),
        }
    }
}

/// On to the next rule.
fn next_rule(way: &mut Way) {
    way.expression = 0;
    if let Some((_, rule)) = way.stack.last_mut() {
        *rule += 1;
    }
}

/// One of them.
fn either(one: Truth, other: Truth) -> Truth {
    one.invert_if(true).and(other.invert_if(true)).invert_if(true)
}

/// Whether it matters that a rule goes on from this expression: whether anything comes of it.
fn matters(rule: &Rule, from: usize) -> bool {
    rule.expressions.iter().skip(from).any(|expression| match expression {
        Expression::Payload { .. }
        | Expression::Meta { .. }
        | Expression::Ct { .. }
        | Expression::Fib { .. }
        | Expression::Compare { .. }
        | Expression::Range { .. }
        | Expression::Bitwise { .. }
        | Expression::ByteOrder { .. }
        | Expression::Value { .. }
        | Expression::Ignored(_)
        | Expression::Match(_)
        | Expression::Verdict(Verdict::Continue | Verdict::Break)
        | Expression::Target(xt::Target::Continue(_)) => false,
        Expression::MetaWrite { key, .. } => matches!(*key, meta::MARK | meta::PKTTYPE),
        Expression::CtWrite { key, .. } => *key == ct::MARK,
        Expression::Lookup { target, .. } => matches!(target, Some(Target::Verdict)),
        // What could end a packet's way is known, see `Expression::Elsewhere`.
        Expression::Unknown(_) => false,
        _ => true,
    })
}

/// Ask a set.
fn lookup(set: &Set, way: &mut Way, source: Register, target: Option<Target>, inverted: bool, index: usize) -> Step {
    let length = set.elements.iter().map(|element| element.key.len()).max().unwrap_or(0);
    let key = way.registers.load(source, length);
    let blamed = way.registers.doubt(source, length);
    // Elements that match for sure or may match, and whether one of them does for sure.
    let (mut found, mut sure) = (Vec::new(), Truth::No);
    for (number, element) in set.elements.iter().enumerate().filter(|(_, element)| !element.catches_all) {
        let holds = match (&element.end, set.interval) {
            (Some(end), _) => within_parts(&key, &set.fields, &element.key, end),
            (None, true) if set.fields.is_empty() => match element.ends_range {
                true => Truth::No,
                false => {
                    // The range goes on to the next element's key.
                    let below = set.elements[number + 1..].iter().find(|next| next.key > element.key);
                    let below = below.map_or(Truth::Yes, |next| key.at_least(&next.key).invert_if(true));
                    key.at_least(&element.key).and(below)
                }
            },
            _ => key.equal(&element.key),
        };
        match holds {
            Truth::No => {}
            Truth::Maybe => {
                found.push(element);
                sure = either(sure, Truth::Maybe);
            }
            Truth::Yes => {
                found = vec![element];
                sure = Truth::Yes;
                break;
            }
        }
    }
    if sure != Truth::Yes
        && let Some(element) = set.elements.iter().find(|element| element.catches_all)
    {
        found.push(element);
        sure = Truth::Yes;
    }
    let holds = sure.invert_if(inverted);
    match target {
        None => Step::Go(holds, blamed),
        Some(Target::Data(register)) => {
            if let [element] = found.as_slice()
                && sure == Truth::Yes
                && let Some(Data::Value(value)) = &element.data
            {
                way.registers.store(register, &Bits::known(value), index);
            } else {
                let length = found
                    .iter()
                    .map(|element| match &element.data {
                        Some(Data::Value(value)) => value.len(),
                        _ => 0,
                    })
                    .max();
                way.registers.store(register, &Bits::unknown(length.unwrap_or(0)), blamed.unwrap_or(index));
            }
            Step::Go(holds, blamed)
        }
        Some(Target::Verdict) => {
            let verdict = |data: &Option<Data>| match data {
                Some(Data::Verdict(verdict)) => verdict.clone(),
                _ => Verdict::Continue,
            };
            match (found.as_slice(), sure) {
                ([], _) => Step::Go(Truth::No, None),
                ([element], Truth::Yes) => Step::Verdict(verdict(&element.data)),
                (found, sure) => {
                    let mut verdicts = Vec::new();
                    if sure != Truth::Yes {
                        verdicts.push(None);
                    }
                    for element in found {
                        let verdict = Some(verdict(&element.data));
                        if !verdicts.contains(&verdict) {
                            verdicts.push(verdict);
                        }
                    }
                    Step::OneOf(verdicts, blamed)
                }
            }
        }
    }
}

/// Whether each part of a key lies in its range. In registers and keys each part fills whole words.
fn within_parts(key: &Bits, fields: &[usize], from: &[u8], to: &[u8]) -> Truth {
    let mut offset = 0;
    let mut holds = Truth::Yes;
    let whole = [from.len()];
    for &length in if fields.is_empty() { &whole } else { fields } {
        let (Some(from), Some(to)) = (from.get(offset..offset + length), to.get(offset..offset + length)) else {
            return Truth::Maybe;
        };
        holds = holds.and(key.part(offset, length).within(from, to));
        offset += length.next_multiple_of(4);
    }
    holds
}

/// An address of 4 or 16 bytes.
pub(super) fn address_of(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

/// Whether an address stands in a rule for ARP: as an address that must match, alone or in a range or a set, or as a new one.
pub fn mentions(ruleset: &Ruleset, chain: usize, rule: usize, address: std::net::Ipv4Addr) -> bool {
    let Some(content) = ruleset.chains.get(chain).and_then(|chain| chain.rules.get(rule)) else { return false };
    let evaluation = Evaluation { ruleset, stops: Vec::new(), left: STEPS, pending: Vec::new() };
    let facts = Facts::arp(1, Some(address), Some(address), None, None);
    let stack = vec![(chain, rule)];
    let mut way = Way { stop: 0, stack, expression: 0, registers: Registers::new(), facts, ended: None };
    let octets = address.octets();
    // The register that the last load of an address went to.
    let mut loaded = None;
    for (index, expression) in content.expressions.iter().enumerate() {
        match expression {
            Expression::Payload { target, base: Base::Network, offset: ARP_SENDER | ARP_TARGET, .. } => {
                loaded = Some(*target);
            }
            Expression::Payload { .. } => loaded = None,
            Expression::Value { data, .. } if *data == octets => return true,
            Expression::Target(xt::Target::Mangle { source, target, .. })
                if [source, target].contains(&&Some(address)) =>
            {
                return true;
            }
            _ => {}
        }
        let (source, inverted) = match expression {
            Expression::Compare { source, operator, .. } => (*source, *operator == Operator::NotEqual),
            Expression::Range { source, inverted, .. } | Expression::Lookup { source, inverted, .. } => {
                (*source, *inverted)
            }
            _ => {
                let _ = evaluation.step(&mut way, At { chain, rule: Some(rule) }, index, expression);
                continue;
            }
        };
        let step = evaluation.step(&mut way, At { chain, rule: Some(rule) }, index, expression);
        let holds = match step {
            Step::Go(truth, _) => truth.invert_if(inverted) == Truth::Yes,
            Step::Verdict(_) => true,
            Step::OneOf(..) | Step::End(_) => false,
        };
        if holds && loaded == Some(source) {
            return true;
        }
    }
    false
}
