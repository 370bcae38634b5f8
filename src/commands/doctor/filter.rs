//! What the firewall does with clients' packets and with ARP.

use std::net::{IpAddr, SocketAddr};

use crate::doctor::facts::{ArpPassage, Fact, Fate, Passage, Vip, speaks};
use crate::host::Listener;
use crate::host::firewall::{Destiny, Firewall, Interface, Packet, Unreadable, Verdict};
use crate::host::route::Link;
use crate::model::{Forwarding, InterfaceName, Protocol, ServiceKey, Table};

const FROM: &str = "the kernel's nf_tables";
/// Administrators let themselves in, not clients.
const SSH: u16 = 22;

/// The firewall, and the interfaces that packets come in by.
pub(super) struct Filter {
    firewall: Result<Firewall, Unreadable>,
    inputs: Vec<Interface>,
}

impl Filter {
    pub(super) fn read(links: &Fact<Vec<Link>>) -> Self {
        let interface =
            |link: &Link| Interface { name: InterfaceName::cut(link.name.as_bytes()), index: Some(link.index) };
        let inputs = links.value().into_iter().flatten().filter(|link| speaks(link)).map(interface).collect();
        Self { firewall: Firewall::read(), inputs }
    }

    /// The interface that clients' packets come in by, if there is only one that it can be.
    fn input(&self) -> Option<Interface> {
        match self.inputs.as_slice() {
            [one] => Some(*one),
            _ => None,
        }
    }

    /// What becomes of packets to virtual services.
    pub(super) fn scheduled(&self, table: &Fact<Table>) -> Vec<Passage> {
        let services = table.value().map(|table| table.services.as_slice()).unwrap_or_default();
        let mut passages = Vec::new();
        for service in services {
            let ServiceKey::Address { protocol, address, port } = service.entry.service.key else { continue };
            if port == 0 {
                continue;
            }
            let packet = Packet::first(protocol, address, port, self.input());
            let words = format!("{} to {}", protocol.service_name(), SocketAddr::new(address, port));
            let Ok(firewall) = &self.firewall else {
                passages.push(self.unreadable(words));
                continue;
            };
            let connection = firewall.connection(&packet, Destiny::Scheduled);
            let half = service.destinations.iter().any(|entry| entry.destination.forwarding != Forwarding::Masquerade);
            if let (true, Some(place)) = (half, connection.invalid_dropped()) {
                let fate =
                    Fate::Stopped { how: "dropped".to_owned(), rule: place.to_string(), undo: Some(place.undo()) };
                let packet = format!("{words}, when only the client's half is seen (state invalid),");
                passages.push(Passage { packet, certain: false, fate: Fact::known(fate, FROM) });
                continue;
            }
            passages.push(Passage { packet: words, certain: true, fate: Fact::known(fate(connection.first), FROM) });
        }
        passages
    }

    /// What becomes of packets to programs that listen on virtual addresses.
    pub(super) fn delivered(&self, vips: &[Vip], listeners: &Fact<Vec<Listener>>) -> Vec<Passage> {
        let mut passages = Vec::new();
        for vip in vips {
            let listening: Vec<_> =
                listeners.value().into_iter().flatten().filter(|one| one.gets(vip.address)).collect();
            let mut targets: Vec<(Protocol, u16, bool)> = match vip.port {
                Some(port) => {
                    let named = listening.iter().filter(|one| one.port == port);
                    let mut found: Vec<_> = named.map(|one| (one.protocol, port, true)).collect();
                    if found.is_empty() {
                        found.push((Protocol::Tcp, port, true));
                    }
                    found
                }
                None => {
                    // What listens on all addresses may be for others than clients; over UDP it may be a client itself.
                    let of = |one: &&Listener| (one.protocol, one.port, one.address == vip.address);
                    let for_clients = |(protocol, port, bound): &(Protocol, u16, bool)| {
                        *bound || (*protocol == Protocol::Tcp && *port != SSH)
                    };
                    listening.iter().map(of).filter(for_clients).collect()
                }
            };
            targets.sort_unstable_by_key(|(protocol, port, bound)| (*port, *protocol, !bound));
            targets.dedup_by_key(|(protocol, port, _)| (*port, *protocol));
            for (protocol, port, certain) in targets {
                let words = format!("{} to {}", protocol.service_name(), SocketAddr::new(vip.address, port));
                passages.push(match &self.firewall {
                    Ok(firewall) => {
                        let packet = Packet::first(protocol, vip.address, port, self.input());
                        let verdict = firewall.verdict(&packet, Destiny::Delivered);
                        Passage { packet: words, certain, fate: Fact::known(fate(verdict), FROM) }
                    }
                    Err(_) => self.unreadable(words),
                });
            }
        }
        passages
    }

    /// What the rules for ARP do about virtual addresses, if any is about one.
    pub(super) fn arp(&self, vips: &[IpAddr]) -> Fact<Vec<ArpPassage>> {
        let firewall = match &self.firewall {
            Ok(firewall) => firewall,
            Err(error) => return Fact::unreadable(error, FROM),
        };
        let mut passages = Vec::new();
        let mut any = false;
        for vip in vips {
            let IpAddr::V4(address) = vip else { continue };
            for input in &self.inputs {
                let arp = firewall.arp(*address, Some(*input));
                any |= !arp.rules.is_empty() || arp.request != Verdict::Accepted || arp.answer != Verdict::Accepted;
                let outgoing = match (arp.answer, arp.mangled) {
                    (Verdict::Accepted, Some(sender)) => {
                        let rules: Vec<_> = arp.rules.iter().map(ToString::to_string).collect();
                        Fate::Stopped {
                            how: format!("given the source {sender}"),
                            rule: rules.join(" or "),
                            undo: None,
                        }
                    }
                    (verdict, _) => fate(verdict),
                };
                passages.push(ArpPassage {
                    vip: *vip,
                    interface: input.name.to_string(),
                    incoming: Fact::known(fate(arp.request), FROM),
                    outgoing: Fact::known(outgoing, FROM),
                });
            }
        }
        if !any {
            passages.clear();
        }
        Fact::known(passages, FROM)
    }

    fn unreadable(&self, packet: String) -> Passage {
        let why = self.firewall.as_ref().err().map_or_else(String::new, ToString::to_string);
        Passage { packet, certain: true, fate: Fact::unreadable(why, FROM) }
    }
}

fn fate(verdict: Verdict) -> Fate {
    match verdict {
        Verdict::Accepted => Fate::Accepted,
        Verdict::Dropped(place) => {
            Fate::Stopped { how: "dropped".to_owned(), rule: place.to_string(), undo: Some(place.undo()) }
        }
        Verdict::Redirected { place, address, port } => {
            let to = match (address, port) {
                (Some(address), Some(port)) => format!("sent to {}", SocketAddr::new(address, port)),
                (Some(address), None) => format!("sent to {address}"),
                (None, Some(port)) => format!("redirected to port {port}"),
                (None, None) => "redirected".to_owned(),
            };
            Fate::Stopped { how: to, rule: place.to_string(), undo: Some(place.undo()) }
        }
        Verdict::Unknown(because) => Fate::Depends(because.to_string()),
    }
}
