//! `-S`, and the program ipvsadm-save.

use std::ffi::{OsStr, OsString};
use std::io::Write;

use anyhow::{Context, Result};

use super::list::{addresses, labels};
use super::{Output, status};
use crate::grammar::Save;
use crate::host::file;
use crate::kernel::Client;
use crate::model::Change;
use crate::view::rules;

pub(super) fn run(save: &Save, output: &mut Output) -> Result<u8> {
    let mut client = Client::connect()?;
    match &save.file {
        None => save_with(&mut client, save, output)?,
        Some(path) => file::replace(path, |file| save_with(&mut client, save, file))
            .with_context(|| path.display().to_string())?,
    }
    Ok(status::OK)
}

/// The rules, over a client that is there already.
pub(super) fn save_with(client: &mut Client, save: &Save, output: &mut impl Write) -> Result<()> {
    let mut table = client.table()?;
    table.sort();
    let mut labels = labels(save.numeric);
    labels.look_up(addresses(&table));
    for service in &table.services {
        let rule = service.entry.service;
        rules::change(output, &mut labels, &Change::AddService(rule))?;
        for entry in &service.destinations {
            rules::change(output, &mut labels, &Change::AddDestination(rule.key, entry.destination))?;
        }
    }
    if save.all {
        rules::change(output, &mut labels, &Change::SetTimeouts(client.timeouts()?))?;
        for daemon in client.daemons()? {
            rules::change(output, &mut labels, &Change::StartDaemon(daemon))?;
        }
    }
    Ok(())
}

/// `ipvsadm-save [-n]`
pub(super) fn as_program(program: &OsStr, arguments: &[OsString], output: &mut Output) -> Result<u8> {
    let numeric = match arguments {
        [] => false,
        [option] if option == "-n" => true,
        _ => {
            let name = program.to_string_lossy();
            writeln!(output, "Usage: {name} [-n]\nWrites the virtual server table to standard output, as rules.")?;
            writeln!(output, "  -n  addresses and ports as numbers")?;
            return Ok(status::FAILED);
        }
    };
    run(&Save { numeric, all: false, file: None }, output)
}
