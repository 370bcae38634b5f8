//! The options, by subject. Each file holds the entries of its options, what they write their values into, and what
//! these come to in the end: the request.

pub(super) mod common;
pub(super) mod connections;
pub(super) mod daemon;
pub(super) mod drain;
pub(super) mod listing;
pub(super) mod metrics;
pub(super) mod rules;
pub(super) mod server;
pub(super) mod service;

pub use common::{LOCK_WAIT_DEFAULT, LOCK_WAIT_MAXIMUM, RESOLVE_TIMEOUT_DEFAULT};
pub use connections::{ConnectionView, Connections};
pub use drain::{Drain, Drained};
pub use listing::{ColorWhen, Columns, Format, Json, Listing, Subject};
pub use metrics::{Exposition, Metrics};
pub use rules::{Faults, Replace, Restore, RestoreMode, Save};

use super::table::OptionSpec;

/// The files, in the order of the manual.
const ROOMS: [&[OptionSpec]; 9] = [
    service::OPTIONS,
    server::OPTIONS,
    daemon::OPTIONS,
    listing::OPTIONS,
    connections::OPTIONS,
    metrics::OPTIONS,
    rules::OPTIONS,
    drain::OPTIONS,
    common::OPTIONS,
];

const COUNT: usize = {
    let (mut count, mut room) = (0, 0);
    while room < ROOMS.len() {
        count += ROOMS[room].len();
        room += 1;
    }
    count
};

/// The entries of all files.
pub(super) const ALL: [OptionSpec; COUNT] = {
    let mut all = [OptionSpec::PLAIN; COUNT];
    let (mut count, mut room) = (0, 0);
    while room < ROOMS.len() {
        let mut i = 0;
        while i < ROOMS[room].len() {
            all[count] = ROOMS[room][i];
            count += 1;
            i += 1;
        }
        room += 1;
    }
    all
};
