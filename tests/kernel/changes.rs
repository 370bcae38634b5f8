//! A change is all or nothing at every moment: random pairs of tables, a refusal at every change, a signal at every change, and
//! an answer that is lost at every change, while connections go through services that both tables have.
//!
//! Each pair is made of a seed, which is printed where it fails. `IPVS_SEED=N` begins there, and tries that pair first.
//!
//! The same of the program as it is called stands in [`program`], and what follows from `--confirm` in [`confirm`].

pub mod confirm;
mod live;
mod order;
pub mod program;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result, anyhow, ensure};
use ipvs_client::netlink::{Netlink, Transport};
use ipvs_client::plan::{Options, Phase, State, Step, Traced, difference};
use ipvs_client::transaction::{Transaction, read_state};
use ipvs_client::{
    Change, Client, Daemon, DaemonRole, Destination, DestinationKey, Family, InterfaceName, ServiceKey, Timeouts,
};
use ipvsadm_rs::commands::replace_over;
use nix::sys::signal::{Signal, raise};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use crate::strategies::{self, Reach, Rules, RulesOfService};
use crate::support::{Subject, Trial, in_fresh_namespace, trial};
use live::{SERVERS, World, held, shared_services};

/// What is tried, and where.
pub fn subject() -> Subject {
    Subject { prepare: crate::tables::find_schedulers, trials, ..Subject::named("changes") }
}

/// Pairs in each of this many trials.
const PAIRS: u64 = 52;
const TRIALS: u64 = 6;

fn trials() -> Result<Vec<Trial>> {
    let first = match std::env::var("IPVS_SEED") {
        Ok(seed) => seed.parse().context("IPVS_SEED")?,
        Err(_) => {
            let mut seed = [0; 4];
            fs::File::open("/dev/urandom")?.read_exact(&mut seed)?;
            u64::from(u32::from_ne_bytes(seed))
        }
    };
    let pairs = (0..TRIALS).map(|number| {
        trial(format!("random pairs of tables, part {}", number + 1), move || {
            in_fresh_namespace(|| all_or_nothing(first + number * PAIRS))
        })
    });
    Ok(pairs.chain(order::trials(first)).chain(program::trials()).chain(confirm::trials()).collect())
}

// ---- pairs of tables ------------------------------------------------------------------------------------------------

/// All that a rules file says of a table.
#[derive(Clone, Debug)]
struct Target {
    rules: Rules,
    timeouts: Timeouts,
    daemons: [(DaemonRole, Option<Daemon>); 2],
}

impl Target {
    fn file(&self) -> String {
        let mut text = strategies::file(&self.rules);
        text.push_str(&strategies::line(&Change::SetTimeouts(self.timeouts)));
        for (role, daemon) in &self.daemons {
            text.push('\n');
            text.push_str(&match daemon {
                Some(daemon) => strategies::line(&Change::StartDaemon(*daemon)),
                None => format!("--stop-daemon {}", role.name()),
            });
        }
        text + "\n"
    }

    fn state(&self) -> State {
        State {
            timeouts: Some(Traced { rule: self.timeouts, line: 0 }),
            daemons: self.daemons.iter().map(|&rule| Traced { rule, line: 0 }).collect(),
            ..strategies::state(&self.rules)
        }
    }
}

/// Any two tables with much in common. While a daemon runs the kernel takes no servers of another family than their service's,
/// so a table has one or the other.
fn pair() -> impl Strategy<Value = (Target, Target)> {
    let one = || (shared(), timeouts(), daemons());
    (strategies::two_tables(0..5, 0..4), one(), one()).prop_map(|((before, after), one, another)| {
        let target = |mut rules: Rules, (shared, timeouts, daemons): (Rules, _, [(_, Option<Daemon>); 2])| {
            if daemons.iter().any(|(_, daemon)| daemon.is_some()) {
                for (key, of_service) in &mut rules {
                    of_service.servers.retain(|name, _| Family::of(name.address) == key.family());
                }
            }
            rules.extend(shared);
            Target { rules, timeouts, daemons }
        };
        (target(before, one), target(after, another))
    })
}

/// The services that every table has, each time with other values.
fn shared() -> impl Strategy<Value = Rules> {
    let services: Vec<_> = shared_services().map(shared_service).collect();
    services.prop_map(|all| all.into_iter().collect())
}

