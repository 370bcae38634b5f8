//! A real server of a cluster with direct routing: the VIP is here and ARP does not tell, and all of it can be taken back.
//!
//! [`RealServer`] starts and stops VIPs, [`status`] looks. What was changed is in the record (`record.rs`), on disk before the
//! change is made.

mod arp;
mod error;
mod filter;
mod persist;
mod record;
mod start;
mod status;
mod stop;

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::route::{self, Address, Link, Route};
pub use arp::{ANNOUNCE, IGNORE, Wanted};
pub use error::{Refusal, is_not_permitted, is_read_only};
use record::Book;
pub use status::{Fact, Status, status};

/// How a real server is kept from answering ARP requests for the VIP. An IPv6 VIP needs none of them: with neighbour
/// discovery a host answers for the addresses of the link that was asked, and the VIP is on another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// The kernel's settings `arp_ignore` and `arp_announce`.
    ArpSysctl,
    /// Rules on ARP packets, by arptables or nftables, whichever this machine has.
    Arptables,
    /// Rules on ARP packets, by nftables.
    Nftables,
}

impl Method {
    /// All of them, with their names.
    pub const ALL: [(&'static str, Self); 3] =
        [("arp-sysctl", Self::ArpSysctl), ("arptables", Self::Arptables), ("nftables", Self::Nftables)];
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::ALL.iter().find(|(_, method)| method == self).map_or("", |(name, _)| name))
    }
}

/// How VIPs are started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// How ARP is kept quiet.
    pub method: Method,
    /// The interface that gets the VIP.
    pub interface: String,
    /// Whether it is to be so after a reboot.
    pub persist: bool,
}

/// What the kernel says of this network namespace.
struct Facts {
    links: Vec<Link>,
    addresses: Vec<Address>,
    routes: Vec<Route>,
}

impl Facts {
    fn read(client: &mut route::Client) -> Result<Self> {
        Ok(Self { links: client.links()?, addresses: client.addresses()?, routes: client.routes()? })
    }

    fn link(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }

    /// The VIP as it is to be, if it is there.
    fn address(&self, link: &Link, vip: IpAddr) -> Option<&Address> {
        let wanted = Address::host(link.index, vip);
        self.addresses.iter().find(|address| {
            (address.index, address.address, address.prefix) == (wanted.index, wanted.address, wanted.prefix)
        })
    }

    /// The host route as it is to be, if it is there. For IPv6 the kernel sets one with the address.
    fn host_route(&self, link: &Link, vip: IpAddr) -> Option<&Route> {
        let wanted = host_route(link, vip);
        self.routes.iter().find(|route| {
            (route.destination, route.table, route.kind, route.output)
                == (wanted.destination, wanted.table, wanted.kind, wanted.output)
        })
    }
}

/// The route as `route add -host VIP dev lo` makes it.
fn host_route(link: &Link, vip: IpAddr) -> Route {
    Route::on_link(route::Prefix::host(vip), link.index)
}

/// What does starting and stopping, alone: while it exists, others wait.
pub struct RealServer {
    client: route::Client,
    book: Book,
}

impl RealServer {
    /// Take hold of the record of this network namespace.
    ///
    /// # Errors
    /// We may not, or the record cannot be read.
    pub fn open() -> Result<Self> {
        Ok(Self { book: Book::open()?, client: route::Client::connect()? })
    }

    /// The VIPs that are started.
    #[must_use]
    pub fn started(&self) -> BTreeSet<IpAddr> {
        self.book.record.vips.keys().copied().collect()
    }
}
