//! The way of clients' packets: in, past the firewall, and on to the real servers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipvs_client::{Family, Forwarding};

use super::setting::setting;
use crate::doctor::facts::Facts;
use crate::doctor::firewall::passages;
use crate::doctor::judgement::{Judged, Judgement, ROUTES, Skip, State, sysctl_key, unless_bad};
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
                        found.command(format!("ip route replace {} dev {}", Prefix::host(address), link.name))
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
    for address in servers_by(facts, |forwarding| forwarding != Forwarding::Local)? {
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
                found.command(format!("ip neigh del {} dev {}", entry.address, facts.interface(entry.index)))
            }
            None => found.advice(
                "Two addresses of one machine are not two real servers; or one machine answers for another (proxy ARP).",
            ),
        });
    }
    if seen == 0 {
        return Err(Skip("nothing was sent to a real server yet, so none is in the neighbour table".to_owned()));
    }
    unless_bad(bad, format!("{seen} in the neighbour table, all different"), from)
}

pub(in crate::doctor) fn forwarding(facts: &Facts) -> Judged {
    let servers = servers_by(facts, |forwarding| forwarding == Forwarding::Masquerade)?;
    if servers.is_empty() {
        return Err(Skip::does_not_apply("no service with masquerading (-m)"));
    }
    let mut found = Vec::new();
    for (family, key) in [(Family::Ipv4, "net/ipv4/ip_forward"), (Family::Ipv6, "net/ipv6/conf/all/forwarding")] {
        if servers.iter().any(|address| Family::of(*address) == family) {
            found.extend(setting(facts, key, 1, State::Fail)?);
        }
    }
    let mut outputs = BTreeSet::new();
    for address in servers.iter().filter(|address| address.is_ipv4()) {
        outputs.extend(facts.path(*address)?.and_then(|route| route.output));
    }
    for name in outputs.into_iter().map(|index| facts.interface(index)) {
        let key = format!("net/ipv4/conf/{name}/send_redirects");
        // Here either is enough.
        if facts.settings.effective("send_redirects", &name)? != 0 {
            let fact = format!("{name} sends redirects to senders: send_redirects of all or {name} is 1");
            let off = format!("sysctl -w net.ipv4.conf.all.send_redirects=0 {}=0", sysctl_key(&key));
            found.push(Judgement::warn(fact, format!("/proc/sys/{key}")).command(off));
        }
    }
    Ok(found)
}

pub(in crate::doctor) fn firewall(facts: &Facts) -> Judged {
    passages(&facts.scheduled, "no service by address and port")
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
                    .command(format!("ethtool -K {name} lro off")),
            );
        }
    }
    unless_bad(bad, "off on all interfaces", first.from())
}
