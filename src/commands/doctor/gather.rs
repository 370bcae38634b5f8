//! Reading the facts. Nothing here fails: what cannot be read is a fact without a value.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::fs::File;
use std::io::BufReader;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use ipvs_client::{
    Change, Client, DaemonRole, DestinationEntry, ServiceKey, Table, hash_tables,
    plan::{self, Options},
};
use netlink_exchange::Errno;

use super::alike;
use super::programs::{self, KUBE_INTERFACE};
use super::traffic;
use super::ways::Ways;
use crate::commands::diff::Peer;
use crate::commands::state::read_state;
use crate::doctor::facts::{
    Answer, Blocked, BootAddress, Fact, Facts, FilePort, Ipvs, Modules, Probe, Return, RulesFile, Settings, Vip,
};
use crate::doctor::quiet::{Network, speakers};
use crate::doctor::roles::ANNOUNCERS;
use crate::host::probe::{Heard, Wire};
use crate::host::route::{self, Address, Link, Route, RouteQuery};
use crate::host::{self, SystemNames, boot, ethtool, input, module, sysctl};
use crate::machine::{Prefix, RouteKind};
use crate::realserver;
use crate::rules::{self, CUT_OFF, Collector, ReadError};

/// Where rules are saved: by Debian and the original's own script, by Red Hat, by Gentoo and Alpine.
const RULES: &[&str] = &["/etc/ipvsadm.rules", "/etc/sysconfig/ipvsadm", "/var/lib/ipvsadm/rules-save"];

/// What is to be read about.
pub(super) struct Wanted<'p> {
    /// This program, for commands that it suggests.
    pub(super) program: String,
    /// The virtual addresses; none is all.
    pub(super) vips: Vec<Vip>,
    /// The saved rules, if not at their usual place.
    pub(super) rules: Option<&'p Path>,
    /// Whether to ask on the wire.
    pub(super) probe: bool,
    /// Whether this is said to be one of several directors.
    pub(super) scale_out: bool,
    /// The tables of other directors, and the files that they were read from.
    pub(super) peers: Vec<(&'p Path, Peer)>,
}

