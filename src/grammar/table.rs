//! The one table of commands and options. The parser, `-h`, the man page's option lists and the completions come from it.
//!
//! To add an option: a [`Flag`], a line in [`OPTIONS`], its class in the sets of the commands that take it, and its
//! meaning in `parse.rs`.

mod class;

pub use class::{Class, Classes};

/// What the user wants done. One of these begins every command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Command {
    /// `-A`
    AddService,
    /// `-E`
    EditService,
    /// `-D`
    DeleteService,
    /// `-C`
    Clear,
    /// `-R`
    Restore,
    /// `-S`
    Save,
    /// `-a`
    AddServer,
    /// `-e`
    EditServer,
    /// `-d`
    DeleteServer,
    /// `-L`
    List,
    /// `-Z`
    Zero,
    /// `--set`
    Set,
    /// `--start-daemon`
    StartDaemon,
    /// `--stop-daemon`
    StopDaemon,
    /// `-h`
    Help,
    /// `-v`
    Version,
}

/// An option as a user can type it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // Each has its help text in the table.
#[non_exhaustive]
pub enum Flag {
    TcpService,
    UdpService,
    SctpService,
    FwmarkService,
    Ipv6,
    Scheduler,
    Persistent,
    Netmask,
    PersistenceEngine,
    SchedulerFlags,
    OnePacket,
    RealServer,
    DirectRouting,
    Tunnelling,
    Masquerading,
    Weight,
    UpperThreshold,
    LowerThreshold,
    TunnelType,
    TunnelPort,
    TunnelNoChecksum,
    TunnelChecksum,
    TunnelRemoteChecksum,
    MulticastInterface,
    SyncId,
    SyncMaximumLength,
    MulticastGroup,
    MulticastPort,
    MulticastTtl,
    Numeric,
    Connection,
    Timeout,
    Daemon,
    Stats,
    Rate,
    Thresholds,
    PersistentConnections,
    TunnelInfo,
    Exact,
    NoSort,
    Sort,
    SortBy,
    CountBy,
    Json,
    Pretty,
    Table,
    Wide,
    Color,
    File,
    All,
    Check,
    Replace,
    DryRun,
    KeepWeights,
    Confirm,
    Drain,
    Force,
    NetworkNamespace,
    ResolveTimeout,
    LockWait,
}

/// Whether a word takes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// It takes none.
    None,
    /// It needs one, called this in the manual.
    Required(&'static str),
    /// It takes the next word only if that does not begin with `-`.
    Optional(&'static str),
    /// It takes one only behind an equals sign in the same word (`--drain=60`), never the next word. The kind for new
    /// options that can do without a value: unlike [`Value::Optional`] it cannot take for its value what was meant to be
    /// something else, as `-p` does in `-p 10`.
    Attached(&'static str),
}

/// What can stand for a value, for completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Completion {
    /// Nothing to offer.
    Nothing,
    /// One of these words.
    Words(&'static [&'static str]),
    /// A virtual service of the table.
    Service,
    /// A real server of the service given.
    Server,
    /// A network interface.
    Interface,
    /// A file.
    File,
}

/// A command of the table.
#[derive(Clone, Copy, Debug)]
pub struct CommandSpec {
    /// Which.
    pub command: Command,
    /// The letters that mean it.
    pub short: &'static [u8],
    /// Its long name.
    pub long: &'static str,
    /// Its name in messages, which is not always the long name.
    pub name: &'static str,
    /// Its value.
    pub value: Value,
    /// Words that it wants beside its options.
    pub operands: &'static [&'static str],
    /// What its value can be.
    pub completion: Completion,
    /// What it cannot do without.
    pub required: Classes,
    /// What else it takes.
    pub allowed: Classes,
    /// Of these at most one.
    pub exclusive: Classes,
    /// What it does, in half a line.
    pub help: &'static str,
}

/// An option of the table.
#[derive(Clone, Copy, Debug)]
pub struct OptionSpec {
    /// Which.
    pub flag: Flag,
    /// What it counts as; none may be given with every command, and often.
    pub class: Option<Class>,
    /// Its letter.
    pub short: Option<u8>,
    /// Its long name.
    pub long: Option<&'static str>,
    /// Its value.
    pub value: Value,
    /// What its value can be.
    pub completion: Completion,
    /// What it means, in a line.
    pub help: &'static str,
}

