//! `--confirm`, while others change the table: what is rolled back, what is left alone, and what is an answer.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::{Signal, kill};

use super::program::{Run, alone, file, reach, table, way_back};
use crate::support::{self, Holder, Trial, ours, succeed, trial};
use crate::terminal::pty::Terminal;

/// What is tried.
pub fn trials() -> impl Iterator<Item = Trial> {
    let trials: [(&str, Run); _] = [
        ("confirm: rule by rule", rule_by_rule),
        ("confirm: the order goes back", the_order_goes_back),
        ("confirm: the table is replaced in between", replaced_in_between),
        ("confirm: two that wait", two_that_wait),
        ("confirm: what is typed ahead", typed_ahead),
        ("confirm: signals", signals),
        ("confirm: in the background", in_the_background),
    ];
    trials.into_iter().map(|(name, run)| trial(name, move || alone(run)))
}

const BEFORE: &str = "\
    -A -t 10.0.0.1:80 -s rr\n-a -t 10.0.0.1:80 -r 10.0.1.1:80 -m -w 1\n-a -t 10.0.0.1:80 -r 10.0.1.2:80 -m -w 1\n\
    -A -f 5 -s wlc\n-a -f 5 -r 10.0.1.1:0 -g -w 1\n";
const AFTER: &str = "\
    -A -t 10.0.0.1:80 -s wrr\n-a -t 10.0.0.1:80 -r 10.0.1.1:80 -m -w 5\n-a -t 10.0.0.1:80 -r 10.0.1.2:80 -m -w 6\n\
    -a -t 10.0.0.1:80 -r 10.0.1.3:80 -m -w 7\n-a -t 10.0.0.1:80 -r 10.0.1.4:80 -m -w 8\n\
    -A -f 6 -s rr\n-a -f 6 -r 10.0.1.1:0 -g -w 1\n-A -f 7 -s rr\n";

/// A replacement by these rules that waits for an answer.
fn asked(name: &str, rules: &str) -> Result<Terminal> {
    let path = file(name, rules)?;
    let mut terminal = Terminal::start(30, 200, &["-R", "--replace", "--file", &path, "--confirm", "600"])?;
    terminal.wait_for("the question", |screen| screen.contains("Keep it so?"))?;
    Ok(terminal)
}

/// It is answered, and ends with this status. Returns the screen.
fn answer(mut terminal: Terminal, words: &str, status: &str) -> Result<String> {
    terminal.write(format!("{words}\n").as_bytes())?;
    let ended = terminal.end()?;
    let screen = terminal.screen();
    ensure!(ended == status, "status {ended}:\n{screen}");
    Ok(screen)
}

fn ensure_table(expected: &str) -> Result<()> {
    let now = succeed(&["-S", "-n"], b"")?;
    ensure!(now == expected, "{}", support::difference(expected, &now));
    Ok(())
}

/// What is as it was made goes back; a health checker's weights, and what others have made or edited, stays and is named.
fn rule_by_rule() -> Result<()> {
    reach(&file("before", BEFORE)?)?;
    let terminal = asked("after", AFTER)?;
    for words in [
        // One that was there, and one that is new.
        "-e -t 10.0.0.1:80 -r 10.0.1.1:80 -m -w 0",
        "-e -t 10.0.0.1:80 -r 10.0.1.3:80 -m -w 0",
        // A server of a service that is new, an edit, and a service.
        "-a -f 6 -r 10.0.1.9:0 -g -w 1",
        "-E -f 7 -s lc",
        "-A -f 8 -s rr",
    ] {
        succeed(&words.split(' ').collect::<Vec<_>>(), b"").context("while an answer is waited for")?;
    }
    let screen = answer(terminal, "no", "1")?;
    ensure_table(
        "-A -t 10.0.0.1:80 -s rr\n-a -t 10.0.0.1:80 -r 10.0.1.1:80 -m -w 0\n-a -t 10.0.0.1:80 -r 10.0.1.2:80 -m -w 1\n\
         -A -f 5 -s wlc\n-a -f 5 -r 10.0.1.1:0 -g -w 1\n\
         -A -f 6 -s rr\n-a -f 6 -r 10.0.1.9:0 -g -w 1\n\
         -A -f 7 -s lc\n-A -f 8 -s rr\n",
    )
    .with_context(|| screen.clone())?;
    let kept: Vec<&str> = screen
        .lines()
        .filter_map(|line| line.trim_end().split_once("not rolled back, as another program has changed it since: "))
        .map(|(_, rule)| rule)
        .collect();
    let expected = ["-A -f 6 -s rr", "-A -f 7 -s rr", "-e -t 10.0.0.1:80 -r 10.0.1.1:80 -m -w 5"];
    ensure!(kept == expected, "{kept:?}\n{screen}");
    ensure!(screen.contains("the table is not as it was before: another program changed it"), "{screen}");
    // Of all that there still is a copy.
    succeed(&way_back(&screen).context("no way back is named")?, b"")?;
    ensure_table(BEFORE)
}

