//! `--reorder`: servers of hash schedulers put in order by deleting as few live ones as possible, with something going wrong at
//! every step. The table is either as it was, in its order, or as it is wanted, in that order.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use ipvs_client::plan::{Options, Phase, State, Step};
use ipvs_client::transaction::Transaction;
use ipvs_client::{Client, Destination, DestinationKey, Service, ServiceFlags, scheduler};
use ipvsadm_rs::rules::{first_line, last_line};

use super::live::{SERVERS, SHARED, World};
use super::{Fault, faults, now, replace};
use crate::mapping::Random;
use crate::strategies;
use crate::support::{self, Trial, in_fresh_namespace, trial};

/// Pairs of orders, each with everything going wrong.
const ORDERS: u64 = 24;

/// What is tried.
pub fn trials(seed: u64) -> impl Iterator<Item = Trial> {
    let property = trial("order: all or nothing", move || in_fresh_namespace(|| all_or_nothing(seed)));
    let clients = trial("order: what it costs", || in_fresh_namespace(what_it_costs));
    [property, clients].into_iter()
}

/// A service, and its servers in the order of their addition.
struct Ordered {
    service: Service,
    servers: Vec<Destination>,
}

impl Ordered {
    /// Random servers of a pool, with random weights, in a random order.
    fn random(random: &mut Random, service: Service) -> Self {
        let mut servers: Vec<Destination> =
            (1..=6_u8).map(|last| Destination::direct([10, 9, 0, last], 80).weight(random.of(&[0, 1, 1, 2]))).collect();
        for place in (1..servers.len()).rev() {
            servers.swap(place, random.below(place + 1));
        }
        servers.truncate(2 + random.below(5));
        Self { service, servers }
    }

    /// Rules with their order, and the tables that every table of these tests has.
    fn file(&self, shared: &str) -> String {
        let key = self.service.key;
        let service = strategies::line(&ipvs_client::Change::AddService(self.service));
        let servers =
            self.servers.iter().map(|server| strategies::line(&ipvs_client::Change::AddDestination(key, *server)));
        let lines: Vec<String> = [service].into_iter().chain(servers).collect();
        let count = lines.len() + shared.lines().count();
        format!("{}\n{}\n{shared}{}\n", first_line(true), lines.join("\n"), last_line(count))
    }

    fn keys(&self) -> Vec<DestinationKey> {
        self.servers.iter().map(|server| server.key).collect()
    }

    /// The servers of the kernel, in the order of their addition.
    fn listed(&self, client: &mut Client) -> Result<Vec<Destination>> {
        let mut servers = client.destination_rules(&self.service.key)?.context("no service")?;
        servers.reverse();
        Ok(servers)
    }

    /// Makes it the table's, with servers that are added one after the other.
    fn reach(&self, client: &mut Client) -> Result<()> {
        let _ = client.delete_service(&self.service.key);
        client.add_service(&self.service)?;
        self.servers.iter().try_for_each(|server| client.add_destination(&self.service.key, server))?;
        Ok(())
    }

    fn is_now(&self, client: &mut Client) -> Result<bool> {
        Ok(client.service_with::<()>(&self.service.key)?.service == self.service
            && self.listed(client)? == self.servers)
    }
}

fn all_or_nothing(first_seed: u64) -> Result<()> {
    let world = Arc::new(World::new()?);
    let shared = support::succeed(&["-S", "-n"], b"")?;
    let folder = tempfile::tempdir_in("/run")?;
    let (mut moved, mut tried) = (0, 0);
    for seed in first_seed..first_seed + ORDERS {
        let (moves, faults) =
            one_pair(&world, folder.path(), &shared, seed).with_context(|| format!("IPVS_SEED={seed}"))?;
        moved += moves;
        tried += faults;
    }
    ensure!(moved > ORDERS as usize, "only {moved} servers were moved, with {tried} faults");
    Ok(())
}

