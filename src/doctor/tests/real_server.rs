//! The checks of a real server.

use ipvs_client::{Family, Protocol};

use super::fixtures::*;
use crate::doctor::facts::*;
use crate::doctor::passage::*;
use crate::doctor::*;
use crate::machine::{Link, LinkFlags, Listener, Prefix, RouteKind, Rule, RuleAction, SettingLine};

#[test]
fn r1_vip_is_here() {
    let mut facts = real_server();
    facts.addresses = Fact::known(vec![address(LO, VIP, 24)], "addresses");
    let fix = "ip addr del 20.20.20.20/24 dev lo && ipvsadm-rs realserver start 20.20.20.20";
    assert_found("R1", &facts, State::Warn, "20.20.20.20/24 on lo", fix);
    // The router is then taken for this machine.
    let default = route(Prefix::all(Family::Ipv4), RouteKind::Unicast, Some("20.20.20.254"), ETH0);
    facts.routes = Fact::known(vec![default], "routes");
    assert_found("R1", &facts, State::Fail, "the gateway 20.20.20.254 is in it", fix);
    facts.addresses = Fact::known(Vec::new(), "addresses");
    assert_found("R1", &facts, State::Fail, "not on lo", "ipvsadm-rs realserver start 20.20.20.20");
    // Where it belongs, but of no use there.
    let mut links = facts.links.value().unwrap().clone();
    links.push(link(3, "dummy0", LinkFlags::NO_ARP));
    facts.links = Fact::known(links, "links");
    facts.addresses = Fact::known(vec![address(3, VIP, 32)], "addresses");
    assert_found("R1", &facts, State::Fail, "on dummy0, which is down", "ip link set dummy0 up");
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
        // A larger value that lets the VIP be announced; of the interface's own `realserver start` could not undo it.
        set(&mut facts, &format!("net/ipv4/conf/all/{name}"), 2);
        set(&mut facts, &format!("net/ipv4/conf/eth0/{name}"), 3);
        let own = format!("sysctl -w net.ipv4.conf.eth0.{name}=");
        assert_found(id, &facts, State::Fail, &format!("{name} is 3 on eth0"), &own);
        set(&mut facts, &format!("net/ipv4/conf/all/{name}"), 3);
        assert_found(id, &facts, State::Fail, &format!("{name} is 3 on eth0"), " && ipvsadm-rs realserver start 20.");
        set(&mut facts, &format!("net/ipv4/conf/eth0/{name}"), 0);
        assert_found(id, &facts, State::Fail, &format!("{name} is 3 on eth0"), "ipvsadm-rs realserver start 20.");
        facts.vips = vec![vip(VIP6)];
        assert_skipped(id, &facts, "IPv6");
    }
}

