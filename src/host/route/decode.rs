//! From the payload of a message to the values. Unknown attributes are passed over, missing ones are named. A family other
//! than IPv4 and IPv6 gives None.

use std::net::IpAddr;

use super::numbers::{address as a, link as l, neighbour as n, route as r, rule as u};
use crate::machine::{
    Address, AddressFlags, HardwareAddress, Link, LinkFlags, Neighbour, NeighbourState, NextHop, OperationalState,
    Prefix, Route, Rule,
};
use ipvs_client::Family;
use netlink_exchange::{Attribute, Attributes, WireError};

/// What a message comes to: None if it is of a family that is not ours.
type Decoded<T> = Result<Option<T>, WireError>;

/// The header of a message and the attributes after it.
fn split<'a, const N: usize>(
    payload: &'a [u8],
    what: &'static str,
) -> Result<(&'a [u8; N], Attributes<'a>), WireError> {
    payload.split_first_chunk::<N>().map(|(header, rest)| (header, Attributes::new(rest))).ok_or(WireError::Truncated {
        what,
        need: N,
        have: payload.len(),
    })
}

fn family(number: u8) -> Option<Family> {
    match number {
        2 => Some(Family::Ipv4),
        10 => Some(Family::Ipv6),
        _ => None,
    }
}

fn ip(attribute: &Attribute<'_>, family: Family, what: &'static str) -> Result<IpAddr, WireError> {
    Ok(match family {
        Family::Ipv4 => attribute.array::<4>(what)?.into(),
        Family::Ipv6 => attribute.array::<16>(what)?.into(),
    })
}

/// `struct rtvia`: a family, and an address of that.
fn via(attribute: &Attribute<'_>) -> Result<Option<IpAddr>, WireError> {
    const WHAT: &str = "the gateway";
    let Some((number, address)) = attribute.payload.split_first_chunk::<2>() else {
        return Err(WireError::Truncated { what: WHAT, need: 2, have: attribute.payload.len() });
    };
    let Some(family) = u8::try_from(u16::from_ne_bytes(*number)).ok().and_then(family) else { return Ok(None) };
    ip(&Attribute { kind: attribute.kind, payload: address }, family, WHAT).map(Some)
}

fn prefix(
    attribute: Option<Attribute<'_>>,
    family: Family,
    length: u8,
    what: &'static str,
) -> Result<Prefix, WireError> {
    let all = Prefix::all(family);
    if length > Prefix::host(all.address).length {
        return Err(WireError::Value { what, value: length.into() });
    }
    // An address that is all zeros is left out.
    let address = attribute.map_or(Ok(all.address), |attribute| ip(&attribute, family, what))?;
    Ok(Prefix { address, length })
}

fn text(attribute: &Attribute<'_>) -> String {
    String::from_utf8_lossy(attribute.string()).into_owned()
}

/// `struct ifinfomsg`
pub(super) fn link(payload: &[u8]) -> Decoded<Link> {
    let ([family, _, m0, m1, i0, i1, i2, i3, f0, f1, f2, f3, ..], attributes) = split::<16>(payload, "a link")?;
    // A bridge reports links of its own, of its own family.
    if *family != 0 {
        return Ok(None);
    }
    let mut link = Link {
        index: u32::from_ne_bytes([*i0, *i1, *i2, *i3]),
        name: String::new(),
        flags: LinkFlags(u32::from_ne_bytes([*f0, *f1, *f2, *f3])),
        medium: u16::from_ne_bytes([*m0, *m1]),
        kind: None,
        mtu: 0,
        address: None,
        state: OperationalState::Unknown,
        master: None,
        lower: None,
    };
    for attribute in attributes {
        let attribute = attribute?;
        match attribute.kind {
            l::ADDRESS => link.address = Some(HardwareAddress(attribute.payload.to_vec())),
            l::NAME => link.name = text(&attribute),
            l::MTU => link.mtu = attribute.u32("the link's MTU")?,
            l::LINK => link.lower = Some(attribute.u32("the link's lower link")?).filter(|&lower| lower != 0),
            l::MASTER => link.master = Some(attribute.u32("the link's master")?),
            l::OPERSTATE => link.state = attribute.u8("the link's state")?.into(),
            l::INFO => {
                for attribute in attribute.nested() {
                    let attribute = attribute?;
                    if attribute.kind == l::INFO_KIND {
                        link.kind = Some(text(&attribute));
                    }
                }
            }
            _ => {}
        }
    }
    if link.name.is_empty() {
        return Err(WireError::Missing("the link's name"));
    }
    Ok(Some(link))
}

