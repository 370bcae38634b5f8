//! The checks of a director: a file for each thing that they are about, which [`CHECKS`](super::CHECKS) names.

pub(super) mod connections;
pub(super) mod modules;
pub(super) mod packets;
pub(super) mod sizes;
pub(super) mod sync;
pub(super) mod table;
pub(super) mod vip;

use super::facts::Facts;
use super::{Judged, Judgement, State};

const TABLE: &str = "the kernel's table";

/// A setting that should have a value.
fn setting(facts: &Facts, key: &str, wanted: i64, state: State) -> Judged {
    let value = facts.settings.get(key)?;
    let name = key.replace('/', ".");
    let mut found = Judgement::new(State::Ok, format!("{name} = {value}"), format!("/proc/sys/{key}"));
    if value != wanted {
        found.state = state;
        found = found.command(format!("sysctl -w {name}={wanted}"));
    }
    Ok(vec![found])
}