pub(super) fn gather(wanted: Wanted<'_>) -> Facts {
    // Connecting would load the module, and the doctor only reads.
    let mut ipvs = if module::is_loaded() { Client::connect_if_present() } else { Ok(None) };
    let forbidden: Vec<_> =
        boot::forbidden_modules().into_iter().map(|(module, file, line)| Blocked { module, file, line }).collect();
    let is_present = match &ipvs {
        Ok(None) if !Path::new("/proc/net").exists() => Err("it is not there".to_owned()),
        Ok(client) => Ok(client.is_some()),
        Err(error) => Err(error.to_string()),
    };
    let ipvs_from = if is_present == Ok(true) { "generic netlink" } else { "/proc/net/ip_vs" };
    let table = ask(&mut ipvs, Client::table);
    let peers = match wanted.peers.is_empty() {
        true => Fact::known(Vec::new(), "--peer"),
        false => ask_about(&mut ipvs, |client| alike::compared(client, wanted.peers)),
    };
    let mut network = route::Client::connect();
    let links = read(&mut network, "the kernel's links", route::Client::links);
    let addresses = read(&mut network, "the kernel's addresses", route::Client::addresses);
    let vips = match wanted.vips.is_empty() {
        false => wanted.vips,
        true => all_vips(&table, &links, &addresses),
    };
    let targets: Vec<IpAddr> = vips.iter().map(|vip| vip.address).collect();
    let routes = read(&mut network, "the kernel's routes", route::Client::routes);
    let drops_before = traffic::reverse_path_drops();
    let daemons = ask(&mut ipvs, Client::daemons);
    let mut probe = wanted.probe.then(|| {
        let gateways = routes.value().into_iter().flatten().filter_map(|route| route.gateway);
        let asked: BTreeSet<IpAddr> = targets.iter().copied().chain(gateways).collect();
        // A master has messages ready every three seconds.
        let is_backup = daemons.value().is_some_and(|all| all.iter().any(|daemon| daemon.role == DaemonRole::Backup));
        let patience = Duration::from_millis(if is_backup { 3500 } else { 1000 });
        ask_around(&asked, &targets, &links, &addresses, patience)
    });
    let drops_now = traffic::reverse_path_drops();
    if let (Some(probe), Some(before), Some(now)) = (&mut probe, drops_before.value(), drops_now.value()) {
        probe.reverse_path_drops = Fact::known(now.saturating_sub(*before), drops_now.from().to_owned());
    }
    let rules = saved(wanted.rules, &mut ipvs);
    let listeners = Fact::of(host::listeners(), "the kernel's sockets");
    let own = own_addresses(&links, &addresses);
    let mut facts = Facts {
        program: wanted.program,
        kernel: release(),
        ipvs: Fact::of(
            is_present.map(|present| Ipvs {
                present,
                blocked: forbidden.iter().find(|line| line.module == "ip_vs").cloned(),
            }),
            ipvs_from,
        ),
        info: ask(&mut ipvs, Client::info),
        hash_tables: Fact::of(hash_tables::read(), hash_tables::STATUS),
        timeouts: ask(&mut ipvs, Client::timeouts),
        daemons,
        modules: Fact::of(
            boot::modules().map(|known| Modules { known, blocked: forbidden }),
            "/lib/modules and /proc/modules",
        ),
        rules,
        managers: programs::managers(&links),
        neighbours: read(&mut network, "the kernel's neighbour table", route::Client::neighbours),
        paths: paths(&mut network, &targets, &table),
        settings: settings(&links),
        offload: offload(&links),
        boot_settings: Fact::of(boot::settings(), "/etc/sysctl.d and the like"),
        boot_addresses: Fact::known(boot_addresses(&targets), "the network configuration under /etc"),
        announced: Fact::known(boot::announced(&targets), "/etc/sysconfig/network-scripts"),
        marked: BTreeMap::new(),
        policies: read(&mut network, "the kernel's rules of policy routing", route::Client::rules),
        returns: returns(&mut network, targets.iter().chain(&own), &routes, |address| {
            vrf_of(&links, &addresses, address)
        }),
        reverse_path_drops: drops_now,
        traffic: traffic::here(&targets),
        progress: traffic::progress(),
        programs: programs::running(),
        scheduled: Vec::new(),
        delivered: Vec::new(),
        cluster: Vec::new(),
        listeners,
        arp: Fact::known(Vec::new(), ""),
        probe,
        slots: Fact::known(Vec::new(), ""),
        peers,
        vips,
        table,
        links,
        addresses,
        routes,
    };
    // No other role asks for them, and of a large table they take long.
    if wanted.scale_out || facts.runs(ANNOUNCERS) {
        facts.slots = ask_about(&mut ipvs, alike::slots);
    }
    Ways::read(network).fill(&mut facts);
    facts
}

/// The addresses of the interfaces that packets come in by: the first of each family.
fn own_addresses(links: &Fact<Vec<Link>>, addresses: &Fact<Vec<Address>>) -> Vec<IpAddr> {
    let links = links.value().map(Vec::as_slice).unwrap_or_default();
    let held = addresses.value().map(Vec::as_slice).unwrap_or_default();
    let mut own = Vec::new();
    for link in speakers(links) {
        for is_ipv4 in [true, false] {
            own.extend(
                held.iter()
                    .filter(|one| one.index == link.index && one.address.is_ipv4() == is_ipv4)
                    .find(|one| !matches!(one.address, IpAddr::V6(address) if address.is_unicast_link_local()))
                    .map(|one| one.address),
            );
        }
    }
    own
}

/// Addresses that no network of this machine has, as far as its routes tell: clients from anywhere.
const ANYWHERE: [[u8; 4]; 4] = [[203, 0, 113, 9], [198, 51, 100, 9], [192, 0, 2, 9], [9, 9, 9, 9]];
/// Routes to networks of clients that are looked at, at most.
const WAYS: usize = 32;

