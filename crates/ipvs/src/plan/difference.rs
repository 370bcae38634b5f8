//! The fewest changes that make one table of another, in a safe order, and the way back.

use std::cmp::Ordering;

use super::ruleset::{RuleService, Traced};
use crate::model::{
    Change, Daemon, DaemonRole, Destination, DestinationKey, Forwarding, Service, ServiceKey, Timeouts,
};

/// What to leave alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The weights of destinations that are there: a health checker may have set them.
    pub keep_weights: bool,
}

/// One change of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// What to do.
    pub change: Change,
    /// The line that asks for it; 0 for what has to go because no line asks for it.
    pub line: u32,
}

/// All that can be restored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The rules, in the order of listings, as [`super::RuleSet::finish`] leaves them.
    pub services: Vec<RuleService>,
    /// The timeouts; `None` if they are not regarded. In what is wanted, a 0 keeps one as it is.
    pub timeouts: Option<Traced<Timeouts>>,
    /// The daemons that run; as wanted, the roles that are regarded, each with its daemon or none.
    pub daemons: Vec<Traced<(DaemonRole, Option<Daemon>)>>,
}

/// What makes `want` of `have`.
///
/// Every rule that differs takes one change, and what is already so none. What is new comes first, then what is edited in
/// place, and only then what has to go, so that nobody is without a server in between.
#[must_use]
pub fn difference(have: &State, want: &State, options: Options) -> Vec<Step> {
    let mut steps = Steps::default();
    merge(
        &have.services,
        &want.services,
        |service| service.service.rule.key,
        |pair| match pair {
            Pair::Gone(gone) => {
                steps.deletions.push(Step { change: Change::DeleteService(gone.service.rule.key), line: 0 });
            }
            Pair::New(new) => {
                let service = new.service;
                steps.additions.push(Step { change: Change::AddService(service.rule), line: service.line });
                steps.additions.extend(new.destinations.iter().map(|destination| Step {
                    change: Change::AddDestination(service.rule.key, destination.rule),
                    line: destination.line,
                }));
            }
            Pair::Both(have, want) => steps.within(have, want, options),
        },
    );
    let (stops, starts): (Vec<Step>, Vec<Step>) = want
        .daemons
        .iter()
        .flat_map(|wanted| daemon(have, wanted))
        .partition(|step| matches!(step.change, Change::StopDaemon(_)));
    // While a daemon runs, the kernel takes no servers of another family than their service's; so a daemon that goes, goes
    // first, and one that comes, comes last.
    [stops, steps.additions, steps.edits, steps.deletions, Vec::from_iter(timeouts(have, want)), starts].concat()
}

fn timeouts(have: &State, want: &State) -> Option<Step> {
    let (have, want) = (have.timeouts?.rule, want.timeouts?);
    let full = want.rule.over(have);
    (full != have).then_some(Step { change: Change::SetTimeouts(full), line: want.line })
}

/// A daemon cannot be edited: one that is to be another is stopped and started.
fn daemon(have: &State, wanted: &Traced<(DaemonRole, Option<Daemon>)>) -> impl Iterator<Item = Step> {
    let (role, want) = wanted.rule;
    let have = have.running(role);
    let (stop, start) = match (have, want) {
        (Some(have), Some(want)) if !same_daemon(&have, &want) => (Some(have), Some(want)),
        (None, Some(want)) => (None, Some(want)),
        (Some(have), None) => (Some(have), None),
        _ => (None, None),
    };
    let changes = stop.map(Change::StopDaemon).into_iter().chain(start.map(Change::StartDaemon));
    let line = wanted.line;
    changes.map(move |change| Step { change, line })
}

/// Whether the one that runs is as wanted, in all that was said of it.
fn same_daemon(have: &Daemon, want: &Daemon) -> bool {
    have.interface == want.interface
        && have.sync_id == want.sync_id
        && (want.maximum_length.is_none() || want.maximum_length == have.maximum_length)
        && (want.group.is_none() || want.group == have.group)
        && (want.port.is_none() || want.port == have.port)
        && (want.ttl.is_none() || want.ttl == have.ttl)
}

impl State {
    fn running(&self, role: DaemonRole) -> Option<Daemon> {
        self.daemons.iter().find(|daemon| daemon.rule.0 == role).and_then(|daemon| daemon.rule.1)
    }
}

