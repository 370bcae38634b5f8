//! The language of the command line and of rules files: one table, one parser.
//!
//! [`parse`] turns words into a [`Request`]; [`table`] holds what there is to say. Nothing here talks to the kernel.
//!
//! ```
//! use ipvsadm_rs::grammar::{Request, parse};
//! use ipvsadm_rs::host::SystemNames;
//! use ipvs_client::Change;
//!
//! let words = ["-a", "-t", "20.20.20.20:80", "-r", "30.30.30.30", "-w", "3"];
//! // The names of hosts and ports that may stand in there are this machine's.
//! let request = parse(words.map(str::as_bytes), &SystemNames::default())?;
//! let Request::Change(Change::AddDestination(service, server)) = request else { panic!("{request:?}") };
//! // Without a port of its own, the real server has the service's.
//! assert_eq!((service.port(), server.key.port, server.weight), (Some(80), 80, 3));
//! # Ok::<(), ipvsadm_rs::grammar::Error>(())
//! ```

mod check;
mod commands;
mod error;
mod line;
mod namespace;
mod options;
mod parse;
mod plain;
mod request;
mod suggest;
pub mod table;
pub mod usage;
mod values;

pub use error::Error;
pub use namespace::take_namespace;
pub use options::{
    ColorWhen, Columns, ConnectionView, Connections, Drain, Drained, Exposition, Faults, Format, Json,
    LOCK_WAIT_DEFAULT, LOCK_WAIT_MAXIMUM, Listing, Metrics, RESOLVE_TIMEOUT_DEFAULT, Replace, Restore, RestoreMode,
    Save, Subject,
};
pub use parse::{Parsed, parse, parse_known, parse_noting};
pub use plain::PlainRules;
pub use request::Request;
pub use suggest::long_option_like;
pub use values::{Names, NoNames, number};
