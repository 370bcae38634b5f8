//! Whether a real server is ready for its VIPs: as text, and as documents for programs.

use std::io::{self, Write};
use std::net::IpAddr;

use serde::Serialize;

use crate::doctor::quiet::Fault;
use crate::doctor::readiness::{Finding, Readiness, Rules, Silence, Standing};
use crate::escape::escaped;
use crate::machine::RouteKind;

/// How things stand with a VIP, as JSON.
#[derive(Serialize)]
pub struct VipDocument<'r> {
    vip: IpAddr,
    ready: bool,
    started: bool,
    method: String,
    interface: &'r str,
    facts: Vec<FactDocument>,
    /// What is there without being started.
    without_record: Vec<&'static str>,
}

/// One finding.
#[derive(Serialize)]
struct FactDocument {
    fact: &'static str,
    pass: bool,
    found: String,
}

impl<'r> VipDocument<'r> {
    /// The document of a VIP.
    #[must_use]
    pub fn new(readiness: &'r Readiness) -> Self {
        let fact = |finding: &Finding| FactDocument {
            fact: name(finding),
            pass: finding.passes(),
            found: found(readiness, finding),
        };
        Self {
            vip: readiness.vip,
            ready: readiness.is_ready(),
            started: readiness.started,
            method: readiness.method.to_string(),
            interface: &readiness.interface,
            facts: readiness.findings.iter().map(fact).collect(),
            without_record: readiness.without_record.iter().map(|part| part.name()).collect(),
        }
    }
}

/// The lines of a VIP.
///
/// # Errors
/// The writer fails.
pub fn text(output: &mut impl Write, readiness: &Readiness, colored: bool) -> io::Result<()> {
    let (red, green, off) = if colored { ("\x1b[31m", "\x1b[32m", "\x1b[0m") } else { ("", "", "") };
    let (interface, method) = (escaped(&readiness.interface), readiness.method);
    let how = match (method.holds_vip(), readiness.vip) {
        (false, _) => method.to_string(),
        (true, IpAddr::V4(_)) => format!("{interface}, {method}"),
        (true, IpAddr::V6(_)) => interface.to_string(),
    };
    writeln!(
        output,
        "{}  {} ({how}{})",
        readiness.vip,
        if readiness.is_ready() { "ready" } else { "not ready" },
        if readiness.started { "" } else { ", not started by us" }
    )?;
    for finding in &readiness.findings {
        let (color, verdict) = if finding.passes() { (green, "pass") } else { (red, "fail") };
        writeln!(output, "  {color}{verdict}{off}  {:<12}  {}", name(finding), escaped(&found(readiness, finding)))?;
    }
    for part in &readiness.without_record {
        writeln!(
            output,
            "  note  {:<12}  there without a record: `start' keeps it, `stop --force' removes it",
            part.name()
        )?;
    }
    Ok(())
}

/// What a finding is called.
const fn name(finding: &Finding) -> &'static str {
    match finding {
        Finding::Address(_) => "address",
        Finding::Elsewhere(_) => "elsewhere",
        Finding::Delivered(_) => "delivered",
        Finding::HostRoute(_) => "host_route",
        Finding::Setting(wanted, _) => wanted.name,
        Finding::Rules(_) => "arp_rules",
        Finding::NotHeld(_) => "not_held",
        Finding::Redirect(_) => "redirect",
        Finding::AtBoot(_) => "persist",
    }
}

/// What was found, in words.
fn found(readiness: &Readiness, finding: &Finding) -> String {
    let Readiness { vip, interface, .. } = readiness;
    match finding {
        Finding::Address(standing) => match standing {
            Standing::There(prefix) => format!("{vip}/{prefix} is on {interface}"),
            Standing::NoInterface => format!("there is no interface {interface}"),
            Standing::Missing => format!("{vip} is not on {interface}"),
            Standing::Faulty(link, Fault::Down) => format!("{link} is down"),
            Standing::Faulty(link, Fault::Wide(prefix)) => {
                format!("{vip} is on {link} as /{prefix}: all of that network is this host's own")
            }
            Standing::Faulty(link, Fault::Duplicate) => {
                format!("{vip} on {link} is a duplicate of another host's, and not used")
            }
            Standing::Faulty(link, Fault::Tentative) => {
                format!("{vip} on {link} is being checked for duplicates, and not used yet")
            }
        },
        Finding::Elsewhere(Some(link)) => format!("{vip} is on {link}, which answers for it"),
        Finding::Elsewhere(None) => format!("{vip} is on no interface that answers for it"),
        Finding::Delivered(Ok(RouteKind::Local)) => format!("packets to {vip} are taken in"),
        Finding::Delivered(Ok(kind)) => format!("the route to {vip} is {kind}, not local"),
        Finding::Delivered(Err(error)) => error.clone(),
        Finding::HostRoute(true) => format!("there is a host route to {vip} by {interface}"),
        Finding::HostRoute(false) => format!("there is no host route to {vip} by {interface}"),
        Finding::Setting(_, Silence::NothingToSilence) => "no interface here speaks ARP".to_owned(),
        Finding::Setting(wanted, Silence::Value(link, value)) => {
            let text = format!("{value} on {link}, the larger of all and its own");
            if wanted.is_met_by(*value) { text } else { format!("{text}; {} is needed", wanted.value) }
        }
        Finding::NotHeld(Some(link)) => format!("{vip} is on {link}, and may be on no interface"),
        Finding::NotHeld(None) => format!("{vip} is on no interface"),
        Finding::Rules(Rules::There) => "requests are dropped, sources are replaced".to_owned(),
        Finding::Redirect(Rules::There) => format!("what is sent to {vip} goes to an address of this host"),
        Finding::Rules(rules) | Finding::Redirect(rules) => match rules {
            Rules::NotStarted => "none of ours: the VIP is not started".to_owned(),
            Rules::There | Rules::Missing => "not all of our rules are there".to_owned(),
            Rules::Unreadable(error) => format!("cannot be seen: {error}"),
            Rules::MissingOn(link) => format!("{link} came later and has none: start again"),
        },
        Finding::AtBoot(true) => "it is started at every boot".to_owned(),
        Finding::AtBoot(false) => "it is not started at boot".to_owned(),
    }
}
