//! The settings that keep a real server from speaking of its VIPs in ARP.
//!
//! The kernel takes the larger of the value of `all` and that of the interface that the request came in by (ip-sysctl.rst
//! of the kernel). So what is set on `lo` alone does nothing; it is set there for those who look there.

use std::collections::BTreeSet;

use anyhow::Result;

use super::Facts;
use crate::host::route::Link;
use crate::host::sysctl;

/// `ARPHRD_ETHER`, and others that use ARP the same way, of `linux/if_arp.h`: IEEE 802, InfiniBand.
const MEDIA_WITH_ARP: [u16; 3] = [1, 6, 32];

/// A setting, and what is wanted of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its name below `net/ipv4/conf/INTERFACE/`.
    pub name: &'static str,
    /// The value to give it.
    pub value: &'static str,
    /// Values that do as well, or are stricter.
    fits: &'static [i64],
}

/// Answer only for addresses of the interface that was asked. 2 also wants the asker to be of the same network, 8 answers
/// for nothing; 3 to 7 do answer for a VIP on `lo`.
pub const IGNORE: Wanted = Wanted { name: "arp_ignore", value: "1", fits: &[1, 2, 8] };
/// Ask with an address of the interface that the request leaves by, never with the VIP.
pub const ANNOUNCE: Wanted = Wanted { name: "arp_announce", value: "2", fits: &[2] };

impl Wanted {
    /// Whether a value does.
    #[must_use]
    pub fn is_met_by(&self, value: i64) -> bool {
        self.fits.contains(&value)
    }

    /// The setting's key.
    pub(super) fn key(&self, interface: &str) -> String {
        format!("net/ipv4/conf/{interface}/{}", self.name)
    }

    /// The value that counts on an interface.
    pub(super) fn in_force(&self, interface: &str) -> Result<i64> {
        let all = sysctl::read_number(&self.key("all"))?;
        Ok(all.max(sysctl::read_number(&self.key(interface))?))
    }
}

/// The settings that a VIP on this interface needs, with their keys.
pub(super) fn settings(interface: &str) -> Vec<(String, Wanted)> {
    // `all` first: it is the one that counts.
    let interfaces: BTreeSet<&str> = ["all", interface].into();
    interfaces.into_iter().flat_map(|on| [IGNORE, ANNOUNCE].map(|wanted| (wanted.key(on), wanted))).collect()
}

/// Whether hosts find each other by ARP on this link. What is a part of a bridge or bond does not speak for itself.
pub(super) fn speaks_arp(link: &Link) -> bool {
    MEDIA_WITH_ARP.contains(&link.medium) && !link.flags.is_no_arp() && !link.flags.is_loopback()
}

/// The links whose ARP matters: those that are up.
pub(super) fn speakers(facts: &Facts) -> impl Iterator<Item = &Link> {
    facts.links.iter().filter(|link| link.flags.is_up() && speaks_arp(link))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stricter_values_do_and_those_that_answer_for_lo_do_not() {
        let fitting: Vec<i64> = (-1..10).filter(|&value| IGNORE.is_met_by(value)).collect();
        assert_eq!(fitting, [1, 2, 8]);
        assert!(!ANNOUNCE.is_met_by(1) && ANNOUNCE.is_met_by(2));
    }

    #[test]
    fn all_and_the_interface_are_set() {
        let keys: Vec<String> = settings("lo").into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys[0], "net/ipv4/conf/all/arp_ignore");
        assert_eq!(keys.len(), 4);
    }
}
