//! The checks of a director.

use ipvs_client::{
    Change, DaemonRole, DestinationKey, Family, Forwarding, Netmask, Persistence, SchedulerName, ServiceFlags, Table,
    Timeouts,
    hash_tables::{HashTable, HashTables},
    scheduler,
};

use super::fixtures::*;

use crate::doctor::facts::*;
use crate::doctor::*;
use crate::machine::{AddressFlags, LinkFlags, NeighbourState, Prefix, RouteKind};

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
    assert_found("D3", &facts, State::Note, "20.20.20.20/24 on eth0", "");
    facts.addresses = Fact::known(vec![address(ETH0, VIP, 24), address(ETH0, "30.30.30.20", 24)], "addresses");
    let fix = "ip addr add 20.20.20.20/32 dev eth0 && ip addr del 20.20.20.20/24 dev eth0";
    assert_found("D3", &facts, State::Warn, "20.20.20.20/24 on eth0", fix);
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
    assert_found("D5", &facts, State::Note, "the same MAC address", "proxy ARP");
    facts.neighbours = Fact::known(vec![neighbour("30.30.30.30", 0x30, NeighbourState::FAILED)], "n");
    assert_found("D5", &facts, State::Fail, "does not answer on eth0", "ip neigh flush");
    facts.neighbours = Fact::known(Vec::new(), "n");
    assert_skipped("D5", &facts, "nothing was sent");
}

#[test]
fn d6_ports() {
    let mut facts = director();
    rules(&mut facts, |rules| rules.ports.push(FilePort { line: 2, written: 8080, counts: 80, literal: true }));
    assert_found("D6", &facts, State::Warn, "line 2", "sed -i.before '2s/:8080\\b/:80/' /etc/ipvsadm.rules");
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
    assert_found("D7", &facts, State::Fail, "no server", "a server for TCP 20.20.20.20:80");
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
    assert_skipped("D12", &facts, "not a real server");
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
    let of = |entries, buckets, load| {
        let mut table = HashTable::new(entries, buckets);
        table.load_factor = Some(load);
        table
    };
    let mut tables = HashTables::new(of(10_000, 262_144, -4), of(3, 16, -3));
    let mut judged = |tables: HashTables, state, fact: &str, fix: &str| {
        facts.hash_tables = Fact::known(Some(tables), "status");
        assert_found("D16", &facts, state, fact, fix);
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
    let heard = |ids: &[u8]| Some(probe(Vec::new(), ids));
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
fn d24_sync_apart_from_clients() {
    let mut facts = director();
    assert_skipped("D24", &facts, "no backup daemon");
    facts.daemons = Fact::known(vec![daemon(DaemonRole::Master, 1)], "daemons");
    assert_skipped("D24", &facts, "no backup daemon");
    facts.daemons = Fact::known(vec![daemon(DaemonRole::Backup, 1)], "daemons");
    assert_found("D24", &facts, State::Warn, "listens on eth0, where clients are: the VIP 20.20.20.20", "8848");
    // A backup has no VIP: it is known by its network, or by the default route.
    facts.addresses = Fact::known(vec![address(ETH0, "20.20.20.1", 24)], "addresses");
    assert_found("D24", &facts, State::Warn, "the VIP 20.20.20.20 is in its network", "between the directors");
    facts.addresses = Fact::known(vec![address(ETH0, "30.30.30.20", 24)], "addresses");
    let default = Prefix { address: ip("0.0.0.0"), length: 0 };
    facts.routes = Fact::known(vec![route(default, RouteKind::Unicast, Some("30.30.30.1"), ETH0)], "routes");
    assert_found("D24", &facts, State::Warn, "the default route leads there", "packet filter");
    facts.routes = Fact::known(Vec::new(), "routes");
    assert_found("D24", &facts, State::Ok, "backup on eth0", "");
}

#[test]
fn d19_keepalive() {
    let mut facts = director();
    facts.timeouts = Fact::known(Timeouts::new(900, 120, 300), "timeouts");
    assert_found("D19", &facts, State::Note, "after 900 s, keepalive comes after 7200 s", "tcp: 7300");
}

#[test]
fn d20_ipv6() {
    let mut facts = director();
    assert_skipped("D20", &facts, "no IPv6 VIP");
    facts.vips = vec![vip(VIP6)];
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
    facts.probe = Some(Probe { answers: own, ..probe(Vec::new(), &[]) });
    assert_found("D23", &facts, State::Ok, "no other machine", "");
    let guilty = Fact::known(vec![answer(0x30)], "wire");
    facts.probe = Some(Probe { answers: guilty, ..probe(Vec::new(), &[]) });
    let fix = "30.30.30.30# ipvsadm-rs realserver start 20.20.20.20";
    assert_found("D23", &facts, State::Fail, "02:00:00:00:00:30 (30.30.30.30) answers for 20.20.20.20", fix);
    // A director that stands by hears the other one.
    facts.addresses = Fact::known(Vec::new(), "addresses");
    assert_found("D23", &facts, State::Ok, "at work answers: 02:00:00:00:00:30 for 20.20.20.20 on eth0", "");
    facts.probe = None;
    assert_skipped("D23", &facts, "--probe");
}

#[test]
fn d28_refusing() {
    let mut facts = director();
    assert_skipped("D28", &facts, "no service with the scheduler sh, mh or dh");
    table(&mut facts, |service| {
        service.entry.service.scheduler = scheduler::SH;
        service.entry.service.flags = ServiceFlags::from_bits(ServiceFlags::SCHEDULER_2);
    });
    assert_found("D28", &facts, State::Ok, "none", "");
    table(&mut facts, |service| service.destinations[1].destination.weight = 0);
    let fact =
        "TCP 20.20.20.20:80: sh refuses the clients of 30.30.30.40:80, which has weight 0: sh-fallback is not set";
    assert_found("D28", &facts, State::Fail, fact, "EditService");
    let judged = judge("D28", &facts).unwrap();
    let Some(Fix::Changes(changes)) = &judged[0].fix else { panic!("{judged:?}") };
    let [Change::EditService(service)] = changes[..] else { panic!("{changes:?}") };
    // The other flag stays.
    assert_eq!(service.flags.bits(), ServiceFlags::SCHEDULER_1 | ServiceFlags::SCHEDULER_2);
    table(&mut facts, |service| service.entry.service.flags = ServiceFlags::from_bits(ServiceFlags::SCHEDULER_1));
    assert_found("D28", &facts, State::Ok, "none", "");
    table(&mut facts, |service| service.entry.service.scheduler = scheduler::DH);
    assert_found(
        "D28",
        &facts,
        State::Fail,
        "dh refuses the clients of 30.30.30.40:80",
        "Give 30.30.30.40:80 a weight",
    );
    // D7 is about that.
    table(&mut facts, |service| service.destinations.iter_mut().for_each(|entry| entry.destination.weight = 0));
    assert_found("D28", &facts, State::Ok, "none", "");
}
