//! Connections that have to live through every change, with which the tests of changes watch a table.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use ipvs_client::{Change, Client, Counters, Destination, DestinationKey, Service, ServiceKey};

use crate::support::{Links, connect_tcp};

/// Virtual addresses of the services that every table has, and real servers of each of them.
pub const SHARED: [&str; 3] = ["20.20.20.1:80", "20.20.20.2:80", "20.20.20.3:443"];
pub const SERVERS: [&str; 2] = ["10.0.0.1:8080", "10.0.0.2:8080"];
const CLIENT: &str = "40.40.40.10";

/// The keys of these services.
pub fn shared_services() -> impl Iterator<Item = ServiceKey> {
    SHARED
        .iter()
        .filter_map(|service| service.parse().ok())
        .map(|service: SocketAddr| ServiceKey::tcp(service.ip(), service.port()))
}

/// Connections through the services that every table has.
pub struct World {
    live: Vec<Live>,
    next: AtomicUsize,
    counters: Mutex<HashMap<(ServiceKey, Option<DestinationKey>), Counters>>,
}

struct Live {
    name: String,
    near: TcpStream,
    far: TcpStream,
}

impl Live {
    /// A byte goes there and one comes back.
    fn talk(&self) -> Result<()> {
        let mut byte = [0];
        let mut exchange = || -> io::Result<()> {
            (&self.near).write_all(b"?")?;
            (&self.far).read_exact(&mut byte)?;
            (&self.far).write_all(b"!")?;
            (&self.near).read_exact(&mut byte)
        };
        exchange().with_context(|| format!("the connection to {} is broken", self.name))
    }
}

impl World {
    /// Two connections to each shared service, one to each of its servers, over the table as it is to be in the beginning.
    pub fn new() -> Result<Self> {
        let links = Links::new()?;
        let vips = SHARED.iter().chain(&SERVERS).map(|address| address.parse().map(|address: SocketAddr| address.ip()));
        for address in vips.collect::<Result<Vec<IpAddr>, _>>()?.into_iter().chain([CLIENT.parse()?]) {
            links.add_address("lo", address, 32)?;
        }
        let mut client = Client::connect()?;
        // A connection whose server is deleted is reset with the next packet.
        fs::write("/proc/sys/net/ipv4/vs/expire_nodest_conn", "1")?;
        let listeners = SERVERS.map(TcpListener::bind).into_iter().collect::<Result<Vec<_>, _>>()?;
        let mut live = Vec::new();
        for (number, (key, address)) in (0_u16..).zip(shared_services().zip(SHARED)) {
            client.change(&Change::AddService(Service::new(key, ipvs_client::scheduler::RR)))?;
            for (index, (server, listener)) in SERVERS.iter().zip(&listeners).enumerate() {
                let name: SocketAddr = server.parse()?;
                let server = Destination::new(name.ip(), name.port()).forwarding(ipvs_client::Forwarding::Masquerade);
                client.change(&Change::AddDestination(key, server))?;
                let from = SocketAddr::new(CLIENT.parse()?, 5000 + number * 10 + index as u16);
                let near = TcpStream::from(connect_tcp(from, address.parse()?)?);
                let (far, _) = listener.accept()?;
                for end in [&near, &far] {
                    end.set_read_timeout(Some(Duration::from_secs(5)))?;
                    end.set_nodelay(true)?;
                }
                live.push(Live { name: format!("{address} at {name}"), near, far });
                // The next one goes to the other server.
                client.change(&Change::EditDestination(key, server.weight(0)))?;
            }
        }
        let world = Self { live, next: AtomicUsize::new(0), counters: Mutex::default() };
        world.talk_on_all()?;
        // The kernel adds up every two seconds. Counters that are 0 cannot fall.
        let deadline = Instant::now() + Duration::from_secs(60);
        while !world.is_counted(&mut client)? {
            ensure!(Instant::now() < deadline, "the connections are not counted");
            thread::sleep(Duration::from_millis(100));
        }
        world.count(&mut client)?;
        Ok(world)
    }

    /// Whether the counters of all services and servers have come.
    fn is_counted(&self, client: &mut Client) -> Result<bool> {
        for key in shared_services() {
            let service = client.service(&key)?.statistics.counters;
            let servers = client.destinations(&key)?.context("a shared service is gone")?;
            let mut all = servers.iter().map(|entry| entry.statistics.counters).chain([service]);
            if all.any(|counters| counters.connections == 0) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub fn talk_on_one(&self) -> Result<()> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.live[number % self.live.len()].talk()
    }

    pub fn talk_on_all(&self) -> Result<()> {
        self.live.iter().try_for_each(Live::talk)
    }

    /// No counter of a service that every table has is less than before, nor of a server that every table has.
    pub fn count(&self, client: &mut Client) -> Result<()> {
        let mut known = held(&self.counters);
        let mut note = |name, now: Counters| {
            let before: Counters = known.insert(name, now).unwrap_or_default();
            let values = |counters: Counters| {
                [counters.connections, counters.incoming_packets, counters.outgoing_packets, counters.incoming_bytes]
            };
            let falls = values(before).iter().zip(values(now)).any(|(before, now)| now < *before);
            ensure!(!falls, "counters of {name:?} fell from {before:?} to {now:?}");
            Ok(())
        };
        for key in shared_services() {
            note((key, None), client.service(&key)?.statistics.counters)?;
            for entry in client.destinations(&key)?.context("a shared service is gone")? {
                if entry.destination.key.address != IpAddr::V4(Ipv4Addr::new(10, 0, 0, 3)) {
                    note((key, Some(entry.destination.key)), entry.statistics.counters)?;
                }
            }
        }
        Ok(())
    }
}

/// What this lock is of, whatever became of another thread that had it.
pub fn held<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
