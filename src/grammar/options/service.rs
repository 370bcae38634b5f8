//! What a virtual service is called, and what it is like.

use ipvs_client::{Change, Family, Netmask, Persistence, Protocol, SchedulerName, Service, ServiceFlags, ServiceKey};

use crate::grammar::error::{Error, shown, usage};
use crate::grammar::line::{Line, set};
use crate::grammar::options::common::timeout;
use crate::grammar::request::Request;
use crate::grammar::table::{Command, Completion, OptionSpec, Value};
use crate::grammar::values;

/// What `-p` means without a number, in seconds (ipvsadm(8)).
const PERSISTENCE_DEFAULT: u32 = 360;
/// The scheduler if none is named (ipvsadm(8)).
const SCHEDULER_DEFAULT: &[u8] = b"wlc";

/// The commands of one service.
const NAMING: &[Command] = &[
    Command::AddService,
    Command::EditService,
    Command::DeleteService,
    Command::AddServer,
    Command::EditServer,
    Command::DeleteServer,
    Command::List,
    Command::Zero,
];
/// The commands that say what a service is like.
const SERVICES: &[Command] = &[Command::AddService, Command::EditService];

pub(super) const OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        short: Some(b't'),
        long: "tcp-service",
        group: Some("service-address"),
        value: Value::Required("VIP[:PORT]"),
        completion: Completion::Services(Some(Protocol::Tcp)),
        with: NAMING,
        help: "The virtual service: TCP to this address and port",
        set: |line, value| address(line, Protocol::Tcp, value.text()),
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        short: Some(b'u'),
        long: "udp-service",
        group: Some("service-address"),
        value: Value::Required("VIP[:PORT]"),
        completion: Completion::Services(Some(Protocol::Udp)),
        with: NAMING,
        help: "The virtual service: UDP to this address and port",
        set: |line, value| address(line, Protocol::Udp, value.text()),
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        long: "sctp-service",
        group: Some("service-address"),
        value: Value::Required("VIP[:PORT]"),
        completion: Completion::Services(Some(Protocol::Sctp)),
        with: NAMING,
        help: "The virtual service: SCTP to this address and port",
        set: |line, value| address(line, Protocol::Sctp, value.text()),
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        short: Some(b'f'),
        long: "fwmark-service",
        group: Some("service-address"),
        value: Value::Required("MARK"),
        completion: Completion::Services(None),
        with: NAMING,
        help: "The virtual service: packets with this firewall mark, 1 to 4294967295",
        set: |line, value| mark(line, value.text()),
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        short: Some(b'6'),
        long: "ipv6",
        repeatable: true,
        with: NAMING,
        help: "The firewall mark is one of IPv6 packets; follows -f",
        set: |line, _| ipv6(line),
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        short: Some(b's'),
        long: "scheduler",
        value: Value::Required("SCHEDULER"),
        completion: Completion::Schedulers(&[
            "rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh", "twos",
        ]),
        with: SERVICES,
        help: "The scheduling method; wlc if not given",
        set: |line, value| set(&mut line.service.scheduler, SchedulerName::cut(value.text())),
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        short: Some(b'p'),
        long: "persistent",
        value: Value::Optional("SECONDS"),
        with: SERVICES,
        help: "A client stays with its real server until idle for this many seconds, 1 to 2678400; 360 if no number follows",
        set: |line, value| {
            let seconds = if value.is_given() { timeout(value.text(), 1)? } else { PERSISTENCE_DEFAULT };
            set(&mut line.service.persistence, Some(seconds))
        },
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        short: Some(b'M'),
        long: "netmask",
        value: Value::Required("MASK"),
        with: SERVICES,
        help: "Clients under one mask are one client to -p: an IPv4 mask or an IPv6 prefix length",
        set: |line, value| {
            line.service.early_netmask = Some(value.text());
            let settled = line.service.family_is_settled();
            line.early_values(settled)
        },
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        long: "pe",
        value: Value::Required("ENGINE"),
        completion: Completion::Words(&["sip"]),
        with: SERVICES,
        help: "The persistence engine, such as sip",
        set: |line, value| set(&mut line.service.engine, SchedulerName::cut(value.text())),
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        short: Some(b'b'),
        long: "sched-flags",
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
        with: SERVICES,
        help: "Flags of the scheduler, with commas between: sh-fallback, sh-port, mh-fallback, mh-port, flag-1 to flag-3",
        set: |line, value| set(&mut line.service.scheduler_flags, value.text()),
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        short: Some(b'o'),
        long: "ops",
        with: SERVICES,
        help: "One-packet scheduling, for UDP and marks: every packet is scheduled by itself",
        set: |line, _| set(&mut line.service.one_packet, true),
        ..OptionSpec::PLAIN
    },
];

