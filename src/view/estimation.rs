//! That counters stand still, in words.

use ipvs_client::estimation::{INTERVAL_SECONDS, Stopped};

/// Which setting keeps the kernel from counting.
#[must_use]
pub fn stopped(stopped: Stopped) -> String {
    let why = match stopped {
        Stopped::SwitchedOff => "net.ipv4.vs.run_estimation is 0",
        Stopped::NoProcessors => "net.ipv4.vs.est_cpulist is empty",
    };
    format!("The kernel counts nothing: {why}. Totals stand still.")
}

/// That this number of servers has connections, and the kernel has counted nothing of them yet.
#[must_use]
pub fn not_counted_yet(servers: u64) -> String {
    let servers = if servers == 1 { "1 server has".to_owned() } else { format!("{servers} servers have") };
    format!(
        "{servers} connections that are not counted, and no known rate: the kernel counts every {INTERVAL_SECONDS} seconds, \
         -Z forgets, and what came by synchronisation is never counted."
    )
}
