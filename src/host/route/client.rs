//! The client: questions to rtnetlink, and changes.

use std::net::IpAddr;
use std::thread;
use std::time::Duration;

use ipvs_client::Family;
use netlink_exchange::{Connection, Message, Part, Protocol, Request, WireError, Writer, flag};

use super::decode;
use super::error::Error;
use super::numbers::{address as a, message, route as r};
use crate::machine::{Address, Link, Neighbour, Prefix, Route, RouteKind, RouteQuery, Rule, Scope};

/// A connection to rtnetlink, in the network namespace it was opened in.
pub struct Client {
    connection: Connection,
}

impl Client {
    /// Connect. Reading takes no privilege.
    ///
    /// # Errors
    /// There is no netlink socket to be had.
    pub fn connect() -> Result<Self, Error> {
        let connection =
            Connection::open(Protocol::Route, Part::Most).map_err(|error| failed("reach rtnetlink", error))?;
        Ok(Self { connection })
    }

    /// The same over another transport.
    #[cfg(test)]
    pub(super) fn over(connection: Connection) -> Self {
        Self { connection }
    }

    /// All interfaces, in the order of their numbers.
    ///
    /// # Errors
    /// Netlink fails.
    pub fn links(&mut self) -> Result<Vec<Link>, Error> {
        self.dump("read the links", message::GET_LINK, message::NEW_LINK, [0; 16], decode::link)
    }

    /// All addresses of all interfaces, of both families.
    ///
    /// # Errors
    /// Netlink fails.
    pub fn addresses(&mut self) -> Result<Vec<Address>, Error> {
        self.dump("read the addresses", message::GET_ADDRESS, message::NEW_ADDRESS, [0; 8], decode::address)
    }

    /// All routes of all tables, of both families.
    ///
    /// # Errors
    /// Netlink fails.
    pub fn routes(&mut self) -> Result<Vec<Route>, Error> {
        self.dump("read the routes", message::GET_ROUTE, message::NEW_ROUTE, [0; 12], decode::route)
    }

    /// All neighbours that are known or being asked for, of both families.
    ///
    /// # Errors
    /// Netlink fails.
    pub fn neighbours(&mut self) -> Result<Vec<Neighbour>, Error> {
        self.dump("read the neighbours", message::GET_NEIGHBOUR, message::NEW_NEIGHBOUR, [0; 12], decode::neighbour)
    }

    /// All rules of policy routing, of both families, in the order they are looked at.
    ///
    /// # Errors
    /// Netlink fails.
    pub fn rules(&mut self) -> Result<Vec<Rule>, Error> {
        self.dump("read the rules", message::GET_RULE, message::NEW_RULE, [0; 12], decode::rule)
    }

    /// The route that a packet would take. Its table is not to be relied on: where no rule was ever changed, the kernel keeps
    /// the tables local and main in one, and calls it main.
    ///
    /// # Errors
    /// It would take none: `ENETUNREACH`, `EHOSTUNREACH`, `EACCES` (prohibited), `EINVAL` (a blackhole, or a source that no
    /// packet can have); see [`Error::errno`]. Or netlink fails.
    pub fn route_to(&mut self, query: &RouteQuery) -> Result<Route, Error> {
        let what = format!("find a route to {}", query.to);
        let length = Prefix::host(query.to).length;
        let mut header = [0; 12];
        (header[0], header[1]) = (number(query.to), length);
        header[8..].copy_from_slice(&r::LOOKUP_TABLE.to_ne_bytes());
        if query.from.is_some() {
            header[2] = length;
        }
        let attributes = |writer: &mut Writer| {
            ip(writer, r::DESTINATION, query.to);
            if let Some(from) = query.from {
                ip(writer, r::SOURCE, from);
            }
            for (kind, value) in [(r::INPUT, query.input), (r::OUTPUT, query.output), (r::MARK, query.mark)] {
                if let Some(value) = value {
                    writer.u32(kind, value);
                }
            }
        };
        self.connection
            .one(Request::new(message::GET_ROUTE, header), attributes, |answer| match answer.kind {
                message::NEW_ROUTE => decode::route(answer.payload),
                _ => Ok(None),
            })
            .map_err(|error| failed(what, error))
    }

