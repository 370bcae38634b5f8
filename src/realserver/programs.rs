//! The programs that lay rules: nft(8), and arptables(8), iptables(8) and ip6tables(8), of which there are two kinds.

use std::fs::File;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result};

use super::error::state;
use crate::host::program::{command, find};

/// The name of a VIP's table. nft(8) takes no colon in it.
pub(super) fn table_of(vip: IpAddr) -> String {
    format!("ipvsadm-rs-{vip}").replace(':', ".")
}

/// Have nft do a script, whole or not at all.
pub(super) fn nft(script: &str, lock: Option<File>) -> Result<()> {
    run(&find_nft()?, &[script], &[], lock)
}

/// What nft lists of a table, if that is there.
pub(super) fn nft_table(family: &str, table: &str) -> Result<Option<String>> {
    let program = find("nft").ok_or_else(|| state("there is no nft".into()))?;
    let output = command(&program).args(["list", "table", family, table]).output()?;
    Ok(output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned()))
}

/// What takes a table of nftables away in a script, whether it is there or not: adding what is there changes nothing.
pub(super) fn without_table(family: &str, table: &str) -> String {
    format!("add table {family} {table}\ndelete table {family} {table}\n")
}

/// Have nft and the kernel check a script, without doing it.
pub(super) fn check(script: &str) -> Result<()> {
    run(&find_nft()?, &["--check", script], &[], None)
}

fn find_nft() -> Result<PathBuf> {
    find("nft").ok_or_else(|| state("there is no nft on this machine: install nftables".into()))
}

/// Run one of the programs. Its standard input is the lock: until it is done no other process begins.
pub(super) fn run(program: &Path, action: &[&str], rule: &[String], lock: Option<File>) -> Result<()> {
    let mut command = command(program);
    command.args(action).args(rule).stdin(lock.map_or(Stdio::null(), Stdio::from));
    let output = command.output().with_context(|| program.display().to_string())?;
    if output.status.success() { Ok(()) } else { Err(failed(program, &output.stderr)) }
}

/// The first line of what a program said.
pub(super) fn failed(program: &Path, said: &[u8]) -> anyhow::Error {
    let said = String::from_utf8_lossy(said);
    // What follows shows where in the script.
    let first = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("it failed, and said nothing");
    state(format!("{}: {}", program.display(), first.trim_start_matches("Error: ")))
}

/// The arptables, iptables or ip6tables that is not made of nftables.
pub(super) fn legacy(name: &str) -> Option<PathBuf> {
    find(&format!("{name}-legacy")).or_else(|| {
        let program = find(name)?;
        let version = command(&program).arg("-V").output().ok()?;
        (!String::from_utf8_lossy(&version.stdout).contains("nf_tables")).then_some(program)
    })
}
