//! `-S`, and the program ipvsadm-save.

use std::io::Write;

use anyhow::{Context, Result};

use super::list::labels;
use super::state::read_state;
use super::{Output, status};
use crate::grammar::Save;
use crate::host::file;
use crate::host::module;
use crate::kernel::Client;
use crate::model::{Change, ServiceKey};
use crate::plan::{RuleService, State};
use crate::view::rules;

pub(super) fn run(save: &Save, output: &mut Output) -> Result<u8> {
    let mut client = module::connect()?;
    match &save.file {
        None => save_with(&mut client, save, output)?,
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
    for RuleService { service, destinations } in &state.services {
        rules::service(output, &mut labels, &service.rule, destinations.iter().map(|destination| &destination.rule))?;
    }
    if save.all {
        rules::change(output, &mut labels, &Change::SetTimeouts(client.timeouts()?))?;
        for daemon in client.daemons()? {
            rules::change(output, &mut labels, &Change::StartDaemon(daemon))?;
        }
    }
    Ok(())
}
