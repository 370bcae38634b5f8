//! The client: questions to the kernel's IPVS and what it answers.

use netlink_exchange::{Connection, Errno, Next, Part, Protocol, Request, Transport, WireError, Writer, flag};

use super::attributes::{FAMILY_NAME, FAMILY_VERSION, command};
use super::decode;
use super::encode;
use super::error::{Asked, Error, Refusal};
use super::options::{Options, Unread};
use crate::model::{
    Change, Daemon, DaemonRole, Destination, DestinationEntry, DestinationKey, Detail, Family, Info, InterfaceName,
    PartialTable, Service, ServiceEntry, ServiceFlags, ServiceKey, Table, TableService, Timeouts,
};

/// How often a dump that changed under our eyes is read again.
const DUMP_TRIES: u32 = 16;

/// A list of more parts is read again in the largest ones.
const FEW_PARTS: usize = 8;

/// A connection to the kernel's IPVS: one socket for as many requests as there are, and others for dumps with larger parts,
/// opened with the first such dump. So the thread has to stay in the network namespace that it was in.
pub struct Client {
    connection: Connection,
    /// The number of the family in this kernel.
    family: u16,
    /// The part that the destinations of every service fitted into so far, if any did.
    destinations: Part,
    /// How many destinations the last service had: often they are all alike.
    expected: usize,
    options: Way,
    /// How many services were read that way.
    read_by_options: usize,
}

/// The way to servers by socket options.
enum Way {
    /// It was not tried yet.
    Unknown,
    Open(Options),
    /// There is none, or none beside the transport that was given.
    Closed,
}

/// Requests to the family of this number.
struct Ipvs<'c> {
    connection: &'c mut Connection,
    family: u16,
}

/// A question that is answered by a list.
struct Dump<'k, D, S> {
    command: u8,
    asked: Asked,
    /// The service that the list is of.
    key: Option<&'k ServiceKey>,
    /// How much is read at once, at first.
    part: Part,
    /// From the payload of a message to an entry.
    decode: D,
    /// Whether a message says what an entry says, but for counters.
    same: S,
}

impl Client {
    /// Connect to the IPVS of the network namespace we are in.
    ///
    /// # Errors
    /// The kernel has no IPVS ([`Error::NotLoaded`]); or netlink itself fails.
    pub fn connect() -> Result<Self, Error> {
        Self::connect_if_present()?.ok_or(Error::NotLoaded)
    }

    /// The same; nothing if the kernel has no IPVS.
    ///
    /// # Errors
    /// Netlink itself fails.
    pub fn connect_if_present() -> Result<Option<Self>, Error> {
        let connection = Connection::open(Protocol::Generic, Part::Page).map_err(Error::of(Asked::Other))?;
        Self::with(connection, Part::Page, Way::Unknown)
    }

    /// As [`Client::connect_if_present`], over another transport than a netlink socket of our own: to see what comes of one
    /// that fails.
    ///
    /// # Errors
    /// The transport fails, or what comes over it makes no sense.
    #[doc(hidden)]
    pub fn over(transport: Box<dyn Transport>) -> Result<Option<Self>, Error> {
        // A transport that is given is the only one: there is nothing to grow into.
        Self::with(Connection::over(transport), Part::TwoPages, Way::Closed)
    }

    fn with(mut connection: Connection, destinations: Part, options: Way) -> Result<Option<Self>, Error> {
        let family = connection.family(FAMILY_NAME).map_err(Error::of(Asked::Other))?;
        Ok(family.map(|family| Self { connection, family, destinations, expected: 0, options, read_by_options: 0 }))
    }

    /// How often servers were read by socket options and not over netlink.
    #[doc(hidden)]
    #[must_use]
    pub const fn read_by_options(&self) -> usize {
        self.read_by_options
    }

