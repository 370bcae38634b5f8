//! `-R`, and the program ipvsadm-restore.

mod apply;
mod check;
mod confirm;
pub(super) mod replace;

use std::ffi::{OsStr, OsString};
use std::io::Write;

use anyhow::Result;

use super::source::Source;
use super::{Output, status};
use crate::grammar::{self, LOCK_WAIT_DEFAULT, Restore, RestoreMode};
use crate::host::module;

pub(super) fn run(restore: &Restore, lock_wait: u32, output: &mut Output) -> Result<u8> {
    let source = Source::of(restore.file.as_deref());
    match restore.mode {
        RestoreMode::Check => check::run(&source),
        RestoreMode::Replace(options) => replace::run(&source, options, lock_wait, output),
        RestoreMode::Apply => {
            let mut lines = Vec::new();
            source.read(|line| lines.push(line))?;
            let mut client = module::connect()?;
            if lines.is_empty() {
                // Nothing would be asked of the kernel, and who may not restore would not hear of it.
                client.info()?;
            }
            apply::run(&mut client, &lines, &source, lock_wait, output)
        }
    }
}

/// `ipvsadm-restore`: standard input in place of what there is.
pub(super) fn as_program(program: &OsStr, arguments: &[OsString], output: &mut Output) -> Result<u8> {
    if !arguments.is_empty() {
        let name = program.to_string_lossy();
        writeln!(output, "Usage: {name} < RULES\nReplaces the virtual server table by the rules on standard input.")?;
        return Ok(status::FAILED);
    }
    run(&Restore { file: None, mode: RestoreMode::Replace(grammar::Replace::default()) }, LOCK_WAIT_DEFAULT, output)
}
