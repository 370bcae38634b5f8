//! How many connections there are of a kind: of few kinds in a table, of very many packed and in order.

use std::collections::HashMap;
use std::net::IpAddr;

use super::held::{Words, pack, unpack};
use super::{Connection, ConnectionKey, Count, CountKeys, Counted};

/// Counts, kept while connections are read: [`Counter::BYTES_EACH`] for each kind of which there are any, at most for each
/// connection.
#[derive(Debug)]
pub struct Counter {
    keys: CountKeys,
    /// Kinds that came lately, at most [`RECENT`].
    recent: HashMap<Kind, u64>,
    /// The others: in order and each once, as far as `merged`.
    rest: Vec<(Kind, u64)>,
    merged: usize,
    /// The names of states that occur.
    words: Words,
}

/// What connections have in common: two parts, of which the second may be empty.
type Kind = [[u8; PART]; 2];

/// The bytes of a part: an address's family, address and port, or a state's place.
const PART: usize = 19;

/// Kinds that are counted in the table before they are packed.
const RECENT: usize = 4 * 1024;

/// What was counted, the most first, and of as many in order.
#[derive(Debug)]
pub struct Counts {
    keys: CountKeys,
    rows: Vec<(Kind, u64)>,
    words: Words,
}

impl Counter {
    /// What a kind takes.
    pub const BYTES_EACH: usize = size_of::<(Kind, u64)>();

    /// Nothing counted yet.
    #[must_use]
    pub fn by(keys: CountKeys) -> Self {
        Self { keys, recent: HashMap::new(), rest: Vec::new(), merged: 0, words: Words::default() }
    }

    /// Count one. Whether there was room for its state's name; there is room for 256.
    #[must_use]
    pub fn add(&mut self, connection: &Connection) -> bool {
        let Some(first) = self.part(connection, self.keys.first) else { return false };
        let second = match self.keys.second {
            Some(key) => self.part(connection, key),
            None => Some([0; PART]),
        };
        let Some(second) = second else { return false };
        *self.recent.entry([first, second]).or_default() += 1;
        if self.recent.len() >= RECENT {
            self.rest.extend(self.recent.drain());
            // As many again as there were: all are put in order only a few times.
            if self.rest.len() >= 2 * self.merged + RECENT {
                self.merge();
            }
        }
        true
    }

    /// What was counted.
    #[must_use]
    pub fn counts(mut self) -> Counts {
        self.rest.extend(self.recent.drain());
        self.merge();
        let Self { keys, rest: mut rows, words, .. } = self;
        let of = |row: &(Kind, u64)| parts(keys, &words, &row.0);
        rows.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| of(a).cmp(&of(b))));
        Counts { keys, rows, words }
    }

    fn merge(&mut self) {
        self.rest.sort_unstable_by_key(|(kind, _)| *kind);
        self.rest.dedup_by(|(kind, count), (kept, sum)| {
            let same = kind == kept;
            *sum += if same { *count } else { 0 };
            same
        });
        self.merged = self.rest.len();
    }

    fn part(&mut self, connection: &Connection, key: ConnectionKey) -> Option<[u8; PART]> {
        let mut part = [0; PART];
        let mut endpoint = |address: IpAddr, port: u16| {
            let mut bytes = [0; 16];
            part[0] = u8::from(pack(address, &mut bytes));
            part[1..17].copy_from_slice(&bytes);
            part[17..].copy_from_slice(&port.to_be_bytes());
        };
        match key {
            ConnectionKey::Client => endpoint(connection.source.0, 0),
            ConnectionKey::Server => endpoint(connection.destination.0, connection.destination.1),
            ConnectionKey::State | ConnectionKey::Expires => part[0] = self.words.place(connection.state)?,
        }
        Some(part)
    }
}

impl Counts {
    /// The number of kinds.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether nothing was counted.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The kinds.
    pub fn iter(&self) -> impl Iterator<Item = Count> + Clone {
        self.rows.iter().map(|(kind, connections)| {
            let (of, and) = parts(self.keys, &self.words, kind);
            Count { of, and, connections: *connections }
        })
    }
}

/// What the bytes of a kind stand for.
fn parts(keys: CountKeys, words: &Words, [first, second]: &Kind) -> (Counted, Option<Counted>) {
    let part = |key, bytes: &[u8; PART]| {
        let [family, address @ .., high, low] = *bytes;
        let (address, port) = (unpack(&address, family != 0), u16::from_be_bytes([high, low]));
        match key {
            ConnectionKey::Client => Counted::Client(address),
            ConnectionKey::Server => Counted::Server(address, port),
            ConnectionKey::State | ConnectionKey::Expires => Counted::State(words.at(family)),
        }
    };
    (part(keys.first, first), keys.second.map(|key| part(key, second)))
}

/// A million of them take 64 MB at most.
const _: () = assert!(Counter::BYTES_EACH <= 64);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connections::{Origin, Word};

    /// More kinds than the table takes, some of them again later.
    #[test]
    fn many_kinds_are_counted_each_once() {
        let connection = |number: u32| {
            let endpoints = [
                (IpAddr::from((number % 20_000).to_be_bytes()), 1),
                ([10, 0, 0, 1].into(), 80),
                ([10, 0, 0, (number % 3) as u8].into(), 80),
            ];
            let state = Word::cut(if number.is_multiple_of(2) { b"NONE" } else { b"CLOSE" });
            Connection::new(Word::cut(b"TCP"), endpoints, state, Origin::Local, 1)
        };
        for second in [None, Some(ConnectionKey::Server), Some(ConnectionKey::State)] {
            let mut counter = Counter::by(CountKeys { first: ConnectionKey::Client, second });
            let mut expected = HashMap::new();
            for number in 0..50_000 {
                let one = connection(number);
                assert!(counter.add(&one));
                let second = second.map(|key| match key {
                    ConnectionKey::Server => Counted::Server(one.destination.0, one.destination.1),
                    _ => Counted::State(one.state),
                });
                *expected.entry((Counted::Client(one.source.0), second)).or_insert(0) += 1;
            }
            let counts = counter.counts();
            let found: Vec<_> = counts.iter().map(|count| (count.connections, (count.of, count.and))).collect();
            assert_eq!(found.len(), counts.len());
            assert!(found.is_sorted_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)).is_lt()));
            assert_eq!(found.into_iter().map(|(count, kind)| (kind, count)).collect::<HashMap<_, _>>(), expected);
        }
    }
}
