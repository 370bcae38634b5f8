//! What goes with many commands: names, the lock, network namespaces; and times, which are read the same way everywhere.

use ipvs_client::{Change, Timeouts};

use crate::grammar::error::{Error, shown, usage};
use crate::grammar::line::{Line, set};
use crate::grammar::request::Request;
use crate::grammar::table::{Command, Completion, OptionSpec, Value};
use crate::grammar::values;

/// The longest time, in seconds: 31 days (`MAX_TIMEOUT`, ipvsadm(8)).
pub(super) const TIMEOUT_MAXIMUM: u32 = 31 * 24 * 60 * 60;
/// Seconds to wait for names if nothing else is said (`--resolve-timeout`).
pub const RESOLVE_TIMEOUT_DEFAULT: u32 = 2;
/// The longest that names are waited for, in seconds.
const RESOLVE_TIMEOUT_MAXIMUM: u32 = 3600;
/// Seconds to wait for the lock on the table if nothing else is said (`--lock-wait`).
pub const LOCK_WAIT_DEFAULT: u32 = 60;
/// The longest that the lock on the table is waited for, in seconds.
pub const LOCK_WAIT_MAXIMUM: u32 = TIMEOUT_MAXIMUM;
/// The commands that change the table, or wait for those that do.
const LOCKING: &[Command] = &[
    Command::AddService,
    Command::EditService,
    Command::DeleteService,
    Command::Clear,
    Command::Restore,
    Command::Save,
    Command::AddServer,
    Command::EditServer,
    Command::DeleteServer,
    Command::Zero,
    Command::Set,
    Command::StartDaemon,
    Command::StopDaemon,
];

pub(super) const OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        long: "lock-wait",
        value: Value::Required("SECONDS"),
        with: LOCKING,
        help: "If another ipvsadm-rs is changing the table, wait this many seconds for it, 0 to 2678400; 60 if not given",
        set: |line, value| set(&mut line.lock_wait, Some(value.seconds(0, LOCK_WAIT_MAXIMUM)?)),
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        long: "resolve-timeout",
        value: Value::Required("SECONDS"),
        with: &[Command::List, Command::Save],
        help: "Without -n, wait this many seconds for all names together, 1 to 3600; 2 if not given",
        set: |line, value| set(&mut line.resolve_timeout, value.seconds(1, RESOLVE_TIMEOUT_MAXIMUM)?),
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        long: "netns",
        repeatable: true,
        value: Value::Required("NAME|PATH"),
        completion: Completion::Namespaces,
        with: &[],
        help: "The table of this network namespace: a name below /run/netns or a path; anywhere on the command line",
        set: |_, _| Err(usage("--netns has no place in a rules file")),
        ..OptionSpec::PLAIN
    },
];

/// A time in seconds, in the original's words if it is wrong.
pub(super) fn timeout(text: &[u8], minimum: u64) -> Result<u32, Error> {
    values::number(text, minimum, TIMEOUT_MAXIMUM.into())
        .map(|seconds| seconds as u32)
        .ok_or_else(|| usage(format!("invalid timeout value `{}' specified", shown(text))))
}

/// The words of `--set`.
pub(in crate::grammar) fn timeouts(words: &[&[u8]]) -> Result<Timeouts, Error> {
    let [tcp, tcp_fin, udp, ..] = words else { return Err(usage("--set option requires 3 timeout values")) };
    Ok(Timeouts::new(timeout(tcp, 0)?, timeout(tcp_fin, 0)?, timeout(udp, 0)?))
}

/// `--set`
pub(in crate::grammar) fn set_timeouts(line: &mut Line<'_>) -> Result<Request, Error> {
    Ok(Request::Change(Change::SetTimeouts(line.timeouts)))
}

/// `-C`
pub(in crate::grammar) fn clear(_: &mut Line<'_>) -> Result<Request, Error> {
    Ok(Request::Change(Change::Flush))
}
