//! The kernel's hash functions: `hash_32` of `linux/hash.h`, and `hsiphash` of `linux/siphash.h` as 64-bit kernels have it,
//! SipHash-1-3 of one 32-bit word.

use std::net::IpAddr;

/// The multiplier of `hash_32`, from the golden ratio.
const GOLDEN_RATIO: u32 = 0x61c8_8647;

/// The key of `mh`'s first hash function: of clients, and of where a server begins.
pub(super) const MH_KEY: u64 = 2_654_435_761;
/// That of the second: of the step with which a server goes on.
pub(super) const MH_STEP_KEY: u64 = 2_654_446_892;

/// The upper `bits` bits of the product.
pub(super) const fn hash_32(value: u32, bits: u32) -> u32 {
    value.wrapping_mul(GOLDEN_RATIO) >> (32 - bits)
}

/// An address as the schedulers see it: 32 bits, those of IPv6 folded by exclusive or. A server's address has the length of
/// its service's: of IPv6 in an IPv4 service the first word counts, and IPv4 in an IPv6 service is followed by zeros.
pub(super) fn folded(address: IpAddr, service_is_ipv4: bool) -> u32 {
    match address {
        IpAddr::V4(address) => address.to_bits(),
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            let word = |number: u32| (bits >> (96 - 32 * number)) as u32;
            if service_is_ipv4 { word(0) } else { word(0) ^ word(1) ^ word(2) ^ word(3) }
        }
    }
}

/// SipHash-1-3 of four bytes under a key of two equal words.
#[inline]
pub(super) const fn siphash(value: u32, key: u64) -> u32 {
    let mut state = Sip {
        a: 0x736f_6d65_7073_6575 ^ key,
        b: 0x646f_7261_6e64_6f6d ^ key,
        c: 0x6c79_6765_6e65_7261 ^ key,
        d: 0x7465_6462_7974_6573 ^ key,
    };
    // The length in bytes is in the highest byte of the last word.
    let last = 4 << 56 | value as u64;
    state.d ^= last;
    state = state.round();
    state.a ^= last;
    state.c ^= 0xff;
    state = state.round().round().round();
    (state.a ^ state.b ^ state.c ^ state.d) as u32
}

#[derive(Clone, Copy)]
struct Sip {
    a: u64,
    b: u64,
    c: u64,
    d: u64,
}

impl Sip {
    #[inline]
    const fn round(self) -> Self {
        let Self { mut a, mut b, mut c, mut d } = self;
        a = a.wrapping_add(b);
        b = b.rotate_left(13) ^ a;
        a = a.rotate_left(32);
        c = c.wrapping_add(d);
        d = d.rotate_left(16) ^ c;
        a = a.wrapping_add(d);
        d = d.rotate_left(21) ^ a;
        c = c.wrapping_add(b);
        b = b.rotate_left(17) ^ c;
        c = c.rotate_left(32);
        Self { a, b, c, d }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The standard library's hasher is SipHash-1-3 with the key 0.
    #[test]
    #[allow(deprecated)]
    fn siphash_is_that_of_the_standard_library() {
        use std::hash::Hasher as _;
        for value in [0, 1, 0x0a00_0001, u32::MAX] {
            let mut hasher = std::collections::hash_map::DefaultHasher::new();
            hasher.write(&value.to_le_bytes());
            assert_eq!(siphash(value, 0), hasher.finish() as u32);
        }
    }

    #[test]
    fn addresses_are_folded() {
        assert_eq!(folded([10, 0, 0, 1].into(), true), 0x0a00_0001);
        let address = "2001:db8::a:0:1".parse().unwrap();
        assert_eq!(folded(address, false), 0x2001_0db8 ^ 0x0000_000a ^ 0x0000_0001);
        assert_eq!(folded(address, true), 0x2001_0db8);
    }
}
