//! The program as it is called: what the kernel refuses, a signal or the end with whatever it sends, and the way back.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use anyhow::{Context as _, Result, anyhow, ensure};
use ipvs_client::Client;
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::Signal;

use super::live::{SERVERS, SHARED, World};
use crate::strace::Call;
use crate::support::{self, Links, Output, Trial, succeed, trial};
use crate::terminal::pty::Terminal;

/// What a trial does.
pub type Run = fn() -> Result<()>;

/// What is tried.
pub fn trials() -> impl Iterator<Item = Trial> {
    let trials: [(&str, Run); _] = [
        ("program: what is refused touches nothing that serves", what_is_refused_touches_nothing),
        ("program: a daemon that cannot be put back", a_daemon_that_cannot_be_put_back),
        ("program: signals with whatever is sent", signals_with_whatever_is_sent),
        ("program: killed with whatever is sent", killed_with_whatever_is_sent),
        ("program: what is thrown away can be had back", what_is_thrown_away),
        ("program: copies of other namespaces and boots", copies_of_others),
        ("program: no copy for one service or server", no_copy_for_one),
        ("program: no room for a copy", no_room_for_a_copy),
    ];
    trials.into_iter().map(|(name, run)| trial(name, move || alone(run)))
}

/// Runs a trial in a network namespace with a /run of its own.
pub fn alone(run: Run) -> Result<()> {
    thread::scope(|scope| {
        let trial = scope.spawn(|| {
            support::private_mounts()?;
            unshare(CloneFlags::CLONE_NEWNET).context("a new network namespace")?;
            Links::new()?.bring_up("lo")?;
            sh("mount -t tmpfs -o mode=755,size=4m tmpfs /run")?;
            run()
        });
        trial.join().map_err(|_| anyhow!("the test panicked"))?
    })
}

/// Writes a file of rules. Returns its name.
pub fn file(name: &str, rules: &str) -> Result<String> {
    let path = format!("/run/{name}");
    fs::write(&path, rules)?;
    Ok(path)
}

/// All that a copy of the table has.
pub fn table() -> Result<String> {
    succeed(&["-S", "-n", "--all"], b"")
}

/// Makes the table that of this file, in its order.
pub fn reach(file: &str) -> Result<()> {
    let output = support::run(&["-R", "--replace", "--reorder", "--file", file], b"")?;
    ensure!(output.status == "0" && only_costs(&output), "{output:?}");
    Ok(())
}

/// Whether nothing is said but what an order costs.
fn only_costs(output: &Output) -> bool {
    output.stderr.lines().all(|line| line.contains(": servers to delete and add again: "))
}

/// The command that a message names for the way back, as words behind the program's name, which is that by which it was called.
pub fn way_back(said: &str) -> Option<Vec<&str>> {
    let (_, command) = said.split_once("to restore the table from before: ipvsadm")?;
    Some(command.lines().next()?.split(' ').skip(1).collect())
}

// ---- refusals -------------------------------------------------------------------------------------------------------

/// One of the shared services is to go, one is to lose the server of a live connection, one is edited: what is refused is
/// refused before any of that.
fn what_is_refused_touches_nothing() -> Result<()> {
    let world = World::new()?;
    let [_, second, third] = SHARED;
    let [server, _] = SERVERS;
    succeed(&["-R"], b"-A -f 7 -s rr\n--set 1000 100 400\n--start-daemon backup --mcast-interface lo --syncid 3\n")?;
    let wanted = format!(
        "-A -t {second} -s wlc\n-a -t {second} -r {server} -m -w 5\n\
         -A -t {third} -s wrr -p 60\n-a -t {third} -r {server} -m -w 5\n\
         -A -f 8 -s rr\n-a -f 8 -r 10.0.0.9 -g\n--set 900 120 300\n"
    );
    let (before, mut client) = (table()?, Client::connect()?);
    world.count(&mut client)?;
    let refused = [
        // A new service, a new server, an edit, and daemons: one that is not to run is started and stopped again, and one that
        // runs is put back.
        wanted.clone() + "-A -f 9 -s nosuch\n",
        wanted.clone() + "-a -f 8 -r 224.0.0.1 -g\n",
        wanted.replace("-s wrr -p 60", "-s nosuch"),
        wanted.clone() + "--start-daemon master --mcast-interface nosuch\n--stop-daemon backup\n",
        wanted.clone() + "--start-daemon master --mcast-interface lo\n--start-daemon backup --mcast-interface nosuch\n",
        wanted.clone()
            + "--start-daemon backup --mcast-interface lo --syncid 9\n--start-daemon master --mcast-interface x\n",
    ];
    let restore = Call::of(&[]).by_name(Path::new("/run"), "ipvsadm-restore")?;
    for rules in refused {
        let name = file("refused", &rules)?;
        let outputs = [
            support::run(&["-R", "--replace", "--file", &name], b"")?,
            support::run(&["-R", "--replace"], rules.as_bytes())?,
            restore.run(rules.as_bytes())?,
        ];
        for output in outputs {
            let whole = output.stderr.ends_with(": the table is as it was before\n");
            ensure!(output.status == "1" && output.stdout.is_empty() && whole, "{output:?}\n{rules}");
            ensure!(output.stderr.lines().count() == 2, "{output:?}\n{rules}");
            let now = table()?;
            ensure!(now == before, "{output:?}\n{rules}{}", support::difference(&before, &now));
            world.talk_on_all().with_context(|| format!("{output:?}\n{rules}"))?;
            world.count(&mut client)?;
        }
    }
    ensure!(!Path::new("/run/ipvsadm-rs/changes").exists(), "a copy is left of a change that was rolled back");
    Ok(())
}

