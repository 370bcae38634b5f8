//! What every way of replacing the table needs: the exchange with the kernel, and what came of it.

use std::path::PathBuf;

use anyhow::Result;
use ipvs_client::{
    Error,
    plan::{Excess, State, Step},
    transaction::Outcome,
};

use crate::commands::progress::Progress;
use crate::commands::signals::Signals;
use crate::commands::status;
use crate::rules::Line;
use crate::view::json::ChangeDocument;

/// What a replacement came to.
pub(in crate::commands) struct Replaced {
    /// The exit status.
    pub(in crate::commands) status: u8,
    /// What else the lines ask for; nothing if the table is not as they say.
    pub(in crate::commands) rest: Vec<Line>,
    /// Where the table from before is.
    pub(in crate::commands) copy: Option<PathBuf>,
    /// What was reported of lines that are not loaded.
    pub(in crate::commands) faults: Vec<String>,
    /// What was changed, if that is to be printed as JSON.
    pub(in crate::commands) changes: Vec<ChangeDocument>,
    /// The limit that the change exceeds, in words.
    pub(in crate::commands) excess: Option<String>,
}

impl Replaced {
    pub(super) fn failed() -> Self {
        Self {
            status: status::FAILED,
            rest: Vec::new(),
            copy: None,
            faults: Vec::new(),
            changes: Vec::new(),
            excess: None,
        }
    }
}

/// A limit that a change would exceed.
pub(super) fn in_words(excess: Excess) -> String {
    match excess {
        Excess::Empty { services } => {
            format!("no virtual service is in it, and the table has {services} (IPVS_ALLOW_EMPTY=yes allows that)")
        }
        Excess::Removals { removed, of, limit } => format!(
            "it would delete {removed} of the {of} rules in the table, more than the limit of {limit} (--max-removals, \
             IPVS_MAX_REMOVALS)"
        ),
    }
}

/// Carry out this many steps while signals are kept back. The first that comes is answered at once.
pub(super) fn exchange(
    steps: usize,
    signals: &Signals,
    say: &dyn Fn(&str),
    work: impl FnOnce(&mut dyn FnMut(ipvs_client::transaction::Progress)) -> Result<Outcome, Error>,
) -> Result<Outcome, Error> {
    let mut progress = Progress::new("changing", steps);
    work(&mut |now| {
        progress.reach(now.sent);
        if signals.first_came() {
            progress.clear();
            let what = if now.back { "rolling back" } else { "finishing" };
            say(&format!("{what}: {} of {} sent", now.sent, now.total));
        }
    })
}

/// Steps over this table as JSON has them.
pub(super) fn documents<'s>(have: &State, steps: impl IntoIterator<Item = &'s Step>) -> Vec<ChangeDocument> {
    steps.into_iter().map(|step| ChangeDocument::new(have, &step.change)).collect()
}
