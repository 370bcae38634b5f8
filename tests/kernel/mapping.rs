//! Which server a client gets of the hash schedulers: what is computed, against what the kernel does with real connections.
//!
//! Services, servers, weights, flags and clients are random, and servers come, go and change in a random order. Everything is
//! made of a seed, which is printed where it fails: `IPVS_SEED=N` begins there. `IPVS_CONNECTIONS=N` is how many connections
//! are tried.

mod asked;
mod directors;
pub mod packets;
mod recipe;

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufReader, Read as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use ipvs_client::mapping::{Kernel, Mapping, Member, Unknown};
use ipvs_client::{
    Client, Destination, DestinationKey, Family, Forwarding, Protocol, SchedulerName, Service, ServiceFlags,
    ServiceKey, Tunnel, connections, scheduler,
};

use crate::support::{Links, Subject, Trial, in_fresh_namespace, trial};
use packets::{First, Sender};

/// What is tried, and where.
pub fn subject() -> Subject {
    Subject { trials, ..Subject::named("mapping") }
}

/// Connections that are tried where nothing else is said.
const CONNECTIONS: usize = 2000;
/// Connections between two changes.
const BETWEEN: usize = 12;

/// What random tests begin with.
pub fn seed() -> Result<u64> {
    if let Some(seed) = number("IPVS_SEED")? {
        return Ok(seed);
    }
    let mut seed = [0; 4];
    File::open("/dev/urandom")?.read_exact(&mut seed)?;
    Ok(u64::from(u32::from_ne_bytes(seed)))
}

fn trials() -> Result<Vec<Trial>> {
    let connections = number("IPVS_CONNECTIONS")?.unwrap_or(CONNECTIONS as u64) as usize;
    let seed = seed()?;
    Ok(vec![
        trial("real connections get the predicted server", move || {
            in_fresh_namespace(|| predictions(seed, connections))
        }),
        trial("where: many clients", move || in_fresh_namespace(|| asked::many(seed))),
        trial("two directors: digests", move || directors::digests(seed)),
        trial("two directors: saved order", move || directors::saved_order(seed)),
        trial("two directors: the recipe", recipe::two_directors_are_compared),
        trial("where: a client with port 20", || in_fresh_namespace(asked::port_of_ftp_data)),
        trial("where: persistence", || in_fresh_namespace(asked::persistence)),
        trial("where: what is refused", || in_fresh_namespace(asked::refusals)),
        trial("servers between their thresholds", move || in_fresh_namespace(|| thresholds(seed))),
    ])
}

fn number(variable: &str) -> Result<Option<u64>> {
    std::env::var(variable).ok().map(|number| number.parse().with_context(|| variable.to_owned())).transpose()
}

/// Random numbers of a seed: the generator "splitmix64" of Steele, Lea and Flood.
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ value >> 31
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn one_in(&mut self, number: usize) -> bool {
        self.below(number) == 0
    }

    pub fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// A client's address: any that can be one.
    pub fn client(&mut self, family: Family) -> IpAddr {
        match family {
            Family::Ipv4 => loop {
                let address = Ipv4Addr::from(self.next() as u32);
                if (1..=223).contains(&address.octets()[0]) && !address.is_loopback() {
                    break address.into();
                }
            },
            Family::Ipv6 => {
                let bits = u128::from(self.next()) << 64 | u128::from(self.next());
                Ipv6Addr::from(0x2 << 124 | bits >> 4).into()
            }
        }
    }

    pub fn port(&mut self) -> u16 {
        // IPVS chooses no server for packets from port 20, which it takes for data of FTP.
        const FTP_DATA: u16 = 20;
        loop {
            let port = 1 + self.below(65535) as u16;
            if port != FTP_DATA {
                break port;
            }
        }
    }

    fn virtual_address(&mut self, family: Family) -> IpAddr {
        let last = self.next() as u16;
        match family {
            Family::Ipv4 => Ipv4Addr::from(0xc0a8_0000 | u32::from(last)).into(),
            Family::Ipv6 => Ipv6Addr::from(0xfd77 << 112 | u128::from(last)).into(),
        }
    }
}