    fn ipvs(&mut self) -> Ipvs<'_> {
        Ipvs { connection: &mut self.connection, family: self.family }
    }

    /// Make one change.
    ///
    /// # Errors
    /// The kernel refuses it; or netlink fails.
    pub fn change(&mut self, change: &Change) -> Result<(), Error> {
        self.ipvs().change(change)
    }

    /// Add a service.
    ///
    /// # Errors
    /// There is one of this key; the kernel knows no such scheduler; or as [`Client::change`].
    pub fn add_service(&mut self, service: &Service) -> Result<(), Error> {
        self.change(&Change::AddService(*service))
    }

    /// Change a service: all of it but its key.
    ///
    /// # Errors
    /// There is no such service, or scheduler; or as [`Client::change`].
    pub fn edit_service(&mut self, service: &Service) -> Result<(), Error> {
        self.change(&Change::EditService(*service))
    }

    /// Give a service those of these flags that are in `service`, and leave its other flags as they are. Everything else of
    /// `service` has to be as it was read: the kernel takes it with the flags. It keeps the scheduler's table.
    ///
    /// # Errors
    /// As [`Client::edit_service`].
    pub fn edit_service_flags(&mut self, service: &Service, meant: ServiceFlags) -> Result<(), Error> {
        let change = Change::EditService(*service);
        let ipvs = self.ipvs();
        let request = ipvs.request(encode::command_of(&change));
        let write = |writer: &mut Writer| encode::write_service_with(writer, service, meant.bits());
        ipvs.connection.ask(request, write).map_err(Error::of((&change).into()))
    }

    /// Delete a service, with its servers.
    ///
    /// # Errors
    /// There is no such service; or as [`Client::change`].
    pub fn delete_service(&mut self, service: &ServiceKey) -> Result<(), Error> {
        self.change(&Change::DeleteService(*service))
    }

    /// Add a server to a service.
    ///
    /// # Errors
    /// There is no such service, or it has this server; or as [`Client::change`].
    pub fn add_destination(&mut self, service: &ServiceKey, destination: &Destination) -> Result<(), Error> {
        self.change(&Change::AddDestination(*service, *destination))
    }

    /// Change a server of a service: all of it but its key.
    ///
    /// # Errors
    /// There is no such service, or it does not have this server; or as [`Client::change`].
    pub fn edit_destination(&mut self, service: &ServiceKey, destination: &Destination) -> Result<(), Error> {
        self.change(&Change::EditDestination(*service, *destination))
    }

    /// Delete a server of a service.
    ///
    /// # Errors
    /// There is no such service, or it does not have this server; or as [`Client::change`].
    pub fn delete_destination(&mut self, service: &ServiceKey, destination: &DestinationKey) -> Result<(), Error> {
        self.change(&Change::DeleteDestination(*service, *destination))
    }

    /// Delete all services, with their servers.
    ///
    /// # Errors
    /// As [`Client::change`].
    pub fn flush(&mut self) -> Result<(), Error> {
        self.change(&Change::Flush)
    }

    /// Set the counters of all services and servers to 0.
    ///
    /// # Errors
    /// As [`Client::change`].
    pub fn zero(&mut self) -> Result<(), Error> {
        self.change(&Change::Zero(None))
    }

    /// Set the counters of a service and its servers to 0.
    ///
    /// # Errors
    /// There is no such service; or as [`Client::change`].
    pub fn zero_service(&mut self, service: &ServiceKey) -> Result<(), Error> {
        self.change(&Change::Zero(Some(*service)))
    }

    /// Set the timeouts of connections; those that are 0 stay as they are.
    ///
    /// # Errors
    /// As [`Client::change`].
    pub fn set_timeouts(&mut self, timeouts: &Timeouts) -> Result<(), Error> {
        self.change(&Change::SetTimeouts(*timeouts))
    }

    /// Start a daemon that synchronises connections.
    ///
    /// # Errors
    /// One of this role runs; there is no such interface; or as [`Client::change`].
    pub fn start_daemon(&mut self, daemon: &Daemon) -> Result<(), Error> {
        self.change(&Change::StartDaemon(*daemon))
    }

    /// Stop the daemon of this role.
    ///
    /// # Errors
    /// None runs; or as [`Client::change`].
    pub fn stop_daemon(&mut self, role: DaemonRole) -> Result<(), Error> {
        self.change(&Change::StopDaemon(Daemon::new(role, InterfaceName::EMPTY, 0)))
    }

    /// Begin a batch: many changes in few system calls, made in order. `refused` hears of each that the kernel does not
    /// make, by the tag it was given; the others are made anyway.
    ///
    /// # Errors
    /// The socket does not take the settings for it.
    pub fn batch<T, F: FnMut(T, Refusal)>(&mut self, refused: F) -> Result<Batch<'_, T, F>, Error> {
        let family = self.family;
        let batch = self.connection.batch().map_err(Error::of(Asked::Other))?;
        Ok(Batch { batch, family, refused })
    }

    /// The version and the size of the connection table.
    ///
    /// # Errors
    /// The kernel refuses; or netlink fails.
    pub fn info(&mut self) -> Result<Info, Error> {
        self.ipvs().one(command::GET_INFO, Asked::Other, |_| {}, decode::info)
    }

    /// The timeouts in force.
    ///
    /// # Errors
    /// The kernel refuses; or netlink fails.
    pub fn timeouts(&mut self) -> Result<Timeouts, Error> {
        self.ipvs().one(command::GET_CONFIG, Asked::Other, |_| {}, decode::timeouts)
    }

    /// The running sync daemons, the master first.
    ///
    /// # Errors
    /// The kernel refuses; or netlink fails.
    pub fn daemons(&mut self) -> Result<Vec<Daemon>, Error> {
        let mut daemons = self.ipvs().daemons()?;
        daemons.sort_by_key(|daemon| daemon.role != DaemonRole::Master);
        Ok(daemons)
    }

    /// One service, without its destinations.
    ///
    /// # Errors
    /// There is no such service; or netlink fails.
    pub fn service(&mut self, key: &ServiceKey) -> Result<ServiceEntry, Error> {
        self.service_with(key)
    }

    /// The same with this of its counters.
    ///
    /// # Errors
    /// As [`Client::service`].
    pub fn service_with<D: Detail>(&mut self, key: &ServiceKey) -> Result<ServiceEntry<D>, Error> {
        let of_service = |writer: &mut Writer| encode::write_key(writer, key);
        self.ipvs().one(command::GET_SERVICE, Asked::OneService, of_service, decode::service_with)
    }

    /// All services, in the kernel's order.
    ///
    /// # Errors
    /// The kernel refuses; the table changes under each try; or netlink fails.
    pub fn services(&mut self) -> Result<Vec<ServiceEntry>, Error> {
        self.services_with()
    }

    /// The same with this of their counters.
    ///
    /// # Errors
    /// As [`Client::services`].
    pub fn services_with<D: Detail>(&mut self) -> Result<Vec<ServiceEntry<D>>, Error> {
        self.dump(&Dump {
            command: command::GET_SERVICE,
            asked: Asked::Other,
            key: None,
            part: Part::Most,
            decode: decode::service_with,
            same: |entry: &ServiceEntry<D>, payload: &[u8]| Ok(decode::service_rule(payload)? == entry.service),
        })
    }

    /// All services as rules, without counters, in the kernel's order.
    ///
    /// # Errors
    /// The kernel refuses; the table changes under each try; or netlink fails.
    pub fn service_rules(&mut self) -> Result<Vec<Service>, Error> {
        self.dump(&Dump {
            command: command::GET_SERVICE,
            asked: Asked::Other,
            key: None,
            part: Part::Most,
            decode: decode::service_rule,
            same: |service: &Service, payload: &[u8]| Ok(decode::service_rule(payload)? == *service),
        })
    }

    /// The destinations of a service, in the kernel's order; nothing if there is no such service.
    ///
    /// # Errors
    /// The kernel refuses; the table changes under each try; or netlink fails.
    pub fn destinations(&mut self, key: &ServiceKey) -> Result<Option<Vec<DestinationEntry>>, Error> {
        self.destinations_with(key)
    }

    /// The same with this of their counters.
    ///
    /// # Errors
    /// As [`Client::destinations`].
    pub fn destinations_with<D: Detail>(
        &mut self,
        key: &ServiceKey,
    ) -> Result<Option<Vec<DestinationEntry<D>>>, Error> {
        if let Some(statistics) = D::absent()
            && let Some(entries) = self.by_options(key, |entry| entry.with(statistics))
        {
            return Ok(Some(entries));
        }
        self.of_service(key, decode::destination_with, |entry| &entry.destination)
    }

    /// The destinations of a service as rules, without counters, in the kernel's order; nothing if there is no such service.
    ///
    /// # Errors
    /// The kernel refuses; the table changes under each try; or netlink fails.
    pub fn destination_rules(&mut self, key: &ServiceKey) -> Result<Option<Vec<Destination>>, Error> {
        if let Some(rules) = self.by_options(key, |entry| entry.destination) {
            return Ok(Some(rules));
        }
        self.of_service(key, decode::destination_rule, |destination| destination)
    }

    /// The whole table, in the kernel's order. A service and its destinations belong together, and are of one moment if they
    /// are not changed in between; the services are read one after the other.
    ///
    /// # Errors
    /// The kernel refuses; the table changes under each try; or netlink fails.
    pub fn table(&mut self) -> Result<Table, Error> {
        self.table_with()
    }

    /// The same with this of its counters.
    ///
    /// # Errors
    /// As [`Client::table`].
    pub fn table_with<D: Detail>(&mut self) -> Result<Table<D>, Error> {
        let entries = self.services_with()?;
        let mut services = Vec::with_capacity(entries.len());
        for entry in entries {
            if let Some(destinations) = self.destinations_with(&entry.service.key)? {
                services.push(TableService { entry, destinations });
            }
        }
        Ok(Table { services })
    }

    /// What the kernel tells of the table by socket options. In a user namespace other than the first, in which netlink is
    /// refused, it is all that can be read. The services are read one after the other.
    ///
    /// # Errors
    /// That is refused as well ([`Error::NotPermitted`]).
    pub fn partial_table(&mut self) -> Result<PartialTable, Error> {
        match self.options() {
            Some(options) => options.table().map_err(|_| Error::NotPermitted),
            None => Err(Error::NotPermitted),
        }
    }

    /// The way to servers by socket options, if there is one.
    fn options(&mut self) -> Option<&mut Options> {
        if let Way::Unknown = self.options {
            self.options = Options::open().map_or(Way::Closed, Way::Open);
        }
        match &mut self.options {
            Way::Open(options) => Some(options),
            Way::Unknown | Way::Closed => None,
        }
    }

    /// The destinations of a service, if it is there and socket options tell everything of them.
    fn by_options<T>(&mut self, key: &ServiceKey, make: impl Fn(DestinationEntry<()>) -> T) -> Option<Vec<T>> {
        if key.family() != Family::Ipv4 {
            return None;
        }
        match self.options()?.servers(key, make) {
            Ok(servers) => {
                self.read_by_options += 1;
                Some(servers)
            }
            Err(Unread::Service) => None,
            Err(Unread::Kernel) => {
                self.options = Way::Closed;
                None
            }
        }
    }

    /// The destinations of a service, if there is that service.
    fn of_service<T>(
        &mut self,
        key: &ServiceKey,
        decode: impl Fn(&[u8], Family) -> Result<T, WireError>,
        rule: impl Fn(&T) -> &Destination,
    ) -> Result<Option<Vec<T>>, Error> {
        let family = key.family();
        let dump = Dump {
            command: command::GET_DEST,
            asked: Asked::Destination,
            key: Some(key),
            part: self.destinations,
            decode: |payload: &[u8]| decode(payload, family),
            same: |entry: &T, payload: &[u8]| Ok(decode::destination_rule(payload, family)? == *rule(entry)),
        };
        let mut entries = self.dump(&dump)?;
        if entries.len() < self.expected / 2 {
            entries.shrink_to_fit();
        }
        self.expected = entries.len();
        // The kernel gives none of a service that it has not. Without destinations it may never have been, but have been
        // deleted since it was heard of.
        if entries.is_empty() {
            return match self.service(key) {
                Ok(_) => Ok(Some(entries)),
                Err(Error::Refused(Refusal { errno: Errno::ESRCH, .. })) => Ok(None),
                Err(error) => Err(error),
            };
        }
        Ok(Some(entries))
    }

    /// Read a dump to its end; read again if it has changed in between.
    ///
    /// The kernel makes a part of a dump at a time, finds its place in the list by counting, and does not say whether the
    /// list has changed since the part before (`ip_vs_genl_dump_services`, `ip_vs_genl_dump_dests`): an entry that was there
    /// all the time can be missing, or come twice. So what came in several parts counts if it comes the same way again.
    fn dump<T, D, S>(&mut self, dump: &Dump<'_, D, S>) -> Result<Vec<T>, Error>
    where
        D: Fn(&[u8]) -> Result<T, WireError>,
        S: Fn(&T, &[u8]) -> Result<bool, WireError>,
    {
        let mut part = dump.part;
        let mut entries = Vec::with_capacity(if dump.key.is_some() { self.expected } else { 0 });
        for _ in 0..DUMP_TRIES {
            // How many have come. Behind them stands what came the last time, as long as it is the same.
            let mut count = 0;
            let mut changed = false;
            let request = request(self.family, dump.command).with(flag::DUMP).in_parts(part);
            let attributes = |writer: &mut Writer| {
                if let Some(key) = dump.key {
                    encode::write_key(writer, key);
                }
            };
            let answer = self.connection.each(request, attributes, |message| {
                let known = match entries.get(count) {
                    Some(entry) => (dump.same)(entry, message.payload)?,
                    None => false,
                };
                if !known {
                    changed = true;
                    entries.truncate(count);
                    entries.push((dump.decode)(message.payload)?);
                }
                count += 1;
                Ok(Next::More)
            });
            changed |= count < entries.len();
            entries.truncate(count);
            let grows = part == Part::Page;
            match answer {
                Ok(parts) if parts <= 1 || !changed => return Ok(entries),
                Ok(parts) if parts > FEW_PARTS => part = Part::Most,
                Ok(_) => {}
                // No kernel of pages of 4 KiB has larger parts than were asked for; others may.
                Err(netlink_exchange::Error::Wire(WireError::Truncated { .. })) if grows => entries.clear(),
                Err(netlink_exchange::Error::Unsettled) => entries.clear(),
                Err(error) => return Err(Error::of(dump.asked)(error)),
            }
            if grows {
                // What does not fit into one part may fit into a larger one, which saves reading it twice.
                self.destinations = Part::TwoPages;
                part = if part == Part::Page { Part::TwoPages } else { part };
            }
        }
        Err(Error::Unsettled)
    }
}

