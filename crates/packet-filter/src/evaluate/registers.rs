//! The kernel's registers.

use crate::bits::Bits;
use crate::expression::{REGISTERS, Register};

/// The registers: values, and for each word which expression of the rule put it there.
#[derive(Clone)]
pub struct Registers {
    bits: Bits,
    origin: [usize; REGISTERS],
}

impl Registers {
    /// As a rule finds them: nothing is known.
    pub fn new() -> Self {
        Self { bits: Bits::unknown(REGISTERS * 4), origin: [0; REGISTERS] }
    }

    /// This many bytes from this register on.
    pub fn load(&self, register: Register, length: usize) -> Bits {
        self.bits.part(register.0 * 4, length)
    }

    /// Write a value. The kernel fills the last word with zeros.
    pub fn store(&mut self, register: Register, value: &Bits, origin: usize) {
        self.bits.put(register.0 * 4, value);
        let used = value.len().next_multiple_of(4);
        self.bits.put(register.0 * 4 + value.len(), &Bits::known(&vec![0; used - value.len()]));
        for word in self.origin.iter_mut().skip(register.0).take(used / 4) {
            *word = origin;
        }
    }

    /// Which expression wrote the first word there of which not all is known.
    pub fn doubt(&self, register: Register, length: usize) -> Option<usize> {
        (register.0..REGISTERS.min(register.0 + length.div_ceil(4)))
            .find(|word| self.bits.part(word * 4, 4).all().is_none())
            .map(|word| self.origin[word])
    }
}
