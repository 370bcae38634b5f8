//! What can go wrong with rtnetlink.

use std::fmt;

use nix::errno::Errno;

use crate::kernel;
use crate::kernel::wire::WireError;

/// A question or change that came to nothing.
#[derive(Debug)]
pub enum Error {
    /// The kernel said no.
    Refused {
        /// To what: "add the address 192.0.2.1/32".
        what: String,
        /// With which error.
        errno: Errno,
        /// The kernel's own words (an extended acknowledgement), if it sent any.
        words: Option<String>,
    },
    /// A route with several ways, which this client only reads.
    SeveralWays,
    /// Netlink itself failed.
    Netlink(kernel::Error),
}

impl Error {
    /// The error number, if the kernel said no.
    #[must_use]
    pub const fn errno(&self) -> Option<Errno> {
        match self {
            Self::Refused { errno, .. } => Some(*errno),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { what, errno, words } => {
                write!(f, "cannot {what}: {}", kernel::system_message(*errno))?;
                match words {
                    Some(words) => write!(f, " ({words})"),
                    None => Ok(()),
                }
            }
            Self::SeveralWays => f.write_str("a route with several next hops cannot be added or deleted here"),
            Self::Netlink(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Netlink(error) => error.source(),
            _ => None,
        }
    }
}

impl From<kernel::Error> for Error {
    fn from(error: kernel::Error) -> Self {
        Self::Netlink(error)
    }
}

impl From<WireError> for Error {
    fn from(error: WireError) -> Self {
        Self::Netlink(kernel::Error::Wire(error))
    }
}
