//! When connections end, and when they begin again: settings and timeouts.

use ipvs_client::{Change, Protocol, ServiceKey};

use super::setting::setting;
use crate::doctor::facts::Facts;
use crate::doctor::judgement::{Judged, Judgement, Skip, State};

pub(in crate::doctor) fn expire_nodest(facts: &Facts) -> Judged {
    if facts.managers.get()?.is_empty() {
        return Err(Skip::does_not_apply("no health checker runs here"));
    }
    setting(facts, "net/ipv4/vs/expire_nodest_conn", 1, State::Warn)
}

pub(in crate::doctor) fn expire_quiescent(facts: &Facts) -> Judged {
    if !facts.services()?.iter().any(|service| service.entry.service.persistence.is_some()) {
        return Err(Skip::does_not_apply("no service is persistent (-p)"));
    }
    setting(facts, "net/ipv4/vs/expire_quiescent_template", 1, State::Warn)
}

pub(in crate::doctor) fn reuse(facts: &Facts) -> Judged {
    const MODE: &str = "net/ipv4/vs/conn_reuse_mode";
    /// From here on reuse does not wait for conntrack any more.
    const FIXED: (u32, u32) = (5, 9);
    if *facts.kernel.get()? >= FIXED {
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
        _ => Judgement { state: State::Warn, ..found }
            .command("sysctl -w net.ipv4.vs.conn_reuse_mode=0")
            .undo(format!("sysctl -w net.ipv4.vs.conn_reuse_mode={mode}")),
    }])
}

pub(in crate::doctor) fn keepalive(facts: &Facts) -> Judged {
    let has_tcp = facts.services()?.iter().any(|service| match service.entry.service.key {
        ServiceKey::Address { protocol, .. } => protocol == Protocol::Tcp,
        ServiceKey::Mark { .. } => true,
    });
    if !has_tcp {
        return Err(Skip::does_not_apply("no service of TCP"));
    }
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
    let change = Change::SetTimeouts(ipvs_client::Timeouts::new(longer, 0, 0));
    // A kernel comes so. It matters to connections that are idle for long, and not to others.
    let before = Change::SetTimeouts(ipvs_client::Timeouts::new(timeouts.tcp, 0, 0));
    Ok(vec![Judgement { state: State::Note, ..found }.changes([change]).undo_changes([before])])
}
