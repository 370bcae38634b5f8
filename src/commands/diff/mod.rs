//! `diff FILE`: what differs between a file of rules, or the table of another director, and the kernel's table.

mod peer;

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::{Arg, ArgMatches, Command, value_parser};
use ipvs_client::{
    Change, Client, Service, ServiceKey,
    mapping::{self, Refusing},
    plan::{self, Options, State, Step},
};
use serde::Serialize;

use crate::commands::list::hash_notes;
use crate::commands::source::Source;

use crate::commands::state::read_state;
use crate::commands::{Output, Reported, color, document, report, status};
use crate::escape::escaped;
use crate::host::{input, module};
use crate::rules::Desired;
use crate::view::json::{self, KeyDocument, ServerKeyDocument};
use crate::view::rules;

pub(in crate::commands) use peer::Peer;

/// The subcommand as clap knows it.
pub(crate) fn command() -> Command {
    Command::new("diff")
        .about("Print what differs between a file of rules and the table")
        .long_about(
            "Print what differs between a file of rules and the table, as rules: after - what only the table has, \
             after + what only the file has. The file can also be what -L --json prints on another director: then the \
             digests of sh, mh and dh are compared, too. Status 0 if nothing differs, 1 if something does, 2 on trouble.",
        )
        .arg(color::argument())
        .args(document::arguments())
        .arg(Arg::new("file").value_name("FILE").required(true).value_parser(value_parser!(PathBuf)).help("The rules, or a table as JSON"))
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
    let path = matches.get_one::<PathBuf>("file").context("a file is missing")?;
    let Peer { state: want, digests: theirs } = wanted(path)?;
    let mut client = module::connect()?;
    let (have, steps) = steps(&mut client, &want)?;
    let digests = if theirs.is_empty() { Vec::new() } else { compared(&mut client, &theirs)? };
    let equal = steps.is_empty() && digests.iter().all(|pair| !pair.differs());
    if let Some(pretty) = document::wanted(matches) {
        let changes: Vec<json::ChangeDocument> =
            steps.iter().map(|step| json::ChangeDocument::new(&have, &step.change)).collect();
        let refusing = refusing(&have)
            .map(|(service, servers)| RefusingDocument {
                service: (&service.key).into(),
                servers: servers.iter().map(|refusing| (&refusing.server).into()).collect(),
            })
            .collect();
        let digests = digests.iter().map(DigestsDocument::from).collect();
        json::write(output, "diff", &DiffDocument { equal, changes, refusing, digests }, pretty)?;
        return Ok(!equal);
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
    for pair in &digests {
        match pair {
            Digests { key, here: Some(here), there: Some(there) } if here != there => {
                lines.line('-', "31", &format!("# digest of {key}: {here}"))?;
                lines.line('+', "32", &format!("# digest of {key}: {there}"))?;
            }
            Digests { here: Some(_), there: Some(_), .. } => {}
            Digests { key, here, .. } => {
                let side = if here.is_none() { "here" } else { "there" };
                say!("{key}: its digest is not known {side}: whether clients get the same servers is not known");
            }
        }
    }
    Ok(!equal)
}

/// The table, and what makes it the wanted one.
fn steps(client: &mut Client, want: &State) -> Result<(State, Vec<Step>)> {
    let have = read_state(client, want)?;
    let steps = plan::difference(&have, want, Options::default());
    Ok((have, steps))
}

/// In how many rules the table differs from another director's.
pub(in crate::commands) fn differences(client: &mut Client, peer: &Peer) -> Result<usize> {
    Ok(steps(client, &peer.state)?.1.len())
}

/// What the file says, which is rules or the table of another director.
pub(in crate::commands) fn wanted(path: &Path) -> Result<Peer> {
    let source = Source::of(Some(path));
    let file = input::open(path).with_context(|| escaped(path).into_owned())?;
    let mut text = BufReader::new(file);
    if text.fill_buf().with_context(|| escaped(path).into_owned())?.first() == Some(&b'{') {
        return peer::read(text).with_context(|| escaped(path).into_owned());
    }
    let Desired { state, refused, .. } = source.desired_from(text)?;
    if !refused.is_empty() {
        source.report(refused.into_iter().map(|(line, finding)| (line, finding.message())));
        return Err(Reported(status::USAGE).into());
    }
    Ok(Peer { state, digests: HashMap::new() })
}

/// The digests of a service here and on another director.
struct Digests {
    key: ServiceKey,
    here: Option<String>,
    there: Option<String>,
}

impl Digests {
    /// Whether it is known that they differ.
    fn differs(&self) -> bool {
        self.here.is_some() && self.there.is_some() && self.here != self.there
    }
}

/// The digests of the services that are here and there, in the order of listings.
fn compared(client: &mut Client, theirs: &HashMap<ServiceKey, Option<String>>) -> Result<Vec<Digests>> {
    let mut services = client.services_with::<()>()?;
    services.retain(|entry| theirs.contains_key(&entry.service.key));
    let mut ours = hash_notes::read(client, &services)?;
    let mut pairs: Vec<Digests> = theirs
        .iter()
        .filter_map(|(key, there)| {
            let here = ours.remove(key)?.digest;
            Some(Digests { key: *key, here, there: there.clone() })
        })
        .collect();
    pairs.sort_unstable_by_key(|pair| pair.key);
    Ok(pairs)
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
        let (removed, added) = rules::sides(have, change);
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

/// `diff --json`
#[derive(Serialize)]
struct DiffDocument {
    equal: bool,
    changes: Vec<json::ChangeDocument>,
    refusing: Vec<RefusingDocument>,
    digests: Vec<DigestsDocument>,
}

/// The digests of a service in the table and in the file, if they are known.
#[derive(Serialize)]
struct DigestsDocument {
    service: KeyDocument,
    table: Option<String>,
    file: Option<String>,
}

impl From<&Digests> for DigestsDocument {
    fn from(Digests { key, here, there }: &Digests) -> Self {
        Self { service: key.into(), table: here.clone(), file: there.clone() }
    }
}

/// A service that refuses the clients of servers with weight 0.
#[derive(Serialize)]
struct RefusingDocument {
    service: KeyDocument,
    servers: Vec<ServerKeyDocument>,
}
