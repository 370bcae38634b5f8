//! Very many connections, held in little room: to be sorted.

use std::net::IpAddr;

use super::{Connection, ConnectionKey, Origin, Word};

/// Connections in memory, [`Held::BYTES_EACH`] a connection.
#[derive(Debug, Default)]
pub struct Held {
    rows: Vec<Packed>,
    /// The names of protocols and states that occur.
    words: Words,
}

/// Names of the kernel's, each once: it has few. There is room for 256.
#[derive(Debug, Default)]
pub(super) struct Words(Vec<Word>);

/// A connection whose names are places in a list.
#[derive(Clone, Copy, Debug)]
struct Packed {
    addresses: [[u8; 16]; 3],
    ports: [u16; 3],
    expires: u32,
    protocol: u8,
    state: u8,
    /// A bit for each address that is of IPv6, and [`SYNC`].
    flags: u8,
}

const SYNC: u8 = 1 << 7;

impl Held {
    /// What a connection takes.
    pub const BYTES_EACH: usize = size_of::<Packed>();

    /// Add one. Whether there was room for its names; the kernel has far fewer than the 256 there is room for.
    #[must_use]
    pub fn push(&mut self, connection: &Connection) -> bool {
        let Some(protocol) = self.words.place(connection.protocol) else { return false };
        let Some(state) = self.words.place(connection.state) else { return false };
        let endpoints = [connection.source, connection.virtual_address, connection.destination];
        let mut flags = if connection.origin == Origin::Sync { SYNC } else { 0 };
        let mut addresses = [[0; 16]; 3];
        for (number, ((address, _), place)) in endpoints.iter().zip(&mut addresses).enumerate() {
            let is_ipv6 = pack(*address, place);
            flags |= u8::from(is_ipv6) << number;
        }
        let ports = endpoints.map(|(_, port)| port);
        self.rows.push(Packed { addresses, ports, expires: connection.expires, protocol, state, flags });
        true
    }

    /// Put them in order by this key.
    pub fn sort(&mut self, key: ConnectionKey) {
        let words = &self.words;
        self.rows.sort_unstable_by(|a, b| a.connection(words).order(&b.connection(words), key));
    }

    /// The connections.
    pub fn iter(&self) -> impl Iterator<Item = Connection> + Clone {
        self.rows.iter().map(|row| row.connection(&self.words))
    }
}

impl Words {
    /// The place of this one, if there is room for it.
    pub(super) fn place(&mut self, word: Word) -> Option<u8> {
        let place = self.0.iter().position(|known| *known == word).unwrap_or_else(|| {
            self.0.push(word);
            self.0.len() - 1
        });
        u8::try_from(place).ok()
    }

    /// The one at this place.
    pub(super) fn at(&self, place: u8) -> Word {
        self.0.get(usize::from(place)).copied().unwrap_or(Word::EMPTY)
    }
}

impl Packed {
    fn connection(&self, words: &Words) -> Connection {
        let endpoint =
            |number: usize| (unpack(&self.addresses[number], self.flags & 1 << number != 0), self.ports[number]);
        let endpoints = [endpoint(0), endpoint(1), endpoint(2)];
        let origin = if self.flags & SYNC == 0 { Origin::Local } else { Origin::Sync };
        Connection::new(words.at(self.protocol), endpoints, words.at(self.state), origin, self.expires)
    }
}

/// The address's bytes. Whether it is of IPv6.
pub(super) fn pack(address: IpAddr, place: &mut [u8; 16]) -> bool {
    match address {
        IpAddr::V4(address) => place[..4].copy_from_slice(&address.octets()),
        IpAddr::V6(address) => *place = address.octets(),
    }
    address.is_ipv6()
}

/// The address of these bytes.
pub(super) fn unpack(bytes: &[u8; 16], is_ipv6: bool) -> IpAddr {
    if is_ipv6 { IpAddr::from(*bytes) } else { IpAddr::from([bytes[0], bytes[1], bytes[2], bytes[3]]) }
}

/// A million of them take 64 MB at most.
const _: () = assert!(Held::BYTES_EACH <= 64);
