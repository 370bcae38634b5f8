//! Looking: what makes a real server ready for a VIP, fact by fact. Nothing is changed, and no privilege is needed, unless
//! rules on ARP packets are to be seen.

use std::net::IpAddr;

use anyhow::Result;
use serde::Serialize;

use super::record::Book;
use super::{Facts, Method, Options, arp, persist};
use crate::host::route::{self, RouteKind, RouteQuery};

/// Something that has to be so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fact {
    /// Its name.
    pub fact: &'static str,
    /// Whether it is so.
    pub pass: bool,
    /// What was found.
    pub found: String,
}

/// How things stand with a VIP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The VIP.
    pub vip: IpAddr,
    /// Whether all facts are as they have to be.
    pub ready: bool,
    /// Whether it was started by us, and so can be stopped.
    pub started: bool,
    /// How ARP is kept quiet.
    pub method: Method,
    /// The interface that has it.
    pub interface: String,
    /// The facts.
    pub facts: Vec<Fact>,
}

/// How things stand with these VIPs, or without any with those that are started. The options count for VIPs that are not
/// started.
///
/// # Errors
/// Something cannot be read.
pub fn status(vips: &[IpAddr], options: &Options) -> Result<Vec<Status>> {
    let book = Book::look()?;
    let mut client = route::Client::connect()?;
    let facts = Facts::read(&mut client)?;
    let started: Vec<IpAddr> = book.record.vips.keys().copied().collect();
    let vips = if vips.is_empty() { &started } else { vips };
    vips.iter().map(|&vip| one(vip, options, &book, &facts, &mut client)).collect()
}

fn one(vip: IpAddr, options: &Options, book: &Book, facts: &Facts, client: &mut route::Client) -> Result<Status> {
    let entry = book.record.vips.get(&vip);
    let method = entry.map_or(options.method, |entry| entry.method);
    let interface = entry.map_or(&options.interface, |entry| &entry.interface);
    let mut found = vec![address(vip, interface, facts), elsewhere(vip, interface, facts), delivered(vip, client)];
    if let Some(link) = facts.link(interface) {
        found.push(match facts.host_route(link, vip) {
            Some(_) => pass("host_route", format!("{vip} dev {interface} is in the table main")),
            None => fail("host_route", format!("{vip} dev {interface} is not in the table main")),
        });
    }
    if vip.is_ipv4() {
        match (method, entry.and_then(|entry| entry.filter.as_ref())) {
            (Method::ArpSysctl, _) => settings(facts, &mut found)?,
            (_, None) => found.push(fail("arp_rules", "none of ours: the VIP is not started".into())),
            (_, Some(filter)) => {
                found.push(match filter.is_laid() {
                    Ok(true) => pass("arp_rules", "requests are dropped, sources are fixed".into()),
                    Ok(false) => fail("arp_rules", "not all of our rules are there".into()),
                    Err(error) => fail("arp_rules", format!("cannot be seen: {error:#}")),
                });
                for link in arp::speakers(facts) {
                    // A link without an address of its own has nothing to ask with.
                    let has_own = facts.addresses.iter().any(|own| own.index == link.index && own.address.is_ipv4());
                    if has_own && !filter.covers(&link.name) {
                        found.push(fail("arp_rules", format!("{} came later and has none: start anew", link.name)));
                    }
                }
            }
        }
    }
    if options.persist {
        found.push(match persist::is_written(vip) {
            true => pass("persist", "it is started at every boot".into()),
            false => fail("persist", "it is not started at boot".into()),
        });
    }
    Ok(Status {
        vip,
        ready: found.iter().all(|fact| fact.pass),
        started: entry.is_some(),
        method,
        interface: interface.clone(),
        facts: found,
    })
}

fn pass(fact: &'static str, found: String) -> Fact {
    Fact { fact, pass: true, found }
}

fn fail(fact: &'static str, found: String) -> Fact {
    Fact { fact, pass: false, found }
}

/// The VIP is there, by itself, and usable.
fn address(vip: IpAddr, interface: &str, facts: &Facts) -> Fact {
    const FACT: &str = "address";
    let Some(link) = facts.link(interface) else { return fail(FACT, format!("there is no interface {interface}")) };
    if !link.flags.is_up() {
        return fail(FACT, format!("{interface} is down"));
    }
    match facts.address(link, vip) {
        Some(found) if found.flags.is_dad_failed() => {
            fail(FACT, format!("{vip} on {interface} is a duplicate of another host's, and not used"))
        }
        Some(found) if found.flags.is_tentative() => {
            fail(FACT, format!("{vip} on {interface} is being checked for duplicates, and not used yet"))
        }
        Some(found) => pass(FACT, format!("{vip}/{} is on {interface}", found.prefix)),
        None => match facts.addresses.iter().find(|found| found.index == link.index && found.address == vip) {
            Some(wide) => fail(
                FACT,
                format!("{vip} is on {interface} as /{}: all of that network is this host's own", wide.prefix),
            ),
            None => fail(FACT, format!("{vip} is not on {interface}")),
        },
    }
}

/// The VIP is on no interface that would answer for it.
fn elsewhere(vip: IpAddr, interface: &str, facts: &Facts) -> Fact {
    let other = facts.addresses.iter().filter(|address| address.address == vip).find_map(|address| {
        facts.links.iter().find(|link| link.index == address.index && link.name != interface && arp::speaks_arp(link))
    });
    match other {
        Some(link) => fail("elsewhere", format!("{vip} is on {}, which answers for it", link.name)),
        None => pass("elsewhere", format!("{vip} is on no interface that answers for it")),
    }
}

/// Packets for the VIP are taken in.
fn delivered(vip: IpAddr, client: &mut route::Client) -> Fact {
    match client.route_to(&RouteQuery::to(vip)) {
        Ok(route) if route.kind == RouteKind::Local => pass("delivered", format!("packets to {vip} are taken in")),
        Ok(route) => fail("delivered", format!("the route to {vip} is {}, not local", route.kind)),
        Err(error) => fail("delivered", format!("{error}")),
    }
}

/// On every link that speaks ARP the settings keep quiet.
fn settings(facts: &Facts, found: &mut Vec<Fact>) -> Result<()> {
    for wanted in [arp::IGNORE, arp::ANNOUNCE] {
        let mut speakers = arp::speakers(facts).peekable();
        if speakers.peek().is_none() {
            found.push(pass(wanted.name, "no interface here speaks ARP".into()));
        }
        for link in speakers {
            let value = wanted.in_force(&link.name)?;
            let text = format!("{value} on {}, the larger of all and its own", link.name);
            found.push(if wanted.is_met_by(value) {
                pass(wanted.name, text)
            } else {
                fail(wanted.name, format!("{text}; {} is needed", wanted.value))
            });
        }
    }
    Ok(())
}
