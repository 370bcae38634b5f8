//! The listings of ipvsadm, to the byte.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr};

use ipvs_client::{
    Checksum, Daemon, DestinationEntry, Detail, Forwarding, Info, Service, ServiceEntry, ServiceKey, Statistics,
    Timeouts, Tunnel,
};

use super::append::{Draft, Field};
use super::{Labels, rules};
use crate::escape::escaped_bytes;
use crate::grammar::{Columns, Listing};

/// The room for a service's first word: its protocol, or what a mark has in its place.
pub(super) const KIND: usize = 4;
/// The room for a name: IPv4 names are cut to it, IPv6 names only by [`IPV6_NAME`].
const IPV4_NAME: usize = 28;
/// How far the name of a destination is indented, by an arrow.
const INDENT: usize = "  -> ".len();
/// What the original's buffer leaves of an IPv6 name.
const IPV6_NAME: usize = 59;

/// The first line of a listing of the whole table.
///
/// # Errors
/// The output fails.
pub fn version_line(out: &mut impl Write, info: &Info) -> io::Result<()> {
    writeln!(out, "IP Virtual Server version {} (size={})", version(info), info.connection_table_size)
}

/// The version of IPVS, such as `1.2.1`.
pub(super) fn version(info: &Info) -> String {
    let [_, major, minor, patch] = info.version.to_be_bytes();
    format!("{major}.{minor}.{patch}")
}

/// The two lines that name the columns.
///
/// # Errors
/// The output fails.
pub fn header(out: &mut impl Write, columns: Columns) -> io::Result<()> {
    // The blanks at line ends are the original's.
    out.write_all(match columns {
        Columns::Plain => {
            b"Prot LocalAddress:Port Scheduler Flags\n\
              \x20 -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\n"
        }
        Columns::Stats => {
            b"Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes\n\
              \x20 -> RemoteAddress:Port\n"
        }
        Columns::Rate => {
            b"Prot LocalAddress:Port                 CPS    InPPS   OutPPS    InBPS   OutBPS\n\
              \x20 -> RemoteAddress:Port\n"
        }
        Columns::Thresholds => {
            b"Prot LocalAddress:Port            Uthreshold Lthreshold ActiveConn InActConn \n\
              \x20 -> RemoteAddress:Port\n"
        }
        Columns::PersistentConnections => {
            b"Prot LocalAddress:Port            Weight    PersistConn ActiveConn InActConn \n\
              \x20 -> RemoteAddress:Port\n"
        }
        Columns::TunnelInfo => {
            b"Prot LocalAddress:Port Scheduler Flags\n\
              \x20 -> RemoteAddress:Port           Forward TunnelInfo    Weight ActiveConn InActConn\n"
        }
    })
}

/// The line of a service.
///
/// # Errors
/// The output fails.
pub fn service<D: Detail>(
    out: &mut impl Write,
    labels: &mut Labels,
    listing: &Listing,
    entry: &ServiceEntry<D>,
) -> io::Result<()> {
    labels.line(out, |line, labels| write_service(line, labels, listing, entry))
}

fn write_service<D: Detail>(line: &mut Draft, labels: &mut Labels, listing: &Listing, entry: &ServiceEntry<D>) {
    let service = &entry.service;
    labels.write_service_name(line, &service.key, KIND, |line, labels, address, port| {
        write_name(line, labels, address, port, &service.key);
    });
    if has_numbers(listing.columns) {
        line.pad(0, 33);
        let numbers = entry.statistics.statistics().map(|statistics| numbers(listing.columns, statistics));
        numbers.into_iter().flatten().for_each(|number| write_number(line, number, listing.exact));
    } else {
        line.push(b' ');
        write_scheduling(line, service);
    }
}

/// The scheduler and everything that goes with it.
pub(super) fn scheduling(service: &Service) -> String {
    let mut line = Draft::new();
    write_scheduling(&mut line, service);
    line.into_string()
}

fn write_scheduling(line: &mut Draft, service: &Service) {
    line.push_str(&escaped_bytes(service.scheduler.as_bytes()));
    if service.flags.scheduler() != 0 {
        line.push_str(" (");
        rules::write_scheduler_flags(line, service.scheduler, service.flags);
        line.push(b')');
    }
    if let Some(persistence) = &service.persistence {
        let _ = write!(line, " persistent {}", persistence.timeout);
        if !persistence.netmask.is_host() {
            line.push_str(" mask ");
            rules::write_netmask(line, persistence.netmask);
        }
        if !service.engine.is_empty() {
            line.push_str(" pe ");
            line.push_str(&escaped_bytes(service.engine.as_bytes()));
        }
    }
    if service.flags.one_packet() {
        line.push_str(" ops");
    }
}