/// `struct ifaddrmsg`
pub(super) fn address(payload: &[u8]) -> Decoded<Address> {
    const WHAT: &str = "the interface's address";
    let ([number, prefix, flags, scope, i0, i1, i2, i3], attributes) = split::<8>(payload, "an address")?;
    let Some(family) = family(*number) else { return Ok(None) };
    let (mut local, mut other) = (None, None);
    let mut address = Address::host(u32::from_ne_bytes([*i0, *i1, *i2, *i3]), Prefix::all(family).address);
    address.prefix = *prefix;
    address.scope = (*scope).into();
    address.flags = AddressFlags(u32::from(*flags));
    for attribute in attributes {
        let attribute = attribute?;
        match attribute.kind {
            a::ADDRESS => other = Some(ip(&attribute, family, WHAT)?),
            a::LOCAL => local = Some(ip(&attribute, family, WHAT)?),
            a::LABEL => address.label = Some(text(&attribute)),
            a::BROADCAST => address.broadcast = Some(ip(&attribute, family, "the broadcast address")?),
            // The header has room for the first eight only.
            a::FLAGS => address.flags = AddressFlags(attribute.u32("the address's flags")?),
            a::CACHE => {
                let [p0, p1, p2, p3, v0, v1, v2, v3, ..] = attribute.array::<16>("the address's lifetimes")?;
                let ends = |seconds: u32| (seconds != u32::MAX).then_some(seconds);
                address.preferred = ends(u32::from_ne_bytes([p0, p1, p2, p3]));
                address.valid = ends(u32::from_ne_bytes([v0, v1, v2, v3]));
            }
            _ => {}
        }
    }
    // On a link of two ends IFA_ADDRESS is the other end; elsewhere it is the address itself, and with IPv6 the only one.
    (address.address, address.peer) = match (local, other) {
        (Some(local), other) => (local, other.filter(|&other| other != local)),
        (None, Some(address)) => (address, None),
        (None, None) => return Err(WireError::Missing(WHAT)),
    };
    self::prefix(None, family, address.prefix, "the address's prefix")?;
    Ok(Some(address))
}

/// `struct rtmsg`
pub(super) fn route(payload: &[u8]) -> Decoded<Route> {
    let ([number, to, from, _, table, protocol, scope, kind, f0, f1, f2, f3], attributes) =
        split::<12>(payload, "a route")?;
    let Some(family) = family(*number) else { return Ok(None) };
    let (mut destination, mut source) = (None, None);
    let mut route = Route {
        destination: Prefix::all(family),
        source: None,
        kind: (*kind).into(),
        table: u32::from(*table),
        protocol: (*protocol).into(),
        scope: (*scope).into(),
        gateway: None,
        output: None,
        preferred_source: None,
        priority: None,
        next_hops: Vec::new(),
        flags: u32::from_ne_bytes([*f0, *f1, *f2, *f3]),
    };
    for attribute in attributes {
        let attribute = attribute?;
        match attribute.kind {
            r::DESTINATION => destination = Some(attribute),
            r::SOURCE => source = Some(attribute),
            r::OUTPUT => route.output = Some(attribute.u32("the route's interface")?),
            r::GATEWAY => route.gateway = Some(ip(&attribute, family, "the gateway")?),
            r::VIA => route.gateway = via(&attribute)?,
            r::PRIORITY => route.priority = Some(attribute.u32("the route's metric")?),
            r::PREFERRED_SOURCE => {
                route.preferred_source = Some(ip(&attribute, family, "the route's preferred source")?);
            }
            r::TABLE => route.table = attribute.u32("the route's table")?,
            r::MULTIPATH => route.next_hops = next_hops(attribute.payload, family)?,
            _ => {}
        }
    }
    route.destination = prefix(destination, family, *to, "the route's destination")?;
    if *from != 0 || source.is_some() {
        route.source = Some(prefix(source, family, *from, "the route's source")?);
    }
    Ok(Some(route))
}

