//! What is on this machine besides the table.

pub mod boot;
pub mod ethtool;
pub mod file;
pub mod firewall;
mod listeners;
mod names;
pub mod probe;
pub mod realserver;
pub mod route;
pub mod sysctl;

pub use boot::SettingLine;
pub use listeners::{Listener, listeners};
pub use names::SystemNames;
