//! `-L -c`: all connections or some, as they come, sorted or counted.

use std::io::{self, BufRead, IsTerminal, stderr};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use ipvs_client::{
    Client,
    connections::{
        Choice, Connection, Count, CountKeys, Counter, ENGINE_PATH, EngineTable, Held, PATH, Row, Skipped, open, read,
        rows,
    },
};

use crate::commands::labels::NamedLabels;
use crate::commands::{Output, terminal};
use crate::grammar::{ConnectionView, Connections, Format, Listing};
use crate::host::sysctl;
use crate::view::json::{self, ConnectionDocument};
use crate::view::wide::WithData;
use crate::view::{Labels, boxed, connections, wide};

const TOO_MANY_NAMES: &str = "/proc/net/ip_vs_conn_sync: more than 256 names of protocols and states";

/// Connections whose names are looked up together.
const LOOKED_UP_TOGETHER: usize = 16 * 1024;

pub(super) fn list(client: &mut Client, listing: &Listing, wanted: &Connections, output: &mut Output) -> Result<()> {
    // Anybody may read the file; ipvsadm asks the kernel first, which answers root only.
    client.info()?;
    let mut labels = NamedLabels::new(listing.numeric, listing.resolve_timeout);
    let choice = &wanted.choice;
    if let ConnectionView::Counted(keys) = wanted.view {
        return count(listing, choice, keys, &mut labels, output);
    }
    // JSON has everything, whatever columns are asked for.
    let with_data = listing.engine_data || matches!(listing.format, Format::Json(_));
    let engines = if with_data { EngineTable::of_kernel()? } else { EngineTable::default() };
    report(ENGINE_PATH, engines.skipped());
    let source = open()?;
    let skipped = match (wanted.view, listing.format) {
        (ConnectionView::Sorted(key), _) => {
            let (mut all, skipped) = held(source, choice)?;
            all.sort(key);
            show(&all, &engines, listing, &mut labels, output)?;
            skipped
        }
        (_, Format::Wide | Format::Table) => {
            let (all, skipped) = held(source, choice)?;
            show(&all, &engines, listing, &mut labels, output)?;
            skipped
        }
        // Line by line: there can be millions.
        (_, Format::Classic) if listing.numeric => numbers(source, choice, &engines, listing, output)?,
        (_, Format::Classic) => names(source, choice, &engines, listing, &mut labels, output)?,
        (_, Format::Json(json)) => {
            let mut list = json::Stream::begin(output, KIND, &NONE, json.pretty)?;
            let skipped = read(source, |connection| match choice.has(connection) {
                true => list.element(&ConnectionDocument::new(connection, engines.of(connection))),
                false => Ok(()),
            })?;
            list.end()?;
            skipped
        }
    };
    report(PATH, skipped);
    Ok(())
}

/// Say how many lines of a list were skipped, and on a terminal why a long one took so long. Whether anything was said.
pub(in crate::commands) fn report(path: &'static str, skipped: Skipped) -> bool {
    let lines = skipped.message(path).map(|message| message.to_string());
    let is_slow = path == PATH && stderr().is_terminal();
    let both = [lines, is_slow.then(|| slowness(skipped)).flatten()];
    both.iter().flatten().for_each(|message| say!("{message}"));
    both.iter().any(Option::is_some)
}

/// Connections beyond which the list is long.
const MANY: u64 = 100_000;

/// What there is to say of the time that a list of so many connections takes.
pub(in crate::commands) fn slowness(Skipped { of, .. }: Skipped) -> Option<String> {
    let is_old = || matches!(sysctl::kernel_version(), Ok(Some(version)) if version < (6, 14));
    (of > MANY && is_old()).then(|| {
        format!("{PATH}: {of} connections: before Linux 6.14 the kernel takes time by the square of their number to list them")
    })
}

/// When the list of connections was read, and how long that took.
#[derive(Clone, Copy)]
pub(in crate::commands) struct Reading {
    at: Instant,
    took: Duration,
}

impl Reading {
    /// Of the time, reading the list takes at most this part: on old kernels it keeps a processor busy for long.
    const SHARE: u32 = 20;

    /// One that began then and is over now.
    pub(in crate::commands) fn since(began: Instant) -> Self {
        Self { at: Instant::now(), took: began.elapsed() }
    }

    /// How long ago it was.
    pub(in crate::commands) fn age(self) -> Duration {
        self.at.elapsed()
    }

    /// Whether it is too early for the next one, which is wanted at most so often.
    pub(in crate::commands) fn is_recent(self, interval: Duration) -> bool {
        self.age() < interval.max(self.took * Self::SHARE)
    }
}

/// The document's kind.
const KIND: &str = "connections";
const NONE: [(); 0] = [];

/// The original's lines, by number.
fn numbers(
    source: impl BufRead,
    choice: &Choice,
    engines: &EngineTable,
    listing: &Listing,
    output: &mut Output,
) -> Result<Skipped> {
    connections::header(output, listing.engine_data)?;
    let mut labels = Labels::numeric();
    let all = *choice == Choice::ALL && !listing.engine_data;
    let skipped = rows(source, |row| match row {
        Row::Usual(usual) if all => connections::usual(output, usual),
        row => {
            let connection = &row.connection();
            match choice.has(connection) {
                true => connections::line(output, &mut labels, connection, engines.of(connection)),
                false => Ok(()),
            }
        }
    })?;
    Ok(skipped)
}

