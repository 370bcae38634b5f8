//! Names of hosts and ports, as this machine knows them.
//!
//! Hosts mean here what they mean to the C library's gethostbyname(3): the sources of nsswitch.conf(5) are asked in its order,
//! and the first address counts as it comes. hosts(5) and the name servers of resolv.conf(5) are read and asked by code of
//! our own (`hosts`, `exchange`), as this program is linked statically; getent(1) asks for us what only the C library
//! knows. All names are looked up together, under one limit, and no variable of the environment changes what they mean.
//! Ports are read from services(5).

mod config;
mod exchange;
mod getent;
mod hosts;
mod lookup;
mod message;
mod services;

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use ipvs_client::Protocol;
use lookup::{Entry, Found, Key, Missing, Sources};
use message::{Answer, Kind, Question, Reply};
use services::Services;

/// The names this machine knows. Nothing is read before it is asked for.
#[derive(Debug, Default)]
pub struct SystemNames {
    services: OnceLock<Services>,
    hosts: Mutex<LookedUp>,
}

#[derive(Debug, Default)]
struct LookedUp {
    /// Hosts looked up, and those that will be. A hash map would ask the kernel for random numbers in every call.
    hosts: BTreeMap<String, Option<Result<IpAddr, String>>>,
    /// How long that has taken.
    spent: Duration,
}

impl SystemNames {
    fn looked_up(&self) -> MutexGuard<'_, LookedUp> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first IPv4 address of a host, or if it has none its first IPv6 address; or why that is not known. `None` until
    /// [`SystemNames::look_up`] has looked it up.
    pub fn host(&self, name: &str) -> Option<Result<IpAddr, String>> {
        self.looked_up().hosts.entry(name.to_owned()).or_default().clone()
    }

    /// Look up all hosts that [`SystemNames::host`] was called for and had no answer to, together.
    pub fn look_up(&self) {
        let mut looked_up = self.looked_up();
        let unknown = looked_up.hosts.iter().filter(|(_, known)| known.is_none());
        let names: Vec<String> = unknown.map(|(name, _)| name.clone()).collect();
        let started = Instant::now();
        let found = addresses(&names, looked_up.spent);
        looked_up.hosts.extend(found.into_iter().map(|(name, address)| (name, Some(address))));
        looked_up.spent += started.elapsed();
    }

    /// The port of a named service of this protocol.
    pub fn port(&self, name: &str, protocol: Protocol) -> Option<u16> {
        self.services.get_or_init(read_services).port(name, protocol)
    }
}

/// The first IPv4 address of each of these hosts; of those that have none the first IPv6 address. Of the time for it this
/// much has been spent.
fn addresses(names: &[String], spent: Duration) -> Vec<(String, Result<IpAddr, String>)> {
    let mut sources = Sources::new(None, spent);
    let mut ipv4: Vec<Entry<'_>> = names.iter().map(|name| Entry::new(Key::Host(name, Kind::Ipv4))).collect();
    sources.ask(&mut ipv4);
    // Whether a host has an IPv4 address must be known before another one counts.
    let without = |entry: &&Entry<'_>| entry.found.is_none() && !matches!(entry.missing, Missing::Unanswered(_));
    let mut ipv6: Vec<Entry<'_>> = ipv4.iter().filter(without).filter_map(|entry| entry.of_kind(Kind::Ipv6)).collect();
    if !ipv6.is_empty() {
        sources.ask(&mut ipv6);
    }
    let outcome = |entry: Entry<'_>| {
        let Key::Host(name, _) = entry.key else { return None };
        let outcome = match entry.found {
            Some(Found::Address(address)) => Ok(address),
            _ => Err(entry.missing.to_string()),
        };
        Some((name.to_owned(), outcome))
    };
    // What the second look-up says of a host takes the place of what the first said.
    ipv4.into_iter().chain(ipv6).filter_map(outcome).collect()
}

/// The names of these addresses, of those for which there is an answer within `limit`. Each is looked up once, all at the
/// same time.
#[must_use]
pub fn host_names(addresses: &[IpAddr], limit: Duration) -> HashMap<IpAddr, String> {
    let mut entries: Vec<Entry<'_>> = addresses.iter().map(|&address| Entry::new(Key::Address(address))).collect();
    if !entries.is_empty() {
        Sources::new(Some(limit), Duration::ZERO).ask(&mut entries);
    }
    let name = |entry: Entry<'_>| match (entry.key, entry.found) {
        (Key::Address(address), Some(Found::Name(name))) => Some((address, name)),
        _ => None,
    };
    entries.into_iter().filter_map(name).collect()
}

/// The first name of each port that has one.
#[must_use]
pub fn port_names() -> HashMap<(u16, Protocol), String> {
    read_services().names()
}

/// For the fuzzers: the names in a message of a name server, whatever it answers about this name.
#[doc(hidden)]
#[must_use]
pub fn read_reply(name: &str, message: &[u8]) -> Vec<String> {
    let id = message.first_chunk().map_or(0, |id| u16::from_be_bytes(*id));
    let questions = [Kind::Ipv4, Kind::Ipv6, Kind::Name].into_iter().filter_map(|kind| Question::new(name, kind));
    let answered = questions.filter_map(|question| match question.reply(id, message) {
        Reply::Answer(Answer::Name(name)) => Some(name),
        _ => None,
    });
    answered.collect()
}

fn read_services() -> Services {
    Services::parse(&std::fs::read(services::PATH).unwrap_or_default())
}
