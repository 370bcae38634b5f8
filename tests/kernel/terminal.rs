//! What people see: the program in a terminal of its own, on a real kernel, with real connections. The screen is what a
//! terminal would make of the bytes.

pub mod pty;
mod svg;

use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use ipvs_client::Client;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::changes::confirm::{ANY, ends_by};
use crate::support::{Holder, Invocation, Links, Output, Subject, Trial, connect_tcp, in_fresh_namespace, ours, trial};
use pty::Terminal;

const VIP: &str = "20.20.20.20";
const SERVICE: &str = "20.20.20.20:80";
const SERVER: &str = "10.0.0.1:8080";
const OTHER: &str = "10.0.0.2:8080";

/// What a trial does.
type Run = fn(&Cluster) -> Result<()>;

/// What is tried, and where.
pub fn subject() -> Subject {
    Subject { trials, ..Subject::named("terminal") }
}

fn trials() -> Result<Vec<Trial>> {
    let trials: [(&str, Run); _] = [
        ("drain: the bar, and the end", the_bar_ends_with_the_last_connection),
        ("drain: lines where there is no terminal", lines_without_a_terminal),
        ("drain: a time-out rolls back", a_time_out_rolls_back),
        ("drain: --force deletes in the end", force_deletes),
        ("drain: signals roll back", signals_roll_back),
        ("drain: in the background", in_the_background),
        ("drain: others are noticed", others_are_noticed),
        ("drain: a whole service", a_whole_service),
        ("drain: an edit deletes nothing", an_edit_deletes_nothing),
        ("confirm: the lock while an answer is waited for", the_lock_while_asked),
        ("top: services, connections, and the end", what_top_shows),
        ("top: weights and drains from the keyboard", top_changes_weights_and_drains),
        ("top: while others change the table", top_takes_turns),
        ("top: signals leave the terminal as it was", signals_leave_the_terminal),
        ("top: a terminal that goes away", a_terminal_that_goes_away),
        ("top: sizes", terminals_of_all_sizes),
        ("top: stopped and continued", stopped_and_continued),
        ("top: in the background", top_in_the_background),
        ("top: estimation", estimation_off_is_said),
        ("stats: counters that stand still", standstill_is_said),
        ("top: colours, and none", colours_are_obeyed),
        ("top: plain lines", top_without_a_terminal),
    ];
    let picture: Option<(&str, Run)> = picture_wanted().then_some(("picture of top", a_picture_of_top));
    Ok(trials
        .into_iter()
        .chain(picture)
        .map(|(name, run)| trial(name, move || in_fresh_namespace(|| run(&Cluster::new()?))))
        .collect())
}

// ---- tools ----------------------------------------------------------------------------------------------------------

/// Two real servers that accept and say nothing, and clients, all in one namespace.
struct Cluster {
    listeners: Vec<TcpListener>,
}

impl Cluster {
    fn new() -> Result<Self> {
        let links = Links::new()?;
        for address in [VIP, "10.0.0.1", "10.0.0.2", "40.40.40.10", "40.40.40.11"] {
            links.add_address("lo", address.parse()?, 32)?;
        }
        let listeners = [SERVER, OTHER].iter().map(TcpListener::bind).collect::<Result<_, _>>()?;
        // Failover: all connections go to the first as long as it has a weight.
        run(&["-A", "-t", SERVICE, "-s", "fo"])?;
        run(&["-a", "-t", SERVICE, "-r", SERVER, "-m", "-w", "3"])?;
        run(&["-a", "-t", SERVICE, "-r", OTHER, "-m", "-w", "1"])?;
        Ok(Self { listeners })
    }

    /// A connection to the service, and the real server's end of it.
    fn connect(&self, client: &str, port: u16) -> Result<(OwnedFd, TcpStream)> {
        let near = connect_tcp(SocketAddr::new(client.parse::<IpAddr>()?, port), SERVICE.parse()?)?;
        let (far, _) = self.listeners[0].accept()?;
        Ok((near, far))
    }
}

/// Runs the program; it has to succeed.
fn run(words: &[&str]) -> Result<String> {
    let output = Invocation::of(words).run(&ours())?;
    ensure!(output.status == "0", "{words:?}: {output:?}");
    Ok(output.stdout)
}

fn failing(words: &[&str]) -> Result<Output> {
    let output = Invocation::of(words).run(&ours())?;
    ensure!(output.status == "1", "{words:?}: {output:?}");
    Ok(output)
}

/// The weights of the service's servers, in order, but for the one that stands by.
fn weights() -> Result<Vec<u32>> {
    let mut table = Client::connect()?.table()?;
    table.sort();
    let weights = table.services.iter().flat_map(|s| s.destinations.iter().map(|d| d.destination.weight));
    Ok(weights.filter(|&weight| weight != 1).collect())
}

