//! Classes of options: what a command requires, allows and forbids.

/// What options are counted as: a class may be given once, and each command requires, allows or forbids it. The order
/// is that in which the original checks them, and so which of several mistakes is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs)] // See `name`.
pub enum Class {
    Numeric,
    Connection,
    ServiceAddress,
    Scheduler,
    Persistent,
    Netmask,
    RealServer,
    ForwardingMethod,
    Weight,
    UpperThreshold,
    LowerThreshold,
    MulticastInterface,
    Timeout,
    Daemon,
    Stats,
    Rate,
    Thresholds,
    PersistentConnections,
    NoSort,
    SyncId,
    Exact,
    OnePacket,
    PersistenceEngine,
    SchedulerFlags,
    MulticastGroup,
    MulticastPort,
    MulticastTtl,
    SyncMaximumLength,
    TunnelInfo,
    TunnelType,
    TunnelPort,
    TunnelNoChecksum,
    TunnelChecksum,
    TunnelRemoteChecksum,
    File,
    All,
    Check,
    Replace,
    DryRun,
    KeepWeights,
    Confirm,
    Drain,
    Force,
    ResolveTimeout,
    LockWait,
    Json,
    Pretty,
    Table,
    Wide,
    Color,
    SortBy,
    CountBy,
}

impl Class {
    /// All classes, in the order of checks.
    pub const ALL: [Self; 52] = [
        Self::Numeric,
        Self::Connection,
        Self::ServiceAddress,
        Self::Scheduler,
        Self::Persistent,
        Self::Netmask,
        Self::RealServer,
        Self::ForwardingMethod,
        Self::Weight,
        Self::UpperThreshold,
        Self::LowerThreshold,
        Self::MulticastInterface,
        Self::Timeout,
        Self::Daemon,
        Self::Stats,
        Self::Rate,
        Self::Thresholds,
        Self::PersistentConnections,
        Self::NoSort,
        Self::SyncId,
        Self::Exact,
        Self::OnePacket,
        Self::PersistenceEngine,
        Self::SchedulerFlags,
        Self::MulticastGroup,
        Self::MulticastPort,
        Self::MulticastTtl,
        Self::SyncMaximumLength,
        Self::TunnelInfo,
        Self::TunnelType,
        Self::TunnelPort,
        Self::TunnelNoChecksum,
        Self::TunnelChecksum,
        Self::TunnelRemoteChecksum,
        Self::File,
        Self::All,
        Self::Check,
        Self::Replace,
        Self::DryRun,
        Self::KeepWeights,
        Self::Confirm,
        Self::Drain,
        Self::Force,
        Self::ResolveTimeout,
        Self::LockWait,
        Self::Json,
        Self::Pretty,
        Self::Table,
        Self::Wide,
        Self::Color,
        Self::SortBy,
        Self::CountBy,
    ];

    /// The name in messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Numeric => "numeric",
            Self::Connection => "connection",
            Self::ServiceAddress => "service-address",
            Self::Scheduler => "scheduler",
            Self::Persistent => "persistent",
            Self::Netmask => "netmask",
            Self::RealServer => "real-server",
            Self::ForwardingMethod => "forwarding-method",
            Self::Weight => "weight",
            Self::UpperThreshold => "u-threshold",
            Self::LowerThreshold => "l-threshold",
            Self::MulticastInterface => "mcast-interface",
            Self::Timeout => "timeout",
            Self::Daemon => "daemon",
            Self::Stats => "stats",
            Self::Rate => "rate",
            Self::Thresholds => "thresholds",
            Self::PersistentConnections => "persistent-conn",
            Self::NoSort => "nosort",
            Self::SyncId => "syncid",
            Self::Exact => "exact",
            Self::OnePacket => "ops",
            Self::PersistenceEngine => "pe",
            Self::SchedulerFlags => "sched-flags",
            Self::MulticastGroup => "mcast-group",
            Self::MulticastPort => "mcast-port",
            Self::MulticastTtl => "mcast-ttl",
            Self::SyncMaximumLength => "sync-maxlen",
            Self::TunnelInfo => "tun-info",
            Self::TunnelType => "tun-type",
            Self::TunnelPort => "tun-port",
            Self::TunnelNoChecksum => "tun-nocsum",
            Self::TunnelChecksum => "tun-csum",
            Self::TunnelRemoteChecksum => "tun-remcsum",
            Self::File => "file",
            Self::All => "all",
            Self::Check => "check",
            Self::Replace => "replace",
            Self::DryRun => "dry-run",
            Self::KeepWeights => "keep-weights",
            Self::Confirm => "confirm",
            Self::Drain => "drain",
            Self::Force => "force",
            Self::ResolveTimeout => "resolve-timeout",
            Self::LockWait => "lock-wait",
            Self::Json => "json",
            Self::Pretty => "pretty",
            Self::Table => "table",
            Self::Wide => "wide",
            Self::Color => "color",
            Self::SortBy => "sort-by",
            Self::CountBy => "count-by",
        }
    }
}

/// A set of classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Classes(u64);

impl Classes {
    /// No class.
    pub const NONE: Self = Self(0);

    /// The set of these.
    #[must_use]
    pub const fn of(classes: &[Class]) -> Self {
        let mut bits = 0;
        let mut i = 0;
        while i < classes.len() {
            bits |= 1 << classes[i] as u8;
            i += 1;
        }
        Self(bits)
    }

    /// Whether this class is in it.
    #[must_use]
    pub const fn has(self, class: Class) -> bool {
        self.0 & (1 << class as u8) != 0
    }

    /// Add a class. Whether it was new.
    pub const fn insert(&mut self, class: Class) -> bool {
        let new = !self.has(class);
        self.0 |= 1 << class as u8;
        new
    }

    /// Whether all of `other` are in this set.
    #[must_use]
    pub const fn covers(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }

    /// Both together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// These without those.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// What is in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// How many.
    #[must_use]
    pub const fn count(self) -> u32 {
        self.0.count_ones()
    }
}
