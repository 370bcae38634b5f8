//! What this machine's packet filter would do with a packet: its rules are read from the kernel over nf_tables' netlink, and
//! a packet is followed through its chains. Nothing is changed, and no other program is run.
//!
//! ```no_run
//! use ipvsadm_rs::host::firewall::{Firewall, Outcome, Packet, Protocol, Way};
//!
//! let firewall = Firewall::read()?;
//! let packet = Packet::first(Protocol::TCP, [192, 0, 2, 1].into(), 80);
//! match firewall.outcome(&packet, &Way::delivered()) {
//!     Outcome::Accepted => println!("gets through"),
//!     Outcome::Dropped(place) => println!("dropped by {place}"),
//!     Outcome::Redirected { place, .. } => println!("gets another destination by {place}"),
//!     Outcome::Unknown(because) => println!("not known: {because}"),
//!     _ => {}
//! }
//! # Ok::<(), ipvsadm_rs::host::firewall::Unreadable>(())
//! ```
//!
//! Rules of bridges are left out, as is what happens to a packet before it is one of IP: traffic control and XDP. Of the
//! older iptables (not iptables-nft) only the names of the tables can be seen; where there are any, nothing is sure to get
//! through.

mod bits;
mod evaluate;
mod expression;
mod known;
#[allow(missing_docs)] // The names are the headers', see there.
mod numbers;
mod packet;
mod place;
mod property;
mod question;
mod read;
mod ruleset;
#[cfg(test)]
mod tests;
mod xt;

pub use packet::{Interface, Packet, Protocol, State};
pub use place::{Action, Because, Doubt, Place};
pub use property::Property;
pub use question::{Arp, Firewall, Outcome, Way};
pub use read::Unreadable;
pub use ruleset::{Hook, TableFamily};
