//! The commands that change something: one request to the kernel.

use anyhow::Result;

use super::status;
use crate::kernel::Client;
use crate::model::Change;

pub(super) fn run(change: &Change) -> Result<u8> {
    Client::connect()?.change(change)?;
    Ok(status::OK)
}
