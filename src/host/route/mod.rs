//! Links, addresses, routes, rules and neighbours of this network namespace, over rtnetlink: read, and in part changed.
//!
//! [`Client`] is the way in. Reading takes no privilege.
//!
//! ```no_run
//! use ipvsadm_rs::host::route::{Client, RouteQuery};
//!
//! let mut client = Client::connect()?;
//! for address in client.addresses()? {
//!     println!("{} on interface {}", address.address, address.index);
//! }
//! let route = client.route_to(&RouteQuery::to("192.0.2.1".parse()?))?;
//! println!("{} by {:?}", route.kind, route.gateway);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod client;
mod decode;
mod error;
#[allow(missing_docs)] // The names are the headers', see there.
mod numbers;
#[cfg(test)]
mod tests;

pub use crate::machine::{
    Address, AddressFlags, HardwareAddress, Link, LinkFlags, Neighbour, NeighbourState, NextHop, OperationalState,
    Prefix, Route, RouteKind, RouteProtocol, RouteQuery, Rule, RuleAction, Scope,
};
pub use client::Client;
pub use error::Error;
