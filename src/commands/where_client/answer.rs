//! What becomes of a client: the server that it has already, and the one that a new connection gets.

use std::fmt::Write as _;
use std::net::IpAddr;

use ipvs_client::connections::Connection;
use ipvs_client::mapping::{HashScheduler, Mapping, Unknown};
use ipvs_client::{DestinationEntry, DestinationKey, Service};
use serde::Serialize;

use super::clients::Client;
use super::existing::{Existing, server};
use crate::host::table_sizes::TableSizes;
use crate::view::json::{KeyDocument, ServerKeyDocument};

/// All that is known of a service.
pub(super) struct Known {
    pub(super) service: Service,
    pub(super) servers: Vec<DestinationEntry<()>>,
    /// Where its packets go: the virtual address, or what was said of a mark.
    pub(super) to: IpAddr,
    pub(super) mapping: Result<Mapping, Unknown>,
    pub(super) sizes: TableSizes,
    pub(super) existing: Existing,
    /// Whether persistence passes over servers with weight 0.
    pub(super) quiescent_templates_expire: bool,
}

/// What a new connection gets.
#[derive(Clone, Copy)]
pub(super) enum New {
    /// This server, by its place.
    Server(usize),
    /// It is refused.
    Refused,
    Unknown(Unknown),
    /// A persistence engine chooses by what packets hold.
    Engine,
}

impl Known {
    /// What a new connection of this client gets.
    #[inline]
    pub(super) fn new_connection(&self, (address, port): Client) -> New {
        if self.service.persistence.is_some() && !self.service.engine.is_empty() {
            return New::Engine;
        }
        let place = self.mapping.as_ref().map_err(|unknown| *unknown);
        match place.and_then(|mapping| mapping.place(address, port, self.to)) {
            Ok(Some(place)) => New::Server(place),
            Ok(None) => New::Refused,
            Err(unknown) => New::Unknown(unknown),
        }
    }

    /// The server that persistence remembers for this client, if that still takes it, and for how many seconds.
    pub(super) fn template(&self, client: Client) -> Option<(DestinationKey, u32)> {
        let template = self.existing.template(&self.service, client)?;
        let (address, port) = template.destination;
        // Templates of marks, of all ports and of FTP have none.
        let is_its = |key: DestinationKey| key.address == address && (port == 0 || key.port == port);
        let entry = self.servers.iter().find(|entry| is_its(entry.destination.key))?;
        let takes = entry.destination.weight > 0 || !self.quiescent_templates_expire;
        takes.then_some((entry.destination.key, template.expires))
    }

    /// The hash scheduler, if it is one.
    pub(super) fn scheduler(&self) -> Option<HashScheduler> {
        HashScheduler::named(self.service.scheduler)
    }

    /// Why it is not known, in words.
    pub(super) fn why(&self, new: New) -> Option<String> {
        match new {
            New::Server(_) | New::Refused => None,
            New::Unknown(unknown) => Some(unknown.to_string()),
            New::Engine => Some(format!("the persistence engine {} chooses by what packets hold", self.service.engine)),
        }
    }

    /// Why a client is refused.
    fn refusal(&self, (address, port): Client) -> String {
        let owner = self.mapping.as_ref().ok().and_then(|mapping| mapping.owner(address, port, self.to).ok().flatten());
        match (owner, self.servers.is_empty()) {
            (_, true) => "the service has no servers".to_owned(),
            (None, false) => "no server has a weight above 0".to_owned(),
            (Some(owner), false) => {
                let fault = if owner.weight == 0 { "has weight 0" } else { "is at its upper threshold" };
                let fallback = self.scheduler().and_then(HashScheduler::fallback_flag);
                let is_set = self.service.flags.scheduler() & ipvs_client::ServiceFlags::SCHEDULER_1 != 0;
                match fallback {
                    Some(_) if is_set => {
                        format!("its server {} {fault}, and so is every other out of service", owner.server)
                    }
                    Some(flag) => format!("its server {} {fault}, and {flag} is not set", owner.server),
                    None => format!("its server {} {fault}, and dh has no fallback", owner.server),
                }
            }
        }
    }

    /// The table that the answer is from.
    fn table(&self) -> Option<(usize, &str)> {
        let slots = self.mapping.as_ref().ok()?.slots().len();
        let from: &str = match self.scheduler()? {
            HashScheduler::Sh => &self.sizes.sh_from,
            HashScheduler::Mh => &self.sizes.mh_from,
            HashScheduler::Dh => "fixed",
        };
        Some((slots, from))
    }

    /// The answer for people, in lines.
    pub(super) fn text(&self, client: Client) -> String {
        let mut text = String::new();
        let mut found = self.existing.connections();
        if let Some(connection) = self.existing.connection(client) {
            found = vec![connection];
        }
        for connection in found {
            let _ = writeln!(
                text,
                "connection from port {}: {} ({}, for {})",
                connection.source.1,
                server(connection),
                connection.state,
                minutes(connection.expires)
            );
        }
        if let Some((server, expires)) = self.template(client) {
            let _ = writeln!(text, "persistence: {server} (for {})", minutes(expires));
        }
        let scheduler = self.service.scheduler;
        if self.scheduler().is_none() {
            let _ = writeln!(text, "new connection: {scheduler} takes {}", rule(&scheduler.text()));
            let _ = writeln!(text, "candidates: {}", self.candidates());
            return text;
        }
        let new = self.new_connection(client);
        let _ = match new {
            New::Server(place) => {
                let (slots, from) = self.table().unwrap_or_default();
                let key = self.servers[place].destination.key;
                writeln!(text, "new connection: {key} ({scheduler}, {slots} slots: {from})")
            }
            New::Refused => writeln!(text, "new connection: refused, because {}", self.refusal(client)),
            _ => writeln!(text, "new connection: not known, because {}", self.why(new).unwrap_or_default()),
        };
        text
    }

