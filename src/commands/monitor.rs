//! `monitor`: what changes in the table, as it is seen to happen. The kernel sends no events, so the table is read again and
//! again.

use std::fs::File;
use std::io::{self, Write, stdout};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use clap::{Arg, ArgMatches, Command, value_parser};
use ipvs_client::{Client, Error, IncomingBytes};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;

use super::signals::{Interrupted, Signals};
use super::{Output, document, status};
use crate::escape::escaped;
use crate::host::{input, module};
use crate::monitor::{Event, Monitor, Reading};
use crate::view::monitor;

/// Reading the table takes the processor from others: so many times as long there is none.
const PAUSE: u32 = 10;

/// The subcommand as clap knows it.
pub(crate) fn command() -> Command {
    let [json, _] = document::arguments();
    Command::new("monitor")
        .about("Print what changes in the table, as it happens")
        .long_about(
            "Print what changes in the table, as it happens: services, servers, daemons and timeouts as rules with the time, \
             or as a JSON object a line; first of all the table as it is. Thresholds that are reached and left, and servers \
             whose traffic stops, are comments. The kernel sends no events: the table is read every two seconds, or as \
             --interval says, and what comes and goes in between is not seen.",
        )
        .arg(
            Arg::new("interval")
                .long("interval")
                .value_name("SECONDS")
                .value_parser(value_parser!(u32).range(1..=3600))
                .default_value("2")
                .help("Read the table every so many seconds, 1 to 3600"),
        )
        .arg(json.help("Print a JSON object a line"))
        .arg(
            Arg::new("file")
                .long("file")
                .value_name("PATH")
                .value_parser(value_parser!(PathBuf))
                .help("Append to this file, which is opened again at SIGHUP"),
        )
}

/// Why it ends.
enum End {
    Signal(Interrupted),
    /// The reader of our output has gone.
    NoReader,
}

pub(super) fn run(matches: &ArgMatches, output: &mut Output) -> Result<u8> {
    let interval = Duration::from_secs(matches.get_one::<u32>("interval").copied().unwrap_or(2).into());
    let file = matches.get_one::<PathBuf>("file").map(PathBuf::as_path);
    let mut client = module::connect()?;
    let mut signals = vec![Signal::SIGINT, Signal::SIGTERM];
    if file.is_some() {
        signals.push(Signal::SIGHUP);
    }
    let signals = Signals::hold_only(&signals)?;
    let sink = match file {
        Some(path) => Sink::File { path, file: open(path)? },
        None => Sink::Output(output),
    };
    let mut run = Run { json: matches.get_flag("json"), sink, monitor: Monitor::default(), began: Instant::now() };
    let end = run.until_the_end(&mut client, interval, &signals)?;
    drop(run);
    drop(signals);
    Ok(match end {
        End::Signal(signal) => signal.end(),
        End::NoReader => status::OK,
    })
}

fn open(path: &Path) -> Result<File> {
    input::append(path).with_context(|| escaped(path).into_owned())
}

/// Where events go.
enum Sink<'o> {
    Output(&'o mut Output),
    File { path: &'o Path, file: File },
}

struct Run<'o> {
    json: bool,
    sink: Sink<'o>,
    monitor: Monitor,
    began: Instant,
}

/// How often the table is read.
struct Pace {
    interval: Duration,
    /// The pause that was last printed.
    said: Duration,
}

impl Pace {
    const fn of(interval: Duration) -> Self {
        Self { interval, said: interval }
    }

    /// The time from one reading to the next, after one that took so long, and what there is to print of it: when it is first
    /// longer than the interval, and whenever it has doubled.
    fn after(&mut self, took: Duration) -> (Duration, Option<String>) {
        let wait = self.interval.max(took * PAUSE);
        let is_new = wait > self.said * 2 || (wait > self.interval && self.said == self.interval);
        let message = is_new.then(|| {
            self.said = wait;
            format!(
                "reading the table takes {:.1} s: it is read every {:.0} s",
                took.as_secs_f32(),
                wait.as_secs_f32().ceil()
            )
        });
        (wait, message)
    }
}

impl Run<'_> {
    fn until_the_end(&mut self, client: &mut Client, interval: Duration, signals: &Signals) -> Result<End> {
        let mut pace = Pace::of(interval);
        loop {
            let before = Instant::now();
            // A table that goes on changing is read the next time.
            match self.read(client) {
                Ok(events) => self.print(&events)?,
                Err(Error::Unsettled) => {}
                Err(error) => return Err(error.into()),
            }
            let took = before.elapsed();
            let (wait, message) = pace.after(took);
            if let Some(message) = message {
                say!("{message}");
            }
            if let Some(end) = self.wait(before + wait, signals)? {
                return Ok(end);
            }
        }
    }

    fn read(&mut self, client: &mut Client) -> Result<Vec<Event>, Error> {
        let reading = Reading {
            // Whatever socket options tell is read by them.
            table: client.table_with::<IncomingBytes>()?,
            timeouts: client.timeouts()?,
            daemons: client.daemons()?,
            at: self.began.elapsed(),
        };
        Ok(self.monitor.read(&reading))
    }

    fn print(&mut self, events: &[Event]) -> io::Result<()> {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut text = Vec::new();
        for event in events {
            match self.json {
                true => monitor::document(&mut text, time, event)?,
                false => monitor::line(&mut text, time, event)?,
            }
        }
        match &mut self.sink {
            Sink::Output(output) => {
                output.write_all(&text)?;
                output.flush()
            }
            Sink::File { file, .. } => file.write_all(&text),
        }
    }

    /// Wait until then, or for an end.
    fn wait(&mut self, until: Instant, signals: &Signals) -> Result<Option<End>> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            // A millisecond that has begun counts.
            let timeout = PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
            let output = stdout();
            let mut wait = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
            if matches!(self.sink, Sink::Output(_)) {
                // A pipe without a reader is in error, whatever is asked for.
                wait.push(PollFd::new(output.as_fd(), PollFlags::empty()));
            }
            match poll(&mut wait, timeout) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno).context("waiting"),
            }
            let gone = wait.get(1).and_then(PollFd::revents).is_some_and(|events| events.contains(PollFlags::POLLERR));
            if gone {
                return Ok(Some(End::NoReader));
            }
            while let Some(signal) = signals.next() {
                match &mut self.sink {
                    Sink::File { path, file } if signal == Signal::SIGHUP as i32 => *file = open(path)?,
                    _ => return Ok(Some(End::Signal(Interrupted(signal)))),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_ten_pauses_to_a_reading() {
        let mut pace = Pace::of(Duration::from_secs(2));
        let mut after = |milliseconds| {
            let (wait, message) = pace.after(Duration::from_millis(milliseconds));
            (wait.as_millis(), message)
        };
        assert_eq!(after(5), (2000, None));
        assert_eq!(after(200), (2000, None));
        let printed = |text: &str| Some(format!("reading the table takes {text}"));
        assert_eq!(after(300), (3000, printed("0.3 s: it is read every 3 s")));
        assert_eq!(after(500), (5000, None));
        assert_eq!(after(1500), (15000, printed("1.5 s: it is read every 15 s")));
        assert_eq!(after(5), (2000, None));
    }
}
