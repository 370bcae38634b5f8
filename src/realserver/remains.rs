//! What is there of a VIP, whether a record tells of it or not: made by hand, or left by a start whose record is lost.

use std::net::IpAddr;

use super::filter::Filter;
use super::machine::Machine;
use crate::doctor::readiness::Remain;
use crate::doctor::shell;
use crate::machine::{Address, Route};

/// What [`super::RealServer::start`] would have made for a VIP on an interface, as far as it is there.
#[derive(Default)]
pub(super) struct Remains {
    pub(super) address: Option<Address>,
    /// Only where the kernel does not set one itself.
    pub(super) route: Option<Route>,
    pub(super) filters: Vec<Filter>,
}

impl Remains {
    /// Look for it.
    pub(super) fn find(vip: IpAddr, interface: &str, machine: &Machine) -> Self {
        Self { filters: Filter::find(vip), ..Self::on(vip, interface, machine) }
    }

    /// Look for it without asking for rules, which takes other programs.
    pub(super) fn on(vip: IpAddr, interface: &str, machine: &Machine) -> Self {
        let Some(link) = machine.link(interface) else { return Self::default() };
        Self {
            address: machine.address(link, vip).cloned(),
            route: machine.host_route(link, vip).filter(|_| machine.needs_host_route(link, vip)).cloned(),
            filters: Vec::new(),
        }
    }

    /// What there is.
    pub(super) fn parts(&self) -> Vec<Remain> {
        let parts = [
            (self.address.is_some(), Remain::Address),
            (self.route.is_some(), Remain::HostRoute),
            (self.filters.iter().any(|filter| !filter.redirects()), Remain::Rules),
            (self.filters.iter().any(Filter::redirects), Remain::Redirect),
        ];
        parts.into_iter().filter(|(is_there, _)| *is_there).map(|(_, part)| part).collect()
    }
}

/// These, as words of a sentence.
pub(super) fn in_words(parts: &[Remain]) -> String {
    let words: Vec<String> = parts.iter().map(Remain::to_string).collect();
    match &words[..] {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        words => words.concat(),
    }
}

/// The command of this program that removes all of it.
pub(super) fn stop_command(program: &str, vip: IpAddr, interface: &str) -> String {
    let interface = if interface == "lo" { String::new() } else { format!(" --interface {}", shell(interface)) };
    format!("{program} realserver stop --force{interface} {vip}")
}
