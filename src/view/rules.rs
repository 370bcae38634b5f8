//! The table as rules: the lines that would make it.

use std::fmt::Write as _;
use std::io::{self, Write};

use super::Labels;
use crate::model::{
    Checksum, Destination, Family, Forwarding, Netmask, Protocol, SchedulerName, Service, ServiceFlags, ServiceKey,
    Tunnel,
};

/// Write the rule that adds this service.
///
/// # Errors
/// The output fails.
pub fn service(out: &mut impl Write, labels: &mut Labels, service: &Service) -> io::Result<()> {
    let mut line = String::from("-A ");
    write_service(&mut line, labels, service);
    line.push('\n');
    out.write_all(line.as_bytes())
}

/// Write the rule that adds this destination to that service.
///
/// # Errors
/// The output fails.
pub fn destination(
    out: &mut impl Write,
    labels: &mut Labels,
    key: &ServiceKey,
    destination: &Destination,
) -> io::Result<()> {
    let mut line = String::from("-a ");
    write_destination(&mut line, labels, key, destination);
    line.push('\n');
    out.write_all(line.as_bytes())
}

fn write_service(line: &mut String, labels: &mut Labels, service: &Service) {
    write_key(line, labels, &service.key);
    let _ = write!(line, " -s {}", service.scheduler);
    if let Some(persistence) = &service.persistence {
        let _ = write!(line, " -p {}", persistence.timeout);
        if !persistence.netmask.is_host() {
            line.push_str(" -M ");
            write_netmask(line, persistence.netmask);
        }
    }
    if !service.engine.is_empty() {
        let _ = write!(line, " --pe {}", service.engine);
    }
    if service.flags.one_packet() {
        line.push_str(" -o");
    }
    if service.flags.scheduler() != 0 {
        line.push_str(" -b ");
        write_scheduler_flags(line, service.scheduler, service.flags);
    }
}

fn write_destination(line: &mut String, labels: &mut Labels, key: &ServiceKey, destination: &Destination) {
    write_key(line, labels, key);
    line.push_str(" -r ");
    labels.write(line, destination.key.address, destination.key.port, key.protocol());
    line.push_str(match destination.forwarding {
        Forwarding::Masquerade => " -m",
        Forwarding::Tunnel(_) => " -i",
        // Of these three, direct routing is the one that can be asked for; Local comes of it by itself.
        Forwarding::DirectRoute | Forwarding::Local | Forwarding::Bypass => " -g",
    });
    let _ = write!(line, " -w {}", destination.weight);
    if let Forwarding::Tunnel(tunnel) = destination.forwarding {
        write_tunnel(line, tunnel);
    }
    if destination.upper_threshold != 0 {
        let _ = write!(line, " -x {}", destination.upper_threshold);
    }
    if destination.lower_threshold != 0 {
        let _ = write!(line, " -y {}", destination.lower_threshold);
    }
}

fn write_tunnel(line: &mut String, tunnel: Tunnel) {
    match tunnel {
        Tunnel::Ipip => line.push_str(" --tun-type ipip"),
        Tunnel::Gue { port, checksum } => {
            let checksum = match checksum {
                Checksum::None => "--tun-nocsum",
                Checksum::Full => "--tun-csum",
                Checksum::Remote => "--tun-remcsum",
            };
            let _ = write!(line, " --tun-type gue --tun-port {port} {checksum}");
        }
        Tunnel::Gre { checksum } => {
            let checksum = if checksum { "--tun-csum" } else { "--tun-nocsum" };
            let _ = write!(line, " --tun-type gre {checksum}");
        }
    }
}

/// The option that names a service.
fn write_key(line: &mut String, labels: &mut Labels, key: &ServiceKey) {
    match *key {
        ServiceKey::Mark { mark, family } => {
            let _ = write!(line, "-f {mark}");
            if family == Family::Ipv6 {
                line.push_str(" -6");
            }
        }
        ServiceKey::Address { protocol, address, port } => {
            line.push_str(match protocol {
                Protocol::Tcp => "-t ",
                Protocol::Udp => "-u ",
                Protocol::Sctp => "--sctp-service ",
            });
            labels.write(line, address, port, Some(protocol));
        }
    }
}

/// A mask as `-M` takes it.
pub(super) fn write_netmask(line: &mut String, netmask: Netmask) {
    let _ = match netmask {
        Netmask::V4(mask) => write!(line, "{mask}"),
        Netmask::V6(prefix) => write!(line, "{prefix}"),
    };
}

/// The scheduler's flags as `-b` takes them: two of them have names of their own with `sh` and `mh`.
pub(super) fn write_scheduler_flags(line: &mut String, scheduler: SchedulerName, flags: ServiceFlags) {
    let (first, second) = match scheduler.as_bytes() {
        b"sh" => ("sh-fallback", "sh-port"),
        b"mh" => ("mh-fallback", "mh-port"),
        _ => ("flag-1", "flag-2"),
    };
    let names = [
        (ServiceFlags::SCHEDULER_1, first),
        (ServiceFlags::SCHEDULER_2, second),
        (ServiceFlags::SCHEDULER_3, "flag-3"),
    ];
    let mut comma = "";
    for (bit, name) in names {
        if flags.scheduler() & bit != 0 {
            line.push_str(comma);
            line.push_str(name);
            comma = ",";
        }
    }
}
