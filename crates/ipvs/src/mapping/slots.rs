//! How the schedulers fill their tables: for each slot the place of a server among the members, which are in the order of
//! the kernel's list. There is one member at least.

use super::hash::{MH_KEY, MH_STEP_KEY, folded, siphash};
use super::member::{Member, Unknown};

/// `sh`: round after round, each server as many slots as its weight, and one with weight 0.
pub(super) fn source(members: &[Member], size: usize) -> Vec<u32> {
    let round = (0..).zip(members).cycle();
    round.flat_map(|(place, member)| std::iter::repeat_n(place, member.weight.max(1) as usize)).take(size).collect()
}

/// `dh`: round after round, each server a slot.
pub(super) fn destination(members: &[Member], size: usize) -> Vec<u32> {
    (0..members.len() as u32).cycle().take(size).collect()
}

/// A server on its way through `mh`'s table.
struct Walk {
    place: u32,
    at: usize,
    step: usize,
    turns: u32,
}

/// `mh`: in turns, each server takes the next free slot on its own way through the table.
pub(super) fn maglev(members: &[Member], is_ipv4: bool, size: usize, turn_bits: u32) -> Result<Vec<u32>, Unknown> {
    if members.len() > size {
        return Err(Unknown::TooManyServers);
    }
    let weight = |member: &Member| member.last_weight.ok_or(Unknown::LastWeight(member.server));
    let weights = members.iter().map(weight).collect::<Result<Vec<u32>, _>>()?;
    let divisor = weights.iter().copied().fold(0, greatest_common_divisor);
    if divisor == 0 {
        return Ok(Vec::new());
    }
    let largest = weights.iter().max().map_or(0, |largest| largest / divisor);
    // So that the largest weight takes no more turns than these bits hold.
    let shift = (u32::BITS - largest.leading_zeros()).saturating_sub(turn_bits);
    let mut walks: Vec<Walk> = (0..)
        .zip(members.iter().zip(&weights))
        .filter(|(_, (_, weight))| **weight > 0)
        .map(|(place, (member, weight))| {
            let value = folded(member.server.address, is_ipv4).wrapping_add(member.server.port.into());
            Walk {
                place,
                at: siphash(value, MH_KEY) as usize % size,
                step: siphash(value, MH_STEP_KEY) as usize % (size - 1) + 1,
                turns: ((weight / divisor) >> shift).max(1),
            }
        })
        .collect();
    const FREE: u32 = u32::MAX;
    let mut slots = vec![FREE; size];
    let mut left = size;
    loop {
        for walk in &mut walks {
            for _ in 0..walk.turns {
                while slots[walk.at] != FREE {
                    walk.at += walk.step;
                    if walk.at >= size {
                        walk.at -= size;
                    }
                }
                slots[walk.at] = walk.place;
                left -= 1;
                if left == 0 {
                    return Ok(slots);
                }
            }
        }
    }
}

/// Of 0 and a number that number.
const fn greatest_common_divisor(mut a: u32, mut b: u32) -> u32 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
