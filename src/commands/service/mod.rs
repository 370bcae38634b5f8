//! `service VERB`: what boot scripts do for the table, with the settings that distributions have had for it.

mod notes;
mod rules;
mod status;

use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, Result, anyhow, bail};
use clap::{Arg, ArgAction, ArgMatches, Command};
use ipvs_client::{
    Change, Daemon, DaemonRole, Limits,
    plan::{State, Traced},
};

use super::journal::{self, Copy};
use super::list;
use super::lock::{self, Locked};
use super::report::unless_interrupted;
use super::restore::apply;
use super::restore::exchange::Replaced;
use super::restore::replace::{How, Replacement};
use super::signals::{Hold, Interrupted};
use super::source::Source;
use super::state::read_state;
use super::{Output, called, document, report, status as exit};
use crate::grammar::{self, Columns, Faults, LOCK_WAIT_DEFAULT, Listing};
use crate::host::lock::{Lock, LockError};
use crate::host::module;
use crate::host::sysconfig::Settings;
use crate::host::systemd;
use crate::rules::Desired;
use rules::{RulesFile, Saved, unsaved};
use status::lsb;

/// Held by whatever changes the table or the file of rules.
const LOCK: &str = "/run/ipvsadm-rs/service.lock";
/// The subcommand as clap knows it.
pub(crate) fn command() -> Command {
    let verb = |name, about| Command::new(name).about(about);
    let wait = grammar::usage::lock_wait_argument;
    let force = Arg::new("force").long("force").action(ArgAction::SetTrue);
    let unit = Arg::new("unit").long("unit").value_name("UNIT").help(
        "The systemd unit that this stop belongs to: if systemd is restarting it, everything is left to the start that \
         follows, which then is a restart",
    );
    Command::new("service")
        .about("Load, save and clear the rules as a service does, at boot and by hand")
        .long_about(
            "Load, save and clear the rules as a service does, at boot and by hand, with the settings and the file of \
             rules that distributions have for ipvsadm. Status 0 if all is well, 1 if something failed, 2 for wrong \
             use, 3 if some of the rules could not be loaded; status has 3 for nothing there and 4 for unknown.",
        )
        .subcommand_required(true)
        .subcommand_value_name("VERB")
        .subcommand_help_heading("Verbs")
        .disable_help_subcommand(true)
        .subcommand(
            verb("start", "Make the table what the file of rules says, and start the daemons of the settings")
                .arg(wait()),
        )
        .subcommand(
            verb("stop", "Clear the table, after saving it and before unloading the modules if set so")
                .arg(unit)
                .arg(wait()),
        )
        .subcommand(
            verb("restart", "Start again, after saving the table if set so; nothing is cleared in between").arg(wait()),
        )
        .subcommand(verb("reload", "Make the table what the file of rules says; send only what differs").arg(wait()))
        .subcommand(verb("force-reload", "The same as restart").arg(wait()))
        .subcommand(
            verb("save", "Write the table, the timeouts and the daemons to the file of rules")
                .arg(force.help("Even if that empties a file that has rules"))
                .arg(wait()),
        )
        .subcommand(
            verb("status", "Print the table; status 0 if there is anything in it, 3 if not")
                .args(document::arguments()),
        )
        .subcommand(verb("panic", "Clear the table, whatever the settings"))
        .subcommand(verb("load", "Make the table what the file of rules says, even if set not to").arg(wait()))
        .subcommand(verb("rate", "Print the table with its rates"))
}

pub(super) fn run(matches: &ArgMatches, output: &mut Output) -> Result<u8> {
    let Some((verb, matches)) = matches.subcommand() else { bail!("a verb is missing") };
    journal::report_unfinished(None);
    let outcome = match verb {
        "status" => {
            let outcome = status::print(document::wanted(matches), output);
            return Ok(outcome.unwrap_or_else(|error| worst(&error, lsb::UNKNOWN)));
        }
        "rate" => rate(output),
        "panic" => panic(),
        "stop" if matches.get_one::<String>("unit").is_some_and(|unit| systemd::is_restarting(unit)) => {
            notes::note_restarting().map(|()| exit::OK)
        }
        _ => change(verb, matches, output),
    };
    // Whatever went wrong, to what started this as a service it is one thing: it failed.
    Ok(outcome.unwrap_or_else(|error| worst(&error, exit::FAILED)))
}

