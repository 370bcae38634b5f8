//! Whether the kernel's estimation runs, without which no counter moves.

use std::fs;

pub use crate::model::Stopped;

/// Seconds between two estimations (`EST_TICK`, `net/ipv4/netfilter/ipvs/ip_vs_est.c`): counters are at most this far behind.
pub const INTERVAL_SECONDS: u32 = 2;

/// What has stopped the estimation, for the network namespace of this thread. Kernels before 6.2 have neither setting
/// (`Documentation/networking/ipvs-sysctl.rst`).
#[must_use]
pub fn stopped() -> Option<Stopped> {
    let read = |name: &str| fs::read(format!("/proc/sys/net/ipv4/vs/{name}")).ok();
    if read("run_estimation").is_some_and(|value| value.trim_ascii() == b"0") {
        return Some(Stopped::SwitchedOff);
    }
    read("est_cpulist").is_some_and(|value| value.trim_ascii().is_empty()).then_some(Stopped::NoProcessors)
}
