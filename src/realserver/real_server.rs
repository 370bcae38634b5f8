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
    pub(super) client: Client,
    pub(super) book: Book,
}

impl RealServer {
    /// Take hold of the record of this network namespace.
    ///
    /// # Errors
    /// We may not, or the record cannot be read.
    pub fn open() -> Result<Self> {
        Ok(Self { book: Book::open()?, client: Client::connect()? })
    }
}