/// Say what happened; the status is this one, unless nothing was wrong but a reader that had enough.
fn worst(error: &anyhow::Error, failed: u8) -> u8 {
    match report(error) {
        by_signal if error.is::<Interrupted>() => by_signal,
        exit::OK => exit::OK,
        _ => failed,
    }
}

/// The verbs that change something.
fn change(verb: &str, matches: &ArgMatches, output: &mut Output) -> Result<u8> {
    let lock = take_lock();
    // Whatever comes of this: a later start must not be taken for the end of that restart. What fails for the lock of another
    // verb leaves the mark to the start that it is for.
    let restarting = if lock.is_ok() || verb == "start" { notes::take_restarting()? } else { None };
    let _lock = lock?;
    // Not every verb takes the option.
    let lock_wait = matches.try_get_one("lock-wait").ok().flatten().copied().unwrap_or(LOCK_WAIT_DEFAULT);
    let hold = Hold::default();
    let service = Service { settings: Settings::read()?, lock_wait, hold: &hold, output };
    for (place, name) in &service.settings.unknown {
        say!("{place}: {name} means nothing here");
    }
    for place in &service.settings.misplaced {
        say!(
            "{place}: looks like rules, and this file is for settings: not loaded; rules are loaded from {}",
            service.file().name()
        );
    }
    let outcome = match verb {
        "start" if restarting.is_some() => service.restart(restarting),
        "start" => service.start(),
        "reload" => service.reload(),
        "load" => service.load(),
        "restart" | "force-reload" => service.restart(None),
        "stop" => service.stop(),
        "save" => service.save(matches.get_flag("force")),
        _ => bail!("{verb}: no such verb"),
    };
    // From the first change on, a signal has waited for the last.
    unless_interrupted(outcome, hold.release())
}

fn take_lock() -> Result<Lock> {
    Lock::take(Path::new(LOCK)).map_err(|error| match error {
        LockError::Held(Some(process)) => {
            anyhow!("another ipvsadm-rs service is at work: process {process} holds {LOCK}; try again when it is done")
        }
        LockError::Held(None) => {
            anyhow!("another ipvsadm-rs service is at work and holds {LOCK}; try again when it is done")
        }
        LockError::Failed(error) => anyhow::Error::new(error).context(LOCK),
    })
}

/// What is to be loaded, and how many rules of the table are in no file then.
struct ToLoad {
    desired: Desired,
    unsaved: usize,
}

struct Service<'o> {
    settings: Settings,
    /// Seconds to wait for the lock on the table.
    lock_wait: u32,
    /// Keeps signals back from the first change on.
    hold: &'o Hold,
    output: &'o mut Output,
}

