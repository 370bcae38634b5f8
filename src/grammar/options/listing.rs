//! Listings: what is listed, in which columns, order and form.

use ipvs_client::ServiceKey;

use crate::grammar::check::OptionSet;
use crate::grammar::error::{Error, usage};
use crate::grammar::line::{Line, set, words_of};
use crate::grammar::options::RESOLVE_TIMEOUT_DEFAULT;
use crate::grammar::options::connections::{self, Connections};
use crate::grammar::options::metrics;
use crate::grammar::request::Request;
use crate::grammar::table::{Command, Completion, OptionSpec, Value};

pub(super) const LISTINGS: &[Command] = &[Command::List];
/// JSON, of listings and of what a replacement changed.
const LISTINGS_AND_RESTORE: &[Command] = &[Command::List, Command::Restore];
const COLORS: [(&str, ColorWhen); 3] =
    [("auto", ColorWhen::Auto), ("always", ColorWhen::Always), ("never", ColorWhen::Never)];

pub(super) const OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        short: Some(b'n'),
        long: "numeric",
        with: &[Command::List, Command::Save],
        help: "Addresses and ports as numbers, no names looked up",
        set: |line, _| set(&mut line.numeric, true),
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        long: "timeout",
        with: LISTINGS,
        help: "List the timeouts",
        set: |line, _| set(&mut line.listing().request.subject, Subject::Timeouts),
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        long: "daemon",
        with: LISTINGS,
        help: "List the synchronisation daemons",
        set: |line, _| set(&mut line.listing().request.subject, Subject::Daemons),
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        long: "stats",
        with: LISTINGS,
        help: "List counters",
        set: |line, _| columns(line, Columns::Stats),
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        long: "rate",
        with: LISTINGS,
        help: "List rates per second",
        set: |line, _| columns(line, Columns::Rate),
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        long: "thresholds",
        with: LISTINGS,
        help: "List thresholds",
        set: |line, _| columns(line, Columns::Thresholds),
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        long: "persistent-conn",
        with: LISTINGS,
        help: "List persistent connections; with -c, the persistence engine's data",
        set: |line, _| {
            line.listing().request.engine_data = true;
            columns(line, Columns::PersistentConnections)
        },
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        long: "tun-info",
        with: LISTINGS,
        help: "List the tunnels' parameters",
        set: |line, _| columns(line, Columns::TunnelInfo),
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        short: Some(b'X'),
        long: "exact",
        with: LISTINGS,
        help: "Numbers in full, not in K, M, G, T",
        set: |line, _| set(&mut line.listing().request.exact, true),
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        long: "nosort",
        with: LISTINGS,
        help: "In the kernel's order",
        set: |line, _| set(&mut line.listing().request.sorted, false),
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        long: "sort",
        repeatable: true,
        with: LISTINGS,
        help: "In order of family, protocol, address and port, marks last; always so, unless --nosort",
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        short: Some(b'j'),
        long: "json",
        with: LISTINGS_AND_RESTORE,
        help: "As JSON, everything that is known, as numbers; with --replace, what was changed; -v, too, takes it",
        set: |line, _| set(&mut line.listing().request.format, Format::Json(Json::default())),
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        long: "pretty",
        with: LISTINGS_AND_RESTORE,
        needs: Some("json"),
        help: "With --json, on indented lines",
        set: |line, _| set(&mut line.listing().pretty, true),
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        long: "table",
        with: LISTINGS,
        conflicts: &["json"],
        help: "As a table for reading, with shares as bars, as wide as the terminal",
        set: |line, _| set(&mut line.listing().request.format, Format::Table),
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        long: "wide",
        with: LISTINGS,
        conflicts: &["json", "table"],
        help: "As ever, but with columns as wide as what is in them, and nothing cut",
        set: |line, _| set(&mut line.listing().request.format, Format::Wide),
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        long: "color",
        value: Value::Required("WHEN"),
        completion: Completion::Words(&words_of(&COLORS)),
        with: LISTINGS,
        help: "When --table and --wide have colours: auto, always or never",
        set: |line, value| set(&mut line.listing().request.color, value.one_of(&COLORS)?),
        ..OptionSpec::PLAIN
    },
];

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

/// The columns of a listing of services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
        COLORS.iter().find(|(known, _)| known.as_bytes() == word).map(|(_, when)| *when)
    }
}

/// What the options of a listing said.
#[derive(Clone, Copy)]
pub(in crate::grammar) struct ListingOptions {
    /// The request, as far as single options say it.
    pub request: Listing,
    /// What is listed of connections, if it is connections.
    pub connections: Connections,
    pretty: bool,
}

impl ListingOptions {
    /// How JSON is laid out, if it is asked for.
    pub fn json(&self) -> Option<Json> {
        matches!(self.request.format, Format::Json(_)).then_some(Json { pretty: self.pretty })
    }

    pub const DEFAULT: Self = Self { request: Listing::DEFAULT, connections: Connections::ALL, pretty: false };
}

impl Line<'_> {
    pub(super) fn listing(&mut self) -> &mut ListingOptions {
        self.listing.get_or_insert_with(|| Box::new(ListingOptions::DEFAULT))
    }
}

/// Of several the first in the order of `Columns` counts.
fn columns(line: &mut Line<'_>, columns: Columns) -> Result<(), Error> {
    let chosen = &mut line.listing().request.columns;
    if *chosen == Columns::Plain || columns < *chosen {
        *chosen = columns;
    }
    Ok(())
}

/// `-L`
pub(in crate::grammar) fn list(line: &mut Line<'_>) -> Result<Request, Error> {
    const COUNTED: OptionSet = OptionSet::of(&["stats", "rate", "thresholds"]);
    const OF_SERVERS: OptionSet = COUNTED.with(OptionSet::of(&["persistent-conn"]));
    let ListingOptions { request: listing, pretty, .. } = *line.listing();
    let service = line.service.key;
    let (subject, senseless) = match listing.subject {
        Subject::Connections(_) => (Subject::Connections(connections::chosen(line)?), COUNTED),
        Subject::Timeouts | Subject::Daemons => (listing.subject, OF_SERVERS),
        Subject::Table | Subject::Service(_) => (service.map_or(Subject::Table, Subject::Service), OptionSet::NONE),
    };
    if line.given.meets(senseless) {
        return Err(usage("options conflicts in the list command"));
    }
    match &line.metrics {
        Some(options) => return metrics::metrics(line, options),
        None if line.rules.file().is_some() => {
            return Err(usage("You need to supply the 'metrics' option for the 'file' option"));
        }
        None => {}
    }
    let (numeric, format) = match listing.format {
        Format::Json(_) => (true, Format::Json(Json { pretty })),
        other => (line.numeric, other),
    };
    let resolve_timeout = line.resolve_timeout;
    Ok(Request::List(Box::new(Listing { subject, numeric, format, resolve_timeout, ..listing })))
}
