//! What is on this machine besides the table.

pub mod file;
pub mod lock;
mod names;
pub mod sysconfig;
pub mod systemd;

pub use names::SystemNames;
