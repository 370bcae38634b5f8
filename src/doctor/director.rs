//! The checks of a director.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::facts::{Blocked, Facts, Fate, Passage};
use super::{Judged, Judgement, Skip, State, shell, sysctl_key, unless_bad};
use crate::host::route::{Link, Prefix, RouteKind};
use crate::model::{Change, DaemonRole, Destination, Family, Forwarding, HashTables, ServiceKey};

const TABLE: &str = "the kernel's table";
const ROUTES: &str = "the kernel's routes";

pub(super) fn ipvs(facts: &Facts) -> Judged {
    let from = facts.ipvs.from();
    let ipvs = facts.ipvs.get()?;
    if ipvs.present {
        return Ok(vec![match &ipvs.blocked {
            None => Judgement::ok("the netlink family IPVS is there", from),
            Some(blocked) => Judgement::warn(
                format!("the module ip_vs is loaded, but cannot be at the next boot: {}", blocked.line),
                &blocked.file,
            )
            .command(permit(blocked)),
        }]);
    }
    Ok(vec![match &ipvs.blocked {
        None => Judgement::fail("the module ip_vs is not loaded", from).command("modprobe ip_vs"),
        Some(blocked) => {
            Judgement::fail(format!("the module ip_vs is not loaded, and forbidden: {}", blocked.line), &blocked.file)
                .command(format!("{} && modprobe ip_vs", permit(blocked)))
        }
    }])
}

/// The command that takes away what forbids a module.
fn permit(blocked: &Blocked) -> String {
    // Files spell names with either.
    let module = blocked.module.replace('_', "[-_]");
    format!("sed -i '/^[[:space:]]*install[[:space:]]*{module}[[:space:]]/d' {}", shell(&blocked.file))
}

pub(super) fn vip_is_local(facts: &Facts) -> Judged {
    if facts.vips.is_empty() {
        return Err(Skip::does_not_apply("no virtual address is known; name one to have it looked at"));
    }
    let mut bad = Vec::new();
    let mut unusable = None;
    for vip in &facts.vips {
        let address = vip.address;
        let path = facts.path(address)?;
        if path.is_some_and(|route| route.kind == RouteKind::Local) {
            continue;
        }
        if facts.holders(address)?.iter().any(|(_, held)| held.flags.is_dad_failed()) {
            unusable = Some(address);
            continue;
        }
        let stands_by =
            facts.daemons.value().is_some_and(|all| all.iter().any(|daemon| daemon.role == DaemonRole::Backup));
        if stands_by || facts.is_managed() {
            return Err(Skip::does_not_apply(format!("{address} is not here, as on a director that stands by")));
        }
        let goes = path
            .and_then(|route| route.output)
            .map_or_else(|| "nowhere".to_owned(), |index| format!("out by {}", facts.interface(index)));
        let device = device_for(facts, address).unwrap_or_else(|| "INTERFACE".to_owned());
        bad.push(
            Judgement::fail(format!("packets to {address} go {goes}"), ROUTES)
                .command(format!("ip addr add {} dev {device}", Prefix::host(address))),
        );
    }
    match unusable {
        Some(address) if bad.is_empty() => {
            Err(Skip::does_not_apply(format!("{address} is here, and failed duplicate address detection (D20)")))
        }
        _ => unless_bad(bad, "all virtual addresses are local", ROUTES),
    }
}

/// The interface on which a virtual address belongs: that of the way to the servers, or else the first that answers ARP.
fn device_for(facts: &Facts, vip: IpAddr) -> Option<String> {
    let servers = facts.servers().ok()?;
    let output = |(_, entry): &(ServiceKey, &crate::model::DestinationEntry)| {
        let address = entry.destination.key.address;
        (Family::of(address) == Family::of(vip)).then_some(())?;
        let route = facts.path(address).ok()??;
        (route.kind == RouteKind::Unicast).then_some(facts.interface(route.output?))
    };
    let first = || facts.speaking().ok()?.first().map(|link| link.name.clone());
    servers.iter().find_map(output).or_else(first)
}

