//! What the checks judge: facts, each with where it was read, or why it could not be.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use ipvs_client::{
    Daemon, DestinationEntry, DestinationKey, Info, SchedulerName, ServiceKey, Table, TableService, Timeouts,
    hash_tables::HashTables,
};

pub use super::fact::Fact;
use super::judgement::Skip;
use super::passage::{ArpPassage, Passage};
use super::quiet::{Network, speakers};
use crate::machine::{Address, HardwareAddress, Link, Listener, Neighbour, Prefix, Route, Rule, SettingLine};

/// A virtual address to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vip {
    /// The address.
    pub address: IpAddr,
    /// The port, if one was named.
    pub port: Option<u16>,
    /// Whether it was named, and not found.
    pub is_named: bool,
}

impl fmt::Display for Vip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => SocketAddr::new(self.address, port).fmt(f),
            None => self.address.fmt(f),
        }
    }
}

/// Whether the kernel has IPVS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ipvs {
    /// Whether the netlink family is there.
    pub present: bool,
    /// A line of modprobe.d that forbids to load the module: the file and the line.
    pub blocked: Option<Blocked>,
}

/// A line of modprobe.d in the way of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// The module.
    pub module: String,
    /// The file.
    pub file: String,
    /// The line, as it stands there.
    pub line: String,
}

/// The modules of the running kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Modules {
    /// All that are in the kernel, loaded, or could be: their names have `_` where files have `-`.
    pub known: BTreeSet<String>,
    /// Which of them modprobe.d forbids.
    pub blocked: Vec<Blocked>,
}

/// A file of rules, as an administrator saved it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RulesFile {
    /// Its name.
    pub path: String,
    /// Lines that are not right.
    pub bad: Vec<String>,
    /// Servers whose port is not their service's, though their forwarding method cannot change it.
    pub ports: Vec<FilePort>,
    /// The schedulers that it asks for: the line that does, and for which service.
    pub schedulers: Vec<(u32, ServiceKey, SchedulerName)>,
    /// The persistence engines that it asks for, and the line that does.
    pub engines: Vec<(u32, SchedulerName)>,
    /// The weights that it gives.
    pub weights: HashMap<(ServiceKey, DestinationKey), u32>,
    /// Whether it has timeouts or daemons, too.
    pub whole: bool,
    /// In how many rules the kernel's table differs from it.
    pub differences: usize,
}

/// A port in a file of rules that has no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePort {
    /// The line.
    pub line: u32,
    /// The port that stands there.
    pub written: u16,
    /// The service's port, which counts.
    pub counts: u16,
    /// Whether the port stands there as a number, so that it can be replaced as text.
    pub literal: bool,
}

/// Kernel settings by their path below `/proc/sys`.
#[derive(Clone, Debug, Default)]
pub struct Settings(BTreeMap<String, Fact<i64>>);

impl Settings {
    /// Add one that was read, or not.
    pub fn insert(&mut self, key: &str, fact: Fact<i64>) {
        self.0.insert(key.to_owned(), fact);
    }

    /// The value of a setting.
    ///
    /// # Errors
    /// It could not be read.
    pub fn get(&self, key: &str) -> Result<i64, Skip> {
        match self.0.get(key) {
            Some(fact) => fact.get().copied(),
            None => Err(Skip(format!("/proc/sys/{key} was not read"))),
        }
    }

    /// What counts for an interface: the larger of its own value and that of `all`.
    ///
    /// # Errors
    /// One of them could not be read.
    pub fn effective(&self, name: &str, interface: &str) -> Result<i64, Skip> {
        let of = |which: &str| self.get(&format!("net/ipv4/conf/{which}/{name}"));
        Ok(of("all")?.max(of(interface)?))
    }
}

/// The slots of a service whose scheduler chooses by a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slots {
    /// The service.
    pub service: ServiceKey,
    /// Their digest, or why it is not known.
    pub digest: Result<String, String>,
    /// Whether the servers are in the order of their addresses.
    pub canonical_order: bool,
}

/// The table of another director, compared with this one's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerTable {
    /// The file that it was read from.
    pub file: String,
    /// In how many rules it differs from this one's.
    pub differences: usize,
    /// The digests of its services; none of one that is not known there.
    pub digests: HashMap<ServiceKey, Option<String>>,
}

/// A file that puts an address on an interface at boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootAddress {
    /// The address.
    pub address: IpAddr,
    /// The file.
    pub file: String,
    /// Whether it is our unit, which silences ARP, too.
    pub is_unit: bool,
}

