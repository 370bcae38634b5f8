//! Starting: look, record, change.

use std::collections::BTreeSet;
use std::net::IpAddr;

use anyhow::Result;
use netlink_exchange::Errno;

use super::error::{state, wrong};
use super::filter::Filter;
use super::machine::Machine;
use super::persist;
use super::real_server::{Options, RealServer};
use super::record::{Entry, Setting};
use super::remains::{Remains, in_words, stop_command};
use crate::doctor::quiet::{ANNOUNCE, IGNORE, Method, Wanted, is_quiet};
use crate::doctor::readiness::host_route;
use crate::doctor::shell;
use crate::host::sysctl;
use crate::machine::{Address, AddressFlags, Link};

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
    /// Start these VIPs: all of them, or none. What an earlier start left undone is done. Returns warnings.
    ///
    /// # Errors
    /// All of them are started already, something is in the way, or a change fails; what was changed for these VIPs is taken
    /// back then.
    pub fn start(&mut self, vips: &[IpAddr], options: &Options) -> Result<Vec<String>> {
        let machine = Machine::read(&mut self.client)?;
        let link = machine
            .link(&options.interface)
            .ok_or_else(|| wrong(format!("there is no interface {}; `ip link' lists them", options.interface)))?;
        // Everything is looked at before anything is changed.
        let (mut wanted, mut warnings) = (Vec::new(), Vec::new());
        for &vip in vips {
            self.check(vip, options, link, &machine)?;
            if self.book.record.vips.contains_key(&vip) {
                if self.plan(vip, options, link, &machine)?.is_empty() {
                    warnings.push(format!("{vip} is started already"));
                    continue;
                }
            } else {
                warnings.extend(taken_over(&self.program, vip, &link.name, &machine));
            }
            wanted.push(vip);
        }
        // Some may be: an earlier start was stopped between two VIPs.
        if wanted.is_empty() {
            return Err(state(warnings.join("; ")));
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
        Ok(warnings)
    }

    fn start_one(&mut self, vip: IpAddr, options: &Options) -> Result<()> {
        // Again for each VIP: the one before took a label, and changed settings.
        let machine = Machine::read(&mut self.client)?;
        let Some(link) = machine.link(&options.interface) else {
            return Err(wrong(format!("the interface {} has vanished", options.interface)));
        };
        let plan = self.plan(vip, options, link, &machine)?;
        self.book.record.settings.extend(plan.settings.iter().chain(&plan.adopted).cloned());
        self.book.record.vips.insert(vip, plan.entry.clone());
        self.book.save()?;
        // Silence first: from the moment that the VIP is there, a router may ask for it.
        for (key, setting) in &plan.settings {
            sysctl::write(key, &setting.ours)?;
        }
        if let (true, Some(filter)) = (plan.filter, &plan.entry.filter) {
            filter.lay(vip, &|| self.book.lock_for_child())?;
        }
        if plan.address {
            let mut address = Address::host(link.index, vip);
            address.label.clone_from(&plan.entry.label);
            if vip.is_ipv6() {
                // On every real server there is the same; each would find that another has it already.
                address.flags = AddressFlags(AddressFlags::NO_DAD);
                // Deprecated: what this host begins by itself is not to come from the VIP, whose answers go elsewhere.
                address.preferred = Some(0);
            }
            self.client.add_address(&address)?;
            if vip.is_ipv6() && link.flags.is_up() {
                self.client.wait_until_local(&machine.way_to(Some(link), vip));
            }
        }
        if plan.route {
            self.client.add_route(&host_route(link, vip)).or_else(|error| match error.errno() {
                // It came with the address, in the same moment, from another program.
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
    fn plan(&self, vip: IpAddr, options: &Options, link: &Link, machine: &Machine) -> Result<Plan> {
        let started = self.book.record.vips.get(&vip);
        let holds_vip = options.method.holds_vip();
        let address = holds_vip && machine.address(link, vip).is_none();
        let route = holds_vip && machine.needs_host_route(link, vip) && machine.host_route(link, vip).is_none();
        let mut entry = started.cloned().unwrap_or_else(|| Entry {
            interface: link.name.clone(),
            method: options.method,
            label: if holds_vip { self.label(vip, link, machine) } else { None },
            address: false,
            route: false,
            settings: [].into(),
            filter: None,
        });
        entry.address |= address;
        entry.route |= route;
        let mut plan = Plan {
            settings: Vec::new(),
            adopted: Vec::new(),
            filter: false,
            address,
            route,
            persist: options.persist && !persist::is_written_as(vip, &entry),
            entry,
        };
        if holds_vip && vip.is_ipv6() {
            return Ok(plan);
        }
        if options.method == Method::ArpSysctl {
            for (key, wanted) in settings(&link.name) {
                let value = sysctl::read_number(&key)?;
                plan.entry.settings.insert(key.clone());
                let known = self.book.record.settings.get(&key);
                if !wanted.is_met_by(value) {
                    let setting = Setting { before: value.to_string(), ours: wanted.value.to_string() };
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
                None => Filter::plan(options.method, vip, machine)?,
            };
            plan.filter = started.is_none() || !filter.is_laid()?;
            plan.entry.filter = Some(filter);
        }
        Ok(plan)
    }

    /// The first label that is free: `lo:0`. IPv6 has none.
    fn label(&self, vip: IpAddr, link: &Link, machine: &Machine) -> Option<String> {
        let taken = |label: &str| {
            let label = Some(label);
            machine.addresses.iter().any(|address| address.label.as_deref() == label)
                || self.book.record.vips.values().any(|entry| entry.label.as_deref() == label)
        };
        // There are as many labels as addresses at most.
        let count = machine.addresses.len() + self.book.record.vips.len();
        let free = (0..=count).map(|number| format!("{}:{number}", link.name)).find(|label| !taken(label))?;
        (vip.is_ipv4() && free.len() <= LONGEST_LABEL).then_some(free)
    }

    /// Whether anything is in the way of a VIP.
    fn check(&self, vip: IpAddr, options: &Options, link: &Link, machine: &Machine) -> Result<()> {
        let interface = &link.name;
        if !options.method.holds_vip() && interface != "lo" {
            return Err(wrong("--method redirect puts the VIP on no interface: leave --interface out".to_owned()));
        }
        if !is_quiet(link) && (vip.is_ipv6() || options.method == Method::ArpSysctl) {
            return Err(wrong(format!(
                "{interface} itself answers for the addresses it has: put the VIP on lo, or on a dummy interface"
            )));
        }
        if !link.flags.is_up() {
            return Err(state(format!("{interface} is down: ip link set {} up", shell(interface))));
        }
        if let Some(entry) = self.book.record.vips.get(&vip)
            && (entry.method, &entry.interface) != (options.method, interface)
        {
            return Err(state(format!(
                "{vip} is started already, with --method {} --interface {}: stop it first",
                entry.method, entry.interface
            )));
        }
        for address in machine.addresses.iter().filter(|address| address.address == vip) {
            let name = machine.links.iter().find(|link| link.index == address.index).map_or("?", |link| &link.name);
            let wanted = Address::host(link.index, vip);
            if !options.method.holds_vip() {
                return Err(state(format!(
                    "{vip} is on {name}, and with --method redirect it may be on no interface: ip address delete \
                     {vip}/{} dev {}",
                    address.prefix,
                    shell(name)
                )));
            }
            if address.index != link.index {
                return Err(state(format!(
                    "{vip} is on {name} already: ip address delete {vip}/{} dev {}",
                    address.prefix,
                    shell(name)
                )));
            }
            if address.prefix != wanted.prefix {
                return Err(state(format!(
                    "{vip} is on {name} as /{0}, which makes all of that network this host's own: ip address delete \
                     {vip}/{0} dev {1}",
                    address.prefix,
                    shell(name)
                )));
            }
        }
        if vip.is_ipv4() && options.method == Method::ArpSysctl {
            self.check_other_settings(machine)?;
        }
        Ok(())
    }

    /// The larger of the values of `all` and of the interface counts: one of an interface can undo what is set for all.
    fn check_other_settings(&self, machine: &Machine) -> Result<()> {
        for wanted in [IGNORE, ANNOUNCE] {
            for setting in wanted.on(&machine.links, sysctl::read_number)? {
                if setting.own_is_in_the_way() {
                    return Err(state(format!(
                        "{0} of {1} is {2}, which counts more than what is set for all, and lets {1} answer for the \
                         VIP: sysctl -w {3}={4}",
                        wanted.name,
                        setting.link.name,
                        setting.own,
                        shell(&wanted.key(&setting.link.name)),
                        wanted.value
                    )));
                }
            }
        }
        Ok(())
    }
}

/// The warning about a VIP that another program or a lost record left here: stop leaves it.
fn taken_over(program: &str, vip: IpAddr, interface: &str, machine: &Machine) -> Option<String> {
    let parts = Remains::on(vip, interface, machine).parts();
    (!parts.is_empty()).then(|| {
        let (parts, command) = (in_words(&parts), stop_command(program, vip, interface));
        format!("{vip}: found {parts} without a record, which `stop' leaves; to remove: {command}")
    })
}

/// The settings that a VIP on this interface needs, with their keys. On the interface itself they do nothing; they are set
/// there for those who look there.
pub(super) fn settings(interface: &str) -> Vec<(String, Wanted)> {
    // `all` first: it is the one that counts.
    let interfaces: BTreeSet<&str> = ["all", interface].into();
    interfaces.into_iter().flat_map(|on| [IGNORE, ANNOUNCE].map(|wanted| (wanted.key(on), wanted))).collect()
}

#[cfg(test)]
mod tests {
    use super::settings;

    #[test]
    fn all_and_the_interface_are_set() {
        let keys: Vec<String> = settings("lo").into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys[0], "net/ipv4/conf/all/arp_ignore");
        assert_eq!(keys.len(), 4);
    }
}
