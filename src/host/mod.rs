//! What is on this machine apart from the table: each module is one matter, and knows nothing of the others' files.
//!
//! For users of the library, [`SystemNames`] (names of hosts and ports, which [`crate::grammar`] asks for) and [`namespace`] (network
//! namespaces). The rest is what the program's `realserver`, `service` and `doctor` are made of: [`route`]
//! links, addresses and routes, [`sysctl`] kernel settings, [`nft`] the
//! packet filter's rules in words (what they do is for the crate packet-filter to find out), [`sysconfig`] and [`boot`] what will be after the next boot, [`file`](mod@file) and [`lock`] safe writing, [`journal`]
//! copies of the table.

pub mod boot;
pub mod drains;
pub mod ethtool;
pub mod file;
pub mod input;
pub mod journal;
mod listeners;
pub mod lock;
pub mod module;
pub mod names;
pub mod namespace;
pub mod nft;
pub mod probe;
pub(crate) mod program;
pub mod route;
pub mod spool;
pub mod stdio;
pub mod sysconfig;
pub mod sysctl;
pub mod systemd;
pub mod table_sizes;

pub use listeners::{connected, listeners};
pub use names::SystemNames;
