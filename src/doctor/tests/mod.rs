//! Each check on facts made by hand: a machine where all is well, and one thing wrong with it.
//!
//! Here are the tests of both machines alike.

mod director;
pub(super) mod fixtures;
mod readiness;
mod real_server;
mod remedy;
mod scale_out;

use super::facts::*;
use super::judgement::sysctl_key;
use super::passage::*;
use super::*;
use crate::machine::RouteKind;
use fixtures::*;
use ipvs_client::{DestinationKey, Forwarding, Tunnel};

#[test]
fn all_is_well_where_all_is_well() {
    for (facts, role) in [(director(), Role::Director), (real_server(), Role::RealServer)] {
        let vips = roles::of_vips(&facts);
        assert_eq!(roles::of_machine(&facts, &vips), [role]);
        for finding in examine(&facts, &[role], &vips) {
            let state = finding.judgement.state;
            assert!(matches!(state, State::Ok | State::Skip), "{}: {:?}", finding.check.id, finding.judgement);
        }
    }
}

#[test]
fn names_of_checks_go_on_by_one() {
    for (role, letter, count) in [(Role::Director, 'D', 28), (Role::RealServer, 'R', 13), (Role::ScaleOut, 'S', 6)] {
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
    (facts.scheduled, facts.delivered, facts.cluster) = (vec![passage.clone()], vec![passage.clone()], vec![passage]);
    (facts.policies, facts.progress) = (Fact::unreadable(no, "x"), Fact::unreadable(no, "x"));
    (facts.traffic, facts.programs) = (Fact::unreadable(no, "x"), Fact::unreadable(no, "x"));
    facts.returns.iter_mut().for_each(|one| one.route = Fact::unreadable(no, "x"));
    facts.probe = Some(Probe {
        answers: Fact::unreadable(no, "x"),
        sync_ids: Fact::unreadable(no, "x"),
        reverse_path_drops: Fact::unreadable(no, "x"),
    });
    let both = [Role::Director, Role::RealServer];
    let of = |role| VipRole { vip: vip(VIP), roles: vec![role], seen: String::new() };
    for finding in examine(&facts, &both, &both.map(of)) {
        // No server in the table means nothing to be said of ports.
        assert_eq!(finding.judgement.state, State::Skip, "{}: {:?}", finding.check.id, finding.judgement);
        assert!(!finding.judgement.fact.is_empty(), "{}", finding.check.id);
    }
}

#[test]
fn d14_r9_and_d25_packet_filter() {
    for (id, mut facts) in [("D14", director()), ("R9", real_server()), ("D25", director())] {
        let place = RulePlace {
            family: "inet".to_owned(),
            table: "f".to_owned(),
            chain: "i".to_owned(),
            handle: Some(7),
            can_be_typed: true,
            is_iptables: false,
            has_docker_user: false,
        };
        let stopped =
            Fate::Stopped { how: "dropped".to_owned(), rule: "inet f i: drop".to_owned(), place: Some(place) };
        let all = |facts: &mut Facts, fate: &Fate, weight: State| {
            let passage = Passage { fate: Fact::known(fate.clone(), "rules"), weight, ..passage() };
            (facts.scheduled, facts.delivered, facts.cluster) =
                (vec![passage.clone()], vec![passage.clone()], vec![passage]);
        };
        all(&mut facts, &stopped, State::Fail);
        let fix = "nft insert rule inet f i position 7 ip daddr 20.20.20.20 tcp dport 80 accept";
        assert_found(id, &facts, State::Fail, "tcp to 20.20.20.20:80 is dropped by inet f i: drop", fix);
        all(&mut facts, &stopped, State::Warn);
        assert_found(id, &facts, State::Warn, "dropped", fix);
        all(&mut facts, &Fate::Depends("the client".to_owned()), State::Fail);
        assert_skipped(id, &facts, "the client");
        (facts.scheduled, facts.delivered, facts.cluster) = (Vec::new(), Vec::new(), Vec::new());
        assert_skipped(id, &facts, "does not apply");
    }
}

#[test]
fn settings_of_interfaces_with_dots_are_named_as_sysctl_takes_them() {
    assert_eq!(sysctl_key("net/ipv4/conf/eth0/rp_filter"), "net.ipv4.conf.eth0.rp_filter");
    assert_eq!(sysctl_key("net/ipv4/conf/eth0.5/rp_filter"), "net/ipv4/conf/eth0.5/rp_filter");
}

#[test]
fn a_machine_can_be_both_or_nothing() {
    let mut facts = director();
    let roles = |facts: &Facts| roles::of_machine(facts, &roles::of_vips(facts));
    // Wherever a director has the VIP, it is a director's.
    facts.addresses = Fact::known(vec![address(LO, VIP, 32)], "addresses");
    assert_eq!(roles(&facts), [Role::Director]);
    facts.paths.extend([path("30.30.30.30", RouteKind::Local, None)]);
    assert_eq!(roles(&facts), [Role::Director, Role::RealServer]);
    let of_both = examine(&facts, &roles(&facts), &roles::of_vips(&facts));
    assert!(of_both.iter().all(|finding| finding.check.role == Role::Director));
    assert_eq!(roles(&Facts { vips: Vec::new(), ..machine() }), []);
    // Another VIP that it serves for another director.
    facts.vips.push(vip("20.20.20.21"));
    let held = vec![address(LO, VIP, 32), address(LO, "20.20.20.21", 32), address(ETH0, "30.30.30.20", 24)];
    facts.addresses = Fact::known(held, "addresses");
    let found = examine(&facts, &roles(&facts), &roles::of_vips(&facts));
    let of = |id: &str| found.iter().find(|finding| finding.check.id == id).unwrap();
    assert_eq!(of("R2").judgement.state, State::Fail);
    assert!(of("R1").judgement.fact.starts_with("20.20.20.21/32 on lo"), "{}", of("R1").judgement.fact);
    // One that was not named, and may be the director's own.
    facts.vips[1].is_named = false;
    assert_eq!(roles::of_vips(&facts)[1].roles, []);
    facts.paths.extend([path("30.30.30.30", RouteKind::Unicast, None)]);
    table(&mut facts, |service| {
        let key = DestinationKey { address: ip("30.30.30.50"), port: 80 };
        service.destinations[0].destination.forwarding = Forwarding::Tunnel(Tunnel::Ipip);
        service.destinations[0].destination.key = key;
    });
    // Of tunnels it is not asked whether they are on this segment.
    assert_found("D4", &facts, State::Ok, "no gateway", "");
}

#[test]
fn the_cause_comes_before_what_follows_from_it() {
    let mut facts = director();
    facts.paths.extend([path("30.30.30.30", RouteKind::Unicast, Some("30.30.30.254"))]);
    facts.progress = Fact::known(
        vec![Progress {
            service: (ip(VIP), 80),
            server: (ip("30.30.30.30"), 80),
            client: ip("40.40.40.10"),
            waiting: 2,
            further: 0,
            synced: 0,
        }],
        "connections",
    );
    assert_found("D27", &facts, State::Fail, "2 connections to 20.20.20.20:80 wait", "ipvsadm-rs doctor 20.20.20.20");
    let vips = roles::of_vips(&facts);
    let found = examine(&facts, &[Role::Director], &vips);
    assert_eq!((found[0].check.id, found[0].follows), ("D4", None));
    assert_eq!((found[1].check.id, found[1].follows), ("D27", Some("D4")));
    // Connections that got further show that it works.
    if let Some(all) = facts.progress.value_mut() {
        all[0].further = 1;
    }
    assert_found("D27", &facts, State::Ok, "1 connections got an answer", "");
}

/// Strict reverse path filtering drops clients' packets where there is no way back, and the way back is what is missing.
#[test]
fn a_missing_default_route_comes_before_the_filter_that_follows_from_it() {
    let mut facts = real_server();
    set(&mut facts, "net/ipv4/conf/all/rp_filter", 1);
    for way in &mut facts.returns {
        way.route = Fact::known(None, "routes");
    }
    let vips = roles::of_vips(&facts);
    let found = examine(&facts, &[Role::RealServer], &vips);
    assert_eq!((found[0].check.id, found[0].follows), ("R6", None));
    assert_eq!((found[1].check.id, found[1].follows), ("R7", Some("R6")));
}
