//! What a Linux machine's packet filter would do with a packet: the rules of nf_tables are read from the kernel over netlink,
//! and the packet is followed through them. Nothing is changed, no packet is sent, and no other program is run.
//!
//! ```no_run
//! use packet_filter::{Firewall, Interface, Outcome, Packet, Protocol, Way};
//!
//! let firewall = Firewall::read()?;
//! let packet = Packet::first(Protocol::TCP, [192, 0, 2, 1].into(), 80)
//!     .on(Interface { name: "eth0".to_owned(), index: None });
//! match firewall.outcome(&packet, &Way::delivered()) {
//!     Outcome::Accepted => println!("gets through"),
//!     // inet filter input # handle 7 (drop; matches protocol tcp, destination port 80)
//!     Outcome::Dropped(place) => println!("dropped by {place}"),
//!     Outcome::Redirected { place, .. } => println!("gets another destination by {place}"),
//!     // it depends on: source address in inet filter input # handle 9 (accept; matches source address)
//!     Outcome::Unknown(because) => println!("not certain: {because}"),
//!     _ => {}
//! }
//! # Ok::<(), packet_filter::Unreadable>(())
//! ```
//!
//! # Answers
//!
//! A [`Packet`] is what is known of one: protocol, addresses, ports, interfaces, mark, and the [`State`] that connection
//! tracking gives it. A [`Way`] is the hooks that it passes: all the way to a program, through this machine or from it, or
//! some hooks, or a part of one. A packet that changes on its way, as one that a load balancer gives another destination, is
//! one question for each part of the way. What is left open may be anything: where it makes a difference,
//! both ways are followed, and if they end differently the [`Outcome`] is unknown and names what it depends on. So an answer
//! that is not unknown holds for every such packet.
//!
//! A [`Place`] is a rule by family, table, chain and handle, with what the rule matched and what it does. The rule's own text
//! is what `nft -a list chain FAMILY TABLE CHAIN` prints before `# handle N`.
//!
//! # What is covered
//!
//! - Tables of the families inet, ip, ip6, arp and netdev (ingress), in the order in which the kernel asks their chains;
//!   jumps, sets, maps and verdict maps, ranges and concatenations, marks of packets and connections, `notrack`, dormant
//!   tables.
//! - Rules of iptables-nft and arptables-nft: the matches comment, conntrack, state, tcp, udp, multiport, mark, iprange,
//!   addrtype, pkttype; the targets REJECT, MARK, CT and NOTRACK, DNAT, REDIRECT, SNAT, MASQUERADE, mangle, and those that
//!   decide nothing, such as LOG. Any other match may hold or not.
//! - The hooks ingress, prerouting, input, forward, output and postrouting, each for packets in the states new,
//!   established, related, invalid and untracked. Before connection tracking has seen a packet (up to priority -200 in
//!   prerouting and output) it is invalid to rules, if it is not untracked.
//! - A new destination (`dnat`, `redirect`) ends the answer. Ask again with that destination to follow it. Chains of type
//!   `nat` see the first packet of a connection only: of an established one nothing is known of what they did to it.
//! - Matches on time, rate, quota, random numbers, sockets and the like may hold or not.
//!
//! Not covered: tables of the family bridge, what happens to a packet before it is one of IP (traffic control, XDP), and
//! flowtables. Of the older iptables, which do not use nf_tables, only the names of the tables in use are known; where there
//! are any, no packet is sure to get through.

// What comes from outside is never trusted to be right. In tests a panic is an answer.
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used))]

mod bits;
mod evaluate;
mod expression;
mod firewall;
mod known;
#[allow(missing_docs)] // The names are the headers', see there.
mod numbers;
mod packet;
mod place;
mod ports;
mod property;
mod read;
mod ruleset;
#[cfg(test)]
mod tests;
mod xt;

/// The example in the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use firewall::{Arp, Firewall, Outcome, Way};
pub use packet::{Interface, Packet, Protocol, State};
pub use place::{Action, Because, Doubt, Place};
pub use property::Property;
pub use read::Unreadable;
pub use ruleset::{Hook, TableFamily};
