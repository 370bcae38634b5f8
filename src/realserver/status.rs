//! Looking: what makes a real server ready for a VIP, finding by finding. Nothing is changed, and no privilege is needed,
//! unless rules on ARP packets are to be seen.

use std::net::IpAddr;

use anyhow::Result;

use super::filter::Filter;
use super::machine::Machine;
use super::persist;
use super::real_server::Options;
use super::record::Book;
use super::remains::Remains;
use crate::doctor::quiet::Method;
use crate::doctor::readiness::{self, Finding, Readiness, Rules};
use crate::host::route::Client;
use crate::host::sysctl;
use crate::machine::Address;

/// How things stand with these VIPs, or without any with those that are started. The options count for VIPs that are not
/// started.
///
/// # Errors
/// Something cannot be read.
pub fn status(vips: &[IpAddr], options: &Options) -> Result<Vec<Readiness>> {
    let book = Book::look()?;
    let mut client = Client::connect()?;
    let machine = Machine::read(&mut client)?;
    let started: Vec<IpAddr> = book.record.vips.keys().copied().collect();
    let vips = if vips.is_empty() { &started } else { vips };
    vips.iter().map(|&vip| one(vip, options, &book, &machine, &mut client)).collect()
}

/// The addresses on this interface that could be VIPs, but are not started.
///
/// # Errors
/// Something cannot be read.
pub fn unrecorded(interface: &str) -> Result<Vec<IpAddr>> {
    let book = Book::look()?;
    let machine = Machine::read(&mut Client::connect()?)?;
    let Some(link) = machine.link(interface) else { return Ok(Vec::new()) };
    let could_be = |address: &&Address| {
        address.index == link.index
            && address.prefix == Address::host(link.index, address.address).prefix
            && !address.address.is_loopback()
            && !book.record.vips.contains_key(&address.address)
    };
    Ok(machine.addresses.iter().filter(could_be).map(|address| address.address).collect())
}

fn one(vip: IpAddr, options: &Options, book: &Book, machine: &Machine, client: &mut Client) -> Result<Readiness> {
    let entry = book.record.vips.get(&vip);
    let method = entry.map_or(options.method, |entry| entry.method);
    let interface = entry.map_or(&options.interface, |entry| &entry.interface);
    let filter = entry.and_then(|entry| entry.filter.as_ref());
    let mut findings = match method.holds_vip() {
        true => held(vip, interface, machine, client),
        false => vec![
            readiness::not_held(machine.network(), vip),
            Finding::Redirect(filter.map_or(Rules::NotStarted, all_of)),
        ],
    };
    if vip.is_ipv4() && method.holds_vip() {
        match (method, filter) {
            (Method::ArpSysctl, _) => findings.extend(readiness::settings(&machine.links, sysctl::read_number)?),
            (_, None) => findings.push(Finding::Rules(Rules::NotStarted)),
            (_, Some(filter)) => findings.extend(rules(filter, machine).map(Finding::Rules)),
        }
    }
    if options.persist {
        findings.push(Finding::AtBoot(persist::is_written(vip)));
    }
    let without_record = if entry.is_some() { Vec::new() } else { Remains::find(vip, interface, machine).parts() };
    Ok(Readiness { vip, started: entry.is_some(), method, interface: interface.clone(), findings, without_record })
}

/// How a VIP stands that is on an interface.
fn held(vip: IpAddr, interface: &str, machine: &Machine, client: &mut Client) -> Vec<Finding> {
    let network = machine.network();
    let link = machine.link(interface);
    let way = client.route_to(&machine.way_to(link, vip));
    let mut findings = vec![
        readiness::address(network, vip, interface),
        readiness::elsewhere(network, vip, interface),
        Finding::Delivered(way.map(|route| route.kind).map_err(|error| error.to_string())),
    ];
    findings.extend(link.map(|link| Finding::HostRoute(machine.host_route(link, vip).is_some())));
    findings
}

fn rules<'m>(filter: &'m Filter, machine: &'m Machine) -> impl Iterator<Item = Rules> + 'm {
    let bare = readiness::not_covered(machine.network(), |interface| filter.covers(interface));
    [all_of(filter)].into_iter().chain(bare.map(|link| Rules::MissingOn(link.name.clone())))
}

/// Whether all of what was laid is there.
fn all_of(filter: &Filter) -> Rules {
    match filter.is_laid() {
        Ok(true) => Rules::There,
        Ok(false) => Rules::Missing,
        Err(error) => Rules::Unreadable(format!("{error:#}")),
    }
}