/// The link that it runs on goes away, so that it cannot be started again. The message names it, and says that the table is
/// another.
fn a_daemon_that_cannot_be_put_back() -> Result<()> {
    sh("ip link add sync0 type dummy && ip link set sync0 up")?;
    succeed(&["-A", "-f", "5", "-s", "rr"], b"")?;
    succeed(&["--start-daemon", "backup", "--mcast-interface", "sync0", "--syncid", "3"], b"")?;
    sh("ip link del sync0")?;
    let rules = "-A -f 5 -s rr\n--start-daemon backup --mcast-interface lo --syncid 9\n\
                 --start-daemon master --mcast-interface nosuch\n";
    let output = support::run(&["-R", "--replace"], rules.as_bytes())?;
    ensure!(output.status == "1" && output.stdout.is_empty(), "{output:?}");
    let lines: Vec<&str> = output.stderr.lines().collect();
    let [refused, back, now, copy] = lines[..] else { anyhow::bail!("{output:?}") };
    ensure!(refused == "<stdin>:3: No such device", "{refused}");
    let expected = "<stdin>: No such device, rolling back by: --start-daemon backup --mcast-interface=sync0 --syncid 3";
    ensure!(back.starts_with(expected), "{back}");
    ensure!(now == "<stdin>: the table is not as it was before: rules that differ: 1", "{now}");
    ensure!(copy.starts_with("<stdin>: to restore the table from before: "), "{copy}");
    ensure!(succeed(&["-L", "--daemon"], b"")?.is_empty(), "a daemon runs");
    Ok(())
}

// ---- signals and the end --------------------------------------------------------------------------------------------

const BEFORE: &str = "\
    # Saved by ipvsadm-rs; the last line counts the rules; servers of sh, mh and dh are in their order of addition\n\
    -A -t 10.0.0.1:80 -s rr\n-a -t 10.0.0.1:80 -r 10.0.1.1:80 -m -w 1\n-a -t 10.0.0.1:80 -r 10.0.1.2:80 -m -w 2\n\
    -A -f 4 -s sh\n-a -f 4 -r 10.0.1.3 -g\n-a -f 4 -r 10.0.1.1 -g\n-a -f 4 -r 10.0.1.2 -g\n\
    -A -f 5 -s wlc\n--set 1000 100 400\n--start-daemon backup --mcast-interface lo --syncid 3\n--stop-daemon master\n\
    # End of saved rules: 11 lines\n";
const AFTER: &str = "\
    -A -t 10.0.0.1:80 -s wrr\n-a -t 10.0.0.1:80 -r 10.0.1.2:80 -m -w 7\n-a -t 10.0.0.1:80 -r 10.0.1.3:80 -m -w 2\n\
    -A -f 4 -s sh\n-a -f 4 -r 10.0.1.1 -g\n-a -f 4 -r 10.0.1.3 -g\n-a -f 4 -r 10.0.1.4 -g\n\
    -A -f 6 -s wlc\n--set 900 120 300\n--stop-daemon backup\n--start-daemon master --mcast-interface lo --syncid 4\n";
