//! `-R`.

pub(super) mod apply;
mod check;
mod confirm;
pub(super) mod replace;

use anyhow::Result;

use super::journal;
use super::signals::Hold;
use super::source::Source;
use super::told::unless_interrupted;
use super::{Output, status};
use crate::grammar::{Restore, RestoreMode};
use crate::host::module;
use replace::{Replaced, Replacement};

pub(super) fn run(restore: &Restore, lock_wait: u32, output: &mut Output) -> Result<u8> {
    let source = Source::of(restore.file.as_deref()).all_errors(restore.all_errors);
    match restore.mode {
        RestoreMode::Check => check::run(&source),
        RestoreMode::Replace(options) => {
            let hold = Hold::default();
            let replacement = Replacement { source: &source, lock_wait, hold: &hold };
            let desired = source.desired()?;
            let empties = desired.state.services.is_empty() && !options.dry_run;
            let replaced = replacement.run(desired, options, None, output);
            let Replaced { status, rest, copy } = unless_interrupted(replaced, hold.release())?;
            if empties && status == status::OK {
                say!("{source}: no virtual service is in it: the table is empty now");
            }
            journal::tell_people(copy.as_deref());
            if rest.is_empty() {
                return Ok(status);
            }
            // It is done in the lines' order, now that the rules are there.
            let outcome = apply::run(&mut module::connect()?, &rest, &source, lock_wait, output)?;
            Ok(if outcome == status::OK { status } else { status::FAILED })
        }
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