impl Service<'_> {
    fn start(self) -> Result<u8> {
        let rules = self.read_rules()?;
        self.start_locked(None, Faults::SkipIfEmpty, rules)
    }

    fn reload(self) -> Result<u8> {
        let rules = if self.loads_rules() { self.file().read()? } else { None };
        self.start_locked(None, Faults::Refuse, rules.map(|desired| ToLoad { desired, unsaved: 0 }))
    }

    /// Whether the rules are the service's to load.
    fn loads_rules(&self) -> bool {
        self.settings.rules_left_alone.is_none()
    }

    fn file(&self) -> RulesFile<'_> {
        RulesFile::of(&self.settings)
    }

    /// Read what is to be loaded, and count what of the table it would replace for good.
    fn read_rules(&self) -> Result<Option<ToLoad>> {
        if self.loads_rules() { self.read_and_count() } else { Ok(None) }
    }

    /// The lock is released again: it is taken for the change when the file has been read, since others wait for it.
    fn read_and_count(&self) -> Result<Option<ToLoad>> {
        let Some(desired) = self.file().read()? else { return Ok(None) };
        let unsaved = if module::is_loaded() {
            let _locked = lock::take(self.lock_wait)?;
            unsaved(&desired)?
        } else {
            0
        };
        Ok(Some(ToLoad { desired, unsaved }))
    }

    /// Start with these rules, if there are any to load; the lock on the table may be held already.
    fn start_locked(mut self, locked: Option<Locked>, faults: Faults, rules: Option<ToLoad>) -> Result<u8> {
        let mut outcome = exit::OK;
        if let Some(place) = &self.settings.rules_left_alone {
            drop(locked);
            say!(
                "{place}: AUTO says that rules are not loaded: `{} service load' does it anyway",
                called::command_line()
            );
        } else if let Some(rules) = rules {
            outcome = self.load_rules(locked, faults, rules)?;
            if !matches!(outcome, exit::OK | exit::PARTLY) {
                return Ok(outcome);
            }
        } else {
            drop(locked);
        }
        Ok(match self.start_daemons()? {
            exit::OK => outcome,
            failed => failed,
        })
    }

    fn load(mut self) -> Result<u8> {
        match self.read_and_count()? {
            Some(rules) => self.load_rules(None, Faults::SkipIfEmpty, rules),
            None => Ok(exit::OK),
        }
    }

    /// Start, after saving if that is set; `since` is when the first half of a restart by systemd was.
    fn restart(self, since: Option<SystemTime>) -> Result<u8> {
        let loads = self.loads_rules();
        if !module::is_loaded() {
            return self.start();
        }
        if !self.settings.save_on_restart {
            let Some(desired) = (if loads { self.file().read()? } else { None }) else {
                return self.start_locked(None, Faults::SkipIfEmpty, None);
            };
            // What comes in between would be lost when the rules are loaded, and not counted.
            let locked = lock::take(self.lock_wait)?;
            let unsaved = unsaved(&desired)?;
            return self.start_locked(Some(locked), Faults::SkipIfEmpty, Some(ToLoad { desired, unsaved }));
        }
        // What comes in between would be neither in the file nor, when that is loaded, in the table.
        let locked = lock::take(self.lock_wait)?;
        let is_changed = since.is_some_and(|since| self.file().is_newer(since));
        if is_changed {
            let name = self.file().name();
            say!("{name}: changed since the service was stopped, so the table is not saved to it");
        } else {
            // If the rules are to be saved and cannot be, nothing may take their place.
            self.save_or_warn()?;
        }
        let rules = match if loads { self.file().read()? } else { None } {
            Some(desired) => {
                let unsaved = if is_changed { unsaved(&desired)? } else { 0 };
                Some(ToLoad { desired, unsaved })
            }
            None => None,
        };
        self.start_locked(Some(locked), Faults::SkipIfEmpty, rules)
    }

    fn stop(self) -> Result<u8> {
        if !module::is_loaded() {
            return Ok(exit::OK);
        }
        // What is changed between saving and clearing would be lost.
        let locked = lock::take(self.lock_wait)?;
        if self.settings.save_on_stop {
            self.save_or_warn()?;
        }
        let rules_too = self.loads_rules();
        let unsaved = if rules_too { unsaved(&self.file().look())? } else { 0 };
        let mut client = module::connect()?;
        let copy = match rules_too {
            true => Copy::read(&mut client, &everything())?,
            false => Copy::none(),
        };
        let signals = self.hold.begin()?;
        let mut stopped = client.daemons()?;
        stopped.retain(|daemon| rules_too || self.is_in_settings(daemon));
        let total = stopped.len() + usize::from(rules_too);
        for (sent, daemon) in (1..).zip(stopped) {
            let stopped = client.change(&Change::StopDaemon(daemon));
            stopped.with_context(|| format!("stopping the {} daemon", daemon.role.name()))?;
            signals.answer(sent, total);
        }
        if rules_too {
            client.change(&Change::Flush)?;
            signals.answer(total, total);
            let copy = copy.finish(true);
            notes::forget_not_loaded();
            drop(client);
            drop(locked);
            report_unsaved(unsaved, copy.as_deref());
            if self.settings.modules_unload {
                module::unload()?;
            }
        }
        if signals.came().is_some() {
            say!("finished: the service is stopped");
        }
        Ok(exit::OK)
    }

    fn save(&self, force: bool) -> Result<u8> {
        if !module::is_loaded() && !force {
            say!("IPVS is not loaded: there is nothing to save, {} is left as it is", self.file().name());
            return Ok(exit::OK);
        }
        // A table that is being changed by us is none that there should be.
        let _locked = lock::take_to_read(self.lock_wait)?;
        match self.file().save(force)? {
            Saved::Yes => Ok(exit::OK),
            Saved::NothingToSave => {
                say!(
                    "{}: it has rules and the table has none, so it is left as it is; --force empties it",
                    self.file().name()
                );
                Ok(exit::FAILED)
            }
        }
    }

    /// Save before the table goes. That there is nothing in it is no reason to fail then.
    fn save_or_warn(&self) -> Result<()> {
        if let Saved::NothingToSave = self.file().save(false)? {
            say!("{}: it has rules and the table has none, so it is left as it is", self.file().name());
        }
        Ok(())
    }

    /// Make the table what the file says, all or nothing, or as far as can be.
    fn load_rules(&mut self, locked: Option<Locked>, faults: Faults, rules: ToLoad) -> Result<u8> {
        let source = RulesFile::of(&self.settings).source();
        let limits = Limits { keep_some: !self.settings.allow_empty, removals: self.settings.max_removals };
        let replace = grammar::Replace { limits, faults, ..grammar::Replace::default() };
        let replacement = Replacement { source: &source, lock_wait: self.lock_wait, hold: self.hold, say: &say };
        let Replaced { status, rest, copy, faults, .. } =
            replacement.run(rules.desired, replace, locked, self.output)?;
        if matches!(status, exit::OK | exit::PARTLY) {
            notes::note_not_loaded(&faults);
            report_unsaved(rules.unsaved, copy.as_deref());
        }
        if rest.is_empty() {
            // A service fails in one way only.
            return Ok(if status == exit::USAGE { exit::FAILED } else { status });
        }
        match apply::run(&mut module::connect()?, &rest, &source, self.lock_wait, self.output)? {
            exit::OK => Ok(status),
            _ => Ok(exit::FAILED),
        }
    }

    /// Have the daemons of the settings running.
    fn start_daemons(self) -> Result<u8> {
        let mut failed = exit::OK;
        for (daemon, place) in &self.settings.daemons {
            let mut client = module::connect()?;
            // What is there is what is wanted, and so must not change in between.
            let locked = lock::take_held(self.lock_wait, self.hold)?;
            let services = read_state(&mut client, &State::default())?.services;
            let daemons = vec![Traced { rule: (daemon.role, Some(*daemon)), line: place.line }];
            let desired = Desired::from(State { services, daemons, ..State::default() });
            let source = Source::of(Some(&place.file));
            let replacement = Replacement { source: &source, lock_wait: self.lock_wait, hold: self.hold, say: &say };
            let replaced = replacement.carry_out(&mut client, locked, desired, How::only_daemons(), None)?;
            failed = failed.max(replaced.status);
        }
        Ok(failed)
    }

    fn is_in_settings(&self, running: &Daemon) -> bool {
        self.settings.daemons.iter().any(|(daemon, _)| daemon.role == running.role)
    }
}

