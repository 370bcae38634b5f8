//! The checks of a real server.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::facts::{Answer, ArpPassage, Fact, Facts, Fate, Vip};
use super::firewall::passages;
use super::judgement::{Judged, Judgement, ROUTES, Skip, State, shell, sysctl_key, unless_bad};
use super::quiet::{ANNOUNCE, Fault, IGNORE, Network, Place, Wanted, faults, speakers};
use crate::machine::{Link, Listener, Route, RouteKind, SettingLine};

fn no_vip() -> Skip {
    Skip::does_not_apply("no virtual address is known; name it to have it looked at")
}

/// The IPv4 addresses among those that are looked at. IPv6 knows no such trouble: a host answers for an address only on the
/// interface that has it.
fn ipv4(facts: &Facts) -> Result<Vec<&Vip>, Skip> {
    if facts.vips.is_empty() {
        return Err(no_vip());
    }
    let vips: Vec<_> = facts.vips.iter().filter(|vip| vip.address.is_ipv4()).collect();
    if vips.is_empty() {
        Err(Skip::does_not_apply("IPv6 hosts answer only for addresses of the interface that is asked"))
    } else {
        Ok(vips)
    }
}

pub(super) fn vip_is_here(facts: &Facts) -> Judged {
    if facts.vips.is_empty() {
        return Err(no_vip());
    }
    let from = facts.addresses.from();
    let mut bad = Vec::new();
    let mut good = Vec::new();
    let network = facts.network()?;
    for vip in facts.vips.iter().map(|vip| vip.address) {
        let start = start(facts, vip);
        let mut places: Vec<_> = network.quiet(vip).collect();
        // Where rules for ARP keep it quiet, it may be on any interface.
        if silenced(facts, vip, INCOMING) && silenced(facts, vip, OUTGOING) {
            places.extend(network.exposed(vip));
        }
        if places.is_empty() {
            bad.push(Judgement::fail(format!("{vip} is not on lo, a dummy or a tunnel"), from).command(start));
            continue;
        }
        let serves = places.iter().any(|place| place.fault().is_none());
        for (Place { link, held }, fault) in faults(&places) {
            let (prefix, name) = (held.prefix, &link.name);
            let again = if serves { String::new() } else { format!(" && {start}") };
            let (fact, command) = match fault {
                // A second, narrow one does not undo what the wide one does.
                Fault::Wide(_) => {
                    (format!("{vip}/{prefix} on {name}"), format!("ip addr del {vip}/{prefix} dev {name}{again}"))
                }
                Fault::Down => (format!("{vip} is on {name}, which is down"), format!("ip link set {name} up")),
                Fault::Duplicate => (
                    format!("{vip} on {name} is a duplicate of another host's, and not used"),
                    format!("ip addr del {vip}/{prefix} dev {name}{again}"),
                ),
                Fault::Tentative => (
                    format!("{vip} on {name} is checked for duplicates, and not used yet"),
                    format!("ip addr del {vip}/{prefix} dev {name}{again}"),
                ),
            };
            bad.push(Judgement::fail(fact, from).command(command));
        }
        let right = places.iter().filter(|place| place.fault().is_none());
        good.extend(right.map(|place| format!("{vip}/{} on {}", place.held.prefix, place.link.name)));
    }
    unless_bad(bad, good.join(", "), from)
}

/// The command that makes a real server for a virtual address; where it already is, if it is on a quiet interface.
fn start(facts: &Facts, vip: IpAddr) -> String {
    let other = |network: Network<'_>| {
        let mut others = network.quiet(vip).filter(|place| !place.link.flags.is_loopback());
        others.next().map(|place| place.link.name.clone())
    };
    let program = &facts.program;
    match facts.network().ok().and_then(other) {
        Some(name) => format!("{program} realserver start --interface {name} {vip}"),
        None => format!("{program} realserver start {vip}"),
    }
}

