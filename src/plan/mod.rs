//! From what is to what should be: rules as a set, and the fewest changes between two of them. Pure functions.

mod difference;
pub mod drain;
mod ruleset;

pub use difference::{Options, State, Step, difference, undo};
pub use ruleset::{Finding, RuleService, RuleSet, Traced};
