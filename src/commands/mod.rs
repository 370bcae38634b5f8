//! What a user can ask for, each in a file of its own: a request in, an exit status out.

mod change;
mod help;
mod list;
mod output;
mod restore;
mod save;

use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::grammar::{self, Request};
use crate::host::SystemNames;
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

/// Why a command ends before its end.
#[derive(Debug)]
enum Failure {
    /// The kernel has no IPVS, refuses, or cannot be understood.
    Kernel(kernel::Error),
    /// Reading or writing failed: what, and how.
    File(String, io::Error),
    /// Everything has been said already; this is the status.
    Told(u8),
}

impl From<kernel::Error> for Failure {
    fn from(error: kernel::Error) -> Self {
        Self::Kernel(error)
    }
}

/// Standard output is the only thing that a view writes to.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::File("standard output".to_owned(), error)
    }
}

/// The program, as called with these arguments, of which the first is its name. Returns its exit status.
#[must_use]
pub fn run(arguments: &[OsString]) -> u8 {
    let (program, arguments) = match arguments.split_first() {
        Some((program, rest)) => (program.as_os_str(), rest),
        None => (OsStr::new("ipvsadm-rs"), arguments),
    };
    let mut output = Output::new();
    let outcome = match Path::new(program).file_name().map(OsStr::as_bytes) {
        Some(b"ipvsadm-save") => save::as_program(program, arguments, &mut output),
        Some(b"ipvsadm-restore") => restore::as_program(program, arguments, &mut output),
        _ => as_ipvsadm(program, arguments, &mut output),
    };
    let outcome = match output.flush() {
        Ok(()) => outcome,
        Err(error) => outcome.and(Err(error.into())),
    };
    match outcome {
        Ok(status) => status,
        Err(Failure::Told(status)) => status,
        // Whoever read our output has read enough.
        Err(Failure::File(_, error)) if error.kind() == io::ErrorKind::BrokenPipe => status::OK,
        Err(Failure::File(what, error)) => {
            eprintln!("{what}: {error}");
            status::FAILED
        }
        Err(Failure::Kernel(error)) => {
            eprintln!("{error}");
            match error {
                kernel::Error::Unavailable(_) => status::USAGE,
                kernel::Error::Refused(_) => status::REFUSED,
                _ => status::FAILED,
            }
        }
    }
}

fn as_ipvsadm(program: &OsStr, arguments: &[OsString], output: &mut Output) -> Result<u8, Failure> {
    let words = arguments.iter().map(|word| word.as_bytes());
    match grammar::parse(words, &SystemNames::default()) {
        Ok(request) => request_of(request, output),
        Err(error) => {
            eprintln!("{}", error.message(&program.to_string_lossy()));
            Err(Failure::Told(error.status()))
        }
    }
}

fn request_of(request: Request, output: &mut Output) -> Result<u8, Failure> {
    match request {
        Request::Help => help::help(output),
        Request::Version => help::version(output),
        Request::Change(change) => change::run(&change),
        Request::List(listing) => list::run(&listing, output),
        Request::Save { numeric } => save::run(numeric, output),
        Request::Restore => restore::run(output),
    }
}
