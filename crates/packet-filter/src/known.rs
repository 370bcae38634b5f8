//! What is known of a packet on its way: its headers, what rules have changed, and where it is.

use std::net::{IpAddr, Ipv4Addr};

use crate::bits::{Bits, Truth};
use crate::expression::{Base, REGISTERS};
use crate::numbers::{family as nfproto, meta};
use crate::packet::{Interface, Packet, Phase, Protocol, State};
use crate::ruleset::{Hook, TableFamily};

/// Bytes of a name of an interface as rules compare it: `IFNAMSIZ`.
const NAME: usize = 16;
/// Where an ARP packet over Ethernet has its sender's address, and the one it asks for (RFC 826).
pub const ARP_SENDER: usize = 14;
/// See [`ARP_SENDER`].
pub const ARP_TARGET: usize = 24;
/// `RTN_*`.
const RTN_LOCAL: u8 = 2;
const RTN_MULTICAST: u8 = 5;
/// `PACKET_*`.
const PACKET_HOST: u8 = 0;
const PACKET_MULTICAST: u8 = 2;

/// What is known of a packet, as it is changed on its way.
#[derive(Clone, Debug)]
pub struct Known<'p> {
    /// `NFPROTO_*`.
    pub family: u8,
    protocol: Option<Protocol>,
    network: Bits,
    transport: Option<Bits>,
    input: Option<&'p Interface>,
    output: Option<&'p Interface>,
    hook: Hook,
    /// What `meta nfproto` says.
    seen_as: u8,
    /// The type of the destination as the routing tables have it, `RTN_*`; `None` if it is not known.
    pub destination_type: Option<u8>,
    /// `skb->mark`.
    pub mark: Bits,
    /// The connection's.
    pub connection_mark: Bits,
    /// `PACKET_*`, a byte.
    pub packet_type: Bits,
    /// What connection tracking says of it.
    pub state: State,
    /// Whether it said so before the first hook.
    pub tracked: bool,
}

impl<'p> Known<'p> {
    /// What is known of a packet. Its destination is this machine's own address if `local`; otherwise it may be.
    pub fn of(packet: &'p Packet, local: bool) -> Self {
        let (family, network) = network(packet);
        let (destination_type, packet_type) = match (packet.destination.is_multicast(), local) {
            (true, true) => (Some(RTN_MULTICAST), Bits::known(&[PACKET_MULTICAST])),
            (true, false) => (Some(RTN_MULTICAST), Bits::unknown(1)),
            (false, local) => (local.then_some(RTN_LOCAL), Bits::known(&[PACKET_HOST])),
        };
        Self {
            family,
            protocol: Some(packet.protocol),
            network,
            transport: Some(transport(packet)),
            input: packet.input.as_ref(),
            output: packet.output.as_ref(),
            hook: Hook::Prerouting,
            seen_as: family,
            destination_type,
            mark: Bits::number(packet.mark),
            // A new connection begins without one.
            connection_mark: if packet.state == State::New { Bits::number(0) } else { Bits::unknown(4) },
            packet_type,
            state: packet.state,
            tracked: packet.tracked,
        }
    }

    /// What is known of an ARP packet over Ethernet: a request (operation 1) or an answer (2).
    pub fn arp(
        operation: u16,
        sender: Option<Ipv4Addr>,
        target: Option<Ipv4Addr>,
        input: Option<&'p Interface>,
        output: Option<&'p Interface>,
    ) -> Self {
        const LENGTH: usize = 28;
        let mut network = Bits::unknown(LENGTH);
        network.put(0, &Bits::known(&[0, 1, 8, 0, 6, 4]));
        network.put(6, &Bits::known(&operation.to_be_bytes()));
        for (address, offset) in [(sender, ARP_SENDER), (target, ARP_TARGET)] {
            if let Some(address) = address {
                network.put(offset, &Bits::known(&address.octets()));
            }
        }
        Self {
            family: nfproto::ARP,
            protocol: None,
            network,
            transport: None,
            input,
            output,
            hook: Hook::Input,
            seen_as: nfproto::ARP,
            destination_type: None,
            mark: Bits::number(0),
            connection_mark: Bits::unknown(4),
            packet_type: Bits::unknown(1),
            state: State::Untracked,
            tracked: false,
        }
    }

