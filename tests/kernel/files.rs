//! What comes of files that cannot be written, on a real kernel: every system call of a save fails, or is the last one
//! before the program is killed. The error is reported, and the file is the old one or the new one, whole.

mod kept;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context as _, Result, anyhow, ensure};
use nix::sched::{CloneFlags, unshare};

use crate::support::{self, Links, Subject, Trial, ours, trial};

/// What a trial does.
type Run = fn() -> Result<()>;

/// What is tried, and where.
pub fn subject() -> Subject {
    Subject { trials, ..Subject::named("files") }
}

fn trials() -> Result<Vec<Trial>> {
    let trials: [(&str, Run); _] = [
        ("save: killed at every system call", killed_at_every_call),
        ("save: every call on the file's way fails", every_call_fails),
        ("service save: killed, and failing calls", the_service_saves),
        ("save: short writes are gone on with", short_writes),
        ("save: other signals leave nothing behind", other_signals),
        ("save: the new file keeps what the old one has", kept::what_is_kept),
        ("save: nothing is kept that the folder gives or the content had", kept::what_is_not_kept),
        ("save: what may not be kept gives no access", kept::what_may_not_be_kept),
        ("save: a label that may not be kept", kept::a_label_that_may_not_be_kept),
        ("save: under the unit's capabilities", kept::under_the_units_capabilities),
        ("save: hard links", kept::hard_links),
        ("save: links and files that others laid", kept::what_others_laid),
        ("save: a full file system", a_full_file_system),
        ("save: read-only, forbidden, too large", places_that_take_no_file),
        ("save: standard output that fails late", standard_output_that_fails_late),
    ];
    Ok(trials.into_iter().map(|(name, run)| trial(name, move || alone(run))).collect())
}

// ---- tools ----------------------------------------------------------------------------------------------------------

/// A folder in memory, each trial's own.
const FOLDER: &str = "/run/files";
/// The file that is saved.
const RULES: &str = "/run/files/rules";
/// The file that `service save` writes, likewise in memory.
const SERVICE_RULES: &str = "/etc/ipvsadm.rules";
/// What is in it before; rules, and other ones than those in the table.
const OLD: &str = "-A -f 9 -s rr\n";
/// The table.
const NEW: &str = "-A -f 1 -s rr\n-a -f 1 -r 10.0.0.1:0 -g -w 1\n";
/// What `service save` makes of it.
const NEW_OF_SERVICE: &str = "# Saved by ipvsadm-rs; the last line counts the rules\n\
    -A -f 1 -s rr\n-a -f 1 -r 10.0.0.1:0 -g -w 1\n--set 900 120 300\n# End of saved rules: 3 lines\n";
/// What the names of temporary files begin with, as the manual page says.
const TEMPORARY: &str = ".ipvsadm-rs.";

/// Runs a trial with an /etc and a /run of its own, in a network namespace with two rules.
fn alone(run: Run) -> Result<()> {
    thread::scope(|scope| {
        let trial = scope.spawn(|| {
            support::private_mounts()?;
            unshare(CloneFlags::CLONE_NEWNET).context("a new network namespace")?;
            Links::new()?.bring_up("lo")?;
            sh("mount -t tmpfs -o mode=755 tmpfs /etc; mount -t tmpfs -o mode=755 tmpfs /run; mkdir /run/files")?;
            let output = pipe(&["-R"], NEW)?;
            ensure!(output.status.success(), "{output:?}");
            run()
        });
        trial.join().map_err(|_| anyhow!("the test panicked"))?
    })
}

fn sh(script: &str) -> Result<()> {
    let status = Command::new("sh").args(["-ec", script]).stdin(Stdio::null()).status().context("sh")?;
    ensure!(status.success(), "{script}: {status}");
    Ok(())
}

/// Runs the program with this as its input.
fn pipe(words: &[&str], stdin: &str) -> Result<std::process::Output> {
    let file = Path::new(FOLDER).with_extension("stdin");
    fs::write(&file, stdin)?;
    Ok(Command::new(ours()).args(words).stdin(fs::File::open(file)?).output()?)
}

/// A way to save, the file that it writes, and what it writes there.
#[derive(Clone, Copy)]
struct Saving {
    words: &'static [&'static str],
    file: &'static str,
    new: &'static str,
}

