//! Many changes, all or none.
//!
//! The kernel has no transaction, so the order of what is sent is the transaction: what is new is added, and acknowledged;
//! what differs is edited, and acknowledged; then come timeouts and daemons; and only now is deleted what has to go. A refusal
//! before that has touched nothing that was there but by edits, which are edited back. No service that carries traffic is
//! deleted and made again, and servers only where [`Options::reorder`] asks for it: after all that can be refused without
//! harm.

use std::cell::RefCell;
use std::collections::HashSet;

use crate::kernel::{Client, Error, Refusal};
use crate::model::{Change, Service, ServiceKey};
use crate::plan::{self, Options, Phase, RuleService, State, Step, Traced};

/// How far a transaction is, each time the kernel has acknowledged a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Whether it is being rolled back.
    pub back: bool,
    /// Changes that were sent and answered.
    pub sent: usize,
    /// Changes there are to send, as far as is known.
    pub total: usize,
}

/// What became of a transaction.
#[derive(Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// The steps that the kernel refused, by their number in the plan.
    pub refused: Vec<(usize, Refusal)>,
    /// What ended the exchange with the kernel.
    pub error: Option<Error>,
    /// How it was rolled back; nothing if it was carried out.
    pub rolled_back: Option<RollBack>,
    /// What would still have to be done for the table to be as wanted, or after a roll back as before: nothing if it is. An
    /// error if that cannot be found out.
    pub left: Result<Vec<Step>, Error>,
}

/// How a transaction was rolled back.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct RollBack {
    /// What the kernel refused of it.
    pub refused: Vec<(Change, Refusal)>,
    /// Steps that stay, at least in part, because another program has changed the same thing since.
    pub kept: Vec<Change>,
    /// What ended the exchange with the kernel, or kept the table from being read.
    pub error: Option<Error>,
}

/// A plan from one state of the table to another.
pub struct Transaction<'t> {
    have: &'t State,
    want: &'t State,
    options: Options,
    steps: Vec<Step>,
    /// The steps that were refused.
    refused: HashSet<usize>,
}

/// With what the table is compared with what it was before: it is not that in another order.
const BACK: Options = Options { keep_weights: false, reorder: true };

/// What came of sending changes.
struct Sent {
    /// This many were handed to the kernel.
    sent: usize,
    /// Of this many it is known whether they were made.
    known: usize,
    refused: Vec<(usize, Refusal)>,
    error: Option<Error>,
}

impl<'t> Transaction<'t> {
    /// A plan from `have`, which is what the kernel has, to `want`.
    #[must_use]
    pub fn new(have: &'t State, want: &'t State, options: Options) -> Self {
        Self { have, want, options, steps: plan::difference(have, want, options), refused: HashSet::new() }
    }

    /// What is to be done.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Take all steps; if one that can be undone is refused, roll back. `watch` hears of every part that is acknowledged.
    ///
    /// # Errors
    /// Nothing was changed, as we may not change anything.
    pub fn carry_out(&mut self, client: &mut Client, watch: &mut dyn FnMut(Progress)) -> Result<Outcome, Error> {
        let total = self.steps.len();
        let mut done = 0;
        let mut outcome = Outcome { refused: Vec::new(), error: None, rolled_back: None, left: Ok(Vec::new()) };
        for part in self.steps.chunk_by(|one, other| one.phase == other.phase) {
            // What is deleted cannot be put back as it was, so from here on there is only forward.
            let last = done + part.len() == total && part.iter().all(|step| step.phase == Phase::Deletion);
            let changes = part.iter().map(|step| &step.change);
            let sent =
                send(client, changes, last, &mut |sent| watch(Progress { back: false, sent: done + sent, total }));
            self.refused.extend(sent.refused.iter().map(|(index, _)| done + index));
            outcome.refused.extend(sent.refused.into_iter().map(|(index, refusal)| (done + index, refusal)));
            match sent.error {
                Some(error @ (Error::NotLoaded | Error::NotPermitted)) if done + sent.known == 0 => return Err(error),
                error => outcome.error = error,
            }
            if !last && (outcome.error.is_some() || !outcome.refused.is_empty()) {
                outcome.rolled_back = Some(self.undo(client, done + sent.known, done + sent.sent, watch));
                outcome.left = self.left(client, &self.before(), BACK);
                return Ok(outcome);
            }
            done += part.len();
        }
        outcome.left = self.left(client, self.want, self.options);
        if let Ok(left) = &outcome.left
            && (outcome.error.is_some() || !outcome.refused.is_empty())
            && !left.is_empty()
            && left.iter().all(|step| step.phase == Phase::Deletion)
        {
            // A deletion is only refused if it is done already, or for want of memory.
            let _ = send(client, left.iter().map(|step| &step.change), true, &mut |_| {});
            outcome.left = self.left(client, self.want, self.options);
        }
        Ok(outcome)
    }