/// The start of a request to this family.
const fn request(family: u16, command: u8) -> Request<4> {
    Request::generic(family, command, FAMILY_VERSION)
}

impl Ipvs<'_> {
    const fn request(&self, command: u8) -> Request<4> {
        request(self.family, command)
    }

    fn one<T>(
        &mut self,
        command: u8,
        asked: Asked,
        attributes: impl FnOnce(&mut Writer),
        decode: impl Fn(&[u8]) -> Result<T, WireError>,
    ) -> Result<T, Error> {
        let request = self.request(command);
        self.connection.one(request, attributes, |message| decode(message.payload).map(Some)).map_err(Error::of(asked))
    }

    fn daemons(&mut self) -> Result<Vec<Daemon>, Error> {
        let request = self.request(command::GET_DAEMON);
        self.connection
            .dump(request, |_| {}, |message| decode::daemon(message.payload).map(Some))
            .map_err(Error::of(Asked::Other))
    }

    fn change(&mut self, change: &Change) -> Result<(), Error> {
        let request = self.request(encode::command_of(change));
        let outcome = self.connection.ask(request, |writer| encode::write_change(writer, change));
        match (outcome.map_err(Error::of(change.into())), change) {
            // A daemon that is stopped before it has begun to run ends with EINTR, and to that netlink gives no answer
            // (`netlink_rcv_skb`), though all is done.
            (Err(Error::Netlink(netlink_exchange::Error::NoAnswer)), Change::StopDaemon(daemon)) => {
                match self.daemons()?.iter().any(|running| running.role == daemon.role) {
                    true => Err(Error::Netlink(netlink_exchange::Error::NoAnswer)),
                    false => Ok(()),
                }
            }
            (outcome, _) => outcome,
        }
    }
}

