//! The compliance suite: the same cases with the distribution's `ipvsadm` and with ours, each from an empty table in a
//! network namespace of its own; standard output, standard error, exit status and the resulting table must be the same
//! to the byte. Where ours is deliberately better, the case says so, names the reason (an entry of
//! `compliance/deviations.md`) and states exactly what ours does; when both behave alike after all, that is a failure.
//!
//! `compliance/README.md` describes the case files. IPVSADM_UNDER_TEST names another program to test than ours: with
//! the original itself, all cases pass but those that expect a deviation.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::{env, fs, thread, time};

use crate::support::{self, Guest, Invocation, Links, Output, Subject, Trial, difference, trial};
use anyhow::{Context as _, Result, bail, ensure};

use crate::case::{self, Case, Expectation, Preparation, Run};
use crate::{deviations, matrix};

/// What is tried, and where.
pub fn subject() -> Subject {
    let guest = || Guest { divisible: true, ..Guest::default() };
    Subject { guest, prepare: set_names, trials, ..Subject::named("cases") }
}

/// Where the cases are.
fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compliance")
}

/// Host names come from our own file, and from nowhere else.
fn set_names() -> Result<()> {
    support::private_mounts()?;
    support::lay_over(&directory().join("hosts"), "/etc/hosts")?;
    support::lay_over(&directory().join("nsswitch.conf"), "/etc/nsswitch.conf")?;
    support::lay_over(&directory().join("services"), "/etc/services")
}

fn trials() -> Result<Vec<Trial>> {
    let mut cases = Vec::new();
    for entry in fs::read_dir(directory()).context("tests/compliance")? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "cases") {
            cases.extend(case::read(&path).with_context(|| path.display().to_string())?);
        }
    }
    cases.extend(matrix::cases()?);
    cases.sort_by(|one, other| one.name.cmp(&other.name));
    let names: BTreeSet<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    if names.len() < cases.len() {
        let doubled = cases.windows(2).find(|pair| pair[0].name == pair[1].name);
        bail!("two cases are called {}", doubled.map_or("?", |pair| pair[0].name.as_str()));
    }
    let used: BTreeSet<String> = cases.iter().filter_map(|case| case.deviation.clone()).collect();
    let mut trials: Vec<Trial> = cases
        .into_iter()
        .filter(|case| !case.elsewhere)
        .map(|case| {
            let name = case.name.clone();
            trial(name, move || check(&case))
        })
        .collect();
    trials.extend(deviations::trials(directory().join("deviations.md"), used));
    Ok(trials)
}

/// What one program made of a case.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    outputs: Vec<Output>,
    table: Table,
}

/// The table of a namespace.
#[derive(Debug, Default, PartialEq, Eq)]
struct Table {
    /// The kernel's own text.
    kernel: String,
    /// What the original lists; only taken where the case can have changed something.
    listing: Option<Listing>,
}

/// The table as the original sees it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Listing {
    /// `-S -n`.
    rules: String,
    /// Thresholds, daemons and timeouts.
    rest: String,
}

fn check(case: &Case) -> Result<()> {
    let original = support::original()?;
    let ours = support::ours();
    ensure!(ours.is_file(), "{} does not exist", ours.display());
    let only_looks = case.runs.iter().all(|run| !run.can_change());
    let (theirs, ours) = if case.live || only_looks {
        support::in_fresh_namespace(|| side_by_side(case, &original, &ours))?
    } else {
        let theirs = support::in_fresh_namespace(|| outcome(case, &original, &original)).context("the original")?;
        let ours = support::in_fresh_namespace(|| outcome(case, &ours, &original)).context("ours")?;
        (theirs, ours)
    };
    let mut complaints = String::new();
    for (run, (theirs, ours)) in case.runs.iter().zip(theirs.outputs.iter().zip(&ours.outputs)) {
        let complaint = match &run.expectation {
            // The original asks for the size once, at its start; of rules that list, it prints that size after each.
            None if table_grows() && !run.stdin.is_empty() => compare(&sized(theirs), &sized(ours)),
            None => compare(theirs, &without_reasons(theirs, ours)),
            Some(expectation) => judge(expectation, &sized(ours)),
        };
        if !complaint.is_empty() {
            complaints.push_str(&format!("\n  $ ipvsadm {}\n{complaint}", run.text));
        }
    }
    if case.table.is_none() {
        complaints.push_str(&part("table (kernel's text)", &theirs.table.kernel, &ours.table.kernel));
    }
    if let (Some(theirs), Some(ours)) = (&theirs.table.listing, &ours.table.listing) {
        let rules = case.table.as_ref().unwrap_or(&theirs.rules);
        complaints.push_str(&part("table (-S -n)", rules, &ours.rules));
        complaints.push_str(&match case.table {
            None => part("thresholds, daemons, timeouts", &theirs.rest, &ours.rest),
            Some(_) => String::new(),
        });
    }
    if let Some(deviation) = &case.deviation {
        ensure!(theirs != ours, "\n  deviation {deviation} has gone: both behave alike\n{complaints}");
    }
    ensure!(complaints.is_empty(), "\n  - the original or what is expected, + ours\n{complaints}");
    Ok(())
}

