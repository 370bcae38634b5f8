//! Changes of the table, by the names that documents give them.

use ipvs_client::{Change, DestinationKey, ServiceKey};

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