pub(super) fn vip_prefix(facts: &Facts) -> Judged {
    let from = facts.addresses.from();
    let mut bad = Vec::new();
    let mut seen = false;
    for vip in &facts.vips {
        for (link, held) in facts.holders(vip.address)? {
            seen = true;
            let host = Prefix::host(vip.address).length;
            if held.prefix == host || link.flags.is_loopback() {
                continue;
            }
            let (address, prefix, name) = (vip.address, held.prefix, &link.name);
            bad.push(Judgement::warn(format!("{address}/{prefix} on {name}"), from).command(format!(
                "ip addr add {address}/{host} dev {name} && ip addr del {address}/{prefix} dev {name}"
            )));
        }
    }
    if !seen {
        return Err(Skip::does_not_apply("no virtual address is on an interface here"));
    }
    unless_bad(bad, "no virtual address has a wide prefix", from)
}

/// The servers of these forwarding methods, each address once.
fn servers_by(facts: &Facts, of: impl Fn(Forwarding) -> bool) -> Result<BTreeSet<IpAddr>, Skip> {
    let servers = facts.servers()?.into_iter().map(|(_, entry)| entry.destination);
    Ok(servers.filter(|server| of(server.forwarding)).map(|server| server.key.address).collect())
}

pub(super) fn servers_on_link(facts: &Facts) -> Judged {
    let servers = servers_by(facts, |forwarding| forwarding == Forwarding::DirectRoute)?;
    if servers.is_empty() {
        return Err(Skip::does_not_apply("no service with direct routing (-g)"));
    }
    let mut bad = Vec::new();
    for address in servers {
        match facts.path(address)? {
            None => bad.push(
                Judgement::fail(format!("there is no route to {address}"), ROUTES)
                    .advice("Give this machine an address in the real server's network."),
            ),
            // This director is a real server of its own; the kernel sees to that.
            Some(route) if route.kind == RouteKind::Local => {}
            Some(route) => {
                let Some(gateway) = route.gateway else { continue };
                let found = Judgement::fail(format!("{address} is behind the gateway {gateway}"), ROUTES);
                bad.push(match on_segment(facts, address) {
                    Some(link) => {
                        found.command(format!("ip route replace {} dev {}", Prefix::host(address), link.name))
                    }
                    None => found
                        .advice("Move the real server to this segment, or use tunnelling (-i) or masquerading (-m)."),
                });
            }
        }
    }
    unless_bad(bad, "no gateway between here and the real servers", ROUTES)
}

/// The interface in whose network an address is.
fn on_segment(facts: &Facts, address: IpAddr) -> Option<&Link> {
    let of_link = |link: &&Link| {
        facts.addresses.value().into_iter().flatten().any(|held| {
            held.index == link.index && Prefix { address: held.address, length: held.prefix }.contains(address)
        })
    };
    facts.speaking().ok()?.into_iter().find(of_link)
}

pub(super) fn neighbours(facts: &Facts) -> Judged {
    let from = facts.neighbours.from();
    let known = facts.neighbours.get()?;
    let mut bad = Vec::new();
    let mut macs: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
    let mut seen = 0;
    for address in servers_by(facts, |forwarding| forwarding != Forwarding::Local)? {
        let Some(route) = facts.path(address)? else { continue };
        if route.gateway.is_some() {
            continue;
        }
        let Some(entry) = known.iter().find(|entry| entry.address == address && Some(entry.index) == route.output)
        else {
            continue;
        };
        seen += 1;
        let name = facts.interface(entry.index);
        if entry.state.is_failed() || entry.state.is_incomplete() {
            bad.push(Judgement::fail(format!("{address} does not answer on {name}"), from).advice(format!(
                "See whether {address} is up, its address right, the cable in and the VLAN the same; then: ip neigh flush to {address} dev {name}"
            )));
        } else if let Some(hardware) = &entry.hardware {
            macs.entry(hardware.to_string()).or_default().push(address);
        }
    }
    for (mac, addresses) in macs.iter().filter(|(_, addresses)| addresses.len() > 1) {
        let list = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
        let found = Judgement::warn(format!("{list} have the same MAC address {mac}"), from);
        let by_hand = known.iter().find(|entry| entry.state.is_permanent() && addresses.contains(&entry.address));
        bad.push(match by_hand {
            Some(entry) => {
                found.command(format!("ip neigh del {} dev {}", entry.address, facts.interface(entry.index)))
            }
            None => found.advice(
                "Two addresses of one machine are no two real servers; or somebody answers for another (proxy ARP).",
            ),
        });
    }
    if seen == 0 {
        return Err(Skip("nothing was sent to a real server yet, so none is in the neighbour table".to_owned()));
    }
    unless_bad(bad, format!("{seen} in the neighbour table, all different"), from)
}