/// Starts the program without a terminal, and gives it back once it has said something with `word` in it.
pub fn started(words: &[&str], word: &str) -> Result<(std::process::Child, thread::JoinHandle<String>)> {
    use std::io::{BufRead as _, BufReader};
    let mut child = Command::new(ours()).args(words).stdin(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let mut stderr = BufReader::new(child.stderr.take().context("no standard error")?);
    let mut said = String::new();
    while !said.contains(word) {
        ensure!(stderr.read_line(&mut said)? > 0, "{words:?} ended after: {said}");
    }
    let rest = thread::spawn(move || {
        drop(std::io::Read::read_to_string(&mut stderr, &mut said));
        said
    });
    Ok((child, rest))
}

pub fn said(rest: thread::JoinHandle<String>) -> String {
    rest.join().unwrap_or_default()
}

// ---- drain ----------------------------------------------------------------------------------------------------------

fn the_bar_ends_with_the_last_connection(cluster: &Cluster) -> Result<()> {
    let mut open = vec![cluster.connect("40.40.40.10", 5001)?, cluster.connect("40.40.40.10", 5002)?];
    let mut terminal = Terminal::start(24, 80, &["-d", "-t", SERVICE, "-r", SERVER, "--drain"])?;
    terminal
        .wait_for("the bar", |screen| screen.contains("10.0.0.1:8080 [....") && screen.contains(" 2 connections"))?;
    ensure!(weights()? == [0], "the weight is {:?}", weights()?);
    drop(open.pop());
    terminal.wait_for("half a bar", |screen| screen.contains("[###############...............] 1 connection"))?;
    drop(open.pop());
    terminal.wait_for("the last word", |screen| {
        screen.contains("10.0.0.1:8080: drained in ") && screen.contains("deleted")
    })?;
    ensure!(terminal.end()? == "0", "the screen: {}", terminal.screen());
    ensure!(!terminal.screen().contains('['), "the bar is left over: {}", terminal.screen());
    ensure!(weights()?.is_empty(), "the server is still there");
    Ok(())
}

fn lines_without_a_terminal(cluster: &Cluster) -> Result<()> {
    run(&["-E", "-t", SERVICE, "-s", "fo", "-p", "90"])?;
    let open = cluster.connect("40.40.40.10", 5001)?;
    let (mut child, rest) = started(&["-d", "-t", SERVICE, "-r", SERVER, "--drain"], "connection,")?;
    drop(open);
    // A template ends at zero only if nothing refreshes it; the list knows its time.
    kill(Pid::from_raw(child.id().try_into()?), Signal::SIGTERM)?;
    child.wait()?;
    let said = said(rest);
    ensure!(said.contains("10.0.0.1:8080: 1 connection, 1 persistent client (the last for 1:"), "{said}");
    ensure!(said.contains("net.ipv4.vs.expire_quiescent_template=1"), "{said}");
    ensure!(!said.contains('\x1b') && !said.contains('\r'), "{said:?}");
    Ok(())
}

fn a_time_out_rolls_back(cluster: &Cluster) -> Result<()> {
    let _open = cluster.connect("40.40.40.10", 5001)?;
    let output = failing(&["-d", "-t", SERVICE, "-r", SERVER, "--drain=1"])?;
    ensure!(output.stderr.contains("1 connection left after 1 second: rolling back"), "{}", output.stderr);
    ensure!(output.stderr.ends_with("10.0.0.1:8080: the weight is 3 again\n"), "{}", output.stderr);
    ensure!(weights()? == [3], "the weight is {:?}", weights()?);
    Ok(())
}

fn force_deletes(cluster: &Cluster) -> Result<()> {
    let _open = cluster.connect("40.40.40.10", 5001)?;
    run(&["-d", "-t", SERVICE, "-r", SERVER, "--drain=1", "--force"])?;
    ensure!(weights()?.is_empty(), "the server is still there");
    Ok(())
}

fn signals_roll_back(cluster: &Cluster) -> Result<()> {
    use std::os::unix::process::ExitStatusExt as _;
    let _open = cluster.connect("40.40.40.10", 5001)?;
    for signal in ANY {
        let (mut child, rest) = started(&["-d", "-t", SERVICE, "-r", SERVER, "--drain"], "1 connection")?;
        ensure!(weights()? == [0], "the weight is {:?}", weights()?);
        kill(Pid::from_raw(child.id().try_into()?), signal)?;
        let status = child.wait()?;
        let ended = status.code().map_or(format!("signal {}", status.signal().unwrap_or(0)), |code| code.to_string());
        ensure!(ends_by(&ended, signal), "it did not end by {signal}: {status}");
        ensure!(weights()? == [3], "after {signal} the weight is {:?}", weights()?);
        let said = said(rest);
        ensure!(said.contains("interrupted: rolling back\n10.0.0.1:8080: the weight is 3 again\n"), "{said}");
    }
    let mut terminal = Terminal::start(24, 80, &["-D", "-t", SERVICE, "--drain"])?;
    terminal.wait_for("the bar", |screen| screen.contains("1 connection"))?;
    terminal.write(b"\x03")?;
    terminal.wait_for("the way back", |screen| screen.contains("the weight is 3 again"))?;
    ensure!(terminal.end()? == "signal 2", "Ctrl-C: {}", terminal.screen());
    Ok(())
}

/// What runs in the background and writes to the terminal under `stty tostop` is stopped, and what is stopped never rolls back.
fn in_the_background(cluster: &Cluster) -> Result<()> {
    let _open = cluster.connect("40.40.40.10", 5001)?;
    let script =
        "set -m; stty tostop; \"$0\" -d -t \"$1\" -r \"$2\" --drain=1 & wait $!; s=$?; stty -tostop; echo ended: $s";
    let mut shell = Command::new("bash");
    shell.args(["-c", script]).arg(ours()).args([SERVICE, SERVER]);
    let mut terminal = Terminal::start_any(24, 100, &shell)?;
    terminal.wait_for("the end", |screen| screen.contains("ended: "))?;
    ensure!(terminal.screen().contains("ended: 1"), "{}", terminal.screen());
    ensure!(terminal.screen().contains("10.0.0.1:8080: the weight is 3 again"), "{}", terminal.screen());
    ensure!(weights()? == [3], "the weight is {:?}", weights()?);
    Ok(())
}

fn the_lock_while_asked(_: &Cluster) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("rules");
    std::fs::write(&path, format!("-A -t {SERVICE} -s rr\n-a -t {SERVICE} -r {SERVER} -m -w 5\n"))?;
    let path = path.to_str().context("a path that is not UTF-8")?;
    let replace = ["-R", "--replace", "--file", path, "--confirm", "600", "--lock-wait", "0"];
    let mut asked = Terminal::start(24, 100, &replace)?;
    asked.wait_for("the question", |screen| screen.contains("Keep it so?"))?;
    ensure!(weights()? == [5], "the weight is {:?}", weights()?);
    // Only the process that asks waits for the answer.
    run(&["-Z", "--lock-wait", "0"])?;
    let holder = Holder::start()?;
    asked.write(b"no\n")?;
    let printed = format!("{} is changing the table: rolling back anyway", holder.name());
    asked.wait_for("the way back", |screen| {
        screen.contains(&printed) && screen.contains("the table is as it was before")
    })?;
    ensure!(asked.end()? == "1", "its status");
    ensure!(weights()? == [3], "the weight is {:?}", weights()?);
    // As long as nothing is changed, Ctrl-C is not an answer, but the end.
    let mut waiting = Terminal::start(24, 100, &replace[..6])?;
    waiting.wait_for("the wait", |screen| screen.contains(&format!("waiting for {}", holder.name())))?;
    waiting.write(b"\x03")?;
    ensure!(waiting.end()? == "signal 2", "Ctrl-C: {}", waiting.screen());
    ensure!(weights()? == [3], "the weight is {:?}", weights()?);
    Ok(())
}

