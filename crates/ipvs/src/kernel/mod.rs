//! The kernel's IPVS over generic netlink: few sockets, typed requests and replies.
//!
//! [`Client`] is the way in: [`Client::connect`], then [`Client::table`] to read and [`Client::change`] or [`Client::batch`]
//! to change. Servers are read by socket options where these tell all. The meaning of the attributes is in [`decode`] and the
//! encoder beside it, with the numbers of `linux/ip_vs.h`.

#[allow(missing_docs)] // The names are the header's, see there.
mod attributes;
mod batch;
mod client;
pub mod decode;
mod encode;
mod error;
mod getsockopt;
mod lists;
mod options;
mod request;
mod way;

pub use batch::Batch;
pub use client::Client;
pub use error::{Asked, Error, Refusal};
pub use lists::Step;
pub use netlink_exchange::Errno;
