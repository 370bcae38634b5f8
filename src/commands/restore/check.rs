//! `-R --check`: what is wrong with rules, told without a kernel.

use super::{Rules, status};
use crate::grammar::table::{Completion, Flag, OPTIONS};
use crate::model::{Change, SchedulerName};

/// Tell what the kernel would refuse or quietly change. The status says whether there is anything.
pub(super) fn run(rules: &Rules) -> u8 {
    let (_, refused) = rules.state();
    let mut findings: Vec<(u32, String)> =
        refused.into_iter().map(|(line, finding)| (line, finding.message().to_owned())).collect();
    for line in &rules.lines {
        if let Some(port) = line.replaced_port {
            findings.push((
                line.number,
                format!("port {port} has no effect: without -m the packet keeps the service's port"),
            ));
        }
        if let Some(Change::AddService(service) | Change::EditService(service)) = line.change()
            && !known(service.scheduler)
        {
            findings.push((line.number, format!("unknown scheduler `{}'", service.scheduler)));
        }
    }
    findings.sort_by_key(|(line, _)| *line);
    let mut text = String::new();
    for (line, message) in &findings {
        text.push_str(&format!("{}:{line}: {message}\n", rules.source));
    }
    if !text.is_empty() {
        say!("{}", text.trim_end());
    }
    if findings.is_empty() { status::OK } else { status::FAILED }
}

/// Whether the Linux kernel has a scheduler of this name. `none` leaves a service without one.
fn known(scheduler: SchedulerName) -> bool {
    let spec = OPTIONS.iter().find(|spec| spec.flag == Flag::Scheduler);
    let Some(Completion::Words(words)) = spec.map(|spec| spec.completion) else { return true };
    scheduler.as_bytes() == b"none" || words.iter().any(|word| word.as_bytes() == scheduler.as_bytes())
}
