//! Lists of services and of servers, read over netlink.

use std::hash::{DefaultHasher, Hash, Hasher as _};

use netlink_exchange::{Errno, Next, Part, WireError, Writer, flag};

use super::attributes::command;
use super::decode;
use super::encode;
use super::error::{Asked, Error, Refusal};
use super::request::Ipvs;
use crate::model::{Destination, Family, Service, ServiceKey};

/// How often a dump that changed under our eyes is read again.
const DUMP_TRIES: u32 = 16;

/// A list of more parts is read again in the largest ones.
const FEW_PARTS: usize = 8;

/// What is known of lists by those that were read.
pub(super) struct Lists {
    /// The part that the destinations of every service fitted into so far, if any did.
    part: Part,
}

/// A question that is answered by a list.
struct Dump<'k> {
    command: u8,
    asked: Asked,
    /// The service that the list is of.
    key: Option<&'k ServiceKey>,
    /// How much is read at once, at first.
    part: Part,
}

/// What comes of a list that is passed on and not held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<T> {
    /// The list begins. If it began before, it changed while it was read: what came of it before does not count.
    Begin,
    /// The next entry.
    Entry(T),
}

/// What becomes of the entries of a list, which is read until it comes the same way twice.
trait Entries {
    /// The list begins.
    fn begin(&mut self);
    /// The next entry.
    fn take(&mut self, payload: &[u8]) -> Result<(), WireError>;
    /// The list has ended: whether it came the same way as the time before, but for counters.
    fn end(&mut self) -> bool;
    /// The last time does not count.
    fn forget(&mut self);
}

/// Entries that are held.
struct Held<T, D, S> {
    entries: Vec<T>,
    /// How many have come. Behind them stands what came the last time, as long as it is the same.
    count: usize,
    changed: bool,
    /// From the payload of a message to an entry.
    decode: D,
    /// Whether a message says what an entry says, but for counters.
    same: S,
}

impl<T, D, S> Held<T, D, S> {
    const fn new(decode: D, same: S) -> Self {
        Self { entries: Vec::new(), count: 0, changed: false, decode, same }
    }
}

impl<T, D, S> Entries for Held<T, D, S>
where
    D: Fn(&[u8]) -> Result<T, WireError>,
    S: Fn(&T, &[u8]) -> Result<bool, WireError>,
{
    #[inline]
    fn begin(&mut self) {
        (self.count, self.changed) = (0, false);
    }

    #[inline]
    fn take(&mut self, payload: &[u8]) -> Result<(), WireError> {
        let known = match self.entries.get(self.count) {
            Some(entry) => (self.same)(entry, payload)?,
            None => false,
        };
        if !known {
            self.changed = true;
            self.entries.truncate(self.count);
            self.entries.push((self.decode)(payload)?);
        }
        self.count += 1;
        Ok(())
    }

    #[inline]
    fn end(&mut self) -> bool {
        self.changed |= self.count < self.entries.len();
        self.entries.truncate(self.count);
        !self.changed
    }

    fn forget(&mut self) {
        self.entries.clear();
    }
}

/// Entries that are passed on. What came the time before is known by a hash of its rules.
struct Passed<D, R, E> {
    last: Option<u64>,
    hasher: DefaultHasher,
    count: usize,
    decode: D,
    rule: R,
    each: E,
}

impl<D, R, E> Passed<D, R, E> {
    fn new(decode: D, rule: R, each: E) -> Self {
        Self { last: None, hasher: DefaultHasher::new(), count: 0, decode, rule, each }
    }
}

impl<T, H, D, R, E> Entries for Passed<D, R, E>
where
    H: Hash,
    D: Fn(&[u8]) -> Result<T, WireError>,
    R: Fn(&T) -> &H,
    E: FnMut(Step<T>),
{
    fn begin(&mut self) {
        (self.hasher, self.count) = (DefaultHasher::new(), 0);
        (self.each)(Step::Begin);
    }

    fn take(&mut self, payload: &[u8]) -> Result<(), WireError> {
        let entry = (self.decode)(payload)?;
        (self.rule)(&entry).hash(&mut self.hasher);
        self.count += 1;
        (self.each)(Step::Entry(entry));
        Ok(())
    }

    fn end(&mut self) -> bool {
        let now = Some(self.hasher.finish());
        std::mem::replace(&mut self.last, now) == now
    }

    fn forget(&mut self) {
        self.last = None;
    }
}

impl Lists {
    /// No list was read yet; those of destinations will be read in such parts.
    pub const fn new(part: Part) -> Self {
        Self { part }
    }

    /// All services, as `decode` makes them, each with the rule `rule`.
    pub fn services<T>(
        &mut self,
        mut ipvs: Ipvs<'_>,
        decode: impl Fn(&[u8]) -> Result<T, WireError>,
        rule: impl Fn(&T) -> &Service,
    ) -> Result<Vec<T>, Error> {
        let same = |entry: &T, payload: &[u8]| Ok(decode::service_rule(payload)? == *rule(entry));
        let mut held = Held::new(decode, same);
        self.dump(&mut ipvs, &Dump::SERVICES, &mut held)?;
        Ok(held.entries)
    }

