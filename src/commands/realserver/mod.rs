//! `realserver start|stop|status VIP…`: a host as a real server, and back.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};

use anyhow::Result;
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde::Serialize;

use super::{Output, called, color, document, plain, status};
use crate::doctor::quiet::Method;
use crate::doctor::readiness::Readiness;
use crate::escape::escaped;
use crate::realserver::{self, Options, RealServer, Refusal, is_not_permitted, is_read_only};
use crate::view::json;
use crate::view::realserver::{VipDocument, text};

/// Something is not as it has to be (`status`), as with init scripts: "program is not running".
const NOT_READY: u8 = 3;

/// The subcommand as clap knows it.
pub(crate) fn command() -> Command {
    let vips = |required: bool| {
        Arg::new("vip")
            .value_name("VIP")
            .num_args(1..)
            .required(required)
            .value_parser(vip)
            .help("A virtual address, without a prefix: 192.0.2.1, 2001:db8::1")
    };
    Command::new("realserver")
        .about("Make this host a real server for a VIP with direct routing, and take that back")
        .long_about(
            "Make this host a real server for virtual addresses (VIPs) with direct routing or tunnels: the VIP on lo, a host \
             route, and ARP silent about it. What was there before is kept under /run/ipvsadm-rs, and stop restores it.",
        )
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("start")
                .about("Silence ARP for the VIPs, then add them")
                .arg(method())
                .arg(interface())
                .arg(persist("Start them at every boot, too"))
                .arg(vips(true)),
        )
        .subcommand(
            Command::new("stop")
                .about("Put back what was there before start")
                // What was started is known; this is for those who say everything twice.
                .arg(method().hide(true))
                .arg(interface().help("With --force: where the VIPs are that are in no record"))
                .arg(persist("Do not start them at boot any more, either"))
                .arg(force())
                .arg(vips(true)),
        )
        .subcommand(
            Command::new("status")
                .about("Print what a real server needs, with pass or fail; status 0 if it is ready, 3 if not")
                .arg(method())
                .arg(interface())
                .arg(persist("They have to be started at every boot, too"))
                .args(document::arguments())
                .arg(color::argument())
                .arg(vips(false)),
        )
}

fn method() -> Arg {
    Arg::new("method")
        .long("method")
        .value_name("METHOD")
        .value_parser(Method::ALL.map(|(name, _)| name))
        .default_value("arp-sysctl")
        .help("How to keep ARP quiet (IPv4), or to do without the VIP: redirect")
}

fn interface() -> Arg {
    Arg::new("interface").long("interface").value_name("INTERFACE").default_value("lo").help("Where the VIPs are to be")
}

fn persist(help: &'static str) -> Arg {
    Arg::new("persist").long("persist").action(ArgAction::SetTrue).help(help)
}

fn force() -> Arg {
    Arg::new("force").long("force").action(ArgAction::SetTrue).help(
        "Also remove what is there without a record, made by hand or by a start whose record is lost: the address, the host \
         route and rules",
    )
}

/// An address that a VIP can be.
fn vip(text: &str) -> Result<IpAddr, String> {
    let address: IpAddr = text.parse().map_err(|_| match text.split_once('/') {
        Some((address, _)) => format!("a VIP is given without a prefix: {address}"),
        None => "this is not an IPv4 or IPv6 address".to_owned(),
    })?;
    let fault = match address {
        _ if address.is_unspecified() => "it is not the address of a host",
        _ if address.is_loopback() => "it never leaves this host",
        _ if address.is_multicast() => "it is a multicast address",
        IpAddr::V4(Ipv4Addr::BROADCAST) => "it is the broadcast address",
        IpAddr::V4(address) if address.octets()[0] == 0 => "it is not the address of a host",
        IpAddr::V4(address) if address.octets()[0] >= 240 => "it is of a reserved range",
        IpAddr::V6(address) if address.to_ipv4_mapped().is_some() => "it is an IPv4 address: write it as one",
        IpAddr::V6(address) if address.is_unicast_link_local() => {
            "it is of one link only, and no router brings packets"
        }
        _ => return Ok(address),
    };
    Err(format!("a VIP is a unicast address, and {fault}"))
}

