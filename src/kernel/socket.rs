//! The netlink socket: bytes out, whole replies in.

use std::io;
use std::os::fd::AsRawFd;

use neli::consts::socket::{Msg, NlFamily};
use neli::socket::NlSocket;
use neli::utils::Groups;
use nix::errno::Errno;
use nix::sys::socket::{NetlinkAddr, connect};

use super::error::Error;

/// For every part of a dump the kernel allocates a buffer as large as the largest read that the socket has seen
/// (`netlink_dump`), twice for each dump, and a table is one dump for each service. This size and the kernel's own 320
/// bytes (`struct skb_shared_info`) fill 8 KiB; reads of 8 KiB or 32 KiB made the dump of 1,000 services two to three
/// times slower. No single message comes near it.
pub(crate) const TABLE_PART: usize = 8192 - 320;

/// Room for the errors of a whole batch, each of which costs the kernel about 1 KiB of the receive buffer. The kernel
/// doubles it and caps it by `net.core.rmem_max`.
const RECEIVE_QUEUE: usize = 1024 * 1024;

pub(crate) struct Socket {
    inner: NlSocket,
    buffer: Vec<u8>,
}

impl Socket {
    /// Open a socket of this netlink protocol that reads this many bytes at once.
    pub(crate) fn open(protocol: NlFamily, part: usize) -> Result<Self, Error> {
        let failed = |source| Error::Socket { doing: "netlink socket", source };
        let inner = NlSocket::connect(protocol, None, Groups::empty()).map_err(failed)?;
        // Connected to the kernel (port 0), the socket takes messages from nobody else.
        connect(inner.as_raw_fd(), &NetlinkAddr::new(0, 0)).map_err(|errno| failed(errno.into()))?;
        // Error texts are a nicety that kernels before 4.12 have not got.
        let _ = inner.enable_ext_ack(true);
        Ok(Self { inner, buffer: vec![0; part] })
    }

    /// Make room for many error messages at once.
    pub(crate) fn expect_many(&self) -> Result<(), Error> {
        self.inner
            .set_recv_buffer_size(RECEIVE_QUEUE)
            .map_err(|source| Error::Socket { doing: "netlink receive buffer", source })
    }

    /// Send these messages to the kernel. It works through them before this returns.
    pub(crate) fn send(&self, bytes: &[u8]) -> Result<(), Error> {
        loop {
            match self.inner.send(bytes, Msg::empty()) {
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
            match self.inner.recv(&mut self.buffer, Msg::DONTWAIT | Msg::TRUNC) {
                Ok((length, _)) => break length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.raw_os_error() == Some(Errno::EAGAIN as i32) => return Err(Error::NoAnswer),
                Err(source) => return Err(Error::Socket { doing: "netlink receive", source }),
            }
        };
        // With MSG_TRUNC the length is that of the message, however much of it there was room for.
        self.buffer.get(..length).ok_or(Error::Wire(super::wire::WireError::Truncated {
            what: "a reply",
            need: length,
            have: self.buffer.len(),
        }))
    }
}