const SAVE: Saving = Saving { words: &["-S", "-n", "--file", RULES], file: RULES, new: NEW };
const SERVICE: Saving = Saving { words: &["service", "save"], file: SERVICE_RULES, new: NEW_OF_SERVICE };

/// What a run came to: its exit status, or None if a signal ended it, and what it said.
#[derive(Debug)]
struct Outcome {
    status: Option<i32>,
    stderr: String,
}

impl Saving {
    /// Saves over the old file.
    fn run(&self, strace: &[&str]) -> Result<Outcome> {
        fs::write(self.file, OLD)?;
        self.run_over_what_is_there(strace)
    }

    fn run_over_what_is_there(&self, strace: &[&str]) -> Result<Outcome> {
        let mut command = match strace {
            [] => Command::new(ours()),
            options => {
                let mut command = Command::new("strace");
                command.args(options).arg("--").arg(ours());
                command
            }
        };
        let output = command.args(self.words).stdin(Stdio::null()).output().context("running it")?;
        // strace ends as what it runs does.
        let status = output.status.code().filter(|_| output.status.signal().is_none());
        Ok(Outcome { status, stderr: String::from_utf8_lossy(&output.stderr).into_owned() })
    }

    /// Saves while something becomes of the call of this number among these.
    fn inject(&self, call: &str, number: usize, what: &str) -> Result<Outcome> {
        let inject = format!("inject={call}:{what}:when={number}");
        self.run(&["-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &inject])
    }

    fn folder(&self) -> &'static Path {
        Path::new(self.file).parent().unwrap_or(Path::new("/"))
    }

    /// What is left of unfinished files.
    fn leftovers(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.folder())? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.retain(|name| !["rules", "ipvsadm.rules"].contains(&name.as_str()));
        Ok(names)
    }

    /// The system calls of a save that succeeds, from the first to the last: each with its number among those of its
    /// name, and what it was called with.
    fn calls(&self) -> Result<Vec<Call>> {
        let trace = "/run/trace";
        let outcome = self.run(&["-o", trace])?;
        ensure!(outcome.status == Some(0) && outcome.stderr.is_empty(), "{outcome:?}");
        ensure!(self.is_new()?, "another file was written");
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        let mut calls = Vec::new();
        for line in fs::read_to_string(trace)?.lines() {
            let Some((name, arguments)) = line.split_once('(') else { continue };
            let number = counts.entry(name.to_owned()).or_default();
            *number += 1;
            calls.push(Call { name: name.to_owned(), number: *number, arguments: arguments.to_owned() });
        }
        ensure!(calls.len() > 20, "only {} system calls were seen", calls.len());
        Ok(calls)
    }

    /// The calls on the file's way: from the first that opens a folder of it to the end of the program.
    fn calls_on_the_way(&self) -> Result<Vec<Call>> {
        let mut calls = self.calls()?;
        // The service also asks what rules are in it.
        let last_look = calls.iter().rposition(|call| call.name == "sendto").unwrap_or(0);
        let start =
            calls[last_look..].iter().position(|call| call.name == "openat" && call.arguments.contains("O_PATH"));
        calls.drain(..last_look + start.context("nothing leads to the file")?);
        let end = calls.iter().rposition(|call| call.name == "fsync").context("the folder is not synced")?;
        // What comes after that ends the program: its descriptors are closed.
        let end = end + 1 + calls[end + 1..].iter().take_while(|call| call.name != "sigaltstack").count();
        calls.truncate(end);
        Ok(calls)
    }

    fn is_new(&self) -> Result<bool> {
        let text = fs::read_to_string(self.file)?;
        ensure!(text == OLD || text == self.new, "neither the old file nor the new one: {text:?}");
        Ok(text == self.new)
    }

    /// Killed at the start of this call: the calls before it were made, this one was not.
    fn ensure_killed_well(&self, call: &Call) -> Result<bool> {
        let outcome = self.inject(&call.name, call.number, "signal=KILL").with_context(|| call.to_string())?;
        ensure!(outcome.status.is_none(), "{call}: not killed: {outcome:?}");
        let new = self.is_new().with_context(|| call.to_string())?;
        let left = self.leftovers()?;
        let well = left.len() <= 1 && left.iter().all(|name| name.starts_with(TEMPORARY));
        ensure!(well, "{call}: {left:?} are left");
        for name in left {
            fs::remove_file(self.folder().join(name))?;
        }
        Ok(new)
    }

