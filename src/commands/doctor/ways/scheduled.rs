//! The way of packets through a director: clients' packets to IPVS and on to the servers, and masqueraded servers' answers back.

use std::net::IpAddr;

use ipvs_client::{Family, Forwarding, Protocol, ServiceKey, Tunnel};
use packet_filter::{Interface, Outcome, Packet};

use super::legs::{Flow, Leg, Server, Tracking, Which, number, on};
use super::{SERVICES, State, Ways, before_input, by_index, client, inputs, passage, ports_of, to};
use crate::doctor::facts::{Fact, Facts, Vip};
use crate::doctor::passage::{Fate, OverIp, Passage, Selector, Stage};
use crate::machine::RouteKind;

/// What clients connect to, and the servers behind it.
struct Target {
    vip: IpAddr,
    protocol: Protocol,
    port: u16,
    servers: Vec<(Forwarding, IpAddr, u16)>,
}

impl Ways {
    /// Find virtual addresses whose packets get a mark that a service is for, and look at their ways.
    pub(super) fn add_marked(&mut self, facts: &mut Facts) {
        let services = facts.table.value().map(|table| table.services.clone()).unwrap_or_default();
        let mut found = Vec::new();
        for vip in facts.vips.clone() {
            if services.iter().any(|service| service.entry.service.key.address() == Some(vip.address)) {
                continue;
            }
            let family = Family::of(vip.address);
            let marks: Vec<_> = services
                .iter()
                .filter_map(|service| match service.entry.service.key {
                    ServiceKey::Mark { mark, family: of } if of == family => Some((mark, service)),
                    _ => None,
                })
                .collect();
            if marks.is_empty() {
                continue;
            }
            for (protocol, port) in ports_of(facts, vip, &self.ports) {
                let Some(mark) = self.mark(facts, vip, protocol, port) else { continue };
                let Some((_, service)) = marks.iter().find(|(known, _)| *known == mark) else { continue };
                let servers = service.destinations.iter().map(|entry| entry.destination);
                facts.marked.insert(vip.address, mark);
                found.push(Target {
                    vip: vip.address,
                    protocol,
                    port,
                    servers: servers.map(|server| (server.forwarding, server.key.address, port)).collect(),
                });
            }
            // What the older iptables mark is not seen, and a route for marked packets may be all there is.
            let by_route = || {
                facts.path(vip.address).is_ok_and(|path| path.is_some_and(|route| route.kind == RouteKind::Local))
                    && facts.network().is_ok_and(|network| network.places(vip.address).next().is_none())
            };
            if !facts.marked.contains_key(&vip.address) && (self.is_hidden() || by_route()) {
                facts.marked.insert(vip.address, marks[0].0);
            }
        }
        let passages: Vec<_> = found.iter().flat_map(|target| self.target(facts, target)).collect();
        facts.scheduled.extend(passages);
    }

    /// Whether rules may mark packets that are not seen.
    fn is_hidden(&self) -> bool {
        let probe = Packet::to(packet_filter::Protocol::TCP, IpAddr::from([192, 0, 2, 1]));
        match &self.firewall {
            Err(_) => true,
            Ok(firewall) => matches!(
                firewall.outcome(&probe, &before_input()),
                Outcome::Unknown(because) if matches!(because.doubt, packet_filter::Doubt::OlderTables(_))
            ),
        }
    }

    fn mark(&self, facts: &Facts, vip: Vip, protocol: Protocol, port: u16) -> Option<u32> {
        let input = inputs(facts, vip.address).into_iter().next()?;
        let packet = on(Packet::first(number(protocol), vip.address, port), input.as_ref());
        self.firewall.as_ref().ok()?.mark(&packet, &before_input()).filter(|mark| *mark != 0)
    }

