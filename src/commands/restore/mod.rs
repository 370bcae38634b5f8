//! `-R`, and the program ipvsadm-restore.

mod apply;
mod check;
mod confirm;
mod replace;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::Path;

use anyhow::Result;

use super::progress::Progress;
use super::{Output, Told, status};
use crate::grammar::{self, Restore, RestoreMode};
use crate::host::SystemNames;
use crate::kernel::Client;
use crate::model::{Change, DaemonRole, Timeouts};
use crate::plan::{Finding, RuleSet, State, Traced};
use crate::rules::{self, Line, ReadError};

pub(super) use replace::read_state;

/// Bytes of a rules file read at once.
const BUFFER: usize = 64 * 1024;

pub(super) fn run(restore: &Restore, output: &mut Output) -> Result<u8> {
    let rules = Rules::read(restore.file.as_deref())?;
    match restore.mode {
        RestoreMode::Check => Ok(check::run(&rules)),
        RestoreMode::Apply => {
            let mut client = Client::connect()?;
            if rules.lines.is_empty() {
                // Nothing would be asked of the kernel, and who may not restore would not hear of it.
                client.info()?;
            }
            apply::run(&mut client, &rules.lines, &rules.source, output)
        }
        RestoreMode::Replace(options) => replace::run(&rules, options, output),
    }
}

/// `ipvsadm-restore`: standard input in place of what there is.
pub(super) fn as_program(program: &OsStr, arguments: &[OsString], output: &mut Output) -> Result<u8> {
    if !arguments.is_empty() {
        let name = program.to_string_lossy();
        writeln!(output, "Usage: {name} < RULES\nReplaces the virtual server table by the rules on standard input.")?;
        return Ok(status::FAILED);
    }
    run(&Restore { file: None, mode: RestoreMode::Replace(grammar::Replace::default()) }, output)
}

/// Rules that were read and understood, and what their source is called in messages.
pub(super) struct Rules {
    pub(super) source: String,
    pub(super) lines: Vec<Line>,
}

impl Rules {
    /// Read everything, from this file or from standard input. What is wrong is told, all of it.
    pub(super) fn read(path: Option<&Path>) -> Result<Self> {
        let source = path.map_or_else(|| "<stdin>".to_owned(), |path| path.display().to_string());
        let names = SystemNames::default();
        let lines = match path {
            None => rules::read(BufReader::with_capacity(BUFFER, io::stdin().lock()), &names),
            Some(path) => File::open(path)
                .map_err(ReadError::Source)
                .and_then(|file| rules::read(BufReader::with_capacity(BUFFER, file), &names)),
        };
        match lines {
            Ok(lines) => Ok(Self { source, lines }),
            Err(ReadError::Source(error)) => Err(anyhow::Error::new(error).context(source)),
            Err(ReadError::Bad(bad)) => {
                let mut text = String::new();
                for line in bad {
                    text.push_str(&format!("{source}:{line}\n"));
                }
                say!("{}", text.trim_end());
                Err(Told(status::USAGE).into())
            }
        }
    }

    /// The state that the lines would make of an empty table; and what the kernel would refuse, by line.
    pub(super) fn state(&self) -> (State, Vec<(u32, Finding)>) {
        let mut set = RuleSet::new();
        let mut findings = Vec::new();
        let mut timeouts: Option<Traced<Timeouts>> = None;
        let mut daemons = Vec::new();
        for line in &self.lines {
            let Some(change) = line.change() else { continue };
            match change {
                Change::SetTimeouts(new) => {
                    let old = timeouts.map(|traced| traced.rule).unwrap_or_default();
                    let or = |new, old| if new == 0 { old } else { new };
                    let rule = Timeouts {
                        tcp: or(new.tcp, old.tcp),
                        tcp_fin: or(new.tcp_fin, old.tcp_fin),
                        udp: or(new.udp, old.udp),
                    };
                    timeouts = Some(Traced { rule, line: line.number });
                }
                Change::StartDaemon(daemon) => set_daemon(&mut daemons, daemon.role, Some(*daemon), line.number),
                Change::StopDaemon(daemon) => set_daemon(&mut daemons, daemon.role, None, line.number),
                change => {
                    if let Err(finding) = set.apply(change, line.number) {
                        findings.push((line.number, finding));
                    }
                }
            }
        }
        (State { services: set.finish(), timeouts, daemons }, findings)
    }
}

fn set_daemon(
    daemons: &mut Vec<Traced<(DaemonRole, Option<crate::model::Daemon>)>>,
    role: DaemonRole,
    daemon: Option<crate::model::Daemon>,
    line: u32,
) {
    daemons.retain(|traced| traced.rule.0 != role);
    daemons.push(Traced { rule: (role, daemon), line });
}