    /// A call failed: either an error reported it, with the file as it was and nothing beside it, or it did not matter.
    fn ensure_reported(&self, call: &Call, errno: &str, reason: &str) -> Result<Verdict> {
        let outcome = self.inject(&call.name, call.number, &format!("error={errno}"))?;
        let context = || format!("{call} = {errno}: {outcome:?}");
        let new = self.is_new().with_context(context)?;
        ensure!(self.leftovers()?.is_empty(), "{}: {:?} is left", context(), self.leftovers()?);
        match outcome.status {
            Some(0) => {
                ensure!(new && outcome.stderr.is_empty(), "{}: not saved, and nothing reported", context());
                Ok(Verdict::Saved)
            }
            Some(1) => {
                ensure!(outcome.stderr.lines().count() == 1, "{}: not one line", context());
                ensure!(outcome.stderr.starts_with(&format!("{}: ", self.file)), "{}: not the path", context());
                ensure!(outcome.stderr.ends_with(&format!("{reason}\n")), "{}: not {reason:?}", context());
                let honest = "the new file is there, but may be lost if the machine goes down now: ";
                ensure!(outcome.stderr.contains(honest) == new, "{}: the file is new: {new}", context());
                Ok(if new { Verdict::NotDurable } else { Verdict::Refused })
            }
            _ => Err(anyhow!("{}: such a status", context())),
        }
    }
}

/// A system call of a program that was traced.
#[derive(Debug)]
struct Call {
    name: String,
    number: usize,
    arguments: String,
}

impl std::fmt::Display for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} number {}, ({}", self.name, self.number, self.arguments)
    }
}

/// What came of a failing call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Saved,
    Refused,
    NotDurable,
}

/// Calls that cannot fail, or whose failure is not for a program to see.
const NEVER_FAIL: [&str; 4] = ["geteuid", "clock_gettime", "exit_group", "munmap"];

/// Calls that may fail without harm: closing what was only read, a seed for the temporary name, and what keeps signals
/// back. (Closing what was written may not.)
const HARMLESS: [&str; 6] = ["close", "fcntl", "getrandom", "rt_sigprocmask", "signalfd4", "read"];

/// Errors of file systems, and what is said of them.
const ERRORS: [(&str, &str); 6] = [
    ("EIO", "Input/output error"),
    ("ENOSPC", "No space left on device"),
    ("EDQUOT", "Disk quota exceeded"),
    ("EROFS", "Read-only file system"),
    ("EACCES", "Permission denied"),
    ("EPIPE", "Broken pipe"),
];

// ---- killed ---------------------------------------------------------------------------------------------------------

fn killed_at_every_call() -> Result<()> {
    let calls = SAVE.calls()?;
    let rename = calls.iter().position(|call| call.name.starts_with("rename")).context("nothing is renamed")?;
    // The first starts the program: it is strace's own.
    for (at, call) in calls.iter().enumerate().skip(1) {
        let new = SAVE.ensure_killed_well(call)?;
        ensure!(new == (at > rename), "{call}: the file is new: {new}");
    }
    // And no program takes the leftovers for rules, or stumbles over them.
    let fsync = calls.iter().find(|call| call.name == "fsync").context("nothing is synced")?;
    let outcome = SAVE.inject("fsync", fsync.number, "signal=KILL")?;
    ensure!(outcome.status.is_none() && SAVE.leftovers()?.len() == 1, "nothing is left: {outcome:?}");
    let outcome = SAVE.run_over_what_is_there(&[])?;
    ensure!(outcome.status == Some(0) && outcome.stderr.is_empty() && SAVE.is_new()?, "{outcome:?}");
    Ok(())
}

