//! The parser: words in, a checked request out. It reads command lines and rules alike.
//!
//! It follows popt(3) in how words are taken apart, and the original in the order of its checks: values as they are
//! read, then words left over, then which options the command takes, then what they mean together. Without an error it
//! allocates nothing, because a rules file is tens of thousands of lines.

mod finish;

use std::net::IpAddr;

use super::error::Error;
use super::request::{ColorWhen, ConnectionKey, Json, LOCK_WAIT_MAXIMUM, Listing, RESOLVE_TIMEOUT_DEFAULT, Request};
use super::table::{self, Classes, Command, CommandSpec, Flag, Value, Word};
use super::values::{self, Names};
use crate::model::{
    Daemon, DaemonRole, Family, Forwarding, InterfaceName, Netmask, Protocol, SchedulerName, ServiceKey, Tunnel,
};

/// The longest timeout, in seconds: 31 days (`MAX_TIMEOUT`, ipvsadm(8)).
const TIMEOUT_MAXIMUM: u64 = 31 * 24 * 60 * 60;
/// The longest that names are waited for, in seconds.
const RESOLVE_TIMEOUT_MAXIMUM: u64 = 3600;
/// What `-p` means without a number, in seconds (ipvsadm(8)).
const PERSISTENCE_DEFAULT: u32 = 360;
/// The scheduler if none is named (ipvsadm(8)).
const SCHEDULER_DEFAULT: &[u8] = b"wlc";
/// The multicast interface if none is named (ipvsadm(8)).
const INTERFACE_DEFAULT: &[u8] = b"eth0";
/// The largest UDP payload over IPv4, in bytes.
const SYNC_LENGTH_MAXIMUM: u64 = 65535 - 20 - 8;

/// Read a command line, without the program's name. No words at all ask for the table.
///
/// # Errors
/// The command line is not right; the first mistake in the original's order is told.
pub fn parse<'w>(
    words: impl IntoIterator<Item = &'w [u8], IntoIter: Clone>,
    names: &impl Names,
) -> Result<Request, Error> {
    parse_noting(words, names).map(|parsed| parsed.request)
}

/// A request, what was quietly put right in reading it, and how it is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// What is asked for.
    pub request: Request,
    /// The port given for a server, where the service's had to take its place.
    pub replaced_port: Option<u16>,
    /// Seconds to wait for the lock on the table (`--lock-wait`), if that was said.
    pub lock_wait: Option<u32>,
}

/// As [`parse`], with all that goes with the request.
///
/// # Errors
/// As for [`parse`].
pub fn parse_noting<'w>(
    words: impl IntoIterator<Item = &'w [u8], IntoIter: Clone>,
    names: &impl Names,
) -> Result<Parsed, Error> {
    let mut words = words.into_iter();
    if words.clone().next().is_none() {
        return Ok(Parsed { request: Request::List(Listing::DEFAULT), replaced_port: None, lock_wait: None });
    }
    let mut reader = Reader::new(names);
    let mut options_ended = false;
    while let Some(word) = words.next() {
        match word {
            [b'-', b'-'] if !options_ended => options_ended = true,
            [b'-', b'-', name @ ..] if !options_ended => reader.long(word, name, &mut words)?,
            [b'-', letters @ ..] if !options_ended && !letters.is_empty() => {
                reader.cluster(word, letters, &mut words)?
            }
            _ => reader.leave_over(word),
        }
        if let Some(Command::Help | Command::Version) = reader.command() {
            words.for_each(|word| reader.after_version(word));
            break;
        }
    }
    let request = reader.finish()?;
    Ok(Parsed { request, replaced_port: reader.replaced_port, lock_wait: reader.lock_wait })
}

#[cold]
fn usage(message: impl Into<String>) -> Error {
    Error::Usage { message: message.into(), value: None }
}

fn lossy(word: &[u8]) -> String {
    String::from_utf8_lossy(word).into_owned()
}