impl OptionSpec {
    /// Whether what its value can be is known only on the machine, when it is typed: what completion scripts ask us then.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        // Which schedulers there are is up to the kernel; the table has all.
        matches!(self.flag, Flag::Scheduler | Flag::NetworkNamespace)
            || matches!(self.completion, Completion::Service | Completion::Server | Completion::Interface)
    }
}

const SERVICE: Classes = Classes::of(&[Class::ServiceAddress]);
const SERVICE_AND_SERVER: Classes = Classes::of(&[Class::ServiceAddress, Class::RealServer]);
const OF_SERVICES: Classes = Classes::of(&[
    Class::Scheduler,
    Class::Persistent,
    Class::Netmask,
    Class::OnePacket,
    Class::PersistenceEngine,
    Class::SchedulerFlags,
]);
const OF_SERVERS: Classes = Classes::of(&[
    Class::ForwardingMethod,
    Class::Weight,
    Class::UpperThreshold,
    Class::LowerThreshold,
    Class::TunnelType,
    Class::TunnelPort,
    Class::TunnelNoChecksum,
    Class::TunnelChecksum,
    Class::TunnelRemoteChecksum,
]);
const OF_LISTS: Classes = Classes::of(&[
    Class::Numeric,
    Class::Stats,
    Class::Rate,
    Class::Thresholds,
    Class::PersistentConnections,
    Class::NoSort,
    Class::Exact,
    Class::TunnelInfo,
    Class::ResolveTimeout,
    // Without a meaning, but the original takes it.
    Class::SyncId,
    Class::Json,
    Class::Pretty,
    Class::Table,
    Class::Wide,
    Class::Color,
]);
/// What only connections take; which of them came with `-c` the parser looks at.
const OF_CONNECTIONS: Classes = Classes::of(&[Class::RealServer, Class::SortBy, Class::CountBy]);
const LISTABLE: Classes = Classes::of(&[Class::Connection, Class::ServiceAddress, Class::Timeout, Class::Daemon]);
const OF_DAEMONS: Classes = Classes::of(&[
    Class::MulticastInterface,
    Class::SyncId,
    Class::MulticastGroup,
    Class::MulticastPort,
    Class::MulticastTtl,
    Class::SyncMaximumLength,
]);
const OF_DRAINS: Classes = Classes::of(&[Class::Drain, Class::Force]);
/// What every command takes that changes the table.
const OF_CHANGES: Classes = Classes::of(&[Class::LockWait]);
const ROLES: Completion = Completion::Words(&["master", "backup"]);

/// A command without anything special; the entries below say what differs.
const PLAIN: CommandSpec = CommandSpec {
    command: Command::Help,
    short: &[],
    long: "",
    name: "",
    value: Value::None,
    operands: &[],
    completion: Completion::Nothing,
    required: Classes::NONE,
    allowed: Classes::NONE,
    exclusive: Classes::NONE,
    help: "",
};

