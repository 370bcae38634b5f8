//! The exit statuses of ipvsadm.

/// All is well.
pub(super) const OK: u8 = 0;
/// A listing or a file failed.
pub(super) const FAILED: u8 = 1;
/// Wrong use, or no IPVS.
pub(super) const USAGE: u8 = 2;
/// Some of the rules are loaded, and others could not be.
pub(super) const PARTLY: u8 = 3;
/// The kernel refused a change.
pub(super) const REFUSED: u8 = 255;
