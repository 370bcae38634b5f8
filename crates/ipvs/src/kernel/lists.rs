//! Lists of services and of servers, read over netlink.

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
struct Dump<'k, D, S> {
    command: u8,
    asked: Asked,
    /// The service that the list is of.
    key: Option<&'k ServiceKey>,
    /// How much is read at once, at first.
    part: Part,
    /// From the payload of a message to an entry.
    decode: D,
    /// Whether a message says what an entry says, but for counters.
    same: S,
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
        let dump = Dump {
            command: command::GET_SERVICE,
            asked: Asked::Other,
            key: None,
            part: Part::Most,
            decode,
            same: |entry: &T, payload: &[u8]| Ok(decode::service_rule(payload)? == *rule(entry)),
        };
        self.dump(&mut ipvs, &dump)
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
        let dump = Dump {
            command: command::GET_DEST,
            asked: Asked::Destination,
            key: Some(key),
            part: self.part,
            decode: |payload: &[u8]| decode(payload, family),
            same: |entry: &T, payload: &[u8]| Ok(decode::destination_rule(payload, family)? == *rule(entry)),
        };
        let entries = self.dump(&mut ipvs, &dump)?;
        // The kernel gives none of a service that it has not. Without destinations it may never have been, but have been
        // deleted since it was heard of.
        if entries.is_empty() {
            return match ipvs.service(key, decode::service_rule) {
                Ok(_) => Ok(Some(entries)),
                Err(Error::Refused(Refusal { errno: Errno::ESRCH, .. })) => Ok(None),
                Err(error) => Err(error),
            };
        }
        Ok(Some(entries))
    }

    /// Read a dump to its end; read again if it has changed in between.
    ///
    /// The kernel makes a part of a dump at a time, finds its place in the list by counting, and does not say whether the
    /// list has changed since the part before (`ip_vs_genl_dump_services`, `ip_vs_genl_dump_dests`): an entry that was there
    /// all the time can be missing, or come twice. So what came in several parts counts if it comes the same way again.
    fn dump<T, D, S>(&mut self, ipvs: &mut Ipvs<'_>, dump: &Dump<'_, D, S>) -> Result<Vec<T>, Error>
    where
        D: Fn(&[u8]) -> Result<T, WireError>,
        S: Fn(&T, &[u8]) -> Result<bool, WireError>,
    {
        let mut part = dump.part;
        let mut entries = Vec::new();
        for _ in 0..DUMP_TRIES {
            // How many have come. Behind them stands what came the last time, as long as it is the same.
            let mut count = 0;
            let mut changed = false;
            let request = ipvs.request(dump.command).with(flag::DUMP).in_parts(part);
            let attributes = |writer: &mut Writer| {
                if let Some(key) = dump.key {
                    encode::write_key(writer, key);
                }
            };
            let answer = ipvs.connection.each(request, attributes, |message| {
                let known = match entries.get(count) {
                    Some(entry) => (dump.same)(entry, message.payload)?,
                    None => false,
                };
                if !known {
                    changed = true;
                    entries.truncate(count);
                    entries.push((dump.decode)(message.payload)?);
                }
                count += 1;
                Ok(Next::More)
            });
            changed |= count < entries.len();
            entries.truncate(count);
            let grows = part == Part::Page;
            match answer {
                Ok(parts) if parts <= 1 || !changed => return Ok(entries),
                Ok(parts) if parts > FEW_PARTS => part = Part::Most,
                Ok(_) => {}
                // No kernel of pages of 4 KiB has larger parts than were asked for; others may.
                Err(netlink_exchange::Error::Wire(WireError::Truncated { .. })) if grows => entries.clear(),
                Err(netlink_exchange::Error::Unsettled) => entries.clear(),
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
