//! What a user can ask for, each in a file of its own: a request in, an exit status out.

/// Print a line on standard error, whatever is in what it names. That this fails is nothing to fail for.
macro_rules! say {
    ($($what:tt)*) => {
        $crate::commands::print_error(&$crate::escape::escaped(&format!($($what)*)))
    };
}

/// The same of several lines. What they name must not bring lines of its own.
macro_rules! say_lines {
    ($($what:tt)*) => {
        $crate::commands::print_error(&$crate::escape::escaped_lines(&format!($($what)*)))
    };
}

mod called;
mod change;
mod color;
mod compare;
mod complete;
mod diff;
mod doctor;
mod document;
mod drain;
mod health;
mod help;
mod journal;
mod labels;
mod list;
mod lock;
mod monitor;
mod names;
mod output;
mod priority;
mod progress;
mod realserver;
mod report;
mod restore;
mod save;
mod scripts;
mod service;
mod signals;
mod source;
mod state;
mod status;
mod subcommands;
mod terminal;
mod top;
mod where_client;

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::Result;

use crate::escape::{escaped, escaped_bytes};
use crate::grammar::{self, LOCK_WAIT_DEFAULT, Request};
use crate::host::{SystemNames, namespace};

use called::OWN_NAME;
#[doc(hidden)]
pub use doctor::legs;
use output::Output;
use report::{Reported, message, plain, report};
pub use subcommands::command_line;
use subcommands::{SUBCOMMANDS, Subcommand};

/// Print lines that are safe to print, on standard error.
fn print_error(lines: &str) {
    // In one piece, so that no other program's words come in between.
    let _ = io::stderr().write_all(format!("{lines}\n").as_bytes());
}

/// What `-R --replace --file FILE` does with the table, over a connection that may fail: for tests. `say` gets what would be
/// said on standard error. Returns the status, and the signal by which the program would end.
///
/// # Errors
/// The file cannot be read, or the kernel does not answer.
#[doc(hidden)]
pub fn replace_over(
    client: &mut ipvs_client::Client,
    file: &Path,
    reorder: bool,
    say: &dyn Fn(&str),
) -> (Result<u8>, Option<i32>) {
    restore::replace_over(client, file, reorder, say)
}

/// The program, as called with these arguments, of which the first is its name. Returns its exit status.
#[must_use]
pub fn run(arguments: &[OsString]) -> u8 {
    let (program, arguments) = match arguments.split_first() {
        Some((program, rest)) => (program.as_os_str(), rest),
        None => (OsStr::new(OWN_NAME), arguments),
    };
    let name = program.as_bytes().rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    let is_script = matches!(name, b"ipvsadm-save" | b"ipvsadm-restore");
    let arguments = match enter_namespace(if is_script { OWN_NAME.as_bytes() } else { name }, arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            say_lines!("{}", message(&*error));
            let is_health = arguments.first().is_some_and(|word| word == "health");
            return if is_health { health::usage_status(arguments) } else { status::USAGE };
        }
    };
    let arguments = arguments.as_ref();
    let mut output = Output::new();
    if is_script {
        journal::report_unfinished(None);
    }
    let outcome = match name {
        b"ipvsadm-save" => scripts::save(program, arguments, &mut output),
        b"ipvsadm-restore" => scripts::restore(program, arguments, &mut output),
        name => as_ipvsadm(program, name, arguments, &mut output),
    };
    let outcome = match output.finish() {
        Ok(()) => outcome,
        Err(error) => outcome.and(Err(error.into())),
    };
    outcome.unwrap_or_else(|error| report(&error))
}

/// Enter the network namespace that `--netns` names, before anything is opened or looked up; commands for it begin with this
/// program. Returns the other words.
fn enter_namespace<'a>(program: &[u8], arguments: &'a [OsString]) -> Result<Cow<'a, [OsString]>> {
    let (name, arguments) = grammar::take_namespace(arguments)?;
    if let Some(name) = &name {
        namespace::enter(name)?;
    }
    called::by(program, name);
    Ok(arguments)
}

/// `program` is the first word as it was typed, `name` its last part.
fn as_ipvsadm(program: &OsStr, name: &[u8], arguments: &[OsString], output: &mut Output) -> Result<u8> {
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
            say_lines!("{}", error.message(&escaped(program)));
            Err(Reported(error.status()).into())
        }
    }
}

fn as_subcommand(subcommand: &Subcommand, program: &[u8], arguments: &[OsString], output: &mut Output) -> Result<u8> {
    let mut command = (subcommand.command)().arg(grammar::usage::namespace_argument());
    let name = format!("{} {}", escaped_bytes(program), command.get_name());
    command = command.bin_name(name);
    match command.try_get_matches_from_mut(arguments) {
        Ok(matches) => (subcommand.run)(&matches, output),
        Err(error) if error.use_stderr() => {
            // clap shows words as they are. As they are printed, they are wrong in the same way.
            let safe = arguments.iter().map(|word| OsString::from(escaped(word).into_owned()));
            let error = command.try_get_matches_from(safe).err().unwrap_or(error);
            say_lines!("{}", error.to_string().trim_end());
            Err(Reported((subcommand.usage_status)(arguments)).into())
        }
        Err(help) => {
            output.write_all(help.to_string().as_bytes())?;
            Ok(status::OK)
        }
    }
}

/// Do it, after waiting this many seconds at most for the lock on the table, if it is something that changes the table.
fn request_of(request: Request, program: &[u8], lock_wait: u32, output: &mut Output) -> Result<u8> {
    match &request {
        Request::Help | Request::Version(_) => {}
        request => {
            let file = if let Request::Restore(restore) = request { restore.file.as_deref() } else { None };
            journal::report_unfinished(file);
            drain::spare::report_abandoned();
        }
    }
    match request {
        Request::Help => help::help(&escaped_bytes(program), output),
        Request::Version(json) => help::version(json, output),
        Request::Change(change) => change::run(&change, lock_wait),
        Request::Drain(drain) => drain::run(&drain, lock_wait),
        Request::List(listing) => list::run(&listing, output),
        Request::Metrics(metrics) => list::metrics::run(&metrics, output),
        Request::Save(save) => save::run(&save, lock_wait, output),
        Request::Restore(restore) => restore::run(&restore, lock_wait, output),
    }
}
