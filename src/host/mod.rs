//! What is on this machine besides the table.

pub mod file;
mod names;
pub mod namespace;

pub use names::SystemNames;
