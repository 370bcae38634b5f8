//! `realserver status` and the checks R1 to R4 agree.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::fixtures::*;
use crate::doctor::facts::*;
use crate::doctor::quiet::{Fault, Method};
use crate::doctor::readiness::{self, Finding, Readiness, Rules, Silence, Standing};
use crate::doctor::*;
use crate::machine::{Address, Link, LinkFlags, RouteKind};

const DUMMY0: u32 = 3;
const BRIDGE: u32 = 4;
const VRF: u32 = 5;

/// A machine with lo, Ethernet, a dummy, a bond and a VRF, and a VIP where it belongs or not.
fn any_machine() -> impl Strategy<Value = Facts> {
    let master = option::of(select(&[BRIDGE, VRF][..]));
    let held = vec((select(&[LO, LO, ETH0, DUMMY0, BRIDGE][..]), select(&[32, 32, 32, 24][..])), 1..4);
    let values = vec(select(&[0, 1, 1, 2, 2, 3, 8][..]), 8);
    (any::<bool>(), any::<bool>(), master, held, values).prop_map(|(eth0, dummy0, master, held, values)| {
        let up = |is_up: bool| if is_up { LinkFlags::UP } else { 0 };
        let kind = |link: Link, kind: &str| Link { kind: Some(kind.to_owned()), ..link };
        let mut facts = real_server();
        let links = vec![
            link(LO, "lo", LinkFlags::UP | LinkFlags::LOOPBACK),
            Link { master, ..link(ETH0, "eth0", up(eth0)) },
            link(DUMMY0, "dummy0", LinkFlags::NO_ARP | up(dummy0)),
            kind(link(BRIDGE, "bond0", LinkFlags::UP), "bond"),
            kind(link(VRF, "red", LinkFlags::NO_ARP | LinkFlags::UP), "vrf"),
        ];
        let mut values = values.into_iter();
        for which in ["all", "eth0", "bond0", "lo"] {
            for (name, value) in ["arp_ignore", "arp_announce"].into_iter().zip(values.by_ref()) {
                set(&mut facts, &format!("net/ipv4/conf/{which}/{name}"), value);
            }
        }
        facts.links = Fact::known(links, "links");
        let of = |(index, prefix): (u32, u8)| address(index, VIP, prefix);
        // Each of them leads to other machines.
        let own = [address(ETH0, "30.30.30.30", 24), address(BRIDGE, "30.30.31.30", 24)];
        facts.addresses = Fact::known(held.into_iter().map(of).chain(own).collect(), "addresses");
        facts
    })
}

/// What `realserver status` finds of the VIP on `lo`, as far as the checks look at the same.
fn findings(facts: &Facts) -> Vec<Finding> {
    let network = facts.network().unwrap();
    let mut findings = readiness::settings(network.links, |key| facts.settings.get(key)).unwrap();
    findings.extend([readiness::address(network, ip(VIP), "lo"), readiness::elsewhere(network, ip(VIP), "lo")]);
    findings
}

fn is_well(id: &str, facts: &Facts) -> bool {
    judge(id, facts).unwrap_or_else(|skip| panic!("{}", skip.0)).iter().all(|one| one.state == State::Ok)
}

proptest! {
    #[test]
    fn status_and_checks_agree(facts in any_machine()) {
        let findings = findings(&facts);
        let passes = |is_about: fn(&Finding) -> bool| findings.iter().filter(|one| is_about(one)).all(Finding::passes);
        for (id, name) in [("R2", "arp_ignore"), ("R3", "arp_announce")] {
            let is_it = |one: &&Finding| matches!(one, Finding::Setting(wanted, _) if wanted.name == name);
            prop_assert_eq!(is_well(id, &facts), findings.iter().filter(is_it).all(Finding::passes), "{}", id);
        }
        prop_assert_eq!(is_well("R4", &facts), passes(|one| matches!(one, Finding::Elsewhere(_))));
        // It may be on another link as well; `status` was asked about lo.
        let on_lo = facts.addresses.value().unwrap().iter().any(|held: &Address| held.index == LO);
        prop_assert_eq!(is_well("R1", &facts) && on_lo, passes(|one| matches!(one, Finding::Address(_))));
    }
}

#[test]
fn a_vip_is_ready_if_all_findings_pass() {
    let mut facts = real_server();
    let mut ready = Readiness {
        vip: ip(VIP),
        started: true,
        method: Method::ArpSysctl,
        interface: "lo".to_owned(),
        findings: findings(&facts),
        without_record: Vec::new(),
    };
    assert_eq!(ready.findings.len(), 4);
    assert!(ready.is_ready());
    for bad in [
        Finding::Address(Standing::Missing),
        Finding::Address(Standing::Faulty("lo".to_owned(), Fault::Wide(24))),
        Finding::Elsewhere(Some("eth0".to_owned())),
        Finding::Delivered(Ok(RouteKind::Unicast)),
        Finding::Delivered(Err("unreachable".to_owned())),
        Finding::HostRoute(false),
        Finding::Rules(Rules::MissingOn("eth1".to_owned())),
        Finding::AtBoot(false),
    ] {
        ready.findings.push(bad);
        assert!(!ready.is_ready(), "{:?}", ready.findings.pop());
        ready.findings.pop();
    }
    facts.links = Fact::known(vec![link(LO, "lo", LinkFlags::UP | LinkFlags::LOOPBACK)], "links");
    assert!(matches!(findings(&facts)[0], Finding::Setting(_, Silence::NothingToSilence)));
}
