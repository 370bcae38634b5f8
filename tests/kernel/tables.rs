//! What the program and the library promise, on a real kernel: random tables there and back, replacing all or nothing,
//! batches, files, and what happens when things go wrong. Each trial has network namespaces of its own.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fmt::Debug;
use std::fs::Permissions;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use ipvs_client::{
    Change, Client, Daemon, DaemonRole, Destination, Detail, Error, Family, InterfaceName, Protocol, Refusal,
    SchedulerName, Service, ServiceKey, Statistics, Timeouts, scheduler,
};
use netlink_exchange::Errno;
use proptest::prelude::{Just, ProptestConfig, any};
use proptest::sample::Index;
use proptest::strategy::Strategy;
use proptest::test_runner::{TestCaseError, TestRunner};

use crate::strategies::{self, Reach, Rules, RulesOfService, distance, file, line, rules_of};
use crate::support::{self, Invocation, Output, Subject, Trial, in_fresh_namespace, run, succeed, trial};

/// What a trial does.
type Run = fn() -> Result<()>;

/// What is tried, and where.
pub fn subject() -> Subject {
    Subject { prepare: find_schedulers, trials, ..Subject::named("tables") }
}

fn trials() -> Result<Vec<Trial>> {
    let trials: [(&str, Run); _] = [
        ("rules: what is written is read back", what_is_written_is_read_back),
        ("rules: a table is read back", a_table_is_read_back),
        ("rules: services of any size", services_of_any_size),
        ("rules: batch reports every refusal", a_batch_reports_every_refusal),
        ("save: restored in another namespace", saved_is_restored),
        ("save: --all, restored in another namespace", all_saved_is_restored),
        ("save: --all, an interface that is not UTF-8", an_interface_that_is_not_utf8),
        ("save: read by the original", the_original_reads_what_is_saved),
        ("one service: a thousand servers", a_thousand_servers_of_one_service),
        ("save: --file, killed at any time", a_saved_file_is_whole_whenever_killed),
        ("replace: dry run, diff, table", replacing_makes_the_table_equal),
        ("replace: nothing else is touched", replacing_leaves_the_rest_alone),
        ("replace: a refusal changes nothing", a_refusal_changes_nothing),
        ("replace: --keep-weights", weights_are_kept),
        ("replace: timeouts and daemons", timeouts_and_daemons_are_replaced),
        ("replace: another program's changes are noticed", changes_of_others_are_noticed),
        ("replace: by nothing", replaced_by_nothing),
        ("replace: --keep-going", what_is_good_is_loaded),
        ("restore: files that cannot be read", files_that_cannot_be_read),
        ("restore: bad lines", bad_lines_change_nothing),
        ("restore: lines of all kinds", lines_of_all_kinds_are_read),
        ("program: without privileges", without_privileges),
        ("program: no more than CAP_NET_ADMIN", no_more_than_one_capability),
        ("save: --file where another user laid a trap", what_others_laid_is_not_written),
        ("program: closed pipe", a_closed_pipe_ends_quietly),
        ("program: diff into a closed pipe", a_closed_pipe_ends_diff_quietly),
        ("program: full disk", a_full_disk_is_an_error),
        ("program: called by its other names", the_other_names),
        ("program: words that the original scripts ignore", words_that_the_scripts_ignore),
        ("program: closed standard streams", closed_standard_streams),
        ("program: --netns", another_namespace),
        ("doctor: JSON, statuses, and nothing changed", the_doctor_reports_and_changes_nothing),
        ("doctor: judges a rules file as diff does", the_doctor_agrees_with_diff),
        ("doctor: pipes among settings", || crate::changes::program::alone(pipes_among_settings)),
    ];
    Ok(trials.into_iter().map(|(name, run)| trial(name, run)).collect())
}

/// Distributions leave out one scheduler or the other.
pub fn find_schedulers() -> Result<()> {
    let found = in_fresh_namespace(|| {
        let mut client = Client::connect()?;
        let mut found = Vec::new();
        for name in strategies::SCHEDULERS {
            let service = by_mark(1).scheduler(SchedulerName::cut(name.as_bytes()));
            match client.change(&Change::AddService(service)) {
                Ok(()) => found.push(name),
                Err(Error::Refused(Refusal { errno: Errno::ENOENT, .. })) => {}
                Err(error) => return Err(error.into()),
            }
            client.change(&Change::Flush)?;
        }
        Ok(found)
    })?;
    ensure!(found.len() >= 13, "the kernel has only the schedulers {found:?}");
    // Other subjects may share this kernel, and have found them already.
    let _ = strategies::SCHEDULERS_AT_HAND.set(found);
    Ok(())
}

// ---- tools ----------------------------------------------------------------------------------------------------------

/// Tries this many random values.
fn property<S>(cases: u32, strategy: &S, holds: impl Fn(S::Value) -> Result<()>) -> Result<()>
where
    S: Strategy,
    S::Value: Debug,
{
    let config = ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 60, ..ProptestConfig::default() };
    let holds = |value| holds(value).map_err(|error| TestCaseError::fail(format!("{error:#}")));
    TestRunner::new(config).run(strategy, holds).map_err(|error| anyhow!("{error}"))
}

/// Puts rules into the table.
fn fill(client: &mut Client, rules: &Rules) -> Result<()> {
    make(client, strategies::changes(rules))
}

fn make(client: &mut Client, changes: impl Iterator<Item = Change>) -> Result<()> {
    let mut refused = Vec::new();
    let mut batch = client.batch(|change: Change, refusal: Refusal| refused.push((change, refusal)))?;
    for change in changes {
        batch.push(change, &change)?;
    }
    batch.finish()?;
    ensure!(refused.is_empty(), "the kernel refused {refused:?}");
    Ok(())
}

/// The table of this namespace.
fn table() -> Result<Rules> {
    Ok(rules_of(&Client::connect()?.table()?))
}

fn ensure_same(expected: &Rules, actual: &Rules) -> Result<()> {
    let spelled = |rules: &Rules| strategies::changes(rules).map(|change| format!("{change:?}\n")).collect::<String>();
    ensure!(
        expected == actual,
        "another table than expected:\n{}",
        support::difference(&spelled(expected), &spelled(actual))
    );
    Ok(())
}

fn ensure_table(expected: &Rules) -> Result<()> {
    ensure_same(expected, &table()?)
}

fn path(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is not UTF-8")
}

/// A service by mark, round robin.
fn by_mark(mark: u32) -> Service {
    Service::mark(mark, Family::Ipv4, scheduler::RR)
}

/// Services by the marks from 1 on, each with two servers of this weight.
fn by_marks(count: u32, weight: u32) -> Rules {
    let services = (1..=count).map(|mark| {
        let service = by_mark(mark);
        let servers = [1, 2].map(|host| Destination::direct([10, 0, 0, host], 80).weight(weight));
        (service.key, RulesOfService { service, servers: servers.map(|server| (server.key, server)).into() })
    });
    services.collect()
}

// ---- rules ----------------------------------------------------------------------------------------------------------

fn what_is_written_is_read_back() -> Result<()> {
    let reach = Reach::Kernel;
    in_fresh_namespace(|| {
        let strategy = strategies::service_key().prop_flat_map(move |key| {
            let server = strategies::server_key(key, reach, true).prop_flat_map(move |name| {
                (strategies::server(key, name, reach), strategies::server(key, name, reach))
            });
            let services = (strategies::service(key, reach), strategies::service(key, reach));
            (services, proptest::collection::vec(server.boxed(), 0..5))
        });
        let client = RefCell::new(Client::connect()?);
        property(256, &strategy, |((service, edited), servers)| {
            let client = &mut *client.borrow_mut();
            let servers: BTreeMap<_, _> =
                servers.into_iter().map(|(server, edited)| (server.key, (server, edited))).collect();
            let before = servers.iter().map(|(key, (server, _))| (*key, *server)).collect();
            let after = servers.iter().map(|(key, (_, edited))| (*key, *edited)).collect();
            let (before, after) =
                (RulesOfService { service, servers: before }, RulesOfService { service: edited, servers: after });
            client.change(&Change::Flush)?;
            client.change(&Change::AddService(service))?;
            for server in before.servers.values() {
                client.change(&Change::AddDestination(service.key, *server)).with_context(|| format!("{server:?}"))?;
            }
            ensure_alone(client, &before)?;
            client.change(&Change::EditService(edited))?;
            for server in after.servers.values() {
                client.change(&Change::EditDestination(service.key, *server)).with_context(|| format!("{server:?}"))?;
            }
            ensure_alone(client, &after)?;
            for server in after.servers.keys() {
                client.change(&Change::DeleteDestination(service.key, *server))?;
            }
            ensure_alone(client, &RulesOfService { servers: BTreeMap::new(), ..after })?;
            client.change(&Change::Zero(Some(service.key)))?;
            client.change(&Change::DeleteService(service.key))?;
            ensure_same(&Rules::new(), &rules_of(&client.table()?))
        })
    })
}

/// This service and nothing else is in the table, by every way of asking for it.
fn ensure_alone(client: &mut Client, expected: &RulesOfService) -> Result<()> {
    let key = expected.service.key;
    let expected = Rules::from([(key, expected.clone())]);
    let alone = |service: Service, servers: Vec<Destination>| {
        let servers = servers.into_iter().map(|server| (server.key, server)).collect();
        Rules::from([(service.key, RulesOfService { service, servers })])
    };
    let servers = client.destinations(&key)?.context("no service")?.iter().map(|entry| entry.destination).collect();
    ensure_same(&expected, &alone(client.service(&key)?.service, servers))?;
    let services = client.service_rules()?;
    ensure!(services.len() == 1, "{services:?}");
    ensure_same(&expected, &alone(services[0], client.destination_rules(&key)?.context("no service")?))?;
    ensure_same(&expected, &rules_of(&client.table()?))
}