    /// Wait until such packets are delivered here. The kernel sets the local route of an IPv6 address a moment after it has said
    /// that the address is there; after a second, which is for a machine under load, nothing is waited for any longer.
    pub fn wait_until_local(&mut self, query: &RouteQuery) {
        for _ in 0..100 {
            if self.route_to(query).is_ok_and(|route| route.kind == RouteKind::Local) {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Add an address.
    ///
    /// # Errors
    /// The interface has it already (`EEXIST`), is not there (`ENODEV`), or we may not (`EPERM`); or netlink fails.
    pub fn add_address(&mut self, address: &Address) -> Result<(), Error> {
        let flags = flag::CREATE | flag::EXCLUSIVE;
        self.change_address("add", message::NEW_ADDRESS, flags, address)
    }

    /// Delete an address: the one of this interface, address, prefix and, if there is one, label.
    ///
    /// # Errors
    /// There is no such address (`EADDRNOTAVAIL`), or we may not (`EPERM`); or netlink fails.
    pub fn delete_address(&mut self, address: &Address) -> Result<(), Error> {
        self.change_address("delete", message::DELETE_ADDRESS, 0, address)
    }

    fn change_address(&mut self, verb: &str, kind: u16, flags: u16, address: &Address) -> Result<(), Error> {
        let what = format!("{verb} the address {}/{}", address.address, address.prefix);
        let [i0, i1, i2, i3] = address.index.to_ne_bytes();
        // The flags' low byte; all of them are in the attribute.
        let [low, ..] = address.flags.0.to_le_bytes();
        let header = [number(address.address), address.prefix, low, address.scope.into(), i0, i1, i2, i3];
        let attributes = |writer: &mut Writer| {
            ip(writer, a::LOCAL, address.address);
            ip(writer, a::ADDRESS, address.peer.unwrap_or(address.address));
            if let Some(broadcast) = address.broadcast {
                ip(writer, a::BROADCAST, broadcast);
            }
            if let Some(label) = &address.label {
                writer.string(a::LABEL, label.as_bytes());
            }
            writer.u32(a::FLAGS, address.flags.0);
            if address.preferred.is_some() || address.valid.is_some() {
                // struct ifa_cacheinfo: the two times, and two stamps that the kernel sets.
                let mut times = [0; 16];
                times[..4].copy_from_slice(&address.preferred.unwrap_or(u32::MAX).to_ne_bytes());
                times[4..8].copy_from_slice(&address.valid.unwrap_or(u32::MAX).to_ne_bytes());
                writer.bytes(a::CACHE, &times);
            }
        };
        let request = Request::new(kind, header).with(flags);
        self.connection.ask(request, attributes).map_err(|error| failed(what, error))
    }

    /// Add a route. What [`Route`] says is not used when adding is not used.
    ///
    /// # Errors
    /// There is such a route already (`EEXIST`), the interface is not there (`ENODEV`) or down (`ENETDOWN`), or we may not
    /// (`EPERM`); the route has several ways; or netlink fails.
    pub fn add_route(&mut self, route: &Route) -> Result<(), Error> {
        self.change_route("add", message::NEW_ROUTE, flag::CREATE | flag::EXCLUSIVE, route)
    }

    /// Delete a route: the one with just these values.
    ///
    /// # Errors
    /// There is no such route (`ESRCH`), or we may not (`EPERM`); the route has several ways; or netlink fails.
    pub fn delete_route(&mut self, route: &Route) -> Result<(), Error> {
        self.change_route("delete", message::DELETE_ROUTE, 0, route)
    }

    fn change_route(&mut self, verb: &str, kind: u16, flags: u16, route: &Route) -> Result<(), Error> {
        if !route.next_hops.is_empty() {
            return Err(Error::SeveralWays);
        }
        let what = format!("{verb} the route to {}", route.destination);
        let source = route.source.map_or(0, |source| source.length);
        // A table whose number has no room in the header is in the attribute alone.
        let table = u8::try_from(route.table).unwrap_or(0);
        // IPv6 has no scopes of routes: the kernel ignores them, and says 0.
        let scope = match route.destination.address {
            IpAddr::V4(_) => route.scope,
            IpAddr::V6(_) => Scope::Universe,
        };
        let header = [
            number(route.destination.address),
            route.destination.length,
            source,
            0,
            table,
            route.protocol.into(),
            scope.into(),
            route.kind.into(),
            0,
            0,
            0,
            0,
        ];
        let attributes = |writer: &mut Writer| {
            ip(writer, r::DESTINATION, route.destination.address);
            if let Some(source) = route.source {
                ip(writer, r::SOURCE, source.address);
            }
            if let Some(gateway) = route.gateway {
                match Family::of(gateway) == Family::of(route.destination.address) {
                    true => ip(writer, r::GATEWAY, gateway),
                    false => via(writer, gateway),
                }
            }
            if let Some(preferred) = route.preferred_source {
                ip(writer, r::PREFERRED_SOURCE, preferred);
            }
            for (kind, value) in
                [(r::OUTPUT, route.output), (r::PRIORITY, route.priority), (r::TABLE, Some(route.table))]
            {
                if let Some(value) = value {
                    writer.u32(kind, value);
                }
            }
        };
        let request = Request::new(kind, header).with(flags);
        self.connection.ask(request, attributes).map_err(|error| failed(what, error))
    }

    fn dump<T, const N: usize>(
        &mut self,
        what: &str,
        ask: u16,
        answer: u16,
        header: [u8; N],
        decode: fn(&[u8]) -> Result<Option<T>, WireError>,
    ) -> Result<Vec<T>, Error> {
        let take = |message: &Message<'_>| if message.kind == answer { decode(message.payload) } else { Ok(None) };
        self.connection.dump(Request::new(ask, header), |_| {}, take).map_err(|error| failed(what, error))
    }
}

fn failed(what: impl Into<String>, error: netlink_exchange::Error) -> Error {
    Error::Failed { what: what.into(), error }
}

/// `AF_INET` or `AF_INET6`.
fn number(address: IpAddr) -> u8 {
    Family::of(address) as u8
}

fn ip(writer: &mut Writer, kind: u16, address: IpAddr) {
    match address {
        IpAddr::V4(address) => writer.bytes(kind, &address.octets()),
        IpAddr::V6(address) => writer.bytes(kind, &address.octets()),
    }
}

/// `struct rtvia`: a gateway of another family than the destination.
fn via(writer: &mut Writer, gateway: IpAddr) {
    let mut payload = u16::from(number(gateway)).to_ne_bytes().to_vec();
    match gateway {
        IpAddr::V4(address) => payload.extend(address.octets()),
        IpAddr::V6(address) => payload.extend(address.octets()),
    }
    writer.bytes(r::VIA, &payload);
}