/// The ways of answers from these addresses: to clients from anywhere, and to those of each network behind a router.
fn returns<'a>(
    client: &mut Result<route::Client, route::Error>,
    from: impl Iterator<Item = &'a IpAddr>,
    routes: &Fact<Vec<Route>>,
    vrf_of: impl Fn(IpAddr) -> Option<u32>,
) -> Vec<Return> {
    let routes = routes.value().map(Vec::as_slice).unwrap_or_default();
    let is_covered = |address: IpAddr| {
        routes.iter().any(|route| route.destination.length > 0 && route.destination.contains(address))
    };
    let mut networks: Vec<Prefix> = Vec::new();
    for route in routes.iter().filter(|route| route.destination.length > 0 && route.kind == RouteKind::Unicast) {
        let is_routed = route.gateway.is_some() || route.next_hops.iter().any(|hop| hop.gateway.is_some());
        if is_routed && !networks.contains(&route.destination) && networks.len() < WAYS {
            networks.push(route.destination);
        }
    }
    let mut found = Vec::new();
    for &from in from {
        let anywhere: IpAddr = match from {
            IpAddr::V4(_) => {
                let all = ANYWHERE.map(IpAddr::from);
                all.into_iter().find(|address| !is_covered(*address)).unwrap_or(all[3])
            }
            // Of the block for documentation (RFC 9637).
            IpAddr::V6(_) => IpAddr::from([0x3fff, 0, 0, 0, 0, 0, 0, 9]),
        };
        let of_networks = networks.iter().filter(|network| network.address.is_ipv4() == from.is_ipv4());
        let clients = of_networks.map(|network| (first_of(*network), Some(*network)));
        for (to, network) in [(anywhere, None)].into_iter().chain(clients) {
            if to == from {
                continue;
            }
            let query = RouteQuery { output: vrf_of(from), ..RouteQuery::to(to) };
            let plain = find_route(client, query);
            // Where the address is not here, the kernel refuses the question.
            let route = match find_route(client, RouteQuery { from: Some(from), ..query }) {
                found if found.value() == Some(&None) => match is_held(client, query, from) {
                    true => found,
                    false => plain,
                },
                found => found,
            };
            found.push(Return { from, client: to, network, route });
        }
    }
    found
}

/// The number of the VRF that an address is in, if it is.
fn vrf_of(links: &Fact<Vec<Link>>, addresses: &Fact<Vec<Address>>, address: IpAddr) -> Option<u32> {
    let network = Network { links: links.value()?, addresses: addresses.value()? };
    network.vrf_of(address).map(|vrf| vrf.index)
}

/// Whether an address is this machine's, where a packet goes the way of this query.
fn is_held(client: &mut Result<route::Client, route::Error>, query: RouteQuery, address: IpAddr) -> bool {
    let found = find_route(client, RouteQuery { to: address, ..query });
    found.value().and_then(Option::as_ref).is_some_and(|route| route.kind == RouteKind::Local)
}

/// The first host of a network.
fn first_of(network: Prefix) -> IpAddr {
    match network.address {
        IpAddr::V4(address) if network.length < 31 => IpAddr::from((address.to_bits() | 1).to_be_bytes()),
        IpAddr::V6(address) if network.length < 127 => IpAddr::from((address.to_bits() | 1).to_be_bytes()),
        address => address,
    }
}

/// A route, or that there is none.
fn find_route(client: &mut Result<route::Client, route::Error>, query: RouteQuery) -> Fact<Option<Route>> {
    let from = "the kernel's routes";
    match client {
        Ok(client) => match client.route_to(&query) {
            Ok(route) => Fact::known(Some(route), from),
            Err(error)
                if matches!(
                    error.errno(),
                    Some(Errno::ENETUNREACH | Errno::EHOSTUNREACH | Errno::EACCES | Errno::EINVAL)
                ) =>
            {
                Fact::known(None, from)
            }
            Err(error) => Fact::unreadable(error, from),
        },
        Err(error) => Fact::unreadable(error, from),
    }
}

/// Ask IPVS.
fn ask<T>(
    client: &mut Result<Option<Client>, ipvs_client::Error>,
    question: impl FnOnce(&mut Client) -> Result<T, ipvs_client::Error>,
) -> Fact<T> {
    ask_about(client, question)
}

