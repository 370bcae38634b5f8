//! What is on this machine besides the table.

pub mod file;
mod names;

pub use names::SystemNames;
