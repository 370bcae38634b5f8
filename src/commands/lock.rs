//! The lock on the table, which keeps our own writers apart: what changes the table holds it, others wait.
//!
//! Readers never take it, and other programs do not know it. Where there can be no lock, because only root can open its
//! file or `/run` cannot be written, there is none, and nothing fails for that.

use std::fs::File;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::getpid;

use super::signals::{Hold, Signals};
use crate::host::lock::{Share, TABLE_LOCK, TableLock};

/// Between two tries: the first time, and at most.
const PAUSE_FIRST: Duration = Duration::from_millis(1);
const PAUSE_LONGEST: Duration = Duration::from_millis(50);
/// Waiting longer than this is reported.
const PATIENCE: Duration = Duration::from_secs(2);
/// Seconds that a screen may stand still: less than that.
const BRIEFLY: u32 = 1;
/// Of the holder's command line, this many bytes are shown.
const COMMAND_SHOWN: usize = 64;

/// The table is ours to change until this is dropped; or there can be no lock here.
#[must_use]
pub(super) struct Locked {
    _lock: Option<TableLock>,
}

/// What a wait for the lock came to.
enum Outcome {
    Locked(Locked),
    /// It was given up at a signal.
    Interrupted,
    /// Another program holds it still.
    Held(Holder),
}

/// Lock the table. If another process of ours is changing it, wait this many seconds for that, and say so on standard error
/// if it takes long.
pub(super) fn take(seconds: u32) -> Result<Locked> {
    alone_or_shared(Share::Alone, seconds)
}

/// Keep the table from being changed by a process of ours, as [`take`] does, while others may read it just as well.
pub(super) fn take_to_read(seconds: u32) -> Result<Locked> {
    alone_or_shared(Share::WithReaders, seconds)
}

fn alone_or_shared(share: Share, seconds: u32) -> Result<Locked> {
    match wait(share, seconds, sleep) {
        Outcome::Locked(locked) => Ok(locked),
        Outcome::Held(holder) => Err(not_done(&holder, seconds)),
        // Nothing interrupts a sleep but the end of the program.
        Outcome::Interrupted => Err(io::Error::from(io::ErrorKind::Interrupted).into()),
    }
}

/// As [`take`], while signals are kept back if they are. The error of one that comes is [`Interrupted`].
pub(super) fn take_held(seconds: u32, hold: &Hold) -> Result<Locked> {
    let Some(signals) = hold.signals() else { return take(seconds) };
    if let Some(locked) = take_unless(seconds, signals)? {
        return Ok(locked);
    }
    Err(signals.came().map_or_else(|| io::Error::from(io::ErrorKind::Interrupted).into(), anyhow::Error::from))
}

/// As [`take`], while signals are kept back. None if one has come; it is left to be read.
pub(super) fn take_unless(seconds: u32, signals: &Signals) -> Result<Option<Locked>> {
    match wait(Share::Alone, seconds, |time| sleep_unless(time, signals)) {
        Outcome::Locked(locked) => Ok(Some(locked)),
        Outcome::Interrupted => Ok(None),
        Outcome::Held(holder) => Err(not_done(&holder, seconds)),
    }
}

/// As [`take`], to put back what was changed: if the wait is in vain, or ended by one of these signals, it is
/// done anyway.
pub(super) fn take_to_go_back(seconds: u32, signals: Option<&Signals>) -> Locked {
    let outcome = wait(Share::Alone, seconds, |time| match signals {
        Some(signals) => sleep_unless(time, signals),
        None => sleep(time),
    });
    match outcome {
        Outcome::Locked(locked) => locked,
        Outcome::Interrupted => Locked { _lock: None },
        Outcome::Held(holder) => {
            say!("{holder} is changing the table: rolling back anyway");
            Locked { _lock: None }
        }
    }
}

/// As [`take`], for a program that shows something else at the same time: with little patience, and not a word on standard error.
/// What is to be said of a wait in vain is given back.
pub(super) fn take_briefly() -> Result<Locked, String> {
    match wait(Share::Alone, BRIEFLY, sleep) {
        Outcome::Locked(locked) => Ok(locked),
        Outcome::Interrupted => Err("interrupted".to_owned()),
        Outcome::Held(holder) => Err(format!("{holder} is changing the table: not done")),
    }
}

fn sleep(time: Duration) -> ControlFlow<()> {
    thread::sleep(time);
    ControlFlow::Continue(())
}

