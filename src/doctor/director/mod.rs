//! The checks of a director: a file for each thing that they are about, which [`CHECKS`](super::CHECKS) names.

pub(super) mod connections;
pub(super) mod modules;
pub(super) mod packets;
pub(super) mod progress;
pub(super) mod scale_out;
mod setting;
pub(super) mod sizes;
pub(super) mod sync;
pub(super) mod table;
pub(super) mod vip;