    /// The packet comes to a chain of this family.
    pub fn enter(&mut self, hook: Hook, family: TableFamily) {
        self.hook = hook;
        self.seen_as = if family == TableFamily::Netdev { nfproto::NETDEV } else { self.family };
    }

    /// Bytes of an address.
    pub fn address_size(&self) -> usize {
        if self.family == nfproto::IPV6 { 16 } else { 4 }
    }

    /// The source address.
    pub fn source_address(&self) -> Bits {
        let offset = if self.family == nfproto::IPV6 { 8 } else { 12 };
        self.network.part(offset, self.address_size())
    }

    /// The destination address.
    pub fn destination_address(&self) -> Bits {
        let offset = if self.family == nfproto::IPV6 { 24 } else { 16 };
        self.network.part(offset, self.address_size())
    }

    /// The protocol over IP.
    pub fn protocol(&self) -> Option<Protocol> {
        self.protocol
    }

    /// The source port.
    pub fn source_port(&self) -> Bits {
        self.transport.as_ref().map_or(Bits::unknown(2), |header| header.part(0, 2))
    }

    /// The destination port.
    pub fn destination_port(&self) -> Bits {
        self.transport.as_ref().map_or(Bits::unknown(2), |header| header.part(2, 2))
    }

    /// The mark, if all of it is known.
    pub fn mark(&self) -> Option<u32> {
        self.mark.all()?.try_into().ok().map(u32::from_ne_bytes)
    }

    /// The sender's address of an ARP packet, if it is one and that is known.
    pub fn arp_sender(&self) -> Option<IpAddr> {
        if self.family != nfproto::ARP {
            return None;
        }
        self.network.part(ARP_SENDER, 4).all().and_then(address_of)
    }

    /// A header, if there is such a one and anything is known of it.
    pub fn header(&self, base: Base) -> Option<&Bits> {
        match base {
            Base::Network => Some(&self.network),
            Base::Transport => self.transport.as_ref(),
            Base::Other => None,
        }
    }

    /// Write into a header.
    pub fn write(&mut self, base: Base, offset: usize, value: &Bits) {
        match (base, self.transport.as_mut()) {
            (Base::Network, _) => self.network.put(offset, value),
            (Base::Transport, Some(header)) => header.put(offset, value),
            _ => {}
        }
    }

    /// What the kernel knows about the packet; `None` where it knows nothing, so that a rule that asks does not match.
    pub fn meta(&self, key: u32) -> Option<Bits> {
        Some(match key {
            meta::PROTOCOL => Bits::known(match self.family {
                nfproto::IPV6 => &[0x86, 0xdd],
                nfproto::ARP => &[0x08, 0x06],
                _ => &[0x08, 0x00],
            }),
            meta::MARK => self.mark.clone(),
            meta::IIF => index(self.interface(true)),
            meta::OIF => index(self.interface(false)),
            meta::IIFNAME => name(self.interface(true)),
            meta::OIFNAME => name(self.interface(false)),
            meta::NFPROTO => Bits::known(&[self.seen_as]),
            meta::L4PROTO => Bits::known(&[self.protocol?.0]),
            meta::PKTTYPE => self.packet_type.clone(),
            _ => Bits::unknown(REGISTERS * 4),
        })
    }

    /// The interface that the packet comes in on or goes out by, where it is: `Err` if there is none.
    pub fn interface(&self, input: bool) -> Result<Option<&'p Interface>, ()> {
        match (input, self.hook) {
            (true, Hook::Output) | (false, Hook::Ingress | Hook::Prerouting | Hook::Input) => Err(()),
            (true, _) => Ok(self.input),
            (false, _) => Ok(self.output),
        }
    }

    /// Whether the packet comes in on a device of this list.
    pub fn comes_in_on_one_of(&self, devices: &[String]) -> Truth {
        let Some(input) = self.input else {
            return if devices.is_empty() { Truth::No } else { Truth::Maybe };
        };
        let is = |device: &String| match device.strip_suffix('*') {
            Some(prefix) => input.name.starts_with(prefix),
            None => input.name == *device,
        };
        Truth::from(devices.iter().any(is))
    }
}

