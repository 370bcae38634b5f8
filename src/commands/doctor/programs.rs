//! The programs on this machine that the checks are about.

use crate::doctor::facts::Fact;
use crate::doctor::roles::ANNOUNCERS;
use crate::host::boot;
use crate::machine::Link;

/// Programs that keep the table. kube-proxy's kernel thread of IPVS shows as an interface.
const MANAGERS: &[&str] = &["keepalived", "ldirectord", "kube-proxy", "kube-router"];
/// The dummy interface on which kube-proxy puts the addresses of services.
pub(super) const KUBE_INTERFACE: &str = "kube-ipvs0";

/// Programs that put addresses on interfaces, or keep the packet filter.
const PROGRAMS: &[&str] = &[
    "keepalived",
    "ldirectord",
    "ctdbd",
    "pacemakerd",
    "corosync",
    "kube-proxy",
    "kube-router",
    "kubelet",
    "vrrpd",
    "ucarp",
    "firewalld",
    "dockerd",
];

/// Those of them that run, and those that announce routes.
pub(super) fn running() -> Fact<Vec<String>> {
    let mut found = boot::running(&[PROGRAMS, ANNOUNCERS].concat());
    // Not a process, but a set of rules that scripts load.
    if let (Ok(found), true) = (&mut found, boot::has_ufw()) {
        found.push("ufw".to_owned());
    }
    Fact::of(found, "the processes")
}

/// What keeps the table here.
pub(super) fn managers(links: &Fact<Vec<Link>>) -> Fact<Vec<String>> {
    let mut found = boot::running(MANAGERS);
    let has_kube = links.value().is_some_and(|links| links.iter().any(|link| link.name == KUBE_INTERFACE));
    if let Ok(found) = &mut found
        && has_kube
        && !found.iter().any(|name| name.starts_with("kube"))
    {
        found.push(format!("kube-proxy (interface {KUBE_INTERFACE})"));
    }
    Fact::of(found, "the processes")
}
