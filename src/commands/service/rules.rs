//! The file of rules: read, saved, and what of the table is not in it.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use ipvs_client::{
    Change, DaemonRole,
    plan::{self, Options, State, Step},
};

use super::notes;
use crate::commands::called;
use crate::commands::save;
use crate::commands::source::Source;
use crate::commands::state::read_state;
use crate::escape::escaped;
use crate::grammar::{RESOLVE_TIMEOUT_DEFAULT, Save};
use crate::host::file::{self, ReplaceError};
use crate::host::input;
use crate::host::module;
use crate::host::sysconfig::Settings;
use crate::rules::Desired;

/// What came of an attempt to save.
pub(super) enum Saved {
    Yes,
    /// Not, because that would have replaced rules by nothing.
    NothingToSave,
}

/// The file of rules that the settings name.
pub(super) struct RulesFile<'s> {
    path: &'s Path,
    /// The daemons that the settings name.
    daemons: Vec<DaemonRole>,
}

impl<'s> RulesFile<'s> {
    pub(super) fn of(settings: &'s Settings) -> Self {
        Self { path: &settings.rules, daemons: settings.daemons.iter().map(|(daemon, _)| daemon.role).collect() }
    }

    /// Its name, for messages.
    pub(super) fn name(&self) -> String {
        escaped(self.path).into_owned()
    }

    pub(super) fn source(&self) -> Source<'s> {
        Source::of(Some(self.path))
    }

    /// Read it, once: it can be a pipe. Nothing, which is reported, if there is no such file.
    pub(super) fn read(&self) -> Result<Option<Desired>> {
        if matches!(fs::metadata(self.path), Err(error) if error.kind() == io::ErrorKind::NotFound) {
            say!(
                "{}: there is no such file, so the table is left as it is; `{} service save' creates it",
                self.name(),
                called::command_line()
            );
            return Ok(None);
        }
        let mut desired = self.source().desired_with_faults()?;
        // Of a daemon that is in both, the settings have the last word.
        desired.state.daemons.retain(|traced| !self.daemons.contains(&traced.rule.0));
        Ok(Some(desired))
    }

    /// What it holds, as far as that can be read now. What is in a pipe is for the next start.
    pub(super) fn look(&self) -> Desired {
        match fs::metadata(self.path).is_ok_and(|file| file.is_file()) {
            true => self.source().good_lines().unwrap_or_default(),
            false => Desired::default(),
        }
    }

    /// Whether it, or the link to it, was changed after this time, whatever its date says.
    pub(super) fn is_newer(&self, than: SystemTime) -> bool {
        let changed = |there: io::Result<Metadata>| {
            let there = there.ok()?;
            let ctime = Duration::new(there.ctime().try_into().ok()?, there.ctime_nsec().try_into().ok()?);
            Some(SystemTime::UNIX_EPOCH + ctime)
        };
        let times = [fs::metadata(self.path), fs::symlink_metadata(self.path)].map(changed);
        // Of the same moment: then in doubt the file is.
        times.into_iter().flatten().any(|time| time >= than)
    }

    /// Write the table to the file of rules, with the timeouts, and with the daemons that are not in the settings anyway.
    pub(super) fn save(&self, force: bool) -> Result<Saved> {
        let mut client = module::connect()?;
        let mut text = Vec::new();
        // Names would make the next boot depend on the name service.
        let save = Save { numeric: true, resolve_timeout: RESOLVE_TIMEOUT_DEFAULT, all: true, file: None };
        save::Saved::read(&mut client, &save, &self.daemons)?.write(&save, &mut text)?;
        let new = Worth::of(&text);
        if !force && new < Worth::Rules {
            match input::read(self.path) {
                Ok(old) if new < Worth::of(&old) => return Ok(Saved::NothingToSave),
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).context(self.name()),
                _ => {}
            }
        }
        if notes::has_not_loaded() {
            self.keep_not_loaded()?;
        }
        let lost = file::replace(self.path, &text).map_err(|error| {
            let what = match error {
                ReplaceError::NotDurable(_) => self.name(),
                _ => format!("{}: the rules are not saved", self.name()),
            };
            anyhow::Error::new(error).context(what)
        })?;
        for what in lost {
            say!("{}: {what}", self.name());
        }
        notes::forget_not_loaded();
        Ok(Saved::Yes)
    }

    /// Keep the lines that could not be loaded: the table that takes their place in the file does not have them.
    fn keep_not_loaded(&self) -> Result<()> {
        let mut kept = self.path.as_os_str().to_owned();
        kept.push(".not-loaded");
        let kept = PathBuf::from(kept);
        let text = match input::read(self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            text => text.with_context(|| self.name())?,
        };
        let lost = file::replace(&kept, &text);
        let kept = kept.display();
        for what in lost.with_context(|| format!("{kept}: the rules are not saved"))? {
            say!("{kept}: {what}");
        }
        say!("{}: some of its lines could not be loaded; the file from before is {kept}", self.name());
        Ok(())
    }
}

/// How many rules of the table, services and servers, these lines do not have as they are in the table.
pub(super) fn unsaved(rules: &Desired) -> Result<usize> {
    let have = read_state(&mut module::connect()?, &State::default())?;
    let is_missing = |step: &Step| {
        matches!(
            step.change,
            Change::AddService(_) | Change::EditService(_) | Change::AddDestination(..) | Change::EditDestination(..)
        )
    };
    Ok(plan::difference(&rules.state, &have, Options::default()).iter().filter(|step| is_missing(step)).count())
}

/// How much would be lost with a text of rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Worth {
    /// Timeouts at most, which every saved table has.
    Nothing,
    Daemons,
    Rules,
}

impl Worth {
    fn of(text: &[u8]) -> Self {
        let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        let worth = lines.map(|line| match line {
            [] | [b'#', ..] => Self::Nothing,
            line if line.starts_with(b"--set") => Self::Nothing,
            line if line.starts_with(b"--start-daemon") => Self::Daemons,
            _ => Self::Rules,
        });
        worth.max().unwrap_or(Self::Nothing)
    }
}
