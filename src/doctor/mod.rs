//! What is wrong with a machine of the cluster: checks, each a pure function over [`Facts`].
//!
//! To add a check: a function in the file of `director/` that is about its subject, or in `real_server.rs`; a line in
//! [`CHECKS`], a unit test beside the others.
//! A new fact needs a field in [`Facts`] and a reader in `commands/doctor/gather.rs`.

mod director;
pub mod facts;
mod firewall;
mod judgement;
pub mod quiet;
pub mod readiness;
mod real_server;
#[cfg(test)]
mod tests;

pub use facts::Facts;
pub use judgement::{Fix, Judged, Judgement, Skip, State};

/// What a machine is in the cluster. One can be both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It has the table, and sends clients' packets on.
    Director,
    /// It serves clients.
    RealServer,
}

impl Role {
    /// The word for it on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Director => "director",
            Self::RealServer => "real-server",
        }
    }
}

/// A check.
pub struct Check {
    /// Its name, as `D4`.
    pub id: &'static str,
    /// On which machines it makes sense.
    pub role: Role,
    /// What is so where all is well.
    pub title: &'static str,
    /// Why it matters, in one sentence.
    pub why: &'static str,
    /// The judgement: at least one.
    pub judge: fn(&Facts) -> Judged,
}

/// A judgement and the check it belongs to.
pub struct Finding {
    /// The check.
    pub check: &'static Check,
    /// What it found.
    pub judgement: Judgement,
}

