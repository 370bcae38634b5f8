//! A short text that two directors share if they give every client the same server.

use std::fmt;
use std::net::IpAddr;

use super::member::{HashScheduler, Unknown};
use super::table::Mapping;

/// What a table comes to: scheduler, slots, architecture and flags as text, and a hash of the server of each slot, weight 0
/// or not. Thresholds are left out: whether a server is overloaded changes from one moment to the next.
///
/// As text: `mh-4093-64le-port-fallback-0123456789abcdef`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest {
    scheduler: HashScheduler,
    slots: usize,
    with_port: bool,
    with_fallback: bool,
    hash: u64,
}

impl Mapping {
    /// Its digest.
    ///
    /// # Errors
    /// It is not known.
    pub fn digest(&self) -> Result<Digest, Unknown> {
        if let Some(unknown) = self.unknown {
            return Err(unknown);
        }
        let mut hash = Fnv::NEW;
        for member in self.slots() {
            match member.server.address {
                IpAddr::V4(address) => hash.add(&address.octets()),
                IpAddr::V6(address) => hash.add(&address.octets()),
            }
            hash.add(&member.server.port.to_be_bytes());
            hash.add(&[u8::from(member.weight == 0)]);
        }
        Ok(Digest {
            scheduler: self.scheduler,
            slots: self.slots.len(),
            with_port: self.with_port,
            with_fallback: self.with_fallback,
            hash: hash.0,
        })
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-64le", self.scheduler.name(), self.slots)?;
        for (is_set, flag) in [(self.with_port, "-port"), (self.with_fallback, "-fallback")] {
            f.write_str(if is_set { flag } else { "" })?;
        }
        write!(f, "-{:016x}", self.hash)
    }
}

/// The hash of Fowler, Noll and Vo, 64 bits, "1a".
struct Fnv(u64);

impl Fnv {
    const NEW: Self = Self(0xcbf2_9ce4_8422_2325);

    fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}