/// Links on which packets go to all servers, and all virtual addresses are local.
pub fn network() -> Result<()> {
    let links = Links::new()?;
    links.add_dummy("servers")?;
    links.add_address("servers", Ipv4Addr::new(10, 50, 255, 254).into(), 16)?;
    links.add_address("servers", "fd50::ffff".parse()?, 64)?;
    links.add_address("lo", Ipv4Addr::new(192, 168, 0, 1).into(), 16)?;
    let status = Command::new("ip").args(["-6", "route", "add", "local", "fd77::/64", "dev", "lo"]).status()?;
    ensure!(status.success(), "ip: {status}");
    Ok(())
}

/// Protocol, client and virtual address of a connection, and the server.
pub type Listed = HashMap<(String, SocketAddr, SocketAddr), DestinationKey>;

/// Whether all of these are listed. The kernel finds its place in its list by counting, and the list is that of all
/// namespaces: what comes and goes in others can hide a connection from one reading. So it is read again for what is missing.
pub fn read_until(listed: &mut Listed, is_complete: impl Fn(&Listed) -> bool) -> Result<()> {
    for _ in 0..100 {
        read_connections(listed)?;
        if is_complete(listed) {
            break;
        }
    }
    Ok(())
}

fn read_connections(listed: &mut Listed) -> Result<()> {
    let list = BufReader::new(File::open("/proc/thread-self/net/ip_vs_conn_sync")?);
    let end = |(address, port): (IpAddr, u16)| SocketAddr::new(address, port);
    let skipped = connections::read(list, |connection| {
        let name = (connection.protocol.to_string(), end(connection.source), end(connection.virtual_address));
        let (address, port) = connection.destination;
        listed.insert(name, DestinationKey { address, port });
        Ok(())
    })?;
    ensure!(skipped.lines == 0, "{skipped:?}");
    Ok(())
}

// ---- random services ------------------------------------------------------------------------------------------------

const WEIGHTS: [u32; 14] = [0, 0, 1, 1, 1, 2, 3, 5, 10, 100, 300, 1000, 65535, i32::MAX as u32];

/// A service while it changes, and what only the kernel knows of its servers.
struct World<'w> {
    random: Random,
    client: &'w mut Client,
    service: Service,
    /// The last weights above 0.
    last_weights: BTreeMap<DestinationKey, u32>,
}

impl<'w> World<'w> {
    fn new(seed: u64, client: &'w mut Client, schedulers: &[SchedulerName]) -> Result<Self> {
        let mut random = Random(seed);
        let family = random.of(&[Family::Ipv4, Family::Ipv6]);
        let key = if random.one_in(3) {
            ServiceKey::mark(1 + random.next() as u32 / 2, family)
        } else {
            let protocol = random.of(&[Protocol::Tcp, Protocol::Udp, Protocol::Sctp]);
            ServiceKey::Address { protocol, address: random.virtual_address(family), port: random.port() }
        };
        let flags = random.of(&[0, ServiceFlags::SCHEDULER_1]) | random.of(&[0, ServiceFlags::SCHEDULER_2]);
        let service = Service::new(key, random.of(schedulers)).flags(ServiceFlags::from_bits(flags));
        client.add_service(&service)?;
        let mut world = Self { random, client, service, last_weights: BTreeMap::new() };
        for _ in 0..world.random.below(9) {
            world.add()?;
        }
        Ok(world)
    }

    fn weight(&mut self) -> u32 {
        if self.random.one_in(2) { 1 } else { self.random.of(&WEIGHTS) }
    }

    fn server(&mut self) -> DestinationKey {
        let last = 1 + self.random.below(40) as u16;
        let port = self.service.key.port().unwrap_or(80);
        match self.service.key.family() {
            Family::Ipv6 if !self.random.one_in(8) => {
                DestinationKey::new(Ipv6Addr::from(0xfd50 << 112 | u128::from(last)), port)
            }
            _ => DestinationKey::new(Ipv4Addr::from(0x0a32_0000 | u32::from(last)), port),
        }
    }

