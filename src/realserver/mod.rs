//! A real server of a cluster with direct routing: the VIP is here and ARP is silent about it, and all of it can be undone.
//!
//! [`RealServer`] starts and stops VIPs, [`status`] looks. What keeps a VIP quiet, and whether it is, is for
//! [`crate::doctor::quiet`] to say. What was changed is in the record (`record.rs`), on disk before the change is made.

mod error;
mod filter;
mod machine;
mod persist;
mod programs;
mod real_server;
mod record;
mod redirect;
mod remains;
mod start;
mod status;
mod stop;

pub use error::{Refusal, is_not_permitted, is_read_only};
pub use persist::unit;
pub use real_server::{Options, RealServer};
pub use status::{status, unrecorded};
