//! What a command line asks for, once it is understood.

use ipvs_client::Change;

use super::options::{Drain, Json, Listing, Metrics, Restore, Save};

/// A complete, checked request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Request {
    /// To change something.
    Change(Change),
    /// To take servers out once their connections are gone.
    Drain(Box<Drain>),
    /// To list something.
    List(Box<Listing>),
    /// To write the table as metrics.
    Metrics(Box<Metrics>),
    /// To write the table as rules.
    Save(Box<Save>),
    /// To read rules.
    Restore(Box<Restore>),
    /// The help text.
    Help,
    /// The version, as text or as JSON.
    Version(Option<Json>),
}

/// A rules file is tens of thousands of changes: what else can be asked for must not make them larger.
const _: () = assert!(size_of::<Request>() == size_of::<Change>());
