//! Every rendering of what the kernel reports, to any [`std::io::Write`].
//!
//! [`text`] has the listings of ipvsadm, [`rules`] the lines that `-R` reads, [`connections`] the lines of connections, [`json`]
//! documents for programs. [`Labels`] decides whether addresses and ports are written as numbers or by name.
//!
//! ```
//! use ipvs_client::{Change, Destination, Protocol, ServiceKey};
//! use ipvsadm_rs::view::{Labels, rules};
//!
//! let service = ServiceKey::Address { protocol: Protocol::Udp, address: "2001:db8::1".parse()?, port: 53 };
//! let server = Destination::new("2001:db8::2".parse()?, 53);
//! let mut out = Vec::new();
//! rules::change(&mut out, &mut Labels::numeric(), &Change::AddDestination(service, server))?;
//! assert_eq!(out, b"-a -u [2001:db8::1]:53 -r [2001:db8::2]:53 -g -w 1\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod append;
pub mod boxed;
mod canvas;
mod columns;
pub mod connections;
pub mod doctor;
pub mod drain;
mod endpoint;
pub mod estimation;
mod hash_note;
pub mod json;
mod marks;
pub mod metrics;
pub(crate) mod monitor;
pub mod realserver;
pub mod rules;
pub mod text;
pub(crate) mod top;
pub mod wide;

pub use endpoint::Labels;
pub use hash_note::{HashNote, HashNotes};
