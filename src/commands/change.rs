//! The commands that change something: one request to the kernel.

use std::io::{IsTerminal as _, stderr};
use std::path::PathBuf;

use anyhow::Result;
use ipvs_client::{Change, Client, plan::State};

use super::drain::spare;
use super::journal::{self, Copy};
use super::restore::reorder;
use super::signals::Hold;
use super::{lock, status};
use crate::host::module;

pub(super) fn run(change: &Change, lock_wait: u32) -> Result<u8> {
    let mut client = module::connect()?;
    let locked = lock::take(lock_wait)?;
    if matches!(change, Change::Flush) {
        let hold = Hold::default();
        let copy = clear(&mut client, &State::default(), &hold)?;
        hold.release()?;
        journal::report_to_people(copy.as_deref());
    } else {
        client.change(change)?;
    }
    drop(locked);
    hint(&mut client, change);
    Ok(status::OK)
}

/// Say at a terminal what a change does to clients that it is not known for: a weight of 0, and a server that is added.
fn hint(client: &mut Client, change: &Change) {
    let hint = match change {
        Change::EditDestination(key, server) if server.weight == 0 && stderr().is_terminal() => {
            spare::hint(client, key, server.key)
        }
        Change::AddDestination(key, server) if stderr().is_terminal() => {
            reorder::hint_of_added(client, key, server.key)
        }
        _ => None,
    };
    if let Some(hint) = hint {
        say!("{hint}");
    }
}

/// Clear the table after writing down what it has, and of daemons and timeouts those that `like` has. Returns where that is.
pub(super) fn clear(client: &mut Client, like: &State, hold: &Hold) -> Result<Option<PathBuf>> {
    let copy = Copy::read(client, like)?;
    hold.begin()?;
    match client.change(&Change::Flush) {
        Ok(()) => Ok(copy.finish(true)),
        Err(error) => {
            copy.discard();
            Err(error.into())
        }
    }
}
