//! The ports that rules name.

use std::collections::BTreeSet;

use crate::expression::Expression;
use crate::ruleset::Ruleset;
use crate::xt;

impl Ruleset {
    /// Numbers of two bytes in rules and sets, and the ends of ranges.
    pub(super) fn ports(&self) -> BTreeSet<u16> {
        let mut found = BTreeSet::new();
        let rules = self.chains.iter().flat_map(|chain| &chain.rules);
        for expression in rules.flat_map(|rule| &rule.expressions) {
            match expression {
                Expression::Compare { data, .. } => found.extend(port(data)),
                Expression::Range { from, to, .. } => found.extend(port(from).into_iter().chain(port(to))),
                Expression::Match(xt::Match::Ports { destination, .. }) if !destination.is_any() => {
                    found.extend([destination.from, destination.to]);
                }
                Expression::Match(xt::Match::TcpFlags { ports: (_, destination), .. }) if !destination.is_any() => {
                    found.extend([destination.from, destination.to]);
                }
                Expression::Match(xt::Match::AnyPort { ranges, .. }) => {
                    found.extend(ranges.iter().flat_map(|(from, to)| [*from, *to]));
                }
                _ => {}
            }
        }
        for set in self.sets.values() {
            // Where each part of a key begins.
            let mut at = 0;
            let mut parts = Vec::new();
            for length in &set.fields {
                parts.push((at, *length));
                at += length.next_multiple_of(4);
            }
            for key in set.elements.iter().map(|element| &element.key) {
                match parts.is_empty() {
                    true => found.extend(port(key)),
                    false => found.extend(parts.iter().filter_map(|&(at, length)| port(key.get(at..at + length)?))),
                }
            }
        }
        found
    }
}

/// A port in network byte order.
fn port(bytes: &[u8]) -> Option<u16> {
    <[u8; 2]>::try_from(bytes).ok().map(u16::from_be_bytes)
}
