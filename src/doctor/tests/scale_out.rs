//! One of several directors: who is seen as one, and its checks.

use ipvs_client::{ServiceFlags, scheduler};

use super::*;

const KEY: &str = "TCP 20.20.20.20:80";

/// One of several directors where all is well.
fn several() -> Facts {
    let mut facts = director();
    facts.addresses = Fact::known(vec![address(ETH0, "30.30.30.20", 24), address(LO, VIP, 32)], "addresses");
    facts.programs = Fact::known(vec!["bird".to_owned()], "processes");
    table(&mut facts, |service| {
        service.entry.service.scheduler = scheduler::MH;
        service.entry.service.flags = ServiceFlags::from_bits(ServiceFlags::SCHEDULER_1 | ServiceFlags::SCHEDULER_2);
    });
    for (name, value) in [("sloppy_tcp", 1), ("sloppy_sctp", 0), ("schedule_icmp", 1)] {
        set(&mut facts, &format!("net/ipv4/vs/{name}"), value);
    }
    facts.slots = Fact::known(vec![slots("one", true)], "table");
    facts.peers = Fact::known(vec![peer("one", 0)], "peers");
    facts
}

fn slots(digest: &str, canonical_order: bool) -> Slots {
    Slots { service: service().entry.service.key, digest: Ok(digest.to_owned()), canonical_order }
}

fn peer(digest: &str, differences: usize) -> PeerTable {
    let digests = [(service().entry.service.key, Some(digest.to_owned()))].into();
    PeerTable { file: "peer.json".to_owned(), differences, digests }
}

fn judged(facts: &Facts) -> Vec<(&'static str, State)> {
    let vips = roles::of_vips(facts);
    let machine = roles::of_machine(facts, &vips);
    examine(facts, &machine, &vips).iter().map(|finding| (finding.check.id, finding.judgement.state)).collect()
}

#[test]
fn it_is_seen_where_routes_are_announced_and_the_vip_answers_no_arp() {
    let facts = several();
    let [role] = &roles::of_vips(&facts)[..] else { panic!() };
    assert_eq!(role.roles, [Role::Director, Role::ScaleOut]);
    assert_eq!(role.seen, format!("the table has {KEY}; bird runs, and 20.20.20.20 is on lo"));
    assert_eq!(roles::of_machine(&facts, std::slice::from_ref(role)), [Role::Director, Role::ScaleOut]);
    let bad: Vec<_> = judged(&facts).into_iter().filter(|(_, state)| *state >= State::Warn).collect();
    assert_eq!(bad, []);
    assert_eq!(
        judged(&facts).iter().filter(|(_, state)| *state == State::Note).collect::<Vec<_>>(),
        [&("S6", State::Note)]
    );
    let others = |change: fn(&mut Facts)| {
        let mut facts = several();
        change(&mut facts);
        assert!(judged(&facts).iter().all(|(id, _)| !id.starts_with('S')), "{:?}", judged(&facts));
    };
    others(|facts| facts.programs = Fact::known(vec!["keepalived".to_owned()], "processes"));
    others(|facts| facts.programs = Fact::unreadable("no permission", "processes"));
    // A pair of directors beside BIRD, and a real server that announces its VIP.
    others(|facts| facts.addresses = Fact::known(vec![address(ETH0, VIP, 32)], "addresses"));
    others(|facts| facts.managers = Fact::known(vec!["kube-proxy (interface kube-ipvs0)".to_owned()], "processes"));
    others(|facts| facts.table = Fact::known(ipvs_client::Table::default(), "table"));
}

#[test]
fn it_is_one_where_that_is_said() {
    let mut vips = roles::of_vips(&director());
    roles::say_scale_out(&mut vips);
    assert_eq!(vips[0].roles, [Role::Director, Role::ScaleOut]);
    assert!(vips[0].seen.ends_with("; --scale-out says so"), "{}", vips[0].seen);
    let mut vips = roles::of_vips(&real_server());
    roles::say_scale_out(&mut vips);
    assert_eq!(vips[0].roles, [Role::RealServer]);
}

#[test]
fn s1_to_s3_settings() {
    for (id, name, bad, good) in [("S1", "sloppy_tcp", 0, 1), ("S2", "schedule_icmp", 0, 1), ("S3", "conntrack", 1, 0)]
    {
        let mut facts = several();
        let name = format!("net/ipv4/vs/{name}");
        assert_found(id, &facts, State::Ok, &format!("= {good}"), "");
        set(&mut facts, &name, bad);
        let fix = format!("sysctl -w {}={good}", name.replace('/', "."));
        assert_found(id, &facts, State::Warn, &format!("= {bad}"), &fix);
        facts.settings.insert(&name, Fact::unreadable("not there", "x"));
        assert_skipped(id, &facts, "not there");
    }
    let mut facts = several();
    set(&mut facts, "net/ipv4/vs/conntrack", 1);
    facts.programs = Fact::known(vec!["bird".to_owned(), "firewalld".to_owned()], "processes");
    assert_found("S3", &facts, State::Warn, "= 1", "by a policy of its own first");
    let mut facts = several();
    let mut other = service();
    other.entry.service.key =
        ipvs_client::ServiceKey::Address { protocol: ipvs_client::Protocol::Sctp, address: ip(VIP), port: 80 };
    facts.table = Fact::known(ipvs_client::Table { services: vec![other.clone()] }, "table");
    assert_found("S1", &facts, State::Warn, "sloppy_sctp = 0", "sysctl -w net.ipv4.vs.sloppy_sctp=1");
    other.entry.service.key =
        ipvs_client::ServiceKey::Address { protocol: ipvs_client::Protocol::Udp, address: ip(VIP), port: 80 };
    facts.table = Fact::known(ipvs_client::Table { services: vec![other] }, "table");
    assert_skipped("S1", &facts, "no service of TCP or SCTP");
}

