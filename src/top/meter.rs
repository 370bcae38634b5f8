//! Rates from the differences of the kernel's 64-bit counters.

use std::time::Duration;

use ipvs_client::Counters;

/// How often the kernel brings its counters up to date (`net/netfilter/ipvs/ip_vs_est.c`): in between they stand still,
/// whatever passes.
pub(crate) const ESTIMATOR: Duration = Duration::from_secs(2);

/// Per second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct PerSecond {
    /// Connections scheduled.
    pub(crate) connections: f64,
    /// Packets from clients.
    pub(crate) incoming_packets: f64,
    /// Packets to clients.
    pub(crate) outgoing_packets: f64,
    /// Bytes from clients.
    pub(crate) incoming_bytes: f64,
    /// Bytes to clients.
    pub(crate) outgoing_bytes: f64,
}

impl std::ops::AddAssign for PerSecond {
    fn add_assign(&mut self, other: Self) {
        self.connections += other.connections;
        self.incoming_packets += other.incoming_packets;
        self.outgoing_packets += other.outgoing_packets;
        self.incoming_bytes += other.incoming_bytes;
        self.outgoing_bytes += other.outgoing_bytes;
    }
}

/// Watches the counters of one service or server.
///
/// They move in steps, so a difference between two readings is only worth something over the time between two steps: a
/// reading that finds the step not made yet keeps the rates there are, and the next one divides by all the time that the
/// step took. Otherwise a reading every second would show nothing and double the rate in turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meter {
    counters: Counters,
    /// When they were last seen to have moved, from any beginning.
    moved: Duration,
    read: Duration,
    rates: PerSecond,
}

impl Meter {
    /// Begin with these counters, at this time.
    pub(crate) const fn new(counters: Counters, now: Duration) -> Self {
        const NOTHING: PerSecond = PerSecond {
            connections: 0.0,
            incoming_packets: 0.0,
            outgoing_packets: 0.0,
            incoming_bytes: 0.0,
            outgoing_bytes: 0.0,
        };
        Self { counters, moved: now, read: now, rates: NOTHING }
    }

    /// The counters at a later time.
    pub(crate) fn read(&mut self, counters: Counters, now: Duration) {
        let interval = now.saturating_sub(self.read);
        let since_moved = now.saturating_sub(self.moved);
        let patience = interval + ESTIMATOR;
        self.read = now;
        if counters == self.counters {
            if since_moved >= patience {
                self.rates = PerSecond::default();
            }
            return;
        }
        let took = if interval < ESTIMATOR {
            // There was room for a single step.
            ESTIMATOR
        } else if since_moved <= patience {
            since_moved
        } else {
            // After a pause nothing says when in it the traffic began; it was no earlier than at the last reading.
            interval
        };
        self.rates = difference(&self.counters, &counters, took).unwrap_or_default();
        self.counters = counters;
        self.moved = now;
    }

    /// The rates by the last reading.
    pub(crate) const fn rates(&self) -> PerSecond {
        self.rates
    }
}

/// None if a counter has gone back: it was zeroed, or it is another server's by the same name.
fn difference(old: &Counters, new: &Counters, took: Duration) -> Option<PerSecond> {
    let seconds = took.as_secs_f64();
    let rate = |old: u64, new: u64| new.checked_sub(old).map(|more| more as f64 / seconds.max(0.001));
    Some(PerSecond {
        connections: rate(old.connections, new.connections)?,
        incoming_packets: rate(old.incoming_packets, new.incoming_packets)?,
        outgoing_packets: rate(old.outgoing_packets, new.outgoing_packets)?,
        incoming_bytes: rate(old.incoming_bytes, new.incoming_bytes)?,
        outgoing_bytes: rate(old.outgoing_bytes, new.outgoing_bytes)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(connections: u64) -> Counters {
        Counters { connections, ..Counters::default() }
    }

    /// The rates of connections after each of these readings.
    fn rates(readings: &[(u64, u64)]) -> Vec<f64> {
        let mut meter = Meter::new(counted(readings[0].1), Duration::from_secs(readings[0].0));
        let read = |&(second, connections): &(u64, u64)| {
            meter.read(counted(connections), Duration::from_secs(second));
            meter.rates().connections
        };
        readings[1..].iter().map(read).collect()
    }

    #[test]
    fn a_step_every_other_reading_is_a_steady_rate() {
        // Ten connections per second, read every second.
        assert_eq!(rates(&[(0, 0), (1, 0), (2, 20), (3, 20), (4, 40), (5, 40), (6, 60)])[1..], [10.0; 5]);
        // The same with readings that are early or late for a step.
        assert_eq!(rates(&[(0, 0), (1, 20), (3, 20), (4, 40), (5, 60), (6, 60)]), [10.0; 5]);
        // Read every two seconds, once before the step and once after it.
        assert_eq!(rates(&[(0, 0), (2, 20), (4, 20), (6, 60), (8, 80)]), [10.0; 4]);
    }

    #[test]
    fn a_pause_ends_the_rate_and_does_not_thin_the_next_one() {
        assert_eq!(rates(&[(0, 0), (2, 20), (4, 20), (6, 20), (20, 20), (22, 40)]), [10.0, 10.0, 0.0, 0.0, 10.0]);
    }

    #[test]
    fn long_intervals_are_what_they_are() {
        assert_eq!(rates(&[(0, 0), (10, 100), (20, 300)]), [10.0, 20.0]);
    }

    #[test]
    fn counters_may_be_large_or_go_back() {
        assert_eq!(rates(&[(0, u64::MAX - 20), (2, u64::MAX)]), [10.0]);
        assert_eq!(rates(&[(0, 100), (2, 20), (4, 40)]), [0.0, 10.0]);
    }
}