/// How a service's servers are read depends on how many those before it had.
fn services_of_any_size() -> Result<()> {
    let orders: [&[u16]; 3] = [&[9, 1, 0, 10, 1, 19, 20, 0, 120, 1], &[120, 1, 0, 9], &[0, 1, 9, 9, 0, 10]];
    for sizes in orders {
        in_fresh_namespace(|| {
            let server = |number: u16| {
                let [high, low] = number.to_be_bytes();
                Destination::direct([10, 0, high, low], 80).weight(number.into())
            };
            let mut rules = Rules::new();
            for (index, size) in sizes.iter().enumerate() {
                let service = by_mark(index as u32 + 1);
                let servers = (1..=*size).map(|number| (server(number).key, server(number))).collect();
                rules.insert(service.key, RulesOfService { service, servers });
            }
            let mut client = Client::connect()?;
            fill(&mut client, &rules)?;
            ensure_same(&rules, &table()?)?;
            read_with::<Statistics>(&mut client, &rules).context("with counters")?;
            read_with::<()>(&mut client, &rules).context("without counters")?;
            Ok(())
        })?;
    }
    Ok(())
}

/// Reads each service's servers.
fn read_with<D: Detail>(client: &mut Client, rules: &Rules) -> Result<()> {
    for (key, expected) in rules {
        let entries = client.destinations_with::<D>(key)?.context("no service")?;
        let read: BTreeMap<_, _> = entries.iter().map(|entry| (entry.destination.key, entry.destination)).collect();
        ensure!(read == expected.servers, "{key:?} has {} of them", read.len());
        ensure!(entries.len() == read.len(), "{key:?} has one twice");
        ensure!(client.destination_rules(key)?.context("no service")?.len() == read.len(), "{key:?}");
    }
    let none = by_mark(1000).key;
    ensure!(client.destinations_with::<D>(&none)?.is_none(), "there is a service that is none");
    ensure!(client.destination_rules(&none)?.is_none(), "there is a service that is none");
    Ok(())
}

fn a_table_is_read_back() -> Result<()> {
    property(12, &strategies::rules(0..40, 0..8, Reach::Kernel, true), |rules| {
        in_fresh_namespace(|| {
            let mut client = Client::connect()?;
            fill(&mut client, &rules)?;
            let mut table = client.table()?;
            let servers: usize = table.services.iter().map(|service| service.destinations.len()).sum();
            let expected: usize = rules.values().map(|of_service| of_service.servers.len()).sum();
            ensure!((table.services.len(), servers) == (rules.len(), expected), "something was read twice");
            ensure_same(&rules, &rules_of(&table))?;
            table.sort();
            ensure!(table.services.iter().map(|service| &service.entry.service.key).eq(rules.keys()), "not in order");
            client.change(&Change::Flush)?;
            ensure_table(&Rules::new())
        })
    })
}

fn a_batch_reports_every_refusal() -> Result<()> {
    in_fresh_namespace(|| {
        let mut client = Client::connect()?;
        let mut refused = Vec::new();
        let mut batch = client.batch(|tag: usize, refusal: Refusal| refused.push((tag, refusal)))?;
        let mut expected = BTreeSet::new();
        let mut added = BTreeSet::new();
        for tag in 0..5000 {
            // Every third is the one before once more.
            let service = by_mark(1 + tag as u32 - u32::from(tag % 3 == 2));
            if !added.insert(service.key) {
                expected.insert(tag);
            }
            batch.push(tag, &Change::AddService(service))?;
        }
        batch.finish()?;
        ensure!(expected.len() == 1666, "every third is refused, not {}", expected.len());
        ensure!(refused.iter().all(|(_, refusal)| refusal.errno == Errno::EEXIST), "{refused:?}");
        ensure!(refused.iter().all(|(_, refusal)| refusal.to_string() == "Service already exists"), "{refused:?}");
        ensure!(refused.is_sorted_by(|one, other| one.0 < other.0), "not reported in order, or twice");
        let printed: BTreeSet<usize> = refused.into_iter().map(|(tag, _)| tag).collect();
        ensure!(
            printed == expected,
            "reported otherwise: {:?}",
            printed.symmetric_difference(&expected).collect::<Vec<_>>()
        );
        let there: BTreeSet<ServiceKey> = client.services()?.iter().map(|entry| entry.service.key).collect();
        ensure!(there == added, "another table: {:?}", there.symmetric_difference(&added).collect::<Vec<_>>());
        Ok(())
    })
}

// ---- saving ---------------------------------------------------------------------------------------------------------

fn saved_is_restored() -> Result<()> {
    property(12, &strategies::rules(0..12, 0..8, Reach::Rule, true), |rules| {
        let saved = in_fresh_namespace(|| {
            fill(&mut Client::connect()?, &rules)?;
            succeed(&["-S", "-n"], b"")
        })?;
        ensure!(saved == file(&rules), "{}", support::difference(&file(&rules), &saved));
        in_fresh_namespace(|| {
            let said = succeed(&["-R"], saved.as_bytes())?;
            ensure!(said.is_empty(), "{said}");
            ensure_table(&rules)
        })
    })
}

fn all_saved_is_restored() -> Result<()> {
    const LO: &[u8] = b"lo";
    const OTHER: &str = "other";
    let daemon = |role| {
        proptest::option::of(strategies::daemon(role, Just(InterfaceName::cut(LO))).prop_map(|mut daemon| {
            // IPv6 wants an interface that multicasts.
            if let Some(IpAddr::V6(_)) = daemon.group {
                daemon.interface = InterfaceName::cut(OTHER.as_bytes());
            }
            daemon
        }))
    };
    let prepare = || {
        let links = support::Links::new()?;
        links.add_dummy(OTHER)?;
        links.add_address(OTHER, Ipv4Addr::new(10, 9, 0, 1).into(), 24)?;
        links.add_address(OTHER, Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 9).into(), 64)
    };
    let daemons = (daemon(DaemonRole::Master), daemon(DaemonRole::Backup));
    // With a daemon, the kernel takes no server of another family than its service.
    let rules = strategies::rules(0..6, 0..4, Reach::Rule, false);
    property(12, &(rules, strategies::timeouts(), daemons), |(rules, timeouts, (master, backup))| {
        let (saved, daemons, timeouts) = in_fresh_namespace(|| {
            prepare()?;
            let mut client = Client::connect()?;
            fill(&mut client, &rules)?;
            let daemons: Vec<Daemon> = [master, backup].into_iter().flatten().collect();
            make(&mut client, daemons.iter().map(|daemon| Change::StartDaemon(*daemon)))?;
            make(&mut client, [Change::SetTimeouts(timeouts)].into_iter())?;
            let running = client.daemons()?;
            ensure!(running.len() == daemons.len(), "{running:?} run, of {daemons:?}");
            for (runs, wanted) in running.iter().zip(&daemons) {
                ensure!(is_as_wanted(runs, wanted), "{runs:?} runs in place of {wanted:?}");
            }
            let now = client.timeouts()?;
            let or = |wanted, default| if wanted == 0 { default } else { wanted };
            let expected = Timeouts::new(or(timeouts.tcp, 900), or(timeouts.tcp_fin, 120), or(timeouts.udp, 300));
            ensure!(now == expected, "{now:?} in place of {expected:?}");
            Ok((succeed(&["-S", "-n", "--all"], b"")?, running, now))
        })?;
        in_fresh_namespace(|| {
            prepare()?;
            succeed(&["-R"], saved.as_bytes())?;
            ensure_table(&rules)?;
            let mut client = Client::connect()?;
            ensure!(client.daemons()? == daemons, "{:?} in place of {daemons:?}", client.daemons()?);
            ensure!(client.timeouts()? == timeouts, "{:?} in place of {timeouts:?}", client.timeouts()?);
            let again = succeed(&["-S", "-n", "--all"], b"")?;
            ensure!(again == saved, "{}", support::difference(&saved, &again));
            Ok(())
        })
    })
}

/// The name of an interface is bytes.
fn an_interface_that_is_not_utf8() -> Result<()> {
    const NAME: &[u8] = b"v\xff\xe4#";
    let (_folder, saved) = rules_file("")?;
    in_fresh_namespace(|| {
        let name = OsStr::from_bytes(NAME);
        let status = Command::new("ip").args(["link", "add"]).arg(name).args(["up", "type", "dummy"]).status()?;
        ensure!(status.success(), "no interface of this name");
        let daemon = Daemon::new(DaemonRole::Master, InterfaceName::cut(NAME), 7);
        let mut client = Client::connect()?;
        client.change(&Change::StartDaemon(daemon))?;
        succeed(&["-S", "-n", "--all", "--file", &saved], b"")?;
        let text = fs::read(&saved)?;
        let word = [b"--mcast-interface=", NAME, b" "].concat();
        ensure!(text.windows(word.len()).any(|found| found == word), "{}", text.escape_ascii());
        let listed = Command::new(support::ours()).args(["-L", "--daemon"]).output()?.stdout;
        ensure!(listed.starts_with(br"master sync daemon (mcast=v\xff\xe4#,"), "{}", listed.escape_ascii());
        for mode in [&["-R"][..], &["-R", "--replace"]] {
            client.change(&Change::StopDaemon(daemon))?;
            let output = run(&[mode, &["--file", &saved]].concat(), b"")?;
            ensure!(output.status == "0", "{output:?}");
            ensure!(client.daemons()?.iter().any(|runs| runs.interface.as_bytes() == NAME), "{:?}", client.daemons()?);
        }
        Ok(())
    })
}

/// Whether a daemon runs as it was asked for. The kernel may bound the length of messages.
fn is_as_wanted(runs: &Daemon, wanted: &Daemon) -> bool {
    let mut wanted = *wanted;
    wanted.maximum_length = runs.maximum_length;
    wanted.group = wanted.group.or(Some(Ipv4Addr::new(224, 0, 0, 81).into()));
    wanted.port = wanted.port.or(Some(8848));
    wanted.ttl = wanted.ttl.or(Some(1));
    *runs == wanted && runs.maximum_length.is_some()
}