/// Every command.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        command: Command::AddService,
        short: b"A",
        long: "add-service",
        name: "add-service",
        required: SERVICE,
        allowed: OF_SERVICES.with(OF_CHANGES),
        help: "Add a virtual service",
        ..PLAIN
    },
    CommandSpec {
        command: Command::EditService,
        short: b"E",
        long: "edit-service",
        name: "edit-service",
        required: SERVICE,
        allowed: OF_SERVICES.with(OF_CHANGES),
        help: "Edit a virtual service: what is not given gets its default",
        ..PLAIN
    },
    CommandSpec {
        command: Command::DeleteService,
        short: b"D",
        long: "delete-service",
        name: "delete-service",
        required: SERVICE,
        allowed: OF_DRAINS.with(OF_CHANGES),
        help: "Delete a virtual service with its real servers",
        ..PLAIN
    },
    CommandSpec {
        command: Command::Clear,
        short: b"C",
        long: "clear",
        name: "flush",
        allowed: OF_CHANGES,
        help: "Clear the whole table",
        ..PLAIN
    },
    CommandSpec {
        command: Command::Restore,
        short: b"R",
        long: "restore",
        name: "restore",
        allowed: Classes::of(&[
            Class::File,
            Class::Check,
            Class::Replace,
            Class::DryRun,
            Class::KeepWeights,
            Class::Confirm,
        ])
        .with(OF_CHANGES),
        exclusive: Classes::of(&[Class::Check, Class::Replace]),
        help: "Restore rules from standard input",
        ..PLAIN
    },
    CommandSpec {
        command: Command::Save,
        short: b"S",
        long: "save",
        name: "save",
        allowed: Classes::of(&[Class::Numeric, Class::File, Class::All, Class::ResolveTimeout]),
        help: "Save rules to standard output",
        ..PLAIN
    },
    CommandSpec {
        command: Command::AddServer,
        short: b"a",
        long: "add-server",
        name: "add-server",
        required: SERVICE_AND_SERVER,
        allowed: OF_SERVERS.with(OF_CHANGES),
        help: "Add a real server to a virtual service",
        ..PLAIN
    },
    CommandSpec {
        command: Command::EditServer,
        short: b"e",
        long: "edit-server",
        name: "edit-server",
        required: SERVICE_AND_SERVER,
        allowed: OF_SERVERS.with(Classes::of(&[Class::Drain])).with(OF_CHANGES),
        help: "Edit a real server: what is not given gets its default",
        ..PLAIN
    },
    CommandSpec {
        command: Command::DeleteServer,
        short: b"d",
        long: "delete-server",
        name: "delete-server",
        required: SERVICE_AND_SERVER,
        allowed: OF_DRAINS.with(OF_CHANGES),
        help: "Delete a real server from a virtual service",
        ..PLAIN
    },
    CommandSpec {
        command: Command::List,
        short: b"Ll",
        long: "list",
        name: "list",
        allowed: OF_LISTS.with(LISTABLE).with(OF_CONNECTIONS),
        exclusive: LISTABLE,
        help: "List the table, one service, connections, timeouts or daemons",
        ..PLAIN
    },
    CommandSpec {
        command: Command::Zero,
        short: b"Z",
        long: "zero",
        name: "zero",
        allowed: SERVICE.with(OF_CHANGES),
        help: "Zero the counters of one service or of all",
        ..PLAIN
    },
    CommandSpec {
        command: Command::Set,
        long: "set",
        name: "set",
        operands: &["TCP", "TCPFIN", "UDP"],
        allowed: OF_CHANGES,
        help: "Set the timeouts for TCP, TCP after FIN, and UDP, in seconds; 0 keeps one as it is",
        ..PLAIN
    },
    CommandSpec {
        command: Command::StartDaemon,
        long: "start-daemon",
        name: "start-daemon",
        value: Value::Required("master|backup"),
        completion: ROLES,
        allowed: OF_DAEMONS.with(OF_CHANGES),
        help: "Start a connection synchronisation daemon",
        ..PLAIN
    },
    CommandSpec {
        command: Command::StopDaemon,
        long: "stop-daemon",
        name: "stop-daemon",
        value: Value::Required("master|backup"),
        completion: ROLES,
        allowed: Classes::of(&[Class::SyncId]).with(OF_CHANGES),
        help: "Stop a connection synchronisation daemon",
        ..PLAIN
    },
    CommandSpec { command: Command::Help, short: b"h", long: "help", name: "help", help: "Print this help", ..PLAIN },
    CommandSpec {
        command: Command::Version,
        short: b"v",
        long: "version",
        name: "version",
        help: "Print the version",
        ..PLAIN
    },
];

/// An option without anything special.
const BARE: OptionSpec = OptionSpec {
    flag: Flag::Sort,
    class: None,
    short: None,
    long: None,
    value: Value::None,
    completion: Completion::Nothing,
    help: "",
};

