//! A kernel made of a function, for tests of what talks to the real one.

use std::collections::VecDeque;
use std::io;

use crate::error::Errno;
use crate::flag;
use crate::socket::Transport;
use crate::wire::{MESSAGE_HEADER, Message, Messages};

/// The port id of the fake's socket.
const PORT: u32 = 7;

/// One message of an answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// `nlmsg_type`
    pub kind: u16,
    /// `nlmsg_flags`
    pub flags: u16,
    /// `nlmsg_seq`, if not that of the request.
    pub sequence: Option<u32>,
    /// `nlmsg_pid`, if not that of the socket.
    pub port: Option<u32>,
    /// What follows the header.
    pub payload: Vec<u8>,
}

impl Reply {
    /// A message that carries something.
    #[must_use]
    pub fn new(kind: u16, payload: Vec<u8>) -> Self {
        Self { kind, flags: 0, sequence: None, port: None, payload }
    }

    /// The end of a list: NLMSG_DONE.
    #[must_use]
    pub fn done() -> Self {
        Self::new(3, vec![0; 4])
    }

    /// A refusal with this error number: NLMSG_ERROR, with the start of a copy of the request.
    #[must_use]
    pub fn error(errno: i32) -> Self {
        let mut payload = (-errno).to_ne_bytes().to_vec();
        payload.extend([0; MESSAGE_HEADER]);
        Self::new(2, payload)
    }

    /// The same with flags.
    #[must_use]
    pub fn with(self, flags: u16) -> Self {
        Self { flags, ..self }
    }

    fn write(&self, request: &Message<'_>, bytes: &mut Vec<u8>) {
        bytes.extend(((MESSAGE_HEADER + self.payload.len()) as u32).to_ne_bytes());
        bytes.extend(self.kind.to_ne_bytes());
        bytes.extend(self.flags.to_ne_bytes());
        bytes.extend(self.sequence.unwrap_or(request.sequence).to_ne_bytes());
        bytes.extend(self.port.unwrap_or(PORT).to_ne_bytes());
        bytes.extend(&self.payload);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
}

struct Fake<F> {
    answer: F,
    waiting: VecDeque<Vec<u8>>,
}

/// A transport to this kernel: `answer` gets each message that is sent, and gives the parts of the answer.
pub fn kernel<F>(answer: F) -> Box<dyn Transport>
where
    F: FnMut(&Message<'_>) -> Vec<Vec<Reply>> + Send + 'static,
{
    Box::new(Fake { answer, waiting: VecDeque::new() })
}

impl<F: FnMut(&Message<'_>) -> Vec<Vec<Reply>> + Send> Transport for Fake<F> {
    fn port(&self) -> u32 {
        PORT
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for message in Messages::new(bytes) {
            let message = message.map_err(io::Error::other)?;
            let is_list = message.flags & flag::DUMP == flag::DUMP;
            // As the kernel: one list at a time.
            let parts = match is_list && !self.waiting.is_empty() {
                true => vec![vec![Reply::error(Errno::EBUSY.raw())]],
                false => (self.answer)(&message),
            };
            for part in parts {
                let mut datagram = Vec::new();
                part.iter().for_each(|reply| reply.write(&message, &mut datagram));
                self.waiting.push_back(datagram);
            }
        }
        Ok(bytes.len())
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let datagram = self.waiting.pop_front().ok_or(io::ErrorKind::WouldBlock)?;
        let length = datagram.len().min(buffer.len());
        buffer[..length].copy_from_slice(&datagram[..length]);
        Ok(datagram.len())
    }
}
