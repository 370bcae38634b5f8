//! Signals as something to wait for, so that what was begun is put right before the program ends.

use std::os::fd::{AsFd, BorrowedFd};

use anyhow::{Context, Result};
use nix::sys::signal::{SigSet, Signal, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Signals that are kept back and read instead.
pub(super) struct Signals {
    set: SigSet,
    queue: SignalFd,
}

impl Signals {
    /// Keep these back from now on, but for those that the caller of the program has switched off, as nohup(1) does with
    /// SIGHUP and a shell with SIGINT for what runs in the background.
    pub(super) fn take(signals: &[Signal]) -> Result<Self> {
        let ignored = ignored();
        let set: SigSet = signals.iter().copied().filter(|&signal| ignored & (1 << (signal as i32 - 1)) == 0).collect();
        set.thread_block().context("keeping signals back")?;
        let queue = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).context("signalfd")?;
        Ok(Self { set, queue })
    }

    /// What becomes readable with a signal.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.queue.as_fd()
    }

    /// The next signal that has come, if one has.
    pub(super) fn next(&self) -> Option<Signal> {
        let info = self.queue.read_signal().ok().flatten()?;
        i32::try_from(info.ssi_signo).ok().and_then(|number| Signal::try_from(number).ok())
    }

    /// End by this signal, as without us. A shell stops a loop around a program that Ctrl-C has ended, but goes on after
    /// one that just has a status of its own.
    pub(super) fn end_by(self, signal: Signal) {
        let _ = self.set.thread_unblock();
        let _ = raise(signal);
    }
}

/// The signals that are ignored, as bits; asking by sigaction(2) would be unsafe.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
