//! A word to people who look at counters that stand still.

use std::io::{IsTerminal as _, stderr};

use ipvs_client::{DestinationEntry, Detail, estimation};

use crate::grammar::{Columns, Listing};
use crate::view::estimation::{not_counted_yet, stopped};

/// What a listing of counters or rates says at a terminal, below the listing.
pub(super) struct Standstill {
    is_wanted: bool,
    /// Servers that have connections and no counters.
    uncounted: u64,
}

impl Standstill {
    pub(super) fn of(listing: &Listing) -> Self {
        let of_counters = matches!(listing.columns, Columns::Stats | Columns::Rate);
        Self { is_wanted: of_counters && stderr().is_terminal(), uncounted: 0 }
    }

    /// Look at a server that is listed.
    pub(super) fn look<D: Detail>(&mut self, entry: &DestinationEntry<D>) {
        self.uncounted += u64::from(!entry.is_counted());
    }

    /// Say what there is to say.
    pub(super) fn tell(self) {
        if !self.is_wanted {
            return;
        }
        if let Some(why) = estimation::stopped() {
            say!("{}", stopped(why));
        } else if self.uncounted > 0 {
            say!("{}", not_counted_yet(self.uncounted));
        }
    }
}
