//! Numbers and flags of rtnetlink, with the words that ip(8) has for them.

use std::fmt;

macro_rules! flags {
    ($(#[$type_doc:meta])* $name:ident($bits:ty) { $($(#[$doc:meta])* $flag:ident / $method:ident = $value:expr,)* }) => {
        $(#[$type_doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub struct $name(pub $bits);

        impl $name {
            $($(#[$doc])* pub const $flag: $bits = $value;)*

            $($(#[$doc])* #[must_use] pub const fn $method(self) -> bool { self.0 & Self::$flag != 0 })*
        }
    };
}

flags! {
    /// The flags of a link, `IFF_*` of `linux/if.h`.
    LinkFlags(u32) {
        /// Switched on (`ip link set up`).
        UP / is_up = 1,
        /// It can broadcast.
        BROADCAST / is_broadcast = 1 << 1,
        /// The loopback device.
        LOOPBACK / is_loopback = 1 << 3,
        /// Of two ends only.
        POINT_TO_POINT / is_point_to_point = 1 << 4,
        /// Operational.
        RUNNING / is_running = 1 << 6,
        /// It uses no ARP and no neighbour discovery.
        NO_ARP / is_no_arp = 1 << 7,
        /// It takes all packets on the wire.
        PROMISCUOUS / is_promiscuous = 1 << 8,
        /// It can multicast.
        MULTICAST / is_multicast = 1 << 12,
        /// There is a signal (a cable is in).
        LOWER_UP / is_lower_up = 1 << 16,
    }
}

flags! {
    /// The flags of an address, `IFA_F_*` of `linux/if_addr.h`.
    AddressFlags(u32) {
        /// Not the first one of its network on the link (IPv4), or a temporary one (IPv6).
        SECONDARY / is_secondary = 1,
        /// It is not checked for duplicates.
        NO_DAD / is_no_dad = 1 << 1,
        /// It is used while still being checked for duplicates.
        OPTIMISTIC / is_optimistic = 1 << 2,
        /// Another machine had it: it is not used.
        DAD_FAILED / is_dad_failed = 1 << 3,
        /// Its preferred lifetime has run out.
        DEPRECATED / is_deprecated = 1 << 5,
        /// It is being checked for duplicates, and not used yet.
        TENTATIVE / is_tentative = 1 << 6,
        /// It has no end.
        PERMANENT / is_permanent = 1 << 7,
        /// It came without a route to its network.
        NO_PREFIX_ROUTE / is_no_prefix_route = 1 << 9,
    }
}

flags! {
    /// The state of a neighbour, `NUD_*` of `linux/neighbour.h`.
    NeighbourState(u16) {
        /// Asked for, and no answer yet.
        INCOMPLETE / is_incomplete = 1,
        /// Lately confirmed.
        REACHABLE / is_reachable = 1 << 1,
        /// Known, not lately confirmed.
        STALE / is_stale = 1 << 2,
        /// About to be asked again.
        DELAY / is_delay = 1 << 3,
        /// Being asked again.
        PROBE / is_probe = 1 << 4,
        /// It did not answer.
        FAILED / is_failed = 1 << 5,
        /// It needs no asking: on a device without ARP.
        NO_ARP / is_no_arp = 1 << 6,
        /// Set by hand.
        PERMANENT / is_permanent = 1 << 7,
    }
}

macro_rules! numbers {
    ($(#[$type_doc:meta])* $name:ident($number:ty) { $($(#[$doc:meta])* $variant:ident = $value:expr, $word:expr;)* }) => {
        $(#[$type_doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$doc])* $variant,)*
            /// One that has no name here.
            Other($number),
        }

        impl From<$number> for $name {
            fn from(number: $number) -> Self {
                match number {
                    $($value => Self::$variant,)*
                    number => Self::Other(number),
                }
            }
        }

        impl From<$name> for $number {
            fn from(value: $name) -> Self {
                match value {
                    $($name::$variant => $value,)*
                    $name::Other(number) => number,
                }
            }
        }

        impl fmt::Display for $name {
            /// The word that ip(8) uses.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant => f.write_str($word),)*
                    Self::Other(number) => number.fmt(f),
                }
            }
        }
    };
}

numbers! {
    /// Whether a link works, `IF_OPER_*` of `linux/if.h` (RFC 2863).
    OperationalState(u8) {
        /// The driver does not say; loopback and tunnels stay so.
        Unknown = 0, "UNKNOWN";
        /// Some part is missing.
        NotPresent = 1, "NOTPRESENT";
        /// It does not work: no cable, or switched off.
        Down = 2, "DOWN";
        /// What it stands on does not work.
        LowerLayerDown = 3, "LOWERLAYERDOWN";
        /// In a test.
        Testing = 4, "TESTING";
        /// Waiting for an event from outside.
        Dormant = 5, "DORMANT";
        /// It works.
        Up = 6, "UP";
    }
}

numbers! {
    /// How far an address is valid or a destination away, `RT_SCOPE_*` of `linux/rtnetlink.h`.
    Scope(u8) {
        /// Everywhere.
        Universe = 0, "global";
        /// Within the site.
        Site = 200, "site";
        /// On the link.
        Link = 253, "link";
        /// On this host.
        Host = 254, "host";
        /// Nowhere.
        Nowhere = 255, "nowhere";
    }
}

numbers! {
    /// What a route does, `RTN_*` of `linux/rtnetlink.h`.
    RouteKind(u8) {
        /// No kind.
        Unspecified = 0, "none";
        /// Send to a gateway or on the link.
        Unicast = 1, "unicast";
        /// Accept: the address is this host's.
        Local = 2, "local";
        /// Accept as, send as a broadcast.
        Broadcast = 3, "broadcast";
        /// Accept, one of many.
        Anycast = 4, "anycast";
        /// A multicast route.
        Multicast = 5, "multicast";
        /// Drop.
        Blackhole = 6, "blackhole";
        /// Reject as unreachable.
        Unreachable = 7, "unreachable";
        /// Reject as prohibited.
        Prohibit = 8, "prohibit";
        /// Go on with the next rule.
        Throw = 9, "throw";
    }
}

numbers! {
    /// Who set a route, `RTPROT_*` of `linux/rtnetlink.h`.
    RouteProtocol(u8) {
        /// Not given.
        Unspecified = 0, "unspec";
        /// An ICMP redirect.
        Redirect = 1, "redirect";
        /// The kernel itself, with an address.
        Kernel = 2, "kernel";
        /// A program that says nothing else: ip(8), route(8).
        Boot = 3, "boot";
        /// The administrator.
        Static = 4, "static";
        /// A router advertisement.
        RouterAdvertisement = 9, "ra";
        /// DHCP.
        Dhcp = 16, "dhcp";
        /// keepalived.
        Keepalived = 18, "keepalived";
    }
}

numbers! {
    /// What a rule does, `FR_ACT_*` of `linux/fib_rules.h`.
    RuleAction(u8) {
        /// No action.
        Unspecified = 0, "none";
        /// Look the packet up in a table.
        Lookup = 1, "lookup";
        /// Go on with another rule.
        Goto = 2, "goto";
        /// Go on.
        Nop = 3, "nop";
        /// Drop.
        Blackhole = 6, "blackhole";
        /// Reject as unreachable.
        Unreachable = 7, "unreachable";
        /// Reject as prohibited.
        Prohibit = 8, "prohibit";
    }
}
