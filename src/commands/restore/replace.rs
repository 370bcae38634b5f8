//! `-R --replace`: the table made equal to the rules, by the fewest changes, all or none.

use std::cell::RefCell;
use std::collections::HashSet;
use std::io::Write;

use anyhow::Result;

use super::apply;
use super::confirm::{Question, Terminal};
use crate::commands::lock::{self, Locked};
use crate::commands::progress::Progress;
use crate::commands::source::Source;
use crate::commands::state::{read_service, read_state};
use crate::commands::{Output, status};
use crate::grammar;
use crate::host::module;
use crate::kernel::{Client, Error, Refusal};
use crate::model::{Change, Limits, ServiceKey};
use crate::plan::{self, Excess, Options, RuleService, State, Step, Traced};
use crate::rules::Desired;
use crate::view::{Labels, rules};

pub(super) fn run(source: &Source<'_>, replace: grammar::Replace, lock_wait: u32, output: &mut Output) -> Result<u8> {
    let desired = source.desired()?;
    let empties = desired.state.services.is_empty() && !replace.dry_run;
    let outcome = carry_out(source, desired, replace, lock_wait, None, output)?;
    if empties && outcome == status::OK {
        say!("{source}: no virtual service is in it: the table is empty now");
    }
    Ok(outcome)
}

/// Make the table what is desired; `source` is where messages say that this comes from. The lock is taken if it is not yet.
pub(in crate::commands) fn carry_out(
    source: &Source<'_>,
    desired: Desired,
    replace: grammar::Replace,
    lock_wait: u32,
    locked: Option<Locked>,
    output: &mut Output,
) -> Result<u8> {
    if !desired.refused.is_empty() {
        source.report(desired.refused.into_iter().map(|(line, finding)| (line, finding.message())));
        say!("{source}: nothing was changed");
        return Ok(status::FAILED);
    }
    source.report(desired.repetitions());
    let terminal = replace.confirm.map(Terminal::open).transpose()?;
    let mut client = module::connect()?;
    let options = Options { keep_weights: replace.keep_weights };
    if replace.dry_run {
        let have = read_state(&mut client, &desired.state)?;
        let steps = plan::difference(&have, &desired.state, options);
        if let Err(excess) = plan::check_limits(replace.limits, &have, &desired.state, &steps) {
            say!("{source}: {}", in_words(excess));
        }
        let mut labels = Labels::numeric();
        for step in &steps {
            rules::change(output, &mut labels, &step.change)?;
        }
        return Ok(if steps.is_empty() { status::OK } else { status::FAILED });
    }
    let locked = locked.map_or_else(|| lock::take(lock_wait), Ok)?;
    // Only now: a signal while waiting just ends the program.
    let question = terminal.map(Terminal::keep_signals).transpose()?;
    Replacement { source, options, limits: replace.limits, lock_wait, question }.carry_out(
        &mut client,
        locked,
        desired,
        output,
    )
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

/// How a table is replaced.
pub(in crate::commands) struct Replacement<'r> {
    source: &'r Source<'r>,
    options: Options,
    limits: Limits,
    lock_wait: u32,
    question: Option<Question>,
}

impl<'r> Replacement<'r> {
    /// Without further ado; `source` is where messages say that the rules come from.
    pub(in crate::commands) fn plain(source: &'r Source<'r>, lock_wait: u32) -> Self {
        Self { source, options: Options::default(), limits: Limits::default(), lock_wait, question: None }
    }

    /// Make the table, which is locked, what is desired.
    pub(in crate::commands) fn carry_out(
        self,
        client: &mut Client,
        locked: Locked,
        desired: Desired,
        output: &mut Output,
    ) -> Result<u8> {
        let Self { source, options, limits, lock_wait, question } = self;
        let Desired { state: want, rest, .. } = desired;
        let have = read_state(client, &want)?;
        let steps = plan::difference(&have, &want, options);
        if let Err(excess) = plan::check_limits(limits, &have, &want, &steps) {
            say!("{source}: {}: nothing was changed", in_words(excess));
            return Ok(status::FAILED);
        }
        let mut work = Work { client, source, have: &have, steps: &steps };
        if !steps.is_empty() {
            if let Some(failure) = work.forth()? {
                return Ok(failure);
            }
            match work.is_now(&want, options) {
                Ok(true) => {}
                Ok(false) => {
                    say!("{source}: another program changed the table meanwhile: it is not what the rules say");
                    return Ok(status::FAILED);
                }
                Err(Error::Unsettled) => {
                    say!(
                        "{source}: the rules are carried out, but another program keeps changing the table: whether it \
                         is what they say cannot be told"
                    );
                    return Ok(status::FAILED);
                }
                Err(error) => return Err(error.into()),
            }
        }
        // An answer can take long, and what else the lines ask for locks by itself.
        drop(locked);
        if !steps.is_empty()
            && let Some(question) = question
        {
            output.flush()?;
            if !question.confirmed() {
                let _locked = lock::take_to_go_back(lock_wait, None);
                return work.back(steps.iter().map(|step| step.change).collect());
            }
        }
        // It is done in the lines' order, now that the rules are there.
        match apply::run(client, &rest, source, lock_wait, output)? {
            status::OK => Ok(status::OK),
            _ => Ok(status::FAILED),
        }
    }
}

