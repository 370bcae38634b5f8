//! The netlink socket: bytes out, whole replies in.

use std::io;

use netlink_sys::{Socket as RawSocket, SocketAddr, protocols};

use crate::error::Error;
use crate::wire::{WireError, Writer};

/// A protocol of netlink: what a socket is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protocol {
    /// `NETLINK_ROUTE`: links, addresses, routes.
    Route,
    /// `NETLINK_SOCK_DIAG`: sockets.
    SocketDiagnosis,
    /// `NETLINK_NETFILTER`: the packet filter, connection tracking.
    Netfilter,
    /// `NETLINK_GENERIC`: the families of generic netlink.
    Generic,
}

impl Protocol {
    const fn number(self) -> isize {
        match self {
            Self::Route => protocols::NETLINK_ROUTE,
            Self::SocketDiagnosis => protocols::NETLINK_SOCK_DIAG,
            Self::Netfilter => protocols::NETLINK_NETFILTER,
            Self::Generic => protocols::NETLINK_GENERIC,
        }
    }
}

/// How much is read at once. For every part of a dump the kernel allocates, and on many machines clears, a buffer as large
/// as the largest read that the socket has seen (`netlink_dump`), twice for each dump, and a table is one dump for each
/// service: clearing can be most of what that takes. So small dumps are read by a socket of their own.
///
/// The kernel adds 320 bytes (`struct skb_shared_info`), and the sum is rounded up to a power of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// As little as the kernel ever allocates, where pages have 4 KiB (`NLMSG_GOODSIZE`): nine destinations.
    Page,
    /// As much as that is where pages are larger. No single message comes near it.
    TwoPages,
    /// The most that the kernel puts into a part. For each part of a list it counts its way from the start, so of long lists
    /// parts should be few.
    Most,
}

impl Part {
    const fn bytes(self) -> usize {
        let whole = match self {
            Self::Page => 4 * 1024,
            Self::TwoPages => 8 * 1024,
            Self::Most => 32 * 1024,
        };
        whole - 320
    }
}

/// Room for the errors of a whole batch, each of which costs the kernel about 1 KiB of the receive buffer. The kernel
/// doubles it and caps it by `net.core.rmem_max`; where that leaves less room, batches are smaller.
const RECEIVE_QUEUE: libc::c_int = 1024 * 1024;

/// What carries bytes to the kernel and back: its netlink socket, or in tests one that fails as asked.
pub trait Transport: Send {
    /// The port id of the socket, which the kernel's answers carry.
    fn port(&self) -> u32;

    /// Send these bytes as one datagram. Returns how many were sent.
    ///
    /// # Errors
    /// As send(2).
    fn send(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Receive one datagram, without waiting. Returns its length, which is larger than the buffer's if it was cut.
    ///
    /// # Errors
    /// As recv(2).
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Make room for many messages. Returns how many bytes of the kernel's they may take until they are received.
    ///
    /// # Errors
    /// As setsockopt(2).
    fn expect_many(&mut self) -> io::Result<usize> {
        Ok(usize::MAX)
    }
}

/// A netlink socket that is connected to the kernel.
pub struct Netlink {
    socket: RawSocket,
    port: u32,
}

impl Netlink {
    /// Open a socket of generic netlink.
    ///
    /// # Errors
    /// As socket(2), bind(2) and connect(2).
    pub fn generic() -> io::Result<Self> {
        Self::open(Protocol::Generic)
    }

    /// Open a socket of this protocol.
    ///
    /// # Errors
    /// As socket(2), bind(2) and connect(2).
    pub fn open(protocol: Protocol) -> io::Result<Self> {
        let mut socket = RawSocket::new(protocol.number())?;
        let port = socket.bind_auto()?.port_number();
        // Connected to the kernel (port 0), the socket takes messages from no other sender.
        socket.connect(&SocketAddr::new(0, 0))?;
        // Kernels before 4.12 do not have extended acknowledgements.
        let _ = socket.set_ext_ack(true);
        Ok(Self { socket, port })
    }
}

impl Transport for Netlink {
    fn port(&self) -> u32 {
        self.port
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.send(bytes, 0)
    }

    fn receive(&mut self, mut buffer: &mut [u8]) -> io::Result<usize> {
        // With MSG_TRUNC the length is that of the message, however much of it there was room for.
        self.socket.recv(&mut buffer, libc::MSG_DONTWAIT | libc::MSG_TRUNC)
    }

    fn expect_many(&mut self) -> io::Result<usize> {
        self.socket.set_rx_buf_sz(RECEIVE_QUEUE)?;
        self.socket.get_rx_buf_sz()
    }
}

/// Whole messages over a transport: what was interrupted is done again.
pub(crate) struct Socket {
    inner: Box<dyn Transport>,
    buffer: Vec<u8>,
    port: u32,
    /// Whether an answer was given up before its end.
    pub(crate) unfinished: bool,
}

impl Socket {
    /// Open a socket of this netlink protocol that reads as much at once.
    pub(crate) fn open(protocol: Protocol, part: Part) -> Result<Self, Error> {
        let netlink = Netlink::open(protocol).map_err(|source| Error::Socket { doing: "netlink socket", source })?;
        Ok(Self::over(Box::new(netlink), part))
    }

    /// The same over what is open already.
    pub(crate) fn over(inner: Box<dyn Transport>, part: Part) -> Self {
        let port = inner.port();
        Self { inner, buffer: vec![0; part.bytes()], port, unfinished: false }
    }

    /// The port id that answers carry.
    pub(crate) fn port(&self) -> u32 {
        self.port
    }

    /// Make room for many error messages at once. Returns how many bytes of the kernel's they may take.
    pub(crate) fn expect_many(&mut self) -> Result<usize, Error> {
        self.inner.expect_many().map_err(|source| Error::Socket { doing: "netlink receive buffer", source })
    }

    /// Read what is left of an answer that was given up. The kernel takes no other dump of a socket before that.
    pub(crate) fn finish_answer(&mut self) {
        if std::mem::take(&mut self.unfinished) {
            while self.receive().is_ok() {}
        }
    }

    /// Send these messages to the kernel. It works through them before this returns.
    pub(crate) fn send(&mut self, messages: &Writer) -> Result<(), Error> {
        if messages.is_too_long() {
            return Err(Error::TooLong);
        }
        let bytes = messages.as_bytes();
        loop {
            match self.inner.send(bytes) {
                Ok(sent) if sent == bytes.len() => return Ok(()),
                Ok(_) => {
                    return Err(Error::Socket { doing: "netlink send", source: io::ErrorKind::WriteZero.into() });
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(Error::Socket { doing: "netlink send", source }),
            }
        }
    }

    /// The next part of the answer. The kernel answers while it takes the question, and goes on with a dump while the
    /// part before is read; so there never is anything to wait for.
    pub(crate) fn receive(&mut self) -> Result<&[u8], Error> {
        let length = loop {
            match self.inner.receive(&mut self.buffer) {
                Ok(length) => break length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(Error::NoAnswer),
                Err(source) => return Err(Error::Socket { doing: "netlink receive", source }),
            }
        };
        self.buffer.get(..length).ok_or(Error::Wire(WireError::Truncated {
            what: "a reply",
            need: length,
            have: self.buffer.len(),
        }))
    }
}
