//! Rules for a VIP that other programs lay. Those that keep it out of ARP packet by packet: requests for it are dropped, and of
//! requests that would ask with it as their source that becomes the real server's own address (RIP). By nft(8), in a table of
//! our own for each VIP, or by arptables(8). And those that redirect, see [`super::redirect`].

use std::fs::{self, File};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::error::state;
use super::machine::Machine;
use super::programs::{check, failed, legacy, nft, nft_table, run, table_of, without_table};
use super::redirect::Redirect;
use crate::doctor::quiet::{Method, speakers};
use crate::host::program::{command, find};

/// What is laid for a VIP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "by")]
pub(super) enum Filter {
    /// A table of nftables' family `arp`, with all that is in it.
    Nftables {
        /// Its name.
        table: String,
        /// The address that takes the VIP's place, by interface.
        sources: Vec<(String, IpAddr)>,
    },
    /// Rules of the table `filter` of arptables.
    Arptables {
        /// The program.
        program: PathBuf,
        /// Each rule from its chain on, as it is given to `-A` and `-D`.
        rules: Vec<Vec<String>>,
    },
    /// What redirects.
    Redirect(Redirect),
}

impl Filter {
    /// What a VIP needs, by one of the means that this machine has.
    pub(super) fn plan(method: Method, vip: IpAddr, machine: &Machine) -> Result<Self> {
        if !method.holds_vip() {
            return Redirect::plan(vip).map(Self::Redirect);
        }
        let sources = sources(vip, machine)?;
        let nftables = |sources| Self::Nftables { table: table_of(vip), sources };
        match method {
            Method::Nftables => filters_arp().map(|()| nftables(sources)),
            _ => {
                let mut refused = None;
                if let Some(program) = legacy("arptables") {
                    // The program may be there, and nothing of it in the kernel: newer ones come without.
                    match listing(&program) {
                        Ok(_) => return Ok(Self::Arptables { program, rules: rules(vip, &sources) }),
                        Err(error) => refused = Some(error),
                    }
                }
                // Today's arptables is another face of nftables.
                match (filters_arp(), refused, find("arptables")) {
                    (Ok(()), ..) => Ok(nftables(sources)),
                    (Err(_), Some(error), _) => {
                        Err(state(format!("{error}: this kernel has no arptables, and its nftables filter no ARP")))
                    }
                    // The empty chains that it makes stay: without nft nothing takes them away.
                    (Err(_), None, Some(program)) => Ok(Self::Arptables { program, rules: rules(vip, &sources) }),
                    (Err(error), None, None) => Err(error),
                }
            }
        }
    }

    /// Lay it, or lay it again.
    pub(super) fn lay(&self, vip: IpAddr, lock: &dyn Fn() -> Result<Option<File>>) -> Result<()> {
        match self {
            Self::Nftables { table, sources } => nft(&script(table, vip, sources), lock()?),
            Self::Arptables { program, rules } => {
                self.lift(lock)?;
                rules.iter().try_for_each(|rule| run(program, &["-A"], rule, lock()?))
            }
            Self::Redirect(redirect) => redirect.lay(vip, lock),
        }
    }

    /// Take it away, as far as it is there.
    pub(super) fn lift(&self, lock: &dyn Fn() -> Result<Option<File>>) -> Result<()> {
        match self {
            Self::Nftables { table, .. } => nft(&without_table("arp", table), lock()?),
            Self::Arptables { program, rules } => {
                for rule in rules {
                    if listed(program, rule)? {
                        run(program, &["-D"], rule, lock()?)?;
                    }
                }
                Ok(())
            }
            Self::Redirect(redirect) => redirect.lift(lock),
        }
    }

    /// What is laid for a VIP, as far as it can be seen, whether a record tells of it or not.
    pub(super) fn find(vip: IpAddr) -> Vec<Self> {
        let mut found: Vec<Self> = Redirect::find(vip).map(Self::Redirect).into_iter().collect();
        if vip.is_ipv6() {
            return found;
        }
        let table = table_of(vip);
        if let Ok(Some(_)) = nft_table("arp", &table) {
            found.push(Self::Nftables { table, sources: Vec::new() });
        }
        // Listing them would load the kernel's module.
        let has_tables = fs::read_to_string(ARP_TABLES).is_ok_and(|names| names.lines().any(|name| name == "filter"));
        if let Some(program) = legacy("arptables").filter(|_| has_tables)
            && let Ok(listing) = listing(&program)
        {
            let rules = rules_in(&listing, vip);
            if !rules.is_empty() {
                found.push(Self::Arptables { program, rules });
            }
        }
        found
    }