fn the_original_reads_what_is_saved() -> Result<()> {
    let original = support::original()?;
    property(12, &strategies::rules(0..8, 0..6, Reach::Rule, true), |mut rules| {
        // As a 32-bit program the original takes no larger ones, see tests/compliance/deviations.md.
        let largest = if cfg!(target_pointer_width = "32") { i32::MAX.unsigned_abs() } else { u32::MAX };
        rules.retain(|key, _| !matches!(key, ServiceKey::Mark { mark, .. } if *mark > largest));
        let saved = in_fresh_namespace(|| {
            fill(&mut Client::connect()?, &rules)?;
            succeed(&["-S", "-n"], b"")
        })?;
        in_fresh_namespace(|| {
            let stdin = saved.as_bytes();
            let output = Invocation { stdin, ..Invocation::of(&["-R"]) }.run(&original)?;
            ensure!(output.status == "0" && output.stderr.is_empty(), "{output:?}\n{saved}");
            ensure_table(&rules)
        })
    })
}

/// Answers about this many servers of one service come in many parts. At first of one weight and in no order, then every
/// hundredth is another.
fn a_thousand_servers_of_one_service() -> Result<()> {
    const SERVERS: u32 = 1000;
    let service = Service::tcp([192, 0, 2, 1], 80, scheduler::WLC);
    let host = |number: u32| Ipv4Addr::from(0x0a00_0000 + number);
    let server = |number: u32, weight| Destination::direct(host(number), 80).weight(weight);
    let table = |servers: BTreeMap<_, _>| Rules::from([(service.key, RulesOfService { service, servers })]);
    let before = table((1..=SERVERS).map(|number| server(number, 1)).map(|server| (server.key, server)).collect());
    // Another weight, and another server in place of one.
    let changed = (1..=SERVERS).map(|number| match number % 100 {
        50 => server(number, 7),
        0 => server(number + SERVERS, 1),
        _ => server(number, 1),
    });
    let after = table(changed.map(|server| (server.key, server)).collect());
    let (_folder, wanted) = rules_file(&file(&after))?;
    in_fresh_namespace(|| {
        // Backwards but for the service, so that saving has something to sort.
        let mut lines: Vec<String> = strategies::changes(&before).map(|change| line(&change)).collect();
        lines[1..].reverse();
        succeed(&["-R"], (lines.join("\n") + "\n").as_bytes())?;
        ensure_table(&before)?;
        let saved = succeed(&["-S", "-n"], b"")?;
        ensure!(saved == file(&before), "{}", support::difference(&file(&before), &saved));
        let listed = succeed(&["-L", "-n"], b"")?;
        for number in 1..=SERVERS {
            let start = format!("  -> {}:80 ", host(number));
            ensure!(listed.lines().filter(|line| line.starts_with(&start)).count() == 1, "{start}:\n{listed}");
        }
        ensure!(listed.lines().count() == SERVERS as usize + 4, "{listed}");
        let of_service = succeed(&["-L", "-n", "-t", "192.0.2.1:80"], b"")?;
        // A service by itself is listed without the version of IPVS.
        let (_, expected) = listed.split_once('\n').context("an empty listing")?;
        ensure!(of_service == expected, "{}", support::difference(expected, &of_service));
        let output = run(&["-R", "--replace", "--dry-run", "--file", &wanted], b"")?;
        ensure!(output.status == "1" && output.stderr.is_empty(), "{output:?}");
        let planned = output.stdout;
        let count = |command: &str| planned.lines().filter(|line| line.starts_with(command)).count();
        ensure!((count("-a "), count("-e "), count("-d ")) == (10, 10, 10), "{planned}");
        ensure!(planned.lines().count() == 30, "{planned}");
        let said = succeed(&["-R", "--replace", "--file", &wanted], b"")?;
        ensure!(said.is_empty(), "{said}");
        ensure_table(&after)?;
        let saved = succeed(&["-S", "-n"], b"")?;
        ensure!(saved == file(&after), "{}", support::difference(&file(&after), &saved));
        succeed(&["-D", "-t", "192.0.2.1:80"], b"")?;
        ensure_table(&Rules::new())
    })
}

/// A run that is killed may leave its temporary file; the file itself is the old one or the new one, whole, and runs that
/// end leave nothing.
fn a_saved_file_is_whole_whenever_killed() -> Result<()> {
    const ROUNDS: u32 = 60;
    in_fresh_namespace(|| {
        let mut client = Client::connect()?;
        let mut rules = by_marks(100, 1);
        fill(&mut client, &rules)?;
        let folder = tempfile::tempdir()?;
        let target = folder.path().join("rules");
        let words = ["-S", "-n", "--file", path(&target)?];
        let start = Instant::now();
        succeed(&words, b"")?;
        let takes = start.elapsed();
        let mut there = fs::read_to_string(&target)?;
        ensure!(there == file(&rules), "{}", support::difference(&file(&rules), &there));
        let (mut killed, mut left) = (0, 1);
        for round in 0..=ROUNDS {
            // What would be written is never what is there.
            for weight in [1, 2] {
                if file(&rules) == there {
                    rules = by_marks(100, weight);
                }
            }
            make(&mut client, edits(&rules))?;
            let mut child = Command::new(support::ours()).args(words).spawn()?;
            if round < ROUNDS {
                thread::sleep(takes * round / (ROUNDS * 3 / 4));
                child.kill()?;
            }
            let status = child.wait()?;
            let now = fs::read_to_string(&target)?;
            let new = file(&rules);
            ensure!(
                now == there || now == new,
                "neither the old file nor the new one:\n{}",
                support::difference(&new, &now)
            );
            let names = fs::read_dir(folder.path())?.count();
            if status.signal().is_some() {
                killed += 1;
                ensure!(names <= left + 1, "{names} files after a killed run, {left} before");
            } else {
                ensure!(status.success() && now == new, "{status}: the new file is not there");
                ensure!(names == left, "{names} files after a run, {left} before");
            }
            (there, left) = (now, names);
        }
        ensure!(there == file(&rules), "the last run was not killed, and the file is not new");
        ensure!(killed > 0 && left <= 1 + killed, "{killed} runs were killed, {left} files are there");
        Ok(())
    })
}

fn edits(rules: &Rules) -> impl Iterator<Item = Change> + '_ {
    rules
        .iter()
        .flat_map(|(key, of_service)| of_service.servers.values().map(|server| Change::EditDestination(*key, *server)))
}

// ---- replacing ------------------------------------------------------------------------------------------------------

/// A folder with a rules file in it.
fn rules_file(rules: &str) -> Result<(tempfile::TempDir, String)> {
    let folder = tempfile::tempdir()?;
    let name = folder.path().join("rules");
    fs::write(&name, rules)?;
    let name = path(&name)?.to_owned();
    Ok((folder, name))
}

fn replacing_makes_the_table_equal() -> Result<()> {
    property(16, &strategies::two_tables(0..7, 0..6), |(before, after)| {
        let (_folder, wanted) = rules_file(&file(&after))?;
        let peer = format!("{wanted}.json");
        let steps = in_fresh_namespace(|| {
            fill(&mut Client::connect()?, &before)?;
            let dry = ["-R", "--replace", "--dry-run", "--file", &wanted];
            let status = if before == after { "0" } else { "1" };
            let output = run(&dry, b"")?;
            ensure!(output.status == status && output.stderr.is_empty(), "{output:?}");
            let count = output.stdout.lines().count();
            ensure!(
                count == distance(&before, &after),
                "{count} lines, not {}:\n{}",
                distance(&before, &after),
                output.stdout
            );
            let diff = run(&["diff", &wanted], b"")?;
            // Servers that refuse clients are named.
            let all_refuse = diff.stderr.lines().all(|line| line.contains(" refuses the clients of "));
            ensure!(diff.status == status && all_refuse, "{diff:?}");
            let expected = lines_of_diff(&before, &after);
            let mut printed: Vec<&str> = diff.stdout.lines().collect();
            printed.sort_unstable();
            ensure!(printed == expected, "{}", support::difference(&expected.join("\n"), &printed.join("\n")));
            ensure_table(&before).context("after only looking")?;
            let replace = ["-R", "--replace", "--file", &wanted];
            let empty = format!("{wanted}: no virtual service is in it: the table is empty now\n");
            let replaced = Output {
                status: "0".to_owned(),
                stdout: String::new(),
                stderr: if after.is_empty() { empty } else { String::new() },
            };
            ensure!(run(&replace, b"")? == replaced, "{replaced:?}");
            ensure_table(&after)?;
            for look in [&dry[..], &["diff", &wanted]] {
                let same = run(look, b"")?;
                ensure!(same.status == "0" && same.stdout.is_empty(), "{look:?}: {same:?}");
            }
            ensure!(run(&replace, b"")? == replaced, "{replaced:?}");
            ensure_table(&after)?;
            // The table of a director is compared as its rules are.
            fs::write(&peer, succeed(&["-L", "--json"], b"")?)?;
            let same = run(&["diff", &peer], b"")?;
            ensure!(same.status == "0" && same.stdout.is_empty(), "{same:?}");
            Ok(output.stdout)
        })?;
        in_fresh_namespace(|| {
            fill(&mut Client::connect()?, &before)?;
            let diff = run(&["diff", &peer], b"")?;
            let mut printed: Vec<&str> = diff.stdout.lines().filter(|line| !line.contains(" # digest of ")).collect();
            printed.sort_unstable();
            let expected = lines_of_diff(&before, &after);
            ensure!(printed == expected, "{}", support::difference(&expected.join("\n"), &printed.join("\n")));
            ensure!(diff.status == if diff.stdout.is_empty() { "0" } else { "1" }, "{diff:?}");
            Ok(())
        })?;
        in_fresh_namespace(|| {
            fill(&mut Client::connect()?, &before)?;
            succeed(&["-R"], steps.as_bytes()).context("the printed changes, by plain -R")?;
            ensure_table(&after)
        })
    })
}

/// The lines of `diff`, in order of the alphabet.
fn lines_of_diff(before: &Rules, after: &Rules) -> Vec<String> {
    let lines = |rules: &Rules| strategies::changes(rules).map(|change| line(&change)).collect::<BTreeSet<_>>();
    let (before, after) = (lines(before), lines(after));
    let gone = before.difference(&after).map(|line| format!("- {line}"));
    let new = after.difference(&before).map(|line| format!("+ {line}"));
    let mut all: Vec<String> = gone.chain(new).collect();
    all.sort_unstable();
    all
}