#[test]
fn s4_scheduler() {
    let with = |scheduler, flags, persistent: bool| {
        let mut facts = several();
        table(&mut facts, |service| {
            let rule = service.entry.service.scheduler(scheduler).flags(ServiceFlags::from_bits(flags));
            service.entry.service = if persistent { rule.persistent(300) } else { rule };
        });
        facts
    };
    let (fallback, port) = (ServiceFlags::SCHEDULER_1, ServiceFlags::SCHEDULER_2);
    assert_found("S4", &with(scheduler::MH, fallback | port, false), State::Ok, "each of 1", "");
    assert_found("S4", &with(scheduler::RR, 0, false), State::Warn, "has the scheduler rr", "\"mh\"");
    assert_found("S4", &with(scheduler::MH, port, false), State::Warn, "without mh-fallback", "\"mh\"");
    assert_found("S4", &with(scheduler::MH, fallback, false), State::Note, "without mh-port", "");
    assert_found("S4", &with(scheduler::SH, 0, false), State::Note, "has the scheduler sh", "");
    assert_found("S4", &with(scheduler::MH, fallback | port, true), State::Warn, "is persistent", "persistence: None");
    assert_found("S4", &with(scheduler::WRR, 0, true), State::Warn, "is persistent", "persistence: None");
    // Of clients that are told apart by their address alone, the address says the server.
    assert_found("S4", &with(scheduler::MH, fallback, true), State::Ok, "", "");
    // What the fix makes is as it should be.
    for facts in [with(scheduler::RR, 0, false), with(scheduler::MH, port, false), with(scheduler::WRR, 0, true)] {
        let Ok(judged) = judge("S4", &facts) else { panic!() };
        let Some(Fix::Changes(changes)) = &judged[0].fix else { panic!("{judged:?}") };
        let [ipvs_client::Change::EditService(fixed)] = changes[..] else { panic!("{changes:?}") };
        let mut facts = facts.clone();
        table(&mut facts, |service| service.entry.service = fixed);
        let Ok(judged) = judge("S4", &facts) else { panic!() };
        assert!(judged[0].state <= State::Note, "{judged:?}");
    }
    let mut facts = several();
    table(&mut facts, |service| service.destinations[0].destination.upper_threshold = 9);
    assert_found("S4", &facts, State::Warn, "30.30.30.30:80 has an upper threshold", "upper_threshold: 0");
}

#[test]
fn s5_other_directors() {
    let mut facts = several();
    assert_found("S5", &facts, State::Ok, "equal", "");
    facts.peers = Fact::known(vec![peer("one", 2)], "peers");
    assert_found("S5", &facts, State::Warn, "rules that differ: 2", "-R --replace");
    facts.peers = Fact::known(vec![peer("two", 0)], "peers");
    let fact = format!("the digest of {KEY} is one here, and two there");
    assert_found("S5", &facts, State::Warn, &fact, "the director whose table peer.json is# ipvsadm-rs -S -n --all");
    facts.slots = Fact::known(vec![slots("one", false)], "table");
    assert_found(
        "S5",
        &facts,
        State::Warn,
        &fact,
        "ipvsadm-rs -R --replace --reorder --file /run/ipvsadm.rules.in-order",
    );
    // What is not known is neither right nor wrong.
    facts.peers = Fact::known(vec![PeerTable { digests: [].into(), ..peer("", 0) }], "peers");
    assert_found("S5", &facts, State::Note, "is not known there", "");
    facts.slots = Fact::known(vec![Slots { digest: Err("why".to_owned()), ..slots("", true) }], "table");
    assert_found("S5", &facts, State::Note, "is not known here: why", "");
    facts.peers = Fact::known(Vec::new(), "peers");
    assert_skipped("S5", &facts, "no other director's table was given");
    facts.slots = Fact::known(vec![slots("one", false)], "table");
    assert_found("S5", &facts, State::Note, "not in the order of their addresses", "--peer FILE");
    facts.slots = Fact::known(Vec::new(), "table");
    assert_skipped("S5", &facts, "no service with the scheduler");
}

#[test]
fn s6_routers_are_never_said_to_be_well() {
    assert_found("S6", &several(), State::Note, "cannot be seen from here", "fib_multipath_hash_policy=1");
}