    /// Whether all of it is there. Err: it cannot be seen.
    pub(super) fn is_laid(&self) -> Result<bool> {
        match self {
            Self::Nftables { table, sources } => {
                let Some(text) = nft_table("arp", table)? else { return Ok(false) };
                let dropped = text.lines().any(|line| line.contains("arp operation request") && line.contains("drop"));
                let fixed = |(name, rip): &(String, IpAddr)| {
                    text.lines().any(|line| {
                        line.contains(&format!("oifname \"{name}\"")) && line.contains(&format!("set {rip}"))
                    })
                };
                Ok(dropped && sources.iter().all(fixed))
            }
            Self::Arptables { program, rules } => {
                for rule in rules {
                    if !listed(program, rule)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Self::Redirect(redirect) => redirect.is_laid(),
        }
    }

    /// Whether it redirects, and does nothing about ARP.
    pub(super) const fn redirects(&self) -> bool {
        matches!(self, Self::Redirect(_))
    }

    /// The interfaces whose requests are fixed.
    pub(super) fn covers(&self, interface: &str) -> bool {
        match self {
            Self::Nftables { sources, .. } => sources.iter().any(|(name, _)| name == interface),
            Self::Arptables { rules, .. } => {
                rules.iter().any(|rule| rule.windows(2).any(|pair| pair[0] == "-o" && pair[1] == interface))
            }
            Self::Redirect(_) => false,
        }
    }
}

/// The tables that arptables has in this network namespace, a name a line; there once its module is loaded.
const ARP_TABLES: &str = "/proc/net/arp_tables_names";

/// The address that each link is to ask with in place of the VIP.
fn sources(vip: IpAddr, machine: &Machine) -> Result<Vec<(String, IpAddr)>> {
    let mut sources = Vec::new();
    for link in speakers(&machine.links) {
        let own = machine.addresses.iter().find(|own| {
            own.index == link.index && own.address.is_ipv4() && own.address != vip && !own.flags.is_secondary()
        });
        let Some(own) = own else { continue };
        // Nothing that a name of an interface may hold is to become a part of a rule.
        if !link.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-@:".contains(&byte)) {
            return Err(state(format!("the interface's name `{}' cannot be put into a rule", link.name)));
        }
        sources.push((link.name.clone(), own.address));
    }
    Ok(sources)
}

/// What makes the table again, in one transaction.
fn script(table: &str, vip: IpAddr, sources: &[(String, IpAddr)]) -> String {
    let mut script = format!(
        "{}table arp {table} {{\n\
         chain input {{\ntype filter hook input priority 0; policy accept;\n\
         arp operation request arp daddr ip {vip} drop\n}}\n\
         chain output {{\ntype filter hook output priority 0; policy accept;\n",
        without_table("arp", table)
    );
    for (name, rip) in sources {
        script.push_str(&format!("oifname \"{name}\" arp saddr ip {vip} arp saddr ip set {rip}\n"));
    }
    script.push_str("}\n}\n");
    script
}

/// The same for arptables. Option by option as it lists them, to find them again.
fn rules(vip: IpAddr, sources: &[(String, IpAddr)]) -> Vec<Vec<String>> {
    let words = |line: String| line.split(' ').map(str::to_owned).collect();
    let mut rules = vec![words(format!("INPUT -d {vip} --opcode 1 -j DROP"))];
    for (name, rip) in sources {
        rules.push(words(format!("OUTPUT -o {name} -s {vip} -j mangle --mangle-ip-s {rip}")));
    }
    rules
}

/// The rules of a listing that are as [`rules`] makes them for a VIP, whatever interfaces and addresses they name.
fn rules_in(listing: &str, vip: IpAddr) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let vip_text = vip.to_string();
    for line in listing.lines() {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let value = |option: &str| words.windows(2).find(|pair| pair[0] == option).map(|pair| pair[1]);
        let source = match (value("-d"), value("-s")) {
            (Some(address), None) if address == vip_text => None,
            (None, Some(address)) if address == vip_text => {
                let (Some(link), Some(Ok(rip))) = (value("-o"), value("--mangle-ip-s").map(str::parse)) else {
                    continue;
                };
                Some((link.to_owned(), rip))
            }
            _ => continue,
        };
        for rule in rules(vip, source.as_slice()) {
            if is_listed(listing, &rule) && !found.contains(&rule) {
                found.push(rule);
            }
        }
    }
    found
}

