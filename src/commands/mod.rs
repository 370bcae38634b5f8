//! What a user can ask for, each in a file of its own: a request in, an exit status out.

/// Say something on standard error. That this fails is nothing to fail for.
macro_rules! say {
    ($($what:tt)*) => {{
        use std::io::Write as _;
        // In one piece, so that nobody else's words come in between.
        let _ = std::io::stderr().write_all(format!("{}\n", format_args!($($what)*)).as_bytes());
    }};
}

mod change;
mod color;
mod complete;
mod diff;
mod doctor;
mod document;
mod drain;
mod help;
mod list;
mod lock;
mod output;
mod progress;
mod realserver;
mod restore;
mod save;
mod service;
mod signals;
mod source;
mod state;
mod terminal;
mod top;

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::Result;

use crate::grammar::{self, LOCK_WAIT_DEFAULT, Request};
use crate::host::{SystemNames, module, namespace};
use crate::kernel;
use output::Output;

/// The exit statuses of ipvsadm.
mod status {
    /// All is well.
    pub const OK: u8 = 0;
    /// A listing or a file failed.
    pub const FAILED: u8 = 1;
    /// Wrong use, or no IPVS.
    pub const USAGE: u8 = 2;
    /// The kernel refused a change.
    pub const REFUSED: u8 = 255;
}

/// A command ends here, and everything has been said already; this is the status.
#[derive(Debug)]
struct Told(u8);

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit status {}", self.0)
    }
}

impl std::error::Error for Told {}

/// The program, as called with these arguments, of which the first is its name. Returns its exit status.
#[must_use]
pub fn run(arguments: &[OsString]) -> u8 {
    let (program, arguments) = match arguments.split_first() {
        Some((program, rest)) => (program.as_os_str(), rest),
        None => (OsStr::new("ipvsadm-rs"), arguments),
    };
    let name = Path::new(program).file_name().unwrap_or(program).to_string_lossy();
    let arguments = match enter_namespace(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            say!("{error}");
            return status::USAGE;
        }
    };
    let arguments = arguments.as_ref();
    let mut output = Output::new();
    let outcome = match name.as_ref() {
        "ipvsadm-save" => save::as_program(program, arguments, &mut output),
        "ipvsadm-restore" => restore::as_program(program, arguments, &mut output),
        name => as_ipvsadm(program, name, arguments, &mut output),
    };
    let outcome = match output.finish() {
        Ok(()) => outcome,
        Err(error) => outcome.and(Err(error.into())),
    };
    outcome.unwrap_or_else(|error| tell(&error))
}

/// Enter the network namespace that `--netns` names, before anything is opened or looked up. Returns the other words.
fn enter_namespace(arguments: &[OsString]) -> Result<Cow<'_, [OsString]>> {
    let (name, arguments) = grammar::take_namespace(arguments)?;
    if let Some(name) = name {
        namespace::enter(&name)?;
    }
    Ok(arguments)
}

/// Say what happened. Returns the exit status for it.
fn tell(error: &anyhow::Error) -> u8 {
    if let Some(Told(status)) = error.downcast_ref() {
        return *status;
    }
    let kind = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
    if kind == Some(io::ErrorKind::BrokenPipe) && error.downcast_ref::<kernel::Error>().is_none() {
        // Whoever read our output has read enough.
        return status::OK;
    }
    let causes = error.chain().map(|cause| cause.downcast_ref().map_or_else(|| cause.to_string(), module::message));
    say!("{}", plain(&causes.collect::<Vec<_>>().join(": ")));
    if error.downcast_ref::<module::LoadFailure>().is_some() {
        return status::USAGE;
    }
    match error.downcast_ref() {
        Some(kernel::Error::NotLoaded | kernel::Error::NotPermitted) => status::USAGE,
        Some(kernel::Error::Refused(_)) => status::REFUSED,
        _ => status::FAILED,
    }
}

/// The message without the number that the standard library adds to what the C library says.
fn plain(message: &str) -> &str {
    match message.rsplit_once(" (os error ") {
        Some((text, number)) if number.trim_end_matches(')').bytes().all(|byte| byte.is_ascii_digit()) => text,
        _ => message,
    }
}

/// What else this program can do, called by a word of its own. A lone word never was a command of ipvsadm.
struct Subcommand {
    /// The word, what may follow it, and its help.
    command: fn() -> clap::Command,
    run: fn(&clap::ArgMatches, &mut Output) -> Result<u8>,
}

const SUBCOMMANDS: &[Subcommand] = &[
    Subcommand { command: diff::command, run: diff::run },
    Subcommand { command: top::command, run: top::run },
    Subcommand { command: service::command, run: service::run },
    Subcommand { command: doctor::command, run: doctor::run },
    Subcommand { command: realserver::command, run: realserver::run },
];

/// The whole command line of a program that was called by this name, for help, completions and manual.
#[must_use]
pub fn command_line(program: &str) -> clap::Command {
    grammar::usage::command(program).subcommands(SUBCOMMANDS.iter().map(|subcommand| (subcommand.command)()))
}

/// `program` is the first word as it was typed, `name` its last part.
fn as_ipvsadm(program: &OsStr, name: &str, arguments: &[OsString], output: &mut Output) -> Result<u8> {
    let first = arguments.first().and_then(|word| word.to_str()).unwrap_or_default();
    // A word with a dash comes first in nearly every call, and then clap has nothing to do.
    if !first.starts_with('-')
        && let Some(subcommand) = SUBCOMMANDS.iter().find(|subcommand| (subcommand.command)().get_name() == first)
    {
        return as_subcommand(subcommand, name, arguments, output);
    }
    if complete::is_meant(arguments) {
        return complete::run(arguments, output);
    }
    let words = arguments.iter().map(|word| word.as_bytes());
    match grammar::parse_noting(words, &SystemNames::default()) {
        Ok(parsed) => request_of(parsed.request, name, parsed.lock_wait.unwrap_or(LOCK_WAIT_DEFAULT), output),
        Err(error) => {
            say!("{}", error.message(&program.to_string_lossy()));
            Err(Told(error.status()).into())
        }
    }
}

fn as_subcommand(subcommand: &Subcommand, program: &str, arguments: &[OsString], output: &mut Output) -> Result<u8> {
    let command = (subcommand.command)().arg(grammar::usage::namespace_argument());
    let name = format!("{program} {}", command.get_name());
    match command.bin_name(name).try_get_matches_from(arguments) {
        Ok(matches) => (subcommand.run)(&matches, output),
        Err(error) if error.use_stderr() => {
            say!("{}", error.to_string().trim_end());
            Err(Told(status::USAGE).into())
        }
        Err(help) => {
            output.write_all(help.to_string().as_bytes())?;
            Ok(status::OK)
        }
    }
}

/// Do it, after waiting so many seconds at most for the lock on the table, if it is something that changes the table.
fn request_of(request: Request, program: &str, lock_wait: u32, output: &mut Output) -> Result<u8> {
    match request {
        Request::Help => help::help(program, output),
        Request::Version(json) => help::version(json, output),
        Request::Change(change) => change::run(&change, lock_wait),
        Request::Drain(drain) => drain::run(&drain, lock_wait),
        Request::List(listing) => list::run(&listing, output),
        Request::Save(save) => save::run(&save, output),
        Request::Restore(restore) => restore::run(&restore, lock_wait, output),
    }
}
