//! `-R --check`: what is wrong with rules, told without a kernel.

use anyhow::Result;

use super::{Source, status};
use crate::grammar::table::{Completion, Flag, OPTIONS};
use crate::model::SchedulerName;

/// Tell what the kernel would refuse or quietly change. The status says whether there is anything.
pub(super) fn run(source: &Source<'_>) -> Result<u8> {
    let wanted = source.wanted()?;
    let mut findings = wanted.changed;
    findings.extend(wanted.refused.into_iter().map(|(line, finding)| (line, finding.message().to_owned())));
    findings.sort_by_key(|(line, _)| *line);
    let outcome = if findings.is_empty() { status::OK } else { status::FAILED };
    source.tell(findings);
    Ok(outcome)
}

/// Whether the Linux kernel has a scheduler of this name. `none` leaves a service without one.
pub(super) fn known(scheduler: SchedulerName) -> bool {
    let spec = OPTIONS.iter().find(|spec| spec.flag == Flag::Scheduler);
    let Some(Completion::Words(words)) = spec.map(|spec| spec.completion) else { return true };
    scheduler.as_bytes() == b"none" || words.iter().any(|word| word.as_bytes() == scheduler.as_bytes())
}
