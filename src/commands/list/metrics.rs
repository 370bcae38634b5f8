//! `-L --prometheus` and `-L --openmetrics`.

use std::env;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use ipvs_client::{
    Client, ServiceKey, Step, estimation, hash_tables,
    plan::{self, Options},
};

use crate::commands::source::Source;
use crate::commands::state::read_state;
use crate::commands::{Output, report, status};
use crate::escape::escaped;
use crate::grammar::Metrics;
use crate::host::spool::{Spool, Spooled};
use crate::host::{file, module};
use crate::metrics::Scope;
use crate::view::metrics::{RowMaker, RowReader, Sample, Table, write, write_failure};

/// Where large tables are spooled, unless TMPDIR says otherwise: /tmp may be memory.
const TEMPORARY: &str = "/var/tmp";

pub(in crate::commands) fn run(wanted: &Metrics, output: &mut Output) -> Result<u8> {
    // Everything is read before anything is written: what is written is whole, or says that the reading failed.
    let (mut read, failure) = match read(wanted) {
        Ok((read, compared)) => (Some(read), compared.err()),
        Err(error) => (None, Some(error)),
    };
    let mut text = |out: &mut dyn Write| match &mut read {
        Some((sample, table)) => write(out, wanted.exposition, wanted.only, sample, table),
        None => write_failure(out, wanted.exposition),
    };
    match &wanted.file {
        None => text(output)?,
        Some(path) => {
            if let Err(error) = file::publish(path, text) {
                // What is there is of another time, and nothing in it says so.
                let removed = file::remove(path).err().filter(|error| error.kind() != io::ErrorKind::NotFound);
                let left = removed.map(|error| format!("; the old file is still there: {error}")).unwrap_or_default();
                say!("{}: {error}{left}", escaped(path));
                return Ok(status::FAILED);
            }
        }
    }
    Ok(failure.map_or(status::OK, |error| report(&error)))
}

/// All that is written.
type Written = (Sample, Table<Spooled>);

/// The same, and whether it could be compared with the rules that are saved.
fn read(wanted: &Metrics) -> Result<(Written, Result<()>)> {
    let mut client = module::connect()?;
    let (table, uncounted_servers) = match wanted.only.is_of_table() {
        true => read_table(&mut client, wanted)?,
        false => (Table { services: spool().finish()?, servers: spool().finish()? }, 0),
    };
    let compared = wanted.saved.as_deref().map(|path| changes(&mut client, path)).transpose();
    let sample = Sample {
        info: client.info()?,
        estimation_runs: estimation::stopped().is_none(),
        hash_tables: hash_tables::read().unwrap_or_default(),
        timeouts: client.timeouts()?,
        daemons: client.daemons()?,
        saved_rules_changes: compared.as_ref().ok().copied().flatten(),
        uncounted_servers,
        read_at: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
    };
    Ok(((sample, table), compared.map(|_| ())))
}

/// Services and servers in the kernel's order, and the number of servers that have connections and no counters. The memory that
/// this takes does not grow with the table.
fn read_table(client: &mut Client, wanted: &Metrics) -> Result<(Table<Spooled>, u64)> {
    let of_servers = wanted.only.has_any(Scope::Server);
    let mut maker = RowMaker::default();
    let mut heard_of = services(client, wanted.service, &mut maker)?;
    let (mut services, mut servers, mut all_uncounted) = (spool(), spool(), 0);
    let mut buffer = Vec::new();
    let mut rows = RowReader::new(&mut heard_of, &mut buffer)?;
    while let Some(row) = rows.next_row()? {
        let Some(key) = row.key() else { continue };
        let start = servers.length();
        let (mut uncounted, mut written) = (0, Ok(()));
        let is_there = client.each_destination(&key, |step| match step {
            Step::Begin => {
                uncounted = 0;
                written = servers.truncate(start).and_then(|()| servers.write_all(maker.heading(row)));
            }
            Step::Entry(entry) => {
                uncounted += u64::from(!entry.is_counted());
                if of_servers && written.is_ok() {
                    written = servers.write_all(maker.server(&entry));
                }
            }
        })?;
        written?;
        if is_there {
            services.write_all(row.as_bytes())?;
            all_uncounted += uncounted;
            continue;
        }
        // It was deleted in between, and there are no servers below its heading. What was named on the command line is reported in
        // the words for that.
        if wanted.service.is_some() {
            client.service(&key)?;
        }
    }
    Ok((Table { services: services.finish()?, servers: servers.finish()? }, all_uncounted))
}

/// The services, as rows.
fn services(client: &mut Client, only: Option<ServiceKey>, maker: &mut RowMaker) -> Result<Spooled> {
    let mut services = spool();
    match only {
        Some(key) => services.write_all(maker.service(&client.service(&key)?))?,
        None => {
            let mut written = Ok(());
            client.each_service(|step| match step {
                Step::Begin => written = services.truncate(0),
                Step::Entry(entry) if written.is_ok() => written = services.write_all(maker.service(&entry)),
                Step::Entry(_) => {}
            })?;
            written?;
        }
    }
    Ok(services.finish()?)
}

fn spool() -> Spool {
    let folder = env::var_os("TMPDIR").filter(|folder| !folder.is_empty());
    Spool::new(folder.map_or_else(|| TEMPORARY.into(), PathBuf::from))
}

/// How many changes would make the table equal to a file of rules.
fn changes(client: &mut Client, path: &Path) -> Result<u64> {
    let want = Source::of(Some(path)).desired().with_context(|| escaped(path).into_owned())?.state;
    let have = read_state(client, &want)?;
    Ok(plan::difference(&have, &want, Options::default()).len() as u64)
}
