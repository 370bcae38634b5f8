//! The fewest changes that make one table of another, in a safe order.

use std::cmp::Ordering;
use std::collections::HashSet;

use super::order;
use super::ruleset::{RuleService, Traced};
use crate::mapping::HashScheduler;
use crate::model::{
    Change, Daemon, DaemonRole, Destination, DestinationKey, Family, Forwarding, Service, ServiceKey, Timeouts,
};

/// What to leave alone, and what to do although it does harm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The weights of destinations that are there: a health checker may have set them.
    pub keep_weights: bool,
    /// Servers of schedulers that choose by a table are deleted and added again where they do not stand in the order that is
    /// wanted.
    pub reorder: bool,
}

/// One change of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// What to do.
    pub change: Change,
    /// The line that asks for it; 0 for what has to go because no line asks for it.
    pub line: u32,
    /// The part of the plan that it belongs to.
    pub phase: Phase,
}

impl Step {
    const fn new(change: Change, line: u32) -> Self {
        Self { change, line, phase: Phase::of(&change) }
    }
}

/// The part of a plan that a change belongs to. All changes of a part are acknowledged before the next part begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Something new, beside what is there.
    Addition,
    /// Another value for what is there.
    Edit,
    /// A daemon stops or starts.
    Daemon,
    /// A server that is there is deleted and added again, for the order of its service's servers.
    Order,
    /// Something goes.
    Deletion,
}

impl Phase {
    /// The part that a change belongs to by itself.
    #[must_use]
    pub const fn of(change: &Change) -> Self {
        match change {
            Change::AddService(_) | Change::AddDestination(..) => Self::Addition,
            Change::EditService(_) | Change::EditDestination(..) | Change::SetTimeouts(_) | Change::Zero(_) => {
                Self::Edit
            }
            Change::StartDaemon(_) | Change::StopDaemon(_) => Self::Daemon,
            Change::DeleteService(_) | Change::DeleteDestination(..) | Change::Flush => Self::Deletion,
        }
    }
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
    /// Whether the lines that the servers come from are in the order in which they are to be added. Schedulers that choose by
    /// a table fill it in that order. Otherwise servers are added in the order of their keys.
    pub keeps_order: bool,
}

/// What makes `want` of `have`.
///
/// Every rule that differs takes one change, and what is already so none. What is new comes first, then what is edited in
/// place, then timeouts and daemons, and what has to go comes last: a refusal is met while all that was there is still there.
#[must_use]
pub fn difference(have: &State, want: &State, options: Options) -> Vec<Step> {
    let mut steps = Steps::default();
    merge(
        &have.services,
        &want.services,
        |service| service.service.rule.key,
        |pair| match pair {
            Pair::Gone(gone) => {
                steps.deletions.push(Step::new(Change::DeleteService(gone.service.rule.key), 0));
            }
            Pair::New(new) => {
                let service = new.service;
                steps.additions.push(Step::new(Change::AddService(service.rule), service.line));
                let add = |server: &Traced<Destination>| {
                    Step::new(Change::AddDestination(service.rule.key, server.rule), server.line)
                };
                steps.additions.extend(want.in_order(new).into_iter().map(add));
            }
            Pair::Both(of_have, of_want) => steps.within((have, of_have), (want, of_want), options),
        },
    );
    let daemons: Vec<Step> = want.daemons.iter().flat_map(|wanted| daemon(have, wanted)).collect();
    let families = Families::of(have, daemons.iter().map(|step| &step.change));
    let mut all =
        [steps.additions, steps.edits, Vec::from_iter(timeouts(have, want)), daemons, steps.deletions].concat();
    // Servers that stay keep the daemon from starting: nothing is deleted in vain.
    let stay = || want.services.iter().any(has_mixed);
    if families == Families::DaemonsStop || (families == Families::DaemonsStart && !stay()) {
        let mixed_services: HashSet<ServiceKey> =
            have.services.iter().filter(|service| has_mixed(service)).map(|service| service.service.rule.key).collect();
        all.sort_by_key(|step| families.rank(&step.change, &mixed_services));
    }
    // What can be refused without harm comes before them, and after them only what cannot be put back.
    let last = all.iter().rposition(|step| step.phase != Phase::Deletion).map_or(0, |last| last + 1);
    all.splice(last..last, steps.moves);
    all
}