/// What is new with [`AFTER`] and is refused.
const REFUSED: &str = "-A -f 7 -s nosuch\n";
/// Lines for plain `-R`, the last of which the kernel refuses.
const LINES: &str = "-A -f 8 -s rr\n-a -f 8 -r 10.0.0.9 -g\n-E -f 5 -s rr\n-L -n\n-D -f 5\n-A -f 8 -s rr\n";

/// The signals that end a program at a terminal, in a script, and with its session.
const ENDS: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// A way to change the table from [`BEFORE`], as tables and words.
struct Way {
    call: Call,
    stdin: &'static str,
    /// The table that it makes.
    after: String,
    /// What it says in the end, if a signal came with a change.
    last: &'static str,
}

/// All ways, and the table before.
fn ways() -> Result<(String, Vec<Way>)> {
    let names = [("before", BEFORE.to_owned()), ("after", AFTER.to_owned()), ("refused", AFTER.to_owned() + REFUSED)];
    let [before, after, refused] = names.map(|(name, rules)| file(name, &rules));
    let (before, after, refused) = (before?, after?, refused?);
    let lines = file("lines", LINES)?;
    let table_of = |make: &dyn Fn() -> Result<()>| -> Result<String> {
        reach(&before)?;
        make()?;
        table()
    };
    let as_before = table_of(&|| Ok(()))?;
    let replaced = table_of(&|| succeed(&["-R", "--replace", "--file", &after], b"").map(drop))?;
    let in_order = table_of(&|| reach(&after))?;
    ensure!(replaced != in_order, "{in_order}");
    let restored = table_of(&|| support::run(&["-R", "--file", &lines], b"").map(drop))?;
    let cleared = table_of(&|| succeed(&["-C"], b"").map(drop))?;
    let finished = "finished: the table is what the rules say";
    let ways = vec![
        Way {
            call: Call::of(&["-R", "--replace", "--file", &after]),
            stdin: "",
            after: replaced.clone(),
            last: finished,
        },
        Way { call: Call::of(&["-R", "--replace"]), stdin: AFTER, after: replaced.clone(), last: finished },
        Way {
            call: Call::of(&["-R", "--replace", "--keep-going", "--file", &after]),
            stdin: "",
            after: replaced.clone(),
            last: "finished",
        },
        Way {
            call: Call::of(&[]).by_name(Path::new("/run"), "ipvsadm-restore")?,
            stdin: AFTER,
            after: replaced,
            last: finished,
        },
        Way {
            call: Call::of(&["-R", "--replace", "--file", &refused]),
            stdin: "",
            after: as_before.clone(),
            last: "the table is as it was before",
        },
        Way { call: Call::of(&["-R", "--file", &lines]), stdin: "", after: restored, last: "finished" },
        Way { call: Call::of(&["-C"]), stdin: "", after: cleared, last: "" },
        Way {
            call: Call::of(&["-R", "--replace", "--reorder", "--file", &after]),
            stdin: "",
            after: in_order,
            last: finished,
        },
    ];
    Ok((as_before, ways))
}

/// From the first change on they wait for the last, and the program says what it has done and ends by the signal.
fn signals_with_whatever_is_sent() -> Result<()> {
    let (before, ways) = ways()?;
    for Way { call, stdin, after, last } in ways {
        reach("/run/before")?;
        let sends = call.count("sendto", stdin.as_bytes())?;
        let (mut unchanged, mut finished, mut answered) = (0, 0, 0);
        for number in 1..=sends {
            reach("/run/before")?;
            let signal = ENDS[number % ENDS.len()];
            let output = call.signalled("sendto", signal, number, stdin.as_bytes())?;
            let now = table()?;
            let told = format!("{call:?}, {signal} at {number} of {sends}: {output:?}");
            ensure!(output.status == format!("signal {}", signal as i32), "{told}");
            ensure!(now == before || now == after, "{told}: {}", support::difference(&after, &now));
            answered += usize::from(output.stderr.contains("finishing: ") || output.stderr.contains("rolling back: "));
            let silent = only_costs(&output) || output.stderr.ends_with(": nothing was changed\n");
            if finished == 0 && silent && now == before {
                unchanged += 1;
            } else {
                let ends = output.stderr.trim_end().ends_with(last);
                ensure!(ends && now == after, "not {last:?}, {told}: {}", support::difference(&after, &now));
                finished += 1;
            }
        }
        let told = format!("{call:?}: {unchanged} unchanged, {finished} finished, {answered} answered, of {sends}");
        ensure!(unchanged > 0 && finished > 0 && (answered > 0 || last.is_empty()), "{told}");
    }
    Ok(())
}