    fn destination(&mut self, server: DestinationKey) -> Destination {
        let destination = Destination::new(server.address, server.port).weight(self.weight());
        let is_mixed = Family::of(server.address) != self.service.key.family();
        if is_mixed { destination.forwarding(Forwarding::Tunnel(Tunnel::Ipip)) } else { destination }
    }

    fn add(&mut self) -> Result<()> {
        let server = self.server();
        if !self.last_weights.contains_key(&server) {
            let destination = self.destination(server);
            self.client.add_destination(&self.service.key, &destination)?;
            self.last_weights.insert(server, destination.weight);
        }
        Ok(())
    }

    /// Some change, as administrators, health checkers and other programs make them.
    fn change(&mut self) -> Result<()> {
        let servers: Vec<DestinationKey> = self.last_weights.keys().copied().collect();
        if servers.is_empty() {
            return self.add();
        }
        let server = self.random.of(&servers);
        match self.random.below(8) {
            0 | 1 => self.add(),
            2 => {
                self.client.delete_destination(&self.service.key, &server)?;
                self.last_weights.remove(&server);
                Ok(())
            }
            3 => {
                let again = self.destination(server);
                self.client.delete_destination(&self.service.key, &server)?;
                self.client.add_destination(&self.service.key, &again)?;
                self.last_weights.insert(server, again.weight);
                Ok(())
            }
            4 => {
                self.service.flags = ServiceFlags::from_bits(self.random.of(&[0, 8, 16, 24]));
                Ok(self.client.edit_service(&self.service)?)
            }
            _ => {
                let edited = self.destination(server);
                self.client.edit_destination(&self.service.key, &edited)?;
                if edited.weight > 0 {
                    self.last_weights.insert(server, edited.weight);
                }
                Ok(())
            }
        }
    }

    /// The servers as the kernel lists them.
    fn members(&mut self) -> Result<Vec<Member>> {
        let entries = self.client.destinations_with::<()>(&self.service.key)?.context("no service")?;
        Ok(entries.iter().map(Member::reported).collect())
    }

    fn first(&mut self) -> First {
        let family = self.service.key.family();
        let client = SocketAddr::new(self.random.client(family), self.random.port());
        match self.service.key {
            ServiceKey::Address { protocol, address, port } => {
                First { protocol, client, to: SocketAddr::new(address, port), mark: 0 }
            }
            ServiceKey::Mark { mark, .. } => {
                let to = SocketAddr::new(self.random.virtual_address(family), self.random.port());
                First { protocol: self.random.of(&[Protocol::Tcp, Protocol::Udp, Protocol::Sctp]), client, to, mark }
            }
        }
    }
}

/// What is predicted of a connection.
struct Prediction {
    first: First,
    server: Option<DestinationKey>,
    why: String,
}

