//! The way of clients' packets: in, past the firewall, and on to the real servers.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::IpAddr;

use ipvs_client::{Family, Forwarding};

use super::setting::setting;
use crate::doctor::facts::Facts;
use crate::doctor::firewall::passages;
use crate::doctor::judgement::{Judged, Judgement, ROUTES, Skip, State, sysctl_key, unless_bad};
use crate::doctor::segment::incoming;
use crate::machine::{Link, Prefix, RouteKind};

/// The servers of these forwarding methods, each address once.
fn servers_by(facts: &Facts, of: impl Fn(Forwarding) -> bool) -> Result<BTreeSet<IpAddr>, Skip> {
    let servers = facts.servers()?.into_iter().map(|(_, entry)| entry.destination);
    Ok(servers.filter(|server| of(server.forwarding)).map(|server| server.key.address).collect())
}

pub(in crate::doctor) fn servers_on_link(facts: &Facts) -> Judged {
    let servers = servers_by(facts, |forwarding| forwarding == Forwarding::DirectRoute)?;
    if servers.is_empty() {
        return Err(Skip::does_not_apply("no service with direct routing (-g)"));
    }
    let mut bad = Vec::new();
    for address in servers {
        match facts.path(address)? {
            None => bad.push(
                Judgement::fail(format!("there is no route to {address}"), ROUTES)
                    .advice("Give this machine an address in the real server's network."),
            ),
            // This director is a real server of its own; the kernel sees to that.
            Some(route) if route.kind == RouteKind::Local => {}
            Some(route) => {
                let Some(gateway) = route.gateway else { continue };
                let found = Judgement::fail(format!("{address} is behind the gateway {gateway}"), ROUTES);
                bad.push(match on_segment(facts, address) {
                    Some(link) => {
                        let host = Prefix::host(address);
                        let listed = facts.routes.value().into_iter().flatten().find(|one| one.destination == host);
                        let undo = match listed.and_then(|route| route.gateway) {
                            Some(gateway) => format!("ip route replace {host} via {gateway}"),
                            None => format!("ip route del {host} dev {}", link.name),
                        };
                        found.command(format!("ip route replace {host} dev {}", link.name)).undo(undo)
                    }
                    None => found
                        .advice("Move the real server to this segment, or use tunnelling (-i) or masquerading (-m)."),
                });
            }
        }
    }
    unless_bad(bad, "no gateway between here and the real servers", ROUTES)
}

/// The interface in whose network an address is.
fn on_segment(facts: &Facts, address: IpAddr) -> Option<&Link> {
    let of_link = |link: &&Link| {
        facts.addresses.value().into_iter().flatten().any(|held| {
            held.index == link.index && Prefix { address: held.address, length: held.prefix }.contains(address)
        })
    };
    facts.speaking().ok()?.into_iter().find(of_link)
}

pub(in crate::doctor) fn neighbours(facts: &Facts) -> Judged {
    let from = facts.neighbours.from();
    let known = facts.neighbours.get()?;
    let mut bad = Vec::new();
    let mut macs: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
    let mut seen = 0;
    // One that gets no connections may be off.
    let wanted: BTreeSet<IpAddr> = facts
        .servers()?
        .into_iter()
        .map(|(_, entry)| entry.destination)
        .filter(|server| server.forwarding != Forwarding::Local && server.weight > 0)
        .map(|server| server.key.address)
        .collect();
    for address in wanted {
        let Some(route) = facts.path(address)? else { continue };
        if route.gateway.is_some() {
            continue;
        }
        let Some(entry) = known.iter().find(|entry| entry.address == address && Some(entry.index) == route.output)
        else {
            continue;
        };
        seen += 1;
        let name = facts.interface(entry.index);
        if entry.state.is_failed() || entry.state.is_incomplete() {
            bad.push(Judgement::fail(format!("{address} does not answer on {name}"), from).advice(format!(
                "See whether {address} is up, its address right, the cable in and the VLAN the same; then: ip neigh flush to {address} dev {name}"
            )));
        } else if let Some(hardware) = &entry.hardware {
            macs.entry(hardware.to_string()).or_default().push(address);
        }
    }
    for (mac, addresses) in macs.iter().filter(|(_, addresses)| addresses.len() > 1) {
        let list = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
        let found = Judgement::warn(format!("{list} have the same MAC address {mac}"), from);
        let by_hand = known.iter().find(|entry| entry.state.is_permanent() && addresses.contains(&entry.address));
        bad.push(match by_hand {
            Some(entry) => {
                let device = facts.interface(entry.index);
                found
                    .command(format!("ip neigh del {} dev {device}", entry.address))
                    .undo(format!("ip neigh replace {} lladdr {mac} nud permanent dev {device}", entry.address))
            }
            // Two addresses of one machine are two servers to IPVS.
            None => Judgement { state: State::Note, ..found }.advice(
                "Two addresses of one machine do not share its load; or one machine answers for another (proxy ARP).",
            ),
        });
    }
    if seen == 0 {
        return Err(Skip("nothing was sent to a real server yet, so none is in the neighbour table".to_owned()));
    }
    unless_bad(bad, format!("{seen} in the neighbour table, all different"), from)
}

