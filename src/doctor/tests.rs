//! Each check on facts made by hand: a machine where all is well, and one thing wrong with it.

use std::net::IpAddr;

use super::facts::*;
use super::*;
use crate::host::route::{
    Address, AddressFlags, HardwareAddress, Link, LinkFlags, Neighbour, NeighbourState, OperationalState, Prefix,
    Route, RouteKind, RouteProtocol, Scope,
};
use crate::host::{Listener, SettingLine};
use crate::model::{
    Daemon, DaemonRole, Destination, DestinationEntry, DestinationKey, Family, Forwarding, HashTable, HashTables, Info,
    InterfaceName, Netmask, Persistence, Protocol, SchedulerName, Service, ServiceEntry, ServiceFlags, ServiceKey,
    Statistics, Table, TableService, Timeouts, Tunnel,
};

const VIP: &str = "20.20.20.20";
const VIP6: &str = "2001:db8:20::20";
const LO: u32 = 1;
const ETH0: u32 = 2;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn mac(last: u8) -> HardwareAddress {
    HardwareAddress(vec![2, 0, 0, 0, 0, last])
}

fn link(index: u32, name: &str, flags: u32) -> Link {
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

fn address(index: u32, text: &str, prefix: u8) -> Address {
    Address { prefix, ..Address::host(index, ip(text)) }
}

fn route(destination: Prefix, kind: RouteKind, gateway: Option<&str>, output: u32) -> Route {
    Route {
        kind,
        gateway: gateway.map(ip),
        protocol: RouteProtocol::Boot,
        scope: Scope::Universe,
        ..Route::on_link(destination, output)
    }
}

fn path(to: &str, kind: RouteKind, gateway: Option<&str>) -> (IpAddr, Fact<Option<Route>>) {
    let output = if kind == RouteKind::Local { LO } else { ETH0 };
    (ip(to), Fact::known(Some(route(Prefix::host(ip(to)), kind, gateway, output)), "routes"))
}

fn neighbour(text: &str, last: u8, state: u16) -> Neighbour {
    Neighbour { index: ETH0, address: ip(text), hardware: Some(mac(last)), state: NeighbourState(state), flags: 0 }
}

fn server(text: &str) -> DestinationEntry {
    DestinationEntry {
        destination: Destination::new(ip(text), 80),
        active_connections: 1,
        inactive_connections: 2,
        persistent_connections: 0,
        statistics: Statistics::default(),
    }
}

fn service() -> TableService {
    let key = ServiceKey::Address { protocol: Protocol::Tcp, address: ip(VIP), port: 80 };
    let service = Service {
        key,
        scheduler: SchedulerName::cut(b"wrr"),
        flags: ServiceFlags::default(),
        persistence: None,
        engine: SchedulerName::EMPTY,
    };
    TableService {
        entry: ServiceEntry { service, statistics: Statistics::default() },
        destinations: vec![server("30.30.30.30"), server("30.30.30.40")],
    }
}

fn daemon(role: DaemonRole, sync_id: u32) -> Daemon {
    let interface = InterfaceName::cut(b"eth0");
    Daemon { role, interface, sync_id, maximum_length: None, group: None, port: None, ttl: None }
}

fn set(facts: &mut Facts, key: &str, value: i64) {
    facts.settings.insert(key, Fact::known(value, format!("/proc/sys/{key}")));
}

fn passage() -> Passage {
    let packet = "tcp to 20.20.20.20:80".to_owned();
    Passage { packet, certain: true, fate: Fact::known(Fate::Accepted, "rules") }
}

/// What all machines have.
fn machine() -> Facts {
    let speaking = LinkFlags::UP | LinkFlags::BROADCAST | LinkFlags::MULTICAST;
    let mut facts = Facts {
        vips: vec![Vip { address: ip(VIP), port: None }],
        kernel: Fact::known((6, 1), "osrelease"),
        ipvs: Fact::known(Ipvs { present: true, blocked: None }, "netlink"),
        table: Fact::known(Table::default(), "table"),
        info: Fact::known(Info { version: 0x01_02_01, connection_table_size: 4096 }, "info"),
        hash_tables: Fact::known(None, "status"),
        timeouts: Fact::known(Timeouts { tcp: 7300, tcp_fin: 120, udp: 300 }, "timeouts"),
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
        scheduled: vec![passage()],
        delivered: vec![passage()],
        arp: Fact::known(Vec::new(), "rules"),
        probe: None,
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
fn director() -> Facts {
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
    facts.probe = Some(Probe { answers: Fact::known(Vec::new(), "wire"), sync_ids: Fact::known(Vec::new(), "wire") });
    facts
}

fn boot_address(is_unit: bool) -> BootAddress {
    BootAddress { address: ip(VIP), file: "/etc/x".to_owned(), is_unit }
}

/// A real server where all is well.
fn real_server() -> Facts {
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
    facts.probe =
        Some(Probe { answers: Fact::known(vec![answer(0x21)], "wire"), sync_ids: Fact::known(Vec::new(), "wire") });
    facts
}

fn answer(last: u8) -> Answer {
    Answer { address: ip(VIP), interface: "eth0".to_owned(), hardware: mac(last) }
}

/// What the check of this name says of a machine.
#[track_caller]
fn judge(id: &str, facts: &Facts) -> Judged {
    let check = CHECKS.iter().find(|check| check.id == id).unwrap_or_else(|| panic!("no check {id}"));
    let judged = (check.judge)(facts);
    if let Ok(judgements) = &judged {
        assert!(!judgements.is_empty(), "{id} judged nothing");
    }
    judged
}

/// That the check finds one thing of this state, and what it says and how to mend it.
#[track_caller]
fn assert_found(id: &str, facts: &Facts, state: State, fact: &str, command: &str) {
    let judged = judge(id, facts).unwrap_or_else(|skip| panic!("{id} was skipped: {}", skip.0));
    let [judgement] = judged.as_slice() else { panic!("{judged:?}") };
    assert_eq!(judgement.state, state, "{judgement:?}");
    assert!(judgement.fact.contains(fact), "{judgement:?}");
    let text = match &judgement.mend {
        Some(Mend::Command(text) | Mend::Advice(text)) => text.clone(),
        Some(Mend::Elsewhere { machine, command }) => format!("{machine}# {command}"),
        Some(Mend::Changes(changes)) => format!("{changes:?}"),
        None => String::new(),
    };
    assert!(text.contains(command), "{text}");
}

#[track_caller]
fn assert_skipped(id: &str, facts: &Facts, reason: &str) {
    let Err(Skip(why)) = judge(id, facts) else { panic!("{id} was not skipped") };
    assert!(why.contains(reason), "{why}");
}

fn table(facts: &mut Facts, change: impl FnOnce(&mut TableService)) {
    let mut table = facts.table.value().unwrap().clone();
    change(&mut table.services[0]);
    facts.table = Fact::known(table, "table");
}

fn rules(facts: &mut Facts, change: impl FnOnce(&mut RulesFile)) {
    let mut rules = facts.rules.value().unwrap().clone().unwrap();
    change(&mut rules);
    facts.rules = Fact::known(Some(rules), "rules");
}

#[test]
fn all_is_well_where_all_is_well() {
    for (facts, role) in [(director(), Role::Director), (real_server(), Role::RealServer)] {
        assert_eq!(roles(&facts), [role]);
        for finding in examine(&facts, &[role]) {
            let state = finding.judgement.state;
            assert!(matches!(state, State::Ok | State::Skip), "{}: {:?}", finding.check.id, finding.judgement);
        }
    }
}

#[test]
fn names_of_checks_go_on_by_one() {
    for (role, letter, count) in [(Role::Director, 'D', 23), (Role::RealServer, 'R', 13)] {
        let ids: Vec<_> = CHECKS.iter().filter(|check| check.role == role).map(|check| check.id.to_owned()).collect();
        assert_eq!(ids, (1..=count).map(|number| format!("{letter}{number}")).collect::<Vec<_>>());
    }
}

#[test]
fn what_cannot_be_read_is_skipped_and_never_a_failure() {
    let mut facts = machine();
    let no = "no permission";
    facts.kernel = Fact::unreadable(no, "x");
    facts.ipvs = Fact::unreadable(no, "x");
    facts.table = Fact::unreadable(no, "x");
    facts.info = Fact::unreadable(no, "x");
    facts.timeouts = Fact::unreadable(no, "x");
    facts.daemons = Fact::unreadable(no, "x");
    facts.modules = Fact::unreadable(no, "x");
    facts.rules = Fact::unreadable(no, "x");
    facts.managers = Fact::unreadable(no, "x");
    facts.links = Fact::unreadable(no, "x");
    facts.addresses = Fact::unreadable(no, "x");
    facts.routes = Fact::unreadable(no, "x");
    facts.neighbours = Fact::unreadable(no, "x");
    facts.settings = Settings::default();
    facts.listeners = Fact::unreadable(no, "x");
    facts.boot_settings = Fact::unreadable(no, "x");
    facts.boot_addresses = Fact::unreadable(no, "x");
    facts.announced = Fact::unreadable(no, "x");
    facts.arp = Fact::unreadable(no, "x");
    facts.offload = vec![("eth0".to_owned(), Fact::unreadable(no, "x"))];
    let passage = Passage { fate: Fact::unreadable(no, "x"), ..passage() };
    (facts.scheduled, facts.delivered) = (vec![passage.clone()], vec![passage]);
    facts.probe = Some(Probe { answers: Fact::unreadable(no, "x"), sync_ids: Fact::unreadable(no, "x") });
    for finding in examine(&facts, &[Role::Director, Role::RealServer]) {
        // No server in the table means nothing to be said of ports.
        assert_eq!(finding.judgement.state, State::Skip, "{}: {:?}", finding.check.id, finding.judgement);
        assert!(!finding.judgement.fact.is_empty(), "{}", finding.check.id);
    }
}

#[test]
fn d1_ipvs() {
    let mut facts = director();
    facts.ipvs = Fact::known(Ipvs { present: false, blocked: None }, "netlink");
    assert_found("D1", &facts, State::Fail, "not loaded", "modprobe ip_vs");
    let blocked = Blocked {
        module: "ip_vs".to_owned(),
        file: "/etc/modprobe.d/x.conf".to_owned(),
        line: "install ip_vs /bin/false".to_owned(),
    };
    facts.ipvs = Fact::known(Ipvs { present: true, blocked: Some(blocked.clone()) }, "netlink");
    assert_found("D1", &facts, State::Warn, "cannot be at the next boot", "sed -i");
    facts.ipvs = Fact::known(Ipvs { present: false, blocked: Some(blocked) }, "netlink");
    assert_found("D1", &facts, State::Fail, "install ip_vs /bin/false", "/etc/modprobe.d/x.conf && modprobe ip_vs");
}

#[test]
fn d2_vip_is_local() {
    let mut facts = director();
    facts.paths.extend([path(VIP, RouteKind::Unicast, Some("30.30.30.254"))]);
    assert_found("D2", &facts, State::Fail, "out by eth0", "ip addr add 20.20.20.20/32 dev eth0");
    facts.paths.insert(ip(VIP), Fact::known(None, "routes"));
    assert_found("D2", &facts, State::Fail, "nowhere", "ip addr add");
    facts.managers = Fact::known(vec!["keepalived".to_owned()], "processes");
    assert_skipped("D2", &facts, "stands by");
}

#[test]
fn d3_vip_prefix() {
    let mut facts = director();
    facts.addresses = Fact::known(vec![address(ETH0, VIP, 24)], "addresses");
    let mend = "ip addr add 20.20.20.20/32 dev eth0 && ip addr del 20.20.20.20/24 dev eth0";
    assert_found("D3", &facts, State::Warn, "20.20.20.20/24 on eth0", mend);
}

#[test]
fn d4_servers_on_link() {
    let mut facts = director();
    facts.paths.extend([path("30.30.30.30", RouteKind::Unicast, Some("30.30.30.254"))]);
    assert_found("D4", &facts, State::Fail, "behind the gateway", "ip route replace 30.30.30.30/32 dev eth0");
    facts.addresses = Fact::known(vec![address(ETH0, VIP, 32)], "addresses");
    assert_found("D4", &facts, State::Fail, "behind the gateway", "tunnelling");
    facts.paths.extend([path("30.30.30.30", RouteKind::Local, None)]);
    assert_found("D4", &facts, State::Ok, "no gateway", "");
    facts.paths.insert(ip("30.30.30.30"), Fact::known(None, "routes"));
    assert_found("D4", &facts, State::Fail, "no route", "network");
}

#[test]
fn d5_neighbours() {
    let mut facts = director();
    let known = |state, last| {
        Fact::known(vec![neighbour("30.30.30.30", 0x30, state), neighbour("30.30.30.40", last, state)], "n")
    };
    facts.neighbours = known(NeighbourState::PERMANENT, 0x30);
    assert_found("D5", &facts, State::Warn, "the same MAC address", "ip neigh del 30.30.30.30 dev eth0");
    facts.neighbours = known(NeighbourState::REACHABLE, 0x30);
    assert_found("D5", &facts, State::Warn, "the same MAC address", "proxy ARP");
    facts.neighbours = Fact::known(vec![neighbour("30.30.30.30", 0x30, NeighbourState::FAILED)], "n");
    assert_found("D5", &facts, State::Fail, "does not answer on eth0", "ip neigh flush");
    facts.neighbours = Fact::known(Vec::new(), "n");
    assert_skipped("D5", &facts, "nothing was sent");
}

#[test]
fn d6_ports() {
    let mut facts = director();
    rules(&mut facts, |rules| rules.ports.push(FilePort { line: 2, written: 8080, counts: 80, literal: true }));
    assert_found("D6", &facts, State::Warn, "line 2", "sed -i '2s/:8080\\b/:80/' /etc/ipvsadm.rules");
    let mut facts = director();
    table(&mut facts, |service| service.destinations[0].destination.key.port = 8080);
    assert_found("D6", &facts, State::Warn, "port 8080 of 30.30.30.30", "AddDestination");
    table(&mut facts, |service| service.destinations[0].destination.forwarding = Forwarding::Masquerade);
    assert_found("D6", &facts, State::Ok, "", "");
}

#[test]
fn d7_capacity() {
    let mut facts = director();
    table(&mut facts, |service| service.destinations.iter_mut().for_each(|entry| entry.destination.weight = 0));
    assert_found("D7", &facts, State::Fail, "weight 0", "weight: 1");
    let key = service().entry.service.key;
    rules(&mut facts, |rules| {
        rules.weights.insert((key, DestinationKey { address: ip("30.30.30.40"), port: 80 }), 3);
    });
    assert_found("D7", &facts, State::Fail, "weight 0", "weight: 3");
    let mut facts = director();
    table(&mut facts, |service| {
        service.destinations.iter_mut().for_each(|entry| entry.destination.upper_threshold = 3)
    });
    assert_found("D7", &facts, State::Fail, "upper threshold", "upper_threshold: 0");
    table(&mut facts, |service| service.destinations.clear());
    assert_found("D7", &facts, State::Fail, "no server", "ipvsadm-rs -a -t 20.20.20.20:80");
}

#[test]
fn d8_schedulers() {
    let mut facts = director();
    rules(&mut facts, |rules| rules.schedulers.push((3, service().entry.service.key, SchedulerName::cut(b"nope"))));
    assert_found("D8", &facts, State::Fail, "no module ip_vs_nope", "/-s wrr/' /etc/ipvsadm.rules");
    let mut facts = director();
    rules(&mut facts, |rules| rules.engines.push((3, SchedulerName::cut(b"sip"))));
    assert_found("D8", &facts, State::Fail, "no module ip_vs_pe_sip", "Install");
    let line = Blocked { module: "ip_vs_pe_sip".to_owned(), file: "/m.conf".to_owned(), line: "install".to_owned() };
    facts.modules = Fact::known(Modules { blocked: vec![line], ..Modules::default() }, "modules");
    assert_found("D8", &facts, State::Fail, "modprobe.d says", "/m.conf");
}

#[test]
fn d9_expire_nodest() {
    let mut facts = director();
    set(&mut facts, "net/ipv4/vs/expire_nodest_conn", 0);
    assert_skipped("D9", &facts, "no health checker");
    facts.managers = Fact::known(vec!["ldirectord".to_owned()], "processes");
    assert_found("D9", &facts, State::Warn, "= 0", "sysctl -w net.ipv4.vs.expire_nodest_conn=1");
}

#[test]
fn d10_expire_quiescent() {
    let mut facts = director();
    set(&mut facts, "net/ipv4/vs/expire_quiescent_template", 0);
    assert_skipped("D10", &facts, "no service is persistent");
    let persistence = Persistence { timeout: 300, netmask: Netmask::host(Family::Ipv4) };
    table(&mut facts, |service| service.entry.service.persistence = Some(persistence));
    assert_found("D10", &facts, State::Warn, "= 0", "sysctl -w net.ipv4.vs.expire_quiescent_template=1");
}

#[test]
fn d11_reuse() {
    let mut facts = director();
    set(&mut facts, "net/ipv4/vs/conn_reuse_mode", 0);
    assert_found("D11", &facts, State::Warn, "= 0", "conn_reuse_mode=1");
    facts.kernel = Fact::known((5, 8), "osrelease");
    assert_found("D11", &facts, State::Warn, "= 0", "conn_reuse_mode=1");
    set(&mut facts, "net/ipv4/vs/conntrack", 1);
    assert_found("D11", &facts, State::Ok, "before 5.9", "");
    set(&mut facts, "net/ipv4/vs/conn_reuse_mode", 1);
    assert_found("D11", &facts, State::Warn, "before 5.9", "conn_reuse_mode=0");
}

#[test]
fn d12_backup_only() {
    let mut facts = director();
    assert_skipped("D12", &facts, "no backup daemon");
    facts.daemons = Fact::known(vec![daemon(DaemonRole::Backup, 1)], "daemons");
    assert_skipped("D12", &facts, "no real server");
    let mut local = facts.clone();
    local.paths.extend([path("30.30.30.30", RouteKind::Local, None)]);
    assert_found("D12", &local, State::Fail, "backup_only = 0", "sysctl -w net.ipv4.vs.backup_only=1");
    table(&mut facts, |service| service.destinations[0].destination.forwarding = Forwarding::Local);
    assert_found("D12", &facts, State::Fail, "backup_only = 0", "sysctl -w net.ipv4.vs.backup_only=1");
}

#[test]
fn d13_forwarding() {
    let mut facts = director();
    assert_skipped("D13", &facts, "masquerading");
    table(&mut facts, |service| service.destinations[0].destination.forwarding = Forwarding::Masquerade);
    assert_found("D13", &facts, State::Fail, "ip_forward = 0", "sysctl -w net.ipv4.ip_forward=1");
    set(&mut facts, "net/ipv4/ip_forward", 1);
    assert_found("D13", &facts, State::Ok, "ip_forward = 1", "");
    set(&mut facts, "net/ipv4/conf/all/send_redirects", 1);
    let judged = judge("D13", &facts).unwrap();
    assert_eq!(judged[1].state, State::Warn, "{judged:?}");
}

#[test]
fn d14_and_r9_firewall() {
    for (id, mut facts) in [("D14", director()), ("R9", real_server())] {
        let stopped = Fate::Stopped {
            how: "dropped".to_owned(),
            rule: "inet f i: drop".to_owned(),
            undo: Some("nft delete".to_owned()),
        };
        let both = |facts: &mut Facts, fate: &Fate, certain: bool| {
            let passage = Passage { fate: Fact::known(fate.clone(), "rules"), certain, ..passage() };
            (facts.scheduled, facts.delivered) = (vec![passage.clone()], vec![passage]);
        };
        both(&mut facts, &stopped, true);
        assert_found(id, &facts, State::Fail, "tcp to 20.20.20.20:80 is dropped by inet f i: drop", "nft delete");
        both(&mut facts, &stopped, false);
        assert_found(id, &facts, State::Warn, "dropped", "nft delete");
        both(&mut facts, &Fate::Depends("the client".to_owned()), true);
        assert_skipped(id, &facts, "the client");
        (facts.scheduled, facts.delivered) = (Vec::new(), Vec::new());
        assert_skipped(id, &facts, "does not apply");
    }
}

#[test]
fn d15_receive_offload() {
    let mut facts = director();
    facts.offload = vec![("eth0".to_owned(), Fact::known(true, "ethtool"))];
    assert_found("D15", &facts, State::Warn, "eth0 is on", "ethtool -K eth0 lro off");
}

#[test]
fn d16_table_size() {
    let mut facts = director();
    table(&mut facts, |service| service.destinations[0].active_connections = 10_000);
    assert_found("D16", &facts, State::Warn, "in 4096 buckets", "conn_tab_bits=15' >> /etc/modprobe.d");
    // A kernel whose tables grow.
    let of = |entries, buckets, load| HashTable { entries, buckets, empty_buckets: None, load_factor: Some(load) };
    let mut tables =
        HashTables { connections: of(10_000, 262_144, -4), services: of(3, 16, -3), connection_limit: None };
    let mut judged = |tables: HashTables, state, fact: &str, mend: &str| {
        facts.hash_tables = Fact::known(Some(tables), "status");
        assert_found("D16", &facts, state, fact, mend);
    };
    judged(tables, State::Ok, "above one for every 16 buckets (conn_lfactor = -4); 3 services in 16 buckets", "");
    tables.connection_limit = Some(1 << 30);
    judged(tables, State::Ok, "10000 connections in 262144 buckets", "");
    tables.connection_limit = Some(11_000);
    judged(tables, State::Warn, "no more than conn_max = 11000", "sysctl -w net.ipv4.vs.conn_max=20000");
    tables.connection_limit = Some(10_000);
    judged(tables, State::Fail, "no more than conn_max = 10000", "sysctl -w net.ipv4.vs.conn_max=20000");
    tables.connection_limit = Some(1 << 30);
    tables.connections = of(10_000, 4096, 2);
    judged(tables, State::Warn, "above 4 for every bucket (conn_lfactor = 2)", "net.ipv4.vs.conn_lfactor=-4");
    tables.connections = of(10_000, 4096, -4);
    judged(tables, State::Warn, "10000 connections in 4096 buckets, and there will be no more", "conn_tab_bits=15");
    tables.connections = of(0, 0, -4);
    tables.services = of(3, 1, 8);
    judged(tables, State::Warn, "above 256 for every bucket (svc_lfactor = 8)", "net.ipv4.vs.svc_lfactor=-3");
    facts.hash_tables = Fact::unreadable("Permission denied", "status");
    assert_skipped("D16", &facts, "status cannot be read: Permission denied");
}

#[test]
fn d17_neighbour_table() {
    let mut facts = director();
    set(&mut facts, "net/ipv4/neigh/default/gc_thresh3", 2);
    assert_found("D17", &facts, State::Warn, "room for 2", "gc_thresh3=1024");
}

#[test]
fn d18_sync() {
    let mut facts = director();
    assert_skipped("D18", &facts, "no sync daemon");
    let heard = |ids: &[u8]| {
        Some(Probe { answers: Fact::known(Vec::new(), "wire"), sync_ids: Fact::known(ids.to_vec(), "wire") })
    };
    facts.daemons = Fact::known(vec![daemon(DaemonRole::Backup, 1)], "daemons");
    facts.probe = heard(&[7]);
    assert_found("D18", &facts, State::Fail, "waits for sync id 1, but the master sends 7", "sync_id: 7");
    facts.probe = heard(&[7, 1]);
    assert_found("D18", &facts, State::Ok, "backup on eth0, id 1", "");
    let mut links = facts.links.value().unwrap().clone();
    links[1].flags = LinkFlags(LinkFlags::UP);
    facts.links = Fact::known(links.clone(), "links");
    assert_found("D18", &facts, State::Fail, "does not multicast", "ip link set eth0 multicast on");
    links[1].flags = LinkFlags(0);
    facts.links = Fact::known(links, "links");
    assert_found("D18", &facts, State::Fail, "is down", "ip link set eth0 up");
    facts.links = Fact::known(Vec::new(), "links");
    assert_found("D18", &facts, State::Fail, "is gone", "StopDaemon");
}

#[test]
fn d19_keepalive() {
    let mut facts = director();
    facts.timeouts = Fact::known(Timeouts { tcp: 900, tcp_fin: 120, udp: 300 }, "timeouts");
    assert_found("D19", &facts, State::Warn, "after 900 s, keepalive comes after 7200 s", "tcp: 7300");
}

#[test]
fn d20_ipv6() {
    let mut facts = director();
    assert_skipped("D20", &facts, "no IPv6 VIP");
    facts.vips = vec![Vip { address: ip(VIP6), port: None }];
    let mut held = address(ETH0, VIP6, 128);
    facts.addresses = Fact::known(vec![held.clone()], "addresses");
    assert_found("D20", &facts, State::Ok, "", "");
    let mut way = route(Prefix::host(ip("2001:db8::1")), RouteKind::Unicast, None, ETH0);
    way.preferred_source = Some(ip(VIP6));
    facts.paths.insert(ip("2001:db8::1"), Fact::known(Some(way), "routes"));
    assert_found("D20", &facts, State::Warn, "is the source", "preferred_lft 0");
    held.flags = AddressFlags(AddressFlags::DAD_FAILED);
    facts.addresses = Fact::known(vec![held], "addresses");
    assert_found("D20", &facts, State::Fail, "duplicate", "nodad");
    // The kernel has no route to it then; adding it once more would be refused.
    facts.paths.insert(ip(VIP6), Fact::known(None, "routes"));
    assert_skipped("D2", &facts, "D20");
}

#[test]
fn d21_managers() {
    let mut facts = director();
    facts.managers = Fact::known(vec!["keepalived".to_owned()], "processes");
    assert_found("D21", &facts, State::Ok, "keepalived runs", "");
    facts.managers = Fact::known(vec!["keepalived".to_owned(), "ldirectord".to_owned()], "processes");
    assert_found("D21", &facts, State::Warn, "at once", "one of them");
}

#[test]
fn d22_saved() {
    let mut facts = director();
    rules(&mut facts, |rules| rules.differences = 2);
    assert_found("D22", &facts, State::Warn, "rules that differ: 2", "ipvsadm-rs -S -n --file /etc/ipvsadm.rules");
    let mut empty = facts.clone();
    empty.table = Fact::known(Table::default(), "table");
    assert_found("D22", &empty, State::Warn, "the table is empty", "ipvsadm-rs -R --file /etc/ipvsadm.rules");
    rules(&mut facts, |rules| (rules.whole, rules.path) = (true, "/a b".to_owned()));
    assert_found("D22", &facts, State::Warn, "rules that differ: 2", "-S -n --all --file '/a b'");
    rules(&mut facts, |rules| rules.bad.push("3: wrong".to_owned()));
    assert_found("D22", &facts, State::Warn, "3: wrong", "--check");
    facts.rules = Fact::known(None, "rules");
    assert_skipped("D22", &facts, "no file");
}

#[test]
fn d23_answers() {
    let mut facts = director();
    // Its own, seen on another of its interfaces.
    let own = Fact::known(vec![answer(0x20)], "wire");
    facts.probe = Some(Probe { answers: own, sync_ids: Fact::known(Vec::new(), "wire") });
    assert_found("D23", &facts, State::Ok, "nobody else", "");
    let guilty = Fact::known(vec![answer(0x30)], "wire");
    facts.probe = Some(Probe { answers: guilty, sync_ids: Fact::known(Vec::new(), "wire") });
    let mend = "30.30.30.30# ipvsadm-rs realserver start 20.20.20.20";
    assert_found("D23", &facts, State::Fail, "02:00:00:00:00:30 (30.30.30.30) answers for 20.20.20.20", mend);
    // A director that stands by hears the other one.
    facts.addresses = Fact::known(Vec::new(), "addresses");
    assert_found("D23", &facts, State::Ok, "at work answers: 02:00:00:00:00:30 for 20.20.20.20 on eth0", "");
    facts.probe = None;
    assert_skipped("D23", &facts, "--probe");
}

#[test]
fn r1_vip_is_here() {
    let mut facts = real_server();
    facts.addresses = Fact::known(vec![address(LO, VIP, 24)], "addresses");
    let mend = "ip addr del 20.20.20.20/24 dev lo && ipvsadm-rs realserver start 20.20.20.20";
    assert_found("R1", &facts, State::Fail, "20.20.20.20/24 on lo", mend);
    facts.addresses = Fact::known(Vec::new(), "addresses");
    assert_found("R1", &facts, State::Fail, "not on lo", "ipvsadm-rs realserver start 20.20.20.20");
}

#[test]
fn r2_and_r3_arp_settings() {
    for (id, name) in [("R2", "arp_ignore"), ("R3", "arp_announce")] {
        let mut facts = real_server();
        set(&mut facts, &format!("net/ipv4/conf/all/{name}"), 0);
        // On lo alone it does nothing for eth0.
        assert_found(
            id,
            &facts,
            State::Fail,
            &format!("{name} is 0 on eth0"),
            "ipvsadm-rs realserver start 20.20.20.20",
        );
        set(&mut facts, &format!("net/ipv4/conf/eth0/{name}"), 2);
        assert_found(id, &facts, State::Ok, &format!("{name} is 2 on eth0"), "");
        // A larger value that lets the VIP be told of; of the interface's own `realserver start` could not undo it.
        set(&mut facts, &format!("net/ipv4/conf/all/{name}"), 2);
        set(&mut facts, &format!("net/ipv4/conf/eth0/{name}"), 3);
        let own = format!("sysctl -w net.ipv4.conf.eth0.{name}=");
        assert_found(id, &facts, State::Fail, &format!("{name} is 3 on eth0"), &own);
        set(&mut facts, &format!("net/ipv4/conf/all/{name}"), 3);
        assert_found(id, &facts, State::Fail, &format!("{name} is 3 on eth0"), " && ipvsadm-rs realserver start 20.");
        set(&mut facts, &format!("net/ipv4/conf/eth0/{name}"), 0);
        assert_found(id, &facts, State::Fail, &format!("{name} is 3 on eth0"), "ipvsadm-rs realserver start 20.");
        facts.vips = vec![Vip { address: ip(VIP6), port: None }];
        assert_skipped(id, &facts, "IPv6");
    }
}

/// Rules for ARP that stop what comes in, what goes out, or both.
fn arp(incoming: bool, outgoing: bool) -> ArpPassage {
    let fate = |stops: bool| match stops {
        true => Fate::Stopped { how: "dropped".to_owned(), rule: "arp f i: drop".to_owned(), undo: None },
        false => Fate::Accepted,
    };
    ArpPassage {
        vip: ip(VIP),
        interface: "eth0".to_owned(),
        incoming: Fact::known(fate(incoming), "rules"),
        outgoing: Fact::known(fate(outgoing), "rules"),
    }
}

#[test]
fn rules_for_arp_do_the_work_of_the_settings() {
    let mut facts = real_server();
    set(&mut facts, "net/ipv4/conf/all/arp_ignore", 0);
    set(&mut facts, "net/ipv4/conf/all/arp_announce", 0);
    facts.arp = Fact::known(vec![arp(true, true)], "rules");
    assert_skipped("R2", &facts, "R10");
    assert_skipped("R3", &facts, "R10");
    assert_found("R10", &facts, State::Ok, "arp f i: drop", "");
    facts.arp = Fact::known(vec![arp(true, false)], "rules");
    assert_skipped("R2", &facts, "R10");
    assert_found("R3", &facts, State::Fail, "arp_announce is 0", "realserver start");
    assert_found("R10", &facts, State::Fail, "but not words from", "sysctl -w");
    facts.arp = Fact::known(Vec::new(), "rules");
    assert_skipped("R10", &facts, "no rule for ARP");
}

#[test]
fn r4_vip_elsewhere() {
    let mut facts = real_server();
    facts.addresses = Fact::known(vec![address(LO, VIP, 32), address(ETH0, VIP, 32)], "addresses");
    assert_found("R4", &facts, State::Fail, "is on eth0", "ip addr del 20.20.20.20/32 dev eth0");
}

#[test]
fn r5_boot() {
    let mut facts = real_server();
    let good = facts.boot_settings.value().unwrap().clone();
    facts.boot_settings = Fact::known(Vec::new(), "sysctl.d");
    assert_found(
        "R5",
        &facts,
        State::Warn,
        "arp_ignore of eth0, arp_announce of eth0",
        "realserver start --persist 20.20.20.20",
    );
    facts.boot_addresses = Fact::known(vec![boot_address(true)], "etc");
    assert_found("R5", &facts, State::Ok, "come back", "");
    facts.boot_addresses = Fact::known(vec![boot_address(false)], "etc");
    let mut later = good[0].clone();
    (later.value, later.file, later.number) = ("0".to_owned(), "/etc/sysctl.d/99.conf".to_owned(), 4);
    facts.boot_settings = Fact::known([good.clone(), vec![later]].concat(), "sysctl.d");
    assert_found("R5", &facts, State::Warn, "will be 0 at boot", "sed -i '4s/=.*/= 1/' /etc/sysctl.d/99.conf");
    // The larger counts, but 3 answers.
    let of_eth0 = |value: &str| SettingLine {
        key: "net/ipv4/conf/eth0/arp_ignore".to_owned(),
        value: value.to_owned(),
        number: 7,
        ..good[0].clone()
    };
    facts.boot_settings = Fact::known([good.clone(), vec![of_eth0("0")]].concat(), "sysctl.d");
    assert_found("R5", &facts, State::Ok, "come back", "");
    facts.boot_settings = Fact::known([good.clone(), vec![of_eth0("3")]].concat(), "sysctl.d");
    assert_found("R5", &facts, State::Warn, "will be 3 at boot", "sed -i '7s/=.*/= 1/'");
    facts.boot_settings = Fact::known(good, "sysctl.d");
    facts.boot_addresses = Fact::known(Vec::new(), "etc");
    assert_found("R5", &facts, State::Warn, "no file sets 20.20.20.20", "--persist 20.20.20.20");
    // Of an IPv6 VIP only the address matters.
    facts.boot_settings = Fact::known(Vec::new(), "sysctl.d");
    facts.vips = vec![Vip { address: ip(VIP6), port: None }];
    assert_found("R5", &facts, State::Warn, "no file sets 2001:db8:20::20", "--persist 2001:db8:20::20");
}

#[test]
fn r6_way_back() {
    let mut facts = real_server();
    let default = |gateway| route(Prefix::all(Family::Ipv4), RouteKind::Unicast, Some(gateway), ETH0);
    let subnet = route(Prefix { address: ip("40.40.40.0"), length: 24 }, RouteKind::Unicast, Some("30.30.30.20"), ETH0);
    facts.neighbours = Fact::known(vec![neighbour("30.30.30.254", 0xfe, 2), neighbour("30.30.30.20", 0x21, 2)], "n");
    assert_found("R6", &facts, State::Ok, "30.30.30.254, which is not the director: for the VIP answers 02:", "");
    facts.routes = Fact::known(vec![default("30.30.30.254"), subnet], "routes");
    assert_found(
        "R6",
        &facts,
        State::Fail,
        "40.40.40.0/24 goes via 30.30.30.20",
        "ip route del 40.40.40.0/24 via 30.30.30.20",
    );
    facts.routes = Fact::known(vec![default("30.30.30.20")], "routes");
    assert_found("R6", &facts, State::Fail, "default goes via", "ip route replace default via ROUTER");
    facts.routes = Fact::known(Vec::new(), "routes");
    assert_found("R6", &facts, State::Fail, "no route has a gateway", "ip route add default");
    facts = real_server();
    facts.probe = None;
    assert_skipped("R6", &facts, "--probe");
}

fn with_tunnel(facts: &mut Facts, flags: u32, mtu: u32) {
    let mut links = facts.links.value().unwrap().clone();
    let tunnel = Link { kind: Some("ipip".to_owned()), mtu, ..link(3, "ipip0", flags | LinkFlags::NO_ARP) };
    links.push(tunnel);
    facts.links = Fact::known(links, "links");
    facts.addresses = Fact::known(vec![address(3, VIP, 32)], "addresses");
    set(facts, "net/ipv4/conf/ipip0/rp_filter", 0);
}

#[test]
fn r7_reverse_path() {
    let mut facts = real_server();
    set(&mut facts, "net/ipv4/conf/all/rp_filter", 1);
    assert_found("R7", &facts, State::Ok, "come in where answers leave", "");
    with_tunnel(&mut facts, LinkFlags::UP, 1480);
    assert_found("R7", &facts, State::Fail, "rp_filter is 1 on ipip0", "sysctl -w net.ipv4.conf.ipip0.rp_filter=2");
    set(&mut facts, "net/ipv4/conf/ipip0/rp_filter", 2);
    assert_found("R7", &facts, State::Ok, "rp_filter is 2 on ipip0", "");
}

#[test]
fn settings_of_interfaces_with_dots_are_named_as_sysctl_takes_them() {
    assert_eq!(sysctl_key("net/ipv4/conf/eth0/rp_filter"), "net.ipv4.conf.eth0.rp_filter");
    assert_eq!(sysctl_key("net/ipv4/conf/eth0.5/rp_filter"), "net/ipv4/conf/eth0.5/rp_filter");
}

#[test]
fn r8_listeners() {
    let mut facts = real_server();
    let listener =
        |address: &str| Listener { protocol: Protocol::Tcp, address: ip(address), port: 80, only_ipv6: false };
    facts.listeners = Fact::known(vec![listener("30.30.30.30")], "sockets");
    assert_found("R8", &facts, State::Warn, "tcp port 80 listens on 30.30.30.30 only", "listen on 20.20.20.20");
    facts.vips[0].port = Some(80);
    assert_found("R8", &facts, State::Fail, "tcp port 80 listens on 30.30.30.30 only", "listen on 20.20.20.20");
    facts.listeners = Fact::known(vec![listener("30.30.30.30"), listener(VIP)], "sockets");
    assert_found("R8", &facts, State::Ok, "tcp 80", "");
    facts.listeners = Fact::known(vec![listener("::")], "sockets");
    assert_found("R8", &facts, State::Ok, "tcp 80", "");
    facts.listeners = Fact::known(vec![Listener { only_ipv6: true, ..listener("::") }], "sockets");
    assert_found("R8", &facts, State::Fail, "nothing listens on 20.20.20.20 port 80", "Start");
}

#[test]
fn r11_tunnel() {
    let mut facts = real_server();
    assert_skipped("R11", &facts, "no VIP is on a tunnel");
    with_tunnel(&mut facts, 0, 1480);
    assert_found("R11", &facts, State::Fail, "ipip0 is down", "ip link set ipip0 up");
    let mut facts = real_server();
    with_tunnel(&mut facts, LinkFlags::UP, 1500);
    assert_found("R11", &facts, State::Warn, "only 1480 fit", "ip link set ipip0 mtu 1480");
}

#[test]
fn r12_announcement() {
    let mut facts = real_server();
    facts.announced = Fact::known(vec!["/etc/sysconfig/network-scripts/ifcfg-lo:0".to_owned()], "scripts");
    assert_found(
        "R12",
        &facts,
        State::Warn,
        "lacks ARPUPDATE=no",
        "echo ARPUPDATE=no >> /etc/sysconfig/network-scripts/ifcfg-lo:0",
    );
}

#[test]
fn r13_is_only_a_reminder() {
    assert_skipped("R13", &real_server(), "cannot be read");
}

#[test]
fn a_machine_can_be_both_or_nothing() {
    let mut facts = director();
    facts.addresses = Fact::known(vec![address(LO, VIP, 32)], "addresses");
    assert_eq!(roles(&facts), [Role::Director, Role::RealServer]);
    assert_eq!(roles(&machine()), []);
    table(&mut facts, |service| {
        let key = DestinationKey { address: ip("30.30.30.50"), port: 80 };
        service.destinations[0].destination.forwarding = Forwarding::Tunnel(Tunnel::Ipip);
        service.destinations[0].destination.key = key;
    });
    // Of tunnels nobody asks whether they are on this segment.
    assert_found("D4", &facts, State::Ok, "no gateway", "");
}
