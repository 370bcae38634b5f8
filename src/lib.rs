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

// What comes from outside is never trusted to be right. In tests a panic is an answer.
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used))]

pub mod commands;
pub mod doctor;
pub mod grammar;
pub mod host;
pub mod kernel;
pub mod model;
pub mod plan;
pub mod rules;
pub mod view;
