//! `health`: whether services have what they need, in a line and an exit status, for monitoring plugins and gates.

use std::ffi::OsString;
use std::fmt;
use std::io::Write as _;

use anyhow::{Context, Result, bail};
use clap::{Arg, ArgAction, ArgMatches, Command};
use ipvs_client::{Client, DaemonRole, DestinationEntry, ServiceKey};
use serde::Serialize;

use super::report::{message, plain};
use super::{Output, document};
use crate::escape::escaped_lines;
use crate::grammar::{self, Request, Subject, usage};
use crate::host::{SystemNames, module};
use crate::view::json::{self, KeyDocument};

/// What it comes to, with the statuses of monitoring plugins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Health {
    Ok = 0,
    Warning = 1,
    Critical = 2,
    Unknown = 3,
}

impl Health {
    const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Critical => "critical",
            Self::Unknown => "unknown",
        }
    }
}

/// The subcommand as clap knows it.
pub(crate) fn command() -> Command {
    let service = |arg: Arg| match arg.get_id() == "ipv6" {
        true => arg.num_args(0).default_missing_value("6").action(ArgAction::Append).requires("fwmark-service"),
        false => arg.action(ArgAction::Append),
    };
    let limit = |name: &'static str, help| Arg::new(name).long(name).value_name("[WARN:]CRIT").help(help);
    Command::new("health")
        .about("Print in a line whether services have what they need, for monitoring plugins and gates")
        .long_about(
            "Print in a line whether services have what they need, with performance data, as monitoring plugins do. Without \
             a service every service of the table is looked at, and there has to be one. Status 0 ok, 1 warning, 2 \
             critical, 3 unknown; with --gate 0 or 2 only.",
        )
        .args(usage::service_arguments().map(service))
        .arg(limit("min-servers", "Servers of each service with a weight above 0, at least; 1 if not given"))
        .arg(limit("min-weight", "The sum of the weights of each service's servers, at least"))
        .arg(limit("max-connections", "Active and inactive connections of each service, at most"))
        .arg(
            Arg::new("daemon")
                .long("daemon")
                .value_name("ROLE")
                .value_parser(["master", "backup"])
                .help("The synchronisation daemon of this role has to run"),
        )
        .arg(
            Arg::new("gate")
                .long("gate")
                .action(ArgAction::SetTrue)
                .help("Status 0 or 2 only: a warning is 0, and what is not known is 2"),
        )
        .args(document::arguments())
}

/// The status of a command line that is wrong: unknown, and for a gate closed.
pub(super) fn usage_status(arguments: &[OsString]) -> u8 {
    status(Health::Unknown, arguments.iter().any(|word| word == "--gate"))
}

const fn status(health: Health, gate: bool) -> u8 {
    match health {
        Health::Warning if gate => Health::Ok as u8,
        Health::Unknown if gate => Health::Critical as u8,
        other => other as u8,
    }
}

pub(super) fn run(matches: &ArgMatches, output: &mut Output) -> Result<u8> {
    // What cannot be found out is an answer, too.
    let report = report(matches).unwrap_or_else(|error| Report {
        services: Vec::new(),
        problems: vec![(Health::Unknown, plain(&escaped_lines(&message(&*error))).to_owned())],
        all: false,
    });
    let health = report.health();
    let code = status(health, matches.get_flag("gate"));
    match document::wanted(matches) {
        Some(pretty) => json::write(output, "health", &HealthDocument::new(&report, code), pretty)?,
        None => writeln!(output, "{report}")?,
    }
    Ok(code)
}

/// A value below or above which something is wrong, and one for a warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limit {
    warning: Option<u64>,
    critical: u64,
}

impl Limit {
    /// `[WARN:]CRIT`; as a warning comes first, it is `above` or below.
    fn parse(text: &str, above: bool) -> Option<Self> {
        let number = |text: &str| if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None };
        let (warning, critical) = match text.split_once(':') {
            Some((warning, critical)) => (Some(number(warning)?), number(critical)?),
            None => (None, number(text)?),
        };
        let sound = warning.is_none_or(|warning| if above { warning >= critical } else { warning <= critical });
        sound.then_some(Self { warning, critical })
    }

    fn of(matches: &ArgMatches, name: &str, above: bool) -> Result<Option<Self>> {
        let Some(text) = matches.get_one::<String>(name) else { return Ok(None) };
        let order = if above { "not below" } else { "not above" };
        let limit = Self::parse(text, above);
        let limit =
            limit.with_context(|| format!("--{name} takes CRIT or WARN:CRIT, with WARN {order} CRIT, not `{text}'"))?;
        Ok(Some(limit))
    }

    /// What a value comes to that must not be below.
    fn at_least(self, value: u64) -> (Health, u64) {
        self.judge(|limit| value < limit)
    }

    /// What a value comes to that must not be above.
    fn at_most(self, value: u64) -> (Health, u64) {
        self.judge(|limit| value > limit)
    }

    fn judge(self, wrong: impl Fn(u64) -> bool) -> (Health, u64) {
        match self.warning {
            _ if wrong(self.critical) => (Health::Critical, self.critical),
            Some(warning) if wrong(warning) => (Health::Warning, warning),
            _ => (Health::Ok, self.critical),
        }
    }

    /// As performance data has it: `warn;crit`, with a colon behind what must not be less.
    fn performance(limit: Option<Self>, suffix: &str) -> String {
        let text = |value: Option<u64>| value.map(|value| format!("{value}{suffix}")).unwrap_or_default();
        format!("{};{}", text(limit.and_then(|limit| limit.warning)), text(limit.map(|limit| limit.critical)))
    }
}

