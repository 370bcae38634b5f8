//! Several at once, on a real kernel: our own writers take turns, readers do not wait for them, and what is listed in a storm
//! of edits is a table that there was. Each trial has network namespaces of its own.

mod listing;

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use ipvs_client::{Change, Client, Destination, DestinationKey, Family, Service, ServiceKey, scheduler};
use ipvsadm_rs::host::lock::TABLE_LOCK;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::strategies::{file, rules_of};
use crate::support::{self, Holder, Invocation, Subject, Trial, in_fresh_namespace, run, succeed, trial};

/// What a trial does.
type Run = fn() -> Result<()>;

/// What is tried, and where.
pub fn subject() -> Subject {
    Subject { trials, ..Subject::named("concurrency") }
}

fn trials() -> Result<Vec<Trial>> {
    let trials: [(&str, Run); _] = [
        ("lock: what changes the table does not without it", nothing_is_changed_without_the_lock),
        ("lock: it is waited for", it_is_waited_for),
        ("lock: readers and others are not held up", the_lock_holds_up_no_other_program),
        ("lock: it ends with its process", it_ends_with_its_process),
        ("lock: a drain has it for its changes only", a_drain_does_not_hold_it),
        ("replace: two at once", two_replacements_at_once),
        ("restore: two at once", two_restorations_at_once),
        ("list: a dump in parts", listing::a_dump_in_parts_is_of_one_moment),
        ("list: a service that is deleted in between", listing::a_service_deleted_in_between_is_not_listed),
        ("list: a storm of edits", listing::a_storm_of_edits),
    ];
    Ok(trials.into_iter().map(|(name, run)| trial(name, move || in_fresh_namespace(run))).collect())
}

// ---- tools ----------------------------------------------------------------------------------------------------------

/// Starts the program in this namespace.
fn start(words: &[&str]) -> Result<Child> {
    let mut command = Command::new(support::ours());
    command.arg0("ipvsadm").args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().context("starting the program")
}

/// The next line that it says on standard error.
fn line_of(child: &mut Child) -> Result<(String, BufReader<std::process::ChildStderr>)> {
    let mut stderr = BufReader::new(child.stderr.take().context("no standard error")?);
    let mut line = String::new();
    stderr.read_line(&mut line)?;
    Ok((line, stderr))
}

/// The table of this namespace as rules.
fn table() -> Result<String> {
    Ok(file(&rules_of(&Client::connect()?.table()?)))
}

fn ensure_table(expected: &str) -> Result<()> {
    let table = table()?;
    ensure!(table == expected, "another table than expected:\n{}", support::difference(expected, &table));
    Ok(())
}

fn key(mark: u32) -> ServiceKey {
    ServiceKey::Mark { mark, family: Family::Ipv4 }
}

/// A service by mark, round robin.
fn by_mark(mark: u32) -> Service {
    Service::new(key(mark), scheduler::RR)
}

fn server(host: u8, weight: u32) -> Destination {
    Destination::new(address(host), 80).weight(weight)
}

fn address(host: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, host).into()
}

fn server_key(host: u8) -> DestinationKey {
    server(host, 1).key
}

/// Adds a service by mark with these servers.
fn add(client: &mut Client, mark: u32, hosts: impl IntoIterator<Item = u8>) -> Result<()> {
    client.change(&Change::AddService(by_mark(mark)))?;
    for host in hosts {
        client.change(&Change::AddDestination(key(mark), server(host, 1)))?;
    }
    Ok(())
}

// ---- the lock -------------------------------------------------------------------------------------------------------

/// Every command that changes something, each of which could do so.
const CHANGES: &[&[&str]] = &[
    &["-A", "-f", "2"],
    &["-E", "-f", "1", "-s", "wlc"],
    &["-D", "-f", "1"],
    &["-D", "-f", "1", "--drain"],
    &["-C"],
    &["-R"],
    &["-R", "--replace"],
    &["-a", "-f", "1", "-r", "10.0.0.3:80"],
    &["-e", "-f", "1", "-r", "10.0.0.1:80", "-w", "5"],
    &["-e", "-f", "1", "-r", "10.0.0.1:80", "-w", "0", "--drain=1"],
    &["-d", "-f", "1", "-r", "10.0.0.1:80"],
    &["-d", "-f", "1", "-r", "10.0.0.1:80", "--drain=1", "--force"],
    &["-Z"],
    &["-Z", "-f", "1"],
    &["--set", "1", "2", "3"],
    &["--start-daemon", "backup", "--mcast-interface", "lo"],
    &["--stop-daemon", "backup"],
];

