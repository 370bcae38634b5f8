//! Rules as a set: the table that the lines of a file would make of an empty one.

use std::collections::HashMap;

use crate::model::{Change, Destination, DestinationKey, Service, ServiceKey};

/// A rule, and the line of the file that it comes from; 0 if it comes from none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traced<T> {
    /// The rule.
    pub rule: T,
    /// The line.
    pub line: u32,
}

/// A service with its destinations, as rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleService {
    /// The service.
    pub service: Traced<Service>,
    /// Its real servers.
    pub destinations: Vec<Traced<Destination>>,
}

/// What the kernel would refuse a line for, in the light of the lines before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// `-A` of a service that is there.
    ServiceExists,
    /// `-E` or `-D` of a service that is not there.
    NoService,
    /// `-a`, `-e` or `-d` at a service that is not there.
    ServiceNotDefined,
    /// `-a` of a destination that is there.
    DestinationExists,
    /// `-e` or `-d` of a destination that is not there.
    NoDestination,
}

impl Finding {
    /// In the words of the refusal.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::ServiceExists => "Service already exists",
            Self::NoService => "No such service",
            Self::ServiceNotDefined => "Service not defined",
            Self::DestinationExists => "Destination already exists",
            Self::NoDestination => "No such destination",
        }
    }
}

/// Up to this many destinations are looked through, which is quicker than to keep an index: `-R --check` of 1,000 services of 10
/// takes a third more instructions with an index of each.
const MANY: usize = 24;

/// A set of rules, without counters. While it is made it knows where everything is; [`RuleSet::finish`] sorts it and
/// forgets that.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    services: Vec<RuleService>,
    /// Where each service is, once they do not stand in the order of their keys. Those of saved rules do, and are found there:
    /// that saves a tenth of the instructions of `-R --check`.
    service_index: Option<HashMap<ServiceKey, u32>>,
    /// Where the destinations of a service are, for services that have many.
    destination_index: HashMap<u32, HashMap<DestinationKey, u32>>,
    /// The service of the last line: most lines are about the same one as the line before. It saves 10 % of the instructions of
    /// `-R --check`.
    recent: Option<(ServiceKey, u32)>,
}

impl RuleSet {
    /// No rules.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Carry out one change, as the kernel would. Changes that are not about rules do nothing.
    ///
    /// # Errors
    /// The kernel would refuse it; nothing has changed then.
    pub fn apply(&mut self, change: &Change, line: u32) -> Result<(), Finding> {
        match change {
            Change::AddService(service) => {
                let index = self.services.len() as u32;
                if self.find(&service.key).is_some() {
                    return Err(Finding::ServiceExists);
                }
                if self.last().is_some_and(|last| service.key < last) {
                    self.index();
                }
                if let Some(places) = &mut self.service_index {
                    places.insert(service.key, index);
                }
                self.recent = Some((service.key, index));
                // It has all its servers, for the most part.
                if let Some(before) = self.services.last_mut() {
                    before.destinations.shrink_to_fit();
                }
                let service = Traced { rule: *service, line };
                self.services.push(RuleService { service, destinations: Vec::new() });
            }
            Change::EditService(service) => {
                let index = self.find(&service.key).ok_or(Finding::NoService)?;
                self.services[index as usize].service = Traced { rule: *service, line };
            }
            Change::DeleteService(key) => {
                let index = self.find(key).ok_or(Finding::NoService)?;
                self.remove_service(index);
            }
            Change::AddDestination(key, destination) => {
                let index = self.find(key).ok_or(Finding::ServiceNotDefined)?;
                if self.find_destination(index, &destination.key).is_some() {
                    return Err(Finding::DestinationExists);
                }
                let destinations = &mut self.services[index as usize].destinations;
                let at = destinations.len() as u32;
                destinations.push(Traced { rule: *destination, line });
                if let Some(index) = self.destination_index.get_mut(&index) {
                    index.insert(destination.key, at);
                } else if destinations.len() > MANY {
                    let places = (0..).zip(destinations.iter()).map(|(at, one)| (one.rule.key, at)).collect();
                    self.destination_index.insert(index, places);
                }
            }
            Change::EditDestination(key, destination) => {
                let index = self.find(key).ok_or(Finding::ServiceNotDefined)?;
                let at = self.find_destination(index, &destination.key).ok_or(Finding::NoDestination)?;
                self.services[index as usize].destinations[at as usize] = Traced { rule: *destination, line };
            }
            Change::DeleteDestination(key, destination) => {
                let index = self.find(key).ok_or(Finding::ServiceNotDefined)?;
                let at = self.find_destination(index, destination).ok_or(Finding::NoDestination)?;
                let destinations = &mut self.services[index as usize].destinations;
                destinations.swap_remove(at as usize);
                if let Some(index) = self.destination_index.get_mut(&index) {
                    index.remove(destination);
                    // The last one has taken its place.
                    index.extend(destinations.get(at as usize).map(|moved| (moved.rule.key, at)));
                }
            }
            Change::Flush => *self = Self::default(),
            Change::Zero(Some(key)) => {
                self.find(key).ok_or(Finding::NoService)?;
            }
            Change::Zero(None) | Change::SetTimeouts(_) | Change::StartDaemon(_) | Change::StopDaemon(_) => {}
        }
        Ok(())
    }

