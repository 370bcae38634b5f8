//! Whether a real server is ready for a VIP, finding by finding: what `realserver status` reports.

use std::fmt;
use std::net::IpAddr;

use super::quiet::{ANNOUNCE, Fault, IGNORE, Method, Network, Wanted, faults, speakers};
use crate::machine::{Link, Prefix, Route, RouteKind};

/// How things stand with a VIP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// The VIP.
    pub vip: IpAddr,
    /// Whether `realserver start` started it, and so it can be stopped.
    pub started: bool,
    /// How ARP is kept quiet.
    pub method: Method,
    /// The interface that has it.
    pub interface: String,
    /// What was found.
    pub findings: Vec<Finding>,
    /// What is there of it without being started: made by hand, or by a start whose record is lost.
    pub without_record: Vec<Remain>,
}

/// A part of what `realserver start` makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remain {
    /// The VIP on its interface.
    Address,
    /// The host route.
    HostRoute,
    /// Rules on ARP packets.
    Rules,
    /// A rule that redirects.
    Redirect,
}

impl Remain {
    /// Its name in documents.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::HostRoute => "host_route",
            Self::Rules => "arp_rules",
            Self::Redirect => "redirect",
        }
    }
}

impl fmt::Display for Remain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address => "the address",
            Self::HostRoute => "the host route",
            Self::Rules => "rules on ARP packets",
            Self::Redirect => "a rule that redirects",
        })
    }
}

impl Readiness {
    /// Whether all is as it has to be.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.findings.iter().all(Finding::passes)
    }
}

/// Something that has to be so, and how it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The VIP on its interface.
    Address(Standing),
    /// The interface that answers ARP and has the VIP as well, if there is one.
    Elsewhere(Option<String>),
    /// What the kernel does with packets to the VIP, or why that is not known.
    Delivered(Result<RouteKind, String>),
    /// Whether the host route is there.
    HostRoute(bool),
    /// A setting of ARP.
    Setting(Wanted, Silence),
    /// Rules on ARP packets.
    Rules(Rules),
    /// The interface that has the VIP, where none may have it.
    NotHeld(Option<String>),
    /// The rule that redirects what is sent to the VIP.
    Redirect(Rules),
    /// Whether it is started at every boot.
    AtBoot(bool),
}

/// How a VIP stands on its interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is there, with this prefix, and used.
    There(u8),
    /// There is no such interface.
    NoInterface,
    /// It is not there.
    Missing,
    /// Something is wrong with it, on this interface.
    Faulty(String, Fault),
}

/// How a setting of ARP is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Silence {
    /// No interface answers ARP.
    NothingToSilence,
    /// The value in force on this interface.
    Value(String, i64),
}

/// How rules for a VIP are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rules {
    /// The VIP is not started, so there are none.
    NotStarted,
    /// All of them are there.
    There,
    /// Not all of them are there.
    Missing,
    /// They cannot be seen, and why.
    Unreadable(String),
    /// This interface came later, and there is none for it.
    MissingOn(String),
}

impl Finding {
    /// Whether it is as it has to be.
    #[must_use]
    pub fn passes(&self) -> bool {
        match self {
            Self::Address(standing) => matches!(standing, Standing::There(_)),
            Self::Elsewhere(link) | Self::NotHeld(link) => link.is_none(),
            Self::Delivered(kind) => *kind == Ok(RouteKind::Local),
            Self::HostRoute(is_so) | Self::AtBoot(is_so) => *is_so,
            Self::Setting(_, Silence::NothingToSilence) => true,
            Self::Setting(wanted, Silence::Value(_, value)) => wanted.is_met_by(*value),
            Self::Rules(rules) | Self::Redirect(rules) => *rules == Rules::There,
        }
    }
}

/// The route as `route add -host VIP dev lo` makes it.
#[must_use]
pub fn host_route(link: &Link, vip: IpAddr) -> Route {
    Route::on_link(Prefix::host(vip), link.index)
}

/// That route among those of the kernel. For IPv6 the kernel sets one with the address.
#[must_use]
pub fn find_host_route<'f>(routes: &'f [Route], link: &Link, vip: IpAddr) -> Option<&'f Route> {
    let wanted = host_route(link, vip);
    routes.iter().find(|route| {
        (route.destination, route.table, route.kind, route.output)
            == (wanted.destination, wanted.table, wanted.kind, wanted.output)
    })
}

/// The VIP is on its interface, by itself, and usable.
#[must_use]
pub fn address(network: Network<'_>, vip: IpAddr, interface: &str) -> Finding {
    let Some(link) = network.link(interface) else { return Finding::Address(Standing::NoInterface) };
    let faulty = |link: &Link, fault| Standing::Faulty(link.name.clone(), fault);
    let here = || network.places(vip).filter(|place| place.link.index == link.index);
    // What is wrong elsewhere counts as well, if nothing makes up for it.
    let standing = if !link.flags.is_up() {
        faulty(link, Fault::Down)
    } else if let Some((_, fault)) = here().find_map(|place| Some((place, place.fault()?))) {
        faulty(link, fault)
    } else if here().next().is_none() {
        Standing::Missing
    } else if let Some((place, fault)) = faults(&network.quiet(vip).collect::<Vec<_>>()).into_iter().next() {
        faulty(place.link, fault)
    } else {
        Standing::There(Prefix::host(vip).length)
    };
    Finding::Address(standing)
}

/// The VIP is on no interface that answers for it. Of its own, rules on ARP packets take care.
#[must_use]
pub fn elsewhere(network: Network<'_>, vip: IpAddr, interface: &str) -> Finding {
    let mut others = network.exposed(vip).filter(|place| place.link.name != interface);
    Finding::Elsewhere(others.next().map(|place| place.link.name.clone()))
}

/// The VIP is on no interface.
#[must_use]
pub fn not_held(network: Network<'_>, vip: IpAddr) -> Finding {
    Finding::NotHeld(network.places(vip).next().map(|place| place.link.name.clone()))
}

/// The settings of ARP on each interface that answers it, with what `read` finds under a key.
///
/// # Errors
/// A value cannot be read.
pub fn settings<E>(links: &[Link], read: impl Fn(&str) -> Result<i64, E>) -> Result<Vec<Finding>, E> {
    let mut findings = Vec::new();
    for wanted in [IGNORE, ANNOUNCE] {
        let all = wanted.on(links, &read)?;
        if all.is_empty() {
            findings.push(Finding::Setting(wanted, Silence::NothingToSilence));
        }
        let silence = |link: &Link, value| Finding::Setting(wanted, Silence::Value(link.name.clone(), value));
        findings.extend(all.iter().map(|setting| silence(setting.link, setting.value())));
    }
    Ok(findings)
}

/// The interfaces that ask with an address of their own, but have no rule that replaces the VIP in it.
pub fn not_covered<'f>(network: Network<'f>, covers: impl Fn(&str) -> bool) -> impl Iterator<Item = &'f Link> {
    speakers(network.links).filter(move |link| {
        // A link without an address of its own has nothing to ask with.
        let has_own = network.addresses.iter().any(|own| own.index == link.index && own.address.is_ipv4());
        has_own && !covers(&link.name)
    })
}
