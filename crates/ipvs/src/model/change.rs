//! What can be asked to change.

use super::{Daemon, Destination, DestinationKey, Service, ServiceKey, Timeouts};

/// One change to the kernel's state: what a rule line says, and what a plan is made of. There is one for every command of
/// IPVS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// `-A`
    AddService(Service),
    /// `-E`
    EditService(Service),
    /// `-D`
    DeleteService(ServiceKey),
    /// `-a`
    AddDestination(ServiceKey, Destination),
    /// `-e`
    EditDestination(ServiceKey, Destination),
    /// `-d`
    DeleteDestination(ServiceKey, DestinationKey),
    /// `-C`
    Flush,
    /// `-Z`, of one service or of all.
    Zero(Option<ServiceKey>),
    /// `--set`
    SetTimeouts(Timeouts),
    /// `--start-daemon`
    StartDaemon(Daemon),
    /// `--stop-daemon`
    StopDaemon(Daemon),
}
