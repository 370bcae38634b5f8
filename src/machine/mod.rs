//! What is on a machine, as plain types: links, addresses and routes, sockets, and lines of settings. [`crate::host`] reads it.

mod boot;
mod network;
mod numbers;
mod sockets;

pub use boot::SettingLine;
pub use network::{Address, HardwareAddress, Link, Neighbour, NextHop, Prefix, Route, RouteQuery, Rule};
pub use numbers::{
    AddressFlags, LinkFlags, NeighbourState, OperationalState, RouteKind, RouteProtocol, RuleAction, Scope,
};
pub use sockets::Listener;
