//! Many changes in few system calls.

use crate::connection::{Connection, Request};
use crate::error::{Errno, Error, Refusal};
use crate::flag;
use crate::verdict::{Verdict, verdict};
use crate::wire::{Mark, Messages, Writer};

/// Messages in one send at most. Past this, a larger batch gains nothing and risks the room for error messages.
const MESSAGES: usize = 256;
/// Bytes in one send at most.
const BYTES: usize = 64 * 1024;
/// What an error message takes of the receive buffer at most: it has a copy of the request. What there is no room for is lost.
const ERROR_BYTES: usize = 2048;

/// Changes that are sent together, see [`Connection::batch`].
///
/// A batch that is dropped before [`Batch::flush`] leaves its last part unsent.
#[must_use]
pub struct Batch<'c, T> {
    connection: &'c mut Connection,
    writer: Writer,
    /// The tag of each message not yet sent, in order of their sequence numbers.
    tags: Vec<Option<T>>,
    /// The sequence number of the first of them.
    first: u32,
    last: Option<Mark>,
    /// Messages in one send at most.
    most: usize,
}

impl Connection {
    /// Begin a batch: many changes in few system calls, made in order.
    ///
    /// # Errors
    /// The socket does not take the settings for it.
    pub fn batch<T>(&mut self) -> Result<Batch<'_, T>, Error> {
        let room = self.own_socket()?.expect_many()?;
        Ok(Batch::new(self, room))
    }
}

impl<'c, T> Batch<'c, T> {
    /// A batch over a socket that has room for this many bytes of errors.
    fn new(connection: &'c mut Connection, room: usize) -> Self {
        let writer = std::mem::take(&mut connection.writer);
        let most = (room / ERROR_BYTES).clamp(1, MESSAGES);
        Self { connection, writer, tags: Vec::with_capacity(most), first: 0, last: None, most }
    }

    /// Changes that were added and not yet sent.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.tags.len()
    }

    /// Add a change. Returns whether it is time to [flush](Batch::flush).
    #[inline]
    pub fn push<const N: usize>(&mut self, tag: T, request: Request<N>, attributes: impl FnOnce(&mut Writer)) -> bool {
        let sequence = self.connection.advance();
        if self.tags.is_empty() {
            self.writer.clear();
            self.first = sequence;
        }
        self.last = Some(request.write(&mut self.writer, sequence, attributes));
        self.tags.push(Some(tag));
        self.tags.len() >= self.most || self.writer.as_bytes().len() >= BYTES
    }

    /// Send what has gathered, and wait until all of it is through. `refused` gets the tag of each change that the kernel did
    /// not make; the others are made.
    ///
    /// # Errors
    /// Netlink fails, or we may not change anything.
    pub fn flush(&mut self, mut refused: impl FnMut(T, Refusal)) -> Result<(), Error> {
        let Some(last) = self.last.take() else { return Ok(()) };
        let mut tags = std::mem::take(&mut self.tags);
        // The kernel reports every failure by itself, so one acknowledgement, of the last message, means that all are
        // through. More of them would only fill the receive buffer.
        self.writer.add_flags(last, flag::ACK);
        let socket = self.connection.own_socket()?;
        let port = socket.port();
        socket.finish_answer();
        socket.send(&self.writer)?;
        socket.unfinished = true;
        loop {
            for message in Messages::new(socket.receive()?) {
                let message = message?;
                let index = message.sequence.wrapping_sub(self.first) as usize;
                if message.port != port || index >= tags.len() {
                    continue;
                }
                if let Verdict::Refused(refusal) = verdict(&message)? {
                    if refusal.errno == Errno::EPERM {
                        return Err(Error::Refused(refusal));
                    }
                    if let Some(tag) = tags[index].take() {
                        refused(tag, refusal);
                    }
                }
                if index + 1 == tags.len() {
                    socket.unfinished = false;
                    tags.clear();
                    self.tags = tags;
                    return Ok(());
                }
            }
        }
    }

    /// The connection, for other requests. Flush first: what has gathered is sent after them otherwise.
    pub fn connection(&mut self) -> &mut Connection {
        self.connection
    }
}
