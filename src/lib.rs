//! The parts of the program `ipvsadm-rs`: the language of `ipvsadm`, rules files, what is on this machine, the doctor, and all
//! renderings. IPVS itself is the library [`ipvs_client`].
//!
//! Everything flows one way:
//!
//! ```text
//! argv ──────────┐
//!                ├─▶ grammar ─▶ Request ─▶ commands ─▶ ipvs_client (generic netlink) ─▶ IPVS
//! a rules file ──┘                            │  ▲
//!                                             ▼  │ tables
//!                                            view ──▶ standard output
//! ```
//!
//! Rules are read, and compared with what the kernel has, like this:
//!
//! ```
//! use ipvsadm_rs::grammar::Request;
//! use ipvsadm_rs::host::SystemNames;
//!
//! let words = ["-A", "-t", "192.0.2.1:80", "-s", "wrr"].map(str::as_bytes);
//! let Ok(Request::Change(change)) = ipvsadm_rs::grammar::parse(words, &SystemNames::default()) else { panic!() };
//! let service = ipvs_client::Service::tcp([192, 0, 2, 1], 80, ipvs_client::scheduler::WRR);
//! assert_eq!(change, ipvs_client::Change::AddService(service));
//! ```
//!
//! # What is promised
//!
//! The program's command lines, output and exit statuses are promised: they are ipvsadm's. This crate is there because the
//! program, its tests and fuzzers are crates of their own. While it is 0.x, a new minor version may change anything in it, and
//! the changelog says how for [`grammar::parse`] with its request, [`rules`], and of [`view`] the listings, rules and JSON; the
//! rest can change at any time. What is meant to be built upon is [`ipvs_client`].

// What comes from outside is never trusted to be right. In tests a panic is an answer.
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used))]

#[doc(hidden)]
pub mod commands;
pub mod doctor;
pub mod escape;
pub mod grammar;
pub mod host;
pub mod machine;
pub mod metrics;
mod monitor;
mod realserver;
pub mod rules;
mod top;
pub mod view;
