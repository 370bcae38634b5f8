//! `diff FILE`: what differs between a file of rules and the kernel's table.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Arg, ArgMatches, Command, value_parser};
use ipvs_client::{
    Change, Service,
    mapping::{self, Refusing},
    plan::{self, Options, State},
};
use serde::Serialize;

use super::source::Source;
use super::state::read_state;
use super::{Output, Reported, color, document, report, status};
use crate::escape::escaped;
use crate::host::module;
use crate::rules::Desired;
use crate::view::json::{self, KeyDocument, ServerKeyDocument};
use crate::view::rules;

/// The subcommand as clap knows it.
pub(crate) fn command() -> Command {
    Command::new("diff")
        .about("Print what differs between a file of rules and the table")
        .long_about(
            "Print what differs between a file of rules and the table, as rules: after - what only the table has, \
             after + what only the file has. Status 0 if nothing differs, 1 if something does, 2 on trouble.",
        )
        .arg(color::argument())
        .args(document::arguments())
        .arg(Arg::new("file").value_name("FILE").required(true).value_parser(value_parser!(PathBuf)).help("The rules"))
}

pub(super) fn run(matches: &ArgMatches, output: &mut Output) -> Result<u8> {
    match differing(matches, output) {
        Ok(true) => Ok(status::FAILED),
        Ok(false) => Ok(status::OK),
        // Trouble is 2 here, as with diff(1): 1 means that there are differences.
        Err(error) => Ok(match report(&error) {
            status::OK => status::OK,
            _ => status::USAGE,
        }),
    }
}

fn differing(matches: &ArgMatches, output: &mut Output) -> Result<bool> {
    let source = Source::of(matches.get_one::<PathBuf>("file").map(PathBuf::as_path));
    let Desired { state: want, refused, .. } = source.desired()?;
    if !refused.is_empty() {
        source.report(refused.into_iter().map(|(line, finding)| (line, finding.message())));
        return Err(Reported(status::USAGE).into());
    }
    let have = read_state(&mut module::connect()?, &want)?;
    let steps = plan::difference(&have, &want, Options::default());
    if let Some(pretty) = document::wanted(matches) {
        let changes: Vec<ChangeDocument> = steps.iter().map(|step| ChangeDocument::new(&have, &step.change)).collect();
        let refusing = refusing(&have)
            .map(|(service, servers)| RefusingDocument {
                service: (&service.key).into(),
                servers: servers.iter().map(|refusing| (&refusing.server).into()).collect(),
            })
            .collect();
        let document = DiffDocument { equal: changes.is_empty(), changes, refusing };
        json::write(output, "diff", &document, pretty)?;
        return Ok(!steps.is_empty());
    }
    for (service, servers) in refusing(&have) {
        for server in servers {
            say!("{}: {server}", service.key);
        }
    }
    let mut lines = Lines { output, colored: color::wanted(color::when(matches)) };
    for step in &steps {
        lines.change(&have, &step.change)?;
    }
    Ok(!steps.is_empty())
}

/// The services of the table that refuse the clients of servers with weight 0, and these servers.
fn refusing(have: &State) -> impl Iterator<Item = (Service, Vec<Refusing>)> {
    have.services.iter().filter_map(|service| {
        let servers = service.destinations.iter().map(|server| &server.rule);
        let refusing = mapping::refusing(&service.service.rule, servers);
        (!refusing.is_empty()).then_some((service.service.rule, refusing))
    })
}

struct Lines<'o> {
    output: &'o mut Output,
    colored: bool,
}

impl Lines<'_> {
    /// A change as the rules that it takes away and brings.
    fn change(&mut self, have: &State, change: &Change) -> Result<()> {
        let (removed, added) = sides(have, change);
        removed.iter().try_for_each(|rule| self.line('-', "31", rule))?;
        added.iter().try_for_each(|rule| self.line('+', "32", rule))
    }

    fn line(&mut self, sign: char, color: &str, rule: &str) -> Result<()> {
        let mut line = String::new();
        if self.colored {
            line.push_str(&format!("\x1b[{color}m"));
        }
        line.push(sign);
        line.push(' ');
        line.push_str(&escaped(rule));
        if self.colored {
            line.push_str("\x1b[0m");
        }
        line.push('\n');
        self.output.write_all(line.as_bytes())?;
        Ok(())
    }
}

/// The rules that a change takes away, and those that it brings. Taking a change back gives what stands there now: of an
/// edit the old values, of a deletion what is deleted.
fn sides(have: &State, change: &Change) -> (Vec<String>, Vec<String>) {
    let rules = |changes: &[Change]| changes.iter().filter_map(rule).collect();
    (rules(&plan::undo(have, &[*change], None).changes), rules(&[*change]))
}

/// What a file would hold for a change: rules that add.
fn rule(change: &Change) -> Option<String> {
    let rule = match *change {
        Change::DeleteService(_) | Change::DeleteDestination(..) | Change::StopDaemon(_) => return None,
        Change::EditService(service) => Change::AddService(service),
        Change::EditDestination(key, destination) => Change::AddDestination(key, destination),
        other => other,
    };
    Some(rules::text(&rule))
}

/// `diff --json`
#[derive(Serialize)]
struct DiffDocument {
    equal: bool,
    changes: Vec<ChangeDocument>,
    refusing: Vec<RefusingDocument>,
}

/// A service that refuses the clients of servers with weight 0.
#[derive(Serialize)]
struct RefusingDocument {
    service: KeyDocument,
    servers: Vec<ServerKeyDocument>,
}

/// A change that would make the table equal to the file.
#[derive(Serialize)]
struct ChangeDocument {
    action: &'static str,
    service: Option<KeyDocument>,
    server: Option<ServerKeyDocument>,
    /// Rules of the table that only it has.
    removed: Vec<String>,
    /// Rules of the file that only it has.
    added: Vec<String>,
}

impl ChangeDocument {
    fn new(have: &State, change: &Change) -> Self {
        let (action, service, server) = json::named(change);
        let (removed, added) = sides(have, change);
        let (service, server) = (service.as_ref().map(KeyDocument::from), server.as_ref().map(ServerKeyDocument::from));
        Self { action, service, server, removed, added }
    }
}
