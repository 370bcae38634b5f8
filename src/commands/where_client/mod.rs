//! `where CLIENT`: which server a client has, and which one a new connection of its gets.

mod answer;
mod clients;
mod digests;
mod existing;

use std::fmt::Display;
use std::io::{BufRead, BufReader, Write, stdin};
use std::net::IpAddr;

use anyhow::{Context as _, Result};
use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command, value_parser};
use ipvs_client::mapping::{HashScheduler, MH_INDEX, Mapping, Member, SH_BITS};
use ipvs_client::{Family, ServiceKey};

use super::{Output, Reported, document, report, status};
use crate::escape::{escaped, escaped_bytes};
use crate::grammar::{self, Request, Subject, usage};
use crate::host::table_sizes::{self, TableSizes};
use crate::host::{SystemNames, module, stdio, sysctl};
use crate::view::json;
use answer::{Known, New};
use clients::{Client, client};
use existing::{Existing, server};

/// What stands for a client if there are many of them.
const MANY: &str = "-";
/// Bytes of standard input that are read at once.
const BUFFER: usize = 64 * 1024;
/// Whether persistence passes over servers with weight 0 (`Documentation/networking/ipvs-sysctl.rst`).
const QUIESCENT_TEMPLATES: &str = "net/ipv4/vs/expire_quiescent_template";

/// The subcommand as clap knows it.
pub(crate) fn command() -> Command {
    let size = |long: &'static str, name: &'static str, range: std::ops::RangeInclusive<u32>, help: &'static str| {
        let range = i64::from(*range.start())..=i64::from(*range.end());
        Arg::new(long).long(long).value_name(name).value_parser(value_parser!(u32).range(range)).help(help)
    };
    Command::new("where")
        .about("Print which server a client has, and which one a new connection gets")
        .long_about(
            "Print which server a client of a service has, by a connection or by persistence, and which one a new \
             connection gets. For sh, mh and dh that is computed as the kernel does; for other schedulers their rule and \
             the candidates are printed. Status 0 with an answer, 1 if it is not known, 2 on trouble.",
        )
        .args(usage::service_arguments())
        .group(ArgGroup::new("service").args(["tcp-service", "udp-service", "sctp-service", "fwmark-service"]))
        .arg(
            Arg::new("to")
                .long("to")
                .value_name("ADDRESS[:PORT]")
                .requires("fwmark-service")
                .help("With -f, the address that the client connects to"),
        )
        .arg(
            Arg::new("digest")
                .long("digest")
                .action(ArgAction::SetTrue)
                .help("Print a digest of each service with sh, mh or dh, equal on directors that choose alike"),
        )
        .arg(size("sh-tab-bits", "BITS", SH_BITS, "The kernel's CONFIG_IP_VS_SH_TAB_BITS, 4 to 20"))
        .arg(size("mh-tab-index", "INDEX", MH_INDEX, "The kernel's CONFIG_IP_VS_MH_TAB_INDEX, 8 to 17"))
        .args(document::arguments())
        .arg(
            Arg::new("client")
                .value_name("CLIENT[:PORT]")
                .required_unless_present("digest")
                .conflicts_with("digest")
                .requires("service")
                .help("The client; - reads clients from standard input, one on each line"),
        )
}

pub(super) fn run(matches: &ArgMatches, output: &mut Output) -> Result<u8> {
    match answer(matches, output) {
        Ok(status) => Ok(status),
        // Trouble is 2 here: 1 means that it is not known.
        Err(error) => Ok(match report(&error) {
            status::OK => status::OK,
            _ => status::USAGE,
        }),
    }
}

/// Something is wrong with what was typed: say it in a line.
fn wrong<T>(what: impl Display) -> Result<T> {
    say!("{what}");
    Err(Reported(status::USAGE).into())
}

fn answer(matches: &ArgMatches, output: &mut Output) -> Result<u8> {
    let pretty = document::wanted(matches);
    let sizes = sizes(matches);
    let key = service(matches)?;
    if matches.get_flag("digest") {
        return digests::print(&mut module::connect()?, key, &sizes.kernel, pretty, output);
    }
    let Some(key) = key else { return wrong("no service is given: -t, -u, --sctp-service or -f") };
    let text = matches.get_one::<String>("client").map_or("", String::as_str);
    let only = if text == MANY { None } else { Some(one(text.as_bytes(), key).or_else(wrong)?) };
    let to = to(matches, key)?;
    let known = known(key, to, only, sizes)?;
    let Some(client) = only else {
        // A line for each: a rule in words would be the same on all.
        if known.scheduler().is_none() {
            return wrong(format!("{key}: the scheduler {} does not choose by a table", known.service.scheduler));
        }
        return match pretty {
            Some(pretty) => documents(&known, pretty, output),
            None => lines(&known, output),
        };
    };
    match pretty {
        Some(pretty) => json::write(&mut *output, "where", &known.document(client), pretty)?,
        None => output.write_all(known.text(client).as_bytes())?,
    }
    let is_known = known.scheduler().is_none() || known.why(known.new_connection(client)).is_none();
    Ok(if is_known || known.template(client).is_some() { status::OK } else { status::FAILED })
}

