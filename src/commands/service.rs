//! `service VERB`: what boot scripts do for the table, with the settings that distributions have had for it.

use std::fs::{self, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, anyhow, bail};
use clap::{Arg, ArgAction, ArgMatches, Command};
use ipvs_client::{
    Change, Daemon, DaemonRole, Limits,
    plan::{self, Options, State, Step, Traced},
};
use serde::Serialize;

use super::journal::{self, Copy};
use super::list;
use super::lock::{self, Locked};
use super::restore::apply;
use super::restore::exchange::Replaced;
use super::restore::replace::Replacement;
use super::save;
use super::signals::{Hold, Interrupted};
use super::source::Source;
use super::state::read_state;
use super::told::{plain, unless_interrupted};
use super::{Output, document, status, tell};
use crate::escape::escaped;
use crate::grammar::{self, Columns, Faults, LOCK_WAIT_DEFAULT, Listing, RESOLVE_TIMEOUT_DEFAULT, Save};
use crate::host::file::{self, ReplaceError};
use crate::host::input;
use crate::host::lock::{Lock, LockError};
use crate::host::module;
use crate::host::sysconfig::Settings;
use crate::host::systemd;
use crate::rules::Desired;
use crate::view::{json, text};

/// Held by whatever changes the table or the file of rules.
const LOCK: &str = "/run/ipvsadm-rs/service.lock";
/// What could not be loaded of the rules that the table has now, line by line as it was reported.
const NOT_LOADED: &str = "/run/ipvsadm-rs/not-loaded";
/// There while systemd restarts the service, from its stop to its start.
const RESTARTING: &str = "/run/ipvsadm-rs/restarting";

/// Exit statuses of `status` as the Linux Standard Base has them for init scripts.
mod lsb {
    /// The program is not running.
    pub(super) const NOT_RUNNING: u8 = 3;
    /// Whether it runs is unknown.
    pub(super) const UNKNOWN: u8 = 4;
}

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
    journal::tell_of_unfinished(None);
    let outcome = match verb {
        "status" => {
            let outcome = print_status(document::wanted(matches), output);
            return Ok(outcome.unwrap_or_else(|error| worst(&error, lsb::UNKNOWN)));
        }
        "rate" => rate(output),
        "panic" => panic(),
        "stop" if matches.get_one::<String>("unit").is_some_and(|unit| systemd::is_restarting(unit)) => {
            note_restarting().map(|()| status::OK)
        }
        _ => change(verb, matches, output),
    };
    // Whatever went wrong, to what started this as a service it is one thing: it failed.
    Ok(outcome.unwrap_or_else(|error| worst(&error, status::FAILED)))
}

/// Say what happened; the status is this one, unless nothing was wrong but a reader that had enough.
fn worst(error: &anyhow::Error, failed: u8) -> u8 {
    match tell(error) {
        by_signal if error.is::<Interrupted>() => by_signal,
        status::OK => status::OK,
        _ => failed,
    }
}

