//! What the program can do beyond what ipvsadm does, called by a word.

use std::ffi::OsString;

use anyhow::Result;

use super::output::Output;
use super::{compare, diff, doctor, health, monitor, realserver, service, status, top, where_client};
use crate::grammar;

/// What else this program can do, called by a word of its own. A lone word never was a command of ipvsadm.
pub(super) struct Subcommand {
    /// The word, what may follow it, and its help.
    pub(super) command: fn() -> clap::Command,
    pub(super) run: fn(&clap::ArgMatches, &mut Output) -> Result<u8>,
    /// The status of a command line that is wrong.
    pub(super) usage_status: fn(&[OsString]) -> u8,
}

impl Subcommand {
    const fn new(command: fn() -> clap::Command, run: fn(&clap::ArgMatches, &mut Output) -> Result<u8>) -> Self {
        Self { command, run, usage_status: |_| status::USAGE }
    }
}

pub(super) const SUBCOMMANDS: &[Subcommand] = &[
    Subcommand::new(diff::command, diff::run),
    Subcommand::new(compare::command, compare::run),
    Subcommand::new(where_client::command, where_client::run),
    Subcommand::new(monitor::command, monitor::run),
    Subcommand::new(top::command, top::run),
    Subcommand::new(service::command, service::run),
    Subcommand { usage_status: health::usage_status, ..Subcommand::new(health::command, health::run) },
    Subcommand::new(doctor::command, doctor::run),
    Subcommand::new(realserver::command, realserver::run),
];

/// The whole command line of a program that was called by this name, for help, completions and manual.
#[must_use]
pub fn command_line(program: &str) -> clap::Command {
    grammar::usage::command(program).subcommands(SUBCOMMANDS.iter().map(|subcommand| (subcommand.command)()))
}
