//! From rule to rule.

use super::path::{At, End, Hit, Left, Open, Path, Step};
use super::registers::Registers;
use super::step::step;
use super::stops::{Leg, Stop, stops};
use super::tracking;
use crate::bits::Truth;
use crate::expression::{Expression, Target, Verdict};
use crate::known::Known;
use crate::numbers::{ct, meta};
use crate::packet::State;
use crate::property::properties;
use crate::ruleset::{Chain, Rule, Ruleset};
use crate::xt;

/// Expressions that are looked at for one answer, at most. The kernel lets no chains go in circles; this is for what is
/// not known too often.
const STEPS: usize = 1_000_000;
/// Paths that wait to be followed, at most.
const PATHS: usize = 2_000;
/// `NFT_JUMP_STACK_SIZE`
const DEPTH: usize = 16;

/// Follow a packet on its way.
pub fn evaluate<'r>(ruleset: &'r Ruleset, packet: Known<'r>, legs: &[Leg]) -> End<'r> {
    let stops = stops(ruleset, &packet, legs);
    let mut evaluation = Evaluation { ruleset, stops, left: STEPS, pending: Vec::new() };
    evaluation.all(Path::new(packet))
}

struct Evaluation<'a> {
    ruleset: &'a Ruleset,
    stops: Vec<Stop<'a>>,
    left: usize,
    /// Paths that are still to be followed, each with what made it part from the one before.
    pending: Vec<(Path<'a>, Open<'a>)>,
}