/// The verbs that change something.
fn change(verb: &str, matches: &ArgMatches, output: &mut Output) -> Result<u8> {
    let _lock = take_lock()?;
    // Whatever comes of this: a later start must not be taken for the end of that restart.
    let restarting = take_mark()?;
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
            service.rules()
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

/// What came of an attempt to save.
enum Saved {
    Yes,
    /// Not, because that would have replaced rules by nothing.
    NothingToSave,
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
        let unsaved = if self.settings.rules_left_alone.is_none() { self.look()? } else { 0 };
        self.start_locked(None, Faults::SkipIfEmpty, unsaved)
    }

    fn reload(self) -> Result<u8> {
        self.start_locked(None, Faults::Refuse, 0)
    }

    /// Count what of the table is in no file, before rules take its place. The lock is let go again: the file is read before it
    /// is taken for the change, since others wait for it.
    fn look(&self) -> Result<usize> {
        if !module::is_loaded() {
            return Ok(0);
        }
        let _locked = lock::take(self.lock_wait)?;
        self.unsaved()
    }

    /// Start; the lock on the table may be held already. So many rules of the table are in no file.
    fn start_locked(mut self, locked: Option<Locked>, faults: Faults, unsaved: usize) -> Result<u8> {
        let mut outcome = status::OK;
        if let Some(place) = &self.settings.rules_left_alone {
            drop(locked);
            say!("{place}: AUTO says that rules are not loaded: `ipvsadm-rs service load' does it anyway");
        } else {
            outcome = self.load_rules(locked, faults, unsaved)?;
            if !matches!(outcome, status::OK | status::PARTLY) {
                return Ok(outcome);
            }
        }
        Ok(match self.start_daemons()? {
            status::OK => outcome,
            failed => failed,
        })
    }

    fn load(mut self) -> Result<u8> {
        let unsaved = self.look()?;
        self.load_rules(None, Faults::SkipIfEmpty, unsaved)
    }

    /// Start, after saving if that is set; `since` is when the first half of a restart by systemd was.
    fn restart(self, since: Option<SystemTime>) -> Result<u8> {
        let mut locked = None;
        let mut unsaved = 0;
        if module::is_loaded() && (self.settings.save_on_restart || self.settings.rules_left_alone.is_none()) {
            // What comes in between would be neither in the file nor, when that is loaded, in the table.
            locked = Some(lock::take(self.lock_wait)?);
            if !self.settings.save_on_restart {
                unsaved = self.unsaved()?;
            } else if since.is_some_and(|since| is_newer(&self.settings.rules, since)) {
                say!("{}: changed since the service was stopped, so the table is not saved to it", self.rules());
                unsaved = self.unsaved()?;
            } else {
                // If the rules are to be saved and cannot be, nothing may take their place.
                self.save_or_warn()?;
            }
        }
        self.start_locked(locked, Faults::SkipIfEmpty, unsaved)
    }

    fn stop(self) -> Result<u8> {
        if !module::is_loaded() {
            return Ok(status::OK);
        }
        // What is changed between saving and clearing would be lost.
        let locked = lock::take(self.lock_wait)?;
        if self.settings.save_on_stop {
            self.save_or_warn()?;
        }
        let rules_too = self.settings.rules_left_alone.is_none();
        let unsaved = if rules_too { self.unsaved()? } else { 0 };
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
            forget_not_loaded();
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
        Ok(status::OK)
    }

    /// How many rules of the table, services and servers, are not in the file of rules as they are in the table.
    fn unsaved(&self) -> Result<usize> {
        let have = read_state(&mut module::connect()?, &State::default())?;
        if have.services.is_empty() {
            return Ok(0);
        }
        // What cannot be read, now or at the next start, holds no rules; what is in a pipe is read once, when it is loaded.
        let path = &self.settings.rules;
        let file = match fs::metadata(path).is_ok_and(|file| file.is_file()) {
            true => Source::of(Some(path)).good_lines().unwrap_or_default(),
            false => Desired::default(),
        };
        let file = State { services: file.state.services, ..State::default() };
        let is_missing = |step: &Step| !matches!(step.change, Change::DeleteService(_) | Change::DeleteDestination(..));
        Ok(plan::difference(&file, &have, Options::default()).iter().filter(|step| is_missing(step)).count())
    }

    fn save(&self, force: bool) -> Result<u8> {
        if !module::is_loaded() && !force {
            say!("IPVS is not loaded: there is nothing to save, {} is left as it is", self.rules());
            return Ok(status::OK);
        }
        // A table that is being changed by us is none that there should be.
        let _locked = lock::take_to_read(self.lock_wait)?;
        match self.save_rules(force)? {
            Saved::Yes => Ok(status::OK),
            Saved::NothingToSave => {
                say!(
                    "{}: it has rules and the table has none, so it is left as it is; --force empties it",
                    self.rules()
                );
                Ok(status::FAILED)
            }
        }
    }

    /// Save before the table goes. That there is nothing in it is no reason to fail then.
    fn save_or_warn(&self) -> Result<()> {
        if let Saved::NothingToSave = self.save_rules(false)? {
            say!("{}: it has rules and the table has none, so it is left as it is", self.rules());
        }
        Ok(())
    }

    /// Write the table to the file of rules, with the timeouts, and with the daemons that are not in the settings anyway.
    fn save_rules(&self, force: bool) -> Result<Saved> {
        let mut client = module::connect()?;
        let mut text = Vec::new();
        // Names would make the next boot depend on the name service.
        let save = Save { numeric: true, resolve_timeout: RESOLVE_TIMEOUT_DEFAULT, all: true, file: None };
        let of_settings: Vec<DaemonRole> = self.settings.daemons.iter().map(|(daemon, _)| daemon.role).collect();
        save::Saved::read(&mut client, &save, &of_settings)?.write(&save, &mut text)?;
        let path = &self.settings.rules;
        let new = Worth::of(&text);
        if !force && new < Worth::Rules {
            match input::read(path) {
                Ok(old) if new < Worth::of(&old) => return Ok(Saved::NothingToSave),
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).context(self.rules()),
                _ => {}
            }
        }
        if Path::new(NOT_LOADED).exists() {
            self.keep_not_loaded()?;
        }
        let lost = file::replace(path, &text).map_err(|error| {
            let what = match error {
                ReplaceError::NotDurable(_) => self.rules(),
                _ => format!("{}: the rules are not saved", self.rules()),
            };
            anyhow::Error::new(error).context(what)
        })?;
        for what in lost {
            say!("{}: {what}", self.rules());
        }
        forget_not_loaded();
        Ok(Saved::Yes)
    }

    /// Keep the lines that could not be loaded: the table that takes their place in the file does not have them.
    fn keep_not_loaded(&self) -> Result<()> {
        let mut kept = self.settings.rules.clone().into_os_string();
        kept.push(".not-loaded");
        let kept = PathBuf::from(kept);
        let text = match input::read(&self.settings.rules) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            text => text.with_context(|| self.rules())?,
        };
        let lost = file::replace(&kept, &text);
        let kept = kept.display();
        for what in lost.with_context(|| format!("{kept}: the rules are not saved"))? {
            say!("{kept}: {what}");
        }
        say!("{}: some of its lines could not be loaded; the file from before is {kept}", self.rules());
        Ok(())
    }

    /// Make the table what the file says, all or nothing, or as far as can be.
    fn load_rules(&mut self, locked: Option<Locked>, faults: Faults, unsaved: usize) -> Result<u8> {
        let path = &self.settings.rules;
        if matches!(fs::metadata(path), Err(error) if error.kind() == io::ErrorKind::NotFound) {
            say!(
                "{}: there is no such file, so the table is left as it is; `ipvsadm-rs service save' makes one of it",
                self.rules()
            );
            return Ok(status::OK);
        }
        let source = Source::of(Some(path));
        let mut desired = source.desired_with_faults()?;
        // Of a daemon that is in both, the settings have the last word.
        let daemons = &self.settings.daemons;
        desired.state.daemons.retain(|traced| daemons.iter().all(|(daemon, _)| daemon.role != traced.rule.0));
        let limits = Limits { keep_some: !self.settings.allow_empty, removals: self.settings.max_removals };
        let replace = grammar::Replace { limits, faults, ..grammar::Replace::default() };
        let replacement = Replacement { source: &source, lock_wait: self.lock_wait, hold: self.hold, say: &say };
        let Replaced { status, rest, copy, faults } = replacement.run(desired, replace, locked, self.output)?;
        if matches!(status, status::OK | status::PARTLY) {
            note_not_loaded(&faults);
            report_unsaved(unsaved, copy.as_deref());
        }
        if rest.is_empty() {
            // A service fails in one way only.
            return Ok(if status == status::USAGE { status::FAILED } else { status });
        }
        match apply::run(&mut module::connect()?, &rest, &source, self.lock_wait, self.output)? {
            status::OK => Ok(status),
            _ => Ok(status::FAILED),
        }
    }

    /// Have the daemons of the settings running.
    fn start_daemons(self) -> Result<u8> {
        let mut failed = status::OK;
        for (daemon, place) in &self.settings.daemons {
            let mut client = module::connect()?;
            // What is there is what is wanted, and so must not change in between.
            let locked = lock::take_held(self.lock_wait, self.hold)?;
            let services = read_state(&mut client, &State::default())?.services;
            let daemons = vec![Traced { rule: (daemon.role, Some(*daemon)), line: place.line }];
            let desired = Desired::from(State { services, daemons, timeouts: None });
            let source = Source::of(Some(&place.file));
            let replacement = Replacement { source: &source, lock_wait: self.lock_wait, hold: self.hold, say: &say };
            let replaced = replacement.carry_out(&mut client, locked, desired, Default::default(), None)?;
            failed = failed.max(replaced.status);
        }
        Ok(failed)
    }

    fn is_in_settings(&self, running: &Daemon) -> bool {
        self.settings.daemons.iter().any(|(daemon, _)| daemon.role == running.role)
    }

    /// The file of rules, for messages.
    fn rules(&self) -> String {
        escaped(&self.settings.rules).into_owned()
    }
}

