//! The base chains that a packet comes to, in order.

use std::ops::RangeInclusive;

use crate::bits::Truth;
use crate::known::Known;
use crate::numbers::family as nfproto;
use crate::ruleset::{BaseChain, Chain, Hook, Ruleset, TableFamily};

/// `NF_IP_PRI_NAT_DST` and `NF_IP_PRI_NAT_SRC`: chains of type `nat` are asked at these, whatever their own priorities are.
const NAT_DESTINATION: i32 = -100;
const NAT_SOURCE: i32 = 100;

/// A base chain on the way.
pub struct Stop<'r> {
    /// The chain.
    pub chain: &'r Chain,
    /// Its hook.
    pub hook: Hook,
    /// The priority at which the kernel asks it.
    pub priority: i32,
    /// Whether it is of type `nat`.
    pub nat: bool,
    /// Whether its policy is "drop".
    pub drops: bool,
    /// Whether it is asked at all.
    pub asked: Truth,
}

/// A hook, and the priorities of the chains that a packet comes to there.
pub type Leg = (Hook, RangeInclusive<i32>);

/// The base chains on these legs that see the packet.
pub fn stops<'r>(ruleset: &'r Ruleset, packet: &Known<'_>, legs: &[Leg]) -> Vec<Stop<'r>> {
    let mut stops = Vec::new();
    for &(hook, ref priorities) in legs {
        let from = stops.len();
        // Of chains of the same priority the newest comes first (`nf_hook_entries_grow`).
        for chain in ruleset.chains.iter().rev() {
            let Some(base) = chain.base.as_ref().filter(|base| base.hook == Some(hook)) else { continue };
            let asked = match hook {
                Hook::Ingress if chain.family == TableFamily::Netdev || chain.family == TableFamily::Inet => {
                    packet.comes_in_on_one_of(&base.devices)
                }
                _ => Truth::from(sees(chain.family, packet.family)),
            };
            let priority = priority(base, hook);
            if asked == Truth::No || !priorities.contains(&priority) {
                continue;
            }
            stops.push(Stop { chain, hook, priority, nat: base.nat, drops: base.drops, asked });
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
