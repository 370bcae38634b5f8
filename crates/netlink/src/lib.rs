//! Requests to the Linux kernel over netlink, and its answers, for any netlink family.
//!
//! A [`Connection`] sends a [`Request`] and reads what the kernel answers:
//!
//! | what is asked | method |
//! |---|---|
//! | to make a change | [`Connection::ask`] |
//! | one message | [`Connection::one`] |
//! | a list | [`Connection::dump`], or [`Connection::each`] for a single pass |
//! | many changes at once | [`Connection::batch`] |
//! | the number of a generic netlink family | [`Connection::family`] |
//!
//! Messages count only if they answer the request at hand, sent by this socket. A list that changed while the kernel made it
//! is read again, and is an error ([`Error::Unsettled`]) if it never settles. A refusal carries the kernel's error number and
//! its own words.
//!
//! What an error means depends on what was asked; this crate does not know that. The caller does.
//!
//! ```no_run
//! use netlink_exchange::{Connection, Part, Protocol, Request};
//!
//! // The names of the network interfaces: RTM_GETLINK is 18, IFLA_IFNAME is 3, struct ifinfomsg has 16 bytes.
//! let mut connection = Connection::open(Protocol::Route, Part::Most)?;
//! let names = connection.dump(Request::new(18, [0; 16]), |_| {}, |message| {
//!     for attribute in message.attributes::<16>("an interface")? {
//!         let attribute = attribute?;
//!         if attribute.kind == 3 {
//!             return Ok(Some(String::from_utf8_lossy(attribute.string()).into_owned()));
//!         }
//!     }
//!     Ok(None)
//! })?;
//! println!("{names:?}");
//! # Ok::<(), netlink_exchange::Error>(())
//! ```

// What comes from outside is never trusted to be right. In tests a panic is an answer.
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used))]

mod batch;
mod connection;
mod error;
#[doc(hidden)]
pub mod fake;
pub mod flag;
mod socket;
#[cfg(test)]
mod tests;
mod verdict;
pub mod wire;

pub use batch::Batch;
pub use connection::{Connection, Next, Request};
pub use error::{Errno, Error, Refusal, system_message};
pub use socket::{Netlink, Part, Protocol, Transport};
pub use wire::{Attribute, Attributes, Message, Messages, WireError, Writer};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