    /// The line of the rule that is this very addition, if there is one.
    pub fn line_of(&mut self, addition: &Change) -> Option<u32> {
        match addition {
            Change::AddService(service) => {
                let index = self.find(&service.key)?;
                let same = &self.services[index as usize].service;
                (same.rule == *service).then_some(same.line)
            }
            Change::AddDestination(key, destination) => {
                let index = self.find(key)?;
                let at = self.find_destination(index, &destination.key)?;
                let same = &self.services[index as usize].destinations[at as usize];
                (same.rule == *destination).then_some(same.line)
            }
            _ => None,
        }
    }

    fn find(&mut self, key: &ServiceKey) -> Option<u32> {
        if let Some((recent, index)) = &self.recent
            && recent == key
        {
            return Some(*index);
        }
        let index = match &self.service_index {
            Some(places) => *places.get(key)?,
            None if self.last().is_none_or(|last| last < *key) => return None,
            None => self.services.binary_search_by_key(key, |service| service.service.rule.key).ok()? as u32,
        };
        self.recent = Some((*key, index));
        Some(index)
    }

    /// The key of the service that was added last.
    fn last(&self) -> Option<ServiceKey> {
        self.services.last().map(|service| service.service.rule.key)
    }

    /// The index of services, which is made if there is none yet.
    fn index(&mut self) -> &mut HashMap<ServiceKey, u32> {
        let services = &self.services;
        self.service_index.get_or_insert_with(|| {
            let keys = services.iter().map(|service| service.service.rule.key);
            keys.zip(0..).collect()
        })
    }

    fn find_destination(&self, index: u32, key: &DestinationKey) -> Option<u32> {
        match self.destination_index.get(&index) {
            Some(places) => places.get(key).copied(),
            None => {
                let destinations = &self.services[index as usize].destinations;
                destinations.iter().position(|destination| destination.rule.key == *key).map(|at| at as u32)
            }
        }
    }

    fn remove_service(&mut self, index: u32) {
        self.recent = None;
        // Made of the services that are there before any has another's place.
        let key = self.services[index as usize].service.rule.key;
        self.index().remove(&key);
        self.services.swap_remove(index as usize);
        self.destination_index.remove(&index);
        // The last one has taken its place.
        let last = self.services.len() as u32;
        if let Some(moved) = self.services.get(index as usize).map(|service| service.service.rule.key) {
            self.index().insert(moved, index);
            if let Some(places) = self.destination_index.remove(&last) {
                self.destination_index.insert(index, places);
            }
        }
    }

    /// The services with their destinations, all in the order of listings.
    #[must_use]
    pub fn finish(self) -> Vec<RuleService> {
        let mut services = self.services;
        services.sort_unstable_by_key(|service| service.service.rule.key);
        for service in &mut services {
            service.destinations.sort_unstable_by_key(|destination| destination.rule.key);
            service.destinations.shrink_to_fit();
        }
        services
    }
}
