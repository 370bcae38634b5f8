//! Machines where all is well, their parts, and what is asserted of a check.

use std::net::IpAddr;

use ipvs_client::{
    Daemon, DaemonRole, Destination, DestinationEntry, Family, Info, InterfaceName, Protocol, SchedulerName, Service,
    ServiceEntry, Statistics, Table, TableService, Timeouts, scheduler,
};

use crate::doctor::facts::*;
use crate::doctor::passage::*;
use crate::doctor::*;
use crate::machine::{
    Address, HardwareAddress, Link, LinkFlags, Listener, Neighbour, NeighbourState, OperationalState, Prefix, Route,
    RouteKind, RouteProtocol, Scope, SettingLine,
};

pub(super) const VIP: &str = "20.20.20.20";
pub(super) const VIP6: &str = "2001:db8:20::20";
pub(super) const LO: u32 = 1;
pub(super) const ETH0: u32 = 2;

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(super) fn vip(text: &str) -> Vip {
    Vip { address: ip(text), port: None, is_named: true }
}

/// What was learnt by asking.
pub(super) fn probe(answers: Vec<Answer>, sync_ids: &[u8]) -> Probe {
    Probe {
        answers: Fact::known(answers, "wire"),
        sync_ids: Fact::known(sync_ids.to_vec(), "wire"),
        reverse_path_drops: Fact::known(0, "netstat"),
    }
}

/// The way of answers from an address to clients, or to those of a network.
pub(super) fn returning(from: &str, network: Option<Prefix>, gateway: Option<&str>, output: u32) -> Return {
    let to = Prefix::host(ip("203.0.113.9"));
    let way = route(to, RouteKind::Unicast, gateway, output);
    Return { from: ip(from), client: to.address, network, route: Fact::known(Some(way), "routes") }
}

pub(super) fn mac(last: u8) -> HardwareAddress {
    HardwareAddress(vec![2, 0, 0, 0, 0, last])
}

pub(in crate::doctor) fn link(index: u32, name: &str, flags: u32) -> Link {
    Link {
        index,
        name: name.to_owned(),
        flags: LinkFlags(flags),
        medium: 1,
        kind: None,
        mtu: 1500,
        address: Some(mac(0x20)),
        state: OperationalState::Up,
        master: None,
        lower: None,
    }
}

pub(in crate::doctor) fn address(index: u32, text: &str, prefix: u8) -> Address {
    Address { prefix, ..Address::host(index, ip(text)) }
}

pub(super) fn route(destination: Prefix, kind: RouteKind, gateway: Option<&str>, output: u32) -> Route {
    Route {
        kind,
        gateway: gateway.map(ip),
        protocol: RouteProtocol::Boot,
        scope: Scope::Universe,
        ..Route::on_link(destination, output)
    }
}

pub(super) fn path(to: &str, kind: RouteKind, gateway: Option<&str>) -> (IpAddr, Fact<Option<Route>>) {
    let output = if kind == RouteKind::Local { LO } else { ETH0 };
    (ip(to), Fact::known(Some(route(Prefix::host(ip(to)), kind, gateway, output)), "routes"))
}

pub(super) fn neighbour(text: &str, last: u8, state: u16) -> Neighbour {
    Neighbour { index: ETH0, address: ip(text), hardware: Some(mac(last)), state: NeighbourState(state), flags: 0 }
}

pub(super) fn server(text: &str) -> DestinationEntry {
    let mut entry = DestinationEntry::new(Destination::new(ip(text), 80), Statistics::default());
    (entry.active_connections, entry.inactive_connections) = (1, 2);
    entry
}

pub(super) fn service() -> TableService {
    let service = Service::tcp(ip(VIP), 80, scheduler::WRR);
    TableService {
        entry: ServiceEntry::new(service, Statistics::default()),
        destinations: vec![server("30.30.30.30"), server("30.30.30.40")],
    }
}

pub(super) fn daemon(role: DaemonRole, sync_id: u32) -> Daemon {
    let interface = InterfaceName::cut(b"eth0");
    Daemon::new(role, interface, sync_id)
}

pub(super) fn set(facts: &mut Facts, key: &str, value: i64) {
    facts.settings.insert(key, Fact::known(value, format!("/proc/sys/{key}")));
}