/// A setting of the interfaces that speak ARP: what is wanted of it, unless rules for ARP do that work.
fn arp_setting(facts: &Facts, wanted: Wanted, rule: fn(&ArpPassage) -> &Fact<Fate>) -> Judged {
    let vips = ipv4(facts)?;
    let Some(vip) = vips.iter().map(|vip| vip.address).find(|vip| !silenced(facts, *vip, rule)) else {
        return Err(Skip::does_not_apply("rules for ARP do that (R10)"));
    };
    let name = wanted.name;
    let mut bad = Vec::new();
    let mut good = Vec::new();
    for setting in wanted.on(facts.links.get()?, |key| facts.settings.get(key))? {
        let link = setting.link;
        let fact = format!("{name} is {} on {}", setting.value(), link.name);
        if setting.is_met() {
            good.push(fact);
            continue;
        }
        let (mut own, mut fix) = (setting.own, Vec::new());
        // What is set for all, as start does it, leaves it to an interface to answer after all.
        if setting.own_is_in_the_way() {
            own = wanted.value;
            fix.push(format!("sysctl -w {}={own}", sysctl_key(&wanted.key(&link.name))));
        }
        if !wanted.is_met_by(own.max(setting.all)) {
            fix.push(start(facts, vip));
        }
        let from = format!("/proc/sys/net/ipv4/conf/{{all,{}}}/{name}", link.name);
        bad.push(Judgement::fail(fact, from).command(fix.join(" && ")));
    }
    // One command fixes all.
    bad.dedup_by(|a, b| a.fix == b.fix);
    unless_bad(bad, good.join(", "), "/proc/sys/net/ipv4/conf")
}

/// Whether rules for ARP stop this on all interfaces.
fn silenced(facts: &Facts, vip: IpAddr, rule: fn(&ArpPassage) -> &Fact<Fate>) -> bool {
    let mut of_vip = facts.arp.value().into_iter().flatten().filter(|passage| passage.vip == vip).peekable();
    of_vip.peek().is_some() && of_vip.all(|passage| matches!(rule(passage).value(), Some(Fate::Stopped { .. })))
}

const INCOMING: fn(&ArpPassage) -> &Fact<Fate> = |passage| &passage.incoming;
const OUTGOING: fn(&ArpPassage) -> &Fact<Fate> = |passage| &passage.outgoing;

pub(super) fn arp_ignore(facts: &Facts) -> Judged {
    arp_setting(facts, IGNORE, INCOMING)
}

pub(super) fn arp_announce(facts: &Facts) -> Judged {
    arp_setting(facts, ANNOUNCE, OUTGOING)
}

pub(super) fn vip_elsewhere(facts: &Facts) -> Judged {
    let from = facts.addresses.from();
    let mut bad = Vec::new();
    let mut silent = Vec::new();
    if facts.vips.is_empty() {
        return Err(no_vip());
    }
    let network = facts.network()?;
    for vip in facts.vips.iter().map(|vip| vip.address) {
        let is_hidden = network.quiet(vip).next().is_some();
        for Place { link, held } in network.exposed(vip) {
            let (prefix, name) = (held.prefix, &link.name);
            if silenced(facts, vip, INCOMING) {
                silent.push(format!("{vip} on {name}, whose rules for ARP stop questions"));
                continue;
            }
            let start = match is_hidden {
                true => String::new(),
                false => format!(" && {} realserver start {vip}", facts.program),
            };
            bad.push(
                Judgement::fail(format!("{vip}/{prefix} is on {name}"), from)
                    .command(format!("ip addr del {vip}/{prefix} dev {name}{start}")),
            );
        }
    }
    unless_bad(bad, if silent.is_empty() { "on none".to_owned() } else { silent.join(", ") }, from)
}

/// The value that a setting gets at boot, and the line that gives it.
fn at_boot<'l>(lines: &'l [SettingLine], key: &str) -> Option<&'l SettingLine> {
    lines.iter().rev().find(|line| line.key == key)
}

