//! What a command line asks for, once it is understood.

use crate::model::{Change, ServiceKey};

/// A complete, checked request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// To change something.
    Change(Change),
    /// To list something.
    List(Listing),
    /// To write the table as rules, with names unless `numeric`.
    Save {
        /// `-n`
        numeric: bool,
    },
    /// To read rules from standard input.
    Restore,
    /// The help text.
    Help,
    /// The version.
    Version,
}

/// `-L` and its options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listing {
    /// What to list.
    pub subject: Subject,
    /// In which columns.
    pub columns: Columns,
    /// No names (`-n`).
    pub numeric: bool,
    /// Numbers in full (`--exact`).
    pub exact: bool,
    /// In order, rather than in the kernel's (`--nosort`).
    pub sorted: bool,
    /// With the persistence engine's data, for connections (`--persistent-conn`).
    pub engine_data: bool,
}

/// What a listing is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The whole table.
    Table,
    /// One service.
    Service(ServiceKey),
    /// Connections.
    Connections,
    /// Timeouts.
    Timeouts,
    /// Sync daemons.
    Daemons,
}

/// The columns of a listing of services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Columns {
    /// Forwarding method, weight and connections.
    Plain,
    /// Counters.
    Stats,
    /// Rates.
    Rate,
    /// Thresholds.
    Thresholds,
    /// Persistent connections.
    PersistentConnections,
    /// Tunnels.
    TunnelInfo,
}

impl Listing {
    /// What no arguments at all ask for: the table, with names.
    pub const DEFAULT: Self = Self {
        subject: Subject::Table,
        columns: Columns::Plain,
        numeric: false,
        exact: false,
        sorted: true,
        engine_data: false,
    };
}
