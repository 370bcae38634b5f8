//! `-L --prometheus` and `-L --openmetrics`.

use std::io::Write;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use ipvs_client::{
    Client, estimation, hash_tables,
    plan::{self, Options},
};

use super::services::{Order, for_services_in};
use crate::commands::labels::NamedLabels;
use crate::commands::source::Source;
use crate::commands::state::read_state;
use crate::commands::{Output, report, status};
use crate::escape::escaped;
use crate::grammar::Metrics;
use crate::host::{file, module};
use crate::metrics::Scope;
use crate::view::metrics::{MetricsTable, Sample, write, write_failure};

pub(in crate::commands) fn run(wanted: &Metrics, output: &mut Output) -> Result<u8> {
    // Everything is read before anything is written: what is written is whole, or says that the reading failed.
    let (sample, failure) = match read(wanted) {
        Ok((sample, compared)) => (Some(sample), compared.err()),
        Err(error) => (None, Some(error)),
    };
    let text = |out: &mut dyn Write| match &sample {
        Some(sample) => write(out, wanted.exposition, wanted.only, sample),
        None => write_failure(out, wanted.exposition),
    };
    match &wanted.file {
        None => text(output)?,
        Some(path) => {
            if let Err(error) = file::publish(path, text) {
                // What is there is of another time, and nothing in it says so.
                let removed = file::remove(path).err().filter(|error| error.kind() != std::io::ErrorKind::NotFound);
                let left = removed.map(|error| format!("; the old file is still there: {error}")).unwrap_or_default();
                say!("{}: {error}{left}", escaped(path));
                return Ok(status::FAILED);
            }
        }
    }
    Ok(failure.map_or(status::OK, |error| report(&error)))
}

/// All that is written, and whether it could be compared with the rules that are saved.
fn read(wanted: &Metrics) -> Result<(Sample, Result<()>)> {
    let mut client = module::connect()?;
    let mut table = MetricsTable::default();
    let of_servers = wanted.only.has_any(Scope::Server);
    if wanted.only.is_of_table() {
        let entries = match wanted.service {
            Some(key) => vec![client.service(&key)?],
            None => client.services()?,
        };
        let order = Order { sorted: wanted.sorted, numeric: true, only: wanted.service };
        for_services_in(&mut client, entries, order, &mut NamedLabels::new(true, 0), |_, service| {
            table.push(service, of_servers);
            Ok(())
        })?;
    }
    let compared = wanted.saved.as_deref().map(|path| changes(&mut client, path)).transpose();
    let sample = Sample {
        info: client.info()?,
        estimation_runs: estimation::stopped().is_none(),
        hash_tables: hash_tables::read().unwrap_or_default(),
        timeouts: client.timeouts()?,
        daemons: client.daemons()?,
        saved_rules_changes: compared.as_ref().ok().copied().flatten(),
        table,
        read_at: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
    };
    Ok((sample, compared.map(|_| ())))
}

/// How many changes would make the table equal to a file of rules.
fn changes(client: &mut Client, path: &Path) -> Result<u64> {
    let want = Source::of(Some(path)).desired().with_context(|| escaped(path).into_owned())?.state;
    let have = read_state(client, &want)?;
    Ok(plan::difference(&have, &want, Options::default()).len() as u64)
}
