//! `compare MASTER BACKUP`: what the backup's list of connections lacks of the master's.

mod read;

use std::io::{self, BufRead, BufReader, Write as _, stdin};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::{Arg, ArgMatches, Command, value_parser};
use ipvs_client::connections::{Connection, ConnectionSet, Found};
use serde::Serialize;

use super::{Output, document, report, status};
use crate::escape::escaped;
use crate::host::input;
use crate::view::json::{ConnectionDocument, Stream};
use crate::view::{Labels, connections};

/// The subcommand as clap knows it.
pub(crate) fn command() -> Command {
    let file = |name: &'static str, help| {
        Arg::new(name).value_name(name).required(true).value_parser(value_parser!(PathBuf)).help(help)
    };
    Command::new("compare")
        .about("Print the connections of a master that its backup does not have")
        .long_about(
            "Print the connections of a master that its backup does not have, from what -L -c --json printed on each. \
             A connection is the same if protocol, client, virtual address and real server are. Status 0 if the backup \
             lacks none, 1 if it lacks some, 2 on trouble.",
        )
        .args(document::arguments())
        .arg(file("MASTER", "The master's connections, as JSON; - is standard input"))
        .arg(file("BACKUP", "The backup's connections, as JSON; - is standard input"))
}

pub(super) fn run(matches: &ArgMatches, output: &mut Output) -> Result<u8> {
    match missing(matches, output) {
        Ok(0) => Ok(status::OK),
        Ok(_) => Ok(status::FAILED),
        // 1 means that connections are missing.
        Err(error) => Ok(match report(&error) {
            status::OK => status::OK,
            _ => status::USAGE,
        }),
    }
}

/// What stands before the connections that are missing.
#[derive(Serialize)]
struct Head {
    backup_connections: usize,
    missing: [(); 0],
}

/// A connection that the backup does not have.
#[derive(Serialize)]
struct Missing<'c> {
    #[serde(flatten)]
    connection: ConnectionDocument<'c>,
    backup_has_other_server: bool,
}

/// How many connections there are, and what of them the backup lacks.
#[derive(Default)]
struct Counts {
    all: u64,
    missing: u64,
    to_another_server: u64,
}

/// The number of connections that are missing.
fn missing(matches: &ArgMatches, output: &mut Output) -> Result<u64> {
    let path = |name| matches.get_one::<PathBuf>(name).map(PathBuf::as_path).context("a file is missing");
    let (master, backup) = (path("MASTER")?, path("BACKUP")?);
    ensure!(master != backup || master != Path::new("-"), "only one of the two lists can be standard input");
    let known = known(backup)?;
    if let Some(pretty) = document::wanted(matches) {
        let head = Head { backup_connections: known.len(), missing: [] };
        let mut list = Stream::begin(output, "connection_comparison", &head, pretty)?;
        let counts = each_missing(master, &known, |connection, found| {
            let backup_has_other_server = found == Found::OtherServer;
            let connection = ConnectionDocument::new(connection, None);
            list.element(&Missing { connection, backup_has_other_server })
        })?;
        list.end()?;
        return Ok(counts.missing);
    }
    let (mut labels, mut first) = (Labels::numeric(), true);
    let Counts { all, missing, to_another_server } = each_missing(master, &known, |connection, _| {
        if std::mem::take(&mut first) {
            connections::header(output, false)?;
        }
        connections::line(output, &mut labels, connection, None)
    })?;
    let backup = known.len();
    writeln!(
        output,
        "{all} on the master, {backup} on the backup, {missing} missing there ({to_another_server} to another server)"
    )?;
    Ok(missing)
}

/// The connections of the backup.
fn known(path: &Path) -> Result<ConnectionSet> {
    let mut known = ConnectionSet::default();
    let mut fits = true;
    read::connections(open(path)?, |connection| {
        fits &= known.push(connection);
        Ok(())
    })
    .with_context(|| escaped(path).into_owned())?;
    ensure!(fits, "{}: more than 256 names of protocols", escaped(path));
    known.finish();
    Ok(known)
}

/// Give each connection of the master that is not known to `take`.
fn each_missing(
    path: &Path,
    known: &ConnectionSet,
    mut take: impl FnMut(&Connection, Found) -> io::Result<()>,
) -> Result<Counts> {
    let mut counts = Counts::default();
    read::connections(open(path)?, |connection| {
        counts.all += 1;
        let found = known.find(connection);
        if found == Found::Same {
            return Ok(());
        }
        counts.missing += 1;
        counts.to_another_server += u64::from(found == Found::OtherServer);
        take(connection, found)
    })
    .with_context(|| escaped(path).into_owned())?;
    Ok(counts)
}

fn open(path: &Path) -> Result<Box<dyn BufRead>> {
    if path == Path::new("-") {
        return Ok(Box::new(stdin().lock()));
    }
    let file = input::open(path).with_context(|| escaped(path).into_owned())?;
    Ok(Box::new(BufReader::with_capacity(64 * 1024, file)))
}
