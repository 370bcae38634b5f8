//! What is on this machine besides the table.

pub mod file;
mod names;
pub mod realserver;
pub mod route;
pub mod sysctl;

pub use names::SystemNames;