/// Wait for this long, or until one of these signals comes.
fn sleep_unless(time: Duration, signals: &Signals) -> ControlFlow<()> {
    let timeout = PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX);
    match poll(&mut [PollFd::new(signals.as_fd(), PollFlags::POLLIN)], timeout) {
        Ok(0) | Err(_) => ControlFlow::Continue(()),
        Ok(_) => ControlFlow::Break(()),
    }
}

fn not_done(holder: &Holder, seconds: u32) -> anyhow::Error {
    match seconds {
        0 => anyhow!("{holder} is changing the table: not done; --lock-wait SECONDS waits for it"),
        1 => anyhow!("{holder} is changing the table: not done after waiting 1 second (--lock-wait)"),
        _ => anyhow!("{holder} is changing the table: not done after waiting {seconds} seconds (--lock-wait)"),
    }
}

fn wait(share: Share, seconds: u32, mut pause: impl FnMut(Duration) -> ControlFlow<()>) -> Outcome {
    let lock = match TableLock::open(Path::new(TABLE_LOCK)) {
        Ok(lock) => lock,
        Err(error) => return without(&error),
    };
    let limit = Duration::from_secs(seconds.into());
    let (mut started, mut next, mut reported) = (None, PAUSE_FIRST, false);
    loop {
        match lock.try_take(share) {
            Ok(true) => return Outcome::Locked(Locked { _lock: Some(lock) }),
            Ok(false) => {}
            Err(error) => return without(&error),
        }
        // Nearly always the first try succeeds, and needs no clock.
        let waited = started.get_or_insert_with(Instant::now).elapsed();
        if waited >= limit {
            return Outcome::Held(Holder(lock.holder()));
        }
        if waited >= PATIENCE && !reported {
            say!("waiting for {}, which is changing the table", Holder(lock.holder()));
            reported = true;
        }
        if pause(next.min(limit - waited)).is_break() {
            return Outcome::Interrupted;
        }
        next = (next * 2).min(PAUSE_LONGEST);
    }
}

/// There can be no lock: that is reported unless permission is missing.
fn without(error: &io::Error) -> Outcome {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::NotFound => {}
        _ => say!("{TABLE_LOCK}: {}: going on without the lock", super::plain(&error.to_string())),
    }
    Outcome::Locked(Locked { _lock: None })
}

/// A process as messages name it, if it is known.
struct Holder(Option<u32>);

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Some(process) = self.0 else { return f.write_str("another process") };
        write!(f, "process {process}")?;
        match command_of(process) {
            Some(command) => write!(f, " ({command})"),
            None => Ok(()),
        }
    }
}

/// This process as messages name it.
pub(super) fn this_process() -> String {
    Holder(u32::try_from(getpid().as_raw()).ok()).to_string()
}

/// The command line of a process.
fn command_of(process: u32) -> Option<String> {
    let mut words = Vec::new();
    let file = File::open(format!("/proc/{process}/cmdline")).ok()?;
    file.take(COMMAND_SHOWN as u64 + 1).read_to_end(&mut words).ok()?;
    printable(&words)
}

/// Words that end with NULs, of which there may be more than is shown, on one line that does a terminal no harm.
fn printable(words: &[u8]) -> Option<String> {
    let (shown, more) = match words.get(..COMMAND_SHOWN) {
        Some(shown) if words.len() > COMMAND_SHOWN => (shown, "..."),
        _ => (words.strip_suffix(b"\0").unwrap_or(words), ""),
    };
    let character = |&byte: &u8| match byte {
        0 => ' ',
        b' '..=b'~' => char::from(byte),
        _ => '?',
    };
    (!shown.is_empty()).then(|| shown.iter().map(character).chain(more.chars()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_made_printable() {
        assert_eq!(printable(b""), None);
        assert_eq!(printable(b"ipvsadm-rs\0-R\0--replace\0").as_deref(), Some("ipvsadm-rs -R --replace"));
        assert_eq!(printable(b"a\0\x1b[2J\n\xff\0").as_deref(), Some("a ?[2J??"));
        assert_eq!(printable(&[b'x'; COMMAND_SHOWN]), Some("x".repeat(COMMAND_SHOWN)));
        assert_eq!(printable(&[b'x'; COMMAND_SHOWN + 1]), Some("x".repeat(COMMAND_SHOWN) + "..."));
    }

    #[test]
    fn a_process_without_a_name_is_another() {
        assert_eq!(Holder(None).to_string(), "another process");
        assert_eq!(Holder(Some(u32::MAX)).to_string(), format!("process {}", u32::MAX));
        let ours = this_process();
        assert!(ours.starts_with(&format!("process {} (", getpid().as_raw())), "{ours}");
    }
}
