//! `-S`, and the program ipvsadm-save.

use std::ffi::{OsStr, OsString};
use std::io::Write;

use super::list::{addresses, labels};
use super::{Failure, Output, status};
use crate::kernel::Client;
use crate::view::rules;

pub(super) fn run(numeric: bool, output: &mut Output) -> Result<u8, Failure> {
    save_with(&mut Client::connect()?, numeric, output)?;
    Ok(status::OK)
}

/// The rules, over a client that is there already.
pub(super) fn save_with(client: &mut Client, numeric: bool, output: &mut Output) -> Result<(), Failure> {
    let mut table = client.table()?;
    table.sort();
    let mut labels = labels(numeric);
    labels.look_up(addresses(&table));
    for service in &table.services {
        let rule = &service.entry.service;
        rules::service(output, &mut labels, rule)?;
        for entry in &service.destinations {
            rules::destination(output, &mut labels, &rule.key, &entry.destination)?;
        }
    }
    Ok(())
}

/// `ipvsadm-save [-n]`
pub(super) fn as_program(program: &OsStr, arguments: &[OsString], output: &mut Output) -> Result<u8, Failure> {
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
    run(numeric, output)
}
