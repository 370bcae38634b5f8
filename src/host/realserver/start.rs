//! Starting: look, record, change.

use std::net::IpAddr;

use anyhow::Result;
use netlink_exchange::Errno;

use super::error::{state, wrong};
use super::filter::Filter;
use super::record::{Entry, Setting};
use super::{Facts, Method, Options, RealServer, arp, host_route, persist};
use crate::host::route::{Address, AddressFlags, Link};
use crate::host::sysctl;

/// The longest name of an interface or label, `IFNAMSIZ` of `linux/if.h` less the NUL.
const LONGEST_LABEL: usize = 15;

/// What is still to be done for a VIP.
struct Plan {
    entry: Entry,
    /// Settings to be written: key, what is there, what is to be there.
    settings: Vec<(String, Setting)>,
    /// Settings that a file of ours set at boot: they are ours too, and nothing is to be written.
    adopted: Vec<(String, Setting)>,
    filter: bool,
    address: bool,
    route: bool,
    persist: bool,
}

impl Plan {
    fn is_empty(&self) -> bool {
        self.settings.is_empty() && !(self.filter || self.address || self.route || self.persist)
    }
}

impl RealServer {
    /// Start these VIPs: all of them, or none. What an earlier start left undone is done. Returns what there is to be told.
    ///
    /// # Errors
    /// All of them are started already, something is in the way, or a change fails; what was changed for these VIPs is taken
    /// back then.
    pub fn start(&mut self, vips: &[IpAddr], options: &Options) -> Result<Vec<String>> {
        let facts = Facts::read(&mut self.client)?;
        let link = facts
            .link(&options.interface)
            .ok_or_else(|| wrong(format!("there is no interface {}; `ip link' lists them", options.interface)))?;
        // Everything is looked at before anything is changed.
        let (mut wanted, mut told) = (Vec::new(), Vec::new());
        for &vip in vips {
            self.check(vip, options, link, &facts)?;
            match self.plan(vip, options, link, &facts)?.is_empty() {
                true => told.push(format!("{vip} is started already")),
                false => wanted.push(vip),
            }
        }
        // Some may be: an earlier start was stopped between two VIPs.
        if wanted.is_empty() {
            return Err(state(told.join("; ")));
        }
        let mut new = Vec::new();
        for vip in wanted {
            if !self.book.record.vips.contains_key(&vip) {
                new.push((vip, options.persist && !persist::is_there(vip)));
            }
            if let Err(error) = self.start_one(vip, options) {
                for (vip, persist) in new.into_iter().rev() {
                    // That taking back fails too has the same reason, in all likelihood; the record keeps what is left.
                    let _ = self.stop_one(vip, persist);
                }
                return Err(error);
            }
        }
        Ok(told)
    }

    fn start_one(&mut self, vip: IpAddr, options: &Options) -> Result<()> {
        // Anew for each VIP: the one before took a label, and changed settings.
        let facts = Facts::read(&mut self.client)?;
        let Some(link) = facts.link(&options.interface) else {
            return Err(wrong(format!("the interface {} has vanished", options.interface)));
        };
        let plan = self.plan(vip, options, link, &facts)?;
        self.book.record.settings.extend(plan.settings.iter().chain(&plan.adopted).cloned());
        self.book.record.vips.insert(vip, plan.entry.clone());
        self.book.save()?;
        // Silence first: from the moment that the VIP is there, somebody may ask for it.
        for (key, setting) in &plan.settings {
            sysctl::write(key, &setting.ours)?;
        }
        if let (true, Some(filter), IpAddr::V4(vip)) = (plan.filter, &plan.entry.filter, vip) {
            filter.lay(vip, &|| self.book.lock_for_child())?;
        }
        if plan.address {
            let mut address = Address::host(link.index, vip);
            address.label.clone_from(&plan.entry.label);
            if vip.is_ipv6() {
                // On every real server there is the same; each would find that somebody has it already.
                address.flags = AddressFlags(AddressFlags::NO_DAD);
                // Deprecated: what this host begins by itself is not to come from the VIP, whose answers go elsewhere.
                address.preferred = Some(0);
            }
            self.client.add_address(&address)?;
        }
        if plan.route {
            self.client.add_route(&host_route(link, vip)).or_else(|error| match error.errno() {
                // It came with the address, in the same moment, from somebody else.
                Some(Errno::EEXIST) => Ok(()),
                _ => Err(error),
            })?;
        }
        if plan.persist {
            persist::write(vip, &plan.entry, &self.book.record.settings)?;
        }
        Ok(())
    }