/// The line of a destination of that service.
///
/// # Errors
/// The output fails.
pub fn destination<D: Detail>(
    out: &mut impl Write,
    labels: &mut Labels,
    listing: &Listing,
    key: &ServiceKey,
    entry: &DestinationEntry<D>,
) -> io::Result<()> {
    match (entry.destination.key.address, listing.columns) {
        // What most lines are, put together at once. It saves 23 % of the instructions of `-Ln` of 10,000 servers, kernel included.
        (IpAddr::V4(address), columns) if labels.are_numeric() && !has_numbers(columns) => {
            let mut line = Field::new();
            line.text("  -> ");
            line.endpoint(address, entry.destination.key.port);
            line.fill(INDENT + IPV4_NAME);
            write_columns(&mut line, columns, entry);
            line.push(b'\n');
            out.write_all(line.bytes())
        }
        _ => labels.line(out, |line, labels| write_destination(line, labels, listing, key, entry)),
    }
}

fn write_destination<D: Detail>(
    line: &mut Draft,
    labels: &mut Labels,
    listing: &Listing,
    key: &ServiceKey,
    entry: &DestinationEntry<D>,
) {
    line.push_str("  -> ");
    write_name(line, labels, entry.destination.key.address, entry.destination.key.port, key);
    line.pad(INDENT, IPV4_NAME);
    if has_numbers(listing.columns) {
        let numbers = entry.statistics.statistics().map(|statistics| numbers(listing.columns, statistics));
        for (index, number) in numbers.into_iter().flatten().enumerate() {
            // The original does not shorten a server's connections and packets per second.
            let exact = listing.exact || (listing.columns == Columns::Rate && index < 3);
            write_number(line, number, exact);
        }
    } else {
        let mut columns = Field::new();
        write_columns(&mut columns, listing.columns, entry);
        line.push_field(&columns);
    }
}

/// Whether the columns are five numbers of statistics.
const fn has_numbers(columns: Columns) -> bool {
    matches!(columns, Columns::Stats | Columns::Rate)
}

/// The columns behind the name of a destination, where they are not statistics.
fn write_columns<D>(line: &mut Field, columns: Columns, entry: &DestinationEntry<D>) {
    let destination = &entry.destination;
    match columns {
        Columns::Plain => {
            line.word(forwarding_name(destination.forwarding), 7);
            line.number(destination.weight, 6);
        }
        Columns::TunnelInfo => {
            line.word(forwarding_name(destination.forwarding), 7);
            line.word(&tunnel_info(destination.forwarding), 13);
            line.number(destination.weight, 6);
        }
        Columns::Thresholds => {
            line.number(destination.upper_threshold, 10);
            line.number(destination.lower_threshold, 10);
        }
        Columns::PersistentConnections => {
            line.number(destination.weight, 9);
            line.number(entry.persistent_connections, 11);
        }
        Columns::Stats | Columns::Rate => return,
    }
    line.number(entry.active_connections, 10);
    line.number(entry.inactive_connections, 10);
}

/// `-L --timeout`
///
/// # Errors
/// The output fails.
pub fn timeouts(out: &mut impl Write, timeouts: &Timeouts) -> io::Result<()> {
    writeln!(out, "Timeout (tcp tcpfin udp): {} {} {}", timeouts.tcp, timeouts.tcp_fin, timeouts.udp)
}

/// A line of `-L --daemon`.
///
/// # Errors
/// The output fails.
pub fn daemon(out: &mut impl Write, daemon: &Daemon) -> io::Result<()> {
    writeln!(
        out,
        "{} sync daemon (mcast={}, syncid={}, maxlen={}, group={}, port={}, ttl={})",
        daemon.role.name(),
        escaped_bytes(daemon.interface.as_bytes()),
        daemon.sync_id,
        daemon.maximum_length.unwrap_or(0),
        daemon.group.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        daemon.port.unwrap_or(0),
        daemon.ttl.unwrap_or(0),
    )
}

/// Append a name, cut as the original cuts it. A mark's servers have no port names.
fn write_name(line: &mut Draft, labels: &mut Labels, address: IpAddr, port: u16, key: &ServiceKey) {
    let start = line.len();
    labels.write(line, address, port, key.protocol());
    let room = if address.is_ipv4() { IPV4_NAME } else { IPV6_NAME };
    // As many letters take at least as many bytes. It saves 2 % of the instructions of `-Ln` of IPv6 servers, kernel included.
    if line.len() - start > room {
        line.cut(start, room);
    }
}

