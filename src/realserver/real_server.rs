//! What starts and stops VIPs.

use anyhow::Result;

use super::record::Book;
use crate::doctor::quiet::Method;
use crate::host::route::Client;

/// How VIPs are started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// How ARP is kept quiet.
    pub method: Method,
    /// The interface that gets the VIP.
    pub interface: String,
    /// Whether it is to be so after a reboot.
    pub persist: bool,
}

/// What does starting and stopping, alone: while it exists, others wait.
pub struct RealServer {
    /// This program as a command line begins with it, for commands that warnings suggest.
    pub(super) program: String,
    pub(super) client: Client,
    pub(super) book: Book,
}

impl RealServer {
    /// Take hold of the record of this network namespace.
    ///
    /// # Errors
    /// We may not, or the record cannot be read.
    pub fn open(program: String) -> Result<Self> {
        Ok(Self { program, book: Book::open()?, client: Client::connect()? })
    }
}
