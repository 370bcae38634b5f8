//! The programs in `crates/ipvs/examples/`, run on a real kernel: what they print, and what the table is afterwards.

use std::process::{Command, Output};
use std::{env, str};

use anyhow::{Context as _, Result, ensure};

use crate::support::{Invocation, Subject, Trial, in_fresh_namespace, ours, trial};

/// What is tried, and where.
pub fn subject() -> Subject {
    Subject { trials, ..Subject::named("examples") }
}

fn trials() -> Result<Vec<Trial>> {
    let run = || in_fresh_namespace(services_are_added_listed_and_watched);
    Ok(vec![trial("services are added, listed and watched", run)])
}

/// Runs an example, which `cargo test` without `--test` builds beside the tests.
fn example(name: &str, words: &[&str]) -> Result<Output> {
    let this = env::current_exe()?;
    let folder = this.ancestors().nth(2).context("no folder of examples")?.join("examples");
    let output = Command::new(folder.join(name)).args(words).output();
    output.with_context(|| format!("{name}: cargo build --examples builds it"))
}

fn printed(output: &Output) -> Result<&str> {
    ensure!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    Ok(str::from_utf8(&output.stdout)?)
}

fn services_are_added_listed_and_watched() -> Result<()> {
    let words = ["20.20.20.20:80", "30.30.30.30", "30.30.30.40"];
    ensure!(printed(&example("add_service", &words)?)?.is_empty());
    let saved = Invocation::of(&["-S", "-n"]).run(&ours())?.stdout;
    let rules = "-A -t 20.20.20.20:80 -s rr\n-a -t 20.20.20.20:80 -r 30.30.30.30:80 -g -w 1\n\
                 -a -t 20.20.20.20:80 -r 30.30.30.40:80 -g -w 1\n";
    ensure!(saved == rules, "{saved}");

    let output = example("list", &[])?;
    let listed = printed(&output)?;
    let lines = "TCP 20.20.20.20:80 by rr, 0 connections\n  30.30.30.30:80 weight 1, 0 active\n  \
                 30.30.30.40:80 weight 1, 0 active\n";
    ensure!(listed == lines, "{listed}");

    let output = example("watch_rates", &["1"])?;
    let watched = printed(&output)?;
    ensure!(watched.contains("20.20.20.20") && watched.contains(": 0 connections/s, 0 bytes/s in"), "{watched}");

    // What the kernel refuses is reported.
    let output = example("add_service", &words)?;
    let printed = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(1) && printed.contains("the kernel refuses the service"), "{output:?}");
    let output = example("add_service", &["20.20.20.20:81", "30.30.30.30", "30.30.30.30"])?;
    let printed = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(1) && printed.contains("30.30.30.30: "), "{output:?}");
    Ok(())
}
