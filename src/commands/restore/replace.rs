//! `-R --replace`: the table made equal to the rules, by the fewest changes, all or none.

use std::collections::HashSet;
use std::fmt;
use std::io::{IsTerminal as _, stderr};
use std::path::PathBuf;

use anyhow::Result;
use ipvs_client::{
    Change, Client, Error, Limits, Refusal,
    plan::{self, Options, Phase, State, Step},
    transaction::{Outcome, RollBack, Transaction},
};

use super::confirm::Question;
use super::exchange::{Replaced, documents, exchange, in_words};
use super::{lenient, reorder};
use crate::commands::journal::{self, Copy};
use crate::commands::lock::{self, Locked};
use crate::commands::signals::Hold;
use crate::commands::source::Source;
use crate::commands::state::read_state;
use crate::commands::{Output, status};
use crate::grammar::{self, Faults};
use crate::host::module;
use crate::rules::Desired;
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

/// With what it is replaced.
#[derive(Clone, Copy, Default)]
pub(in crate::commands) struct How {
    options: Options,
    limits: Limits,
    faults: Faults,
    /// Only daemons can differ: that replaces no table.
    only_daemons: bool,
    /// What is changed will be printed as JSON.
    document: bool,
}

impl How {
    /// What is done without further wishes.
    pub(super) fn reorder(reorder: bool) -> Self {
        Self { options: Options { reorder, ..Options::default() }, ..Self::default() }
    }

    /// What is done with a table that is as wanted but for daemons.
    pub(in crate::commands) fn only_daemons() -> Self {
        Self { only_daemons: true, ..Self::default() }
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
        if desired.has_faults() && replace.faults == Faults::Refuse {
            return lenient::refuse(source, &desired, self.say);
        }
        source.report(desired.repetitions());
        let question = replace.confirm.map(Question::open).transpose()?;
        let mut client = module::connect()?;
        let options = Options { keep_weights: replace.keep_weights, reorder: replace.reorder };
        if replace.dry_run {
            let have = read_state(&mut client, &desired.state)?;
            let mut steps = plan::difference(&have, &desired.state, options);
            if !source.report_errors(desired.faults(), desired.more_bad).is_empty() {
                steps.retain(|step| step.phase != Phase::Deletion);
            }
            let excess = plan::check_limits(replace.limits, &have, &desired.state, &steps).err().map(in_words);
            if let Some(excess) = &excess {
                self.say(format_args!("{source}: {excess}"));
            }
            self.costs(&mut client, &have, &desired.state, &steps)?;
            let status = if steps.is_empty() { status::OK } else { status::FAILED };
            let mut changes = Vec::new();
            match replace.json {
                Some(_) => changes = documents(&have, &steps),
                None => {
                    let mut labels = Labels::numeric();
                    steps.iter().try_for_each(|step| rules::change(output, &mut labels, &step.change))?;
                }
            }
            return Ok(Replaced { status, changes, excess, ..Replaced::failed() });
        }
        let locked = locked.map_or_else(|| lock::take_held(self.lock_wait, self.hold), Ok)?;
        journal::report_pending();
        let document = replace.json.is_some();
        let how = How { options, limits: replace.limits, faults: replace.faults, document, ..How::default() };
        self.carry_out(&mut client, locked, desired, how, question)
    }

