//! `__complete -- WORD... CURRENT`: what the completion scripts of the shells ask while a command line is being typed. It is
//! for them alone, so no help and no manual has it.
//!
//! The words are those after the program's name, up to the one at the cursor, which can be empty. If that is the value of
//! an option and what it can be is known only now (virtual services, real servers, schedulers, interfaces, network
//! namespaces), the values are printed, one per line, unfiltered, without the option before them, and the status is 0: also
//! if there are none, or they may not be read. Anything else is status 1, and up to the script. Nothing is ever said on
//! standard error, no module loaded, no name looked up.
//!
//! The words come after `--` so that another program of our name, the original, takes none of them for an option.

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt;

use anyhow::Result;
use ipvs_client::{Client, Protocol, ServiceKey};

use super::{Output, status};
use crate::escape::is_safe;
use crate::grammar::table::{self, Command, Completion, OptionSpec, Value, Word};
use crate::grammar::{self, NoNames, Request, Subject};
use crate::host::module;
use crate::host::{boot, namespace};
use crate::view::Labels;

/// The word that it is called by.
pub(super) const WORD: &str = "__complete";

pub(super) fn run(arguments: &[OsString], output: &mut Output) -> Result<u8> {
    // After the word itself and `--`.
    let Some((current, words)) = arguments.get(2..).and_then(<[OsString]>::split_last) else {
        return Ok(status::FAILED);
    };
    let line: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
    let Some(kind) = wanted(&line, current.as_bytes()) else { return Ok(status::FAILED) };
    if kind == Completion::Namespaces {
        print(output, namespace::names())?;
        return Ok(status::OK);
    }
    // What cannot be read now offers nothing; that is not reported in the middle of a line.
    let Ok((name, words)) = grammar::take_namespace(words) else { return Ok(status::OK) };
    if name.is_some_and(|name| namespace::enter(&name).is_err()) {
        return Ok(status::OK);
    }
    let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
    print(output, values(kind, &read(&words)).unwrap_or_default())?;
    Ok(status::OK)
}

fn print(output: &mut Output, values: Vec<String>) -> Result<()> {
    for value in values {
        // A line is a value, and shells print it as it is: what could be taken for two, or for a command, is not offered.
        if is_safe(value.as_bytes()) {
            writeln!(output, "{value}")?;
        }
    }
    Ok(())
}

/// The kind of value that is being typed, if such values are known only now.
fn wanted(words: &[&[u8]], current: &[u8]) -> Option<Completion> {
    let subcommand = words.first().is_some_and(|word| !word.starts_with(b"-"));
    if subcommand {
        let option = match current.iter().position(|byte| *byte == b'=') {
            Some(end) => &current[..end],
            None => words.last()?,
        };
        return match option {
            b"--interface" => Some(Completion::Interfaces),
            b"--netns" => Some(Completion::Namespaces),
            _ if words.first() == Some(&&b"where"[..]) => {
                read(&[option]).waiting.map(|option| option.completion).filter(|kind| kind.is_live())
            }
            _ => None,
        };
    }
    let line = read(words);
    // Not the values before, but an option in the very word being typed.
    let option = line.waiting.or_else(|| read(&[current]).given.first().map(|(option, _)| *option))?;
    Some(option.completion).filter(|kind| kind.is_live())
}

/// A command line, as far as it has been typed.
#[derive(Default)]
struct Line<'w> {
    command: Option<Command>,
    /// Options with their values, in order; without one the value is empty.
    given: Vec<(&'static OptionSpec, &'w [u8])>,
    /// The option that has to have the next word for its value.
    waiting: Option<&'static OptionSpec>,
}

