//! What the options of a command line come to together: the checks between them, and the request.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::{Reader, SCHEDULER_DEFAULT, TunnelType, lossy, timeout, usage};
use crate::grammar::error::Error;
use crate::grammar::request::{
    Columns, ConnectionView, Connections, Drain, Drained, Format, Json, Listing, Replace, Request, Restore,
    RestoreMode, Save, Subject,
};
use crate::grammar::table::{Class, Classes, Command, CommandSpec};
use crate::grammar::values::Names;
use crate::model::{
    Change, Checksum, Daemon, Destination, DestinationKey, Family, Forwarding, Netmask, Persistence, Protocol,
    SchedulerName, Service, ServiceFlags, ServiceKey, Timeouts, Tunnel,
};

impl<N: Names> Reader<'_, '_, N> {
    pub(super) fn finish(&mut self) -> Result<Request, Error> {
        let Some(spec) = self.spec else { return Err(Error::NoCommand) };
        match spec.command {
            Command::Help => return Ok(Request::Help),
            Command::Version => return Ok(Request::Version(self.version_json)),
            _ => {}
        }
        if let Some(text) = self.early_server.take() {
            self.read_server(text, None)?;
        }
        if let Some(text) = self.early_netmask.take() {
            self.read_netmask(text, self.service.map_or(Family::Ipv4, |key| key.family()))?;
        }
        let timeouts = self.words_left_over(spec.command)?;
        let flags = self.scheduler_flags()?;
        check_classes(spec, self.given)?;
        if self.given.has(Class::Drain) || self.given.has(Class::Force) {
            return self.drain(spec.command).map(|drain| Request::Drain(Box::new(drain)));
        }
        match spec.command {
            Command::Help => Ok(Request::Help),
            Command::Version => Ok(Request::Version(self.version_json)),
            Command::Restore => self.restore().map(|restore| Request::Restore(Box::new(restore))),
            Command::Save => Ok(Request::Save(Box::new(Save {
                numeric: self.given.has(Class::Numeric),
                resolve_timeout: self.resolve_timeout,
                all: self.given.has(Class::All),
                file: self.file(),
            }))),
            Command::List => self.listing().map(Request::List),
            Command::Clear => Ok(Request::Change(Change::Flush)),
            Command::Zero => Ok(Request::Change(Change::Zero(self.service))),
            Command::Set => Ok(Request::Change(Change::SetTimeouts(timeouts))),
            Command::StartDaemon => Ok(Request::Change(Change::StartDaemon(Daemon { role: self.role, ..self.daemon }))),
            Command::StopDaemon => Ok(Request::Change(Change::StopDaemon(Daemon { role: self.role, ..self.daemon }))),
            Command::DeleteService => Ok(Request::Change(Change::DeleteService(self.key()?))),
            Command::AddService => self.service(flags).map(|service| Request::Change(Change::AddService(service))),
            Command::EditService => self.service(flags).map(|service| Request::Change(Change::EditService(service))),
            Command::AddServer => {
                let key = self.key()?;
                self.destination(key).map(|server| Request::Change(Change::AddDestination(key, server)))
            }
            Command::EditServer => {
                let key = self.key()?;
                self.destination(key).map(|server| Request::Change(Change::EditDestination(key, server)))
            }
            Command::DeleteServer => {
                let key = self.key()?;
                Ok(Request::Change(Change::DeleteDestination(key, self.server_key(key)?)))
            }
        }
    }

    /// `--set` wants three words; no other command wants any.
    fn words_left_over(&self, command: Command) -> Result<Timeouts, Error> {
        let mut timeouts = Timeouts::default();
        let mut wanted = 0;
        if command == Command::Set {
            wanted = 3;
            if self.left_over_count < wanted {
                return Err(usage("--set option requires 3 timeout values"));
            }
            let [tcp, tcp_fin, udp, _] = self.left_over;
            timeouts = Timeouts { tcp: timeout(tcp, 0)?, tcp_fin: timeout(tcp_fin, 0)?, udp: timeout(udp, 0)? };
        }
        if self.left_over_count > wanted {
            return Err(usage(format!("unexpected argument {}", lossy(self.left_over[wanted]))));
        }
        Ok(timeouts)
    }

