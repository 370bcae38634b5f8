//! What is on this machine besides the table.

pub mod boot;
pub mod ethtool;
pub mod file;
pub mod firewall;
mod listeners;
pub mod lock;
mod names;
pub mod namespace;
pub mod probe;
pub mod realserver;
pub mod route;
pub mod sysconfig;
pub mod sysctl;
pub mod systemd;

pub use boot::SettingLine;
pub use listeners::{Listener, listeners};
pub use names::SystemNames;
