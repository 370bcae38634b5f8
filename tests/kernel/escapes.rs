//! Whatever stands in names and words, no control character but newlines is ever printed, and no line that they bring along.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::support::{Links, Subject, Trial, in_fresh_namespace, ours, succeed, trial};

/// What a trial does.
type Run = fn() -> Result<()>;

/// What is tried, and where.
pub fn subject() -> Subject {
    Subject { trials, ..Subject::named("escapes") }
}

fn trials() -> Result<Vec<Trial>> {
    let trials: [(&str, Run); _] = [
        ("words and program names", words),
        ("files and namespaces", files),
        ("rules files", rules_files),
        ("interfaces", interfaces),
        ("hosts and ports", hosts),
        ("settings", settings),
    ];
    Ok(trials.into_iter().map(|(name, run)| trial(name, run)).collect())
}

/// To clear the screen, to ring the bell, to begin a line, to end one, in the other set, to turn text round, and no text.
const HOSTILE: &[u8] = b"e\x1b[2J\x07\r\nx\xc2\x9b31m\xe2\x80\xae\x7f\xff\x9b";

/// How it is printed.
const SHOWN: &str = r"e\x1b[2J\x07\x0d\x0ax\xc2\x9b31m\xe2\x80\xae\x7f\xff\x9b";

/// A word with that in it.
fn hostile(before: &str) -> OsString {
    let mut word = OsString::from(before);
    word.push(OsStr::from_bytes(HOSTILE));
    word
}

fn run(words: &[OsString]) -> Result<Output> {
    run_as(OsStr::new("ipvsadm"), &[], words, b"")
}

