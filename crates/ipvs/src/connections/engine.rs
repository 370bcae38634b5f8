//! Data of persistence engines, as far as it can be believed.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher;
use std::io::{self, BufRead};
use std::net::IpAddr;

use super::line::{USUAL_WITHOUT_DATA, Words, usual_without_data, with_data};
use super::{Connection, ENGINE_PATH, Line, Skipped, Word, lines, open_list};
use crate::model::SchedulerName;

/// What a persistence engine took from the network to remember a client by, for instance a Call-ID.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EngineData {
    /// The engine's name.
    pub name: SchedulerName,
    /// Any bytes at all, up to a newline.
    pub data: Box<[u8]>,
}

impl EngineData {
    /// Data of the engine of this name.
    #[must_use]
    pub fn new(name: SchedulerName, data: impl Into<Box<[u8]>>) -> Self {
        Self { name, data: data.into() }
    }
}

/// What names a connection in both lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    protocol: Word,
    endpoints: [(IpAddr, u16); 3],
}

/// The data of engines, by connection.
///
/// A line of the list with engine data can be one that a stranger has written. So data counts only if no other line is about
/// the same connection; that leaves out templates of one client that differ in nothing but their data. The list is of
/// another moment than that of the connections.
#[derive(Debug, Default)]
pub struct EngineTable {
    data: HashMap<Key, EngineData>,
    skipped: Skipped,
}

impl EngineTable {
    /// The kernel's, of the network namespace that the thread is in.
    ///
    /// # Errors
    /// The list cannot be read.
    pub fn of_kernel() -> io::Result<Self> {
        Self::read(open_list(ENGINE_PATH)?)
    }

    /// Read it. Lines that are not about connections are skipped and counted.
    ///
    /// # Errors
    /// Reading fails.
    pub fn read(source: impl BufRead) -> io::Result<Self> {
        let hasher = RandomState::new();
        let mut found = HashMap::new();
        // Connections without data can be very many, and a number is enough to find one that has data elsewhere.
        let mut without = Vec::new();
        let mut skipped = Skipped::default();
        lines(source, ENGINE_PATH, |line: Line<'_, USUAL_WITHOUT_DATA>| {
            match line {
                Line::Usual(bytes) => {
                    let Some((protocol, endpoints)) = usual_without_data(bytes) else { return Ok(false) };
                    let endpoints = endpoints.map(|(address, port)| (address.into(), port));
                    without.push(hasher.hash_one(Key { protocol: Word::cut(protocol), endpoints }));
                }
                Line::Other(number, line) => match entry(line) {
                    Some((key, None)) => without.push(hasher.hash_one(key)),
                    Some((key, data)) => match found.entry(key) {
                        Entry::Vacant(place) => drop(place.insert(data)),
                        Entry::Occupied(mut place) => *place.get_mut() = None,
                    },
                    None => skipped.add(number),
                },
            }
            Ok(true)
        })?;
        if !found.is_empty() {
            without.sort_unstable();
        }
        let data = found.into_iter().filter_map(|(key, data)| {
            let twice = without.binary_search(&hasher.hash_one(key)).is_ok();
            data.filter(|_| !twice).map(|data| (key, data))
        });
        Ok(Self { data: data.collect(), skipped })
    }

    /// The data of this connection's engine.
    #[must_use]
    pub fn of(&self, connection: &Connection) -> Option<&EngineData> {
        if self.data.is_empty() {
            return None;
        }
        let Connection { protocol, source, virtual_address, destination, .. } = *connection;
        self.data.get(&Key { protocol, endpoints: [source, virtual_address, destination] })
    }

    /// The lines that were not about connections.
    #[must_use]
    pub const fn skipped(&self) -> Skipped {
        self.skipped
    }
}

/// What connection a line is about, and the data that it has.
fn entry(line: &[u8]) -> Option<(Key, Option<EngineData>)> {
    let (protocol, endpoints, rest) = with_data(line)?;
    let key = Key { protocol, endpoints };
    let mut words = Words(rest);
    let name = words.next();
    if name.is_empty() {
        return Some((key, None));
    }
    let name = SchedulerName::new(name)?;
    // One blank is the kernel's; whatever comes behind it is the engine's.
    let data = words.0.strip_prefix(b" ").unwrap_or_default().into();
    Some((key, Some(EngineData { name, data })))
}