pub(super) fn boot(facts: &Facts) -> Judged {
    let vips = &facts.vips;
    if vips.is_empty() {
        return Err(no_vip());
    }
    let lines = facts.boot_settings.get()?;
    let held = facts.boot_addresses.get()?;
    let mut bad = Vec::new();
    let mut missing = Vec::new();
    for (wanted, rule) in [(IGNORE, INCOMING), (ANNOUNCE, OUTGOING)] {
        let name = wanted.name;
        let by_unit = |vip: &Vip| held.iter().any(|one| one.address == vip.address && one.is_unit);
        if vips.iter().all(|vip| vip.address.is_ipv6() || by_unit(vip) || silenced(facts, vip.address, rule)) {
            continue;
        }
        for link in facts.speaking()? {
            let of = |which: &str| at_boot(lines, &format!("net/ipv4/conf/{which}/{name}"));
            let value = |line: &SettingLine| line.value.parse::<i64>().unwrap_or_default();
            // The larger counts.
            match [of("all"), of(&link.name)].into_iter().flatten().max_by_key(|line| value(line)) {
                Some(line) if wanted.is_met_by(value(line)) => {}
                // Ours come before what an administrator wrote later by name.
                Some(line) => bad.push(
                    Judgement::warn(
                        format!("{name} of {} will be {} at boot", link.name, line.value),
                        format!("{}:{}", line.file, line.number),
                    )
                    .command(format!(
                        "sed -i '{}s/=.*/= {}/' {}",
                        line.number,
                        wanted.value,
                        shell(&line.file)
                    )),
                ),
                None => missing.push(format!("{name} of {}", link.name)),
            }
        }
    }
    let absent = |vip: &&Vip| !held.iter().any(|one| one.address == vip.address);
    missing.extend(vips.iter().filter(absent).map(|vip| vip.address.to_string()));
    if !missing.is_empty() {
        let vip = vips.iter().find(absent).unwrap_or(&vips[0]).address;
        let from = format!("{}, {}", facts.boot_settings.from(), facts.boot_addresses.from());
        bad.push(
            Judgement::warn(format!("at boot no file sets {}", missing.join(", ")), from)
                .command(start(facts, vip).replacen(" start", " start --persist", 1)),
        );
    }
    unless_bad(bad, "they come back", facts.boot_settings.from())
}

pub(super) fn way_back(facts: &Facts) -> Judged {
    let routes = facts.routes.get()?;
    let ipv6 = !facts.vips.is_empty() && facts.vips.iter().all(|vip| vip.address.is_ipv6());
    let to_clients = |route: &&Route| {
        route.destination.address.is_ipv6() == ipv6 && route.kind == RouteKind::Unicast && route.gateway.is_some()
    };
    let ways: Vec<_> = routes.iter().filter(to_clients).collect();
    let Some(usual) = ways.iter().find(|route| route.destination.length == 0).or(ways.first()) else {
        return Ok(vec![
            Judgement::fail("no route has a gateway: replies reach this network only", ROUTES)
                .advice("Set the router that clients are behind: ip route add default via ROUTER"),
        ]);
    };
    let Some(probe) = &facts.probe else {
        let gateway = usual.gateway.map_or_else(String::new, |gateway| gateway.to_string());
        return Err(Skip(format!("the gateway is {gateway}; whether that is the director is found out with --probe")));
    };
    let answers = probe.answers.get()?;
    let is_vip = |answer: &&Answer| facts.vips.iter().any(|vip| vip.address == answer.address);
    let directors: BTreeSet<_> = answers.iter().filter(is_vip).map(|answer| answer.hardware.to_string()).collect();
    let neighbours = facts.neighbours.get()?;
    let hardware = |gateway: IpAddr| {
        let answered = answers.iter().find(|answer| answer.address == gateway).map(|answer| &answer.hardware);
        let known = || neighbours.iter().find(|entry| entry.address == gateway)?.hardware.as_ref();
        answered.or_else(known).map(ToString::to_string)
    };
    let mut bad = Vec::new();
    for route in &ways {
        let Some(gateway) = route.gateway else { continue };
        let Some(mac) = hardware(gateway).filter(|mac| directors.contains(mac)) else { continue };
        let name = if route.destination.length == 0 { "default".to_owned() } else { route.destination.to_string() };
        let metric = route.priority.map_or_else(String::new, |metric| format!(" metric {metric}"));
        let found = Judgement::fail(format!("{name} goes via {gateway}, the director ({mac})"), ROUTES);
        // Without it, another way has to be there.
        let covers = |other: &&&Route| {
            other.gateway.is_some_and(|other| hardware(other).is_none_or(|mac| !directors.contains(&mac)))
                && other.destination.length <= route.destination.length
                && other.destination.contains(route.destination.address)
        };
        bad.push(match ways.iter().find(covers) {
            Some(_) => found.command(format!("ip route del {name} via {gateway}{metric}")),
            None => found
                .advice(format!("Set the router that clients are behind: ip route replace {name} via ROUTER{metric}")),
        });
    }
    let gateway = usual.gateway.map_or_else(String::new, |gateway| gateway.to_string());
    let who = match directors.is_empty() {
        true => "no interface answers for the VIP".to_owned(),
        false => format!("for the VIP answers {}", directors.into_iter().collect::<Vec<_>>().join(" and ")),
    };
    unless_bad(bad, format!("the gateway is {gateway}, which is not the director: {who}"), ROUTES)
}