pub(super) fn ports(facts: &Facts) -> Judged {
    let mut bad = Vec::new();
    for (key, entry) in facts.servers()? {
        let server = entry.destination;
        let keeps = matches!(server.forwarding, Forwarding::DirectRoute | Forwarding::Tunnel(_));
        let (Some(address), Some(port)) = (key.address(), key.port()) else { continue };
        if !keeps || port == 0 || server.key.port == port {
            continue;
        }
        let mut right = server;
        right.key.port = port;
        let changes = [Change::DeleteDestination(key, server.key), Change::AddDestination(key, right)];
        let fact = format!(
            "{address}:{port} sends to port {} of {}, but packets keep port {port}",
            server.key.port, server.key.address
        );
        bad.push(Judgement::warn(fact, TABLE).changes(changes));
    }
    let rules = facts.rules.value().and_then(Option::as_ref);
    for port in rules.into_iter().flat_map(|rules| &rules.ports) {
        let path = rules.map_or_else(String::new, |rules| shell(&rules.path));
        let fact = format!("line {} asks for port {}, but packets keep port {}", port.line, port.written, port.counts);
        let found = Judgement::warn(fact, &path);
        bad.push(if port.literal {
            found.command(format!("sed -i '{}s/:{}\\b/:{}/' {path}", port.line, port.written, port.counts))
        } else {
            found.advice("Name the service's port there, or use masquerading (-m).")
        });
    }
    unless_bad(bad, "no server has another port than its service", TABLE)
}

pub(super) fn capacity(facts: &Facts) -> Judged {
    let services = facts.services()?;
    if services.is_empty() {
        return Err(Skip::does_not_apply("no service"));
    }
    let mut bad = Vec::new();
    for service in &services {
        let key = service.entry.service.key;
        let name = name(key);
        let servers = &service.destinations;
        if servers.is_empty() {
            bad.push(
                Judgement::fail(format!("{name} has no server"), TABLE)
                    .advice(format!("Add one: ipvsadm-rs -a {} -r RIP -g", option(key))),
            );
            continue;
        }
        if servers.iter().all(|entry| entry.destination.weight == 0) {
            let saved = |server: &Destination| {
                let weights = &facts.rules.value()?.as_ref()?.weights;
                weights.get(&(key, server.key)).copied().filter(|weight| *weight > 0)
            };
            let edit = servers.iter().map(|entry| {
                let weight = saved(&entry.destination).unwrap_or(1);
                Change::EditDestination(key, Destination { weight, ..entry.destination })
            });
            let fact = match servers.len() {
                1 => format!("the only server of {name} has weight 0"),
                number => format!("all {number} servers of {name} have weight 0"),
            };
            bad.push(Judgement::fail(fact, TABLE).changes(edit));
            continue;
        }
        let full = |entry: &&crate::model::DestinationEntry| {
            let limit = entry.destination.upper_threshold;
            limit != 0 && entry.active_connections + entry.inactive_connections >= limit
        };
        let open: Vec<_> = servers.iter().filter(|entry| entry.destination.weight > 0).collect();
        if open.iter().all(full) {
            let unlimited = |entry: &&crate::model::DestinationEntry| {
                Change::EditDestination(
                    key,
                    Destination { upper_threshold: 0, lower_threshold: 0, ..entry.destination },
                )
            };
            bad.push(
                Judgement::fail(format!("all servers of {name} are at their upper threshold"), TABLE)
                    .changes(open.iter().map(unlimited)),
            );
        }
    }
    unless_bad(bad, format!("each of {} has one", services.len()), TABLE)
}

/// A service's name for people.
fn name(key: ServiceKey) -> String {
    match key {
        ServiceKey::Address { protocol, address: IpAddr::V6(address), port } => {
            format!("{} [{address}]:{port}", protocol.name())
        }
        ServiceKey::Address { protocol, address, port } => format!("{} {address}:{port}", protocol.name()),
        ServiceKey::Mark { mark, .. } => format!("FWM {mark}"),
    }
}

/// A service's name on the command line.
fn option(key: ServiceKey) -> String {
    let letter = match key {
        ServiceKey::Mark { mark, family: Family::Ipv4 } => return format!("-f {mark}"),
        ServiceKey::Mark { mark, family: Family::Ipv6 } => return format!("-f {mark} -6"),
        ServiceKey::Address { protocol: crate::model::Protocol::Tcp, .. } => "-t",
        ServiceKey::Address { protocol: crate::model::Protocol::Udp, .. } => "-u",
        ServiceKey::Address { .. } => "--sctp-service",
    };
    format!("{letter} {}", name(key).split_once(' ').map_or("", |(_, endpoint)| endpoint))
}