/// The same by more than one question.
fn ask_about<T, E: Display>(
    client: &mut Result<Option<Client>, ipvs_client::Error>,
    question: impl FnOnce(&mut Client) -> Result<T, E>,
) -> Fact<T> {
    let from = "the kernel's IPVS";
    match client {
        Ok(Some(client)) => Fact::of(question(client), from),
        Ok(None) => Fact::unreadable("the module ip_vs is not loaded", from),
        Err(error) => Fact::unreadable(error, from),
    }
}

/// Ask rtnetlink.
fn read<T>(
    client: &mut Result<route::Client, route::Error>,
    from: &'static str,
    question: impl FnOnce(&mut route::Client) -> Result<T, route::Error>,
) -> Fact<T> {
    match client {
        Ok(client) => Fact::of(question(client), from),
        Err(error) => Fact::unreadable(error, from),
    }
}

/// The addresses of services, and those that stand where a real server's VIP does.
fn all_vips(table: &Fact<Table>, links: &Fact<Vec<Link>>, addresses: &Fact<Vec<Address>>) -> Vec<Vip> {
    let services = table.value().map(|table| table.services.as_slice()).unwrap_or_default();
    let mut all: BTreeSet<IpAddr> = services.iter().filter_map(|service| service.entry.service.key.address()).collect();
    let links = links.value().map(Vec::as_slice).unwrap_or_default();
    for held in addresses.value().map(Vec::as_slice).unwrap_or_default() {
        let Some(link) = links.iter().find(|link| link.index == held.index) else { continue };
        let is_host = held.prefix == Prefix::host(held.address).length;
        let is_hidden = match link.flags.is_loopback() {
            true => !held.address.is_loopback(),
            // Others without ARP have networks of their own: a point-to-point tunnel, a VPN.
            false => link.flags.is_no_arp() && is_host && link.name != KUBE_INTERFACE && held.peer.is_none(),
        };
        let is_link_local = match held.address {
            IpAddr::V4(address) => address.is_link_local(),
            IpAddr::V6(address) => address.is_unicast_link_local(),
        };
        if is_hidden && !is_link_local {
            all.insert(held.address);
        }
    }
    all.into_iter().map(|address| Vip { address, port: None, is_named: false }).collect()
}

/// Where packets to virtual addresses and servers go.
fn paths(
    client: &mut Result<route::Client, route::Error>,
    vips: &[IpAddr],
    table: &Fact<Table>,
) -> BTreeMap<IpAddr, Fact<Option<Route>>> {
    let services = table.value().map(|table| table.services.as_slice()).unwrap_or_default();
    let of_server = |entry: &DestinationEntry| entry.destination.key.address;
    let servers = services.iter().flat_map(|service| &service.destinations).map(of_server);
    let marks: Vec<u32> = services
        .iter()
        .filter_map(|service| match service.entry.service.key {
            ServiceKey::Mark { mark, .. } => Some(mark),
            ServiceKey::Address { .. } => None,
        })
        .collect();
    let targets: BTreeSet<IpAddr> = vips.iter().copied().chain(servers).collect();
    let mut find = |query: RouteQuery| find_route(client, query);
    let is_local = |fact: &Fact<Option<Route>>| {
        fact.value().and_then(Option::as_ref).is_some_and(|route| route.kind == RouteKind::Local)
    };
    let mut found = BTreeMap::new();
    for to in targets {
        let plain = find(RouteQuery::to(to));
        // A service by firewall mark can do with a route for marked packets.
        let fact = match vips.contains(&to) && !is_local(&plain) {
            true => marks
                .iter()
                .map(|mark| find(RouteQuery { mark: Some(*mark), ..RouteQuery::to(to) }))
                .find(is_local)
                .unwrap_or(plain),
            false => plain,
        };
        found.insert(to, fact);
    }
    found
}

/// The files that bring addresses back at boot.
fn boot_addresses(vips: &[IpAddr]) -> Vec<BootAddress> {
    let of = |(address, file): (IpAddr, String)| {
        let is_unit = file.ends_with(&format!("/{}", realserver::unit(address)));
        BootAddress { address, file, is_unit }
    };
    boot::addresses(vips).into_iter().map(of).collect()
}

/// The version of the running kernel.
fn release() -> Fact<(u32, u32)> {
    let from = "/proc/sys/kernel/osrelease";
    match sysctl::kernel_version() {
        Ok(Some(version)) => Fact::known(version, from),
        Ok(None) => Fact::unreadable("it does not begin with a version", from),
        Err(error) => Fact::unreadable(error, from),
    }
}

