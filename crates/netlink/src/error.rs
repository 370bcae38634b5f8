//! What can go wrong between a program and the kernel.

use std::fmt;
use std::io;

use crate::wire::WireError;

/// An error number of the kernel.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Errno(i32);

macro_rules! numbers {
    ($($name:ident $text:literal,)*) => {
        impl Errno {
            $(#[doc = $text] pub const $name: Self = Self(libc::$name);)*
        }

        impl fmt::Debug for Errno {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match *self {
                    $(Self::$name => f.write_str(stringify!($name)),)*
                    Self(number) => write!(f, "Errno({number})"),
                }
            }
        }
    };
}

numbers! {
    EPERM "Not permitted.",
    ENOENT "There is none of that name.",
    ESRCH "There is no such object.",
    ENOMEM "No memory.",
    EACCES "Permission denied; of a route: prohibited.",
    EBUSY "In use.",
    EEXIST "There is one already.",
    ENODEV "There is no such device.",
    EINVAL "Wrong value.",
    ERANGE "Out of range.",
    EPROTONOSUPPORT "The kernel does not have this protocol.",
    EOPNOTSUPP "Not supported.",
    EAFNOSUPPORT "Not supported with this address family.",
    EADDRNOTAVAIL "There is no such address.",
    ENETDOWN "The network is down.",
    ENETUNREACH "The network is unreachable.",
    EHOSTUNREACH "The host is unreachable.",
    ENOBUFS "No buffer space.",
}

impl Errno {
    /// The error of this number, which is positive.
    #[must_use]
    pub const fn from_raw(number: i32) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn raw(self) -> i32 {
        self.0
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&system_message(&(*self).into()))
    }
}

impl From<Errno> for io::Error {
    fn from(errno: Errno) -> Self {
        Self::from_raw_os_error(errno.0)
    }
}

/// The message of an error, as the C library words it.
#[must_use]
pub fn system_message(error: &io::Error) -> String {
    let text = error.to_string();
    // The standard library adds ` (os error N)`.
    match (error.raw_os_error(), text.rsplit_once(" (os error ")) {
        (Some(_), Some((text, _))) => text.to_owned(),
        _ => text,
    }
}

/// The kernel refused a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// With which error.
    pub errno: Errno,
    /// The kernel's own words (an extended acknowledgement), if it sent any.
    pub words: Option<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.errno.fmt(f)?;
        match &self.words {
            Some(words) => write!(f, " ({words})"),
            None => Ok(()),
        }
    }
}

/// Why a request has no answer. The text includes the cause.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The kernel refused it.
    Refused(Refusal),
    /// The socket failed.
    Socket {
        /// What was being done.
        doing: &'static str,
        /// How it failed.
        source: io::Error,
    },
    /// The answer is not what netlink or its family promises.
    Wire(WireError),
    /// A list changed each time it was read.
    Unsettled,
    /// The kernel did not answer.
    NoAnswer,
    /// The request does not fit into a message, and was not sent.
    TooLong,
}

impl Error {
    /// The error number, if the kernel refused the request.
    #[must_use]
    pub const fn refused(&self) -> Option<Errno> {
        match self {
            Self::Refused(refusal) => Some(refusal.errno),
            _ => None,
        }
    }

    /// The error number, whether the kernel refused the request or the socket failed.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Refused(refusal) => Some(refusal.errno),
            Self::Socket { source, .. } => source.raw_os_error().map(Errno::from_raw),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Socket { doing, source } => write!(f, "{doing}: {}", system_message(source)),
            Self::Wire(error) => write!(f, "the kernel's answer cannot be read: {error}"),
            Self::Unsettled => f.write_str("another program keeps changing what is read; try again"),
            Self::NoAnswer => f.write_str("the kernel sent no answer"),
            Self::TooLong => f.write_str("the request is too long for netlink"),
        }
    }
}

// Its text has the cause, so it has no source: it would be printed twice.
impl std::error::Error for Error {}

impl From<WireError> for Error {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}
