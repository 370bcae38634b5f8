//! What the kernel says of this network namespace.

use std::net::IpAddr;

use anyhow::Result;

use crate::doctor::quiet::Network;
use crate::doctor::readiness::find_host_route;
use crate::host::route::Client;
use crate::machine::{Address, Link, Prefix, Route, RouteKind, RouteQuery};

/// Links, addresses and routes, as they were read.
pub(super) struct Machine {
    pub(super) links: Vec<Link>,
    pub(super) addresses: Vec<Address>,
    pub(super) routes: Vec<Route>,
}

impl Machine {
    pub(super) fn read(client: &mut Client) -> Result<Self> {
        Ok(Self { links: client.links()?, addresses: client.addresses()?, routes: client.routes()? })
    }

    pub(super) fn network(&self) -> Network<'_> {
        Network { links: &self.links, addresses: &self.addresses }
    }

    pub(super) fn link(&self, name: &str) -> Option<&Link> {
        self.network().link(name)
    }

    /// The VIP as it is to be, if it is there.
    pub(super) fn address(&self, link: &Link, vip: IpAddr) -> Option<&Address> {
        let wanted = Address::host(link.index, vip);
        let mut here = self.network().places(vip).filter(|place| place.link.index == link.index);
        here.find(|place| place.held.prefix == wanted.prefix).map(|place| place.held)
    }

    /// What asks how packets to the VIP go.
    pub(super) fn way_to(&self, link: Option<&Link>, vip: IpAddr) -> RouteQuery {
        let vrf = link.and_then(|link| link.vrf(&self.links)).map(|vrf| vrf.index);
        RouteQuery { output: vrf, ..RouteQuery::to(vip) }
    }

    /// Whether the host route has to be set. For IPv6, and in the table of a VRF, where there can be no other, the kernel sets
    /// one with the address and removes it with that.
    pub(super) fn needs_host_route(&self, link: &Link, vip: IpAddr) -> bool {
        vip.is_ipv4() && link.vrf(&self.links).is_none()
    }

    /// The host route as it is to be, if it is there.
    pub(super) fn host_route(&self, link: &Link, vip: IpAddr) -> Option<&Route> {
        if link.vrf(&self.links).is_none() {
            return find_host_route(&self.routes, link, vip);
        }
        self.routes.iter().find(|route| {
            (route.kind, route.destination, route.output) == (RouteKind::Local, Prefix::host(vip), Some(link.index))
        })
    }
}
