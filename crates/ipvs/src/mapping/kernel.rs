//! What the tables depend on in the kernel: their sizes, which are configured when it is built, and its architecture.

use std::ops::RangeInclusive;

/// What `CONFIG_IP_VS_SH_TAB_BITS` can be.
pub const SH_BITS: RangeInclusive<u32> = 4..=20;
/// What `CONFIG_IP_VS_MH_TAB_INDEX` can be.
pub const MH_INDEX: RangeInclusive<u32> = 8..=17;
/// The sizes that `mh`'s table has by that number: primes, each below the next power of two.
const MH_SIZES: [usize; 10] = [251, 509, 1021, 2039, 4093, 8191, 16381, 32749, 65521, 131_071];

/// The word size and byte order of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// 64 bits, the lowest byte first.
    LittleEndian64,
    /// Another, on which nothing was verified.
    Other,
}

impl Architecture {
    /// That of a kernel that calls its machine so (uname(2)), as a program sees it that runs there.
    #[must_use]
    pub fn of_machine(machine: &str) -> Self {
        match machine {
            "x86_64" | "aarch64" | "riscv64" | "ppc64le" | "loongarch64" if cfg!(target_endian = "little") => {
                Self::LittleEndian64
            }
            _ => Self::Other,
        }
    }

    /// That of the kernel below this program, as far as the program shows it: one of 64 bits needs such a kernel.
    #[must_use]
    pub const fn of_program() -> Self {
        if cfg!(all(target_pointer_width = "64", target_endian = "little")) {
            Self::LittleEndian64
        } else {
            Self::Other
        }
    }
}

/// What the tables depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// `CONFIG_IP_VS_SH_TAB_BITS`
    pub sh_bits: u32,
    /// `CONFIG_IP_VS_MH_TAB_INDEX`
    pub mh_index: u32,
    /// The kernel's architecture.
    pub architecture: Architecture,
}

impl Kernel {
    /// A 64-bit little-endian kernel with the sizes that are the default.
    pub const DEFAULT: Self = Self { sh_bits: 8, mh_index: 12, architecture: Architecture::LittleEndian64 };

    /// The sizes that the text of a kernel's configuration says, where it does: `CONFIG_IP_VS_SH_TAB_BITS` and
    /// `CONFIG_IP_VS_MH_TAB_INDEX`.
    #[must_use]
    pub fn sizes_of_config(config: &str) -> (Option<u32>, Option<u32>) {
        let number = |name: &str, range: RangeInclusive<u32>| {
            let value = config.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
            value.trim().parse().ok().filter(|number| range.contains(number))
        };
        (number("CONFIG_IP_VS_SH_TAB_BITS", SH_BITS), number("CONFIG_IP_VS_MH_TAB_INDEX", MH_INDEX))
    }

    /// The slots of `mh`.
    pub(super) const fn mh_size(&self) -> usize {
        let index = self.mh_index.saturating_sub(*MH_INDEX.start()) as usize;
        MH_SIZES[if index < MH_SIZES.len() { index } else { MH_SIZES.len() - 1 }]
    }

    /// The bits of the most turns that a server of `mh` takes in a round.
    pub(super) const fn mh_turn_bits(&self) -> u32 {
        self.mh_index / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_from_the_configuration() {
        let text = "CONFIG_IP_VS=m\n# CONFIG_IP_VS_DEBUG is not set\nCONFIG_IP_VS_SH_TAB_BITS=10\n\
                    CONFIG_IP_VS_MH_TAB_INDEX=14\n";
        assert_eq!(Kernel::sizes_of_config(text), (Some(10), Some(14)));
        assert_eq!(Kernel::sizes_of_config("CONFIG_IP_VS_SH_TAB_BITS=40\nCONFIG_IP_VS_MH_TAB_INDEX=x\n"), (None, None));
        assert_eq!(Kernel::sizes_of_config(""), (None, None));
    }

    #[test]
    fn architectures() {
        // A kernel has the byte order of its programs.
        let expected = if cfg!(target_endian = "little") { Architecture::LittleEndian64 } else { Architecture::Other };
        assert_eq!(Architecture::of_machine("x86_64"), expected);
        for machine in ["i686", "armv7l", "s390x", "ppc64", "mips64", ""] {
            assert_eq!(Architecture::of_machine(machine), Architecture::Other, "{machine}");
        }
    }
}