    /// `-b`: each word by itself, or for this scheduler.
    fn scheduler_flags(&mut self) -> Result<u32, Error> {
        if self.scheduler.is_empty() {
            self.scheduler = SchedulerName::cut(SCHEDULER_DEFAULT);
        }
        let mut flags = 0;
        for word in self.scheduler_flags.unwrap_or_default().split(|&byte| byte == b',') {
            let (bits, only) = match word {
                b"" => continue,
                b"sh-fallback" => (ServiceFlags::SCHEDULER_1, Some("sh")),
                b"sh-port" => (ServiceFlags::SCHEDULER_2, Some("sh")),
                b"mh-fallback" => (ServiceFlags::SCHEDULER_1, Some("mh")),
                b"mh-port" => (ServiceFlags::SCHEDULER_2, Some("mh")),
                b"flag-1" => (ServiceFlags::SCHEDULER_1, None),
                b"flag-2" => (ServiceFlags::SCHEDULER_2, None),
                b"flag-3" => (ServiceFlags::SCHEDULER_3, None),
                _ => return Err(usage(format!("invalid scheduler flag `{}'", lossy(word)))),
            };
            if only.is_some_and(|scheduler| scheduler.as_bytes() != self.scheduler.as_bytes()) {
                return Err(usage(format!("incompatible scheduler flag `{}'", lossy(word))));
            }
            flags |= bits;
        }
        Ok(flags)
    }

    /// The service's key, which `check_classes` has made sure of.
    fn key(&self) -> Result<ServiceKey, Error> {
        self.service.ok_or(Error::NoCommand)
    }

    fn service(&self, flags: u32) -> Result<Service, Error> {
        let key = self.key()?;
        let persistent = self.given.has(Class::Persistent);
        if key.port() == Some(0) && !persistent {
            return Err(usage("Zero port specified for non-persistent service"));
        }
        if self.one_packet && key.protocol().is_some_and(|protocol| protocol != Protocol::Udp) {
            return Err(usage("One-Packet Scheduling is only for UDP virtual services"));
        }
        let one_packet = if self.one_packet { ServiceFlags::ONE_PACKET } else { 0 };
        let netmask = self.netmask.unwrap_or_else(|| Netmask::host(key.family()));
        Ok(Service {
            key,
            scheduler: self.scheduler,
            flags: ServiceFlags::from_bits(flags | one_packet),
            persistence: persistent.then_some(Persistence { timeout: self.persistence, netmask }),
            engine: self.engine,
        })
    }

    /// The server's name as typed; without a port it has the service's.
    fn server_key(&self, key: ServiceKey) -> Result<DestinationKey, Error> {
        let (address, port) = self.server.ok_or(Error::NoCommand)?;
        Ok(DestinationKey { address, port: port.or(key.port()).unwrap_or(0) })
    }

    fn destination(&mut self, key: ServiceKey) -> Result<Destination, Error> {
        let mut server = self.server_key(key)?;
        let forwarding = self.check_tunnel(key, server)?;
        // Only masquerading can change the port; with the others the packet arrives as it was sent.
        if forwarding != Forwarding::Masquerade
            && let Some(port) = key.port()
        {
            self.replaced_port = (server.port != port).then_some(server.port);
            server.port = port;
        }
        Ok(Destination {
            key: server,
            forwarding,
            weight: self.weight,
            upper_threshold: self.upper_threshold,
            lower_threshold: self.lower_threshold,
        })
    }