/// Every option, in the order of the manual.
pub const OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        flag: Flag::TcpService,
        class: Some(Class::ServiceAddress),
        short: Some(b't'),
        long: Some("tcp-service"),
        value: Value::Required("VIP[:PORT]"),
        completion: Completion::Service,
        help: "The virtual service: TCP to this address and port",
    },
    OptionSpec {
        flag: Flag::UdpService,
        class: Some(Class::ServiceAddress),
        short: Some(b'u'),
        long: Some("udp-service"),
        value: Value::Required("VIP[:PORT]"),
        completion: Completion::Service,
        help: "The virtual service: UDP to this address and port",
    },
    OptionSpec {
        flag: Flag::SctpService,
        class: Some(Class::ServiceAddress),
        long: Some("sctp-service"),
        value: Value::Required("VIP[:PORT]"),
        completion: Completion::Service,
        help: "The virtual service: SCTP to this address and port",
        ..BARE
    },
    OptionSpec {
        flag: Flag::FwmarkService,
        class: Some(Class::ServiceAddress),
        short: Some(b'f'),
        long: Some("fwmark-service"),
        value: Value::Required("MARK"),
        completion: Completion::Service,
        help: "The virtual service: packets with this firewall mark, 1 to 4294967295",
    },
    OptionSpec {
        flag: Flag::Ipv6,
        short: Some(b'6'),
        long: Some("ipv6"),
        help: "The firewall mark is one of IPv6 packets; follows -f",
        ..BARE
    },
    OptionSpec {
        flag: Flag::Scheduler,
        class: Some(Class::Scheduler),
        short: Some(b's'),
        long: Some("scheduler"),
        value: Value::Required("SCHEDULER"),
        completion: Completion::Words(&[
            "rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh", "twos",
        ]),
        help: "The scheduling method; wlc if not given",
    },
    OptionSpec {
        flag: Flag::Persistent,
        class: Some(Class::Persistent),
        short: Some(b'p'),
        long: Some("persistent"),
        value: Value::Optional("SECONDS"),
        help: "A client stays with its real server until idle for so long, 1 to 2678400; 360 if no number follows",
        ..BARE
    },
    OptionSpec {
        flag: Flag::Netmask,
        class: Some(Class::Netmask),
        short: Some(b'M'),
        long: Some("netmask"),
        value: Value::Required("MASK"),
        help: "Clients under one mask are one client to -p: an IPv4 mask or an IPv6 prefix length",
        ..BARE
    },
    OptionSpec {
        flag: Flag::PersistenceEngine,
        class: Some(Class::PersistenceEngine),
        long: Some("pe"),
        value: Value::Required("ENGINE"),
        completion: Completion::Words(&["sip"]),
        help: "The persistence engine, such as sip",
        ..BARE
    },
    OptionSpec {
        flag: Flag::SchedulerFlags,
        class: Some(Class::SchedulerFlags),
        short: Some(b'b'),
        long: Some("sched-flags"),
        value: Value::Required("FLAGS"),
        completion: Completion::Words(&[
            "sh-fallback",
            "sh-port",
            "mh-fallback",
            "mh-port",
            "flag-1",
            "flag-2",
            "flag-3",
        ]),
        help: "Flags of the scheduler, with commas between: sh-fallback, sh-port, mh-fallback, mh-port, flag-1 to flag-3",
    },
    OptionSpec {
        flag: Flag::OnePacket,
        class: Some(Class::OnePacket),
        short: Some(b'o'),
        long: Some("ops"),
        help: "One-packet scheduling, for UDP and marks: every packet is scheduled by itself",
        ..BARE
    },
    OptionSpec {
        flag: Flag::RealServer,
        class: Some(Class::RealServer),
        short: Some(b'r'),
        long: Some("real-server"),
        value: Value::Required("RIP[:PORT]"),
        completion: Completion::Server,
        help: "The real server; the service's port if none is given, and another one only with -m",
    },
    OptionSpec {
        flag: Flag::DirectRouting,
        class: Some(Class::ForwardingMethod),
        short: Some(b'g'),
        long: Some("gatewaying"),
        help: "Forward by direct routing (DR), the default",
        ..BARE
    },
    OptionSpec {
        flag: Flag::Tunnelling,
        class: Some(Class::ForwardingMethod),
        short: Some(b'i'),
        long: Some("ipip"),
        help: "Forward by tunnelling",
        ..BARE
    },
    OptionSpec {
        flag: Flag::Masquerading,
        class: Some(Class::ForwardingMethod),
        short: Some(b'm'),
        long: Some("masquerading"),
        help: "Forward by masquerading (NAT)",
        ..BARE
    },
    OptionSpec {
        flag: Flag::Weight,
        class: Some(Class::Weight),
        short: Some(b'w'),
        long: Some("weight"),
        value: Value::Required("WEIGHT"),
        help: "The real server's share, 0 to 2147483647; 1 if not given, 0 for no new connections",
        ..BARE
    },
    OptionSpec {
        flag: Flag::UpperThreshold,
        class: Some(Class::UpperThreshold),
        short: Some(b'x'),
        long: Some("u-threshold"),
        value: Value::Required("CONNECTIONS"),
        help: "No new connections for the real server while it has so many; 0 is no limit",
        ..BARE
    },
    OptionSpec {
        flag: Flag::LowerThreshold,
        class: Some(Class::LowerThreshold),
        short: Some(b'y'),
        long: Some("l-threshold"),
        value: Value::Required("CONNECTIONS"),
        help: "After -x was reached, new connections again below so many; 0 is three quarters of -x",
        ..BARE
    },
    OptionSpec {
        flag: Flag::TunnelType,
        class: Some(Class::TunnelType),
        long: Some("tun-type"),
        value: Value::Required("ipip|gue|gre"),
        completion: Completion::Words(&["ipip", "gue", "gre"]),
        help: "The kind of tunnel for -i; ipip if not given",
        ..BARE
    },
    OptionSpec {
        flag: Flag::TunnelPort,
        class: Some(Class::TunnelPort),
        long: Some("tun-port"),
        value: Value::Required("PORT"),
        help: "The UDP port of a gue tunnel",
        ..BARE
    },
    OptionSpec {
        flag: Flag::TunnelNoChecksum,
        class: Some(Class::TunnelNoChecksum),
        long: Some("tun-nocsum"),
        help: "No checksum in the tunnel, the default",
        ..BARE
    },
    OptionSpec {
        flag: Flag::TunnelChecksum,
        class: Some(Class::TunnelChecksum),
        long: Some("tun-csum"),
        help: "A checksum in the tunnel (gue, gre)",
        ..BARE
    },
    OptionSpec {
        flag: Flag::TunnelRemoteChecksum,
        class: Some(Class::TunnelRemoteChecksum),
        long: Some("tun-remcsum"),
        help: "Remote checksum offload in the tunnel (gue)",
        ..BARE
    },
    OptionSpec {
        flag: Flag::MulticastInterface,
        class: Some(Class::MulticastInterface),
        long: Some("mcast-interface"),
        value: Value::Required("INTERFACE"),
        completion: Completion::Interface,
        help: "The interface that the daemon multicasts on; eth0 if not given",
        ..BARE
    },
    OptionSpec {
        flag: Flag::SyncId,
        class: Some(Class::SyncId),
        long: Some("syncid"),
        value: Value::Required("ID"),
        help: "Daemons with the same id, 0 to 255, talk to each other; 0 if not given",
        ..BARE
    },
    OptionSpec {
        flag: Flag::SyncMaximumLength,
        class: Some(Class::SyncMaximumLength),
        long: Some("sync-maxlen"),
        value: Value::Required("BYTES"),
        help: "The longest synchronisation message, 1 to 65507 bytes; by the interface's MTU if not given",
        ..BARE
    },
    OptionSpec {
        flag: Flag::MulticastGroup,
        class: Some(Class::MulticastGroup),
        long: Some("mcast-group"),
        value: Value::Required("ADDRESS"),
        help: "The multicast group; 224.0.0.81 if not given",
        ..BARE
    },
    OptionSpec {
        flag: Flag::MulticastPort,
        class: Some(Class::MulticastPort),
        long: Some("mcast-port"),
        value: Value::Required("PORT"),
        help: "The UDP port of the group; 8848 if not given",
        ..BARE
    },
    OptionSpec {
        flag: Flag::MulticastTtl,
        class: Some(Class::MulticastTtl),
        long: Some("mcast-ttl"),
        value: Value::Required("TTL"),
        help: "The time to live of the packets, 1 to 255; 1 if not given",
        ..BARE
    },
    OptionSpec {
        flag: Flag::Numeric,
        class: Some(Class::Numeric),
        short: Some(b'n'),
        long: Some("numeric"),
        help: "Addresses and ports as numbers, no names looked up",
        ..BARE
    },
    OptionSpec {
        flag: Flag::Connection,
        class: Some(Class::Connection),
        short: Some(b'c'),
        long: Some("connection"),
        help: "List the connections",
        ..BARE
    },
    OptionSpec {
        flag: Flag::Timeout,
        class: Some(Class::Timeout),
        long: Some("timeout"),
        help: "List the timeouts",
        ..BARE
    },
    OptionSpec {
        flag: Flag::Daemon,
        class: Some(Class::Daemon),
        long: Some("daemon"),
        help: "List the synchronisation daemons",
        ..BARE
    },
    OptionSpec { flag: Flag::Stats, class: Some(Class::Stats), long: Some("stats"), help: "List counters", ..BARE },
    OptionSpec {
        flag: Flag::Rate,
        class: Some(Class::Rate),
        long: Some("rate"),
        help: "List rates per second",
        ..BARE
    },
    OptionSpec {
        flag: Flag::Thresholds,
        class: Some(Class::Thresholds),
        long: Some("thresholds"),
        help: "List thresholds",
        ..BARE
    },
    OptionSpec {
        flag: Flag::PersistentConnections,
        class: Some(Class::PersistentConnections),
        long: Some("persistent-conn"),
        help: "List persistent connections; with -c, the persistence engine's data",
        ..BARE
    },
    OptionSpec {
        flag: Flag::TunnelInfo,
        class: Some(Class::TunnelInfo),
        long: Some("tun-info"),
        help: "List the tunnels' parameters",
        ..BARE
    },
    OptionSpec {
        flag: Flag::Exact,
        class: Some(Class::Exact),
        short: Some(b'X'),
        long: Some("exact"),
        help: "Numbers in full, not in K, M, G, T",
        ..BARE
    },
    OptionSpec {
        flag: Flag::NoSort,
        class: Some(Class::NoSort),
        long: Some("nosort"),
        help: "In the kernel's order",
        ..BARE
    },
    OptionSpec {
        flag: Flag::Sort,
        long: Some("sort"),
        help: "In order of family, protocol, address and port, marks last; always so, unless --nosort",
        ..BARE
    },
    OptionSpec {
        flag: Flag::SortBy,
        class: Some(Class::SortBy),
        long: Some("sort-by"),
        value: Value::Required("KEY"),
        completion: Completion::Words(&["state", "server", "client", "expires"]),
        help: "With -c, in order of state, server, client or expires",
        ..BARE
    },
    OptionSpec {
        flag: Flag::CountBy,
        class: Some(Class::CountBy),
        long: Some("count-by"),
        value: Value::Required("KEY"),
        completion: Completion::Words(&["state", "server", "client"]),
        help: "With -c, how many connections there are of each state, server or client, the most first",
        ..BARE
    },
    OptionSpec {
        flag: Flag::Json,
        class: Some(Class::Json),
        short: Some(b'j'),
        long: Some("json"),
        help: "As JSON, everything that is known, as numbers; -v, too, takes it",
        ..BARE
    },
    OptionSpec {
        flag: Flag::Pretty,
        class: Some(Class::Pretty),
        long: Some("pretty"),
        help: "With --json, on indented lines",
        ..BARE
    },
    OptionSpec {
        flag: Flag::Table,
        class: Some(Class::Table),
        long: Some("table"),
        help: "As a table for reading, with shares as bars, as wide as the terminal",
        ..BARE
    },
    OptionSpec {
        flag: Flag::Wide,
        class: Some(Class::Wide),
        long: Some("wide"),
        help: "As ever, but with columns as wide as what is in them, and nothing cut",
        ..BARE
    },
    OptionSpec {
        flag: Flag::Color,
        class: Some(Class::Color),
        long: Some("color"),
        value: Value::Required("WHEN"),
        completion: Completion::Words(&["auto", "always", "never"]),
        help: "When --table and --wide have colours: auto, always or never",
        ..BARE
    },
    OptionSpec {
        flag: Flag::File,
        class: Some(Class::File),
        long: Some("file"),
        value: Value::Required("PATH"),
        completion: Completion::File,
        help: "With -R, read this file; with -S, write it, as a whole or not at all",
        ..BARE
    },
    OptionSpec {
        flag: Flag::All,
        class: Some(Class::All),
        long: Some("all"),
        help: "With -S, save timeouts and synchronisation daemons, too",
        ..BARE
    },
    OptionSpec {
        flag: Flag::Check,
        class: Some(Class::Check),
        long: Some("check"),
        help: "With -R, only say what is wrong with the rules; needs neither root nor IPVS",
        ..BARE
    },
    OptionSpec {
        flag: Flag::Replace,
        class: Some(Class::Replace),
        long: Some("replace"),
        help: "With -R, make the table equal to the rules by the fewest changes, all or none",
        ..BARE
    },
    OptionSpec {
        flag: Flag::DryRun,
        class: Some(Class::DryRun),
        long: Some("dry-run"),
        help: "With --replace, print the changes instead of making them; status 1 if there are any",
        ..BARE
    },
    OptionSpec {
        flag: Flag::KeepWeights,
        class: Some(Class::KeepWeights),
        long: Some("keep-weights"),
        help: "With --replace, leave the weights of the real servers that are there",
        ..BARE
    },
    OptionSpec {
        flag: Flag::Confirm,
        class: Some(Class::Confirm),
        long: Some("confirm"),
        value: Value::Required("SECONDS"),
        help: "With --replace, go back unless you say yes at the terminal within so many seconds",
        ..BARE
    },
    OptionSpec {
        flag: Flag::Drain,
        class: Some(Class::Drain),
        long: Some("drain"),
        value: Value::Attached("SECONDS"),
        help: "With -d, -D and -e -w 0, take weight 0 and wait until connections are gone, so many seconds at most",
        ..BARE
    },
    OptionSpec {
        flag: Flag::Force,
        class: Some(Class::Force),
        long: Some("force"),
        help: "With --drain=SECONDS, delete even if connections are left then, rather than go back",
        ..BARE
    },
    OptionSpec {
        flag: Flag::LockWait,
        class: Some(Class::LockWait),
        long: Some("lock-wait"),
        value: Value::Required("SECONDS"),
        help: "If another ipvsadm-rs is changing the table, wait so long for it, 0 to 2678400; 60 if not given",
        ..BARE
    },
    OptionSpec {
        flag: Flag::ResolveTimeout,
        class: Some(Class::ResolveTimeout),
        long: Some("resolve-timeout"),
        value: Value::Required("SECONDS"),
        help: "Without -n, wait so long for all names together, 1 to 3600; 2 if not given",
        ..BARE
    },
    // Read before all else, see `namespace.rs`.
    OptionSpec {
        flag: Flag::NetworkNamespace,
        long: Some("netns"),
        value: Value::Required("NAME|PATH"),
        help: "The table of this network namespace: a name below /run/netns or a path; anywhere on the command line",
        ..BARE
    },
];

