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
use super::socket::{LIST_PART, Socket, TABLE_PART, Transport};
use super::verdict::{Verdict, verdict};
use super::wire::{Attributes, Message, Messages, Writer};
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

/// A connection to the kernel's IPVS: one socket for as many requests as there are, and a second one for lists of services,
/// opened with the first. So the thread has to stay in the network namespace that it was in.
pub struct Client {
    socket: Socket,
    writer: Writer,
    family: u16,
    sequence: u32,
    /// Whether counters are read.
    counters: bool,
    /// Whether the socket is our own, and others like it can be opened.
    own: bool,
    /// The socket for lists of services, once one has been read.
    long: Option<Socket>,
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
        Self::with(Socket::open(NlFamily::Generic, TABLE_PART)?, true)
    }

    /// As [`Client::connect_if_present`], over another transport than a netlink socket of our own: to see what comes of one
    /// that fails.
    ///
    /// # Errors
    /// The transport fails, or what comes over it makes no sense.
    pub fn over(transport: Box<dyn Transport>) -> Result<Option<Self>, Error> {
        Self::with(Socket::over(transport, TABLE_PART), false)
    }

    fn with(socket: Socket, own: bool) -> Result<Option<Self>, Error> {
        let mut client = Self {
            socket,
            writer: Writer::with_capacity(512),
            family: 0,
            // Any start will do; a number that is not 0 tells our messages from the kernel's own.
            sequence: 1,
            counters: true,
            own,
            long: None,
        };
        let family = client.resolve()?;
        Ok(family.map(|family| Self { family, ..client }))
    }

    /// Read no counters of destinations from here on: all are 0 in what [`Client::destinations`] and [`Client::table`] give,
    /// which takes half the time.
    pub fn skip_counters(&mut self) {
        self.counters = false;
    }

    /// The number of the family in this kernel.
    fn resolve(&mut self) -> Result<Option<u16>, Error> {
        self.writer.clear();
        self.sequence = self.sequence.wrapping_add(1);
        let message =
            self.writer.begin(GenlId::Ctrl.into(), NlmF::REQUEST.bits(), self.sequence, CtrlCmd::Getfamily.into(), 1);
        self.writer.string(CtrlAttr::FamilyName.into(), FAMILY_NAME);
        self.writer.end(message);
        self.socket.send(self.writer.as_bytes())?;
        let mut family = None;
        let answer = self.answers(Asked::Other, |message| {
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
        self.socket.send(self.writer.as_bytes())?;
        match (self.answers(change.into(), |_| Ok(Next::More)), change) {
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
        self.socket.expect_many()?;
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
        self.ask(command::GET_INFO, NlmF::empty(), |_| {})?;
        self.one(Asked::Other, decode::info)
    }

    /// The timeouts in force.
    ///
    /// # Errors
    /// The kernel refuses; or netlink fails.
    pub fn timeouts(&mut self) -> Result<Timeouts, Error> {
        self.ask(command::GET_CONFIG, NlmF::empty(), |_| {})?;
        self.one(Asked::Other, decode::timeouts)
    }

    /// The running sync daemons, the master first.
    ///
    /// # Errors
    /// The kernel refuses; or netlink fails.
    pub fn daemons(&mut self) -> Result<Vec<Daemon>, Error> {
        let mut daemons = Vec::new();
        self.ask(command::GET_DAEMON, NlmF::DUMP, |_| {})?;
        self.answers(Asked::Other, |message| {
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
        self.ask(command::GET_SERVICE, NlmF::empty(), |writer| encode::write_key(writer, key))?;
        self.one(Asked::OneService, decode::service)
    }

    /// All services, in the kernel's order.
    ///
    /// # Errors
    /// The kernel refuses; the table changes under each try; or netlink fails.
    pub fn services(&mut self) -> Result<Vec<ServiceEntry>, Error> {
        let same = |one: &ServiceEntry, other: &ServiceEntry| one.service == other.service;
        self.over_long(|client| client.dump(command::GET_SERVICE, Asked::Other, |_| {}, decode::service, same))
    }

    /// The destinations of a service, in the kernel's order. None if there is no such service.
    ///
    /// # Errors
    /// The kernel refuses; the table changes under each try; or netlink fails.
    pub fn destinations(&mut self, key: &ServiceKey) -> Result<Vec<DestinationEntry>, Error> {
        let family: Family = key.family();
        let decode = if self.counters { decode::destination } else { decode::destination_without_counters };
        self.dump(
            command::GET_DEST,
            Asked::Destination,
            |writer| encode::write_key(writer, key),
            |payload| decode(payload, family),
            |one, other| one.destination == other.destination,
        )
    }

    /// All services as rules, without counters, in the kernel's order.
    ///
    /// # Errors
    /// The kernel refuses; the table changes under each try; or netlink fails.
    pub fn service_rules(&mut self) -> Result<Vec<Service>, Error> {
        self.over_long(|client| {
            client.dump(command::GET_SERVICE, Asked::Other, |_| {}, decode::service_rule, PartialEq::eq)
        })
    }

    /// The destinations of a service as rules, without counters, in the kernel's order. None if there is no such service.
    ///
    /// # Errors
    /// The kernel refuses; the table changes under each try; or netlink fails.
    pub fn destination_rules(&mut self, key: &ServiceKey) -> Result<Vec<Destination>, Error> {
        let family = key.family();
        self.dump(
            command::GET_DEST,
            Asked::Destination,
            |writer| encode::write_key(writer, key),
            |payload| decode::destination_without_counters(payload, family).map(|entry| entry.destination),
            PartialEq::eq,
        )
    }

    /// Whether there is this service: where [`Client::destinations`] gives none, it may have been deleted since it was read.
    ///
    /// # Errors
    /// The kernel refuses; or netlink fails.
    pub fn has_service(&mut self, key: &ServiceKey) -> Result<bool, Error> {
        match self.service(key) {
            Ok(_) => Ok(true),
            Err(Error::Refused(Refusal { errno: Errno::ESRCH, .. })) => Ok(false),
            Err(error) => Err(error),
        }
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
            let destinations = self.destinations(&entry.service.key)?;
            if !destinations.is_empty() || self.has_service(&entry.service.key)? {
                services.push(TableService { entry, destinations });
            }
        }
        Ok(Table { services })
    }

    /// Read a dump to its end; read again if it changed meanwhile.
    ///
    /// The kernel makes a part of a dump at a time, finds its place in the list by counting, and does not say whether the
    /// list has changed since the part before (`ip_vs_genl_dump_services`, `ip_vs_genl_dump_dests`): an entry that was there
    /// all the time can be missing, or come twice. So what came in several parts counts if it comes the same way again.
    fn dump<T>(
        &mut self,
        command: u8,
        asked: Asked,
        key: impl Fn(&mut Writer),
        decode: impl Fn(&[u8]) -> Result<T, super::wire::WireError>,
        same: impl Fn(&T, &T) -> bool,
    ) -> Result<Vec<T>, Error> {
        let mut before: Option<Vec<T>> = None;
        for _ in 0..DUMP_TRIES {
            let mut entries = Vec::new();
            self.ask(command, NlmF::DUMP, &key)?;
            let answer = self.answers(asked, |message| {
                entries.push(decode(message.payload)?);
                Ok(Next::More)
            });
            match answer {
                Ok(parts) if parts <= 1 => return Ok(entries),
                Ok(_) if before.is_some_and(|before| equal(&before, &entries, &same)) => return Ok(entries),
                Ok(_) => before = Some(entries),
                Err(Error::Unsettled) => before = None,
                Err(error) => return Err(error),
            }
        }
        Err(Error::Unsettled)
    }

    /// Do this over the socket for lists of services in place of the usual one.
    fn over_long<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        if !self.own {
            return work(self);
        }
        let mut long = match self.long.take() {
            Some(long) => long,
            None => Socket::open(NlFamily::Generic, LIST_PART)?,
        };
        std::mem::swap(&mut self.socket, &mut long);
        let outcome = work(self);
        std::mem::swap(&mut self.socket, &mut long);
        self.long = Some(long);
        outcome
    }

    /// Read what is left of an answer that was given up. The kernel takes no other dump of a socket before that.
    fn finish_answer(&mut self) {
        if std::mem::take(&mut self.socket.unfinished) {
            while self.socket.receive().is_ok() {}
        }
    }

    /// Send one question.
    fn ask(&mut self, command: u8, flags: NlmF, attributes: impl FnOnce(&mut Writer)) -> Result<(), Error> {
        self.finish_answer();
        self.writer.clear();
        self.sequence = self.sequence.wrapping_add(1);
        let flags = (NlmF::REQUEST | flags).bits();
        let message = self.writer.begin(self.family, flags, self.sequence, command, FAMILY_VERSION);
        attributes(&mut self.writer);
        self.writer.end(message);
        self.socket.send(self.writer.as_bytes())
    }

    /// The single message that answers the question just sent.
    fn one<T>(
        &mut self,
        asked: Asked,
        decode: impl Fn(&[u8]) -> Result<T, super::wire::WireError>,
    ) -> Result<T, Error> {
        let mut value = None;
        self.answers(asked, |message| {
            value = Some(decode(message.payload)?);
            Ok(Next::Done)
        })?;
        value.ok_or(Error::NoAnswer)
    }

    /// Read the answer to the question just sent, up to its end. Returns in how many parts it came, not counting those
    /// without a payload.
    fn answers(
        &mut self,
        asked: Asked,
        mut take: impl FnMut(&Message<'_>) -> Result<Next, Error>,
    ) -> Result<usize, Error> {
        let sequence = self.sequence;
        let mut settled = true;
        let mut parts = 0;
        self.socket.unfinished = true;
        loop {
            let mut counted = false;
            for message in Messages::new(self.socket.receive()?) {
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
                self.socket.unfinished = false;
                return outcome;
            }
        }
    }
}

fn equal<T>(one: &[T], other: &[T], same: impl Fn(&T, &T) -> bool) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
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
        let sent = self.client.socket.send(self.client.writer.as_bytes());
        self.client.writer.clear();
        sent?;
        let first = self.client.sequence.wrapping_sub(self.pending.len() as u32).wrapping_add(1);
        let mut pending = self.pending.drain(..).map(Some).collect::<Vec<_>>();
        loop {
            for message in Messages::new(self.client.socket.receive()?) {
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