fn nothing_is_changed_without_the_lock() -> Result<()> {
    add(&mut Client::connect()?, 1, [1, 2])?;
    let (before, timeouts) = (table()?, succeed(&["-L", "--timeout"], b"")?);
    let holder = Holder::start()?;
    let name = holder.name();
    for change in CHANGES {
        let words = [change, &["--lock-wait", "0"][..]].concat();
        let output = run(&words, b"-A -f 3 -s rr\n")?;
        let expected = format!("{name} is changing the table: not done; --lock-wait SECONDS waits for it\n");
        ensure!(output.status == "1" && output.stdout.is_empty(), "{words:?}: {output:?}");
        ensure!(output.stderr == expected, "{words:?}: {}", support::difference(&expected, &output.stderr));
    }
    let output = run(&["-C", "--lock-wait=1"], b"")?;
    let expected = format!("{name} is changing the table: not done after waiting 1 second (--lock-wait)\n");
    ensure!(output.status == "1" && output.stderr == expected, "{output:?}");
    ensure_table(&before)?;
    ensure!(succeed(&["-L", "--timeout"], b"")? == timeouts, "the timeouts were changed");
    // What is wrong with a command line, or with rules, is reported at once.
    let wrong = run(&["-R", "--replace", "--lock-wait", "60"], b"-A -f 0\n")?;
    ensure!(wrong.status == "2" && wrong.stderr.starts_with("<stdin>:1: "), "{wrong:?}");
    // Nor has a refusal to wait.
    drop(holder);
    let refused = run(&["-A", "-f", "1", "--lock-wait", "0"], b"")?;
    ensure!(refused.status == "255" && refused.stderr == "Service already exists\n", "{refused:?}");
    Ok(())
}

/// A long wait names the process waited for, and can be stopped.
fn it_is_waited_for() -> Result<()> {
    let holder = Holder::start()?;
    let expected = format!("waiting for {}, which is changing the table\n", holder.name());
    let mut patient = start(&["-A", "-f", "1", "-s", "rr"])?;
    let mut stopped = start(&["-A", "-f", "2", "-s", "rr", "--lock-wait", "2678400"])?;
    let (line, _stderr) = line_of(&mut stopped)?;
    ensure!(line == expected, "{line}");
    kill(Pid::from_raw(i32::try_from(stopped.id())?), Signal::SIGINT)?;
    let status = stopped.wait()?;
    ensure!(status.signal() == Some(Signal::SIGINT as i32), "{status}");
    let (line, mut stderr) = line_of(&mut patient)?;
    ensure!(line == expected, "{line}");
    // What saves the table waits just as well.
    let mut saving = start(&["-S", "-n"])?;
    let (line, _saving_stderr) = line_of(&mut saving)?;
    ensure!(line == expected, "{line}");
    ensure_table("")?;
    drop(holder);
    let status = saving.wait()?;
    ensure!(status.success(), "-S: {status}");
    let mut rest = String::new();
    stderr.read_to_string(&mut rest)?;
    let status = patient.wait()?;
    ensure!(status.success() && rest.is_empty(), "{status}: {rest}");
    ensure_table("-A -f 1 -s rr\n")
}

