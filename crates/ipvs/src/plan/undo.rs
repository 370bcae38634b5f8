//! Taking changes back: rule by rule, over whatever others have changed since.

use std::collections::{HashMap, HashSet};

use super::difference::{Families, State, find, find_traced, same_daemon, same_destination};
use super::ruleset::{RuleService, Traced};
use crate::model::{Change, Daemon, DaemonRole, Destination, DestinationKey, Family, ServiceKey};

/// The way back from changes that were made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Undo {
    /// What to do, in an order as safe as that of a plan.
    pub changes: Vec<Change>,
    /// Changes that stay, at least in part, because another program has changed the same thing since.
    pub kept: Vec<Change>,
}

/// The way back to `have` from these changes, all of them made, rule by rule: what is still as they made it is rolled back, and
/// what others have changed since stays. Weights are set by health checkers all the time: one that is another since stays,
/// and keeps nothing else from going back.
///
/// `now` is the table as it is; without it, everything counts as they made it.
#[must_use]
pub fn undo(have: &State, made: &[Change], now: Option<&State>) -> Undo {
    let added: HashMap<(ServiceKey, DestinationKey), Destination> = match now {
        // There is nothing to compare with.
        None => HashMap::new(),
        Some(_) => made.iter().filter_map(added_destination).collect(),
    };
    let added_services: HashSet<ServiceKey> = made
        .iter()
        .filter_map(|change| match change {
            Change::AddService(service) => Some(service.key),
            _ => None,
        })
        .collect();
    let mut back = Back { have, now, made, added, added_services, undo: Undo::default() };
    for change in made {
        back.rule(change);
    }
    for role in [DaemonRole::Master, DaemonRole::Backup] {
        back.daemon(role);
    }
    let Back { mut undo, .. } = back;
    let families = Families::of(now.unwrap_or(&after_daemons(have, made)), undo.changes.iter());
    let mixed: HashSet<ServiceKey> = made
        .iter()
        .filter_map(|change| match change {
            Change::AddDestination(key, destination) if key.family() != Family::of(destination.key.address) => {
                Some(*key)
            }
            _ => None,
        })
        .collect();
    undo.changes.sort_by_key(|change| families.rank(change, &mixed));
    undo
}

fn added_destination(change: &Change) -> Option<((ServiceKey, DestinationKey), Destination)> {
    match change {
        Change::AddDestination(key, destination) => Some(((*key, destination.key), *destination)),
        _ => None,
    }
}

/// The daemons that run after these changes.
fn after_daemons(have: &State, made: &[Change]) -> State {
    let daemons = [DaemonRole::Master, DaemonRole::Backup]
        .map(|role| Traced { rule: (role, made_of_daemon(have, made, role).unwrap_or(have.running(role))), line: 0 });
    State { daemons: daemons.into(), ..State::default() }
}

/// What these changes made of the daemon of a role: of one that they do not touch nothing, of one that they stop none.
fn made_of_daemon(have: &State, made: &[Change], role: DaemonRole) -> Option<Option<Daemon>> {
    made.iter().rev().find_map(|change| match change {
        Change::StartDaemon(daemon) if daemon.role == role => Some(Some(*daemon)),
        Change::StopDaemon(daemon) if daemon.role == role && have.running(role).is_some() => Some(None),
        _ => None,
    })
}

/// A way back while it is found.
struct Back<'b> {
    have: &'b State,
    now: Option<&'b State>,
    made: &'b [Change],
    added: HashMap<(ServiceKey, DestinationKey), Destination>,
    added_services: HashSet<ServiceKey>,
    undo: Undo,
}

/// What has become of a thing since it was changed.
enum Since<T> {
    /// It is as it was made.
    Same,
    /// It is as it was before that.
    Undone,
    /// It is another, or gone.
    Other(Option<T>),
}

