//! The table of a service, and which slot of it a client has.

use std::net::IpAddr;

use super::hash::{MH_KEY, folded, hash_32, siphash};
use super::kernel::{Architecture, Kernel};
use super::member::{HashScheduler, Member, Unknown};
use super::slots;
use crate::model::{DestinationKey, Family, Service, ServiceFlags};

/// The port that FTP's data come from.
const FTP_DATA: u16 = 20;

/// The bits of `dh`'s table. Nothing configures them.
const DH_BITS: u32 = 8;

/// The table of a service's scheduler.
#[derive(Clone, Debug)]
pub struct Mapping {
    pub(super) scheduler: HashScheduler,
    is_ipv4: bool,
    pub(super) with_fallback: bool,
    pub(super) with_port: bool,
    kernel: Kernel,
    pub(super) members: Vec<Member>,
    pub(super) available: Vec<Option<bool>>,
    /// For each slot the place of its server among the members. Where no server can be chosen there are no slots.
    pub(super) slots: Vec<u32>,
    /// Why the slots are not known, although no server can be chosen.
    pub(super) unknown: Option<Unknown>,
}

impl Mapping {
    /// The table of a service with these servers, which are in the kernel's order: the newest first.
    ///
    /// # Errors
    /// It is not known, or there is none.
    pub fn new(service: &Service, members: &[Member], kernel: &Kernel) -> Result<Self, Unknown> {
        let scheduler = HashScheduler::named(service.scheduler).ok_or(Unknown::Scheduler(service.scheduler))?;
        if kernel.architecture != Architecture::LittleEndian64 {
            return Err(Unknown::Architecture);
        }
        let is_ipv4 = service.key.family() == Family::Ipv4;
        let has = |flag| service.flags.scheduler() & flag != 0;
        let (with_fallback, with_port) = match scheduler {
            HashScheduler::Dh => (false, false),
            _ => (has(ServiceFlags::SCHEDULER_1), has(ServiceFlags::SCHEDULER_2)),
        };
        let slots = match scheduler {
            _ if members.is_empty() => Ok(Vec::new()),
            HashScheduler::Sh => Ok(slots::source(members, 1 << kernel.sh_bits)),
            HashScheduler::Dh => Ok(slots::destination(members, 1 << DH_BITS)),
            HashScheduler::Mh => slots::maglev(members, is_ipv4, kernel.mh_size(), kernel.mh_turn_bits()),
        };
        let (slots, unknown) = match slots {
            Ok(slots) => (slots, None),
            // Whatever is in the table, none of them is chosen.
            Err(unknown @ Unknown::LastWeight(_)) if members.iter().all(|member| member.weight == 0) => {
                (Vec::new(), Some(unknown))
            }
            Err(unknown) => return Err(unknown),
        };
        let available = members.iter().map(Member::is_available).collect();
        Ok(Self {
            scheduler,
            is_ipv4,
            with_fallback,
            with_port,
            kernel: *kernel,
            members: members.to_vec(),
            available,
            slots,
            unknown,
        })
    }

    /// The scheduler.
    #[must_use]
    pub const fn scheduler(&self) -> HashScheduler {
        self.scheduler
    }

    /// Whether the client's port counts.
    #[must_use]
    pub const fn counts_ports(&self) -> bool {
        self.with_port
    }

    /// The server of each slot, out of service or not.
    pub fn slots(&self) -> impl ExactSizeIterator<Item = &Member> {
        self.slots.iter().map(|&place| &self.members[place as usize])
    }

    /// The server that a new connection of this client to this address gets: none if it is refused.
    ///
    /// # Errors
    /// It is not known.
    pub fn choice(
        &self,
        client: IpAddr,
        port: Option<u16>,
        destination: IpAddr,
    ) -> Result<Option<DestinationKey>, Unknown> {
        let place = self.place(client, port, destination)?;
        Ok(place.map(|place| self.members[place].server))
    }

    /// The same server by its place among the members, for those who ask for millions of clients.
    ///
    /// # Errors
    /// It is not known.
    #[inline]
    pub fn place(&self, client: IpAddr, port: Option<u16>, destination: IpAddr) -> Result<Option<usize>, Unknown> {
        if port == Some(FTP_DATA) {
            return Err(Unknown::FtpData);
        }
        if self.slots.is_empty() {
            return Ok(None);
        }
        let value = self.value(client, port, destination)?;
        let first = self.slot(value, 0);
        if let Some(place) = self.available(first)? {
            return Ok(Some(place));
        }
        if self.with_fallback {
            for offset in 0..self.slots.len() {
                // The kernel adds the first slot to each offset, and hashes again.
                let offset = (offset + first) % self.slots.len();
                if let Some(place) = self.available(self.slot(value, offset))? {
                    return Ok(Some(place));
                }
            }
        }
        Ok(None)
    }

    /// The server whose slot this client has, whether it takes clients or not; none where there are no slots.
    ///
    /// # Errors
    /// It is not known.
    pub fn owner(&self, client: IpAddr, port: Option<u16>, destination: IpAddr) -> Result<Option<&Member>, Unknown> {
        if self.slots.is_empty() {
            return Ok(None);
        }
        let slot = self.slot_of(client, port, destination)?;
        Ok(Some(&self.members[self.slots[slot] as usize]))
    }

    /// The slot of a client, where there are slots.
    pub(super) fn slot_of(&self, client: IpAddr, port: Option<u16>, destination: IpAddr) -> Result<usize, Unknown> {
        Ok(self.slot(self.value(client, port, destination)?, 0))
    }

    /// What of a client is hashed.
    #[inline]
    fn value(&self, client: IpAddr, port: Option<u16>, destination: IpAddr) -> Result<u32, Unknown> {
        let port = match port {
            _ if !self.with_port => 0,
            Some(port) => port,
            None => return Err(Unknown::ClientPort),
        };
        let address = if self.scheduler == HashScheduler::Dh { destination } else { client };
        Ok(folded(address, self.is_ipv4).wrapping_add(port.into()))
    }

    /// The slot of a client, this many places on.
    #[inline]
    fn slot(&self, value: u32, offset: usize) -> usize {
        let size = self.slots.len();
        match self.scheduler {
            HashScheduler::Sh => (hash_32(value, self.kernel.sh_bits) as usize + offset) % size,
            HashScheduler::Dh => hash_32(value, DH_BITS) as usize,
            HashScheduler::Mh => siphash(value.wrapping_add(offset as u32), MH_KEY) as usize % size,
        }
    }

    /// The place of a slot's server, if it takes clients.
    #[inline]
    fn available(&self, slot: usize) -> Result<Option<usize>, Unknown> {
        let place = self.slots[slot] as usize;
        match self.available[place] {
            Some(true) => Ok(Some(place)),
            Some(false) => Ok(None),
            None => Err(Unknown::Thresholds(self.members[place].server)),
        }
    }
}
