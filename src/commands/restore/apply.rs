//! Plain `-R`: the lines one after the other.

use std::collections::{BTreeMap, HashSet};
use std::io::{IsTerminal as _, stderr};

use anyhow::Result;
use ipvs_client::{
    Change, Client, DaemonRole, Error, Refusal, Timeouts,
    plan::{State, Traced},
};

use crate::commands::journal::{self, Copy};
use crate::commands::list::listing_with;
use crate::commands::lock;
use crate::commands::progress::Progress;
use crate::commands::report::unless_interrupted;
use crate::commands::restore::reorder;
use crate::commands::save::save_with;
use crate::commands::signals::Signals;
use crate::commands::source::{Report, Source};
use crate::commands::{Output, status};
use crate::grammar::Request;
use crate::rules::Line;

/// Do what the lines say, in their order. What the kernel refuses is reported, and the rest is done anyway.
pub(in crate::commands) fn run(
    client: &mut Client,
    lines: &[Line],
    source: &Source<'_>,
    lock_wait: u32,
    output: &mut Output,
) -> Result<u8> {
    if lines.iter().any(is_save) {
        // Otherwise a script would take nothing for a backup, and here nothing is changed yet.
        output.must_be_open()?;
    }
    let Some(last) = lines.iter().rposition(|line| line.change().is_some()) else {
        let saves = lines.iter().any(is_save);
        let _locked = saves.then(|| lock::take_to_read(lock_wait)).transpose()?;
        return Lines { client, source, output, progress: Progress::new("restoring", lines.len()) }
            .carry_out(lines, None);
    };
    let locked = lock::take(lock_wait)?;
    let copy = copy(client, lines)?;
    let signals = Signals::hold()?;
    if let Some(interrupted) = signals.came() {
        copy.discard();
        say!("{source}: nothing was changed");
        return Err(interrupted.into());
    }
    output.keep(true);
    let mut work = Lines { client, source, output, progress: Progress::new("restoring", lines.len()) };
    let (changes, rest) = lines.split_at(last + 1);
    let outcome = work.carry_out(changes, Some(&signals));
    work.output.keep(false);
    // A table that was cleared was replaced.
    let copy = copy.finish(lines.iter().any(|line| line.change() == Some(&Change::Flush)));
    match &outcome {
        Ok(_) if signals.came().is_some() => say!("{source}: finished"),
        Ok(_) => journal::report_to_people(copy.as_deref()),
        Err(_) => match &copy {
            Some(copy) => {
                let command = journal::command(copy);
                say!("{source}: not all lines were carried out; to restore the table from before: {command}");
            }
            None => say!("{source}: not all lines were carried out"),
        },
    }
    let refused = unless_interrupted(outcome, signals.release())?;
    if stderr().is_terminal() {
        hints(work.client, changes);
    }
    // What follows is printed, which may take long.
    let _locked = rest.iter().any(is_save).then_some(locked);
    Ok(match work.carry_out(rest, None)? {
        status::OK => refused,
        failed => failed,
    })
}

/// Say at a terminal where servers were added to live services, so that their order is not that of their addresses.
fn hints(client: &mut Client, lines: &[Line]) {
    let mut new = HashSet::new();
    let mut added = BTreeMap::new();
    for change in lines.iter().filter_map(Line::change) {
        match change {
            Change::AddService(service) => _ = new.insert(service.key),
            Change::AddDestination(key, server) if !new.contains(key) => _ = added.insert(*key, server.key),
            _ => {}
        }
    }
    for hint in added.iter().filter_map(|(key, server)| reorder::hint_of_added(client, key, *server)) {
        say!("{hint}");
    }
}

/// A line that saves the table, which is not to be changed then.
fn is_save(line: &Line) -> bool {
    matches!(line.request, Request::Save(_))
}

/// A copy of the table that these lines are about to change.
fn copy(client: &mut Client, lines: &[Line]) -> Result<Copy> {
    let changes = || lines.iter().filter_map(Line::change);
    if changes().all(|change| matches!(change, Change::Zero(_))) {
        return Ok(Copy::none());
    }
    journal::report_pending();
    let mut like = State::default();
    if changes().any(|change| matches!(change, Change::SetTimeouts(_))) {
        like.timeouts = Some(Traced { rule: Timeouts::default(), line: 0 });
    }
    if changes().any(|change| matches!(change, Change::StartDaemon(_) | Change::StopDaemon(_))) {
        like.daemons =
            [DaemonRole::Master, DaemonRole::Backup].map(|role| Traced { rule: (role, None), line: 0 }).into();
    }
    Ok(Copy::read(client, &like)?)
}

/// Lines being carried out.
struct Lines<'l> {
    client: &'l mut Client,
    source: &'l Source<'l>,
    output: &'l mut Output,
    progress: Progress,
}

impl Lines<'_> {
    /// Carry out these lines, the last of which is a change if signals are kept back.
    fn carry_out(&mut self, lines: &[Line], signals: Option<&Signals>) -> Result<u8> {
        let mut refused = Report::held(self.source);
        let mut outcome = status::OK;
        let total = lines.iter().filter(|line| line.change().is_some()).count();
        let mut sent = 0;
        for run in lines.chunk_by(|a, b| a.change().is_some() == b.change().is_some()) {
            if run.iter().all(|line| line.change().is_some()) {
                let mut batch = self.client.batch(|number: u32, refusal: Refusal| {
                    outcome = status::REFUSED;
                    refused.add(number, refusal);
                })?;
                for line in run {
                    self.progress.step();
                    if let Some(change) = line.change() {
                        batch.push(line.number, change)?;
                        sent += 1;
                        if batch.pending() == 0 {
                            note(&mut self.progress, signals, sent, total);
                        }
                    }
                }
                batch.finish()?;
                note(&mut self.progress, signals, sent, total);
            } else {
                for line in run {
                    self.progress.step();
                    match self.other(&line.request) {
                        Err(error) if matches!(error.downcast_ref(), Some(Error::Refused(_))) => {
                            outcome = status::FAILED;
                            refused.add(line.number, format_args!("{error:#}"));
                        }
                        done => done?,
                    }
                }
            }
        }
        Ok(outcome)
    }

    /// A line that asks for something to be printed.
    fn other(&mut self, request: &Request) -> Result<()> {
        match request {
            Request::List(listing) => listing_with(self.client, listing, self.output),
            Request::Save(save) => save_with(self.client, save, self.output),
            // The reader lets none of these pass.
            Request::Change(_)
            | Request::Drain(_)
            | Request::Restore(_)
            | Request::Metrics(_)
            | Request::Help
            | Request::Version(_) => Ok(()),
        }
    }
}

/// The first signal that comes is answered at once.
fn note(progress: &mut Progress, signals: Option<&Signals>, sent: usize, total: usize) {
    if signals.is_some_and(Signals::first_came) {
        progress.clear();
        say!("finishing: {sent} of {total} sent");
    }
}
