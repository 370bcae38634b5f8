//! `-S`.

use std::io::Write;

use anyhow::{Context, Result};
use ipvs_client::{Change, Client, DaemonRole, ServiceKey, plan::State};

use super::labels::NamedLabels;
use super::state::{has_order, read_state, servers_to_restore};
use super::{Output, lock, status};
use crate::escape::escaped;
use crate::grammar::Save;
use crate::host::file;
use crate::host::module;
use crate::rules::{first_line, last_line};
use crate::view::rules;

pub(super) fn run(save: &Save, lock_wait: u32, output: &mut Output) -> Result<u8> {
    let mut client = module::connect()?;
    // A table that is being changed by us is none that there should be. Names are looked up when others can go on.
    let locked = lock::take_to_read(lock_wait)?;
    let saved = Saved::read(&mut client, save, &[]);
    drop(locked);
    match &save.file {
        None => {
            // Otherwise a script would take nothing for a backup.
            output.must_be_open()?;
            saved?.write(save, output)?;
        }
        Some(path) => {
            // All of it first: looking names up takes its time, and what is begun then is done in a moment.
            let mut text = Vec::new();
            saved.and_then(|saved| saved.write(save, &mut text)).with_context(|| escaped(path).into_owned())?;
            let lost = file::replace(path, &text).with_context(|| escaped(path).into_owned())?;
            for what in lost {
                say!("{}: {what}", escaped(path));
            }
        }
    }
    Ok(status::OK)
}

/// The rules, over a client that is there already. If the table is to be locked, it is.
pub(super) fn save_with(client: &mut Client, save: &Save, output: &mut impl Write) -> Result<()> {
    Saved::read(client, save, &[])?.write(save, output)
}

/// All that is written.
pub(super) struct Saved {
    state: State,
    /// Timeouts and daemons.
    rest: Vec<Change>,
}

impl Saved {
    /// Read it, without the daemons of these roles. If the table is to be locked, it is.
    pub(super) fn read(client: &mut Client, save: &Save, without: &[DaemonRole]) -> Result<Self> {
        let mut state = read_state(client, &State::default())?;
        let mut rest = Vec::new();
        state.keeps_order = save.all && state.services.iter().any(has_order);
        if save.all {
            rest.push(Change::SetTimeouts(client.timeouts()?));
            let daemons = client.daemons()?.into_iter().filter(|daemon| !without.contains(&daemon.role));
            rest.extend(daemons.map(Change::StartDaemon));
        }
        Ok(Self { state, rest })
    }

    /// Write it as rules.
    pub(super) fn write(&self, save: &Save, output: &mut impl Write) -> Result<()> {
        let services = &self.state.services;
        let mut labels = NamedLabels::new(save.numeric, save.resolve_timeout).restorable();
        labels.look_up(services.iter().flat_map(|service| {
            let servers = service.destinations.iter().map(|destination| destination.rule.key.address);
            service.service.rule.key.address().into_iter().chain(servers)
        }));
        labels.distinguish_services(services.iter().filter_map(|service| match service.service.rule.key {
            ServiceKey::Address { protocol, address, port } => Some((address, port, protocol)),
            ServiceKey::Mark { .. } => None,
        }));
        if save.all {
            writeln!(output, "{}", first_line(self.state.keeps_order))?;
        }
        for service in services {
            let servers = servers_to_restore(&self.state, service);
            rules::service(output, &mut labels, &service.service.rule, servers)?;
        }
        for change in &self.rest {
            rules::change(output, &mut labels, change)?;
        }
        if save.all {
            let of_services: usize = services.iter().map(|service| 1 + service.destinations.len()).sum();
            writeln!(output, "{}", last_line(of_services + self.rest.len()))?;
        }
        Ok(())
    }
}
