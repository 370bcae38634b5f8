//! What to type so that the packet filter lets packets through: by the manager in charge, just these packets, before the rule
//! that refuses them; and what takes it back. Never a policy, never the deletion of a rule.

use std::net::IpAddr;

use super::facts::Facts;
use super::passage::{Passage, RulePlace, Selector, Stage};

/// What can be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// This is typed.
    Command {
        /// The command.
        command: String,
        /// What takes it back.
        undo: String,
    },
    /// A person has to decide.
    Advice(String),
}

/// Who keeps the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manager {
    Firewalld,
    Ufw,
    Iptables,
    Nft,
}

/// Chains that iptables makes, and other programs in its tables.
const TABLES: &[&str] = &["filter", "nat", "mangle", "raw", "security"];

fn manager(facts: &Facts, place: &RulePlace) -> Manager {
    if place.table == "firewalld" {
        Manager::Firewalld
    } else if place.chain.starts_with("ufw") || (place.is_iptables && facts.runs(&["ufw"]) && place.table == "filter") {
        Manager::Ufw
    } else if place.is_iptables && facts.runs(&["firewalld"]) {
        Manager::Firewalld
    } else if place.is_iptables && TABLES.contains(&place.table.as_str()) {
        Manager::Iptables
    } else {
        Manager::Nft
    }
}

/// What lets a packet through that a rule refuses.
pub fn remedy(facts: &Facts, passage: &Passage, place: &RulePlace) -> Remedy {
    let by_hand = || {
        Remedy::Advice(format!(
            "Let {} through before that rule. The names of table or chain cannot be typed.",
            selector_words(&passage.selector)
        ))
    };
    match manager(facts, place) {
        Manager::Firewalld => firewalld(passage, place),
        Manager::Ufw => ufw(passage, place),
        Manager::Iptables if place.can_be_typed => iptables(passage, place),
        Manager::Nft if place.can_be_typed => nft(passage, place),
        _ => by_hand(),
    }
}

fn command(command: String, undo: String) -> Remedy {
    Remedy::Command { command, undo }
}

/// What is let through, in words.
fn selector_words(of: &Selector) -> String {
    let mut words = of.protocol.to_string();
    if let Some(source) = of.source {
        words += &format!(" from {source}");
    }
    if let Some(port) = of.source_port {
        words += &format!(" port {port}");
    }
    if let Some(destination) = of.destination {
        words += &format!(" to {destination}");
    }
    if let Some(port) = of.port {
        words += &format!(" port {port}");
    }
    words
}

/// Let IPVS's connections be known to connection tracking, so that rules for established connections let them through.
fn track() -> Remedy {
    command("sysctl -w net.ipv4.vs.conntrack=1".to_owned(), "sysctl -w net.ipv4.vs.conntrack=0".to_owned())
}

fn firewalld(passage: &Passage, place: &RulePlace) -> Remedy {
    let of = &passage.selector;
    // There it drops packets of state invalid, and then asks its zones, which come to an end of their own.
    if place.chain == "filter_INPUT" {
        return Remedy::Advice(
            "firewalld has no rule that comes before this one. Connections whose end is dropped stay in IPVS's list until \
             their timeout; packets under way are not invalid with net.netfilter.nf_conntrack_tcp_loose=1."
                .to_owned(),
        );
    }
    if passage.stage != Stage::In {
        if passage.passes_if_tracked {
            return track();
        }
        return Remedy::Advice(format!(
            "Let {} through with a policy of firewalld between the zones of the two interfaces (firewall-cmd \
             --permanent --new-policy), with just these addresses and ports in its rules.",
            selector_words(of)
        ));
    }
    let family = if of.is_ipv6() { "ipv6" } else { "ipv4" };
    let mut rule = format!("rule family=\"{family}\"");
    if let Some(source) = of.source {
        rule += &format!(" source address=\"{source}\"");
    }
    if let Some(destination) = of.destination {
        rule += &format!(" destination address=\"{destination}\"");
    }
    rule += &match of.port {
        Some(port) => format!(" port port=\"{port}\" protocol=\"{}\"", of.protocol),
        None => format!(" protocol value=\"{}\"", of.protocol.word()),
    };
    let zone = match &passage.input {
        Some(name) => format!(
            " --zone=\"$(firewall-cmd --get-zone-of-interface={name} 2>/dev/null || firewall-cmd --get-default-zone)\""
        ),
        None => String::new(),
    };
    let typed = |verb: &str| {
        format!("firewall-cmd --permanent{zone} --{verb}-rich-rule='{rule} accept' && firewall-cmd --reload")
    };
    command(typed("add"), typed("remove"))
}

