//! What keeps a VIP quiet on a real server: the checks R1 to R4 judge by it, and so do `realserver start` and `realserver
//! status`.
//!
//! The VIP is on a link that does not answer ARP, and the kernel's settings keep the others from answering for it. The kernel
//! takes the larger of the value of `all` and that of the interface that the request came in by (ip-sysctl.rst of the kernel).
//! So what is set on `lo` alone does nothing.

use std::fmt;
use std::net::IpAddr;

use crate::machine::{Address, Link, Prefix};

/// How a real server serves a VIP without answering ARP requests for it. An IPv6 VIP that the real server holds needs nothing
/// against that: with neighbour discovery a host answers for the addresses of the link that was asked, and the VIP is on
/// another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The kernel's settings `arp_ignore` and `arp_announce`.
    ArpSysctl,
    /// Rules on ARP packets, by arptables or nftables, whichever this machine has.
    Arptables,
    /// Rules on ARP packets, by nftables.
    Nftables,
    /// The real server does not hold the VIP. What is sent to it goes to an address of the real server's own, by a rule of
    /// nftables or iptables.
    Redirect,
}

impl Method {
    /// All of them, with their names.
    pub const ALL: [(&'static str, Self); 4] = [
        ("arp-sysctl", Self::ArpSysctl),
        ("arptables", Self::Arptables),
        ("nftables", Self::Nftables),
        ("redirect", Self::Redirect),
    ];

    /// The one with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, method)| *method)
    }

    /// Whether the real server holds the VIP.
    #[must_use]
    pub fn holds_vip(self) -> bool {
        self != Self::Redirect
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::ALL.iter().find(|(_, method)| method == self).map_or("", |(name, _)| name))
    }
}

/// A setting, and what is wanted of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its name below `net/ipv4/conf/INTERFACE/`.
    pub name: &'static str,
    /// The value to give it.
    pub value: i64,
    /// Values that do as well, or are stricter.
    fits: &'static [i64],
}

/// Answer only for addresses of the interface that was asked. 2 also wants the asker to be of the same network, 8 answers
/// for nothing; 3 to 7 do answer for a VIP on `lo`.
pub const IGNORE: Wanted = Wanted { name: "arp_ignore", value: 1, fits: &[1, 2, 8] };
/// Ask with an address of the interface that the request leaves by, never with the VIP.
pub const ANNOUNCE: Wanted = Wanted { name: "arp_announce", value: 2, fits: &[2] };

impl Wanted {
    /// Whether a value does.
    #[must_use]
    pub fn is_met_by(&self, value: i64) -> bool {
        self.fits.contains(&value)
    }

    /// The setting's path below `/proc/sys`.
    #[must_use]
    pub fn key(&self, interface: &str) -> String {
        format!("net/ipv4/conf/{interface}/{}", self.name)
    }

    /// The setting as it is on all links that answer ARP, with what `read` finds under a key.
    ///
    /// # Errors
    /// A value cannot be read.
    pub fn on<'f, E>(self, links: &'f [Link], read: impl Fn(&str) -> Result<i64, E>) -> Result<Vec<ArpSetting<'f>>, E> {
        let mut speakers = speakers(links).peekable();
        let all = if speakers.peek().is_some() { read(&self.key("all"))? } else { 0 };
        speakers.map(|link| Ok(ArpSetting { wanted: self, link, all, own: read(&self.key(&link.name))? })).collect()
    }
}

/// A setting as it is on one link.
#[derive(Clone, Copy, Debug)]
pub struct ArpSetting<'f> {
    /// Which.
    pub wanted: Wanted,
    /// The link.
    pub link: &'f Link,
    /// The value for all links.
    pub all: i64,
    /// The link's own value.
    pub own: i64,
}

