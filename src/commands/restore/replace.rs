//! `-R --replace`: the table made equal to the rules, by the fewest changes, all or none.

use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;

use anyhow::Result;
use ipvs_client::{
    Change, Client, Error, Limits, Refusal,
    plan::{self, Excess, Options, Step},
    transaction::{Outcome, RollBack, Transaction},
};

use super::confirm::Question;
use crate::commands::journal::{self, Copy};
use crate::commands::lock::{self, Locked};
use crate::commands::progress::Progress;
use crate::commands::signals::{Hold, Signals};
use crate::commands::source::Source;
use crate::commands::state::read_state;
use crate::commands::{Output, status};
use crate::grammar;
use crate::host::module;
use crate::rules::{Desired, Line};
use crate::view::{Labels, rules};

/// How a table is replaced.
pub(in crate::commands) struct Replacement<'r> {
    /// Where messages say that the rules come from.
    pub(in crate::commands) source: &'r Source<'r>,
    /// Seconds to wait for the lock on the table.
    pub(in crate::commands) lock_wait: u32,
    /// Keeps signals back from the first change on.
    pub(in crate::commands) hold: &'r Hold,
    /// Where messages go.
    pub(in crate::commands) say: &'r dyn Fn(&str),
}

/// What a replacement came to.
pub(in crate::commands) struct Replaced {
    /// The exit status.
    pub(in crate::commands) status: u8,
    /// What the lines ask for besides; nothing if the table is not as they say.
    pub(in crate::commands) rest: Vec<Line>,
    /// Where the table from before is.
    pub(in crate::commands) copy: Option<PathBuf>,
}

impl Replaced {
    fn failed() -> Self {
        Self { status: status::FAILED, rest: Vec::new(), copy: None }
    }
}