/// While a daemon runs, the kernel takes no servers of another family than their service's ("mixed" ones), and while there
/// are such servers it starts no daemon (`ip_vs_genl_set_cmd`, `ip_vs_genl_new_daemon`). So between a table with one and a
/// table with the other, the order is another than usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Families {
    /// Daemons run before and after, or never.
    Usual,
    /// No daemon is left: mixed servers come after the daemons.
    DaemonsStop,
    /// The first daemon comes: mixed servers go before it.
    DaemonsStart,
}

impl Families {
    pub(super) fn of<'s>(have: &State, daemons: impl Iterator<Item = &'s Change>) -> Self {
        let running = |role| have.running(role).is_some();
        let before = [running(DaemonRole::Master), running(DaemonRole::Backup)];
        let mut after = before;
        for change in daemons {
            match change {
                Change::StartDaemon(daemon) => after[(daemon.role == DaemonRole::Backup) as usize] = true,
                Change::StopDaemon(daemon) => after[(daemon.role == DaemonRole::Backup) as usize] = false,
                _ => {}
            }
        }
        match (before.contains(&true), after.contains(&true)) {
            (true, false) => Self::DaemonsStop,
            (false, true) => Self::DaemonsStart,
            _ => Self::Usual,
        }
    }

    /// The place of a change among the others. `mixed` are the services that have mixed servers and may go.
    pub(super) fn rank(self, change: &Change, mixed: &HashSet<ServiceKey>) -> u8 {
        let is_mixed = match change {
            Change::AddDestination(key, destination) | Change::EditDestination(key, destination) => {
                key.family() != Family::of(destination.key.address)
            }
            Change::DeleteDestination(key, destination) => key.family() != Family::of(destination.address),
            Change::DeleteService(key) => mixed.contains(key),
            _ => false,
        };
        match (Phase::of(change), self, is_mixed) {
            (Phase::Addition, Self::DaemonsStop, true) => 4,
            (Phase::Edit, Self::DaemonsStop, true) => 5,
            (Phase::Deletion, Self::DaemonsStart, true) => 2,
            (Phase::Addition, ..) => 0,
            (Phase::Edit, ..) => 1,
            (Phase::Daemon, ..) => 3,
            (Phase::Order | Phase::Deletion, ..) => 6,
        }
    }
}

fn has_mixed(service: &RuleService) -> bool {
    let family = service.service.rule.key.family();
    service.destinations.iter().any(|destination| Family::of(destination.rule.key.address) != family)
}

fn timeouts(have: &State, want: &State) -> Option<Step> {
    let (have, want) = (have.timeouts?.rule, want.timeouts?);
    let full = want.rule.over(have);
    (full != have).then_some(Step::new(Change::SetTimeouts(full), want.line))
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
    changes.map(move |change| Step::new(change, line))
}

/// Whether the one that runs is as wanted, in all that was said of it.
pub(super) fn same_daemon(have: &Daemon, want: &Daemon) -> bool {
    have.interface == want.interface
        && have.sync_id == want.sync_id
        && (want.maximum_length.is_none() || want.maximum_length == have.maximum_length)
        && (want.group.is_none() || want.group == have.group)
        && (want.port.is_none() || want.port == have.port)
        && (want.ttl.is_none() || want.ttl == have.ttl)
}

