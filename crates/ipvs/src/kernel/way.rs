//! Whether servers are read by socket options.

use super::options::{Options, Unread};
use crate::model::{DestinationEntry, Family, IncomingBytes, PartialTable, ServiceKey};

/// After this many services in a row of which options did not tell everything, no more of them are passed over.
///
/// Of a table whose services have tunnels, asking in vain takes a tenth of the instructions of `-Sn`. With it, 31 services are
/// read over netlink for each that is asked for.
const ROW: u32 = 6;

/// The way to servers by socket options.
#[derive(Default)]
pub(super) struct Way {
    options: Found,
    /// How many services in a row were asked for in vain.
    in_vain: u32,
    /// How many of the next services are to be read over netlink without asking: none after the first in vain, and then always
    /// twice as many and one more.
    pass_over: u32,
    /// How many services were read this way.
    read: usize,
}

#[derive(Default)]
enum Found {
    /// It was not tried yet.
    #[default]
    Unknown,
    Open(Options),
    /// There is none, or none beside the transport that was given.
    Closed,
}

impl Way {
    /// None.
    pub fn closed() -> Self {
        Self { options: Found::Closed, ..Self::default() }
    }

    /// How many services were read this way.
    pub const fn read(&self) -> usize {
        self.read
    }

    fn options(&mut self) -> Option<&mut Options> {
        if let Found::Unknown = self.options {
            self.options = Options::open().map_or(Found::Closed, Found::Open);
        }
        match &mut self.options {
            Found::Open(options) => Some(options),
            Found::Unknown | Found::Closed => None,
        }
    }

    /// All that is told of the table.
    pub fn table(&mut self) -> Option<PartialTable> {
        self.options()?.table().ok()
    }

    /// The servers of a service, if it is there and everything is told of them.
    pub fn servers<T>(
        &mut self,
        key: &ServiceKey,
        make: impl Fn(DestinationEntry<IncomingBytes>) -> T,
    ) -> Option<Vec<T>> {
        if key.family() != Family::Ipv4 {
            return None;
        }
        if let Some(left) = self.pass_over.checked_sub(1) {
            self.pass_over = left;
            return None;
        }
        match self.options()?.servers(key, make) {
            Ok(servers) => {
                self.in_vain = 0;
                self.read += 1;
                Some(servers)
            }
            Err(Unread::Service) => {
                self.in_vain = ROW.min(self.in_vain + 1);
                self.pass_over = (1 << (self.in_vain - 1)) - 1;
                None
            }
            Err(Unread::Kernel) => {
                self.options = Found::Closed;
                None
            }
        }
    }
}
