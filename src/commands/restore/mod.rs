//! `-R`.

pub(super) mod apply;
mod check;
mod confirm;
pub(super) mod exchange;
mod lenient;
pub(super) mod reorder;
pub(super) mod replace;

use std::path::Path;

use anyhow::Result;

use super::report::unless_interrupted;
use super::signals::{Hold, Interrupted};
use super::source::Source;
use super::{Output, status};
use super::{journal, lock};
use crate::grammar::{Faults, Json, LOCK_WAIT_DEFAULT, Restore, RestoreMode};
use crate::host::module;
use crate::view::json::{self, ReplaceDocument};
use exchange::Replaced;
use ipvs_client::Client;
use replace::{How, Replacement};

/// What is done for `--replace` with this file, over this client, with what is said and the signal that ends the program.
pub(super) fn replace_over(
    client: &mut Client,
    file: &Path,
    reorder: bool,
    say: &dyn Fn(&str),
) -> (Result<u8>, Option<i32>) {
    let hold = Hold::default();
    let source = Source::of(Some(file));
    let replacement = Replacement { source: &source, lock_wait: LOCK_WAIT_DEFAULT, hold: &hold, say };
    let outcome = lock::take(LOCK_WAIT_DEFAULT).and_then(|locked| {
        let desired = source.desired()?;
        replacement.carry_out(client, locked, desired, How::reorder(reorder), None)
    });
    let signal = hold.release().err().and_then(|error| error.downcast().ok());
    (outcome.map(|replaced| replaced.status), signal.map(|Interrupted(signal)| signal))
}

pub(super) fn run(restore: &Restore, lock_wait: u32, output: &mut Output) -> Result<u8> {
    let source = Source::of(restore.file.as_deref()).all_errors(restore.all_errors);
    match restore.mode {
        RestoreMode::Check => check::run(&source),
        RestoreMode::Replace(options) => {
            let hold = Hold::default();
            let replacement =
                Replacement { source: &source, lock_wait, hold: &hold, say: &|message| say!("{message}") };
            let desired = match options.faults {
                Faults::Refuse => source.desired()?,
                Faults::Skip | Faults::SkipIfEmpty => source.desired_with_faults()?,
            };
            let empties = desired.state.services.is_empty() && !options.dry_run;
            let replaced = replacement.run(desired, options, None, output);
            let Replaced { status, rest, copy, changes, excess, .. } = unless_interrupted(replaced, hold.release())?;
            if let Some(Json { pretty }) = options.json {
                json::write(&mut *output, "replace", &ReplaceDocument::new(options.dry_run, excess, changes), pretty)?;
            }
            if empties && status == status::OK {
                say!("{source}: no virtual service is in it: the table is empty now");
            }
            journal::report_to_people(copy.as_deref());
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
