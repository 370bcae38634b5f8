//! What is printed to type where the packet filter is in the way.

use super::fixtures::*;
use crate::doctor::State;
use crate::doctor::facts::*;
use crate::doctor::passage::*;

fn place(family: &str, table: &str, chain: &str, handle: Option<u64>) -> RulePlace {
    RulePlace {
        family: family.to_owned(),
        table: table.to_owned(),
        chain: chain.to_owned(),
        handle,
        can_be_typed: true,
        is_iptables: family == "ip" && chain.starts_with(|letter: char| letter.is_ascii_uppercase()),
        has_docker_user: false,
    }
}

/// A director whose packets are stopped there.
fn stopped_at(place: RulePlace, change: impl FnOnce(&mut Passage)) -> Facts {
    let mut facts = director();
    let fate = Fate::Stopped { how: "dropped".to_owned(), rule: "a rule".to_owned(), place: Some(place) };
    let mut passage = Passage { fate: Fact::known(fate, "rules"), ..passage() };
    change(&mut passage);
    facts.scheduled = vec![passage];
    facts
}

/// An answer of a masqueraded server.
fn answer_of_server(passage: &mut Passage) {
    passage.stage = Stage::Answer;
    passage.selector = Selector {
        source: Some(ip("30.30.30.30")),
        source_port: Some(8080),
        destination: None,
        port: None,
        ..passage.selector.clone()
    };
}

#[track_caller]
fn assert_typed(facts: &Facts, command: &str) {
    assert_found("D14", facts, State::Fail, "dropped by a rule", command);
}

#[test]
fn nftables_gets_a_rule_before_the_one_that_refuses() {
    let facts = stopped_at(place("inet", "f", "i", Some(9)), |_| {});
    assert_typed(&facts, "nft insert rule inet f i position 9 ip daddr 20.20.20.20 tcp dport 80 accept comment");
    let facts = stopped_at(place("inet", "f", "i", None), |_| {});
    assert_typed(&facts, "nft add rule inet f i ip daddr 20.20.20.20 tcp dport 80 accept comment");
    let facts = stopped_at(place("inet", "f", "fwd", None), answer_of_server);
    assert_typed(&facts, "nft add rule inet f fwd ip saddr 30.30.30.30 tcp sport 8080 accept comment");
    let facts = stopped_at(place("inet", "f", "o", Some(3)), |passage| {
        passage.stage = Stage::SentOn;
        passage.selector = Selector { protocol: OverIp::IPIP, port: None, ..passage.selector.clone() };
    });
    assert_typed(&facts, "position 3 ip daddr 20.20.20.20 meta l4proto 4 accept comment");
    // A name that a shell would take for something else.
    let facts = stopped_at(RulePlace { can_be_typed: false, ..place("inet", "f;x", "i", None) }, |_| {});
    assert_typed(&facts, "cannot be typed");
}

#[test]
fn iptables_gets_a_rule_at_the_top_and_docker_in_its_chain_for_users() {
    let facts = stopped_at(place("ip", "filter", "INPUT", None), |_| {});
    assert_typed(&facts, "iptables -I INPUT 1 -p tcp -d 20.20.20.20 --dport 80 -j ACCEPT");
    let facts = stopped_at(place("ip", "mangle", "PREROUTING", Some(2)), |_| {});
    assert_typed(&facts, "iptables -t mangle -I PREROUTING 1 -p tcp -d 20.20.20.20 --dport 80 -j ACCEPT");
    let facts = stopped_at(place("ip", "filter", "FORWARD", None), answer_of_server);
    assert_typed(&facts, "iptables -I FORWARD 1 -p tcp -s 30.30.30.30 --sport 8080 -j ACCEPT");
    let docker = RulePlace { has_docker_user: true, ..place("ip", "filter", "FORWARD", None) };
    let facts = stopped_at(docker, answer_of_server);
    assert_typed(&facts, "iptables -I DOCKER-USER 1 -p tcp -s 30.30.30.30 --sport 8080 -j ACCEPT");
}

#[test]
fn ufw_and_firewalld_are_asked_where_they_keep_the_rules() {
    let facts = stopped_at(place("ip", "filter", "ufw-user-input", Some(2)), |_| {});
    assert_typed(&facts, "ufw prepend allow proto tcp from any to 20.20.20.20 port 80");
    // The policy of a chain that ufw fills.
    let mut facts = stopped_at(place("ip", "filter", "INPUT", None), |_| {});
    facts.programs = Fact::known(vec!["ufw".to_owned()], "processes");
    assert_typed(&facts, "ufw prepend allow proto tcp from any to 20.20.20.20 port 80");
    let facts = stopped_at(place("ip", "filter", "ufw-user-forward", Some(2)), answer_of_server);
    assert_typed(&facts, "ufw route prepend allow proto tcp from 30.30.30.30 port 8080 to any");
    let facts = stopped_at(place("ip", "filter", "ufw-before-input", Some(2)), |_| {});
    assert_typed(&facts, "In /etc/ufw/before.rules");
    // No zone is asked before that.
    let facts = stopped_at(place("inet", "firewalld", "filter_INPUT", Some(2)), |_| {});
    assert_typed(&facts, "firewalld has no rule that comes before this one");
    let facts = stopped_at(place("inet", "firewalld", "filter_IN_public", Some(2)), |_| {});
    let rule = "rule family=\"ipv4\" destination address=\"20.20.20.20\" port port=\"80\" protocol=\"tcp\" accept";
    assert_typed(&facts, &format!("--add-rich-rule='{rule}' && firewall-cmd --reload"));
    assert_typed(&facts, "firewall-cmd --permanent --zone=\"$(firewall-cmd --get-zone-of-interface=eth0");
    // Answers are let through as those of established connections, if they can be that.
    let facts = stopped_at(place("inet", "firewalld", "filter_FORWARD", Some(2)), |passage| {
        answer_of_server(passage);
        passage.passes_if_tracked = true;
    });
    assert_typed(&facts, "sysctl -w net.ipv4.vs.conntrack=1");
    let facts = stopped_at(place("inet", "firewalld", "filter_FORWARD", Some(2)), answer_of_server);
    assert_typed(&facts, "policy of firewalld between the zones");
}

#[test]
fn what_docker_takes_from_ipvs_is_for_a_person_to_decide() {
    let mut facts = director();
    let fate = Fate::Redirected {
        address: Some(ip("172.17.0.2")),
        port: Some(80),
        rule: "ip nat DOCKER".to_owned(),
        then: Box::new(Fate::Accepted),
    };
    facts.scheduled = vec![Passage { taken_from_ipvs: true, fate: Fact::known(fate.clone(), "rules"), ..passage() }];
    assert_found(
        "D14",
        &facts,
        State::Fail,
        "sent to 172.17.0.2 port 80 by ip nat DOCKER, before IPVS",
        "Decide which",
    );
    // On a real server it is what serves.
    let mut facts = real_server();
    facts.delivered = vec![Passage { fate: Fact::known(fate, "rules"), ..passage() }];
    assert_found("R9", &facts, State::Ok, "sent to 172.17.0.2 port 80 by ip nat DOCKER", "");
    assert_found("R8", &facts, State::Ok, "tcp 80 of 172.17.0.2", "");
    facts.addresses = Fact::known(vec![address(ETH0, "30.30.30.30", 24)], "addresses");
    assert_found("R1", &facts, State::Ok, "is not needed here", "");
}