pub(super) fn schedulers(facts: &Facts) -> Judged {
    let in_use: BTreeSet<_> =
        facts.table.value().into_iter().flat_map(|table| &table.services).map(|s| s.entry.service.scheduler).collect();
    let Some(rules) = facts.rules.get()? else {
        return Ok(vec![Judgement::ok(format!("{} in use", in_use.len()), TABLE)]);
    };
    let modules = facts.modules.get()?;
    let mut bad = Vec::new();
    // The scheduler that the service has now is as good as any to be saved.
    let at_work = |key: &ServiceKey| {
        let services = facts.table.value().into_iter().flat_map(|table| &table.services);
        let mut names = services.map(|service| service.entry.service).filter(|service| service.key == *key);
        names.next().map_or_else(|| "wlc".to_owned(), |service| service.scheduler.to_string())
    };
    let wanted = rules.schedulers.iter().map(|(line, key, name)| (*line, *name, "ip_vs_", "scheduler", at_work(key)));
    let engine = |(line, name): &(u32, _)| (*line, *name, "ip_vs_pe_", "persistence engine", String::new());
    let engines = rules.engines.iter().map(engine);
    for (line, name, prefix, kind, instead) in wanted.chain(engines) {
        if name.is_empty() || name.as_bytes() == b"none" || in_use.contains(&name) {
            continue;
        }
        let module = format!("{prefix}{}", name.text().replace('-', "_"));
        let path = shell(&rules.path);
        if let Some(blocked) = modules.blocked.iter().find(|blocked| blocked.module == module) {
            bad.push(
                Judgement::fail(
                    format!("line {line} of {path} asks for the {kind} {name}, but modprobe.d says: {}", blocked.line),
                    &blocked.file,
                )
                .command(permit(blocked)),
            );
        } else if !modules.known.contains(&module) {
            let found = Judgement::fail(
                format!("line {line} of {path} asks for the {kind} {name}, and there is no module {module}"),
                facts.modules.from(),
            );
            bad.push(match kind {
                "scheduler" => {
                    found.command(format!("sed -i '{line}s/\\(-s\\|--scheduler\\)[ =]*{name}/-s {instead}/' {path}"))
                }
                _ => found.advice(format!("Install the package with the module {module}.")),
            });
        }
    }
    unless_bad(bad, "all can be loaded", facts.modules.from())
}

/// A setting that should have a value.
fn setting(facts: &Facts, key: &str, wanted: i64, state: State) -> Judged {
    let value = facts.settings.get(key)?;
    let name = key.replace('/', ".");
    let mut found = Judgement::new(State::Ok, format!("{name} = {value}"), format!("/proc/sys/{key}"));
    if value != wanted {
        found.state = state;
        found = found.command(format!("sysctl -w {name}={wanted}"));
    }
    Ok(vec![found])
}

pub(super) fn expire_nodest(facts: &Facts) -> Judged {
    if facts.managers.get()?.is_empty() {
        return Err(Skip::does_not_apply("no health checker runs here"));
    }
    setting(facts, "net/ipv4/vs/expire_nodest_conn", 1, State::Warn)
}

pub(super) fn expire_quiescent(facts: &Facts) -> Judged {
    if !facts.services()?.iter().any(|service| service.entry.service.persistence.is_some()) {
        return Err(Skip::does_not_apply("no service is persistent (-p)"));
    }
    setting(facts, "net/ipv4/vs/expire_quiescent_template", 1, State::Warn)
}

pub(super) fn reuse(facts: &Facts) -> Judged {
    const MODE: &str = "net/ipv4/vs/conn_reuse_mode";
    /// From here on reuse does not wait for conntrack any more.
    const MENDED: (u32, u32) = (5, 9);
    if *facts.kernel.get()? >= MENDED {
        return setting(facts, MODE, 1, State::Warn);
    }
    let conntrack = facts.settings.get("net/ipv4/vs/conntrack")?;
    if conntrack == 0 {
        return setting(facts, MODE, 1, State::Warn);
    }
    let mode = facts.settings.get(MODE)?;
    let fact =
        format!("net.ipv4.vs.conn_reuse_mode = {mode} and net.ipv4.vs.conntrack = {conntrack}, on a kernel before 5.9");
    let found = Judgement::ok(fact, format!("/proc/sys/{MODE}"));
    Ok(vec![match mode {
        0 => found,
        _ => Judgement { state: State::Warn, ..found }.command("sysctl -w net.ipv4.vs.conn_reuse_mode=0"),
    }])
}

