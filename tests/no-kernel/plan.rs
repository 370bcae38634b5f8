//! Properties of plans and rule sets, against a model that does everything the slow way.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ipvs_client::{
    Change, Daemon, DaemonRole, Destination, DestinationKey, Family, Forwarding, Service, ServiceKey, Timeouts,
    plan::{Finding, Options, RuleSet, State, Step, Traced, difference, undo},
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::strategies::{self, Reach, Rules, RulesOfService};

fn config() -> ProptestConfig {
    ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() }
}

/// All that can be restored, and what changes do to it.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    rules: Rules,
    timeouts: Timeouts,
    daemons: BTreeMap<&'static str, Daemon>,
}

impl Model {
    fn apply(&mut self, change: &Change) -> Result<(), Finding> {
        match *change {
            Change::AddService(service) => {
                if self.rules.contains_key(&service.key) {
                    return Err(Finding::ServiceExists);
                }
                self.rules.insert(service.key, RulesOfService { service, servers: BTreeMap::new() });
            }
            Change::EditService(service) => {
                self.rules.get_mut(&service.key).ok_or(Finding::NoService)?.service = service;
            }
            Change::DeleteService(key) => drop(self.rules.remove(&key).ok_or(Finding::NoService)?),
            Change::AddDestination(key, server) => {
                let servers = self.servers(&key)?;
                if servers.contains_key(&server.key) {
                    return Err(Finding::DestinationExists);
                }
                servers.insert(server.key, server);
            }
            Change::EditDestination(key, server) => {
                *self.servers(&key)?.get_mut(&server.key).ok_or(Finding::NoDestination)? = server;
            }
            Change::DeleteDestination(key, server) => {
                self.servers(&key)?.remove(&server).ok_or(Finding::NoDestination)?;
            }
            Change::Flush => self.rules.clear(),
            Change::Zero(Some(key)) if !self.rules.contains_key(&key) => return Err(Finding::NoService),
            Change::Zero(_) => {}
            Change::SetTimeouts(timeouts) => self.timeouts = timeouts,
            Change::StartDaemon(daemon) => {
                let there = self.daemons.insert(daemon.role.name(), daemon);
                assert_eq!(there, None, "a daemon is started over another");
            }
            Change::StopDaemon(daemon) => {
                let there = self.daemons.remove(daemon.role.name());
                assert!(there.is_some(), "no daemon to stop");
            }
        }
        Ok(())
    }

    fn servers(&mut self, key: &ServiceKey) -> Result<&mut BTreeMap<DestinationKey, Destination>, Finding> {
        self.rules.get_mut(key).map(|of_service| &mut of_service.servers).ok_or(Finding::ServiceNotDefined)
    }

    /// As it would be read from a kernel.
    fn state(&self) -> State {
        let daemons = self.daemons.values().map(|daemon| traced((daemon.role, Some(*daemon))));
        State { timeouts: Some(traced(self.timeouts)), daemons: daemons.collect(), ..strategies::state(&self.rules) }
    }
}

fn traced<T>(rule: T) -> Traced<T> {
    Traced { rule, line: 0 }
}

fn two_tables() -> impl Strategy<Value = (Rules, Rules)> {
    strategies::two_tables(0..6, 0..6)
}

fn any_daemon(role: DaemonRole) -> impl Strategy<Value = Daemon> {
    strategies::daemon(role, strategies::interface())
}

/// What runs: nothing is left unsaid.
fn running(role: DaemonRole) -> BoxedStrategy<Option<Daemon>> {
    let full = any_daemon(role).prop_map(|mut daemon| {
        daemon.maximum_length = daemon.maximum_length.or(Some(1472));
        daemon.group = daemon.group.or(Some(Ipv4Addr::new(224, 0, 0, 81).into()));
        daemon.port = daemon.port.or(Some(8848));
        daemon.ttl = daemon.ttl.or(Some(1));
        daemon
    });
    proptest::option::of(full).boxed()
}

type WantedDaemons = Vec<Traced<(DaemonRole, Option<Daemon>)>>;