/// Connections are counted on services that stay; after replacing the count goes on, and servers stand where they stood.
fn replacing_leaves_the_rest_alone() -> Result<()> {
    const HOST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
    let before = "\
        -A -u 192.0.2.1:5001 -s rr\n\
        -a -u 192.0.2.1:5001 -r 192.0.2.1:6002 -m -w 1\n\
        -a -u 192.0.2.1:5001 -r 192.0.2.1:6001 -m -w 1\n\
        -a -u 192.0.2.1:5001 -r 192.0.2.1:6003 -m -w 1\n\
        -A -u 192.0.2.1:5002 -s rr\n\
        -a -u 192.0.2.1:5002 -r 192.0.2.1:6001 -m -w 1\n\
        -A -u 192.0.2.1:5003 -s rr\n";
    let after = "\
        -A -u 192.0.2.1:5001 -s rr\n\
        -a -u 192.0.2.1:5001 -r 192.0.2.1:6001 -m -w 1\n\
        -a -u 192.0.2.1:5001 -r 192.0.2.1:6002 -m -w 1\n\
        -a -u 192.0.2.1:5001 -r 192.0.2.1:6003 -m -w 1\n\
        -A -u 192.0.2.1:5002 -s wrr\n\
        -a -u 192.0.2.1:5002 -r 192.0.2.1:6001 -m -w 2\n\
        -a -u 192.0.2.1:5002 -r 192.0.2.1:6002 -m -w 1\n\
        -A -u 192.0.2.1:5004 -s rr\n";
    let (_folder, wanted) = rules_file(after)?;
    let key = |port| ServiceKey::Address { protocol: Protocol::Udp, address: HOST.into(), port };
    in_fresh_namespace(|| {
        support::Links::new()?.add_address("lo", HOST.into(), 32)?;
        succeed(&["-R"], before.as_bytes())?;
        let mut client = Client::connect()?;
        let mut open = Vec::new();
        for port in [5001, 5001, 5001, 5001, 5002, 5002] {
            let socket = UdpSocket::bind((HOST, 0))?;
            socket.send_to(b"x", (HOST, port))?;
            open.push(socket);
        }
        let connections = |client: &mut Client, port| -> Result<u64> {
            Ok(client.service(&key(port))?.statistics.counters.connections)
        };
        // The kernel adds up every two seconds.
        let deadline = Instant::now() + Duration::from_secs(60);
        while (connections(&mut client, 5001)?, connections(&mut client, 5002)?) != (4, 2) {
            ensure!(Instant::now() < deadline, "the connections are not counted");
            thread::sleep(Duration::from_millis(100));
        }
        let servers = |client: &mut Client, port| -> Result<Vec<(Destination, u32, u64)>> {
            let entries = client.destinations(&key(port))?.context("no service")?;
            let facts = entries
                .iter()
                .map(|entry| (entry.destination, entry.inactive_connections, entry.statistics.counters.connections));
            Ok(facts.collect())
        };
        let there = servers(&mut client, 5001)?;
        ensure!(there.iter().map(|(_, inactive, _)| inactive).sum::<u32>() == 4, "{there:?}");
        succeed(&["-R", "--replace", "--file", &wanted], b"")?;
        ensure!(client.services()?.len() == 3, "not the services that are wanted");
        ensure!(connections(&mut client, 5001)? == 4, "the service that stays was made again");
        ensure!(connections(&mut client, 5002)? == 2, "the service that is edited was made again");
        let now = servers(&mut client, 5001)?;
        ensure!(now == there, "the servers that stay were touched: {now:?}, before {there:?}");
        ensure!(servers(&mut client, 5002)?.iter().any(|(_, inactive, _)| *inactive == 2), "the connections are gone");
        // And what making again looks like.
        succeed(&["-R"], format!("-C\n{after}").as_bytes())?;
        ensure!(connections(&mut client, 5001)? == 0, "counters stay in any case, so this test shows nothing");
        ensure!(servers(&mut client, 5001)? != there, "servers look the same in any case, so this test shows nothing");
        Ok(())
    })
}

/// A rule that no kernel takes.
#[derive(Clone, Copy, Debug)]
enum Impossible {
    Scheduler,
    MulticastServer,
}

fn a_refusal_changes_nothing() -> Result<()> {
    let kind = proptest::sample::select(&[Impossible::Scheduler, Impossible::MulticastServer][..]);
    let strategy = (strategies::two_tables(0..7, 0..6), kind, any::<Index>(), any::<Index>());
    property(24, &strategy, |((before, after), kind, which, place)| {
        let mut lines: Vec<String> = strategies::changes(&after).map(|change| line(&change)).collect();
        let (bad, message, at) = match kind {
            Impossible::MulticastServer if !after.is_empty() => {
                let (key, _) = after.iter().nth(which.index(after.len())).context("it is there")?;
                let group: IpAddr = match key.family() {
                    Family::Ipv4 => [224, 0, 0, 1].into(),
                    Family::Ipv6 => Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1).into(),
                };
                let server = Destination::masquerade(group, 80);
                // Anywhere behind its service.
                let service = strategies::changes(&after)
                    .position(|change| matches!(change, Change::AddService(service) if service.key == *key))
                    .context("it is there")?;
                let at = service + 1 + place.index(lines.len() - service);
                (line(&Change::AddDestination(*key, server)), "Invalid operation.  Possibly wrong module version", at)
            }
            _ => {
                // Marks of the strategies are seldom this one, and then the file is wrong in another way.
                let bad = "-A -f 123456789 -s nosuchthing".to_owned();
                (bad, "Scheduler or persistence engine not found", place.index(lines.len() + 1))
            }
        };
        lines.insert(at, bad);
        let (_folder, wanted) = rules_file(&(lines.join("\n") + "\n"))?;
        in_fresh_namespace(|| {
            fill(&mut Client::connect()?, &before)?;
            let output = run(&["-R", "--replace", "--file", &wanted], b"")?;
            ensure_table(&before).with_context(|| format!("{output:?}\n{}", lines.join("\n")))?;
            let expected = format!("{wanted}:{}: {message}", at + 1);
            ensure!(output.stderr.lines().any(|said| said.starts_with(&expected)), "{expected} is not in {output:?}");
            let as_before = format!("{wanted}: the table is as it was before\n");
            ensure!(output.stderr.ends_with(&as_before), "{output:?}");
            ensure!(output.stderr.lines().count() == 2, "more is reported than the refusal: {output:?}");
            ensure!(output.status == "1" && output.stdout.is_empty(), "{output:?}");
            Ok(())
        })
    })
}

fn weights_are_kept() -> Result<()> {
    property(8, &strategies::two_tables(0..7, 0..6), |(before, after)| {
        let (_folder, wanted) = rules_file(&file(&after))?;
        let mut expected = after;
        for (key, of_service) in &mut expected {
            for (name, server) in &mut of_service.servers {
                if let Some(old) = before.get(key).and_then(|of_service| of_service.servers.get(name)) {
                    server.weight = old.weight;
                }
            }
        }
        in_fresh_namespace(|| {
            fill(&mut Client::connect()?, &before)?;
            let words = ["-R", "--replace", "--keep-weights", "--dry-run", "--file", &wanted];
            let printed = run(&words, b"")?.stdout.lines().count();
            ensure!(printed == distance(&before, &expected), "{printed} lines, not {}", distance(&before, &expected));
            let output = run(&["-R", "--replace", "--keep-weights", "--file", &wanted], b"")?;
            // That the table is empty now is printed.
            ensure!(output.status == "0" && (output.stderr.is_empty() || expected.is_empty()), "{output:?}");
            ensure_table(&expected)?;
            ensure!(succeed(&words, b"")?.is_empty(), "something is left to do");
            Ok(())
        })
    })
}

fn timeouts_and_daemons_are_replaced() -> Result<()> {
    let before = "--set 100 200 300\n--start-daemon master --mcast-interface lo --syncid 1\n\
                  --start-daemon backup --mcast-interface lo --syncid 1\n-A -f 1\n";
    let after = "-A -f 2 -s rr\n--set 0 0 301\n--start-daemon master --mcast-interface lo --syncid 2\n\
                 --stop-daemon backup\n";
    let (_folder, wanted) = rules_file(after)?;
    in_fresh_namespace(|| {
        succeed(&["-R"], before.as_bytes())?;
        let dry = run(&["-R", "--replace", "--dry-run", "--file", &wanted], b"")?;
        ensure!(dry.status == "1" && dry.stdout.lines().count() == 6, "{dry:?}");
        succeed(&["-R", "--replace", "--file", &wanted], b"")?;
        let mut client = Client::connect()?;
        ensure!(client.timeouts()? == Timeouts::new(100, 200, 301), "{:?}", client.timeouts()?);
        let daemons = client.daemons()?;
        ensure!(daemons.len() == 1 && daemons[0].role == DaemonRole::Master && daemons[0].sync_id == 2, "{daemons:?}");
        ensure!(client.services()?.len() == 1, "{:?}", client.services()?);
        // What is not spoken of stays.
        succeed(&["-R", "--replace"], b"-A -f 3\n")?;
        ensure!(client.timeouts()? == Timeouts::new(100, 200, 301), "{:?}", client.timeouts()?);
        ensure!(client.daemons()? == daemons, "{:?}", client.daemons()?);
        // A refusal takes back everything that came before it: here no machine has the interface.
        let text = "-A -f 4\n--set 7 7 7\n--start-daemon backup --mcast-interface nowhere\n";
        let output = run(&["-R", "--replace"], text.as_bytes())?;
        ensure!(output.status == "1" && output.stderr.starts_with("<stdin>:3: No such device\n"), "{output:?}");
        ensure!(output.stderr.ends_with("<stdin>: the table is as it was before\n"), "{output:?}");
        ensure!(client.timeouts()? == Timeouts::new(100, 200, 301), "{:?}", client.timeouts()?);
        ensure!(client.daemons()? == daemons, "{:?}", client.daemons()?);
        let expected = Rules::from([{
            let service = by_mark(3).scheduler(scheduler::WLC);
            (service.key, RulesOfService { service, servers: BTreeMap::new() })
        }]);
        ensure_table(&expected)
    })
}