pub(super) fn backup_only(facts: &Facts) -> Judged {
    let is_backup = facts.daemons.get()?.iter().any(|daemon| daemon.role == DaemonRole::Backup);
    if !is_backup {
        return Err(Skip::does_not_apply("no backup daemon runs here"));
    }
    let is_local =
        |address| facts.path(address).is_ok_and(|path| path.is_some_and(|route| route.kind == RouteKind::Local));
    // Newer kernels do not say Local, but find out packet by packet.
    let serves = facts.servers()?.iter().map(|(_, entry)| entry.destination).any(|server| {
        server.forwarding == Forwarding::Local
            || (server.forwarding == Forwarding::DirectRoute && is_local(server.key.address))
    }) || facts.vips.iter().any(|vip| {
        facts
            .holders(vip.address)
            .is_ok_and(|holders| holders.iter().any(|(link, _)| super::real_server::is_quiet(link)))
    });
    if !serves {
        return Err(Skip::does_not_apply("this director is no real server"));
    }
    setting(facts, "net/ipv4/vs/backup_only", 1, State::Fail)
}

pub(super) fn forwarding(facts: &Facts) -> Judged {
    let servers = servers_by(facts, |forwarding| forwarding == Forwarding::Masquerade)?;
    if servers.is_empty() {
        return Err(Skip::does_not_apply("no service with masquerading (-m)"));
    }
    let mut found = Vec::new();
    for (family, key) in [(Family::Ipv4, "net/ipv4/ip_forward"), (Family::Ipv6, "net/ipv6/conf/all/forwarding")] {
        if servers.iter().any(|address| Family::of(*address) == family) {
            found.extend(setting(facts, key, 1, State::Fail)?);
        }
    }
    let mut outputs = BTreeSet::new();
    for address in servers.iter().filter(|address| address.is_ipv4()) {
        outputs.extend(facts.path(*address)?.and_then(|route| route.output));
    }
    for name in outputs.into_iter().map(|index| facts.interface(index)) {
        let key = format!("net/ipv4/conf/{name}/send_redirects");
        // Here either is enough.
        if facts.settings.effective("send_redirects", &name)? != 0 {
            let fact = format!("{name} tells senders of shorter ways: send_redirects of all or {name} is 1");
            let off = format!("sysctl -w net.ipv4.conf.all.send_redirects=0 {}=0", sysctl_key(&key));
            found.push(Judgement::warn(fact, format!("/proc/sys/{key}")).command(off));
        }
    }
    Ok(found)
}

pub(super) fn firewall(facts: &Facts) -> Judged {
    passages(&facts.scheduled, "no service by address and port")
}

/// What the firewall does with packets, on either machine.
pub(super) fn passages(all: &[Passage], none: &str) -> Judged {
    let Some(first) = all.first() else {
        return Err(Skip::does_not_apply(none));
    };
    let mut bad = Vec::new();
    let mut let_in = Vec::new();
    let mut unclear = Vec::new();
    for passage in all {
        match passage.fate.get()? {
            Fate::Accepted => let_in.push(passage.packet.as_str()),
            Fate::Depends(on) => unclear.push(format!("{}: {on}", passage.packet)),
            Fate::Stopped { how, rule, undo } => {
                let state = if passage.certain { State::Fail } else { State::Warn };
                let found =
                    Judgement::new(state, format!("{} is {how} by {rule}", passage.packet), passage.fate.from());
                bad.push(match undo {
                    Some(undo) => found.command(undo),
                    None => found.advice("Let it in before that rule."),
                });
            }
        }
    }
    if bad.is_empty() && let_in.is_empty() {
        return Err(Skip(unclear.join("; ")));
    }
    unless_bad(bad, format!("let in: {}", let_in.join(", ")), first.fate.from())
}

pub(super) fn receive_offload(facts: &Facts) -> Judged {
    let Some((_, first)) = facts.offload.first() else {
        return Err(Skip::does_not_apply("no interface"));
    };
    let mut bad = Vec::new();
    for (name, on) in &facts.offload {
        if *on.get()? {
            bad.push(
                Judgement::warn(format!("large receive offload of {name} is on"), on.from())
                    .command(format!("ethtool -K {name} lro off")),
            );
        }
    }
    unless_bad(bad, "off on all interfaces", first.from())
}