fn other_signals() -> Result<()> {
    let calls = SAVE.calls_on_the_way()?;
    let from = calls.iter().position(|call| call.arguments.contains(TEMPORARY)).context("no temporary file")?;
    let signals = ["TERM", "INT", "HUP", "QUIT"];
    for (call, signal) in calls[from..].iter().zip(signals.iter().cycle()) {
        let outcome = SAVE.inject(&call.name, call.number, &format!("signal={signal}"))?;
        let left = SAVE.leftovers()?;
        ensure!(left.is_empty(), "{call}, SIG{signal}: {left:?} is left");
        // What was begun is ended first.
        ensure!(SAVE.is_new()?, "{call}, SIG{signal}: not the new file: {outcome:?}");
    }
    Ok(())
}

// ---- failing calls --------------------------------------------------------------------------------------------------

fn every_call_fails() -> Result<()> {
    let calls = SAVE.calls_on_the_way()?;
    let mut verdicts: BTreeMap<(&str, usize), Verdict> = BTreeMap::new();
    for call in calls.iter().filter(|call| !NEVER_FAIL.contains(&call.name.as_str())) {
        // Of calls that as a rule do not matter, every error is like the other.
        let errors = if HARMLESS.contains(&call.name.as_str()) { &ERRORS[..2] } else { &ERRORS[..] };
        for (errno, reason) in errors {
            let verdict = SAVE.ensure_reported(call, errno, reason)?;
            let before = verdicts.insert((&call.name, call.number), verdict);
            ensure!(before.is_none_or(|before| before == verdict), "{call}: {before:?}, and with {errno} {verdict:?}");
        }
        // A signal came in between; who can just goes on.
        SAVE.ensure_reported(call, "EINTR", "Interrupted system call")?;
    }
    // What matters is reported, and the folder alone comes too late for the old file.
    let printed = |name: &str, verdict: Verdict| {
        verdicts.iter().filter(|((call, _), of_call)| *call == name && **of_call == verdict).count()
    };
    for name in ["write", "fchown", "fchmod", "close"] {
        ensure!(printed(name, Verdict::Refused) == 1, "{name}: {verdicts:?}");
    }
    let opens = calls.iter().filter(|call| call.name == "openat").count();
    ensure!(printed("openat", Verdict::Refused) == opens, "an open that failed: {verdicts:?}");
    for name in ["listxattr", "fremovexattr"] {
        ensure!(printed(name, Verdict::Refused) == 1, "{name}: {verdicts:?}");
    }
    ensure!(verdicts.iter().any(|((call, _), of_call)| call.starts_with("rename") && *of_call == Verdict::Refused));
    ensure!((printed("fsync", Verdict::Refused), printed("fsync", Verdict::NotDurable)) == (1, 1), "{verdicts:?}");
    let saved: Vec<_> = verdicts.iter().filter(|(_, verdict)| **verdict == Verdict::Saved).collect();
    let harmless = saved.iter().all(|((call, _), _)| HARMLESS.contains(call));
    ensure!(harmless, "failing calls that did not matter: {saved:?}");
    // Not every file system can put a folder on disk.
    let folder = calls.iter().rfind(|call| call.name == "fsync").context("the folder is not synced")?;
    ensure!(SAVE.ensure_reported(folder, "EINVAL", "")? == Verdict::Saved, "EINVAL of the folder is reported");
    Ok(())
}

fn the_service_saves() -> Result<()> {
    let calls = SERVICE.calls_on_the_way()?;
    let mut not_durable = 0;
    for (call, (errno, reason)) in calls.iter().zip(ERRORS.iter().cycle()) {
        SERVICE.ensure_killed_well(call)?;
        if NEVER_FAIL.contains(&call.name.as_str()) {
            continue;
        }
        let verdict = SERVICE.ensure_reported(call, errno, reason)?;
        not_durable += u32::from(verdict == Verdict::NotDurable);
        ensure!(verdict != Verdict::Saved || !["write", "fsync"].contains(&call.name.as_str()), "{call}: {errno}");
    }
    ensure!(not_durable == 1, "the folder's error was reported {not_durable} times");
    // What a killed save left is not loaded.
    let fsync = calls.iter().find(|call| call.name == "fsync").context("nothing is synced")?;
    let outcome = SERVICE.inject("fsync", fsync.number, "signal=KILL")?;
    ensure!(outcome.status.is_none() && SERVICE.leftovers()?.len() == 1, "nothing is left: {outcome:?}");
    let output = pipe(&["service", "load"], "")?;
    // What was in the table and in no file is reported.
    let unsaved = output.stderr.starts_with(b"2 rules of the table were in no file\n");
    ensure!(output.status.success() && unsaved, "{output:?}");
    let output = pipe(&["-S", "-n"], "")?;
    ensure!(output.stdout == OLD.as_bytes(), "{output:?}");
    Ok(())
}

