//! Signals, and the end, with whatever a verb of the service sends to the kernel.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;

use super::{BY_HAND, EL_RULES, EL_SETTINGS, FILED, run, succeed, table};
use crate::changes::program::way_back;
use crate::strace::Call;
use crate::support;

/// Every verb that changes the table, and what it says in the end if a signal came with a change.
const VERBS: [(&str, &str); 7] = [
    ("start", "finished: the table is what the rules say"),
    ("load", "finished: the table is what the rules say"),
    ("reload", "finished: the table is what the rules say"),
    ("restart", "finished: the table is what the rules say"),
    ("force-reload", "finished: the table is what the rules say"),
    ("stop", "finished: the service is stopped"),
    ("panic", "finished: the table is cleared"),
];

/// Rules, one of them in no file, and a daemon; and no copy of another table.
fn begin() -> Result<()> {
    fs::write(EL_SETTINGS, "IPVS_MODULES_UNLOAD=no\n")?;
    fs::write(EL_RULES, format!("{FILED}-A -f 5 -s rr\n"))?;
    let daemons = "--start-daemon backup --mcast-interface lo --syncid 3\n--stop-daemon master\n";
    fs::write("/run/begin", format!("{FILED}{BY_HAND}{daemons}"))?;
    succeed(&["-R", "--replace", "--file", "/run/begin"])?;
    for entry in fs::read_dir("/run/ipvsadm-rs")? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("before-") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn whole_table() -> Result<String> {
    succeed(&["-S", "-n", "--all"])
}

/// From the first change on they wait for the last; the verb says so, and ends by the signal.
pub fn with_whatever_is_sent() -> Result<()> {
    const ENDS: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];
    for (verb, last) in VERBS {
        let call = Call::of(&["service", verb]);
        begin()?;
        let before = whole_table()?;
        let sends = call.count("sendto", b"")?;
        let after = whole_table()?;
        ensure!(before != after, "{verb} changes nothing");
        let (mut unchanged, mut finished, mut answered) = (0, 0, 0);
        for number in 1..=sends {
            begin()?;
            let signal = ENDS[number % ENDS.len()];
            let output = call.signalled("sendto", signal, number, b"")?;
            let (now, what) = (whole_table()?, format!("{verb}, {signal} at {number} of {sends}: {output:?}"));
            ensure!(output.status == format!("signal {}", signal as i32), "{what}");
            answered += usize::from(output.stderr.contains("finishing: "));
            if finished == 0 && now == before {
                ensure!(output.stderr.is_empty() || output.stderr.ends_with(": nothing was changed\n"), "{what}");
                unchanged += 1;
            } else {
                ensure!(now == after, "{what}: {}", support::difference(&after, &now));
                ensure!(output.stderr.lines().any(|line| line.ends_with(last)), "{what}");
                finished += 1;
            }
        }
        // One change is sent and made at once.
        let told = format!("{verb}: {unchanged} unchanged, {finished} finished, {answered} answered, of {sends}");
        ensure!(unchanged > 0 && finished > 0 && (answered > 0 || verb == "panic"), "{told}");
    }
    Ok(())
}

/// The next command says that it was not finished, and how to go back. What loads rules does so in one way.
pub fn killed_with_whatever_is_sent() -> Result<()> {
    for verb in ["restart", "stop", "panic"] {
        let call = Call::of(&["service", verb]);
        begin()?;
        let before = whole_table()?;
        let sends = call.count("sendto", b"")?;
        let mut told = 0;
        for number in 1..=sends {
            begin()?;
            let output = call.signalled("sendto", Signal::SIGKILL, number, b"")?;
            let what = format!("{verb}, killed at {number} of {sends}: {output:?}");
            ensure!(output.status == "signal 9", "{what}");
            let status = run(&["service", "status"])?;
            match way_back(&status.stderr) {
                Some(command) => {
                    told += 1;
                    ensure!(status.stderr.contains(" did not finish its change of the table; "), "{what}: {status:?}");
                    succeed(&command).with_context(|| what.clone())?;
                }
                None => ensure!(status.stderr.is_empty(), "{what}: {status:?}"),
            }
            let now = whole_table()?;
            ensure!(now == before, "{what}: {status:?} {}", support::difference(&before, &now));
        }
        ensure!(told > 0, "{verb}: nothing is said of the unfinished");
    }
    Ok(())
}

/// What the service threw away for its file, and for its daemons after that, is had back by the command that it names.
pub fn the_way_back() -> Result<()> {
    for (verb, settings) in
        [("restart", ""), ("restart", "IPVS_SAVE_ON_RESTART=no\n"), ("start", ""), ("stop", ""), ("panic", "")]
    {
        begin()?;
        let (rules, before) = (table()?, whole_table()?);
        fs::write(EL_SETTINGS, format!("IPVS_MODULES_UNLOAD=no\n{settings}"))?;
        fs::write(super::DEBIAN_SETTINGS, "AUTO=true\nDAEMON=master\nIFACE=lo\nSYNCID=9\n")?;
        let output = run(&["service", verb])?;
        ensure!(output.status == "0", "{verb}: {output:?}");
        ensure!(table()? != rules, "{verb} changes nothing");
        succeed(&way_back(&output.stderr).with_context(|| format!("{verb}: {output:?}"))?)?;
        let now = match verb {
            "stop" => whole_table()?,
            _ => table()?,
        };
        let expected = if verb == "stop" { &before } else { &rules };
        ensure!(now == *expected, "{verb}: {}", support::difference(expected, &now));
    }
    Ok(())
}
