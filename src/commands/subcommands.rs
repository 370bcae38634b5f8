//! What the program can do beyond what ipvsadm does, called by a word.

use anyhow::Result;

use super::output::Output;
use super::{compare, diff, doctor, realserver, service, top, where_client};
use crate::grammar;

/// What else this program can do, called by a word of its own. A lone word never was a command of ipvsadm.
pub(super) struct Subcommand {
    /// The word, what may follow it, and its help.
    pub(super) command: fn() -> clap::Command,
    pub(super) run: fn(&clap::ArgMatches, &mut Output) -> Result<u8>,
}

pub(super) const SUBCOMMANDS: &[Subcommand] = &[
    Subcommand { command: diff::command, run: diff::run },
    Subcommand { command: compare::command, run: compare::run },
    Subcommand { command: where_client::command, run: where_client::run },
    Subcommand { command: top::command, run: top::run },
    Subcommand { command: service::command, run: service::run },
    Subcommand { command: doctor::command, run: doctor::run },
    Subcommand { command: realserver::command, run: realserver::run },
];

/// The whole command line of a program that was called by this name, for help, completions and manual.
#[must_use]
pub fn command_line(program: &str) -> clap::Command {
    grammar::usage::command(program).subcommands(SUBCOMMANDS.iter().map(|subcommand| (subcommand.command)()))
}
