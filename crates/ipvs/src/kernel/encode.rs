//! From the model to the attributes of a request.

use std::net::IpAddr;

use super::attributes::{command, daemon as da, destination as d, forward, service as s, top, tunnel};
use crate::model::{
    Change, Checksum, Daemon, Destination, DestinationKey, Family, Forwarding, Netmask, Service, ServiceFlags,
    ServiceKey, Tunnel,
};
use netlink_exchange::Writer;

/// The `IPVS_CMD_*` that asks for a change.
pub(super) fn command_of(change: &Change) -> u8 {
    match change {
        Change::AddService(_) => command::NEW_SERVICE,
        Change::EditService(_) => command::SET_SERVICE,
        Change::DeleteService(_) => command::DEL_SERVICE,
        Change::AddDestination(..) => command::NEW_DEST,
        Change::EditDestination(..) => command::SET_DEST,
        Change::DeleteDestination(..) => command::DEL_DEST,
        Change::Flush => command::FLUSH,
        Change::Zero(_) => command::ZERO,
        Change::SetTimeouts(_) => command::SET_CONFIG,
        Change::StartDaemon(_) => command::NEW_DAEMON,
        Change::StopDaemon(_) => command::DEL_DAEMON,
    }
}

/// The attributes of a change.
pub(super) fn write_change(writer: &mut Writer, change: &Change) {
    match change {
        Change::AddService(service) | Change::EditService(service) => write_service(writer, service),
        Change::DeleteService(key) | Change::Zero(Some(key)) => write_key(writer, key),
        Change::AddDestination(key, destination) | Change::EditDestination(key, destination) => {
            write_key(writer, key);
            write_destination(writer, destination);
        }
        Change::DeleteDestination(key, destination) => {
            write_key(writer, key);
            let nest = writer.nest(top::DEST);
            write_destination_key(writer, destination);
            writer.end_nest(nest);
        }
        Change::Flush | Change::Zero(None) => {}
        Change::SetTimeouts(timeouts) => {
            writer.u32(top::TIMEOUT_TCP, timeouts.tcp);
            writer.u32(top::TIMEOUT_TCP_FIN, timeouts.tcp_fin);
            writer.u32(top::TIMEOUT_UDP, timeouts.udp);
        }
        Change::StartDaemon(daemon) | Change::StopDaemon(daemon) => write_daemon(writer, daemon),
    }
}

/// The nest that names a service.
pub(super) fn write_key(writer: &mut Writer, key: &ServiceKey) {
    let nest = writer.nest(top::SERVICE);
    write_key_attributes(writer, key);
    writer.end_nest(nest);
}

fn write_key_attributes(writer: &mut Writer, key: &ServiceKey) {
    writer.u16(s::AF, key.family() as u16);
    match *key {
        ServiceKey::Mark { mark, .. } => writer.u32(s::FWMARK, mark),
        ServiceKey::Address { protocol, address, port } => {
            writer.u16(s::PROTOCOL, protocol as u16);
            write_address(writer, s::ADDR, address);
            writer.be16(s::PORT, port);
        }
    }
}

fn write_service(writer: &mut Writer, service: &Service) {
    write_service_with(writer, service, ServiceFlags::KNOWN);
}

/// A service, of whose flags only these are meant: the kernel leaves the others as they are.
pub(super) fn write_service_with(writer: &mut Writer, service: &Service, meant: u32) {
    let nest = writer.nest(top::SERVICE);
    write_key_attributes(writer, &service.key);
    writer.string(s::SCHED_NAME, service.scheduler.as_bytes());
    let mut flags = service.flags.bits();
    let mut timeout = 0;
    let mut netmask = Netmask::host(service.key.family());
    if let Some(persistence) = &service.persistence {
        flags |= ServiceFlags::PERSISTENT;
        timeout = persistence.timeout;
        netmask = persistence.netmask;
    }
    if !service.engine.is_empty() {
        writer.string(s::PE_NAME, service.engine.as_bytes());
    }
    // struct ip_vs_flags: the bits, and which of them are meant. Others, of a newer kernel, stay as they are.
    let mut pair = [0; 8];
    pair[..4].copy_from_slice(&flags.to_ne_bytes());
    pair[4..].copy_from_slice(&meant.to_ne_bytes());
    writer.bytes(s::FLAGS, &pair);
    writer.u32(s::TIMEOUT, timeout);
    match netmask {
        // __be32, an address.
        Netmask::V4(mask) => writer.bytes(s::NETMASK, &mask.octets()),
        // A number in host byte order, though the type says __be32.
        Netmask::V6(prefix) => writer.u32(s::NETMASK, u32::from(prefix)),
    }
    writer.end_nest(nest);
}