pub(super) fn numbers(columns: Columns, statistics: &Statistics) -> [u64; 5] {
    let (c, r) = (&statistics.counters, &statistics.rates);
    if columns == Columns::Stats {
        [c.connections, c.incoming_packets, c.outgoing_packets, c.incoming_bytes, c.outgoing_bytes]
    } else {
        [r.connections, r.incoming_packets, r.outgoing_packets, r.incoming_bytes, r.outgoing_bytes]
    }
}

/// Nine characters, from a hundred million on in thousands and so forth; or exact, and then as wide as it takes.
fn write_number(line: &mut Draft, number: u64, exact: bool) {
    let (divisor, unit) = match number {
        _ if exact => (1, None),
        0..100_000_000 => (1, None),
        100_000_000..1_000_000_000 => (1_000, Some('K')),
        1_000_000_000..100_000_000_000 => (1_000_000, Some('M')),
        100_000_000_000..100_000_000_000_000 => (1_000_000_000, Some('G')),
        100_000_000_000_000.. => (1_000_000_000_000, Some('T')),
    };
    let _ = match unit {
        None => write!(line, " {number:>8}"),
        Some(unit) => write!(line, "{:>8}{unit}", number / divisor),
    };
}

pub(super) fn forwarding_name(forwarding: Forwarding) -> &'static str {
    match forwarding {
        Forwarding::Masquerade => "Masq",
        Forwarding::Local => "Local",
        Forwarding::Tunnel(_) => "Tunnel",
        Forwarding::DirectRoute => "Route",
        Forwarding::Bypass => "Bypass",
    }
}

pub(super) fn tunnel_info(forwarding: Forwarding) -> String {
    let Forwarding::Tunnel(tunnel) = forwarding else { return "n/a".to_owned() };
    match tunnel {
        Tunnel::Gue { port, checksum } => {
            let checksum = match checksum {
                Checksum::None => "-c",
                Checksum::Full => "+c",
                Checksum::Remote => "r+c",
            };
            format!("gue:{port}:{checksum}")
        }
        Tunnel::Gre { checksum } => format!("gre:{}", if checksum { "+c" } else { "-c" }),
        other => other.name().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipvs_client::{Destination, Family};

    #[test]
    fn the_longest_line_of_a_server_is_whole() {
        let mut destination = Destination::new(IpAddr::V4(Ipv4Addr::BROADCAST), u16::MAX);
        destination.forwarding = Forwarding::Tunnel(Tunnel::Gue { port: u16::MAX, checksum: Checksum::Remote });
        destination.weight = u32::MAX;
        destination.upper_threshold = u32::MAX;
        destination.lower_threshold = u32::MAX;
        let mut entry = DestinationEntry::new(destination, Statistics::default());
        entry.active_connections = u32::MAX;
        entry.inactive_connections = u32::MAX;
        entry.persistent_connections = u32::MAX;
        let key = ServiceKey::Mark { mark: 1, family: Family::Ipv4 };
        for columns in
            [Columns::Plain, Columns::Thresholds, Columns::PersistentConnections, Columns::TunnelInfo, Columns::Stats]
        {
            let listing = Listing { columns, ..Listing::DEFAULT };
            let mut quick = Vec::new();
            self::destination(&mut quick, &mut Labels::numeric(), &listing, &key, &entry).unwrap();
            let mut line = Draft::new();
            write_destination(&mut line, &mut Labels::numeric(), &listing, &key, &entry);
            assert_eq!(String::from_utf8(quick).unwrap(), line.into_string() + "\n");
        }
    }

    fn number(value: u64, exact: bool) -> String {
        let mut line = Draft::new();
        write_number(&mut line, value, exact);
        line.into_string()
    }

    #[test]
    fn large_numbers_shrink_at_the_original_s_bounds() {
        assert_eq!(number(0, false), "        0");
        assert_eq!(number(99_999_999, false), " 99999999");
        assert_eq!(number(100_000_000, false), "  100000K");
        assert_eq!(number(999_999_999, false), "  999999K");
        assert_eq!(number(1_000_000_000, false), "    1000M");
        assert_eq!(number(99_999_999_999, false), "   99999M");
        assert_eq!(number(100_000_000_000, false), "     100G");
        assert_eq!(number(100_000_000_000_000, false), "     100T");
        assert_eq!(number(u64::MAX, false), "18446744T");
        assert_eq!(number(123_456_789, true), " 123456789");
    }
}
