//! The table as a [`clap::Command`], for what clap is good at: help texts, completions and manual pages. The parsing is
//! `parse.rs`'s.

use clap::builder::{PossibleValuesParser, ValueHint};
use clap::{Arg, ArgAction, Command, value_parser};

use super::options::LOCK_WAIT_MAXIMUM;
use super::table::{self, COMMANDS, Completion, OPTIONS, Value};

/// The option that can stand anywhere, and with subcommands.
const NAMESPACE: &str = "netns";

/// The command line as clap describes it, of a program that was called by this name.
#[must_use]
pub fn command(program: &str) -> Command {
    let forms = USAGE.map(|form| format!("{program} {form}"));
    let mut command = Command::new("ipvsadm-rs")
        .about("Administers the Linux virtual server (IPVS), as ipvsadm does")
        .version(env!("CARGO_PKG_VERSION"))
        .override_usage(forms.join("\n       "))
        .subcommand_help_heading("More commands")
        .disable_help_subcommand(true)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .after_help("Without arguments the table is listed, with names. See ipvsadm-rs(8).");
    for spec in COMMANDS {
        let letters: Vec<char> = spec.short.iter().map(|&letter| char::from(letter)).collect();
        let mut arg = Arg::new(spec.long).long(spec.long).help(spec.help).help_heading("Commands");
        if let Some((&first, others)) = letters.split_first() {
            arg = arg.short(first).visible_short_aliases(others.to_vec());
        }
        command = command.arg(match spec.operands {
            [] => with_value(arg, spec.value, spec.completion),
            operands => arg.value_names(operands.iter().copied()).num_args(operands.len()),
        });
    }
    for spec in OPTIONS {
        let mut arg = Arg::new(spec.long).long(spec.long).help(spec.help).help_heading("Options");
        if let Some(letter) = spec.short {
            arg = arg.short(char::from(letter));
        }
        // It can stand anywhere, so subcommands take it, too.
        arg = arg.global(spec.long == NAMESPACE);
        command = command.arg(with_value(arg, spec.value, spec.completion));
    }
    command
}

/// `--netns`, for the help of a subcommand by itself.
#[must_use]
pub fn namespace_argument() -> Arg {
    of_the_table(NAMESPACE).global(true)
}

/// `--lock-wait`, for subcommands that change the table.
#[must_use]
pub fn lock_wait_argument() -> Arg {
    of_the_table("lock-wait").value_parser(value_parser!(u32).range(..=i64::from(LOCK_WAIT_MAXIMUM)))
}

/// What names a service, for subcommands that are about one.
#[must_use]
pub fn service_arguments() -> [Arg; 5] {
    ["tcp-service", "udp-service", "sctp-service", "fwmark-service", "ipv6"].map(|long| {
        let letter = table::option(long).and_then(|spec| spec.short);
        letter.into_iter().fold(of_the_table(long), |arg, letter| arg.short(char::from(letter)))
    })
}

/// The options that choose among connections.
pub const CONNECTION_OPTIONS: [&str; 4] = ["client", "state", "origin", "expires-within"];

/// What chooses among connections, for subcommands that show them.
#[must_use]
pub fn connection_arguments() -> [Arg; 4] {
    CONNECTION_OPTIONS.map(|long| {
        let help = table::option(long).map_or("", |spec| spec.help);
        of_the_table(long)
            .help(help.strip_prefix("With -c, only ").map_or(help.to_owned(), |rest| format!("Only {rest}")))
    })
}

/// An option of the table, for a subcommand.
fn of_the_table(long: &'static str) -> Arg {
    let arg = Arg::new(long).long(long);
    match table::option(long) {
        Some(spec) => with_value(arg.help(spec.help), spec.value, spec.completion),
        None => arg,
    }
}

fn with_value(arg: Arg, value: Value, completion: Completion) -> Arg {
    let arg = match value {
        Value::None => return arg.action(ArgAction::SetTrue),
        Value::Required(name) => arg.value_name(name),
        Value::Optional(name) => arg.value_name(name).num_args(0..=1),
        Value::Attached(name) => arg.value_name(name).num_args(0..=1).require_equals(true),
    };
    match completion {
        // What one can choose stands in the help line already.
        Completion::Words(words) => arg.value_parser(PossibleValuesParser::new(words)).hide_possible_values(true),
        Completion::File => arg.value_hint(ValueHint::FilePath),
        // The completion scripts ask for what is live.
        _ => arg.value_hint(ValueHint::Other),
    }
}

/// The forms of a command line, after the program's name.
const USAGE: [&str; 29] = [
    "-A|-E -t|-u|--sctp-service|-f SERVICE [-s SCHEDULER] [-p [SECONDS]] [-M MASK] [--pe ENGINE] [-b FLAGS] [-o]",
    "-D -t|-u|--sctp-service|-f SERVICE [--drain[=SECONDS] [--force]]",
    "-C",
    "-R [--file PATH] [--check]",
    "-R [--file PATH] --replace [--dry-run | --confirm SECONDS] [--keep-weights] [--keep-going] [--max-removals N|P%]",
    "-S [-n] [--all] [--file PATH]",
    "-a|-e -t|-u|--sctp-service|-f SERVICE -r SERVER [-g|-i|-m] [-w WEIGHT] [-x N] [-y N] [TUNNEL]",
    "-e -t|-u|--sctp-service|-f SERVICE -r SERVER [-g|-i|-m] -w 0 --drain[=SECONDS] [--no-fallback] [--force]",
    "-d -t|-u|--sctp-service|-f SERVICE -r SERVER [--drain[=SECONDS] [--no-fallback] [--force]]",
    "-L|-l [-t|-u|--sctp-service|-f SERVICE | --timeout | --daemon] [-n] [COLUMNS] [FORM]",
    "-L|-l -c [FILTER] [-n] [--sort-by|--count-by KEY] [FORM]",
    "-L|-l --prometheus|--openmetrics [--only METRIC,...] [--saved PATH] [--file PATH]",
    "-Z [-t|-u|--sctp-service|-f SERVICE]",
    "--set TCP TCPFIN UDP",
    "--start-daemon master|backup [DAEMON]",
    "--stop-daemon master|backup [--syncid ID]",
    "diff [--color WHEN] [--json [--pretty]] FILE",
    "compare [--json [--pretty]] MASTER BACKUP",
    "service start|stop|restart|reload|save|status|...",
    "realserver start|stop|status VIP...",
    "health [-t|-u|--sctp-service|-f SERVICE]... [--min-servers LIMIT] [--min-weight LIMIT] [--max-connections LIMIT] [--daemon ROLE] [--gate] [--json]",
    "doctor [--probe] [--json] [VIP...]",
    "where CLIENT[:PORT]|- -t|-u|--sctp-service|-f SERVICE [--to ADDRESS[:PORT]] [--json]",
    "where --digest [-t|-u|--sctp-service|-f SERVICE]",
    "monitor [--interval SECONDS] [--json] [--file PATH]",
    "top [--interval SECONDS] [--once | --count NUMBER]",
    "--netns NAME|PATH ...",
    "-h",
    "-v [--json [--pretty]]",
];
