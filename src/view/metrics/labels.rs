//! Labels of metrics.

use std::fmt::Write as _;
use std::net::IpAddr;

use ipvs_client::{Checksum, Daemon, Destination, Family, Forwarding, Netmask, Service, ServiceKey, Tunnel};

use crate::escape::escaped_bytes;
use crate::view::append::Draft;
use crate::view::rules;

/// Labels as they are written.
pub(super) struct Labels<'d> {
    draft: &'d mut Draft,
    /// What stands before the next one.
    before: &'static str,
}

impl<'d> Labels<'d> {
    /// The first labels.
    pub(super) const fn new(draft: &'d mut Draft) -> Self {
        Self { draft, before: "" }
    }

    /// More labels, behind others.
    pub(super) const fn more(draft: &'d mut Draft) -> Self {
        Self { draft, before: "," }
    }

    fn name(&mut self, name: &str) {
        self.draft.push_str(self.before);
        self.before = ",";
        self.draft.push_str(name);
        self.draft.push_str("=\"");
    }

    /// A label of plain characters.
    pub(super) fn plain(&mut self, name: &str, value: &str) {
        self.name(name);
        self.draft.push_str(value);
        self.draft.push(b'"');
    }

    /// A label of any bytes, such as a name: control characters in hexadecimal, and what has a meaning in labels escaped.
    pub(super) fn any(&mut self, name: &str, value: &[u8]) {
        self.name(name);
        for character in escaped_bytes(value).chars() {
            match character {
                '\\' => self.draft.push_str("\\\\"),
                '"' => self.draft.push_str("\\\""),
                '\n' => self.draft.push_str("\\n"),
                other => self.draft.push_str(other.encode_utf8(&mut [0; 4])),
            }
        }
        self.draft.push(b'"');
    }

    pub(super) fn number(&mut self, name: &str, value: impl itoa::Integer) {
        self.name(name);
        self.draft.push_number(value);
        self.draft.push(b'"');
    }

    /// A number, or nothing where there is none.
    pub(super) fn number_if(&mut self, name: &str, value: Option<impl itoa::Integer>) {
        match value {
            Some(value) => self.number(name, value),
            None => self.plain(name, ""),
        }
    }

    pub(super) fn address(&mut self, name: &str, address: IpAddr) {
        self.name(name);
        push_address(self.draft, address);
        self.draft.push(b'"');
    }
}

fn push_address(draft: &mut Draft, address: IpAddr) {
    match address {
        IpAddr::V4(address) => draft.push_ipv4(address),
        // Writing to memory does not fail.
        IpAddr::V6(address) => drop(write!(draft, "{address}")),
    }
}

fn family(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "ipv4",
        Family::Ipv6 => "ipv6",
    }
}

/// What names a service, with the values of node_exporter.
pub(super) fn service_labels(labels: &mut Labels<'_>, key: &ServiceKey) {
    match *key {
        ServiceKey::Address { protocol, address, port } => {
            labels.address("local_address", address);
            labels.number("local_port", port);
            labels.plain("proto", protocol.name());
            labels.plain("local_mark", "");
        }
        ServiceKey::Mark { mark, .. } => {
            labels.plain("local_address", "");
            labels.plain("local_port", "0");
            labels.plain("proto", "FWM");
            labels.name("local_mark");
            let _ = write!(labels.draft, "{mark:08X}\"");
        }
    }
    labels.plain("family", family(key.family()));
}

/// What is known of a service beside that.
pub(super) fn service_info(labels: &mut Labels<'_>, service: &Service) {
    labels.any("scheduler", service.scheduler.as_bytes());
    labels.name("scheduler_flags");
    rules::write_scheduler_flags(labels.draft, service.scheduler, service.flags);
    labels.draft.push(b'"');
    labels.plain("one_packet", if service.flags.one_packet() { "true" } else { "false" });
    labels.number_if("persistence_seconds", service.persistence.map(|persistence| persistence.timeout));
    match service.persistence.map(|persistence| persistence.netmask) {
        Some(Netmask::V4(mask)) => labels.address("persistence_mask", mask.into()),
        Some(Netmask::V6(length)) => labels.number("persistence_mask", length),
        None => labels.plain("persistence_mask", ""),
    }
    labels.any("persistence_engine", service.engine.as_bytes());
}

/// What names a server beside its service.
pub(super) fn server_labels(labels: &mut Labels<'_>, server: &Destination) {
    labels.address("remote_address", server.key.address);
    labels.number("remote_port", server.key.port);
}

/// What is known of a server beside that.
pub(super) fn server_info(labels: &mut Labels<'_>, server: &Destination) {
    let (forwarding, tunnel) = match server.forwarding {
        Forwarding::DirectRoute => ("dr", None),
        Forwarding::Masquerade => ("nat", None),
        Forwarding::Tunnel(tunnel) => ("tunnel", Some(tunnel)),
        Forwarding::Local => ("local", None),
        Forwarding::Bypass => ("bypass", None),
    };
    labels.plain("forwarding", forwarding);
    labels.plain("tunnel_type", tunnel.map_or("", Tunnel::name));
    let (port, checksum) = match tunnel {
        Some(Tunnel::Gue { port, checksum: Checksum::Full }) => (Some(port), "full"),
        Some(Tunnel::Gue { port, checksum: Checksum::Remote }) => (Some(port), "remote"),
        Some(Tunnel::Gue { port, checksum: Checksum::None }) => (Some(port), "none"),
        Some(Tunnel::Gre { checksum: true }) => (None, "full"),
        Some(_) => (None, "none"),
        None => (None, ""),
    };
    labels.number_if("tunnel_port", port);
    labels.plain("tunnel_checksum", checksum);
    labels.plain("remote_family", family(Family::of(server.key.address)));
}

/// What is known of a daemon.
pub(super) fn daemon_labels(labels: &mut Labels<'_>, daemon: &Daemon) {
    labels.plain("role", daemon.role.name());
    labels.any("interface", daemon.interface.as_bytes());
    labels.number("sync_id", daemon.sync_id);
    labels.number_if("maximum_length_bytes", daemon.maximum_length);
    match daemon.group {
        Some(group) => labels.address("multicast_group", group),
        None => labels.plain("multicast_group", ""),
    }
    labels.number_if("multicast_port", daemon.port);
    labels.number_if("multicast_ttl", daemon.ttl);
}
