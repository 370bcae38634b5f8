//! What the firewall does with clients' packets, judged alike on either machine.

use super::facts::{Fate, Passage};
use super::judgement::{Judged, Judgement, Skip, State, unless_bad};

/// Whether all of these are let in; `none` says why there is none.
pub(super) fn passages(all: &[Passage], none: &str) -> Judged {
    let Some(first) = all.first() else {
        return Err(Skip::does_not_apply(none));
    };
    let mut bad = Vec::new();
    let mut let_in = Vec::new();
    let mut unclear = Vec::new();
    for passage in all {
        match passage.fate.get()? {
            Fate::Accepted => let_in.push(passage.packet.as_str()),
            Fate::Depends(on) => unclear.push(format!("{}: {on}", passage.packet)),
            Fate::Stopped { how, rule, undo } => {
                let state = if passage.certain { State::Fail } else { State::Warn };
                let found =
                    Judgement::new(state, format!("{} is {how} by {rule}", passage.packet), passage.fate.from());
                bad.push(match undo {
                    Some(undo) => found.command(undo),
                    None => found.advice("Let it in before that rule."),
                });
            }
        }
    }
    if bad.is_empty() && let_in.is_empty() {
        return Err(Skip(unclear.join("; ")));
    }
    unless_bad(bad, format!("let in: {}", let_in.join(", ")), first.fate.from())
}
