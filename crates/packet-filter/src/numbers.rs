//! The numbers of `linux/netfilter/nf_tables.h`, `nf_tables_compat.h`, `nfnetlink.h`, `netfilter.h` and
//! `nf_conntrack_common.h`, under the names they have there.

/// `NFNL_SUBSYS_NFTABLES`, in the upper byte of a message's type.
pub const SUBSYSTEM: u16 = 10 << 8;

/// `NFT_MSG_*`.
pub mod message {
    pub const NEWTABLE: u16 = 0;
    pub const GETTABLE: u16 = 1;
    pub const NEWCHAIN: u16 = 3;
    pub const GETCHAIN: u16 = 4;
    pub const NEWRULE: u16 = 6;
    pub const GETRULE: u16 = 7;
    pub const NEWSET: u16 = 9;
    pub const GETSET: u16 = 10;
    pub const NEWSETELEM: u16 = 12;
    pub const GETSETELEM: u16 = 13;
    pub const GETGEN: u16 = 16;
}

/// `NFPROTO_*`.
pub mod family {
    pub const INET: u8 = 1;
    pub const IPV4: u8 = 2;
    pub const ARP: u8 = 3;
    pub const NETDEV: u8 = 5;
    pub const IPV6: u8 = 10;
}

/// `NFTA_TABLE_*`.
pub mod table {
    pub const NAME: u16 = 1;
    pub const FLAGS: u16 = 2;
    /// `NFT_TABLE_F_DORMANT`.
    pub const DORMANT: u32 = 1;
}

/// `NFTA_CHAIN_*`.
pub mod chain {
    pub const TABLE: u16 = 1;
    pub const NAME: u16 = 3;
    pub const HOOK: u16 = 4;
    pub const POLICY: u16 = 5;
    pub const TYPE: u16 = 7;
}

/// `NFTA_HOOK_*`, and `NFTA_DEVICE_*` in `DEVS`.
pub mod hook {
    pub const HOOKNUM: u16 = 1;
    pub const PRIORITY: u16 = 2;
    pub const DEV: u16 = 3;
    pub const DEVS: u16 = 4;
    pub const DEVICE_NAME: u16 = 1;
    pub const DEVICE_PREFIX: u16 = 2;
}

/// `NFTA_RULE_*`.
pub mod rule {
    pub const TABLE: u16 = 1;
    pub const CHAIN: u16 = 2;
    pub const HANDLE: u16 = 3;
    pub const EXPRESSIONS: u16 = 4;
}

/// `NFTA_SET_*`, and the numbers in `DESC`.
pub mod set {
    pub const TABLE: u16 = 1;
    pub const NAME: u16 = 2;
    pub const FLAGS: u16 = 3;
    pub const DESC: u16 = 9;
    /// `NFTA_SET_DESC_CONCAT`.
    pub const DESC_CONCAT: u16 = 2;
    /// `NFTA_SET_FIELD_LEN`.
    pub const FIELD_LEN: u16 = 1;
    /// `NFT_SET_INTERVAL`.
    pub const INTERVAL: u32 = 4;
}

/// `NFTA_SET_ELEM_LIST_*`.
pub mod elements {
    pub const TABLE: u16 = 1;
    pub const SET: u16 = 2;
    pub const ELEMENTS: u16 = 3;
}

/// `NFTA_SET_ELEM_*`.
pub mod element {
    pub const KEY: u16 = 1;
    pub const DATA: u16 = 2;
    pub const FLAGS: u16 = 3;
    pub const KEY_END: u16 = 10;
    /// `NFT_SET_ELEM_INTERVAL_END`.
    pub const INTERVAL_END: u32 = 1;
    /// `NFT_SET_ELEM_CATCHALL`.
    pub const CATCHALL: u32 = 2;
}

/// `NFTA_DATA_*` and `NFTA_VERDICT_*`.
pub mod data {
    pub const VALUE: u16 = 1;
    pub const VERDICT: u16 = 2;
    pub const VERDICT_CODE: u16 = 1;
    pub const VERDICT_CHAIN: u16 = 2;
}

/// `NFT_JUMP` and its like, and `NF_DROP` and its like.
pub mod verdict {
    pub const MASK: i32 = 0xff;
    pub const DROP: i32 = 0;
    pub const ACCEPT: i32 = 1;
    pub const STOLEN: i32 = 2;
    pub const QUEUE: i32 = 3;
    pub const CONTINUE: i32 = -1;
    pub const BREAK: i32 = -2;
    pub const JUMP: i32 = -3;
    pub const GOTO: i32 = -4;
    pub const RETURN: i32 = -5;
}

