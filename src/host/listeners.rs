//! Sockets that wait for clients, over sock_diag (`linux/inet_diag.h`).

use std::net::IpAddr;

use neli::consts::nl::NlmF;
use neli::consts::socket::NlFamily;

use crate::kernel::socket::{Part, Socket};
use crate::kernel::verdict::{Verdict, verdict};
use crate::kernel::wire::{Attributes, Messages, WireError, Writer};
use crate::kernel::{self};
use crate::model::{Family, Protocol};

/// `SOCK_DIAG_BY_FAMILY`
const BY_FAMILY: u16 = 20;
/// Bytes of `struct inet_diag_req_v2`.
const REQUEST: usize = 56;
/// Bytes of `struct inet_diag_msg`.
const ANSWER: usize = 72;
/// `TCP_LISTEN`, as a bit of `idiag_states`.
const LISTENING: u32 = 1 << 10;
/// `TCP_CLOSE`, the state of a UDP socket without a peer.
const UNCONNECTED: u32 = 1 << 7;
/// `INET_DIAG_SKV6ONLY`
const ONLY_IPV6: u16 = 11;

/// A socket that takes what clients send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The transport protocol.
    pub protocol: Protocol,
    /// The address it is bound to; the unspecified one takes any.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// Whether an IPv6 socket takes no IPv4.
    pub only_ipv6: bool,
}

impl Listener {
    /// Whether it gets what comes for this address.
    #[must_use]
    pub fn gets(&self, to: IpAddr) -> bool {
        match (self.address, to) {
            (IpAddr::V6(address), IpAddr::V4(_)) if address.is_unspecified() => !self.only_ipv6,
            (address, to) => address == to || (address.is_unspecified() && address.is_ipv4() == to.is_ipv4()),
        }
    }
}

/// The listening TCP sockets and the UDP sockets without a peer, of this network namespace.
///
/// # Errors
/// The kernel cannot tell (it lacks `inet_diag`); or netlink fails.
pub fn listeners() -> Result<Vec<Listener>, kernel::Error> {
    let mut socket = Socket::open(NlFamily::SockOrInetDiag, Part::Most)?;
    let mut all = Vec::new();
    let mut sequence = 0;
    for (protocol, states) in [(Protocol::Tcp, LISTENING), (Protocol::Udp, UNCONNECTED)] {
        for family in [Family::Ipv4, Family::Ipv6] {
            sequence += 1;
            let mut header = [0; REQUEST];
            (header[0], header[1]) = (family as u8, protocol as u8);
            header[4..8].copy_from_slice(&states.to_ne_bytes());
            let mut writer = Writer::with_capacity(128);
            let message = writer.begin_with(BY_FAMILY, (NlmF::REQUEST | NlmF::DUMP).bits(), sequence, header);
            writer.end(message);
            socket.send(writer.as_bytes())?;
            read(&mut socket, sequence, protocol, &mut all)?;
        }
    }
    Ok(all)
}

fn read(socket: &mut Socket, sequence: u32, protocol: Protocol, all: &mut Vec<Listener>) -> Result<(), kernel::Error> {
    loop {
        for message in Messages::new(socket.receive()?) {
            let message = message?;
            if message.sequence != sequence {
                continue;
            }
            match verdict(&message)? {
                Verdict::Payload => all.extend(decode(message.payload, protocol)?),
                Verdict::End => return Ok(()),
                // A kernel built without UDP's part: then that is all.
                Verdict::Refused { errno: nix::errno::Errno::ENOENT, .. } if protocol == Protocol::Udp => return Ok(()),
                Verdict::Refused { errno, words } => {
                    let asked = kernel::Asked::Other;
                    return Err(kernel::Error::Refused(kernel::Refusal { asked, errno, words }));
                }
                Verdict::Nothing => {}
            }
        }
    }
}

/// `struct inet_diag_msg` and its attributes.
fn decode(payload: &[u8], protocol: Protocol) -> Result<Option<Listener>, WireError> {
    let Some((header, rest)) = payload.split_first_chunk::<ANSWER>() else {
        return Err(WireError::Truncated { what: "a socket", need: ANSWER, have: payload.len() });
    };
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&header[8..24]);
    let address: IpAddr = match header[0] {
        family if family == Family::Ipv4 as u8 => [bytes[0], bytes[1], bytes[2], bytes[3]].into(),
        family if family == Family::Ipv6 as u8 => bytes.into(),
        _ => return Ok(None),
    };
    let port = u16::from_be_bytes([header[4], header[5]]);
    let mut only_ipv6 = false;
    for attribute in Attributes::new(rest) {
        let attribute = attribute?;
        if attribute.kind == ONLY_IPV6 {
            only_ipv6 = attribute.u8("an IPv6 socket's reach")? != 0;
        }
    }
    Ok(Some(Listener { protocol, address: address.to_canonical(), port, only_ipv6 }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, UdpSocket};

    #[test]
    fn our_own_sockets_are_found() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let all = listeners().unwrap();
        for (protocol, socket) in
            [(Protocol::Tcp, tcp.local_addr().unwrap()), (Protocol::Udp, udp.local_addr().unwrap())]
        {
            let ours = Listener { protocol, address: socket.ip(), port: socket.port(), only_ipv6: false };
            assert!(all.contains(&ours), "{ours:?} is not among {all:?}");
        }
    }

    #[test]
    fn what_is_cut_off_is_an_error() {
        assert!(decode(&[0; ANSWER - 1], Protocol::Tcp).is_err());
        assert_eq!(decode(&[0; ANSWER], Protocol::Tcp), Ok(None));
    }
}
