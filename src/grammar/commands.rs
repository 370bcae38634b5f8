//! The commands.

use super::options::{common, daemon, listing, rules, server, service};
use super::request::Request;
use super::table::{Command, CommandSpec, Completion, Value};

/// Every command, in the order of the manual. Which options it takes stands with the options.
pub(super) const ALL: [CommandSpec; 16] = [
    CommandSpec {
        command: Command::AddService,
        short: b"A",
        long: "add-service",
        name: "add-service",
        requires: &["service-address"],
        help: "Add a virtual service",
        request: service::add,
        ..CommandSpec::PLAIN
    },
    CommandSpec {
        command: Command::EditService,
        short: b"E",
        long: "edit-service",
        name: "edit-service",
        requires: &["service-address"],
        help: "Edit a virtual service: what is not given gets its default",
        request: service::edit,
        ..CommandSpec::PLAIN
    },
    CommandSpec {
        command: Command::DeleteService,
        short: b"D",
        long: "delete-service",
        name: "delete-service",
        requires: &["service-address"],
        help: "Delete a virtual service with its real servers",
        request: service::delete,
        ..CommandSpec::PLAIN
    },
    CommandSpec {
        command: Command::Clear,
        short: b"C",
        long: "clear",
        name: "flush",
        help: "Clear the whole table",
        request: common::clear,
        ..CommandSpec::PLAIN
    },
    CommandSpec {
        command: Command::Restore,
        short: b"R",
        long: "restore",
        name: "restore",
        help: "Restore rules from standard input",
        request: rules::restore,
        ..CommandSpec::PLAIN
    },
    CommandSpec {
        command: Command::Save,
        short: b"S",
        long: "save",
        name: "save",
        help: "Save rules to standard output",
        request: rules::save,
        ..CommandSpec::PLAIN
    },
    CommandSpec {
        command: Command::AddServer,
        short: b"a",
        long: "add-server",
        name: "add-server",
        requires: &["service-address", "real-server"],
        help: "Add a real server to a virtual service",
        request: server::add,
        ..CommandSpec::PLAIN
    },
    CommandSpec {
        command: Command::EditServer,
        short: b"e",
        long: "edit-server",
        name: "edit-server",
        requires: &["service-address", "real-server"],
        help: "Edit a real server: what is not given gets its default",
        request: server::edit,
        ..CommandSpec::PLAIN
    },
    CommandSpec {
        command: Command::DeleteServer,
        short: b"d",
        long: "delete-server",
        name: "delete-server",
        requires: &["service-address", "real-server"],
        help: "Delete a real server from a virtual service",
        request: server::delete,
        ..CommandSpec::PLAIN
    },
    CommandSpec {
        command: Command::List,
        short: b"Ll",
        long: "list",
        name: "list",
        one_of: &["connection", "service-address", "timeout", "daemon"],
        help: "List the table, one service, connections, timeouts or daemons",
        request: listing::list,
        ..CommandSpec::PLAIN
    },
    CommandSpec {
        command: Command::Zero,
        short: b"Z",
        long: "zero",
        name: "zero",
        help: "Zero the counters of one service or of all",
        request: service::zero,
        ..CommandSpec::PLAIN
    },
    CommandSpec {
        command: Command::Set,
        long: "set",
        name: "set",
        operands: &["TCP", "TCPFIN", "UDP"],
        help: "Set the timeouts for TCP, TCP after FIN, and UDP, in seconds; 0 keeps one as it is",
        request: common::set_timeouts,
        ..CommandSpec::PLAIN
    },
    CommandSpec {
        command: Command::StartDaemon,
        long: "start-daemon",
        name: "start-daemon",
        value: Value::Required("master|backup"),
        completion: Completion::Words(&["master", "backup"]),
        set: daemon::role,
        help: "Start a connection synchronisation daemon",
        request: daemon::start,
        ..CommandSpec::PLAIN
    },
    CommandSpec {
        command: Command::StopDaemon,
        long: "stop-daemon",
        name: "stop-daemon",
        value: Value::Required("master|backup"),
        completion: Completion::Words(&["master", "backup"]),
        set: daemon::role,
        help: "Stop a connection synchronisation daemon",
        request: daemon::stop,
        ..CommandSpec::PLAIN
    },
    CommandSpec {
        command: Command::Help,
        short: b"h",
        long: "help",
        name: "help",
        help: "Print this help",
        request: |_| Ok(Request::Help),
        ..CommandSpec::PLAIN
    },
    CommandSpec {
        command: Command::Version,
        short: b"v",
        long: "version",
        name: "version",
        help: "Print the version",
        request: |line| Ok(Request::Version(line.version_json)),
        ..CommandSpec::PLAIN
    },
];