/// `struct rtnexthop`, one after the other, each with attributes.
fn next_hops(mut bytes: &[u8], family: Family) -> Result<Vec<NextHop>, WireError> {
    const WHAT: &str = "a next hop";
    let mut hops = Vec::new();
    while !bytes.is_empty() {
        let ([l0, l1, _, more, i0, i1, i2, i3], _) = split::<{ r::NEXT_HOP_HEADER }>(bytes, WHAT)?;
        let length = usize::from(u16::from_ne_bytes([*l0, *l1]));
        let attributes = match bytes.get(r::NEXT_HOP_HEADER..length) {
            Some(attributes) => attributes,
            None if length < r::NEXT_HOP_HEADER => return Err(WireError::Length { what: WHAT, length }),
            None => return Err(WireError::Truncated { what: WHAT, need: length, have: bytes.len() }),
        };
        let mut hop = NextHop {
            output: u32::from_ne_bytes([*i0, *i1, *i2, *i3]),
            gateway: None,
            // The wire has one less.
            weight: u32::from(*more) + 1,
        };
        for attribute in Attributes::new(attributes) {
            let attribute = attribute?;
            match attribute.kind {
                r::GATEWAY => hop.gateway = Some(ip(&attribute, family, "the gateway")?),
                r::VIA => hop.gateway = via(&attribute)?,
                _ => {}
            }
        }
        hops.push(hop);
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(hops)
}

/// `struct ndmsg`
pub(super) fn neighbour(payload: &[u8]) -> Decoded<Neighbour> {
    const WHAT: &str = "the neighbour's address";
    let ([number, _, _, _, i0, i1, i2, i3, s0, s1, flags, _], attributes) = split::<12>(payload, "a neighbour")?;
    let Some(family) = family(*number) else { return Ok(None) };
    let (mut address, mut hardware) = (None, None);
    for attribute in attributes {
        let attribute = attribute?;
        match attribute.kind {
            n::DESTINATION => address = Some(ip(&attribute, family, WHAT)?),
            n::LINK_ADDRESS => hardware = Some(HardwareAddress(attribute.payload.to_vec())),
            _ => {}
        }
    }
    Ok(Some(Neighbour {
        index: u32::from_ne_bytes([*i0, *i1, *i2, *i3]),
        address: address.ok_or(WireError::Missing(WHAT))?,
        hardware,
        state: NeighbourState(u16::from_ne_bytes([*s0, *s1])),
        flags: *flags,
    }))
}

/// `struct fib_rule_hdr`
pub(super) fn rule(payload: &[u8]) -> Decoded<Rule> {
    let ([number, to, from, _, table, _, _, action, f0, f1, f2, f3], attributes) = split::<12>(payload, "a rule")?;
    let Some(family) = family(*number) else { return Ok(None) };
    let (mut destination, mut source, mut mark, mut mask) = (None, None, None, u32::MAX);
    let mut rule = Rule {
        family,
        priority: 0,
        from: Prefix::all(family),
        to: Prefix::all(family),
        input: None,
        output: None,
        mark: None,
        inverted: u32::from_ne_bytes([*f0, *f1, *f2, *f3]) & u::INVERT != 0,
        action: (*action).into(),
        table: u32::from(*table),
    };
    for attribute in attributes {
        let attribute = attribute?;
        match attribute.kind {
            u::DESTINATION => destination = Some(attribute),
            u::SOURCE => source = Some(attribute),
            u::INPUT => rule.input = Some(text(&attribute)),
            u::OUTPUT => rule.output = Some(text(&attribute)),
            u::PRIORITY => rule.priority = attribute.u32("the rule's priority")?,
            u::MARK => mark = Some(attribute.u32("the rule's mark")?),
            u::MARK_MASK => mask = attribute.u32("the rule's mask of marks")?,
            u::TABLE => rule.table = attribute.u32("the rule's table")?,
            _ => {}
        }
    }
    rule.to = prefix(destination, family, *to, "the rule's destination")?;
    rule.from = prefix(source, family, *from, "the rule's source")?;
    // With the mask comes a mark of 0 even where there is none to match.
    rule.mark = mark.map(|mark| (mark, mask)).filter(|&(_, mask)| mask != 0);
    Ok(Some(rule))
}