    /// Make the table, which is locked, what is desired.
    pub(in crate::commands) fn carry_out(
        &self,
        client: &mut Client,
        locked: Locked,
        desired: Desired,
        how: How,
        question: Option<Question>,
    ) -> Result<Replaced> {
        let How { options, faults, .. } = how;
        let source = self.source;
        let have = read_state(client, &desired.state)?;
        match faults {
            Faults::Skip => {}
            Faults::SkipIfEmpty if have.services.is_empty() => {}
            Faults::SkipIfEmpty | Faults::Refuse if desired.has_faults() => {
                return lenient::refuse(source, &desired, self.say);
            }
            Faults::SkipIfEmpty | Faults::Refuse => {
                let to_people = !options.reorder && !how.only_daemons && stderr().is_terminal();
                let hint = to_people.then(|| reorder::hint(&have, &desired.state, options)).flatten();
                let replaced = self.all_or_none(client, locked, (&have, desired), how, question)?;
                if let Some(hint) = hint.filter(|_| replaced.status == status::OK) {
                    self.say(format_args!("{source}: {hint}"));
                }
                return Ok(replaced);
            }
        }
        lenient::load((source, self.hold, self.say), client, &have, desired, (options, how.limits, how.document))
    }

    /// Make the table, which is locked and is `have`, what is desired, or leave it as it is.
    fn all_or_none(
        &self,
        client: &mut Client,
        locked: Locked,
        (have, desired): (&State, Desired),
        How { options, limits, only_daemons, document, .. }: How,
        question: Option<Question>,
    ) -> Result<Replaced> {
        let source = self.source;
        let Desired { state: want, rest, .. } = desired;
        let mut transaction = Transaction::new(have, &want, options);
        if let Err(excess) = plan::check_limits(limits, have, &want, transaction.steps()) {
            let excess = in_words(excess);
            self.say(format_args!("{source}: {excess}: nothing was changed"));
            return Ok(Replaced { excess: Some(excess), ..Replaced::failed() });
        }
        if transaction.steps().is_empty() {
            let _ = Copy::none().finish(!only_daemons);
            return Ok(Replaced { status: status::OK, rest, ..Replaced::failed() });
        }
        self.costs(client, have, &want, transaction.steps())?;
        let signals = self.hold.begin()?;
        let copy = match question {
            None if only_daemons => Copy::none(),
            None => Copy::of(&transaction.before()),
            Some(_) => Copy::until_confirmed(&transaction.before()),
        };
        if let Some(interrupted) = signals.came() {
            copy.discard();
            self.say(format_args!("{source}: nothing was changed"));
            return Err(interrupted.into());
        }
        let steps = transaction.steps().len();
        let outcome = match exchange(steps, signals, self.say, |watch| transaction.carry_out(client, watch)) {
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
            self.name(copy.finish(!only_daemons));
            return Ok(Replaced::failed());
        }
        if let Some(question) = question {
            // An answer can take long.
            drop(locked);
            if !question.confirmed(signals) {
                let _locked = lock::take_to_go_back(self.lock_wait, None);
                if copy.is_current() {
                    let steps = transaction.steps().len();
                    let outcome = exchange(steps, signals, self.say, |watch| Ok(transaction.roll_back(client, watch)))?;
                    self.report_back(&transaction, outcome, copy);
                } else {
                    copy.discard();
                    self.say(format_args!(
                        "{source}: another process has replaced the table since: nothing is rolled back"
                    ));
                }
                return Ok(Replaced::failed());
            }
            if !copy.is_there() {
                self.say(format_args!(
                    "{source}: another process has replaced the table since: it is not what the rules say"
                ));
                return Ok(Replaced::failed());
            }
        } else if signals.came().is_some() {
            self.say(format_args!("{source}: finished: the table is what the rules say"));
        }
        let changes = if document { documents(have, transaction.steps()) } else { Vec::new() };
        Ok(Replaced { status: status::OK, rest, copy: copy.finish(!only_daemons), changes, ..Replaced::failed() })
    }

    /// Say what it costs to put servers in order.
    fn costs(&self, client: &mut Client, have: &State, want: &State, steps: &[Step]) -> Result<()> {
        for line in reorder::costs(client, have, want, steps)? {
            self.say(format_args!("{}: {line}", self.source));
        }
        Ok(())
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
            Ok(left) if !failed && left.iter().all(|step| step.phase == Phase::Order) => self.say(format_args!(
                "{source}: the table is as it was before, but servers of sh, mh or dh are in another order"
            )),
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
