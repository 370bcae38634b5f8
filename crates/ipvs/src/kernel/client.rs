//! The client: questions to the kernel's IPVS and what it answers.

use neli::consts::genl::{CtrlAttr, CtrlCmd};
use neli::consts::nl::{GenlId, NlmF};
use neli::consts::socket::NlFamily;
use nix::errno::Errno;

use super::attributes::{FAMILY_NAME, FAMILY_VERSION, command};
use super::decode;
use super::encode;
use super::error::{Asked, Error, Refusal, Unavailable};
use super::module::{self, LoadFailure};
use super::socket::{Part, Socket, Transport};
use super::verdict::{Verdict, verdict};
use super::wire::{Attributes, Message, Messages, WireError, Writer};
use crate::model::{
    Change, Daemon, DaemonRole, Destination, DestinationEntry, Family, Info, Service, ServiceEntry, ServiceKey, Table,
    TableService, Timeouts,
};

/// Messages in one send at most. Past this, a larger batch gains nothing and risks the room for error messages.
const BATCH_MESSAGES: usize = 256;
/// Bytes in one send at most.
const BATCH_BYTES: usize = 64 * 1024;
/// How often a dump that changed under our eyes is read again.
const DUMP_TRIES: u32 = 16;

/// A connection to the kernel's IPVS: one socket for as many requests as there are, and others for dumps with larger parts,
/// opened with the first such dump. So the thread has to stay in the network namespace that it was in.
pub struct Client {
    /// By [`Part`].
    sockets: [Option<Socket>; 3],
    /// The part that the destinations of every service fitted into so far, if any did.
    destinations: Part,
    writer: Writer,
    family: u16,
    sequence: u32,
    /// Whether counters are read.
    counters: bool,
    /// How many destinations the last service had: often they are all alike.
    expected: usize,
    /// Whether the socket is our own, and others like it can be opened.
    own: bool,
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

/// What reading an answer comes to, message by message.
enum Next {
    More,
    Done,
}

impl Client {
    /// Connect to the IPVS of the network namespace we are in, loading the module if the kernel has it not yet.
    ///
    /// # Errors
    /// There is no IPVS, and why; or netlink itself fails.
    pub fn connect() -> Result<Self, Error> {
        if let Some(client) = Self::connect_if_present()? {
            return Ok(client);
        }
        module::load().map_err(|failure| Error::Unavailable(Unavailable::NoFamily(failure)))?;
        Self::connect_if_present()?.ok_or(Error::Unavailable(Unavailable::NoFamily(LoadFailure::NoFamily)))
    }

    /// Connect to the IPVS of the network namespace we are in, if the kernel has it already.
    ///
    /// # Errors
    /// Netlink itself fails.
    pub fn connect_if_present() -> Result<Option<Self>, Error> {
        Self::with(Socket::open(NlFamily::Generic, Part::Page)?, true)
    }

    /// As [`Client::connect_if_present`], over another transport than a netlink socket of our own: to see what comes of one
    /// that fails.
    ///
    /// # Errors
    /// The transport fails, or what comes over it makes no sense.
    pub fn over(transport: Box<dyn Transport>) -> Result<Option<Self>, Error> {
        Self::with(Socket::over(transport, Part::TwoPages), false)
    }

    fn with(socket: Socket, own: bool) -> Result<Option<Self>, Error> {
        let mut client = Self {
            sockets: [Some(socket), None, None],
            // A transport that is given is the only one: there is nothing to grow into.
            destinations: if own { Part::Page } else { Part::TwoPages },
            writer: Writer::with_capacity(512),
            family: 0,
            // Any start will do; a number that is not 0 tells our messages from the kernel's own.
            sequence: 1,
            counters: true,
            expected: 0,
            own,
        };
        let family = client.resolve()?;
        Ok(family.map(|family| Self { family, ..client }))
    }

    /// Read no counters from here on: all are 0 in what [`Client::services`], [`Client::destinations`] and
    /// [`Client::table`] give, which takes half the time.
    pub fn skip_counters(&mut self) {
        self.counters = false;
    }

