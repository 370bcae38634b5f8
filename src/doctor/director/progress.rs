//! How far clients' connections get.

use std::net::IpAddr;

use ipvs_client::{Forwarding, ServiceKey};

use crate::doctor::facts::{Facts, Progress};
use crate::doctor::judgement::{Judged, Judgement, Skip, State, unless_bad};

/// Whether connections get past their first packet. One that IPVS has seen the client's second packet of has been answered.
pub(in crate::doctor) fn completes(facts: &Facts) -> Judged {
    let all = facts.progress.get()?;
    let from = facts.progress.from();
    let mut bad = Vec::new();
    let mut good = 0;
    for service in facts.services()? {
        let ServiceKey::Address { address, port, .. } = service.entry.service.key else { continue };
        let own: Vec<&Progress> =
            all.iter().filter(|one| one.service.0 == address && (port == 0 || one.service.1 == port)).collect();
        good += own.iter().map(|one| one.further).sum::<u64>();
        let stuck: Vec<&&Progress> = own.iter().filter(|one| one.waiting > 0 && one.further == 0).collect();
        let Some(first) = stuck.first() else { continue };
        let list: Vec<String> = stuck.iter().map(|one| one.server.0.to_string()).collect();
        let number: u64 = stuck.iter().map(|one| one.waiting).sum();
        // Where other servers are well, it is these servers' matter.
        let state = if own.iter().any(|one| one.further > 0) { State::Warn } else { State::Fail };
        let fact = format!(
            "{number} connections to {address}:{} wait for the answer of {}, and none got further",
            first.service.1,
            list.join(", ")
        );
        bad.push(Judgement::new(state, fact, from).advice(advice(facts, address, first.server.0)));
    }
    if bad.is_empty() && good == 0 {
        return Err(Skip("no connection of TCP is known at the moment".to_owned()));
    }
    unless_bad(bad, format!("{good} connections got an answer"), from)
}

fn advice(facts: &Facts, vip: IpAddr, server: IpAddr) -> String {
    let masqueraded = facts.servers().is_ok_and(|all| {
        all.iter().any(|(_, entry)| {
            entry.destination.key.address == server && entry.destination.forwarding == Forwarding::Masquerade
        })
    });
    match masqueraded {
        true => format!(
            "Run ipvsadm-rs doctor {vip} on {server}; its answers have to come by this director, as by its default gateway."
        ),
        false => format!("Run ipvsadm-rs doctor {vip} on {server}: it may not hold {vip}, or drop its packets."),
    }
}
