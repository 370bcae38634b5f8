//! Prints connections and bytes per second of every service, this many times. As root: `cargo run --example watch_rates 10`
//!
//! The rates come from the differences of the 64-bit counters, not from the kernel's estimator, which can be switched off.

use std::collections::HashMap;
use std::time::{Duration, Instant};
use std::{env, thread};

use ipvs_client::{Client, Counters, Error, ServiceKey};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let times: u32 = env::args().nth(1).map_or(Ok(1), |word| word.parse())?;
    let mut client = Client::connect()?;
    let mut before = read(&mut client)?;
    for _ in 0..times {
        let started = Instant::now();
        thread::sleep(Duration::from_secs(1));
        let now = read(&mut client)?;
        let seconds = started.elapsed().as_secs_f64();
        for (key, counters) in &now {
            // A service that was not there a second ago has all its counts from since then.
            let old = before.get(key).copied().unwrap_or_default();
            // Another program may have set them to 0.
            let per_second = |new: u64, old: u64| new.saturating_sub(old) as f64 / seconds;
            println!(
                "{key}: {:.0} connections/s, {:.0} bytes/s in, {:.0} bytes/s out",
                per_second(counters.connections, old.connections),
                per_second(counters.incoming_bytes, old.incoming_bytes),
                per_second(counters.outgoing_bytes, old.outgoing_bytes),
            );
        }
        before = now;
    }
    Ok(())
}

fn read(client: &mut Client) -> Result<HashMap<ServiceKey, Counters>, Error> {
    let services = client.services()?;
    Ok(services.into_iter().map(|entry| (entry.service.key, entry.statistics.counters)).collect())
}
