//! Completion as it is at the keyboard: bash, zsh and fish in a terminal, on a real kernel with a table; a line is typed,
//! then the tabulator, and the line is what it should become.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use crate::support::{Invocation, Links, Subject, Trial, in_fresh_namespace, ours, trial};
use crate::terminal::pty::Terminal;

/// What is typed before the tabulator, and the line after it.
const LINES: &[(&str, &str)] = &[
    // Virtual services, each of its own protocol.
    ("ipvsadm-rs -a -t 20.", "ipvsadm-rs -a -t 20.20.20.20:80"),
    ("ipvsadm -L -n -t 20.20.20.20:", "ipvsadm -L -n -t 20.20.20.20:80"),
    ("ipvsadm-rs -D -u 20.", "ipvsadm-rs -D -u 20.20.20.20:53"),
    ("ipvsadm-rs -Lt 20.", "ipvsadm-rs -Lt 20.20.20.20:80"),
    ("ipvsadm-rs -L --tcp-service=20.", "ipvsadm-rs -L --tcp-service=20.20.20.20:80"),
    ("ipvsadm-rs -L -t '[2001", "ipvsadm-rs -L -t '[2001:db8::1]:80'"),
    ("ipvsadm-rs -L -t '[2001:db8:", "ipvsadm-rs -L -t '[2001:db8::1]:80'"),
    // No files where none can stand.
    ("ipvsadm-rs -A ru", "ipvsadm-rs -A ru"),
    ("ipvsadm-rs -E -f 4", "ipvsadm-rs -E -f 4711"),
    // Real servers of the service that has been named.
    ("ipvsadm-rs -e -t 20.20.20.20:80 -r ", "ipvsadm-rs -e -t 20.20.20.20:80 -r 30.30.30.30:8080"),
    ("ipvsadm-rs -d -u 20.20.20.20:53 -r 30.30.30.4", "ipvsadm-rs -d -u 20.20.20.20:53 -r 30.30.30.40:53"),
    // Of a service that is not there, there are none.
    ("ipvsadm-rs -d -t 20.20.20.20:81 -r 30", "ipvsadm-rs -d -t 20.20.20.20:81 -r 30"),
    // Schedulers, interfaces, network namespaces, and what lies in one.
    ("ipvsadm-rs -A -t 1.1.1.1:1 -s wr", "ipvsadm-rs -A -t 1.1.1.1:1 -s wrr"),
    (
        "ipvsadm-rs --start-daemon master --mcast-interface mul",
        "ipvsadm-rs --start-daemon master --mcast-interface multi0",
    ),
    ("ipvsadm-rs realserver start --interface mul", "ipvsadm-rs realserver start --interface multi0"),
    ("ipvsadm-rs --netns completion-bl", "ipvsadm-rs --netns completion-blue"),
    ("ipvsadm-rs --netns completion-blue -L -t 9", "ipvsadm-rs --netns completion-blue -L -t 9.9.9.9:9"),
    ("ipvsadm-rs top --netns completion-bl", "ipvsadm-rs top --netns completion-blue"),
    // Files, options, words, subcommands and their verbs.
    ("ipvsadm-rs -R --file ru", "ipvsadm-rs -R --file rules"),
    ("ipvsadm-rs diff ru", "ipvsadm-rs diff rules"),
    ("ipvsadm-rs --add-servi", "ipvsadm-rs --add-service"),
    (
        "ipvsadm-rs -d -t 20.20.20.20:80 -r 30.30.30.30:8080 --drain --for",
        "ipvsadm-rs -d -t 20.20.20.20:80 -r 30.30.30.30:8080 --drain --force",
    ),
    ("ipvsadm-rs -A -t 1.1.1.1:1 -p --sched-", "ipvsadm-rs -A -t 1.1.1.1:1 -p --sched-flags"),
    ("ipvsadm-rs -a -t 1.1.1.1:1 -r 2.2.2.2 --tun-type gu", "ipvsadm-rs -a -t 1.1.1.1:1 -r 2.2.2.2 --tun-type gue"),
    ("ipvsadm-rs --start-daemon ma", "ipvsadm-rs --start-daemon master"),
    ("ipvsadm-rs reals", "ipvsadm-rs realserver"),
    ("ipvsadm-rs realserver sto", "ipvsadm-rs realserver stop"),
];

/// Before the prompt's blank.
const PROMPT: &str = "READY>";

/// What is tried, and where.
pub fn subject() -> Subject {
    Subject { trials, ..Subject::named("completion") }
}

fn trials() -> Result<Vec<Trial>> {
    let shells: [(&str, Start, &str); 3] = [
        ("bash", bash, "[2001:db8::1]:80"),
        ("zsh", zsh, "\\[2001:db8::1\\]:80"),
        ("fish", fish, "\\[2001:db8::1\\]:80"),
    ];
    let shells = shells.map(|(name, start, ipv6)| {
        trial(format!("{name} at the keyboard"), move || in_fresh_namespace(|| at_the_keyboard(start, ipv6)))
    });
    let quiet = trial("nothing is said without privilege", || in_fresh_namespace(nothing_without_privilege));
    Ok(shells.into_iter().chain([quiet]).collect())
}

/// Runs the program; it has to succeed.
fn run(words: &[&str]) -> Result<String> {
    let output = Invocation::of(words).run(&ours())?;
    ensure!(output.status == "0" && output.stderr.is_empty(), "{words:?}: {output:?}");
    Ok(output.stdout)
}

