//! Sets and maps.

use super::path::{Path, Step};
use crate::bits::{Bits, Truth};
use crate::expression::{Data, Register, Target, Verdict};
use crate::ruleset::Set;

/// Ask a set.
pub fn lookup(
    set: &Set,
    path: &mut Path<'_>,
    source: Register,
    target: Option<Target>,
    inverted: bool,
    index: usize,
) -> Step {
    let length = set.elements.iter().map(|element| element.key.len()).max().unwrap_or(0);
    let key = path.registers.load(source, length);
    let blamed = path.registers.doubt(source, length);
    // Elements that match for sure or may match, and whether one of them does for sure.
    let (mut found, mut sure) = (Vec::new(), Truth::No);
    for (number, element) in set.elements.iter().enumerate().filter(|(_, element)| !element.catches_all) {
        let holds = match (&element.end, set.interval) {
            (Some(end), _) => within_parts(&key, &set.fields, &element.key, end),
            (None, true) if set.fields.is_empty() => match element.ends_range {
                true => Truth::No,
                false => {
                    // The range goes on to the next element's key.
                    let below = set.elements[number + 1..].iter().find(|next| next.key > element.key);
                    let below = below.map_or(Truth::Yes, |next| key.at_least(&next.key).invert_if(true));
                    key.at_least(&element.key).and(below)
                }
            },
            _ => key.equal(&element.key),
        };
        match holds {
            Truth::No => {}
            Truth::Maybe => {
                found.push(element);
                sure = sure.or(Truth::Maybe);
            }
            Truth::Yes => {
                found = vec![element];
                sure = Truth::Yes;
                break;
            }
        }
    }
    if sure != Truth::Yes
        && let Some(element) = set.elements.iter().find(|element| element.catches_all)
    {
        found.push(element);
        sure = Truth::Yes;
    }
    let holds = sure.invert_if(inverted);
    match target {
        None => Step::Go(holds, blamed),
        Some(Target::Data(register)) => {
            if let [element] = found.as_slice()
                && sure == Truth::Yes
                && let Some(Data::Value(value)) = &element.data
            {
                path.registers.store(register, &Bits::known(value), index);
            } else {
                let length = found
                    .iter()
                    .map(|element| match &element.data {
                        Some(Data::Value(value)) => value.len(),
                        _ => 0,
                    })
                    .max();
                path.registers.store(register, &Bits::unknown(length.unwrap_or(0)), blamed.unwrap_or(index));
            }
            Step::Go(holds, blamed)
        }
        Some(Target::Verdict) => {
            let verdict = |data: &Option<Data>| match data {
                Some(Data::Verdict(verdict)) => verdict.clone(),
                _ => Verdict::Continue,
            };
            match (found.as_slice(), sure) {
                ([], _) => Step::Go(Truth::No, None),
                ([element], Truth::Yes) => Step::Verdict(verdict(&element.data)),
                (found, sure) => {
                    let mut verdicts = Vec::new();
                    if sure != Truth::Yes {
                        verdicts.push(None);
                    }
                    for element in found {
                        let verdict = Some(verdict(&element.data));
                        if !verdicts.contains(&verdict) {
                            verdicts.push(verdict);
                        }
                    }
                    Step::OneOf(verdicts, blamed)
                }
            }
        }
    }
}

/// Whether each part of a key lies in its range. In registers and keys each part fills whole words.
fn within_parts(key: &Bits, fields: &[usize], from: &[u8], to: &[u8]) -> Truth {
    let mut offset = 0;
    let mut holds = Truth::Yes;
    let whole = [from.len()];
    for &length in if fields.is_empty() { &whole } else { fields } {
        let (Some(from), Some(to)) = (from.get(offset..offset + length), to.get(offset..offset + length)) else {
            return Truth::Maybe;
        };
        holds = holds.and(key.part(offset, length).within(from, to));
        offset += length.next_multiple_of(4);
    }
    holds
}