/// While the table is replaced, another program adds and deletes one of the services that are wanted, as quickly as
/// possible. What becomes of that service is a matter of chance; all others are at every end of the program as they are
/// wanted, or as they were before, and the program says which. Sooner or later it meets both: a step that the kernel
/// refuses, and a table that is another in the end.
fn changes_of_others_are_noticed() -> Result<()> {
    const RUNS: u32 = 400;
    let contested = by_mark(1_000_000);
    let tables = [by_marks(60, 1), by_marks(60, 2)];
    let with_contested = |rules: &Rules| file(rules) + &line(&Change::AddService(contested)) + "\n";
    let (_folder, one) = rules_file(&with_contested(&tables[0]))?;
    let (_other_folder, other) = rules_file(&with_contested(&tables[1]))?;
    in_fresh_namespace(|| {
        let mut client = Client::connect()?;
        fill(&mut client, &tables[0])?;
        let (mut now, mut refused, mut different, mut quiet) = (0, 0, 0, 0);
        for _ in 0..RUNS {
            let next = 1 - now;
            let words = ["-R", "--replace", "--file", [&one, &other][next]];
            let stop = AtomicBool::new(false);
            let output = thread::scope(|scope| {
                let restless = scope.spawn(|| -> Result<()> {
                    let mut client = Client::connect()?;
                    while !stop.load(Ordering::Relaxed) {
                        // Either may come too late.
                        let _ = client.change(&Change::AddService(contested));
                        let _ = client.change(&Change::DeleteService(contested.key));
                    }
                    Ok(())
                });
                let output = run(&words, b"");
                stop.store(true, Ordering::Relaxed);
                restless.join().map_err(|_| anyhow!("the restless thread panicked"))??;
                output
            })?;
            let mut rules = rules_of(&client.table()?);
            rules.remove(&contested.key);
            match output.status.as_str() {
                "0" => {
                    ensure!(output.stderr.is_empty(), "{output:?}");
                    quiet += 1;
                    now = next;
                }
                "1" => {
                    if output.stderr.contains("it is not what the rules say") {
                        different += 1;
                        now = next;
                    } else if output.stderr.contains("could not verify the result") {
                        now = next;
                    } else if !output.stderr.contains("the table keeps changing while it is read") {
                        refused += 1;
                        ensure!(output.stderr.contains("(another program changed the table)"), "{output:?}");
                        ensure!(output.stderr.contains("as it was before"), "{output:?}");
                    }
                }
                _ => bail!("{output:?}"),
            }
            ensure_same(&tables[now], &rules).with_context(|| format!("{output:?}"))?;
            if refused > 0 && different > 0 && quiet > 0 {
                return Ok(());
            }
        }
        bail!("of {RUNS} runs {refused} met a refusal, {different} another table, {quiet} nothing")
    })
}

/// `ipvsadm-restore` onto an empty table and `--keep-going` load what is good, as the original does; nothing else does.
fn what_is_good_is_loaded() -> Result<()> {
    const FAULTY: &str = "-A -f 1 -s rr\n-a -f 1 -r 10.0.0.1:80 -m\n-A -f 1 -s wrr\n-A -f x\n-A -f 2 -s none-such\n\
                          -a -f 2 -r 10.0.0.1:80 -m\n-a -f 3 -r 10.0.0.1:80 -m\n-A -f 4 -s rr\n";
    const GOOD: &str = "-A -f 1 -s rr\n-a -f 1 -r 10.0.0.1:80 -m -w 1\n-A -f 4 -s rr\n";
    const SAID: &str = "<stdin>:3: Service already exists\n\
                        <stdin>:4: invalid fwmark value `x' specified\n\
                        <stdin>:7: Service not defined: FWM 3\n\
                        <stdin>:5: Scheduler or persistence engine not found, so its server is not loaded either\n\
                        <stdin>:LOADED\n";
    const SUMMARY: &str = " loaded without 5 lines that are wrong or were refused";
    let folder = tempfile::tempdir()?;
    let link = folder.path().join("ipvsadm-restore");
    symlink(support::ours(), &link)?;
    let program = |program: &Path, words: &[&str], before: &str, rules: &str| {
        in_fresh_namespace(|| {
            succeed(&["-R"], before.as_bytes())?;
            let mut command = Command::new(program);
            let mut child =
                command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
            drop(child.stdin.take().context("a pipe")?.write_all(rules.as_bytes()));
            let output = child.wait_with_output()?;
            let stderr = String::from_utf8(output.stderr)?;
            Ok((output.status.code(), stderr, succeed(&["-S", "-n"], b"")?))
        })
    };
    let restore = |before: &str, rules: &str| program(&link, &[], before, rules);
    let replace = |words: &[&str], before: &str, rules: &str| {
        program(&support::ours(), &[&["-R", "--replace"], words].concat(), before, rules)
    };
    let keep_going = |before: &str, rules: &str| replace(&["--keep-going"], before, rules);
    let said = SAID.replace("LOADED", SUMMARY);
    let partly = (Some(3), said.clone(), GOOD.to_owned());
    ensure!(restore("", FAULTY)? == partly, "{:?}", restore("", FAULTY)?);
    ensure!(keep_going("", FAULTY)? == partly, "{:?}", keep_going("", FAULTY)?);
    // The original loads what stands before the line that it cannot read, and no more than this of what the kernel takes.
    let refused = FAULTY.replace("-A -f x\n", "");
    let original = support::original()?.with_file_name("ipvsadm-restore");
    ensure!(program(&original, &[], "", &refused)?.2 == GOOD, "{:?}", program(&original, &[], "", &refused)?);
    ensure!(restore("", &refused)?.2 == GOOD, "{:?}", restore("", &refused)?);

    // All or nothing otherwise.
    let before = "-A -f 4 -s rr\n-A -f 9 -s rr\n";
    for (outcome, table) in
        [(replace(&[], "", FAULTY)?, ""), (replace(&[], before, FAULTY)?, before), (restore(before, FAULTY)?, before)]
    {
        ensure!(outcome.0 == Some(2) && outcome.2 == table, "{outcome:?}");
    }
    let outcome = restore(before, &refused)?;
    ensure!(outcome.0 == Some(1) && outcome.2 == before && outcome.1.contains("nothing was changed"), "{outcome:?}");

    // Onto rules nothing is deleted as long as a line is not understood or refused: it may be about what would go.
    let outcome = keep_going(before, FAULTY)?;
    let both = format!("{GOOD}-A -f 9 -s rr\n");
    let said = SAID.replace("LOADED", &format!("{SUMMARY}; nothing was deleted"));
    ensure!(outcome == (Some(3), said, both.clone()), "{outcome:?}");
    let outcome = keep_going(before, &format!("{GOOD}-A -f 2 -s none-such\n"))?;
    ensure!(outcome.0 == Some(3) && outcome.2 == both, "{outcome:?}");
    let outcome = keep_going(before, GOOD)?;
    ensure!(outcome == (Some(0), String::new(), GOOD.to_owned()), "{outcome:?}");
    let outcome = replace(&["--keep-going", "--dry-run"], before, FAULTY)?;
    ensure!(outcome.0 == Some(1) && outcome.2 == before && !outcome.1.contains("loaded"), "{outcome:?}");
    let outcome = replace(&["--keep-going", "--max-removals=0"], before, GOOD)?;
    ensure!(outcome.0 == Some(1) && outcome.2 == before && outcome.1.contains("the limit of 0"), "{outcome:?}");

    // Nothing at all is a failure.
    for (rules, status) in [("-A -f x\n", 2), ("-A -f 2 -s none-such\n-a -f 2 -r 10.0.0.1:80\n", 1)] {
        for outcome in [restore("", rules)?, keep_going("", rules)?] {
            let failed = outcome.0 == Some(status) && outcome.1.ends_with("<stdin>: nothing could be loaded\n");
            ensure!(failed && outcome.2.is_empty(), "{outcome:?}");
        }
    }
    in_fresh_namespace(wrong_lines_take_no_memory)
}

/// Of lines that are wrong only those are kept that are printed.
fn wrong_lines_take_no_memory() -> Result<()> {
    let (_folder, name) = rules_file(&("-A -t 1.2.3.4:x\n".repeat(600_000) + "-A -f 1 -s rr\n"))?;
    let ours = support::ours();
    // 96 MiB of address space.
    let limited = ["-c", "ulimit -v 98304; exec \"$@\"", "sh", path(&ours)?];
    let words = [&limited[..], &["-R", "--replace", "--keep-going", "--file", &name]].concat();
    let output = Invocation::of(&words).run(Path::new("sh"))?;
    let counted = output.stderr.contains(": 599900 more; --all-errors prints all\n");
    ensure!(output.status == "3" && counted, "{}: {:?}", output.status, output.stderr.lines().last());
    ensure!(succeed(&["-S", "-n"], b"")? == "-A -f 1 -s rr\n", "the line that is right is not loaded");
    Ok(())
}

/// From nothing, as from an empty file, comes an empty table, with a message.
fn replaced_by_nothing() -> Result<()> {
    for nothing in ["", "\n", "# none\r\n", "-C\n", "--set 900 120 300\n"] {
        in_fresh_namespace(|| {
            fill(&mut Client::connect()?, &by_marks(2, 1))?;
            let dry = run(&["-R", "--replace", "--dry-run"], nothing.as_bytes())?;
            ensure!(dry.status == "1" && dry.stderr.is_empty(), "{dry:?}");
            let output = run(&["-R", "--replace"], nothing.as_bytes())?;
            let said = "<stdin>: no virtual service is in it: the table is empty now\n";
            ensure!(output.status == "0" && output.stderr == said, "{nothing:?}: {output:?}");
            ensure_table(&Rules::default())
        })?;
    }
    // With the ends of lines of another kind, these are comments, too.
    in_fresh_namespace(|| {
        let rules = by_marks(2, 1);
        fill(&mut Client::connect()?, &rules)?;
        let text = format!("# mine\r{}", file(&rules).replace('\n', "\r"));
        for mode in [&["-R"][..], &["-R", "--replace"], &["-R", "--check"]] {
            let output = run(mode, text.as_bytes())?;
            let said = "<stdin>:1: a rule behind a comment and a carriage return would be ignored: a newline must end each \
                        line\n";
            ensure!(output.status == "2" && output.stderr == said, "{output:?}");
        }
        ensure_table(&rules)
    })
}