    /// The socket that reads parts of this size.
    fn socket(&mut self, part: Part) -> Result<&mut Socket, Error> {
        let index = if self.own { part as usize } else { 0 };
        match &mut self.sockets[index] {
            Some(socket) => Ok(socket),
            none => Ok(none.insert(Socket::open(NlFamily::Generic, part)?)),
        }
    }

    /// The number of the family in this kernel.
    fn resolve(&mut self) -> Result<Option<u16>, Error> {
        self.writer.clear();
        self.sequence = self.sequence.wrapping_add(1);
        let message =
            self.writer.begin(GenlId::Ctrl.into(), NlmF::REQUEST.bits(), self.sequence, CtrlCmd::Getfamily.into(), 1);
        self.writer.string(CtrlAttr::FamilyName.into(), FAMILY_NAME);
        self.writer.end(message);
        self.send(Part::Page)?;
        let mut family = None;
        let answer = self.answers(Part::Page, Asked::Other, |message| {
            for attribute in Attributes::generic(message.payload)? {
                let attribute = attribute?;
                if attribute.kind == u16::from(CtrlAttr::FamilyId) {
                    family = Some(attribute.u16("the family's number")?);
                }
            }
            Ok(Next::Done)
        });
        match answer {
            Ok(_) => Ok(family),
            Err(Error::Refused(Refusal { errno: Errno::ENOENT, .. })) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Make one change.
    ///
    /// # Errors
    /// The kernel refuses it; or netlink fails.
    pub fn change(&mut self, change: &Change) -> Result<(), Error> {
        self.writer.clear();
        let _ = self.write_change(change, NlmF::ACK);
        self.send(Part::Page)?;
        match (self.answers(Part::Page, change.into(), |_| Ok(Next::More)), change) {
            // A daemon that is stopped before it has begun to run ends with EINTR, and to that netlink gives no answer
            // (`netlink_rcv_skb`), though all is done.
            (Err(Error::NoAnswer), Change::StopDaemon(daemon)) => {
                match self.daemons()?.iter().any(|running| running.role == daemon.role) {
                    true => Err(Error::NoAnswer),
                    false => Ok(()),
                }
            }
            (outcome, _) => outcome.map(drop),
        }
    }

    /// Begin a batch: many changes in few system calls, made in order. `refused` hears of each that the kernel does not
    /// make, by the tag it was given; the others are made all the same.
    ///
    /// # Errors
    /// The socket does not take the settings for it.
    pub fn batch<T, F: FnMut(T, Refusal)>(&mut self, refused: F) -> Result<Batch<'_, T, F>, Error> {
        self.socket(Part::Page)?.expect_many()?;
        self.writer.clear();
        Ok(Batch { client: self, pending: Vec::with_capacity(BATCH_MESSAGES), last: None, refused })
    }

    fn write_change(&mut self, change: &Change, flags: NlmF) -> super::wire::Mark {
        self.sequence = self.sequence.wrapping_add(1);
        let flags = (NlmF::REQUEST | flags).bits();
        let message = self.writer.begin(self.family, flags, self.sequence, encode::command_of(change), FAMILY_VERSION);
        encode::write_change(&mut self.writer, change);
        self.writer.end(message);
        message
    }

    /// The version and the size of the connection table.
    ///
    /// # Errors
    /// The kernel refuses; or netlink fails.
    pub fn info(&mut self) -> Result<Info, Error> {
        self.ask(Part::Page, command::GET_INFO, NlmF::empty(), |_| {})?;
        self.one(Asked::Other, decode::info)
    }

    /// The timeouts in force.
    ///
    /// # Errors
    /// The kernel refuses; or netlink fails.
    pub fn timeouts(&mut self) -> Result<Timeouts, Error> {
        self.ask(Part::Page, command::GET_CONFIG, NlmF::empty(), |_| {})?;
        self.one(Asked::Other, decode::timeouts)
    }

    /// The running sync daemons, the master first.
    ///
    /// # Errors
    /// The kernel refuses; or netlink fails.
    pub fn daemons(&mut self) -> Result<Vec<Daemon>, Error> {
        let mut daemons = Vec::new();
        self.ask(Part::Page, command::GET_DAEMON, NlmF::DUMP, |_| {})?;
        self.answers(Part::Page, Asked::Other, |message| {
            daemons.push(decode::daemon(message.payload)?);
            Ok(Next::More)
        })?;
        daemons.sort_by_key(|daemon| daemon.role != DaemonRole::Master);
        Ok(daemons)
    }

    /// One service, without its destinations.
    ///
    /// # Errors
    /// There is no such service; or netlink fails.
    pub fn service(&mut self, key: &ServiceKey) -> Result<ServiceEntry, Error> {
        self.ask(Part::Page, command::GET_SERVICE, NlmF::empty(), |writer| encode::write_key(writer, key))?;
        self.one(Asked::OneService, decode::service)
    }

    /// All services, in the kernel's order.
    ///
    /// # Errors
    /// The kernel refuses; the table changes under each try; or netlink fails.
    pub fn services(&mut self) -> Result<Vec<ServiceEntry>, Error> {
        let decode = if self.counters { decode::service } else { decode::service_without_counters };
        self.dump(&Dump {
            command: command::GET_SERVICE,
            asked: Asked::Other,
            key: None,
            part: Part::Most,
            decode,
            same: |entry: &ServiceEntry, payload: &[u8]| Ok(decode::service_rule(payload)? == entry.service),
        })
    }

    /// All services as rules, without counters, in the kernel's order.
    ///
    /// # Errors
    /// The kernel refuses; the table changes under each try; or netlink fails.
    pub fn service_rules(&mut self) -> Result<Vec<Service>, Error> {
        self.dump(&Dump {
            command: command::GET_SERVICE,
            asked: Asked::Other,
            key: None,
            part: Part::Most,
            decode: decode::service_rule,
            same: |service: &Service, payload: &[u8]| Ok(decode::service_rule(payload)? == *service),
        })
    }

    /// The destinations of a service, in the kernel's order; nothing if there is no such service.
    ///
    /// # Errors
    /// The kernel refuses; the table changes under each try; or netlink fails.
    pub fn destinations(&mut self, key: &ServiceKey) -> Result<Option<Vec<DestinationEntry>>, Error> {
        let counters = self.counters;
        self.of_service(
            key,
            |payload, family| match counters {
                true => decode::destination(payload, family),
                false => decode::destination_without_counters(payload, family),
            },
            |entry| &entry.destination,
        )
    }

    /// The destinations of a service as rules, without counters, in the kernel's order; nothing if there is no such service.
    ///
    /// # Errors
    /// The kernel refuses; the table changes under each try; or netlink fails.
    pub fn destination_rules(&mut self, key: &ServiceKey) -> Result<Option<Vec<Destination>>, Error> {
        self.of_service(
            key,
            |payload, family| decode::destination_without_counters(payload, family).map(|entry| entry.destination),
            |destination| destination,
        )
    }

    /// The whole table, in the kernel's order. A service and its destinations belong together, and are of one moment if they
    /// are not changed meanwhile; the services are read one after the other.
    ///
    /// # Errors
    /// The kernel refuses; the table changes under each try; or netlink fails.
    pub fn table(&mut self) -> Result<Table, Error> {
        let entries = self.services()?;
        let mut services = Vec::with_capacity(entries.len());
        for entry in entries {
            if let Some(destinations) = self.destinations(&entry.service.key)? {
                services.push(TableService { entry, destinations });
            }
        }
        Ok(Table { services })
    }

    /// The destinations of a service, if there is that service.
    fn of_service<T>(
        &mut self,
        key: &ServiceKey,
        decode: impl Fn(&[u8], Family) -> Result<T, WireError>,
        rule: impl Fn(&T) -> &Destination,
    ) -> Result<Option<Vec<T>>, Error> {
        let family = key.family();
        let dump = Dump {
            command: command::GET_DEST,
            asked: Asked::Destination,
            key: Some(key),
            part: self.destinations,
            decode: |payload: &[u8]| decode(payload, family),
            same: |entry: &T, payload: &[u8]| {
                Ok(decode::destination_without_counters(payload, family)?.destination == *rule(entry))
            },
        };
        let mut entries = self.dump(&dump)?;
        if entries.len() < self.expected / 2 {
            entries.shrink_to_fit();
        }
        self.expected = entries.len();
        // The kernel gives none of a service that it has not. Without destinations it may never have been, but have been
        // deleted since it was heard of.
        if entries.is_empty() {
            return match self.service(key) {
                Ok(_) => Ok(Some(entries)),
                Err(Error::Refused(Refusal { errno: Errno::ESRCH, .. })) => Ok(None),
                Err(error) => Err(error),
            };
        }
        Ok(Some(entries))
    }

    /// Read a dump to its end; read again if it changed meanwhile.
    ///
    /// The kernel makes a part of a dump at a time, finds its place in the list by counting, and does not say whether the
    /// list has changed since the part before (`ip_vs_genl_dump_services`, `ip_vs_genl_dump_dests`): an entry that was there
    /// all the time can be missing, or come twice. So what came in several parts counts if it comes the same way again.
    fn dump<T, D, S>(&mut self, dump: &Dump<'_, D, S>) -> Result<Vec<T>, Error>
    where
        D: Fn(&[u8]) -> Result<T, WireError>,
        S: Fn(&T, &[u8]) -> Result<bool, WireError>,
    {
        let mut part = dump.part;
        let mut entries = Vec::with_capacity(if dump.key.is_some() { self.expected } else { 0 });
        for _ in 0..DUMP_TRIES {
            self.ask(part, dump.command, NlmF::DUMP, |writer| {
                if let Some(key) = dump.key {
                    encode::write_key(writer, key);
                }
            })?;
            // How many have come. Behind them stands what came the last time, as long as it is the same.
            let mut count = 0;
            let mut changed = false;
            let answer = self.answers(part, dump.asked, |message| {
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
                Ok(_) => {}
                // No kernel of pages of 4 KiB has larger parts than were asked for; others may.
                Err(Error::Wire(WireError::Truncated { .. })) if grows => entries.clear(),
                Err(Error::Unsettled) => entries.clear(),
                Err(error) => return Err(error),
            }
            if grows {
                // What does not fit into one part may fit into a larger one, which saves reading it twice.
                part = Part::TwoPages;
                self.destinations = part;
            }
        }
        Err(Error::Unsettled)
    }

    /// Send one question.
    fn ask(&mut self, part: Part, command: u8, flags: NlmF, attributes: impl FnOnce(&mut Writer)) -> Result<(), Error> {
        self.socket(part)?.finish_answer();
        self.writer.clear();
        self.sequence = self.sequence.wrapping_add(1);
        let flags = (NlmF::REQUEST | flags).bits();
        let message = self.writer.begin(self.family, flags, self.sequence, command, FAMILY_VERSION);
        attributes(&mut self.writer);
        self.writer.end(message);
        self.send(part)
    }

    /// Send what was written.
    fn send(&mut self, part: Part) -> Result<(), Error> {
        let writer = std::mem::take(&mut self.writer);
        let outcome = self.socket(part).and_then(|socket| socket.send(writer.as_bytes()));
        self.writer = writer;
        outcome
    }

    /// The single message that answers the question just sent.
    fn one<T>(&mut self, asked: Asked, decode: impl Fn(&[u8]) -> Result<T, WireError>) -> Result<T, Error> {
        let mut value = None;
        self.answers(Part::Page, asked, |message| {
            value = Some(decode(message.payload)?);
            Ok(Next::Done)
        })?;
        value.ok_or(Error::NoAnswer)
    }

    /// Read the answer to the question just sent, up to its end. Returns in how many parts it came, not counting those
    /// without a payload.
    fn answers(
        &mut self,
        part: Part,
        asked: Asked,
        mut take: impl FnMut(&Message<'_>) -> Result<Next, Error>,
    ) -> Result<usize, Error> {
        let sequence = self.sequence;
        let mut settled = true;
        let mut parts = 0;
        let socket = self.socket(part)?;
        socket.unfinished = true;
        loop {
            let mut counted = false;
            for message in Messages::new(socket.receive()?) {
                let message = message?;
                if message.sequence != sequence {
                    // The rest of an answer that was given up.
                    continue;
                }
                settled &= message.flags & NlmF::DUMP_INTR.bits() == 0;
                let outcome = match verdict(&message)? {
                    Verdict::Nothing => continue,
                    Verdict::Payload => {
                        if !std::mem::replace(&mut counted, true) {
                            parts += 1;
                        }
                        match take(&message)? {
                            Next::More => continue,
                            Next::Done => Ok(parts),
                        }
                    }
                    Verdict::End if settled => Ok(parts),
                    Verdict::End => Err(Error::Unsettled),
                    Verdict::Refused { errno, words } => Err(refused(Refusal { asked, errno, words })),
                };
                socket.unfinished = false;
                return outcome;
            }
        }
    }
}

/// Not being allowed to has a form of its own: ipvsadm finds out before all else.
fn refused(refusal: Refusal) -> Error {
    match refusal.errno {
        Errno::EPERM => Error::Unavailable(Unavailable::NotPermitted),
        _ => Error::Refused(refusal),
    }
}

/// Changes on their way to the kernel, see [`Client::batch`].
///
/// What was pushed is made at the latest by [`Batch::finish`]; a batch dropped before that leaves its last part unsent.
#[must_use]
pub struct Batch<'c, T, F: FnMut(T, Refusal)> {
    client: &'c mut Client,
    /// Tag and kind of each message not yet sent, in order of their sequence numbers.
    pending: Vec<(T, Asked)>,
    last: Option<super::wire::Mark>,
    refused: F,
}

impl<T, F: FnMut(T, Refusal)> Batch<'_, T, F> {
    /// Add a change; send what has gathered if that is enough.
    ///
    /// # Errors
    /// Netlink fails, or we may not change anything.
    pub fn push(&mut self, tag: T, change: &Change) -> Result<(), Error> {
        if let Change::StartDaemon(_) | Change::StopDaemon(_) = change {
            // These may go without an answer, and so cannot tell of others; see `Client::change`.
            self.flush()?;
            return match self.client.change(change) {
                Err(Error::Refused(refusal)) => {
                    (self.refused)(tag, refusal);
                    Ok(())
                }
                outcome => outcome,
            };
        }
        self.last = Some(self.client.write_change(change, NlmF::empty()));
        self.pending.push((tag, change.into()));
        if self.pending.len() >= BATCH_MESSAGES || self.client.writer.as_bytes().len() >= BATCH_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    /// Send what has gathered, and hear what became of it.
    ///
    /// # Errors
    /// Netlink fails, or we may not change anything.
    pub fn flush(&mut self) -> Result<(), Error> {
        let Some(last) = self.last.take() else { return Ok(()) };
        // The kernel reports every failure by itself, so one acknowledgement, of the last message, tells that all are
        // through. More of them would only fill the receive buffer.
        self.client.writer.add_flags(last, NlmF::ACK.bits());
        let sent = self.client.send(Part::Page);
        self.client.writer.clear();
        sent?;
        let first = self.client.sequence.wrapping_sub(self.pending.len() as u32).wrapping_add(1);
        let mut pending = self.pending.drain(..).map(Some).collect::<Vec<_>>();
        let socket = self.client.socket(Part::Page)?;
        loop {
            for message in Messages::new(socket.receive()?) {
                let message = message?;
                let index = message.sequence.wrapping_sub(first) as usize;
                let Some(entry) = pending.get_mut(index) else { continue };
                let asked = entry.as_ref().map_or(Asked::Other, |(_, asked)| *asked);
                if let Verdict::Refused { errno, words } = verdict(&message)? {
                    let refusal = Refusal { asked, errno, words };
                    if refusal.errno == Errno::EPERM {
                        return Err(refused(refusal));
                    }
                    if let Some((tag, _)) = entry.take() {
                        (self.refused)(tag, refusal);
                    }
                }
                if index + 1 == pending.len() {
                    return Ok(());
                }
            }
        }
    }

    /// Send the rest.
    ///
    /// # Errors
    /// Netlink fails, or we may not change anything.
    pub fn finish(mut self) -> Result<(), Error> {
        self.flush()
    }
}
