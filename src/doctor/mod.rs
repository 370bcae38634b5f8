//! What is wrong with a machine of the cluster: checks, each a pure function over [`Facts`].
//!
//! To add a check: a function in the file of `director/` or `real_server/` that is about its subject; a line in
//! [`CHECKS`], its place in `order.rs`, a unit test beside the others.
//! A new fact needs a field in [`Facts`] and a reader in `commands/doctor/gather.rs`.

mod check;
mod director;
mod fact;
pub mod facts;
mod firewall;
mod judgement;
mod order;
pub mod passage;
pub mod quiet;
pub mod readiness;
mod real_server;
mod remedy;
mod reverse_path;
pub mod roles;
pub mod segment;
#[cfg(test)]
mod tests;

pub use check::{Check, Finding, Role, lasts};
pub(crate) use reverse_path::is_tunnel;
pub use roles::VipRole;

pub use facts::Facts;
pub use judgement::{Fix, Judged, Judgement, Skip, State, shell};

/// All checks, in the order of their names.
pub const CHECKS: &[Check] = &{
    use Role::{Director, RealServer, ScaleOut};
    use director as d;
    use director::scale_out as s;
    use real_server as r;
    macro_rules! checks {
        ($($id:literal $role:ident $judge:path: $title:literal / $fault:literal, $why:literal;)*) => {
            [$(Check { id: $id, role: $role, title: $title, fault: $fault, why: $why, judge: $judge },)*]
        };
    }
    checks! {
        "D1" Director d::modules::ipvs: "the kernel has IPVS" / "the kernel has no IPVS",
            "Without the module ip_vs there is no virtual service at all.";
        "D2" Director d::vip::is_local: "the VIP is this machine's" / "the VIP is not this machine's",
            "IPVS sees only packets that the kernel takes as its own; others go on by the routes.";
        "D3" Director d::vip::prefix: "the VIP has the prefix /32 or /128" / "the VIP has a wide prefix",
            "With a wide prefix the VIP can become the source address of this machine's own packets, health checks among them.";
        "D4" Director d::packets::servers_on_link: "the real servers of direct routing are on this segment" / "a real server of direct routing is not on this segment",
            "Direct routing only writes a new frame address: a gateway would send the packet back to the VIP.";
        "D5" Director d::packets::neighbours: "the real servers answer ARP, each with a MAC address of its own" / "a real server does not answer ARP, or shares a MAC address",
            "Without a MAC address no frame reaches a real server.";
        "D6" Director d::table::ports: "direct routing and tunnels keep the port" / "a server's port differs from its service's without masquerading",
            "Only masquerading (-m) can change a port; otherwise the packet arrives with the service's.";
        "D7" Director d::table::capacity: "each service has a server that takes connections" / "a service has no server that takes connections",
            "Without a server of a weight above 0 and below its threshold, clients are refused.";
        "D8" Director d::modules::schedulers: "the schedulers and persistence engines can be loaded" / "a scheduler or persistence engine cannot be loaded",
            "The kernel refuses a service whose scheduler it does not have, so the saved rules cannot be restored.";
        "D9" Director d::connections::expire_nodest: "connections to servers that were deleted end" / "connections to deleted servers stay",
            "When a health checker deletes a dead server, its clients otherwise wait for timeouts instead of connecting again.";
        "D10" Director d::connections::expire_quiescent: "persistence ends with the server's weight" / "persistence outlives the server's weight",
            "Otherwise clients of a persistent service stay with a server of weight 0, which may be dead.";
        "D11" Director d::connections::reuse: "a client's reused port is scheduled again" / "a client's reused port is scheduled wrongly",
            "Busy clients and proxies use ports again; conn_reuse_mode and conntrack decide whether that costs them a second, or ends at a dead server.";
        "D12" Director d::sync::backup_only: "a backup that is also a real server does not direct" / "a backup that is also a real server directs",
            "Otherwise two directors that are each other's servers send packets in a circle.";
        "D13" Director d::packets::forwarding: "masquerading can forward" / "masquerading cannot forward answers",
            "Replies of masqueraded real servers are routed through this machine, and must not be redirected to a shorter way.";
        "D14" Director d::packets::firewall: "the packet filter lets clients' packets and answers through" / "the packet filter stops clients' packets or the servers' answers",
            "Requests pass input to IPVS and output on to the servers, answers of masqueraded servers pass forward; connection tracking knows none of them (net.ipv4.vs.conntrack = 0).";
        "D15" Director d::packets::receive_offload: "large receive offload is off" / "large receive offload is on",
            "It glues packets together to ones that cannot be sent on.";
        "D16" Director d::sizes::table_size: "the connection table is large enough" / "the connection table is too small",
            "With many connections to a bucket each packet's look-up takes longer; beyond net.ipv4.vs.conn_max, which newer \
             kernels have, no connection is taken.";
        "D17" Director d::sizes::neighbour_table: "the neighbour table has room for all servers" / "the neighbour table is too small",
            "When it overflows, packets are lost for no visible reason.";
        "D18" Director d::sync::daemons: "the sync daemons can talk" / "a sync daemon cannot talk",
            "A backup that did not hear of connections breaks all of them when it takes over.";
        "D19" Director d::connections::keepalive: "idle connections outlive TCP's keepalive" / "idle connections end before TCP's keepalive",
            "IPVS forgets a connection that is idle for longer than its timeout, and its next packet is answered by a reset.";
        "D20" Director d::vip::ipv6: "IPv6 VIPs are in use, and no source address" / "an IPv6 VIP is not in use, or is a source address",
            "An address that failed duplicate detection is not used at all, and one that is a source makes health checks come from the VIP.";
        "D21" Director d::table::managers: "one program keeps the table" / "several programs keep the table",
            "Two that do undo each other's changes; and what one keeps is not to be changed by hand.";
        "D22" Director d::table::saved: "the table is the saved one" / "the table differs from the saved one",
            "After a reboot there will be the saved one.";
        "D23" Director d::vip::answers: "no other machine answers ARP for the VIP (--probe)" / "another machine answers ARP for the VIP",
            "Who answers ARP for the VIP gets its traffic past the director.";
        "D24" Director d::sync::apart_from_clients: "clients cannot send to the backup daemon" / "clients can send to the backup daemon",
            "The sync protocol has no authentication: the kernel makes and changes connections by any message that it hears.";
        "D25" Director d::sync::passes: "the packet filter lets sync daemons and VRRP talk" / "the packet filter stops sync messages or VRRP",
            "A backup that hears nothing takes over beside the master, or without its connections.";
        "D26" Director reverse_path::reverse_path: "reverse path filtering lets clients in (rp_filter)" / "reverse path filtering drops clients' packets (rp_filter)",
            "Strict filtering drops packets that come by another interface than answers leave by, and log nothing.";
        "D27" Director d::progress::completes: "clients' connections are answered" / "clients' connections are not answered",
            "IPVS sees the second packet of a client only if the answer to the first one came to it.";
        "D28" Director d::table::refusing: "clients of servers of weight 0 get other servers" / "a hash scheduler refuses the clients of servers of weight 0",
            "Clients that sh, mh or dh send to a server of weight 0 are refused while other servers are in service; sh-fallback or mh-fallback sends them there.";
        "R1" RealServer r::vip_is_here: "the VIP is on lo, a dummy or a tunnel, with prefix /32 or /128" / "the VIP is not on lo, a dummy or a tunnel, or has a wide prefix",
            "Without the VIP the kernel throws clients' packets away; with a wide prefix it takes the whole network for itself.";
        "R2" RealServer r::arp_ignore: "no interface answers ARP for the VIP (arp_ignore)" / "an interface answers ARP for the VIP (arp_ignore)",
            "Who answers ARP for the VIP gets its traffic past the director.";
        "R3" RealServer r::arp_announce: "no interface asks ARP with the VIP (arp_announce)" / "an interface asks ARP with the VIP (arp_announce)",
            "A question with the VIP as its sender teaches the router that the VIP is here.";
        "R4" RealServer r::vip_elsewhere: "the VIP is on no interface that answers ARP" / "the VIP is on an interface that answers ARP",
            "arp_ignore=1 still answers for addresses of the very interface that is asked.";
        "R5" RealServer r::boot: "the settings and the VIP come back at boot" / "the settings or the VIP do not come back at boot",
            "A real server that reboots without them answers ARP for the VIP, or drops its clients.";
        "R6" RealServer r::way_back: "replies go to the router, not to the director" / "answers do not go to the clients' router",
            "A director of direct routing drops packets that come from its own VIP.";
        "R7" RealServer reverse_path::reverse_path: "reverse path filtering lets clients in (rp_filter)" / "reverse path filtering drops clients' packets (rp_filter)",
            "Strict filtering drops packets that come by another interface than answers leave by, and log nothing.";
        "R8" RealServer r::listeners: "a program listens on the VIP" / "no program serves the VIP",
            "One that is bound to the RIP refuses clients, though health checks of the RIP succeed.";
        "R9" RealServer r::firewall: "the firewall lets clients in" / "the packet filter stops clients' packets",
            "A rule that names the RIP, or redirects, lets health checks through and clients not.";
        "R10" RealServer r::arp_rules: "the rules for ARP keep the VIP quiet" / "the rules for ARP do not keep the VIP quiet",
            "ARP filters that are there and do not silence the VIP, or stop all ARP, mislead people who rely on them.";
        "R11" RealServer r::tunnel: "the tunnel is up" / "the tunnel is down or too wide",
            "Packets in packets need a device that unpacks them, and room for the outer header.";
        "R12" RealServer r::announcement: "network scripts do not announce the VIP" / "network scripts announce the VIP",
            "On the way up they announce to the whole segment that the VIP is here.";
        "R13" RealServer r::spoofing: "the network lets replies out with the VIP as their source" / "the network drops replies with the VIP as their source",
            "Hypervisors and clouds drop packets from addresses that they did not give.";
        "S1" ScaleOut s::sloppy: "connections that another director saw begin are taken (sloppy_tcp)" / "connections that another director saw begin are not taken (sloppy_tcp)",
            "When a director goes, its connections come here in the middle; without sloppy_tcp this machine's own TCP resets them.";
        "S2" ScaleOut s::schedule_icmp: "ICMP errors for any director's connections are sent on (schedule_icmp)" / "ICMP errors for other directors' connections are dropped (schedule_icmp)",
            "The routers spread \"packet too big\" over the directors, too, and without it large answers hang.";
        "S3" ScaleOut s::conntrack: "connection tracking does not know IPVS's connections (conntrack)" / "connection tracking judges IPVS's packets (conntrack)",
            "Its state is one director's alone: packets in the middle of a connection are invalid to it.";
        "S4" ScaleOut s::scheduler: "servers are chosen without a state that one director has alone" / "the choice of servers depends on a state that one director has alone",
            "Another director chooses another server then, and a connection that comes to it is lost; mh-fallback lets drained servers' clients go elsewhere.";
        "S5" ScaleOut s::alike: "the other director chooses the same servers (--peer)" / "the other director chooses other servers",
            "Directors fill their slots in the order of the servers; a connection that comes to a director with another order can be lost.";
        "S6" ScaleOut s::routers: "the routers spread connections by address and port, over a resilient group" / "the routers do not spread connections by address and port",
            "Otherwise connections of directors that did not fail move, too.";
    }
};

