//! What is on this machine besides the table.

pub mod file;
pub mod firewall;
mod names;

pub use names::SystemNames;
