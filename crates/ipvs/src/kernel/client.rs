//! The client: questions to the kernel's IPVS and what it answers.

use netlink_exchange::{Connection, Part, Protocol, Transport, Writer};

use super::attributes::{FAMILY_NAME, command};
use super::batch::Batch;
use super::decode;
use super::encode;
use super::error::{Asked, Error, Refusal};
use super::lists::{Lists, Step};
use super::request::Ipvs;
use super::way::Way;
use crate::model::{
    Change, Daemon, DaemonRole, Destination, DestinationEntry, DestinationKey, Detail, Info, InterfaceName,
    PartialTable, Service, ServiceEntry, ServiceFlags, ServiceKey, Table, TableService, Timeouts,
};

/// A connection to the kernel's IPVS: one socket for as many requests as there are, and others for dumps with larger parts,
/// opened with the first such dump. So the thread has to stay in the network namespace that it was in.
pub struct Client {
    connection: Connection,
    /// The number of the family in this kernel.
    family: u16,
    lists: Lists,
    way: Way,
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
        Self::with(connection, Part::Page, Way::default())
    }

    /// As [`Client::connect_if_present`], over another transport than a netlink socket of our own: to see what comes of one
    /// that fails.
    ///
    /// # Errors
    /// The transport fails, or what comes over it makes no sense.
    #[doc(hidden)]
    pub fn over(transport: Box<dyn Transport>) -> Result<Option<Self>, Error> {
        // A transport that is given is the only one: there is nothing to grow into.
        Self::with(Connection::over(transport), Part::TwoPages, Way::closed())
    }

    fn with(mut connection: Connection, destinations: Part, way: Way) -> Result<Option<Self>, Error> {
        let family = connection.family(FAMILY_NAME).map_err(Error::of(Asked::Other))?;
        Ok(family.map(|family| Self { connection, family, lists: Lists::new(destinations), way }))
    }

    /// How often servers were read by socket options and not over netlink.
    #[doc(hidden)]
    #[must_use]
    pub fn read_by_options(&self) -> usize {
        self.way.read()
    }

    fn list<T>(&mut self, read: impl FnOnce(&mut Lists, Ipvs<'_>) -> T) -> T {
        let Self { connection, family, lists, .. } = self;
        read(lists, Ipvs { connection, family: *family })
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
        Ok(Batch::new(batch, family, refused))
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
        self.ipvs().service(key, decode::service_with)
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
        self.list(|lists, ipvs| lists.services(ipvs, decode::service_with, |entry: &ServiceEntry<D>| &entry.service))
    }

    /// All services, in the kernel's order, passed on one by one and not held: the memory that it takes does not grow with
    /// their number. What counts is what came after the last [`Step::Begin`], once this returns without an error.
    ///
    /// # Errors
    /// As [`Client::services`].
    pub fn each_service(&mut self, each: impl FnMut(Step<ServiceEntry>)) -> Result<(), Error> {
        self.list(|lists, ipvs| lists.each_service(ipvs, decode::service, |entry| &entry.service, each))
    }

    /// All services as rules, without counters, in the kernel's order.
    ///
    /// # Errors
    /// The kernel refuses; the table changes under each try; or netlink fails.
    pub fn service_rules(&mut self) -> Result<Vec<Service>, Error> {
        self.list(|lists, ipvs| lists.services(ipvs, decode::service_rule, |service| service))
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
        if let Some(told) = D::TOLD
            && let Some(entries) = self.way.servers(key, |entry| entry.with(told(entry.statistics)))
        {
            return Ok(Some(entries));
        }
        self.list(|lists, ipvs| lists.destinations(ipvs, key, decode::destination_with, |entry| &entry.destination))
    }

    /// The destinations of a service, as [`Client::each_service`]. Whether there is such a service.
    ///
    /// # Errors
    /// As [`Client::destinations`].
    pub fn each_destination(
        &mut self,
        key: &ServiceKey,
        each: impl FnMut(Step<DestinationEntry>),
    ) -> Result<bool, Error> {
        let decode = decode::destination_with;
        self.list(|lists, ipvs| lists.each_destination(ipvs, key, decode, |entry| &entry.destination, each))
    }

    /// The destinations of a service as rules, without counters, in the kernel's order; nothing if there is no such service.
    ///
    /// # Errors
    /// The kernel refuses; the table changes under each try; or netlink fails.
    pub fn destination_rules(&mut self, key: &ServiceKey) -> Result<Option<Vec<Destination>>, Error> {
        if let Some(rules) = self.way.servers(key, |entry| entry.destination) {
            return Ok(Some(rules));
        }
        self.list(|lists, ipvs| lists.destinations(ipvs, key, decode::destination_rule, |destination| destination))
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
        self.way.table().ok_or(Error::NotPermitted)
    }
}