    /// Take every step that the kernel takes, and roll nothing back. If one is refused, or `may_delete` is not given, nothing is
    /// deleted. What is left then leaves out what was refused and what was not deleted.
    ///
    /// # Errors
    /// Nothing was changed, as we may not change anything.
    pub fn carry_out_what_can_be(
        &mut self,
        client: &mut Client,
        may_delete: bool,
        watch: &mut dyn FnMut(Progress),
    ) -> Result<Outcome, Error> {
        let total = self.steps.len();
        let (mut done, mut deletes) = (0, true);
        let mut outcome = Outcome { refused: Vec::new(), error: None, rolled_back: None, left: Ok(Vec::new()) };
        for part in self.steps.chunk_by(|one, other| one.phase == other.phase) {
            deletes = may_delete && outcome.refused.is_empty();
            if !deletes && part.iter().all(|step| step.phase == Phase::Deletion) {
                break;
            }
            let changes = part.iter().map(|step| &step.change);
            let sent =
                send(client, changes, true, &mut |sent| watch(Progress { back: false, sent: done + sent, total }));
            self.refused.extend(sent.refused.iter().map(|(index, _)| done + index));
            outcome.refused.extend(sent.refused.into_iter().map(|(index, refusal)| (done + index, refusal)));
            match sent.error {
                Some(error @ (Error::NotLoaded | Error::NotPermitted)) if done + sent.known == 0 => return Err(error),
                error => outcome.error = error,
            }
            if outcome.error.is_some() {
                break;
            }
            done += part.len();
        }
        let refused: Vec<Change> =
            self.refused.iter().filter_map(|index| Some(self.steps.get(*index)?.change)).collect();
        let missing: HashSet<ServiceKey> = refused
            .iter()
            .filter_map(|change| match change {
                Change::AddService(service) => Some(service.key),
                _ => None,
            })
            .collect();
        outcome.left = self.left(client, self.want, self.options).map(|mut left| {
            left.retain(|step| match &step.change {
                change if refused.contains(change) => false,
                Change::AddDestination(key, _) if missing.contains(key) => false,
                _ => deletes || step.phase != Phase::Deletion,
            });
            left
        });
        Ok(outcome)
    }

    /// Roll back what was carried out, some time ago: rule by rule, as other programs may have changed the table since.
    pub fn roll_back(&self, client: &mut Client, watch: &mut dyn FnMut(Progress)) -> Outcome {
        let rolled_back = self.undo(client, 0, self.steps.len(), watch);
        let left = self.left(client, &self.before(), BACK);
        Outcome { refused: Vec::new(), error: None, rolled_back: Some(rolled_back), left }
    }

    /// Of this many steps the changes that were not refused, without those for the order.
    fn made(&self, sent: usize) -> Vec<Change> {
        let steps = self.steps.iter().take(sent).enumerate();
        let made = steps.filter(|(index, step)| !self.refused.contains(index) && step.phase != Phase::Order);
        made.map(|(_, step)| step.change).collect()
    }