    /// What the forwarding method and the tunnel's options come to.
    fn check_tunnel(&self, key: ServiceKey, server: DestinationKey) -> Result<Forwarding, Error> {
        const CHECKSUMS: Classes =
            Classes::of(&[Class::TunnelNoChecksum, Class::TunnelChecksum, Class::TunnelRemoteChecksum]);
        const OPTIONS: Classes = Classes::of(&[Class::TunnelType, Class::TunnelPort]).with(CHECKSUMS);
        let given = self.given.and(OPTIONS);
        let tunnelling = matches!(self.method, Forwarding::Tunnel(_));
        if Family::of(server.address) != key.family() && !tunnelling {
            return Err(usage("Different address family is allowed only for tunneling servers"));
        }
        if !tunnelling {
            return match given.count() {
                0 => Ok(self.method),
                _ => Err(usage("Tunnel options conflict with forward method")),
            };
        }
        const TYPE: Classes = Classes::of(&[Class::TunnelType]);
        let (required, allowed) = match self.tunnel_type {
            TunnelType::Ipip => (Classes::NONE, TYPE),
            TunnelType::Gue => (Classes::of(&[Class::TunnelPort]), OPTIONS),
            TunnelType::Gre => {
                (Classes::NONE, TYPE.with(Classes::of(&[Class::TunnelNoChecksum, Class::TunnelChecksum])))
            }
        };
        check("tunnel type", self.tunnel_type.name(), given, required, allowed, CHECKSUMS)?;
        Ok(Forwarding::Tunnel(match self.tunnel_type {
            TunnelType::Ipip => Tunnel::Ipip,
            TunnelType::Gre => Tunnel::Gre { checksum: given.has(Class::TunnelChecksum) },
            TunnelType::Gue => Tunnel::Gue {
                port: self.tunnel_port,
                checksum: if given.has(Class::TunnelChecksum) {
                    Checksum::Full
                } else if given.has(Class::TunnelRemoteChecksum) {
                    Checksum::Remote
                } else {
                    Checksum::None
                },
            },
        }))
    }

    /// `--drain` makes another request of `-d`, `-D` and `-e`.
    fn drain(&mut self, command: Command) -> Result<Drain, Error> {
        let force = self.given.has(Class::Force);
        if force && self.drain.is_none() {
            return Err(usage("You need to supply the 'drain' option with a number of seconds for the 'force' option"));
        }
        let service = self.key()?;
        let what = match command {
            Command::DeleteService => Drained::Service,
            Command::EditServer if self.given.has(Class::Weight) && self.weight == 0 => {
                Drained::Edited(self.destination(service)?)
            }
            Command::EditServer => return Err(usage("The option 'drain' of the 'edit-server' command needs -w 0")),
            _ => Drained::Server(self.server_key(service)?),
        };
        Ok(Drain { service, what, limit: self.drain, force })
    }

    fn file(&self) -> Option<PathBuf> {
        self.file.map(|path| PathBuf::from(OsStr::from_bytes(path)))
    }

    fn restore(&self) -> Result<Restore, Error> {
        let given = self.given;
        let mode = if given.has(Class::Replace) {
            RestoreMode::Replace(Replace {
                dry_run: given.has(Class::DryRun),
                keep_weights: given.has(Class::KeepWeights),
                confirm: given.has(Class::Confirm).then_some(self.confirm),
            })
        } else if let Some(class) =
            [Class::DryRun, Class::KeepWeights, Class::Confirm].into_iter().find(|&class| given.has(class))
        {
            return Err(usage(format!("You need to supply the 'replace' option for the '{}' option", class.name())));
        } else if given.has(Class::Check) {
            RestoreMode::Check
        } else {
            RestoreMode::Apply
        };
        if given.has(Class::DryRun) && given.has(Class::Confirm) {
            return Err(usage("The option 'confirm' conflicts with the 'dry-run' option in the 'restore' command"));
        }
        Ok(Restore { file: self.file(), mode })
    }

    /// What goes together in a listing in each of its forms.
    fn format(&self) -> Result<Format, Error> {
        const FORMATS: Classes = Classes::of(&[Class::Json, Class::Table, Class::Wide]);
        let given = self.given;
        if given.and(FORMATS).count() > 1 {
            check("command", "list", given.and(FORMATS), Classes::NONE, FORMATS, FORMATS)?;
        }
        Ok(if given.has(Class::Json) {
            Format::Json(Json { pretty: given.has(Class::Pretty) })
        } else if given.has(Class::Pretty) {
            return Err(usage("You need to supply the 'json' option for the 'pretty' option"));
        } else if given.has(Class::Table) {
            Format::Table
        } else if given.has(Class::Wide) {
            Format::Wide
        } else {
            Format::Classic
        })
    }

