//! The exit statuses of ipvsadm.

/// All is well.
pub(super) const OK: u8 = 0;
/// A listing or a file failed.
pub(super) const FAILED: u8 = 1;
/// Wrong use, or no IPVS.
pub(super) const USAGE: u8 = 2;
/// The kernel refused a change.
pub(super) const REFUSED: u8 = 255;
