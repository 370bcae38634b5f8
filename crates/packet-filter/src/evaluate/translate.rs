//! New destinations for packets.

use super::path::Step;
use crate::bits::Bits;
use crate::expression::Verdict;
use crate::known::{Known, address_of};

/// The destination becomes another: this address and this port, where they are not left out.
pub fn translate(packet: &Known<'_>, address: Option<Bits>, port: Option<Bits>) -> Step {
    let (old_address, old_port) = (packet.destination_address(), packet.destination_port());
    let same = |new: &Option<Bits>, old: &Bits| new.as_ref().is_none_or(|new| new == old && new.all().is_some());
    // To where it was going anyway, as a redirection of the address that the interface itself has.
    if same(&address, &old_address) && same(&port, &old_port) {
        return Step::Verdict(Verdict::Accept);
    }
    Step::Redirect {
        address: address.unwrap_or(old_address).all().and_then(address_of),
        port: port.unwrap_or(old_port).be16(),
    }
}

/// To this machine itself, whose address on the interface is not known, and to this port.
pub fn redirect(packet: &Known<'_>, port: Option<Bits>) -> Step {
    translate(packet, Some(Bits::unknown(packet.address_size())), port)
}