impl Back<'_> {
    fn rule(&mut self, change: &Change) {
        let services = &self.have.services;
        match *change {
            Change::AddService(service) => match self.now.map(|now| find(&now.services, &service.key)) {
                // With it go its servers.
                None => self.undo.changes.push(Change::DeleteService(service.key)),
                Some(None) => {}
                Some(Some(now)) if now.service.rule == service && self.is_own(now) => {
                    self.undo.changes.push(Change::DeleteService(service.key));
                }
                Some(Some(_)) => {
                    self.added_services.remove(&service.key);
                    self.undo.kept.push(*change);
                }
            },
            Change::AddDestination(key, made) if !self.added_services.contains(&key) => {
                let back = Change::DeleteDestination(key, made.key);
                match self.destination(&key, &made, None) {
                    Since::Same => self.undo.changes.push(back),
                    Since::Undone => {}
                    Since::Other(Some(now)) if same_but_for_weight(&now, &made) => {
                        self.undo.changes.push(back);
                    }
                    Since::Other(_) => self.undo.kept.push(*change),
                }
            }
            Change::EditService(made) => {
                let Some(old) = find(services, &made.key).map(|old| old.service.rule) else { return };
                match self.now.map(|now| find(&now.services, &made.key).map(|now| now.service.rule)) {
                    None => self.undo.changes.push(Change::EditService(old)),
                    Some(Some(now)) if now == made => self.undo.changes.push(Change::EditService(old)),
                    Some(Some(now)) if now == old => {}
                    Some(_) => self.undo.kept.push(*change),
                }
            }
            Change::EditDestination(key, made) => {
                let old = find(services, &key).and_then(|service| find_destination(service, &made.key));
                let Some(old) = old else { return };
                match self.destination(&key, &made, Some(&old)) {
                    Since::Same => self.undo.changes.push(Change::EditDestination(key, old)),
                    Since::Undone => {}
                    Since::Other(now) => {
                        self.undo.kept.push(*change);
                        let back = now.map(|now| (now, Destination { weight: now.weight, ..old }));
                        if let Some((now, back)) = back
                            && same_but_for_weight(&now, &made)
                            && now != back
                        {
                            self.undo.changes.push(Change::EditDestination(key, back));
                        }
                    }
                }
            }
            Change::DeleteDestination(key, name) => {
                let old = find(services, &key).and_then(|service| find_destination(service, &name));
                let Some(old) = old else { return };
                let back = Change::AddDestination(key, old);
                match self.now.map(|now| find(&now.services, &key).map(|now| find_destination(now, &name))) {
                    None | Some(Some(None)) => self.undo.changes.push(back),
                    Some(Some(Some(now))) if now == old => {}
                    Some(_) => self.undo.kept.push(*change),
                }
            }
            Change::DeleteService(key) => {
                let Some(old) = find(services, &key) else { return };
                match self.now.map(|now| find(&now.services, &key)) {
                    None | Some(None) => {
                        self.undo.changes.push(Change::AddService(old.service.rule));
                        let servers = self.have.in_order(old).into_iter();
                        self.undo.changes.extend(servers.map(|old| Change::AddDestination(key, old.rule)));
                    }
                    Some(Some(now)) if same_rules(now, old) => {}
                    Some(Some(_)) => self.undo.kept.push(*change),
                }
            }
            Change::SetTimeouts(made) => {
                let Some(old) = self.have.timeouts.map(|old| old.rule) else { return };
                match self.now.and_then(|now| now.timeouts) {
                    Some(now) if now.rule == old => {}
                    Some(now) if now.rule != made => self.undo.kept.push(*change),
                    _ => self.undo.changes.push(Change::SetTimeouts(old)),
                }
            }
            // Servers go with their service; daemons come below; no plan has the others.
            Change::AddDestination(..)
            | Change::StartDaemon(_)
            | Change::StopDaemon(_)
            | Change::Flush
            | Change::Zero(_) => {}
        }
    }

    /// What has become of a destination that was added, or edited if there is an `old` one.
    fn destination(&self, key: &ServiceKey, made: &Destination, old: Option<&Destination>) -> Since<Destination> {
        let Some(now) = self.now else { return Since::Same };
        let now = find(&now.services, key).and_then(|service| find_destination(service, &made.key));
        match now {
            Some(now) if same_destination(&now, made) => Since::Same,
            Some(now) if old.is_some_and(|old| now == *old) => Since::Undone,
            None if old.is_none() => Since::Undone,
            other => Since::Other(other),
        }
    }

    /// Whether a service that was added has no servers but those that were added with it.
    fn is_own(&self, now: &RuleService) -> bool {
        let key = now.service.rule.key;
        now.destinations.iter().all(|destination| {
            let made = self.added.get(&(key, destination.rule.key));
            made.is_some_and(|made| same_but_for_weight(&destination.rule, made))
        })
    }

    fn daemon(&mut self, role: DaemonRole) {
        let Some(made) = made_of_daemon(self.have, self.made, role) else { return };
        let old = self.have.running(role);
        let runs = match self.now {
            None => made,
            Some(now) => now.running(role),
        };
        let is_made = match (&runs, &made) {
            (Some(runs), Some(made)) => same_daemon(runs, made),
            (None, None) => true,
            _ => false,
        };
        if is_made {
            self.undo.changes.extend(runs.map(Change::StopDaemon));
            self.undo.changes.extend(old.map(Change::StartDaemon));
        } else if runs != old {
            let step = |change: &&Change| match change {
                Change::StartDaemon(daemon) | Change::StopDaemon(daemon) => daemon.role == role,
                _ => false,
            };
            self.undo.kept.extend(self.made.iter().rev().find(step).copied());
        }
    }
}

fn same_rules(one: &RuleService, other: &RuleService) -> bool {
    let (ours, theirs) = (&one.destinations, &other.destinations);
    one.service.rule == other.service.rule
        && ours.len() == theirs.len()
        && ours.iter().zip(theirs).all(|(one, other)| one.rule == other.rule)
}

fn same_but_for_weight(one: &Destination, other: &Destination) -> bool {
    same_destination(&Destination { weight: other.weight, ..*one }, other)
}

fn find_destination(service: &RuleService, key: &DestinationKey) -> Option<Destination> {
    find_traced(service, key).map(|destination| destination.rule)
}