/// The way back from these changes, all of them done, to `have`. The last is undone first.
#[must_use]
pub fn undo(have: &State, done: impl DoubleEndedIterator<Item = Change>) -> Vec<Change> {
    let services = &have.services;
    let mut back = Vec::new();
    for change in done.rev() {
        match change {
            Change::AddService(service) => back.push(Change::DeleteService(service.key)),
            Change::AddDestination(key, destination) => back.push(Change::DeleteDestination(key, destination.key)),
            Change::EditService(service) => {
                back.extend(find(services, &service.key).map(|old| Change::EditService(old.service.rule)));
            }
            Change::EditDestination(key, destination) => {
                let old = find(services, &key).and_then(|service| find_destination(service, &destination.key));
                back.extend(old.map(|old| Change::EditDestination(key, old)));
            }
            Change::DeleteDestination(key, destination) => {
                let old = find(services, &key).and_then(|service| find_destination(service, &destination));
                back.extend(old.map(|old| Change::AddDestination(key, old)));
            }
            Change::DeleteService(key) => {
                if let Some(old) = find(services, &key) {
                    back.push(Change::AddService(old.service.rule));
                    back.extend(old.destinations.iter().map(|old| Change::AddDestination(key, old.rule)));
                }
            }
            Change::SetTimeouts(_) => back.extend(have.timeouts.map(|old| Change::SetTimeouts(old.rule))),
            Change::StartDaemon(daemon) => back.push(Change::StopDaemon(daemon)),
            Change::StopDaemon(daemon) => back.extend(have.running(daemon.role).map(Change::StartDaemon)),
            // No plan has these.
            Change::Flush | Change::Zero(_) => {}
        }
    }
    back
}

pub(super) fn find<'h>(have: &'h [RuleService], key: &ServiceKey) -> Option<&'h RuleService> {
    let at = have.binary_search_by(|service| service.service.rule.key.cmp(key)).ok()?;
    have.get(at)
}

fn find_destination(service: &RuleService, key: &DestinationKey) -> Option<Destination> {
    let at = service.destinations.binary_search_by(|destination| destination.rule.key.cmp(key)).ok()?;
    service.destinations.get(at).map(|destination| destination.rule)
}

#[derive(Default)]
struct Steps {
    additions: Vec<Step>,
    edits: Vec<Step>,
    deletions: Vec<Step>,
}

impl Steps {
    /// A service that is there and is wanted.
    fn within(&mut self, have: &RuleService, want: &RuleService, options: Options) {
        let key = want.service.rule.key;
        if !same_service(&have.service.rule, &want.service.rule) {
            self.edits.push(Step { change: Change::EditService(want.service.rule), line: want.service.line });
        }
        merge(
            &have.destinations,
            &want.destinations,
            |destination| destination.rule.key,
            |pair| match pair {
                Pair::Gone(gone) => {
                    self.deletions.push(Step { change: Change::DeleteDestination(key, gone.rule.key), line: 0 });
                }
                Pair::New(new) => {
                    self.additions.push(Step { change: Change::AddDestination(key, new.rule), line: new.line });
                }
                Pair::Both(have, want) => {
                    let mut wanted = want.rule;
                    if options.keep_weights {
                        wanted.weight = have.rule.weight;
                    }
                    if !same_destination(&have.rule, &wanted) {
                        self.edits.push(Step { change: Change::EditDestination(key, wanted), line: want.line });
                    }
                }
            },
        );
    }
}

fn same_service(have: &Service, want: &Service) -> bool {
    have == want
}

/// The kernel calls the forwarding method of its own addresses `Local`, which no rule can ask for.
fn same_destination(have: &Destination, want: &Destination) -> bool {
    let mut have = *have;
    if matches!(have.forwarding, Forwarding::Local) && want.forwarding == Forwarding::DirectRoute {
        have.forwarding = Forwarding::DirectRoute;
    }
    have == *want
}

enum Pair<'a, T> {
    Gone(&'a T),
    New(&'a T),
    Both(&'a T, &'a T),
}

/// Walk two sorted lists together.
fn merge<'a, T, K: Ord>(
    mut have: &'a [T],
    mut want: &'a [T],
    key: impl Fn(&T) -> K,
    mut visit: impl FnMut(Pair<'a, T>),
) {
    loop {
        let order = match (have.first(), want.first()) {
            (None, None) => return,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(h), Some(w)) => key(h).cmp(&key(w)),
        };
        match (order, have, want) {
            (Ordering::Less, [h, rest @ ..], _) => {
                visit(Pair::Gone(h));
                have = rest;
            }
            (Ordering::Greater, _, [w, rest @ ..]) => {
                visit(Pair::New(w));
                want = rest;
            }
            (_, [h, have_rest @ ..], [w, want_rest @ ..]) => {
                visit(Pair::Both(h, w));
                have = have_rest;
                want = want_rest;
            }
            _ => return,
        }
    }
}
