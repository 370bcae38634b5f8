//! The list of connections: which of them, and what becomes of them.

use ipvs_client::{
    ServiceKey,
    connections::{Choice, ConnectionKey},
};

use super::listing::{LISTINGS, Subject};
use crate::grammar::error::{Error, shown, usage};
use crate::grammar::line::{Line, set, words_of};
use crate::grammar::table::{Completion, OptionSpec, Value};

const SORT_KEYS: [(&str, ConnectionKey); 4] = [
    ("state", ConnectionKey::State),
    ("server", ConnectionKey::Server),
    ("client", ConnectionKey::Client),
    ("expires", ConnectionKey::Expires),
];
const COUNT_KEYS: [(&str, ConnectionKey); 3] =
    [("state", ConnectionKey::State), ("server", ConnectionKey::Server), ("client", ConnectionKey::Client)];

pub(super) const OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        short: Some(b'c'),
        long: "connection",
        with: LISTINGS,
        help: "List the connections",
        set: |line, _| set(&mut line.listing().request.subject, Subject::Connections(Connections::ALL)),
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        long: "client",
        value: Value::Required("ADDRESS[/PREFIX]"),
        with: LISTINGS,
        needs: Some("connection"),
        help: "With -c, only connections of this client, or of all clients in this network",
        set: |line, value| {
            let client = str::from_utf8(value.text()).ok().and_then(|text| text.parse().ok());
            let wrong = || usage(format!("--client takes ADDRESS or ADDRESS/PREFIX, not `{}'", shown(value.text())));
            let client = client.ok_or_else(wrong)?;
            set(&mut line.listing().connections.choice.client, Some(client))
        },
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        long: "sort-by",
        value: Value::Required("KEY"),
        completion: Completion::Words(&words_of(&SORT_KEYS)),
        with: LISTINGS,
        needs: Some("connection"),
        conflicts: &["nosort"],
        help: "With -c, in order of state, server, client or expires",
        set: |line, value| set(&mut line.listing().connections.view, ConnectionView::Sorted(value.one_of(&SORT_KEYS)?)),
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        long: "count-by",
        value: Value::Required("KEY"),
        completion: Completion::Words(&words_of(&COUNT_KEYS)),
        with: LISTINGS,
        needs: Some("connection"),
        conflicts: &["nosort", "sort-by"],
        help: "With -c, how many connections there are of each state, server or client, the most first",
        set: |line, value| {
            set(&mut line.listing().connections.view, ConnectionView::Counted(value.one_of(&COUNT_KEYS)?))
        },
        ..OptionSpec::PLAIN
    },
];

/// Which connections, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connections {
    /// Only these.
    pub choice: Choice,
    /// What becomes of them.
    pub view: ConnectionView,
}

impl Connections {
    /// All of them, in the kernel's order.
    pub const ALL: Self = Self { choice: Choice::ALL, view: ConnectionView::AsTheyCome };
}

impl Default for Connections {
    fn default() -> Self {
        Self::ALL
    }
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

/// Which connections the options choose.
pub(super) fn chosen(line: &mut Line<'_>) -> Result<Connections, Error> {
    let service = line.service.key;
    if let Some(ServiceKey::Mark { .. }) = service {
        return Err(usage(
            "The kernel does not show which connections came by a firewall mark: choose them by -t, -u, \
             --sctp-service or -r",
        ));
    }
    let mut connections = line.listing().connections;
    connections.choice.service = service;
    connections.choice.server = line.server.name;
    Ok(connections)
}