impl ArpSetting<'_> {
    /// The value in force: the larger one.
    #[must_use]
    pub fn value(&self) -> i64 {
        self.all.max(self.own)
    }

    /// Whether that does.
    #[must_use]
    pub fn is_met(&self) -> bool {
        self.wanted.is_met_by(self.value())
    }

    /// Whether the link's own value is in the way: once the value for all is set, if it has to be, it still makes the link
    /// answer.
    #[must_use]
    pub fn own_is_in_the_way(&self) -> bool {
        let all = if self.wanted.is_met_by(self.all) { self.all } else { self.wanted.value };
        !self.wanted.is_met_by(all.max(self.own))
    }
}

/// Whether a link is one that a VIP belongs on: it does not answer ARP, whichever addresses it has.
#[must_use]
pub fn is_quiet(link: &Link) -> bool {
    link.flags.is_loopback() || link.flags.is_no_arp()
}

/// The links that ask and answer with ARP by themselves. A port of a bridge or bond leaves that to the bridge or bond; a
/// member of a VRF does not.
pub fn speakers(links: &[Link]) -> impl Iterator<Item = &Link> {
    let speaks = |link: &&Link| link.master.is_none() || link.vrf(links).is_some();
    links.iter().filter(|link| link.flags.is_up() && !is_quiet(link)).filter(speaks)
}

/// The links and addresses of a machine.
#[derive(Clone, Copy, Debug)]
pub struct Network<'f> {
    /// Its links.
    pub links: &'f [Link],
    /// Their addresses.
    pub addresses: &'f [Address],
}

/// A place where a VIP is.
#[derive(Clone, Copy, Debug)]
pub struct Place<'f> {
    /// The link that has it.
    pub link: &'f Link,
    /// How it has it.
    pub held: &'f Address,
}

/// What is wrong with a VIP at a place where it belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The whole network is this machine's own.
    Wide(u8),
    /// The link is down.
    Down,
    /// Another host has it, so it is not used.
    Duplicate,
    /// It is still checked for duplicates, and not used yet.
    Tentative,
}

impl Place<'_> {
    /// What is wrong here.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        if self.held.prefix != Prefix::host(self.held.address).length {
            Some(Fault::Wide(self.held.prefix))
        } else if !self.link.flags.is_up() {
            Some(Fault::Down)
        } else if self.held.flags.is_dad_failed() {
            Some(Fault::Duplicate)
        } else if self.held.flags.is_tentative() {
            Some(Fault::Tentative)
        } else {
            None
        }
    }
}

impl<'f> Network<'f> {
    /// The VRF that an address is in, if it is: routes from there are in its table.
    #[must_use]
    pub fn vrf_of(self, address: IpAddr) -> Option<&'f Link> {
        let mut holders = self.addresses.iter().filter(|held| held.address == address);
        holders.find_map(|held| self.links.iter().find(|link| link.index == held.index)?.vrf(self.links))
    }

    /// A link by its name.
    #[must_use]
    pub fn link(self, name: &str) -> Option<&'f Link> {
        self.links.iter().find(|link| link.name == name)
    }

    /// The places where an address is.
    pub fn places(self, address: IpAddr) -> impl Iterator<Item = Place<'f>> {
        let held = self.addresses.iter().filter(move |held| held.address == address);
        held.filter_map(move |held| {
            let link = self.links.iter().find(|link| link.index == held.index)?;
            Some(Place { link, held })
        })
    }

    /// The places where a VIP belongs.
    pub fn quiet(self, vip: IpAddr) -> impl Iterator<Item = Place<'f>> {
        self.places(vip).filter(|place| is_quiet(place.link))
    }

    /// The places whose links answer ARP, and so answer for the VIP.
    pub fn exposed(self, vip: IpAddr) -> impl Iterator<Item = Place<'f>> {
        self.places(vip).filter(|place| !is_quiet(place.link))
    }
}