fn others_are_noticed(cluster: &Cluster) -> Result<()> {
    let _open = cluster.connect("40.40.40.10", 5001)?;
    let drain = ["-d", "-t", SERVICE, "-r", SERVER, "--drain"];
    let (mut child, rest) = started(&drain, "1 connection")?;
    run(&["-e", "-t", SERVICE, "-r", SERVER, "-m", "-w", "9"])?;
    ensure!(child.wait()?.code() == Some(1), "its status");
    ensure!(said(rest).contains("another program has given 10.0.0.1:8080 the weight 9"), "what it said");
    ensure!(weights()? == [9], "the weight is {:?}", weights()?);
    let (mut child, rest) = started(&drain, "1 connection")?;
    run(&["-d", "-t", SERVICE, "-r", SERVER])?;
    ensure!(child.wait()?.code() == Some(1), "its status");
    ensure!(said(rest).contains("another program has deleted 10.0.0.1:8080"), "what it said");
    Ok(())
}

fn a_whole_service(cluster: &Cluster) -> Result<()> {
    run(&["-e", "-t", SERVICE, "-r", OTHER, "-m", "-w", "0"])?;
    let open = cluster.connect("40.40.40.10", 5001)?;
    let (mut child, rest) = started(&["-D", "-t", SERVICE, "--drain"], "1 connection")?;
    ensure!(weights()? == [0, 0], "the weights are {:?}", weights()?);
    kill(Pid::from_raw(child.id().try_into()?), Signal::SIGINT)?;
    child.wait()?;
    drop(rest);
    ensure!(weights()? == [3, 0], "the weights are {:?}", weights()?);
    drop(open);
    run(&["-D", "-t", SERVICE, "--drain"])?;
    ensure!(Client::connect()?.services()?.is_empty(), "the service is still there");
    Ok(())
}

fn an_edit_deletes_nothing(cluster: &Cluster) -> Result<()> {
    let open = cluster.connect("40.40.40.10", 5001)?;
    let edit = ["-e", "-t", SERVICE, "-r", SERVER, "-m", "-w", "0", "-x", "7"];
    failing(&[&edit[..], &["--drain=1"]].concat())?;
    ensure!(run(&["-S", "-n"])?.contains("-r 10.0.0.1:8080 -m -w 3\n"), "it is not as it was");
    drop(open);
    run(&[&edit[..], &["--drain=30"]].concat())?;
    ensure!(run(&["-S", "-n"])?.contains("-r 10.0.0.1:8080 -m -w 0 -x 7\n"), "it is not what was asked for");
    Ok(())
}

// ---- top ------------------------------------------------------------------------------------------------------------

