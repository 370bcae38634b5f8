//! One expression of a rule.

use super::lookup::lookup;
use super::path::{GO, Path, Step};
use super::stops::Stop;
use super::translate::{redirect, translate};
use super::{compat, tracking};
use crate::bits::Bits;
use crate::bits::Truth;
use crate::expression::{Base, Expression, Operator, REGISTERS, Register, Verdict};
use crate::numbers::{ct, meta};
use crate::ruleset::{Chain, Ruleset};

/// What an expression of a rule in this chain comes to. `stop` is the base chain that the packet is in.
pub fn step(
    ruleset: &Ruleset,
    stop: Option<&Stop<'_>>,
    path: &mut Path<'_>,
    chain: &Chain,
    index: usize,
    expression: &Expression,
) -> Step {
    match expression {
        Expression::Payload { target, base, offset, length } => {
            let value = match path.packet.header(*base) {
                Some(header) => header.part(*offset, (*length).min(REGISTERS * 4)),
                None if *base == Base::Transport => return Step::Go(Truth::No, None),
                None => Bits::unknown((*length).min(REGISTERS * 4)),
            };
            path.registers.store(*target, &value, index);
            GO
        }
        Expression::PayloadWrite { source, base, offset, length } => {
            let value = path.registers.load(*source, (*length).min(REGISTERS * 4));
            path.packet.write(*base, *offset, &value);
            GO
        }
        Expression::Meta { target, key } => {
            let value = match path.packet.meta(*key) {
                Some(value) => value,
                None => return Step::Go(Truth::No, None),
            };
            path.registers.store(*target, &value, index);
            GO
        }
        Expression::MetaWrite { source, key } => {
            match *key {
                meta::MARK => path.packet.mark = path.registers.load(*source, 4),
                meta::PKTTYPE => path.packet.packet_type = Bits::unknown(1),
                _ => {}
            }
            GO
        }
        Expression::Ct { target, key } => {
            let Some(value) = tracking::fact(&path.packet, stop, *key) else { return Step::Go(Truth::No, None) };
            path.registers.store(*target, &value, index);
            GO
        }
        Expression::CtWrite { source, key } => {
            // Without a connection there is nothing to mark.
            if *key == ct::MARK && tracking::may_be_connected(&path.packet, stop) {
                path.packet.connection_mark = path.registers.load(*source, 4);
            }
            GO
        }
        Expression::Fib { target, local } => {
            let value = match (local, path.packet.destination_type) {
                (true, Some(kind)) => Bits::number(u32::from(kind)),
                // A name of an interface is the longest that it can be.
                _ => Bits::unknown(16),
            };
            path.registers.store(*target, &value, index);
            GO
        }
        Expression::Compare { source, operator, data } => {
            let value = path.registers.load(*source, data.len());
            let holds = match operator {
                Operator::Equal => value.equal(data),
                Operator::NotEqual => value.equal(data).invert_if(true),
                Operator::Less => value.at_least(data).invert_if(true),
                Operator::AtMost => value.at_most(data),
                Operator::Greater => value.at_most(data).invert_if(true),
                Operator::AtLeast => value.at_least(data),
            };
            Step::Go(holds, path.registers.doubt(*source, data.len()))
        }
        Expression::Range { source, inverted, from, to } => {
            let value = path.registers.load(*source, from.len());
            Step::Go(value.within(from, to).invert_if(*inverted), path.registers.doubt(*source, from.len()))
        }
        Expression::Bitwise { source, target, mask, flip } => {
            let origin = path.registers.doubt(*source, mask.len()).unwrap_or(index);
            let value = path.registers.load(*source, mask.len()).masked(mask, flip);
            path.registers.store(*target, &value, origin);
            GO
        }
        Expression::ByteOrder { source, target, length, size } => {
            let origin = path.registers.doubt(*source, *length).unwrap_or(index);
            let mut value = path.registers.load(*source, *length);
            if cfg!(target_endian = "little") {
                value = value.swapped(*size);
            }
            path.registers.store(*target, &value, origin);
            GO
        }
        Expression::Lookup { set, source, target, inverted } => match ruleset.set(chain, set) {
            Some(set) => lookup(set, path, *source, *target, *inverted, index),
            None => anything(path, index),
        },
        Expression::Value { target, data } => {
            path.registers.store(*target, &Bits::known(data), index);
            GO
        }
        Expression::Verdict(verdict) => Step::Verdict(verdict.clone()),
        Expression::Reject => Step::Verdict(Verdict::Drop),
        Expression::DestinationNat { address, port } => {
            let size = path.packet.address_size();
            let address = address.map(|register| path.registers.load(register, size));
            let port = port.map(|register| path.registers.load(register, 2));
            translate(&path.packet, address, port)
        }
        Expression::Redirect { port } => {
            let port = port.map(|register| path.registers.load(register, 2));
            redirect(&path.packet, port)
        }
        Expression::SourceNat => Step::Verdict(Verdict::Accept),
        Expression::NoTrack => {
            tracking::no_track(&mut path.packet, stop);
            GO
        }
        Expression::Ignored => GO,
        Expression::Match(content) => Step::Go(compat::matches(content, &path.packet, stop), None),
        Expression::Target(content) => compat::target(content, &mut path.packet, stop),
        Expression::Elsewhere(_) => Step::Open,
        Expression::Unknown(_) => anything(path, index),
    }
}

/// An expression that may match or not, and load anything.
fn anything(path: &mut Path<'_>, index: usize) -> Step {
    path.registers.store(Register(0), &Bits::unknown(REGISTERS * 4), index);
    Step::Go(Truth::Maybe, None)
}
