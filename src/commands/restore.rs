//! `-R`, and the program ipvsadm-restore.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};

use super::list::listing_with;
use super::save::save_with;
use super::{Failure, Output, status};
use crate::grammar::Request;
use crate::host::SystemNames;
use crate::kernel::{Client, Refusal};
use crate::model::Change;
use crate::rules::{self, Line};

/// What standard input is called in messages.
const SOURCE: &str = "<stdin>";

pub(super) fn run(output: &mut Output) -> Result<u8, Failure> {
    let lines = read()?;
    apply(&mut Client::connect()?, &lines, output)
}

/// `ipvsadm-restore`: standard input in place of what there is.
pub(super) fn as_program(program: &OsStr, arguments: &[OsString], output: &mut Output) -> Result<u8, Failure> {
    if !arguments.is_empty() {
        let name = program.to_string_lossy();
        writeln!(output, "Usage: {name} < RULES\nReplaces the virtual server table by the rules on standard input.")?;
        return Ok(status::FAILED);
    }
    let lines = read()?;
    let mut client = Client::connect()?;
    client.change(&Change::Flush)?;
    apply(&mut client, &lines, output)
}

/// Read and understand everything; what is wrong is told, all of it.
fn read() -> Result<Vec<Line>, Failure> {
    let mut text = Vec::new();
    io::stdin().lock().read_to_end(&mut text).map_err(|error| Failure::File(SOURCE.to_owned(), error))?;
    rules::parse(&text, &SystemNames::default()).map_err(|bad| {
        for line in bad {
            eprintln!("{SOURCE}:{line}");
        }
        Failure::Told(status::USAGE)
    })
}

/// Do what the lines say, in their order. What the kernel refuses is told, and the rest is done all the same.
fn apply(client: &mut Client, lines: &[Line], output: &mut Output) -> Result<u8, Failure> {
    let mut refused = status::OK;
    for run in lines.chunk_by(|a, b| is_change(a) == is_change(b)) {
        if is_change(&run[0]) {
            let mut batch = client.batch(|number: u32, refusal: Refusal| {
                refused = status::REFUSED;
                eprintln!("{SOURCE}:{number}: {refusal}");
            })?;
            for line in run {
                if let Request::Change(change) = &line.request {
                    batch.push(line.number, change)?;
                }
            }
            batch.finish()?;
        } else {
            for line in run {
                let outcome = match line.request {
                    Request::List(listing) => listing_with(client, &listing, output),
                    Request::Save { numeric } => save_with(client, numeric, output),
                    Request::Change(_) | Request::Restore | Request::Help | Request::Version => Ok(()),
                };
                match outcome {
                    Err(Failure::Kernel(crate::kernel::Error::Refused(refusal))) => {
                        refused = status::FAILED;
                        eprintln!("{SOURCE}:{}: {refusal}", line.number);
                    }
                    other => other?,
                }
            }
        }
    }
    Ok(refused)
}

fn is_change(line: &Line) -> bool {
    matches!(line.request, Request::Change(_))
}