/// All checks, in the order of their names.
pub const CHECKS: &[Check] = &{
    use Role::{Director, RealServer};
    use director as d;
    use real_server as r;
    macro_rules! checks {
        ($($id:literal $role:ident $judge:path: $title:literal, $why:literal;)*) => {
            [$(Check { id: $id, role: $role, title: $title, why: $why, judge: $judge },)*]
        };
    }
    checks! {
        "D1" Director d::modules::ipvs: "the kernel has IPVS",
            "Without the module ip_vs there is no virtual service at all.";
        "D2" Director d::vip::is_local: "the VIP is this machine's",
            "IPVS sees only packets that the kernel takes as its own; others go on by the routes.";
        "D3" Director d::vip::prefix: "the VIP has the prefix /32 or /128",
            "With a wide prefix the VIP can become the source address of this machine's own packets, health checks among them.";
        "D4" Director d::packets::servers_on_link: "the real servers of direct routing are on this segment",
            "Direct routing only writes a new frame address: a gateway would send the packet back to the VIP.";
        "D5" Director d::packets::neighbours: "the real servers answer ARP, each with a MAC address of its own",
            "Without a MAC address no frame reaches a real server.";
        "D6" Director d::table::ports: "direct routing and tunnels keep the port",
            "Only masquerading (-m) can change a port; otherwise the packet arrives with the service's.";
        "D7" Director d::table::capacity: "each service has a server that takes connections",
            "Without a server of a weight above 0 and below its threshold, clients are refused.";
        "D8" Director d::modules::schedulers: "the schedulers and persistence engines can be loaded",
            "The kernel refuses a service whose scheduler it does not have, so the saved rules cannot be restored.";
        "D9" Director d::connections::expire_nodest: "connections to servers that were deleted end",
            "When a health checker deletes a dead server, its clients otherwise wait for timeouts instead of connecting again.";
        "D10" Director d::connections::expire_quiescent: "persistence ends with the server's weight",
            "Otherwise clients of a persistent service stay with a server of weight 0, which may be dead.";
        "D11" Director d::connections::reuse: "a client's reused port is scheduled again",
            "Busy clients and proxies use ports again; conn_reuse_mode and conntrack decide whether that costs them a second, or ends at a dead server.";
        "D12" Director d::sync::backup_only: "a backup that is also a real server does not direct",
            "Otherwise two directors that are each other's servers send packets in a circle.";
        "D13" Director d::packets::forwarding: "masquerading can forward",
            "Replies of masqueraded real servers are routed through this machine, and must not be redirected to a shorter way.";
        "D14" Director d::packets::firewall: "the firewall lets clients in",
            "IPVS gets a packet only after the firewall's rules for incoming packets; half of a connection (all that direct routing sees) can be \"invalid\" to it.";
        "D15" Director d::packets::receive_offload: "large receive offload is off",
            "It glues packets together to ones that cannot be sent on.";
        "D16" Director d::sizes::table_size: "the connection table is large enough",
            "With many connections to a bucket each packet's look-up takes longer; beyond net.ipv4.vs.conn_max, which newer \
             kernels have, no connection is taken.";
        "D17" Director d::sizes::neighbour_table: "the neighbour table has room for all servers",
            "When it overflows, packets are lost for no visible reason.";
        "D18" Director d::sync::daemons: "the sync daemons can talk",
            "A backup that did not hear of connections breaks all of them when it takes over.";
        "D19" Director d::connections::keepalive: "idle connections outlive TCP's keepalive",
            "IPVS forgets a connection that is idle for longer than its timeout, and its next packet is answered by a reset.";
        "D20" Director d::vip::ipv6: "IPv6 VIPs are in use, and no source address",
            "An address that failed duplicate detection is not used at all, and one that is a source makes health checks come from the VIP.";
        "D21" Director d::table::managers: "one program keeps the table",
            "Two that do undo each other's changes; and what one keeps is not to be changed by hand.";
        "D22" Director d::table::saved: "the table is the saved one",
            "After a reboot there will be the saved one.";
        "D23" Director d::vip::answers: "no other machine answers ARP for the VIP (--probe)",
            "Who answers ARP for the VIP gets its traffic past the director.";
        "D24" Director d::sync::apart_from_clients: "clients cannot send to the backup daemon",
            "The sync protocol has no authentication: the kernel makes and changes connections by any message that it hears.";
        "R1" RealServer r::vip_is_here: "the VIP is on lo, a dummy or a tunnel, with prefix /32 or /128",
            "Without the VIP the kernel throws clients' packets away; with a wide prefix it takes the whole network for itself.";
        "R2" RealServer r::arp_ignore: "no interface answers ARP for the VIP (arp_ignore)",
            "Who answers ARP for the VIP gets its traffic past the director.";
        "R3" RealServer r::arp_announce: "no interface asks ARP with the VIP (arp_announce)",
            "A question with the VIP as its sender teaches the router that the VIP is here.";
        "R4" RealServer r::vip_elsewhere: "the VIP is on no interface that answers ARP",
            "arp_ignore=1 still answers for addresses of the very interface that is asked.";
        "R5" RealServer r::boot: "the settings and the VIP come back at boot",
            "A real server that reboots without them answers ARP for the VIP, or drops its clients.";
        "R6" RealServer r::way_back: "replies go to the router, not to the director",
            "A director of direct routing drops packets that come from its own VIP.";
        "R7" RealServer r::reverse_path: "reverse path filtering lets clients in (rp_filter)",
            "Strict filtering drops packets that come by another interface than answers leave by, and log nothing.";
        "R8" RealServer r::listeners: "a program listens on the VIP",
            "One that is bound to the RIP refuses clients, though health checks of the RIP succeed.";
        "R9" RealServer r::firewall: "the firewall lets clients in",
            "A rule that names the RIP, or redirects, lets health checks through and clients not.";
        "R10" RealServer r::arp_rules: "the rules for ARP keep the VIP quiet",
            "ARP filters that are there and do not silence the VIP, or stop all ARP, mislead people who rely on them.";
        "R11" RealServer r::tunnel: "the tunnel is up",
            "Packets in packets need a device that unpacks them, and room for the outer header.";
        "R12" RealServer r::announcement: "network scripts do not announce the VIP",
            "On the way up they announce to the whole segment that the VIP is here.";
        "R13" RealServer r::spoofing: "the network lets replies out with the VIP as their source",
            "Hypervisors and clouds drop packets from addresses that they did not give.";
    }
};

/// Make the checks of these roles. The findings are in the order of the checks.
#[must_use]
pub fn examine(facts: &Facts, roles: &[Role]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for check in CHECKS.iter().filter(|check| roles.contains(&check.role)) {
        let judgements = (check.judge)(facts).unwrap_or_else(|Skip(reason)| {
            vec![Judgement { state: State::Skip, fact: reason, from: String::new(), fix: None }]
        });
        findings.extend(judgements.into_iter().map(|judgement| Finding { check, judgement }));
    }
    findings
}

/// What this machine seems to be: a director if it has services or a sync daemon, a real server if it holds a VIP where
/// no router asks for it, or one of the named addresses at all without being a director.
#[must_use]
pub fn roles(facts: &Facts) -> Vec<Role> {
    let mut roles = Vec::new();
    let has_services = facts.table.value().is_some_and(|table| !table.services.is_empty());
    if has_services || facts.daemons.value().is_some_and(|daemons| !daemons.is_empty()) {
        roles.push(Role::Director);
    }
    let hidden = |vip: &facts::Vip| facts.network().is_ok_and(|network| network.quiet(vip.address).next().is_some());
    if facts.vips.iter().any(hidden) {
        roles.push(Role::RealServer);
    }
    roles
}
