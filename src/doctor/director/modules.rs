//! What has to be loaded into the kernel: IPVS, schedulers, persistence engines.

use std::collections::BTreeSet;

use ipvs_client::ServiceKey;

use super::setting::TABLE;
use crate::doctor::facts::{Blocked, Facts};
use crate::doctor::judgement::{Judged, Judgement, shell, unless_bad};

pub(in crate::doctor) fn ipvs(facts: &Facts) -> Judged {
    let from = facts.ipvs.from();
    let ipvs = facts.ipvs.get()?;
    if ipvs.present {
        return Ok(vec![match &ipvs.blocked {
            None => Judgement::ok("the netlink family IPVS is there", from),
            Some(blocked) => Judgement::warn(
                format!("the module ip_vs is loaded, but cannot be at the next boot: {}", blocked.line),
                &blocked.file,
            )
            .edit(&permit(blocked), &blocked.file, ""),
        }]);
    }
    Ok(vec![match &ipvs.blocked {
        None => {
            Judgement::fail("the module ip_vs is not loaded", from).command("modprobe ip_vs").undo("modprobe -r ip_vs")
        }
        Some(blocked) => {
            Judgement::fail(format!("the module ip_vs is not loaded, and forbidden: {}", blocked.line), &blocked.file)
                .edit(&permit(blocked), &blocked.file, " && modprobe ip_vs")
        }
    }])
}

/// The script for sed(1) that takes away what forbids a module.
fn permit(blocked: &Blocked) -> String {
    // Files spell names with either.
    let module = blocked.module.replace('_', "[-_]");
    format!("/^[[:space:]]*install[[:space:]]*{module}[[:space:]]/d")
}

pub(in crate::doctor) fn schedulers(facts: &Facts) -> Judged {
    let in_use: BTreeSet<_> =
        facts.table.value().into_iter().flat_map(|table| &table.services).map(|s| s.entry.service.scheduler).collect();
    let Some(rules) = facts.rules.get()? else {
        return Ok(vec![Judgement::ok(format!("{} in use", in_use.len()), TABLE)]);
    };
    let modules = facts.modules.get()?;
    let mut bad = Vec::new();
    // The scheduler that the service has now is as good as any to be saved.
    let at_work = |key: &ServiceKey| {
        let services = facts.table.value().into_iter().flat_map(|table| &table.services);
        let mut names = services.map(|service| service.entry.service).filter(|service| service.key == *key);
        names.next().map_or_else(|| "wlc".to_owned(), |service| service.scheduler.to_string())
    };
    let wanted = rules.schedulers.iter().map(|(line, key, name)| (*line, *name, "ip_vs_", "scheduler", at_work(key)));
    let engine = |(line, name): &(u32, _)| (*line, *name, "ip_vs_pe_", "persistence engine", String::new());
    let engines = rules.engines.iter().map(engine);
    for (line, name, prefix, kind, instead) in wanted.chain(engines) {
        if name.is_empty() || name.as_bytes() == b"none" || in_use.contains(&name) {
            continue;
        }
        let module = format!("{prefix}{}", name.text().replace('-', "_"));
        let path = shell(&rules.path);
        if let Some(blocked) = modules.blocked.iter().find(|blocked| blocked.module == module) {
            bad.push(
                Judgement::fail(
                    format!("line {line} of {path} asks for the {kind} {name}, but modprobe.d says: {}", blocked.line),
                    &blocked.file,
                )
                .edit(&permit(blocked), &blocked.file, ""),
            );
        } else if !modules.known.contains(&module) {
            let found = Judgement::fail(
                format!("line {line} of {path} asks for the {kind} {name}, and there is no module {module}"),
                facts.modules.from(),
            );
            bad.push(match kind {
                "scheduler" => {
                    found.edit(&format!("{line}s/\\(-s\\|--scheduler\\)[ =]*{name}/-s {instead}/"), &rules.path, "")
                }
                _ => found.advice(format!("Install the package with the module {module}.")),
            });
        }
    }
    unless_bad(bad, "all can be loaded", facts.modules.from())
}