fn write_destination_key(writer: &mut Writer, key: &DestinationKey) {
    writer.u16(d::ADDR_FAMILY, Family::of(key.address) as u16);
    write_address(writer, d::ADDR, key.address);
    writer.be16(d::PORT, key.port);
}

fn write_destination(writer: &mut Writer, destination: &Destination) {
    let nest = writer.nest(top::DEST);
    write_destination_key(writer, &destination.key);
    let (method, wrapping) = match destination.forwarding {
        Forwarding::Masquerade => (forward::MASQ, None),
        Forwarding::Local => (forward::LOCALNODE, None),
        Forwarding::Tunnel(tunnel) => (forward::TUNNEL, Some(tunnel)),
        Forwarding::DirectRoute => (forward::DROUTE, None),
        Forwarding::Bypass => (forward::BYPASS, None),
    };
    writer.u32(d::FWD_METHOD, method);
    writer.u32(d::WEIGHT, destination.weight);
    writer.u32(d::U_THRESH, destination.upper_threshold);
    writer.u32(d::L_THRESH, destination.lower_threshold);
    match wrapping {
        None | Some(Tunnel::Ipip) => {}
        Some(Tunnel::Gue { port, checksum }) => {
            writer.u8(d::TUN_TYPE, tunnel::GUE);
            writer.be16(d::TUN_PORT, port);
            writer.u16(d::TUN_FLAGS, checksum_flags(checksum));
        }
        Some(Tunnel::Gre { checksum }) => {
            writer.u8(d::TUN_TYPE, tunnel::GRE);
            writer.u16(d::TUN_FLAGS, if checksum { tunnel::CSUM } else { 0 });
        }
    }
    writer.end_nest(nest);
}

fn checksum_flags(checksum: Checksum) -> u16 {
    match checksum {
        Checksum::None => 0,
        Checksum::Full => tunnel::CSUM,
        Checksum::Remote => tunnel::REMCSUM,
    }
}

fn write_daemon(writer: &mut Writer, daemon: &Daemon) {
    let nest = writer.nest(top::DAEMON);
    writer.u32(da::STATE, daemon.role as u32);
    writer.string(da::MCAST_IFN, daemon.interface.as_bytes());
    writer.u32(da::SYNC_ID, daemon.sync_id);
    if let Some(length) = daemon.maximum_length {
        writer.u16(da::SYNC_MAXLEN, length);
    }
    match daemon.group {
        None => {}
        Some(IpAddr::V4(group)) => writer.bytes(da::MCAST_GROUP, &group.octets()),
        Some(IpAddr::V6(group)) => writer.bytes(da::MCAST_GROUP6, &group.octets()),
    }
    if let Some(port) = daemon.port {
        writer.u16(da::MCAST_PORT, port);
    }
    if let Some(ttl) = daemon.ttl {
        writer.u8(da::MCAST_TTL, ttl);
    }
    writer.end_nest(nest);
}

/// `union nf_inet_addr`: 16 bytes, an IPv4 address in the first four.
fn write_address(writer: &mut Writer, kind: u16, address: IpAddr) {
    let mut bytes = [0; 16];
    match address {
        IpAddr::V4(address) => bytes[..4].copy_from_slice(&address.octets()),
        IpAddr::V6(address) => bytes = address.octets(),
    }
    writer.bytes(kind, &bytes);
}

#[cfg(test)]
mod tests {
    use netlink_exchange::Attributes;

    use super::*;
    use crate::model::scheduler;

    #[test]
    fn flags_of_newer_kernels_are_not_touched() {
        let mut writer = Writer::default();
        write_service(&mut writer, &Service::mark(1, Family::Ipv4, scheduler::RR).persistent(300));
        let nest = Attributes::new(writer.as_bytes()).next().unwrap().unwrap();
        let flags = nest.nested().map(Result::unwrap).find(|attribute| attribute.kind == s::FLAGS).unwrap();
        let [flags, mask] = [0, 4].map(|at| u32::from_ne_bytes(*flags.payload[at..].first_chunk().unwrap()));
        assert_eq!(flags, ServiceFlags::PERSISTENT);
        assert_eq!(mask, 0x3d);
    }
}