fn ufw(passage: &Passage, place: &RulePlace) -> Remedy {
    let of = &passage.selector;
    // What ufw has before its users' rules is in files of its own.
    let is_before = place.chain.starts_with("ufw-before") || place.chain.starts_with("ufw6-before");
    if is_before || !of.protocol.has_ports() {
        let file = if of.is_ipv6() { "/etc/ufw/before6.rules" } else { "/etc/ufw/before.rules" };
        let chain = match passage.stage {
            Stage::In => "ufw-before-input",
            Stage::Answer => "ufw-before-forward",
            Stage::SentOn | Stage::Out => "ufw-before-output",
        };
        let chain = if of.is_ipv6() { chain.replacen("ufw-", "ufw6-", 1) } else { chain.to_owned() };
        let rule = format!("-A {chain} {} -j ACCEPT", iptables_match(of));
        return Remedy::Advice(format!(
            "ufw has no command for that. In {file}, before the line that drops packets of state INVALID, add: {rule}; \
             then: ufw reload"
        ));
    }
    let (before, direction) = match passage.stage {
        Stage::In => ("", ""),
        Stage::Answer => ("route ", ""),
        Stage::SentOn | Stage::Out => ("", "out "),
    };
    let side = |address: Option<IpAddr>, port: Option<u16>| {
        let mut words = address.map_or_else(|| "any".to_owned(), |address| address.to_string());
        if let Some(port) = port {
            words += &format!(" port {port}");
        }
        words
    };
    let rule = format!(
        "allow {direction}proto {} from {} to {}",
        of.protocol,
        side(of.source, of.source_port),
        side(of.destination, of.port)
    );
    command(format!("ufw {before}prepend {rule}"), format!("ufw {before}delete {rule}"))
}

/// A selector as iptables(8) takes it.
fn iptables_match(of: &Selector) -> String {
    let mut words = format!("-p {}", of.protocol);
    if let Some(source) = of.source {
        words += &format!(" -s {source}");
    }
    if let Some(destination) = of.destination {
        words += &format!(" -d {destination}");
    }
    if let Some(port) = of.source_port {
        words += &format!(" --sport {port}");
    }
    if let Some(port) = of.port {
        words += &format!(" --dport {port}");
    }
    words
}

fn iptables(passage: &Passage, place: &RulePlace) -> Remedy {
    let of = &passage.selector;
    let program = if of.is_ipv6() { "ip6tables" } else { "iptables" };
    let table = if place.table == "filter" { String::new() } else { format!(" -t {}", place.table) };
    // What Docker leaves to its users is asked first, and stays when it makes its chains again.
    let is_dockers = passage.stage == Stage::Answer && place.table == "filter" && place.has_docker_user;
    let chain = if is_dockers { "DOCKER-USER" } else { place.chain.as_str() };
    let rule = format!("{chain} {} -j ACCEPT", iptables_match(of));
    let (name, matched) = rule.split_once(' ').unwrap_or((&rule, ""));
    command(format!("{program}{table} -I {name} 1 {matched}"), format!("{program}{table} -D {rule}"))
}

fn nft(passage: &Passage, place: &RulePlace) -> Remedy {
    let of = &passage.selector;
    let RulePlace { family, table, chain, handle, .. } = place;
    let layer = if of.is_ipv6() { "ip6" } else { "ip" };
    let mut rule = String::new();
    if let Some(source) = of.source {
        rule += &format!("{layer} saddr {source} ");
    }
    if let Some(destination) = of.destination {
        rule += &format!("{layer} daddr {destination} ");
    }
    if !of.protocol.has_ports() {
        rule += &format!("meta l4proto {} ", of.protocol);
    }
    if let Some(port) = of.source_port {
        rule += &format!("{} sport {port} ", of.protocol);
    }
    if let Some(port) = of.port {
        rule += &format!("{} dport {port} ", of.protocol);
    }
    let comment = format!("ipvsadm-rs lets {} through", selector_words(of));
    let at = format!("{family} {table} {chain}");
    let typed = match handle {
        Some(handle) => format!("nft insert rule {at} position {handle} {rule}accept comment '\"{comment}\"'"),
        None => format!("nft add rule {at} {rule}accept comment '\"{comment}\"'"),
    };
    let pattern = comment.replace('.', "\\.");
    command(
        typed,
        format!(
            "nft delete rule {at} handle \"$(nft -a list chain {at} | sed -n 's/.*\"{pattern}\" # handle //p' | head -n 1)\""
        ),
    )
}
