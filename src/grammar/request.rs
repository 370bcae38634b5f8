//! What a command line asks for, once it is understood.

use std::path::PathBuf;

use crate::model::{Change, Destination, DestinationKey, ServiceKey};

/// Seconds to wait for names if nothing else is said.
pub const RESOLVE_TIMEOUT_DEFAULT: u32 = 2;

/// A complete, checked request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Request {
    /// To change something.
    Change(Change),
    /// To take servers out once their connections are gone.
    Drain(Box<Drain>),
    /// To list something.
    List(Listing),
    /// To write the table as rules.
    Save(Box<Save>),
    /// To read rules.
    Restore(Box<Restore>),
    /// The help text.
    Help,
    /// The version.
    Version,
}

/// `--drain`, with the command that it was given to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// The virtual service.
    pub service: ServiceKey,
    /// What of it is drained.
    pub what: Drained,
    /// Seconds to wait at most; none is as long as it takes.
    pub limit: Option<u32>,
    /// Delete even if connections are left by then (`--force`).
    pub force: bool,
}

/// What is drained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// A real server, deleted in the end (`-d`).
    Server(DestinationKey),
    /// All of the service's servers; the service is deleted in the end (`-D`).
    Service,
    /// A real server, which gets these values, of which the weight is 0 (`-e -w 0`).
    Edited(Destination),
}

/// `-S` and its options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Save {
    /// No names (`-n`).
    pub numeric: bool,
    /// Seconds to wait for names at most (`--resolve-timeout`).
    pub resolve_timeout: u32,
    /// With timeouts and daemons (`--all`).
    pub all: bool,
    /// Into this file rather than to standard output.
    pub file: Option<PathBuf>,
}

/// `-R` and its options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restore {
    /// From this file rather than from standard input.
    pub file: Option<PathBuf>,
    /// What to do with the rules.
    pub mode: RestoreMode,
}

/// What `-R` does with the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestoreMode {
    /// Carry them out, line by line.
    Apply,
    /// Only look whether they are right (`--check`).
    Check,
    /// Make the table equal to them (`--replace`).
    Replace(Replace),
}

/// How to replace the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replace {
    /// Print the changes instead of making them.
    pub dry_run: bool,
    /// Leave the weights of servers that are there.
    pub keep_weights: bool,
    /// Go back unless confirmed within so many seconds.
    pub confirm: Option<u32>,
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
    /// Seconds to wait for names at most (`--resolve-timeout`).
    pub resolve_timeout: u32,
    /// Numbers in full (`--exact`).
    pub exact: bool,
    /// In order, rather than in the kernel's (`--nosort`).
    pub sorted: bool,
    /// With the persistence engine's data, for connections (`--persistent-conn`).
    pub engine_data: bool,
}

/// What a listing is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
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
#[non_exhaustive]
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
        resolve_timeout: RESOLVE_TIMEOUT_DEFAULT,
        exact: false,
        sorted: true,
        engine_data: false,
    };
}
