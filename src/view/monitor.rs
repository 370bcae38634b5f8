//! What `monitor` prints: rules with the time, or JSON.

use std::io::{self, Write};
use std::time::Duration;

use ipvs_client::{DestinationKey, ServiceKey};
use serde::Serialize;

use super::json::{self, KeyDocument, ServerKeyDocument};
use super::rules;
use crate::escape::escaped;
use crate::monitor::{Event, Notice};

/// A line of text: the time, and a rule or a comment. Without the times, the lines are a file of rules.
///
/// # Errors
/// Writing fails.
pub fn line(out: &mut impl Write, time: Duration, event: &Event) -> io::Result<()> {
    let time = timestamp(time);
    match event {
        Event::Changed(change) => writeln!(out, "{time} {}", escaped(&rules::text(change))),
        Event::Server(service, server, notice) => writeln!(out, "{time} # {service}: {server} {}", words(notice)),
    }
}

fn words(notice: &Notice) -> String {
    match notice {
        Notice::ThresholdReached { connections, threshold } => {
            format!("reached its upper threshold: {connections} connections of {threshold}")
        }
        Notice::ThresholdLeft { connections } => format!("is below its threshold again: {connections} connections"),
        Notice::TrafficStopped => "gets no more packets".to_owned(),
        Notice::TrafficResumed => "gets packets again".to_owned(),
    }
}

/// A document of a line.
#[derive(Serialize)]
struct EventDocument {
    time: String,
    event: &'static str,
    service: Option<KeyDocument>,
    server: Option<ServerKeyDocument>,
    rule: Option<String>,
    connections: Option<u64>,
    threshold: Option<u32>,
}

/// A line of JSON.
///
/// # Errors
/// Writing fails.
pub fn document(out: &mut impl Write, time: Duration, event: &Event) -> io::Result<()> {
    let time = timestamp(time);
    let keys = |service: Option<ServiceKey>, server: Option<DestinationKey>| {
        (service.as_ref().map(KeyDocument::from), server.as_ref().map(ServerKeyDocument::from))
    };
    let document = match event {
        Event::Changed(change) => {
            let (event, service, server) = json::named(change);
            let (service, server) = keys(service, server);
            let rule = Some(rules::text(change));
            EventDocument { time, event, service, server, rule, connections: None, threshold: None }
        }
        Event::Server(service, server, notice) => {
            let (event, connections, threshold) = match *notice {
                Notice::ThresholdReached { connections, threshold } => {
                    ("threshold_reached", Some(connections), Some(threshold))
                }
                Notice::ThresholdLeft { connections } => ("threshold_left", Some(connections), None),
                Notice::TrafficStopped => ("traffic_stopped", None, None),
                Notice::TrafficResumed => ("traffic_resumed", None, None),
            };
            let (service, server) = keys(Some(*service), Some(*server));
            EventDocument { time, event, service, server, rule: None, connections, threshold }
        }
    };
    json::write(out, "event", &document, false)
}

/// `2026-11-29T12:34:56.789Z`, of a time since 1970.
fn timestamp(time: Duration) -> String {
    const SECONDS_A_DAY: u64 = 24 * 60 * 60;
    let (days, seconds) = (time.as_secs() / SECONDS_A_DAY, time.as_secs() % SECONDS_A_DAY);
    let (year, month, day) = date(days);
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{rest:02}.{:03}Z", time.subsec_millis())
}

/// Year, month and day of a number of days since 1970.
fn date(mut days: u64) -> (u64, usize, u64) {
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    loop {
        let length = if is_leap(year) { 366 } else { 365 };
        if days < length {
            break;
        }
        days -= length;
        year += 1;
    }
    let lengths = [31, if is_leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 1;
    for length in lengths {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_798_761_599, "2026-12-31T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(timestamp(Duration::from_secs(seconds)), text);
        }
    }
}
