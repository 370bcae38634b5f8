//! What can go wrong with rtnetlink.

use std::fmt;

use netlink_exchange::Errno;

/// A question or change that came to nothing. The text includes the cause.
#[derive(Debug)]
pub enum Error {
    /// The kernel refused it, or netlink failed.
    Failed {
        /// What: "add the address 192.0.2.1/32".
        what: String,
        /// How.
        error: netlink_exchange::Error,
    },
    /// A route with several ways, which this client only reads.
    SeveralWays,
}

impl Error {
    /// The error number, if the kernel refused.
    #[must_use]
    pub const fn errno(&self) -> Option<Errno> {
        match self {
            Self::Failed { error, .. } => error.refused(),
            Self::SeveralWays => None,
        }
    }

    /// Whether we may not.
    #[must_use]
    pub fn is_not_permitted(&self) -> bool {
        matches!(self, Self::Failed { error, .. } if matches!(error.errno(), Some(Errno::EPERM | Errno::EACCES)))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { what, error } => write!(f, "cannot {what}: {error}"),
            Self::SeveralWays => f.write_str("a route with several next hops cannot be added or deleted here"),
        }
    }
}

// Its text has the cause, so it has no source: it would be printed twice.
impl std::error::Error for Error {}
