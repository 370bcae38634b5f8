//! `realserver --method redirect`: by nftables, which only a distribution's kernel has, and by iptables where the kernel has that.

use super::{ensure_same, ensure_status, fs, machine, on_a_network, ours, record, sh};
use crate::schema::Schema;
use crate::support::{Guest, Subject, in_fresh_namespace, trial};

use anyhow::{Context as _, Result, ensure};

/// A VIP, its family in nftables, its table, and the iptables that is for it.
const VIPS: [(&str, &str, &str, &str); 2] = [
    ("192.0.2.1", "ip", "ipvsadm-rs-192.0.2.1", "iptables"),
    ("2001:db8::1", "ip6", "ipvsadm-rs-2001.db8..1", "ip6tables"),
];

/// What needs a kernel whose nftables redirect.
pub fn subject() -> Subject {
    Subject {
        guest: || Guest { memory: 1024, kernel: Some("stock"), ..Guest::default() },
        trials: || Ok(vec![trial("by nftables", by_nftables)]),
        ..Subject::named("redirect")
    }
}

/// Whether this kernel can.
pub fn is_possible() -> Result<bool> {
    in_fresh_namespace(|| {
        let nft = "nft --check 'table ip x { chain c { type nat hook prerouting priority -100; redirect; }; }'";
        Ok(sh(nft).is_ok() || sh("iptables-legacy -t nat -n -L").is_ok())
    })
}

/// The rules of iptables for addresses, where it has made its tables in this namespace.
pub fn rules_of_iptables() -> Result<String> {
    let mut rules = String::new();
    for (names, iptables) in [("ip_tables_names", "iptables-legacy"), ("ip6_tables_names", "ip6tables-legacy")] {
        if fs::read_to_string(format!("/proc/thread-self/net/{names}")).is_ok_and(|tables| tables.contains("nat")) {
            rules += &sh(&format!("{iptables} -t nat -S | grep ^-A || :"))?;
        }
    }
    Ok(rules)
}

fn by_nftables() -> Result<()> {
    for (vip, family, table, _) in VIPS {
        on_a_network(|| {
            let before = machine()?;
            ensure_status(&format!("start --method redirect {vip}"), 0)?;
            let there = machine()?;
            ensure!(there.contains(&format!("{family} daddr {vip} redirect")), "{there}");
            ensure!(!sh("ip address; ip route show table all")?.contains(vip), "the VIP is held, or has a route");
            let said = ensure_status(&format!("status {vip}"), 0)?.stdout;
            ensure!(said.starts_with(&format!("{vip}  ready (redirect)\n")), "{said}");
            ensure!(said.contains("pass  not_held ") && said.contains("pass  redirect "), "{said}");
            Schema::new()?.check("realserver_status", &ensure_status(&format!("status --json {vip}"), 0)?.stdout)?;
            let outcome = ensure_status(&format!("start {vip}"), 1)?;
            ensure!(outcome.stderr.contains("is started already, with --method redirect"), "{}", outcome.stderr);
            // Each of its two parts counts.
            sh(&format!("ip address add {vip} dev lo"))?;
            let said = ensure_status(&format!("status {vip}"), 3)?.stdout;
            ensure!(
                said.contains(&format!("fail  not_held      {vip} is on lo, and may be on no interface")),
                "{said}"
            );
            sh(&format!("ip address delete {vip} dev lo; nft flush table {family} {table}"))?;
            let said = ensure_status(&format!("status {vip}"), 3)?.stdout;
            ensure!(said.contains("fail  redirect "), "{said}");
            ensure_status(&format!("start --method redirect {vip}"), 0)?;
            ensure_status(&format!("status {vip}"), 0)?;
            // Without its record it can be removed, too.
            fs::remove_file(record()?)?;
            Schema::new()?.check("realserver_status", &ensure_status(&format!("status --json {vip}"), 3)?.stdout)?;
            let outcome = ensure_status(&format!("stop {vip}"), 1)?;
            ensure!(outcome.stderr.contains("there is a rule that redirects without a record"), "{}", outcome.stderr);
            ensure_status(&format!("stop --force {vip}"), 0)?;
            ensure_same(&before, &machine()?)
        })
        .with_context(|| vip.to_owned())?;
    }
    Ok(())
}

/// nft fails, as where there is none of it in the kernel.
pub fn by_iptables() -> Result<()> {
    let possible = is_possible()?;
    for (vip, _, _, iptables) in VIPS {
        on_a_network(|| {
            let before = machine()?;
            let script = format!(
                "mount --bind /bin/false \"$(command -v nft)\"; us={us}
                 $us realserver start --method redirect {vip}; $us realserver status {vip}
                 {iptables}-legacy -t nat -S PREROUTING
                 $us realserver start --method redirect {vip} && exit 1 || :
                 {iptables}-legacy -t nat -F PREROUTING; $us realserver status {vip} && exit 1 || :
                 {iptables}-legacy -t nat -A PREROUTING -d {vip} -j REDIRECT
                 $us realserver start --method redirect {vip}; $us realserver stop {vip}
                 echo == left; {iptables}-legacy -t nat -S PREROUTING; {iptables}-legacy -t nat -F PREROUTING",
                us = ours().display()
            );
            let outcome = sh(&format!("unshare --mount sh -ec '{script}' 2>&1"));
            if possible {
                let said = outcome?;
                let (started, left) = said.split_once("== left").context("the rest")?;
                ensure!(started.matches("--comment ipvsadm-rs -j REDIRECT").count() == 1, "{said}");
                // An administrator's own rule stays.
                ensure!(left.matches("-j REDIRECT").count() == 1 && !left.contains("comment"), "{said}");
                ensure!(said.contains("pass  redirect") && said.contains("fail  redirect"), "{said}");
            } else {
                let outcome = ensure_status(&format!("start --method redirect {vip}"), 1)?;
                let said = format!("neither nftables nor {iptables} can redirect on this machine");
                ensure!(outcome.stderr.contains(&said), "{}", outcome.stderr);
            }
            ensure!(!record()?.exists(), "a record is left");
            ensure_same(&before, &machine()?)
        })
        .with_context(|| vip.to_owned())?;
    }
    Ok(())
}

/// An interface that has the VIP, or is named though none gets it.
pub fn in_the_way() -> Result<()> {
    on_a_network(|| {
        sh("ip address add 192.0.2.1/32 dev eth0; ip link add quiet0 type dummy; ip link set quiet0 up")?;
        let before = machine()?;
        for (words, status, said) in [
            ("192.0.2.1", 1, "192.0.2.1 is on eth0, and with --method redirect it may be on no interface: ip address"),
            ("--interface quiet0 192.0.2.2", 2, "--method redirect puts the VIP on no interface"),
        ] {
            let outcome = ensure_status(&format!("start --method redirect {words}"), status)?;
            ensure!(outcome.stderr.contains(said), "{}", outcome.stderr);
            ensure_same(&before, &machine()?)?;
        }
        Ok(())
    })
}