/// What the last bytes of a program that leaves the terminal as it was are: the other screen left, the cursor shown.
fn ensure_restored(terminal: &Terminal) -> Result<()> {
    let bytes = String::from_utf8_lossy(&terminal.bytes);
    let left = bytes.rfind("\x1b[?1049l").context("the alternate screen was not left")?;
    let shown = bytes.rfind("\x1b[?25h").context("the cursor was not shown again")?;
    ensure!(bytes.rfind("\x1b[?1049h").is_some_and(|entered| entered < left), "not left at last");
    ensure!(bytes.rfind("\x1b[?25l").is_some_and(|hidden| hidden < shown), "the cursor is hidden");
    ensure!(
        terminal.settings()? == terminal.settings,
        "the terminal's settings are others: {:?}",
        terminal.settings()?
    );
    Ok(())
}

/// The row of the screen that begins with this, as words.
fn row(screen: &str, name: &str) -> Vec<String> {
    let row = screen.lines().find(|line| line.trim_start().starts_with(name)).unwrap_or_default();
    row.split_ascii_whitespace().map(str::to_owned).collect()
}

fn what_top_shows(cluster: &Cluster) -> Result<()> {
    run(&["-A", "-u", "20.20.20.20:53", "-s", "wlc"])?;
    let mut open = vec![cluster.connect("40.40.40.10", 5001)?, cluster.connect("40.40.40.10", 5002)?];
    open.push(cluster.connect("40.40.40.11", 5003)?);
    let mut top = Terminal::start(24, 80, &["top", "--interval", "1"])?;
    top.wait_for("the table", |screen| {
        row(screen, SERVER).get(..4) == Some(&["10.0.0.1:8080", "3", "3", "0"].map(str::to_owned))
    })?;
    let screen = top.screen();
    ensure!(screen.contains("every 1 second   2 services, 2 servers"), "{screen}");
    ensure!(screen.contains(" Now: 3 active, 0 inactive, 0 persistent"), "{screen}");
    ensure!(row(&screen, "UDP")[..2] == ["UDP", "20.20.20.20:53"], "{screen}");
    // Totals come with the kernel's next step, and so does a rate.
    top.write(b"t")?;
    top.wait_for("the total", |screen| row(screen, SERVER).get(4).is_some_and(|total| total == "3"))?;
    top.write(b"t")?;
    open.push(cluster.connect("40.40.40.11", 5004)?);
    top.wait_for("a rate", |screen| {
        row(screen, SERVER).get(4).is_some_and(|rate| rate.starts_with("0.") && rate != "0.0")
    })?;
    ensure!(top.screen().contains('\u{2588}'), "no graph: {}", top.screen());
    top.write(b"/udp")?;
    top.wait_for("the filtered table", |screen| !screen.contains(SERVER) && screen.contains("its name: udp_"))?;
    top.write(b"\x1b")?;
    top.wait_for("the whole table", |screen| screen.contains(SERVER))?;
    top.write(b"\r")?;
    top.wait_for("its connections", |screen| row(screen, "ESTABLISHED").get(1).is_some_and(|number| number == "4"))?;
    let screen = top.screen();
    let clients: Vec<&str> = screen.lines().filter(|line| line.contains("40.40.40.1")).collect();
    ensure!(clients.len() == 2 && clients.iter().all(|line| line.ends_with(" 2")), "{screen}");
    top.write(b"\x1b[B\r")?;
    top.wait_for("the server's own", |screen| screen.contains("inside TCP 20.20.20.20:80   10.0.0.1:8080"))?;
    top.write(b"?")?;
    top.wait_for("the help", |screen| screen.contains("another weight for the server"))?;
    top.write(b"qq")?;
    ensure!(top.end()? == "0", "its status");
    ensure_restored(&top)
}

fn top_changes_weights_and_drains(cluster: &Cluster) -> Result<()> {
    let open = cluster.connect("40.40.40.10", 5001)?;
    let mut top = Terminal::start(24, 80, &["top", "--interval", "1"])?;
    top.wait_for("the table", |screen| screen.contains(SERVER))?;
    top.write(b"jw7\r")?;
    top.wait_for("the question", |screen| screen.contains("the weight 7 instead of 3?"))?;
    top.write(b"n")?;
    top.wait_for("nothing", |screen| screen.contains("Nothing was changed"))?;
    ensure!(weights()? == [3], "the weight is {:?}", weights()?);
    top.write(b"w7\ry")?;
    top.wait_for("the weight", |screen| row(screen, SERVER).get(1).is_some_and(|weight| weight == "7"))?;
    ensure!(weights()? == [7], "the weight is {:?}", weights()?);
    top.write(b"dy")?;
    top.wait_for("the drain", |screen| screen.contains("Draining 10.0.0.1:8080: 1 connection left"))?;
    ensure!(weights()? == [0], "the weight is {:?}", weights()?);
    // Ending undoes it.
    top.write(b"q")?;
    top.wait_for("the question", |screen| screen.contains("give them their weights back?"))?;
    top.write(b"y")?;
    ensure!(top.end()? == "0" && weights()? == [7], "the weight is {:?}", weights()?);
    ensure!(top.screen().contains("10.0.0.1:8080: the weight is 7 again"), "{}", top.screen());

    let mut top = Terminal::start(24, 80, &["top", "--interval", "1"])?;
    top.wait_for("the table", |screen| screen.contains(SERVER))?;
    top.write(b"jdy")?;
    top.wait_for("the drain", |screen| screen.contains("Draining 10.0.0.1:8080: 1 connection left"))?;
    drop(open);
    top.wait_for("its end", |screen| screen.contains("10.0.0.1:8080 is drained and deleted"))?;
    ensure!(weights()?.is_empty(), "it is still there");
    top.write(b"\x03")?;
    ensure!(top.end()? == "0", "its status");
    ensure_restored(&top)
}

