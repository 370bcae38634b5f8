//! Whether to colour what is printed.

use std::io::IsTerminal;

use clap::{Arg, ArgMatches};

use crate::grammar::ColorWhen;

/// `--color WHEN`, for subcommands.
pub(super) fn argument() -> Arg {
    Arg::new("color")
        .long("color")
        .value_name("WHEN")
        .value_parser(["auto", "always", "never"])
        .default_value("auto")
        .help("When to colour what is printed")
}

/// What `--color` says.
pub(super) fn when(matches: &ArgMatches) -> ColorWhen {
    let word = matches.get_one::<String>("color").map(String::as_bytes);
    word.and_then(ColorWhen::named).unwrap_or_default()
}

/// Whether standard output is to be coloured.
pub(super) fn wanted(when: ColorWhen) -> bool {
    match when {
        ColorWhen::Always => true,
        ColorWhen::Never => false,
        // https://no-color.org: set, and not to nothing.
        ColorWhen::Auto => {
            std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) && std::io::stdout().is_terminal()
        }
    }
}
