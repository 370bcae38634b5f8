//! From what is to what should be: rules as a set, and the fewest changes between two of them. Pure functions.
//!
//! A [`RuleSet`] is made of changes, by [`RuleSet::apply`], and becomes a [`State`]; [`difference`] of two of these is what has to
//! be done, and [`undo`] the way back from there.

mod difference;
pub mod drain;
mod limits;
mod order;
mod ruleset;
mod undo;

pub use difference::{Options, Phase, State, Step, difference};
pub(crate) use difference::{find, find_traced};
pub use limits::{Excess, check_limits};
pub use ruleset::{Finding, RuleService, RuleSet, Traced};
pub use undo::{Undo, undo};