/// A command line being read. `'w` is how long its words live.
struct Reader<'w, 'n, N> {
    names: &'n N,
    spec: Option<&'static CommandSpec>,
    given: Classes,
    /// Words that are no options, as many as any command takes and one more.
    left_over: [&'w [u8]; 4],
    left_over_count: usize,

    role: DaemonRole,
    service: Option<ServiceKey>,
    scheduler: SchedulerName,
    scheduler_flags: Option<&'w [u8]>,
    one_packet: bool,
    persistence: u32,
    netmask: Option<Netmask>,
    engine: SchedulerName,
    server: Option<(IpAddr, Option<u16>)>,
    method: Forwarding,
    weight: u32,
    upper_threshold: u32,
    lower_threshold: u32,
    tunnel_type: TunnelType,
    tunnel_port: u16,
    daemon: Daemon,
    file: Option<&'w [u8]>,
    confirm: u32,
    /// Seconds that a drain may take.
    drain: Option<u32>,
    resolve_timeout: u32,
    lock_wait: Option<u32>,
    sort_by: Option<ConnectionKey>,
    count_by: Option<ConnectionKey>,
    color: ColorWhen,
    /// What `-v` has to say as JSON, if it has.
    version_json: Option<Json>,
    replaced_port: Option<u16>,

    /// Values that cannot be read before the service is known.
    early_server: Option<&'w [u8]>,
    early_netmask: Option<&'w [u8]>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum TunnelType {
    Ipip,
    Gue,
    Gre,
}

impl TunnelType {
    const fn name(self) -> &'static str {
        match self {
            Self::Ipip => "ipip",
            Self::Gue => "gue",
            Self::Gre => "gre",
        }
    }
}

impl<'w, 'n, N: Names> Reader<'w, 'n, N> {
    fn new(names: &'n N) -> Self {
        Self {
            names,
            spec: None,
            given: Classes::NONE,
            left_over: [b""; 4],
            left_over_count: 0,
            role: DaemonRole::Master,
            service: None,
            scheduler: SchedulerName::EMPTY,
            scheduler_flags: None,
            one_packet: false,
            persistence: 0,
            netmask: None,
            engine: SchedulerName::EMPTY,
            server: None,
            method: Forwarding::DirectRoute,
            weight: 1,
            upper_threshold: 0,
            lower_threshold: 0,
            tunnel_type: TunnelType::Ipip,
            tunnel_port: 0,
            daemon: Daemon {
                role: DaemonRole::Master,
                interface: InterfaceName::cut(INTERFACE_DEFAULT),
                sync_id: 0,
                maximum_length: None,
                group: None,
                port: None,
                ttl: None,
            },
            file: None,
            confirm: 0,
            drain: None,
            resolve_timeout: RESOLVE_TIMEOUT_DEFAULT,
            lock_wait: None,
            sort_by: None,
            count_by: None,
            color: ColorWhen::Auto,
            version_json: None,
            replaced_port: None,
            early_server: None,
            early_netmask: None,
        }
    }

    fn command(&self) -> Option<Command> {
        self.spec.map(|spec| spec.command)
    }

    fn leave_over(&mut self, word: &'w [u8]) {
        if let Some(slot) = self.left_over.get_mut(self.left_over_count) {
            *slot = word;
        }
        self.left_over_count += 1;
    }

    /// Whatever is wrong with the very first option, ipvsadm only says where help is to be had.
    #[cold]
    fn bad_option(&self, word: &[u8], reason: &'static str, name: Option<&[u8]>) -> Error {
        if self.spec.is_none() {
            return Error::NoCommand;
        }
        Error::BadOption { word: lossy(word), reason, suggestion: name.and_then(super::suggest::long_option) }
    }