/// Read words as the parser does, but take anything.
fn read<'w>(words: &[&'w [u8]]) -> Line<'w> {
    let mut line = Line::default();
    let mut rest = words.iter().copied().peekable();
    while let Some(word) = rest.next() {
        let mut meanings: Vec<(Word, Option<&[u8]>)> = Vec::new();
        if let Some(long) = word.strip_prefix(b"--") {
            let (name, value) = match long.iter().position(|byte| *byte == b'=') {
                Some(end) => (&long[..end], Some(&long[end + 1..])),
                None => (long, None),
            };
            meanings.extend(table::long(name).map(|meaning| (meaning, value)));
        } else if let Some(letters) = word.strip_prefix(b"-") {
            for (index, letter) in letters.iter().enumerate() {
                let Some(meaning) = table::short(*letter) else { break };
                let behind = &letters[index + 1..];
                if meaning.value() != Value::None && !behind.is_empty() {
                    meanings.push((meaning, Some(behind.strip_prefix(b"=").unwrap_or(behind))));
                    break;
                }
                meanings.push((meaning, None));
            }
        }
        for (meaning, value) in meanings {
            let value = match meaning.value() {
                Value::Required(_) if value.is_none() => rest.next(),
                Value::Optional(_) if value.is_none() => rest.next_if(|next| !next.starts_with(b"-")),
                _ => value,
            };
            match meaning {
                Word::Command(spec) => line.command = Some(spec.command),
                Word::Option(spec) if matches!(spec.value, Value::Required(_)) && value.is_none() => {
                    line.waiting = Some(spec);
                }
                Word::Option(spec) => line.given.push((spec, value.unwrap_or_default())),
            }
        }
    }
    line
}

/// What a value of this kind can be; none if that cannot be found out.
fn values(kind: Completion, line: &Line<'_>) -> Option<Vec<String>> {
    match kind {
        Completion::Schedulers(known) => Some(schedulers(known)),
        Completion::Interfaces => {
            let interfaces = nix::net::if_::if_nameindex().ok()?;
            let mut names: Vec<String> =
                interfaces.iter().map(|interface| interface.name().to_string_lossy().into_owned()).collect();
            names.sort();
            Some(names)
        }
        Completion::Servers => servers(line),
        Completion::Services(protocol) => services(protocol),
        _ => None,
    }
}

/// The virtual services of this protocol, or by their marks.
fn services(protocol: Option<Protocol>) -> Option<Vec<String>> {
    let mut keys: Vec<ServiceKey> = client()?.service_rules().ok()?.into_iter().map(|service| service.key).collect();
    keys.sort_unstable();
    let mut labels = Labels::numeric();
    let of_kind = keys.into_iter().filter(|key| key.protocol() == protocol);
    let mut names: Vec<String> = of_kind
        .map(|key| match key {
            ServiceKey::Mark { mark, .. } => mark.to_string(),
            ServiceKey::Address { address, port, .. } => labels.text(address, port, protocol),
        })
        .collect();
    // A mark can be two services, one of each family.
    names.dedup();
    Some(names)
}

/// The real servers of the service that the line names. One that is being added is not there yet.
fn servers(line: &Line<'_>) -> Option<Vec<String>> {
    if line.command == Some(Command::AddServer) {
        return None;
    }
    let mut servers = client()?.destination_rules(&service(line)?).ok()??;
    servers.sort_unstable_by_key(|server| server.key);
    let mut labels = Labels::numeric();
    Some(servers.iter().map(|server| labels.text(server.key.address, server.key.port, None)).collect())
}

/// The service that the line names.
fn service(line: &Line<'_>) -> Option<ServiceKey> {
    let is_service = |option: &OptionSpec| matches!(option.completion, Completion::Services(_));
    let (option, value) = line.given.iter().find(|(option, _)| is_service(option))?;
    let named = format!("--{}", option.long);
    let ipv6 = line.given.iter().any(|(option, _)| option.short == Some(b'6')).then_some(&b"-6"[..]);
    let request = grammar::parse([b"-L", named.as_bytes(), value].into_iter().chain(ipv6), &NoNames).ok()?;
    let Request::List(listing) = request else { return None };
    let Subject::Service(key) = listing.subject else { return None };
    Some(key)
}

/// IPVS, if it is there. To connect would load the module otherwise.
fn client() -> Option<Client> {
    if module::is_loaded() { Client::connect_if_present().ok()? } else { None }
}

/// The schedulers of this kernel; if there is no finding out, all that we know of.
fn schedulers(known: &[&str]) -> Vec<String> {
    let there = schedulers_among(boot::modules().unwrap_or_default());
    if there.is_empty() { known.iter().map(ToString::to_string).collect() } else { there }
}

