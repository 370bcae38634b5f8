//! Errors, as they are reported and as exit statuses.

use std::{fmt, io};

use super::signals::Interrupted;
use super::status;
use crate::escape::escaped;
use crate::grammar;
use crate::host::module;

/// A command ends here, and everything has been said already; this is the status.
#[derive(Debug)]
pub(super) struct Reported(pub(super) u8);

impl fmt::Display for Reported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit status {}", self.0)
    }
}

impl std::error::Error for Reported {}

/// Say what happened. Returns the exit status for it.
pub(super) fn report(error: &anyhow::Error) -> u8 {
    if let Some(Reported(status)) = error.downcast_ref() {
        return *status;
    }
    if let Some(interrupted) = error.downcast_ref::<Interrupted>() {
        return interrupted.end();
    }
    let kind = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
    if kind == Some(io::ErrorKind::BrokenPipe) && error.downcast_ref::<ipvs_client::Error>().is_none() {
        // The reader of our output has read enough.
        return status::OK;
    }
    let causes: Vec<String> = error.chain().map(message).collect();
    say_lines!("{}", plain(&causes.join(": ")));
    if error.downcast_ref::<module::LoadFailure>().is_some() {
        return status::USAGE;
    }
    match error.downcast_ref() {
        Some(ipvs_client::Error::NotLoaded | ipvs_client::Error::NotPermitted) => status::USAGE,
        Some(ipvs_client::Error::Refused(_)) => status::REFUSED,
        _ => status::FAILED,
    }
}

/// What a command came to that has kept signals back: if one has come, the program ends by that, and an error is reported
/// now.
pub(super) fn unless_interrupted<T>(outcome: anyhow::Result<T>, released: anyhow::Result<()>) -> anyhow::Result<T> {
    match (outcome, released) {
        (Err(error), Err(interrupted)) if !error.is::<Interrupted>() => {
            report(&error);
            Err(interrupted)
        }
        (outcome, released) => released.and(outcome),
    }
}

/// An error in one line, or in its own lines where it has several.
pub(super) fn message(error: &(dyn std::error::Error + 'static)) -> String {
    if let Some(error) = error.downcast_ref() {
        return module::message(error);
    }
    let text = error.to_string();
    let has_lines =
        error.is::<module::LoadFailure>() || error.is::<module::UnloadFailure>() || error.is::<grammar::Error>();
    if has_lines { text } else { escaped(&text).into_owned() }
}

/// The message without the number that the standard library adds to what the C library says.
pub(super) fn plain(message: &str) -> &str {
    match message.rsplit_once(" (os error ") {
        Some((text, number)) if number.trim_end_matches(')').bytes().all(|byte| byte.is_ascii_digit()) => text,
        _ => message,
    }
}
