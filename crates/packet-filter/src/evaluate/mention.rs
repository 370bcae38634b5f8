//! Rules about an address.

use std::net::Ipv4Addr;

use super::path::{Path, Step};
use super::step::step;
use crate::bits::Truth;
use crate::expression::{Base, Expression, Operator};
use crate::known::{ARP_SENDER, ARP_TARGET, Known};
use crate::ruleset::{Chain, Rule, Ruleset};
use crate::xt;

/// Whether an address stands in a rule for ARP: as an address that must match, alone or in a range or a set, or as a new one.
pub fn mentions(ruleset: &Ruleset, chain: &Chain, rule: &Rule, address: Ipv4Addr) -> bool {
    let mut path = Path::new(Known::arp(1, Some(address), Some(address), None, None));
    let octets = address.octets();
    // The register that the last load of an address went to.
    let mut loaded = None;
    for (index, expression) in rule.expressions.iter().enumerate() {
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
        let step = step(ruleset, None, &mut path, chain, index, expression);
        let (source, inverted) = match expression {
            Expression::Compare { source, operator, .. } => (*source, *operator == Operator::NotEqual),
            Expression::Range { source, inverted, .. } | Expression::Lookup { source, inverted, .. } => {
                (*source, *inverted)
            }
            _ => continue,
        };
        let holds = match step {
            Step::Go(truth, _) => truth.invert_if(inverted) == Truth::Yes,
            Step::Verdict(_) => true,
            Step::OneOf(..) | Step::Redirect { .. } | Step::Open => false,
        };
        if holds && loaded == Some(source) {
            return true;
        }
    }
    false
}
