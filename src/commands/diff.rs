//! `diff FILE`: what differs between a file of rules and the kernel's table.

use std::io::Write;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, value_parser};

use anyhow::Result;

use super::list::labels;
use super::restore::{Source, Wanted, read_state};
use super::{Output, Told, color, status, tell};
use crate::kernel::Client;
use crate::model::Change;
use crate::plan::{self, Options, State};
use crate::view::rules::write_change;

/// The subcommand as clap knows it.
pub(crate) fn command() -> Command {
    Command::new("diff")
        .about("Print what differs between a file of rules and the table")
        .long_about(
            "Print what differs between a file of rules and the table, as rules: after - what the table has and the \
             file has not, after + what the file has and the table has not. Status 0 if nothing differs, 1 if \
             something does, 2 on trouble.",
        )
        .arg(color::argument())
        .arg(Arg::new("file").value_name("FILE").required(true).value_parser(value_parser!(PathBuf)).help("The rules"))
}

pub(super) fn run(matches: &ArgMatches, output: &mut Output) -> Result<u8> {
    match differing(matches, output) {
        Ok(true) => Ok(status::FAILED),
        Ok(false) => Ok(status::OK),
        // Trouble is 2 here, as with diff(1): 1 means that there are differences.
        Err(error) => Ok(match tell(&error) {
            status::OK => status::OK,
            _ => status::USAGE,
        }),
    }
}

fn differing(matches: &ArgMatches, output: &mut Output) -> Result<bool> {
    let source = Source::of(matches.get_one::<PathBuf>("file").map(PathBuf::as_path));
    let Wanted { state: want, refused, .. } = source.wanted()?;
    if !refused.is_empty() {
        source.tell(refused.into_iter().map(|(line, finding)| (line, finding.message())));
        return Err(Told(status::USAGE).into());
    }
    let have = read_state(&mut Client::connect()?, &want)?;
    let steps = plan::difference(&have, &want, Options::default());
    let mut lines = Lines { output, colored: color::wanted(matches) };
    for step in &steps {
        lines.change(&have, &step.change)?;
    }
    Ok(!steps.is_empty())
}

struct Lines<'o> {
    output: &'o mut Output,
    colored: bool,
}

impl Lines<'_> {
    /// A change as the rules that it takes away and brings. Taking a change back gives what stands there now: of an
    /// edit the old values, of a deletion what is deleted.
    fn change(&mut self, have: &State, change: &Change) -> Result<()> {
        for old in plan::undo(have, std::iter::once(*change)) {
            if !matches!(old, Change::DeleteService(_) | Change::DeleteDestination(..) | Change::StopDaemon(_)) {
                self.line('-', "31", &old)?;
            }
        }
        if !matches!(change, Change::DeleteService(_) | Change::DeleteDestination(..) | Change::StopDaemon(_)) {
            self.line('+', "32", change)?;
        }
        Ok(())
    }

    fn line(&mut self, sign: char, color: &str, change: &Change) -> Result<()> {
        // Both sides are what a file would hold: rules that add.
        let rule = match *change {
            Change::EditService(service) => Change::AddService(service),
            Change::EditDestination(key, destination) => Change::AddDestination(key, destination),
            other => other,
        };
        let mut line = String::new();
        if self.colored {
            line.push_str(&format!("\x1b[{color}m"));
        }
        line.push(sign);
        line.push(' ');
        write_change(&mut line, &mut labels(true), &rule);
        if self.colored {
            line.push_str("\x1b[0m");
        }
        line.push('\n');
        self.output.write_all(line.as_bytes())?;
        Ok(())
    }
}