/// What can be wanted of a role, in the light of what runs: nothing said, none, the same, the same in fewer words,
/// one that differs in one thing, another.
fn wanted(role: DaemonRole, running: Option<Daemon>) -> BoxedStrategy<WantedDaemons> {
    let none = Just(vec![traced((role, None))]);
    let same = Just(vec![traced((role, running))]);
    let fewer = running.map(|mut daemon| {
        (daemon.maximum_length, daemon.group, daemon.ttl) = (None, None, None);
        daemon
    });
    let another_in_one = (any_daemon(role), 0..6).prop_map(move |(other, which)| {
        let odd = running.map(|mut daemon| {
            match which {
                0 => daemon.interface = other.interface,
                1 => daemon.sync_id = other.sync_id,
                2 => daemon.maximum_length = other.maximum_length,
                3 => daemon.group = other.group,
                4 => daemon.port = other.port,
                _ => daemon.ttl = other.ttl,
            }
            daemon
        });
        vec![traced((role, odd))]
    });
    let another = any_daemon(role).prop_map(move |daemon| vec![traced((role, Some(daemon)))]);
    prop_oneof![
        1 => Just(Vec::new()),
        1 => none,
        1 => same,
        1 => Just(vec![traced((role, fewer))]),
        4 => another_in_one,
        1 => another,
    ]
    .boxed()
}

/// What is there, and what is wanted.
fn situation() -> BoxedStrategy<(Model, State)> {
    let daemons = (running(DaemonRole::Master), running(DaemonRole::Backup)).prop_flat_map(|(master, backup)| {
        let wanted = (wanted(DaemonRole::Master, master), wanted(DaemonRole::Backup, backup));
        (Just([master, backup]), wanted.prop_map(|(master, backup)| [master, backup].concat()))
    });
    let wanted_timeouts = proptest::option::of(strategies::timeouts());
    (two_tables(), daemons.boxed(), strategies::timeouts(), wanted_timeouts)
        .prop_map(|((before, after), (running, daemons), timeouts, wanted_timeouts)| {
            let daemons_there = running.into_iter().flatten().map(|daemon| (daemon.role.name(), daemon)).collect();
            let have = Model { rules: before, timeouts, daemons: daemons_there };
            let want = State { timeouts: wanted_timeouts.map(traced), daemons, ..strategies::state(&after) };
            (have, want)
        })
        .boxed()
}

/// Whether what runs is what was asked for, in all that was said.
fn is_as_wanted(runs: Option<&Daemon>, want: Option<&Daemon>) -> bool {
    match (runs, want) {
        (None, None) => true,
        (Some(runs), Some(want)) => {
            let mut full = *want;
            full.maximum_length = want.maximum_length.or(runs.maximum_length);
            full.group = want.group.or(runs.group);
            full.port = want.port.or(runs.port);
            full.ttl = want.ttl.or(runs.ttl);
            *runs == full
        }
        _ => false,
    }
}

/// Additions, edits, daemons, deletions.
fn rank(change: &Change) -> u8 {
    match change {
        Change::AddService(_) | Change::AddDestination(..) => 0,
        Change::EditService(_) | Change::EditDestination(..) | Change::SetTimeouts(_) => 1,
        Change::StartDaemon(_) | Change::StopDaemon(_) => 2,
        _ => 3,
    }
}

