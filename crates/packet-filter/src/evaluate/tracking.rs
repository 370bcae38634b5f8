//! What connection tracking says of a packet where its path is.

use std::cmp::Ordering;

use super::stops::Stop;
use crate::bits::{Bits, Truth};
use crate::expression::REGISTERS;
use crate::known::Known;
use crate::numbers::ct;
use crate::packet::State;
use crate::ruleset::Hook;

/// `NF_IP_PRI_CONNTRACK`: connection tracking itself, in prerouting and output.
const CONNTRACK: i32 = -200;

/// Whether connection tracking has seen the packet in this base chain.
fn is_tracked(packet: &Known<'_>, stop: Option<&Stop<'_>>) -> Truth {
    match stop {
        _ if packet.tracked => Truth::Yes,
        Some(Stop { hook: Hook::Ingress, .. }) => Truth::No,
        Some(Stop { hook: Hook::Prerouting | Hook::Output, priority, .. }) => match priority.cmp(&CONNTRACK) {
            Ordering::Less => Truth::No,
            Ordering::Equal => Truth::Maybe,
            Ordering::Greater => Truth::Yes,
        },
        _ => Truth::Yes,
    }
}

/// The connection's state in this base chain; `None` if it is not known. What has not been tracked yet counts as invalid.
pub fn state(packet: &Known<'_>, stop: Option<&Stop<'_>>) -> Option<State> {
    match (packet.state, is_tracked(packet, stop)) {
        (State::Untracked, _) => Some(State::Untracked),
        (_, Truth::No) => Some(State::Invalid),
        (_, Truth::Maybe) => None,
        (state, Truth::Yes) => Some(state),
    }
}

/// A fact of the connection; `None` if there is no connection, so that a rule that asks for it does not match.
pub fn fact(packet: &Known<'_>, stop: Option<&Stop<'_>>, key: u32) -> Option<Bits> {
    match (key, state(packet, stop)) {
        (ct::STATE, Some(state)) => Some(Bits::number(state.bit())),
        (ct::STATE, None) => Some(Bits::unknown(4)),
        // There is no connection, so there is nothing to load.
        (_, Some(State::Invalid | State::Untracked)) => None,
        (ct::DIRECTION, Some(State::New)) => Some(Bits::known(&[0])),
        (ct::MARK, Some(_)) => Some(packet.connection_mark.clone()),
        (ct::STATUS, Some(State::New)) => Some(Bits::partly(&0_u32.to_ne_bytes(), &ct::STATUS_KNOWN.to_ne_bytes())),
        _ => Some(Bits::unknown(REGISTERS * 4)),
    }
}

/// Whether there may be a connection to mark.
pub fn may_be_connected(packet: &Known<'_>, stop: Option<&Stop<'_>>) -> bool {
    !matches!(state(packet, stop), Some(State::Invalid | State::Untracked))
}

/// A rule says `notrack`.
pub fn no_track(packet: &mut Known<'_>, stop: Option<&Stop<'_>>) {
    if is_tracked(packet, stop) == Truth::No {
        packet.state = State::Untracked;
    }
}