fn the_lock_holds_up_no_other_program() -> Result<()> {
    add(&mut Client::connect()?, 1, [1])?;
    let rules = succeed(&["-S", "-n"], b"")?;
    let holder = Holder::start()?;
    let listing = succeed(&["-L", "-n"], b"")?;
    ensure!(listing.contains("10.0.0.1:80"), "{listing}");
    for words in [
        &["-L", "--json"][..],
        &["-L", "--table", "-n"],
        &["-L", "-c", "-n"],
        &["-L", "--timeout"],
        &["-L", "--daemon"],
        &["top", "--once", "--interval", "1"],
        &["service", "status"],
    ] {
        succeed(words, b"")?;
    }
    succeed(&["-R", "--check", "--lock-wait", "0"], rules.as_bytes())?;
    succeed(&["-R", "--replace", "--dry-run", "--lock-wait", "0"], rules.as_bytes())?;
    succeed(&["-R", "--lock-wait", "0"], b"-L -n\n")?;
    // But what is saved is a table from before a change or after it.
    let (folder, expected) = (tempfile::tempdir()?, format!("{} is changing the table: not done", holder.name()));
    let saved = folder.path().join("rules");
    fs::write(&saved, "as it was")?;
    let saved_to = saved.to_str().context("a path that is not UTF-8")?;
    for words in [
        &["-S", "--lock-wait", "0"][..],
        &["-S", "-n", "--all", "--lock-wait", "1"],
        &["-S", "--file", saved_to, "--lock-wait", "0"],
        &["-R", "--lock-wait", "0"],
    ] {
        let output = run(words, b"-S -n\n")?;
        ensure!(output.status == "1" && output.stdout.is_empty(), "{words:?}: {output:?}");
        ensure!(output.stderr.starts_with(&expected), "{words:?}: {output:?}");
    }
    ensure!(fs::read_to_string(&saved)? == "as it was", "something was saved");
    // Another namespace has another table, and so another lock.
    in_fresh_namespace(|| {
        succeed(&["-A", "-f", "7", "-s", "rr", "--lock-wait", "0"], b"")?;
        let _holder = Holder::start()?;
        ensure!(run(&["-C", "--lock-wait", "0"], b"")?.status == "1", "its own lock does not hold");
        ensure_table("-A -f 7 -s rr\n")
    })?;
    // Who may change tables but not open the lock's file goes on without it; and cannot hold others up by it.
    let mode = fs::metadata(TABLE_LOCK)?.permissions().mode() & 0o777;
    ensure!(mode == 0o600, "{TABLE_LOCK} has mode {mode:o}");
    let ours = support::ours();
    let setpriv = [
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "--bounding-set=-all,+net_admin",
        "--inh-caps=-all,+net_admin",
        "--ambient-caps=-all,+net_admin",
        ours.to_str().context("the program's path")?,
    ];
    let words = [&setpriv[..], &["-A", "-f", "2", "-s", "rr", "--lock-wait", "0"]].concat();
    let output = Invocation::of(&words).run(Path::new("setpriv"))?;
    ensure!(output.status == "0" && output.stderr.is_empty(), "{output:?}");
    ensure_table(&format!("{rules}-A -f 2 -s rr\n"))?;
    // Clearing everything at once waits for no process.
    let output = run(&["service", "panic"], b"")?;
    ensure!(output.status == "0" && output.stdout.is_empty(), "{output:?}");
    ensure_table("")?;
    drop(holder);
    // Two that save do not wait for each other, nor does one that changes the table keep it from them for long.
    succeed(&["-S", "-n", "--lock-wait", "0"], b"")?;
    Ok(())
}

fn it_ends_with_its_process() -> Result<()> {
    let holder = Holder::start()?;
    ensure!(run(&["-A", "-f", "1", "--lock-wait", "0"], b"")?.status == "1", "no process holds the lock");
    holder.kill()?;
    succeed(&["-A", "-f", "1", "-s", "rr", "--lock-wait", "0"], b"")?;
    ensure_table("-A -f 1 -s rr\n")?;
    // The file stays: a process that opened it before it was removed would hold another lock of the same name.
    ensure!(File::open(TABLE_LOCK)?.metadata()?.len() == 0, "something was written to {TABLE_LOCK}");
    Ok(())
}