/// Rules for ARP that stop what comes in, what goes out, or both.
fn arp(incoming: bool, outgoing: bool) -> ArpPassage {
    let fate = |stops: bool| match stops {
        true => Fate::Stopped { how: "dropped".to_owned(), rule: "arp f i: drop".to_owned(), place: None },
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
    // Rules for ARP can keep it quiet there.
    facts.addresses = Fact::known(vec![address(ETH0, VIP, 32)], "addresses");
    facts.arp = Fact::known(vec![arp(true, true)], "rules");
    assert_found("R1", &facts, State::Ok, "20.20.20.20/32 on eth0", "");
    assert_found("R4", &facts, State::Ok, "on eth0, whose rules for ARP stop questions", "");
    facts.arp = Fact::known(vec![arp(false, true)], "rules");
    assert_found("R1", &facts, State::Ok, "20.20.20.20/32 on eth0", "");
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
    assert_found("R5", &facts, State::Warn, "will be 0 at boot", "sed -i.before '4s/=.*/= 1/' /etc/sysctl.d/99.conf");
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
    assert_found("R5", &facts, State::Warn, "will be 3 at boot", "sed -i.before '7s/=.*/= 1/'");
    // For all interfaces by a star; a script comes last, and is not for sed.
    let star = SettingLine { key: "net/ipv4/conf/*/arp_ignore".to_owned(), ..good[0].clone() };
    facts.boot_settings = Fact::known(vec![star, good[1].clone()], "sysctl.d");
    assert_found("R5", &facts, State::Ok, "come back", "");
    let script = SettingLine { file: "/etc/rc.local".to_owned(), value: "0".to_owned(), ..good[0].clone() };
    facts.boot_settings = Fact::known(vec![good[1].clone(), script], "sysctl.d");
    assert_found("R5", &facts, State::Warn, "will be 0 at boot", "Let line 1 of /etc/rc.local make it 1");
    facts.boot_settings = Fact::known(good, "sysctl.d");
    facts.boot_addresses = Fact::known(Vec::new(), "etc");
    assert_found("R5", &facts, State::Warn, "no file sets 20.20.20.20", "--persist 20.20.20.20");
    // Of an IPv6 VIP only the address matters.
    facts.boot_settings = Fact::known(Vec::new(), "sysctl.d");
    facts.vips = vec![vip(VIP6)];
    assert_found("R5", &facts, State::Warn, "no file sets 2001:db8:20::20", "--persist 2001:db8:20::20");
}

#[test]
fn r6_way_back() {
    let mut facts = real_server();
    let clients = Prefix { address: ip("40.40.40.0"), length: 24 };
    let subnet = route(clients, RouteKind::Unicast, Some("30.30.30.20"), ETH0);
    facts.neighbours = Fact::known(vec![neighbour("30.30.30.254", 0xfe, 2), neighbour("30.30.30.20", 0x21, 2)], "n");
    assert_found("R6", &facts, State::Ok, "30.30.30.254, which is not the director: for the VIP answers 02:", "");
    let mut other = facts.clone();
    other.routes = Fact::known([facts.routes.value().unwrap().clone(), vec![subnet]].concat(), "routes");
    other.returns.push(returning(VIP, Some(clients), Some("30.30.30.20"), ETH0));
    let fix = "ip route del 40.40.40.0/24 via 30.30.30.20";
    assert_found("R6", &other, State::Warn, "40.40.40.0/24 goes via 30.30.30.20", fix);
    let waiting = |established, half_open| Fact::known([(ip(VIP), Traffic { established, half_open })].into(), "s");
    other.traffic = waiting(0, 2);
    assert_found("R6", &other, State::Fail, "2 connections wait for the client's answer", fix);
    // The director may forward what comes from its own address.
    other.traffic = waiting(1, 2);
    assert_found("R6", &other, State::Note, "clients are connected", "");
    facts.returns = vec![returning(VIP, None, Some("30.30.30.20"), ETH0)];
    assert_found("R6", &facts, State::Warn, "default goes via", "ip route replace default via ROUTER");
    facts.returns[0].route = Fact::known(None, "routes");
    assert_found("R6", &facts, State::Fail, "no route has a gateway", "ip route add default");
    facts = real_server();
    facts.probe = None;
    assert_skipped("R6", &facts, "--probe");
}

#[test]
fn r6_rules_of_policy_routing() {
    let mut facts = real_server();
    facts.addresses = Fact::known(vec![address(ETH0, "30.30.30.30", 24), address(LO, VIP, 32)], "addresses");
    let rule = Rule {
        family: Family::Ipv4,
        priority: 100,
        from: Prefix::host(ip("30.30.30.30")),
        to: Prefix::all(Family::Ipv4),
        input: None,
        output: None,
        mark: None,
        inverted: false,
        action: RuleAction::Lookup,
        table: 77,
    };
    facts.policies = Fact::known(vec![rule.clone()], "rules");
    facts.returns.push(returning("30.30.30.30", None, Some("30.30.30.254"), ETH0));
    assert_found("R6", &facts, State::Ok, "not the director", "");
    facts.returns[0] = returning(VIP, None, Some("30.30.30.1"), ETH0);
    let fix = "ip rule add from 20.20.20.20 lookup 77";
    let fact = "go via 30.30.30.1 by eth0, those from 30.30.30.30 via 30.30.30.254";
    assert_found("R6", &facts, State::Fail, fact, fix);
    // By whichever of two interfaces clients come in.
    let eth1 = link(7, "eth1", LinkFlags::UP);
    facts.links = Fact::known([facts.links.value().unwrap().clone(), vec![eth1]].concat(), "links");
    let held = [facts.addresses.value().unwrap().clone(), vec![address(7, "50.50.50.30", 24)]].concat();
    facts.addresses = Fact::known(held, "addresses");
    facts.probe.as_mut().unwrap().answers = Fact::known(Vec::new(), "wire");
    assert_found("R6", &facts, State::Fail, fact, fix);
    // A rule for the administrators' network says nothing of clients.
    facts.policies = Fact::known(vec![Rule { from: Prefix::host(ip("50.50.50.30")), ..rule }], "rules");
    facts.returns.push(returning("50.50.50.30", None, Some("50.50.50.1"), 7));
    assert_found("R6", &facts, State::Ok, "not the director", "");
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
    assert_found("R7", &facts, State::Ok, "come in by eth0 and answers leave by it", "");
    with_tunnel(&mut facts, LinkFlags::UP, 1480);
    assert_found("R7", &facts, State::Fail, "rp_filter is 1 on ipip0", "sysctl -w net.ipv4.conf.ipip0.rp_filter=2");
    set(&mut facts, "net/ipv4/conf/ipip0/rp_filter", 2);
    assert_found("R7", &facts, State::Ok, "rp_filter is 2 on ipip0", "");
    // Loose filtering drops what comes in by an interface without an address, too.
    facts.addresses = Fact::known(vec![address(LO, VIP, 32)], "addresses");
    let fix = "sysctl -w net.ipv4.conf.ipip0.rp_filter=2 && ip addr add 20.20.20.20/32 dev ipip0";
    assert_found("R7", &facts, State::Fail, "ipip0 has no address", fix);
    set(&mut facts, "net/ipv4/conf/all/rp_filter", 0);
    assert_found("R7", &facts, State::Fail, "ipip0 has no address", "sysctl -w net.ipv4.conf.ipip0.rp_filter=0");
}

#[test]
fn r7_two_interfaces() {
    const ETH1: u32 = 7;
    let mut facts = real_server();
    facts.probe = None;
    let mut links = facts.links.value().unwrap().clone();
    links.push(link(ETH1, "eth1", LinkFlags::UP | LinkFlags::BROADCAST));
    facts.links = Fact::known(links, "links");
    let held = vec![address(ETH0, "30.30.30.30", 24), address(ETH1, "50.50.50.30", 24), address(LO, VIP, 32)];
    facts.addresses = Fact::known(held, "addresses");
    set(&mut facts, "net/ipv4/conf/eth1/rp_filter", 0);
    set(&mut facts, "net/ipv4/conf/all/rp_filter", 1);
    facts.reverse_path_drops = Fact::known(12, "netstat");
    assert_skipped("R7", &facts, "if they came in by eth1 (dropped so far, from wherever: 12, IPReversePathFilter)");
    let other = Answer { interface: "eth1".to_owned(), ..answer(0x21) };
    facts.probe = Some(probe(vec![other], &[]));
    assert_found("R7", &facts, State::Fail, "rp_filter is 1 on eth1", "sysctl -w net.ipv4.conf.eth1.rp_filter=2");
    facts.probe = Some(probe(Vec::new(), &[]));
    assert_skipped("R7", &facts, "eth1");
    facts.probe.as_mut().unwrap().reverse_path_drops = Fact::known(3, "netstat");
    assert_found("R7", &facts, State::Fail, "3 packets were dropped while --probe listened", "eth1.rp_filter=2");
    set(&mut facts, "net/ipv4/conf/all/rp_filter", 0);
    assert_found("R7", &facts, State::Ok, "", "");
}

#[test]
fn r8_listeners() {
    let mut facts = real_server();
    let listener =
        |address: &str| Listener { protocol: Protocol::Tcp, address: ip(address), port: 80, only_ipv6: false };
    facts.listeners = Fact::known(vec![listener("30.30.30.30")], "sockets");
    assert_found("R8", &facts, State::Fail, "tcp port 80 listens on 30.30.30.30 only", "listen on 20.20.20.20");
    // Where another program serves the VIP, it may be for administrators alone.
    facts.listeners = Fact::known(vec![listener("30.30.30.30"), Listener { port: 443, ..listener(VIP) }], "sockets");
    assert_found("R8", &facts, State::Note, "tcp port 80 listens on 30.30.30.30 only", "listen on 20.20.20.20");
    facts.listeners = Fact::known(vec![listener("30.30.30.30")], "sockets");
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
