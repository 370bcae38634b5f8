//! A packet's path through the rules, as far as it has been followed.

use std::net::IpAddr;
use std::ptr;

use super::registers::Registers;
use crate::bits::Truth;
use crate::expression::Verdict;
use crate::known::Known;
use crate::property::Property;
use crate::ruleset::{Chain, Rule};

/// Where in the rules something is: a rule, or a base chain's policy without one.
#[derive(Clone, Copy, Debug)]
pub struct At<'r> {
    /// The chain.
    pub chain: &'r Chain,
    /// The rule in it.
    pub rule: Option<&'r Rule>,
}

impl At<'_> {
    /// Whether it is the same place, not one that looks alike.
    pub fn is(&self, other: &Self) -> bool {
        let same_rule = match (self.rule, other.rule) {
            (Some(one), Some(other)) => ptr::eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        };
        same_rule && ptr::eq(self.chain, other.chain)
    }
}

/// A rule that ends a path, and what it matched.
#[derive(Clone, Debug)]
pub struct Hit<'r> {
    /// The rule.
    pub at: At<'r>,
    /// What it asks for.
    pub matched: Vec<Property>,
}

/// What is left of a packet that gets through, as far as it is known.
#[derive(Clone, Copy, Debug)]
pub struct Left {
    /// The sender's address, if it is ARP.
    pub arp_sender: Option<IpAddr>,
    /// The mark.
    pub mark: Option<u32>,
}

/// How a path ends.
#[derive(Clone, Debug)]
pub enum End<'r> {
    /// The packet gets through.
    Accepted(Left),
    /// It does not.
    Dropped(Hit<'r>),
    /// It goes elsewhere. Nothing says where if it is not known.
    Redirected { hit: Hit<'r>, address: Option<IpAddr>, port: Option<u16> },
    /// It depends.
    Unknown(Open<'r>),
}

/// What an end depends on.
#[derive(Clone, Copy, Debug)]
pub enum Open<'r> {
    /// On this expression, by its number in the rule.
    Expression(At<'r>, usize),
    /// On whether a chain of a device is asked: the interface is not known.
    Device(&'r Chain),
    /// On whether a related packet comes to a chain of type nat.
    Related(&'r Chain),
    /// There are more paths than can be followed.
    TooMany,
}

/// One path through the rules.
#[derive(Clone)]
pub struct Path<'r> {
    /// The base chain that it is in, by its place in the order.
    pub stop: usize,
    /// Chain and next rule, the innermost last; empty before the first rule of a base chain.
    pub stack: Vec<(&'r Chain, usize)>,
    /// The expression to go on with, in the rule on top of the stack.
    pub expression: usize,
    /// What the rule's expressions have loaded.
    pub registers: Registers,
    /// The packet as it is by now.
    pub packet: Known<'r>,
    /// Its end, if that is known already.
    pub ended: Option<End<'r>>,
}

impl<'r> Path<'r> {
    /// The beginning.
    pub fn new(packet: Known<'r>) -> Self {
        Self { stop: 0, stack: Vec::new(), expression: 0, registers: Registers::new(), packet, ended: None }
    }

    /// On to the next rule.
    pub fn next_rule(&mut self) {
        self.expression = 0;
        if let Some((_, rule)) = self.stack.last_mut() {
            *rule += 1;
        }
    }

    /// Done with this base chain.
    pub fn next_stop(&mut self) {
        self.stack.clear();
        self.stop += 1;
    }
}

/// What an expression comes to.
pub enum Step {
    /// Go on if so. The number is the expression that is to blame for a doubt, if it is not the one at hand.
    Go(Truth, Option<usize>),
    /// A verdict.
    Verdict(Verdict),
    /// One of several verdicts, or the next rule (`None`).
    OneOf(Vec<Option<Verdict>>, Option<usize>),
    /// The destination becomes this, as far as it is known.
    Redirect { address: Option<IpAddr>, port: Option<u16> },
    /// What decides is not known.
    Open,
}

/// The next expression follows.
pub const GO: Step = Step::Go(Truth::Yes, None);
