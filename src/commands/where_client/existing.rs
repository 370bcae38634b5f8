//! What the kernel knows of clients already: connections, and what persistence remembers.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr};

use ipvs_client::connections::{self, Connection};
use ipvs_client::{DestinationKey, Netmask, Service, ServiceKey};

use super::clients::Client;
use crate::commands::list::connections::report;

/// The port of FTP, whose templates have no port.
const FTP: u16 = 21;

/// The connections of a service, and its templates of persistence, by client.
#[derive(Default)]
pub(super) struct Existing {
    connections: HashMap<(IpAddr, u16), Connection>,
    templates: HashMap<IpAddr, Connection>,
}

impl Existing {
    /// Read them; of one client where only that is asked for. Of a service by mark, connections to `to` are its.
    pub(super) fn read(service: &Service, to: Option<(IpAddr, Option<u16>)>, only: Option<Client>) -> io::Result<Self> {
        let mut existing = Self::default();
        let belongs = |connection: &Connection| {
            let (address, port) = connection.virtual_address;
            match service.key {
                ServiceKey::Address { protocol, address: vip, port: wanted } => {
                    let is_of = connection.protocol.as_bytes() == protocol.name().as_bytes();
                    is_of && address == vip && (wanted == 0 || port == wanted)
                }
                ServiceKey::Mark { .. } => {
                    to.is_some_and(|(to, to_port)| address == to && to_port.is_none_or(|to_port| port == to_port))
                }
            }
        };
        let template = Template::of(service);
        let skipped = connections::read(connections::open()?, |connection| {
            let (client, port) = connection.source;
            if connection.is_template() {
                let is_wanted = only.is_none_or(|(only, _)| template.client(only) == client);
                if template.is_of(connection) && is_wanted {
                    existing.templates.insert(client, *connection);
                }
            } else if belongs(connection)
                && only.is_none_or(|(only, only_port)| only == client && only_port.is_none_or(|only| only == port))
            {
                existing.connections.insert((client, port), *connection);
            }
            Ok(())
        })?;
        report(connections::PATH, skipped);
        Ok(existing)
    }

    /// The connection of a client.
    pub(super) fn connection(&self, (address, port): Client) -> Option<&Connection> {
        self.connections.get(&(address, port?))
    }

    /// All connections, by the client's port.
    pub(super) fn connections(&self) -> Vec<&Connection> {
        let mut all: Vec<&Connection> = self.connections.values().collect();
        all.sort_unstable_by_key(|connection| connection.source);
        all
    }

    /// What persistence remembers of a client.
    pub(super) fn template(&self, service: &Service, (address, _): Client) -> Option<&Connection> {
        self.templates.get(&Template::of(service).client(address))
    }
}

/// The server of a connection.
pub(super) fn server(connection: &Connection) -> DestinationKey {
    let (address, port) = connection.destination;
    DestinationKey { address, port }
}

/// How the kernel names the templates of a service (`ip_vs_sched_persist` in `net/netfilter/ipvs/ip_vs_core.c`).
struct Template {
    protocol: &'static str,
    virtual_address: (IpAddr, u16),
    /// Without persistence there are none.
    netmask: Option<Netmask>,
}

impl Template {
    fn of(service: &Service) -> Self {
        let (protocol, port) = match service.key {
            ServiceKey::Address { port: FTP, protocol, .. } => (protocol.name(), 0),
            ServiceKey::Address { protocol, port, .. } => (protocol.name(), port),
            ServiceKey::Mark { .. } => ("IP", 0),
        };
        let virtual_address = (connections::template_address(&service.key), port);
        Self { protocol, virtual_address, netmask: service.persistence.map(|persistence| persistence.netmask) }
    }

    fn is_of(&self, connection: &Connection) -> bool {
        let of_service = connection.virtual_address == self.virtual_address;
        self.netmask.is_some() && of_service && connection.protocol.as_bytes() == self.protocol.as_bytes()
    }

    /// The client that stands for all under the mask.
    fn client(&self, address: IpAddr) -> IpAddr {
        match (address, self.netmask) {
            (IpAddr::V4(address), Some(Netmask::V4(mask))) => (address & mask).into(),
            (IpAddr::V6(address), Some(Netmask::V6(length))) => {
                let mask = u128::MAX.checked_shl(u128::BITS - u32::from(length.min(128))).unwrap_or(0);
                Ipv6Addr::from(address.to_bits() & mask).into()
            }
            _ => address,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use ipvs_client::{Family, Persistence, scheduler};

    #[test]
    fn clients_under_a_mask_share_a_template() {
        let under = |netmask| {
            let key = ServiceKey::mark(7, Family::Ipv6);
            Template::of(&Service::new(key, scheduler::SH).persistence(Persistence { timeout: 60, netmask }))
        };
        let v4 = under(Netmask::V4(Ipv4Addr::new(255, 255, 255, 0)));
        assert_eq!(v4.client([198, 51, 100, 7].into()), IpAddr::from([198, 51, 100, 0]));
        let address = "2001:db8:1:2:3::7".parse().unwrap();
        assert_eq!(under(Netmask::V6(64)).client(address), "2001:db8:1:2::".parse::<IpAddr>().unwrap());
        assert_eq!(under(Netmask::V6(128)).client(address), address);
    }
}
