//! What comes back at boot.

use std::net::IpAddr;

use super::{INCOMING, OUTGOING, no_vip, silenced, start, stop};
use crate::doctor::facts::{Facts, Vip};
use crate::doctor::judgement::{Judged, Judgement, shell, unless_bad};
use crate::doctor::quiet::{ANNOUNCE, IGNORE};
use crate::doctor::roles::redirection;
use crate::doctor::segment::{Bearing, bearing};
use crate::machine::SettingLine;

/// Programs that put virtual addresses on interfaces when they start.
const KEEPERS: &[&str] =
    &["keepalived", "ctdbd", "pacemakerd", "corosync", "kube-proxy", "kube-router", "kubelet", "vrrpd", "ucarp"];

/// The value that a setting gets at boot, and the line that gives it. A line for several by a `*` gives way to one for just
/// this, as with systemd-sysctl(8).
fn at_boot<'l>(lines: &'l [SettingLine], key: &str) -> Option<&'l SettingLine> {
    let is_meant = |line: &&SettingLine| {
        let (pattern, key) = (line.key.split('/'), key.split('/'));
        line.key.contains('*')
            && pattern.clone().count() == key.clone().count()
            && pattern.zip(key).all(|(part, word)| part == "*" || part == word)
    };
    lines.iter().rev().find(|line| line.key == key).or_else(|| lines.iter().rev().find(is_meant))
}

pub(in crate::doctor) fn boot(facts: &Facts) -> Judged {
    if facts.vips.is_empty() {
        return Err(no_vip());
    }
    // What is served by a rule does not come with an address.
    let vips: Vec<Vip> = facts.vips.iter().filter(|vip| redirection(facts, vip.address).is_none()).copied().collect();
    if vips.is_empty() {
        return Ok(vec![Judgement::note(
            "the address is served by a rule of the packet filter, which has to come back at boot",
            "the packet filter",
        )]);
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
            if vips.iter().all(|vip| matches!(bearing(facts, vip.address, link), Bearing::No(_))) {
                continue;
            }
            let of = |which: &str| at_boot(lines, &format!("net/ipv4/conf/{which}/{name}"));
            let value = |line: &SettingLine| line.value.parse::<i64>().unwrap_or_default();
            // The larger counts.
            match [of("all"), of(&link.name)].into_iter().flatten().max_by_key(|line| value(line)) {
                Some(line) if wanted.is_met_by(value(line)) => {}
                // What is so on purpose, as CTDB has it, and is the same now.
                Some(line)
                    if facts.settings.effective(name, &link.name) == Ok(value(line))
                        && !wanted.is_met_by(value(line)) => {}
                // Ours come before what an administrator wrote later by name.
                Some(line) => {
                    let found = Judgement::warn(
                        format!("{name} of {} will be {} at boot", link.name, line.value),
                        format!("{}:{}", line.file, line.number),
                    );
                    bad.push(match line.file.ends_with(".conf") && !line.key.contains('*') {
                        true => found.edit(&format!("{}s/=.*/= {}/", line.number, wanted.value), &line.file, ""),
                        false => {
                            found.advice(format!("Let line {} of {} make it {}.", line.number, line.file, wanted.value))
                        }
                    });
                }
                None => missing.push(format!("{name} of {}", link.name)),
            }
        }
    }
    let absent: Vec<IpAddr> =
        vips.iter().map(|vip| vip.address).filter(|address| !held.iter().any(|one| one.address == *address)).collect();
    missing.extend(absent.iter().map(ToString::to_string));
    if !missing.is_empty() {
        let from = format!("{}, {}", facts.boot_settings.from(), facts.boot_addresses.from());
        let fact = format!("at boot no file sets {}", missing.join(", "));
        if facts.runs(KEEPERS) {
            let why = "a program that runs here puts addresses on interfaces by itself";
            bad.push(Judgement::note(format!("{fact}; {why}"), from));
        } else {
            let all = if absent.is_empty() { vec![vips[0].address] } else { absent };
            bad.push(Judgement::warn(fact, from).command(start(facts, &all, true)).undo(stop(facts, &all)));
        }
    }
    unless_bad(bad, "they come back", facts.boot_settings.from())
}

pub(in crate::doctor) fn announcement(facts: &Facts) -> Judged {
    let files = facts.announced.get()?;
    if files.is_empty() {
        return Err(crate::doctor::judgement::Skip::does_not_apply("no network script puts the VIP on lo"));
    }
    let of = |file: &String| {
        let path = shell(file);
        Judgement::warn(format!("{file} lacks ARPUPDATE=no"), file)
            .command(format!("echo ARPUPDATE=no >> {path}"))
            .undo(format!("sed -i '$d' {path}"))
    };
    Ok(files.iter().map(of).collect())
}
