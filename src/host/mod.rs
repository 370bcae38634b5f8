//! What is on this machine besides the table.

pub mod file;
pub mod firewall;
pub mod lock;
mod names;
pub mod namespace;
pub mod realserver;
pub mod route;
pub mod sysconfig;
pub mod sysctl;
pub mod systemd;

pub use names::SystemNames;