/// The same without the lines that say why a host name could not be resolved (the deviation `name-reasons`), where the
/// original complains of the value, too.
fn without_reasons(theirs: &Output, ours: &Output) -> Output {
    let mut ours = ours.clone();
    if theirs.status == "2" && theirs.stderr.contains(" specified\n") {
        let lines = ours.stderr.split_inclusive('\n').filter(|line| !line.starts_with("could not resolve `"));
        ours.stderr = lines.collect();
    }
    ours
}

/// One program in a fresh namespace.
fn outcome(case: &Case, program: &Path, original: &Path) -> Result<Outcome> {
    let _open = prepare(case, original)?;
    let outputs = case.runs.iter().map(|run| invoke(case, run, program)).collect::<Result<Vec<_>>>()?;
    let changed = |(run, output): (&Run, &Output)| run.can_change() && (output.status == "0" || !run.stdin.is_empty());
    let whole = case.table.is_some() || case.runs.iter().zip(&outputs).any(changed);
    Ok(Outcome { table: table(original, whole)?, outputs })
}

/// Both programs in the same namespace, for commands that only look. Where they differ the original must say the same again, or time has passed.
fn side_by_side(case: &Case, original: &Path, ours: &Path) -> Result<(Outcome, Outcome)> {
    let _open = prepare(case, original)?;
    let kernel = kernel_table()?;
    let mut theirs = Outcome { outputs: Vec::new(), table: Table { kernel, listing: None } };
    let mut mine = Outcome { outputs: Vec::new(), table: Table::default() };
    for run in &case.runs {
        let mut tries = 0..10;
        let (before, between) = loop {
            ensure!(tries.next().is_some(), "the original never said the same twice: ipvsadm {}", run.text);
            let before = invoke(case, run, original)?;
            let between = invoke(case, run, ours)?;
            if before == between || invoke(case, run, original)? == before {
                break (before, between);
            }
        };
        theirs.outputs.push(before);
        mine.outputs.push(between);
    }
    mine.table.kernel = kernel_table()?;
    Ok((theirs, mine))
}

fn invoke(case: &Case, run: &Run, program: &Path) -> Result<Output> {
    let mut words = support::as_words(&run.words);
    let script = case.closed.map(|close| format!("exec -a ipvsadm \"$0\" \"$@\" {close}"));
    let program = match &script {
        Some(script) => {
            words.splice(..0, ["-c".as_ref(), OsStr::new(script), program.as_os_str()]);
            Path::new("/bin/bash")
        }
        None => program,
    };
    Invocation { words, stdin: &run.stdin, stdout: case.stdout.as_deref(), uid: case.uid }.run(program)
}

/// Brings the namespace to where the case begins. What is returned must stay open.
fn prepare(case: &Case, original: &Path) -> Result<Vec<Box<dyn std::any::Any>>> {
    let mut open: Vec<Box<dyn std::any::Any>> = Vec::new();
    for step in &case.preparations {
        match step {
            Preparation::Rules(rules) => {
                let output =
                    Invocation { words: vec!["-R".as_ref()], stdin: rules, ..Invocation::default() }.run(original)?;
                let quiet = output.status == "0" && output.stderr.is_empty();
                ensure!(quiet, "the preparation failed: {output:?}");
            }
            Preparation::Dummy(name) => Links::new()?.add_dummy(name)?,
            Preparation::Address(name, address, prefix) => Links::new()?.add_address(name, *address, *prefix)?,
            Preparation::Listen(address) => open.push(Box::new(std::net::TcpListener::bind(address)?)),
            Preparation::Tcp(from, to) => open.push(Box::new(support::connect_tcp(*from, *to)?)),
            Preparation::Udp(from, to, payload) => {
                let socket = std::net::UdpSocket::bind(from)?;
                socket.send_to(payload, to)?;
                open.push(Box::new(socket));
            }
            Preparation::Sleep(seconds) => thread::sleep(time::Duration::from_secs_f64(*seconds)),
        }
    }
    Ok(open)
}