fn top_takes_turns(cluster: &Cluster) -> Result<()> {
    let open = cluster.connect("40.40.40.10", 5001)?;
    let mut top = Terminal::start(24, 100, &["top", "--interval", "1"])?;
    top.wait_for("the table", |screen| screen.contains(SERVER))?;
    let holder = Holder::start()?;
    let printed = format!("{} is changing the table: not done", holder.name());
    for keys in ["jw7\ry", "dy"] {
        top.write(keys.as_bytes())?;
        top.wait_for("the refusal", |screen| screen.contains(&printed))?;
        ensure!(weights()? == [3], "the weight is {:?}", weights()?);
        // The message goes with the next key.
        top.write(b"?\x1b")?;
        top.wait_for("no refusal", |screen| !screen.contains(&printed))?;
    }
    drop(holder);
    top.write(b"dy")?;
    top.wait_for("the drain", |screen| screen.contains("Draining 10.0.0.1:8080: 1 connection left"))?;
    // What is drained is deleted as soon as that can be.
    let holder = Holder::start()?;
    drop(open);
    top.wait_for("the refusal", |screen| screen.contains(&format!("{} is changing the table", holder.name())))?;
    ensure!(weights()? == [0], "the weight is {:?}", weights()?);
    drop(holder);
    top.wait_for("the end", |screen| !screen.contains(SERVER))?;
    ensure!(weights()?.is_empty(), "it is still there");
    top.write(b"q")?;
    ensure!(top.end()? == "0", "its status");
    ensure_restored(&top)
}

fn signals_leave_the_terminal(cluster: &Cluster) -> Result<()> {
    let _open = cluster.connect("40.40.40.10", 5001)?;
    // At SIGTSTP it stops, see below.
    for signal in ANY.into_iter().filter(|signal| *signal != Signal::SIGTSTP) {
        let mut top = Terminal::start(24, 80, &["top"])?;
        top.wait_for("the table", |screen| screen.contains(SERVER))?;
        top.write(b"jdy")?;
        top.wait_for("the drain", |screen| screen.contains("Draining"))?;
        kill(top.process()?, signal)?;
        let ended = top.end().with_context(|| signal.to_string())?;
        ensure!(ends_by(&ended, signal), "it did not end by {signal}: {ended}");
        ensure_restored(&top).with_context(|| signal.to_string())?;
        ensure!(weights()? == [3], "after {signal} the weight is {:?}", weights()?);
    }
    Ok(())
}

fn a_terminal_that_goes_away(cluster: &Cluster) -> Result<()> {
    let _open = cluster.connect("40.40.40.10", 5001)?;
    let mut top = Terminal::start(24, 80, &["top", "--interval", "1"])?;
    top.wait_for("the table", |screen| screen.contains(SERVER))?;
    top.write(b"jdy")?;
    top.wait_for("the drain", |screen| screen.contains("Draining"))?;
    top.hang_up()?;
    ensure!(weights()? == [3], "the weight is {:?}", weights()?);
    Ok(())
}

fn terminals_of_all_sizes(_: &Cluster) -> Result<()> {
    let mut top = Terminal::start(10, 40, &["top"])?;
    top.wait_for("a word on the size", |screen| screen.contains("This terminal is too small: 40x10"))?;
    for (rows, columns) in [(24, 80), (14, 76), (50, 200)] {
        top.resize(rows, columns)?;
        top.wait_for("the table", |screen| {
            screen.contains(SERVER) && screen.contains("? help") && (columns < 100 || screen.contains("Forward"))
        })?;
        top.resize(3, 7)?;
        top.wait_for("too small", |screen| screen.contains("This") && !screen.contains(SERVER))?;
    }
    top.write(b"q")?;
    ensure!(top.end()? == "0", "its status");
    ensure_restored(&top)
}

fn stopped_and_continued(_: &Cluster) -> Result<()> {
    let mut top = Terminal::start(24, 80, &["top"])?;
    top.wait_for("the table", |screen| screen.contains(SERVER))?;
    let raw = top.settings()?;
    let stat = format!("/proc/{}/stat", top.child.id());
    for by_key in [false, true] {
        match by_key {
            true => top.write(b"\x1a")?,
            false => kill(top.process()?, Signal::SIGTSTP)?,
        }
        top.wait_for("the screen before", |screen| {
            screen.trim().is_empty() && std::fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") T "))
        })?;
        ensure_restored(&top)?;
        kill(top.process()?, Signal::SIGCONT)?;
        top.wait_for("the table again", |screen| screen.contains(SERVER))?;
        ensure!(top.settings()? == raw, "the terminal's settings are others: {:?}", top.settings()?);
    }
    top.write(b"q")?;
    ensure!(top.end()? == "0", "its status");
    ensure_restored(&top)
}

