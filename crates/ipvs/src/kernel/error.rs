//! What can go wrong between us and the kernel, in the words that users of ipvsadm know.

use std::fmt;

use netlink_exchange::Errno;

use crate::model::Change;

/// What was asked of the kernel. The kernel answers with a bare error number; what it means depends on the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Asked {
    /// To add a service.
    AddService,
    /// To edit a service.
    EditService,
    /// To delete, zero or show one service.
    OneService,
    /// To add a destination.
    AddDestination,
    /// To edit or delete a destination, or list a service's.
    Destination,
    /// To start a daemon.
    StartDaemon,
    /// To stop a daemon.
    StopDaemon,
    /// Anything else.
    Other,
}

impl From<&Change> for Asked {
    fn from(change: &Change) -> Self {
        match change {
            Change::AddService(_) => Self::AddService,
            Change::EditService(_) => Self::EditService,
            Change::DeleteService(_) | Change::Zero(Some(_)) => Self::OneService,
            Change::AddDestination(..) => Self::AddDestination,
            Change::EditDestination(..) | Change::DeleteDestination(..) => Self::Destination,
            Change::StartDaemon(_) => Self::StartDaemon,
            Change::StopDaemon(_) => Self::StopDaemon,
            Change::Flush | Change::Zero(None) | Change::SetTimeouts(_) => Self::Other,
        }
    }
}

/// The kernel said no to one request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// To what.
    pub asked: Asked,
    /// With which error.
    pub errno: Errno,
    /// The kernel's own words (an extended acknowledgement), if it sent any.
    pub words: Option<String>,
}

impl Refusal {
    /// Whether the table is not what the request takes for granted: what is to be added is there, or what is to be changed
    /// or deleted is not.
    #[must_use]
    pub const fn is_conflict(&self) -> bool {
        matches!(
            (self.asked, self.errno),
            (Asked::AddService | Asked::AddDestination | Asked::StartDaemon, Errno::EEXIST)
                | (
                    Asked::EditService
                        | Asked::OneService
                        | Asked::AddDestination
                        | Asked::Destination
                        | Asked::StopDaemon,
                    Errno::ESRCH
                )
                | (Asked::Destination, Errno::ENOENT)
        )
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match (self.asked, self.errno) {
            (Asked::AddService, Errno::EEXIST) => "Service already exists",
            (Asked::AddService | Asked::EditService, Errno::ENOENT) => "Scheduler or persistence engine not found",
            (Asked::EditService | Asked::OneService, Errno::ESRCH) => "No such service",
            (Asked::AddDestination | Asked::Destination, Errno::ESRCH) => "Service not defined",
            (Asked::AddDestination, Errno::EEXIST) => "Destination already exists",
            (Asked::Destination, Errno::ENOENT) => "No such destination",
            (Asked::StartDaemon, Errno::EEXIST) => "Daemon has already run",
            (Asked::StopDaemon, Errno::ESRCH) => "No daemon is running",
            // The answer of generic netlink for a family that is gone.
            (Asked::Other, Errno::ENOENT) => "IPVS is gone: its module was unloaded",
            (_, Errno::EPERM) => "Permission denied (you must be root)",
            (_, Errno::EINVAL) => "Invalid operation.  Possibly wrong module version, address not unicast, ...",
            (_, Errno::ENOMEM) => "Memory allocation problem",
            (_, Errno::EOPNOTSUPP) => "Operation not supported with IPv6",
            (_, Errno::EAFNOSUPPORT) => "Operation not supported with specified address family",
            (_, errno) => &errno.to_string(),
        };
        f.write_str(text)?;
        match &self.words {
            Some(words) => write!(f, " ({words})"),
            None => Ok(()),
        }
    }
}

/// Anything that can go wrong between us and the kernel.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The kernel has no IPVS: its module `ip_vs` is not loaded, which only root can do (`modprobe ip_vs`).
    NotLoaded,
    /// We may not: IPVS takes the capability `CAP_NET_ADMIN` in the user namespace that owns the network namespace.
    NotPermitted,
    /// The kernel refused a request.
    Refused(Refusal),
    /// The table kept changing while it was read.
    Unsettled,
    /// Netlink failed.
    Netlink(netlink_exchange::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLoaded => f.write_str("the kernel has no IPVS: the module ip_vs is not loaded"),
            Self::NotPermitted => f.write_str("IPVS takes root (CAP_NET_ADMIN)"),
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Unsettled => f.write_str("the table keeps changing while it is read; try again"),
            Self::Netlink(error) => error.fmt(f),
        }
    }
}

// Its text has the cause, so it has no source: it would be printed twice.
impl std::error::Error for Error {}

impl Error {
    /// What an error of netlink means for this request.
    pub(super) fn of(asked: Asked) -> impl Fn(netlink_exchange::Error) -> Self {
        use netlink_exchange::Error as Netlink;
        move |error| match error {
            // Not being allowed to has a form of its own: ipvsadm finds out before all else.
            Netlink::Refused(refusal) if refusal.errno == Errno::EPERM => Self::NotPermitted,
            Netlink::Refused(refusal) => Self::Refused(Refusal::of(asked, refusal)),
            Netlink::Unsettled => Self::Unsettled,
            error => Self::Netlink(error),
        }
    }
}

impl Refusal {
    /// A refusal of this with this error.
    #[must_use]
    pub const fn new(asked: Asked, errno: Errno) -> Self {
        Self { asked, errno, words: None }
    }

    pub(super) fn of(asked: Asked, refusal: netlink_exchange::Refusal) -> Self {
        Self { asked, errno: refusal.errno, words: refusal.words }
    }
}