/// The number of an interface: 0 where there is none.
fn index(interface: Result<Option<&Interface>, ()>) -> Bits {
    match interface {
        Err(()) => Bits::number(0),
        Ok(interface) => interface.and_then(|it| it.index).map_or(Bits::unknown(4), Bits::number),
    }
}

/// The name of an interface, filled with zeros, which it is of altogether where there is none.
fn name(interface: Result<Option<&Interface>, ()>) -> Bits {
    let name = match interface {
        Err(()) => "",
        Ok(Some(interface)) => &interface.name,
        Ok(None) => return Bits::unknown(NAME),
    };
    let mut bytes = name.as_bytes().to_vec();
    bytes.resize(NAME, 0);
    Bits::known(&bytes)
}

/// The network header. Nothing is known of lengths, identifiers, times to live, classes and checksums.
fn network(packet: &Packet) -> (u8, Bits) {
    let protocol = packet.protocol.0;
    let source = packet.source.filter(|source| source.is_ipv4() == packet.destination.is_ipv4());
    let octets = |address: IpAddr| match address {
        IpAddr::V4(address) => Bits::known(&address.octets()),
        IpAddr::V6(address) => Bits::known(&address.octets()),
    };
    let (family, mut header, addresses) = match packet.destination {
        IpAddr::V4(_) => {
            let mut header = Bits::unknown(20);
            header.put(0, &Bits::known(&[0x45]));
            // No fragment; whether it may be made one is not known.
            header.put(6, &Bits::partly(&[0, 0], &[0xbf, 0xff]));
            header.put(9, &Bits::known(&[protocol]));
            (nfproto::IPV4, header, 12)
        }
        IpAddr::V6(_) => {
            let mut header = Bits::unknown(40);
            header.put(0, &Bits::partly(&[0x60], &[0xf0]));
            header.put(6, &Bits::known(&[protocol]));
            (nfproto::IPV6, header, 8)
        }
    };
    let destination = octets(packet.destination);
    if let Some(source) = source {
        header.put(addresses, &octets(source));
    }
    header.put(addresses + destination.len(), &destination);
    (family, header)
}

/// The transport header: ports, and which packet of a connection it is.
fn transport(packet: &Packet) -> Bits {
    const SYN: u8 = 0x02;
    const ACK: u8 = 0x10;
    /// FIN, SYN, RST and ACK.
    const DECISIVE: u8 = 0x17;
    /// All but those of congestion notification, which a first packet may have.
    const ALL: u8 = 0x3f;
    let mut header = match packet.protocol {
        Protocol::TCP => Bits::unknown(20),
        Protocol::SCTP => Bits::unknown(12),
        _ => Bits::unknown(8),
    };
    for (port, offset) in [(packet.source_port, 0), (packet.port, 2)] {
        if let Some(port) = port.filter(|_| packet.protocol.has_ports()) {
            header.put(offset, &Bits::known(&port.to_be_bytes()));
        }
    }
    match (packet.protocol, packet.phase) {
        (Protocol::TCP, Phase::First) => header.put(13, &Bits::partly(&[SYN], &[ALL])),
        (Protocol::TCP, Phase::Answer) => header.put(13, &Bits::partly(&[SYN | ACK], &[ALL])),
        (Protocol::TCP, Phase::Later) => header.put(13, &Bits::partly(&[ACK], &[DECISIVE])),
        // The tag of an INIT chunk is 0 (RFC 9260, 8.5.1).
        (Protocol::SCTP, Phase::First) => header.put(4, &Bits::known(&[0; 4])),
        _ => {}
    }
    header
}

/// An address of 4 or 16 bytes.
pub fn address_of(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}