    /// The same, passed on.
    pub fn each_service<T>(
        &mut self,
        mut ipvs: Ipvs<'_>,
        decode: impl Fn(&[u8]) -> Result<T, WireError>,
        rule: impl Fn(&T) -> &Service,
        each: impl FnMut(Step<T>),
    ) -> Result<(), Error> {
        self.dump(&mut ipvs, &Dump::SERVICES, &mut Passed::new(decode, rule, each))
    }

    /// The destinations of a service, as `decode` makes them, each with the rule `rule`; nothing if there is no such service.
    pub fn destinations<T>(
        &mut self,
        mut ipvs: Ipvs<'_>,
        key: &ServiceKey,
        decode: impl Fn(&[u8], Family) -> Result<T, WireError>,
        rule: impl Fn(&T) -> &Destination,
    ) -> Result<Option<Vec<T>>, Error> {
        let family = key.family();
        let same = |entry: &T, payload: &[u8]| Ok(decode::destination_rule(payload, family)? == *rule(entry));
        let mut held = Held::new(|payload: &[u8]| decode(payload, family), same);
        self.dump(&mut ipvs, &self.of_destinations(key), &mut held)?;
        let is_there = !held.entries.is_empty() || is_there(&mut ipvs, key)?;
        Ok(is_there.then_some(held.entries))
    }

    /// The same, passed on. Whether there is such a service.
    pub fn each_destination<T>(
        &mut self,
        mut ipvs: Ipvs<'_>,
        key: &ServiceKey,
        decode: impl Fn(&[u8], Family) -> Result<T, WireError>,
        rule: impl Fn(&T) -> &Destination,
        each: impl FnMut(Step<T>),
    ) -> Result<bool, Error> {
        let family = key.family();
        let mut passed = Passed::new(|payload: &[u8]| decode(payload, family), rule, each);
        self.dump(&mut ipvs, &self.of_destinations(key), &mut passed)?;
        Ok(passed.count > 0 || is_there(&mut ipvs, key)?)
    }

    const fn of_destinations<'k>(&self, key: &'k ServiceKey) -> Dump<'k> {
        Dump { command: command::GET_DEST, asked: Asked::Destination, key: Some(key), part: self.part }
    }

    /// Read a dump to its end; read again if it has changed in between.
    ///
    /// The kernel makes a part of a dump at a time, finds its place in the list by counting, and does not say whether the
    /// list has changed since the part before (`ip_vs_genl_dump_services`, `ip_vs_genl_dump_dests`): an entry that was there
    /// all the time can be missing, or come twice. So what came in several parts counts if it comes the same way again.
    fn dump(&mut self, ipvs: &mut Ipvs<'_>, dump: &Dump<'_>, entries: &mut impl Entries) -> Result<(), Error> {
        let mut part = dump.part;
        for _ in 0..DUMP_TRIES {
            entries.begin();
            let request = ipvs.request(dump.command).with(flag::DUMP).in_parts(part);
            let attributes = |writer: &mut Writer| {
                if let Some(key) = dump.key {
                    encode::write_key(writer, key);
                }
            };
            let answer = ipvs.connection.each(request, attributes, |message| {
                entries.take(message.payload)?;
                Ok(Next::More)
            });
            let same = entries.end();
            let grows = part == Part::Page;
            match answer {
                Ok(parts) if parts <= 1 || same => return Ok(()),
                Ok(parts) if parts > FEW_PARTS => part = Part::Most,
                Ok(_) => {}
                // No kernel of pages of 4 KiB has larger parts than were asked for; others may.
                Err(netlink_exchange::Error::Wire(WireError::Truncated { .. })) if grows => entries.forget(),
                Err(netlink_exchange::Error::Unsettled) => entries.forget(),
                Err(error) => return Err(Error::of(dump.asked)(error)),
            }
            if grows {
                // What does not fit into one part may fit into a larger one, which saves reading it twice.
                self.part = Part::TwoPages;
                part = if part == Part::Page { Part::TwoPages } else { part };
            }
        }
        Err(Error::Unsettled)
    }
}

impl Dump<'_> {
    const SERVICES: Self = Self { command: command::GET_SERVICE, asked: Asked::Other, key: None, part: Part::Most };
}

/// Whether there is a service of which no destinations came. The kernel gives none of a service that it has not: without
/// destinations it may never have been, but have been deleted since it was heard of.
fn is_there(ipvs: &mut Ipvs<'_>, key: &ServiceKey) -> Result<bool, Error> {
    match ipvs.service(key, decode::service_rule) {
        Ok(_) => Ok(true),
        Err(Error::Refused(Refusal { errno: Errno::ESRCH, .. })) => Ok(false),
        Err(error) => Err(error),
    }
}
