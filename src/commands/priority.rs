//! What goes to the journal of systemd as an error.

use std::env;
use std::io::stderr;

use nix::sys::stat::fstat;

/// What a line on standard error begins with to be an error in the journal, sd-daemon(3); nothing if it does not go there.
#[must_use]
pub(super) fn of_errors() -> &'static str {
    let journal = env::var("JOURNAL_STREAM").ok();
    let journal = journal.as_deref().and_then(|stream| stream.split_once(':'));
    let numbers = journal.and_then(|(device, inode)| Some((device.parse().ok()?, inode.parse().ok()?)));
    match (numbers, fstat(stderr())) {
        (Some(numbers), Ok(status)) if numbers == (status.st_dev, status.st_ino) => "<3>",
        _ => "",
    }
}