impl State {
    /// The servers of a service of this state, in the order in which they are to be added, or were.
    #[must_use]
    pub fn in_order<'s>(&self, service: &'s RuleService) -> Vec<&'s Traced<Destination>> {
        let mut servers: Vec<_> = service.destinations.iter().collect();
        if self.keeps_order {
            servers.sort_by_key(|server| server.line);
        }
        servers
    }

    /// The daemon of this role that runs.
    #[must_use]
    pub fn running(&self, role: DaemonRole) -> Option<Daemon> {
        self.daemons.iter().find(|daemon| daemon.rule.0 == role).and_then(|daemon| daemon.rule.1)
    }
}

pub(crate) fn find<'h>(have: &'h [RuleService], key: &ServiceKey) -> Option<&'h RuleService> {
    let at = have.binary_search_by(|service| service.service.rule.key.cmp(key)).ok()?;
    have.get(at)
}

pub(crate) fn find_traced<'s>(service: &'s RuleService, key: &DestinationKey) -> Option<&'s Traced<Destination>> {
    let at = service.destinations.binary_search_by(|destination| destination.rule.key.cmp(key)).ok()?;
    service.destinations.get(at)
}

#[derive(Default)]
struct Steps {
    additions: Vec<Step>,
    edits: Vec<Step>,
    /// Deletions and additions of the same servers, in turns.
    moves: Vec<Step>,
    deletions: Vec<Step>,
}

impl Steps {
    /// A service that is there and is wanted, each in its state.
    fn within(
        &mut self,
        (have, there): (&State, &RuleService),
        (want, wanted): (&State, &RuleService),
        options: Options,
    ) {
        let service = wanted.service;
        let key = service.rule.key;
        if !same_service(&there.service.rule, &service.rule) {
            self.edits.push(Step::new(Change::EditService(service.rule), service.line));
        }
        let mut new = Vec::new();
        merge(
            &there.destinations,
            &wanted.destinations,
            |destination| destination.rule.key,
            |pair| match pair {
                Pair::Gone(gone) => {
                    self.deletions.push(Step::new(Change::DeleteDestination(key, gone.rule.key), 0));
                }
                Pair::New(server) => new.push(server.rule.key),
                Pair::Both(have, want) => {
                    let wanted = with_weight_of(have, want, options);
                    if !same_destination(&have.rule, &wanted) {
                        self.edits.push(Step::new(Change::EditDestination(key, wanted), want.line));
                    }
                }
            },
        );
        let reorder = options.reorder && HashScheduler::named(service.rule.scheduler).is_some();
        if new.is_empty() && !reorder {
            return;
        }
        let order = want.in_order(wanted);
        let added = order.iter().filter(|server| new.binary_search(&server.rule.key).is_ok());
        self.additions
            .extend(added.clone().map(|server| Step::new(Change::AddDestination(key, server.rule), server.line)));
        if reorder {
            let first = have.in_order(there).into_iter().map(|server| server.rule.key);
            let now: Vec<DestinationKey> = first.chain(added.map(|server| server.rule.key)).collect();
            let keys: Vec<DestinationKey> = order.iter().map(|server| server.rule.key).collect();
            let stay = keys.len() - order::moved(&now, &keys).len();
            for server in &order[stay..] {
                let rule = match find_traced(there, &server.rule.key) {
                    Some(have) => with_weight_of(have, server, options),
                    None => server.rule,
                };
                let changes = [Change::DeleteDestination(key, rule.key), Change::AddDestination(key, rule)];
                self.moves.extend(changes.map(|change| Step { phase: Phase::Order, ..Step::new(change, server.line) }));
            }
        }
    }
}

/// A server that is there and is wanted, as it is to be.
fn with_weight_of(have: &Traced<Destination>, want: &Traced<Destination>, options: Options) -> Destination {
    if options.keep_weights { want.rule.weight(have.rule.weight) } else { want.rule }
}

fn same_service(have: &Service, want: &Service) -> bool {
    have == want
}

/// The kernel calls the forwarding method of its own addresses `Local`, which no rule can ask for.
pub(super) fn same_destination(have: &Destination, want: &Destination) -> bool {
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
