//! What metrics need of services and servers, as bytes that are kept outside of memory. They are read once for each metric: so
//! they are few, with labels as they are printed.

use std::io::{self, Read, Seek};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipvs_client::{Counters, DestinationEntry, Family, Protocol, ServiceEntry, ServiceKey};

use super::labels::{Labels, server_info, server_labels, service_info, service_labels};
use crate::metrics::Id;
use crate::view::append::Draft;

/// Services and servers, in the rows of a [`RowMaker`].
#[derive(Debug)]
pub struct Table<R> {
    /// The rows of services.
    pub services: R,
    /// The rows of servers, those of each service below a heading.
    pub servers: R,
}

/// What a row is of. All begin with labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A service: the labels that name it, counters, its key, and the labels that say more.
    Service,
    /// The service that the next servers are of: the labels that name it.
    Heading,
    /// The labels that say more of the next servers. Most servers have them in common.
    Info,
    /// A server: the labels that name it, counters and gauges.
    Server,
}

/// What the kinds are in a row.
const KINDS: [Kind; 4] = [Kind::Service, Kind::Heading, Kind::Info, Kind::Server];

/// What stands before the labels: the kind, their length, and the length of what follows them.
const HEAD: usize = 1 + 2 + 2;
/// Counters, each of 64 bits.
const COUNTERS: usize = 5 * size_of::<u64>();
/// The numbers of a service's key, each of 64 bits.
const KEY: usize = 5 * size_of::<u64>();
/// Gauges, each of 32 bits.
const GAUGES: usize = 6 * size_of::<u32>();

/// Puts rows together.
#[derive(Debug, Default)]
pub struct RowMaker {
    rows: Draft,
    labels: Draft,
    /// What is known of the server before, if there is one below the same heading.
    info: Draft,
}

impl RowMaker {
    /// A service's row.
    pub fn service(&mut self, entry: &ServiceEntry) -> &[u8] {
        let service = &entry.service;
        self.labels.clear();
        service_labels(&mut Labels::new(&mut self.labels), &service.key);
        let named = self.labels.len();
        service_info(&mut Labels::more(&mut self.labels), service);
        let (names, info) = self.labels.as_bytes().split_at(named);
        self.rows.clear();
        begin(&mut self.rows, Kind::Service, names, COUNTERS + KEY + info.len());
        counters(&mut self.rows, &entry.statistics.counters);
        for number in key_numbers(&service.key) {
            self.rows.push_bytes(&number.to_ne_bytes());
        }
        self.rows.push_bytes(info);
        self.rows.as_bytes()
    }

    /// The heading above the servers of the service that this row is of.
    pub fn heading(&mut self, service: Row<'_>) -> &[u8] {
        self.info.clear();
        self.rows.clear();
        begin(&mut self.rows, Kind::Heading, service.labels(), 0);
        self.rows.as_bytes()
    }

    /// A server's row, below one of what is known of it, if that is new.
    pub fn server(&mut self, entry: &DestinationEntry) -> &[u8] {
        let server = &entry.destination;
        self.rows.clear();
        self.labels.clear();
        server_info(&mut Labels::more(&mut self.labels), server);
        if self.labels.as_bytes() != self.info.as_bytes() {
            std::mem::swap(&mut self.labels, &mut self.info);
            begin(&mut self.rows, Kind::Info, self.info.as_bytes(), 0);
        }
        self.labels.clear();
        server_labels(&mut Labels::more(&mut self.labels), server);
        begin(&mut self.rows, Kind::Server, self.labels.as_bytes(), COUNTERS + GAUGES);
        counters(&mut self.rows, &entry.statistics.counters);
        for gauge in [
            entry.active_connections,
            entry.inactive_connections,
            entry.persistent_connections,
            server.weight,
            server.upper_threshold,
            server.lower_threshold,
        ] {
            self.rows.push_bytes(&gauge.to_ne_bytes());
        }
        self.rows.as_bytes()
    }
}

