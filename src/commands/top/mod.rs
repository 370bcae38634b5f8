//! `top`: the live view. Its state is [`crate::top`], what it looks like [`crate::view::top`]; here it meets the kernel, the terminal
//! and the clock.

mod reader;
mod screen;

use std::io::{IsTerminal, Write, stdin, stdout};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use ipvs_client::connections::Choice;

use super::{Output, Reported, color, status};
use crate::grammar::usage::{self, CONNECTION_OPTIONS};
use crate::grammar::{self, NoNames, Request, Subject};
use crate::top::App;
use crate::view::estimation::stopped;
use crate::view::top::{header, lines};
use reader::Reader;

/// The subcommand as clap knows it.
pub(crate) fn command() -> Command {
    Command::new("top")
        .about("Show services, servers and connections live")
        .long_about(
            "Show services, servers and connections live, on the whole screen; ? explains the keys. Where standard \
             input or output is not a terminal, or with --once or --count, print plain lines.",
        )
        .arg(
            Arg::new("interval")
                .long("interval")
                .value_name("SECONDS")
                .value_parser(value_parser!(u32).range(1..=3600))
                .default_value("2")
                .help("Seconds between two readings of the table, 1 to 3600"),
        )
        .arg(
            Arg::new("count")
                .long("count")
                .value_name("NUMBER")
                .value_parser(value_parser!(u64).range(1..))
                .help("Print plain lines, this many times"),
        )
        .arg(
            Arg::new("once")
                .long("once")
                .action(ArgAction::SetTrue)
                .conflicts_with("count")
                .help("Print plain lines, once: after one interval, as rates take two readings"),
        )
        .args(usage::connection_arguments())
        .arg(color::argument())
}

/// The connections that are chosen, and the words that choose them.
fn chosen(matches: &ArgMatches) -> Result<(Choice, String)> {
    let mut words = Vec::new();
    for option in CONNECTION_OPTIONS {
        if let Some(value) = matches.get_one::<String>(option) {
            words.push(format!("--{option}={value}"));
        }
    }
    let line = ["-L", "-c"].into_iter().chain(words.iter().map(String::as_str));
    match grammar::parse(line.map(str::as_bytes).collect::<Vec<_>>(), &NoNames) {
        Ok(Request::List(listing)) => match listing.subject {
            Subject::Connections(connections) => Ok((connections.choice, words.join(" "))),
            _ => Ok((Choice::ALL, String::new())),
        },
        Ok(_) => Ok((Choice::ALL, String::new())),
        Err(error) => {
            say!("{error}");
            Err(Reported(status::USAGE).into())
        }
    }
}

pub(super) fn run(matches: &ArgMatches, output: &mut Output) -> Result<u8> {
    let interval = matches.get_one("interval").copied().unwrap_or(2);
    let count = if matches.get_flag("once") { Some(1) } else { matches.get_one("count").copied() };
    let (choice, words) = chosen(matches)?;
    let mut reader = Reader::new()?;
    reader.choice = choice;
    if count.is_none() && stdin().is_terminal() && stdout().is_terminal() {
        let mut app = App::new(interval, color::wanted(color::when(matches)));
        app.chosen_connections = words;
        // The terminal's library looks at NO_COLOR, too, and --color=always is for both.
        crossterm::style::force_color_output(app.colored);
        return screen::run(&mut reader, app, interval);
    }
    plain(&mut reader, interval, count, output)
}

/// Plain lines, for ever or this many times.
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
