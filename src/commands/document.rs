//! `--json` and `--pretty` of subcommands: the same for all.

use clap::{Arg, ArgAction, ArgMatches};

/// The two options.
pub(super) fn arguments() -> [Arg; 2] {
    let json = Arg::new("json").short('j').long("json").action(ArgAction::SetTrue).help("Print JSON");
    let pretty = Arg::new("pretty").long("pretty").action(ArgAction::SetTrue).requires("json");
    [json, pretty.help("With --json, on indented lines")]
}

/// Whether a document is asked for, and then whether on indented lines.
pub(super) fn wanted(matches: &ArgMatches) -> Option<bool> {
    matches.get_flag("json").then(|| matches.get_flag("pretty"))
}
