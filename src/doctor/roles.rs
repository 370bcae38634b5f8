//! What a machine is for each virtual address: director, real server, or both.

use std::net::IpAddr;

use ipvs_client::{DestinationEntry, Forwarding};

use super::check::Role;
use super::facts::{Facts, Vip};
use super::passage::Fate;
use super::quiet::{IGNORE, speakers};
use crate::machine::RouteKind;

/// What the machine is for a virtual address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VipRole {
    /// The address.
    pub vip: Vip,
    /// Its roles; none if it is not judged.
    pub roles: Vec<Role>,
    /// From what that was seen.
    pub seen: String,
}

impl VipRole {
    /// Whether the address is judged as a real server's: not where a director is its own real server, for which the address
    /// is a director's.
    #[must_use]
    pub fn is_only_served(&self) -> bool {
        self.roles == [Role::RealServer]
    }
}

/// Programs that announce routes: BIRD, FRR and ExaBGP.
pub const ANNOUNCERS: &[&str] = &["bird", "bird6", "bgpd", "ospfd", "ospf6d", "isisd", "exabgp"];

/// The role for each address that is looked at.
#[must_use]
pub fn of_vips(facts: &Facts) -> Vec<VipRole> {
    let mut all: Vec<_> = facts.vips.iter().map(|vip| of(facts, *vip)).collect();
    for role in &mut all {
        if let Some(seen) = announced(facts, role) {
            role.roles.push(Role::ScaleOut);
            role.seen += &seen;
        }
    }
    all
}

/// From what it is seen that other directors have this address, too: a program here announces routes, and the address is where
/// it answers no ARP. One that a single director has at a time is on an interface that does.
fn announced(facts: &Facts, role: &VipRole) -> Option<String> {
    // There BIRD announces networks of containers, and services are on a dummy of each machine.
    let has_kubernetes = |managers: &Vec<String>| managers.iter().any(|name| name.starts_with("kube"));
    if facts.managers.value().is_some_and(has_kubernetes) {
        return None;
    }
    let announcer = facts.programs.value()?.iter().find(|name| ANNOUNCERS.contains(&name.as_str()))?;
    let network = facts.network().ok()?;
    let place = network.quiet(role.vip.address).next()?;
    role.roles
        .contains(&Role::Director)
        .then(|| format!("; {announcer} runs, and {} is on {}", role.vip.address, place.link.name))
}

/// The same where it was said that this is one of several directors: all that it directs.
pub fn say_scale_out(vips: &mut [VipRole]) {
    for role in vips {
        if role.roles.contains(&Role::Director) && !role.roles.contains(&Role::ScaleOut) {
            role.roles.push(Role::ScaleOut);
            role.seen += "; --scale-out says so";
        }
    }
}

/// The roles of the machine: those for its virtual addresses, and a director's if it has a table or a sync daemon.
#[must_use]
pub fn of_machine(facts: &Facts, vips: &[VipRole]) -> Vec<Role> {
    let has = |role: Role| vips.iter().any(|vip| vip.roles.contains(&role));
    let mut roles = Vec::new();
    if directs(facts) || has(Role::Director) {
        roles.push(Role::Director);
    }
    for role in [Role::RealServer, Role::ScaleOut] {
        if has(role) {
            roles.push(role);
        }
    }
    roles
}

/// Whether the machine has services or a sync daemon.
fn directs(facts: &Facts) -> bool {
    let has_services = facts.table.value().is_some_and(|table| !table.services.is_empty());
    has_services || facts.daemons.value().is_some_and(|daemons| !daemons.is_empty())
}

