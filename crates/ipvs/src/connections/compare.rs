//! What one list of connections has and another does not.

use std::net::IpAddr;

use super::held::pack;
use super::{Connection, Word};

/// Connections by protocol and endpoints, [`ConnectionSet::BYTES_EACH`] a connection. What is the same in these is the same
/// connection: persistence templates of one client that differ only in the data of an engine count as one.
#[derive(Debug, Default)]
pub struct ConnectionSet {
    keys: Vec<Key>,
    /// The protocols' names that occur.
    protocols: Vec<Word>,
}

/// Protocol, client, virtual address and server as bytes, in this order.
type Key = [u8; SERVER + ENDPOINT];

/// The bytes of an endpoint: family, address and port.
const ENDPOINT: usize = 19;
/// Where the server begins.
const SERVER: usize = 1 + 2 * ENDPOINT;

/// What a set has of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// The same connection.
    Same,
    /// The client's connection, but to another real server.
    OtherServer,
    /// Nothing.
    Missing,
}

impl ConnectionSet {
    /// What a connection takes.
    pub const BYTES_EACH: usize = size_of::<Key>();

    /// Add one. Whether there was room for its protocol's name; there is room for 256.
    #[must_use]
    pub fn push(&mut self, connection: &Connection) -> bool {
        let place = self.place(connection.protocol).unwrap_or_else(|| {
            self.protocols.push(connection.protocol);
            self.protocols.len() - 1
        });
        let Ok(place) = u8::try_from(place) else { return false };
        self.keys.push(key(place, connection));
        true
    }

    /// After the last one, before the first question.
    pub fn finish(&mut self) {
        self.keys.sort_unstable();
        self.keys.dedup();
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// What there is of this connection.
    #[must_use]
    pub fn find(&self, connection: &Connection) -> Found {
        let place = self.place(connection.protocol).and_then(|place| u8::try_from(place).ok());
        let Some(key) = place.map(|place| key(place, connection)) else { return Found::Missing };
        if self.keys.binary_search(&key).is_ok() {
            return Found::Same;
        }
        let first = self.keys.partition_point(|other| other[..SERVER] < key[..SERVER]);
        match self.keys.get(first) {
            Some(other) if other[..SERVER] == key[..SERVER] => Found::OtherServer,
            _ => Found::Missing,
        }
    }

    fn place(&self, protocol: Word) -> Option<usize> {
        self.protocols.iter().position(|known| *known == protocol)
    }
}

fn key(protocol: u8, connection: &Connection) -> Key {
    let mut key = [0; SERVER + ENDPOINT];
    key[0] = protocol;
    let endpoints = [connection.source, connection.virtual_address, connection.destination];
    for ((address, port), place) in endpoints.into_iter().zip(key[1..].chunks_exact_mut(ENDPOINT)) {
        endpoint(address, port, place);
    }
    key
}

fn endpoint(address: IpAddr, port: u16, place: &mut [u8]) {
    let mut bytes = [0; 16];
    place[0] = u8::from(pack(address, &mut bytes));
    place[1..17].copy_from_slice(&bytes);
    place[17..].copy_from_slice(&port.to_be_bytes());
}

/// A million of them take 64 MB at most.
const _: () = assert!(ConnectionSet::BYTES_EACH <= 64);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connections::Origin;

    #[test]
    fn what_a_set_has() {
        let at = |text: &str| -> (IpAddr, u16) {
            let address: std::net::SocketAddr = text.parse().unwrap();
            (address.ip(), address.port())
        };
        let of = |protocol: &str, client, server| {
            let endpoints = [at(client), at("10.0.0.1:80"), at(server)];
            Connection::new(Word::cut(protocol.as_bytes()), endpoints, Word::cut(b"NONE"), Origin::Local, 1)
        };
        let mut set = ConnectionSet::default();
        for client in ["10.1.1.1:1000", "10.1.1.1:1000", "10.1.1.2:1000"] {
            assert!(set.push(&of("TCP", client, "10.2.2.2:80")));
        }
        set.finish();
        assert_eq!(set.len(), 2);
        assert_eq!(set.find(&of("TCP", "10.1.1.1:1000", "10.2.2.2:80")), Found::Same);
        assert_eq!(set.find(&of("TCP", "10.1.1.1:1000", "10.2.2.3:80")), Found::OtherServer);
        assert_eq!(set.find(&of("TCP", "10.1.1.1:1000", "[a02:202::]:80")), Found::OtherServer);
        assert_eq!(set.find(&of("TCP", "10.1.1.1:1001", "10.2.2.2:80")), Found::Missing);
        assert_eq!(set.find(&of("UDP", "10.1.1.1:1000", "10.2.2.2:80")), Found::Missing);
    }
}