    /// `--name`, `--name=value` or `--name value`.
    fn long(
        &mut self,
        word: &'w [u8],
        name: &'w [u8],
        words: &mut (impl Iterator<Item = &'w [u8]> + Clone),
    ) -> Result<(), Error> {
        let (name, value) = match name.iter().position(|&byte| byte == b'=') {
            Some(equals) => (&name[..equals], Some(&name[equals + 1..])),
            None => (name, None),
        };
        let Some(meaning) = table::long(name) else {
            return Err(self.bad_option(word, "unknown option", Some(name)));
        };
        let value = match (meaning.value(), value) {
            (Value::None, None) => None,
            (Value::None, Some(_)) => {
                return Err(self.bad_option(word, "option does not take an argument", None));
            }
            (_, Some(value)) => Some(value),
            (kind, None) => self.next_value(kind, word, words)?,
        };
        self.take(meaning, word, value)
    }

    /// `-abc`: letters that take no value, and at the end one that may.
    fn cluster(
        &mut self,
        word: &'w [u8],
        mut letters: &'w [u8],
        words: &mut (impl Iterator<Item = &'w [u8]> + Clone),
    ) -> Result<(), Error> {
        while let [letter, rest @ ..] = letters {
            letters = rest;
            let Some(meaning) = table::short(*letter) else {
                return Err(self.bad_option(word, "unknown option", None));
            };
            let value = match (meaning.value(), rest) {
                (Value::None, [b'=', ..]) => {
                    return Err(self.bad_option(word, "option does not take an argument", None));
                }
                (Value::None, _) => None,
                (kind, []) => self.next_value(kind, word, words)?,
                (_, [b'=', value @ ..] | value) => {
                    letters = &[];
                    Some(value)
                }
            };
            self.take(meaning, word, value)?;
            if let Some(Command::Help | Command::Version) = self.command() {
                if letters.contains(&b'j') {
                    self.version_json.get_or_insert_default();
                }
                return Ok(());
            }
        }
        Ok(())
    }

    /// The original does not look at what follows `-v`, whatever it is; we look for `--json` and `--pretty`.
    fn after_version(&mut self, word: &[u8]) {
        match word {
            b"-j" | b"--json" => {
                self.version_json.get_or_insert_default();
            }
            b"--pretty" => {
                self.version_json = Some(Json { pretty: true });
            }
            _ => {}
        }
    }

    /// The next word, as a value. A required value eats whatever comes; an optional one stops at a dash.
    fn next_value(
        &self,
        kind: Value,
        word: &[u8],
        words: &mut (impl Iterator<Item = &'w [u8]> + Clone),
    ) -> Result<Option<&'w [u8]>, Error> {
        match kind {
            Value::None | Value::Attached(_) => Ok(None),
            Value::Optional(_) => {
                let mut behind = words.clone();
                Ok(match behind.next() {
                    Some([b'-', ..]) | None => None,
                    value => {
                        *words = behind;
                        value
                    }
                })
            }
            Value::Required(_) => match words.next() {
                Some(value) => Ok(Some(value)),
                None => Err(self.bad_option(word, "missing argument", None)),
            },
        }
    }

    fn take(&mut self, meaning: Word, word: &'w [u8], value: Option<&'w [u8]>) -> Result<(), Error> {
        match (meaning, self.spec) {
            (Word::Command(spec), None) => self.begin(spec, value.unwrap_or_default()),
            (Word::Option(_), None) => Err(Error::NoCommand),
            // The last word read is named: of a daemon command the value, if it stands by itself.
            (Word::Command(_), Some(_)) => {
                let last = value.filter(|_| !word.contains(&b'=')).unwrap_or(word);
                Err(usage(format!("invalid option `{}'", lossy(last))))
            }
            (Word::Option(spec), Some(_)) => {
                if let Some(class) = spec.class
                    && !self.given.insert(class)
                {
                    return Err(usage(format!("multiple '{}' options specified", class.name())));
                }
                self.option(spec.flag, value).map_err(|error| match value {
                    Some(value) => error.of_value(value),
                    None => error,
                })
            }
        }
    }

    fn begin(&mut self, spec: &'static CommandSpec, value: &[u8]) -> Result<(), Error> {
        self.spec = Some(spec);
        let wrong = match spec.command {
            Command::StartDaemon => "illegal start-daemon parameter specified",
            Command::StopDaemon => "illegal start_daemon specified",
            _ => return Ok(()),
        };
        self.role = match value {
            b"master" => DaemonRole::Master,
            b"backup" => DaemonRole::Backup,
            _ => return Err(usage(wrong)),
        };
        Ok(())
    }

    fn option(&mut self, flag: Flag, value: Option<&'w [u8]>) -> Result<(), Error> {
        let text = value.unwrap_or_default();
        let number = |minimum, maximum, wrong: &str| {
            values::number(text, minimum, maximum).map(|number| number as u32).ok_or_else(|| usage(wrong))
        };
        match flag {
            Flag::TcpService => self.service_address(Protocol::Tcp, text)?,
            Flag::UdpService => self.service_address(Protocol::Udp, text)?,
            Flag::SctpService => self.service_address(Protocol::Sctp, text)?,
            Flag::FwmarkService => {
                let mark = values::number(text, 1, u32::MAX.into())
                    .ok_or_else(|| usage(format!("invalid fwmark value `{}' specified", lossy(text))))?;
                self.service = Some(ServiceKey::Mark { mark: mark as u32, family: Family::Ipv4 });
                self.early_values(false)?;
            }
            Flag::Ipv6 => match &mut self.service {
                Some(ServiceKey::Mark { family, .. }) => {
                    *family = Family::Ipv6;
                    self.early_values(true)?;
                }
                _ => return Err(usage("-6 used before -f\n")),
            },
            Flag::Scheduler => {
                self.scheduler = SchedulerName::cut(text);
            }
            Flag::Persistent => {
                self.persistence = match value {
                    None => PERSISTENCE_DEFAULT,
                    Some(text) => timeout(text, 1)?,
                }
            }
            Flag::Netmask => {
                self.early_netmask = Some(text);
                self.early_values(self.service_is_settled())?;
            }
            Flag::PersistenceEngine => self.engine = SchedulerName::cut(text),
            Flag::SchedulerFlags => self.scheduler_flags = Some(text),
            Flag::OnePacket => self.one_packet = true,
            Flag::RealServer => {
                self.early_server = Some(text);
                self.early_values(false)?;
            }
            Flag::DirectRouting => self.method = Forwarding::DirectRoute,
            Flag::Tunnelling => self.method = Forwarding::Tunnel(Tunnel::Ipip),
            Flag::Masquerading => self.method = Forwarding::Masquerade,
            Flag::Weight => self.weight = number(0, i32::MAX as u64, "illegal weight specified")?,
            Flag::UpperThreshold => {
                self.upper_threshold = number(0, i32::MAX as u64, "illegal u_threshold specified")?;
            }
            Flag::LowerThreshold => {
                self.lower_threshold = number(0, i32::MAX as u64, "illegal l_threshold specified")?;
            }
            Flag::TunnelType => {
                self.tunnel_type = match text {
                    b"ipip" => TunnelType::Ipip,
                    b"gue" => TunnelType::Gue,
                    b"gre" => TunnelType::Gre,
                    _ => return Err(usage("illegal tunnel type specified")),
                }
            }
            Flag::TunnelPort => self.tunnel_port = number(1, 65535, "illegal tunnel port specified")? as u16,
            Flag::MulticastInterface => {
                self.daemon.interface = InterfaceName::new(text).ok_or(Error::Impossible("No such device"))?;
            }
            Flag::SyncId => self.daemon.sync_id = number(0, 255, "illegal syncid specified")?,
            Flag::SyncMaximumLength => {
                let length = number(1, SYNC_LENGTH_MAXIMUM, "illegal sync-maxlen specified")?;
                self.daemon.maximum_length = Some(length as u16);
            }
            Flag::MulticastGroup => {
                let group = values::multicast_group(text)
                    .map_err(|family| usage(format!("invalid {family} mcast-group `{}'", lossy(text))))?;
                self.daemon.group = Some(group);
            }
            Flag::MulticastPort => {
                self.daemon.port = Some(number(1, 65535, "illegal mcast-port specified")? as u16);
            }
            Flag::MulticastTtl => self.daemon.ttl = Some(number(1, 255, "illegal mcast-ttl specified")? as u8),
            Flag::File => self.file = Some(text),
            Flag::Confirm => {
                self.confirm = number(1, TIMEOUT_MAXIMUM, "illegal number of seconds specified for --confirm")?;
            }
            Flag::Drain => {
                self.drain = match value {
                    None => None,
                    Some(_) => Some(number(1, TIMEOUT_MAXIMUM, "illegal number of seconds specified for --drain")?),
                }
            }
            Flag::ResolveTimeout => {
                self.resolve_timeout =
                    number(1, RESOLVE_TIMEOUT_MAXIMUM, "illegal number of seconds specified for --resolve-timeout")?;
            }
            Flag::LockWait => {
                let seconds =
                    number(0, LOCK_WAIT_MAXIMUM.into(), "illegal number of seconds specified for --lock-wait")?;
                self.lock_wait = Some(seconds);
            }
            // On a command line it has been taken away before.
            Flag::NetworkNamespace => return Err(usage("--netns has no place in a rules file")),
            Flag::SortBy => {
                self.sort_by = Some(connection_key(text).ok_or_else(|| {
                    usage(format!("--sort-by takes state, server, client or expires, not `{}'", lossy(text)))
                })?);
            }
            Flag::CountBy => {
                let key = connection_key(text).filter(|&key| key != ConnectionKey::Expires);
                self.count_by = Some(key.ok_or_else(|| {
                    usage(format!("--count-by takes state, server or client, not `{}'", lossy(text)))
                })?);
            }
            Flag::Color => {
                self.color = ColorWhen::named(text)
                    .ok_or_else(|| usage(format!("--color takes auto, always or never, not `{}'", lossy(text))))?;
            }
            Flag::Force
            | Flag::TunnelNoChecksum
            | Flag::TunnelChecksum
            | Flag::TunnelRemoteChecksum
            | Flag::Numeric
            | Flag::Connection
            | Flag::Timeout
            | Flag::Daemon
            | Flag::Stats
            | Flag::Rate
            | Flag::Thresholds
            | Flag::PersistentConnections
            | Flag::TunnelInfo
            | Flag::Exact
            | Flag::NoSort
            | Flag::Sort
            | Flag::Json
            | Flag::Pretty
            | Flag::Table
            | Flag::Wide
            | Flag::All
            | Flag::Check
            | Flag::Replace
            | Flag::DryRun
            | Flag::KeepWeights => {}
        }
        Ok(())
    }

    fn service_address(&mut self, protocol: Protocol, text: &[u8]) -> Result<(), Error> {
        let (address, port) = values::address_port(text, Some(protocol), self.names)
            .ok_or_else(|| usage("illegal virtual server address[:port] specified"))?;
        self.service = Some(ServiceKey::Address { protocol, address, port: port.unwrap_or(0) });
        self.early_values(true)
    }

    /// Whether the family of the service cannot change any more: -6 may still follow -f.
    fn service_is_settled(&self) -> bool {
        self.service.is_some_and(|key| {
            matches!(key, ServiceKey::Address { .. } | ServiceKey::Mark { family: Family::Ipv6, .. })
        })
    }

    /// Read what stood before the service, as soon as it can be read: a server's port name needs the protocol, a mask
    /// the family.
    fn early_values(&mut self, family_is_settled: bool) -> Result<(), Error> {
        let Some(key) = self.service else { return Ok(()) };
        if let Some(text) = self.early_server.take() {
            self.read_server(text, Some(key.protocol().unwrap_or(Protocol::Tcp)))?;
        }
        if family_is_settled && let Some(text) = self.early_netmask.take() {
            self.read_netmask(text, key.family())?;
        }
        Ok(())
    }

    fn read_server(&mut self, text: &[u8], protocol: Option<Protocol>) -> Result<(), Error> {
        let server = values::address_port(text, protocol, self.names)
            .ok_or_else(|| usage("illegal real server address[:port] specified").of_value(text))?;
        self.server = Some(server);
        Ok(())
    }

    fn read_netmask(&mut self, text: &[u8], family: Family) -> Result<(), Error> {
        self.netmask = Some(match family {
            Family::Ipv6 => {
                let prefix = values::number(text, 1, 128)
                    .ok_or_else(|| usage("illegal ipv6 netmask specified").of_value(text))?;
                Netmask::V6(prefix as u8)
            }
            Family::Ipv4 => {
                let mask = values::ipv4(text, self.names)
                    .ok_or_else(|| usage("illegal virtual server persistent mask specified").of_value(text))?;
                Netmask::V4(mask)
            }
        });
        Ok(())
    }
}

fn connection_key(text: &[u8]) -> Option<ConnectionKey> {
    match text {
        b"state" => Some(ConnectionKey::State),
        b"server" => Some(ConnectionKey::Server),
        b"client" => Some(ConnectionKey::Client),
        b"expires" => Some(ConnectionKey::Expires),
        _ => None,
    }
}

fn timeout(text: &[u8], minimum: u64) -> Result<u32, Error> {
    values::number(text, minimum, TIMEOUT_MAXIMUM)
        .map(|seconds| seconds as u32)
        .ok_or_else(|| usage(format!("invalid timeout value `{}' specified", lossy(text))))
}