fn begin(rows: &mut Draft, kind: Kind, labels: &[u8], rest: usize) {
    rows.push_bytes(&[kind as u8]);
    for length in [labels.len(), rest] {
        // No name of the kernel has more than 16 bytes, so these are hundreds.
        rows.push_bytes(&u16::try_from(length).unwrap_or(u16::MAX).to_ne_bytes());
    }
    rows.push_bytes(labels);
}

fn counters(rows: &mut Draft, counters: &Counters) {
    let Counters { connections, incoming_packets, outgoing_packets, incoming_bytes, outgoing_bytes } = *counters;
    for counter in [connections, incoming_packets, outgoing_packets, incoming_bytes, outgoing_bytes] {
        rows.push_bytes(&counter.to_ne_bytes());
    }
}

/// A key as numbers: protocol or 0, port or mark, whether it is of IPv6, and the halves of the address.
fn key_numbers(key: &ServiceKey) -> [u64; 5] {
    let is_v6 = u64::from(key.family() == Family::Ipv6);
    match *key {
        ServiceKey::Mark { mark, .. } => [0, mark.into(), is_v6, 0, 0],
        ServiceKey::Address { protocol, address, port } => {
            let bits = match address {
                IpAddr::V4(address) => address.to_bits().into(),
                IpAddr::V6(address) => address.to_bits(),
            };
            [protocol as u64, port.into(), is_v6, (bits >> 64) as u64, bits as u64]
        }
    }
}

/// A row that was read.
#[derive(Clone, Copy)]
pub struct Row<'b>(&'b [u8]);

impl<'b> Row<'b> {
    /// The row as it was made.
    #[must_use]
    pub const fn as_bytes(self) -> &'b [u8] {
        self.0
    }

    /// The key, if it is a service's.
    #[must_use]
    pub fn key(self) -> Option<ServiceKey> {
        if self.kind() != Some(Kind::Service) {
            return None;
        }
        let [protocol, number, is_v6, high, low] = [0, 1, 2, 3, 4].map(|place| self.u64(COUNTERS + place * 8));
        let family = if is_v6 == 0 { Family::Ipv4 } else { Family::Ipv6 };
        if protocol == 0 {
            return Some(ServiceKey::Mark { mark: u32::try_from(number).ok()?, family });
        }
        let address = match family {
            Family::Ipv4 => Ipv4Addr::from_bits(u32::try_from(low).ok()?).into(),
            Family::Ipv6 => Ipv6Addr::from_bits(u128::from(high) << 64 | u128::from(low)).into(),
        };
        let protocol = Protocol::from_number(u16::try_from(protocol).ok()?)?;
        Some(ServiceKey::Address { protocol, address, port: u16::try_from(number).ok()? })
    }

    pub(super) fn kind(self) -> Option<Kind> {
        KINDS.get(usize::from(*self.0.first()?)).copied()
    }

    pub(super) fn labels(self) -> &'b [u8] {
        self.0.get(HEAD..self.end_of_labels()).unwrap_or_default()
    }

    /// The labels that say more of a service.
    pub(super) fn service_info(self) -> &'b [u8] {
        self.0.get(self.end_of_labels() + COUNTERS + KEY..).unwrap_or_default()
    }

    /// The value of a metric; of those that say something by labels, it is 1.
    pub(super) fn value(self, id: Id) -> u64 {
        let counter = |place| self.u64(place * size_of::<u64>());
        let gauge = |place| u64::from(self.u32(COUNTERS + place * size_of::<u32>()));
        match id {
            Id::ServiceConnections | Id::ServerConnections => counter(0),
            Id::ServiceIncomingPackets | Id::ServerIncomingPackets => counter(1),
            Id::ServiceOutgoingPackets | Id::ServerOutgoingPackets => counter(2),
            Id::ServiceIncomingBytes | Id::ServerIncomingBytes => counter(3),
            Id::ServiceOutgoingBytes | Id::ServerOutgoingBytes => counter(4),
            Id::ServerActive => gauge(0),
            Id::ServerInactive => gauge(1),
            Id::ServerPersistent => gauge(2),
            Id::ServerWeight => gauge(3),
            Id::ServerUpperThreshold => gauge(4),
            Id::ServerLowerThreshold => gauge(5),
            _ => 1,
        }
    }

    /// A number so far behind the labels.
    fn u64(self, place: usize) -> u64 {
        let bytes = self.0.get(self.end_of_labels() + place..).and_then(<[u8]>::first_chunk);
        bytes.map_or(0, |bytes| u64::from_ne_bytes(*bytes))
    }

    fn u32(self, place: usize) -> u32 {
        let bytes = self.0.get(self.end_of_labels() + place..).and_then(<[u8]>::first_chunk);
        bytes.map_or(0, |bytes| u32::from_ne_bytes(*bytes))
    }

    fn end_of_labels(self) -> usize {
        HEAD + length(self.0, 1)
    }
}