pub(super) fn reverse_path(facts: &Facts) -> Judged {
    if facts.vips.is_empty() {
        return Err(no_vip());
    }
    if facts.vips.iter().all(|vip| vip.address.is_ipv6()) {
        return Err(Skip::does_not_apply("IPv6 has no such setting"));
    }
    let mut bad = Vec::new();
    let mut good = Vec::new();
    // Packets out of a tunnel come by it, and answers leave by another interface.
    let mut incoming: BTreeSet<&str> = facts
        .links
        .get()?
        .iter()
        .filter(|link| link.flags.is_up() && is_tunnel(link))
        .map(|link| link.name.as_str())
        .collect();
    let default =
        facts.routes.get()?.iter().find(|route| route.destination.address.is_ipv4() && route.destination.length == 0);
    let output = default.and_then(|route| route.output).map(|index| facts.interface(index));
    // The director is where it answers; without having asked it is thought to be where the router is.
    let answers = facts.probe.as_ref().and_then(|probe| probe.answers.value());
    incoming.extend(
        answers
            .into_iter()
            .flatten()
            .filter(|answer| facts.vips.iter().any(|vip| vip.address == answer.address))
            .map(|answer| answer.interface.as_str())
            .filter(|name| output.as_deref() != Some(*name)),
    );
    for name in incoming {
        let value = facts.settings.effective("rp_filter", name)?;
        let fact = format!("rp_filter is {value} on {name}");
        if value == 1 {
            let from = format!("/proc/sys/net/ipv4/conf/{{all,{name}}}/rp_filter");
            bad.push(
                Judgement::fail(fact, from)
                    .command(format!("sysctl -w {}=2", sysctl_key(&format!("net/ipv4/conf/{name}/rp_filter")))),
            );
        } else {
            good.push(fact);
        }
    }
    let good =
        if good.is_empty() { "clients' packets come in where answers leave".to_owned() } else { good.join(", ") };
    unless_bad(bad, good, "/proc/sys/net/ipv4/conf")
}

/// Whether a link unwraps packets.
fn is_tunnel(link: &Link) -> bool {
    matches!(link.kind.as_deref(), Some("ipip" | "gre" | "sit" | "ip6tnl" | "ip6gre"))
}

pub(super) fn listeners(facts: &Facts) -> Judged {
    if facts.vips.is_empty() {
        return Err(no_vip());
    }
    let all = facts.listeners.get()?;
    let from = facts.listeners.from();
    let own: BTreeSet<_> =
        facts.addresses.get()?.iter().map(|held| held.address).filter(|address| !address.is_loopback()).collect();
    let mut bad = Vec::new();
    let mut good = BTreeSet::new();
    for Vip { address: vip, port } in &facts.vips {
        let wanted = |listener: &&Listener| port.is_none_or(|port| listener.port == port);
        let (for_vip, others): (Vec<&Listener>, Vec<&Listener>) =
            all.iter().filter(wanted).partition(|listener| listener.gets(*vip));
        good.extend(for_vip.iter().map(|listener| (listener.port, listener.protocol.service_name())));
        for other in &others {
            let covered = for_vip.iter().any(|one| one.port == other.port && one.protocol == other.protocol);
            if covered
                || !own.contains(&other.address)
                || other.address.is_ipv4() != vip.is_ipv4()
                || facts.vips.iter().any(|vip| vip.address == other.address)
            {
                continue;
            }
            let state = if port.is_some() { State::Fail } else { State::Warn };
            let fact =
                format!("{} port {} listens on {} only", other.protocol.service_name(), other.port, other.address);
            bad.push(Judgement::new(state, fact, from).advice(format!(
                "Let the program listen on {vip} or on all addresses. If it is not to serve clients, leave it, and name the port that is: {vip}:PORT"
            )));
        }
        if for_vip.is_empty() && bad.is_empty() {
            let which = port.map_or_else(String::new, |port| format!(" port {port}"));
            bad.push(
                Judgement::fail(format!("nothing listens on {vip}{which}"), from)
                    .advice("Start the program that serves clients."),
            );
        }
    }
    let list: Vec<_> = good.iter().map(|(port, protocol)| format!("{protocol} {port}")).collect();
    unless_bad(bad, format!("clients can reach {}", list.join(", ")), from)
}