pub(super) fn run(matches: &ArgMatches, output: &mut Output) -> Result<u8> {
    let (name, matches) = matches.subcommand().unwrap_or(("", matches));
    let outcome = match name {
        "start" => start(matches),
        "stop" => stop(matches),
        _ => show(matches, output),
    };
    outcome.or_else(|error| {
        let wrong_use = error.downcast_ref::<Refusal>().is_some_and(|refusal| refusal.wrong_use);
        let (not_permitted, read_only) = (is_not_permitted(&error), is_read_only(&error));
        if !wrong_use && !not_permitted && error.downcast_ref::<Refusal>().is_none() && name == "status" {
            return Err(error);
        }
        let text = format!("{error:#}");
        let hint = match (not_permitted, read_only) {
            (true, _) => " (you must be root)",
            (_, true) => " (in a container, do it where that may be written)",
            _ => "",
        };
        say!("{} realserver {name}: {}{hint}", called::name(), plain(&text));
        Ok(if wrong_use || not_permitted || read_only { status::USAGE } else { status::FAILED })
    })
}

fn start(matches: &ArgMatches) -> Result<u8> {
    for warning in RealServer::open(called::command_line())?.start(&vips(matches), &options(matches))? {
        say!("{} realserver start: {warning}", called::name());
    }
    Ok(status::OK)
}

fn stop(matches: &ArgMatches) -> Result<u8> {
    for warning in
        RealServer::open(called::command_line())?.stop(&vips(matches), &options(matches), matches.get_flag("force"))?
    {
        say!("{} realserver stop: {warning}", called::name());
    }
    Ok(status::OK)
}

fn show(matches: &ArgMatches, output: &mut Output) -> Result<u8> {
    let options = options(matches);
    let vips = realserver::status(&vips(matches), &options)?;
    let ready = !vips.is_empty() && vips.iter().all(Readiness::is_ready);
    if let Some(pretty) = document::wanted(matches) {
        #[derive(Serialize)]
        struct Body<'r> {
            ready: bool,
            vips: Vec<VipDocument<'r>>,
        }
        let vips = vips.iter().map(VipDocument::new).collect();
        json::write(&mut *output, "realserver_status", &Body { ready, vips }, pretty)?;
    } else if vips.is_empty() {
        writeln!(output, "no VIP is started")?;
        for address in realserver::unrecorded(&options.interface)? {
            writeln!(output, "{address} is on {} without a record", escaped(&options.interface))?;
        }
    } else {
        let colored = color::wanted(color::when(matches));
        for vip in &vips {
            text(output, vip, colored)?;
        }
    }
    Ok(if ready { status::OK } else { NOT_READY })
}

/// Each VIP once.
fn vips(matches: &ArgMatches) -> Vec<IpAddr> {
    let mut vips: Vec<IpAddr> = Vec::new();
    for &vip in matches.get_many::<IpAddr>("vip").into_iter().flatten() {
        if !vips.contains(&vip) {
            vips.push(vip);
        }
    }
    vips
}

fn options(matches: &ArgMatches) -> Options {
    let text = |name: &str| matches.get_one::<String>(name).map_or("", String::as_str);
    Options {
        method: Method::named(text("method")).unwrap_or(Method::ArpSysctl),
        interface: text("interface").to_owned(),
        persist: matches.get_flag("persist"),
    }
}

#[cfg(test)]
mod tests {
    use super::vip;

    #[test]
    fn only_unicast_addresses_are_vips() {
        for good in ["192.0.2.1", "10.0.0.255", "2001:db8::1", "fd00::1"] {
            assert!(vip(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "x",
            "192.0.2.1/32",
            "0.0.0.0",
            "0.1.2.3",
            "127.0.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "::",
            "::1",
            "ff02::1",
            "fe80::1",
            "::ffff:192.0.2.1",
        ] {
            assert!(vip(bad).is_err(), "{bad}");
        }
        assert_eq!(vip("192.0.2.1/32").unwrap_err(), "a VIP is given without a prefix: 192.0.2.1");
    }
}
