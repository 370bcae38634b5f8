//! `monitor` on a real kernel: a replay of what it prints gives the table, whatever happened in between.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use std::os::unix::process::ExitStatusExt as _;

use crate::schema::Schema;
use crate::strategies::{self, Reach};
use crate::support::{self, Links, Subject, Trial, in_fresh_namespace, succeed, trial, until};

/// What a trial does.
type Run = fn() -> Result<()>;

/// What is tried, and where.
pub fn subject() -> Subject {
    Subject { trials, prepare: crate::tables::find_schedulers, ..Subject::named("monitor") }
}

fn trials() -> Result<Vec<Trial>> {
    let trials: [(&str, Run); _] = [
        ("a replay of its output gives the table", a_replay_gives_the_table),
        ("as JSON", as_json),
        ("thresholds, traffic and daemons", notices),
        ("servers by socket options", servers_by_socket_options),
        ("SIGHUP, and clean ends", ends),
    ];
    Ok(trials.into_iter().map(|(name, run)| trial(name, run)).collect())
}

/// The program at work, which ends with this.
struct Running(Child);

impl Running {
    fn start(words: &[&str]) -> Result<Self> {
        let mut command = Command::new(support::ours());
        command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(Self(command.spawn().context("starting the program")?))
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(Pid::from_raw(self.0.id().try_into()?), signal)?)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a replay of these lines makes of an empty table.
fn replayed(lines: &str) -> Result<String> {
    let rules: String = lines
        .lines()
        .map(|line| line.split_once(' ').map(|(_, rule)| format!("{rule}\n")).context("a line without a time"))
        .collect::<Result<_>>()?;
    in_fresh_namespace(|| {
        Links::new()?;
        succeed(&["-R"], rules.as_bytes())?;
        saved()
    })
}

/// The table with timeouts and daemons, without the lines that frame it.
fn saved() -> Result<String> {
    let text = succeed(&["-S", "-n", "--all"], b"")?;
    Ok(text.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect())
}

fn a_replay_gives_the_table() -> Result<()> {
    in_fresh_namespace(|| {
        let path = "/run/monitor.log";
        let mut runner = TestRunner::deterministic();
        let tables = strategies::rules(1..6, 0..6, Reach::Rule, false);
        succeed(&["-A", "-t", "10.0.0.1:80"], b"")?;
        let running = Running::start(&["monitor", "--interval", "1", "--file", path])?;
        for round in 0..6 {
            // A storm, of which most is not seen; another one begins when the last table is.
            for number in 0..8 {
                let table = tables.new_tree(&mut runner).map_err(anyhow::Error::msg)?.current();
                succeed(&["-R", "--replace"], strategies::file(&table).as_bytes())?;
                let seconds = (300 + round * 8 + number).to_string();
                succeed(&["--set", &seconds, "0", "0"], b"")?;
            }
            let daemon = if round % 2 == 0 { "--start-daemon" } else { "--stop-daemon" };
            let words = [daemon, "master", "--mcast-interface", "lo"];
            succeed(&words[..if round % 2 == 0 { 4 } else { 2 }], b"")?;
            let table = saved()?;
            let mut last = String::new();
            let seen = until("the last table", || {
                let text = fs::read_to_string(path).unwrap_or_default();
                // A line may be half written.
                let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
                last = replayed(whole)?;
                Ok(last == table)
            });
            if let Err(error) = seen {
                bail!("{error}\n{}", support::difference(&table, &last));
            }
        }
        drop(running);
        Ok(())
    })
}

fn as_json() -> Result<()> {
    in_fresh_namespace(|| {
        succeed(&["-R"], b"-A -t 10.0.0.1:80\n-a -t 10.0.0.1:80 -r 10.0.0.2 -x 1\n")?;
        let mut running = Running::start(&["monitor", "--json", "--interval", "1"])?;
        let mut lines = BufReader::new(running.0.stdout.take().context("no output")?).lines();
        let schema = Schema::new()?;
        let mut next = || -> Result<(String, serde_json::Value)> {
            let line = lines.next().context("the output has ended")??;
            let event = schema.check("event", &format!("{line}\n"))?;
            Ok((event["event"].as_str().unwrap_or_default().to_owned(), event))
        };
        let first = [next()?, next()?, next()?];
        let names: Vec<&str> = first.iter().map(|(name, _)| name.as_str()).collect();
        ensure!(names == ["add_service", "add_server", "set_timeouts"], "{names:?}");
        ensure!(first[1].1["rule"] == "-a -t 10.0.0.1:80 -r 10.0.0.2:80 -g -w 1 -x 1", "{first:?}");
        succeed(&["-e", "-t", "10.0.0.1:80", "-r", "10.0.0.2", "-w", "7"], b"")?;
        let (name, event) = next()?;
        ensure!(name == "edit_server" && event["server"]["address"] == "10.0.0.2", "{event}");
        succeed(&["-D", "-t", "10.0.0.1:80"], b"")?;
        let (name, event) = next()?;
        ensure!(name == "delete_service" && event["service"]["port"] == 80, "{event}");
        Ok(())
    })
}

/// A server that becomes full and whose threshold is lifted, gets packets, none for ten seconds, and some again; and a daemon.
fn notices() -> Result<()> {
    in_fresh_namespace(|| {
        let links = Links::new()?;
        for address in [[10, 0, 0, 1], [10, 0, 0, 2]] {
            links.add_address("lo", address.into(), 32)?;
        }
        let listener = TcpListener::bind("10.0.0.2:8080")?;
        succeed(&["-R"], b"-A -t 10.0.0.1:80\n-a -t 10.0.0.1:80 -r 10.0.0.2:8080 -m -x 1\n")?;
        let mut running = Running::start(&["monitor", "--json", "--interval", "1"])?;
        let mut lines = BufReader::new(running.0.stdout.take().context("no output")?).lines();
        let schema = Schema::new()?;
        // The next event of this kind; others may come before it.
        let mut next = |wanted: &str| -> Result<serde_json::Value> {
            loop {
                let line = lines.next().with_context(|| format!("the output has ended without {wanted}"))??;
                let event = schema.check("event", &format!("{line}\n"))?;
                if event["event"] == wanted {
                    return Ok(event);
                }
            }
        };
        next("set_timeouts")?;
        let connect = || -> Result<_> { Ok((TcpStream::connect("10.0.0.1:80")?, listener.accept()?)) };
        let open = connect()?;
        let event = next("threshold_reached")?;
        ensure!(event["connections"] == 1 && event["threshold"] == 1 && event["server"]["port"] == 8080, "{event}");
        // A connection that is closed counts for two more minutes; a threshold that is lifted is left at once.
        drop(open);
        succeed(&["-e", "-t", "10.0.0.1:80", "-r", "10.0.0.2:8080", "-m", "-x", "0"], b"")?;
        let event = next("threshold_left")?;
        ensure!(event["connections"] == 1 && event["service"]["port"] == 80, "{event}");
        next("traffic_stopped")?;
        let _open = connect()?;
        next("traffic_resumed")?;
        succeed(&["--start-daemon", "master", "--mcast-interface", "lo"], b"")?;
        let event = next("start_daemon")?;
        ensure!(event["rule"].as_str().is_some_and(|rule| rule.starts_with("--start-daemon master ")), "{event}");
        succeed(&["--stop-daemon", "master"], b"")?;
        next("stop_daemon")?;
        Ok(())
    })
}

/// Of IPv4 without tunnels; a tunnel's options and IPv6 come over netlink.
fn servers_by_socket_options() -> Result<()> {
    in_fresh_namespace(|| {
        let rules = "-A -t 10.0.0.1:80\n-a -t 10.0.0.1:80 -r 10.0.0.2\n-A -t 10.0.0.1:81\n\
                     -a -t 10.0.0.1:81 -r 10.0.0.3 -i --tun-type gre\n-A -t [2001:db8::1]:80\n-a -t [2001:db8::1]:80 -r [2001:db8::2]:80\n";
        succeed(&["-R"], rules.as_bytes())?;
        let trace = "/run/monitor.trace";
        let mut command = Command::new("strace");
        command.args(["-f", "-o", trace, "-e", "trace=getsockopt"]).arg(support::ours()).arg("monitor");
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut running = Running(command.spawn().context("strace")?);
        let mut output = BufReader::new(running.0.stdout.take().context("no output")?);
        let mut text = String::new();
        while !text.contains("--set ") {
            ensure!(output.read_line(&mut text)? > 0, "it ended after\n{text}");
        }
        for rule in ["-r 10.0.0.2:80 -g", "-r 10.0.0.3:81 -i -w 1 --tun-type gre", "-r [2001:db8::2]:80 -g"] {
            ensure!(text.contains(rule), "{rule} is not in\n{text}");
        }
        // Without a reader it ends.
        drop(output);
        running.0.wait()?;
        // IP_VS_SO_GET_DESTS, by number: of the service that socket options tell of, and of that with the tunnel, in vain.
        let trace = fs::read_to_string(trace)?;
        let asked = trace.lines().filter(|line| ["GET_DESTS", "0x484"].iter().any(|name| line.contains(name))).count();
        ensure!(asked >= 2, "{trace}");
        Ok(())
    })
}

fn ends() -> Result<()> {
    in_fresh_namespace(|| {
        let (path, moved) = ("/run/ends.log", "/run/ends.log.1");
        succeed(&["-A", "-t", "10.0.0.1:80"], b"")?;
        let mut running = Running::start(&["monitor", "--interval", "1", "--file", path])?;
        let has = |path: &str, text: &str| Ok(fs::read_to_string(path).is_ok_and(|found| found.contains(text)));
        until("the first lines", || has(path, "-A -t 10.0.0.1:80"))?;
        // As logrotate does.
        fs::rename(path, moved)?;
        running.signal(Signal::SIGHUP)?;
        until("a new file", || Ok(fs::exists(path)?))?;
        succeed(&["-A", "-t", "10.0.0.2:80"], b"")?;
        until("lines in the new file", || has(path, "-A -t 10.0.0.2:80"))?;
        ensure!(!has(moved, "10.0.0.2")?, "the old file is still written to");
        running.signal(Signal::SIGTERM)?;
        let status = running.0.wait()?;
        ensure!(status.signal() == Some(Signal::SIGTERM as i32), "{status}");
        // A reader that goes: noticed although there is nothing to print.
        let mut running = Running::start(&["monitor"])?;
        let mut line = String::new();
        BufReader::new(running.0.stdout.take().context("no output")?).read_line(&mut line)?;
        let mut status = None;
        until("an end without a reader", || {
            status = running.0.try_wait()?;
            Ok(status.is_some())
        })?;
        ensure!(status.is_some_and(|status| status.success()), "{status:?}");
        Ok(())
    })
}
