//! How the virtual address is kept out of ARP.

use std::net::IpAddr;

use super::{INCOMING, OUTGOING, ipv4, silenced, start, stop};
use crate::doctor::facts::{Fact, Facts};
use crate::doctor::judgement::{Judged, Judgement, Skip, State, sysctl_key, unless_bad};
use crate::doctor::passage::{ArpPassage, Fate};
use crate::doctor::quiet::{ANNOUNCE, ArpSetting, IGNORE, Wanted};
use crate::doctor::segment::{Bearing, bearing};
use crate::machine::{RouteKind, Scope};

/// What the kernel does not answer for where `arp_ignore` is 3: addresses of scope host.
const IGNORE_SCOPE_HOST: i64 = 3;

pub(in crate::doctor) fn arp_ignore(facts: &Facts) -> Judged {
    arp_setting(facts, IGNORE, INCOMING)
}

pub(in crate::doctor) fn arp_announce(facts: &Facts) -> Judged {
    arp_setting(facts, ANNOUNCE, OUTGOING)
}

/// A setting of the interfaces that speak ARP: what is wanted of it, unless rules for ARP do that work.
fn arp_setting(facts: &Facts, wanted: Wanted, rule: fn(&ArpPassage) -> &Fact<Fate>) -> Judged {
    let network = facts.network()?;
    let is_local = |vip: &IpAddr| {
        let by_route = || facts.path(*vip).is_ok_and(|path| path.is_some_and(|route| route.kind == RouteKind::Local));
        network.places(*vip).next().is_some() || by_route()
    };
    let vips: Vec<IpAddr> = ipv4(facts)?.iter().map(|vip| vip.address).collect();
    let loud: Vec<IpAddr> = vips.iter().copied().filter(|vip| !silenced(facts, *vip, rule)).collect();
    if loud.is_empty() {
        return Err(Skip::does_not_apply("rules for ARP do that (R10)"));
    }
    // What is not this machine's is not answered for.
    let local: Vec<IpAddr> = loud.iter().copied().filter(is_local).collect();
    if local.is_empty() {
        return Err(Skip::does_not_apply(format!("{} is not this machine's", listed(&loud))));
    }
    let name = wanted.name;
    let (mut bad, mut good) = (Vec::new(), Vec::new());
    for setting in wanted.on(facts.links.get()?, |key| facts.settings.get(key))? {
        let fact = format!("{name} is {} on {}", setting.value(), setting.link.name);
        let spoken: Vec<IpAddr> = local.iter().copied().filter(|vip| !is_met(facts, &setting, *vip)).collect();
        let Some(first) = spoken.first() else {
            good.push(fact);
            continue;
        };
        let (state, why) = match bearing(facts, *first, setting.link) {
            Bearing::Certain => (State::Fail, String::new()),
            Bearing::Possible => {
                (State::Warn, format!("; whether a director or router of {first} is on its segment is not known"))
            }
            Bearing::No(why) => {
                good.push(format!("{fact}: {why}"));
                continue;
            }
        };
        let from = format!("/proc/sys/net/ipv4/conf/{{all,{}}}/{name}", setting.link.name);
        let (command, undo) = quieten(facts, &setting, &spoken);
        bad.push(Judgement::new(state, format!("{fact}{why}"), from).command(command).undo(undo));
    }
    // One command fixes all.
    bad.sort_by_key(|found| std::cmp::Reverse(found.state));
    bad.dedup_by(|a, b| a.fix == b.fix);
    if bad.is_empty() && good.is_empty() {
        good.push("no interface speaks ARP".to_owned());
    }
    unless_bad(bad, good.join(", "), "/proc/sys/net/ipv4/conf")
}

/// Whether an interface is quiet about an address.
fn is_met(facts: &Facts, setting: &ArpSetting<'_>, vip: IpAddr) -> bool {
    let places = || facts.network().into_iter().flat_map(move |network| network.places(vip));
    let of_scope_host = places().next().is_some() && places().all(|place| place.held.scope == Scope::Host);
    setting.is_met() || (setting.wanted == IGNORE && of_scope_host && setting.value() == IGNORE_SCOPE_HOST)
}

/// The command that makes an interface quiet, and what takes it back.
fn quieten(facts: &Facts, setting: &ArpSetting<'_>, vips: &[IpAddr]) -> (String, String) {
    let (wanted, link) = (setting.wanted, setting.link);
    let key = |which: &str| sysctl_key(&wanted.key(which));
    let (mut own, mut fix, mut undo) = (setting.own, Vec::new(), Vec::new());
    // What is set for all, as start does it, leaves it to an interface to answer after all.
    if setting.own_is_in_the_way() {
        own = wanted.value;
        fix.push(format!("sysctl -w {}={own}", key(&link.name)));
        undo.push(format!("sysctl -w {}={}", key(&link.name), setting.own));
    }
    if !wanted.is_met_by(own.max(setting.all)) {
        // `realserver start` refuses an address that is on an interface which answers ARP: R4 is about that.
        let is_quiet = |vip: &&IpAddr| facts.network().is_ok_and(|network| network.exposed(**vip).next().is_none());
        let startable: Vec<IpAddr> = vips.iter().filter(is_quiet).copied().collect();
        match startable.is_empty() {
            true => {
                fix.push(format!("sysctl -w {}={}", key("all"), wanted.value));
                undo.push(format!("sysctl -w {}={}", key("all"), setting.all));
            }
            false => {
                fix.push(start(facts, &startable, false));
                undo.push(stop(facts, &startable));
            }
        }
    }
    undo.reverse();
    (fix.join(" && "), undo.join(" && "))
}

fn listed(vips: &[IpAddr]) -> String {
    vips.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

pub(in crate::doctor) fn arp_rules(facts: &Facts) -> Judged {
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
        let link = facts.links.get()?.iter().find(|link| link.name == passage.interface);
        if link.is_some_and(|link| matches!(bearing(facts, passage.vip, link), Bearing::No(_))) {
            continue;
        }
        let is_met = |wanted: Wanted| {
            facts.settings.effective(wanted.name, &passage.interface).map(|value| wanted.is_met_by(value))
        };
        let quiet = is_met(IGNORE)? && is_met(ANNOUNCE)?;
        if !quiet && !silent.is_empty() {
            let of = |wanted: Wanted| facts.settings.get(&wanted.key("all"));
            bad.push(
                Judgement::fail(format!("the rules stop some ARP for the VIP, but not {what}"), first.incoming.from())
                    .command("sysctl -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2")
                    .undo(format!(
                        "sysctl -w net.ipv4.conf.all.arp_ignore={} net.ipv4.conf.all.arp_announce={}",
                        of(IGNORE)?,
                        of(ANNOUNCE)?
                    )),
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