/// Who answered for an address when asked on the segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The address.
    pub address: IpAddr,
    /// The interface it was asked on.
    pub interface: String,
    /// Who says to have it.
    pub hardware: HardwareAddress,
}

/// Where answers to clients go.
#[derive(Clone, Debug)]
pub struct Return {
    /// The address that they come from.
    pub from: IpAddr,
    /// A client that they are for.
    pub client: IpAddr,
    /// The clients that it stands for: those of a route; None if it is any that no narrower route leads to.
    pub network: Option<Prefix>,
    /// The route that the kernel takes; None if there is none.
    pub route: Fact<Option<Route>>,
}

/// Connections of clients with programs on this machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Both sides have heard of each other.
    pub established: u64,
    /// The client has not heard the answer yet, or its own answer did not come.
    pub half_open: u64,
}

/// How far IPVS's TCP connections with a server are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The service's address and port.
    pub service: (IpAddr, u16),
    /// The server's.
    pub server: (IpAddr, u16),
    /// A client of those that wait.
    pub client: IpAddr,
    /// Connections that wait for the answer to their first packet.
    pub waiting: u64,
    /// Connections that are further.
    pub further: u64,
    /// Connections that came by a sync message.
    pub synced: u64,
}

/// What was learnt by asking and listening on the wire (`--probe`).
#[derive(Clone, Debug)]
pub struct Probe {
    /// Who answers for the virtual addresses, and for gateways.
    pub answers: Fact<Vec<Answer>>,
    /// The sync ids of the masters that were heard.
    pub sync_ids: Fact<Vec<u8>>,
    /// How many packets reverse path filtering dropped in that time.
    pub reverse_path_drops: Fact<u64>,
}

/// All that was read.
#[derive(Clone, Debug)]
pub struct Facts {
    /// This program as a command line begins with it, for commands that fix something.
    pub program: String,
    /// The virtual addresses that it is about.
    pub vips: Vec<Vip>,
    /// The kernel's version: 6.1 is (6, 1).
    pub kernel: Fact<(u32, u32)>,
    /// Whether there is IPVS.
    pub ipvs: Fact<Ipvs>,
    /// The virtual server table.
    pub table: Fact<Table>,
    /// What IPVS says of itself.
    pub info: Fact<Info>,
    /// How full the kernel's hash tables are; None if it does not show that.
    pub hash_tables: Fact<Option<HashTables>>,
    /// The timeouts.
    pub timeouts: Fact<Timeouts>,
    /// The sync daemons.
    pub daemons: Fact<Vec<Daemon>>,
    /// The modules.
    pub modules: Fact<Modules>,
    /// The saved rules; None if there is no such file.
    pub rules: Fact<Option<RulesFile>>,
    /// Programs that keep the table: keepalived, ldirectord, kube-proxy.
    pub managers: Fact<Vec<String>>,
    /// The interfaces.
    pub links: Fact<Vec<Link>>,
    /// Their addresses.
    pub addresses: Fact<Vec<Address>>,
    /// All routes.
    pub routes: Fact<Vec<Route>>,
    /// The neighbours.
    pub neighbours: Fact<Vec<Neighbour>>,
    /// Where packets to virtual addresses and servers go; None if nowhere.
    pub paths: BTreeMap<IpAddr, Fact<Option<Route>>>,
    /// Kernel settings.
    pub settings: Settings,
    /// Whether large receive offload is on, by interface.
    pub offload: Vec<(String, Fact<bool>)>,
    /// Sockets that wait for clients.
    pub listeners: Fact<Vec<Listener>>,
    /// The lines of sysctl.d, in the order in which they take effect at boot.
    pub boot_settings: Fact<Vec<SettingLine>>,
    /// The files in which a virtual address stands so that it comes back at boot.
    pub boot_addresses: Fact<Vec<BootAddress>>,
    /// The files that make an interface `lo:…` with a virtual address and do not say `ARPUPDATE=no`.
    pub announced: Fact<Vec<String>>,
    /// The virtual addresses whose packets a mark's rule catches: with which mark.
    pub marked: BTreeMap<IpAddr, u32>,
    /// The rules of policy routing.
    pub policies: Fact<Vec<Rule>>,
    /// The ways of answers: from the virtual addresses, and from this machine's own, to clients.
    pub returns: Vec<Return>,
    /// How many packets reverse path filtering dropped since the machine started.
    pub reverse_path_drops: Fact<u64>,
    /// Connections of clients with programs on this machine, by the address that they are to.
    pub traffic: Fact<BTreeMap<IpAddr, Traffic>>,
    /// The states of IPVS's connections, by service and server.
    pub progress: Fact<Vec<Progress>>,
    /// Programs that put addresses on interfaces, announce routes, or keep the packet filter.
    pub programs: Fact<Vec<String>>,
    /// What the packet filter does with packets to the virtual services, on their whole way.
    pub scheduled: Vec<Passage>,
    /// What it does with packets to programs that serve clients.
    pub delivered: Vec<Passage>,
    /// What it does with messages of sync daemons and of VRRP.
    pub cluster: Vec<Passage>,
    /// What the rules for ARP do; nothing if none is about a virtual address.
    pub arp: Fact<Vec<ArpPassage>>,
    /// What asking on the wire gave, if that was wanted.
    pub probe: Option<Probe>,
    /// The slots of services whose scheduler chooses by a table.
    pub slots: Fact<Vec<Slots>>,
    /// The tables of other directors, if any were given.
    pub peers: Fact<Vec<PeerTable>>,
}

