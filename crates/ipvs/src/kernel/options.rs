//! Socket options: the kernel's older interface, which gives all servers of a service in one call and of one moment, at a
//! quarter of what netlink takes.
//!
//! It does not tell everything: nothing of tunnels but that they are, no servers of another family than the service's, nothing
//! of IPv6, and counters in 32 bits. Nor does it say how many servers it gave, and it cuts off without a word what there is no
//! room for. So a reading counts only if the service had the same number of servers before and after it, if just as many came
//! into room for one more, and if none of them has a tunnel. Everything else is for netlink. One gap is left: a server of
//! another family is missed if another program adds a server between the first two calls and deletes one between the last two.
//!
//! The structures are those of `linux/ip_vs.h`, laid out as the C compiler does for this machine. A kernel of another word size
//! refuses them for their length.

use std::io;
use std::mem::offset_of;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, OwnedFd};

use netlink_exchange::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::attributes::forward;
use super::getsockopt::{Question, get};
use crate::model::{
    Destination, DestinationEntry, Family, Forwarding, IncomingBytes, Info, Netmask, PartialTable, Persistence,
    Protocol, SchedulerName, Service, ServiceEntry, ServiceFlags, ServiceKey, Table, TableService,
};

/// `struct ip_vs_stats_user`
#[repr(C)]
struct StatisticsLayout {
    packets: [u32; 3],
    bytes: [u64; 2],
    rates: [u32; 5],
}

/// `struct ip_vs_service_entry`
#[repr(C)]
struct ServiceLayout {
    protocol: u16,
    address: u32,
    port: u16,
    mark: u32,
    scheduler: [u8; 16],
    flags: u32,
    timeout: u32,
    netmask: u32,
    servers: u32,
    statistics: StatisticsLayout,
}

/// `struct ip_vs_get_dests`
#[repr(C)]
struct ServersLayout {
    protocol: u16,
    address: u32,
    port: u16,
    mark: u32,
    servers: u32,
    entries: [ServerLayout; 0],
}

/// `struct ip_vs_dest_entry`
#[repr(C)]
struct ServerLayout {
    address: u32,
    port: u16,
    flags: u32,
    weight: u32,
    upper_threshold: u32,
    lower_threshold: u32,
    active_connections: u32,
    inactive_connections: u32,
    persistent_connections: u32,
    statistics: StatisticsLayout,
}

/// `struct ip_vs_getinfo`
#[repr(C)]
struct InfoLayout {
    version: u32,
    size: u32,
    services: u32,
}

/// `struct ip_vs_get_services`
#[repr(C)]
struct ServicesLayout {
    services: u32,
    entries: [ServiceLayout; 0],
}

/// Where the services begin.
const SERVICES_HEAD: usize = offset_of!(ServicesLayout, entries);
/// Bytes of one.
const SERVICE: usize = size_of::<ServiceLayout>();
/// Where the servers begin.
const HEAD: usize = offset_of!(ServersLayout, entries);
/// Bytes of one.
const SERVER: usize = size_of::<ServerLayout>();

/// Where a server's incoming bytes are.
const INCOMING_BYTES: usize = offset_of!(ServerLayout, statistics) + offset_of!(StatisticsLayout, bytes);

/// A server, and what it has of connections and traffic.
type Entry = DestinationEntry<IncomingBytes>;

/// A socket to ask for servers.
pub(super) struct Options {
    socket: OwnedFd,
    /// Room for questions and answers.
    bytes: Vec<u8>,
}

/// Why servers were not read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// The service may have more than can be told so, or it has changed.
    Service,
    /// The kernel does not answer at all.
    Kernel,
}

impl From<io::Error> for Unread {
    fn from(error: io::Error) -> Self {
        match (error.kind(), error.raw_os_error().map(Errno::from_raw)) {
            (io::ErrorKind::Interrupted, _) | (_, Some(Errno::ESRCH)) => Self::Service,
            _ => Self::Kernel,
        }
    }
}