// ---- reading rules --------------------------------------------------------------------------------------------------

/// In every way of reading rules, this file is refused with this status and these words, and nothing changes.
fn ensure_refused(name: &str, status: &str, expected: &str) -> Result<()> {
    for mode in [&["-R"][..], &["-R", "--replace"], &["-R", "--replace", "--dry-run"], &["-R", "--check"]] {
        let words = [mode, &["--file", name]].concat();
        let output = run(&words, b"")?;
        ensure!(output.status == status && output.stdout.is_empty(), "{words:?}: {output:?}");
        ensure!(output.stderr == expected, "{words:?}: {}", support::difference(expected, &output.stderr));
    }
    let diff = run(&["diff", name], b"")?;
    ensure!(diff.status == "2" && diff.stdout.is_empty() && diff.stderr == expected, "{diff:?}");
    Ok(())
}

fn files_that_cannot_be_read() -> Result<()> {
    let rules = by_marks(3, 1);
    let folder = tempfile::tempdir()?;
    let missing = path(&folder.path().join("missing"))?.to_owned();
    let directory = path(folder.path())?;
    in_fresh_namespace(|| {
        fill(&mut Client::connect()?, &rules)?;
        ensure_refused(&missing, "1", &format!("{missing}: No such file or directory\n"))?;
        ensure_refused(directory, "1", &format!("{directory}: Is a directory\n"))?;
        ensure_table(&rules)
    })
}

fn bad_lines_change_nothing() -> Result<()> {
    let rules = by_marks(3, 1);
    let folder = tempfile::tempdir()?;
    let name = path(&folder.path().join("rules"))?.to_owned();
    let word = "x".repeat(1_000_000);
    let cases: [(Vec<u8>, String); 3] = [
        (b"-C\n-A -f 1\0\n-C\n".to_vec(), format!("{name}:2: a NUL byte\n")),
        (format!("-C\n-A -f {word}").into_bytes(), format!("{name}:2: invalid fwmark value `{word}' specified\n")),
        (
            b"# \xff\n-C\n-A -t 1.2.3.4:80 -w 1\n\n-Q\n-D\n-A -f 1 -p 0\n".to_vec(),
            format!(
                "{name}:3: Illegal 'weight' option with the 'add-service' command\n\
                 {name}:5: a line must begin with a command, such as -A or -a\n\
                 {name}:6: You need to supply the 'service-address' option for the 'delete-service' command\n\
                 {name}:7: invalid timeout value `0' specified\n"
            ),
        ),
    ];
    in_fresh_namespace(|| {
        fill(&mut Client::connect()?, &rules)?;
        for (text, expected) in &cases {
            fs::write(&name, text)?;
            ensure_refused(&name, "2", expected)?;
            let output = run(&["-R"], text)?;
            let expected = expected.replace(&name, "<stdin>");
            ensure!(output.status == "2" && output.stderr == expected, "{output:?}");
        }
        ensure_table(&rules)
    })
}

fn lines_of_all_kinds_are_read() -> Result<()> {
    let rules = by_marks(3, 7);
    // A million blanks, comments that are not UTF-8, the program's name, carriage returns, no end of the last line.
    let blanks = " ".repeat(1_000_000);
    let lines: Vec<String> = strategies::changes(&rules).map(|change| line(&change)).collect();
    let mut text = b"# \xff\xfe caf\xe9\n\n\r\n".to_vec();
    for line in &lines {
        text.extend(format!("\tipvsadm {} #", line.replacen(' ', &blanks, 1)).bytes());
        text.extend(b" \x80\r\n");
    }
    text.truncate(text.len() - 2);
    let (_folder, name) = rules_file("")?;
    fs::write(&name, &text)?;
    for mode in [&["-R"][..], &["-R", "--replace"]] {
        in_fresh_namespace(|| {
            succeed(&[mode, &["--file", &name]].concat(), b"")?;
            ensure_table(&rules)
        })?;
        in_fresh_namespace(|| {
            succeed(mode, &text)?;
            ensure_table(&rules)
        })?;
    }
    Ok(())
}

// ---- the program ----------------------------------------------------------------------------------------------------

fn without_privileges() -> Result<()> {
    const NOBODY: u32 = 65534;
    let expected = "Can't initialize ipvs: Permission denied (you must be root)\n\
                    Are you sure that IP Virtual Server is built in the kernel or as module?\n";
    let rules = by_marks(1, 1);
    in_fresh_namespace(|| {
        fill(&mut Client::connect()?, &rules)?;
        let nobody = |words: &[&str], stdin: &[u8]| {
            Invocation { stdin, uid: Some(NOBODY), ..Invocation::of(words) }.run(&support::ours())
        };
        for words in [
            &[][..],
            &["-L", "-n"],
            &["-L", "--timeout"],
            &["-L", "--daemon"],
            &["-Ln", "-f", "1"],
            &["-S"],
            &["-C"],
            &["-A", "-f", "2"],
            &["-Z"],
            &["-R"],
            &["-R", "--replace"],
            &["-R", "--replace", "--dry-run"],
            &["diff", "/dev/null"],
        ] {
            let output = nobody(words, b"-C\n-A -f 3\n")?;
            ensure!(output.status == "2" && output.stdout.is_empty(), "{words:?}: {output:?}");
            ensure!(output.stderr == expected, "{words:?}: {}", support::difference(expected, &output.stderr));
        }
        let check = nobody(&["-R", "--check"], b"-A -f 3\n")?;
        ensure!(check.status == "0" && check.stderr.is_empty(), "{check:?}");
        ensure_table(&rules)
    })
}

/// An ordinary user with this one capability can do everything.
fn no_more_than_one_capability() -> Result<()> {
    let rules = by_marks(1, 3);
    in_fresh_namespace(|| {
        let program = support::ours();
        let run = |words: &[&str], stdin: &str| -> Result<String> {
            let only = "-all,+net_admin";
            let bounding = format!("--bounding-set={only}");
            let (inheritable, ambient) = (format!("--inh-caps={only}"), format!("--ambient-caps={only}"));
            let mut setpriv = vec!["--reuid=65534", "--regid=65534", "--clear-groups"];
            setpriv.extend([&bounding, &inheritable, &ambient].map(String::as_str));
            setpriv.push(program.to_str().context("the program's path")?);
            setpriv.extend(words);
            let output =
                Invocation { stdin: stdin.as_bytes(), ..Invocation::of(&setpriv) }.run(Path::new("setpriv"))?;
            // Only root can write to /run.
            let without = "/run/ipvsadm-rs: Permission denied: going on without a copy of the table\n";
            let expected = if matches!(words, ["-R", "--replace"] | ["-C"]) { without } else { "" };
            ensure!(output.status == "0" && output.stderr == expected, "{words:?}: {output:?}");
            Ok(output.stdout)
        };
        run(&["-R"], &file(&rules))?;
        ensure_table(&rules)?;
        ensure!(run(&["-Sn"], "")? == file(&rules), "another table is saved");
        run(&["-R", "--replace"], "-A -f 9 -s rr\n")?;
        run(&["-Ln"], "")?;
        run(&["-Ln", "--timeout"], "")?;
        run(&["-Lnc"], "")?;
        run(&["--set", "900", "120", "300"], "")?;
        run(&["-C"], "")?;
        ensure_table(&Rules::default())
    })
}

/// What /tmp is: a folder in which everybody may lay links and files, none of which are for us to write.
fn what_others_laid_is_not_written() -> Result<()> {
    in_fresh_namespace(|| {
        // The kernel's own memory, whatever /tmp is: user-mode-linux cannot change the owner of a link on the machine's disk.
        let folder = tempfile::tempdir_in("/run")?;
        fs::set_permissions(folder.path(), Permissions::from_mode(0o1777))?;
        let (victim, link, planted) =
            (folder.path().join("victim"), folder.path().join("link"), folder.path().join("planted"));
        fs::write(&victim, "dear")?;
        symlink(&victim, &link)?;
        fs::write(&planted, "mine")?;
        for (path, what) in [(&link, "the link \"link\" belongs"), (&planted, "belongs")] {
            std::os::unix::fs::lchown(path, Some(1000), Some(1000))?;
            let name = path.to_str().context("the path")?;
            let output = Invocation::of(&["-S", "--file", name]).run(&support::ours())?;
            let expected = format!("{name}: {what} to another user, in a folder that others may write to\n");
            ensure!((output.status.as_str(), &output.stderr) == ("1", &expected), "{output:?}");
        }
        ensure!(fs::read_to_string(&victim)? == "dear" && fs::read_to_string(&planted)? == "mine", "it was written");
        // One's own link is one's own affair.
        std::os::unix::fs::lchown(&link, Some(0), Some(0))?;
        let name = link.to_str().context("the path")?;
        let output = Invocation::of(&["-S", "--file", name]).run(&support::ours())?;
        ensure!(output.status == "0" && fs::read_to_string(&victim)?.is_empty(), "{output:?}");
        Ok(())
    })
}

/// A table whose listing is longer than what a pipe holds.
fn long_table() -> Rules {
    let address = Ipv6Addr::new(0x2001, 0xdb8, 1111, 2222, 3333, 4444, 5555, 6666);
    let service = |port| Service::tcp(address, port, scheduler::RR);
    let services = (1..=3000).map(service);
    services.map(|service| (service.key, RulesOfService { service, servers: BTreeMap::new() })).collect()
}

fn a_closed_pipe_ends_quietly() -> Result<()> {
    ends_quietly(&[&["-L", "-n"], &["-S", "-n"], &["-R", "--replace", "--dry-run"], &["-h"]])
}

fn a_closed_pipe_ends_diff_quietly() -> Result<()> {
    ends_quietly(&[&["diff", "/dev/null"]])
}

