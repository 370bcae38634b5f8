//! Stopping: change back, then forget.

use std::net::IpAddr;

use anyhow::Result;
use netlink_exchange::Errno;

use super::error::state;
use super::machine::Machine;
use super::persist;
use super::real_server::{Options, RealServer};
use super::remains::{Remains, in_words, stop_command};
use super::start::settings;
use crate::doctor::readiness::{Remain, host_route};
use crate::host::{route, sysctl};

impl RealServer {
    /// Stop these VIPs, and with `options.persist` also undo that they are there after a reboot. With `force` also
    /// remove what is there of them without a record, as a start with these options would have made it. Returns
    /// warnings: what was left as it is, and why.
    ///
    /// # Errors
    /// None of them is started. Or a change fails: then stopping again goes on with it.
    pub fn stop(&mut self, vips: &[IpAddr], options: &Options, force: bool) -> Result<Vec<String>> {
        let machine = Machine::read(&mut self.client)?;
        let (mut wanted, mut warnings) = (Vec::new(), Vec::new());
        for &vip in vips {
            let interface = self.interface_of(vip, options);
            let is_started = self.book.record.vips.contains_key(&vip) || (options.persist && persist::is_there(vip));
            let parts = if is_started { Vec::new() } else { Remains::find(vip, &interface, &machine).parts() };
            if is_started || (force && !parts.is_empty()) {
                wanted.push((vip, interface));
            } else {
                warnings.push(not_started(&self.program, vip, &interface, &parts, &machine));
            }
        }
        // Some may not be: an earlier stop was stopped between two VIPs.
        if wanted.is_empty() {
            return Err(state(warnings.join("; ")));
        }
        for (vip, interface) in wanted {
            warnings.extend(self.stop_one(vip, options.persist)?);
            let machine = Machine::read(&mut self.client)?;
            if force {
                warnings.extend(self.remove(vip, &interface, &machine)?);
            } else {
                warnings.extend(left(&self.program, vip, &interface, &machine));
            }
        }
        Ok(warnings)
    }

    /// Where a VIP is by the record, or was to be put.
    fn interface_of(&self, vip: IpAddr, options: &Options) -> String {
        self.book.record.vips.get(&vip).map_or(&options.interface, |entry| &entry.interface).clone()
    }

    /// Remove what there still is of a VIP. What the settings were before is in no record; there they stay.
    fn remove(&mut self, vip: IpAddr, interface: &str, machine: &Machine) -> Result<Option<String>> {
        let remains = Remains::find(vip, interface, machine);
        if let Some(route) = &remains.route {
            gone(self.client.delete_route(route))?;
        }
        if let Some(address) = &remains.address {
            gone(self.client.delete_address(address))?;
        }
        for filter in &remains.filters {
            filter.lift(&|| self.book.lock_for_child())?;
        }
        if vip.is_ipv6() || remains.parts().is_empty() {
            return Ok(None);
        }
        let mut set = Vec::new();
        for (key, wanted) in settings(interface) {
            // Those that a VIP needs which is started are that one's.
            if self.book.record.vips.values().any(|entry| entry.settings.contains(&key)) {
                continue;
            }
            match sysctl::read_number(&key) {
                Ok(value) if value == wanted.value => set.push(format!("{key} is {value}")),
                Ok(_) => {}
                Err(error) if error.is_missing() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok((!set.is_empty())
            .then(|| format!("{}: left as it is, because there is no record of what it was before", set.join(", "))))
    }

    pub(super) fn stop_one(&mut self, vip: IpAddr, persist: bool) -> Result<Vec<String>> {
        let mut left = Vec::new();
        let entry = self.book.record.vips.get(&vip).cloned();
        if let Some(entry) = entry {
            let machine = Machine::read(&mut self.client)?;
            // With the interface, what was on it is gone.
            if let Some(link) = machine.link(&entry.interface) {
                if entry.route && machine.host_route(link, vip).is_some() {
                    gone(self.client.delete_route(&host_route(link, vip)))?;
                }
                match machine.address(link, vip) {
                    Some(address) if entry.address && (entry.label.is_none() || entry.label == address.label) => {
                        gone(self.client.delete_address(address))?;
                    }
                    Some(address) if entry.address => left.push(format!(
                        "{vip} on {} has the label {} now: left as it is",
                        link.name,
                        address.label.as_deref().unwrap_or("-")
                    )),
                    _ => {}
                }
            }
            if let Some(filter) = &entry.filter {
                filter.lift(&|| self.book.lock_for_child())?;
            }
            let others = self.book.record.vips.iter().filter(|&(&other, _)| other != vip);
            let needed: Vec<&String> = others.flat_map(|(_, entry)| &entry.settings).collect();
            let free: Vec<String> =
                self.book.record.settings.keys().filter(|key| !needed.contains(key)).cloned().collect();
            for key in &free {
                left.extend(self.put_back(key)?);
            }
            self.book.record.settings.retain(|key, _| !free.contains(key));
            self.book.record.vips.remove(&vip);
            self.book.save()?;
        }
        // Last: what is in these files may be all that has what was there before.
        if persist {
            persist::remove(vip)?;
        }
        Ok(left)
    }

    /// Give a setting the value it had before, unless another program gave it another.
    fn put_back(&self, key: &str) -> Result<Option<String>> {
        let Some(setting) = self.book.record.settings.get(key) else { return Ok(None) };
        match sysctl::read(key) {
            Ok(value) if value == setting.ours => {
                sysctl::write(key, &setting.before)?;
                Ok(None)
            }
            Ok(value) if value == setting.before => Ok(None),
            Ok(value) => Ok(Some(format!(
                "{key} is {value} now, set by another program: left as it is (it was {} before)",
                setting.before
            ))),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// What is said of a VIP that is not started: how what there is of it can be removed.
fn not_started(program: &str, vip: IpAddr, interface: &str, parts: &[Remain], machine: &Machine) -> String {
    if !parts.is_empty() {
        let (parts, command) = (in_words(parts), stop_command(program, vip, interface));
        return format!("{vip} is not started; there is {parts} without a record; to remove: {command}");
    }
    let elsewhere = machine.network().places(vip).find(|place| place.link.name != interface);
    let elsewhere = elsewhere.map(|place| format!("; {vip} is on {}", place.link.name)).unwrap_or_default();
    format!("{vip} is not started{elsewhere}")
}

/// What was there before a start, and so is still there after the stop.
fn left(program: &str, vip: IpAddr, interface: &str, machine: &Machine) -> Option<String> {
    let parts = Remains::on(vip, interface, machine).parts();
    (!parts.is_empty()).then(|| {
        let (parts, command) = (in_words(&parts), stop_command(program, vip, interface));
        format!("{vip}: left {parts}, found before start; to remove: {command}")
    })
}

/// That it is gone already is as good.
fn gone(outcome: Result<(), route::Error>) -> Result<(), route::Error> {
    outcome.or_else(|error| match error.errno() {
        Some(Errno::ESRCH | Errno::EADDRNOTAVAIL | Errno::ENODEV) => Ok(()),
        _ => Err(error),
    })
}