    /// The servers that can be chosen.
    fn candidates(&self) -> String {
        let available = self.available();
        let texts: Vec<String> = available
            .map(|entry| {
                let connections = entry.active_connections;
                format!("{} (weight {}, {connections} active)", entry.destination.key, entry.destination.weight)
            })
            .collect();
        if texts.is_empty() { "none".to_owned() } else { texts.join(", ") }
    }

    fn available(&self) -> impl Iterator<Item = &DestinationEntry<()>> {
        self.servers.iter().filter(|entry| {
            let upper = u64::from(entry.destination.upper_threshold);
            let connections = u64::from(entry.active_connections) + u64::from(entry.inactive_connections);
            entry.destination.weight > 0 && (upper == 0 || connections < upper)
        })
    }

    /// The answer for programs.
    pub(super) fn document(&self, (address, port): Client) -> WhereDocument {
        let client = (address, port);
        let found = |connection: &Connection| ConnectionDocument {
            port: connection.source.1,
            server: (&server(connection)).into(),
            state: connection.state.to_string(),
            expires_seconds: connection.expires,
        };
        let connections = match self.existing.connection(client) {
            Some(connection) => vec![found(connection)],
            None if port.is_none() => {
                self.existing.connections().into_iter().filter(|one| one.source.0 == address).map(found).collect()
            }
            None => Vec::new(),
        };
        let is_hash = self.scheduler().is_some();
        let new = self.new_connection(client);
        let chosen = match new {
            New::Server(place) => Some(self.servers[place].destination.key),
            _ => None,
        };
        let key = |key: &DestinationKey| ServerKeyDocument::from(key);
        WhereDocument {
            client: address,
            port,
            service: (&self.service.key).into(),
            scheduler: self.service.scheduler.to_string(),
            connections,
            persistence: self
                .template(client)
                .map(|(server, expires_seconds)| TemplateDocument { server: (&server).into(), expires_seconds }),
            new_connection: NewDocument {
                server: chosen.as_ref().map(key),
                refused: matches!(new, New::Refused).then(|| self.refusal(client)),
                unknown: if is_hash { self.why(new) } else { None },
                rule: (!is_hash).then(|| rule(&self.service.scheduler.text())),
                candidates: self.available().map(|entry| key(&entry.destination.key)).collect(),
            },
            table: self.table().map(|(slots, from)| TableDocument { slots, size_from: from.to_owned() }),
        }
    }
}

/// What other schedulers choose by (`net/netfilter/ipvs/ip_vs_*.c`).
fn rule(scheduler: &str) -> &'static str {
    match scheduler {
        "rr" => "the next server in turn",
        "wrr" => "the servers in turn, each as often as its weight says",
        "lc" => "the server with the fewest connections, of which an active one counts as 256 inactive ones",
        "wlc" => "the server with the fewest connections for its weight; an active one counts as 256 inactive ones",
        "lblc" => "the server that the destination's address had last, unless it is overloaded; else as wlc",
        "lblcr" => "the least loaded of the servers that the destination's address has; else as wlc",
        "sed" => "the server with the fewest active connections, and one more, for its weight",
        "nq" => "a server without active connections; else as sed",
        "fo" => "the server with the largest weight",
        "ovf" => "the server with the largest weight that has fewer connections than its weight",
        "twos" => "the less loaded one of two servers, drawn at random by weight",
        "none" => "none: the service has no scheduler",
        _ => "a server by a rule that is not known here",
    }
}

/// Seconds as minutes and seconds.
fn minutes(seconds: u32) -> String {
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

/// `where --json`
#[derive(Serialize)]
pub(super) struct WhereDocument {
    client: IpAddr,
    port: Option<u16>,
    service: KeyDocument,
    scheduler: String,
    connections: Vec<ConnectionDocument>,
    persistence: Option<TemplateDocument>,
    new_connection: NewDocument,
    table: Option<TableDocument>,
}

/// A connection that the client has.
#[derive(Serialize)]
struct ConnectionDocument {
    /// The client's port.
    port: u16,
    server: ServerKeyDocument,
    state: String,
    expires_seconds: u32,
}

/// What persistence remembers.
#[derive(Serialize)]
struct TemplateDocument {
    server: ServerKeyDocument,
    expires_seconds: u32,
}

/// What a new connection gets: one of the first four is not null.
#[derive(Serialize)]
struct NewDocument {
    server: Option<ServerKeyDocument>,
    refused: Option<String>,
    unknown: Option<String>,
    rule: Option<&'static str>,
    candidates: Vec<ServerKeyDocument>,
}

/// The table of the hash scheduler.
#[derive(Serialize)]
struct TableDocument {
    slots: usize,
    size_from: String,
}
