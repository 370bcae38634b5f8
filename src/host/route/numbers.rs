//! The numbers of rtnetlink, as `linux/rtnetlink.h`, `linux/if_link.h`, `linux/if_addr.h`, `linux/neighbour.h` and
//! `linux/fib_rules.h` give them.

/// `RTM_*`.
pub mod message {
    pub const NEW_LINK: u16 = 16;
    pub const GET_LINK: u16 = 18;
    pub const NEW_ADDRESS: u16 = 20;
    pub const DELETE_ADDRESS: u16 = 21;
    pub const GET_ADDRESS: u16 = 22;
    pub const NEW_ROUTE: u16 = 24;
    pub const DELETE_ROUTE: u16 = 25;
    pub const GET_ROUTE: u16 = 26;
    pub const NEW_NEIGHBOUR: u16 = 28;
    pub const GET_NEIGHBOUR: u16 = 30;
    pub const NEW_RULE: u16 = 32;
    pub const GET_RULE: u16 = 34;
}

/// `IFLA_*`.
pub mod link {
    pub const ADDRESS: u16 = 1;
    pub const NAME: u16 = 3;
    pub const MTU: u16 = 4;
    pub const LINK: u16 = 5;
    pub const MASTER: u16 = 10;
    pub const OPERSTATE: u16 = 16;
    pub const INFO: u16 = 18;
    /// `IFLA_INFO_KIND`, in the nest `IFLA_LINKINFO`.
    pub const INFO_KIND: u16 = 1;
}

/// `IFA_*`.
pub mod address {
    pub const ADDRESS: u16 = 1;
    pub const LOCAL: u16 = 2;
    pub const LABEL: u16 = 3;
    pub const BROADCAST: u16 = 4;
    pub const CACHE: u16 = 6;
    pub const FLAGS: u16 = 8;
}

/// `RTA_*`, `RTNH_*` and `RTM_F_*`.
pub mod route {
    pub const DESTINATION: u16 = 1;
    pub const SOURCE: u16 = 2;
    pub const INPUT: u16 = 3;
    pub const OUTPUT: u16 = 4;
    pub const GATEWAY: u16 = 5;
    pub const PRIORITY: u16 = 6;
    pub const PREFERRED_SOURCE: u16 = 7;
    pub const MULTIPATH: u16 = 9;
    pub const TABLE: u16 = 15;
    pub const MARK: u16 = 16;
    pub const VIA: u16 = 18;
    /// `RTM_F_LOOKUP_TABLE`: answer a query with the table that the route is of.
    pub const LOOKUP_TABLE: u32 = 0x1000;
    /// Bytes of `struct rtnexthop`.
    pub const NEXT_HOP_HEADER: usize = 8;
}

/// `NDA_*`.
pub mod neighbour {
    pub const DESTINATION: u16 = 1;
    pub const LINK_ADDRESS: u16 = 2;
}

/// `FRA_*`.
pub mod rule {
    pub const DESTINATION: u16 = 1;
    pub const SOURCE: u16 = 2;
    pub const INPUT: u16 = 3;
    pub const PRIORITY: u16 = 6;
    pub const MARK: u16 = 10;
    pub const TABLE: u16 = 15;
    pub const MARK_MASK: u16 = 16;
    pub const OUTPUT: u16 = 17;
    /// `FIB_RULE_INVERT`.
    pub const INVERT: u32 = 2;
}
