//! Look-ups of hosts and addresses: the sources of this machine, one after the other, each for all that is still open.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::config::{self, Outcome, Resolver, Service, Source};
use super::exchange::{Exchange, Inquiry, NoAnswer};
use super::getent;
use super::hosts::Hosts;
use super::message::{Answer, Failure, Kind, Question};

/// Addresses in one run of getent at most; the limit is the length of a command line.
const ADDRESSES_AT_MOST: usize = 500;
/// However name servers are set up, all names of a command or a file together take no longer than this.
const LIMIT_AT_MOST: Duration = Duration::from_secs(30);

/// What is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key<'n> {
    /// The first address of this kind of a host.
    Host(&'n str, Kind),
    /// The name of an address.
    Address(IpAddr),
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Address(IpAddr),
    Name(String),
}

/// One look-up.
#[derive(Debug)]
pub(super) struct Entry<'n> {
    pub(super) key: Key<'n>,
    pub(super) found: Option<Found>,
    /// Why it was not found.
    pub(super) missing: Missing,
    /// Whether no other source is to be asked.
    closed: bool,
    /// Whether only hosts(5) can have it.
    only_files: bool,
}

/// Why a host has no address. Of two reasons the later one here says more.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Missing {
    /// There is no such host.
    Unknown,
    /// There is, without an address of this kind.
    NoAddress,
    /// It cannot be known now.
    Unanswered(String),
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("there is no such host"),
            Self::NoAddress => f.write_str("the host has no address"),
            Self::Unanswered(why) => f.write_str(why),
        }
    }
}

impl<'n> Entry<'n> {
    pub(super) fn new(key: Key<'n>) -> Self {
        Self { key, found: None, missing: Missing::Unknown, closed: false, only_files: false }
    }

    /// The same host, with an address of another kind. A source that does not know the host at all is not asked again.
    pub(super) fn of_kind(&self, kind: Kind) -> Option<Self> {
        let Key::Host(name, _) = self.key else { return None };
        Some(Self { only_files: self.missing == Missing::Unknown, ..Self::new(Key::Host(name, kind)) })
    }

    fn is_missing(&mut self, missing: Missing) -> Outcome {
        let outcome = match missing {
            Missing::Unknown | Missing::NoAddress => Outcome::NotFound,
            Missing::Unanswered(_) => Outcome::TryAgain,
        };
        if missing > self.missing {
            self.missing = missing;
        }
        outcome
    }
}

/// The sources of this machine, and the time that they have.
pub(super) struct Sources {
    sources: Vec<Source>,
    /// Read when it is asked for the first time.
    hosts: Option<io::Result<Hosts>>,
    resolver: Resolver,
    limit: Duration,
    end: Instant,
}

impl Sources {
    /// All that is asked of them may take this long, without a limit what one name may by resolv.conf(5), less what has been
    /// spent.
    pub(super) fn new(limit: Option<Duration>, spent: Duration) -> Self {
        let resolver = Resolver::of_this_machine();
        let limit = limit.unwrap_or_else(|| resolver.limit().min(LIMIT_AT_MOST));
        Self {
            sources: config::sources(),
            hosts: None,
            resolver,
            limit,
            end: Instant::now() + limit.saturating_sub(spent),
        }
    }