/// Whether a service has servers of another family, which the kernel does not take while a daemon runs.
fn has_mixed(rules: &Rules) -> bool {
    let is_other = |(key, of_service): (&ServiceKey, &RulesOfService)| {
        of_service.servers.keys().any(|server| Family::of(server.address) != key.family())
    };
    rules.iter().any(is_other)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_steps_lead_to_what_is_wanted((before, after) in two_tables()) {
        let want = strategies::state(&after);
        let steps = difference(&strategies::state(&before), &want, Options::default());
        let mut set = RuleSet::new();
        for change in strategies::changes(&before) {
            prop_assert_eq!(set.apply(&change, 0), Ok(()));
        }
        for step in &steps {
            prop_assert_eq!(set.apply(&step.change, step.line), Ok(()), "{:?}", step);
        }
        prop_assert_eq!(strategies::rules_of_services(&set.finish()), after.clone());
        prop_assert_eq!(steps.len(), strategies::distance(&before, &after));
        prop_assert!(steps.iter().map(|step| rank(&step.change)).is_sorted());
        prop_assert_eq!(difference(&want, &want, Options::default()), vec![]);
    }

    #[test]
    fn every_step_has_the_line_that_asks_for_it((before, after) in two_tables()) {
        let text = strategies::file(&after);
        let lines: Vec<&str> = text.lines().collect();
        for Step { change, line, .. } in difference(&strategies::state(&before), &strategies::state(&after), Options::default()) {
            match change {
                Change::EditService(service) => {
                    prop_assert_eq!(lines[line as usize - 1], strategies::line(&Change::AddService(service)));
                }
                Change::EditDestination(key, server) => {
                    prop_assert_eq!(lines[line as usize - 1], strategies::line(&Change::AddDestination(key, server)));
                }
                Change::DeleteService(_) | Change::DeleteDestination(..) => prop_assert_eq!(line, 0),
                change => prop_assert_eq!(lines[line as usize - 1], strategies::line(&change)),
            }
        }
    }

    #[test]
    fn timeouts_and_daemons_become_what_is_wanted((have, want) in situation()) {
        let mut now = have.clone();
        let mut expected_steps = strategies::distance(&have.rules, &strategies::rules_of_services(&want.services));
        let or = |wanted, there| if wanted == 0 { there } else { wanted };
        let timeouts = want.timeouts.map_or(have.timeouts, |wanted| {
            Timeouts::new(
                or(wanted.rule.tcp, have.timeouts.tcp),
                or(wanted.rule.tcp_fin, have.timeouts.tcp_fin),
                or(wanted.rule.udp, have.timeouts.udp),
            )
        });
        expected_steps += usize::from(timeouts != have.timeouts);
        for Traced { rule: (role, wanted), .. } in &want.daemons {
            let runs = have.daemons.get(role.name());
            if !is_as_wanted(runs, wanted.as_ref()) {
                expected_steps += usize::from(runs.is_some()) + usize::from(wanted.is_some());
            }
        }
        let steps = difference(&have.state(), &want, Options::default());
        prop_assert_eq!(steps.len(), expected_steps);
        if !has_mixed(&have.rules) && !has_mixed(&strategies::rules_of_services(&want.services)) {
            prop_assert!(steps.iter().map(|step| rank(&step.change)).is_sorted());
        }
        for step in &steps {
            prop_assert_eq!(now.apply(&step.change), Ok(()), "{:?}", step);
        }
        prop_assert_eq!(now.timeouts, timeouts);
        for role in [DaemonRole::Master, DaemonRole::Backup] {
            let said = want.daemons.iter().find(|daemon| daemon.rule.0 == role);
            match said {
                Some(said) => prop_assert!(is_as_wanted(now.daemons.get(role.name()), said.rule.1.as_ref())),
                None => prop_assert_eq!(now.daemons.get(role.name()), have.daemons.get(role.name())),
            }
        }
        prop_assert_eq!(difference(&now.state(), &want, Options::default()), vec![]);
    }

    #[test]
    fn every_part_of_a_plan_can_be_undone((have, want) in situation()) {
        let state = have.state();
        let steps = difference(&state, &want, Options::default());
        let mut there = have.clone();
        for done in 0..=steps.len() {
            let mut now = there.clone();
            let made: Vec<Change> = steps[..done].iter().map(|step| step.change).collect();
            let blind = undo(&state, &made, None);
            // A table that was read, and in which nothing was changed since, makes no difference.
            prop_assert_eq!(&blind, &undo(&state, &made, Some(&there.state())));
            for change in blind.changes {
                prop_assert_eq!(now.apply(&change), Ok(()), "{:?}", change);
            }
            prop_assert_eq!(&now, &have, "after {} of {:?}", done, steps);
            if let Some(step) = steps.get(done) {
                prop_assert_eq!(there.apply(&step.change), Ok(()));
            }
        }
    }

    #[test]
    fn weights_can_be_kept((before, after) in two_tables()) {
        let steps = difference(&strategies::state(&before), &strategies::state(&after), Options { keep_weights: true, ..Options::default() });
        let mut now = Model { rules: before.clone(), ..Model::default() };
        for step in &steps {
            prop_assert_eq!(now.apply(&step.change), Ok(()));
        }
        let mut expected = after;
        for (key, of_service) in &mut expected {
            for (name, server) in &mut of_service.servers {
                if let Some(old) = before.get(key).and_then(|of_service| of_service.servers.get(name)) {
                    server.weight = old.weight;
                }
            }
        }
        prop_assert_eq!(steps.len(), strategies::distance(&before, &expected));
        prop_assert_eq!(now.rules, expected);
    }

    #[test]
    fn a_rule_set_does_as_the_model(changes in vec(change_of_few(4, 6), 0..200)) {
        agree(&changes)?;
    }
}

proptest! {
    // Each is long.
    #![proptest_config(ProptestConfig { cases: 64, ..config() })]

    #[test]
    fn a_rule_set_with_many_servers_does_as_the_model(changes in vec(change_of_few(2, 60), 300..500)) {
        agree(&changes)?;
    }
}

