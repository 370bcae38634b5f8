//! `service status`: the table, and whether all of the rules are loaded.

use std::io::Write as _;

use anyhow::Result;
use ipvs_client::Daemon;
use serde::Serialize;

use super::notes;
use crate::commands::{Output, list, status};
use crate::grammar::Listing;
use crate::host::module;
use crate::host::sysconfig::Settings;
use crate::view::{json, text};

/// Exit statuses of `status` as the Linux Standard Base has them for init scripts.
pub(super) mod lsb {
    /// The program is not running.
    pub(in crate::commands::service) const NOT_RUNNING: u8 = 3;
    /// Whether it runs is unknown.
    pub(in crate::commands::service) const UNKNOWN: u8 = 4;
}

/// What `status --json` prints.
#[derive(Serialize)]
struct Status {
    /// Whether there is a virtual service or a daemon.
    running: bool,
    /// Whether the kernel has IPVS now.
    ipvs_loaded: bool,
    /// Virtual services in the table.
    virtual_services: usize,
    /// Real servers of all of them.
    real_servers: usize,
    /// The synchronisation daemons that run.
    daemons: Vec<RunningDaemon>,
    /// The file of rules.
    rules_file: String,
    /// What could not be loaded of it, as it was reported.
    not_loaded: Vec<String>,
}

#[derive(Serialize)]
struct RunningDaemon {
    role: &'static str,
    interface: String,
    sync_id: u32,
}

pub(super) fn print(as_json: Option<bool>, output: &mut Output) -> Result<u8> {
    let settings = Settings::read()?;
    let mut found = Status {
        running: false,
        ipvs_loaded: module::is_loaded(),
        virtual_services: 0,
        real_servers: 0,
        daemons: Vec::new(),
        rules_file: settings.rules.display().to_string(),
        not_loaded: notes::not_loaded(),
    };
    if found.ipvs_loaded {
        let mut client = module::connect()?;
        let services = client.service_rules()?;
        found.virtual_services = services.len();
        if as_json.is_some() {
            for service in services {
                found.real_servers += client.destination_rules(&service.key)?.map_or(0, |servers| servers.len());
            }
        }
        let daemons = client.daemons()?;
        found.daemons = daemons.iter().map(RunningDaemon::from).collect();
        found.running = found.virtual_services > 0 || !daemons.is_empty();
        if as_json.is_none() {
            let listing = Listing { numeric: settings.status_numeric, ..Listing::DEFAULT };
            list::listing_with(&mut client, &listing, output)?;
            for daemon in &daemons {
                text::daemon(output, daemon)?;
            }
            if let [_, ..] = &found.not_loaded[..] {
                writeln!(output, "Not loaded:")?;
                found.not_loaded.iter().try_for_each(|line| writeln!(output, "{line}"))?;
            }
        }
    } else if as_json.is_none() {
        writeln!(output, "IPVS is not loaded.")?;
    }
    if let Some(pretty) = as_json {
        json::write(&mut *output, "service_status", &found, pretty)?;
    }
    Ok(if found.running { status::OK } else { lsb::NOT_RUNNING })
}

impl From<&Daemon> for RunningDaemon {
    fn from(daemon: &Daemon) -> Self {
        let interface = daemon.interface.text().into_owned();
        Self { role: daemon.role.name(), interface, sync_id: daemon.sync_id }
    }
}
