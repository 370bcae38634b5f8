//! Each check on facts made by hand: a machine where all is well, and one thing wrong with it.
//!
//! Here are the tests of both machines alike.

mod director;
pub(super) mod fixtures;
mod readiness;
mod real_server;

use super::facts::*;
use super::judgement::sysctl_key;
use super::*;
use fixtures::*;
use ipvs_client::{DestinationKey, Forwarding, Tunnel};

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
    for (role, letter, count) in [(Role::Director, 'D', 24), (Role::RealServer, 'R', 13)] {
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
fn settings_of_interfaces_with_dots_are_named_as_sysctl_takes_them() {
    assert_eq!(sysctl_key("net/ipv4/conf/eth0/rp_filter"), "net.ipv4.conf.eth0.rp_filter");
    assert_eq!(sysctl_key("net/ipv4/conf/eth0.5/rp_filter"), "net/ipv4/conf/eth0.5/rp_filter");
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
    // Of tunnels it is not asked whether they are on this segment.
    assert_found("D4", &facts, State::Ok, "no gateway", "");
}
