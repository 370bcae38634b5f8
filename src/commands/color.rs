//! Whether to colour what is printed.

use std::io::IsTerminal;

use clap::{Arg, ArgMatches};

/// `--color WHEN`, for subcommands.
pub(super) fn argument() -> Arg {
    Arg::new("color")
        .long("color")
        .value_name("WHEN")
        .value_parser(["auto", "always", "never"])
        .default_value("auto")
        .help("When to colour what is printed")
}

/// Whether standard output is to be coloured.
pub(super) fn wanted(matches: &ArgMatches) -> bool {
    match matches.get_one::<String>("color").map(String::as_str) {
        Some("always") => true,
        Some("never") => false,
        // https://no-color.org: set, and not to nothing.
        _ => std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) && std::io::stdout().is_terminal(),
    }
}
