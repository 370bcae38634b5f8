//! First packets of connections from any client to any address, by raw sockets: a client needs no address of this machine.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd as _, OwnedFd};

use anyhow::{Context as _, Result};
use ipvs_client::Protocol;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, sendto, setsockopt, socket, sockopt,
};

/// Sends packets in the network namespace in which it was made.
#[derive(Debug)]
pub struct Sender {
    v4: OwnedFd,
    v6: OwnedFd,
}

/// The first packet of a connection.
#[derive(Clone, Copy, Debug)]
pub struct First {
    pub protocol: Protocol,
    pub client: SocketAddr,
    pub to: SocketAddr,
    /// The firewall mark; 0 is none.
    pub mark: u32,
}

impl First {
    /// What the kernel's list of connections calls the connection.
    pub fn name(&self) -> (String, SocketAddr, SocketAddr) {
        (self.protocol.name().to_owned(), self.client, self.to)
    }
}

impl Sender {
    pub fn new() -> Result<Self> {
        let raw = |family| {
            socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Raw).context("a raw socket (not root?)")
        };
        Ok(Self { v4: raw(AddressFamily::Inet)?, v6: raw(AddressFamily::Inet6)? })
    }

    pub fn send(&self, first: &First) -> Result<()> {
        let payload = payload(first);
        let (socket, packet) = match (first.client.ip(), first.to.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let mut packet = vec![0x45, 0];
                packet.extend((20 + payload.len() as u16).to_be_bytes());
                // Number and fragment, the time to live, the protocol, and a checksum that the kernel fills in.
                packet.extend([0, 0, 0, 0, 64, first.protocol as u8, 0, 0]);
                packet.extend([from.octets(), to.octets()].concat());
                (&self.v4, packet)
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                let mut packet = vec![0x60, 0, 0, 0];
                packet.extend((payload.len() as u16).to_be_bytes());
                packet.extend([first.protocol as u8, 64]);
                packet.extend([from.octets(), to.octets()].concat());
                (&self.v6, packet)
            }
            _ => anyhow::bail!("two families: {first:?}"),
        };
        setsockopt(socket, sockopt::Mark, &first.mark)?;
        // The kernel takes a port here for a protocol.
        let to = SockaddrStorage::from(SocketAddr::new(first.to.ip(), 0));
        match sendto(socket.as_raw_fd(), &[packet, payload].concat(), &to, MsgFlags::empty()) {
            // What IPVS drops: it refuses the client.
            Ok(_) | Err(nix::errno::Errno::EPERM) => Ok(()),
            Err(errno) => Err(errno).with_context(|| format!("sending {first:?}")),
        }
    }
}

fn payload(first: &First) -> Vec<u8> {
    let mut bytes = [first.client.port().to_be_bytes(), first.to.port().to_be_bytes()].concat();
    match first.protocol {
        // Sequence numbers, a header of five words with SYN, a window.
        Protocol::Tcp => bytes.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x02, 0x40, 0, 0, 0, 0, 0]),
        Protocol::Udp => bytes.extend([0, 8, 0, 0]),
        Protocol::Sctp => {
            // A tag and a checksum, then a chunk INIT of 20 bytes.
            bytes.extend([0; 8]);
            bytes.extend([1, 0, 0, 20, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1]);
        }
    }
    bytes
}
