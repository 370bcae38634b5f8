//! What clients' connections show.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::IpAddr;

use ipvs_client::connections::{self, Origin};

use crate::doctor::facts::{Fact, Progress, Traffic};
use crate::host;

/// Connections of IPVS that are looked at: with more of them the first ones stand for all.
const ENOUGH: usize = 20_000;
/// IPVS's name for a connection whose first packet was seen, and no second one of the client.
const WAITING: &[u8] = b"SYN_RECV";

/// How far connections are, by service and server.
pub(super) fn progress() -> Fact<Vec<Progress>> {
    let from = connections::PATH;
    type Endpoint = (IpAddr, u16);
    let mut all: BTreeMap<(Endpoint, Endpoint), Progress> = BTreeMap::new();
    let mut left = ENOUGH;
    let source = match connections::open() {
        Ok(source) => source,
        Err(error) => return Fact::unreadable(error, from),
    };
    let outcome = connections::read(source, |connection| {
        if left == 0 {
            return Err(io::ErrorKind::Other.into());
        }
        left -= 1;
        if connection.is_template() || connection.protocol.as_bytes() != b"TCP" {
            return Ok(());
        }
        let key = (connection.virtual_address, connection.destination);
        let found = all.entry(key).or_insert(Progress {
            service: key.0,
            server: key.1,
            client: connection.source.0,
            waiting: 0,
            further: 0,
            synced: 0,
        });
        match connection.origin {
            Origin::Sync => found.synced += 1,
            Origin::Local if connection.state.as_bytes() == WAITING => {
                found.waiting += 1;
                found.client = connection.source.0;
            }
            Origin::Local => found.further += 1,
        }
        Ok(())
    });
    match outcome {
        Err(error) if left > 0 => Fact::unreadable(error, from),
        _ => Fact::known(all.into_values().collect(), from),
    }
}

/// Connections with programs here, by the address that clients connected to.
pub(super) fn here(vips: &[IpAddr]) -> Fact<BTreeMap<IpAddr, Traffic>> {
    let mut all: BTreeMap<IpAddr, Traffic> = BTreeMap::new();
    let read = host::connected(|local, remote, is_established| {
        if !vips.contains(&local) || vips.contains(&remote) || remote.is_loopback() {
            return;
        }
        let traffic = all.entry(local).or_default();
        match is_established {
            true => traffic.established += 1,
            false => traffic.half_open += 1,
        }
    });
    Fact::of(read.map(|()| all), "the kernel's sockets")
}

/// How many packets reverse path filtering dropped.
pub(super) fn reverse_path_drops() -> Fact<u64> {
    const FROM: &str = "/proc/net/netstat";
    let read = fs::read_to_string(FROM).and_then(|text| {
        counter(&text, "IPReversePathFilter").ok_or_else(|| io::Error::other("there is no IPReversePathFilter"))
    });
    Fact::of(read, FROM)
}

/// A counter of `/proc/net/netstat`: a line of names, and one of numbers.
fn counter(text: &str, name: &str) -> Option<u64> {
    let lines: Vec<&str> = text.lines().collect();
    lines.chunks_exact(2).find_map(|pair| {
        let [names, numbers] = pair else { return None };
        let at = names.split_ascii_whitespace().position(|word| word == name)?;
        numbers.split_ascii_whitespace().nth(at)?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_stand_below_their_names() {
        let text = "TcpExt: SyncookiesSent IPReversePathFilter\nTcpExt: 1 22\nIpExt: InNoRoutes\nIpExt: 3\n";
        assert_eq!(counter(text, "IPReversePathFilter"), Some(22));
        assert_eq!((counter(text, "InNoRoutes"), counter(text, "None")), (Some(3), None));
    }
}