/// What is looked at.
struct Limits {
    servers: Limit,
    weight: Option<Limit>,
    connections: Option<Limit>,
}

/// What a service has.
struct Found {
    key: ServiceKey,
    servers: u64,
    weight: u64,
    connections: u64,
    health: Health,
    /// As performance data, without values.
    limits: [String; 3],
}

/// All that was found.
struct Report {
    services: Vec<Found>,
    problems: Vec<(Health, String)>,
    /// Of all services.
    all: bool,
}

impl Report {
    fn health(&self) -> Health {
        self.problems.iter().map(|(health, _)| *health).max().unwrap_or(Health::Ok)
    }

    fn sum(&self, value: impl Fn(&Found) -> u64) -> u64 {
        self.services.iter().map(value).sum()
    }
}

/// Problems that are named in the line.
const NAMED: usize = 5;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let health = self.health();
        write!(f, "IPVS {} - ", health.name().to_uppercase())?;
        let (count, servers) = (self.services.len(), self.sum(|service| service.servers));
        let connections = self.sum(|service| service.connections);
        if self.problems.is_empty() {
            write!(f, "services: {count}, servers: {servers}, connections: {connections}")?;
        }
        // The worst first.
        let mut problems: Vec<_> = self.problems.iter().collect();
        problems.sort_by_key(|(health, _)| std::cmp::Reverse(*health));
        for (number, (_, problem)) in problems.iter().take(NAMED).enumerate() {
            write!(f, "{}{problem}", if number == 0 { "" } else { "; " })?;
        }
        if problems.len() > NAMED {
            write!(f, "; and {} more", problems.len() - NAMED)?;
        }
        if health == Health::Unknown {
            return Ok(());
        }
        write!(f, " | services={count};;;0 servers={servers};;;0 connections={connections};;;0")?;
        if !self.all {
            for Found { key, servers, weight, connections, limits: [few, light, many], .. } in &self.services {
                write!(f, " '{key} servers'={servers};{few};0 '{key} weight'={weight};{light};0")?;
                write!(f, " '{key} connections'={connections};{many};0")?;
            }
        }
        Ok(())
    }
}

fn report(matches: &ArgMatches) -> Result<Report> {
    let limits = Limits {
        servers: Limit::of(matches, "min-servers", true)?.unwrap_or(Limit { warning: None, critical: 1 }),
        weight: Limit::of(matches, "min-weight", true)?,
        connections: Limit::of(matches, "max-connections", false)?,
    };
    let asked = services(matches)?;
    let mut client = module::connect()?;
    let mut report = Report { services: Vec::new(), problems: Vec::new(), all: asked.is_empty() };
    let keys =
        if report.all { client.service_rules()?.into_iter().map(|service| service.key).collect() } else { asked };
    if keys.is_empty() {
        report.problems.push((Health::Critical, "no virtual service".to_owned()));
    }
    for key in keys {
        look_at(&mut client, key, &limits, &mut report)?;
    }
    report.services.sort_by_key(|service| service.key);
    if let Some(role) = matches.get_one::<String>("daemon") {
        let role = if role == "master" { DaemonRole::Master } else { DaemonRole::Backup };
        if !client.daemons()?.iter().any(|daemon| daemon.role == role) {
            report.problems.push((Health::Critical, format!("no {} synchronisation daemon runs", role.name())));
        }
    }
    Ok(report)
}