/// What the options of a service said.
pub(in crate::grammar) struct ServiceOptions<'w> {
    pub key: Option<ServiceKey>,
    scheduler: SchedulerName,
    scheduler_flags: &'w [u8],
    flags: u32,
    one_packet: bool,
    persistence: Option<u32>,
    netmask: Option<Netmask>,
    engine: SchedulerName,
    /// A mask that was given before the family was known.
    early_netmask: Option<&'w [u8]>,
}

impl ServiceOptions<'_> {
    pub const DEFAULT: Self = Self {
        key: None,
        scheduler: SchedulerName::EMPTY,
        scheduler_flags: b"",
        flags: 0,
        one_packet: false,
        persistence: None,
        netmask: None,
        engine: SchedulerName::EMPTY,
        early_netmask: None,
    };

    /// Whether the family of the service cannot change any more: -6 may still follow -f.
    fn family_is_settled(&self) -> bool {
        self.key.is_some_and(|key| {
            matches!(key, ServiceKey::Address { .. } | ServiceKey::Mark { family: Family::Ipv6, .. })
        })
    }

    /// `-b`: each word by itself, or for this scheduler.
    pub fn read_flags(&mut self) -> Result<(), Error> {
        for word in self.scheduler_flags.split(|&byte| byte == b',') {
            let (bits, only) = match word {
                b"" => continue,
                b"sh-fallback" => (ServiceFlags::SCHEDULER_1, Some("sh")),
                b"sh-port" => (ServiceFlags::SCHEDULER_2, Some("sh")),
                b"mh-fallback" => (ServiceFlags::SCHEDULER_1, Some("mh")),
                b"mh-port" => (ServiceFlags::SCHEDULER_2, Some("mh")),
                b"flag-1" => (ServiceFlags::SCHEDULER_1, None),
                b"flag-2" => (ServiceFlags::SCHEDULER_2, None),
                b"flag-3" => (ServiceFlags::SCHEDULER_3, None),
                _ => return Err(usage(format!("invalid scheduler flag `{}'", shown(word)))),
            };
            if only.is_some_and(|scheduler| scheduler.as_bytes() != self.scheduler().as_bytes()) {
                return Err(usage(format!("incompatible scheduler flag `{}'", shown(word))));
            }
            self.flags |= bits;
        }
        Ok(())
    }

    fn scheduler(&self) -> SchedulerName {
        if self.scheduler.is_empty() { SchedulerName::cut(SCHEDULER_DEFAULT) } else { self.scheduler }
    }
}

fn address(line: &mut Line<'_>, protocol: Protocol, text: &[u8]) -> Result<(), Error> {
    let outcome = values::address_port(text, Some(protocol), line.names);
    let (address, port) = line.known(outcome, text, "illegal virtual server address[:port] specified")?;
    line.service.key = Some(ServiceKey::Address { protocol, address, port: port.unwrap_or(0) });
    line.early_values(true)
}

fn mark(line: &mut Line<'_>, text: &[u8]) -> Result<(), Error> {
    let mark = values::number(text, 1, u32::MAX.into())
        .ok_or_else(|| usage(format!("invalid fwmark value `{}' specified", shown(text))))?;
    line.service.key = Some(ServiceKey::Mark { mark: mark as u32, family: Family::Ipv4 });
    line.early_values(false)
}

