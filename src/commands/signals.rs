//! Signals as something to wait for, so that what was begun is finished or put right before the program ends.

use std::cell::{Cell, OnceCell};
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};

use anyhow::{Context, Result};
use nix::sys::signal::{SigSet, Signal, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// What does not end or stop a program: by default these are ignored.
const HARMLESS: [Signal; 4] = [Signal::SIGCHLD, Signal::SIGCONT, Signal::SIGURG, Signal::SIGWINCH];
/// What the program itself brings about, by a fault. To keep these back is undefined.
const FAULTS: [Signal; 7] =
    [Signal::SIGABRT, Signal::SIGBUS, Signal::SIGFPE, Signal::SIGILL, Signal::SIGSEGV, Signal::SIGSYS, Signal::SIGTRAP];

/// Signals that are kept back and read instead, until this is dropped.
pub(super) struct Signals {
    set: SigSet,
    before: SigSet,
    queue: SignalFd,
    /// The first that has come.
    first: Cell<Option<i32>>,
}

/// The program ends by this signal, once all is done and printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interrupted(pub(super) i32);

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "signal {}", self.0)
    }
}

impl std::error::Error for Interrupted {}

/// Signals that are kept back from the first change to the last acknowledgement, however many parts a command has.
#[derive(Default)]
pub(super) struct Hold(OnceCell<Signals>);

impl Hold {
    /// Keep signals back from now on, if they are not yet.
    pub(super) fn begin(&self) -> Result<&Signals> {
        match self.0.get() {
            Some(signals) => Ok(signals),
            None => {
                let signals = Signals::hold()?;
                Ok(self.0.get_or_init(|| signals))
            }
        }
    }

    /// What is kept back, if it is.
    pub(super) fn signals(&self) -> Option<&Signals> {
        self.0.get()
    }

    /// Let signals through again. The error is the first that has come, by which the program ends.
    pub(super) fn release(mut self) -> Result<()> {
        self.0.take().map_or(Ok(()), Signals::release)
    }
}

impl Signals {
    /// Keep back everything that would end or stop the program, but for what the caller of the program has switched off, as
    /// nohup(1) does with SIGHUP and a shell with SIGINT for what runs in the background.
    ///
    /// With SIGTTOU kept back, what runs in the background may write to the terminal even under `stty tostop`; with SIGTTIN,
    /// reading from it fails and does not stop the program.
    pub(super) fn hold() -> Result<Self> {
        Self::keep(ending())
    }

    /// The same, and SIGWINCH: another size of the terminal.
    pub(super) fn hold_for_screen() -> Result<Self> {
        let mut set = ending();
        set.add(Signal::SIGWINCH);
        Self::keep(set)
    }

    /// Keep back these alone, but for what the caller of the program has switched off.
    pub(super) fn hold_only(signals: &[Signal]) -> Result<Self> {
        Self::keep(signals.iter().copied().collect())
    }

    fn keep(mut set: SigSet) -> Result<Self> {
        let ignored = ignored();
        for signal in Signal::iterator().filter(|&signal| ignored & (1 << (signal as i32 - 1)) != 0) {
            set.remove(signal);
        }
        let before = SigSet::thread_get_mask().context("keeping signals back")?;
        set.thread_block().context("keeping signals back")?;
        let queue = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).context("signalfd")?;
        Ok(Self { set, before, queue, first: Cell::new(None) })
    }

    /// What becomes readable with a signal.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.queue.as_fd()
    }

    /// The number of the next signal that has come, if one has.
    pub(super) fn next(&self) -> Option<i32> {
        let info = self.queue.read_signal().ok().flatten()?;
        let number = i32::try_from(info.ssi_signo).ok()?;
        self.first.set(self.first.get().or(Some(number)));
        Some(number)
    }

    /// Whether the first signal has come just now.
    pub(super) fn first_came(&self) -> bool {
        self.first.get().is_none() && self.next().is_some()
    }

    /// Answer the first signal, if it has come just now, with how far a change is.
    pub(super) fn answer(&self, sent: usize, total: usize) {
        if self.first_came() {
            say!("finishing: {sent} of {total} sent");
        }
    }

    /// The first signal that has come, if one has.
    pub(super) fn came(&self) -> Option<Interrupted> {
        if self.first.get().is_none() {
            self.next();
        }
        self.first.get().map(Interrupted)
    }

    /// Let signals through again. The error is the first that has come, by which the program ends.
    pub(super) fn release(self) -> Result<()> {
        self.came().map_or(Ok(()), |interrupted| Err(interrupted.into()))
    }

    /// Do something with the terminal that stops a program in the background, as without us, until it is in the foreground.
    pub(super) fn in_foreground<T>(&self, work: impl FnOnce() -> T) -> T {
        let stops: SigSet = [Signal::SIGTTIN, Signal::SIGTTOU].into_iter().collect();
        let _ = stops.thread_unblock();
        let done = work();
        let _ = self.set.thread_block();
        done
    }
}

/// Everything that would end or stop the program.
fn ending() -> SigSet {
    let mut set = SigSet::all();
    HARMLESS.into_iter().chain(FAULTS).for_each(|signal| set.remove(signal));
    set
}

impl Drop for Signals {
    fn drop(&mut self) {
        if self.first.get().is_some() {
            // What came after it is of no interest any more.
            while self.next().is_some() {}
        }
        let _ = self.before.thread_set_mask();
    }
}

impl Interrupted {
    /// End the program by this signal: a shell stops a loop around a program that Ctrl-C has ended, but goes on after one that
    /// just has a status of its own. Returns the status to end with where the signal does not end it, as one that stops.
    pub(super) fn end(self) -> u8 {
        /// What a shell adds to the number of a signal.
        const BY_SIGNAL: i32 = 128;
        let stops = [Signal::SIGSTOP, Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU];
        match Signal::try_from(self.0) {
            Ok(signal) if !stops.contains(&signal) => {
                let _ = SigSet::from(signal).thread_unblock();
                let _ = raise(signal);
            }
            // Signals without a name, and those that would only stop the program.
            _ => {}
        }
        u8::try_from(BY_SIGNAL + self.0).unwrap_or(u8::MAX)
    }
}

/// The signals that are ignored, as bits; asking by sigaction(2) would be unsafe.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