fn shared_service(key: ServiceKey) -> impl Strategy<Value = (ServiceKey, RulesOfService)> {
    let server = |address: &str| {
        let address: SocketAddr = address.parse().unwrap_or(SocketAddr::from(([10, 0, 0, 1], 8080)));
        let name = DestinationKey { address: address.ip(), port: address.port() };
        // Masquerading, as their ports are others.
        strategies::server(key, name, Reach::Rule).prop_map(|server| (server.key, server))
    };
    let servers = (server(SERVERS[0]), server(SERVERS[1]), proptest::option::of(server("10.0.0.3:8080")));
    (strategies::service(key, Reach::Rule), servers).prop_map(move |(service, (one, another, third))| {
        let servers: BTreeMap<DestinationKey, Destination> = [one, another].into_iter().chain(third).collect();
        (key, RulesOfService { service, servers })
    })
}

fn timeouts() -> impl Strategy<Value = Timeouts> {
    prop_oneof![
        2 => Just(Timeouts::new(900, 120, 300)),
        1 => (600..2_000_u32, 60..200_u32, 60..400_u32).prop_map(|(tcp, fin, udp)| Timeouts::new(tcp, fin, udp)),
    ]
}

fn daemons() -> impl Strategy<Value = [(DaemonRole, Option<Daemon>); 2]> {
    let lo = || InterfaceName::cut(b"lo");
    let one = |role| {
        let daemon = (0..3_u32).prop_map(move |id| Some(Daemon::new(role, lo(), id)));
        prop_oneof![1 => Just(None), 2 => daemon].prop_map(move |daemon| (role, daemon))
    };
    let none = [DaemonRole::Master, DaemonRole::Backup].map(|role| (role, None));
    let some = (one(DaemonRole::Master), one(DaemonRole::Backup)).prop_map(|(master, backup)| [master, backup]);
    prop_oneof![2 => Just(none), 1 => some]
}

// ---- what goes wrong ------------------------------------------------------------------------------------------------

/// What goes wrong at which change of a plan.
#[derive(Clone, Copy, Debug)]
enum Fault {
    None,
    /// The kernel gets a command that it does not know, and so refuses it.
    Refused(usize),
    /// This signal comes while the change is sent.
    Signal(usize, Signal),
    /// What the kernel answers to it does not arrive.
    Lost(usize),
}

/// What was seen of an exchange.
#[derive(Debug, Default)]
struct Seen {
    /// Changes that were sent.
    changes: usize,
    /// How many had been when something went wrong and what was sent together with that was through.
    at_fault: Option<usize>,
    /// What was wrong with a connection in that time.
    broken: Option<String>,
}

/// The kernel behind a socket at which something goes wrong.
struct Peer {
    netlink: Netlink,
    fault: Fault,
    /// Whether answers are lost now.
    deaf: bool,
    seen: Arc<Mutex<Seen>>,
    world: Arc<World>,
}

/// `nlmsg_len`, and the place of the command behind `struct nlmsghdr`.
const HEADER: usize = 16;
/// `IPVS_CMD_*` that change something.
const CHANGES: [u8; 9] = [1, 2, 3, 5, 6, 7, 9, 10, 12];
/// No command of IPVS.
const UNKNOWN: u8 = 99;

impl Transport for Peer {
    fn port(&self) -> u32 {
        self.netlink.port()
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut copy = bytes.to_vec();
        let first = held(&self.seen).changes;
        let mut number = first;
        let mut at = 0;
        while let Some(length) = copy.get(at..at + 4) {
            let length = u32::from_ne_bytes([length[0], length[1], length[2], length[3]]) as usize;
            // The family that knows the others has a number of its own.
            let is_control = copy[at + 4..at + 6] == [0x10, 0];
            if !is_control && CHANGES.contains(&copy[at + HEADER]) {
                if matches!(self.fault, Fault::Refused(index) if index == number) {
                    copy[at + HEADER] = UNKNOWN;
                }
                number += 1;
            }
            at += length.next_multiple_of(4);
        }
        let has = |index| (first..number).contains(&index);
        let signal = match self.fault {
            Fault::Signal(index, signal) if has(index) => Some(signal),
            _ => None,
        };
        if let Some(signal) = signal {
            raise(signal)?;
        }
        self.deaf = matches!(self.fault, Fault::Lost(index) if has(index));
        let sent = self.netlink.send(&copy)?;
        let mut seen = held(&self.seen);
        seen.changes = number;
        if matches!(self.fault, Fault::Refused(index) | Fault::Signal(index, _) | Fault::Lost(index) if has(index)) {
            seen.at_fault = Some(number);
        }
        if number > first
            && let Err(error) = self.world.talk_on_one()
        {
            seen.broken.get_or_insert(format!("after change {number}: {error:#}"));
        }
        Ok(sent)
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.deaf { Err(io::ErrorKind::WouldBlock.into()) } else { self.netlink.receive(buffer) }
    }