pub(super) fn passage() -> Passage {
    Passage {
        vip: Some(ip(VIP)),
        packet: "tcp to 20.20.20.20:80".to_owned(),
        stage: Stage::In,
        selector: Selector {
            protocol: OverIp("tcp"),
            source: None,
            source_port: None,
            destination: Some(ip(VIP)),
            port: Some(80),
        },
        input: Some("eth0".to_owned()),
        weight: State::Fail,
        passes_if_tracked: false,
        taken_from_ipvs: false,
        fate: Fact::known(Fate::Accepted, "rules"),
    }
}

/// What all machines have.
pub(super) fn machine() -> Facts {
    let speaking = LinkFlags::UP | LinkFlags::BROADCAST | LinkFlags::MULTICAST;
    let mut facts = Facts {
        program: "ipvsadm-rs".to_owned(),
        vips: vec![vip(VIP)],
        kernel: Fact::known((6, 1), "osrelease"),
        ipvs: Fact::known(Ipvs { present: true, blocked: None }, "netlink"),
        table: Fact::known(Table::default(), "table"),
        info: Fact::known(Info::new(0x01_02_01, 4096), "info"),
        hash_tables: Fact::known(None, "status"),
        timeouts: Fact::known(Timeouts::new(7300, 120, 300), "timeouts"),
        daemons: Fact::known(Vec::new(), "daemons"),
        modules: Fact::known(Modules { known: ["ip_vs_wrr".to_owned()].into(), blocked: Vec::new() }, "modules"),
        rules: Fact::known(None, "rules"),
        managers: Fact::known(Vec::new(), "processes"),
        links: Fact::known(
            vec![link(LO, "lo", LinkFlags::UP | LinkFlags::LOOPBACK), link(ETH0, "eth0", speaking)],
            "links",
        ),
        addresses: Fact::known(Vec::new(), "addresses"),
        routes: Fact::known(
            vec![route(Prefix::all(Family::Ipv4), RouteKind::Unicast, Some("30.30.30.254"), ETH0)],
            "routes",
        ),
        neighbours: Fact::known(Vec::new(), "neighbours"),
        paths: [].into(),
        settings: Settings::default(),
        offload: vec![("eth0".to_owned(), Fact::known(false, "ethtool"))],
        listeners: Fact::known(Vec::new(), "sockets"),
        boot_settings: Fact::known(Vec::new(), "sysctl.d"),
        boot_addresses: Fact::known(Vec::new(), "etc"),
        announced: Fact::known(Vec::new(), "scripts"),
        marked: [].into(),
        policies: Fact::known(Vec::new(), "rules"),
        returns: vec![returning(VIP, None, Some("30.30.30.254"), ETH0)],
        reverse_path_drops: Fact::known(0, "netstat"),
        traffic: Fact::known([].into(), "sockets"),
        progress: Fact::known(Vec::new(), "connections"),
        programs: Fact::known(Vec::new(), "processes"),
        scheduled: vec![passage()],
        delivered: vec![passage()],
        cluster: Vec::new(),
        arp: Fact::known(Vec::new(), "rules"),
        probe: None,
        slots: Fact::known(Vec::new(), "table"),
        peers: Fact::known(Vec::new(), "peers"),
    };
    for which in ["all", "lo", "eth0"] {
        for name in ["arp_ignore", "arp_announce", "rp_filter", "send_redirects"] {
            set(&mut facts, &format!("net/ipv4/conf/{which}/{name}"), 0);
        }
    }
    for (key, value) in [
        ("net/ipv4/vs/expire_nodest_conn", 1),
        ("net/ipv4/vs/expire_quiescent_template", 1),
        ("net/ipv4/vs/conn_reuse_mode", 1),
        ("net/ipv4/vs/conntrack", 0),
        ("net/ipv4/vs/backup_only", 0),
        ("net/ipv4/ip_forward", 0),
        ("net/ipv4/neigh/default/gc_thresh3", 1024),
        ("net/ipv4/tcp_keepalive_time", 7200),
    ] {
        set(&mut facts, key, value);
    }
    facts
}

/// A director where all is well.
pub(super) fn director() -> Facts {
    let mut facts = machine();
    facts.table = Fact::known(Table { services: vec![service()] }, "table");
    facts.addresses = Fact::known(vec![address(ETH0, "30.30.30.20", 24), address(ETH0, VIP, 32)], "addresses");
    facts.paths = [
        path(VIP, RouteKind::Local, None),
        path("30.30.30.30", RouteKind::Unicast, None),
        path("30.30.30.40", RouteKind::Unicast, None),
    ]
    .into();
    facts.neighbours = Fact::known(
        vec![
            neighbour("30.30.30.30", 0x30, NeighbourState::REACHABLE),
            neighbour("30.30.30.40", 0x40, NeighbourState::STALE),
        ],
        "neighbours",
    );
    let rules = RulesFile {
        path: "/etc/ipvsadm.rules".to_owned(),
        schedulers: vec![(1, service().entry.service.key, SchedulerName::cut(b"wrr"))],
        ..RulesFile::default()
    };
    facts.rules = Fact::known(Some(rules), "rules");
    facts.probe = Some(probe(Vec::new(), &[]));
    facts
}

