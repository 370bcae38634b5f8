//! A director and its backup: the sync daemons, and that only one directs.

use ipvs_client::{Change, DaemonRole, Forwarding};

use super::setting::setting;
use crate::doctor::facts::Facts;
use crate::doctor::firewall::passages;
use crate::doctor::judgement::{Judged, Judgement, Skip, State, unless_bad};
use crate::machine::{Address, Prefix, RouteKind};

pub(in crate::doctor) fn backup_only(facts: &Facts) -> Judged {
    let is_backup = facts.daemons.get()?.iter().any(|daemon| daemon.role == DaemonRole::Backup);
    if !is_backup {
        return Err(Skip::does_not_apply("no backup daemon runs here"));
    }
    let is_local =
        |address| facts.path(address).is_ok_and(|path| path.is_some_and(|route| route.kind == RouteKind::Local));
    // Newer kernels do not say Local, but find out packet by packet.
    let serves = facts.servers()?.iter().map(|(_, entry)| entry.destination).any(|server| {
        server.forwarding == Forwarding::Local
            || (server.forwarding == Forwarding::DirectRoute && is_local(server.key.address))
    }) || facts
        .vips
        .iter()
        .any(|vip| facts.network().is_ok_and(|network| network.quiet(vip.address).next().is_some()));
    if !serves {
        return Err(Skip::does_not_apply("this director is not a real server"));
    }
    setting(facts, "net/ipv4/vs/backup_only", 1, State::Fail)
}

pub(in crate::doctor) fn daemons(facts: &Facts) -> Judged {
    let daemons = facts.daemons.get()?;
    let from = facts.daemons.from();
    if daemons.is_empty() {
        return Err(Skip::does_not_apply("no sync daemon runs here"));
    }
    let links = facts.links.get()?;
    let mut bad = Vec::new();
    let mut unheard = Vec::new();
    for daemon in daemons {
        let (role, name) = (daemon.role.name(), daemon.interface.text());
        let Some(link) = links.iter().find(|link| link.name == name) else {
            let fact = format!("the {role} daemon's interface {name} is gone");
            bad.push(
                Judgement::fail(fact, from)
                    .changes([Change::StopDaemon(*daemon)])
                    .undo_changes([Change::StartDaemon(*daemon)]),
            );
            continue;
        };
        if !link.flags.is_up() {
            let fact = format!("the {role} daemon's interface {name} is down");
            bad.push(
                Judgement::fail(fact, facts.links.from())
                    .command(format!("ip link set {name} up"))
                    .undo(format!("ip link set {name} down")),
            );
        } else if !link.flags.is_multicast() {
            let fact = format!("the {role} daemon's interface {name} does not multicast");
            bad.push(
                Judgement::fail(fact, facts.links.from())
                    .command(format!("ip link set {name} multicast on"))
                    .undo(format!("ip link set {name} multicast off")),
            );
        }
        let Some(heard) =
            facts.probe.as_ref().and_then(|probe| probe.sync_ids.value().zip(Some(probe.sync_ids.from())))
        else {
            continue;
        };
        if daemon.role != DaemonRole::Backup {
            continue;
        }
        let (ids, heard_on) = heard;
        let takes = |id: &u8| u32::from(*id) == daemon.sync_id;
        if ids.is_empty() {
            unheard.push(name);
        } else if daemon.sync_id != 0 && !ids.iter().any(takes) {
            // A backup with id 0 takes from all.
            let sent = u32::from(ids[0]);
            let fact = format!("the backup daemon waits for sync id {}, but the master sends {sent}", daemon.sync_id);
            let mut right = *daemon;
            right.sync_id = sent;
            bad.push(
                Judgement::fail(fact, heard_on)
                    .changes([Change::StopDaemon(*daemon), Change::StartDaemon(right)])
                    .undo_changes([Change::StopDaemon(right), Change::StartDaemon(*daemon)]),
            );
        }
    }
    let list: Vec<_> =
        daemons.iter().map(|d| format!("{} on {}, id {}", d.role.name(), d.interface, d.sync_id)).collect();
    if !bad.is_empty() {
        return Ok(bad);
    }
    // Connections that came by messages show that they come.
    let synced: u64 = facts.progress.value().into_iter().flatten().map(|one| one.synced).sum();
    let is_backup = daemons.iter().any(|daemon| daemon.role == DaemonRole::Backup);
    if is_backup && synced == 0 {
        let why = match (&facts.probe, unheard.is_empty()) {
            (Some(_), false) => "no message of a master was heard; one that has nothing to report sends none",
            (Some(_), true) => return unless_bad(bad, list.join("; "), from),
            (None, _) => "no connection came from a master yet; --probe listens for its messages",
        };
        return Err(Skip(format!("{}: {why}", list.join("; "))));
    }
    let came = if synced > 0 { format!("; {synced} connections came from the master") } else { String::new() };
    unless_bad(bad, format!("{}{came}", list.join("; ")), from)
}

/// Whether the packet filter lets the messages of sync daemons and of VRRP through.
pub(in crate::doctor) fn passes(facts: &Facts) -> Judged {
    passages(facts, &facts.cluster, "neither a sync daemon nor keepalived runs here")
}

/// Nothing shows who sent a sync message: where clients are, each of them can make connections.
pub(in crate::doctor) fn apart_from_clients(facts: &Facts) -> Judged {
    let daemons = facts.daemons.get()?;
    let backups: Vec<_> = daemons.iter().filter(|daemon| daemon.role == DaemonRole::Backup).collect();
    if backups.is_empty() {
        return Err(Skip::does_not_apply("no backup daemon runs here"));
    }
    let links = facts.links.get()?;
    let (addresses, routes) = (facts.addresses.get()?, facts.routes.get()?);
    let mut bad = Vec::new();
    for daemon in &backups {
        let name = daemon.interface.text();
        // That it is gone is another check's.
        let Some(link) = links.iter().find(|link| link.name == name) else { continue };
        let network = |held: &Address| Prefix { address: held.address, length: held.prefix };
        let of_vip = addresses
            .iter()
            .filter(|held| held.index == link.index)
            .find_map(|held| facts.vips.iter().find(|vip| network(held).contains(vip.address)));
        let is_default = routes.iter().any(|route| {
            route.destination.length == 0 && route.kind == RouteKind::Unicast && route.output == Some(link.index)
        });
        let reached = match of_vip {
            Some(vip) => format!("the VIP {} is in its network", vip.address),
            None if is_default => "the default route leads there".to_owned(),
            None => continue,
        };
        let fact = format!("the backup daemon listens on {name}, where clients are: {reached}");
        bad.push(Judgement::warn(fact, facts.addresses.from()).advice(
            "Run both sync daemons on an interface between the directors only, or let the packet filter take UDP port \
             8848 from the other director only.",
        ));
    }
    let list: Vec<_> = backups.iter().map(|daemon| format!("backup on {}", daemon.interface)).collect();
    unless_bad(bad, list.join("; "), facts.daemons.from())
}