/// The original's lines, with names.
fn names(
    source: impl BufRead,
    choice: &Choice,
    engines: &EngineTable,
    listing: &Listing,
    labels: &mut NamedLabels,
    output: &mut Output,
) -> Result<Skipped> {
    connections::header(output, listing.engine_data)?;
    let mut waiting = Waiting { connections: Vec::new(), engines, labels, output };
    let skipped = read(source, |connection| if choice.has(connection) { waiting.push(connection) } else { Ok(()) })?;
    waiting.write()?;
    Ok(skipped)
}

/// Connections whose lines are not yet written: names are looked up together, but all of them could be too many.
struct Waiting<'w> {
    connections: Vec<Connection>,
    engines: &'w EngineTable,
    labels: &'w mut NamedLabels,
    output: &'w mut Output,
}

impl Waiting<'_> {
    fn push(&mut self, connection: &Connection) -> io::Result<()> {
        self.connections.push(*connection);
        if self.connections.len() < LOOKED_UP_TOGETHER { Ok(()) } else { self.write() }
    }

    fn write(&mut self) -> io::Result<()> {
        self.labels.look_up_next(self.connections.iter().flat_map(addresses));
        self.connections.drain(..).try_for_each(|connection| {
            connections::line(self.output, self.labels, &connection, self.engines.of(&connection))
        })
    }
}

/// The connections wanted, all at once, in little room.
fn held(source: impl BufRead, choice: &Choice) -> Result<(Held, Skipped)> {
    let mut all = Held::default();
    let mut fits = true;
    let skipped = read(source, |connection| {
        if choice.has(connection) {
            fits &= all.push(connection);
        }
        Ok(())
    })?;
    ensure!(fits, TOO_MANY_NAMES);
    Ok((all, skipped))
}

fn addresses(connection: &Connection) -> [std::net::IpAddr; 3] {
    [connection.source.0, connection.virtual_address.0, connection.destination.0]
}

fn show(
    all: &Held,
    engines: &EngineTable,
    listing: &Listing,
    labels: &mut NamedLabels,
    output: &mut Output,
) -> Result<()> {
    let engine_data = listing.engine_data;
    let with_data = all.iter().map(|connection| (connection, engines.of(&connection)));
    match listing.format {
        Format::Classic if listing.numeric => {
            connections::header(output, engine_data)?;
            all.iter().try_for_each(|one| connections::line(output, labels, &one, engines.of(&one)))?;
        }
        Format::Classic => {
            connections::header(output, engine_data)?;
            let mut waiting = Waiting { connections: Vec::new(), engines, labels, output };
            all.iter().try_for_each(|connection| waiting.push(&connection))?;
            waiting.write()?;
        }
        Format::Wide => {
            labels.look_up(all.iter().flat_map(|connection| addresses(&connection)));
            wide::connections(output, labels, with_data, engine_data)?;
        }
        Format::Table => {
            labels.look_up(all.iter().flat_map(|connection| addresses(&connection)));
            let rows: Vec<WithData<'_>> = with_data.collect();
            boxed::connections(output, labels, &rows, engine_data, terminal::canvas(listing.color))?;
        }
        Format::Json(json) => {
            let mut list = json::Stream::begin(output, KIND, &NONE, json.pretty)?;
            with_data.into_iter().try_for_each(|(one, data)| list.element(&ConnectionDocument::new(&one, data)))?;
            list.end()?;
        }
    }
    Ok(())
}

fn count(
    listing: &Listing,
    choice: &Choice,
    keys: CountKeys,
    labels: &mut NamedLabels,
    output: &mut Output,
) -> Result<()> {
    let mut counter = Counter::by(keys);
    let mut fits = true;
    let skipped = read(open()?, |connection| {
        if choice.has(connection) {
            fits &= counter.add(connection);
        }
        Ok(())
    })?;
    ensure!(fits, TOO_MANY_NAMES);
    let counts = counter.counts();
    if let Format::Json(json) = listing.format {
        json::counts(output, keys, &counts, json.pretty)?;
    } else {
        let parts = |count: Count| [Some(count.of), count.and];
        labels.look_up(counts.iter().flat_map(parts).flatten().filter_map(|part| part.address()));
        match listing.format {
            Format::Table => boxed::counts(output, labels, keys, &counts, terminal::canvas(listing.color))?,
            _ => connections::list_counts(&counts, output, labels)?,
        }
    }
    report(PATH, skipped);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_takes_long_is_read_seldom() {
        const HOUR: Duration = Duration::from_secs(3600);
        let now = Reading { at: Instant::now(), took: Duration::ZERO };
        assert!(now.is_recent(HOUR) && !now.is_recent(Duration::ZERO));
        assert!(Reading { took: HOUR, ..now }.is_recent(Duration::ZERO));
    }
}
