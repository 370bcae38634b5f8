//! The way of IPVS's packets through a director's rules, part by part, with the packet as it is on each.
//!
//! Without `net.ipv4.vs.conntrack` no connection of IPVS is ever known to connection tracking: every packet that could be the
//! first of one is "new", the others, and so a server's SYN and ACK, are "invalid"; what was new is "untracked" where IPVS has
//! sent it on. A tunnel's outer packets are new ones. Postrouting sees the interface that a request came in by.

use std::net::IpAddr;

use ipvs_client::{Forwarding, Protocol, Tunnel};
use packet_filter::{Hook, Interface, Packet, Way};

/// Part of a packet's way, with the packet as it is there.
pub type Leg = (Packet, Way);

/// IPVS schedules packets in the input hook at this priority (`NF_IP_PRI_NAT_SRC - 1`, in `ip_vs_ops4` and `ip_vs_ops6`).
/// Chains of the same one come first if they are newer; so they count.
const REQUESTS: i32 = 99;
/// Where it translates answers, in forward (`NF_IP_PRI_NAT_SRC`).
const ANSWERS: i32 = 100;

/// Which packet of a connection it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The first, or the first answer.
    First,
    /// Any other.
    Later,
}

/// How connection tracking sees IPVS's connections.
#[derive(Clone, Copy, Debug)]
pub struct Tracking {
    /// Whether it knows them (`net.ipv4.vs.conntrack`).
    pub known: bool,
    /// Whether it takes any packet with ACK for the first of a connection (`nf_conntrack_tcp_loose`).
    pub loose: bool,
}

impl Tracking {
    /// The state of a client's packet on its way to IPVS.
    #[must_use]
    pub fn request(self, which: Which, forwarding: Option<Forwarding>, protocol: Protocol) -> packet_filter::State {
        use packet_filter::State::{Established, Invalid, New};
        match which {
            Which::First => New,
            // Of direct routing and tunnels the servers' half is never seen: TCP's window does not open.
            Which::Later if self.known => match forwarding {
                Some(Forwarding::Masquerade) | None => Established,
                Some(_) if protocol == Protocol::Tcp => Invalid,
                Some(_) => New,
            },
            Which::Later if protocol == Protocol::Tcp && !self.loose => Invalid,
            Which::Later => New,
        }
    }

    /// A packet as IPVS sends it on.
    fn sent_on(self, packet: Packet, before: packet_filter::State) -> Packet {
        use packet_filter::State::{Invalid, Untracked};
        match (self.known, before) {
            (true, state) => packet.in_state(state).tracked_before(),
            (false, Invalid) => packet.in_state(Invalid),
            (false, _) => packet.in_state(Untracked),
        }
    }
}

/// What clients connect to.
#[derive(Clone, Debug)]
pub struct Flow {
    /// The virtual address.
    pub vip: IpAddr,
    /// The protocol.
    pub protocol: Protocol,
    /// The port.
    pub port: u16,
    /// The interface that clients' packets come in by, if it is known.
    pub input: Option<Interface>,
}

/// A server, and the interface that leads to it.
#[derive(Clone, Debug)]
pub struct Server {
    /// How packets are sent on to it.
    pub forwarding: Forwarding,
    /// Its address.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// The interface that leads to it, if it is known.
    pub output: Option<Interface>,
}

impl Server {
    /// Of a tunnel to it the outer protocol, and the port where that has one.
    #[must_use]
    pub fn tunnel(&self) -> Option<(packet_filter::Protocol, Option<u16>)> {
        match self.forwarding {
            Forwarding::Tunnel(Tunnel::Ipip) => Some((packet_filter::Protocol::IPIP, None)),
            Forwarding::Tunnel(Tunnel::Gre { .. }) => Some((packet_filter::Protocol(47), None)),
            Forwarding::Tunnel(Tunnel::Gue { port, .. }) => Some((packet_filter::Protocol::UDP, Some(port))),
            _ => None,
        }
    }
}

impl Flow {
    /// A client's packet on its way to IPVS.
    #[must_use]
    pub fn request(&self, which: Which, state: packet_filter::State) -> Leg {
        let packet = on(self.packet(which, self.vip, self.port), self.input.as_ref()).in_state(state);
        (packet, Way::delivered().up_to(Hook::Input, REQUESTS))
    }

    /// The same on its way on to the server.
    #[must_use]
    pub fn sent_on(&self, which: Which, tracking: Tracking, server: &Server) -> Leg {
        let before = tracking.request(which, Some(server.forwarding), self.protocol);
        let packet = match (server.tunnel(), server.forwarding) {
            (Some((outer, Some(port))), _) => Packet::first(outer, server.address, port),
            (Some((outer, None)), _) => Packet::to(outer, server.address),
            (None, Forwarding::Masquerade) => tracking.sent_on(self.packet(which, server.address, server.port), before),
            (None, _) => tracking.sent_on(self.packet(which, self.vip, self.port).to_own_address(), before),
        };
        (out(on(packet, self.input.as_ref()), server.output.as_ref()), Way::sent())
    }

    /// A masqueraded server's packet to this client, of whom the port need not be known: to IPVS, and on by the interface `back`.
    #[must_use]
    pub fn answer(
        &self,
        which: Which,
        tracking: Tracking,
        server: &Server,
        client: (IpAddr, Option<u16>),
        back: Option<&Interface>,
    ) -> [Leg; 2] {
        use packet_filter::State::{Established, Invalid, New};
        let state = match (tracking.known, which, self.protocol) {
            (true, ..) => Established,
            (false, Which::First, Protocol::Tcp) => Invalid,
            (false, Which::Later, Protocol::Tcp) if !tracking.loose => Invalid,
            (false, ..) => New,
        };
        let packet = |from: IpAddr, from_port: u16| {
            let packet = match client {
                (address, Some(port)) => Packet::first(number(self.protocol), address, port),
                (address, None) => Packet::to(number(self.protocol), address),
            };
            let packet = out(on(packet.from(from).from_port(from_port), server.output.as_ref()), back);
            if which == Which::First { packet.answer() } else { packet.later() }
        };
        let to_ipvs = Way::through(&[Hook::Ingress, Hook::Prerouting, Hook::Forward]).up_to(Hook::Forward, ANSWERS);
        let on_way = Way::through(&[Hook::Forward, Hook::Postrouting]).after(Hook::Forward, ANSWERS);
        [
            (packet(server.address, server.port).in_state(state), to_ipvs),
            (tracking.sent_on(packet(self.vip, self.port), state), on_way),
        ]
    }

    fn packet(&self, which: Which, to: IpAddr, port: u16) -> Packet {
        let packet = Packet::first(number(self.protocol), to, port);
        if which == Which::First { packet } else { packet.later() }
    }
}

pub(super) fn on(packet: Packet, input: Option<&Interface>) -> Packet {
    match input {
        Some(input) => packet.on(input.clone()),
        None => packet,
    }
}

pub(super) fn out(packet: Packet, output: Option<&Interface>) -> Packet {
    match output {
        Some(output) => packet.out(output.clone()),
        None => packet,
    }
}

pub(super) fn number(protocol: Protocol) -> packet_filter::Protocol {
    packet_filter::Protocol(protocol as u8)
}
