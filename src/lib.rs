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
//!
//! # Where to begin
//!
//! | what you want | where it is |
//! |---|---|
//! | read the table, its counters, timeouts and daemons | [`kernel::Client`] |
//! | change it: one [`model::Change`], or many in few system calls | [`kernel::Client::change`], [`kernel::Client::batch`] |
//! | understand command lines and files of rules | [`grammar::parse`], [`rules::read`] |
//! | the fewest changes from one table to another | [`plan::difference`] |
//! | print it as ipvsadm does, as rules, or as JSON | [`view`] |
//!
//! `examples/` has short programs: `list` prints the table, `add_service` adds a service with its real servers, `watch_rates`
//! computes rates from the counters.
//!
//! All of it needs the capability `CAP_NET_ADMIN` in the user namespace that owns the network namespace, except what works
//! on text alone ([`grammar`], [`rules`], [`plan`], [`view`]). A [`kernel::Client`] speaks to the IPVS of the network namespace
//! that its thread is in when it connects; [`host::namespace::enter`] goes to another one. It waits for the kernel's answers,
//! which come at once, and belongs to one thread at a time.
//!
//! # What is promised
//!
//! Versions are those of [Semantic Versioning](https://semver.org/spec/v2.0.0.html). This is 0.x: a new minor version (0.2.0)
//! may break what is public, and the changelog says how; a new patch version (0.1.1) does not.
//!
//! - Meant to be built upon: [`model`], [`kernel::Client`] with its errors, [`grammar::parse`] with its request, [`rules`],
//!   [`plan`], and of [`view`] the listings, rules and JSON.
//! - Public because the program, its tests and fuzzers are crates of their own, and free to change at any time: [`doctor`],
//!   [`escape`], [`host`], [`kernel::wire`], [`kernel::decode`], the fields of the table in [`grammar::table`]. What is hidden
//!   from this documentation (`commands`, the program itself) is not part of the library at all.
//! - Enumerations that grow with IPVS, its tools and what can go wrong are `#[non_exhaustive]`: match them with a `_`. Structures
//!   that you build yourself, such as [`model::Service`] and [`model::Destination`], are not, since IPVS seldom gets a new attribute;
//!   if it does, that is a new minor version.
//! - The program's command lines, output and exit statuses are promised apart from the library's interface: they are
//!   ipvsadm's.

// What comes from outside is never trusted to be right. In tests a panic is an answer.
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used))]

pub use ipvs_client::{connections, kernel, model, plan, transaction};

#[doc(hidden)]
pub mod commands;
pub mod doctor;
pub mod escape;
pub mod grammar;
pub mod host;
pub mod rules;
mod top;
pub mod view;