fn short_writes() -> Result<()> {
    // What strace says was written was not: so if the rest follows, that much is missing.
    let write = SAVE.calls_on_the_way()?.into_iter().find(|call| call.name == "write").context("nothing is written")?;
    let outcome = SAVE.inject("write", write.number, "retval=1")?;
    ensure!(outcome.status == Some(0) && outcome.stderr.is_empty(), "{outcome:?}");
    ensure!(fs::read_to_string(RULES)? == NEW[1..], "the rest of a short write: {}", fs::read_to_string(RULES)?);
    let script = "strace -o /dev/null -e trace=write -e inject=write:retval=1:when=1";
    sh(&format!("{script} {} -S -n >/run/files/out", ours().display()))?;
    let out = fs::read_to_string("/run/files/out")?;
    ensure!(out == NEW[1..], "the rest of a short write to standard output: {out}");
    // Nothing at all is written, and no error: that is one, too, and is not retried for ever.
    let outcome = SAVE.inject("write", write.number, "retval=0")?;
    let expected = format!("{RULES}: failed to write whole buffer\n");
    ensure!((outcome.status, &outcome.stderr) == (Some(1), &expected) && !SAVE.is_new()?, "{outcome:?}");
    fs::remove_file("/run/files/out")?;
    // Room for a part of it: a real short write, and then an error.
    sh(&format!("mount -t tmpfs -o size=16k tmpfs {FOLDER}"))?;
    let lines: String = (1..=1000).map(|mark| format!("-A -f {mark} -s rr\n")).collect();
    let output = pipe(&["-R"], &format!("-C\n{lines}"))?;
    ensure!(output.status.success(), "{output:?}");
    fs::write(RULES, OLD)?;
    let trace = "/run/trace";
    let outcome = SAVE.run_over_what_is_there(&["-o", trace, "-e", "trace=write"])?;
    let printed = format!("{RULES}: No space left on device\n");
    ensure!((outcome.status, outcome.stderr.as_str()) == (Some(1), printed.as_str()), "{outcome:?}");
    let writes = fs::read_to_string(trace)?;
    let short = writes.lines().next().and_then(|line| line.rsplit_once(" = ")?.1.parse::<usize>().ok());
    ensure!(short.is_some_and(|written| written > 0 && written < lines.len()), "no short write: {writes}");
    ensure!(fs::read_to_string(RULES)? == OLD && SAVE.leftovers()?.is_empty(), "the old file is gone");
    Ok(())
}

// ---- places that take nothing ---------------------------------------------------------------------------------------

fn a_full_file_system() -> Result<()> {
    for saving in [SAVE, SERVICE] {
        let folder = saving.folder().display();
        sh(&format!("mount -t tmpfs -o size=8k tmpfs {folder}"))?;
        fs::write(saving.file, OLD)?;
        sh(&format!("cat /dev/zero >{folder}/big 2>/dev/null || :"))?;
        let outcome = saving.run_over_what_is_there(&[])?;
        ensure!(outcome.status == Some(1), "{outcome:?}");
        ensure!(outcome.stderr.starts_with(&format!("{}: ", saving.file)), "{outcome:?}");
        ensure!(outcome.stderr.ends_with(": No space left on device\n"), "{outcome:?}");
        ensure!(!saving.is_new()?, "it says that it failed, and the file is new");
        ensure!(saving.leftovers()? == ["big"], "{:?}", saving.leftovers()?);
        // Onto standard output, into a file that the shell has made.
        let script = format!("{} -S -n >{folder}/out", ours().display());
        let output = Command::new("sh").args(["-c", &script]).output()?;
        let printed = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.code() == Some(1), "{output:?}");
        ensure!(printed == "standard output: No space left on device\n", "{printed}");
        // With room again, all is well.
        fs::remove_file(saving.folder().join("big"))?;
        fs::remove_file(saving.folder().join("out"))?;
        let outcome = saving.run_over_what_is_there(&[])?;
        ensure!(outcome.status == Some(0) && outcome.stderr.is_empty() && saving.is_new()?, "{outcome:?}");
        sh(&format!("umount {folder}"))?;
    }
    Ok(())
}