/// Whether arptables lists a rule: the words of it, in any order, in one line under its chain.
fn listed(program: &Path, rule: &[String]) -> Result<bool> {
    Ok(is_listed(&listing(program)?, rule))
}

/// All that arptables lists.
fn listing(program: &Path) -> Result<String> {
    let output = command(program).args(["-n", "-L"]).output().with_context(|| program.display().to_string())?;
    if !output.status.success() {
        return Err(failed(program, &output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn is_listed(listing: &str, rule: &[String]) -> bool {
    let Some((chain, words)) = rule.split_first() else { return false };
    let mut current = "";
    listing.lines().any(|line| {
        if let Some(name) = line.strip_prefix("Chain ") {
            current = name.split(' ').next().unwrap_or_default();
            return false;
        }
        let there: Vec<&str> = line.split_ascii_whitespace().collect();
        current == chain && words.iter().all(|word| there.contains(&word.as_str()))
    })
}

/// Whether there is nft, and a kernel that filters ARP with it: tried without doing it.
fn filters_arp() -> Result<()> {
    check("add table arp ipvsadm-rs").map_err(|error| match error.to_string().contains("Operation not supported") {
        true => state(format!("{error}: this kernel's nftables filter no ARP (CONFIG_NF_TABLES_ARP)")),
        false => error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_rules_of_a_listing_are_found_under_their_chain() {
        let listing = "Chain INPUT (policy ACCEPT)\n-j DROP -d 192.0.2.1 --opcode 1 \n\nChain OUTPUT (policy ACCEPT)\n\
                       -j mangle -o eth0 -s 192.0.2.1 --mangle-ip-s 10.0.0.1 \n";
        let vip = ip("192.0.2.1");
        let ours = rules(vip, &[("eth0".into(), ip("10.0.0.1"))]);
        assert!(ours.iter().all(|rule| is_listed(listing, rule)));
        for other in rules(ip("192.0.2.11"), &[("eth0".into(), ip("10.0.0.2"))]) {
            assert!(!is_listed(listing, &other), "{other:?}");
        }
        let swapped = listing.replace("INPUT", "FORWARD");
        assert!(!is_listed(&swapped, &ours[0]));
    }

    #[test]
    fn rules_for_a_vip_are_known_by_its_address() {
        let listing = "Chain INPUT (policy ACCEPT)\n-j DROP -d 192.0.2.1 --opcode 1 \n-j DROP -d 192.0.2.11 --opcode 1 \n\
                       -j ACCEPT -d 192.0.2.1 \n\nChain OUTPUT (policy ACCEPT)\n\
                       -j mangle -o eth0 -s 192.0.2.1 --mangle-ip-s 10.0.0.1 \n\
                       -j mangle -o eth1 -s 192.0.2.11 --mangle-ip-s 10.0.0.1 \n-j DROP -o eth1 -s 192.0.2.1 \n";
        let vip = ip("192.0.2.1");
        assert_eq!(rules_in(listing, vip), rules(vip, &[("eth0".into(), ip("10.0.0.1"))]));
        let other = ip("192.0.2.2");
        assert!(rules_in(listing, other).is_empty());
        // Only what is there.
        let output = listing.split_at(listing.find("Chain OUTPUT").unwrap()).1;
        assert_eq!(rules_in(output, vip).len(), 1);
    }

    #[test]
    fn a_script_replaces_the_table() {
        let script = script("t", ip("192.0.2.1"), &[("eth0".into(), ip("10.0.0.1"))]);
        assert!(script.starts_with("add table arp t\ndelete table arp t\ntable arp t {\n"));
        assert!(script.contains("oifname \"eth0\" arp saddr ip 192.0.2.1 arp saddr ip set 10.0.0.1\n"));
    }
}