/// It does not take the terminal from the shell, but stops until it is in the foreground. While it is stopped a signal ends it,
/// and its drains.
fn top_in_the_background(cluster: &Cluster) -> Result<()> {
    let _open = cluster.connect("40.40.40.10", 5001)?;
    // dash keeps an ended job until it is waited for, which bash does not do once it was in the foreground. wait ends at once
    // with 147 as long as dash takes the job for stopped: it looks again when another program ends.
    let script = "set -m; \"$0\" top & read -r line; fg; echo stopped; read -r line; kill %1; kill -CONT %1
                  s=147; while [ $s = 147 ]; do sleep 0.1; wait $!; s=$?; done; echo ended: $s";
    let mut shell = Command::new("dash");
    shell.args(["-c", script]).arg(ours());
    let mut terminal = Terminal::start_any(24, 80, &shell)?;
    let settings = terminal.settings()?;
    let stopped = |process: &str| -> bool {
        std::fs::read_to_string(format!("/proc/{process}/stat")).is_ok_and(|stat| stat.contains(") T "))
    };
    let children = format!("/proc/{0}/task/{0}/children", terminal.child.id());
    terminal.wait_for("nothing", |screen| {
        !screen.contains(SERVER) && std::fs::read_to_string(&children).is_ok_and(|child| stopped(child.trim()))
    })?;
    ensure!(terminal.settings()? == settings, "the terminal's settings are others");
    terminal.write(b"\n")?;
    terminal.wait_for("the table", |screen| screen.contains(SERVER))?;
    terminal.write(b"jdy")?;
    terminal.wait_for("the drain", |screen| screen.contains("Draining"))?;
    terminal.write(b"\x1a")?;
    terminal.wait_for("the shell", |screen| screen.contains("stopped"))?;
    ensure!(weights()? == [0], "the weight is {:?}", weights()?);
    terminal.write(b"\n")?;
    terminal.wait_for("the end", |screen| screen.contains("ended: 143"))?;
    ensure!(weights()? == [3], "the weight is {:?}", weights()?);
    Ok(())
}

/// Kernels before 6.2 always count, and then nothing may be said of it.
fn estimation_off_is_said(_: &Cluster) -> Result<()> {
    const SWITCH: &str = "/proc/sys/net/ipv4/vs/run_estimation";
    let said = " The kernel counts nothing: net.ipv4.vs.run_estimation is 0.";
    let can_be_off = std::path::Path::new(SWITCH).exists();
    if can_be_off {
        std::fs::write(SWITCH, "0")?;
    }
    let mut top = Terminal::start(24, 80, &["top", "--interval", "1"])?;
    let unknown = if can_be_off { "-" } else { "0" };
    top.wait_for("rates", |screen| row(screen, SERVER).get(4).is_some_and(|rate| rate == unknown))?;
    ensure!(top.screen().contains(said) == can_be_off, "{}", top.screen());
    top.write(b"q")?;
    ensure!(top.end()? == "0", "its status");
    Ok(())
}

/// Listings of counters and rates report it on standard error, if that is a terminal.
fn standstill_is_said(cluster: &Cluster) -> Result<()> {
    const SWITCH: &str = "/proc/sys/net/ipv4/vs/run_estimation";
    let listed = |words: &[&str]| -> Result<String> {
        let mut terminal = Terminal::start(24, 160, words)?;
        ensure!(terminal.end()? == "0", "{words:?}: {}", terminal.screen());
        Ok(terminal.screen())
    };
    let _open = cluster.connect("40.40.40.10", 5001)?;
    let total = || -> Result<bool> {
        let table = Client::connect()?.table()?;
        Ok(table.services.iter().any(|service| service.entry.statistics.counters.connections > 0))
    };
    let end = Instant::now() + Duration::from_secs(60);
    while !total()? {
        ensure!(Instant::now() < end, "nothing is counted");
        thread::sleep(Duration::from_millis(100));
    }
    let uncounted = "1 server has connections that are not counted, and no known rate: ";
    let stopped = "The kernel counts nothing: net.ipv4.vs.run_estimation is 0.";
    let lists: [&[&str]; 3] = [&["-L", "-n", "--stats"], &["-L", "-n", "--rate"], &["-L", "-n", "--rate", "--wide"]];
    for words in lists {
        let screen = listed(words)?;
        ensure!(!screen.contains(uncounted) && !screen.contains(stopped), "{words:?}: {screen}");
    }
    run(&["-Z"])?;
    for words in lists {
        let screen = listed(words)?;
        ensure!(screen.contains(uncounted) && !screen.contains(stopped), "{words:?}: {screen}");
        let output = Invocation::of(words).run(&ours())?;
        ensure!(output.stderr.is_empty(), "{words:?}: {output:?}");
    }
    ensure!(!listed(&["-L", "-n"])?.contains(uncounted), "a listing without counters");
    if std::path::Path::new(SWITCH).exists() {
        std::fs::write(SWITCH, "0")?;
        for words in lists {
            let screen = listed(words)?;
            ensure!(screen.contains(stopped) && !screen.contains(uncounted), "{words:?}: {screen}");
        }
    }
    Ok(())
}

