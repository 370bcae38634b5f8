//! The copy of the table that is kept in case a change is not finished, or not wanted any more.

use std::fs::File;
use std::io::{BufRead as _, BufReader, IsTerminal, Write as _, stderr};
use std::path::{Path, PathBuf};

use ipvs_client::{
    Change, Client, DaemonRole, Error,
    plan::{State, Traced},
};

use super::called;
use super::lock::this_process;
use super::report::plain;
use super::state::{has_order, read_state, servers_to_restore};
use crate::host::journal::{FOLDER, Journal, others, settle_others};
use crate::rules::{first_line, last_line};
use crate::view::{Labels, rules};

/// The copy of a table that is being changed; none of an empty table, or where none can be written.
#[must_use]
pub(super) struct Copy {
    journal: Option<Journal>,
    /// It only says that a change waits for its confirmation: there was nothing to keep.
    is_empty: bool,
}

impl Copy {
    /// No copy.
    pub(super) const fn none() -> Self {
        Self { journal: None, is_empty: true }
    }

    /// Read the table, and of timeouts and daemons what `like` has, and write it down.
    pub(super) fn read(client: &mut Client, like: &State) -> Result<Self, Error> {
        match read_state(client, like) {
            Ok(mut have) => {
                let daemon = |role: DaemonRole| Traced { rule: (role, have.running(role)), line: 0 };
                have.daemons = like.daemons.iter().map(|wanted| daemon(wanted.rule.0)).collect();
                Ok(Self::of(&have))
            }
            Err(error @ Error::Unsettled) => {
                say!("{error}: going on without a copy of the table");
                Ok(Self::none())
            }
            Err(error) => Err(error),
        }
    }

    /// Write the table down. That this fails is printed, and nothing to fail for.
    pub(super) fn of(state: &State) -> Self {
        if is_empty(state) { Self::none() } else { Self::written(state) }
    }

    /// The same, also of an empty table: other processes see by it that a change waits for its confirmation.
    pub(super) fn until_confirmed(state: &State) -> Self {
        Self { is_empty: is_empty(state), ..Self::written(state) }
    }

    fn written(state: &State) -> Self {
        match text(state).and_then(|text| Journal::begin(&this_process(), &text)) {
            Ok(journal) => Self { journal: Some(journal), is_empty: false },
            Err(error) => {
                say!("{FOLDER}: {}: going on without a copy of the table", plain(&error.to_string()));
                Self::none()
            }
        }
    }

    /// Whether no other process has replaced the table since, for good.
    pub(super) fn is_there(&self) -> bool {
        self.journal.as_ref().is_none_or(Journal::is_there)
    }

    /// The same, not even one that waits for the confirmation of that. To be called with the lock on the table.
    pub(super) fn is_current(&self) -> bool {
        self.journal.as_ref().is_none_or(Journal::is_current)
    }

    /// The table is as it was before, or another process has replaced it.
    pub(super) fn discard(self) {
        if let Some(journal) = self.journal {
            journal.discard();
        }
    }

    /// The table is changed, and if `replaced_all`, all of it. Returns where the copy is now.
    pub(super) fn finish(self, replaced_all: bool) -> Option<PathBuf> {
        match self.journal {
            Some(journal) if !self.is_empty => {
                let path = journal.path().to_owned();
                match journal.finish(replaced_all) {
                    Ok(path) => Some(path),
                    Err(error) => {
                        say!("{}: {}", path.display(), plain(&error.to_string()));
                        None
                    }
                }
            }
            journal => {
                if let Some(journal) = journal {
                    journal.discard();
                }
                if replaced_all {
                    settle_others();
                }
                None
            }
        }
    }
}

/// Whether there is nothing in it to go back to.
fn is_empty(state: &State) -> bool {
    state.services.is_empty() && state.daemons.iter().all(|daemon| daemon.rule.1.is_none())
}

/// A state as a file of rules that brings it back.
fn text(state: &State) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let mut labels = Labels::numeric();
    let keeps_order = state.services.iter().any(has_order);
    writeln!(text, "{}", first_line(keeps_order))?;
    let mut lines = 0;
    for service in &state.services {
        let servers = servers_to_restore(state, service);
        lines += 1 + servers.len();
        rules::service(&mut text, &mut labels, &service.service.rule, servers)?;
    }
    if let Some(timeouts) = state.timeouts {
        lines += 1;
        rules::change(&mut text, &mut labels, &Change::SetTimeouts(timeouts.rule))?;
    }
    for Traced { rule: (role, daemon), .. } in &state.daemons {
        lines += 1;
        match daemon {
            Some(daemon) => rules::change(&mut text, &mut labels, &Change::StartDaemon(*daemon))?,
            None => writeln!(text, "--stop-daemon {}", role.name())?,
        }
    }
    writeln!(text, "{}", last_line(lines))?;
    Ok(text)
}

/// The command that brings the table back from a copy, and with it which client gets which server.
pub(super) fn command(path: &Path) -> String {
    let reorder = if keeps_order(path) { "--reorder " } else { "" };
    format!("{} -R --replace {reorder}--file {}", called::command_line(), path.display())
}

/// Whether the servers in a copy have an order that counts. What cannot be read has none.
fn keeps_order(path: &Path) -> bool {
    let Ok(file) = File::open(path) else { return false };
    let comments = BufReader::new(file).lines().map_while(Result::ok).take_while(|line| line.starts_with('#'));
    comments.into_iter().any(|line| line == first_line(true))
}

/// Say where the table from before is.
pub(super) fn report(copy: Option<&Path>) {
    if let Some(path) = copy {
        say!("to restore the table from before: {}", command(path));
    }
}

/// Say to people where the table from before is. Scripts do not ask for it.
pub(super) fn report_to_people(copy: Option<&Path>) {
    if stderr().is_terminal() {
        report(copy);
    }
}

/// Say what another process has left behind: a change that it did not finish, and how to roll back. `source` is the file of
/// rules that is to be restored: of that one nothing has to be said.
pub(super) fn report_unfinished(source: Option<&Path>) {
    for other in others().into_iter().filter(|other| !other.is_alive && Some(other.path.as_path()) != source) {
        say!(
            "{} did not finish its change of the table; to restore the table from before: {}",
            other.by,
            command(&other.path)
        );
    }
}

/// Say that another process waits for the confirmation of its change. To be called with the lock on the table: who has a copy
/// then is not changing it.
pub(super) fn report_pending() {
    for other in others().into_iter().filter(|other| other.is_alive) {
        say!("{} still waits for the confirmation of its change of the table", other.by);
    }
}
