//! The commands that change something: one request to the kernel.

use super::{Failure, status};
use crate::kernel::Client;
use crate::model::Change;

pub(super) fn run(change: &Change) -> Result<u8, Failure> {
    Client::connect()?.change(change)?;
    Ok(status::OK)
}