/// All settings that a check looks at.
fn settings(links: &Fact<Vec<Link>>) -> Settings {
    let mut settings = Settings::default();
    let mut add = |key: &str| {
        let fact = match sysctl::read_number(key) {
            Ok(value) => Fact::known(value, format!("/proc/sys/{key}")),
            Err(error) => Fact::unreadable(error.source, format!("/proc/sys/{key}")),
        };
        settings.insert(key, fact);
    };
    for name in [
        "expire_nodest_conn",
        "expire_quiescent_template",
        "conn_reuse_mode",
        "conntrack",
        "backup_only",
        "sloppy_tcp",
        "sloppy_sctp",
        "schedule_icmp",
    ] {
        add(&format!("net/ipv4/vs/{name}"));
    }
    for key in [
        "net/ipv4/ip_forward",
        "net/ipv6/conf/all/forwarding",
        "net/ipv4/neigh/default/gc_thresh3",
        "net/ipv4/tcp_keepalive_time",
        "net/netfilter/nf_conntrack_tcp_loose",
    ] {
        add(key);
    }
    let links = links.value().map(Vec::as_slice).unwrap_or_default();
    for which in links.iter().map(|link| link.name.as_str()).chain(["all"]) {
        for name in ["arp_ignore", "arp_announce", "rp_filter", "send_redirects"] {
            add(&format!("net/ipv4/conf/{which}/{name}"));
        }
    }
    settings
}

/// Large receive offload of the interfaces that packets come in by.
fn offload(links: &Fact<Vec<Link>>) -> Vec<(String, Fact<bool>)> {
    let mut client = ethtool::Features::connect();
    let links = links.value().map(Vec::as_slice).unwrap_or_default();
    let is_on = |link: &Link| {
        let from = format!("ethtool's features of {}", link.name);
        let fact = match &mut client {
            Ok(client) => {
                Fact::of(client.active(&link.name).map(|names| names.iter().any(|name| name == "rx-lro")), from)
            }
            Err(error) => Fact::unreadable(error, from),
        };
        (link.name.clone(), fact)
    };
    speakers(links).map(is_on).collect()
}

/// The saved rules, and in how much the table differs.
fn saved(named: Option<&Path>, client: &mut Result<Option<Client>, ipvs_client::Error>) -> Fact<Option<RulesFile>> {
    let Some(path) = named.map(Path::to_owned).or_else(usual_rules) else {
        return Fact::known(None, RULES.join(", "));
    };
    let from = path.display().to_string();
    let text = match input::read(&path) {
        Ok(text) => text,
        Err(error) => return Fact::unreadable(error, from),
    };
    let lines: Vec<_> = text.split(|byte| *byte == b'\n').collect();
    let mut file = RulesFile { path: from.clone(), ..RulesFile::default() };
    let mut collector = Collector::default();
    let outcome = rules::read(BufReader::new(text.as_slice()), &SystemNames::default(), |line| {
        match line.change().copied() {
            Some(Change::AddService(service) | Change::EditService(service)) => {
                file.schedulers.push((line.number, service.key, service.scheduler));
                file.engines.push((line.number, service.engine));
            }
            Some(Change::AddDestination(key, server) | Change::EditDestination(key, server)) => {
                file.weights.insert((key, server.key), server.weight);
                if let (Some(written), Some(counts)) = (line.replaced_port, key.port()) {
                    let text = lines.get(line.number as usize - 1).map(|text| String::from_utf8_lossy(text));
                    let mark = format!(":{written}");
                    let literal =
                        text.is_some_and(|text| text.split_ascii_whitespace().any(|word| word.ends_with(&mark)));
                    file.ports.push(FilePort { line: line.number, written, counts, literal });
                }
            }
            _ => {}
        }
        collector.take(line);
    });
    match outcome {
        Ok(()) => {}
        Err(ReadError::Source(error)) => return Fact::unreadable(error, from),
        Err(ReadError::CutOff) => {
            file.bad = vec![CUT_OFF.to_owned()];
            return Fact::known(Some(file), from);
        }
        Err(ReadError::Bad(bad)) => {
            file.bad = bad.iter().map(ToString::to_string).collect();
            return Fact::known(Some(file), from);
        }
    }
    let desired = collector.finish();
    file.bad = desired.refused.iter().map(|(line, finding)| format!("{line}: {}", finding.message())).collect();
    let want = desired.state;
    file.whole = want.timeouts.is_some() || !want.daemons.is_empty();
    let have = ask(client, |client| read_state(client, &want));
    if let Some(have) = have.value() {
        file.differences = plan::difference(have, &want, Options::default()).len();
    }
    Fact::known(Some(file), from)
}