/// The rule set and the model say the same of each change, and hold the same at the end, in order.
fn agree(changes: &[Change]) -> Result<(), TestCaseError> {
    let (mut set, mut model) = (RuleSet::new(), Model::default());
    let mut lines = BTreeMap::new();
    for (line, change) in (1..).zip(changes) {
        let outcome = model.apply(change);
        prop_assert_eq!(set.apply(change, line), outcome, "line {}: {:?}", line, change);
        if outcome.is_ok() {
            let name = match change {
                Change::AddService(service) | Change::EditService(service) => Some((service.key, None)),
                Change::AddDestination(key, server) | Change::EditDestination(key, server) => {
                    Some((*key, Some(server.key)))
                }
                _ => None,
            };
            lines.extend(name.map(|name| (name, line)));
        }
    }
    let services = set.finish();
    prop_assert!(services.is_sorted_by(|one, other| one.service.rule.key < other.service.rule.key));
    for of_service in &services {
        let key = of_service.service.rule.key;
        prop_assert!(of_service.destinations.is_sorted_by(|one, other| one.rule.key < other.rule.key));
        prop_assert_eq!(Some(&of_service.service.line), lines.get(&(key, None)));
        for server in &of_service.destinations {
            prop_assert_eq!(Some(&server.line), lines.get(&(key, Some(server.rule.key))));
        }
    }
    prop_assert_eq!(strategies::rules_of_services(&services), model.rules);
    Ok(())
}

/// Changes to so few things that they meet.
fn change_of_few(services: u32, servers: u16) -> impl Strategy<Value = Change> {
    let key = (1..=services).prop_map(|mark| ServiceKey::Mark { mark, family: Family::Ipv4 });
    let name = (1..=servers).prop_map(|port| DestinationKey { address: Ipv4Addr::LOCALHOST.into(), port });
    let service = key.clone().prop_flat_map(|key| strategies::service(key, Reach::Rule));
    let server = (key.clone(), name.clone())
        .prop_flat_map(|(key, name)| (Just(key), strategies::server(key, name, Reach::Rule)));
    prop_oneof![
        20 => service.clone().prop_map(Change::AddService),
        10 => service.prop_map(Change::EditService),
        // Where many servers are to gather, services must last.
        if servers > 24 { 1 } else { 4 } => key.clone().prop_map(Change::DeleteService),
        120 => server.clone().prop_map(|(key, server)| Change::AddDestination(key, server)),
        40 => server.prop_map(|(key, server)| Change::EditDestination(key, server)),
        60 => (key.clone(), name).prop_map(|(key, name)| Change::DeleteDestination(key, name)),
        1 => Just(Change::Flush),
        4 => proptest::option::of(key).prop_map(Change::Zero),
        4 => strategies::timeouts().prop_map(Change::SetTimeouts),
    ]
}

#[test]
fn a_server_that_the_kernel_calls_local_is_as_wanted() {
    let key = ServiceKey::Mark { mark: 1, family: Family::Ipv4 };
    let service = Change::AddService(Service::new(key, ipvs_client::scheduler::RR));
    let state_with = |forwarding, weight| {
        let server = Destination::direct(Ipv4Addr::LOCALHOST, 80).forwarding(forwarding).weight(weight);
        let mut set = RuleSet::new();
        assert_eq!(set.apply(&service, 1), Ok(()));
        assert_eq!(set.apply(&Change::AddDestination(key, server), 2), Ok(()));
        State { services: set.finish(), ..State::default() }
    };
    let local = state_with(Forwarding::Local, 1);
    let steps = |want| difference(&local, &want, Options::default()).len();
    assert_eq!(steps(state_with(Forwarding::DirectRoute, 1)), 0);
    assert_eq!(steps(state_with(Forwarding::Masquerade, 1)), 1);
    assert_eq!(steps(state_with(Forwarding::DirectRoute, 2)), 1);
}

#[test]
fn findings_speak_as_the_kernel_is_spoken_for() {
    let said = [
        (Finding::ServiceExists, "Service already exists"),
        (Finding::NoService, "No such service"),
        (Finding::ServiceNotDefined, "Service not defined"),
        (Finding::DestinationExists, "Destination already exists"),
        (Finding::NoDestination, "No such destination"),
    ];
    for (finding, message) in said {
        assert_eq!(finding.message(), message);
    }
}