/// Say what is no longer in the table and in no file either, and where there is a copy.
fn report_unsaved(rules: usize, copy: Option<&Path>) {
    match rules {
        0 => return journal::report_to_people(copy),
        1 => say!("1 rule of the table was in no file"),
        _ => say!("{rules} rules of the table were in no file"),
    }
    journal::report(copy);
}

/// Settings are not read and locks not waited for: this is for emergencies, and those may be the trouble.
fn panic() -> Result<u8> {
    if !module::is_loaded() {
        return Ok(exit::OK);
    }
    let mut client = module::connect()?;
    let copy = Copy::read(&mut client, &State::default()).unwrap_or_else(|error| {
        say!("{error}: going on without a copy of the table");
        Copy::none()
    });
    let hold = Hold::default();
    let signals = hold.begin()?;
    client.change(&Change::Flush)?;
    notes::forget_not_loaded();
    journal::report(copy.finish(true).as_deref());
    if signals.came().is_some() {
        say!("finished: the table is cleared");
    }
    hold.release().map(|()| exit::OK)
}

/// All that a copy can have.
fn everything() -> State {
    let none = |role| Traced { rule: (role, None), line: 0 };
    State {
        services: Vec::new(),
        timeouts: Some(Traced { rule: Default::default(), line: 0 }),
        daemons: vec![none(DaemonRole::Master), none(DaemonRole::Backup)],
        ..State::default()
    }
}

fn rate(output: &mut Output) -> Result<u8> {
    list::run(&Listing { columns: Columns::Rate, numeric: true, ..Listing::DEFAULT }, output)
}

fn say(message: &str) {
    say!("{message}");
}
