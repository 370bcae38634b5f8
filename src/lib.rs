//! IPVS, the Linux virtual server, administered from Rust.
//!
//! This is the library under the program `ipvsadm-rs`. Everything flows one way:
//!
//! ```text
//! argv ──────────┐
//!                ├─▶ grammar ─▶ Request ─▶ commands ─▶ kernel (generic netlink) ─▶ IPVS
//! a rules file ──┘                            │  ▲
//!                                             ▼  │ model
//!                                            view ──▶ standard output
//! ```
//!
//! Listing the table takes a [`kernel::Client`]:
//!
//! ```no_run
//! use ipvsadm_rs::kernel::Client;
//!
//! let mut client = Client::connect()?;
//! for service in client.table()?.services {
//!     println!("{:?}: {} servers", service.entry.service.key, service.destinations.len());
//! }
//! # Ok::<(), ipvsadm_rs::kernel::Error>(())
//! ```

pub mod commands;
pub mod grammar;
pub mod host;
pub mod kernel;
pub mod model;
pub mod rules;
pub mod view;
