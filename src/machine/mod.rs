//! What is on a machine, as plain types: links, addresses and routes, sockets, and lines of settings. [`crate::host`] reads it.

mod boot;
mod network;
mod sockets;

pub use boot::SettingLine;
pub use network::{
    Address, AddressFlags, HardwareAddress, Link, LinkFlags, Neighbour, NeighbourState, NextHop, OperationalState,
    Prefix, Route, RouteKind, RouteProtocol, RouteQuery, Rule, RuleAction, Scope,
};
pub use sockets::Listener;