fn ipv6(line: &mut Line<'_>) -> Result<(), Error> {
    match &mut line.service.key {
        Some(ServiceKey::Mark { family, .. }) => {
            *family = Family::Ipv6;
            line.early_values(true)
        }
        // The words of ipvsadm since 2025 (Debian 1:1.31-5), which say what to do; before: "-6 used before -f".
        _ => Err(usage("-6 must follow -f\n")),
    }
}

impl Line<'_> {
    /// Read what stood before the service, as soon as it can be read: a server's port name needs the protocol, a mask
    /// the family.
    pub(super) fn early_values(&mut self, family_is_settled: bool) -> Result<(), Error> {
        let Some(key) = self.service.key else { return Ok(()) };
        if let Some(text) = self.server.early.take() {
            self.read_server(text, Some(key.protocol().unwrap_or(Protocol::Tcp)))?;
        }
        if family_is_settled && let Some(text) = self.service.early_netmask.take() {
            self.read_netmask(text, key.family())?;
        }
        Ok(())
    }

    /// Read what still waits for the service at the end of the line.
    pub(in crate::grammar) fn late_values(&mut self) -> Result<(), Error> {
        if let Some(text) = self.server.early.take() {
            self.read_server(text, None)?;
        }
        if let Some(text) = self.service.early_netmask.take() {
            self.read_netmask(text, self.service.key.map_or(Family::Ipv4, |key| key.family()))?;
        }
        Ok(())
    }

    fn read_netmask(&mut self, text: &[u8], family: Family) -> Result<(), Error> {
        self.service.netmask = Some(match family {
            Family::Ipv6 => {
                let prefix = values::number(text, 1, 128)
                    .ok_or_else(|| usage("illegal ipv6 netmask specified").of_value(text))?;
                Netmask::V6(prefix as u8)
            }
            Family::Ipv4 => {
                let outcome = values::ipv4(text, self.names);
                Netmask::V4(self.known(outcome, text, "illegal virtual server persistent mask specified")?)
            }
        });
        Ok(())
    }

    /// The service's key, which the check of the command has made sure of.
    pub(super) fn key(&self) -> Result<ServiceKey, Error> {
        self.service.key.ok_or(Error::NoCommand)
    }

    fn service(&self) -> Result<Service, Error> {
        let key = self.key()?;
        let given = &self.service;
        if key.port() == Some(0) && given.persistence.is_none() {
            return Err(usage("Zero port specified for non-persistent service"));
        }
        if given.one_packet && key.protocol().is_some_and(|protocol| protocol != Protocol::Udp) {
            return Err(usage("One-Packet Scheduling is only for UDP virtual services"));
        }
        let one_packet = if given.one_packet { ServiceFlags::ONE_PACKET } else { 0 };
        let netmask = given.netmask.unwrap_or_else(|| Netmask::host(key.family()));
        let mut service = Service::new(key, given.scheduler());
        service.flags = ServiceFlags::from_bits(given.flags | one_packet);
        service.persistence = given.persistence.map(|timeout| Persistence { timeout, netmask });
        service.engine = given.engine;
        Ok(service)
    }
}

/// `-A`
pub(in crate::grammar) fn add(line: &mut Line<'_>) -> Result<Request, Error> {
    line.service().map(|service| Request::Change(Change::AddService(service)))
}

/// `-E`
pub(in crate::grammar) fn edit(line: &mut Line<'_>) -> Result<Request, Error> {
    line.service().map(|service| Request::Change(Change::EditService(service)))
}

/// `-D`
pub(in crate::grammar) fn delete(line: &mut Line<'_>) -> Result<Request, Error> {
    Ok(Request::Change(Change::DeleteService(line.key()?)))
}

/// `-Z`
pub(in crate::grammar) fn zero(line: &mut Line<'_>) -> Result<Request, Error> {
    Ok(Request::Change(Change::Zero(line.service.key)))
}