    /// What is to be done for a VIP.
    fn plan(&self, vip: IpAddr, options: &Options, link: &Link, facts: &Facts) -> Result<Plan> {
        let started = self.book.record.vips.get(&vip);
        let is_there = facts.address(link, vip).is_some();
        let has_route = facts.host_route(link, vip).is_some();
        let mut entry = started.cloned().unwrap_or_else(|| Entry {
            interface: link.name.clone(),
            method: options.method,
            label: self.label(vip, link, facts),
            address: false,
            route: false,
            settings: [].into(),
            filter: None,
        });
        entry.address |= !is_there;
        // With an IPv6 address the kernel sets the route in main itself, and takes it away with that.
        entry.route |= vip.is_ipv4() && !has_route;
        let mut plan = Plan {
            settings: Vec::new(),
            adopted: Vec::new(),
            filter: false,
            address: !is_there,
            route: vip.is_ipv4() && !has_route,
            persist: options.persist && !persist::is_written_as(vip, &entry),
            entry,
        };
        let IpAddr::V4(vip4) = vip else { return Ok(plan) };
        if options.method == Method::ArpSysctl {
            for (key, wanted) in arp::settings(&link.name) {
                let value = sysctl::read_number(&key)?;
                plan.entry.settings.insert(key.clone());
                let known = self.book.record.settings.get(&key);
                if !wanted.is_met_by(value) {
                    let setting = Setting { before: value.to_string(), ours: wanted.value.to_owned() };
                    plan.settings.push((key, setting));
                } else if let (None, Some(setting)) = (known, persist::setting(vip, &key))
                    && setting.ours == value.to_string()
                {
                    plan.adopted.push((key, setting));
                }
            }
        } else {
            let filter = match plan.entry.filter.take() {
                Some(filter) => filter,
                None => Filter::plan(options.method, vip4, facts)?,
            };
            plan.filter = started.is_none() || !filter.is_laid()?;
            plan.entry.filter = Some(filter);
        }
        Ok(plan)
    }

    /// The first label that nobody has: `lo:0`. IPv6 has none.
    fn label(&self, vip: IpAddr, link: &Link, facts: &Facts) -> Option<String> {
        let taken = |label: &str| {
            let label = Some(label);
            facts.addresses.iter().any(|address| address.label.as_deref() == label)
                || self.book.record.vips.values().any(|entry| entry.label.as_deref() == label)
        };
        // There are as many labels as addresses at most.
        let count = facts.addresses.len() + self.book.record.vips.len();
        let free = (0..=count).map(|number| format!("{}:{number}", link.name)).find(|label| !taken(label))?;
        (vip.is_ipv4() && free.len() <= LONGEST_LABEL).then_some(free)
    }

    /// Whether anything is in the way of a VIP.
    fn check(&self, vip: IpAddr, options: &Options, link: &Link, facts: &Facts) -> Result<()> {
        let interface = &link.name;
        if arp::speaks_arp(link) && (vip.is_ipv6() || options.method == Method::ArpSysctl) {
            return Err(wrong(format!(
                "{interface} itself answers for the addresses it has: put the VIP on lo, or on a dummy interface"
            )));
        }
        if !link.flags.is_up() {
            return Err(state(format!("{interface} is down: ip link set {interface} up")));
        }
        if let Some(entry) = self.book.record.vips.get(&vip)
            && (entry.method, &entry.interface) != (options.method, interface)
        {
            return Err(state(format!(
                "{vip} is started already, with --method {} --interface {}: stop it first",
                entry.method, entry.interface
            )));
        }
        for address in facts.addresses.iter().filter(|address| address.address == vip) {
            let name = facts.links.iter().find(|link| link.index == address.index).map_or("?", |link| &link.name);
            let wanted = Address::host(link.index, vip);
            if address.index != link.index {
                return Err(state(format!(
                    "{vip} is on {name} already: ip address delete {vip}/{} dev {name}",
                    address.prefix
                )));
            }
            if address.prefix != wanted.prefix {
                return Err(state(format!(
                    "{vip} is on {name} as /{0}, which makes all of that network this host's own: ip address delete \
                     {vip}/{0} dev {name}",
                    address.prefix
                )));
            }
        }
        if vip.is_ipv4() && options.method == Method::ArpSysctl {
            self.check_other_settings(facts)?;
        }
        Ok(())
    }

    /// The larger of the values of `all` and of the interface counts: one of an interface can undo what is set for all.
    fn check_other_settings(&self, facts: &Facts) -> Result<()> {
        for wanted in [arp::IGNORE, arp::ANNOUNCE] {
            let all = sysctl::read_number(&wanted.key("all"))?;
            let all = if wanted.is_met_by(all) { Some(all) } else { wanted.value.parse().ok() };
            for link in arp::speakers(facts) {
                let own = sysctl::read_number(&wanted.key(&link.name))?;
                if all.is_some_and(|all| !wanted.is_met_by(all.max(own))) {
                    return Err(state(format!(
                        "{0} of {1} is {own}, which counts more than what is set for all, and lets {1} answer for the \
                         VIP: sysctl -w {2}={3}",
                        wanted.name,
                        link.name,
                        wanted.key(&link.name),
                        wanted.value
                    )));
                }
            }
        }
        Ok(())
    }
}