/// Keep for the status what could not be loaded. That this fails is printed, and nothing to fail for.
fn note_not_loaded(faults: &[String]) {
    if faults.is_empty() {
        return forget_not_loaded();
    }
    let path = Path::new(NOT_LOADED);
    let text: String = faults.iter().map(|line| format!("{line}\n")).collect();
    let made = path.parent().map_or(Ok(()), fs::create_dir_all);
    if let Err(error) = made.and_then(|()| file::replace(path, text.as_bytes()).map_err(io::Error::other)) {
        say!("{NOT_LOADED}: {error}");
    }
}

fn forget_not_loaded() {
    if Path::new(NOT_LOADED).exists()
        && let Err(error) = fs::remove_file(NOT_LOADED)
    {
        say!("{NOT_LOADED}: {}: status goes on to list what is in it", plain(&error.to_string()));
    }
}

/// What could not be loaded of the rules that the table has.
fn not_loaded() -> Vec<String> {
    let text = fs::read(NOT_LOADED).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().map(str::to_owned).collect()
}

/// Leave the mark for the start that follows. Neither settings nor the lock can keep it from being left: without it, that
/// start would not save what is to be saved.
fn note_restarting() -> Result<()> {
    let mark = Path::new(RESTARTING);
    mark.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(mark, "")).context(RESTARTING)
}