/// The first of the usual files that is there. One of variables (openSUSE's `/etc/sysconfig/ipvsadm`) names another.
fn usual_rules() -> Option<PathBuf> {
    RULES.iter().map(PathBuf::from).find_map(|path| {
        if !path.is_file() || File::open(&path).is_err() {
            return None;
        }
        let text = input::settings_text(&path).unwrap_or_default();
        match text.lines().find_map(|line| line.trim().strip_prefix("IPVSADM_CONFIG=")) {
            Some(named) => Some(PathBuf::from(named.trim_matches(['"', '\'']))).filter(|named| named.is_file()),
            None => Some(path),
        }
    })
}

/// Ask on all segments at once who has these addresses. None of the virtual ones is asked with.
fn ask_around(
    asked: &BTreeSet<IpAddr>,
    vips: &[IpAddr],
    links: &Fact<Vec<Link>>,
    addresses: &Fact<Vec<Address>>,
    patience: Duration,
) -> Probe {
    /// `ARPHRD_ETHER`
    const ETHERNET: u16 = 1;
    let from = "the wire";
    let links = links.value().map(Vec::as_slice).unwrap_or_default();
    let addresses = addresses.value().map(Vec::as_slice).unwrap_or_default();
    let (mut ipv4, mut ipv6) = (Vec::new(), Vec::new());
    for address in asked {
        match address {
            IpAddr::V4(address) => ipv4.push(*address),
            IpAddr::V6(address) => ipv6.push(*address),
        }
    }
    let outcomes: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = speakers(links)
            .filter(|link| link.medium == ETHERNET)
            .map(|link| {
                let own = || {
                    addresses
                        .iter()
                        .filter(|held| held.index == link.index && !vips.contains(&held.address))
                        .map(|held| held.address)
                };
                let sender = own().find_map(|address| match address {
                    IpAddr::V4(address) => Some(address),
                    IpAddr::V6(_) => None,
                });
                let link_local = own().find_map(|address| match address {
                    IpAddr::V6(address) if address.is_unicast_link_local() => Some(address),
                    _ => None,
                });
                let (ipv4, ipv6) = (&ipv4, &ipv6);
                (link, scope.spawn(move || Wire::open(&link.name)?.ask(sender, link_local, ipv4, ipv6, patience)))
            })
            .collect();
        threads.into_iter().map(|(link, thread)| (link, thread.join())).collect()
    });
    let mut answers = Vec::new();
    let mut sync_ids = Vec::new();
    for (link, outcome) in outcomes {
        let heard = match outcome {
            Ok(Ok(heard)) => heard,
            Ok(Err(error)) => {
                let why = format!("{}: {error}", link.name);
                return Probe {
                    answers: Fact::unreadable(&why, from),
                    sync_ids: Fact::unreadable(&why, from),
                    reverse_path_drops: Fact::known(0, from),
                };
            }
            // A thread of ours panicked; its message is on standard error.
            Err(_) => continue,
        };
        for heard in heard {
            let interface = link.name.clone();
            match heard {
                Heard::Arp(address, hardware) => answers.push(Answer { address: address.into(), interface, hardware }),
                Heard::Advertisement(vip, hardware) => {
                    answers.push(Answer { address: vip.into(), interface, hardware })
                }
                Heard::Sync(id) => sync_ids.push(id),
            }
        }
    }
    answers.retain(|answer| asked.contains(&answer.address));
    Probe {
        answers: Fact::known(answers, from),
        sync_ids: Fact::known(sync_ids, from),
        reverse_path_drops: Fact::known(0, from),
    }
}