fn places_that_take_no_file() -> Result<()> {
    let ensure_refused = |saving: Saving, outcome: &Outcome, reason: &str| -> Result<()> {
        ensure!(outcome.status == Some(1), "{outcome:?}");
        ensure!(outcome.stderr.starts_with(&format!("{}: ", saving.file)), "{outcome:?}");
        ensure!(outcome.stderr.ends_with(&format!(": {reason}\n")), "not {reason:?}: {outcome:?}");
        ensure!(!saving.is_new()? && saving.leftovers()?.is_empty(), "something was written: {outcome:?}");
        Ok(())
    };
    for saving in [SAVE, SERVICE] {
        fs::write(saving.file, OLD)?;
        let folder = saving.folder().display();
        sh(&format!("mount --bind {folder} {folder}; mount -o remount,bind,ro {folder}"))?;
        ensure_refused(saving, &saving.run_over_what_is_there(&[])?, "Read-only file system")?;
        sh(&format!("umount {folder}"))?;
    }
    // A user who may do everything to the network and nothing to the folder.
    let netadmin = "setpriv --reuid=65534 --regid=65534 --clear-groups --bounding-set=-all,+net_admin \
        --inh-caps=-all,+net_admin --ambient-caps=-all,+net_admin";
    let words = SAVE.words.join(" ");
    let shell = |script: &str| -> Result<Outcome> {
        let output = Command::new("sh").args(["-c", script]).stdin(Stdio::null()).output()?;
        Ok(Outcome { status: output.status.code(), stderr: String::from_utf8_lossy(&output.stderr).into_owned() })
    };
    let program = ours();
    let program = program.display();
    let outcome = shell(&format!("{netadmin} {program} {words}"))?;
    ensure_refused(SAVE, &outcome, "Permission denied")?;
    // Larger than the shell lets files be (in blocks of 512 bytes); the signal for that does not come first.
    let outcome = shell(&format!("ulimit -f 0; exec {program} {words}"))?;
    ensure_refused(SAVE, &outcome, "File too large")?;
    // A folder that may be written to but not read could not be put on disk afterwards.
    sh(&format!("chown 65534:65534 {FOLDER} {RULES}; chmod 300 {FOLDER}"))?;
    let outcome = shell(&format!("{netadmin} {program} {words}"))?;
    ensure_refused(SAVE, &outcome, "Permission denied")?;
    ensure!(fs::metadata(RULES)?.uid() == 65534, "the owner has changed");
    Ok(())
}

/// As NFS does, which says only at closing that there was no room.
fn standard_output_that_fails_late() -> Result<()> {
    let script = |inject: &str| {
        format!("strace -o /run/trace -e trace=dup,fcntl,close -e {inject} {} -S -n >/run/out", ours().display())
    };
    let run = |inject: &str| Command::new("sh").args(["-c", &script(inject)]).output();
    let output = run("inject=none:error=EIO")?;
    ensure!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let trace = fs::read_to_string("/run/trace")?;
    // The last but one: the very last is the socket's.
    let closes: Vec<&str> = trace.lines().filter(|line| line.starts_with("close(")).collect();
    let copy = trace
        .lines()
        .find_map(|line| line.strip_prefix("dup(1)")?.rsplit_once("= ")?.1.parse::<u32>().ok())
        .with_context(|| format!("standard output is not asked: {trace}"))?;
    let number = 1 + closes
        .iter()
        .rposition(|line| line.starts_with(&format!("close({copy})")))
        .with_context(|| format!("the copy is not closed: {trace}"))?;
    for (errno, reason) in [("EDQUOT", "Disk quota exceeded"), ("ENOSPC", "No space left on device")] {
        let output = run(&format!("inject=close:error={errno}:when={number}"))?;
        let printed = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.code() == Some(1), "{output:?}");
        ensure!(printed == format!("standard output: {reason}\n"), "{printed}");
    }
    Ok(())
}
