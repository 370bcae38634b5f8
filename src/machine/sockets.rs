//! Sockets that wait for clients.

use std::net::IpAddr;

use ipvs_client::Protocol;

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
