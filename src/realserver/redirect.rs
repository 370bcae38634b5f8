//! Redirecting what is sent to a VIP to an address of this host's own, so that the host need not hold the VIP: by nft(8), in a
//! table of our own for each VIP, or by iptables(8). Connection tracking gives the answers the VIP as their source again.

use std::fs::File;
use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::error::state;
use super::programs::{check, failed, legacy, nft, nft_table, run, table_of, without_table};
use crate::host::program::{command, find};

/// What redirects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "with")]
pub(super) enum Redirect {
    /// A table of nftables.
    Nftables {
        /// `ip` or `ip6`.
        family: String,
        /// Its name.
        table: String,
    },
    /// A rule of the table `nat` of iptables.
    Iptables {
        /// The program.
        program: PathBuf,
        /// The rule from its chain on, as it is given to `-A`, `-C` and `-D`.
        rule: Vec<String>,
    },
}

impl Redirect {
    /// What a VIP needs, by one of the means that this machine has.
    pub(super) fn plan(vip: IpAddr) -> Result<Self> {
        let (family, table) = (family_of(vip).to_owned(), table_of(vip));
        let refused = match check(&script(&family, &table, vip)) {
            Ok(()) => return Ok(Self::Nftables { family, table }),
            Err(error) => error,
        };
        // Without nft, the iptables that is made of nftables is as good.
        let any = find(iptables(vip)).filter(|_| find("nft").is_none());
        if let Some(program) = any.or_else(|| legacy(iptables(vip))) {
            let redirect = Self::Iptables { program, rule: rule(vip) };
            if redirect.is_laid().is_ok() {
                return Ok(redirect);
            }
        }
        Err(state(format!("{refused}: neither nftables nor {} can redirect on this machine", iptables(vip))))
    }

    /// Lay it, or lay it again.
    pub(super) fn lay(&self, vip: IpAddr, lock: &dyn Fn() -> Result<Option<File>>) -> Result<()> {
        match self {
            Self::Nftables { family, table } => nft(&script(family, table, vip), lock()?),
            Self::Iptables { .. } if self.is_laid()? => Ok(()),
            Self::Iptables { program, rule } => run(program, &["-w", "-t", "nat", "-A"], rule, lock()?),
        }
    }

    /// Take it away, as far as it is there.
    pub(super) fn lift(&self, lock: &dyn Fn() -> Result<Option<File>>) -> Result<()> {
        match self {
            Self::Nftables { family, table } => nft(&without_table(family, table), lock()?),
            Self::Iptables { program, rule } if self.is_laid()? => {
                run(program, &["-w", "-t", "nat", "-D"], rule, lock()?)
            }
            Self::Iptables { .. } => Ok(()),
        }
    }

    /// The table of nftables for a VIP, if it is there, whether a record tells of it or not.
    pub(super) fn find(vip: IpAddr) -> Option<Self> {
        let redirect = Self::Nftables { family: family_of(vip).to_owned(), table: table_of(vip) };
        redirect.is_laid().is_ok_and(|is_laid| is_laid).then_some(redirect)
    }

    /// Whether it is there. Err: it cannot be seen.
    pub(super) fn is_laid(&self) -> Result<bool> {
        match self {
            Self::Nftables { family, table } => {
                let redirects = |text: String| text.lines().any(|line| line.trim_end().ends_with(" redirect"));
                Ok(nft_table(family, table)?.is_some_and(redirects))
            }
            Self::Iptables { program, rule } => {
                let output = command(program).args(["-w", "-t", "nat", "-C"]).args(rule).output();
                let output = output.with_context(|| program.display().to_string())?;
                match output.status.code() {
                    Some(0) => Ok(true),
                    Some(1) if NO_RULE.iter().any(|said| String::from_utf8_lossy(&output.stderr).contains(said)) => {
                        Ok(false)
                    }
                    _ => Err(failed(program, &output.stderr)),
                }
            }
        }
    }
}

/// What iptables says where there is no such rule: that of nftables, and the other.
const NO_RULE: [&str; 2] = ["does a matching rule exist", "No chain/target/match by that name"];

fn family_of(vip: IpAddr) -> &'static str {
    if vip.is_ipv4() { "ip" } else { "ip6" }
}

fn iptables(vip: IpAddr) -> &'static str {
    if vip.is_ipv4() { "iptables" } else { "ip6tables" }
}

/// What makes the table again, in one transaction. The priority is that of DNAT (nft(8), "dstnat").
fn script(family: &str, table: &str, vip: IpAddr) -> String {
    format!(
        "{}table {family} {table} {{\n\
         chain prerouting {{\ntype nat hook prerouting priority -100; policy accept;\n\
         {family} daddr {vip} redirect\n}}\n}}\n",
        without_table(family, table)
    )
}

/// The comment tells it from one that an administrator wrote.
fn rule(vip: IpAddr) -> Vec<String> {
    let vip = vip.to_string();
    ["PREROUTING", "-d", &vip, "-m", "comment", "--comment", "ipvsadm-rs", "-j", "REDIRECT"].map(str::to_owned).into()
}
