//! What a drain costs clients, and the flag that spares them: `sh` and `mh` refuse the clients of a server with weight 0
//! unless the service has their fallback flag.

use std::net::SocketAddr;

use anyhow::Result;
use ipvs_client::mapping::{HashScheduler, Kernel, Mapping, Member, refusing, with_fallback};
use ipvs_client::{Change, Client, DestinationEntry, DestinationKey, Error, Service, ServiceFlags, ServiceKey};

use crate::commands::called;
use crate::commands::lock::this_process;
use crate::host::drains::{self, Note};
use crate::view::drain::counted;
use crate::view::rules;

/// The flag that both schedulers have for it.
const FALLBACK: ServiceFlags = ServiceFlags::from_bits(ServiceFlags::SCHEDULER_1);

/// What a drain costs clients, as far as it is known before it begins.
#[derive(Debug, Default)]
pub(in crate::commands) struct Cost {
    /// In words.
    pub(in crate::commands) lines: Vec<String>,
    /// Whether clients are refused.
    pub(in crate::commands) refuses: bool,
    /// Whether the fallback flag is to be set, because that spares them.
    pub(in crate::commands) flag: bool,
}

/// What is asked of a drain.
#[derive(Clone, Copy, Debug)]
pub(in crate::commands) struct Terms {
    /// The server that is drained.
    pub(in crate::commands) server: DestinationKey,
    /// The flag is not to be set.
    pub(in crate::commands) no_fallback: bool,
    /// The server is deleted in the end.
    pub(in crate::commands) deletes: bool,
    /// Persistence passes over servers with weight 0.
    pub(in crate::commands) quiescent_templates_expire: bool,
}

/// What it costs the clients of this service, with the servers that it has, to drain one of them.
pub(in crate::commands) fn cost(
    service: &Service,
    have: &[DestinationEntry<()>],
    terms: Terms,
    kernel: impl FnOnce() -> Kernel,
) -> Cost {
    let mut cost = Cost::default();
    let Some(drained) = have.iter().find(|entry| entry.destination.key == terms.server) else { return cost };
    let scheduler = HashScheduler::named(service.scheduler);
    let flag = scheduler.and_then(HashScheduler::fallback_flag);
    let lacks = flag.is_some() && service.flags.bits() & FALLBACK.bits() == 0;
    cost.flag = lacks && !terms.no_fallback;
    if drained.persistent_connections > 0 && !terms.quiescent_templates_expire {
        let clients = counted(drained.persistent_connections.into(), "client");
        cost.lines.push(format!("{clients} that persistence knows can still be sent there"));
    }
    if drained.destination.weight == 0 {
        // It has no new clients that it could lose.
        return cost;
    }
    let is_other = |entry: &&DestinationEntry<()>| entry.destination.key != terms.server;
    if !have.iter().filter(is_other).any(|entry| entry.destination.weight > 0) {
        cost.flag = false;
        cost.refuses = true;
        cost.lines.push(format!("no other server of {} is in service: all new clients are refused", service.key));
        return cost;
    }
    let Some(scheduler) = scheduler else { return cost };
    let reason = match flag {
        None => Some("dh has no fallback".to_owned()),
        Some(flag) if lacks && !cost.flag => Some(format!("{flag} is not set")),
        Some(_) => None,
    };
    let kernel = kernel();
    // Thresholds change from one moment to the next: what a drain costs is counted without them.
    let member = |entry: &DestinationEntry<()>| Member { overloaded: Some(false), ..Member::of(&entry.destination) };
    let before: Vec<Member> = have.iter().map(member).collect();
    let during: Vec<Member> = before
        .iter()
        .map(|member| if member.server == terms.server { Member { weight: 0, ..*member } } else { *member })
        .collect();
    let after: Vec<Member> = before.iter().filter(|member| member.server != terms.server).copied().collect();
    let spared = if cost.flag { with_fallback(service) } else { *service };
    let without = [terms.server];
    let tables = Mapping::new(service, &before, &kernel).and_then(|before| {
        let during = before.loss(&Mapping::new(&spared, &during, &kernel)?, &without);
        Ok((during, before.loss(&Mapping::new(&spared, &after, &kernel)?, &without)))
    });
    cost.refuses = reason.is_some();
    match (tables, reason) {
        (Ok((during, after)), reason) => {
            cost.refuses = during.refused > 0;
            if let Some(reason) = reason.filter(|_| cost.refuses) {
                cost.lines
                    .push(format!("the clients of {} of {} slots are refused: {reason}", during.refused, during.slots));
            }
            if during.moved > 0 {
                cost.lines.push(format!(
                    "the clients of {} of {} slots move between other servers: {} counts slots by weight",
                    during.moved,
                    during.slots,
                    scheduler.name()
                ));
            }
            if terms.deletes && after.moved > 0 {
                cost.lines.push(format!(
                    "with its deletion the clients of {} of {} slots move between other servers",
                    after.moved, after.slots
                ));
            }
        }
        (Err(unknown), Some(reason)) => {
            cost.lines.push(format!("clients are refused: {reason}; how many is not known, because {unknown}"));
        }
        (Err(_), None) => {}
    }
    cost
}