/// Make the checks: those of a director on the addresses that it directs, those of a real server on those that it serves.
/// Failures come first, the cause before what follows from it; then warnings, notes, and the rest in the order of the checks.
#[must_use]
pub fn examine(facts: &Facts, machine: &[Role], vips: &[VipRole]) -> Vec<Finding> {
    let of = |wanted: fn(&VipRole) -> bool| -> Vec<facts::Vip> {
        vips.iter().filter(|role| wanted(role)).map(|role| role.vip).collect()
    };
    let mut findings = Vec::new();
    if machine.contains(&Role::Director) {
        let directed = roles::narrowed(facts, &of(|role| role.roles.contains(&Role::Director)));
        make(&directed, Role::Director, &mut findings);
    }
    let served = of(VipRole::is_only_served);
    let is_both = machine.contains(&Role::Director);
    if machine.contains(&Role::ScaleOut) {
        let shared = roles::narrowed(facts, &of(|role| role.roles.contains(&Role::ScaleOut)));
        make(&shared, Role::ScaleOut, &mut findings);
    }
    // A director that is its own real server has nothing that only real servers need.
    if machine.contains(&Role::RealServer) && (!served.is_empty() || !is_both) {
        make(&roles::narrowed(facts, &served), Role::RealServer, &mut findings);
    }
    order::put_causes_first(&mut findings);
    findings
}

fn make(facts: &Facts, role: Role, findings: &mut Vec<Finding>) {
    for check in CHECKS.iter().filter(|check| check.role == role) {
        let judgements =
            (check.judge)(facts).unwrap_or_else(|Skip(reason)| vec![Judgement::new(State::Skip, reason, "")]);
        findings.extend(judgements.into_iter().map(|judgement| Finding { check, judgement, follows: None }));
    }
}
