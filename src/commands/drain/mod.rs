//! `--drain`: take real servers out without breaking connections.
//!
//! What a drain is stands in [`ipvs_client::plan::drain`]; here are the kernel, the clock and the signals. However it ends, but
//! for SIGKILL, the servers are deleted (or have weight 0, as asked), or have the weights that they had.

use std::io::{self, IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ipvs_client::{
    Asked, Change, Client, Destination, DestinationEntry, DestinationKey, Error, Refusal, Service, ServiceKey,
    connections::{self, Skipped},
    plan::drain::{Drain, Look},
};
use netlink_exchange::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;

pub(super) mod spare;

use super::list::connections::{Reading, report};
use super::signals::{Interrupted, Signals};
use super::{lock, status};
use crate::grammar::{Drain as Request, Drained};
use crate::host::{module, sysctl, table_sizes};
use crate::view::drain::{Status, bar, counted, line};
use spare::{Fallback, Terms};

/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(250);
/// Between two lines where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(5);
/// Between two readings of the kernel's list of connections.
const LIST_INTERVAL: Duration = Duration::from_secs(5);
/// The width of a terminal that does not report its own.
const WIDTH: usize = 80;

/// Whether templates of servers with weight 0 are passed over (`Documentation/networking/ipvs-sysctl.rst`).
const QUIESCENT_TEMPLATES: &str = "net/ipv4/vs/expire_quiescent_template";

/// How the waiting ended.
enum End {
    Gone,
    TimeOut(Status),
    Disturbed(String),
    Signal(Interrupted),
}

pub(super) fn run(request: &Request, lock_wait: u32) -> Result<u8> {
    let mut client = module::connect()?;
    // From reading the weights to changing them; not while waiting for connections, which can take hours.
    let locked = lock::take(lock_wait)?;
    let have = servers(&mut client, request)?;
    let drain = plan(request, &have)?;
    let name = name(request);
    let Some(fallback) = weigh(&mut client, request, &name, &have)? else { return Ok(status::FAILED) };
    // Before anything is changed: from here on there is a way back.
    let signals = Signals::hold()?;
    let started = Instant::now();
    let mut waiting = Waiting {
        request,
        lock_wait,
        name: &name,
        drain,
        started,
        bar: Bar::new(),
        list: None,
        most: 0,
        warned: false,
        reported: false,
        fallback: None,
    };
    let began = waiting.begin(&mut client, fallback);
    drop(locked);
    let end = match began.and_then(|()| waiting.wait(&mut client, &signals)) {
        Ok(end) => end,
        Err(error) => {
            waiting.back(&mut client, &signals, lock_wait);
            return Err(error);
        }
    };
    drop(waiting.bar.clear());
    match end {
        End::Gone => waiting.finish(&mut client, &signals, &format!("drained in {}", seconds(started.elapsed()))),
        End::TimeOut(status) => {
            let status = line(&Status { gives_up: None, clients_for: None, ..status });
            let after = seconds(started.elapsed());
            if request.force {
                return waiting.finish(&mut client, &signals, &format!("{status} left after {after}"));
            }
            say!("{name}: {status} left after {after}: rolling back");
            waiting.back(&mut client, &signals, lock_wait);
            Ok(status::FAILED)
        }
        End::Disturbed(what) => {
            say!("{name}: {what}: the drain ends here");
            waiting.back(&mut client, &signals, lock_wait);
            Ok(status::FAILED)
        }
        End::Signal(signal) => waiting.interrupted(&mut client, &signals, signal, lock_wait),
    }
}

/// The service's servers. That there is no such service is said in the words of the command without `--drain`.
fn servers(client: &mut Client, request: &Request) -> Result<Vec<DestinationEntry<()>>> {
    let asked = match request.what {
        Drained::Server(_) | Drained::Edited(_) => Asked::Destination,
        Drained::Service => Asked::OneService,
    };
    let missing = Refusal::new(asked, Errno::ESRCH);
    Ok(client.destinations_with(&request.service)?.ok_or(Error::Refused(missing))?)
}

fn plan(request: &Request, have: &[DestinationEntry<()>]) -> Result<Drain> {
    let former = |key: DestinationKey| {
        let entry = have.iter().find(|entry| entry.destination.key == key);
        let missing = Refusal::new(Asked::Destination, Errno::ENOENT);
        entry.map(|entry| entry.destination).ok_or(Error::Refused(missing))
    };
    Ok(match request.what {
        Drained::Server(key) => Drain::server(request.service, former(key)?),
        Drained::Edited(target) => Drain::edited(request.service, former(target.key)?, target),
        Drained::Service => Drain::whole_service(request.service, have.iter().map(|entry| entry.destination)),
    })
}

/// Say what the drain costs clients. Nothing if it is not to begin; otherwise the service whose fallback flag spares them, if
/// one does.
fn weigh(
    client: &mut Client,
    request: &Request,
    name: &str,
    have: &[DestinationEntry<()>],
) -> Result<Option<Option<Service>>> {
    let (server, deletes) = match request.what {
        Drained::Server(key) => (key, true),
        Drained::Edited(Destination { key, .. }) => (key, false),
        // That refuses new clients by intent.
        Drained::Service => return Ok(Some(None)),
    };
    let service = client.service_with::<()>(&request.service)?.service;
    let terms = Terms {
        server,
        no_fallback: request.no_fallback,
        deletes,
        quiescent_templates_expire: quiescent_templates_expire() != Some(false),
    };
    let cost = spare::cost(&service, have, terms, || table_sizes::read().kernel);
    for line in &cost.lines {
        say!("{name}: {line}");
    }
    if cost.refuses && !request.force {
        say!("{name}: not drained, as clients would be refused; --force drains it anyway");
        return Ok(None);
    }
    Ok(Some(cost.flag.then_some(service)))
}

/// Whether persistence passes over servers with weight 0, if that can be read.
pub(super) fn quiescent_templates_expire() -> Option<bool> {
    sysctl::read_number(QUIESCENT_TEMPLATES).ok().map(|value| value != 0)
}

/// What is drained, in few words.
fn name(request: &Request) -> String {
    match request.what {
        Drained::Server(key) | Drained::Edited(Destination { key, .. }) => key.to_string(),
        Drained::Service => request.service.to_string(),
    }
}

fn seconds(time: Duration) -> String {
    counted(time.as_secs(), "second")
}

/// A drain under way.
struct Waiting<'r> {
    request: &'r Request,
    /// Seconds to wait for the lock on the table.
    lock_wait: u32,
    name: &'r str,
    drain: Drain,
    started: Instant,
    bar: Bar,
    /// The last reading of the list of connections, and how long persistence binds the last client.
    list: Option<(Reading, Option<u64>)>,
    most: u64,
    warned: bool,
    /// Whether lines of that list that are not connections are reported.
    reported: bool,
    /// The service's fallback flag, as long as it is set by us.
    fallback: Option<Fallback>,
}