    /// What goes with `-c` only, and only by itself.
    fn connections(&self) -> Result<Connections, Error> {
        const ORDERS: Classes = Classes::of(&[Class::NoSort, Class::SortBy, Class::CountBy]);
        let orders = self.given.and(ORDERS);
        if self.given.has(Class::SortBy) || self.given.has(Class::CountBy) {
            check("command", "list", orders, Classes::NONE, ORDERS, ORDERS)?;
        }
        if let Some(ServiceKey::Mark { .. }) = self.service {
            return Err(usage(
                "The kernel does not tell which connections came by a firewall mark: choose them by -t, -u, \
                 --sctp-service or -r",
            ));
        }
        let view = match (self.sort_by, self.count_by) {
            (Some(key), _) => ConnectionView::Sorted(key),
            (_, Some(key)) => ConnectionView::Counted(key),
            _ => ConnectionView::AsTheyCome,
        };
        Ok(Connections { service: self.service, server: self.server, view })
    }

    fn listing(&self) -> Result<Listing, Error> {
        const COUNTED: Classes = Classes::of(&[Class::Stats, Class::Rate, Class::Thresholds]);
        const OF_SERVERS: Classes = COUNTED.with(Classes::of(&[Class::PersistentConnections]));
        let given = self.given;
        let subject = if given.has(Class::Connection) {
            Subject::Connections(self.connections()?)
        } else if given.has(Class::Timeout) {
            Subject::Timeouts
        } else if given.has(Class::Daemon) {
            Subject::Daemons
        } else {
            self.service.map_or(Subject::Table, Subject::Service)
        };
        let senseless = match subject {
            Subject::Connections(_) => COUNTED,
            Subject::Timeouts | Subject::Daemons => OF_SERVERS,
            Subject::Table | Subject::Service(_) => Classes::NONE,
        };
        if given.and(senseless).count() > 0 {
            return Err(usage("options conflicts in the list command"));
        }
        if let (Subject::Table | Subject::Service(_) | Subject::Timeouts | Subject::Daemons, Some(class)) =
            (subject, [Class::SortBy, Class::CountBy].into_iter().find(|&class| given.has(class)))
        {
            return Err(usage(format!("You need to supply the 'connection' option for the '{}' option", class.name())));
        }
        let format = self.format()?;
        let columns = if given.has(Class::Stats) {
            Columns::Stats
        } else if given.has(Class::Rate) {
            Columns::Rate
        } else if given.has(Class::Thresholds) {
            Columns::Thresholds
        } else if given.has(Class::PersistentConnections) {
            Columns::PersistentConnections
        } else if given.has(Class::TunnelInfo) {
            Columns::TunnelInfo
        } else {
            Columns::Plain
        };
        Ok(Listing {
            subject,
            columns,
            resolve_timeout: self.resolve_timeout,
            numeric: given.has(Class::Numeric) || matches!(format, Format::Json(_)),
            exact: given.has(Class::Exact),
            sorted: !given.has(Class::NoSort),
            engine_data: given.has(Class::PersistentConnections),
            format,
            color: self.color,
        })
    }
}

/// What the command requires, forbids, and allows only one of.
fn check_classes(spec: &CommandSpec, given: Classes) -> Result<(), Error> {
    let mut allowed = spec.allowed.with(spec.required);
    let mut exclusive = spec.exclusive;
    if spec.command == Command::List {
        // With -c, a service and a server choose among the connections.
        if given.has(Class::Connection) {
            exclusive = exclusive.without(Classes::of(&[Class::ServiceAddress]));
        } else {
            allowed = allowed.without(Classes::of(&[Class::RealServer]));
        }
    }
    check("command", spec.name, given, spec.required, allowed, exclusive)
}

/// The first mistake in the order of classes.
fn check(
    kind: &str,
    name: &str,
    given: Classes,
    required: Classes,
    allowed: Classes,
    exclusive: Classes,
) -> Result<(), Error> {
    if given.covers(required) && allowed.covers(given) && given.and(exclusive).count() <= 1 {
        return Ok(());
    }
    let mut first = None;
    for class in Class::ALL {
        let option = class.name();
        if !given.has(class) {
            if required.has(class) {
                return Err(usage(format!("You need to supply the '{option}' option for the '{name}' {kind}")));
            }
        } else if !allowed.has(class) {
            return Err(usage(format!("Illegal '{option}' option with the '{name}' {kind}")));
        } else if exclusive.has(class)
            && let Some(first) = first.replace(option)
        {
            return Err(usage(format!(
                "The option '{option}' conflicts with the '{first}' option in the '{name}' {kind}"
            )));
        }
    }
    Ok(())
}
