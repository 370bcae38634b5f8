//! What directors send each other: messages of the sync daemons, and VRRP.

use std::net::{IpAddr, Ipv4Addr};

use ipvs_client::{DaemonRole, Protocol};
use packet_filter::{Interface, Packet, Way};

use super::{Ways, interface, passage};
use crate::doctor::facts::Facts;
use crate::doctor::passage::{OverIp, Passage, Selector, Stage};
use crate::host::boot;

/// The group of VRRP (RFC 9568).
const VRRP: IpAddr = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 18));
/// The group and the port of sync daemons that have no other.
const SYNC: IpAddr = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 81));
const SYNC_PORT: u16 = 8848;

impl Ways {
    /// What becomes of messages between directors.
    pub(super) fn cluster(&mut self, facts: &Facts) -> Vec<Passage> {
        let mut passages = Vec::new();
        let named = |name: &str| facts.links.value()?.iter().find(|link| link.name == name).map(interface);
        for daemon in facts.daemons.value().into_iter().flatten() {
            let Some(on) = named(&daemon.interface.text()) else { continue };
            let (group, port) = (daemon.group.unwrap_or(SYNC), daemon.port.unwrap_or(SYNC_PORT));
            let packet = Packet::first(packet_filter::Protocol::UDP, group, port);
            let words = format!("sync messages (udp to {group} port {port}) on {}", on.name);
            let selector = Selector {
                protocol: OverIp("udp"),
                source: None,
                source_port: None,
                destination: Some(group),
                port: Some(port),
            };
            passages.push(self.between(packet, &on, daemon.role == DaemonRole::Backup, words, selector));
        }
        if facts.runs(&["keepalived"]) {
            for name in boot::vrrp_interfaces() {
                let Some(on) = named(&name) else { continue };
                for is_in in [true, false] {
                    let packet = Packet::to(packet_filter::Protocol::VRRP, VRRP);
                    let words =
                        format!("VRRP (protocol 112 to {VRRP}) {} {name}", if is_in { "in by" } else { "out by" });
                    let selector = Selector {
                        protocol: OverIp::VRRP,
                        source: None,
                        source_port: None,
                        destination: Some(VRRP),
                        port: None,
                    };
                    passages.push(self.between(packet, &on, is_in, words, selector));
                }
            }
        }
        passages
    }

    fn between(&mut self, packet: Packet, on: &Interface, is_in: bool, words: String, selector: Selector) -> Passage {
        let fate = match is_in {
            true => self.fate(&[(packet.on(on.clone()), Way::delivered())]),
            false => self.fate(&[(packet.out(on.clone()), Way::sent())]),
        };
        let stage = if is_in { Stage::In } else { Stage::Out };
        let mut found = passage(SYNC, Protocol::Udp, 0, words, stage, fate);
        found.vip = None;
        found.selector = selector;
        found.input = Some(on.name.clone());
        found
    }
}
