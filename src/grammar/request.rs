//! What a command line asks for, once it is understood.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::model::{Change, Destination, DestinationKey, ServiceKey};

/// Seconds to wait for names if nothing else is said.
pub const RESOLVE_TIMEOUT_DEFAULT: u32 = 2;

/// Seconds to wait for the lock on the table if nothing else is said (`--lock-wait`).
pub const LOCK_WAIT_DEFAULT: u32 = 60;

/// The longest that the lock on the table is waited for, in seconds: 31 days, as for every time that ipvsadm takes.
pub const LOCK_WAIT_MAXIMUM: u32 = 31 * 24 * 60 * 60;

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
    /// The version, as text or as JSON.
    Version(Option<Json>),
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
    /// In which form.
    pub format: Format,
    /// When to colour, in the forms that have colours.
    pub color: ColorWhen,
}

/// The form of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The original's, to the byte.
    Classic,
    /// The original's, with columns as wide as what is in them (`--wide`).
    Wide,
    /// A table for reading (`--table`).
    Table,
    /// For programs (`--json`).
    Json(Json),
}

/// How JSON is laid out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Json {
    /// On indented lines (`--pretty`).
    pub pretty: bool,
}

/// When to colour what is printed (`--color`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ColorWhen {
    /// On a terminal, unless the environment says otherwise.
    #[default]
    Auto,
    /// In any case.
    Always,
    /// In no case.
    Never,
}

impl ColorWhen {
    /// What this word means.
    #[must_use]
    pub fn named(word: &[u8]) -> Option<Self> {
        match word {
            b"auto" => Some(Self::Auto),
            b"always" => Some(Self::Always),
            b"never" => Some(Self::Never),
            _ => None,
        }
    }
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
    Connections(Connections),
    /// Timeouts.
    Timeouts,
    /// Sync daemons.
    Daemons,
}

/// Which connections, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connections {
    /// Only those to this virtual service, which has an address; port 0 is any port.
    pub service: Option<ServiceKey>,
    /// Only those to this real server, at this port or at any.
    pub server: Option<(IpAddr, Option<u16>)>,
    /// What becomes of them.
    pub view: ConnectionView,
}

/// What becomes of the connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConnectionView {
    /// They are listed in the kernel's order.
    #[default]
    AsTheyCome,
    /// They are listed in this order (`--sort-by`).
    Sorted(ConnectionKey),
    /// They are counted (`--count-by`).
    Counted(ConnectionKey),
}

/// What connections are sorted or counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionKey {
    /// The kernel's state of it.
    State,
    /// The real server's address and port.
    Server,
    /// The client's address; sorted, with its port.
    Client,
    /// The time until it is forgotten. Nothing is counted by it.
    Expires,
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
        format: Format::Classic,
        color: ColorWhen::Auto,
    };
}
