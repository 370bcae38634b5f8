//! What the rules do with a packet: base chains in the order of their hooks and priorities, rule by rule.
//!
//! Not everything about the packet is known, nor is every expression. Where it matters, both ways are followed, and only if
//! they end differently is the answer "unknown".
//!
//! `follow` goes from rule to rule, `step` does one expression of a rule, with `lookup` for sets, `compat` for matches and
//! targets of iptables, `tracking` for what connection tracking says and `translate` for new destinations. `stops` finds
//! the base chains, `path` and `registers` are what is kept on the way. `mention` finds the rules about an address.

mod compat;
mod follow;
mod lookup;
mod mention;
mod path;
mod registers;
mod step;
mod stops;
mod tracking;
mod translate;

pub use follow::evaluate;
pub use mention::mentions;
pub use path::{At, End, Hit, Left, Open};
pub use stops::Leg;
