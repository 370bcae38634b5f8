//! Taking servers out of service gently.

use ipvs_client::{Destination, DestinationKey, ServiceKey};

use crate::grammar::check::OptionSet;
use crate::grammar::error::{Error, usage};
use crate::grammar::line::{Line, set};
use crate::grammar::options::common::TIMEOUT_MAXIMUM;
use crate::grammar::request::Request;
use crate::grammar::table::{Command, OptionSpec, Value};

pub(super) const OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        long: "drain",
        value: Value::Attached("SECONDS"),
        with: &[Command::DeleteService, Command::EditServer, Command::DeleteServer],
        help: "With -d, -D and -e -w 0, take weight 0 and wait until connections are gone, this many seconds at most",
        set: |line, value| {
            line.drain.wanted = true;
            let limit = if value.is_given() { Some(value.seconds(1, TIMEOUT_MAXIMUM)?) } else { None };
            set(&mut line.drain.limit, limit)
        },
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        long: "force",
        with: &[Command::DeleteService, Command::EditServer, Command::DeleteServer],
        needs: Some("drain"),
        help: "With --drain, drain even if clients are refused; with --drain=SECONDS, finish even if connections are left",
        set: |line, _| set(&mut line.drain.force, true),
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        long: "no-fallback",
        with: &[Command::EditServer, Command::DeleteServer],
        needs: Some("drain"),
        help: "With --drain, do not set sh-fallback or mh-fallback, which spares clients of sh and mh",
        set: |line, _| set(&mut line.drain.no_fallback, true),
        ..OptionSpec::PLAIN
    },
];

/// `--drain`, with the command that it was given to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// The virtual service.
    pub service: ServiceKey,
    /// What of it is drained.
    pub what: Drained,
    /// Seconds to wait at most; none is as long as it takes.
    pub limit: Option<u32>,
    /// Begin even if clients are refused, and finish even if connections are left by then (`--force`).
    pub force: bool,
    /// Do not set the flag that spares clients (`--no-fallback`).
    pub no_fallback: bool,
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

/// What the options of a drain said.
pub(in crate::grammar) struct DrainOptions {
    wanted: bool,
    limit: Option<u32>,
    force: bool,
    no_fallback: bool,
}

impl DrainOptions {
    pub const DEFAULT: Self = Self { wanted: false, limit: None, force: false, no_fallback: false };

    /// Whether the command is to drain.
    pub fn are_given(&self) -> bool {
        self.wanted
    }
}

/// `-d`, `-D` and `-e` with `--drain`.
pub(in crate::grammar) fn drain(line: &mut Line<'_>) -> Result<Request, Error> {
    const WEIGHT: OptionSet = OptionSet::of(&["weight"]);
    let DrainOptions { limit, force, no_fallback, .. } = line.drain;
    let service = line.key()?;
    let what = match line.command() {
        Some(Command::DeleteService) => Drained::Service,
        Some(Command::EditServer) if line.given.meets(WEIGHT) && line.server.weight == 0 => {
            Drained::Edited(line.destination(service)?)
        }
        Some(Command::EditServer) => {
            return Err(usage("The option 'drain' of the 'edit-server' command needs -w 0"));
        }
        _ => Drained::Server(line.server_key(service)?),
    };
    Ok(Request::Drain(Box::new(Drain { service, what, limit, force, no_fallback })))
}
