//! `--confirm SECONDS`: keep the change only if the user still can say so.
//!
//! The connection that the user sits at may run through this very director. If the change cuts it off, no answer comes,
//! or the terminal hangs up; all of that means: roll back.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{FlushArg, tcflush};

use anyhow::{Context, Result};

use crate::commands::signals::Signals;

/// The terminal, opened before anything is changed, and what is asked there once the table is changed.
pub(in crate::commands) struct Question {
    terminal: File,
    seconds: u32,
}

impl Question {
    pub(super) fn open(seconds: u32) -> Result<Self> {
        let terminal = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/tty")
            .context("--confirm needs a terminal to ask at: /dev/tty")?;
        Ok(Self { terminal, seconds })
    }

    /// Whether the user says yes in time. A signal that would end or stop the program is an answer, too: no.
    pub(super) fn confirmed(mut self, signals: &Signals) -> bool {
        let end = Instant::now() + Duration::from_secs(self.seconds.into());
        let confirmed = signals.came().is_none() && self.ask().is_some() && self.answer(end, signals) == Some(true);
        if !confirmed {
            let _ = self.terminal.write_all(b"\nNot confirmed: rolling back.\n");
        }
        confirmed
    }

    fn ask(&mut self) -> Option<()> {
        // What was typed before the question is not an answer to it.
        tcflush(&self.terminal, FlushArg::TCIFLUSH).ok()?;
        let seconds = self.seconds;
        let question = format!("The table is changed. Keep it so? Type yes within {seconds} seconds: ");
        self.terminal.write_all(question.as_bytes()).ok()
    }

    /// Whether the line that the user types before the time is over says yes.
    fn answer(&mut self, end: Instant, signals: &Signals) -> Option<bool> {
        let mut answer = Vec::new();
        while !answer.ends_with(b"\n") {
            let left = end.checked_duration_since(Instant::now())?;
            let timeout = PollTimeout::try_from(left.as_millis().saturating_add(1)).unwrap_or(PollTimeout::MAX);
            let mut wait = [
                PollFd::new(self.terminal.as_fd(), PollFlags::POLLIN),
                PollFd::new(signals.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut wait, timeout) {
                Err(Errno::EINTR) => continue,
                Err(_) => return None,
                Ok(_) => {}
            }
            let [typed, _] = wait.map(|fd| fd.any() == Some(true));
            if signals.came().is_some() {
                return None;
            }
            if typed {
                let mut bytes = [0; 256];
                match self.terminal.read(&mut bytes) {
                    Ok(0) | Err(_) => return None,
                    Ok(length) => answer.extend_from_slice(&bytes[..length]),
                }
            }
        }
        Some(answer.trim_ascii().eq_ignore_ascii_case(b"yes"))
    }
}
