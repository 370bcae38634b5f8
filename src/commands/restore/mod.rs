//! `-R`.

mod apply;
mod check;
mod confirm;
pub(super) mod replace;

use anyhow::Result;

use super::Output;
use super::source::Source;
use crate::grammar::{Restore, RestoreMode};
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
