//! What rules ask of a packet.

use std::fmt;
use std::net::IpAddr;

use crate::expression::{Base, Expression};
use crate::known::{ARP_SENDER, ARP_TARGET, Known, address_of};
use crate::numbers::{ct, family as nfproto, meta};
use crate::packet::{Protocol, State};
use crate::xt;

/// A property of a packet that a rule asks for, with what it is if that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Property {
    /// The protocol over IP.
    Protocol(Option<Protocol>),
    /// The source address; of an ARP packet the sender's.
    Source(Option<IpAddr>),
    /// The source port.
    SourcePort(Option<u16>),
    /// The destination address; of an ARP packet the address it asks for.
    Destination(Option<IpAddr>),
    /// The destination port.
    DestinationPort(Option<u16>),
    /// The interface on which it comes in.
    Input(Option<String>),
    /// The interface by which it goes out.
    Output(Option<String>),
    /// The state of its connection where the rule stands.
    State(Option<State>),
    /// Its mark. Rules change it, so none is named.
    Mark,
    /// The mark of its connection.
    ConnectionMark,
    /// Its TCP flags.
    TcpFlags,
    /// Anything else, by the name that netfilter has for it: `limit`, `fib`, `hashlimit`.
    Other(String),
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn with(f: &mut fmt::Formatter<'_>, name: &str, value: Option<impl fmt::Display>) -> fmt::Result {
            match value {
                Some(value) => write!(f, "{name} {value}"),
                None => f.write_str(name),
            }
        }
        match self {
            Self::Protocol(protocol) => with(f, "protocol", *protocol),
            Self::Source(address) => with(f, "source address", *address),
            Self::SourcePort(port) => with(f, "source port", *port),
            Self::Destination(address) => with(f, "destination address", *address),
            Self::DestinationPort(port) => with(f, "destination port", *port),
            Self::Input(name) => with(f, "input interface", name.as_ref()),
            Self::Output(name) => with(f, "output interface", name.as_ref()),
            Self::State(state) => with(f, "connection state", *state),
            Self::Mark => f.write_str("mark"),
            Self::ConnectionMark => f.write_str("connection mark"),
            Self::TcpFlags => f.write_str("TCP flags"),
            Self::Other(name) => f.write_str(name),
        }
    }
}

/// What these expressions ask for, each once, with what is known of the packet. `state` is the connection's where they
/// stand.
pub fn properties<'e>(
    expressions: impl IntoIterator<Item = &'e Expression>,
    packet: &Known<'_>,
    state: Option<State>,
) -> Vec<Property> {
    let mut all = Vec::new();
    for expression in expressions {
        for property in of_expression(expression, packet, state) {
            if !all.contains(&property) {
                all.push(property);
            }
        }
    }
    all
}

fn of_expression(expression: &Expression, packet: &Known<'_>, state: Option<State>) -> Vec<Property> {
    let interface = |input| packet.interface(input).ok().flatten().map(|interface| interface.name.clone());
    match expression {
        Expression::Payload { base: Base::Network, offset, length, .. } => network(packet, *offset, *length),
        Expression::Payload { base: Base::Transport, offset, length, .. } => transport(packet, *offset, *length),
        Expression::Payload { base: Base::Other, .. } => vec![Property::Other("link header".to_owned())],
        Expression::Meta { key, .. } => match *key {
            // Whether the packet is one of IPv4 or IPv6 is never open.
            meta::PROTOCOL | meta::NFPROTO => Vec::new(),
            meta::MARK => vec![Property::Mark],
            meta::IIF | meta::IIFNAME => vec![Property::Input(interface(true))],
            meta::OIF | meta::OIFNAME => vec![Property::Output(interface(false))],
            meta::L4PROTO => vec![Property::Protocol(packet.protocol())],
            meta::PKTTYPE => vec![Property::Other("pkttype".to_owned())],
            key => vec![Property::Other(format!("meta key {key}"))],
        },
        Expression::Ct { key, .. } => match *key {
            ct::STATE => vec![Property::State(state)],
            ct::MARK => vec![Property::ConnectionMark],
            key => vec![Property::Other(format!("ct key {key}"))],
        },
        Expression::Fib { .. } => vec![Property::Other("fib".to_owned())],
        Expression::Match(content) => of_match(content, packet, state),
        Expression::Target(xt::Target::Other(name)) | Expression::Elsewhere(name) | Expression::Unknown(name) => {
            vec![Property::Other(name.clone())]
        }
        _ => Vec::new(),
    }
}

