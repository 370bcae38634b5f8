//! What several checks of a director share.

use crate::doctor::facts::Facts;
use crate::doctor::judgement::{Judged, Judgement, State};

/// Where the table is read.
pub(super) const TABLE: &str = "the kernel's table";

/// A setting that should have a value.
pub(super) fn setting(facts: &Facts, key: &str, wanted: i64, state: State) -> Judged {
    let value = facts.settings.get(key)?;
    let name = key.replace('/', ".");
    let mut found = Judgement::new(State::Ok, format!("{name} = {value}"), format!("/proc/sys/{key}"));
    if value != wanted {
        found.state = state;
        found = found.command(format!("sysctl -w {name}={wanted}")).undo(format!("sysctl -w {name}={value}"));
    }
    Ok(vec![found])
}
