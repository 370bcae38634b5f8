//! One connection for any netlink family: requests, and the answers to them.

use crate::error::{Errno, Error};
use crate::flag;
use crate::socket::{Part, Protocol, Socket, Transport};
use crate::verdict::{Verdict, verdict};
use crate::wire::{Attributes, Mark, Message, Messages, WireError, Writer};

/// How often a list that changes while it is read is read again.
const DUMP_TRIES: u32 = 16;

/// The family of generic netlink that knows the others (`linux/genetlink.h`).
mod control {
    /// `GENL_ID_CTRL`
    pub const FAMILY: u16 = 0x10;
    /// `CTRL_CMD_GETFAMILY`
    pub const GET_FAMILY: u8 = 3;
    /// `CTRL_ATTR_FAMILY_ID`
    pub const FAMILY_ID: u16 = 1;
    /// `CTRL_ATTR_FAMILY_NAME`
    pub const FAMILY_NAME: u16 = 2;
}

/// The start of a request: the type of its message, and the header that its protocol wants before the attributes.
#[derive(Clone, Copy, Debug)]
pub struct Request<const N: usize> {
    kind: u16,
    flags: u16,
    header: [u8; N],
    part: Option<Part>,
}

impl<const N: usize> Request<N> {
    /// A request of this type, with this header, whose size is a multiple of 4.
    #[must_use]
    pub const fn new(kind: u16, header: [u8; N]) -> Self {
        Self { kind, flags: flag::REQUEST, header, part: None }
    }

    /// The same with these flags as well, see [`flag`].
    #[must_use]
    pub const fn with(self, flags: u16) -> Self {
        Self { flags: self.flags | flags, ..self }
    }

    /// The same, its answer read in parts of this size and not of the connection's.
    #[must_use]
    pub const fn in_parts(self, part: Part) -> Self {
        Self { part: Some(part), ..self }
    }

    /// Write it. Returns where it begins.
    #[inline]
    pub(crate) fn write(&self, writer: &mut Writer, sequence: u32, attributes: impl FnOnce(&mut Writer)) -> Mark {
        let message = writer.begin_with(self.kind, self.flags, sequence, self.header);
        attributes(writer);
        writer.end(message);
        message
    }
}

impl Request<4> {
    /// A command of this family of generic netlink.
    #[must_use]
    pub const fn generic(family: u16, command: u8, version: u8) -> Self {
        Self::new(family, [command, version, 0, 0])
    }
}

/// Whether more of an answer is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// All of it.
    More,
    /// This was all.
    Done,
}

/// A connection to one netlink protocol of the kernel, in the network namespace that its thread is in.
///
/// It has one socket, and others for requests with [other parts](Request::in_parts), opened with the first of these; so the
/// thread has to stay in the network namespace that it was in.
pub struct Connection {
    /// By [`Part`].
    sockets: [Option<Socket>; 3],
    /// What sockets are opened for; none if a transport was given, and that is the only one.
    protocol: Option<Protocol>,
    part: Part,
    pub(crate) writer: Writer,
    sequence: u32,
}

impl Connection {
    /// Connect, and read answers in parts of this size.
    ///
    /// # Errors
    /// There is no such socket to be had.
    pub fn open(protocol: Protocol, part: Part) -> Result<Self, Error> {
        Ok(Self::with(Some(protocol), part, Socket::open(protocol, part)?))
    }

    /// The same over another transport than a socket of our own, such as one that fails in a test.
    #[must_use]
    pub fn over(transport: Box<dyn Transport>) -> Self {
        Self::with(None, Part::TwoPages, Socket::over(transport, Part::TwoPages))
    }

    fn with(protocol: Option<Protocol>, part: Part, socket: Socket) -> Self {
        let mut sockets = [None, None, None];
        sockets[part as usize] = Some(socket);
        // Any start will do; a number that is not 0 distinguishes our messages from the kernel's own.
        Self { sockets, protocol, part, writer: Writer::with_capacity(512), sequence: 1 }
    }

    /// Make a change.
    ///
    /// # Errors
    /// The kernel refuses it; or netlink fails.
    pub fn ask<const N: usize>(
        &mut self,
        request: Request<N>,
        attributes: impl FnOnce(&mut Writer),
    ) -> Result<(), Error> {
        self.each(request.with(flag::ACK), attributes, |_| Ok(Next::More)).map(drop)
    }