/// The kernel's own text about this thread's namespace. It lists in the order of its hash tables, which is another in
/// each namespace; so it is put in order here. When it is read in pieces, and other namespaces have services, the kernel
/// (6.1) leaves out lines: only what comes in one piece is of use.
fn kernel_table() -> Result<String> {
    let mut text = vec![0; 1 << 16];
    let length = fs::File::open("/proc/thread-self/net/ip_vs").and_then(|mut file| file.read(&mut text))?;
    let text = String::from_utf8_lossy(&text[..length]);
    if length > 3500 {
        return Ok("(too long)\n".to_owned());
    }
    let mut services: Vec<Vec<&str>> = Vec::new();
    for line in text.lines().skip(3) {
        match services.last_mut() {
            Some(service) if line.starts_with("  ->") => service.push(line),
            _ => services.push(vec![line]),
        }
    }
    for service in &mut services {
        service[1..].sort_unstable();
    }
    services.sort_unstable();
    Ok(services.concat().iter().flat_map(|line| [*line, "\n"]).collect())
}

/// The table of this thread's namespace, with the original's eyes if it may have changed.
fn table(original: &Path, whole: bool) -> Result<Table> {
    let kernel = kernel_table()?;
    if !whole {
        return Ok(Table { kernel, listing: None });
    }
    let stdin = b"-S -n\n-L -n --thresholds\n-L --daemon\n-L --timeout\n";
    let output = Invocation { words: vec!["-R".as_ref()], stdin, ..Invocation::default() }.run(original)?;
    ensure!(output.status == "0", "looking at the table failed: {output:?}");
    let split = output.stdout.find("IP Virtual Server version").context("no listing")?;
    let (rules, rest) = output.stdout.split_at(split);
    Ok(Table { kernel, listing: Some(Listing { rules: rules.to_owned(), rest: rest.to_owned() }) })
}

/// Whether this kernel (Linux 7) makes a table of connections for each namespace with its first service, and sizes it as
/// need be.
fn table_grows() -> bool {
    Path::new("/proc/net/ip_vs_status").exists()
}

/// The output with 4096 as the size of the table of connections, which is what cases say.
fn sized(output: &Output) -> Output {
    const BEFORE: &str = "(size=";
    let mut parts = output.stdout.split(BEFORE);
    let mut stdout = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
        let size = if rest.len() < part.len() && rest.starts_with(')') { "4096" } else { "" };
        stdout.extend([BEFORE, size, if size.is_empty() { part } else { rest }]);
    }
    Output { stdout, ..output.clone() }
}

/// What is wrong with our output, compared with another.
fn compare(theirs: &Output, ours: &Output) -> String {
    let mut text = part("standard output", &theirs.stdout, &ours.stdout);
    text.push_str(&part("standard error", &theirs.stderr, &ours.stderr));
    text.push_str(&part("exit status", &format!("{}\n", theirs.status), &format!("{}\n", ours.status)));
    text
}

/// What is wrong with our output where a case says what it must be.
fn judge(expectation: &Expectation, ours: &Output) -> String {
    let mut text = expectation.stdout.complaint("standard output", &ours.stdout);
    text.push_str(&expectation.stderr.complaint("standard error", &ours.stderr));
    let right = match expectation.status.strip_prefix('!') {
        Some(not) => ours.status != not && !ours.status.starts_with("signal"),
        None => ours.status == expectation.status,
    };
    if !right {
        text.push_str(&part("exit status", &format!("{}\n", expectation.status), &format!("{}\n", ours.status)));
    }
    text
}

fn part(what: &str, expected: &str, actual: &str) -> String {
    if expected == actual { String::new() } else { format!("    {what}:\n{}", difference(expected, actual)) }
}
