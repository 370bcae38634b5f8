//! The language of rules files: lines of commands, read whole and understood before anything is done.
//!
//! ```
//! use ipvsadm_rs::host::SystemNames;
//! use ipvsadm_rs::rules::{ReadError, read};
//!
//! let text = b"-A -t 20.20.20.20:80 -s rr\n-a -t 20.20.20.20:80 -r 30.30.30.30 -w heavy # oops\n";
//! let Err(ReadError::Bad(lines)) = read(&text[..], &SystemNames::default(), |_| {}) else { panic!("it is wrong") };
//! assert_eq!(lines[0].to_string(), "2: illegal weight specified: `heavy'");
//! ```
//!
//! Two files of rules, and what makes one table of the other:
//!
//! ```
//! use ipvsadm_rs::host::SystemNames;
//! use ipvs_client::plan::{Options, RuleSet, State, difference};
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
//! // What is new comes first, so that no client is without a server.
//! assert_eq!(lines, ["-a -t 20.20.20.20:80 -r 30.30.30.40:80 -g -w 1", "-d -t 20.20.20.20:80 -r 30.30.30.30:80"]);
//! # Ok::<(), rules::ReadError>(())
//! ```

mod desired;
mod frame;
mod read;

pub use desired::{Collector, Desired};
pub use frame::{first as first_line, last as last_line};
pub use read::{BadLine, CUT_OFF, Heading, Line, ReadError, read, read_each};
