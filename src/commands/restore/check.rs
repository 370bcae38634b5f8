//! `-R --check`: what is wrong with rules, found without a kernel.

use anyhow::Result;
use ipvs_client::plan::{RuleService, Traced};
use ipvs_client::{Destination, mapping};

use crate::commands::drain::spare::refused_clients;
use crate::commands::source::Source;
use crate::commands::status;

/// Report what the kernel would refuse or quietly change. The status says whether there is anything.
pub(super) fn run(source: &Source<'_>) -> Result<u8> {
    let desired = source.desired()?;
    let mut findings: Vec<_> = desired.repetitions().collect();
    findings.extend(desired.doubtful);
    findings.extend(desired.refused.into_iter().map(|(line, finding)| (line, finding.message().to_owned())));
    let outcome = if findings.is_empty() { status::OK } else { status::FAILED };
    // These are rules that the kernel takes as they are.
    findings.extend(desired.state.services.iter().flat_map(refusing));
    findings.sort_by_key(|(line, _)| *line);
    source.report(findings);
    Ok(outcome)
}

/// The servers of a service whose clients are refused, by line.
fn refusing(service: &RuleService) -> Vec<(u32, String)> {
    let rule = service.service.rule;
    let servers = mapping::refusing(&rule, service.destinations.iter().map(|server| &server.rule));
    let is_one = |server: &&Traced<Destination>| servers.contains(&server.rule.key);
    let lines = service.destinations.iter().filter(is_one);
    lines.map(|server| (server.line, refused_clients(&rule, server.rule.key))).collect()
}