/// What is deleted and comes back is the newest of its service. With `--reorder` it goes to where it was, without it that is said,
/// and the copy brings the order back.
fn the_order_goes_back() -> Result<()> {
    let rules = "-A -f 5 -s sh\n-a -f 5 -r 10.0.1.1:0 -g -w 1\n-a -f 5 -r 10.0.1.2:0 -g -w 1\n";
    let more = format!("{rules}-a -f 5 -r 10.0.1.3:0 -g -w 1\n");
    let fewer = rules.replace("-a -f 5 -r 10.0.1.1:0 -g -w 1\n", "");
    let turned = rules.replace("10.0.1.1:0", "10.0.1.0:0");
    let order = || succeed(&["-S", "-n", "--all"], b"");
    for after in [&fewer, &turned, &more] {
        for reorder in [false, true] {
            reach(&file("before", rules)?)?;
            // In no order of any file.
            succeed(&["-a", "-f", "5", "-r", "10.0.1.0"], b"")?;
            let before = order()?;
            let path = file("after", after)?;
            let words = ["-R", "--replace", "--file", &path, "--confirm", "600", "--reorder"];
            let mut terminal = Terminal::start(30, 200, &words[..if reorder { 7 } else { 6 }])?;
            terminal.wait_for("the question", |screen| screen.contains("Keep it so?"))?;
            let screen = answer(terminal, "no", "1")?;
            if order()? != before {
                ensure!(!reorder, "{after}: {} is not {before}: {screen}", order()?);
                let said = "the table is as it was before, but servers of sh, mh or dh are in another order";
                ensure!(screen.contains(said), "{screen}");
                let back = support::run(&way_back(&screen).context("no way back is named")?, b"")?;
                ensure!(back.status == "0" && back.stderr.contains("servers to delete and add again"), "{back:?}");
                ensure!(order()? == before, "{after}: {} is not {before}: {screen}", order()?);
            } else {
                ensure!(screen.contains("the table is as it was before"), "{screen}");
                ensure!(reorder || *after == more, "{after}: nothing was in another order: {screen}");
            }
        }
    }
    Ok(())
}

/// Whatever replaces the table says that an answer is waited for, in one line, and is neither refused nor made to wait. Then
/// nothing is rolled back, be it what was there before or nothing.
fn replaced_in_between() -> Result<()> {
    const PROGRAM: &str = "/run/program";
    let other = file("other", "-A -f 6 -s rr\n-a -f 6 -r 10.0.1.1:0 -g -w 1\n-A -f 9 -s rr\n")?;
    let same = file("same", AFTER)?;
    let nothing = file("nothing", "# none\n")?;
    std::os::unix::fs::symlink(ours(), "/run/ipvsadm-restore")?;
    let restore = format!("/run/ipvsadm-restore <{other}");
    let by_lines = file("lines", &format!("-C\n{}", std::fs::read_to_string(&other)?))?;
    let replace = |file: &str| format!("{PROGRAM} -R --replace --lock-wait 0 --file {file}");
    std::os::unix::fs::symlink(ours(), PROGRAM)?;
    for before in [BEFORE, ""] {
        for (after, command) in [
            (AFTER, replace(&other)),
            (AFTER, replace(&other) + " --keep-going"),
            // What is in the table already is as well what is wanted.
            (AFTER, replace(&same)),
            (AFTER, replace(&same) + " --keep-going"),
            (AFTER, restore.clone()),
            (AFTER, format!("{PROGRAM} -R --file {by_lines}")),
            (AFTER, replace(&nothing) + " 2>&1 | grep -v 'the table is empty now' >&2"),
            ("-A -f 9 -s rr\n", replace(&other)),
            ("", replace(&other)),
        ] {
            if before == after {
                continue;
            }
            reach(&file("before", before)?).or_else(|_| succeed(&["-C"], b"").map(drop))?;
            let terminal = asked("after", after)?;
            let output = Command::new("bash").args(["-c", &command]).output()?;
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let context = || format!("{before:?}, {after:?}, {command}: {said}");
            let is_one_line = said.ends_with(") still waits for the confirmation of its change of the table\n")
                && said.lines().count() == 1;
            ensure!(said.starts_with("process ") && is_one_line, "{}", context());
            let replaced = table()?;
            let screen = answer(terminal, "no", "1").with_context(context)?;
            ensure!(
                screen.contains("another process has replaced the table since: nothing is rolled back"),
                "{screen}"
            );
            let now = table()?;
            ensure!(now == replaced, "{}: {}", context(), support::difference(&replaced, &now));
            // Nothing is left to be reported.
            succeed(&["-L", "-n"], b"").with_context(context)?;
        }
    }
    // To say yes then is too late, and not said to be well.
    reach(&file("before", BEFORE)?)?;
    let terminal = asked("after", AFTER)?;
    ensure!(support::run(&["-R", "--replace", "--file", &other], b"")?.status == "0", "it is refused");
    let screen = answer(terminal, "yes", "1")?;
    ensure!(screen.contains("another process has replaced the table since: it is not what the rules say"), "{screen}");
    Ok(())
}