fn predictions(seed: u64, wanted: usize) -> Result<()> {
    network()?;
    let kernel = Kernel::DEFAULT;
    let sender = Sender::new()?;
    let mut client = Client::connect()?;
    let (mut tried, mut unknown, mut refused) = (0, 0, 0);
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for seed in seed.. {
        let mut world = World::new(seed, &mut client, &[scheduler::SH, scheduler::MH, scheduler::DH])?;
        let key = world.service.key;
        let mut predictions = Vec::new();
        let mut listed = Listed::new();
        for _ in 0..2 + world.random.below(5) {
            world.change()?;
            let members = world.members()?;
            // What the kernel reports, and what it knows beyond that.
            let reported = Mapping::new(&world.service, &members, &kernel);
            let truth: Vec<Member> =
                members.iter().map(|member| member.last_weight(world.last_weights[&member.server])).collect();
            let mapping = Mapping::new(&world.service, &truth, &kernel)?;
            for _ in 0..BETWEEN {
                let first = world.first();
                let choose =
                    |mapping: &Mapping| mapping.choice(first.client.ip(), Some(first.client.port()), first.to.ip());
                let server = choose(&mapping)?;
                match reported.as_ref().map(choose) {
                    Ok(Ok(same)) => ensure!(same == server, "seed {seed}: {same:?} and {server:?} of {members:?}"),
                    Err(Unknown::LastWeight(zero)) => {
                        let is_zero = members.iter().any(|member| member.server == *zero && member.weight == 0);
                        ensure!(is_zero && world.service.scheduler == scheduler::MH, "seed {seed}: {zero}");
                        unknown += 1;
                    }
                    other => anyhow::bail!("seed {seed}: {other:?} of {members:?}"),
                }
                sender.send(&first)?;
                let kind = match key {
                    ServiceKey::Mark { .. } => "by mark".to_owned(),
                    ServiceKey::Address { protocol, .. } => protocol.name().to_owned(),
                };
                *kinds.entry(format!("{} {:?} {kind}", world.service.scheduler, key.family())).or_default() += 1;
                let why = format!("{:?} with {truth:?}", world.service);
                predictions.push(Prediction { first, server, why });
            }
            // After three seconds IPVS forgets an association that got no answer.
            if matches!(key, ServiceKey::Address { protocol: Protocol::Sctp, .. }) {
                read_connections(&mut listed)?;
            }
        }
        read_until(&mut listed, |listed| {
            predictions
                .iter()
                .all(|prediction| prediction.server.is_none() || listed.contains_key(&prediction.first.name()))
        })?;
        for Prediction { first, server, why } in &predictions {
            let chosen = listed.get(&first.name()).copied();
            ensure!(chosen == *server, "seed {seed}: {first:?}: {chosen:?}, not {server:?}: {why}");
            refused += usize::from(server.is_none());
        }
        tried += predictions.len();
        world.client.delete_service(&key)?;
        if tried >= wanted {
            break;
        }
    }
    eprintln!("{tried} connections, {refused} of them refused; {unknown} not known from outside: mh with weight 0");
    for (kind, count) in kinds {
        eprintln!("  {kind}: {count}");
    }
    Ok(())
}

/// Servers with thresholds, the state of which is looked at before each connection.
fn thresholds(seed: u64) -> Result<()> {
    const CLIENTS: usize = 200;
    network()?;
    let sender = Sender::new()?;
    let mut client = Client::connect()?;
    let (mut known, mut unknown) = (0, 0);
    for (seed, flags) in (seed..).zip([0, ServiceFlags::SCHEDULER_1]) {
        let mut random = Random(seed);
        let service = Service::udp([192, 168, 9, 9], 53, random.of(&[scheduler::SH, scheduler::MH]));
        let service = service.flags(ServiceFlags::from_bits(flags));
        client.add_service(&service)?;
        for last in 1..=3_u8 {
            let server = Destination::direct([10, 50, 0, last], 53).thresholds(10 * u32::from(last), 5);
            client.add_destination(&service.key, &server)?;
        }
        for _ in 0..CLIENTS {
            let entries = client.destinations_with::<()>(&service.key)?.context("no service")?;
            let members: Vec<Member> = entries.iter().map(Member::reported).collect();
            let mapping = Mapping::new(&service, &members, &Kernel::DEFAULT)?;
            let source = SocketAddr::new(random.client(Family::Ipv4), random.port());
            let first = First { protocol: Protocol::Udp, client: source, to: "192.168.9.9:53".parse()?, mark: 0 };
            sender.send(&first)?;
            let predicted = mapping.choice(source.ip(), None, first.to.ip());
            let mut listed = Listed::new();
            read_until(&mut listed, |listed| predicted == Ok(None) || listed.contains_key(&first.name()))?;
            let chosen = listed.get(&first.name()).copied();
            match predicted {
                Ok(server) => {
                    ensure!(chosen == server, "seed {seed}: {source}: {chosen:?}, not {server:?}: {entries:?}");
                    known += 1;
                }
                Err(Unknown::Thresholds(_)) => unknown += 1,
                Err(other) => anyhow::bail!("{other}"),
            }
        }
        client.delete_service(&service.key)?;
    }
    eprintln!("{known} clients known, {unknown} between thresholds");
    ensure!(known > CLIENTS / 2, "only {known} known");
    Ok(())
}