impl Waiting<'_> {
    fn begin(&mut self, client: &mut Client, fallback: Option<Service>) -> Result<()> {
        if let Some(service) = fallback {
            let server = self.drain.servers().next().map_or(DestinationKey::new([0; 4], 0), |server| server.key);
            let fallback = self.fallback.insert(Fallback::set(client, &service, server)?);
            say!("{}", fallback.message());
        }
        self.drain.begin().try_for_each(|change| client.change(&change))?;
        Ok(())
    }

    fn wait(&mut self, client: &mut Client, signals: &Signals) -> Result<End> {
        let end = self.request.limit.map(|limit| self.started + Duration::from_secs(limit.into()));
        loop {
            let now = match client.destinations_with(&self.request.service) {
                Ok(now) => now.unwrap_or_default(),
                // That others are busy with the service's other servers is no reason to end; it is looked at again, but
                // not for longer than was asked.
                Err(Error::Unsettled) if end.is_none_or(|end| Instant::now() < end) => {
                    if let Some(signal) = pause(signals, INTERVAL)? {
                        return Ok(End::Signal(signal));
                    }
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let left = match self.drain.look(&now) {
                Look::Gone => return Ok(End::Gone),
                Look::Disturbed(what) => return Ok(End::Disturbed(what.to_string())),
                Look::Waiting(left) => left,
            };
            self.most = self.most.max(left.total());
            let until = end.map(|end| end.saturating_duration_since(Instant::now()));
            let clients_for = if left.clients > 0 { self.clients_for() } else { None };
            // A second that has begun counts.
            let gives_up = until.map(|until| until.as_millis().div_ceil(1000) as u64);
            let status = Status { left, most: self.most, clients_for, gives_up };
            if left.total() > 0 {
                if until.is_some_and(|until| until.is_zero()) {
                    return Ok(End::TimeOut(status));
                }
                self.warn_of_persistence(left.clients);
                self.bar.show(self.name, &status);
            }
            // What is over by the second look is not called late.
            let time = until.map_or(INTERVAL, |until| until.clamp(Duration::from_millis(1), INTERVAL));
            if let Some(signal) = pause(signals, time)? {
                return Ok(End::Signal(signal));
            }
        }
    }

    /// Weight 0 does not part a server from clients that persistence knows. Say so once, and what does.
    fn warn_of_persistence(&mut self, clients: u64) {
        if clients == 0 || std::mem::replace(&mut self.warned, true) {
            return;
        }
        if quiescent_templates_expire() == Some(false) {
            say!(
                "{}: persistent clients that come back are still sent there and stay longer; the sysctl \
                 net.ipv4.vs.expire_quiescent_template=1 sends them elsewhere",
                self.name
            );
        }
    }

    /// How long persistence binds the last client to the servers. For show only: what cannot be read is not known.
    fn clients_for(&mut self) -> Option<u64> {
        if let Some((reading, clients_for)) = self.list
            && reading.is_recent(LIST_INTERVAL)
        {
            return clients_for.map(|seconds| seconds.saturating_sub(reading.age().as_secs()));
        }
        let started = Instant::now();
        let servers: Vec<DestinationKey> = self.drain.servers().map(|server| server.key).collect();
        // For show only: what cannot be read is not known.
        let (last, skipped) = longest_template(&self.request.service, &servers).unwrap_or_default();
        if !self.reported {
            self.reported = report(connections::PATH, skipped);
        }
        self.list = Some((Reading::since(started), last));
        last
    }

    /// Delete what is to be deleted.
    fn finish(&mut self, client: &mut Client, signals: &Signals, what: &str) -> Result<u8> {
        let name = self.name;
        let change = match self.request.what {
            Drained::Server(key) => Change::DeleteDestination(self.request.service, key),
            Drained::Service => Change::DeleteService(self.request.service),
            Drained::Edited(_) => {
                say!("{name}: {what}; it stays, with weight 0");
                self.put_fallback_back(client);
                return Ok(status::OK);
            }
        };
        let locked = match lock::take_unless(self.lock_wait, signals) {
            Ok(Some(locked)) => locked,
            Ok(None) => {
                let signal = signals.came().unwrap_or(Interrupted(Signal::SIGTERM as i32));
                // It has been waited for already.
                return self.interrupted(client, signals, signal, 0);
            }
            Err(error) => {
                self.back(client, signals, 0);
                return Err(error);
            }
        };
        let outcome = client.change(&change);
        if let Ok(()) | Err(Error::Refused(Refusal { errno: Errno::ENOENT | Errno::ESRCH, .. })) = outcome {
            self.put_fallback_back(client);
        }
        drop(locked);
        match outcome {
            Ok(()) => {
                say!("{name}: {what}; deleted");
                Ok(status::OK)
            }
            Err(Error::Refused(Refusal { errno: Errno::ENOENT | Errno::ESRCH, .. })) => {
                say!("{name}: {what}, but another program has deleted it");
                Ok(status::FAILED)
            }
            Err(error) => {
                self.back(client, signals, self.lock_wait);
                Err(error.into())
            }
        }
    }

    /// Roll back, and end by this signal.
    fn interrupted(
        &mut self,
        client: &mut Client,
        signals: &Signals,
        signal: Interrupted,
        lock_wait: u32,
    ) -> Result<u8> {
        say!("{}: interrupted: rolling back", self.name);
        self.back(client, signals, lock_wait);
        Err(signal.into())
    }

    /// Give the servers back what they had, after waiting this many seconds at most for the lock.
    fn back(&mut self, client: &mut Client, signals: &Signals, lock_wait: u32) {
        let _locked = lock::take_to_go_back(lock_wait, Some(signals));
        let now = match client.destinations_with(&self.request.service) {
            Ok(now) => now.unwrap_or_default(),
            Err(error) => {
                say!("{}: the weight cannot be put back: {error}", self.name);
                return;
            }
        };
        for change in self.drain.back(&now) {
            let Change::EditDestination(_, server) = change else { continue };
            let key = server.key.to_string();
            match client.change(&change) {
                Ok(()) => say!("{key}: the weight is {} again", server.weight),
                Err(error) => say!("{key}: the weight cannot be put back: {error}"),
            }
        }
        self.put_fallback_back(client);
    }

    /// Take the fallback flag away if we have set it and nothing needs it any more. To be called with the lock on the table.
    fn put_fallback_back(&mut self, client: &mut Client) {
        if let Some(message) = self.fallback.take().and_then(|fallback| fallback.put_back(client)) {
            say!("{message}");
        }
    }
}

/// Wait for this long, or for a signal.
fn pause(signals: &Signals, time: Duration) -> Result<Option<Interrupted>> {
    let timeout = PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX);
    match poll(&mut [PollFd::new(signals.as_fd(), PollFlags::POLLIN)], timeout) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(signals.came()),
        Err(errno) => Err(errno).context("waiting for signals"),
    }
}

