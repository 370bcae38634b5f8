//! `-S`.

use std::io::Write;

use anyhow::{Context, Result};

use super::list::labels;
use super::state::read_state;
use super::{Output, status};
use crate::grammar::Save;
use crate::host::file;
use crate::host::module;
use crate::kernel::Client;
use crate::model::{Change, DaemonRole, ServiceKey};
use crate::plan::{RuleService, State};
use crate::rules::{first_line, last_line};
use crate::view::rules;

pub(super) fn run(save: &Save, output: &mut Output) -> Result<u8> {
    let mut client = module::connect()?;
    match &save.file {
        None => {
            // Otherwise a script would take nothing for a backup.
            output.must_be_open()?;
            save_with(&mut client, save, output)?;
        }
        Some(path) => {
            // All of it first: looking names up takes its time, and what is begun then is done in a moment.
            let mut text = Vec::new();
            save_with(&mut client, save, &mut text).with_context(|| path.display().to_string())?;
            file::replace(path, &text).with_context(|| path.display().to_string())?;
        }
    }
    Ok(status::OK)
}

/// The rules, over a client that is there already.
pub(super) fn save_with(client: &mut Client, save: &Save, output: &mut impl Write) -> Result<()> {
    save_without(client, save, &[], output)
}

/// As [`save_with`], without the daemons of these roles.
pub(super) fn save_without(
    client: &mut Client,
    save: &Save,
    roles: &[DaemonRole],
    output: &mut impl Write,
) -> Result<()> {
    let state = read_state(client, &State::default())?;
    let mut labels = labels(save.numeric, save.resolve_timeout);
    labels.look_up(state.services.iter().flat_map(|service| {
        let servers = service.destinations.iter().map(|destination| destination.rule.key.address);
        service.service.rule.key.address().into_iter().chain(servers)
    }));
    labels.tell_services_apart(state.services.iter().filter_map(|service| match service.service.rule.key {
        ServiceKey::Address { protocol, address, port } => Some((address, port, protocol)),
        ServiceKey::Mark { .. } => None,
    }));
    if save.all {
        writeln!(output, "{}", first_line())?;
    }
    for RuleService { service, destinations } in &state.services {
        rules::service(output, &mut labels, &service.rule, destinations.iter().map(|destination| &destination.rule))?;
    }
    if save.all {
        let daemons = client.daemons()?.into_iter().filter(|daemon| !roles.contains(&daemon.role));
        let rest = [Change::SetTimeouts(client.timeouts()?)].into_iter().chain(daemons.map(Change::StartDaemon));
        let mut lines: usize = state.services.iter().map(|service| 1 + service.destinations.len()).sum();
        for change in rest {
            rules::change(output, &mut labels, &change)?;
            lines += 1;
        }
        writeln!(output, "{}", last_line(lines))?;
    }
    Ok(())
}
