//! From what is to what should be: rules as a set, and the fewest changes between two of them. Pure functions.
//!
//! A [`RuleSet`] is made of changes, by [`RuleSet::apply`], and becomes a [`State`]; [`difference`] of two of these is what has to
//! be done, and [`undo`] the way back from there.
//!
//! ```
//! use ipvsadm_rs::host::SystemNames;
//! use ipvsadm_rs::plan::{Options, RuleSet, State, difference};
//! use ipvsadm_rs::{rules, view};
//!
//! fn state(text: &str) -> Result<State, rules::ReadError> {
//!     let mut set = RuleSet::new();
//!     rules::read(text.as_bytes(), &SystemNames::default(), |line| {
//!         if let Some(change) = line.change() {
//!             // An error is what the kernel would refuse the line for.
//!             assert_eq!(set.apply(change, line.number), Ok(()));
//!         }
//!     })?;
//!     Ok(State { services: set.finish(), ..State::default() })
//! }
//!
//! let have = state("-A -t 20.20.20.20:80 -s rr\n-a -t 20.20.20.20:80 -r 30.30.30.30\n")?;
//! let want = state("-A -t 20.20.20.20:80 -s rr\n-a -t 20.20.20.20:80 -r 30.30.30.40\n")?;
//! let steps = difference(&have, &want, Options::default());
//! let lines: Vec<String> = steps.iter().map(|step| view::rules::text(&step.change)).collect();
//! // What is new comes first, so that nobody is without a server.
//! assert_eq!(lines, ["-a -t 20.20.20.20:80 -r 30.30.30.40:80 -g -w 1", "-d -t 20.20.20.20:80 -r 30.30.30.30:80"]);
//! # Ok::<(), rules::ReadError>(())
//! ```

mod difference;
pub mod drain;
mod ruleset;

pub use difference::{Options, State, Step, difference, undo};
pub use ruleset::{Finding, RuleService, RuleSet, Traced};