/// A word of the table.
#[derive(Clone, Copy, Debug)]
pub enum Word {
    /// A command.
    Command(&'static CommandSpec),
    /// An option.
    Option(&'static OptionSpec),
}

impl Word {
    /// Whether a value follows.
    #[must_use]
    pub const fn value(self) -> Value {
        match self {
            Self::Command(spec) => spec.value,
            Self::Option(spec) => spec.value,
        }
    }
}

/// Index into the table by letter: 0 is none, then the commands from 1, then the options.
const SHORT: [u8; 256] = {
    let mut index = [0; 256];
    let mut i = 0;
    while i < COMMANDS.len() {
        let mut j = 0;
        while j < COMMANDS[i].short.len() {
            index[COMMANDS[i].short[j] as usize] = 1 + i as u8;
            j += 1;
        }
        i += 1;
    }
    let mut i = 0;
    while i < OPTIONS.len() {
        if let Some(letter) = OPTIONS[i].short {
            index[letter as usize] = 1 + (COMMANDS.len() + i) as u8;
        }
        i += 1;
    }
    index
};

/// The word of this letter.
#[must_use]
pub fn short(letter: u8) -> Option<Word> {
    let index = usize::from(SHORT[usize::from(letter)]).checked_sub(1)?;
    match COMMANDS.get(index) {
        Some(spec) => Some(Word::Command(spec)),
        None => OPTIONS.get(index - COMMANDS.len()).map(Word::Option),
    }
}

/// The word of this long name.
#[must_use]
pub fn long(name: &[u8]) -> Option<Word> {
    let option = OPTIONS.iter().find(|spec| spec.long.is_some_and(|long| long.as_bytes() == name)).map(Word::Option);
    option.or_else(|| COMMANDS.iter().find(|spec| spec.long.as_bytes() == name).map(Word::Command))
}