impl<'a> Evaluation<'a> {
    /// Follow all paths.
    fn all(&mut self, first: Path<'a>) -> End<'a> {
        let mut end = self.follow(first);
        while let Some((path, open)) = self.pending.pop() {
            if let End::Unknown(_) = end {
                return end;
            }
            end = either(end, self.follow(path), open);
        }
        end
    }

    /// Follow one path to its end. Others that part from it wait.
    fn follow(&mut self, mut path: Path<'a>) -> End<'a> {
        let ruleset = self.ruleset;
        loop {
            let Some((chain, rule)) = path.stack.last().copied() else {
                if let Some(end) = self.enter(&mut path) {
                    return end;
                }
                continue;
            };
            let Some(content) = chain.rules.get(rule) else {
                if let Some(end) = self.go_back(&mut path) {
                    return end;
                }
                continue;
            };
            let at = At { chain, rule: Some(content) };
            let index = path.expression;
            let Some(expression) = content.expressions.get(index) else {
                path.next_rule();
                continue;
            };
            if self.left == 0 || self.pending.len() > PATHS {
                return End::Unknown(Open::TooMany);
            }
            self.left -= 1;
            if index == 0 {
                path.registers = Registers::new();
            }
            path.expression += 1;
            let end = match step(ruleset, self.stops.get(path.stop), &mut path, chain, index, expression) {
                Step::Go(Truth::Yes, _) => None,
                Step::Go(Truth::No, _) => {
                    path.next_rule();
                    None
                }
                Step::Go(Truth::Maybe, blamed) => {
                    if matters(content, path.expression) {
                        let mut other = path.clone();
                        other.next_rule();
                        self.pending.push((other, Open::Expression(at, blamed.unwrap_or(index))));
                    } else {
                        path.next_rule();
                    }
                    None
                }
                Step::Verdict(verdict) => self.verdict(&mut path, at, index, &verdict),
                Step::OneOf(verdicts, blamed) => {
                    let open = Open::Expression(at, blamed.unwrap_or(index));
                    for verdict in verdicts {
                        let mut other = path.clone();
                        match verdict {
                            None => other.next_rule(),
                            Some(verdict) => {
                                if let Some(end) = self.verdict(&mut other, at, index, &verdict) {
                                    // A path that is at its end.
                                    other.stack.clear();
                                    other.ended = Some(end);
                                }
                            }
                        }
                        self.pending.push((other, open));
                    }
                    match self.pending.pop() {
                        Some((other, _)) => path = other,
                        None => path.next_rule(),
                    }
                    None
                }
                Step::Redirect { address, port } => Some(End::Redirected { hit: self.hit(&path, at), address, port }),
                Step::Open => Some(End::Unknown(Open::Expression(at, index))),
            };
            if let Some(end) = end {
                return end;
            }
        }
    }

    /// Begin with the base chain that is next, or end.
    fn enter(&mut self, path: &mut Path<'a>) -> Option<End<'a>> {
        if let Some(end) = path.ended.take() {
            return Some(end);
        }
        let Some(stop) = self.stops.get(path.stop) else {
            return Some(End::Accepted(Left { arp_sender: path.packet.arp_sender(), mark: path.packet.mark() }));
        };
        // Only the first packet of a connection comes to chains of type nat. A related one may be that.
        let translated = match path.packet.state {
            _ if !stop.nat => Truth::Yes,
            State::New => Truth::Yes,
            State::Related => Truth::Maybe,
            State::Established | State::Invalid | State::Untracked => Truth::No,
        };
        match stop.asked.and(translated) {
            Truth::Yes => {}
            Truth::No => {
                path.stop += 1;
                return None;
            }
            Truth::Maybe => {
                let mut other = path.clone();
                other.stop += 1;
                let open = if translated == Truth::Maybe { Open::Related } else { Open::Device };
                self.pending.push((other, open(stop.chain)));
            }
        }
        path.packet.enter(stop.hook, stop.chain.family);
        path.stack.push((stop.chain, 0));
        path.expression = 0;
        None
    }

    /// At the end of a chain.
    fn go_back(&self, path: &mut Path<'a>) -> Option<End<'a>> {
        path.stack.pop();
        path.expression = 0;
        if !path.stack.is_empty() {
            return None;
        }
        let stop = self.stops.get(path.stop)?;
        path.next_stop();
        let at = At { chain: stop.chain, rule: None };
        stop.drops.then_some(End::Dropped(Hit { at, matched: Vec::new() }))
    }

    fn verdict(&self, path: &mut Path<'a>, at: At<'a>, index: usize, verdict: &Verdict) -> Option<End<'a>> {
        match verdict {
            Verdict::Continue => {}
            Verdict::Break => path.next_rule(),
            Verdict::Accept => path.next_stop(),
            Verdict::Drop => return Some(End::Dropped(self.hit(path, at))),
            Verdict::Elsewhere => return Some(End::Unknown(Open::Expression(at, index))),
            Verdict::Return => return self.go_back(path),
            Verdict::Jump(name) | Verdict::Goto(name) => {
                let Chain { family, table, .. } = at.chain;
                let Some(chain) = self.ruleset.chain(*family, table, name).filter(|_| path.stack.len() <= DEPTH) else {
                    return Some(End::Unknown(Open::Expression(at, index)));
                };
                path.next_rule();
                if matches!(verdict, Verdict::Goto(_)) {
                    path.stack.pop();
                }
                path.stack.push((chain, 0));
            }
        }
        None
    }

    /// The rule that ends a path.
    fn hit(&self, path: &Path<'_>, at: At<'a>) -> Hit<'a> {
        let state = tracking::state(&path.packet, self.stops.get(path.stop));
        let expressions = at.rule.into_iter().flat_map(|rule| &rule.expressions).take(path.expression);
        Hit { at, matched: properties(expressions, &path.packet, state) }
    }
}

/// How two paths end that parted because something is open.
fn either<'r>(one: End<'r>, other: End<'r>, open: Open<'r>) -> End<'r> {
    match (one, other) {
        (_, End::Unknown(open)) => End::Unknown(open),
        // Which of the rules drops it does not matter.
        (End::Dropped(hit), End::Dropped(_)) => End::Dropped(hit),
        (End::Accepted(one), End::Accepted(other)) if one.arp_sender == other.arp_sender => {
            End::Accepted(Left { mark: one.mark.filter(|mark| other.mark == Some(*mark)), ..one })
        }
        (
            End::Redirected { hit, address, port },
            End::Redirected { hit: other, address: other_address, port: other_port },
        ) if hit.at.is(&other.at) && (address, port) == (other_address, other_port) => {
            End::Redirected { hit, address, port }
        }
        _ => End::Unknown(open),
    }
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
        | Expression::Ignored
        | Expression::Match(_)
        | Expression::Verdict(Verdict::Continue | Verdict::Break)
        | Expression::Target(xt::Target::Continue) => false,
        Expression::MetaWrite { key, .. } => matches!(*key, meta::MARK | meta::PKTTYPE),
        Expression::CtWrite { key, .. } => *key == ct::MARK,
        Expression::Lookup { target, .. } => matches!(target, Some(Target::Verdict)),
        // What could end a packet's path is known, see `Expression::Elsewhere`.
        Expression::Unknown(_) => false,
        _ => true,
    })
}