fn ends_quietly(lines: &[&[&str]]) -> Result<()> {
    in_fresh_namespace(|| {
        fill(&mut Client::connect()?, &long_table())?;
        for words in lines {
            let quiet = |child: std::process::Child| -> Result<()> {
                let output = child.wait_with_output()?;
                let printed = String::from_utf8_lossy(&output.stderr);
                ensure!(output.status.success() && printed.is_empty(), "{words:?}: {}: {printed}", output.status);
                Ok(())
            };
            let start = |stdout: Stdio| {
                let mut command = Command::new(support::ours());
                command.args(*words).stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped()).spawn()
            };
            let (reader, writer) = std::io::pipe()?;
            drop(reader);
            quiet(start(writer.into())?).context("closed before the first word")?;
            let (reader, writer) = std::io::pipe()?;
            let child = start(writer.into())?;
            let mut first = String::new();
            BufReader::with_capacity(64, reader).read_line(&mut first)?;
            ensure!(!first.is_empty(), "{words:?} printed nothing");
            quiet(child).context("closed after the first line")?;
        }
        Ok(())
    })
}

fn a_full_disk_is_an_error() -> Result<()> {
    let full = Path::new("/dev/full");
    for rules in [by_marks(1, 1), long_table()] {
        in_fresh_namespace(|| {
            fill(&mut Client::connect()?, &rules)?;
            for words in [&["-L", "-n"][..], &["-S", "-n"], &["-L", "--timeout"], &["-h"], &["-v"]] {
                let output = Invocation { stdout: Some(full), ..Invocation::of(words) }.run(&support::ours())?;
                let said =
                    output.stderr.contains("standard output") && output.stderr.contains("No space left on device");
                ensure!(output.status == "1" && said, "{words:?}: {output:?}");
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn the_other_names() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let named = |name: &str| -> Result<_> {
        let link = folder.path().join(name);
        symlink(support::ours(), &link)?;
        Ok(move |words: &[&str], stdin: &str| -> Result<(Option<i32>, String, String)> {
            let mut child = Command::new(&link)
                .args(words)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()?;
            child.stdin.take().context("a pipe")?.write_all(stdin.as_bytes())?;
            let output = child.wait_with_output()?;
            Ok((output.status.code(), String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?))
        })
    };
    let (plain, save, restore) = (named("ipvsadm")?, named("ipvsadm-save")?, named("ipvsadm-restore")?);
    let rules = by_marks(20, 3);
    let well = |said: &str| (Some(0), said.to_owned(), String::new());
    let saved = in_fresh_namespace(|| {
        for rule in strategies::changes(&rules) {
            let rule = line(&rule);
            let words: Vec<&str> = rule.split(' ').collect();
            ensure!(plain(&words, "")? == well(""), "{rule}");
        }
        ensure_table(&rules)?;
        let (status, listing, _) = plain(&["-L", "-n"], "")?;
        ensure!(status == Some(0) && listing.lines().count() == 3 + 60, "{listing}");
        ensure!(save(&["-n"], "")? == well(&file(&rules)), "{:?}", save(&["-n"], "")?);
        let (status, with_names, _) = save(&[], "")?;
        ensure!(status == Some(0) && with_names.lines().count() == 60, "{with_names}");
        Ok(save(&["-n"], "")?.1)
    })?;
    in_fresh_namespace(|| {
        fill(&mut Client::connect()?, &by_marks(30, 9))?;
        ensure!(restore(&[], &saved)? == well(""), "{saved}");
        ensure_table(&rules)?;
        let (status, _, printed) = restore(&[], "-A -f 1\nnonsense\n")?;
        ensure!(status == Some(2) && printed.starts_with("<stdin>:2: "), "{printed}");
        ensure_table(&rules).context("after a bad file")?;
        let empty = restore(&[], "# nothing\n")?;
        let said = "<stdin>: no virtual service is in it: the table is empty now\n";
        ensure!(empty == (Some(0), String::new(), said.to_owned()), "{empty:?}");
        ensure_table(&Rules::new())
    })
}

/// The original scripts, in which words hardly matter, and ours, given the same words.
fn words_that_the_scripts_ignore() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let original = support::original()?;
    let original = original.parent().context("the folder of the original")?;
    let run = |program: &Path, words: &[&str], stdin: &str| -> Result<_> {
        let mut child = Command::new(program)
            .args(words)
            .env("PATH", format!("{}:/usr/bin:/bin", path(original)?))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        // A program that does not read to the end is its own affair.
        drop(child.stdin.take().context("a pipe")?.write_all(stdin.as_bytes()));
        let output = child.wait_with_output()?;
        Ok((output.status.code(), String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?))
    };
    let ours = |name: &str| -> Result<_> {
        let link = folder.path().join(name);
        symlink(support::ours(), &link)?;
        Ok(link)
    };
    let (save, restore) = (ours("ipvsadm-save")?, ours("ipvsadm-restore")?);
    let rules = file(&by_marks(2, 1));
    in_fresh_namespace(|| {
        succeed(&["-R"], rules.as_bytes())?;
        let words: [(&[&str], &str); _] = [
            (&[], ""),
            (&["-n"], ""),
            (&["-n", "-n"], ""),
            (&["foo"], "ipvsadm-save: ignored `foo': the only option is -n\n"),
            (&["foo", "-n", "bar"], "ipvsadm-save: ignored `foo bar': the only option is -n\n"),
            (&["\u{2013}n"], "ipvsadm-save: ignored `\u{2013}n': the only option is -n\n"),
            (&[""], "ipvsadm-save: ignored `': the only option is -n\n"),
            (&["-x"], "Usage: "),
            (&["-"], "Usage: "),
            (&["--"], "Usage: "),
            (&["-nn"], "Usage: "),
            (&["--all"], "Usage: "),
            (&["foo", "-h"], "Usage: "),
        ];
        for (words, said) in words {
            let theirs = run(&original.join("ipvsadm-save"), words, "")?;
            let mine = run(&save, words, "")?;
            ensure!((theirs.0, &theirs.1) == (mine.0, &mine.1), "{words:?}: {theirs:?}, and ours: {mine:?}");
            let right = if said == "Usage: " { mine.2.starts_with(said) } else { mine.2 == said };
            ensure!(right, "{words:?}: {mine:?}");
        }
        Ok(())
    })?;
    let changed = |program: &Path, words: &[&str]| {
        in_fresh_namespace(|| {
            succeed(&["-A", "-f", "9", "-s", "rr"], b"")?;
            let outcome = run(program, words, &rules)?;
            Ok((outcome.0, outcome.1, succeed(&["-S", "-n"], b"")?, outcome.2))
        })
    };
    for words in
        [&["-p", "-f"][..], &["-n"], &["--foo"], &["foo"], &["-h"], &["\u{2013}n"], &["-x", "-n", "5"], &["--"], &[""]]
    {
        let (theirs, mine) = (changed(&original.join("ipvsadm-restore"), words)?, changed(&restore, words)?);
        ensure!(
            (theirs.0, &theirs.1, &theirs.2) == (mine.0, &mine.1, &mine.2),
            "{words:?}: {theirs:?}, ours: {mine:?}"
        );
        ensure!(mine.2 == rules, "{words:?}: {mine:?}");
        let said = format!(
            "ipvsadm-restore: ignored `{}': it takes no options, and reads rules from standard input\n",
            words.join(" ")
        );
        ensure!(mine.3 == said, "{words:?}: {mine:?}");
    }
    // What would have made a difference with ours is not ignored.
    for (word, option) in [
        ("--check", "check"),
        ("--dry-run", "dry-run"),
        ("--dryrun", "dry-run"),
        ("--keep-weights", "keep-weights"),
        ("--confirm=5", "confirm"),
        ("--confrm=5", "confirm"),
        ("--file=/dev/null", "file"),
        ("--max-removals=5%", "max-removals"),
        ("--max-removal=5%", "max-removals"),
    ] {
        let mine = changed(&restore, &["-p", word])?;
        let said = format!(
            "ipvsadm-restore: {word}: nothing was changed: this program takes no options; ipvsadm-rs -R --replace may take \
             --{option}\n"
        );
        ensure!(mine == (Some(1), String::new(), "-A -f 9 -s rr\n".to_owned(), said), "{word}: {mine:?}");
    }
    let help = changed(&restore, &["--help"])?;
    ensure!(help.0 == Some(1) && help.1.is_empty() && help.3.starts_with("Usage: "), "{help:?}");
    ensure!(help.2 == "-A -f 9 -s rr\n", "{help:?}");
    Ok(())
}

/// A stream that is closed is not one that holds nothing, and takes nothing.
fn closed_standard_streams() -> Result<()> {
    let rules = by_marks(2, 1);
    let shell = |script: &str| -> Result<(Option<i32>, String)> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script, "sh"]).arg(support::ours()).stdin(Stdio::null()).stdout(Stdio::null());
        let output = command.stderr(Stdio::piped()).output()?;
        Ok((output.status.code(), String::from_utf8(output.stderr)?))
    };
    in_fresh_namespace(|| {
        fill(&mut Client::connect()?, &rules)?;
        let closed = "<stdin>: it is closed\n".to_owned();
        for words in ["-R", "-R --replace", "-R --check", "-R --replace --dry-run"] {
            let outcome = shell(&format!("\"$1\" {words} <&-"))?;
            ensure!(outcome == (Some(1), closed.clone()), "{words}: {outcome:?}");
            ensure_table(&rules)?;
        }
        let outcome = shell("\"$1\" -S >&-")?;
        ensure!(outcome == (Some(1), "standard output: Bad file descriptor\n".to_owned()), "{outcome:?}");
        let outcome = shell("printf -- '-A -f 8 -s rr\\n-S -n\\n' | \"$1\" -R >&-")?;
        ensure!(outcome == (Some(1), "standard output: Bad file descriptor\n".to_owned()), "{outcome:?}");
        ensure_table(&rules)?;
        // What goes elsewhere, or is not asked for, needs no standard output.
        for well in ["-S >/dev/null", "-S --file /run/saved >&-", "-A -f 7 >&-", "-D -f 7 <&-"] {
            let outcome = shell(&format!("\"$1\" {well}"))?;
            ensure!(outcome == (Some(0), String::new()), "{well}: {outcome:?}");
        }
        ensure_table(&rules)
    })
}