/// Those of these modules that are schedulers. The other modules of IPVS are a helper and the persistence engines.
fn schedulers_among(modules: impl IntoIterator<Item = String>) -> Vec<String> {
    let names = modules.into_iter().filter_map(|module| module.strip_prefix("ip_vs_").map(str::to_owned));
    names.filter(|name| name != "ftp" && !name.starts_with("pe_")).collect()
}

/// Whether this is what the scripts call.
pub(super) fn is_meant(arguments: &[OsString]) -> bool {
    matches!(arguments, [word, dashes, ..] if word == WORD && dashes == OsStr::new("--"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is wanted at the end of this line.
    fn at_the_end_of(line: &str) -> Option<Completion> {
        let mut words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let current = words.pop()?;
        wanted(&words, current)
    }

    #[test]
    fn the_option_is_found_however_it_is_written() {
        assert_eq!(at_the_end_of("-a -t "), Some(Completion::Services(Some(Protocol::Tcp))));
        assert_eq!(at_the_end_of("-a -t 20."), Some(Completion::Services(Some(Protocol::Tcp))));
        assert_eq!(at_the_end_of("-at 20."), Some(Completion::Services(Some(Protocol::Tcp))));
        assert_eq!(at_the_end_of("-a -t20."), Some(Completion::Services(Some(Protocol::Tcp))));
        assert_eq!(at_the_end_of("-a --tcp-service=20."), Some(Completion::Services(Some(Protocol::Tcp))));
        assert_eq!(at_the_end_of("-a --udp-service "), Some(Completion::Services(Some(Protocol::Udp))));
        assert_eq!(at_the_end_of("-e -f 1 -r "), Some(Completion::Servers));
        assert!(matches!(at_the_end_of("-A -t 20.20.20.20:80 -s w"), Some(Completion::Schedulers(_))));
        assert_eq!(at_the_end_of("-L --netns "), Some(Completion::Namespaces));
        assert_eq!(at_the_end_of("--netns "), Some(Completion::Namespaces));
        assert_eq!(at_the_end_of("top --netns b"), Some(Completion::Namespaces));
        assert_eq!(at_the_end_of("realserver start --interface e"), Some(Completion::Interfaces));
        assert_eq!(at_the_end_of("realserver start --interface=e"), Some(Completion::Interfaces));
        assert_eq!(at_the_end_of("where 10.0.0.1 -t "), Some(Completion::Services(Some(Protocol::Tcp))));
        assert_eq!(at_the_end_of("where --fwmark-service=1"), Some(Completion::Services(None)));
        assert_eq!(at_the_end_of("where --to "), None);
        // The script knows these itself, or they are not known.
        for line in
            ["-A -t 20.20.20.20:80 -", "-e -t 20.20.20.20:80 -p ", "-a -w ", "--start-daemon m", "", "t", "top "]
        {
            assert_eq!(at_the_end_of(line), None, "{line}");
        }
        // The value of one option is no other option.
        assert_eq!(at_the_end_of("-A -t -s "), None);
    }

    #[test]
    fn schedulers_are_modules_of_ipvs() {
        let modules = ["ip_vs", "ip_vs_ftp", "ip_vs_mine", "ip_vs_pe_sip", "ip_vs_wrr", "tcp_lp"];
        assert_eq!(schedulers_among(modules.map(str::to_owned)), ["mine", "wrr"]);
    }

    #[test]
    fn the_service_is_read_as_the_parser_reads_it() {
        let key = |line: &str| service(&read(&line.split(' ').map(str::as_bytes).collect::<Vec<_>>()));
        let tcp = |address: &str| {
            Some(ServiceKey::Address { protocol: Protocol::Tcp, address: address.parse().unwrap(), port: 80 })
        };
        assert_eq!(key("-e -t 20.20.20.20:80"), tcp("20.20.20.20"));
        assert_eq!(key("-et20.20.20.20:80 -w 3"), tcp("20.20.20.20"));
        assert_eq!(key("-d --tcp-service=[2001:db8::1]:80"), tcp("2001:db8::1"));
        let mark = |family| Some(ServiceKey::Mark { mark: 7, family });
        assert_eq!(key("-d -f 7 -6"), mark(ipvs_client::Family::Ipv6));
        assert_eq!(key("-d -f 7"), mark(ipvs_client::Family::Ipv4));
        assert_eq!(key("-d -t no.such.host:80"), None);
        assert_eq!(key("-d"), None);
    }
}