/// What is wrong at the places where a VIP belongs. One place without fault makes up for others, but not for those that take a
/// whole network.
#[must_use]
pub fn faults<'f>(places: &[Place<'f>]) -> Vec<(Place<'f>, Fault)> {
    let serves = places.iter().any(|place| place.fault().is_none());
    let faults = places.iter().filter_map(|place| Some((*place, place.fault()?)));
    faults.filter(|(_, fault)| !serves || matches!(fault, Fault::Wide(_))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::tests::fixtures::{address, link};
    use crate::machine::{AddressFlags, LinkFlags};

    #[test]
    fn stricter_values_do_and_those_that_answer_for_lo_do_not() {
        let fitting: Vec<i64> = (-1..10).filter(|&value| IGNORE.is_met_by(value)).collect();
        assert_eq!(fitting, [1, 2, 8]);
        assert!(!ANNOUNCE.is_met_by(1) && ANNOUNCE.is_met_by(2));
    }

    #[test]
    fn the_larger_value_counts_and_can_be_in_the_way() {
        let links = [link(2, "eth0", LinkFlags::UP)];
        let setting = |all, own| {
            let read = |key: &str| Ok::<_, ()>(if key.contains("/all/") { all } else { own });
            IGNORE.on(&links, read).unwrap()[0]
        };
        for (all, own, met, in_the_way) in
            [(0, 0, false, false), (1, 0, true, false), (0, 1, true, false), (1, 3, false, true), (8, 3, true, false)]
        {
            let setting = setting(all, own);
            assert_eq!((setting.is_met(), setting.own_is_in_the_way()), (met, in_the_way), "{all} {own}");
        }
    }

    #[test]
    fn ports_leave_arp_to_their_bridge_and_members_of_a_vrf_do_not() {
        let kind = |link: Link, kind: &str| Link { kind: Some(kind.to_owned()), ..link };
        let port = |link: Link, master| Link { master: Some(master), ..link };
        let links = [
            kind(link(1, "br0", LinkFlags::UP), "bridge"),
            kind(link(2, "red", LinkFlags::UP | LinkFlags::NO_ARP), "vrf"),
            port(link(3, "eth0", LinkFlags::UP), 1),
            port(link(4, "eth1", LinkFlags::UP), 2),
            link(5, "eth2", 0),
            link(6, "lo", LinkFlags::UP | LinkFlags::LOOPBACK),
        ];
        let names: Vec<&str> = speakers(&links).map(|link| link.name.as_str()).collect();
        assert_eq!(names, ["br0", "eth1"]);
    }

    #[test]
    fn a_place_makes_up_for_others_but_not_for_wide_ones() {
        let lo = || link(1, "lo", LinkFlags::UP | LinkFlags::LOOPBACK);
        let dummy = |flags| link(2, "dummy0", LinkFlags::NO_ARP | flags);
        let faults = |links: &[Link], addresses: &[Address]| -> Vec<(u32, Fault)> {
            let places: Vec<Place<'_>> = Network { links, addresses }.quiet(addresses[0].address).collect();
            super::faults(&places).into_iter().map(|(place, fault)| (place.link.index, fault)).collect()
        };
        let down = [lo(), dummy(0)];
        let (narrow, wide) = (address(1, "192.0.2.1", 32), address(1, "192.0.2.1", 24));
        let on_dummy = address(2, "192.0.2.1", 32);
        assert_eq!(faults(&down, std::slice::from_ref(&on_dummy)), [(2, Fault::Down)]);
        assert_eq!(faults(&down, &[on_dummy.clone(), narrow.clone()]), []);
        assert_eq!(faults(&down, &[on_dummy.clone(), wide.clone()]), [(2, Fault::Down), (1, Fault::Wide(24))]);
        assert_eq!(faults(&down, &[narrow, wide]), [(1, Fault::Wide(24))]);
        let failed = Address { flags: AddressFlags(AddressFlags::DAD_FAILED), ..address(2, "2001:db8::1", 128) };
        assert_eq!(faults(&[dummy(LinkFlags::UP)], &[failed]), [(2, Fault::Duplicate)]);
    }
}
