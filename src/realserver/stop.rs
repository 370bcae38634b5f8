//! Stopping: change back, then forget.

use std::net::IpAddr;

use anyhow::Result;
use netlink_exchange::Errno;

use super::error::state;
use super::machine::Machine;
use super::persist;
use super::real_server::RealServer;
use crate::doctor::readiness::host_route;
use crate::host::{route, sysctl};

impl RealServer {
    /// Stop these VIPs, and with `persist` also take back that they are there after a reboot. Returns what there is to be told:
    /// what was left as it is, and why.
    ///
    /// # Errors
    /// None of them is started. Or a change fails: then stopping again goes on with it.
    pub fn stop(&mut self, vips: &[IpAddr], persist: bool) -> Result<Vec<String>> {
        let is_started = |vip: &IpAddr| self.book.record.vips.contains_key(vip) || (persist && persist::is_there(*vip));
        let (started, others): (Vec<IpAddr>, Vec<IpAddr>) = vips.iter().partition(|vip| is_started(vip));
        let mut told: Vec<String> = others.iter().map(|vip| format!("{vip} is not started")).collect();
        // Some may not be: an earlier stop was stopped between two VIPs.
        if started.is_empty() {
            return Err(state(told.join("; ")));
        }
        for vip in started {
            told.extend(self.stop_one(vip, persist)?);
        }
        Ok(told)
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
            if let (Some(filter), IpAddr::V4(_)) = (&entry.filter, vip) {
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
        // Last: what is in these files may be all that tells what was there before.
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
                "{key} is {value} now, which is not our doing: left as it is (it was {} before)",
                setting.before
            ))),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// That it is gone already is as good.
fn gone(outcome: Result<(), route::Error>) -> Result<(), route::Error> {
    outcome.or_else(|error| match error.errno() {
        Some(Errno::ESRCH | Errno::EADDRNOTAVAIL | Errno::ENODEV) => Ok(()),
        _ => Err(error),
    })
}
