//! Sockets that wait for clients, over sock_diag (`linux/inet_diag.h`).

use std::fmt;
use std::net::IpAddr;

use ipvs_client::{Family, Protocol};
use netlink_exchange::{Attributes, Connection, Errno, Part, Request, WireError};

use crate::machine::Listener;

/// `SOCK_DIAG_BY_FAMILY`
const BY_FAMILY: u16 = 20;
/// Bytes of `struct inet_diag_req_v2`.
const REQUEST: usize = 56;
/// Bytes of `struct inet_diag_msg`.
const ANSWER: usize = 72;
/// `TCP_ESTABLISHED`, as a bit of `idiag_states`.
const ESTABLISHED: u32 = 1 << 1;
/// `TCP_SYN_RECV`, likewise.
const SYN_RECEIVED: u32 = 1 << 3;
/// `TCP_LISTEN`, as a bit of `idiag_states`.
const LISTENING: u32 = 1 << 10;
/// `TCP_CLOSE`, the state of a UDP socket without a peer.
const UNCONNECTED: u32 = 1 << 7;
/// `INET_DIAG_SKV6ONLY`
const ONLY_IPV6: u16 = 11;

/// Why sockets are not known. The text includes the cause.
#[derive(Debug)]
pub enum Error {
    /// The kernel cannot list the sockets of this protocol: it lacks `tcp_diag` or `udp_diag`.
    NoDiagnosis(Protocol),
    /// The kernel refused, or netlink failed.
    Netlink(netlink_exchange::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDiagnosis(protocol) => {
                let (name, module) = (protocol.name(), protocol.service_name());
                write!(f, "the kernel cannot list {name} sockets (it has no module {module}_diag)")
            }
            Self::Netlink(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

/// The listening TCP sockets and the UDP sockets without a peer, of this network namespace.
///
/// # Errors
/// The kernel cannot list them; or netlink fails.
pub fn listeners() -> Result<Vec<Listener>, Error> {
    let connection = Connection::open(netlink_exchange::Protocol::SocketDiagnosis, Part::Most);
    read(&mut connection.map_err(Error::Netlink)?)
}

/// The TCP connections of this network namespace that are established or wait for the end of their handshake: for each the
/// local and the remote address, and whether it is established.
///
/// # Errors
/// The kernel cannot list them; or netlink fails.
pub fn connected(mut take: impl FnMut(IpAddr, IpAddr, bool)) -> Result<(), Error> {
    let mut connection =
        Connection::open(netlink_exchange::Protocol::SocketDiagnosis, Part::Most).map_err(Error::Netlink)?;
    for family in [Family::Ipv4, Family::Ipv6] {
        let mut header = [0; REQUEST];
        (header[0], header[1]) = (family as u8, Protocol::Tcp as u8);
        header[4..8].copy_from_slice(&(ESTABLISHED | SYN_RECEIVED).to_ne_bytes());
        let found = connection.dump(
            Request::new(BY_FAMILY, header),
            |_| {},
            |message| {
                let Some((header, _)) = message.payload.split_first_chunk::<ANSWER>() else { return Ok(None::<()>) };
                if let (Some(local), Some(remote)) = (address(header, 8), address(header, 24)) {
                    take(local, remote, 1_u32.checked_shl(header[1].into()) == Some(ESTABLISHED));
                }
                Ok(None)
            },
        );
        found.map_err(|error| match error.refused() {
            Some(Errno::ENOENT) => Error::NoDiagnosis(Protocol::Tcp),
            _ => Error::Netlink(error),
        })?;
    }
    Ok(())
}

/// An address of `struct inet_diag_sockid`, at this place of the message.
fn address(header: &[u8; ANSWER], at: usize) -> Option<IpAddr> {
    let bytes: [u8; 16] = header.get(at..at + 16)?.try_into().ok()?;
    let address: IpAddr = match header[0] {
        family if family == Family::Ipv4 as u8 => [bytes[0], bytes[1], bytes[2], bytes[3]].into(),
        family if family == Family::Ipv6 as u8 => bytes.into(),
        _ => return None,
    };
    Some(address.to_canonical())
}

fn read(connection: &mut Connection) -> Result<Vec<Listener>, Error> {
    let mut all = Vec::new();
    for (protocol, states) in [(Protocol::Tcp, LISTENING), (Protocol::Udp, UNCONNECTED)] {
        for family in [Family::Ipv4, Family::Ipv6] {
            let mut header = [0; REQUEST];
            (header[0], header[1]) = (family as u8, protocol as u8);
            header[4..8].copy_from_slice(&states.to_ne_bytes());
            let request = Request::new(BY_FAMILY, header);
            let found = connection.dump(request, |_| {}, |message| decode(message.payload, protocol));
            all.extend(found.map_err(|error| match error.refused() {
                Some(Errno::ENOENT) => Error::NoDiagnosis(protocol),
                _ => Error::Netlink(error),
            })?);
        }
    }
    Ok(all)
}

/// `struct inet_diag_msg` and its attributes.
fn decode(payload: &[u8], protocol: Protocol) -> Result<Option<Listener>, WireError> {
    let Some((header, rest)) = payload.split_first_chunk::<ANSWER>() else {
        return Err(WireError::Truncated { what: "a socket", need: ANSWER, have: payload.len() });
    };
    let Some(address) = address(header, 8) else { return Ok(None) };
    let port = u16::from_be_bytes([header[4], header[5]]);
    let mut only_ipv6 = false;
    for attribute in Attributes::new(rest) {
        let attribute = attribute?;
        if attribute.kind == ONLY_IPV6 {
            only_ipv6 = attribute.u8("an IPv6 socket's reach")? != 0;
        }
    }
    Ok(Some(Listener { protocol, address, port, only_ipv6 }))
}

#[cfg(test)]
mod tests {
    use netlink_exchange::fake::{self, Reply};

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

    #[test]
    fn a_kernel_that_cannot_list_sockets_is_reported_as_that() {
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let refused = protocol as u8;
            let mut connection = Connection::over(fake::kernel(move |request| {
                let is_refused = request.payload[1] == refused;
                vec![vec![if is_refused { Reply::error(Errno::ENOENT.raw()) } else { Reply::done() }]]
            }));
            let (name, module) = (protocol.name(), protocol.service_name());
            assert_eq!(
                read(&mut connection).unwrap_err().to_string(),
                format!("the kernel cannot list {name} sockets (it has no module {module}_diag)")
            );
        }
    }
}
