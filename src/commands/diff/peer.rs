//! The table of another director, as `-L --json` prints it there.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::BufRead;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::{Context as _, Result, anyhow, ensure};
use ipvs_client::plan::State;
use ipvs_client::{Family, Protocol, ServiceKey};
use serde::Deserialize;

use crate::host::SystemNames;
use crate::rules::{self, Collector};
use crate::view::json::SCHEMA;

/// What another director has.
pub(in crate::commands) struct Peer {
    /// Its rules.
    pub(super) state: State,
    /// The digests of its services with schedulers that choose by a table; none of one that is not known there.
    pub(in crate::commands) digests: HashMap<ServiceKey, Option<String>>,
}

/// The document, as far as it is compared; other members are passed over.
#[derive(Deserialize)]
struct Document {
    schema: u32,
    table: Table,
}

#[derive(Deserialize)]
struct Table {
    services: Vec<ServiceOfPeer>,
}

#[derive(Deserialize)]
struct ServiceOfPeer {
    protocol: Option<String>,
    address: Option<IpAddr>,
    port: Option<u16>,
    fwmark: Option<u32>,
    family: String,
    scheduler: String,
    scheduler_flags: Vec<String>,
    one_packet: bool,
    persistence: Option<Persistence>,
    persistence_engine: Option<String>,
    hash: Option<Hash>,
    servers: Vec<Server>,
}

#[derive(Deserialize)]
struct Persistence {
    timeout_seconds: u32,
    netmask: Option<Ipv4Addr>,
    prefix_length: Option<u8>,
}

#[derive(Deserialize)]
struct Hash {
    digest: Option<String>,
}

#[derive(Deserialize)]
struct Server {
    address: IpAddr,
    port: u16,
    forwarding: String,
    tunnel: Option<Tunnel>,
    weight: u32,
    upper_threshold: u32,
    lower_threshold: u32,
}

#[derive(Deserialize)]
struct Tunnel {
    #[serde(rename = "type")]
    kind: String,
    port: Option<u16>,
    checksum: String,
}

/// Read the document.
///
/// # Errors
/// It is none of a table.
pub(super) fn read(text: impl BufRead) -> Result<Peer> {
    let Document { schema, table } = serde_json::from_reader(text).context("not a table, as -L --json prints it")?;
    ensure!(schema == SCHEMA, "version {schema} of the schema is not known");
    let mut digests = HashMap::new();
    let mut lines = String::new();
    for service in &table.services {
        let key = service.key()?;
        if let Some(hash) = &service.hash {
            // It is printed.
            ensure!(hash.digest.as_deref().is_none_or(is_word), "{key}: not a digest");
            digests.insert(key, hash.digest.clone());
        }
        service.write(&key, &mut lines)?;
    }
    let mut collector = Collector::default();
    let read = rules::read(lines.as_bytes(), &SystemNames::default(), |line| collector.take(line));
    let desired = collector.finish();
    ensure!(read.is_ok() && !desired.has_faults(), "not a table, as -L --json prints it");
    Ok(Peer { state: desired.state, digests })
}

/// Whether this is a single word of a line of rules.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

fn word(text: &str) -> Result<&str> {
    if is_word(text) { Ok(text) } else { Err(anyhow!("not a table, as -L --json prints it")) }
}

impl ServiceOfPeer {
    fn key(&self) -> Result<ServiceKey> {
        let family = match self.family.as_str() {
            "ipv4" => Family::Ipv4,
            "ipv6" => Family::Ipv6,
            _ => return Err(anyhow!("not a family of addresses")),
        };
        match (self.fwmark, self.protocol.as_deref(), self.address, self.port) {
            (Some(mark), ..) => Ok(ServiceKey::mark(mark, family)),
            (None, Some(name), Some(address), Some(port)) => {
                let protocols = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp];
                let protocol = protocols.into_iter().find(|protocol| protocol.service_name() == name);
                let protocol = protocol.context("not a protocol of services")?;
                Ok(ServiceKey::Address { protocol, address, port })
            }
            _ => Err(anyhow!("a service without an address and without a mark")),
        }
    }

    /// The lines that make it.
    fn write(&self, key: &ServiceKey, lines: &mut String) -> Result<()> {
        let option = crate::view::rules::service_option(key);
        write!(lines, "-A {option} -s {}", word(&self.scheduler)?)?;
        for (number, flag) in self.scheduler_flags.iter().enumerate() {
            write!(lines, "{}{}", if number == 0 { " -b " } else { "," }, word(flag)?)?;
        }
        if let Some(Persistence { timeout_seconds, netmask, prefix_length }) = &self.persistence {
            write!(lines, " -p {timeout_seconds}")?;
            match (netmask, prefix_length) {
                (Some(mask), _) => write!(lines, " -M {mask}")?,
                (None, Some(length)) => write!(lines, " -M {length}")?,
                (None, None) => {}
            }
        }
        if let Some(engine) = &self.persistence_engine {
            write!(lines, " --pe {}", word(engine)?)?;
        }
        lines.push_str(if self.one_packet { " -o\n" } else { "\n" });
        self.servers.iter().try_for_each(|server| server.write(&option, lines))
    }
}

impl Server {
    fn write(&self, service: &str, lines: &mut String) -> Result<()> {
        let server = SocketAddr::new(self.address, self.port);
        write!(lines, "-a {service} -r {server}")?;
        match (self.forwarding.as_str(), &self.tunnel) {
            // A rule cannot ask for its own addresses: the kernel makes them local by itself.
            ("dr" | "local", _) => lines.push_str(" -g"),
            ("nat", _) => lines.push_str(" -m"),
            ("tunnel", Some(Tunnel { kind, port, checksum })) => {
                write!(lines, " -i --tun-type {}", word(kind)?)?;
                if let Some(port) = port {
                    write!(lines, " --tun-port {port}")?;
                }
                match (kind.as_str(), checksum.as_str()) {
                    ("ipip", _) => {}
                    (_, "full") => lines.push_str(" --tun-csum"),
                    (_, "remote") => lines.push_str(" --tun-remcsum"),
                    _ => lines.push_str(" --tun-nocsum"),
                }
            }
            _ => return Err(anyhow!("{server}: not a way of forwarding that a rule can ask for")),
        }
        let Self { weight, upper_threshold, lower_threshold, .. } = self;
        writeln!(lines, " -w {weight} -x {upper_threshold} -y {lower_threshold}")?;
        Ok(())
    }
}
