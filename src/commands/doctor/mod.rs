//! `doctor`: what is wrong with this machine as a director or real server, and how to fix it. It only reads.

mod alike;
mod gather;
mod programs;
mod traffic;
mod ways;

pub use ways::legs;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use anyhow::Result;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::{Output, Reported, called, color, diff, document, report, status};
use crate::doctor::facts::Vip;
use crate::doctor::{self, Role, State, VipRole};
use crate::view;

/// Warnings, and nothing worse.
const WARNINGS: u8 = 1;
/// Failures.
const FAILURES: u8 = 2;

/// The subcommand as clap knows it.
pub(crate) fn command() -> Command {
    Command::new("doctor")
        .about("Report what is wrong with this director or real server, and how to fix it")
        .long_about(
            "Report what is wrong with this director or real server, why it matters, and the command that fixes it. Reads \
             only; what cannot be read is skipped. Status 0 if all is well, 1 if there are warnings, 2 if there are \
             failures.",
        )
        .arg(
            Arg::new("role")
                .long("role")
                .value_name("ROLE")
                .value_parser(["director", "real-server", "auto"])
                .default_value("auto")
                .help("What this machine is; it can be both, and auto finds out"),
        )
        .arg(Arg::new("scale-out").long("scale-out").action(ArgAction::SetTrue).help(
            "This is one of several directors behind a router that spreads the VIP over them; seen if BIRD, FRR or ExaBGP \
             runs and the VIP is on lo or a dummy",
        ))
        .arg(
            Arg::new("peer")
                .long("peer")
                .value_name("FILE")
                .action(ArgAction::Append)
                .value_parser(value_parser!(PathBuf))
                .help("What -L --json prints on another of several directors: it has to choose the same servers"),
        )
        .arg(Arg::new("probe").long("probe").action(ArgAction::SetTrue).help(
            "Ask on the segment who has the VIP (ARP, neighbour discovery) and listen for sync daemons, for a second",
        ))
        .arg(
            Arg::new("rules")
                .long("rules")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("The saved rules, if they are not where distributions have them"),
        )
        .arg(Arg::new("all").long("all").short('a').action(ArgAction::SetTrue).help("Show what is well and what was skipped, too"))
        .args(document::arguments())
        .arg(color::argument())
        .arg(
            Arg::new("vip")
                .value_name("VIP")
                .num_args(0..)
                .value_parser(vip)
                .help("The virtual addresses to look at, ADDRESS or ADDRESS:PORT; all if none is named"),
        )
}

/// A virtual address, with a port or without.
fn vip(word: &str) -> Result<Vip, String> {
    let parsed = match word.parse::<SocketAddr>() {
        Ok(endpoint) => Vip { address: endpoint.ip(), port: Some(endpoint.port()), is_named: true },
        Err(_) => Vip {
            address: word.parse::<IpAddr>().map_err(|_| "it is not an address".to_owned())?,
            port: None,
            is_named: true,
        },
    };
    let address = parsed.address;
    let is_broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    if address.is_unspecified() || address.is_multicast() || address.is_loopback() || is_broadcast {
        return Err("no host can be reached at it".to_owned());
    }
    Ok(parsed)
}

pub(super) fn run(matches: &ArgMatches, output: &mut Output) -> Result<u8> {
    let files = matches.get_many::<PathBuf>("peer").unwrap_or_default();
    let peers: Vec<_> = match files.map(|file| Ok((file.as_path(), diff::wanted(file)?))).collect::<Result<_>>() {
        Ok(peers) => peers,
        Err(error) => {
            report(&error);
            return Err(Reported(status::USAGE).into());
        }
    };
    let is_scale_out = matches.get_flag("scale-out") || !peers.is_empty();
    let facts = gather::gather(gather::Wanted {
        program: called::command_line(),
        vips: matches.get_many::<Vip>("vip").unwrap_or_default().copied().collect(),
        rules: matches.get_one::<PathBuf>("rules").map(PathBuf::as_path),
        probe: matches.get_flag("probe"),
        scale_out: is_scale_out,
        peers,
    });
    let forced = match matches.get_one::<String>("role").map(String::as_str) {
        Some("director") => Some(Role::Director),
        Some("real-server") => Some(Role::RealServer),
        _ => None,
    };
    if is_scale_out && forced == Some(Role::RealServer) {
        say!("--scale-out and --peer are about a director, not about a real server");
        return Err(Reported(status::USAGE).into());
    }
    let (mut roles, mut vips) = match forced {
        Some(role) => {
            let of = |vip: &Vip| VipRole { vip: *vip, roles: vec![role], seen: "--role says so".to_owned() };
            (vec![role], facts.vips.iter().map(of).collect())
        }
        None => {
            let vips = doctor::roles::of_vips(&facts);
            (doctor::roles::of_machine(&facts, &vips), vips)
        }
    };
    if is_scale_out {
        doctor::roles::say_scale_out(&mut vips);
        for role in [Role::Director, Role::ScaleOut] {
            if !roles.contains(&role) {
                roles.push(role);
            }
        }
    }
    if roles.is_empty() {
        let why = match facts.table.get() {
            Err(skip) => format!("; {}", skip.0),
            Ok(_) => String::new(),
        };
        say!(
            "This machine has no virtual service, and no VIP on lo, a dummy or a tunnel{why}: name the VIP, or say what it \
             is with --role director or --role real-server"
        );
        return Err(Reported(status::USAGE).into());
    }
    let findings = doctor::examine(&facts, &roles, &vips);
    let report = view::doctor::Report::new(&facts.program, &roles, &vips, &findings);
    if let Some(pretty) = document::wanted(matches) {
        view::json::write(&mut *output, "doctor", &report, pretty)?;
    } else {
        let style = view::doctor::Style { all: matches.get_flag("all"), colored: color::wanted(color::when(matches)) };
        view::doctor::write(output, &report, style)?;
    }
    Ok(match findings.iter().map(|finding| finding.judgement.state).max() {
        Some(State::Fail) => FAILURES,
        Some(State::Warn) => WARNINGS,
        _ => status::OK,
    })
}