    /// What becomes of packets to virtual services, and of their answers.
    pub(super) fn scheduled(&mut self, facts: &Facts) -> Vec<Passage> {
        let services = facts.table.value().map(|table| table.services.as_slice()).unwrap_or_default();
        let wanted = |address: IpAddr| facts.vips.iter().any(|vip| vip.address == address);
        let mut passages = Vec::new();
        for service in services.iter().take(SERVICES) {
            let ServiceKey::Address { protocol, address: vip, port } = service.entry.service.key else { continue };
            if port == 0 || !wanted(vip) {
                continue;
            }
            let servers = service.destinations.iter().map(|entry| entry.destination).filter(|server| server.weight > 0);
            let servers = servers.map(|server| (server.forwarding, server.key.address, server.key.port)).collect();
            passages.extend(self.target(facts, &Target { vip, protocol, port, servers }));
        }
        passages
    }

    fn target(&mut self, facts: &Facts, target: &Target) -> Vec<Passage> {
        let Target { vip, protocol, port, servers } = target;
        let (vip, protocol, port) = (*vip, *protocol, *port);
        let tracking = tracking(facts);
        let mut passages = Vec::new();
        for input in inputs(facts, vip) {
            let requests = self.requests(target, tracking, input.as_ref());
            // Where clients' packets do not come to IPVS, it sends nothing on. What only ends connections late does not count.
            let is_stopped = requests.iter().any(|passage| {
                passage.weight == State::Fail && passage.fate.value().is_some_and(|fate| *fate != Fate::Accepted)
            });
            passages.extend(requests);
            if is_stopped {
                continue;
            }
            // Servers that share a way and a method are one case.
            let mut seen = Vec::new();
            for (forwarding, server, server_port) in servers {
                let route = facts.path(*server).ok().flatten();
                if *forwarding == Forwarding::Local || route.is_some_and(|route| route.kind == RouteKind::Local) {
                    continue;
                }
                let output = route.and_then(|route| route.output).and_then(|index| by_index(facts, index));
                let is_own = *forwarding != Forwarding::DirectRoute;
                let key = (*forwarding, output.as_ref().map(|output| output.name.clone()), is_own.then_some(*server));
                if seen.contains(&key) {
                    continue;
                }
                seen.push(key);
                let server = Server {
                    forwarding: *forwarding,
                    address: *server,
                    port: if *server_port == 0 { port } else { *server_port },
                    output,
                };
                passages.push(self.sent_on(target, tracking, &server, input.as_ref()));
                if *forwarding == Forwarding::Masquerade {
                    passages.push(self.answer(facts, target, tracking, &server, input.as_ref()));
                }
            }
        }
        // All is well: said once.
        if passages.iter().all(|passage| passage.fate.value() == Some(&Fate::Accepted)) {
            passages.truncate(1);
            if let Some(first) = passages.first_mut() {
                first.packet = to(protocol, vip, port);
            }
        }
        passages
    }

    /// Clients' packets on their way to IPVS.
    fn requests(&mut self, target: &Target, tracking: Tracking, input: Option<&Interface>) -> Vec<Passage> {
        let Target { vip, protocol, port, servers } = target;
        let (vip, protocol, port) = (*vip, *protocol, *port);
        let flow = target.flow(input);
        let words = to(protocol, vip, port);
        let one = |fate, words: String| {
            let mut found = passage(vip, protocol, port, words, Stage::In, fate);
            found.input = input.map(|input| input.name.clone());
            found.taken_from_ipvs = true;
            found
        };
        let first = self.fate(&[flow.request(Which::First, tracking.request(Which::First, None, protocol))]);
        if first.value() != Some(&Fate::Accepted) || protocol != Protocol::Tcp {
            return vec![one(first, words)];
        }
        let mut passages = vec![one(first, words.clone())];
        let forwarding = servers.iter().map(|(forwarding, ..)| *forwarding).find(|one| *one != Forwarding::Masquerade);
        let forwarding = forwarding.or(servers.first().map(|(forwarding, ..)| *forwarding));
        let state = tracking.request(Which::Later, forwarding, protocol);
        let fate = self.fate(&[flow.request(Which::Later, state)]);
        if matches!(fate.value(), Some(Fate::Stopped { .. })) {
            let words = format!("{words}, after the first packet (to connection tracking {state}),");
            passages.push(one(fate, words));
            return passages;
        }
        // What ends a connection is the first packet of none.
        let fate = self.fate(&[flow.request(Which::Later, packet_filter::State::Invalid)]);
        if matches!(fate.value(), Some(Fate::Stopped { .. })) {
            let words = format!("the end of connections (FIN and RST, to connection tracking invalid): {words}");
            let mut found = one(fate, words);
            found.weight = State::Note;
            passages.push(found);
        }
        passages
    }