fn look_at(client: &mut Client, key: ServiceKey, limits: &Limits, report: &mut Report) -> Result<()> {
    let Some(servers) = client.destinations_with::<()>(&key)? else {
        // Of all services one may have been deleted in between.
        if !report.all {
            report.problems.push((Health::Critical, format!("{key}: no such service")));
        }
        return Ok(());
    };
    let sum = |value: fn(&DestinationEntry<()>) -> u32| servers.iter().map(|server| u64::from(value(server))).sum();
    let available = servers.iter().filter(|server| server.destination.weight > 0).count() as u64;
    let weight = sum(|server| server.destination.weight);
    let connections = sum(|server| server.active_connections) + sum(|server| server.inactive_connections);
    let judged = [
        (Some(limits.servers.at_least(available)), "servers", available, "at least"),
        (limits.weight.map(|limit| limit.at_least(weight)), "weight", weight, "at least"),
        (limits.connections.map(|limit| limit.at_most(connections)), "connections", connections, "at most"),
    ];
    let mut worst = Health::Ok;
    for (judged, what, value, relation) in judged {
        if let Some((health, limit)) = judged.filter(|(health, _)| *health != Health::Ok) {
            worst = worst.max(health);
            report.problems.push((health, format!("{key}: {what} {value}, {relation} {limit}")));
        }
    }
    let limits = [
        Limit::performance(Some(limits.servers), ":"),
        Limit::performance(limits.weight, ":"),
        Limit::performance(limits.connections, ""),
    ];
    report.services.push(Found { key, servers: available, weight, connections, health: worst, limits });
    Ok(())
}

/// The services that are asked for, as `-L` understands them.
fn services(matches: &ArgMatches) -> Result<Vec<ServiceKey>> {
    let mut keys = Vec::new();
    let sixes: Vec<usize> = matches.indices_of("ipv6").into_iter().flatten().collect();
    for (name, option) in
        [("tcp-service", "-t"), ("udp-service", "-u"), ("sctp-service", "--sctp-service"), ("fwmark-service", "-f")]
    {
        let values = matches.get_many::<String>(name).into_iter().flatten();
        let places: Vec<usize> = matches.indices_of(name).into_iter().flatten().collect();
        for (number, value) in values.enumerate() {
            let mut words = vec!["-L", option, value];
            let (own, next) = (places.get(number).copied(), places.get(number + 1).copied());
            // -6 is about the mark before it.
            let is_ipv6 = |six: &usize| own.is_some_and(|own| *six > own) && next.is_none_or(|next| *six < next);
            if name == "fwmark-service" && sixes.iter().any(is_ipv6) {
                words.push("-6");
            }
            match grammar::parse(words.iter().map(|word| word.as_bytes()), &SystemNames::default()) {
                Ok(Request::List(listing)) => match listing.subject {
                    Subject::Service(key) => keys.push(key),
                    _ => bail!("{option} {value} is not a service"),
                },
                Ok(_) => bail!("{option} {value} is not a service"),
                Err(error) => bail!("{option} {value}: {error}"),
            }
        }
    }
    Ok(keys)
}

/// `health --json`
#[derive(Serialize)]
struct HealthDocument {
    state: &'static str,
    status: u8,
    problems: Vec<ProblemDocument>,
    services: Vec<FoundDocument>,
}

#[derive(Serialize)]
struct ProblemDocument {
    state: &'static str,
    problem: String,
}

#[derive(Serialize)]
struct FoundDocument {
    service: KeyDocument,
    state: &'static str,
    servers: u64,
    weight: u64,
    connections: u64,
}

impl HealthDocument {
    fn new(report: &Report, status: u8) -> Self {
        Self {
            state: report.health().name(),
            status,
            problems: report
                .problems
                .iter()
                .map(|(health, problem)| ProblemDocument { state: health.name(), problem: problem.clone() })
                .collect(),
            services: report
                .services
                .iter()
                .map(|found| FoundDocument {
                    service: (&found.key).into(),
                    state: found.health.name(),
                    servers: found.servers,
                    weight: found.weight,
                    connections: found.connections,
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_warn_before_they_are_critical() {
        let limit = |text, above| Limit::parse(text, above).map(|limit| (limit.warning, limit.critical));
        assert_eq!(limit("2", true), Some((None, 2)));
        assert_eq!(limit("3:2", true), Some((Some(3), 2)));
        assert_eq!(limit("2:3", true), None);
        assert_eq!(limit("2:3", false), Some((Some(2), 3)));
        for text in ["", ":", "1:", ":1", "-1", "+1", "1.5", "x", "1:2:3"] {
            assert_eq!(limit(text, false), None, "{text}");
        }
        let least = Limit::parse("3:2", true).unwrap();
        assert_eq!([1, 2, 3].map(|value| least.at_least(value).0), [Health::Critical, Health::Warning, Health::Ok]);
        let most = Limit::parse("2:3", false).unwrap();
        assert_eq!([2, 3, 4].map(|value| most.at_most(value).0), [Health::Ok, Health::Warning, Health::Critical]);
    }

    #[test]
    fn a_gate_is_open_or_closed() {
        let all = [Health::Ok, Health::Warning, Health::Critical, Health::Unknown];
        assert_eq!(all.map(|health| status(health, true)), [0, 0, 2, 2]);
        assert_eq!(all.map(|health| status(health, false)), [0, 1, 2, 3]);
    }
}
