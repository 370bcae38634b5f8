//! The language of the command line and of rules files: one table, one parser.
//!
//! [`parse`] turns words into a [`Request`]; [`table`] holds what there is to say. Nothing here talks to the kernel.

mod error;
mod namespace;
mod parse;
mod request;
mod suggest;
pub mod table;
pub mod usage;
mod values;

pub use error::Error;
pub use namespace::take_namespace;
pub use parse::{Parsed, parse, parse_noting};
pub use request::{
    ColorWhen, Columns, ConnectionKey, ConnectionView, Connections, Drain, Drained, Format, Json, Listing,
    RESOLVE_TIMEOUT_DEFAULT, Replace, Request, Restore, RestoreMode, Save, Subject,
};
pub use values::{Names, number};