/// A plan being carried out.
struct Work<'w> {
    client: &'w mut Client,
    source: &'w Source<'w>,
    have: &'w State,
    steps: &'w [Step],
}

impl Work<'_> {
    /// Take all steps. If one is refused, go back; the exit status is given then.
    fn forth(&mut self) -> Result<Option<u8>> {
        let refused: RefCell<Vec<(usize, Refusal)>> = RefCell::default();
        let mut sent = 0;
        let mut progress = Progress::new("changing", self.steps.len());
        let mut batch = self.client.batch(|index, refusal| refused.borrow_mut().push((index, refusal)))?;
        let mut outcome = Ok(());
        for (index, step) in self.steps.iter().enumerate() {
            progress.step();
            sent = index + 1;
            outcome = batch.push(index, &step.change);
            // A refusal is heard of with the batch it was in, and then nothing is on its way.
            if outcome.is_err() || !refused.borrow().is_empty() {
                break;
            }
        }
        let outcome = outcome.and_then(|()| batch.finish());
        drop(progress);
        if let Err(error @ (Error::NotLoaded | Error::NotPermitted)) = outcome {
            return Err(error.into());
        }
        let refused = refused.into_inner();
        if outcome.is_ok() && refused.is_empty() {
            return Ok(None);
        }
        for (index, refusal) in &refused {
            self.tell(&self.steps[*index], refusal);
        }
        if let Err(error) = &outcome {
            say!("{error}");
        }
        let failed: HashSet<usize> = refused.iter().map(|(index, _)| *index).collect();
        let done = self.steps[..sent].iter().enumerate().filter(|(index, _)| !failed.contains(index));
        self.back(done.map(|(_, step)| step.change).collect()).map(Some)
    }

    fn tell(&self, step: &Step, refusal: &Refusal) {
        let conflict = match refusal.is_conflict() {
            true => " (another program changed the table meanwhile)",
            false => "",
        };
        match step.line {
            0 => say!("{}: {refusal}{conflict}, for: {}", self.source, rules::text(&step.change)),
            line => say!("{}:{line}: {refusal}{conflict}", self.source),
        }
    }

    /// Undo these changes, and see whether the table is as it was.
    fn back(&mut self, done: Vec<Change>) -> Result<u8> {
        let back = plan::undo(self.have, done.into_iter());
        let mut refused = Vec::new();
        let mut batch = self.client.batch(|change: Change, refusal: Refusal| refused.push((change, refusal)))?;
        for change in &back {
            batch.push(*change, change)?;
        }
        batch.finish()?;
        for (change, refusal) in &refused {
            say!("{}: {refusal}, going back by: {}", self.source, rules::text(change));
        }
        let source = self.source;
        match self.is_now(self.have, Options::default()) {
            Ok(true) => say!("{source}: the table is as it was before"),
            Ok(false) => say!("{source}: the table is not as it was before: another program changed it meanwhile"),
            Err(Error::Unsettled) => say!(
                "{source}: what was done is undone, but another program keeps changing the table: whether it is as it was \
                 before cannot be told"
            ),
            Err(error) => return Err(error.into()),
        }
        Ok(status::FAILED)
    }

    /// Whether the table is now so: all services, and the destinations of those that the plan is about.
    fn is_now(&mut self, expected: &State, options: Options) -> Result<bool, Error> {
        let touched: HashSet<ServiceKey> = self.steps.iter().filter_map(|step| service_of(&step.change)).collect();
        let mut services = Vec::new();
        for rule in self.client.service_rules()? {
            services.extend(if touched.contains(&rule.key) {
                read_service(self.client, rule)?
            } else {
                Some(RuleService { service: Traced { rule, line: 0 }, destinations: Vec::new() })
            });
        }
        services.sort_unstable_by_key(|service| service.service.rule.key);
        let expected = expected.services.iter().map(|service| RuleService {
            service: service.service,
            destinations: match touched.contains(&service.service.rule.key) {
                true => service.destinations.clone(),
                false => Vec::new(),
            },
        });
        let expected = State { services: expected.collect(), ..State::default() };
        Ok(plan::difference(&State { services, ..State::default() }, &expected, options).is_empty())
    }
}

/// The service that a change is about.
fn service_of(change: &Change) -> Option<ServiceKey> {
    match change {
        Change::AddService(service) | Change::EditService(service) => Some(service.key),
        Change::DeleteService(key)
        | Change::AddDestination(key, _)
        | Change::EditDestination(key, _)
        | Change::DeleteDestination(key, _) => Some(*key),
        _ => None,
    }
}
