//! Loading every rule that is good, where a line is wrong or the kernel refuses a rule: a director that boots with all of its
//! rules but one serves, and one that boots with none does not.

use std::collections::HashMap;

use anyhow::Result;
use ipvs_client::{
    Change, Client, Error, Limits, Refusal, ServiceKey,
    plan::{self, Options, Phase, State, Step},
    transaction::Transaction,
};

use super::exchange::{Replaced, documents, exchange, in_words};
use crate::commands::journal::Copy;
use crate::commands::report::Reported;
use crate::commands::signals::Hold;
use crate::commands::source::Source;
use crate::commands::status;
use crate::rules::Desired;

/// What writes a line for people.
type Say<'s> = &'s dyn Fn(&str);

/// Load what is good of `desired` over `have`, which the table is now and stays locked. With a fault nothing is deleted: what
/// the line was to say is not known.
pub(super) fn load(
    (source, hold, say): (&Source<'_>, &Hold, Say<'_>),
    client: &mut Client,
    have: &State,
    desired: Desired,
    (options, limits, document): (Options, Limits, bool),
) -> Result<Replaced> {
    let mut faults = source.report_errors(desired.faults(), desired.more_bad);
    let mut lines = desired.bad.len() + desired.more_bad + desired.refused.len();
    let nothing = if desired.bad.is_empty() { status::FAILED } else { status::USAGE };
    let Desired { state: want, rest, .. } = desired;
    let mut transaction = Transaction::new(have, &want, options);
    let may_delete = faults.is_empty();
    if may_delete && let Err(excess) = plan::check_limits(limits, have, &want, transaction.steps()) {
        let excess = in_words(excess);
        say(&format!("{source}: {excess}: nothing was changed"));
        return Ok(Replaced { excess: Some(excess), ..Replaced::failed() });
    }
    if may_delete && transaction.steps().is_empty() {
        let _ = Copy::none().finish(true);
        return Ok(Replaced { status: status::OK, rest, ..Replaced::failed() });
    }
    let signals = hold.begin()?;
    let copy = Copy::of(&transaction.before());
    if let Some(interrupted) = signals.came() {
        copy.discard();
        say(&format!("{source}: nothing was changed"));
        return Err(interrupted.into());
    }
    let outcome = exchange(transaction.steps().len(), signals, say, |watch| {
        transaction.carry_out_what_can_be(client, may_delete, watch)
    });
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) => {
            copy.discard();
            return Err(error.into());
        }
    };
    let refused = refused_steps(transaction.steps(), &outcome.refused);
    lines += refused.len();
    faults.extend(report(source, &refused));
    let copy = copy.finish(true);
    let mut failed = false;
    if let Some(error) = outcome.error {
        say(&format!("{source}: {error}"));
        failed = true;
    }
    match outcome.left {
        Ok(left) if left.is_empty() || failed => {}
        Ok(_) => {
            say(&format!("{source}: another program changed the table: it is not what the rules say"));
            failed = true;
        }
        Err(Error::Unsettled) => {
            say(&format!("{source}: could not verify the result: another program keeps changing the table"));
            failed = true;
        }
        Err(error) => return Err(error.into()),
    }
    let status = if failed {
        status::FAILED
    } else if faults.is_empty() {
        status::OK
    } else if loads_nothing(&want, &refused) {
        say(&format!("{source}: nothing could be loaded"));
        return Ok(Replaced { status: nothing, ..Replaced::failed() });
    } else {
        let lines = if lines == 1 { "1 line".to_owned() } else { format!("{lines} lines") };
        let kept = if have.services.is_empty() { "" } else { "; nothing was deleted" };
        say(&format!("{source}: loaded without {lines} that are wrong or were refused{kept}"));
        status::PARTLY
    };
    if signals.came().is_some() {
        say(&format!("{source}: finished"));
    }
    let rest = if failed { Vec::new() } else { rest };
    let changes = match document {
        true => {
            // With a refusal nothing is deleted, either.
            let deletes = may_delete && outcome.refused.is_empty();
            let left_out = |index, step: &Step| {
                outcome.refused.iter().any(|(refused, _)| *refused == index)
                    || (!deletes && step.phase == Phase::Deletion)
            };
            let steps = transaction.steps().iter().enumerate();
            documents(have, steps.filter(|(index, step)| !left_out(*index, step)).map(|(_, step)| step))
        }
        false => Vec::new(),
    };
    Ok(Replaced { status, rest, copy, faults, changes, excess: None })
}

/// The lines are not what they should be, and none of them is loaded.
pub(super) fn refuse(source: &Source<'_>, desired: &Desired, say: Say<'_>) -> Result<Replaced> {
    if !desired.bad.is_empty() {
        source.report_errors(desired.bad.iter().map(|line| (line.number, &line.message)), desired.more_bad);
        return Err(Reported(status::USAGE).into());
    }
    source.report_errors(desired.refused.iter().map(|(line, finding)| (*line, finding.message())), 0);
    say(&format!("{source}: nothing was changed"));
    Ok(Replaced::failed())
}

/// The steps that were refused, with the reason.
fn refused_steps(steps: &[Step], refused: &[(usize, Refusal)]) -> Vec<(Step, Refusal)> {
    refused.iter().filter_map(|(index, refusal)| Some((*steps.get(*index)?, refusal.clone()))).collect()
}

/// Report what the kernel has refused. Servers of a service that was refused are counted.
fn report(source: &Source<'_>, refused: &[(Step, Refusal)]) -> Vec<String> {
    let mut servers: HashMap<ServiceKey, usize> = HashMap::new();
    for (step, _) in refused {
        match step.change {
            Change::AddService(service) => _ = servers.entry(service.key).or_default(),
            Change::AddDestination(key, _) => {
                servers.entry(key).and_modify(|count| *count += 1);
            }
            _ => {}
        }
    }
    let mut lines: Vec<(u32, String)> = Vec::new();
    for (step, refusal) in refused {
        match step.change {
            Change::AddService(service) => lines.push((
                step.line,
                match servers.get(&service.key).copied().unwrap_or(0) {
                    0 => refusal.to_string(),
                    1 => format!("{refusal}, so its server is not loaded either"),
                    count => format!("{refusal}, so its {count} servers are not loaded either"),
                },
            )),
            Change::AddDestination(key, _) if servers.contains_key(&key) => {}
            _ => lines.push((step.line, refusal.to_string())),
        }
    }
    lines.sort_by_key(|(line, _)| *line);
    source.report_errors(lines, 0)
}

/// Whether no service and no daemon is left of what was wanted.
fn loads_nothing(want: &State, refused: &[(Step, Refusal)]) -> bool {
    let of = |phase| refused.iter().filter(move |(step, _)| step.phase == phase);
    let services = of(Phase::Addition).filter(|(step, _)| matches!(step.change, Change::AddService(_))).count();
    let wanted = want.daemons.iter().filter(|daemon| daemon.rule.1.is_some()).count();
    want.services.len() <= services && wanted <= of(Phase::Daemon).count()
}