/// `NFTA_EXPR_*`, and the attributes of the expressions by their names.
pub mod expression {
    pub const NAME: u16 = 1;
    pub const DATA: u16 = 2;

    pub const IMMEDIATE_DREG: u16 = 1;
    pub const IMMEDIATE_DATA: u16 = 2;

    pub const BITWISE_SREG: u16 = 1;
    pub const BITWISE_DREG: u16 = 2;
    pub const BITWISE_LEN: u16 = 3;
    pub const BITWISE_MASK: u16 = 4;
    pub const BITWISE_XOR: u16 = 5;
    pub const BITWISE_OP: u16 = 6;

    pub const BYTEORDER_SREG: u16 = 1;
    pub const BYTEORDER_DREG: u16 = 2;
    pub const BYTEORDER_LEN: u16 = 4;
    pub const BYTEORDER_SIZE: u16 = 5;

    pub const CMP_SREG: u16 = 1;
    pub const CMP_OP: u16 = 2;
    pub const CMP_DATA: u16 = 3;

    pub const RANGE_SREG: u16 = 1;
    pub const RANGE_OP: u16 = 2;
    pub const RANGE_FROM: u16 = 3;
    pub const RANGE_TO: u16 = 4;

    pub const LOOKUP_SET: u16 = 1;
    pub const LOOKUP_SREG: u16 = 2;
    pub const LOOKUP_DREG: u16 = 3;
    pub const LOOKUP_FLAGS: u16 = 5;
    /// `NFT_LOOKUP_F_INV`.
    pub const LOOKUP_INVERTED: u32 = 1;

    pub const PAYLOAD_DREG: u16 = 1;
    pub const PAYLOAD_BASE: u16 = 2;
    pub const PAYLOAD_OFFSET: u16 = 3;
    pub const PAYLOAD_LEN: u16 = 4;
    pub const PAYLOAD_SREG: u16 = 5;

    pub const META_DREG: u16 = 1;
    pub const META_KEY: u16 = 2;
    pub const META_SREG: u16 = 3;

    pub const CT_DREG: u16 = 1;
    pub const CT_KEY: u16 = 2;
    pub const CT_SREG: u16 = 4;

    pub const NAT_TYPE: u16 = 1;
    pub const NAT_REG_ADDR_MIN: u16 = 3;
    pub const NAT_REG_PROTO_MIN: u16 = 5;
    /// `NFT_NAT_DNAT`.
    pub const NAT_DNAT: u32 = 1;

    pub const REDIR_REG_PROTO_MIN: u16 = 1;

    pub const FIB_DREG: u16 = 1;
    pub const FIB_RESULT: u16 = 2;
    pub const FIB_FLAGS: u16 = 3;
    /// `NFT_FIB_RESULT_ADDRTYPE`.
    pub const FIB_ADDRTYPE: u32 = 3;
    /// `NFTA_FIB_F_DADDR`.
    pub const FIB_DADDR: u32 = 2;

    pub const OBJREF_IMM_TYPE: u16 = 1;

    /// `NFTA_MATCH_*` and `NFTA_TARGET_*`.
    pub const XT_NAME: u16 = 1;
    pub const XT_REV: u16 = 2;
    pub const XT_INFO: u16 = 3;
}

/// `NFT_META_*`.
pub mod meta {
    pub const PROTOCOL: u32 = 1;
    pub const MARK: u32 = 3;
    pub const IIF: u32 = 4;
    pub const OIF: u32 = 5;
    pub const IIFNAME: u32 = 6;
    pub const OIFNAME: u32 = 7;
    pub const NFPROTO: u32 = 15;
    pub const L4PROTO: u32 = 16;
    pub const PKTTYPE: u32 = 19;
}

/// `NFT_CT_*`, and the bits of a state (`NF_CT_STATE_BIT`).
pub mod ct {
    pub const STATE: u32 = 0;
    pub const DIRECTION: u32 = 1;
    pub const STATUS: u32 = 2;
    pub const MARK: u32 = 3;

    pub const INVALID: u32 = 1;
    pub const ESTABLISHED: u32 = 1 << 1;
    pub const RELATED: u32 = 1 << 2;
    pub const NEW: u32 = 1 << 3;
    pub const UNTRACKED: u32 = 1 << 6;

    /// `IPS_EXPECTED`, `IPS_SEEN_REPLY`, `IPS_ASSURED` and `IPS_DST_NAT`: what a connection cannot have with its first
    /// packet, unless its destination is translated, which is not reached here.
    pub const STATUS_KNOWN: u32 = 1 | 2 | 4 | 0x20;
}