impl Facts {
    /// The services that are looked at: those of the virtual addresses, and those by firewall mark.
    ///
    /// # Errors
    /// The table could not be read.
    pub fn services(&self) -> Result<Vec<&TableService>, Skip> {
        let vips: HashSet<IpAddr> = self.vips.iter().map(|vip| vip.address).collect();
        let wanted = |key: &ServiceKey| key.address().is_none_or(|address| vips.contains(&address));
        Ok(self.table.get()?.services.iter().filter(|service| wanted(&service.entry.service.key)).collect())
    }

    /// Their servers.
    ///
    /// # Errors
    /// The table could not be read.
    pub fn servers(&self) -> Result<Vec<(ServiceKey, &DestinationEntry)>, Skip> {
        let of = |service: &&TableService| service.entry.service.key;
        let services = self.services()?;
        Ok(services.iter().flat_map(|s| s.destinations.iter().map(move |entry| (of(s), entry))).collect())
    }

    /// The name of an interface.
    #[must_use]
    pub fn interface(&self, index: u32) -> String {
        let links = self.links.value();
        let found = links.and_then(|links| links.iter().find(|link| link.index == index));
        found.map_or_else(|| format!("interface {index}"), |link| link.name.clone())
    }

    /// The interfaces that answer ARP.
    ///
    /// # Errors
    /// The interfaces could not be read.
    pub fn speaking(&self) -> Result<Vec<&Link>, Skip> {
        Ok(speakers(self.links.get()?).collect())
    }

    /// The interfaces and their addresses.
    ///
    /// # Errors
    /// Links or addresses could not be read.
    pub fn network(&self) -> Result<Network<'_>, Skip> {
        Ok(Network { links: self.links.get()?, addresses: self.addresses.get()? })
    }

    /// Where packets to an address go.
    ///
    /// # Errors
    /// That could not be found out.
    pub fn path(&self, to: IpAddr) -> Result<Option<&Route>, Skip> {
        match self.paths.get(&to) {
            Some(fact) => Ok(fact.get()?.as_ref()),
            None => Err(Skip(format!("the route to {to} was not asked for"))),
        }
    }

    /// The way of answers from an address to clients that no narrower route leads to.
    ///
    /// # Errors
    /// It could not be found out.
    pub fn way_to_clients(&self, from: IpAddr) -> Result<Option<&Route>, Skip> {
        match self.returns.iter().find(|one| one.from == from && one.network.is_none()) {
            Some(found) => Ok(found.route.get()?.as_ref()),
            None => Err(Skip(format!("the way from {from} to clients was not asked for"))),
        }
    }

    /// Whether a program of one of these names runs.
    #[must_use]
    pub fn runs(&self, names: &[&str]) -> bool {
        self.programs.value().is_some_and(|all| all.iter().any(|name| names.contains(&name.as_str())))
    }

    /// Whether a program keeps the table up to date.
    #[must_use]
    pub fn is_managed(&self) -> bool {
        self.managers.value().is_some_and(|managers| !managers.is_empty())
    }

    /// The names of neighbours with this address on the medium.
    #[must_use]
    pub fn owners(&self, hardware: &HardwareAddress) -> Vec<IpAddr> {
        let neighbours = self.neighbours.value().map(Vec::as_slice).unwrap_or_default();
        neighbours.iter().filter(|n| n.hardware.as_ref() == Some(hardware)).map(|n| n.address).collect()
    }
}