impl Replacement<'_> {
    /// Make the table what is desired. The lock is taken if it is not yet.
    pub(in crate::commands) fn run(
        &self,
        desired: Desired,
        replace: grammar::Replace,
        locked: Option<Locked>,
        output: &mut Output,
    ) -> Result<Replaced> {
        let source = self.source;
        if !desired.refused.is_empty() {
            source.report(desired.refused.into_iter().map(|(line, finding)| (line, finding.message())));
            self.say(format_args!("{source}: nothing was changed"));
            return Ok(Replaced::failed());
        }
        source.report(desired.repetitions());
        let question = replace.confirm.map(Question::open).transpose()?;
        let mut client = module::connect()?;
        let options = Options { keep_weights: replace.keep_weights };
        if replace.dry_run {
            let have = read_state(&mut client, &desired.state)?;
            let steps = plan::difference(&have, &desired.state, options);
            if let Err(excess) = plan::check_limits(replace.limits, &have, &desired.state, &steps) {
                self.say(format_args!("{source}: {}", in_words(excess)));
            }
            let mut labels = Labels::numeric();
            for step in &steps {
                rules::change(output, &mut labels, &step.change)?;
            }
            let status = if steps.is_empty() { status::OK } else { status::FAILED };
            return Ok(Replaced { status, rest: Vec::new(), copy: None });
        }
        let locked = locked.map_or_else(|| lock::take_held(self.lock_wait, self.hold), Ok)?;
        journal::tell_of_pending();
        self.carry_out(&mut client, locked, desired, (options, replace.limits), question)
    }

    /// Make the table, which is locked, what is desired.
    pub(in crate::commands) fn carry_out(
        &self,
        client: &mut Client,
        locked: Locked,
        desired: Desired,
        (options, limits): (Options, Limits),
        question: Option<Question>,
    ) -> Result<Replaced> {
        let source = self.source;
        let Desired { state: want, rest, .. } = desired;
        let have = read_state(client, &want)?;
        let mut transaction = Transaction::new(&have, &want, options);
        if let Err(excess) = plan::check_limits(limits, &have, &want, transaction.steps()) {
            self.say(format_args!("{source}: {}: nothing was changed", in_words(excess)));
            return Ok(Replaced::failed());
        }
        if transaction.steps().is_empty() {
            return Ok(Replaced { status: status::OK, rest, copy: None });
        }
        let signals = self.hold.begin()?;
        let copy = Copy::of(&transaction.before());
        if let Some(interrupted) = signals.came() {
            copy.discard();
            self.say(format_args!("{source}: nothing was changed"));
            return Err(interrupted.into());
        }
        let steps = transaction.steps().len();
        let outcome = match self.exchange(steps, signals, |watch| transaction.carry_out(client, watch)) {
            Ok(outcome) => outcome,
            Err(error) => {
                copy.discard();
                return Err(error.into());
            }
        };
        if outcome.rolled_back.is_some() {
            self.report_back(&transaction, outcome, copy);
            return Ok(Replaced::failed());
        }
        if !self.report_forth(&transaction, outcome) {
            self.name(copy.finish(true));
            return Ok(Replaced::failed());
        }
        if let Some(question) = question {
            // An answer can take long.
            drop(locked);
            if !question.confirmed(signals) {
                let _locked = lock::take_to_go_back(self.lock_wait, None);
                if copy.is_current() {
                    let steps = transaction.steps().len();
                    let outcome = self.exchange(steps, signals, |watch| Ok(transaction.roll_back(client, watch)))?;
                    self.report_back(&transaction, outcome, copy);
                } else {
                    self.say(format_args!(
                        "{source}: another process has replaced the table since: nothing is rolled back"
                    ));
                }
                return Ok(Replaced::failed());
            }
        } else if signals.came().is_some() {
            self.say(format_args!("{source}: finished: the table is what the rules say"));
        }
        Ok(Replaced { status: status::OK, rest, copy: copy.finish(true) })
    }

    /// Report what came of all steps. Whether the table is what the rules say.
    fn report_forth(&self, transaction: &Transaction, outcome: Outcome) -> bool {
        let source = self.source;
        let steps = transaction.steps();
        let left = match outcome.left {
            // What was to be deleted and was not there is deleted.
            Ok(left) if left.is_empty() => return true,
            Ok(left) => left,
            Err(Error::Unsettled) => {
                self.say(format_args!(
                    "{source}: could not verify the result: another program keeps changing the table"
                ));
                return false;
            }
            Err(error) => {
                self.say(format_args!("{source}: could not verify the result: {error}"));
                return false;
            }
        };
        self.refusals(steps, &outcome.refused);
        let is_ours = outcome.error.is_some() || outcome.refused.iter().any(|(_, refusal)| !refusal.is_conflict());
        if let Some(error) = outcome.error {
            self.say(format_args!("{source}: {error}"));
        }
        match is_ours {
            true => {
                self.say(format_args!(
                    "{source}: the table is not what the rules say: rules that differ: {}",
                    left.len()
                ));
            }
            false => {
                self.say(format_args!("{source}: another program changed the table: it is not what the rules say"))
            }
        }
        false
    }

    /// Report why and how the table was rolled back, and what it is.
    fn report_back(&self, transaction: &Transaction, outcome: Outcome, copy: Copy) {
        let source = self.source;
        self.refusals(transaction.steps(), &outcome.refused);
        if let Some(error) = outcome.error {
            self.say(format_args!("{source}: {error}"));
        }
        let RollBack { refused, kept, error, .. } = outcome.rolled_back.unwrap_or_default();
        for change in &kept {
            self.say(format_args!(
                "{source}: not rolled back, as another program has changed it since: {}",
                rules::text(change)
            ));
        }
        for (change, refusal) in &refused {
            self.say(format_args!("{source}: {refusal}, rolling back by: {}", rules::text(change)));
        }
        let failed = !refused.is_empty() || error.is_some();
        if let Some(error) = error {
            self.say(format_args!("{source}: rolling back: {error}"));
        }
        match outcome.left {
            Ok(left) if left.is_empty() => {
                self.say(format_args!("{source}: the table is as it was before"));
                return copy.discard();
            }
            Ok(left) if failed => {
                self.say(format_args!(
                    "{source}: the table is not as it was before: rules that differ: {}",
                    left.len()
                ));
            }
            Ok(_) => self.say(format_args!("{source}: the table is not as it was before: another program changed it")),
            Err(error) => {
                self.say(format_args!("{source}: could not verify that the table is as it was before: {error}"))
            }
        }
        self.name(copy.finish(false));
    }

    /// Carry out so many steps while signals are kept back. The first that comes is answered at once.
    fn exchange(
        &self,
        steps: usize,
        signals: &Signals,
        work: impl FnOnce(&mut dyn FnMut(ipvs_client::transaction::Progress)) -> Result<Outcome, Error>,
    ) -> Result<Outcome, Error> {
        let mut progress = Progress::new("changing", steps);
        work(&mut |now| {
            progress.reach(now.sent);
            if signals.first_came() {
                progress.clear();
                let what = if now.back { "rolling back" } else { "finishing" };
                self.say(format_args!("{what}: {} of {} sent", now.sent, now.total));
            }
        })
    }

    fn say(&self, message: fmt::Arguments<'_>) {
        (self.say)(&message.to_string());
    }

    /// Say where the table from before is, as that is wanted now.
    fn name(&self, copy: Option<PathBuf>) {
        if let Some(copy) = copy {
            self.say(format_args!("{}: to restore the table from before: {}", self.source, journal::command(&copy)));
        }
    }

    fn refusals(&self, steps: &[Step], refused: &[(usize, Refusal)]) {
        let mut services = HashSet::new();
        for (step, refusal) in refused.iter().filter_map(|(index, refusal)| Some((steps.get(*index)?, refusal))) {
            match &step.change {
                Change::AddService(service) => drop(services.insert(service.key)),
                // That its service was refused has been said.
                Change::AddDestination(key, _) if services.contains(key) => continue,
                _ => {}
            }
            // The plan was made for the table as it was read.
            let conflict = match refusal.is_conflict() {
                true => " (another program changed the table)",
                false => "",
            };
            match step.line {
                0 => self.say(format_args!("{}: {refusal}{conflict}, for: {}", self.source, rules::text(&step.change))),
                line => self.say(format_args!("{}:{line}: {refusal}{conflict}", self.source)),
            }
        }
    }
}

/// A limit that a change would exceed.
fn in_words(excess: Excess) -> String {
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
