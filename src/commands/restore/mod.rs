//! `-R`, and the program ipvsadm-restore.

mod apply;
mod check;
mod confirm;
pub(super) mod replace;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::Path;

use anyhow::Result;

use super::progress::Progress;
use super::{Output, Told, status};
use crate::grammar::{self, LOCK_WAIT_DEFAULT, Request, Restore, RestoreMode};
use crate::host::SystemNames;
use crate::kernel::Client;
use crate::model::{Change, Daemon, DaemonRole};
use crate::plan::{Finding, RuleSet, State, Traced};
use crate::rules::{self, Line, ReadError};

pub(super) use replace::read_state;

/// Bytes of a rules file read at once.
const BUFFER: usize = 64 * 1024;

pub(super) fn run(restore: &Restore, lock_wait: u32, output: &mut Output) -> Result<u8> {
    let source = Source::of(restore.file.as_deref());
    match restore.mode {
        RestoreMode::Check => check::run(&source),
        RestoreMode::Replace(options) => replace::run(&source, options, lock_wait, output),
        RestoreMode::Apply => {
            let mut lines = Vec::new();
            source.read(|line| lines.push(line))?;
            let mut client = Client::connect()?;
            if lines.is_empty() {
                // Nothing would be asked of the kernel, and who may not restore would not hear of it.
                client.info()?;
            }
            apply::run(&mut client, &lines, &source, lock_wait, output)
        }
    }
}

/// `ipvsadm-restore`: standard input in place of what there is.
pub(super) fn as_program(program: &OsStr, arguments: &[OsString], output: &mut Output) -> Result<u8> {
    if !arguments.is_empty() {
        let name = program.to_string_lossy();
        writeln!(output, "Usage: {name} < RULES\nReplaces the virtual server table by the rules on standard input.")?;
        return Ok(status::FAILED);
    }
    run(&Restore { file: None, mode: RestoreMode::Replace(grammar::Replace::default()) }, LOCK_WAIT_DEFAULT, output)
}

/// Where rules come from. Its text is what messages call it.
pub(super) struct Source<'p> {
    path: Option<&'p Path>,
}

impl fmt::Display for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path {
            Some(path) => path.display().fmt(f),
            None => f.write_str("<stdin>"),
        }
    }
}

impl<'p> Source<'p> {
    /// This file, or standard input.
    pub(super) fn of(path: Option<&'p Path>) -> Self {
        Self { path }
    }

    /// Read and understand every line. What is wrong is told, all of it.
    fn read(&self, take: impl FnMut(Line)) -> Result<()> {
        let names = SystemNames::default();
        let outcome = match self.path {
            None => rules::read(BufReader::with_capacity(BUFFER, io::stdin().lock()), &names, take),
            Some(path) => File::open(path)
                .map_err(ReadError::Source)
                .and_then(|file| rules::read(BufReader::with_capacity(BUFFER, file), &names, take)),
        };
        match outcome {
            Ok(()) => Ok(()),
            Err(ReadError::Source(error)) => Err(anyhow::Error::new(error).context(self.to_string())),
            Err(ReadError::Bad(bad)) => {
                self.tell(bad.into_iter().map(|line| (line.number, line.message)));
                Err(Told(status::USAGE).into())
            }
        }
    }

    /// Say what is to be said of lines.
    pub(super) fn tell(&self, findings: impl IntoIterator<Item = (u32, impl fmt::Display)>) {
        let text: Vec<String> =
            findings.into_iter().map(|(line, message)| format!("{self}:{line}: {message}")).collect();
        if !text.is_empty() {
            say!("{}", text.join("\n"));
        }
    }

    /// Read everything as what should be.
    pub(super) fn wanted(&self) -> Result<Wanted> {
        let mut set = RuleSet::new();
        let mut wanted = Wanted::default();
        self.read(|line| wanted.take(&mut set, line))?;
        wanted.state.services = set.finish();
        Ok(wanted)
    }
}

/// What the lines of a file come to, starting from nothing.
#[derive(Default)]
pub(super) struct Wanted {
    /// The state that they would make of an empty table.
    pub(super) state: State,
    /// What the kernel would refuse, by line.
    pub(super) refused: Vec<(u32, Finding)>,
    /// What would quietly not be as it stands there, by line.
    changed: Vec<(u32, String)>,
    /// What they ask for besides rules.
    rest: Vec<Line>,
}

impl From<State> for Wanted {
    fn from(state: State) -> Self {
        Self { state, ..Self::default() }
    }
}

impl Wanted {
    fn take(&mut self, set: &mut RuleSet, line: Line) {
        let number = line.number;
        if let Some(port) = line.replaced_port {
            let message = format!("port {port} has no effect: without -m the packet keeps the service's port");
            self.changed.push((number, message));
        }
        match &line.request {
            Request::Change(Change::SetTimeouts(new)) => {
                let old = self.state.timeouts.map(|traced| traced.rule).unwrap_or_default();
                self.state.timeouts = Some(Traced { rule: new.over(old), line: number });
            }
            Request::Change(Change::StartDaemon(daemon)) => self.daemon(daemon.role, Some(*daemon), number),
            Request::Change(Change::StopDaemon(daemon)) => self.daemon(daemon.role, None, number),
            Request::Change(change) => {
                if let Err(finding) = set.apply(change, number) {
                    self.refused.push((number, finding));
                } else if let Change::AddService(service) | Change::EditService(service) = change
                    && !check::known(service.scheduler)
                {
                    self.changed.push((number, format!("unknown scheduler `{}'", service.scheduler)));
                }
                if let Change::Zero(_) = change {
                    self.rest.push(line);
                }
            }
            _ => self.rest.push(line),
        }
    }

    fn daemon(&mut self, role: DaemonRole, daemon: Option<Daemon>, line: u32) {
        self.state.daemons.retain(|traced| traced.rule.0 != role);
        self.state.daemons.push(Traced { rule: (role, daemon), line });
    }
}