/// Every way to name another namespace, and every way in which that fails.
fn another_namespace() -> Result<()> {
    let name = format!("ipvsadm-rs-test-{}", std::process::id());
    let ip = |word: &str| -> Result<()> {
        let status = Command::new("ip").args(["netns", word, &name]).status().context("ip")?;
        ensure!(status.success(), "ip netns {word} {name}: {status}");
        Ok(())
    };
    ip("add")?;
    let tried = in_fresh_namespace(|| {
        let path = format!("/run/netns/{name}");
        let ours = support::ours();
        let stdout = |words: &[&str]| -> Result<String> {
            let output = Invocation::of(words).run(&ours)?;
            ensure!(output.status == "0" && output.stderr.is_empty(), "{words:?}: {output:?}");
            Ok(output.stdout)
        };
        stdout(&["--netns", &name, "-A", "-f", "5", "-s", "rr"])?;
        let there = "-A -f 5 -s rr\n";
        let equals = format!("--netns={path}");
        ensure!(stdout(&["-S", "-n"])?.is_empty(), "it was added here");
        ensure!(stdout(&["-S", "-n", "--netns", &name])? == there, "after the command");
        ensure!(stdout(&["-S", &equals, "-n"])? == there, "by path");
        let other = |program: &str, stdin: &[u8]| -> Result<Output> {
            let directory = tempfile::tempdir()?;
            let link = directory.path().join(program);
            symlink(&ours, &link)?;
            let mut child = Command::new(&link)
                .args(["--netns", &name])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()?;
            child.stdin.take().context("no standard input")?.write_all(stdin)?;
            let output = child.wait_with_output()?;
            let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
            let status = format!("{:?}", output.status.code());
            Ok(Output { status, stdout: text(&output.stdout), stderr: text(&output.stderr) })
        };
        ensure!(other("ipvsadm-save", b"")?.stdout == there, "ipvsadm-save");
        other("ipvsadm-restore", b"-A -f 6 -s rr\n")?;
        ensure!(stdout(&["-S", "-n", "--netns", &name])? == "-A -f 6 -s rr\n", "ipvsadm-restore");
        let rules = tempfile::NamedTempFile::new()?;
        fs::write(rules.path(), "-A -f 6 -s rr\n")?;
        let file = rules.path().to_str().context("a path")?;
        ensure!(stdout(&["diff", "--netns", &name, file])?.is_empty(), "diff");
        ensure!(stdout(&["--netns", &name, "diff", file])?.is_empty(), "before a subcommand");

        let printed = |words: &[&str], uid: Option<u32>| -> Result<String> {
            let output = Invocation { uid, ..Invocation::of(words) }.run(&ours)?;
            ensure!(output.status == "2" && output.stdout.is_empty(), "{words:?}: {output:?}");
            Ok(output.stderr)
        };
        let missing = printed(&["--netns", "none", "-L"], None)?;
        ensure!(missing.starts_with("--netns: there is no network namespace none; there are: "), "{missing}");
        ensure!(missing.contains(&name), "{missing}");
        ensure!(printed(&["--netns", "..", "-L"], None)?.contains("there is no network namespace .."), "..");
        let file = printed(&["--netns", "/proc/self/status", "-L"], None)?;
        ensure!(file == "--netns: /proc/self/status is not a network namespace\n", "{file}");
        let folder = tempfile::tempdir()?;
        let pipe = folder.path().join("pipe").to_str().context("a path")?.to_owned();
        let made = Command::new("mkfifo").arg(&pipe).status()?;
        ensure!(made.success(), "mkfifo: {made}");
        let said = printed(&["--netns", &pipe, "-L"], None)?;
        ensure!(said == format!("--netns: {pipe} is not a network namespace\n"), "{said}");
        let nowhere = printed(&["--netns", "./none", "-L"], None)?;
        ensure!(nowhere == "--netns: ./none: No such file or directory\n", "{nowhere}");
        let denied = printed(&["--netns", &name, "-L"], Some(65534))?;
        ensure!(denied == format!("--netns: {path}: Permission denied (you must be root to enter it)\n"), "{denied}");
        ensure!(printed(&["-L", "--netns"], None)? == "--netns: missing argument\n", "no name");
        Ok(())
    });
    ip("delete")?;
    tried
}

// ---- doctor ---------------------------------------------------------------------------------------------------------

fn the_doctor_reports_and_changes_nothing() -> Result<()> {
    in_fresh_namespace(|| {
        let none = run(&["doctor"], b"")?;
        ensure!(none.status == "2" && none.stdout.is_empty() && none.stderr.contains("name the VIP"), "{none:?}");
        for word in ["127.0.0.1", "224.0.0.81", "0.0.0.0:80", "255.255.255.255", "example", "192.0.2.1/32"] {
            let refused = run(&["doctor", word], b"")?;
            ensure!(
                refused.status == "2" && refused.stdout.is_empty() && !refused.stderr.is_empty(),
                "{word}: {refused:?}"
            );
        }
        succeed(&["-A", "-t", "192.0.2.1:80", "-s", "rr"], b"")?;
        let before = table()?;
        let output = run(&["doctor", "--json"], b"")?;
        ensure!(output.status == "2" && output.stderr.is_empty(), "{output:?}");
        let document: serde_json::Value = serde_json::from_str(&output.stdout)?;
        let report = &document["doctor"];
        ensure!(document["schema"] == 1 && report["state"] == "fail", "{document}");
        ensure!(report["roles"] == serde_json::json!(["director"]), "{report}");
        ensure!(report["vips"] == serde_json::json!(["192.0.2.1"]), "{report}");
        let seen = &report["vip_roles"][0];
        ensure!(seen["roles"] == serde_json::json!(["director"]), "{report}");
        ensure!(seen["seen"] == "the table has TCP 192.0.2.1:80", "{report}");
        let findings = report["findings"].as_array().context("no findings")?;
        let of = |id: &str| findings.iter().find(|finding| finding["id"] == id).with_context(|| format!("no {id}"));
        let mut states: BTreeSet<String> = BTreeSet::new();
        for finding in findings {
            for key in ["id", "role", "title", "state", "fact", "why"] {
                ensure!(finding[key].as_str().is_some_and(|text| !text.is_empty()), "{key}: {finding}");
            }
            for key in ["source", "fix", "undo", "lasts", "machine", "advice", "follows"] {
                ensure!(finding.get(key).is_some_and(|value| value.is_null() || value.is_string()), "{key}: {finding}");
            }
            states.extend(finding["state"].as_str().map(str::to_owned));
            let bad = matches!(finding["state"].as_str(), Some("warn" | "fail"));
            ensure!(!bad || finding["fix"].is_string() || finding["advice"].is_string(), "no way to fix {finding}");
            ensure!(finding["fix"].is_string() == finding["undo"].is_string(), "no way back from {finding}");
        }
        let all = ["fail", "note", "ok", "skip", "warn"].map(str::to_owned).into();
        ensure!(states.is_subset(&all) && all.difference(&states).all(|state| state == "warn"), "{states:?}");
        let fix = of("D2")?["fix"].as_str().unwrap_or_default();
        ensure!(fix.starts_with("ip addr add 192.0.2.1/32 dev "), "{fix}");
        ensure!(of("D7")?["state"] == "fail" && of("D19")?["fix"] == "ipvsadm --set 7300 0 0", "{report}");
        ensure_table(&before)?;
        let text = run(&["doctor"], b"")?;
        let (first, last) = (text.stdout.find("FAIL  D2"), text.stdout.find("note  D19"));
        ensure!(text.status == "2" && first < last && first.is_some(), "{text:?}");
        Ok(())
    })
}

/// Of what the doctor finds by listing a folder, anything can be a pipe that no program writes to.
fn pipes_among_settings() -> Result<()> {
    let script = "mount -t tmpfs -o mode=755 tmpfs /etc
                  mkdir -p /etc/sysctl.d /etc/modprobe.d /etc/keepalived
                  mkfifo /etc/sysctl.d/pipe.conf /etc/modprobe.d/pipe.conf /etc/keepalived/keepalived.conf";
    let status = Command::new("sh").args(["-ec", script]).status()?;
    ensure!(status.success(), "{status}");
    succeed(&["-A", "-t", "192.0.2.1:80", "-s", "rr"], b"")?;
    // One that hangs is not waited for until this kernel's time is over.
    let ours = support::ours();
    let words = ["200", path(&ours)?, "doctor", "--json"];
    let output = Invocation::of(&words).run(Path::new("timeout"))?;
    ensure!(output.status == "2" && output.stderr.is_empty(), "{output:?}");
    ensure!(output.stdout.contains("\"roles\":[\"director\"]"), "{output:?}");
    Ok(())
}

/// Timeouts that two lines set, a daemon that two lines start, and one that a line stops.
fn the_doctor_agrees_with_diff() -> Result<()> {
    let rules = "-A -t 192.0.2.1:80 -s rr\n--set 900 0 0\n--set 0 120 300\n\
                 --start-daemon backup --mcast-interface lo --syncid 1\n\
                 --start-daemon backup --mcast-interface lo --syncid 2\n--stop-daemon master\n";
    let (_folder, saved) = rules_file(rules)?;
    in_fresh_namespace(|| {
        let state = || -> Result<String> {
            let output = run(&["doctor", "--json", "--rules", &saved], b"")?;
            let document: serde_json::Value = serde_json::from_str(&output.stdout)?;
            let findings = document["doctor"]["findings"].as_array().context("no findings")?;
            let found = findings.iter().find(|finding| finding["id"] == "D22").context("no D22")?;
            Ok(format!("{} {}", found["state"].as_str().unwrap_or_default(), found["fact"]))
        };
        succeed(&["-R", "--replace", "--file", &saved], b"")?;
        ensure!(succeed(&["diff", &saved], b"")?.is_empty(), "the table is not what was restored");
        ensure!(state()?.starts_with("ok "), "{}", state()?);
        succeed(&["--start-daemon", "master", "--mcast-interface", "lo"], b"")?;
        ensure!(run(&["diff", &saved], b"")?.stdout.lines().count() == 1, "diff passes the daemon over");
        ensure!(state()?.starts_with("warn ") && state()?.contains("rules that differ: 1"), "{}", state()?);
        Ok(())
    })
}