    /// Look all these up.
    pub(super) fn ask(&mut self, entries: &mut [Entry<'_>]) {
        for source in self.sources.clone() {
            let is_asked =
                |entry: &&mut Entry<'_>| !entry.closed && (!entry.only_files || source.service == Service::Files);
            let mut open: Vec<&mut Entry<'_>> = entries.iter_mut().filter(is_asked).collect();
            if open.is_empty() {
                continue;
            }
            let outcomes = match &source.service {
                Service::Files => self.ask_files(&mut open),
                Service::Dns => self.ask_servers(&mut open),
                Service::Library(sources) => self.ask_library(sources, &mut open),
            };
            for (entry, outcome) in open.into_iter().zip(outcomes) {
                entry.closed = source.is_last_after(outcome);
            }
        }
    }

    fn ask_files(&mut self, entries: &mut [&mut Entry<'_>]) -> Vec<Outcome> {
        let Ok(hosts) = self.hosts.get_or_insert_with(Hosts::read) else {
            return vec![Outcome::Unavailable; entries.len()];
        };
        let named = |wanted| {
            entries.iter().filter_map(move |entry| match entry.key {
                Key::Host(name, kind) if kind == wanted => Some(name),
                _ => None,
            })
        };
        let ipv4 = hosts.addresses(named(Kind::Ipv4), Kind::Ipv4);
        let ipv6 = hosts.addresses(named(Kind::Ipv6), Kind::Ipv6);
        let addresses: Vec<IpAddr> = entries
            .iter()
            .filter_map(|entry| match entry.key {
                Key::Address(address) => Some(address),
                Key::Host(..) => None,
            })
            .collect();
        let mut names = hosts.names(&addresses);
        let find = |entry: &mut &mut Entry<'_>| {
            entry.found = match entry.key {
                Key::Host(name, Kind::Ipv6) => ipv6.get(name).copied().map(Found::Address),
                Key::Host(name, _) => ipv4.get(name).copied().map(Found::Address),
                Key::Address(address) => names.remove(&address).map(Found::Name),
            };
            if entry.found.is_some() { Outcome::Success } else { Outcome::NotFound }
        };
        entries.iter_mut().map(find).collect()
    }

    fn ask_servers(&self, entries: &mut [&mut Entry<'_>]) -> Vec<Outcome> {
        let mut searches: Vec<Search> = entries.iter().map(|entry| Search::new(&self.resolver, entry.key)).collect();
        Exchange::new(&self.resolver, self.end).run(&mut searches);
        let take = |(entry, search): (&mut &mut Entry<'_>, Search)| {
            match (search.answer, search.failure) {
                (Some(Answer::Addresses(mut addresses)), _) => {
                    self.resolver.sort(&mut addresses);
                    entry.found = addresses.first().copied().map(Found::Address);
                }
                (Some(Answer::Name(name)), _) => entry.found = Some(Found::Name(name)),
                (_, Some(failure)) => {
                    let outcome = entry.is_missing(Missing::Unanswered(self.explain(failure)));
                    return if failure == NoAnswer::Unreachable { Outcome::Unavailable } else { outcome };
                }
                _ if search.exists => return entry.is_missing(Missing::NoAddress),
                _ => {}
            }
            if entry.found.is_some() { Outcome::Success } else { Outcome::NotFound }
        };
        entries.iter_mut().zip(searches).map(take).collect()
    }

    fn explain(&self, failure: NoAnswer) -> String {
        let addresses: Vec<String> = self.resolver.servers.iter().map(|server| server.ip().to_string()).collect();
        let servers = addresses.join(", ");
        match failure {
            NoAnswer::Silence => format!("no name server answered within {} s ({servers})", self.limit.as_secs()),
            NoAnswer::Unreachable => format!("no name server can be reached ({servers})"),
            NoAnswer::Failure(Failure::Malformed) => format!("the name server's answer makes no sense ({servers})"),
            NoAnswer::Failure(Failure::Status(status)) => {
                let status = match status {
                    0 => "no recursion".to_owned(),
                    1 => "FORMERR".to_owned(),
                    2 => "SERVFAIL".to_owned(),
                    4 => "NOTIMP".to_owned(),
                    5 => "REFUSED".to_owned(),
                    status => format!("status {status}"),
                };
                format!("the name server fails: {status} ({servers})")
            }
        }
    }

    /// Ask the C library, which for a host first gives its IPv6 addresses.
    fn ask_library(&self, sources: &str, entries: &mut [&mut Entry<'_>]) -> Vec<Outcome> {
        // What looks like an option is not a host that the C library finds.
        let hosts = positions(entries, |key| matches!(key, Key::Host(name, _) if !name.starts_with('-')));
        self.ask_library_for_hosts(sources, &["hosts"], &hosts, entries);
        let other = |entry: &Entry<'_>| match (&entry.key, &entry.found) {
            (Key::Host(_, Kind::Ipv4), Some(Found::Address(address))) => address.is_ipv6(),
            _ => false,
        };
        let both: Vec<usize> = hosts.into_iter().filter(|&index| other(entries[index])).collect();
        for &index in &both {
            entries[index].found = None;
        }
        // These come in the order that is best for connections from here, which is not the order of the source.
        self.ask_library_for_hosts(sources, &["--no-addrconfig", "ahostsv4"], &both, entries);
        // By default addresses are kept back of a family that no interface has, and so all of them before the network is up.
        // Older programs cannot be asked otherwise.
        let left: Vec<usize> = both.iter().copied().filter(|&index| entries[index].found.is_none()).collect();
        self.ask_library_for_hosts(sources, &["ahostsv4"], &left, entries);
        for &index in &both {
            if entries[index].found.is_none() {
                entries[index].is_missing(Missing::NoAddress);
            }
        }
        let addresses = positions(entries, |key| matches!(key, Key::Address(_)));
        self.ask_library_for_names(sources, &addresses, entries);
        let outcome = |entry: &&mut Entry<'_>| match (&entry.found, &entry.missing) {
            (Some(_), _) => Outcome::Success,
            (None, Missing::Unanswered(_)) => Outcome::TryAgain,
            (None, _) => Outcome::NotFound,
        };
        entries.iter().map(outcome).collect()
    }

    fn ask_library_for_hosts(
        &self,
        sources: &str,
        database: &[&str],
        indices: &[usize],
        entries: &mut [&mut Entry<'_>],
    ) {
        let name = |&index: &usize| match entries[index].key {
            Key::Host(name, _) => vec![name.to_owned()],
            Key::Address(address) => vec![address.to_string()],
        };
        let keys: Vec<Vec<String>> = indices.iter().map(name).collect();
        match getent::ask(sources, database, &keys, self.end) {
            Ok(answers) => {
                for (&index, answer) in indices.iter().zip(answers) {
                    let Some(answer) = answer else {
                        let why = format!("no answer within {} s", self.limit.as_secs());
                        entries[index].is_missing(Missing::Unanswered(why));
                        continue;
                    };
                    let first = answer.split_ascii_whitespace().next();
                    entries[index].found = first.and_then(|first| first.parse().ok()).map(Found::Address);
                }
            }
            Err(error) => {
                for &index in indices {
                    entries[index].is_missing(Missing::Unanswered(format!("{}: {error}", getent::PATH)));
                }
            }
        }
    }

    fn ask_library_for_names(&self, sources: &str, indices: &[usize], entries: &mut [&mut Entry<'_>]) {
        let addresses: Vec<String> = indices
            .iter()
            .filter_map(|&index| match entries[index].key {
                Key::Address(address) => Some(address.to_string()),
                Key::Host(..) => None,
            })
            .collect();
        let portion = (addresses.len() / (4 * getent::AT_ONCE)).clamp(1, ADDRESSES_AT_MOST);
        let keys: Vec<Vec<String>> = addresses.chunks(portion).map(<[String]>::to_vec).collect();
        // Without an answer an address is shown as it is.
        let answers = getent::ask(sources, &["hosts"], &keys, self.end).unwrap_or_default();
        for line in answers.iter().flatten().flat_map(|answer| answer.lines()) {
            let mut words = line.split_ascii_whitespace();
            let (Some(address), Some(name)) = (words.next(), words.next()) else { continue };
            let Ok(address) = address.parse() else { continue };
            for &index in indices {
                if entries[index].key == Key::Address(address) {
                    entries[index].found = Some(Found::Name(name.to_owned()));
                }
            }
        }
    }
}

fn positions(entries: &[&mut Entry<'_>], wanted: impl Fn(&Key<'_>) -> bool) -> Vec<usize> {
    (0..entries.len()).filter(|&index| wanted(&entries[index].key)).collect()
}

/// Questions to name servers for one entry: for a host in each domain that is searched, until one has it.
struct Search {
    questions: VecDeque<Question>,
    answer: Option<Answer>,
    /// Whether there is such a name, even without what was asked for.
    exists: bool,
    failure: Option<NoAnswer>,
}

impl Search {
    fn new(resolver: &Resolver, key: Key<'_>) -> Self {
        let questions = match key {
            Key::Host(name, kind) => {
                resolver.candidates(name).iter().filter_map(|name| Question::new(name, kind)).collect()
            }
            Key::Address(address) => Question::name_of(address).into_iter().collect(),
        };
        Self { questions, answer: None, exists: false, failure: None }
    }
}

impl Inquiry for Search {
    fn question(&self) -> Option<Question> {
        self.questions.front().cloned()
    }

    fn answered(&mut self, answer: Result<Answer, NoAnswer>) {
        self.questions.pop_front();
        match answer {
            Ok(Answer::NoSuchName | Answer::Failure(_)) => {}
            Ok(Answer::Nothing) => self.exists = true,
            Ok(answer) => {
                self.answer = Some(answer);
                self.questions.clear();
            }
            Err(failure) => {
                self.failure = Some(failure);
                // A server that has no answer to one name may have one to the next; one that is silent stays so.
                if !matches!(failure, NoAnswer::Failure(_)) {
                    self.questions.clear();
                }
            }
        }
    }
}
