//! `-R --check`: what is wrong with rules, found without a kernel.

use anyhow::Result;
use ipvs_client::mapping;
use ipvs_client::plan::RuleService;

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
fn refusing(service: &RuleService) -> impl Iterator<Item = (u32, String)> {
    let servers = &service.destinations;
    let refusing = mapping::refusing(&service.service.rule, servers.iter().map(|server| &server.rule));
    let line = |server| servers.iter().find(|one| one.rule.key == server).map_or(0, |one| one.line);
    refusing.into_iter().map(move |refusing| (line(refusing.server), refusing.to_string()))
}