pub(in crate::doctor) fn forwarding(facts: &Facts) -> Judged {
    let mut servers = servers_by(facts, |forwarding| forwarding == Forwarding::Masquerade)?;
    if servers.is_empty() {
        return Err(Skip::does_not_apply("no service with masquerading (-m)"));
    }
    // Answers of programs here are not forwarded.
    servers.retain(|address| {
        !facts.path(*address).is_ok_and(|path| path.is_some_and(|route| route.kind == RouteKind::Local))
    });
    if servers.is_empty() {
        return Err(Skip::does_not_apply("all masqueraded servers are on this machine"));
    }
    let mut found = Vec::new();
    for (family, key) in [(Family::Ipv4, "net/ipv4/ip_forward"), (Family::Ipv6, "net/ipv6/conf/all/forwarding")] {
        if servers.iter().any(|address| Family::of(*address) == family) {
            found.extend(setting(facts, key, 1, State::Fail)?);
        }
    }
    found.extend(unanswered(facts)?);
    let mut outputs = BTreeSet::new();
    for address in servers.iter().filter(|address| address.is_ipv4()) {
        outputs.extend(facts.path(*address)?.and_then(|route| route.output));
    }
    for vip in facts.vips.iter().map(|vip| vip.address).filter(IpAddr::is_ipv4) {
        // A shorter way is told of where packets leave by the interface that they came in by.
        let entries = incoming(facts, vip)?;
        for link in entries.into_iter().filter(|link| outputs.contains(&link.index)) {
            let name = &link.name;
            let key = format!("net/ipv4/conf/{name}/send_redirects");
            // Here either is enough.
            if facts.settings.effective("send_redirects", name)? == 0 {
                continue;
            }
            let fact = format!(
                "{name} leads to clients and to servers, and sends redirects to senders: send_redirects of all or \
                 {name} is 1"
            );
            let (all, own) = (facts.settings.get("net/ipv4/conf/all/send_redirects")?, facts.settings.get(&key)?);
            let setting = sysctl_key(&key);
            found.push(
                Judgement::warn(fact, format!("/proc/sys/{key}"))
                    .command(format!("sysctl -w net.ipv4.conf.all.send_redirects=0 {setting}=0"))
                    .undo(format!("sysctl -w net.ipv4.conf.all.send_redirects={all} {setting}={own}")),
            );
        }
    }
    found.dedup();
    Ok(found)
}

/// Clients that masqueraded servers reach without the director, so that their answers miss it; and virtual addresses from
/// which no answer reaches clients.
fn unanswered(facts: &Facts) -> Result<Vec<Judgement>, Skip> {
    let mut found = Vec::new();
    let networks: Vec<Prefix> = facts
        .addresses
        .get()?
        .iter()
        .map(|held| Prefix { address: held.address, length: held.prefix })
        .filter(|network| !network.is_host())
        .collect();
    let masqueraded =
        facts.servers()?.into_iter().filter(|(_, entry)| entry.destination.forwarding == Forwarding::Masquerade);
    let (vips, servers): (HashSet<Option<IpAddr>>, HashSet<IpAddr>) =
        masqueraded.map(|(key, entry)| (key.address(), entry.destination.key.address)).unzip();
    let seen = facts.progress.value().map(Vec::as_slice).unwrap_or_default();
    for one in seen.iter().filter(|one| one.waiting > 0) {
        let shared = networks.iter().find(|network| network.contains(one.client) && network.contains(one.server.0));
        if let (true, Some(network)) = (servers.contains(&one.server.0), shared) {
            let fact = format!(
                "{} is a client in the servers' own network {network}: {} answers it directly, not by this director",
                one.client, one.server.0
            );
            found.push(Judgement::fail(fact, facts.progress.from()).advice(format!(
                "On the servers let answers to {network} go by the director (ip route replace {network} via DIRECTOR, \
                 and accept_redirects=0), or translate these clients' source address here, or use direct routing (-g)."
            )));
        }
    }
    found.dedup_by(|a, b| a.fix == b.fix);
    for vip in &facts.vips {
        let is_masqueraded = vips.contains(&Some(vip.address));
        let near = || {
            facts.returns.iter().any(|one| one.from == vip.address && one.route.value().is_some_and(Option::is_some))
        };
        if is_masqueraded && facts.way_to_clients(vip.address)?.is_none() {
            let found_here = if near() { Judgement::note } else { Judgement::fail };
            found.push(
                found_here(
                    "there is no route to clients outside of this machine's networks".to_owned(),
                    ROUTES.to_owned(),
                )
                .advice("Set the router that clients are behind: ip route add default via ROUTER"),
            );
        }
    }
    Ok(found)
}

pub(in crate::doctor) fn firewall(facts: &Facts) -> Judged {
    passages(facts, &facts.scheduled, "no service by address and port")
}

pub(in crate::doctor) fn receive_offload(facts: &Facts) -> Judged {
    let Some((_, first)) = facts.offload.first() else {
        return Err(Skip::does_not_apply("no interface"));
    };
    let mut bad = Vec::new();
    for (name, on) in &facts.offload {
        if *on.get()? {
            bad.push(
                Judgement::warn(format!("large receive offload of {name} is on"), on.from())
                    .command(format!("ethtool -K {name} lro off"))
                    .undo(format!("ethtool -K {name} lro on")),
            );
        }
    }
    unless_bad(bad, "off on all interfaces", first.from())
}