/// The sizes of the kernel's tables, as given or as they are found.
fn sizes(matches: &ArgMatches) -> TableSizes {
    const GIVEN: &str = "as given";
    let mut sizes = table_sizes::read();
    if let Some(&bits) = matches.get_one("sh-tab-bits") {
        (sizes.kernel.sh_bits, sizes.sh_from) = (bits, GIVEN.into());
    }
    if let Some(&index) = matches.get_one("mh-tab-index") {
        (sizes.kernel.mh_index, sizes.mh_from) = (index, GIVEN.into());
    }
    sizes
}

/// The service that is named, read as the listing of a service reads it.
fn service(matches: &ArgMatches) -> Result<Option<ServiceKey>> {
    let options = ["tcp-service", "udp-service", "sctp-service", "fwmark-service"];
    let named = options.iter().find_map(|option| Some((*option, matches.get_one::<String>(option)?)));
    let Some((option, value)) = named else { return Ok(None) };
    let option = format!("--{option}");
    let ipv6 = matches.get_flag("ipv6").then_some(&b"-6"[..]);
    let words = [b"-L", option.as_bytes(), value.as_bytes()].into_iter().chain(ipv6);
    match grammar::parse(words, &SystemNames::default()) {
        Ok(Request::List(listing)) => match listing.subject {
            Subject::Service(key) => Ok(Some(key)),
            _ => Ok(None),
        },
        Ok(_) => Ok(None),
        Err(error) => wrong(error),
    }
}

/// Where a client of a mark connects to.
fn to(matches: &ArgMatches, key: ServiceKey) -> Result<Option<Client>> {
    let Some(text) = matches.get_one::<String>("to") else { return Ok(None) };
    one(text.as_bytes(), key).map(Some).or_else(wrong)
}

/// An address of the service's family, or what is wrong with it.
fn one(text: &[u8], key: ServiceKey) -> Result<Client, String> {
    let client = client(text).ok_or_else(|| format!("`{}' is not an address", escaped_bytes(text)))?;
    if Family::of(client.0) == key.family() {
        return Ok(client);
    }
    let family = |family| if family == Family::Ipv4 { "IPv4" } else { "IPv6" };
    Err(format!("{} is {}, and {key} is {}", client.0, family(Family::of(client.0)), family(key.family())))
}

/// Read all that the answers take.
fn known(key: ServiceKey, to: Option<Client>, only: Option<Client>, sizes: TableSizes) -> Result<Known> {
    let mut client = module::connect()?;
    let service = client.service_with::<()>(&key)?.service;
    let servers = client.destinations_with::<()>(&key)?.unwrap_or_default();
    let scheduler = HashScheduler::named(service.scheduler);
    if scheduler == Some(HashScheduler::Dh) && key.address().or(to.map(|(address, _)| address)).is_none() {
        return wrong(format!("{key}: dh chooses by the address that the client connects to: give --to ADDRESS"));
    }
    let members: Vec<Member> = servers.iter().map(Member::reported).collect();
    let mapping = Mapping::new(&service, &members, &sizes.kernel);
    let existing = Existing::read(&service, to, only)?;
    let to = key.address().or(to.map(|(address, _)| address)).unwrap_or(IpAddr::V4([0; 4].into()));
    let quiescent_templates_expire = sysctl::read_number(QUIESCENT_TEMPLATES).is_ok_and(|value| value != 0);
    Ok(Known { service, servers, to, mapping, sizes, existing, quiescent_templates_expire })
}

/// Give each client of standard input to `take`.
fn each_client(key: ServiceKey, mut take: impl FnMut(&[u8], Client) -> Result<()>) -> Result<()> {
    let input = stdin();
    if stdio::was_closed(&input) {
        return wrong("standard input is closed: it has the clients");
    }
    let mut input = BufReader::with_capacity(BUFFER, input.lock());
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        if input.read_until(b'\n', &mut line).context("<stdin>")? == 0 {
            break;
        }
        let text = line.trim_ascii();
        if text.is_empty() {
            continue;
        }
        match one(text, key) {
            Ok(client) => take(text, client)?,
            Err(what) => return wrong(format!("<stdin>:{number}: {what}")),
        }
    }
    Ok(())
}

/// A line for each client: the client, its server or `-`, and how it is known.
fn lines(known: &Known, output: &mut Output) -> Result<u8> {
    let scheduler = known.service.scheduler;
    let texts: Vec<String> =
        known.servers.iter().map(|entry| format!(" {} {scheduler}\n", entry.destination.key)).collect();
    let mut all_known = true;
    each_client(known.service.key, |text, client| {
        output.write_all(text)?;
        if let Some(connection) = known.existing.connection(client) {
            return Ok(writeln!(output, " {} connection", server(connection))?);
        }
        if let Some((server, _)) = known.template(client) {
            return Ok(writeln!(output, " {server} persistence")?);
        }
        match known.new_connection(client) {
            New::Server(place) => output.write_all(texts[place].as_bytes())?,
            New::Refused => output.write_all(b" - refused\n")?,
            new => {
                all_known = false;
                writeln!(output, " - unknown: {}", escaped(&known.why(new).unwrap_or_default()))?;
            }
        }
        Ok(())
    })?;
    Ok(if all_known { status::OK } else { status::FAILED })
}

/// A document for each client.
fn documents(known: &Known, pretty: bool, output: &mut Output) -> Result<u8> {
    let mut all_known = true;
    each_client(known.service.key, |_, client| {
        all_known &= known.why(known.new_connection(client)).is_none();
        Ok(json::write(&mut *output, "where", &known.document(client), pretty)?)
    })?;
    Ok(if all_known { status::OK } else { status::FAILED })
}