    /// Undo the steps of which this many are known to be made; if more were sent, what the table shows to be made.
    fn undo(&self, client: &mut Client, known: usize, sent: usize, watch: &mut dyn FnMut(Progress)) -> RollBack {
        let mut rolled_back = RollBack::default();
        let (made, mut all) = (self.made(known), self.made(sent));
        let moves = || self.steps.iter().take(sent).filter(|step| step.phase == Phase::Order);
        let has_moved = moves().next().is_some();
        let undo = match made.len() == all.len() && !has_moved {
            true => plan::undo(self.have, &made, None),
            false => match self.read_touched(client, self.want) {
                Ok(now) => {
                    // Those that were deleted and not added again come back as they were before all.
                    let missing: Vec<Change> =
                        moves().map(|step| step.change).filter(|change| is_gone(&now, change)).collect();
                    all.retain(|change| match change {
                        Change::EditDestination(key, server) => {
                            !missing.contains(&Change::DeleteDestination(*key, server.key))
                        }
                        _ => true,
                    });
                    all.extend(missing);
                    plan::undo(self.have, &all, Some(&now))
                }
                Err(error) => {
                    rolled_back.error = Some(error);
                    plan::undo(self.have, &made, None)
                }
            },
        };
        rolled_back.kept = undo.kept;
        let total = undo.changes.len();
        let mut done = 0;
        for part in undo.changes.chunk_by(|one, other| Phase::of(one) == Phase::of(other)) {
            let mut watch = |sent| watch(Progress { back: true, sent: done + sent, total });
            let sent = send(client, part.iter(), true, &mut watch);
            let refused = sent.refused.into_iter();
            rolled_back.refused.extend(refused.filter_map(|(index, refusal)| Some((*part.get(index)?, refusal))));
            rolled_back.error = rolled_back.error.or(sent.error);
            done += part.len();
        }
        if self.options.reorder {
            self.order_as_before(client, &mut rolled_back, watch);
        }
        rolled_back
    }

    /// Put the servers that are there now back into the order that they had.
    fn order_as_before(&self, client: &mut Client, rolled_back: &mut RollBack, watch: &mut dyn FnMut(Progress)) {
        let now = match self.read_touched(client, self.want) {
            Ok(now) => now,
            Err(error) => {
                rolled_back.error.get_or_insert(error);
                return;
            }
        };
        let mut before = self.before();
        for service in &mut before.services {
            let Some(there) = plan::find(&now.services, &service.service.rule.key) else { continue };
            service.service = there.service;
            // Whatever else others have changed of a server since stays.
            service.destinations.retain_mut(|server| match plan::find_traced(there, &server.rule.key) {
                Some(there) => {
                    server.rule = there.rule;
                    true
                }
                None => false,
            });
        }
        let steps = plan::difference(&now, &before, BACK);
        let moves: Vec<Change> =
            steps.iter().filter(|step| step.phase == Phase::Order).map(|step| step.change).collect();
        let total = moves.len();
        let sent = send(client, moves.iter(), true, &mut |sent| watch(Progress { back: true, sent, total }));
        let refused = sent.refused.into_iter();
        rolled_back.refused.extend(refused.filter_map(|(index, refusal)| Some((*moves.get(index)?, refusal))));
        rolled_back.error = rolled_back.error.take().or(sent.error);
    }

    /// What was there before, as something to be wanted.
    #[must_use]
    pub fn before(&self) -> State {
        let daemon = |wanted: &Traced<_>| {
            let (role, _) = wanted.rule;
            Traced { rule: (role, self.have.running(role)), line: 0 }
        };
        State {
            services: self.have.services.clone(),
            timeouts: self.have.timeouts,
            daemons: self.want.daemons.iter().map(daemon).collect(),
            keeps_order: self.have.keeps_order,
        }
    }

    /// What differs from what is expected: all services, and the destinations of those that the plan is about.
    fn left(&self, client: &mut Client, expected: &State, options: Options) -> Result<Vec<Step>, Error> {
        let touched = self.touched();
        let now = self.read_touched(client, expected)?;
        let services = expected.services.iter().map(|service| RuleService {
            service: service.service,
            destinations: match touched.contains(&service.service.rule.key) {
                true => service.destinations.clone(),
                false => Vec::new(),
            },
        });
        let services = services.collect();
        let daemons = expected.daemons.clone();
        let expected = State { services, timeouts: expected.timeouts, daemons, keeps_order: expected.keeps_order };
        Ok(plan::difference(&now, &expected, options))
    }

    /// The services that the plan is about.
    fn touched(&self) -> HashSet<ServiceKey> {
        self.steps.iter().filter_map(|step| service_of(&step.change)).collect()
    }

