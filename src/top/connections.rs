//! Connections of a service or server, counted.

use std::collections::HashMap;
use std::net::IpAddr;

use ipvs_client::connections::{Connection, Word};

/// Clients that are kept, of those with the most connections: more than any screen shows.
const CLIENTS: usize = 500;

/// What a connection is counted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum State {
    /// What persistence remembers of a client.
    Persistent,
    /// A connection, in a state that the kernel has this name for.
    Named(Word),
}

impl State {
    /// The word for it.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Persistent => "persistent",
            // It consists of graphic ASCII characters.
            Self::Named(word) => str::from_utf8(word.as_bytes()).unwrap_or("?"),
        }
    }
}

/// Connections of a service or server, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Connections {
    /// By state, the most first.
    pub(crate) by_state: Vec<(State, u64)>,
    /// By client, the most first.
    pub(crate) by_client: Vec<(IpAddr, u64)>,
}

/// Counts connections.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    by_state: HashMap<State, u64>,
    by_client: HashMap<IpAddr, u64>,
}

impl Tally {
    /// Count one.
    pub(crate) fn add(&mut self, connection: &Connection) {
        let is_template = connection.is_template();
        let state = if is_template { State::Persistent } else { State::Named(connection.state) };
        *self.by_state.entry(state).or_default() += 1;
        if !is_template {
            *self.by_client.entry(connection.source.0).or_default() += 1;
        }
    }

    /// All of them, in order.
    pub(crate) fn finish(self) -> Connections {
        let mut by_state: Vec<_> = self.by_state.into_iter().collect();
        by_state.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.name().cmp(other.0.name())));
        let mut by_client: Vec<_> = self.by_client.into_iter().collect();
        by_client.sort_by(|one, other| other.1.cmp(&one.1).then(one.0.cmp(&other.0)));
        by_client.truncate(CLIENTS);
        Connections { by_state, by_client }
    }
}