pub(super) fn table_size(facts: &Facts) -> Judged {
    if let Some(tables) = facts.hash_tables.get()? {
        return growing_tables(tables, facts.hash_tables.from());
    }
    let buckets = u64::from(facts.info.get()?.connection_table_size);
    let connections: u64 =
        facts.table.get()?.services.iter().flat_map(|service| &service.destinations).map(connections).sum();
    let found = Judgement::ok(format!("{connections} connections in {buckets} buckets"), facts.info.from());
    if connections <= buckets {
        return Ok(vec![found]);
    }
    Ok(vec![Judgement { state: State::Warn, ..found }.advice(larger_table(connections))])
}

/// How to have a table with room for so many connections.
fn larger_table(connections: u64) -> String {
    // 8 to 20 in every kernel.
    let bits = connections.saturating_mul(2).checked_next_power_of_two().map_or(20, u64::ilog2).clamp(8, 20);
    // Added and not put in place of what is there: the last option counts.
    format!(
        "Have a larger one when the module is loaded anew, at the next boot at the latest: \
         echo 'options ip_vs conn_tab_bits={bits}' >> /etc/modprobe.d/ip_vs.conf"
    )
}

/// Of a kernel whose tables grow and shrink by themselves.
fn growing_tables(tables: &HashTables, from: &str) -> Judged {
    /// Load factors that Linux itself chooses.
    const LOADS: [(&str, i32); 2] = [("conn_lfactor", -4), ("svc_lfactor", -3)];
    let HashTables { connections, services, connection_limit } = tables;
    let entries = connections.entries;
    let mut bad = Vec::new();
    if let Some(limit) = *connection_limit {
        let fact = format!("{entries} connections, and no more than conn_max = {limit} are taken");
        let more = entries.saturating_mul(2).max(1024);
        let command = format!("sysctl -w net.ipv4.vs.conn_max={more}");
        if entries >= limit {
            bad.push(Judgement::fail(fact, from).command(command));
        } else if entries.saturating_mul(10) >= limit.saturating_mul(9) {
            bad.push(Judgement::warn(fact, from).command(command));
        }
    }
    let mut told = Vec::new();
    for (table, what, (setting, usual)) in [(connections, "connections", LOADS[0]), (services, "services", LOADS[1])] {
        let mut fact = format!("{} {what} in {} buckets", table.entries, table.buckets);
        if let Some(load) = table.load_factor {
            let per_bucket = 1_u64.checked_shl(load.unsigned_abs()).unwrap_or(u64::MAX);
            fact += &match load {
                ..0 => format!(", more of them above one for every {per_bucket} buckets ({setting} = {load})"),
                0.. => format!(", more of them above {per_bucket} for every bucket ({setting} = {load})"),
            };
            if load > 0 {
                let command = format!("sysctl -w net.ipv4.vs.{setting}={usual}");
                bad.push(Judgement::warn(fact.clone(), from).command(command));
            }
        }
        told.push(fact);
    }
    // It grows no further than the module's parameter lets it.
    if entries > connections.buckets && connections.load_factor.is_none_or(|load| load <= 0) {
        let fact = format!("{entries} connections in {} buckets, and there will be no more", connections.buckets);
        bad.push(Judgement::warn(fact, from).advice(larger_table(entries)));
    }
    unless_bad(bad, told.join("; "), from)
}

fn connections(entry: &crate::model::DestinationEntry) -> u64 {
    u64::from(entry.active_connections)
        + u64::from(entry.inactive_connections)
        + u64::from(entry.persistent_connections)
}

pub(super) fn neighbour_table(facts: &Facts) -> Judged {
    const KEY: &str = "net/ipv4/neigh/default/gc_thresh3";
    let limit = facts.settings.get(KEY)?;
    let servers: BTreeSet<_> =
        facts.servers()?.iter().map(|(_, entry)| entry.destination.key.address).filter(IpAddr::is_ipv4).collect();
    let known = facts.neighbours.get()?.iter().filter(|entry| entry.address.is_ipv4()).count();
    let needed = servers.len().max(known) as i64;
    let found = Judgement::ok(format!("room for {limit}, needed now {needed}"), format!("/proc/sys/{KEY}"));
    if needed < limit {
        return Ok(vec![found]);
    }
    let room = (needed * 4).max(1024).cast_unsigned().next_power_of_two();
    let command =
        format!("sysctl -w net.ipv4.neigh.default.gc_thresh3={room} net.ipv4.neigh.default.gc_thresh2={}", room / 2);
    Ok(vec![Judgement { state: State::Warn, ..found }.command(command)])
}

