//! A line on standard error that shows how far long work is, for people.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

/// Work shorter than this is not worth a word.
const PATIENCE: Duration = Duration::from_secs(1);
/// Between two words.
const INTERVAL: Duration = Duration::from_millis(200);
/// Steps between two looks at the clock.
const STRIDE: usize = 256;

/// Progress of this many steps. Says something only to a terminal, and only if it takes long.
pub(super) struct Progress {
    what: &'static str,
    done: usize,
    total: usize,
    next: Option<Instant>,
    shown: bool,
}

impl Progress {
    pub(super) fn new(what: &'static str, total: usize) -> Self {
        // Neither the clock nor the terminal is asked for what is over at once.
        let next = (total > STRIDE && stderr().is_terminal()).then(|| Instant::now() + PATIENCE);
        Self { what, done: 0, total, next, shown: false }
    }

    /// One step is done.
    pub(super) fn step(&mut self) {
        self.done += 1;
        if self.done.is_multiple_of(STRIDE) {
            self.show();
        }
    }

    /// This many steps are done, which is not said of every one.
    pub(super) fn reach(&mut self, done: usize) {
        self.done = done;
        self.show();
    }

    /// Take the line away, for another.
    pub(super) fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }

    fn show(&mut self) {
        let Some(next) = self.next else { return };
        let now = Instant::now();
        if now >= next {
            let _ = write!(stderr(), "\r{}: {} of {}", self.what, self.done, self.total);
            self.shown = true;
            self.next = Some(now + INTERVAL);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}
