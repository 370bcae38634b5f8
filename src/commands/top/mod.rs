//! `top`: the live view. Its state is [`crate::top`], what it looks like [`crate::view::top`]; here it meets the kernel, the terminal
//! and the clock.

mod screen;

use std::collections::HashMap;
use std::fs;
use std::io::{IsTerminal, Write, stdin, stdout};
use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::{Output, color, status};
use crate::connections::{self, PATH, Skipped, Word};
use crate::host::module;
use crate::kernel::{Client, Error};
use crate::model::{DestinationKey, ServiceKey};
use crate::top::{Action, App, Connections, Message, Stopped};
use crate::view::top::{header, lines, stopped};

/// Clients that are kept, of those with the most connections: more than any screen shows.
const CLIENTS: usize = 500;

/// The subcommand as clap knows it.
pub(crate) fn command() -> Command {
    Command::new("top")
        .about("Show services, servers and connections live")
        .long_about(
            "Show services, servers and connections live, on the whole screen; ? explains the keys. Where standard \
             input or output is no terminal, or with --once or --count, print plain lines.",
        )
        .arg(
            Arg::new("interval")
                .long("interval")
                .value_name("SECONDS")
                .value_parser(value_parser!(u32).range(1..=3600))
                .default_value("2")
                .help("Read the table every so many seconds, 1 to 3600"),
        )
        .arg(
            Arg::new("count")
                .long("count")
                .value_name("NUMBER")
                .value_parser(value_parser!(u64).range(1..))
                .help("Print plain lines, so many times"),
        )
        .arg(
            Arg::new("once")
                .long("once")
                .action(ArgAction::SetTrue)
                .conflicts_with("count")
                .help("Print plain lines, once: after one interval, as rates take two readings"),
        )
        .arg(color::argument())
}

pub(super) fn run(matches: &ArgMatches, output: &mut Output) -> Result<u8> {
    let interval = matches.get_one("interval").copied().unwrap_or(2);
    let count = if matches.get_flag("once") { Some(1) } else { matches.get_one("count").copied() };
    let mut reader = Reader::new()?;
    if count.is_none() && stdin().is_terminal() && stdout().is_terminal() {
        return screen::run(&mut reader, App::new(interval, color::wanted(color::when(matches))), interval);
    }
    plain(&mut reader, interval, count, output)
}

/// Plain lines, for ever or so many times.
fn plain(reader: &mut Reader, interval: u32, count: Option<u64>, output: &mut Output) -> Result<u8> {
    let mut app = App::new(interval, false);
    reader.read(&mut app)?;
    if let Some(why) = app.stopped {
        say!("{}", stopped(why));
    }
    output.write_all(header().as_bytes())?;
    output.flush()?;
    let mut printed = 0;
    let interval = Duration::from_secs(interval.into());
    let mut next = Instant::now() + interval;
    while count.is_none_or(|count| printed < count) {
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        // After a long pause nothing is made up for.
        next = Instant::now().max(next + interval);
        reader.read(&mut app)?;
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        output.write_all(lines(&app, time.as_secs()).as_bytes())?;
        output.flush()?;
        printed += 1;
    }
    Ok(status::OK)
}

/// Reads the table, and connections.
struct Reader {
    client: Client,
    began: Instant,
    /// Lines that are not connections are reported once.
    skipped_reported: bool,
}

impl Reader {
    fn new() -> Result<Self> {
        Ok(Self { client: module::connect()?, began: Instant::now(), skipped_reported: false })
    }

    /// Read the table, and connections if they are shown. Says what follows for drains.
    fn read(&mut self, app: &mut App) -> Result<Vec<Action>> {
        app.set_stopped(estimation());
        let table = match self.client.table() {
            Ok(table) => table,
            // It will do so the next time.
            Err(Error::Unsettled) => {
                app.say(Message::Unsettled);
                return Ok(Vec::new());
            }
            Err(error) => return Err(error.into()),
        };
        let actions = app.read(table, self.began.elapsed());
        let connections = app.wants_connections().map(|(service, servers)| count(&service, &servers));
        match connections {
            None => app.set_connections(None),
            Some(Ok((connections, skipped))) => {
                app.set_connections(Some(connections));
                if let (false, Some(message)) = (self.skipped_reported, skipped.message(PATH)) {
                    self.skipped_reported = true;
                    app.say(Message::Failed(message.to_string()));
                }
            }
            Some(Err(error)) => app.say(Message::Failed(error.to_string())),
        }
        Ok(actions)
    }
}

/// Count the connections of these servers of a service. Says what of the list was skipped.
fn count(service: &ServiceKey, servers: &[DestinationKey]) -> std::io::Result<(Connections, Skipped)> {
    let mut by_state: HashMap<Word, u64> = HashMap::new();
    let persistent = Word::cut(b"persistent");
    let mut by_client: HashMap<IpAddr, u64> = HashMap::new();
    let skipped = connections::read(connections::open()?, |connection| {
        if !connection.belongs_to(service, servers) {
            return Ok(());
        }
        let state = if connection.is_template() { persistent } else { connection.state };
        *by_state.entry(state).or_default() += 1;
        if !connection.is_template() {
            *by_client.entry(connection.source.0).or_default() += 1;
        }
        Ok(())
    })?;
    let mut by_state: Vec<_> = by_state.into_iter().map(|(state, number)| (state.to_string(), number)).collect();
    by_state.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    let mut by_client: Vec<_> = by_client.into_iter().collect();
    by_client.sort_by(|one, other| other.1.cmp(&one.1).then(one.0.cmp(&other.0)));
    by_client.truncate(CLIENTS);
    Ok((Connections { by_state, by_client }, skipped))
}

/// Whether a sysctl has stopped the kernel's estimation. Kernels before 6.2 have neither
/// (`Documentation/networking/ipvs-sysctl.rst`).
fn estimation() -> Option<Stopped> {
    let read = |name: &str| fs::read(format!("/proc/sys/net/ipv4/vs/{name}")).ok();
    if read("run_estimation").is_some_and(|value| value.trim_ascii() == b"0") {
        return Some(Stopped::SwitchedOff);
    }
    read("est_cpulist").is_some_and(|value| value.trim_ascii().is_empty()).then_some(Stopped::NoProcessors)
}