pub(super) fn sync(facts: &Facts) -> Judged {
    let daemons = facts.daemons.get()?;
    let from = facts.daemons.from();
    if daemons.is_empty() {
        return Err(Skip::does_not_apply("no sync daemon runs here"));
    }
    let links = facts.links.get()?;
    let mut bad = Vec::new();
    for daemon in daemons {
        let (role, name) = (daemon.role.name(), daemon.interface.text());
        let Some(link) = links.iter().find(|link| link.name == name) else {
            let fact = format!("the {role} daemon's interface {name} is gone");
            bad.push(Judgement::fail(fact, from).changes([Change::StopDaemon(*daemon)]));
            continue;
        };
        if !link.flags.is_up() {
            let fact = format!("the {role} daemon's interface {name} is down");
            bad.push(Judgement::fail(fact, facts.links.from()).command(format!("ip link set {name} up")));
        } else if !link.flags.is_multicast() {
            let fact = format!("the {role} daemon's interface {name} does not multicast");
            bad.push(Judgement::fail(fact, facts.links.from()).command(format!("ip link set {name} multicast on")));
        }
        let Some(heard) =
            facts.probe.as_ref().and_then(|probe| probe.sync_ids.value().zip(Some(probe.sync_ids.from())))
        else {
            continue;
        };
        let (ids, heard_on) = heard;
        let takes = |id: &u8| u32::from(*id) == daemon.sync_id;
        // A backup with id 0 takes from all.
        if daemon.role == DaemonRole::Backup && daemon.sync_id != 0 && !ids.is_empty() && !ids.iter().any(takes) {
            let sent = u32::from(ids[0]);
            let fact = format!("the backup daemon waits for sync id {}, but the master sends {sent}", daemon.sync_id);
            let right = crate::model::Daemon { sync_id: sent, ..*daemon };
            bad.push(
                Judgement::fail(fact, heard_on).changes([Change::StopDaemon(*daemon), Change::StartDaemon(right)]),
            );
        }
    }
    let list: Vec<_> =
        daemons.iter().map(|d| format!("{} on {}, id {}", d.role.name(), d.interface, d.sync_id)).collect();
    unless_bad(bad, list.join("; "), from)
}

pub(super) fn keepalive(facts: &Facts) -> Judged {
    let timeouts = *facts.timeouts.get()?;
    let tcp = i64::from(timeouts.tcp);
    let keepalive = facts.settings.get("net/ipv4/tcp_keepalive_time")?;
    let found = Judgement::ok(
        format!("IPVS forgets idle TCP connections after {tcp} s, keepalive comes after {keepalive} s"),
        format!("{}, /proc/sys/net/ipv4/tcp_keepalive_time", facts.timeouts.from()),
    );
    if tcp > keepalive {
        return Ok(vec![found]);
    }
    let longer = u32::try_from(keepalive).unwrap_or(u32::MAX).saturating_add(100);
    let change = Change::SetTimeouts(crate::model::Timeouts { tcp: longer, tcp_fin: 0, udp: 0 });
    Ok(vec![Judgement { state: State::Warn, ..found }.changes([change])])
}

pub(super) fn ipv6(facts: &Facts) -> Judged {
    let mut seen = false;
    let mut bad = Vec::new();
    let from = facts.addresses.from();
    for vip in facts.vips.iter().filter(|vip| vip.address.is_ipv6()) {
        for (link, held) in facts.holders(vip.address)? {
            seen = true;
            let (whole, name) = (format!("{}/{}", held.address, held.prefix), &link.name);
            if held.flags.is_dad_failed() {
                bad.push(
                    Judgement::fail(format!("{whole} on {name} failed duplicate address detection: another host had it, which --probe names if it still has"), from).command(
                        format!(
                            "ip addr del {whole} dev {name} && ip addr add {whole} dev {name} nodad preferred_lft 0"
                        ),
                    ),
                );
            } else if facts.paths.values().any(|path| {
                path.value().and_then(Option::as_ref).is_some_and(|route| {
                    route.kind == RouteKind::Unicast && route.preferred_source == Some(held.address)
                })
            }) {
                bad.push(
                    Judgement::warn(format!("{whole} on {name} is the source of packets to real servers"), ROUTES)
                        .command(format!("ip addr change {whole} dev {name} preferred_lft 0")),
                );
            }
        }
    }
    if !seen {
        return Err(Skip::does_not_apply("no IPv6 VIP is here"));
    }
    unless_bad(bad, "in use, and no source", from)
}