fn of_match(content: &xt::Match, packet: &Known<'_>, state: Option<State>) -> Vec<Property> {
    let other = |name: &str| vec![Property::Other(name.to_owned())];
    let ports = |source: bool, destination: bool| {
        let mut ports = Vec::new();
        ports.extend(source.then(|| source_port(packet)));
        ports.extend(destination.then(|| destination_port(packet)));
        ports
    };
    match content {
        xt::Match::Comment => Vec::new(),
        xt::Match::State { .. } => vec![Property::State(state)],
        xt::Match::Ports { source, destination } => ports(!source.is_any(), !destination.is_any()),
        xt::Match::AnyPort { which, .. } => match which {
            xt::Which::Source => ports(true, false),
            xt::Which::Destination => ports(false, true),
            xt::Which::Either => ports(true, true),
        },
        xt::Match::TcpFlags { ports: (source, destination), mask, .. } => {
            let mut all = ports(!source.is_any(), !destination.is_any());
            all.extend((*mask != 0).then_some(Property::TcpFlags));
            all
        }
        xt::Match::Mark { .. } => vec![Property::Mark],
        xt::Match::Addresses { source, destination } => {
            let mut all = Vec::new();
            all.extend(source.as_ref().map(|_| source_address(packet)));
            all.extend(destination.as_ref().map(|_| destination_address(packet)));
            all
        }
        xt::Match::DestinationType { .. } => other("addrtype"),
        xt::Match::PacketType { .. } => other("pkttype"),
        xt::Match::Other(name) => other(name),
    }
}

fn network(packet: &Known<'_>, offset: usize, length: usize) -> Vec<Property> {
    let within = |from: usize, size: usize| from <= offset && offset.saturating_add(length) <= from + size;
    match packet.family {
        nfproto::ARP if within(ARP_SENDER, 4) => vec![Property::Source(arp(packet, ARP_SENDER))],
        nfproto::ARP if within(ARP_TARGET, 4) => vec![Property::Destination(arp(packet, ARP_TARGET))],
        nfproto::IPV4 if within(9, 1) => vec![Property::Protocol(packet.protocol())],
        nfproto::IPV4 if within(12, 4) => vec![source_address(packet)],
        nfproto::IPV4 if within(16, 4) => vec![destination_address(packet)],
        nfproto::IPV6 if within(6, 1) => vec![Property::Protocol(packet.protocol())],
        nfproto::IPV6 if within(8, 16) => vec![source_address(packet)],
        nfproto::IPV6 if within(24, 16) => vec![destination_address(packet)],
        _ => vec![Property::Other("network header".to_owned())],
    }
}

fn transport(packet: &Known<'_>, offset: usize, length: usize) -> Vec<Property> {
    match (offset, length) {
        (0, 2) => vec![source_port(packet)],
        (2, 2) => vec![destination_port(packet)],
        (0, 4) => vec![source_port(packet), destination_port(packet)],
        (13, 1) if packet.protocol() == Some(Protocol::TCP) => vec![Property::TcpFlags],
        _ => vec![Property::Other("transport header".to_owned())],
    }
}

fn arp(packet: &Known<'_>, offset: usize) -> Option<IpAddr> {
    packet.header(Base::Network)?.part(offset, 4).all().and_then(address_of)
}

fn source_address(packet: &Known<'_>) -> Property {
    Property::Source(packet.source_address().all().and_then(address_of))
}

fn destination_address(packet: &Known<'_>) -> Property {
    Property::Destination(packet.destination_address().all().and_then(address_of))
}

fn source_port(packet: &Known<'_>) -> Property {
    Property::SourcePort(packet.source_port().be16())
}

fn destination_port(packet: &Known<'_>) -> Property {
    Property::DestinationPort(packet.destination_port().be16())
}
