//! Whether the kernel's tables, of connections and of neighbours, have room for all.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipvs_client::hash_tables::HashTables;

use crate::doctor::facts::Facts;
use crate::doctor::judgement::{Judged, Judgement, State, unless_bad};

pub(in crate::doctor) fn table_size(facts: &Facts) -> Judged {
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

/// How to have a table with room for this many connections.
fn larger_table(connections: u64) -> String {
    // 8 to 20 in every kernel.
    let bits = connections.saturating_mul(2).checked_next_power_of_two().map_or(20, u64::ilog2).clamp(8, 20);
    // Added and not put in place of what is there: the last option counts.
    format!(
        "Have a larger one when the module is loaded again, at the next boot at the latest: \
         echo 'options ip_vs conn_tab_bits={bits}' >> /etc/modprobe.d/ip_vs.conf"
    )
}

/// Of a kernel whose tables grow and shrink by themselves.
fn growing_tables(tables: &HashTables, from: &str) -> Judged {
    /// Load factors that Linux itself chooses.
    const LOADS: [(&str, i32); 2] = [("conn_lfactor", -4), ("svc_lfactor", -3)];
    let HashTables { connections, services, connection_limit, .. } = tables;
    let entries = connections.entries;
    let mut bad = Vec::new();
    if let Some(limit) = *connection_limit {
        let fact = format!("{entries} connections, and no more than conn_max = {limit} are taken");
        let more = entries.saturating_mul(2).max(1024);
        let command = format!("sysctl -w net.ipv4.vs.conn_max={more}");
        let undo = format!("sysctl -w net.ipv4.vs.conn_max={limit}");
        if entries >= limit {
            bad.push(Judgement::fail(fact, from).command(command).undo(undo));
        } else if entries.saturating_mul(10) >= limit.saturating_mul(9) {
            bad.push(Judgement::warn(fact, from).command(command).undo(undo));
        }
    }
    let mut good = Vec::new();
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
                let undo = format!("sysctl -w net.ipv4.vs.{setting}={load}");
                bad.push(Judgement::warn(fact.clone(), from).command(command).undo(undo));
            }
        }
        good.push(fact);
    }
    // It grows no further than the module's parameter lets it.
    if entries > connections.buckets && connections.load_factor.is_none_or(|load| load <= 0) {
        let fact = format!("{entries} connections in {} buckets, and there will be no more", connections.buckets);
        bad.push(Judgement::warn(fact, from).advice(larger_table(entries)));
    }
    unless_bad(bad, good.join("; "), from)
}

fn connections(entry: &ipvs_client::DestinationEntry) -> u64 {
    u64::from(entry.active_connections)
        + u64::from(entry.inactive_connections)
        + u64::from(entry.persistent_connections)
}

pub(in crate::doctor) fn neighbour_table(facts: &Facts) -> Judged {
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
    let undo = format!("sysctl -w net.ipv4.neigh.default.gc_thresh3={limit}");
    Ok(vec![Judgement { state: State::Warn, ..found }.command(command).undo(undo)])
}