/// Each answer is about its own change, and the later one has the last word.
fn two_that_wait() -> Result<()> {
    const LAST: &str = "-A -f 6 -s rr\n-a -f 6 -r 10.0.1.1:0 -g -w 1\n-A -f 9 -s rr\n";
    for (first, second, expected) in [
        // The first is answered first.
        (("no", "1"), ("yes", "0"), LAST),
        (("yes", "0"), ("no", "1"), AFTER),
        (("yes", "0"), ("yes", "0"), LAST),
    ] {
        reach(&file("before", BEFORE)?)?;
        let one = asked("after", AFTER)?;
        let other = asked("last", LAST)?;
        ensure!(other.screen().contains("still waits for the confirmation"), "{}", other.screen());
        let screens = [answer(one, first.0, first.1)?, answer(other, second.0, second.1)?];
        ensure_table(expected).with_context(|| format!("{first:?} {second:?} {screens:?}"))?;
        succeed(&["-L", "-n"], b"")?;
    }
    for (first, second, expected) in [
        // The second is.
        (("no", "1"), ("no", "1"), BEFORE),
        (("yes", "0"), ("no", "1"), AFTER),
        (("no", "1"), ("yes", "0"), LAST),
    ] {
        reach(&file("before", BEFORE)?)?;
        let one = asked("after", AFTER)?;
        let other = asked("last", LAST)?;
        let screens = [answer(other, second.0, second.1)?, answer(one, first.0, first.1)?];
        ensure_table(expected).with_context(|| format!("{first:?} {second:?} {screens:?}"))?;
        succeed(&["-L", "-n"], b"")?;
    }
    Ok(())
}

/// While the program waits for the lock, say, and before it asks.
fn typed_ahead() -> Result<()> {
    reach(&file("before", BEFORE)?)?;
    let path = file("after", AFTER)?;
    for ahead in ["yes\n", "yes\nyes\n", "ye"] {
        let holder = Holder::start()?;
        let words = ["-R", "--replace", "--file", &path, "--confirm", "600"];
        let mut terminal = Terminal::start(24, 200, &words)?;
        terminal.wait_for("the wait", |screen| screen.contains("waiting for "))?;
        terminal.write(ahead.as_bytes())?;
        // It has come once the terminal shows it.
        terminal.wait_for("the echo", |screen| screen.contains("ye"))?;
        drop(holder);
        terminal.wait_for("the question", |screen| screen.contains("Keep it so?"))?;
        let screen = answer(terminal, "s", "1").with_context(|| format!("{ahead:?}"))?;
        ensure!(screen.contains("the table is as it was before"), "{ahead:?}: {screen}");
        ensure_table(BEFORE)?;
    }
    let screen = answer(asked("after", AFTER)?, "Yes", "0")?;
    ensure!(screen.contains("to restore the table from before: "), "{screen}");
    ensure_table(AFTER)
}

/// Any of them means no.
fn signals() -> Result<()> {
    reach(&file("before", BEFORE)?)?;
    for signal in ANY {
        let mut terminal = asked("after", AFTER)?;
        kill(terminal.process()?, signal)?;
        let ended = terminal.end().with_context(|| signal.to_string())?;
        let screen = terminal.screen();
        ensure!(ends_by(&ended, signal), "{signal}: {ended}: {screen}");
        ensure!(screen.contains("the table is as it was before"), "{signal}: {screen}");
        ensure_table(BEFORE).with_context(|| signal.to_string())?;
    }
    let terminal = asked("after", AFTER)?;
    terminal.hang_up()?;
    ensure_table(BEFORE)
}

/// Signals that would end or stop a program, but for those that nothing can keep back.
pub const ANY: [Signal; 12] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
    Signal::SIGXCPU,
    Signal::SIGVTALRM,
    Signal::SIGTSTP,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
];

/// Whether a status is that of a program that this signal ends, or with 128 and its number where it only stops one.
pub fn ends_by(status: &str, signal: Signal) -> bool {
    match signal {
        Signal::SIGTSTP | Signal::SIGTTIN | Signal::SIGTTOU => status == (128 + signal as i32).to_string(),
        _ => status == format!("signal {}", signal as i32),
    }
}

/// What runs in the background may not read from the terminal, and under `stty tostop` not write there, or is stopped.
fn in_the_background() -> Result<()> {
    reach(&file("before", BEFORE)?)?;
    let path = file("after", AFTER)?;
    let script = "set -m; stty tostop; \"$0\" -R --replace --file \"$1\" --confirm 1 & wait $!; s=$?; stty -tostop; echo ended: $s";
    let mut shell = Command::new("bash");
    shell.args(["-c", script]).arg(ours()).arg(&path);
    let mut terminal = Terminal::start_any(24, 200, &shell)?;
    terminal.wait_for("the end", |screen| screen.contains("ended: "))?;
    let screen = terminal.screen();
    ensure!(screen.contains("ended: 1") && screen.contains("the table is as it was before"), "{screen}");
    ensure_table(BEFORE)
}