/// Changes on their way to the kernel, see [`Client::batch`].
///
/// What was pushed is made at the latest by [`Batch::finish`]; a batch dropped before that leaves its last part unsent.
#[must_use]
pub struct Batch<'c, T, F: FnMut(T, Refusal)> {
    batch: netlink_exchange::Batch<'c, (T, Asked)>,
    family: u16,
    refused: F,
}

impl<T, F: FnMut(T, Refusal)> Batch<'_, T, F> {
    /// Add a change; send what has gathered if that is enough.
    ///
    /// # Errors
    /// Netlink fails, or we may not change anything.
    pub fn push(&mut self, tag: T, change: &Change) -> Result<(), Error> {
        if let Change::StartDaemon(_) | Change::StopDaemon(_) = change {
            // These may go without an answer, and so are no acknowledgement of others; see `Ipvs::change`.
            self.flush()?;
            let mut ipvs = Ipvs { connection: self.batch.connection(), family: self.family };
            return match ipvs.change(change) {
                Err(Error::Refused(refusal)) => {
                    (self.refused)(tag, refusal);
                    Ok(())
                }
                outcome => outcome,
            };
        }
        let request = request(self.family, encode::command_of(change));
        let is_full = self.batch.push((tag, change.into()), request, |writer| encode::write_change(writer, change));
        if is_full { self.flush() } else { Ok(()) }
    }

    /// Changes that were pushed and not yet sent.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.batch.pending()
    }

    /// Send what has gathered, and hear what became of it.
    ///
    /// # Errors
    /// Netlink fails, or we may not change anything.
    pub fn flush(&mut self) -> Result<(), Error> {
        let refused = &mut self.refused;
        self.batch
            .flush(|(tag, asked), refusal| refused(tag, Refusal::of(asked, refusal)))
            .map_err(Error::of(Asked::Other))
    }

    /// Send the rest.
    ///
    /// # Errors
    /// Netlink fails, or we may not change anything.
    pub fn finish(mut self) -> Result<(), Error> {
        self.flush()
    }
}