/// The fallback flag of a service while we have set it.
#[derive(Debug)]
pub(in crate::commands) struct Fallback {
    service: Service,
    flag: &'static str,
    _note: Option<Note>,
}

impl Fallback {
    /// Set the flag. The service is as it was read under the lock on the table.
    pub(in crate::commands) fn set(
        client: &mut Client,
        service: &Service,
        server: DestinationKey,
    ) -> Result<Self, Error> {
        let flag = HashScheduler::named(service.scheduler).and_then(HashScheduler::fallback_flag).unwrap_or_default();
        let text = format!("{}\n{}\n{}\n{server}\n", service.key, flag, command(service));
        let note = Note::begin(&this_process(), &text);
        client.edit_service_flags(&with_fallback(service), FALLBACK)?;
        Ok(Self { service: *service, flag, _note: note.ok() })
    }

    /// What is said when it is set.
    pub(in crate::commands) fn message(&self) -> String {
        format!("{}: {} is set while servers have weight 0", self.service.key, self.flag)
    }

    /// Take the flag away if no server of the service has weight 0 any more. Returns what has become of it, in words. To be
    /// called with the lock on the table.
    pub(in crate::commands) fn put_back(self, client: &mut Client) -> Option<String> {
        let Self { service: Service { key, .. }, flag, .. } = self;
        match put_back(client, &self.service) {
            Ok(Back::NotThere) => None,
            Ok(Back::Done) => Some(format!("{key}: {flag} is off again")),
            Ok(Back::Needed(server)) => Some(format!(
                "{key}: {flag} stays set, as {server} has weight 0; to take it away later: {}",
                command(&self.service)
            )),
            Err(error) => Some(format!("{key}: {flag} cannot be taken away: {error}")),
        }
    }

    /// Whether that is so of the service which has the flag.
    pub(in crate::commands) fn is_needed(&self, is_so: impl Fn(&ServiceKey) -> bool) -> bool {
        is_so(&self.service.key)
    }
}

/// What becomes of the flag.
enum Back {
    /// It is off.
    Done,
    /// This server has weight 0.
    Needed(SocketAddr),
    /// The service or its flag is gone.
    NotThere,
}

fn put_back(client: &mut Client, before: &Service) -> Result<Back, Error> {
    let now = match client.service_with::<()>(&before.key) {
        Ok(entry) => entry.service,
        Err(Error::Refused(_)) => return Ok(Back::NotThere),
        Err(error) => return Err(error),
    };
    if now.scheduler != before.scheduler || now.flags.bits() & FALLBACK.bits() == 0 {
        return Ok(Back::NotThere);
    }
    let servers = client.destinations_with::<()>(&before.key)?.unwrap_or_default();
    if let Some(entry) = servers.iter().find(|entry| entry.destination.weight == 0) {
        let DestinationKey { address, port } = entry.destination.key;
        return Ok(Back::Needed(SocketAddr::new(address, port)));
    }
    let flags = ServiceFlags::from_bits(now.flags.bits() & !FALLBACK.bits());
    client.edit_service_flags(&now.flags(flags), FALLBACK)?;
    Ok(Back::Done)
}

/// The command that makes the service what it was.
fn command(service: &Service) -> String {
    format!("{} {}", called::command_line(), rules::text(&Change::EditService(*service)))
}

/// Say which drains were killed and left a service changed.
pub(in crate::commands) fn report_abandoned() {
    for note in drains::abandoned() {
        let mut lines = note.text.lines();
        let (Some(key), Some(flag), Some(command), Some(server)) =
            (lines.next(), lines.next(), lines.next(), lines.next())
        else {
            note.settle();
            continue;
        };
        match is_set(key) {
            Ok(true) => say!(
                "{} did not finish its drain: {key} still has {flag}, and {server} may have weight 0; to take the flag \
                 away: {command}",
                note.by
            ),
            Ok(false) => note.settle(),
            Err(_) => {}
        }
    }
}

/// Whether this service has the flag.
fn is_set(key: &str) -> Result<bool> {
    let Ok(key) = key.parse::<ServiceKey>() else { return Ok(false) };
    let Some(mut client) = Client::connect_if_present()? else { return Ok(false) };
    match client.service_with::<()>(&key) {
        Ok(entry) => Ok(entry.service.flags.bits() & FALLBACK.bits() != 0),
        Err(Error::Refused(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// What is said at a terminal of a server that got weight 0 without a drain.
pub(in crate::commands) fn hint(client: &mut Client, key: &ServiceKey, server: DestinationKey) -> Option<String> {
    let service = client.service_with::<()>(key).ok()?.service;
    let servers = client.destination_rules(key).ok()??;
    let what = refusing(&service, servers.iter()).into_iter().find(|refusing| refusing.server == server)?;
    Some(match what.scheduler.fallback_flag() {
        Some(_) => format!("{what}; to send them to other servers: {}", command(&with_fallback(&service))),
        None => what.to_string(),
    })
}