/// A table, a namespace with another, an interface, and a folder with the programs and a file of rules.
fn prepare() -> Result<TempDir> {
    run(&["-A", "-t", "20.20.20.20:80"])?;
    run(&["-a", "-t", "20.20.20.20:80", "-r", "30.30.30.30:8080", "-m"])?;
    run(&["-A", "-u", "20.20.20.20:53"])?;
    run(&["-a", "-u", "20.20.20.20:53", "-r", "30.30.30.40:53"])?;
    run(&["-A", "-t", "[2001:db8::1]:80"])?;
    run(&["-A", "-f", "4711"])?;
    Links::new()?.add_dummy("multi0")?;
    if !Path::new("/run/netns/completion-blue").exists() {
        let status = Command::new("ip").args(["netns", "add", "completion-blue"]).status().context("ip")?;
        ensure!(status.success(), "ip netns add: {status}");
        run(&["--netns", "completion-blue", "-A", "-t", "9.9.9.9:9"])?;
    }
    let folder = tempfile::tempdir()?;
    for name in ["ipvsadm-rs", "ipvsadm"] {
        symlink(ours(), folder.path().join(name))?;
    }
    fs::write(folder.path().join("rules"), "")?;
    Ok(folder)
}

/// How a shell is started with its completion.
type Start = fn(&Path, &str) -> Result<Command>;

fn script(name: &str) -> String {
    format!("{}/completions/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn bash(home: &Path, path: &str) -> Result<Command> {
    let settings =
        format!("PS1='{PROMPT} ' PATH={path}\nbind 'set bell-style none'\n. {}\n", script("ipvsadm-rs.bash"));
    fs::write(home.join(".settings"), settings)?;
    let mut command = Command::new("bash");
    command.args(["--noprofile", "--rcfile"]).arg(home.join(".settings")).arg("-i");
    Ok(command)
}

fn zsh(home: &Path, path: &str) -> Result<Command> {
    let settings =
        format!("PS1='{PROMPT} ' PATH={path}\nfpath=({} $fpath)\nautoload -Uz compinit\ncompinit -u -D\n", script(""));
    fs::write(home.join(".zshrc"), settings)?;
    let mut command = Command::new("zsh");
    command.args(["--no-globalrcs", "-i"]).env("ZDOTDIR", home);
    Ok(command)
}

fn fish(_home: &Path, path: &str) -> Result<Command> {
    let settings = format!(
        "set -gx PATH (string split : {path})\nset fish_greeting\nset -g fish_autosuggestion_enabled 0\n\
         function fish_prompt; echo -n '{PROMPT} '; end\nsource {}\n",
        script("ipvsadm-rs.fish")
    );
    let mut command = Command::new("fish");
    command.args(["--no-config", "--init-command", &settings, "-i"]);
    Ok(command)
}

fn at_the_keyboard(start: Start, ipv6: &str) -> Result<()> {
    let folder = prepare()?;
    let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", folder.path().display());
    let mut command = start(folder.path(), &path)?;
    command.current_dir(folder.path()).env("HOME", folder.path()).env("XDG_DATA_HOME", folder.path());
    let mut terminal = Terminal::start_any(24, 120, &command)?;
    let of_ipv6 = format!("ipvsadm-rs -L -t {ipv6}");
    let typed_ipv6 = of_ipv6.split_once("2001").context("no such address")?.0.to_owned() + "2001";
    let lines = LINES.iter().copied().chain([(typed_ipv6.as_str(), of_ipv6.as_str())]);
    for (typed, completed) in lines {
        terminal.wait_for("prompt", |screen| current(screen) == Some(""))?;
        terminal.write(format!("{typed}\t").as_bytes())?;
        // What comes after the tabulator shows that it has been seen to, also where nothing was to be completed.
        terminal.write(b"#")?;
        terminal
            .wait_for("completion", |screen| current(screen).is_some_and(|line| line.ends_with('#')))
            .with_context(|| typed.to_owned())?;
        let screen = terminal.screen();
        // zsh has the equals sign follow by itself.
        let line = current(&screen).unwrap_or_default().trim_end_matches(['#', '=']).trim_end();
        ensure!(
            line == completed.trim_end(),
            "typed {typed:?}, expected {completed:?}, got {line:?}; the screen:\n{screen}"
        );
        // Ctrl-U clears the line.
        terminal.write(b"\x15")?;
    }
    terminal.wait_for("prompt", |screen| current(screen) == Some(""))?;
    terminal.write(b"exit\r")?;
    terminal.end()?;
    Ok(())
}

/// The line that is being typed: what follows the last prompt.
fn current(screen: &str) -> Option<&str> {
    let (_, line) = screen.rsplit_once(PROMPT)?;
    line.lines().next().map_or(Some(""), |line| Some(line.trim()))
}

fn nothing_without_privilege() -> Result<()> {
    let _folder = prepare()?;
    ensure!(run(&["__complete", "--", "-L", "-t", ""])? == "20.20.20.20:80\n[2001:db8::1]:80\n");
    for words in
        [&["-L", "-t", ""][..], &["-e", "-f", "4711", "-r", ""], &["--netns", "completion-blue", "-L", "-t", ""]]
    {
        let words = [&["__complete", "--"], words].concat();
        let output = Invocation { uid: Some(65534), ..Invocation::of(&words) }.run(&ours())?;
        ensure!(
            (output.status.as_str(), output.stdout.as_str(), output.stderr.as_str()) == ("0", "", ""),
            "{output:?}"
        );
    }
    // What is static is left to the scripts.
    let output = Invocation::of(&["__complete", "--", "-L", "-"]).run(&ours())?;
    ensure!((output.status.as_str(), output.stdout.as_str(), output.stderr.as_str()) == ("1", "", ""), "{output:?}");
    Ok(())
}
