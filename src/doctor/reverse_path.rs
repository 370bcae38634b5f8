//! What reverse path filtering (rp_filter) does with clients' packets, as the kernel decides it (`__fib_validate_source`).
//!
//! The kernel looks up the way back, from the packet's destination to its source, with the rules of policy routing. If that
//! leaves by the interface that the packet came in by, the packet is taken. Otherwise strict filtering (1) drops it, and so does
//! loose filtering (2) on an interface that has no address at all.

use std::net::IpAddr;

use super::facts::Facts;
use super::judgement::{Judged, Judgement, ROUTES, Skip, sysctl_key, unless_bad};
use super::segment::{incoming, leaves_by};
use crate::machine::{Link, Prefix, RouteKind};

/// What becomes of clients' packets to an address that come in by an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Passed {
    /// They are taken, and why.
    Yes(String),
    /// Strict filtering drops them.
    Strict(String),
    /// Any filtering drops them: the interface has no address.
    NoAddress(String),
}

/// Judge the virtual addresses of one role.
pub(super) fn reverse_path(facts: &Facts) -> Judged {
    if facts.vips.is_empty() {
        return Err(Skip::does_not_apply("no virtual address is known; name it to have it looked at"));
    }
    let vips: Vec<IpAddr> = facts.vips.iter().map(|vip| vip.address).filter(IpAddr::is_ipv4).collect();
    if vips.is_empty() {
        return Err(Skip::does_not_apply("IPv6 has no such setting"));
    }
    let (mut bad, mut good, mut open) = (Vec::new(), Vec::new(), Vec::new());
    let mut seen: Vec<(u32, IpAddr)> = Vec::new();
    for vip in vips {
        let tunnels = facts.links.get()?.iter().filter(|link| link.flags.is_up() && is_tunnel(link));
        let tunnels: Vec<&Link> = tunnels.collect();
        let entries = if tunnels.is_empty() { incoming(facts, vip)? } else { tunnels };
        let mut dropped = Vec::new();
        let mut passed = Vec::new();
        for link in entries {
            match judge(facts, vip, link)? {
                Passed::Yes(why) => passed.push(why),
                found => dropped.push((link, found)),
            }
        }
        match (dropped.is_empty(), passed.is_empty()) {
            (true, _) => good.extend(passed),
            (false, true) => {
                for (link, found) in dropped {
                    // Of several addresses one finding for an interface.
                    if !seen.iter().any(|(index, _)| *index == link.index) {
                        seen.push((link.index, vip));
                        bad.push(finding(facts, vip, link, &found)?);
                    }
                }
            }
            // It may be either.
            (false, false) => {
                let names: Vec<_> = dropped.iter().map(|(link, _)| link.name.as_str()).collect();
                let counter = match facts.reverse_path_drops.value() {
                    Some(0) | None => String::new(),
                    Some(count) => format!(" (dropped so far, from wherever: {count}, IPReversePathFilter)"),
                };
                let grows = facts.probe.as_ref().and_then(|probe| probe.reverse_path_drops.value().copied());
                if let (Some(grows), [(link, found), ..]) = (grows.filter(|grows| *grows > 0), dropped.as_slice()) {
                    let mut found = finding(facts, vip, link, found)?;
                    found.fact += &format!("; {grows} packets were dropped while --probe listened");
                    bad.push(found);
                    continue;
                }
                open.push(format!(
                    "clients' packets to {vip} would be dropped if they came in by {}{counter}; --probe finds out by \
                     which interface the director answers",
                    names.join(" or "),
                ));
            }
        }
    }
    if bad.is_empty() && !open.is_empty() {
        return Err(Skip(open.join("; ")));
    }
    if bad.is_empty() && good.is_empty() {
        return Err(Skip::does_not_apply("no interface is known by which clients come in"));
    }
    good.sort();
    good.dedup();
    unless_bad(bad, good.join(", "), "/proc/sys/net/ipv4/conf")
}

/// Whether a link unwraps packets.
pub(crate) fn is_tunnel(link: &Link) -> bool {
    matches!(link.kind.as_deref(), Some("ipip" | "gre" | "sit" | "ip6tnl" | "ip6gre"))
}

fn judge(facts: &Facts, vip: IpAddr, link: &Link) -> Result<Passed, Skip> {
    let value = facts.settings.effective("rp_filter", &link.name)?;
    let back = facts.way_to_clients(vip)?;
    let leaves = match back {
        Some(route) => {
            route.output.map_or_else(|| "nowhere".to_owned(), |index| format!("by {}", facts.interface(index)))
        }
        None => "nowhere".to_owned(),
    };
    if back.is_some_and(|route| route.kind == RouteKind::Unicast && leaves_by(route, link.index)) {
        return Ok(Passed::Yes(format!("clients' packets come in by {} and answers leave by it", link.name)));
    }
    let fact = format!("rp_filter is {value} on {}, and answers from {vip} leave {leaves}", link.name);
    if value == 0 {
        return Ok(Passed::Yes(fact));
    }
    let has_address = facts.addresses.get()?.iter().any(|held| held.index == link.index && held.address.is_ipv4());
    Ok(match (value, has_address, back) {
        (_, false, _) => Passed::NoAddress(format!("{fact}; {} has no address, so that 2 drops them, too", link.name)),
        (2, true, Some(_)) => Passed::Yes(fact),
        _ => Passed::Strict(fact),
    })
}

fn finding(facts: &Facts, vip: IpAddr, link: &Link, found: &Passed) -> Result<Judgement, Skip> {
    let name = &link.name;
    let key = |which: &str| format!("net/ipv4/conf/{which}/rp_filter");
    let from = format!("/proc/sys/net/ipv4/conf/{{all,{name}}}/rp_filter, {ROUTES}");
    let (all, own) = (facts.settings.get(&key("all"))?, facts.settings.get(&key(name))?);
    let setting = sysctl_key(&key(name));
    Ok(match found {
        Passed::NoAddress(fact) if all == 0 => Judgement::fail(fact, from)
            .command(format!("sysctl -w {setting}=0"))
            .undo(format!("sysctl -w {setting}={own}")),
        Passed::NoAddress(fact) => {
            let address = Prefix::host(vip);
            Judgement::fail(fact, from)
                .command(format!("sysctl -w {setting}=2 && ip addr add {address} dev {name}"))
                .undo(format!("ip addr del {address} dev {name} && sysctl -w {setting}={own}"))
        }
        Passed::Strict(fact) | Passed::Yes(fact) => match facts.way_to_clients(vip)? {
            None => Judgement::fail(fact, from)
                .advice(format!("Set the router that clients are behind: ip route add default via ROUTER dev {name}")),
            Some(_) => Judgement::fail(fact, from)
                .command(format!("sysctl -w {setting}=2"))
                .undo(format!("sysctl -w {setting}={own}")),
        },
    })
}
