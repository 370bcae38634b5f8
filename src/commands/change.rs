//! The commands that change something: one request to the kernel.

use anyhow::Result;

use super::{lock, status};
use crate::host::module;
use crate::model::Change;

pub(super) fn run(change: &Change, lock_wait: u32) -> Result<u8> {
    let mut client = module::connect()?;
    let _locked = lock::take(lock_wait)?;
    client.change(change)?;
    Ok(status::OK)
}
