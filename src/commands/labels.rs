//! The labels of a listing, and the look-ups of the names in them, before anything is written.

use std::collections::HashSet;
use std::net::IpAddr;
use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use crate::host::names;
use crate::view::Labels;

/// Addresses whose names are remembered from one part of a listing to the next.
const REMEMBERED: usize = 64 * 1024;

/// Labels, and what is left of the time for looking names up.
pub(super) struct NamedLabels {
    labels: Labels,
    left: Duration,
    asked: HashSet<IpAddr>,
}

impl NamedLabels {
    /// Numbers, or names, which are waited for this number of seconds in all: what has no name by then is written as a
    /// number.
    pub(super) fn new(numeric: bool, resolve_timeout: u32) -> Self {
        let labels = if numeric { Labels::numeric() } else { Labels::with_names(names::port_names()) };
        Self { labels, left: Duration::from_secs(resolve_timeout.into()), asked: HashSet::new() }
    }

    /// The same, but only names that can be read back.
    pub(super) fn restorable(self) -> Self {
        Self { labels: self.labels.restorable(), ..self }
    }

    /// Look the names of these addresses up, all at the same time, each once.
    pub(super) fn look_up(&mut self, addresses: impl IntoIterator<Item = IpAddr>) {
        if self.labels.are_numeric() {
            return;
        }
        let unknown: Vec<IpAddr> = addresses.into_iter().filter(|&address| self.asked.insert(address)).collect();
        let started = Instant::now();
        self.labels.add_hosts(names::host_names(&unknown, self.left));
        self.left = self.left.saturating_sub(started.elapsed());
    }

    /// The same for the next part of a listing that can be of any length: if there are many names, they are forgotten first.
    pub(super) fn look_up_next(&mut self, addresses: impl IntoIterator<Item = IpAddr>) {
        if self.asked.len() > REMEMBERED {
            self.asked.clear();
            self.labels.forget_hosts();
        }
        self.look_up(addresses);
    }
}

impl Deref for NamedLabels {
    type Target = Labels;

    fn deref(&self) -> &Labels {
        &self.labels
    }
}

impl DerefMut for NamedLabels {
    fn deref_mut(&mut self) -> &mut Labels {
        &mut self.labels
    }
}
