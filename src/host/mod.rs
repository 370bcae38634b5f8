//! What is on this machine besides the table.

mod names;

pub use names::{SystemNames, protocol_of};
