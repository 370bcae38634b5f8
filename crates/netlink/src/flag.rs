//! Flags of messages, `NLM_F_*` of `linux/netlink.h`.

/// `NLM_F_REQUEST`; every request has it.
pub const REQUEST: u16 = 0x01;
/// `NLM_F_ACK`: answer when it is done.
pub const ACK: u16 = 0x04;
/// `NLM_F_DUMP_INTR`: the list changed while it was made.
pub const DUMP_INTERRUPTED: u16 = 0x10;
/// `NLM_F_DUMP`: answer with a list.
pub const DUMP: u16 = 0x300;
/// `NLM_F_EXCL`: refuse if there is one already.
pub const EXCLUSIVE: u16 = 0x200;
/// `NLM_F_CREATE`: make it if there is none.
pub const CREATE: u16 = 0x400;
