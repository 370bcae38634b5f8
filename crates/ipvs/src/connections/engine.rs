//! Data of persistence engines, as far as it can be believed.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
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
        Self::read(|| open_list(ENGINE_PATH))
    }

    /// Read a list that `open` opens. Lines that are not about connections are skipped and counted.
    ///
    /// If any connection has data, the list is read twice: those without data can be very many, and so none of them is
    /// held.
    ///
    /// # Errors
    /// Opening or reading fails.
    pub fn read<S: BufRead>(mut open: impl FnMut() -> io::Result<S>) -> io::Result<Self> {
        let mut found: HashMap<Key, Option<EngineData>> = HashMap::new();
        let mut skipped = Skipped::default();
        entries(open()?, |number, entry| match entry {
            Some((key, Some(data))) => match found.entry(key) {
                Entry::Vacant(place) => drop(place.insert(Some(data))),
                Entry::Occupied(mut place) => *place.get_mut() = None,
            },
            Some((_, None)) => {}
            None => skipped.add(number),
        })?;
        if !found.is_empty() {
            entries(open()?, |_, entry| {
                if let Some((key, None)) = entry {
                    found.remove(&key);
                }
            })?;
        }
        let data = found.into_iter().filter_map(|(key, data)| data.map(|data| (key, data)));
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

/// What a line is about, and the data that it has.
type About = (Key, Option<EngineData>);

/// Give each line to `take`: its number, as far as that is known, and what it is about, if that is a connection.
fn entries(source: impl BufRead, mut take: impl FnMut(u64, Option<About>)) -> io::Result<()> {
    lines(source, ENGINE_PATH, |line: Line<'_, USUAL_WITHOUT_DATA>| {
        match line {
            Line::Usual(bytes) => {
                let Some((protocol, endpoints)) = usual_without_data(bytes) else { return Ok(false) };
                let endpoints = endpoints.map(|(address, port)| (address.into(), port));
                take(0, Some((Key { protocol: Word::cut(protocol), endpoints }, None)));
            }
            Line::Other(number, line) => take(number, entry(line)),
        }
        Ok(true)
    })?;
    Ok(())
}

fn entry(line: &[u8]) -> Option<About> {
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
