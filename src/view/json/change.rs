//! Changes of the table, by the names that documents give them.

use ipvs_client::{Change, DestinationKey, ServiceKey, plan::State};
use serde::Serialize;

use super::{KeyDocument, ServerKeyDocument};
use crate::view::rules;

/// What a change is called, and what it is about.
#[must_use]
pub fn named(change: &Change) -> (&'static str, Option<ServiceKey>, Option<DestinationKey>) {
    match change {
        Change::AddService(service) => ("add_service", Some(service.key), None),
        Change::EditService(service) => ("edit_service", Some(service.key), None),
        Change::DeleteService(key) => ("delete_service", Some(*key), None),
        Change::AddDestination(key, server) => ("add_server", Some(*key), Some(server.key)),
        Change::EditDestination(key, server) => ("edit_server", Some(*key), Some(server.key)),
        Change::DeleteDestination(key, server) => ("delete_server", Some(*key), Some(*server)),
        Change::SetTimeouts(_) => ("set_timeouts", None, None),
        Change::StartDaemon(_) => ("start_daemon", None, None),
        Change::StopDaemon(_) => ("stop_daemon", None, None),
        // No difference is made of these.
        Change::Flush => ("clear", None, None),
        Change::Zero(key) => ("zero", *key, None),
    }
}

/// A change that would make the table equal to the file.
#[derive(Debug, Serialize)]
pub struct ChangeDocument {
    action: &'static str,
    service: Option<KeyDocument>,
    server: Option<ServerKeyDocument>,
    /// Rules of the table that only it has.
    removed: Vec<String>,
    /// Rules of the file that only it has.
    added: Vec<String>,
}

impl ChangeDocument {
    /// Of a change of the table that is `have` before it.
    #[must_use]
    pub fn new(have: &State, change: &Change) -> Self {
        let (action, service, server) = named(change);
        let (removed, added) = rules::sides(have, change);
        let (service, server) = (service.as_ref().map(KeyDocument::from), server.as_ref().map(ServerKeyDocument::from));
        Self { action, service, server, removed, added }
    }
}

/// `-R --replace --json`: what was changed, or with `--dry-run` what would be.
#[derive(Debug, Serialize)]
pub struct ReplaceDocument {
    dry_run: bool,
    /// The limit that the change exceeds, for which it is refused.
    exceeds: Option<String>,
    /// Services and servers.
    added: usize,
    edited: usize,
    deleted: usize,
    changes: Vec<ChangeDocument>,
}

impl ReplaceDocument {
    /// Of these changes.
    #[must_use]
    pub fn new(dry_run: bool, exceeds: Option<String>, changes: Vec<ChangeDocument>) -> Self {
        let number = |actions: [&str; 2]| changes.iter().filter(|change| actions.contains(&change.action)).count();
        Self {
            dry_run,
            exceeds,
            added: number(["add_service", "add_server"]),
            edited: number(["edit_service", "edit_server"]),
            deleted: number(["delete_service", "delete_server"]),
            changes,
        }
    }
}
