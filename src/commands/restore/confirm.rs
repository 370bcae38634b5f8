//! `--confirm SECONDS`: keep the change only if the user still can say so.
//!
//! The connection that the user sits at may run through this very director. If the change cuts it off, no answer comes,
//! or the terminal hangs up; all of that means: go back.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use anyhow::{Context, Result};

/// The terminal, opened before anything is changed.
pub(super) struct Terminal {
    terminal: File,
    seconds: u32,
}

impl Terminal {
    pub(super) fn open(seconds: u32) -> Result<Self> {
        let terminal = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/tty")
            .context("--confirm needs a terminal to ask at: /dev/tty")?;
        Ok(Self { terminal, seconds })
    }

    /// From now on the signals that would end us before we went back are taken as an answer instead.
    pub(super) fn keep_signals(self) -> Result<Question> {
        let mut set = SigSet::empty();
        for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM, Signal::SIGQUIT, Signal::SIGTSTP] {
            set.add(signal);
        }
        set.thread_block()?;
        let signals = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC)?;
        Ok(Question { terminal: self.terminal, signals, seconds: self.seconds })
    }
}

/// What is asked at the terminal once the table is changed.
pub(in crate::commands) struct Question {
    terminal: File,
    signals: SignalFd,
    seconds: u32,
}

impl Question {
    /// Whether the user says yes in time.
    pub(super) fn confirmed(mut self) -> bool {
        let seconds = self.seconds;
        let question = format!("The table is changed. Keep it so? Type yes within {seconds} seconds: ");
        let end = Instant::now() + Duration::from_secs(seconds.into());
        if self.terminal.write_all(question.as_bytes()).is_err() {
            return false;
        }
        let confirmed = self.answer(end).is_some_and(|answer| answer.trim().eq_ignore_ascii_case("yes"));
        if !confirmed {
            let _ = self.terminal.write_all(b"\nNot confirmed: going back.\n");
        }
        confirmed
    }

    /// The line that the user types before the time is over.
    fn answer(&mut self, end: Instant) -> Option<String> {
        let mut answer = Vec::new();
        while !answer.ends_with(b"\n") {
            let left = end.checked_duration_since(Instant::now())?;
            let timeout = PollTimeout::try_from(left.as_millis().saturating_add(1)).unwrap_or(PollTimeout::MAX);
            let mut wait = [
                PollFd::new(self.terminal.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut wait, timeout) {
                Err(nix::errno::Errno::EINTR) => continue,
                Err(_) => return None,
                Ok(_) => {}
            }
            if wait[1].any() == Some(true) {
                return None;
            }
            if wait[0].any() == Some(true) {
                let mut bytes = [0; 256];
                match self.terminal.read(&mut bytes) {
                    Ok(0) | Err(_) => return None,
                    Ok(length) => answer.extend_from_slice(&bytes[..length]),
                }
            }
        }
        String::from_utf8(answer).ok()
    }
}