/// When the first half of a restart was, if this is the other one. The mark is used up.
fn take_mark() -> Result<Option<SystemTime>> {
    let mark = Path::new(RESTARTING);
    let since = match fs::symlink_metadata(mark).and_then(|mark| mark.modified()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        since => since.context(RESTARTING)?,
    };
    fs::remove_file(mark).context(RESTARTING)?;
    Ok(Some(since))
}

/// Whether a file, or the link to it, was changed after this time, whatever its date says.
fn is_newer(path: &Path, than: SystemTime) -> bool {
    let changed = |there: io::Result<Metadata>| {
        let there = there.ok()?;
        let ctime = Duration::new(there.ctime().try_into().ok()?, there.ctime_nsec().try_into().ok()?);
        Some(SystemTime::UNIX_EPOCH + ctime)
    };
    let times = [fs::metadata(path), fs::symlink_metadata(path)].map(changed);
    // Of the same moment: then in doubt the file is.
    times.into_iter().flatten().any(|time| time >= than)
}

/// Say what is no longer in the table and in no file either, and where there is a copy.
fn report_unsaved(rules: usize, copy: Option<&Path>) {
    match rules {
        0 => return journal::tell_people(copy),
        1 => say!("1 rule of the table was in no file"),
        _ => say!("{rules} rules of the table were in no file"),
    }
    journal::tell(copy);
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

/// Nothing is asked first, and nothing waited for: who calls for this is in a hurry, and the settings may be the trouble.
fn panic() -> Result<u8> {
    if !module::is_loaded() {
        return Ok(status::OK);
    }
    let mut client = module::connect()?;
    let copy = Copy::read(&mut client, &State::default()).unwrap_or_else(|error| {
        say!("{error}: going on without a copy of the table");
        Copy::none()
    });
    let hold = Hold::default();
    hold.begin()?;
    client.change(&Change::Flush)?;
    forget_not_loaded();
    journal::tell(copy.finish(true).as_deref());
    hold.release().map(|()| status::OK)
}

/// All that a copy can have.
fn everything() -> State {
    let none = |role| Traced { rule: (role, None), line: 0 };
    State {
        services: Vec::new(),
        timeouts: Some(Traced { rule: Default::default(), line: 0 }),
        daemons: vec![none(DaemonRole::Master), none(DaemonRole::Backup)],
    }
}

fn rate(output: &mut Output) -> Result<u8> {
    list::run(&Listing { columns: Columns::Rate, numeric: true, ..Listing::DEFAULT }, output)
}

/// What `status --json` tells.
#[derive(Serialize)]
struct Status {
    /// Whether there is a virtual service or a daemon.
    running: bool,
    /// Whether the kernel has IPVS now.
    ipvs_loaded: bool,
    /// Virtual services in the table.
    virtual_services: usize,
    /// Real servers of all of them.
    real_servers: usize,
    /// The synchronisation daemons that run.
    daemons: Vec<RunningDaemon>,
    /// The file of rules.
    rules_file: String,
    /// What could not be loaded of it, as it was reported.
    not_loaded: Vec<String>,
}

#[derive(Serialize)]
struct RunningDaemon {
    role: &'static str,
    interface: String,
    sync_id: u32,
}

fn print_status(as_json: Option<bool>, output: &mut Output) -> Result<u8> {
    let settings = Settings::read()?;
    let mut status = Status {
        running: false,
        ipvs_loaded: module::is_loaded(),
        virtual_services: 0,
        real_servers: 0,
        daemons: Vec::new(),
        rules_file: settings.rules.display().to_string(),
        not_loaded: not_loaded(),
    };
    if status.ipvs_loaded {
        let mut client = module::connect()?;
        let services = client.service_rules()?;
        status.virtual_services = services.len();
        if as_json.is_some() {
            for service in services {
                status.real_servers += client.destination_rules(&service.key)?.map_or(0, |servers| servers.len());
            }
        }
        let daemons = client.daemons()?;
        status.daemons = daemons.iter().map(RunningDaemon::from).collect();
        status.running = status.virtual_services > 0 || !daemons.is_empty();
        if as_json.is_none() {
            let listing = Listing { numeric: settings.status_numeric, ..Listing::DEFAULT };
            list::listing_with(&mut client, &listing, output)?;
            for daemon in &daemons {
                text::daemon(output, daemon)?;
            }
            if let [_, ..] = &status.not_loaded[..] {
                writeln!(output, "Not loaded:")?;
                status.not_loaded.iter().try_for_each(|line| writeln!(output, "{line}"))?;
            }
        }
    } else if as_json.is_none() {
        writeln!(output, "IPVS is not loaded.")?;
    }
    if let Some(pretty) = as_json {
        json::write(&mut *output, "service_status", &status, pretty)?;
    }
    Ok(if status.running { super::status::OK } else { lsb::NOT_RUNNING })
}

impl From<&Daemon> for RunningDaemon {
    fn from(daemon: &Daemon) -> Self {
        let interface = daemon.interface.text().into_owned();
        Self { role: daemon.role.name(), interface, sync_id: daemon.sync_id }
    }
}

fn say(message: &str) {
    say!("{message}");
}