pub(super) fn boot_address(is_unit: bool) -> BootAddress {
    BootAddress { address: ip(VIP), file: "/etc/x".to_owned(), is_unit }
}

/// A real server where all is well.
pub(super) fn real_server() -> Facts {
    let mut facts = machine();
    facts.addresses = Fact::known(vec![address(ETH0, "30.30.30.30", 24), address(LO, VIP, 32)], "addresses");
    for which in ["all", "lo"] {
        set(&mut facts, &format!("net/ipv4/conf/{which}/arp_ignore"), 1);
        set(&mut facts, &format!("net/ipv4/conf/{which}/arp_announce"), 2);
    }
    let line = |name: &str, value: &str| SettingLine {
        key: format!("net/ipv4/conf/all/{name}"),
        value: value.to_owned(),
        file: "/etc/sysctl.d/60.conf".to_owned(),
        number: 1,
    };
    facts.boot_settings = Fact::known(vec![line("arp_ignore", "1"), line("arp_announce", "2")], "sysctl.d");
    facts.boot_addresses = Fact::known(vec![boot_address(false)], "etc");
    facts.listeners = Fact::known(
        vec![Listener { protocol: Protocol::Tcp, address: ip("0.0.0.0"), port: 80, only_ipv6: false }],
        "sockets",
    );
    facts.neighbours = Fact::known(vec![neighbour("30.30.30.254", 0xfe, NeighbourState::REACHABLE)], "neighbours");
    facts.probe = Some(probe(vec![answer(0x21)], &[]));
    facts
}

pub(super) fn answer(last: u8) -> Answer {
    Answer { address: ip(VIP), interface: "eth0".to_owned(), hardware: mac(last) }
}

/// What the check of this name says of a machine.
#[track_caller]
pub(super) fn judge(id: &str, facts: &Facts) -> Judged {
    let check = CHECKS.iter().find(|check| check.id == id).unwrap_or_else(|| panic!("no check {id}"));
    let judged = (check.judge)(facts);
    if let Ok(judgements) = &judged {
        assert!(!judgements.is_empty(), "{id} judged nothing");
    }
    judged
}

/// That the check finds one thing of this state, and what it says and how to fix it.
#[track_caller]
pub(super) fn assert_found(id: &str, facts: &Facts, state: State, fact: &str, command: &str) {
    let judged = judge(id, facts).unwrap_or_else(|skip| panic!("{id} was skipped: {}", skip.0));
    let [judgement] = judged.as_slice() else { panic!("{judged:?}") };
    assert_eq!(judgement.state, state, "{judgement:?}");
    assert!(judgement.fact.contains(fact), "{judgement:?}");
    let text = match &judgement.fix {
        Some(Fix::Command(text) | Fix::Advice(text)) => text.clone(),
        Some(Fix::Elsewhere { machine, command }) => format!("{machine}# {command}"),
        Some(Fix::Changes(changes)) => format!("{changes:?}"),
        Some(Fix::AddServer(service)) => format!("a server for {service}"),
        None => String::new(),
    };
    assert!(text.contains(command), "{text}");
    let is_typed = matches!(judgement.fix, Some(Fix::Command(_) | Fix::Changes(_) | Fix::Elsewhere { .. }));
    assert_eq!(is_typed, judgement.undo.is_some(), "what is typed can be undone: {judgement:?}");
}

#[track_caller]
pub(super) fn assert_skipped(id: &str, facts: &Facts, reason: &str) {
    let Err(Skip(why)) = judge(id, facts) else { panic!("{id} was not skipped") };
    assert!(why.contains(reason), "{why}");
}

pub(super) fn table(facts: &mut Facts, change: impl FnOnce(&mut TableService)) {
    let mut table = facts.table.value().unwrap().clone();
    change(&mut table.services[0]);
    facts.table = Fact::known(table, "table");
}

pub(super) fn rules(facts: &mut Facts, change: impl FnOnce(&mut RulesFile)) {
    let mut rules = facts.rules.value().unwrap().clone().unwrap();
    change(&mut rules);
    facts.rules = Fact::known(Some(rules), "rules");
}
