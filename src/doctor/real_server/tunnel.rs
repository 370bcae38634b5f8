//! Tunnels from the director, and what cannot be seen from here.

use super::super::reverse_path::is_tunnel;
use crate::doctor::facts::Facts;
use crate::doctor::judgement::{Judged, Judgement, Skip, unless_bad};
use crate::doctor::quiet::speakers;

pub(in crate::doctor) fn tunnel(facts: &Facts) -> Judged {
    let links = facts.links.get()?;
    let mut seen = Vec::new();
    let mut bad = Vec::new();
    for vip in &facts.vips {
        seen.extend(facts.network()?.places(vip.address).map(|place| place.link).filter(|link| is_tunnel(link)));
    }
    if seen.is_empty() {
        return Err(Skip::does_not_apply("no VIP is on a tunnel"));
    }
    seen.sort_by_key(|link| link.index);
    seen.dedup_by_key(|link| link.index);
    let from = facts.links.from();
    let mut good = Vec::new();
    for link in seen {
        let name = &link.name;
        if !link.flags.is_up() {
            bad.push(
                Judgement::fail(format!("{name} is down"), from)
                    .command(format!("ip link set {name} up"))
                    .undo(format!("ip link set {name} down")),
            );
            continue;
        }
        // The outer IPv4 header has 20 bytes.
        let widest = speakers(links).map(|link| link.mtu).max().unwrap_or(1500);
        let room = widest.saturating_sub(20);
        if link.mtu > room {
            bad.push(
                Judgement::warn(format!("{name} takes {} bytes, but only {room} fit into a packet", link.mtu), from)
                    .command(format!("ip link set {name} mtu {room}"))
                    .undo(format!("ip link set {name} mtu {}", link.mtu)),
            );
        } else {
            good.push(format!("{name} is up, for packets of up to {} bytes", link.mtu));
        }
    }
    unless_bad(bad, good.join(", "), from)
}

pub(in crate::doctor) fn spoofing(_: &Facts) -> Judged {
    Err(Skip("cannot be read from here: in a virtual machine or cloud, allow the VIP as a source address of this machine's port".to_owned()))
}
