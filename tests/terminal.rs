//! What people see: the program in a terminal of its own, on a real kernel, with real connections. The screen is what a
//! terminal would make of the bytes.

mod support;

#[path = "terminal/pty.rs"]
mod pty;

use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Command, ExitCode, Stdio};
use std::thread;

use anyhow::{Context as _, Result, ensure};
use ipvsadm_rs::kernel::Client;
use libtest_mimic::{Failed, Trial};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use pty::Terminal;
use support::{Invocation, Links, Output, connect_tcp, in_fresh_namespace, ours};

const VIP: &str = "20.20.20.20";
const SERVICE: &str = "20.20.20.20:80";
const SERVER: &str = "10.0.0.1:8080";
const OTHER: &str = "10.0.0.2:8080";

/// What a trial does.
type Run = fn(&Cluster) -> Result<()>;

fn main() -> ExitCode {
    support::run_in_kernel(support::Guest { divisible: true, ..support::Guest::default() }, || {
        let trials: [(&str, Run); _] = [
            ("drain: the bar, and the end", the_bar_ends_with_the_last_connection),
            ("drain: lines where there is no terminal", lines_without_a_terminal),
            ("drain: a time-out goes back", a_time_out_goes_back),
            ("drain: --force deletes in the end", force_deletes),
            ("drain: signals go back", signals_go_back),
            ("drain: others are noticed", others_are_noticed),
            ("drain: a whole service", a_whole_service),
            ("drain: an edit deletes nothing", an_edit_deletes_nothing),
            ("names: together, each once, within the limit", names_are_not_waited_for),
            ("names: no getent", no_getent_no_names),
        ];
        let trial = |(name, run): (&str, Run)| {
            let run = move || in_fresh_namespace(|| run(&Cluster::new()?));
            Trial::test(name, move || run().map_err(|error| Failed::from(format!("{error:#}"))))
        };
        Ok(trials.into_iter().map(trial).collect())
    })
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
        run(&["-A", "-t", SERVICE, "-s", "rr"])?;
        run(&["-a", "-t", SERVICE, "-r", SERVER, "-m", "-w", "3"])?;
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

/// The weights of the service's servers, in order.
fn weights() -> Result<Vec<u32>> {
    let mut table = Client::connect()?.table()?;
    table.sort();
    Ok(table.services.iter().flat_map(|s| s.destinations.iter().map(|d| d.destination.weight)).collect())
}

/// Starts the program without a terminal, and gives it back once it has said something with `word` in it.
fn started(words: &[&str], word: &str) -> Result<(std::process::Child, thread::JoinHandle<String>)> {
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

fn said(rest: thread::JoinHandle<String>) -> String {
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
    run(&["-E", "-t", SERVICE, "-s", "rr", "-p", "60"])?;
    let open = cluster.connect("40.40.40.10", 5001)?;
    let (mut child, rest) = started(&["-d", "-t", SERVICE, "-r", SERVER, "--drain"], "connection,")?;
    drop(open);
    // A template ends at zero only if nothing refreshes it; the list knows its time.
    kill(Pid::from_raw(child.id().try_into()?), Signal::SIGTERM)?;
    child.wait()?;
    let said = said(rest);
    ensure!(said.contains("10.0.0.1:8080: 1 connection, 1 persistent client (the last for 0:5"), "{said}");
    ensure!(said.contains("net.ipv4.vs.expire_quiescent_template=1"), "{said}");
    ensure!(!said.contains('\x1b') && !said.contains('\r'), "{said:?}");
    Ok(())
}

fn a_time_out_goes_back(cluster: &Cluster) -> Result<()> {
    let _open = cluster.connect("40.40.40.10", 5001)?;
    let output = failing(&["-d", "-t", SERVICE, "-r", SERVER, "--drain=1"])?;
    ensure!(output.stderr.contains("1 connection left after 1 second: going back"), "{}", output.stderr);
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

fn signals_go_back(cluster: &Cluster) -> Result<()> {
    use std::os::unix::process::ExitStatusExt as _;
    let _open = cluster.connect("40.40.40.10", 5001)?;
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT] {
        let (mut child, rest) = started(&["-d", "-t", SERVICE, "-r", SERVER, "--drain"], "1 connection")?;
        ensure!(weights()? == [0], "the weight is {:?}", weights()?);
        kill(Pid::from_raw(child.id().try_into()?), signal)?;
        ensure!(child.wait()?.signal() == Some(signal as i32), "it did not end by {signal}");
        ensure!(weights()? == [3], "after {signal} the weight is {:?}", weights()?);
        let said = said(rest);
        ensure!(said.contains("interrupted: going back\n10.0.0.1:8080: the weight is 3 again\n"), "{said}");
    }
    let mut terminal = Terminal::start(24, 80, &["-D", "-t", SERVICE, "--drain"])?;
    terminal.wait_for("the bar", |screen| screen.contains("1 connection"))?;
    terminal.write(b"\x03")?;
    terminal.wait_for("the way back", |screen| screen.contains("the weight is 3 again"))?;
    ensure!(terminal.end()? == "signal 2", "Ctrl-C: {}", terminal.screen());
    Ok(())
}

fn others_are_noticed(cluster: &Cluster) -> Result<()> {
    let _open = cluster.connect("40.40.40.10", 5001)?;
    let drain = ["-d", "-t", SERVICE, "-r", SERVER, "--drain"];
    let (mut child, rest) = started(&drain, "1 connection")?;
    run(&["-e", "-t", SERVICE, "-r", SERVER, "-m", "-w", "9"])?;
    ensure!(child.wait()?.code() == Some(1), "its status");
    ensure!(said(rest).contains("somebody else has given 10.0.0.1:8080 the weight 9 meanwhile"), "what it said");
    ensure!(weights()? == [9], "the weight is {:?}", weights()?);
    let (mut child, rest) = started(&drain, "1 connection")?;
    run(&["-d", "-t", SERVICE, "-r", SERVER])?;
    ensure!(child.wait()?.code() == Some(1), "its status");
    ensure!(said(rest).contains("somebody else has deleted 10.0.0.1:8080 meanwhile"), "what it said");
    Ok(())
}

fn a_whole_service(cluster: &Cluster) -> Result<()> {
    run(&["-a", "-t", SERVICE, "-r", OTHER, "-m", "-w", "0"])?;
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

// ---- names ----------------------------------------------------------------------------------------------------------

/// A directory with a getent in it that writes down what it is asked for. It never answers for 10.0.0.2, and for 10.0.0.1
/// only once it has been asked for 20.20.20.20, by another run.
fn slow_getent() -> Result<tempfile::TempDir> {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir()?;
    let log = directory.path().join("asked");
    std::fs::write(&log, "")?;
    let log = log.display();
    let script = format!(
        "#!/bin/sh\n\
         shift\n\
         for address; do\n\
         echo $address >>{log}\n\
         case $address in\n\
         10.0.0.2) exec sleep 1000 ;;\n\
         10.0.0.1) until grep -q 20.20.20.20 {log}; do :; done ;;\n\
         40.40.40.*) exit 2 ;;\n\
         esac\n\
         echo $address host-$address.example alias.example\n\
         done\n"
    );
    let getent = directory.path().join("getent");
    std::fs::write(&getent, script)?;
    std::fs::set_permissions(&getent, std::fs::Permissions::from_mode(0o755))?;
    Ok(directory)
}

/// Runs the program with this directory before all others, or with no other.
fn with_path(directory: &std::path::Path, others: bool, words: &[&str]) -> Result<String> {
    let path = match others {
        true => format!("{}:{}", directory.display(), std::env::var("PATH")?),
        false => directory.display().to_string(),
    };
    let output = Command::new(ours()).args(words).env("PATH", path).stdin(Stdio::null()).output()?;
    ensure!(output.status.success() && output.stderr.is_empty(), "{words:?}: {output:?}");
    Ok(String::from_utf8(output.stdout)?)
}

fn names_are_not_waited_for(cluster: &Cluster) -> Result<()> {
    run(&["-a", "-t", SERVICE, "-r", OTHER, "-m"])?;
    run(&["-a", "-t", SERVICE, "-r", "10.0.0.2:8081", "-m"])?;
    run(&["-e", "-t", SERVICE, "-r", OTHER, "-m", "-w", "0"])?;
    run(&["-e", "-t", SERVICE, "-r", "10.0.0.2:8081", "-m", "-w", "0"])?;
    let _open = cluster.connect("40.40.40.10", 5001)?;
    let getent = slow_getent()?;
    let asked = || -> Result<Vec<String>> {
        let mut asked: Vec<String> =
            std::fs::read_to_string(getent.path().join("asked"))?.lines().map(str::to_owned).collect();
        asked.sort();
        std::fs::write(getent.path().join("asked"), "")?;
        Ok(asked)
    };
    let table = with_path(getent.path(), true, &["-L", "--resolve-timeout", "5"])?;
    ensure!(table.contains("TCP  host-20.20.20.20.example:htt rr\n"), "{table}");
    ensure!(table.contains("  -> host-10.0.0.1.example:http-a"), "{table}");
    ensure!(table.contains("  -> 10.0.0.2:") && !table.contains("host-10.0.0.2"), "{table}");
    ensure!(asked()? == ["10.0.0.1", "10.0.0.2", "20.20.20.20"], "each once");
    let connections = with_path(getent.path(), true, &["-L", "-c", "--resolve-timeout=5"])?;
    ensure!(connections.contains("40.40.40.10:5001   host-20.20.20.20.example:http"), "{connections}");
    ensure!(asked()? == ["10.0.0.1", "20.20.20.20", "40.40.40.10"], "each once");
    with_path(getent.path(), true, &["-S", "--resolve-timeout=1"])?;
    ensure!(asked()?.len() == 3, "saved");
    with_path(getent.path(), true, &["-L", "-n"])?;
    ensure!(asked()?.is_empty(), "asked for with -n");
    // Whoever did not answer is gone.
    for process in std::fs::read_dir("/proc")? {
        // A process may end while we look.
        let command = std::fs::read(process?.path().join("cmdline")).unwrap_or_default();
        ensure!(command != b"sleep\x001000\0", "a getent is left over");
    }
    Ok(())
}

fn no_getent_no_names(_: &Cluster) -> Result<()> {
    let empty = tempfile::tempdir()?;
    let table = with_path(empty.path(), false, &["-L"])?;
    ensure!(table.contains("TCP  20.20.20.20:http rr\n"), "{table}");
    Ok(())
}