    /// All services, and the destinations of those that the plan is about; timeouts and daemons if `like` has them.
    fn read_touched(&self, client: &mut Client, like: &State) -> Result<State, Error> {
        let touched = self.touched();
        let mut services = Vec::new();
        for rule in client.service_rules()? {
            services.extend(if touched.contains(&rule.key) {
                read_service(client, rule)?
            } else {
                Some(RuleService { service: Traced { rule, line: 0 }, destinations: Vec::new() })
            });
        }
        services.sort_unstable_by_key(|service| service.service.rule.key);
        Ok(State { services, ..read_rest(client, like)? })
    }
}

/// Send changes. If one is refused the rest is not sent, unless to keep going is asked for.
fn send<'c>(
    client: &mut Client,
    changes: impl Iterator<Item = &'c Change>,
    keep_going: bool,
    watch: &mut dyn FnMut(usize),
) -> Sent {
    let refused = RefCell::default();
    let (mut sent, mut known) = (0, 0);
    let exchange = || -> Result<(), Error> {
        let mut batch = client.batch(|index, refusal| {
            let refused: &RefCell<Vec<_>> = &refused;
            refused.borrow_mut().push((index, refusal));
        })?;
        for (index, change) in changes.enumerate() {
            sent = index + 1;
            batch.push(index, change)?;
            if batch.pending() == 0 {
                known = sent;
                watch(sent);
                if !keep_going && !refused.borrow().is_empty() {
                    return Ok(());
                }
            }
        }
        if batch.pending() > 0 {
            batch.finish()?;
            known = sent;
            watch(sent);
        }
        Ok(())
    };
    let error = exchange().err();
    Sent { sent, known, refused: refused.into_inner(), error }
}

/// Read all rules, in the order of listings, the lines of servers by the order in which they were added; timeouts and daemons
/// if `like` has any. `watch` hears of every service that is read, and how many there are.
///
/// # Errors
/// The kernel refuses; the table changes under each try; or netlink fails.
pub fn read_state(client: &mut Client, like: &State, mut watch: impl FnMut(usize)) -> Result<State, Error> {
    let rules = client.service_rules()?;
    let total = rules.len();
    let mut services = Vec::with_capacity(total);
    for service in rules {
        watch(total);
        services.extend(read_service(client, service)?);
    }
    // The kernel's order is none: places are made once for each, and not for each comparison.
    services.sort_by_cached_key(|service: &RuleService| service.service.rule.key.place());
    Ok(State { services, ..read_rest(client, like)? })
}

/// Timeouts and daemons, if this state has any.
fn read_rest(client: &mut Client, like: &State) -> Result<State, Error> {
    let timeouts = like.timeouts.map(|_| client.timeouts()).transpose()?;
    let daemons = if like.daemons.is_empty() { Vec::new() } else { client.daemons()? };
    Ok(State {
        services: Vec::new(),
        timeouts: timeouts.map(|rule| Traced { rule, line: 0 }),
        daemons: daemons.into_iter().map(|daemon| Traced { rule: (daemon.role, Some(daemon)), line: 0 }).collect(),
        keeps_order: true,
    })
}

/// A service with its destinations; nothing if another program has deleted it since it was listed.
fn read_service(client: &mut Client, service: Service) -> Result<Option<RuleService>, Error> {
    let Some(rules) = client.destination_rules(&service.key)? else { return Ok(None) };
    // The newest is first, and what is in order already is sorted quickest.
    let mut destinations: Vec<_> =
        (1..).zip(rules.into_iter().rev()).map(|(line, rule)| Traced { rule, line }).collect();
    destinations.sort_unstable_by_key(|destination| destination.rule.key);
    Ok(Some(RuleService { service: Traced { rule: service, line: 0 }, destinations }))
}

/// Whether this is a deletion of a server, and the server is not there.
fn is_gone(now: &State, change: &Change) -> bool {
    let Change::DeleteDestination(key, server) = change else { return false };
    plan::find(&now.services, key).is_some_and(|service| plan::find_traced(service, server).is_none())
}

/// The service that a change is about.
fn service_of(change: &Change) -> Option<ServiceKey> {
    match change {
        Change::AddService(service) | Change::EditService(service) => Some(service.key),
        Change::DeleteService(key)
        | Change::AddDestination(key, _)
        | Change::EditDestination(key, _)
        | Change::DeleteDestination(key, _) => Some(*key),
        _ => None,
    }
}