/// Runs the program under this name, by these words before it, with this standard input.
fn run_as(name: &OsStr, before: &[&str], words: &[OsString], stdin: &[u8]) -> Result<Output> {
    let mut command = match before {
        [] => Command::new(ours()),
        [first, rest @ ..] => {
            let mut command = Command::new(first);
            command.args(rest).arg(ours());
            command
        }
    };
    if before.is_empty() {
        command.arg0(name);
    }
    command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("starting the program")?;
    if let Some(mut input) = child.stdin.take() {
        use std::io::Write as _;
        // A program need not read it.
        drop(input.write_all(stdin));
    }
    let output = child.wait_with_output()?;
    for bytes in [&output.stdout, &output.stderr] {
        let text = std::str::from_utf8(bytes).with_context(|| format!("{words:?}: {output:?}"))?;
        let is_safe =
            |letter: char| letter == '\n' || !(letter.is_control() || ('\u{202a}'..='\u{202e}').contains(&letter));
        ensure!(text.chars().all(is_safe), "{words:?}: {output:?}");
    }
    Ok(output)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs these words, which fail with a message of this many lines that shows [`HOSTILE`].
fn fails(words: &[OsString], lines: usize) -> Result<()> {
    let output = run(words)?;
    let stderr = text(&output.stderr);
    ensure!(!output.status.success() && stderr.contains(SHOWN), "{words:?}: {output:?}");
    ensure!(stderr.lines().count() == lines, "not {lines} lines: {words:?}: {output:?}");
    Ok(())
}

fn plain(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

fn words() -> Result<()> {
    in_fresh_namespace(|| {
        let with = |words: &[&str], last: &str| [plain(words), vec![hostile(last)]].concat();
        for (words, lines) in [
            (with(&["-L"], ""), 1),
            (with(&["-L"], "--"), 1),
            (with(&["-A", "-t", "1.2.3.4:80", "-b"], ""), 1),
            (with(&["-A", "-f"], ""), 1),
            (with(&["--set", "1", "2"], ""), 1),
            (with(&["-L", "-c", "--sort-by"], ""), 1),
            (with(&["-L", "--color"], ""), 1),
            (with(&["--start-daemon", "master", "--mcast-group"], ""), 1),
        ] {
            fails(&words, lines)?;
        }
        // The values of these are not shown on the command line, as with the original.
        for words in
            [with(&["-A", "-t"], ""), with(&["-A", "-t", "1.2.3.4:80", "-w"], ""), with(&["-Z", "-t"], "1.2.3.4:")]
        {
            ensure!(!run(&words)?.status.success(), "{words:?}");
        }
        // The messages of clap: the word, and how the program is used.
        for words in [
            with(&["top"], "--"),
            with(&["top", "--interval"], ""),
            with(&["doctor"], "--"),
            with(&["doctor", "--role"], ""),
            with(&["service"], ""),
            with(&["realserver", "start"], "192.0.2.1/"),
            with(&["diff", "a"], ""),
        ] {
            let output = run(&words)?;
            ensure!(output.status.code() == Some(2) && text(&output.stderr).contains(SHOWN), "{words:?}: {output:?}");
            // No line of the message begins in the word.
            ensure!(!text(&output.stderr).lines().any(|line| line.starts_with('x')), "{words:?}: {output:?}");
        }
        for words in [&["-q"][..], &["-h"], &["top", "--help"], &["top", "--x"], &["service"]] {
            let output = run_as(&hostile("/"), &[], &plain(words), b"")?;
            let all = text(&output.stdout) + &text(&output.stderr);
            ensure!(!all.lines().any(|line| line.starts_with('x')), "{words:?}: {output:?}");
        }
        for (name, words) in [("ipvsadm-save", ["-x"]), ("ipvsadm-restore", ["--help"])] {
            let mut path = hostile("/");
            path.push("/");
            path.push(name);
            let output = run_as(&path, &[], &plain(&words), b"")?;
            ensure!(text(&output.stderr).contains(SHOWN), "{output:?}");
            // It is ignored, with a message.
            let output = run_as(OsStr::new(name), &[], &[hostile("")], b"-A -f 1\n")?;
            ensure!(text(&output.stderr).contains(SHOWN), "{output:?}");
        }
        Ok(())
    })
}

fn files() -> Result<()> {
    in_fresh_namespace(|| {
        let folder = Path::new("/run/escapes");
        fs::create_dir_all(folder.join(hostile("")))?;
        let folder = OsString::from("/run/escapes/");
        let file = |name: &str| {
            let mut path = folder.clone();
            path.push(hostile(name));
            path
        };
        let with = |words: &[&str], path: OsString| [plain(words), vec![path]].concat();
        fs::write(Path::new(&file("rules")), "-A -t 1.2.3.4:80\nwrong\n--worse\n")?;
        for (words, lines) in [
            (with(&["-R", "--file"], file("none")), 1),
            (with(&["-R", "--check", "--file"], file("rules")), 2),
            (with(&["-R", "--replace", "--file"], file("rules")), 2),
            (with(&["diff"], file("rules")), 2),
            (with(&["diff"], file("none")), 1),
            (with(&["-R", "--file"], file("")), 1),
            (with(&["-S", "--file"], file("none/none")), 1),
            (with(&["-L", "--netns"], file("rules")), 1),
            (with(&["-L", "--netns"], file("none")), 1),
            (with(&["-L", "--netns"], hostile("")), 1),
        ] {
            fails(&words, lines)?;
        }
        // Names of other namespaces are shown where one is not found.
        fs::create_dir_all("/run/netns")?;
        let name = Path::new("/run/netns").join(hostile(""));
        fs::write(&name, "")?;
        let output = run(&plain(&["-L", "--netns", "none"]))?;
        let offered = run(&plain(&["__complete", "--", "-L", "--netns", ""]))?;
        fs::remove_file(&name)?;
        ensure!(text(&output.stderr).contains("x1b"), "{output:?}");
        ensure!(offered.status.success() && !text(&offered.stdout).contains("x1b"), "{offered:?}");
        Ok(())
    })
}

fn rules_files() -> Result<()> {
    in_fresh_namespace(|| {
        // Without what ends a word in a rules file.
        let word: Vec<u8> = HOSTILE.iter().copied().filter(|byte| !b"\r\n".contains(byte)).collect();
        let shown = SHOWN.replace(r"\x0d\x0a", "");
        for rule in
            ["-A -t ", "-A -t 1.2.3.4:80 -w ", "-A -f ", "--", "-C ", "-A -t 1.2.3.4:80 -b ", "-a -t 1.2.3.4:80 -r "]
        {
            let rule = [rule.as_bytes(), &word, b"\n"].concat();
            let output = run_as(OsStr::new("ipvsadm"), &[], &plain(&["-R"]), &rule)?;
            let stderr = text(&output.stderr);
            ensure!(output.status.code() == Some(2) && stderr.lines().count() == 1, "{output:?}");
            // A line that does not begin with a command is not shown.
            ensure!(stderr.contains(&shown) || stderr.contains("must begin with a command"), "{output:?}");
        }
        // Names that only the kernel judges.
        for rule in ["-A -t 1.2.3.4:80 -s ", "-A -u 1.2.3.4:80 -p 9 --pe "] {
            let rule = [rule.as_bytes(), b"\x1b[2J\x07\xff\n"].concat();
            for mode in [&["-R"][..], &["-R", "--replace"], &["-R", "--replace", "--dry-run"]] {
                let output = run_as(OsStr::new("ipvsadm"), &[], &plain(mode), &rule)?;
                ensure!(!output.status.success(), "{mode:?}: {output:?}");
            }
        }
        Ok(())
    })
}

fn interfaces() -> Result<()> {
    in_fresh_namespace(|| {
        // Interfaces can be called anything but with blanks, slashes and colons.
        let name = "e\u{1b}[2J\u{7}\u{9b}\u{202e}";
        let shown = r"e\x1b[2J\x07\xc2\x9b\xe2\x80\xae";
        let links = Links::new()?;
        links.add_dummy(name)?;
        links.add_address(name, [192, 0, 2, 1].into(), 24)?;
        succeed(&["--start-daemon", "backup", "--mcast-interface", name], b"")?;
        for words in [&["-L", "--daemon"][..], &["-L", "--daemon", "--table"], &["-L", "--daemon", "--wide"]] {
            let output = run(&plain(words))?;
            ensure!(output.status.success() && text(&output.stdout).contains(shown), "{words:?}: {output:?}");
        }
        // As a rule it could not be read back. Where that is said nothing is written.
        let file = Path::new("/run/escapes.rules");
        let output = run(&plain(&["-S", "--all", "--file", "/run/escapes.rules"]))?;
        let stderr = text(&output.stderr);
        ensure!(output.status.code() == Some(1) && stderr.contains(shown) && stderr.lines().count() == 1, "{output:?}");
        ensure!(!file.exists(), "a table that cannot be restored was saved");
        let output = run(&plain(&["-S", "--all"]))?;
        ensure!(output.status.code() == Some(1) && text(&output.stderr).contains(shown), "{output:?}");
        for words in [
            &["doctor", "--role", "director", "--all"][..],
            &["doctor", "--role", "real-server", "--all", "192.0.2.9"],
            &["realserver", "status", "--interface", name, "192.0.2.9"],
            &["realserver", "start", "--interface", name, "192.0.2.9"],
            &["realserver", "status"],
            &["realserver", "stop", "192.0.2.9"],
            &["--start-daemon", "backup", "--mcast-interface", name],
            &["--stop-daemon", "backup"],
        ] {
            run(&plain(words))?;
        }
        let offered = run(&plain(&["__complete", "--", "--start-daemon", "master", "--mcast-interface", ""]))?;
        ensure!(text(&offered.stdout) == "lo\n", "{offered:?}");
        Ok(())
    })
}

/// Words that run a program with this file in place of that one.
fn in_place_of(file: &str, place: &str) -> [String; 6] {
    let script = format!("mount --bind {file} {place} && exec \"$@\"");
    ["unshare", "--mount", "sh", "-c", &script, "sh"].map(str::to_owned)
}

fn hosts() -> Result<()> {
    in_fresh_namespace(|| {
        fs::write("/run/hosts", b"10.0.0.1 e\x1b[2Jvil\xc2\x9b31m\xe2\x80\xae\n10.0.0.2 good\n")?;
        fs::write("/run/services", b"w\x1b[2J\x9b 80/tcp\n")?;
        succeed(&["-R"], b"-A -t 10.0.0.1:80\n-a -t 10.0.0.1:80 -r 10.0.0.2\n")?;
        let with = |place: &str, words: &[&str]| -> Result<String> {
            let before = in_place_of(&format!("/run{}", place.trim_start_matches("/etc")), place);
            let before: Vec<&str> = before.iter().map(String::as_str).collect();
            let output = run_as(OsStr::new(""), &before, &plain(words), b"")?;
            ensure!(output.status.success(), "{words:?}: {output:?}");
            Ok(text(&output.stdout))
        };
        // Columns cut names.
        let shown = r"e\x1b[2Jvil\xc2\x9b31m";
        for words in
            [&["-L"][..], &["-L", "--stats"], &["-L", "--wide"], &["-L", "--table"], &["-L", "-t", "10.0.0.1:80"]]
        {
            let listing = with("/etc/hosts", words)?;
            ensure!(listing.contains(shown) && listing.contains("good"), "{words:?}: {listing}");
        }
        // What is saved can be restored: a number where the name cannot.
        let saved = with("/etc/hosts", &["-S"])?;
        ensure!(saved.contains("-A -t 10.0.0.1:") && saved.contains("-r good:"), "{saved}");
        let listing = with("/etc/services", &["-L"])?;
        ensure!(listing.contains(r":w\x1b[2J"), "{listing}");
        let saved = with("/etc/services", &["-S"])?;
        ensure!(saved.lines().all(|line| line.contains(":80")), "{saved}");
        Ok(())
    })
}

fn settings() -> Result<()> {
    in_fresh_namespace(|| {
        let file = "/run/default";
        let before = in_place_of(file, "/etc/default/ipvsadm");
        // The place to mount at need not be there on this machine.
        let script = before[4]
            .replace("mount --bind", "mount -t tmpfs none /etc/default && cp /run/default /etc/default/ipvsadm && :");
        let before = ["unshare", "--mount", "sh", "-c", &script, "sh"];
        for setting in
            ["IPVSADM_CONFIG=/etc/", "UNKNOWN=", "IPVS_SAVE_ON_STOP=", "IFACE=eth0 ", "", "AUTO=true\nDAEMON="]
        {
            for value in [HOSTILE, b"\x1b[2J\x07\xc2\x9b31m"] {
                fs::write(file, [setting.as_bytes(), value, b"\n"].concat())?;
                for verb in ["start", "save", "status"] {
                    run_as(OsStr::new(""), &before, &plain(&["service", verb]), b"")?;
                }
            }
        }
        Ok(())
    })
}
