//! Cases that follow from a table: every option with every command, every option twice, the lists of options that
//! exclude each other, and the order in which wrong options are found. What is right is for the original to say; the
//! table only has a valid value for each option.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::case::{Case, Run};

/// The options, in the order in which they are checked, with a valid value and the group of those that share a place.
const OPTIONS: [(&str, &str); 41] = [
    ("-n", "numeric"),
    ("-c", "connection"),
    ("-t 10.0.0.9:80", "service"),
    ("-u 10.0.0.9:80", "service"),
    ("--sctp-service 10.0.0.9:80", "service"),
    ("-f 9", "service"),
    ("-s rr", "scheduler"),
    ("-p 60", "persistent"),
    ("-M 255.255.255.0", "netmask"),
    ("-r 10.0.0.2", "server"),
    ("-g", "forward"),
    ("-i", "forward"),
    ("-m", "forward"),
    ("-w 3", "weight"),
    ("-x 9", "upper"),
    ("-y 0", "lower"),
    ("--mcast-interface lo", "interface"),
    ("--timeout", "timeout"),
    ("--daemon", "daemon"),
    ("--stats", "stats"),
    ("--rate", "rate"),
    ("--thresholds", "thresholds"),
    ("--persistent-conn", "persistent-conn"),
    ("--nosort", "nosort"),
    ("--sort", "sort"),
    ("--syncid 9", "syncid"),
    ("--exact", "exact"),
    ("-6", "six"),
    ("-o", "ops"),
    ("--pe sip", "pe"),
    ("-b flag-1", "flags"),
    ("--mcast-group 224.0.0.9", "group"),
    ("--mcast-port 9", "port"),
    ("--mcast-ttl 9", "ttl"),
    ("--sync-maxlen 900", "maxlen"),
    ("--tun-info", "tun-info"),
    ("--tun-type gre", "tun-type"),
    ("--tun-port 9", "tun-port"),
    ("--tun-nocsum", "nocsum"),
    ("--tun-csum", "csum"),
    ("--tun-remcsum", "remcsum"),
];

/// The commands, with what they need (group and words).
const COMMANDS: [(&str, &[&str]); 14] = [
    ("-A", &["service"]),
    ("-E", &["service"]),
    ("-D", &["service"]),
    ("-C", &[]),
    ("-R", &[]),
    ("-S", &[]),
    ("-a", &["service", "server"]),
    ("-e", &["service", "server"]),
    ("-d", &["service", "server"]),
    ("-L", &[]),
    ("-Z", &[]),
    ("--set 1 2 3", &[]),
    ("--start-daemon master", &["interface"]),
    ("--stop-daemon backup", &[]),
];

/// All cases of the matrix.
pub(crate) fn cases() -> Result<Vec<Case>> {
    let mut lines = Vec::new();
    for (command, needed) in COMMANDS {
        for (option, group) in OPTIONS {
            lines.push(line(command, &words_for(needed, group), &[option]));
        }
        lines.push(command.to_owned());
    }
    // Two wrong options, the later one first.
    for pair in OPTIONS.windows(2) {
        lines.push(format!("-C {} {}", pair[1].0, pair[0].0));
    }
    for (option, group) in OPTIONS {
        let (command, needed) = home_of(group);
        let needed = if group == "six" { vec!["-f 9"] } else { words_for(needed, group) };
        lines.push(line(command, &needed, &[option, option]));
    }
    for group in [
        &["-t 10.0.0.9:80", "-u 10.0.0.9:80", "--sctp-service 10.0.0.9:80", "-f 9"][..],
        &["-c", "-t 10.0.0.9:80", "--timeout", "--daemon"][..],
        &["--timeout", "--stats", "--daemon", "--rate", "-c", "--thresholds", "--persistent-conn"][..],
        &["--tun-info", "--timeout", "--exact", "--daemon", "--nosort", "-c", "-n", "--sort"][..],
        &["--stats", "--rate", "--thresholds", "--persistent-conn", "--tun-info"][..],
    ] {
        lines.extend(pairs(group).map(|(one, other)| format!("-L {one} {other}")));
    }
    // That a service chooses among connections is a deviation, with cases of its own.
    lines.retain(|line| !(line.contains(" -c") && line.contains(" -t 10.0.0.9:80")));
    lines.extend(pairs(&["-g", "-i", "-m"]).map(|(one, other)| format!("-a -t 10.0.0.9:80 -r 10.0.0.2 {one} {other}")));
    for kind in ["ipip", "gre", "gue", "gue --tun-port 9"] {
        for (one, other) in pairs(&["", "--tun-nocsum", "--tun-csum", "--tun-remcsum", "--tun-port 8"]) {
            lines.push(format!("-a -t 10.0.0.9:80 -r 10.0.0.2 -i --tun-type {kind} {one} {other}"));
        }
    }
    let lines: BTreeSet<String> =
        lines.iter().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    lines.iter().map(|line| case(line)).collect()
}

fn case(line: &str) -> Result<Case> {
    Ok(Case { name: format!("matrix::{line}"), runs: vec![Run::new(line)?], ..Case::default() })
}

/// A command with what it needs, except for what `group` brings itself.
fn words_for(needed: &[&str], group: &str) -> Vec<&'static str> {
    let example = |need: &&str| OPTIONS.iter().find(|(_, group)| group == need).map(|(words, _)| *words);
    needed.iter().filter(|need| **need != group).filter_map(example).collect()
}

fn line(command: &str, needed: &[&str], options: &[&str]) -> String {
    [&[command], needed, options].concat().join(" ")
}

/// A command that allows the options of this group.
fn home_of(group: &str) -> (&'static str, &'static [&'static str]) {
    match group {
        "service" | "scheduler" | "persistent" | "netmask" | "ops" | "pe" | "flags" | "six" => ("-A", &["service"]),
        "server" | "forward" | "weight" | "upper" | "lower" => ("-a", &["service", "server"]),
        "tun-type" | "tun-port" | "nocsum" | "csum" | "remcsum" => ("-a -i", &["service", "server"]),
        "interface" | "syncid" | "group" | "port" | "ttl" | "maxlen" => ("--start-daemon master", &[]),
        _ => ("-L", &[]),
    }
}

/// Every ordered pair of two different ones.
fn pairs<'a>(options: &'a [&'a str]) -> impl Iterator<Item = (&'a str, &'a str)> {
    let all = options.iter().flat_map(|one| options.iter().map(move |other| (*one, *other)));
    all.filter(|(one, other)| one != other)
}
