//! Synchronisation daemons.

use ipvs_client::{Change, Daemon, DaemonRole, InterfaceName};

use crate::grammar::error::{Error, shown, usage};
use crate::grammar::line::{Line, set};
use crate::grammar::request::Request;
use crate::grammar::table::{Command, Completion, OptionSpec, Value};
use crate::grammar::values;

/// The multicast interface if none is named (ipvsadm(8)).
const INTERFACE_DEFAULT: &[u8] = b"eth0";
/// The largest UDP payload over IPv4, in bytes.
const SYNC_LENGTH_MAXIMUM: u32 = 65535 - 20 - 8;

pub(super) const OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        long: "mcast-interface",
        value: Value::Required("INTERFACE"),
        completion: Completion::Interfaces,
        with: &[Command::StartDaemon],
        help: "The interface that the daemon multicasts on; eth0 if not given",
        set: |line, value| {
            let name = InterfaceName::new(value.text()).ok_or(Error::Impossible("No such device"))?;
            set(&mut line.daemon.interface, name)
        },
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        long: "syncid",
        value: Value::Required("ID"),
        with: &[Command::StartDaemon, Command::StopDaemon, Command::List],
        help: "Daemons with the same id, 0 to 255, talk to each other; 0 if not given",
        set: |line, value| set(&mut line.daemon.sync_id, value.number(0, 255, "illegal syncid specified")?),
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        long: "sync-maxlen",
        value: Value::Required("BYTES"),
        with: &[Command::StartDaemon],
        help: "The longest synchronisation message, 1 to 65507 bytes; by the interface's MTU if not given",
        set: |line, value| {
            let length = value.number(1, SYNC_LENGTH_MAXIMUM, "illegal sync-maxlen specified")?;
            set(&mut line.daemon.maximum_length, Some(length as u16))
        },
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        long: "mcast-group",
        value: Value::Required("ADDRESS"),
        with: &[Command::StartDaemon],
        help: "The multicast group; 224.0.0.81 if not given",
        set: |line, value| {
            let group = values::multicast_group(value.text())
                .map_err(|family| usage(format!("invalid {family} mcast-group `{}'", shown(value.text()))))?;
            set(&mut line.daemon.group, Some(group))
        },
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        long: "mcast-port",
        value: Value::Required("PORT"),
        with: &[Command::StartDaemon],
        help: "The UDP port of the group; 8848 if not given",
        set: |line, value| {
            set(&mut line.daemon.port, Some(value.number(1, 65535, "illegal mcast-port specified")? as u16))
        },
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        long: "mcast-ttl",
        value: Value::Required("TTL"),
        with: &[Command::StartDaemon],
        help: "The time to live of the packets, 1 to 255; 1 if not given",
        set: |line, value| set(&mut line.daemon.ttl, Some(value.number(1, 255, "illegal mcast-ttl specified")? as u8)),
        ..OptionSpec::PLAIN
    },
];

/// A daemon that no option says anything about.
pub(in crate::grammar) fn plain() -> Daemon {
    Daemon::new(DaemonRole::Master, InterfaceName::cut(INTERFACE_DEFAULT), 0)
}

/// The value of the two commands.
pub(in crate::grammar) fn role(line: &mut Line<'_>, text: &[u8]) -> Result<(), Error> {
    let role = match text {
        b"master" => DaemonRole::Master,
        b"backup" => DaemonRole::Backup,
        _ if line.command() == Some(Command::StopDaemon) => return Err(usage("illegal start_daemon specified")),
        _ => return Err(usage("illegal start-daemon parameter specified")),
    };
    set(&mut line.daemon.role, role)
}

/// `--start-daemon`
pub(in crate::grammar) fn start(line: &mut Line<'_>) -> Result<Request, Error> {
    Ok(Request::Change(Change::StartDaemon(line.daemon)))
}

/// `--stop-daemon`
pub(in crate::grammar) fn stop(line: &mut Line<'_>) -> Result<Request, Error> {
    Ok(Request::Change(Change::StopDaemon(line.daemon)))
}