/// Returns how many servers are moved, and how many things went wrong.
fn one_pair(world: &Arc<World>, folder: &Path, shared: &str, seed: u64) -> Result<(usize, usize)> {
    let mut random = Random(seed);
    let chosen = random.of(&[scheduler::SH, scheduler::MH, scheduler::DH]);
    let service = Service::tcp([20, 20, 20, 99], 80, chosen);
    let before = Ordered::random(&mut random, service);
    let flags = ServiceFlags::from_bits(random.of(&[0, ServiceFlags::SCHEDULER_1]));
    let after = Ordered::random(&mut random, service.flags(flags));
    let mut client = Client::connect()?;
    before.reach(&mut client)?;
    let file = folder.join("wanted");
    fs::write(&file, after.file(shared))?;
    let have = now(&mut client)?;
    let want = wanted(&file)?;
    let reorder = Options { reorder: true, ..Options::default() };
    let steps = Transaction::new(&have, &want, reorder).steps().to_vec();
    let moves = judge_steps(&before, &after, &steps)?;
    let faults: Vec<Fault> = [Fault::None].into_iter().chain(faults(&steps, seed)).collect();
    let tried = faults.len();
    for fault in faults {
        before.reach(&mut client)?;
        let ran = replace(world, &file, true, fault)?;
        let told = || format!("{fault:?} of {steps:#?}: {ran:?}");
        ensure!(ran.seen.broken.is_none(), "a connection did not live: {}", told());
        // What is refused or lost before the last part is undone.
        let deletions = steps.iter().rev().take_while(|step| step.phase == Phase::Deletion).count();
        let is_done = match fault {
            Fault::Refused(index) | Fault::Lost(index) => index >= steps.len() - deletions,
            Fault::Signal(..) | Fault::None => true,
        };
        let expected = if is_done { &after } else { &before };
        let listed = expected.listed(&mut client)?;
        ensure!(expected.is_now(&mut client)?, "not {:?} but {listed:?}: {}", expected.servers, told());
        let last = ran.said.last().map_or("", String::as_str);
        match fault {
            Fault::Signal(_, signal) => {
                ensure!(ran.signal == Some(signal as i32), "it does not end by {signal}: {}", told());
                ensure!(last.ends_with(": finished: the table is what the rules say"), "{}", told());
            }
            _ if is_done => ensure!(matches!(ran.status, Ok(0)), "its status: {}", told()),
            _ => {
                ensure!(matches!(ran.status, Ok(1)), "its status: {}", told());
                ensure!(last.ends_with(": the table is as it was before"), "{}", told());
            }
        }
        // What it costs is said first.
        let is_cost = |line: &&String| line.contains(": servers to delete and add again: ");
        ensure!(ran.said.iter().take(1).filter(is_cost).count() == usize::from(moves > 0), "{}", told());
    }
    client.delete_service(&before.service.key)?;
    Ok((moves, tried))
}

/// What a file wants.
fn wanted(file: &Path) -> Result<State> {
    use ipvsadm_rs::host::SystemNames;
    use ipvsadm_rs::rules::{Collector, read_each};
    let mut collector = Collector::default();
    let heading = read_each(&fs::read(file)?[..], &SystemNames::default(), |line| match line {
        Ok(line) => collector.take(line),
        Err(line) => collector.take_bad(line, false),
    });
    let heading = heading.map_err(|error| anyhow::anyhow!("{error:?}"))?;
    Ok(collector.finish_under(heading).state)
}

/// Of the servers that stay only those are deleted that have to be. Returns how many of them.
fn judge_steps(before: &Ordered, after: &Ordered, steps: &[Step]) -> Result<usize> {
    let moved = |set: &[DestinationKey]| -> Vec<DestinationKey> {
        let stay = before.keys().into_iter().filter(|key| !set.contains(key) && after.keys().contains(key));
        // In the best order, new ones in between.
        stay.chain(after.keys().into_iter().filter(|key| set.contains(key) || !before.keys().contains(key))).collect()
    };
    let both: Vec<DestinationKey> = after.keys().into_iter().filter(|key| before.keys().contains(key)).collect();
    let fewest = (0..1_usize << both.len())
        .filter(|bits| {
            let set: Vec<_> =
                both.iter().enumerate().filter(|(place, _)| bits >> place & 1 == 1).map(|(_, key)| *key).collect();
            moved(&set) == after.keys()
        })
        .map(|bits| bits.count_ones() as usize)
        .min()
        .context("no way to this order")?;
    let deleted = steps.iter().filter(|step| match step.change {
        ipvs_client::Change::DeleteDestination(_, key) => step.phase == Phase::Order && both.contains(&key),
        _ => false,
    });
    let deleted = deleted.count();
    ensure!(deleted == fewest, "{deleted} live servers are deleted, not {fewest}: {steps:#?}");
    Ok(deleted)
}