    fn expect_many(&mut self) -> io::Result<usize> {
        self.netlink.expect_many()
    }
}

// ---- the property ---------------------------------------------------------------------------------------------------

/// What a replacement came to.
#[derive(Debug)]
struct Ran {
    status: Result<u8>,
    signal: Option<i32>,
    said: Vec<String>,
    seen: Seen,
}

/// Replace the table by this file's rules, and have something go wrong.
fn replace(world: &Arc<World>, file: &Path, reorder: bool, fault: Fault) -> Result<Ran> {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let peer =
        Peer { netlink: Netlink::generic()?, fault, deaf: false, seen: Arc::clone(&seen), world: Arc::clone(world) };
    let mut client = Client::over(Box::new(peer))?.context("no IPVS")?;
    let said = RefCell::new(Vec::new());
    let (status, signal) =
        replace_over(&mut client, file, reorder, &|message| said.borrow_mut().push(message.to_owned()));
    drop(client);
    let seen = std::mem::take(&mut *held(&seen));
    Ok(Ran { status, signal, said: said.into_inner(), seen })
}

/// Both tables of a pair, and the files that say them.
struct Side {
    target: Target,
    file: std::path::PathBuf,
}

impl Side {
    fn is_now(&self, now: &State) -> bool {
        difference(now, &self.target.state(), Options::default()).is_empty()
    }
}

fn now(client: &mut Client) -> Result<State> {
    let none = |role| Traced { rule: (role, None), line: 0 };
    let like = State {
        timeouts: Some(Traced { rule: Timeouts::default(), line: 0 }),
        daemons: vec![none(DaemonRole::Master), none(DaemonRole::Backup)],
        ..State::default()
    };
    Ok(read_state(client, &like, |_| {})?)
}

fn all_or_nothing(first_seed: u64) -> Result<()> {
    let world = Arc::new(World::new()?);
    let folder = tempfile::tempdir_in("/run")?;
    let mut tried = 0;
    for seed in first_seed..first_seed + PAIRS {
        tried += one_pair(&world, folder.path(), seed).with_context(|| format!("IPVS_SEED={seed}"))?;
    }
    ensure!(tried > PAIRS as usize * 10, "only {tried} things went wrong: the tables are too much alike");
    Ok(())
}

/// Returns how many things went wrong.
fn one_pair(world: &Arc<World>, folder: &Path, seed: u64) -> Result<usize> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut runner =
        TestRunner::new_with_rng(ProptestConfig::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let (before, after) = pair().new_tree(&mut runner).map_err(|error| anyhow!("{error}"))?.current();
    let side = |name: &str, target: Target| -> Result<Side> {
        let file = folder.join(name);
        fs::write(&file, target.file())?;
        Ok(Side { target, file })
    };
    let sides = [side("a", before)?, side("b", after)?];
    let mut client = Client::connect()?;
    let mut plans = Vec::new();
    for (from, to) in [(1, 0), (0, 1)] {
        // In this order the first side is where the table is in the end.
        reach(world, &sides[from])?;
        let want = sides[to].target.state();
        plans.push(Transaction::new(&now(&mut client)?, &want, Options::default()).steps().to_vec());
    }
    // What goes wrong on the way to the second side, and on the way back.
    let (back, forth) = (faults(&plans[0], seed), faults(&plans[1], seed));
    let tried = forth.len() + back.len();
    let (mut forth, mut back) = (forth.into_iter(), back.into_iter());
    let mut at = 0;
    loop {
        // On the way that the table has before it, while there is anything left to try there.
        let (from, fault) = match at {
            0 => forth.next().map(|fault| (0, fault)).or_else(|| back.next().map(|fault| (1, fault))),
            _ => back.next().map(|fault| (1, fault)).or_else(|| forth.next().map(|fault| (0, fault))),
        }
        .unzip();
        let (Some(from), Some(fault)) = (from, fault) else { return Ok(tried) };
        if at != from {
            reach(world, &sides[from])?;
        }
        let (from, to, steps) = (&sides[from], &sides[1 - from], &plans[1 - from]);
        let mut check = || -> Result<bool> {
            let ran = replace(world, &to.file, false, fault)?;
            let end = now(&mut client)?;
            let is_after =
                judge(&ran, fault, steps, from.is_now(&end), to.is_now(&end)).with_context(|| format!("{ran:?}"))?;
            world.talk_on_all()?;
            Ok(is_after)
        };
        let is_after = check().with_context(|| {
            let steps: Vec<String> = steps.iter().map(|step| strategies::line(&step.change)).collect();
            let (from, to) = (from.target.file(), to.target.file());
            format!("{fault:?} on the way from\n{from}to\n{to}by\n{}\n", steps.join("\n"))
        })?;
        at = if std::ptr::eq(from, &sides[0]) == is_after { 1 } else { 0 };
        world.count(&mut client)?;
    }
}

