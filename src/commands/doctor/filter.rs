//! What the firewall does with clients' packets and with ARP.

use std::net::{IpAddr, SocketAddr};

use ipvs_client::{Forwarding, Protocol, ServiceKey, Table};
use packet_filter::{Firewall, Hook, Interface, Outcome, Packet, Place, State, Unreadable, Way};

use crate::doctor::facts::{ArpPassage, Fact, Fate, Passage, Vip};
use crate::doctor::quiet::speakers;
use crate::host::nft::Listings;
use crate::machine::{Link, Listener};

const FROM: &str = "the kernel's nf_tables";
/// IPVS schedules packets in the input hook at this priority (`NF_IP_PRI_NAT_SRC - 1`, in `ip_vs_ops4` and `ip_vs_ops6`).
/// Chains of the same one come first if they are newer; so they count.
const IPVS: i32 = 99;
/// Administrators let themselves in, not clients.
const SSH: u16 = 22;

/// The firewall, and the interfaces that packets come in by.
pub(super) struct Filter {
    firewall: Result<Firewall, Unreadable>,
    inputs: Vec<Interface>,
    listings: Listings,
}

impl Filter {
    pub(super) fn read(links: &Fact<Vec<Link>>) -> Self {
        let interface = |link: &Link| Interface { name: link.name.clone(), index: Some(link.index) };
        let inputs = speakers(links.value().map(Vec::as_slice).unwrap_or_default()).map(interface).collect();
        Self { firewall: Firewall::read(), inputs, listings: Listings::new() }
    }

    /// A client's first packet. It comes in by the only interface that it can come in by, if there is only one.
    fn first(&self, protocol: Protocol, address: IpAddr, port: u16) -> Packet {
        let packet = Packet::first(packet_filter::Protocol(protocol as u8), address, port);
        match self.inputs.as_slice() {
            [one] => packet.on(one.clone()),
            _ => packet,
        }
    }

    /// What becomes of packets to virtual services.
    pub(super) fn scheduled(&mut self, table: &Fact<Table>) -> Vec<Passage> {
        let services = table.value().map(|table| table.services.as_slice()).unwrap_or_default();
        let mut passages = Vec::new();
        for service in services {
            let ServiceKey::Address { protocol, address, port } = service.entry.service.key else { continue };
            if port == 0 {
                continue;
            }
            let packet = self.first(protocol, address, port);
            let words = format!("{} to {}", protocol.service_name(), SocketAddr::new(address, port));
            let Ok(firewall) = &self.firewall else {
                passages.push(self.unreadable(words));
                continue;
            };
            let way = Way::delivered().up_to(Hook::Input, IPVS);
            let first = firewall.outcome(&packet, &way);
            // Of direct routing and tunnels only the client's half of a connection is seen here, so that connection
            // tracking may take all but the first packet for invalid.
            let half = service.destinations.iter().any(|entry| entry.destination.forwarding != Forwarding::Masquerade);
            let invalid = firewall.outcome(&packet.later().in_state(State::Invalid), &way);
            if let (true, false, Outcome::Dropped(place)) = (half, matches!(first, Outcome::Dropped(_)), invalid) {
                let fate = stopped("dropped".to_owned(), &place, &mut self.listings);
                let packet = format!("{words}, when only the client's half is seen (state invalid),");
                passages.push(Passage { packet, certain: false, fate: Fact::known(fate, FROM) });
                continue;
            }
            let fate = Fact::known(fate(first, &mut self.listings), FROM);
            passages.push(Passage { packet: words, certain: true, fate });
        }
        passages
    }

    /// What becomes of packets to programs that listen on virtual addresses.
    pub(super) fn delivered(&mut self, vips: &[Vip], listeners: &Fact<Vec<Listener>>) -> Vec<Passage> {
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
                        let outcome = firewall.outcome(&self.first(protocol, vip.address, port), &Way::delivered());
                        Passage { packet: words, certain, fate: Fact::known(fate(outcome, &mut self.listings), FROM) }
                    }
                    Err(_) => self.unreadable(words),
                });
            }
        }
        passages
    }

    /// What the rules for ARP do about virtual addresses, if any is about one.
    pub(super) fn arp(&mut self, vips: &[IpAddr]) -> Fact<Vec<ArpPassage>> {
        let firewall = match &self.firewall {
            Ok(firewall) => firewall,
            Err(error) => return Fact::unreadable(error, FROM),
        };
        let mut passages = Vec::new();
        let mut any = false;
        for vip in vips {
            let IpAddr::V4(address) = vip else { continue };
            for input in &self.inputs {
                let arp = firewall.arp(*address, Some(input));
                any |= !arp.rules.is_empty() || arp.request != Outcome::Accepted || arp.answer != Outcome::Accepted;
                let outgoing = match (arp.answer, arp.mangled) {
                    (Outcome::Accepted, Some(sender)) => {
                        let rules: Vec<_> = arp.rules.iter().map(|place| self.listings.words(place)).collect();
                        Fate::Stopped {
                            how: format!("given the source {sender}"),
                            rule: rules.join(" or "),
                            undo: None,
                        }
                    }
                    (outcome, _) => fate(outcome, &mut self.listings),
                };
                passages.push(ArpPassage {
                    vip: *vip,
                    interface: input.name.to_string(),
                    incoming: Fact::known(fate(arp.request, &mut self.listings), FROM),
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

fn fate(outcome: Outcome, listings: &mut Listings) -> Fate {
    match outcome {
        Outcome::Accepted => Fate::Accepted,
        Outcome::Dropped(place) => stopped("dropped".to_owned(), &place, listings),
        Outcome::Redirected { place, address, port } => {
            let to = match (address, port) {
                (Some(address), Some(port)) => format!("sent to {}", SocketAddr::new(address, port)),
                (Some(address), None) => format!("sent to {address}"),
                (None, Some(port)) => format!("redirected to port {port}"),
                (None, None) => "redirected".to_owned(),
            };
            stopped(to, &place, listings)
        }
        Outcome::Unknown(because) => Fate::Depends(match &because.place {
            Some(place) => format!("{} in {}", because.doubt, listings.words(place)),
            None => because.doubt.to_string(),
        }),
        other => Fate::Depends(format!("{other:?}")),
    }
}

fn stopped(how: String, place: &Place, listings: &mut Listings) -> Fate {
    Fate::Stopped { how, rule: listings.words(place), undo: place.undo() }
}