/// A drain may take hours: others work in that time, and it needs the lock again only when it ends.
fn a_drain_does_not_hold_it() -> Result<()> {
    let mut client = Client::connect()?;
    // Failover: the other server gets nothing as long as the first one has a weight.
    let service = "-A -t 127.0.0.1:9080 -s fo\n-a -t 127.0.0.1:9080 -r 127.0.0.1:9082 -m -w 1\n";
    let rules = format!("{service}-a -t 127.0.0.1:9080 -r 127.0.0.1:9081 -m -w 3\n");
    succeed(&["-R"], rules.as_bytes())?;
    // A connection, without which the drain would be over at once.
    let backend = std::net::TcpListener::bind("127.0.0.1:9081")?;
    let connection = std::net::TcpStream::connect("127.0.0.1:9080")?;
    let (accepted, _) = backend.accept()?;
    let drain = ["-d", "-t", "127.0.0.1:9080", "-r", "127.0.0.1:9081", "--drain", "--lock-wait", "0"];
    let mut draining = start(&drain)?;
    let (line, mut stderr) = line_of(&mut draining)?;
    ensure!(line.contains("1 connection"), "{line}");
    succeed(&["-A", "-f", "9", "-s", "rr", "--lock-wait", "0"], b"")?;
    // Going back is not given up for a lock.
    let holder = Holder::start()?;
    kill(Pid::from_raw(i32::try_from(draining.id())?), Signal::SIGTERM)?;
    let mut printed = String::new();
    stderr.read_to_string(&mut printed)?;
    draining.wait()?;
    ensure!(printed.contains(&format!("{} is changing the table: rolling back anyway\n", holder.name())), "{printed}");
    ensure!(printed.contains("the weight is 3 again"), "{printed}");
    drop(holder);

    // All connections have gone, but not the holder of the lock. To wait no longer is to roll back.
    let mut draining = start(&drain[..drain.len() - 2])?;
    let (line, mut stderr) = line_of(&mut draining)?;
    ensure!(line.contains("1 connection"), "{line}");
    let holder = Holder::start()?;
    drop((connection, accepted));
    let mut line = String::new();
    while !line.starts_with("waiting for") {
        line.clear();
        ensure!(stderr.read_line(&mut line)? > 0, "the drain has ended");
    }
    ensure!(line == format!("waiting for {}, which is changing the table\n", holder.name()), "{line}");
    kill(Pid::from_raw(i32::try_from(draining.id())?), Signal::SIGINT)?;
    let mut printed = String::new();
    stderr.read_to_string(&mut printed)?;
    let status = draining.wait()?;
    ensure!(status.signal() == Some(Signal::SIGINT as i32), "{status}: {printed}");
    ensure!(printed.contains("interrupted: rolling back\n") && printed.contains("the weight is 3 again"), "{printed}");
    drop(holder);
    let weights: Vec<u32> = client
        .table()?
        .services
        .iter()
        .flat_map(|service| service.destinations.iter().map(|entry| entry.destination.weight))
        .collect();
    ensure!(weights == [3, 1], "{weights:?}");
    Ok(())
}

/// Starts two programs at once, this many times. Each time both succeed, and the table is what one of them makes it; over all
/// the rounds it is at times the one's and at times the other's.
fn two_at_once(rounds: u32, words: [&[&str]; 2], tables: [&str; 2]) -> Result<()> {
    let ended = |child: Child| -> Result<(ExitStatus, String)> {
        let output = child.wait_with_output()?;
        Ok((output.status, String::from_utf8_lossy(&output.stderr).into_owned()))
    };
    let mut ends = [0, 0];
    for round in 0..rounds {
        // Which one is started first must not decide.
        let first = (round % 2) as usize;
        let one = start(words[first])?;
        let other = start(words[1 - first])?;
        for child in [one, other] {
            let (status, stderr) = ended(child)?;
            ensure!(status.success() && stderr.is_empty(), "{status}: {stderr}");
        }
        let table = table()?;
        let Some(which) = tables.iter().position(|wanted| table == *wanted) else {
            bail!("a table of both:\n{}", support::difference(tables[0], &table));
        };
        ends[which] += 1;
    }
    ensure!(ends[0] > 0 && ends[1] > 0, "the same one was last each time: {ends:?}");
    Ok(())
}

/// Rules of this many services by marks from the first on, each with two servers of this weight.
fn marks(first: u32, count: u32, weight: u32) -> String {
    let service = |mark| {
        format!(
            "-A -f {mark} -s rr\n-a -f {mark} -r 10.0.0.1:80 -g -w {weight}\n-a -f {mark} -r 10.0.0.2:80 -g -w {weight}\n"
        )
    };
    (first..first + count).map(service).collect()
}

/// Writes rules to a file in a folder of its own.
fn rules_file(rules: &str) -> Result<(tempfile::TempDir, String)> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("rules");
    fs::write(&path, rules)?;
    Ok((folder, path.to_str().context("a path that is not UTF-8")?.to_owned()))
}

fn two_replacements_at_once() -> Result<()> {
    // Half of the services are in both, with other weights.
    let tables = [marks(1, 40, 1), marks(21, 40, 2)];
    let (_folder, one) = rules_file(&tables[0])?;
    let (_other_folder, other) = rules_file(&tables[1])?;
    let words = [["-R", "--replace", "--file", &one], ["-R", "--replace", "--file", &other]];
    two_at_once(30, [&words[0], &words[1]], [&tables[0], &tables[1]])
}

fn two_restorations_at_once() -> Result<()> {
    // Each is several sends, between which another could come.
    let tables = [marks(1, 400, 1), marks(200, 400, 2)];
    let (_folder, one) = rules_file(&format!("-C\n{}", tables[0]))?;
    let (_other_folder, other) = rules_file(&format!("-C\n{}", tables[1]))?;
    let words = [["-R", "--file", &one], ["-R", "--file", &other]];
    two_at_once(20, [&words[0], &words[1]], [&tables[0], &tables[1]])
}