/// Everything that is to go wrong with these steps. What is sent together gets one answer, so one that is lost for each part
/// will do.
fn faults(steps: &[Step], seed: u64) -> Vec<Fault> {
    const SIGNALS: [Signal; 8] = [
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGQUIT,
        Signal::SIGTSTP,
        Signal::SIGUSR1,
        Signal::SIGALRM,
        Signal::SIGXCPU,
    ];
    let refused = (0..steps.len()).map(Fault::Refused);
    let parts = steps.chunk_by(|one, other| one.phase == other.phase);
    let lost = parts.scan(0, |first, part| Some(Fault::Lost(std::mem::replace(first, *first + part.len()))));
    let signals = (0..steps.len()).map(|index| Fault::Signal(index, SIGNALS[(seed as usize + index) % SIGNALS.len()]));
    refused.chain(lost).chain(signals).collect()
}

/// Makes the table this, with nothing going wrong.
fn reach(world: &Arc<World>, side: &Side) -> Result<()> {
    let ran = replace(world, &side.file, false, Fault::None)?;
    ensure!(matches!(ran.status, Ok(0)) && ran.said.is_empty() && ran.seen.broken.is_none(), "{ran:?}");
    Ok(())
}

/// Whether the table, the status and the words are as they have to be. Returns whether the table is the other one now.
fn judge(ran: &Ran, fault: Fault, steps: &[Step], is_before: bool, is_after: bool) -> Result<bool> {
    let deletions = steps.iter().rev().take_while(|step| step.phase == Phase::Deletion).count();
    let is_final = match fault {
        Fault::Refused(index) => index >= steps.len() - deletions,
        // A daemon that stops may give no answer: then it is asked whether one runs.
        Fault::Lost(index) => index >= steps.len() - deletions || matches!(steps[index].change, Change::StopDaemon(_)),
        Fault::Signal(..) | Fault::None => true,
    };
    ensure!(ran.seen.broken.is_none(), "a connection did not live");
    if let (Fault::Refused(index) | Fault::Lost(index), Some(sent)) = (fault, ran.seen.at_fault)
        && !is_final
    {
        let phase = |step: &Step| Phase::of(&step.change);
        let is_one_part = steps[index..sent].iter().all(|step| phase(step) == phase(&steps[index]));
        ensure!(is_one_part, "the next part was sent before this one was acknowledged");
    }
    let said: Vec<&str> =
        ran.said.iter().map(|line| line.split_once(": ").map_or(line.as_str(), |(_, text)| text)).collect();
    let last = said.last().copied().unwrap_or_default();
    match fault {
        Fault::Signal(_, signal) => {
            ensure!(is_after, "it was not finished");
            ensure!(ran.signal == Some(signal as i32), "it does not end by {signal}");
            let expected = format!("finishing: {} of {} sent", ran.seen.at_fault.unwrap_or_default(), steps.len());
            ensure!(ran.said.first() == Some(&expected), "not {expected}");
            ensure!(last == "finished: the table is what the rules say" && said.len() == 2, "it does not say so");
        }
        // What was refused or not answered is sent again: it can only have been for want of memory.
        _ if is_final => {
            ensure!(is_after, "it was not finished");
            ensure!(matches!(ran.status, Ok(0)) && said.is_empty() && ran.signal.is_none(), "it says otherwise");
        }
        _ => {
            ensure!(is_before, "it was not rolled back");
            ensure!(matches!(ran.status, Ok(1)) && ran.signal.is_none(), "its status");
            // Before a daemon starts, servers of another family than their service's are deleted: they come back as the newest.
            let first = steps.iter().position(|step| step.phase == Phase::Deletion).unwrap_or(steps.len());
            let moved = "the table is as it was before, but servers of sh, mh or dh are in another order";
            let other_order = first < steps.len() - deletions && said.len() == 3 && said[1] == moved;
            ensure!(other_order || (last == "the table is as it was before" && said.len() == 2), "it does not say so");
            let expected = match fault {
                Fault::Lost(_) => "the kernel sent no answer",
                _ => "Operation not supported with IPv6",
            };
            ensure!(ran.said[0].contains(expected), "it does not say why");
        }
    }
    Ok(is_final)
}
