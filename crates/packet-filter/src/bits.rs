//! Values of which not every bit is known, and answers that may be "maybe".

/// An answer to a question about a packet of which not all is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// Whatever is not known, it is so.
    Yes,
    /// Whatever is not known, it is not so.
    No,
    /// It depends on what is not known.
    Maybe,
}

impl Truth {
    /// The opposite if `inverted`.
    pub fn invert_if(self, inverted: bool) -> Self {
        match (self, inverted) {
            (Self::Yes, true) => Self::No,
            (Self::No, true) => Self::Yes,
            _ => self,
        }
    }

    /// Both.
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Yes, Self::Yes) => Self::Yes,
            _ => Self::Maybe,
        }
    }

    /// At least one of them.
    pub fn or(self, other: Self) -> Self {
        self.invert_if(true).and(other.invert_if(true)).invert_if(true)
    }
}

impl From<bool> for Truth {
    fn from(so: bool) -> Self {
        if so { Self::Yes } else { Self::No }
    }
}

/// Bytes, and which of their bits are known. A bit that is not known has the value 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bits {
    value: Vec<u8>,
    known: Vec<u8>,
}

impl Bits {
    /// Bytes known in full.
    pub fn known(value: &[u8]) -> Self {
        Self { value: value.to_vec(), known: vec![0xff; value.len()] }
    }

    /// This many bytes of which nothing is known.
    pub fn unknown(length: usize) -> Self {
        Self { value: vec![0; length], known: vec![0; length] }
    }

    /// Bytes of which the bits set in `known` are known. Both are of the same length; what one has more is dropped.
    pub fn partly(value: &[u8], known: &[u8]) -> Self {
        let value = value.iter().zip(known).map(|(value, known)| value & known).collect::<Vec<_>>();
        Self { known: known[..value.len()].to_vec(), value }
    }

    /// A number in host byte order.
    pub fn number(value: u32) -> Self {
        Self::known(&value.to_ne_bytes())
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.value.len()
    }

    /// The bytes, if all are known.
    pub fn all(&self) -> Option<&[u8]> {
        self.known.iter().all(|&known| known == 0xff).then_some(&self.value)
    }

    /// The bytes as a 16-bit number in network order, if they are one and all are known.
    pub fn be16(&self) -> Option<u16> {
        self.all()?.try_into().ok().map(u16::from_be_bytes)
    }

    /// Of the bytes, the values and what is known.
    pub fn bytes(&self) -> impl Iterator<Item = (u8, u8)> + '_ {
        self.value.iter().copied().zip(self.known.iter().copied())
    }

    /// This many bytes from here; those past the end are not known.
    pub fn part(&self, offset: usize, length: usize) -> Self {
        let end = offset.saturating_add(length);
        let range = offset.min(self.len())..end.min(self.len());
        let mut part = Self { value: self.value[range.clone()].to_vec(), known: self.known[range].to_vec() };
        part.resize(length);
        part
    }

    /// Write this over what is at `offset`; what is past the end is dropped.
    pub fn put(&mut self, offset: usize, other: &Self) {
        for (index, (value, known)) in other.bytes().enumerate() {
            if let (Some(old), Some(old_known)) =
                (self.value.get_mut(offset + index), self.known.get_mut(offset + index))
            {
                (*old, *old_known) = (value, known);
            }
        }
    }

    /// Cut, or lengthen with what is not known.
    pub fn resize(&mut self, length: usize) {
        self.value.resize(length, 0);
        self.known.resize(length, 0);
    }

    /// The smallest value these bytes can have.
    pub fn lowest(&self) -> &[u8] {
        &self.value
    }

    /// The largest.
    pub fn highest(&self) -> Vec<u8> {
        self.bytes().map(|(value, known)| value | !known).collect()
    }

    /// Whether they are these bytes.
    pub fn equal(&self, other: &[u8]) -> Truth {
        if self.len() != other.len() {
            return Truth::No;
        }
        let differs = self.bytes().zip(other).any(|((value, known), other)| value != other & known);
        match (differs, self.all()) {
            (true, _) => Truth::No,
            (false, Some(_)) => Truth::Yes,
            (false, None) => Truth::Maybe,
        }
    }

    /// Whether they are at least these bytes, compared from the left as the kernel does.
    pub fn at_least(&self, other: &[u8]) -> Truth {
        if self.lowest() >= other {
            Truth::Yes
        } else if self.highest().as_slice() < other {
            Truth::No
        } else {
            Truth::Maybe
        }
    }

    /// Whether they are at most these bytes.
    pub fn at_most(&self, other: &[u8]) -> Truth {
        if self.highest().as_slice() <= other {
            Truth::Yes
        } else if self.lowest() > other {
            Truth::No
        } else {
            Truth::Maybe
        }
    }

    /// Whether they lie in this range, with both its ends.
    pub fn within(&self, from: &[u8], to: &[u8]) -> Truth {
        self.at_least(from).and(self.at_most(to))
    }

    /// The bits of `mask`, and then those of `flip` the other way round.
    pub fn masked(&self, mask: &[u8], flip: &[u8]) -> Self {
        let bytes = self.bytes().zip(mask.iter().zip(flip)).map(|((value, known), (mask, flip))| {
            let known = known | !mask;
            (((value & mask) ^ flip) & known, known)
        });
        let (value, known) = bytes.unzip();
        Self { value, known }
    }

    /// Each group of this many bytes the other way round.
    pub fn swapped(&self, size: usize) -> Self {
        let swap = |bytes: &[u8]| bytes.chunks(size.max(1)).flat_map(|group| group.iter().rev().copied()).collect();
        Self { value: swap(&self.value), known: swap(&self.known) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_decides_nothing() {
        let syn = Bits::partly(&[0x02], &[0x3f]);
        assert_eq!(syn.masked(&[0x17], &[0]).equal(&[0x02]), Truth::Yes);
        assert_eq!(syn.equal(&[0x02]), Truth::Maybe);
        assert_eq!(syn.equal(&[0x12]), Truth::No);
        assert_eq!(syn.within(&[0x00], &[0xff]), Truth::Yes);
        assert_eq!(syn.within(&[0x00], &[0x80]), Truth::Maybe);
        assert_eq!(syn.within(&[0x00], &[0x01]), Truth::No);
        assert_eq!(Bits::unknown(2).at_least(&[0, 0]), Truth::Yes);
    }

    #[test]
    fn parts_past_the_end_are_not_known() {
        let bytes = Bits::known(&[1, 2, 3]);
        assert_eq!(bytes.part(1, 2).all(), Some(&[2, 3][..]));
        assert_eq!(bytes.part(2, 2).all(), None);
        assert_eq!(bytes.part(usize::MAX, 2), Bits::unknown(2));
        assert_eq!(bytes.part(1, 2).swapped(2).all(), Some(&[3, 2][..]));
    }
}