fn of(facts: &Facts, vip: Vip) -> VipRole {
    let found = |roles: &[Role], seen: String| VipRole { vip, roles: roles.to_vec(), seen };
    let services = facts.table.value().into_iter().flat_map(|table| &table.services);
    let own: Vec<_> = services.filter(|service| service.entry.service.key.address() == Some(vip.address)).collect();
    if let Some(first) = own.first() {
        let more = match own.len() {
            1 => String::new(),
            number => format!(" and {} more", number - 1),
        };
        let seen = format!("the table has {}{more}", first.entry.service.key);
        let is_own_server = |entry: &&DestinationEntry| {
            let server = entry.destination;
            let is_local = || {
                let path = facts.path(server.key.address);
                path.is_ok_and(|path| path.is_some_and(|route| route.kind == RouteKind::Local))
            };
            server.forwarding == Forwarding::Local || is_local()
        };
        return match own.iter().flat_map(|service| &service.destinations).find(is_own_server) {
            Some(entry) => found(
                &[Role::Director, Role::RealServer],
                format!("{seen}, whose server {} is this machine", entry.destination.key.address),
            ),
            None => found(&[Role::Director], seen),
        };
    }
    if let Some(mark) = facts.marked.get(&vip.address) {
        return found(&[Role::Director], format!("its packets get the mark {mark}, for which the table has a service"));
    }
    if let Some(rule) = redirection(facts, vip.address) {
        return found(&[Role::RealServer], format!("its packets get another destination by {rule}"));
    }
    let quiet = facts.network().ok().and_then(|network| network.quiet(vip.address).next());
    if let Some(place) = quiet {
        let name = &place.link.name;
        if directs(facts) && !vip.is_named && !is_meant_to_be_quiet(facts, vip.address) {
            return found(
                &[],
                format!("it is on {name} and has no service: it may be this director's own; name it to have it judged"),
            );
        }
        return found(&[Role::RealServer], format!("it is on {name}, and the table has no service for it"));
    }
    if directs(facts) {
        return found(&[Role::Director], "this machine is a director, and does not hold it quietly".to_owned());
    }
    found(&[Role::RealServer], "it was named, and the table has no service".to_owned())
}

/// The rule that gives packets to this address another destination.
pub(super) fn redirection(facts: &Facts, vip: IpAddr) -> Option<&str> {
    facts.delivered.iter().filter(|passage| passage.vip == Some(vip)).find_map(|passage| {
        match passage.fate.value()? {
            Fate::Redirected { rule, .. } => Some(rule.as_str()),
            _ => None,
        }
    })
}

/// Whether anything shows that an address on `lo` or a dummy is a real server's: it is kept out of ARP, a program listens on
/// it alone, or it comes back at boot by our unit.
fn is_meant_to_be_quiet(facts: &Facts, vip: IpAddr) -> bool {
    let links = facts.links.value().map(Vec::as_slice).unwrap_or_default();
    let by_setting = speakers(links)
        .any(|link| facts.settings.effective(IGNORE.name, &link.name).is_ok_and(|value| IGNORE.is_met_by(value)));
    let by_rule = facts.arp.value().into_iter().flatten().any(|passage| passage.vip == vip);
    let by_listener = facts.listeners.value().into_iter().flatten().any(|one| one.address == vip);
    let by_unit = facts.boot_addresses.value().into_iter().flatten().any(|one| one.address == vip && one.is_unit);
    by_setting || by_rule || by_listener || by_unit
}

/// The facts as they concern one role: those of these addresses.
#[must_use]
pub fn narrowed(facts: &Facts, vips: &[Vip]) -> Facts {
    let is_one = |address: IpAddr| vips.iter().any(|vip| vip.address == address);
    let mut facts = facts.clone();
    facts.vips = vips.to_vec();
    facts.delivered.retain(|passage| passage.vip.is_none_or(is_one));
    facts.scheduled.retain(|passage| passage.vip.is_none_or(is_one));
    if let Some(all) = facts.arp.value() {
        let kept = all.iter().filter(|passage| is_one(passage.vip)).cloned().collect();
        facts.arp = super::facts::Fact::known(kept, facts.arp.from().to_owned());
    }
    facts
}
