//! What a table is made of: the schedulers that have one, servers as these see them, and what cannot be known.

use std::fmt;

use crate::model::{Destination, DestinationEntry, DestinationKey, SchedulerName, Service, ServiceFlags};

/// A scheduler that chooses by a table of slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashScheduler {
    /// Source hashing.
    Sh,
    /// Maglev hashing.
    Mh,
    /// Destination hashing.
    Dh,
}

impl HashScheduler {
    /// The one of this name, if it is one.
    #[must_use]
    pub fn named(name: SchedulerName) -> Option<Self> {
        match name.as_bytes() {
            b"sh" => Some(Self::Sh),
            b"mh" => Some(Self::Mh),
            b"dh" => Some(Self::Dh),
            _ => None,
        }
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sh => "sh",
            Self::Mh => "mh",
            Self::Dh => "dh",
        }
    }

    /// The name of the flag that sends clients of a server out of service to another one; `dh` has none.
    #[must_use]
    pub const fn fallback_flag(self) -> Option<&'static str> {
        match self {
            Self::Sh => Some("sh-fallback"),
            Self::Mh => Some("mh-fallback"),
            Self::Dh => None,
        }
    }
}

/// A server with weight 0 whose clients are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusing {
    /// The scheduler of its service.
    pub scheduler: HashScheduler,
    /// What names it.
    pub server: DestinationKey,
}

impl fmt::Display for Refusing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} refuses the clients of {}, which has weight 0", self.scheduler.name(), self.server)?;
        self.scheduler.fallback_flag().map_or(Ok(()), |flag| write!(f, ": {flag} is not set"))
    }
}

/// The servers of a service with weight 0 whose clients are refused, although others are in service: those of a hash
/// scheduler without its fallback.
pub fn refusing<'s>(service: &Service, servers: impl Iterator<Item = &'s Destination> + Clone) -> Vec<Refusing> {
    let has_fallback = service.flags.scheduler() & ServiceFlags::SCHEDULER_1 != 0;
    let Some(scheduler) = HashScheduler::named(service.scheduler) else { return Vec::new() };
    let spares = scheduler.fallback_flag().is_some() && has_fallback;
    if spares || servers.clone().all(|server| server.weight == 0) {
        return Vec::new();
    }
    servers.filter(|server| server.weight == 0).map(|server| Refusing { scheduler, server: server.key }).collect()
}

/// A service with the flag set that sends clients of a server out of service to another one, of a scheduler that has it.
#[must_use]
pub fn with_fallback(service: &Service) -> Service {
    service.flags(service.flags.with(ServiceFlags::SCHEDULER_1))
}

/// A server, as the schedulers see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// What names it.
    pub server: DestinationKey,
    /// Its weight.
    pub weight: u32,
    /// The last weight above 0 that it had, or 0 if it was added with 0 and had none: what `mh` counts with. The kernel
    /// does not report it; it is the weight where that is above 0.
    pub last_weight: Option<u32>,
    /// Whether it is over its upper threshold, if that is known.
    pub overloaded: Option<bool>,
}

impl Member {
    /// A server without connections.
    #[must_use]
    pub fn of(server: &Destination) -> Self {
        let last_weight = (server.weight > 0).then_some(server.weight);
        Self { server: server.key, weight: server.weight, last_weight, overloaded: Some(false) }
    }

    /// A server as the kernel reports it. It is overloaded from the upper threshold on until it has fewer connections than
    /// the lower one, which if it is 0 is three quarters of the upper one: in between that is not known.
    #[must_use]
    pub fn reported<D>(entry: &DestinationEntry<D>) -> Self {
        let Destination { upper_threshold: upper, lower_threshold: lower, .. } = entry.destination;
        let connections = u64::from(entry.active_connections) + u64::from(entry.inactive_connections);
        let is_below = match lower {
            0 => connections * 4 < u64::from(upper) * 3,
            lower => connections < u64::from(lower),
        };
        let overloaded = match upper {
            0 => Some(false),
            upper if connections >= u64::from(upper) => Some(true),
            _ if is_below || connections == 0 => Some(false),
            _ => None,
        };
        Self { overloaded, ..Self::of(&entry.destination) }
    }

    /// The same with this last weight.
    #[must_use]
    pub const fn last_weight(self, last_weight: u32) -> Self {
        Self { last_weight: Some(last_weight), ..self }
    }

    /// Whether it takes new clients, if that is known.
    pub(super) fn is_available(&self) -> Option<bool> {
        if self.weight == 0 { Some(false) } else { self.overloaded.map(|overloaded| !overloaded) }
    }
}

/// Why it is not known which server a client gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unknown {
    /// The service's scheduler is none of [`HashScheduler`].
    Scheduler(SchedulerName),
    /// An `mh` server has weight 0, and the kernel does not report the weight that its slots were counted by.
    LastWeight(DestinationKey),
    /// A server is between its thresholds: only the kernel knows whether it is overloaded.
    Thresholds(DestinationKey),
    /// This was not verified on a kernel of this architecture.
    Architecture,
    /// `mh` keeps its former table when there are more servers than slots.
    TooManyServers,
    /// The port of the client counts, and is not given.
    ClientPort,
    /// The client's port is 20, from which the kernel takes packets for data of FTP and schedules none (`ip_vs_schedule`).
    FtpData,
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scheduler(name) => write!(f, "the scheduler {name} does not choose by a table"),
            Self::LastWeight(server) => write!(
                f,
                "{server} has weight 0, and the kernel does not report its last weight, by which mh counts its slots"
            ),
            Self::Thresholds(server) => {
                write!(f, "{server} is between its thresholds, and the kernel does not report whether it is overloaded")
            }
            Self::Architecture => f.write_str("only verified on 64-bit little-endian kernels"),
            Self::TooManyServers => f.write_str("the service has more servers than mh has slots"),
            Self::FtpData => f.write_str("IPVS schedules no packet from port 20, the port of FTP's data"),
            Self::ClientPort => f.write_str("the port of the client counts: give CLIENT:PORT"),
        }
    }
}

impl std::error::Error for Unknown {}