/// Live connections get through where they are not to end, and what becomes of them is said before.
fn what_it_costs() -> Result<()> {
    let world = World::new()?;
    let (vip, [first, second]) = (SHARED[0], SERVERS);
    support::succeed(&["-E", "-t", vip, "-s", "sh"], b"")?;
    support::succeed(&["-e", "-t", vip, "-r", first, "-m", "-w", "1"], b"")?;
    support::succeed(&["-e", "-t", vip, "-r", second, "-m", "-w", "1"], b"")?;
    let digest = || support::succeed(&["where", "--digest"], b"");
    let canonical = digest()?;
    fs::write("/proc/sys/net/ipv4/vs/expire_nodest_conn", "0")?;
    let again = |server: &str| -> Result<()> {
        support::succeed(&["-d", "-t", vip, "-r", server], b"")?;
        support::succeed(&["-a", "-t", vip, "-r", server, "-m", "-w", "1"], b"").map(drop)
    };
    again(first)?;
    let other = digest()?;
    ensure!(canonical != other, "{other}");
    world.talk_on_all()?;
    let rules = support::succeed(&["-S", "-n"], b"")?;
    let words = ["-R", "--replace", "--reorder"];
    let dry = support::run(&[&words[..], &["--dry-run"]].concat(), rules.as_bytes())?;
    let cost = format!("<stdin>: TCP {vip}: servers to delete and add again: 1 of 2; ");
    let dropped = "packets of 1 connection to them are dropped for a moment; the clients of 256 of 256 slots get another \
                   server\n";
    ensure!(dry.status == "1" && dry.stderr == format!("{cost}{dropped}"), "{dry:?}");
    ensure!(dry.stdout == format!("-d -t {vip} -r {second}\n-a -t {vip} -r {second} -m -w 1\n"), "{dry:?}");
    // Not asked for by name, nothing of it is done or said.
    ensure!(support::succeed(&["-R", "--replace"], rules.as_bytes())?.is_empty() && digest()? == other, "{other}");
    let done = support::run(&words, rules.as_bytes())?;
    ensure!(done.status == "0" && done.stderr == dry.stderr && done.stdout.is_empty(), "{done:?}");
    ensure!(digest()? == canonical, "{}", digest()?);
    world.talk_on_all()?;
    // In order there is nothing to do, and nothing to say.
    support::succeed(&words, rules.as_bytes())?;
    // Where connections end, that is said.
    again(first)?;
    fs::write("/proc/sys/net/ipv4/vs/expire_nodest_conn", "1")?;
    let done = support::run(&words, rules.as_bytes())?;
    let ends = "1 connection to them can end, as net.ipv4.vs.expire_nodest_conn is 1; ";
    ensure!(done.status == "0" && done.stderr.starts_with(&format!("{cost}{ends}")), "{done:?}");
    ensure!(digest()? == canonical, "{}", digest()?);
    // The order of a file that has one; weights that are there stay if that is wanted.
    again(first)?;
    let saved = support::succeed(&["-S", "-n", "--all"], b"")?;
    support::run(&words, rules.as_bytes())?;
    support::succeed(&["-e", "-t", vip, "-r", first, "-m", "-w", "3"], b"")?;
    let back = support::run(&[&words[..], &["--keep-weights"]].concat(), saved.as_bytes())?;
    ensure!(back.status == "0", "{back:?}");
    let now = support::succeed(&["-S", "-n", "--all"], b"")?;
    let line = |weight: u32| format!("-a -t {vip} -r {first} -m -w {weight}\n");
    ensure!(now == saved.replace(&line(1), &line(3)), "{saved}{now}");
    let refused = support::run(&[&words[..], &["--keep-going"]].concat(), rules.as_bytes())?;
    ensure!(refused.status == "2", "{refused:?}");
    Ok(())
}