/// Whatever the table is then, the next command says that the change was not finished, and by which command it goes back.
fn killed_with_whatever_is_sent() -> Result<()> {
    // strace counts each call by itself.
    const CALLS: [&str; 6] = ["sendto", "rename", "unlink", "rmdir", "mkdir", "flock"];
    let (before, ways) = ways()?;
    // The copy of the table is written by the same calls for all ways; a few are enough.
    let ways = ways.iter().enumerate().filter(|(number, _)| ![1, 2, 4].contains(number));
    for (number, Way { call, stdin, .. }) in ways {
        for calls in CALLS.iter().take(if number == 0 { CALLS.len() } else { 1 }) {
            killed_with_each(call, stdin.as_bytes(), calls, &before)?;
        }
    }
    Ok(())
}

fn killed_with_each(call: &Call, stdin: &[u8], calls: &str, before: &str) -> Result<()> {
    begin()?;
    let of = call.count(calls, stdin)?;
    let mut told = 0;
    for number in 1..=of {
        begin()?;
        let output = call.signalled(calls, Signal::SIGKILL, number, stdin)?;
        let what = format!("{call:?}, killed at {number} of {of} ({calls})");
        ensure!(output.status == "signal 9", "{what}: {output:?}");
        let listed = support::run(&["-L", "-n"], b"")?;
        let now = support::run(&["-S", "-n", "--all"], b"")?.stdout;
        let Some(command) = way_back(&listed.stderr) else {
            let is_finished = finished_copies()?.len() == 1;
            ensure!(listed.stderr.is_empty() && (now == before || is_finished), "{what}: {listed:?}\n{now}");
            continue;
        };
        told += 1;
        ensure!(listed.stderr.contains(") did not finish its change of the table; "), "{what}: {listed:?}");
        // The next but one says so as well, and the way back leads back and needs no word.
        ensure!(support::run(&["-L", "-n"], b"")?.stderr == listed.stderr, "{what}: it is said once");
        let back = support::run(&command, b"")?;
        ensure!(back.status == "0" && only_costs(&back), "{what}: {back:?}");
        let now = table()?;
        ensure!(now == before, "{what}: {}", support::difference(before, &now));
    }
    ensure!(told > 0 || calls != "sendto", "{call:?}: nothing is said of the unfinished at any of {of} ({calls})");
    Ok(())
}

/// Makes the table [`BEFORE`], with no copy of another.
fn begin() -> Result<()> {
    reach("/run/before")?;
    finished_copies()?.iter().try_for_each(fs::remove_file)?;
    Ok(())
}

/// Copies of tables from before changes that were finished.
fn finished_copies() -> Result<Vec<std::path::PathBuf>> {
    let paths = fs::read_dir("/run/ipvsadm-rs")?.map(|entry| Ok(entry?.path()));
    let paths = paths.collect::<Result<Vec<_>>>()?;
    Ok(paths.into_iter().filter(|path| path.to_string_lossy().contains("/before-")).collect())
}

// ---- the way back ---------------------------------------------------------------------------------------------------

/// At a terminal a message names the command; in a script there is the same file.
fn what_is_thrown_away() -> Result<()> {
    let (before, after) = (file("before", BEFORE)?, file("after", AFTER)?);
    for words in [&["-C"][..], &["-R", "--replace", "--file", &after], &["-R", "--file", "/run/lines"]] {
        file("lines", LINES)?;
        reach(&before)?;
        let as_before = table()?;
        let mut terminal = Terminal::start(24, 200, words)?;
        terminal.wait_for("the way back", |screen| screen.contains("to restore the table from before: "))?;
        terminal.end()?;
        ensure!(table()? != as_before, "{words:?} changed nothing");
        let screen = terminal.screen();
        let command = way_back(&screen).with_context(|| screen.clone())?;
        let copy = command.last().context("no file is named")?;
        use std::os::unix::fs::PermissionsExt as _;
        ensure!(fs::metadata(copy)?.permissions().mode() & 0o777 == 0o600, "{copy}: its mode");
        let back = support::run(&command, b"")?;
        ensure!(back.status == "0" && only_costs(&back), "{back:?}");
        // -C leaves timeouts and daemons alone.
        let now = table()?;
        ensure!(now == as_before, "{words:?}: {}", support::difference(&as_before, &now));
    }
    Ok(())
}

