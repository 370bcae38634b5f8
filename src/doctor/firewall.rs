//! What the packet filter does with packets of the cluster, judged alike on either machine.

use super::facts::Facts;
use super::judgement::{Judged, Judgement, Skip, unless_bad};
use super::passage::{Fate, Passage, Stage};
use super::remedy::{Remedy, remedy};

/// Whether all of these get through; `none` says why there is none.
pub(super) fn passages(facts: &Facts, all: &[Passage], none: &str) -> Judged {
    let Some(first) = all.first() else {
        return Err(Skip::does_not_apply(none));
    };
    let mut bad: Vec<Judgement> = Vec::new();
    let mut let_in = Vec::new();
    let mut unclear = Vec::new();
    for passage in all {
        match fate_of(passage, passage.fate.get()?) {
            Told::Good(words) => let_in.push(words),
            Told::Open(words) => unclear.push(words),
            Told::Bad(fact, place) => {
                let found = Judgement::new(passage.weight, fact, passage.fate.from());
                bad.push(match place.map(|place| remedy(facts, passage, place)) {
                    Some(Remedy::Command { command, undo }) => found.command(command).undo(undo),
                    Some(Remedy::Advice(words)) => found.advice(words),
                    None => found.advice("Let it through before that rule."),
                });
            }
            Told::Elsewhere(fact) => {
                bad.push(Judgement::new(passage.weight, fact, passage.fate.from()).advice(
                    "Decide which of the two is to have the address and port, and give the other one another: a \
                     container's published port can be bound to another address.",
                ));
            }
        }
    }
    // One rule for several packets alike.
    bad.dedup_by(|a, b| a.fix.is_some() && a.fix == b.fix);
    if bad.is_empty() && let_in.is_empty() {
        return Err(Skip(unclear.join("; ")));
    }
    if bad.is_empty() && !unclear.is_empty() {
        return Ok(vec![
            Judgement::ok(format!("let through: {}", let_in.join(", ")), first.fate.from()),
            Judgement::note(unclear.join("; "), first.fate.from()),
        ]);
    }
    unless_bad(bad, format!("let through: {}", let_in.join(", ")), first.fate.from())
}

enum Told<'f> {
    Good(String),
    Open(String),
    Bad(String, Option<&'f super::passage::RulePlace>),
    Elsewhere(String),
}

fn fate_of<'f>(passage: &Passage, fate: &'f Fate) -> Told<'f> {
    let packet = &passage.packet;
    match fate {
        Fate::Accepted => Told::Good(packet.clone()),
        Fate::Depends(on) => Told::Open(format!("{packet}: {on}")),
        Fate::Stopped { how, rule, place } => Told::Bad(format!("{packet} is {how} by {rule}"), place.as_ref()),
        Fate::Redirected { address, port, rule, then } => {
            let to = match (address, port) {
                (Some(address), Some(port)) => format!("sent to {address} port {port}"),
                (Some(address), None) => format!("sent to {address}"),
                (None, Some(port)) => format!("redirected to port {port}"),
                (None, None) => "redirected".to_owned(),
            };
            match (passage.stage, passage.taken_from_ipvs) {
                (Stage::In, true) => Told::Elsewhere(format!("{packet} is {to} by {rule}, before IPVS gets it")),
                _ => match fate_of(passage, then) {
                    Told::Good(_) => Told::Good(format!("{packet}, {to} by {rule}")),
                    Told::Open(words) => Told::Open(words),
                    Told::Bad(_, place) => match &**then {
                        Fate::Stopped { how, rule: second, .. } => {
                            Told::Bad(format!("{packet} is {to} by {rule}, and then {how} by {second}"), place)
                        }
                        _ => Told::Bad(format!("{packet} is {to} by {rule}, and then stopped"), place),
                    },
                    Told::Elsewhere(words) => Told::Elsewhere(words),
                },
            }
        }
    }
}
