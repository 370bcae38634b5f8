//! `-R --check`: what is wrong with rules, found without a kernel.

use anyhow::Result;

use crate::commands::source::Source;
use crate::commands::status;

/// Report what the kernel would refuse or quietly change. The status says whether there is anything.
pub(super) fn run(source: &Source<'_>) -> Result<u8> {
    let desired = source.desired()?;
    let mut findings: Vec<_> = desired.repetitions().collect();
    findings.extend(desired.doubtful);
    findings.extend(desired.refused.into_iter().map(|(line, finding)| (line, finding.message().to_owned())));
    findings.sort_by_key(|(line, _)| *line);
    let outcome = if findings.is_empty() { status::OK } else { status::FAILED };
    source.report(findings);
    Ok(outcome)
}