impl Options {
    /// Open a socket in the network namespace that the thread is in. It is bound to nothing.
    pub(super) fn open() -> Option<Self> {
        let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).ok()?;
        Some(Self { socket, bytes: Vec::new() })
    }

    /// The servers of a service, in the kernel's order, each made from what is told of it.
    pub(super) fn servers<T>(&mut self, key: &ServiceKey, make: impl Fn(Entry) -> T) -> Result<Vec<T>, Unread> {
        let (number, servers) = self.told(key, |entry| entry.map(&make).ok_or(Unread::Service))?;
        if servers.len() != number || self.number(key)? != number {
            return Err(Unread::Service);
        }
        Ok(servers)
    }

    /// All that is told of the table, in the kernel's order.
    pub(super) fn table(&mut self) -> Result<PartialTable, Unread> {
        self.ask(size_of::<InfoLayout>(), |_| Some(()), Question::Info)?;
        let number = |bytes: &[u8], at| word(bytes, at).ok_or(Unread::Kernel);
        let info = Info {
            version: number(&self.bytes, offset_of!(InfoLayout, version))?,
            connection_table_size: number(&self.bytes, offset_of!(InfoLayout, size))?,
        };
        let count = number(&self.bytes, offset_of!(InfoLayout, services))?;
        let (mut services, mut left_out) = (Vec::new(), 0);
        for entry in self.services(count as usize + 1)? {
            let (number, servers) = match self.told(&entry.service.key, Ok) {
                Ok(told) => told,
                // It was deleted in between.
                Err(Unread::Service) => continue,
                Err(error) => return Err(error),
            };
            let destinations: Vec<_> = servers.into_iter().flatten().map(|entry| entry.with(())).collect();
            left_out += number.saturating_sub(destinations.len());
            services.push(TableService { entry, destinations });
        }
        Ok(PartialTable { info, table: Table { services }, servers_left_out: left_out })
    }

    /// The services, with room for so many at first.
    fn services(&mut self, mut room: usize) -> Result<Vec<ServiceEntry<()>>, Unread> {
        loop {
            let number = u32::try_from(room).map_err(|_| Unread::Kernel)?;
            let length = SERVICES_HEAD + room * SERVICE;
            self.ask(length, |bytes| write(bytes, 0, number.to_ne_bytes()), Question::Services)?;
            let (entries, _) = self.bytes.get(SERVICES_HEAD..).unwrap_or_default().as_chunks::<SERVICE>();
            let services: Vec<_> = entries.iter().map_while(service).collect();
            if services.len() < room {
                return Ok(services);
            }
            room *= 2;
        }
    }

    /// How many servers a service has, and what is made of those that are told of.
    fn told<T>(
        &mut self,
        key: &ServiceKey,
        make: impl Fn(Option<Entry>) -> Result<T, Unread>,
    ) -> Result<(usize, Vec<T>), Unread> {
        let number = self.number(key)?;
        let length = HEAD + (number + 1) * SERVER;
        self.ask(
            length,
            |bytes| {
                write_key(
                    bytes,
                    key,
                    [
                        offset_of!(ServersLayout, protocol),
                        offset_of!(ServersLayout, address),
                        offset_of!(ServersLayout, port),
                        offset_of!(ServersLayout, mark),
                    ],
                )?;
                write(bytes, offset_of!(ServersLayout, servers), u32::try_from(number + 1).ok()?.to_ne_bytes())
            },
            Question::Servers,
        )?;
        let (entries, _) = self.bytes.get(HEAD..).unwrap_or_default().as_chunks::<SERVER>();
        let mut servers = Vec::with_capacity(number);
        // What the kernel has not filled is 0, which is no server's address.
        for entry in entries.iter().take_while(|entry| entry.first_chunk() != Some(&[0; 4])) {
            servers.push(make(server(entry))?);
        }
        Ok((number, servers))
    }

    /// How many servers a service has, of any family.
    fn number(&mut self, key: &ServiceKey) -> Result<usize, Unread> {
        self.ask(
            size_of::<ServiceLayout>(),
            |bytes| {
                write_key(
                    bytes,
                    key,
                    [
                        offset_of!(ServiceLayout, protocol),
                        offset_of!(ServiceLayout, address),
                        offset_of!(ServiceLayout, port),
                        offset_of!(ServiceLayout, mark),
                    ],
                )
            },
            Question::Service,
        )?;
        let number = word(&self.bytes, offset_of!(ServiceLayout, servers)).ok_or(Unread::Service)?;
        usize::try_from(number).map_err(|_| Unread::Service)
    }

    /// Ask with so many bytes, all 0 but for what `write` puts there. The answer is in `self.bytes` then.
    fn ask(
        &mut self,
        length: usize,
        write: impl FnOnce(&mut [u8]) -> Option<()>,
        question: Question,
    ) -> Result<(), Unread> {
        self.bytes.clear();
        self.bytes.resize(length, 0);
        write(&mut self.bytes).ok_or(Unread::Service)?;
        get(self.socket.as_fd(), question, &mut self.bytes).map_err(Unread::from)
    }
}