    /// Ask for one thing: the first message that `take` makes something of.
    ///
    /// # Errors
    /// The kernel refuses, or answers without it; or netlink fails.
    pub fn one<T, const N: usize>(
        &mut self,
        request: Request<N>,
        attributes: impl FnOnce(&mut Writer),
        mut take: impl FnMut(&Message<'_>) -> Result<Option<T>, WireError>,
    ) -> Result<T, Error> {
        let mut value = None;
        self.each(request, attributes, |message| {
            value = take(message)?;
            Ok(if value.is_some() { Next::Done } else { Next::More })
        })?;
        value.ok_or(Error::NoAnswer)
    }

    /// Ask for a list: all that `take` makes of its messages. It is read again if it changed while the kernel made it.
    ///
    /// # Errors
    /// The kernel refuses; the list changes each time ([`Error::Unsettled`]); or netlink fails.
    pub fn dump<T, const N: usize>(
        &mut self,
        request: Request<N>,
        attributes: impl Fn(&mut Writer),
        mut take: impl FnMut(&Message<'_>) -> Result<Option<T>, WireError>,
    ) -> Result<Vec<T>, Error> {
        for _ in 0..DUMP_TRIES {
            let mut entries = Vec::new();
            let outcome = self.each(request.with(flag::DUMP), &attributes, |message| {
                entries.extend(take(message)?);
                Ok(Next::More)
            });
            match outcome {
                Ok(_) => return Ok(entries),
                Err(Error::Unsettled) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::Unsettled)
    }

    /// Ask, and hand each message of the answer to `take`, up to its end or till `take` says that this was all. Returns in how
    /// many parts the answer came, not counting those without a payload.
    ///
    /// # Errors
    /// The kernel refuses; the answer is a list that changed while the kernel made it ([`Error::Unsettled`]), whatever `take`
    /// said; `take` fails; or netlink fails.
    #[inline]
    pub fn each<const N: usize>(
        &mut self,
        request: Request<N>,
        attributes: impl FnOnce(&mut Writer),
        mut take: impl FnMut(&Message<'_>) -> Result<Next, WireError>,
    ) -> Result<usize, Error> {
        let part = request.part.unwrap_or(self.part);
        self.sequence = self.sequence.wrapping_add(1);
        self.writer.clear();
        let _ = request.write(&mut self.writer, self.sequence, attributes);
        self.send(part)?;

        let sequence = self.sequence;
        let is_list = request.flags & flag::DUMP == flag::DUMP;
        let socket = self.socket(part)?;
        let port = socket.port();
        socket.unfinished = true;
        let mut settled = true;
        let mut wrong = None;
        let mut parts = 0;
        loop {
            let mut counted = false;
            let bytes = match socket.receive() {
                Ok(bytes) => bytes,
                Err(error) => return Err(wrong.map_or(error, Error::Wire)),
            };
            for message in Messages::new(bytes) {
                let message = message?;
                if message.sequence != sequence || message.port != port {
                    // The rest of an answer that was given up, or not for us.
                    continue;
                }
                settled &= message.flags & flag::DUMP_INTERRUPTED == 0;
                let outcome = match verdict(&message)? {
                    Verdict::Nothing => continue,
                    Verdict::Payload => {
                        if !std::mem::replace(&mut counted, true) {
                            parts += 1;
                        }
                        if wrong.is_some() {
                            continue;
                        }
                        match take(&message) {
                            Ok(Next::More) => continue,
                            Ok(Next::Done) => {
                                socket.unfinished = is_list;
                                return Ok(parts);
                            }
                            // Only at its end is it known whether the list held still, and so should make sense.
                            Err(error) if is_list => {
                                wrong = Some(error);
                                continue;
                            }
                            Err(error) => return Err(error.into()),
                        }
                    }
                    Verdict::End if !settled => Err(Error::Unsettled),
                    Verdict::End => wrong.map_or(Ok(parts), |error| Err(error.into())),
                    Verdict::Refused(refusal) => Err(Error::Refused(refusal)),
                };
                socket.unfinished = false;
                return outcome;
            }
        }
    }

    /// The number of the generic netlink family of this name; nothing if the kernel does not have it. To ask may load the
    /// module that has it.
    ///
    /// # Errors
    /// Netlink fails.
    pub fn family(&mut self, name: &str) -> Result<Option<u16>, Error> {
        let number = self.one(
            Request::generic(control::FAMILY, control::GET_FAMILY, 1),
            |writer| writer.string(control::FAMILY_NAME, name.as_bytes()),
            |message| {
                for attribute in Attributes::generic(message.payload)? {
                    let attribute = attribute?;
                    if attribute.kind == control::FAMILY_ID {
                        return attribute.u16("the family's number").map(Some);
                    }
                }
                Err(WireError::Missing("the family's number"))
            },
        );
        match number {
            Ok(number) => Ok(Some(number)),
            Err(error) if error.refused() == Some(Errno::ENOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The next sequence number.
    pub(crate) fn advance(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    /// The socket for requests that ask for no other parts.
    pub(crate) fn own_socket(&mut self) -> Result<&mut Socket, Error> {
        self.socket(self.part)
    }

    /// The socket that reads parts of this size.
    fn socket(&mut self, part: Part) -> Result<&mut Socket, Error> {
        let Some(protocol) = self.protocol else {
            return self.sockets[Part::TwoPages as usize].as_mut().ok_or(Error::NoAnswer);
        };
        match &mut self.sockets[part as usize] {
            Some(socket) => Ok(socket),
            none => Ok(none.insert(Socket::open(protocol, part)?)),
        }
    }

    /// Send what was written, when nothing is left to be read of the answer before.
    fn send(&mut self, part: Part) -> Result<(), Error> {
        let writer = std::mem::take(&mut self.writer);
        let outcome = self.socket(part).and_then(|socket| {
            socket.finish_answer();
            socket.send(&writer)
        });
        self.writer = writer;
        outcome
    }
}