/// A length that stands here.
fn length(bytes: &[u8], place: usize) -> usize {
    bytes.get(place..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u16::from_ne_bytes(*bytes).into())
}

/// Reads rows, from the first one on.
pub struct RowReader<'r, R> {
    source: &'r mut R,
    buffer: &'r mut Vec<u8>,
    /// Where the next row begins.
    start: usize,
    /// Where what was read ends.
    end: usize,
}

impl<'r, R: Read + Seek> RowReader<'r, R> {
    /// Much longer than any row.
    const ROOM: usize = 64 * 1024;

    /// What is read comes by way of this buffer, whatever is in it.
    ///
    /// # Errors
    /// The source fails.
    pub fn new(source: &'r mut R, buffer: &'r mut Vec<u8>) -> io::Result<Self> {
        source.rewind()?;
        buffer.resize(Self::ROOM, 0);
        Ok(Self { source, buffer, start: 0, end: 0 })
    }

    /// The next row, if there is one.
    ///
    /// # Errors
    /// The source fails, or ends within a row.
    pub fn next_row(&mut self) -> io::Result<Option<Row<'_>>> {
        loop {
            let there = self.end - self.start;
            let begun = &self.buffer[self.start..self.end];
            let length = HEAD + length(begun, 1) + length(begun, 3);
            if there >= length {
                let row = self.start..self.start + length;
                self.start = row.end;
                return Ok(Some(Row(&self.buffer[row])));
            }
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, there);
            match self.source.read(&mut self.buffer[there..]) {
                Ok(0) if there == 0 => return Ok(None),
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => self.end += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use ipvs_client::{Service, Statistics, scheduler};

    use super::*;

    #[test]
    fn keys_come_back_as_they_were() {
        let addresses = ["0.0.0.0", "10.0.0.1", "255.255.255.255", "::", "2001:db8::1", "ffff:ffff::ffff"];
        let addresses = addresses.map(|text| text.parse().unwrap());
        let protocols = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp];
        let by_address = protocols.into_iter().flat_map(|protocol| {
            addresses.into_iter().map(move |address| ServiceKey::Address { protocol, address, port: 65535 })
        });
        let by_mark = [Family::Ipv4, Family::Ipv6].map(|family| ServiceKey::Mark { mark: u32::MAX, family });
        let keys: Vec<_> = by_address.chain(by_mark).collect();
        let mut bytes = Vec::new();
        for key in &keys {
            let entry = ServiceEntry::new(Service::new(*key, scheduler::RR), Statistics::default());
            bytes.extend_from_slice(RowMaker::default().service(&entry));
        }
        let (mut source, mut buffer, mut read) = (Cursor::new(bytes), Vec::new(), Vec::new());
        let mut rows = RowReader::new(&mut source, &mut buffer).unwrap();
        while let Some(row) = rows.next_row().unwrap() {
            read.push(row.key().unwrap());
        }
        assert_eq!(read, keys);
    }

    #[test]
    fn half_a_row_is_an_error() {
        let service = Service::tcp([10, 0, 0, 1], 80, scheduler::RR);
        let mut maker = RowMaker::default();
        let row = maker.service(&ServiceEntry::new(service, Statistics::default()));
        for length in [1, HEAD - 1, HEAD, row.len() - 1] {
            let (mut source, mut buffer) = (Cursor::new(&row[..length]), Vec::new());
            assert!(RowReader::new(&mut source, &mut buffer).unwrap().next_row().is_err(), "{length}");
        }
    }
}