/// Write what names a service to these places: protocol, address, port and mark.
fn write_key(bytes: &mut [u8], key: &ServiceKey, [protocol, address, port, mark]: [usize; 4]) -> Option<()> {
    match *key {
        ServiceKey::Mark { mark: number, family: Family::Ipv4 } => write(bytes, mark, number.to_ne_bytes()),
        ServiceKey::Address { protocol: of, address: IpAddr::V4(vip), port: number } => {
            write(bytes, protocol, (of as u16).to_ne_bytes())?;
            write(bytes, address, vip.octets())?;
            write(bytes, port, number.to_be_bytes())
        }
        _ => None,
    }
}

/// What an entry says of a service; nothing where there is none. The persistence engine is missing.
fn service(entry: &[u8; SERVICE]) -> Option<ServiceEntry<()>> {
    let number = |at| word(entry, at);
    let half = |at: usize| Some(*entry.get(at..)?.first_chunk::<2>()?);
    let key = match number(offset_of!(ServiceLayout, mark))? {
        0 => ServiceKey::Address {
            protocol: Protocol::from_number(u16::from_ne_bytes(half(offset_of!(ServiceLayout, protocol))?))?,
            address: Ipv4Addr::from(*entry.get(offset_of!(ServiceLayout, address)..)?.first_chunk::<4>()?).into(),
            port: u16::from_be_bytes(half(offset_of!(ServiceLayout, port))?),
        },
        mark => ServiceKey::Mark { mark, family: Family::Ipv4 },
    };
    let scheduler = entry.get(offset_of!(ServiceLayout, scheduler)..)?.first_chunk::<16>()?;
    let scheduler = scheduler.split(|byte| *byte == 0).next().unwrap_or_default();
    let flags = number(offset_of!(ServiceLayout, flags))?;
    let netmask = entry.get(offset_of!(ServiceLayout, netmask)..)?.first_chunk::<4>()?;
    let mut service = Service::new(key, SchedulerName::new(scheduler)?).flags(ServiceFlags::from_bits(flags));
    if flags & ServiceFlags::PERSISTENT != 0 {
        let netmask = Netmask::V4(Ipv4Addr::from(*netmask));
        service.persistence = Some(Persistence { timeout: number(offset_of!(ServiceLayout, timeout))?, netmask });
    }
    Some(ServiceEntry { service, statistics: () })
}

/// What an entry says; nothing of a tunnel, as its options are missing.
fn server(entry: &[u8; SERVER]) -> Option<Entry> {
    let number = |at| word(entry, at);
    let forwarding = match number(offset_of!(ServerLayout, flags))? & forward::MASK {
        forward::MASQ => Forwarding::Masquerade,
        forward::LOCALNODE => Forwarding::Local,
        forward::DROUTE => Forwarding::DirectRoute,
        forward::BYPASS => Forwarding::Bypass,
        _ => return None,
    };
    let address = Ipv4Addr::from(*entry.get(offset_of!(ServerLayout, address)..)?.first_chunk::<4>()?);
    let port = u16::from_be_bytes(*entry.get(offset_of!(ServerLayout, port)..)?.first_chunk()?);
    Some(Entry {
        destination: Destination {
            forwarding,
            weight: number(offset_of!(ServerLayout, weight))?,
            upper_threshold: number(offset_of!(ServerLayout, upper_threshold))?,
            lower_threshold: number(offset_of!(ServerLayout, lower_threshold))?,
            ..Destination::new(address.into(), port)
        },
        active_connections: number(offset_of!(ServerLayout, active_connections))?,
        inactive_connections: number(offset_of!(ServerLayout, inactive_connections))?,
        persistent_connections: number(offset_of!(ServerLayout, persistent_connections))?,
        statistics: IncomingBytes(u64::from_ne_bytes(*entry.get(INCOMING_BYTES..)?.first_chunk()?)),
    })
}

/// The number at this place.
fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Put these bytes there.
fn write<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) -> Option<()> {
    *bytes.get_mut(at..)?.first_chunk_mut()? = value;
    Some(())
}

// The sizes below are those of x86-64.
#[cfg(all(test, target_pointer_width = "64", target_arch = "x86_64"))]
mod tests {
    use super::*;

    #[test]
    fn structures_are_laid_out_as_the_kernel_s() {
        assert_eq!((size_of::<ServiceLayout>(), HEAD, SERVER), (104, 24, 96));
        assert_eq!(offset_of!(ServiceLayout, servers), 44);
        assert_eq!(offset_of!(ServerLayout, persistent_connections), 32);
    }
}