pub(super) fn firewall(facts: &Facts) -> Judged {
    passages(&facts.delivered, "no program is known to serve clients; name its port as VIP:PORT")
}

pub(super) fn arp_rules(facts: &Facts) -> Judged {
    ipv4(facts)?;
    let Some(first) = facts.arp.get()?.first() else {
        return Err(Skip::does_not_apply("no rule for ARP is about the VIP"));
    };
    let mut silent = Vec::new();
    let mut open = Vec::new();
    for passage in facts.arp.get()? {
        for (what, fate) in [("questions for", &passage.incoming), ("words from", &passage.outgoing)] {
            let what = format!("{what} {} on {}", passage.vip, passage.interface);
            match fate.get()? {
                Fate::Stopped { how, rule, .. } => silent.push(format!("{what} are {how} by {rule}")),
                _ => open.push((what, passage)),
            }
        }
    }
    // Some silenced, and others not: then it has to be by sysctl.
    let mut bad = Vec::new();
    for (what, passage) in &open {
        let is_met = |wanted: Wanted| {
            facts.settings.effective(wanted.name, &passage.interface).map(|value| wanted.is_met_by(value))
        };
        let quiet = is_met(IGNORE)? && is_met(ANNOUNCE)?;
        if !quiet && !silent.is_empty() {
            bad.push(
                Judgement::fail(format!("the rules stop some ARP for the VIP, but not {what}"), first.incoming.from())
                    .command("sysctl -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2"),
            );
        }
    }
    bad.dedup_by(|a, b| a.fix == b.fix);
    let fact = if silent.is_empty() {
        "they let ARP for the VIP through: arp_ignore has to stop it".to_owned()
    } else {
        silent.join(", ")
    };
    unless_bad(bad, fact, first.incoming.from())
}

pub(super) fn tunnel(facts: &Facts) -> Judged {
    let links = facts.links.get()?;
    let mut seen = Vec::new();
    let mut bad = Vec::new();
    for vip in &facts.vips {
        seen.extend(facts.network()?.places(vip.address).map(|place| place.link).filter(|link| is_tunnel(link)));
    }
    if seen.is_empty() {
        return Err(Skip::does_not_apply("no VIP is on a tunnel"));
    }
    let from = facts.links.from();
    let mut good = Vec::new();
    for link in seen {
        if !link.flags.is_up() {
            bad.push(
                Judgement::fail(format!("{} is down", link.name), from)
                    .command(format!("ip link set {} up", link.name)),
            );
            continue;
        }
        // The outer IPv4 header has 20 bytes.
        let widest = speakers(links).map(|link| link.mtu).max().unwrap_or(1500);
        let room = widest.saturating_sub(20);
        if link.mtu > room {
            bad.push(
                Judgement::warn(
                    format!("{} takes {} bytes, but only {room} fit into a packet", link.name, link.mtu),
                    from,
                )
                .command(format!("ip link set {} mtu {room}", link.name)),
            );
        } else {
            good.push(format!("{} is up, for packets of up to {} bytes", link.name, link.mtu));
        }
    }
    unless_bad(bad, good.join(", "), from)
}

pub(super) fn announcement(facts: &Facts) -> Judged {
    let files = facts.announced.get()?;
    if files.is_empty() {
        return Err(Skip::does_not_apply("no network script puts the VIP on lo"));
    }
    let of = |file: &String| {
        Judgement::warn(format!("{file} lacks ARPUPDATE=no"), file).command(format!("echo ARPUPDATE=no >> {file}"))
    };
    Ok(files.iter().map(of).collect())
}

pub(super) fn spoofing(_: &Facts) -> Judged {
    Err(Skip("cannot be read from here: in a virtual machine or cloud, allow the VIP as a source address of this machine's port".to_owned()))
}
