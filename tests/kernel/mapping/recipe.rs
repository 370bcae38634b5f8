//! The recipe of docs/high-availability.md that compares two directors, as it stands there; ssh is a script that enters the
//! namespace of the other director.

use std::fs::{self, File, Permissions};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::support::{in_fresh_namespace, ours, run, succeed};

const DOCUMENT: &str = include_str!("../../../docs/high-availability.md");
const PEER: &str = "30.30.30.20";

/// The block behind this mark.
fn block(mark: &str) -> Result<&'static str> {
    let (_, rest) = DOCUMENT.split_once(mark).with_context(|| format!("no {mark}"))?;
    let (_, rest) = rest.split_once("\n```sh\n").context("no block")?;
    Ok(rest.split_once("```\n").context("no end of the block")?.0)
}

/// The commands that are typed, in their order.
fn typed() -> Vec<&'static str> {
    DOCUMENT.lines().filter_map(|line| line.strip_prefix("# ")).filter(|line| line.starts_with("ssh ")).collect()
}

/// Runs a program with the stand-in for ssh; its status and all that it says.
fn call(folder: &Path, program: &str, words: &[&str]) -> Result<(Option<i32>, String)> {
    let path = format!("{}:{}", folder.display(), std::env::var("PATH")?);
    let output = Command::new(program).args(words).env("PATH", path).output().with_context(|| program.to_owned())?;
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    Ok((output.status.code(), said))
}

pub fn two_directors_are_compared() -> Result<()> {
    in_fresh_namespace(|| {
        let rules = "-A -t 20.20.20.20:80 -s sh\n-a -t 20.20.20.20:80 -r 10.50.0.3\n\
                     -a -t 20.20.20.20:80 -r 10.50.0.1\n-a -t 20.20.20.20:80 -r 10.50.0.2\n";
        succeed(&["-R"], rules.as_bytes())?;
        let peer = File::open("/proc/thread-self/ns/net")?;
        let namespace = format!("/proc/{}/fd/{}", std::process::id(), peer.as_raw_fd());
        in_fresh_namespace(|| from_the_other(&namespace))
    })
}

fn from_the_other(peer: &str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let script = |name: &str, text: &str| -> Result<String> {
        let path = folder.join(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, Permissions::from_mode(0o755))?;
        Ok(path.to_str().context("a path")?.to_owned())
    };
    symlink(ours(), folder.join("ipvsadm-rs"))?;
    script(
        "ssh",
        &format!(
            "#!/bin/sh\n[ \"$1\" != -o ] || shift 2\n[ \"$1\" = {PEER} ] || exit 255\nshift\nexec nsenter --net={peer} \"$@\"\n"
        ),
    )?;
    let plugin =
        script("check_directors", block("<!-- directors: /usr/local/lib/nagios/plugins/check_directors -->")?)?;
    let check = |peer: &str| call(folder, &plugin, &[peer]);
    let is = |found: (Option<i32>, String), status: i32, begins: &str, has: &str| {
        let (code, said) = &found;
        ensure!(*code == Some(status) && said.starts_with(begins) && said.contains(has), "{found:?}");
        Ok(())
    };
    let commands = typed();
    ensure!(commands.len() == 2, "{commands:?}");
    let critical = format!("CRITICAL - rules or digests are not those of {PEER}\n");
    let ok = format!("OK - rules and digests are those of {PEER}\n");
    is(check(PEER)?, 2, &critical, "\n+ -a -t 20.20.20.20:80 -r 10.50.0.3:80 -g -w 1\n")?;
    is(call(folder, "sh", &["-c", commands[0]])?, 0, "", "")?;
    is(check(PEER)?, 0, &ok, "")?;
    succeed(&["-d", "-t", "20.20.20.20:80", "-r", "10.50.0.3"], b"")?;
    succeed(&["-a", "-t", "20.20.20.20:80", "-r", "10.50.0.3"], b"")?;
    is(check(PEER)?, 2, &critical, "+ # digest of TCP 20.20.20.20:80: sh-256-64le-")?;
    // The same rules bring no other order; by name they do.
    is(call(folder, "sh", &["-c", commands[0]])?, 0, "", "")?;
    is(check(PEER)?, 2, &critical, "")?;
    is(call(folder, "sh", &["-c", commands[1]])?, 0, "<stdin>: TCP 20.20.20.20:80: ", "")?;
    is(check(PEER)?, 0, &ok, "")?;
    is(check("30.30.30.99")?, 3, "UNKNOWN - the table of 30.30.30.99 cannot be read\n", "")?;
    what_is_no_table(folder)
}

/// A document that is another's is refused with a line.
fn what_is_no_table(folder: &Path) -> Result<()> {
    let table = succeed(&["-L", "--json"], b"")?;
    let file = folder.join("peer.json");
    let path = file.to_str().context("a path")?;
    for (text, message) in [
        (table.replace("\"schema\":1", "\"schema\":2"), "version 2 of the schema is not known"),
        (succeed(&["--version", "--json"], b"")?, "not a table, as -L --json prints it: missing field `table`"),
        ("{".to_owned(), "not a table, as -L --json prints it: EOF while parsing"),
        (table.replace("\"sh\"", "\"sh\\n-C\""), "not a table, as -L --json prints it"),
        (table.replace("\"digest\":\"sh", "\"digest\":\"\\u001b"), "TCP 20.20.20.20:80: not a digest"),
        (table.replace("\"dr\"", "\"bypass\""), "10.50.0.1:80: not a way of forwarding that a rule can ask for"),
    ] {
        fs::write(&file, &text)?;
        let output = run(&["diff", path], b"")?;
        let said = output.stderr.strip_prefix(&format!("{path}: ")).unwrap_or_default();
        ensure!(output.status == "2" && said.starts_with(message), "{message}: {output:?}");
        ensure!(output.stdout.is_empty() && output.stderr.lines().count() == 1, "{output:?}");
    }
    Ok(())
}
