//! The list of connections: which of them, and what becomes of them.

use ipvs_client::{
    ServiceKey,
    connections::{Choice, ConnectionKey, CountKeys, Origin, STATES, Word},
};

use super::listing::{LISTINGS, Subject};
use crate::grammar::error::{Error, shown, usage};
use crate::grammar::line::{Argument, Line, set, words_of};
use crate::grammar::options::common::TIMEOUT_MAXIMUM;
use crate::grammar::table::{Completion, OptionSpec, Value};

const SORT_KEYS: [(&str, ConnectionKey); 4] = [
    ("state", ConnectionKey::State),
    ("server", ConnectionKey::Server),
    ("client", ConnectionKey::Client),
    ("expires", ConnectionKey::Expires),
];

/// The keys to count by, and the words for one of them or for two.
macro_rules! count_by {
    ($a:literal $first:ident, $b:literal $second:ident, $c:literal $third:ident) => {
        const COUNT_KEYS: [(&str, ConnectionKey); 3] =
            [($a, ConnectionKey::$first), ($b, ConnectionKey::$second), ($c, ConnectionKey::$third)];
        const COUNT_WORDS: [&str; 9] = [
            $a,
            $b,
            $c,
            concat!($b, ",", $a),
            concat!($b, ",", $c),
            concat!($c, ",", $a),
            concat!($c, ",", $b),
            concat!($a, ",", $b),
            concat!($a, ",", $c),
        ];
    };
}
count_by!("state" State, "server" Server, "client" Client);

const ORIGINS: [(&str, Origin); 2] = [("local", Origin::Local), ("sync", Origin::Sync)];

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
        long: "state",
        value: Value::Required("STATE"),
        completion: Completion::Words(&STATES),
        with: LISTINGS,
        needs: Some("connection"),
        help: "With -c, only connections in this state, by the kernel's name of it, such as ESTABLISHED",
        set: |line, value| {
            let known = STATES.iter().find(|state| value.text().eq_ignore_ascii_case(state.as_bytes()));
            let wrong = || {
                let (states, given) = (STATES.join(", "), shown(value.text()));
                usage(format!("--state takes a state of connections, not `{given}': {states}"))
            };
            let state = known.map(|state| Word::cut(state.as_bytes())).ok_or_else(wrong)?;
            set(&mut line.listing().connections.choice.state, Some(state))
        },
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        long: "origin",
        value: Value::Required("local|sync"),
        completion: Completion::Words(&words_of(&ORIGINS)),
        with: LISTINGS,
        needs: Some("connection"),
        help: "With -c, only connections made by packets (local), or by messages for the sync daemon (sync)",
        set: |line, value| set(&mut line.listing().connections.choice.origin, Some(value.one_of(&ORIGINS)?)),
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        long: "expires-within",
        value: Value::Required("SECONDS"),
        with: LISTINGS,
        needs: Some("connection"),
        help: "With -c, only connections that the kernel forgets within this time if no packets come, 0 to 2678400",
        set: |line, value| {
            let seconds = value.seconds(0, TIMEOUT_MAXIMUM)?;
            set(&mut line.listing().connections.choice.expires_within, Some(seconds))
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
        value: Value::Required("KEY[,KEY]"),
        completion: Completion::Words(&COUNT_WORDS),
        with: LISTINGS,
        needs: Some("connection"),
        conflicts: &["nosort", "sort-by"],
        help: "With -c, how many connections there are of each state, server or client, or of two of these, the most first",
        set: |line, value| set(&mut line.listing().connections.view, ConnectionView::Counted(count_keys(value)?)),
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
    Counted(CountKeys),
}

/// `server` or `server,state`
fn count_keys(value: Argument<'_>) -> Result<CountKeys, Error> {
    let Some(comma) = value.text().iter().position(|byte| *byte == b',') else {
        return Ok(CountKeys { first: value.one_of(&COUNT_KEYS)?, second: None });
    };
    let key = |text| Argument { value: Some(text), ..value }.one_of(&COUNT_KEYS);
    let (first, second) = (key(&value.text()[..comma])?, key(&value.text()[comma + 1..])?);
    if first == second {
        return Err(usage(format!("--count-by takes two different keys, not `{}'", shown(value.text()))));
    }
    Ok(CountKeys { first, second: Some(second) })
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