pub(super) fn managers(facts: &Facts) -> Judged {
    let all = facts.managers.get()?;
    let from = facts.managers.from();
    Ok(vec![match all.as_slice() {
        [] => Judgement::ok("none runs: the table is kept by hand or by a service", from),
        [one] => Judgement::ok(
            format!("{one} runs: it overwrites changes by hand, or does not bring back what was deleted by hand"),
            from,
        ),
        several => Judgement::warn(format!("{} run at once", several.join(" and ")), from)
            .advice("Leave the table to one of them."),
    }])
}

pub(super) fn saved(facts: &Facts) -> Judged {
    let from = facts.rules.from();
    let Some(rules) = facts.rules.get()? else {
        return Err(Skip::does_not_apply("there is no file of saved rules; --rules names one"));
    };
    let path = &shell(&rules.path);
    if !rules.bad.is_empty() {
        let found = Judgement::warn(format!("lines that are not right: {}", rules.bad.join("; ")), path);
        return Ok(vec![found.advice(format!("Mend them: ipvsadm-rs -R --check --file {path}"))]);
    }
    if facts.is_managed() {
        return Err(Skip::does_not_apply("another program keeps the table"));
    }
    let table = facts.table.get()?;
    if rules.differences == 0 {
        return Ok(vec![Judgement::ok(format!("the table is what {path} says"), from)]);
    }
    // Nobody wants that saved: it is what there is before the rules are loaded.
    if table.services.is_empty() && !rules.schedulers.is_empty() {
        let fact = format!("the table is empty, and {path} has rules");
        return Ok(vec![Judgement::warn(fact, from).command(format!("ipvsadm-rs -R --file {path}"))]);
    }
    let all = if rules.whole { " --all" } else { "" };
    let fact = format!("rules that differ: {}; ipvsadm-rs diff {path} shows them", rules.differences);
    Ok(vec![Judgement::warn(fact, path).command(format!("ipvsadm-rs -S -n{all} --file {path}"))])
}

pub(super) fn answers(facts: &Facts) -> Judged {
    let Some(probe) = &facts.probe else {
        return Err(Skip("nobody was asked: --probe asks".to_owned()));
    };
    let all = probe.answers.get()?;
    let own: BTreeSet<_> =
        facts.links.get()?.iter().filter_map(|link| link.address.as_ref()).map(ToString::to_string).collect();
    let mut bad = Vec::new();
    let mut at_work = Vec::new();
    for vip in facts.vips.iter().map(|vip| vip.address) {
        let foreign: Vec<_> =
            all.iter().filter(|a| a.address == vip && !own.contains(&a.hardware.to_string())).collect();
        let here = facts.holders(vip)?.iter().any(|(link, _)| super::facts::speaks(link));
        // Where this director stands by, the other one answers.
        if let ([answer], false) = (foreign.as_slice(), here) {
            at_work.push(format!("{} for {vip} on {}", answer.hardware, answer.interface));
            continue;
        }
        for answer in foreign {
            let mut names: Vec<_> = facts
                .owners(&answer.hardware)
                .into_iter()
                .filter(|name| *name != vip && !matches!(name, IpAddr::V6(name) if name.is_unicast_link_local()))
                .map(|name| name.to_string())
                .collect();
            names.dedup();
            let who = match names.as_slice() {
                [] => format!("the machine with the MAC address {}", answer.hardware),
                names => names.join(", "),
            };
            let fact = format!(
                "{} ({}) answers for {vip} on {}",
                answer.hardware,
                if names.is_empty() { "unknown".to_owned() } else { names.join(", ") },
                answer.interface
            );
            bad.push(
                Judgement::fail(fact, probe.answers.from())
                    .elsewhere(who, format!("ipvsadm-rs realserver start {vip}")),
            );
        }
    }
    let good = match at_work.is_empty() {
        true => "nobody else answers".to_owned(),
        false => format!("only the director at work answers: {}", at_work.join(", ")),
    };
    unless_bad(bad, good, probe.answers.from())
}