/// What was not finished in one network namespace is nothing to others, and nothing after the next boot.
fn copies_of_others() -> Result<()> {
    let (_, ways) = ways()?;
    let Way { call, stdin, .. } = ways.first().context("there is no way to change the table")?;
    let unfinished = || -> Result<String> {
        for number in 1..=call.count("sendto", stdin.as_bytes())? {
            begin()?;
            call.signalled("sendto", Signal::SIGKILL, number, stdin.as_bytes())?;
            let said = support::run(&["-L", "-n"], b"")?.stderr;
            if way_back(&said).is_some() {
                return Ok(said);
            }
        }
        anyhow::bail!("nothing is said of the unfinished")
    };
    let said = unfinished()?;
    support::in_fresh_namespace(|| succeed(&["-L", "-n"], b"").map(drop)).context("in another namespace")?;
    let copy = *way_back(&said).and_then(|words| words.last().copied()).as_ref().context("no file is named")?;
    let text = fs::read_to_string(copy)?;
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    ensure!(text.contains(boot.trim()), "{text}");
    fs::write(copy, text.replace(boot.trim(), "c0ffee00-0000-4000-8000-000000000000"))?;
    succeed(&["-L", "-n"], b"").context("after another boot")?;
    fs::write(copy, text)?;
    ensure!(support::run(&["-L", "-n"], b"")?.stderr == said, "it is not said again");
    Ok(())
}

/// What is done to one service or server at a time costs no copy of the table.
fn no_copy_for_one() -> Result<()> {
    reach(&file("before", BEFORE)?)?;
    let as_before = table()?;
    let copies = || fs::read_dir("/run/ipvsadm-rs").map(Iterator::count);
    let files = copies()?;
    for words in [
        "-A -f 9 -s rr",
        "-E -f 9 -s wlc",
        "-a -f 9 -r 10.0.1.9:0 -g",
        "-e -f 9 -r 10.0.1.9:0 -g -w 7",
        "-d -f 9 -r 10.0.1.9:0",
        "-Z -f 9",
        "-D -f 9",
    ] {
        let call = Call::of(&words.split(' ').collect::<Vec<_>>());
        let made = call.count("mkdir,rename,unlink", b"")?;
        ensure!(made == 0 && copies()? == files, "{words}: a copy is made");
    }
    ensure!(table()? == as_before, "not all of these were carried out");
    Ok(())
}

/// Where the table cannot be written down the change is made, with a message, and nothing is left behind.
fn no_room_for_a_copy() -> Result<()> {
    let (before, after) = (file("before", BEFORE)?, file("after", AFTER)?);
    reach(&before)?;
    succeed(&["-R", "--replace", "--file", &after], b"")?;
    let as_after = table()?;
    for (spoil, back, reason) in [
        ("mount -o remount,ro /run", "mount -o remount,rw /run", "Read-only file system"),
        ("dd if=/dev/zero of=/run/filler bs=4k 2>/dev/null || true", "rm /run/filler", "No space left on device"),
    ] {
        reach(&before)?;
        sh(&format!("rm -f /run/ipvsadm-rs/before-*; {spoil}"))?;
        let said = format!("/run/ipvsadm-rs: {reason}: going on without a copy of the table\n");
        for (words, expected) in [(&["-R", "--replace", "--file", &after][..], as_after.as_str()), (&["-C"], "")] {
            let output = support::run(words, b"")?;
            ensure!(output.status == "0" && output.stderr == said && output.stdout.is_empty(), "{words:?}: {output:?}");
            let now = table()?;
            ensure!(expected.is_empty() || now == *expected, "{}", support::difference(expected, &now));
        }
        ensure!(succeed(&["-S", "-n"], b"")?.is_empty(), "-C did not clear the table");
        sh(back)?;
        ensure!(finished_copies()?.is_empty() && !Path::new("/run/ipvsadm-rs/changes").exists(), "a copy is left");
    }
    Ok(())
}

fn sh(script: &str) -> Result<()> {
    let status = Command::new("sh").args(["-c", script]).status()?;
    ensure!(status.success(), "{script}: {status}");
    Ok(())
}
