//! Servers that a reader should notice.

use ipvs_client::DestinationEntry;

/// Why a server gets no new connections, if it gets none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// It gets some.
    None,
    /// Its weight is 0.
    NoWeight,
    /// It has as many connections as its upper threshold lets it have (`ip_vs_bind_dest` in the kernel counts active and
    /// inactive ones).
    Full,
}

impl Mark {
    pub(super) fn of(entry: &DestinationEntry) -> Self {
        let threshold = entry.destination.upper_threshold;
        let connections = u64::from(entry.active_connections) + u64::from(entry.inactive_connections);
        if entry.destination.weight == 0 {
            Self::NoWeight
        } else if threshold != 0 && connections >= u64::from(threshold) {
            Self::Full
        } else {
            Self::None
        }
    }

    /// What stands before the server's name.
    pub(super) const fn sign(self, unicode: bool) -> &'static str {
        match (self, unicode) {
            (Self::None, _) => " ",
            (Self::NoWeight, true) => "○",
            (Self::NoWeight, false) => "-",
            (Self::Full, true) => "▲",
            (Self::Full, false) => "!",
        }
    }

    /// What the sign means.
    pub(super) const fn meaning(self) -> &'static str {
        match self {
            Self::None => "",
            Self::NoWeight => "weight 0, no new connections",
            Self::Full => "at its upper threshold, no new connections",
        }
    }

    /// Its colour (SGR): yellow or red.
    pub(super) const fn color(self) -> &'static str {
        match self {
            Self::None => "",
            Self::NoWeight => "33",
            Self::Full => "31",
        }
    }
}