/// Colours of what is the matter with servers, and none where they are not wanted.
fn colours_are_obeyed(cluster: &Cluster) -> Result<()> {
    const FULL: &str = "10.0.0.1:8081";
    let [_full, _other] = [FULL, "10.0.0.1:8082"].map(TcpListener::bind);
    run(&["-A", "-t", "20.20.20.20:81", "-s", "rr"])?;
    run(&["-a", "-t", "20.20.20.20:81", "-r", FULL, "-m", "-x", "1"])?;
    run(&["-a", "-t", SERVICE, "-r", "10.0.0.2:8081", "-m", "-w", "0"])?;
    let _open = (
        cluster.connect("40.40.40.10", 5001)?,
        connect_tcp(SocketAddr::new("40.40.40.10".parse()?, 5002), "20.20.20.20:81".parse()?)?,
    );
    // The colours of the servers that are full, of weight 0 and without traffic, once rates are known.
    let colors = |words: &[&str], no_color: Option<&str>| -> Result<[vt100::Color; 3]> {
        let mut command = Command::new(ours());
        command.args(words);
        if let Some(value) = no_color {
            command.env("NO_COLOR", value);
        }
        let mut top = Terminal::start_any(24, 80, &command)?;
        top.wait_for("rates", |screen| row(screen, OTHER).get(4).is_some_and(|rate| rate == "0"))?;
        let screen = top.screen();
        let of = |name: &str| {
            let place = screen.lines().position(|line| line.trim_start().starts_with(name))?;
            Some(top.cells().cell(place as u16, 3)?.fgcolor())
        };
        let colors = [FULL, "10.0.0.2:8081", OTHER].map(|name| of(name).context("no row"));
        top.write(b"q")?;
        ensure!(top.end()? == "0", "its status");
        let [full, weightless, quiet] = colors;
        Ok([full?, weightless?, quiet?])
    };
    let colored = [1, 3, 8].map(vt100::Color::Idx);
    let plain = [vt100::Color::Default; 3];
    let top = ["top", "--interval", "1"];
    for (more, no_color, expected) in [
        (&[][..], None, colored),
        (&[], Some(""), colored),
        (&[], Some("1"), plain),
        (&["--color=never"], None, plain),
        (&["--color=always"], Some("1"), colored),
    ] {
        let found = colors(&[&top, more].concat(), no_color)?;
        ensure!(found == expected, "{more:?}, NO_COLOR {no_color:?}: {found:?} instead of {expected:?}");
    }
    // Listings, too.
    for (words, no_color, is_colored) in [
        (&["-L", "-n", "--table"][..], None, true),
        (&["-L", "-n", "--table"], Some("1"), false),
        (&["-L", "-n", "--table", "--color=never"], None, false),
        (&["-L", "-n", "--wide"], None, true),
        (&["-L", "-n", "--wide"], Some("1"), false),
    ] {
        let mut command = Command::new(ours());
        command.args(words).envs(no_color.map(|value| ("NO_COLOR", value)));
        let mut terminal = Terminal::start_any(40, 120, &command)?;
        ensure!(terminal.end()? == "0", "{words:?}: {}", terminal.screen());
        let found = terminal.bytes.windows(2).any(|bytes| bytes == b"\x1b[");
        ensure!(
            found == is_colored,
            "{words:?}, NO_COLOR {no_color:?}: {:?}",
            String::from_utf8_lossy(&terminal.bytes)
        );
    }
    Ok(())
}

fn top_without_a_terminal(cluster: &Cluster) -> Result<()> {
    let _open = cluster.connect("40.40.40.10", 5001)?;
    let text = run(&["top", "--interval", "1", "--count", "2"])?;
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(' ').collect()).collect();
    ensure!(lines.len() == 7 && lines.iter().all(|line| line.len() == 12), "{text}");
    ensure!(lines[0][..5] == ["TIME", "SERVICE", "SERVER", "WEIGHT", "ACTIVE"], "{text}");
    ensure!(lines[1][1..7] == ["TCP/20.20.20.20:80", "-", "4", "1", "0", "0"], "{text}");
    ensure!(lines[2][1..7] == ["TCP/20.20.20.20:80", SERVER, "3", "1", "0", "0"], "{text}");
    ensure!(run(&["top", "--interval", "1", "--once"])?.lines().count() == 4, "--once");
    Ok(())
}

// ---- the picture ----------------------------------------------------------------------------------------------------

fn picture_wanted() -> bool {
    std::env::var_os("UPDATE_PICTURES").is_some_and(|value| !value.is_empty() && value != "0")
}

/// Real servers of the picture, beside those of the cluster, and the services that they are behind.
const PICTURED: &str = "\
-a -t 20.20.20.20:80 -r 10.0.0.2:8080 -m -w 1
-a -t 20.20.20.20:80 -r 10.0.0.3:8080 -m -w 0
-A -t 20.20.20.20:443 -s wlc -p 300
-a -t 20.20.20.20:443 -r 10.0.0.1:8443 -m
-a -t 20.20.20.20:443 -r 10.0.0.2:8443 -m
-A -t 20.20.20.20:3306 -s lc
-a -t 20.20.20.20:3306 -r 10.0.0.4:3306 -m -x 20
-a -t 20.20.20.20:3306 -r 10.0.0.5:3306 -m -x 100
-A -u 20.20.20.20:53 -s rr
-a -u 20.20.20.20:53 -r 10.0.0.1:5353 -m
-a -u 20.20.20.20:53 -r 10.0.0.2:5353 -m
-A -f 5 -s sh
-a -f 5 -r 10.0.0.6:0 -g
";

