//! Matches and targets of iptables.

use std::net::IpAddr;

use super::path::{GO, Step};
use super::stops::Stop;
use super::tracking;
use super::translate::{redirect, translate};
use crate::bits::{Bits, Truth};
use crate::expression::{Base, Verdict};
use crate::known::{ARP_SENDER, ARP_TARGET, Known};
use crate::packet::State;
use crate::xt::{AddressRange, Match, PortRange, STATE_UNTRACKED, Target, Then, Which};

/// Whether a match holds.
pub fn matches(content: &Match, packet: &Known<'_>, stop: Option<&Stop<'_>>) -> Truth {
    let ports = |range: &PortRange, offset: usize| match packet.header(Base::Transport) {
        Some(header) => {
            header.part(offset, 2).within(&range.from.to_be_bytes(), &range.to.to_be_bytes()).invert_if(range.inverted)
        }
        None => Truth::No,
    };
    match content {
        Match::Comment => Truth::Yes,
        Match::State { states, inverted } => match tracking::state(packet, stop) {
            Some(state) => Truth::from(states & xt_bit(state) != 0).invert_if(*inverted),
            None => Truth::Maybe,
        },
        Match::Ports { source, destination } => ports(source, 0).and(ports(destination, 2)),
        Match::AnyPort { which, ranges, inverted } => {
            let any = |offset: usize| {
                ranges.iter().fold(Truth::No, |found, &(from, to)| {
                    found.or(ports(&PortRange { from, to, inverted: false }, offset))
                })
            };
            let found = match which {
                Which::Source => any(0),
                Which::Destination => any(2),
                Which::Either => any(0).or(any(2)),
            };
            found.invert_if(*inverted)
        }
        Match::TcpFlags { ports: (source, destination), mask, flags, inverted } => {
            const FLAGS: usize = 13;
            let set = match packet.header(Base::Transport) {
                Some(header) => header.part(FLAGS, 1).masked(&[*mask], &[0]).equal(&[*flags]),
                None => Truth::No,
            };
            // Without a mask any flags will do.
            let set = if *mask == 0 { Truth::from(*flags == 0) } else { set };
            set.invert_if(*inverted).and(ports(source, 0)).and(ports(destination, 2))
        }
        Match::Mark { mark, mask, inverted } => {
            let masked = packet.mark.masked(&mask.to_ne_bytes(), &[0; 4]);
            masked.equal(&mark.to_ne_bytes()).invert_if(*inverted)
        }
        Match::Addresses { source, destination } => {
            let size = packet.address_size();
            let within = |range: &Option<AddressRange>, address: Bits| match range {
                Some(AddressRange { from, to, inverted }) => match (from.get(..size), to.get(..size)) {
                    (Some(from), Some(to)) => address.within(from, to).invert_if(*inverted),
                    _ => Truth::Maybe,
                },
                None => Truth::Yes,
            };
            within(source, packet.source_address()).and(within(destination, packet.destination_address()))
        }
        Match::DestinationType { mask: 0, .. } => Truth::Yes,
        Match::DestinationType { mask, inverted } => match packet.destination_type {
            Some(kind) => Truth::from(mask & (1 << kind) != 0).invert_if(*inverted),
            None => Truth::Maybe,
        },
        Match::PacketType { kind, inverted } => match packet.packet_type.all() {
            Some(known) => Truth::from(known.first().is_some_and(|&known| u32::from(known) == *kind)),
            None => Truth::Maybe,
        }
        .invert_if(*inverted),
        Match::Other(_) => Truth::Maybe,
    }
}

/// What a target does.
pub fn target(content: &Target, packet: &mut Known<'_>, stop: Option<&Stop<'_>>) -> Step {
    match content {
        Target::Reject => Step::Verdict(Verdict::Drop),
        Target::Continue => GO,
        Target::Mark { bits, mask } => {
            packet.mark = packet.mark.masked(&(!mask).to_ne_bytes(), &bits.to_ne_bytes());
            GO
        }
        Target::AnyMark => {
            packet.mark = Bits::unknown(4);
            packet.connection_mark = Bits::unknown(4);
            GO
        }
        Target::NoTrack => {
            tracking::no_track(packet, stop);
            GO
        }
        Target::Destination { address, port } => {
            let address = address.map(|address| match address {
                // All zeros but for the first bytes is an IPv4 address only where such packets are.
                IpAddr::V4(address) if packet.address_size() == 4 => Bits::known(&address.octets()),
                IpAddr::V4(address) => {
                    let mut bytes = [0; 16];
                    bytes[..4].copy_from_slice(&address.octets());
                    Bits::known(&bytes)
                }
                IpAddr::V6(address) => Bits::known(&address.octets()),
            });
            translate(packet, address, port.map(|port| Bits::known(&port.to_be_bytes())))
        }
        Target::Redirect { port } => redirect(packet, port.map(|port| Bits::known(&port.to_be_bytes()))),
        Target::Source => Step::Verdict(Verdict::Accept),
        Target::Mangle { source, target, then } => {
            for (address, offset) in [(source, ARP_SENDER), (target, ARP_TARGET)] {
                if let Some(address) = address {
                    packet.write(Base::Network, offset, &Bits::known(&address.octets()));
                }
            }
            Step::Verdict(match then {
                Then::Accept => Verdict::Accept,
                Then::Drop => Verdict::Drop,
                Then::Continue => Verdict::Continue,
            })
        }
        Target::Other(_) => Step::Open,
    }
}

/// `XT_CONNTRACK_STATE_BIT`
fn xt_bit(state: State) -> u32 {
    match state {
        State::Untracked => STATE_UNTRACKED,
        state => state.bit(),
    }
}