/// Seconds for which persistence binds the last client to one of these servers, and what of the list was skipped.
fn longest_template(service: &ServiceKey, servers: &[DestinationKey]) -> io::Result<(Option<u64>, Skipped)> {
    let is_mark = matches!(service, ServiceKey::Mark { .. });
    let template = connections::template_address(service);
    let mut last = None;
    let skipped = connections::read(connections::open()?, |connection| {
        let of_mark = !is_mark || connection.virtual_address.0 == template;
        if connection.is_template() && of_mark && connection.belongs_to(service, servers) {
            last = last.max(Some(connection.expires.into()));
        }
        Ok(())
    })?;
    Ok((last, skipped))
}

/// What is shown while waiting: on a terminal one line that changes, otherwise a line now and then.
struct Bar {
    terminal: bool,
    shown: bool,
    next: Instant,
}

impl Bar {
    fn new() -> Self {
        Self { terminal: stderr().is_terminal(), shown: false, next: Instant::now() }
    }

    /// That it fails is nothing to fail for.
    fn show(&mut self, name: &str, status: &Status) {
        if self.terminal {
            let width = crossterm::terminal::size().map_or(WIDTH, |(columns, _)| usize::from(columns));
            // The last column stays free, or the cursor would be on the next line.
            let text = bar(name, status, width.saturating_sub(1));
            let _ = stderr().write_all(format!("\r{text}\x1b[K").as_bytes());
            self.shown = true;
        } else if Instant::now() >= self.next {
            say!("{name}: {}", line(status));
            self.next = Instant::now() + LINE_INTERVAL;
        }
    }

    fn clear(&mut self) -> std::io::Result<()> {
        if std::mem::take(&mut self.shown) { stderr().write_all(b"\r\x1b[K") } else { Ok(()) }
    }
}