    /// What IPVS sends on.
    fn sent_on(&mut self, target: &Target, tracking: Tracking, server: &Server, input: Option<&Interface>) -> Passage {
        let Target { vip, protocol, port, .. } = target;
        let (words, selector) = words_of(server, *vip, *protocol, *port);
        let legs = |tracking: Tracking| [target.flow(input).sent_on(Which::First, tracking, server)];
        let fate = self.fate(&legs(tracking));
        let tracked = self.outcome(&legs(Tracking { known: true, ..tracking }));
        let mut found = passage(*vip, *protocol, *port, words, Stage::SentOn, fate);
        found.selector = selector;
        found.passes_if_tracked = !tracking.known && tracked == Some(Outcome::Accepted);
        found
    }

    /// A masqueraded server's answers.
    fn answer(
        &mut self,
        facts: &Facts,
        target: &Target,
        tracking: Tracking,
        server: &Server,
        input: Option<&Interface>,
    ) -> Passage {
        let Target { vip, protocol, port, .. } = target;
        let words = format!("the answer of {} {} port {}", protocol.service_name(), server.address, server.port);
        let Some(client) = client(facts, *vip) else {
            let fate = Fact::known(Fate::Depends("where clients are is not known".to_owned()), super::FROM);
            return passage(*vip, *protocol, *port, words, Stage::Answer, fate);
        };
        // Answers leave by the interface that leads to clients.
        let back = facts.way_to_clients(*vip).ok().flatten().and_then(|route| route.output);
        let back = back.and_then(|index| by_index(facts, index));
        let back = back.as_ref().or(input);
        let flow = target.flow(input);
        let all = |tracking| -> Vec<Leg> {
            let legs = |which| flow.answer(which, tracking, server, (client, None), back);
            [legs(Which::First), legs(Which::Later)].concat()
        };
        let fate = self.fate(&all(tracking));
        let tracked = self.outcome(&all(Tracking { known: true, ..tracking }));
        let mut found = passage(*vip, *protocol, *port, words, Stage::Answer, fate);
        found.selector = Selector {
            source: Some(server.address),
            source_port: Some(server.port),
            destination: None,
            port: None,
            ..found.selector
        };
        found.passes_if_tracked = !tracking.known && tracked == Some(Outcome::Accepted);
        found
    }
}

impl Target {
    fn flow(&self, input: Option<&Interface>) -> Flow {
        let Self { vip, protocol, port, .. } = *self;
        Flow { vip, protocol, port, input: input.cloned() }
    }
}

fn tracking(facts: &Facts) -> Tracking {
    Tracking {
        known: facts.settings.get("net/ipv4/vs/conntrack") == Ok(1),
        loose: facts.settings.get("net/netfilter/nf_conntrack_tcp_loose") != Ok(0),
    }
}

/// What is sent to a server, in words and as a selector.
fn words_of(server: &Server, vip: IpAddr, protocol: Protocol, port: u16) -> (String, Selector) {
    let selector = |protocol, destination, port| Selector {
        protocol,
        source: None,
        source_port: None,
        destination: Some(destination),
        port,
    };
    let name = super::over(protocol);
    match (server.tunnel(), server.forwarding) {
        (Some((_, tunnel_port)), Forwarding::Tunnel(tunnel)) => {
            let over = match tunnel {
                Tunnel::Ipip => OverIp::IPIP,
                Tunnel::Gre { .. } => OverIp::GRE,
                _ => OverIp("udp"),
            };
            let words = format!("the tunnel's packets to {} ({})", server.address, tunnel.name());
            (words, selector(over, server.address, tunnel_port))
        }
        (_, Forwarding::Masquerade) => (
            format!("{name} on to {} port {}", server.address, server.port),
            selector(name, server.address, Some(server.port)),
        ),
        _ => (format!("{} on to {}", to(protocol, vip, port), server.address), selector(name, vip, Some(port))),
    }
}