/// Accepts and echoes until it is over.
fn echo(listener: &TcpListener, over: &AtomicBool) {
    use std::io::{ErrorKind, Read as _, Write as _};
    let mut open: Vec<TcpStream> = Vec::new();
    while !over.load(Ordering::Relaxed) {
        open.extend(listener.accept().map(|(stream, _)| stream));
        open.retain_mut(|stream| {
            let _ = stream.set_nonblocking(true);
            let mut bytes = [0; 4096];
            match stream.read(&mut bytes) {
                Ok(0) => false,
                Ok(length) => stream.write_all(&bytes[..length]).is_ok(),
                Err(error) => error.kind() == ErrorKind::WouldBlock,
            }
        });
        thread::sleep(Duration::from_millis(2));
    }
}

/// Connects until it is over, and keeps so many connections open: a load that rises and falls.
fn load(client: &str, service: &str, kept: usize, over: &AtomicBool) -> Result<()> {
    use std::io::Write as _;
    let mut held = std::collections::VecDeque::new();
    for number in 0.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let mut stream = TcpStream::from(connect_tcp(SocketAddr::new(client.parse()?, 0), service.parse()?)?);
        stream.write_all(&[b'x'; 3000])?;
        held.push_back(stream);
        if held.len() > kept {
            held.pop_front();
        }
        thread::sleep(Duration::from_millis(30 + 25 * ((number / 40) % 5)));
    }
    Ok(())
}

/// As the clients of a database: so many connections, which stay, each with some traffic now and then.
fn stay(client: &str, service: &str, count: usize, over: &AtomicBool) -> Result<()> {
    use std::io::Write as _;
    let connect = || connect_tcp(SocketAddr::new(client.parse()?, 0), service.parse()?).map(TcpStream::from);
    let mut held: Vec<TcpStream> = (0..count).map(|_| connect()).collect::<Result<_>>()?;
    for number in 0.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        held[number % count].write_all(&[b'x'; 400])?;
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Writes docs/top.svg: some services with clients that come and go, as `top` shows them after a while.
fn a_picture_of_top(cluster: &Cluster) -> Result<()> {
    const READINGS: Duration = Duration::from_secs(75);
    let links = Links::new()?;
    for last in 3..=6 {
        links.add_address("lo", [10, 0, 0, last].into(), 32)?;
    }
    run(&["-E", "-t", SERVICE, "-s", "wrr"])?;
    run(&["-d", "-t", SERVICE, "-r", OTHER])?;
    let rules = Invocation { stdin: PICTURED.as_bytes(), ..Invocation::of(&["-R"]) }.run(&ours())?;
    ensure!(rules.status == "0", "{rules:?}");
    let more = ["10.0.0.1:8443", "10.0.0.2:8443", "10.0.0.4:3306", "10.0.0.5:3306"];
    let more: Vec<TcpListener> = more.iter().map(TcpListener::bind).collect::<Result<_, _>>()?;
    let names: Vec<UdpSocket> =
        ["10.0.0.1:5353", "10.0.0.2:5353"].iter().map(UdpSocket::bind).collect::<Result<_, _>>()?;
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let over = &over;
        for listener in cluster.listeners.iter().chain(&more) {
            listener.set_nonblocking(true)?;
            scope.spawn(move || echo(listener, over));
        }
        for socket in &names {
            socket.set_read_timeout(Some(Duration::from_millis(100)))?;
            scope.spawn(move || {
                let mut bytes = [0; 512];
                while !over.load(Ordering::Relaxed) {
                    if let Ok((length, client)) = socket.recv_from(&mut bytes) {
                        let _ = socket.send_to(&bytes[..length], client);
                    }
                }
            });
        }
        scope.spawn(move || -> Result<()> {
            while !over.load(Ordering::Relaxed) {
                UdpSocket::bind("40.40.40.10:0")?.send_to(&[b'x'; 60], "20.20.20.20:53")?;
                thread::sleep(Duration::from_millis(60));
            }
            Ok(())
        });
        let mut loads = Vec::new();
        for (client, service, kept) in [
            ("40.40.40.10", SERVICE, 12),
            ("40.40.40.11", SERVICE, 9),
            ("40.40.40.10", "20.20.20.20:443", 7),
            ("40.40.40.11", "20.20.20.20:443", 5),
        ] {
            loads.push(scope.spawn(move || load(client, service, kept, over)));
        }
        loads.push(scope.spawn(move || stay("40.40.40.11", "20.20.20.20:3306", 45, over)));
        let mut top = Terminal::start(24, 120, &["top", "--interval", "1", "--color", "always"])?;
        let began = Instant::now();
        top.write(b"j")?;
        let shown = top.wait_for("the table", |screen| screen.contains(SERVER) && began.elapsed() > READINGS / 2);
        let drawn = shown.and_then(|()| {
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
            std::fs::create_dir_all(&folder)?;
            Ok(std::fs::write(folder.join("top.svg"), svg::of(top.cells()))?)
        });
        top.write(b"q")?;
        let ended = top.end();
        over.store(true, Ordering::Relaxed);
        drawn?;
        for load in loads {
            load.join().map_err(|_| anyhow!("a client has panicked"))??;
        }
        ensure!(ended? == "0", "its status");
        Ok(())
    })
}
