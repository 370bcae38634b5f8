//! Saving the table as rules, and restoring it from rules.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use ipvs_client::{Limits, RemovalLimit};

use crate::grammar::error::{Error, usage};
use crate::grammar::line::{Line, set};
use crate::grammar::options::common::TIMEOUT_MAXIMUM;
use crate::grammar::options::listing::Json;
use crate::grammar::request::Request;
use crate::grammar::table::{Command, Completion, OptionSpec, Value};

const RESTORE: &[Command] = &[Command::Restore];

pub(super) const OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        long: "file",
        value: Value::Required("PATH"),
        completion: Completion::File,
        with: &[Command::Restore, Command::Save, Command::List],
        help: "With -R, read this file; with -S and with metrics, write it, as a whole or not at all",
        set: |line, value| set(&mut line.rules.file, Some(value.text())),
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        long: "all",
        with: &[Command::Save],
        help: "With -S, save timeouts and synchronisation daemons, too, and the order of servers of sh, mh and dh",
        set: |line, _| set(&mut line.rules.all, true),
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        long: "check",
        with: RESTORE,
        help: "With -R, only say what is wrong with the rules; needs neither root nor IPVS",
        set: |line, _| set(&mut line.rules.mode, Mode::Check),
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        long: "all-errors",
        with: RESTORE,
        help: "With -R, print every message about a line; otherwise after a hundred of a kind their number",
        set: |line, _| set(&mut line.rules.all_errors, true),
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        long: "replace",
        with: RESTORE,
        conflicts: &["check"],
        help: "With -R, make the table equal to the rules by the fewest changes, all or none",
        set: |line, _| set(&mut line.rules.mode, Mode::Replace),
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        long: "dry-run",
        with: RESTORE,
        needs: Some("replace"),
        help: "With --replace, print the changes instead of making them; status 1 if there are any",
        set: |line, _| set(&mut line.rules.replace.dry_run, true),
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        long: "keep-weights",
        with: RESTORE,
        needs: Some("replace"),
        help: "With --replace, leave the weights of the real servers that are there",
        set: |line, _| set(&mut line.rules.replace.keep_weights, true),
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        long: "reorder",
        with: RESTORE,
        needs: Some("replace"),
        conflicts: &["keep-going"],
        help: "With --replace, delete and add again the servers of sh, mh and dh that are out of order; says before what that costs",
        set: |line, _| set(&mut line.rules.replace.reorder, true),
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        long: "keep-going",
        with: RESTORE,
        needs: Some("replace"),
        conflicts: &["confirm"],
        help: "With --replace, load every rule that is good; status 3 if one is not, and then nothing is deleted",
        set: |line, _| set(&mut line.rules.replace.faults, Faults::Skip),
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        long: "max-removals",
        value: Value::Required("N|P%"),
        with: RESTORE,
        needs: Some("replace"),
        help: "With --replace, change nothing if more services and servers would be deleted, or more percent of them",
        set: |line, value| {
            let limit = RemovalLimit::parse(value.text());
            let limit = limit.ok_or_else(|| usage("illegal number of rules specified for --max-removals"))?;
            set(&mut line.rules.replace.limits.removals, Some(limit))
        },
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        long: "confirm",
        value: Value::Required("SECONDS"),
        with: RESTORE,
        needs: Some("replace"),
        conflicts: &["dry-run"],
        help: "With --replace, roll back unless you answer yes at the terminal within this many seconds",
        set: |line, value| set(&mut line.rules.replace.confirm, Some(value.seconds(1, TIMEOUT_MAXIMUM)?)),
        ..OptionSpec::PLAIN
    },
];

/// `-S` and its options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Save {
    /// No names (`-n`).
    pub numeric: bool,
    /// Seconds to wait for names at most (`--resolve-timeout`).
    pub resolve_timeout: u32,
    /// With timeouts and daemons (`--all`).
    pub all: bool,
    /// Into this file rather than to standard output.
    pub file: Option<PathBuf>,
}

/// `-R` and its options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restore {
    /// From this file rather than from standard input.
    pub file: Option<PathBuf>,
    /// What to do with the rules.
    pub mode: RestoreMode,
    /// Print every message about a line (`--all-errors`).
    pub all_errors: bool,
}

/// What `-R` does with the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestoreMode {
    /// Carry them out, line by line.
    Apply,
    /// Only look whether they are right (`--check`).
    Check,
    /// Make the table equal to them (`--replace`).
    Replace(Replace),
}

/// How to replace the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replace {
    /// Print the changes instead of making them.
    pub dry_run: bool,
    /// Leave the weights of servers that are there.
    pub keep_weights: bool,
    /// Put the servers of schedulers that choose by a table in order, which deletes live ones and adds them again.
    pub reorder: bool,
    /// Roll back unless confirmed within this many seconds.
    pub confirm: Option<u32>,
    /// Refuse to take more than this out of the table.
    pub limits: Limits,
    /// What becomes of the others if a line is wrong or refused.
    pub faults: Faults,
    /// Print what was changed as JSON.
    pub json: Option<Json>,
}

/// What a line that is wrong, or that the kernel refuses, does to the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Faults {
    /// All or none.
    #[default]
    Refuse,
    /// The others are loaded (`--keep-going`).
    Skip,
    /// The others are loaded if the table is empty, as at boot.
    SkipIfEmpty,
}

/// What the options of saving and restoring said.
pub(in crate::grammar) struct RulesOptions<'w> {
    file: Option<&'w [u8]>,
    all: bool,
    all_errors: bool,
    mode: Mode,
    replace: Replace,
}

#[derive(Clone, Copy)]
enum Mode {
    Apply,
    Check,
    Replace,
}

impl RulesOptions<'_> {
    pub const DEFAULT: Self = Self {
        file: None,
        all: false,
        all_errors: false,
        mode: Mode::Apply,
        replace: Replace {
            dry_run: false,
            keep_weights: false,
            reorder: false,
            confirm: None,
            limits: Limits { keep_some: false, removals: None },
            faults: Faults::Refuse,
            json: None,
        },
    };

    pub(super) fn file(&self) -> Option<PathBuf> {
        self.file.map(path)
    }
}

/// A path, as it was typed.
pub(super) fn path(text: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(text))
}

/// `-R`
pub(in crate::grammar) fn restore(line: &mut Line<'_>) -> Result<Request, Error> {
    let json = line.listing.as_ref().and_then(|listing| listing.json());
    let options = &line.rules;
    let mode = match options.mode {
        Mode::Replace => RestoreMode::Replace(Replace { json, ..options.replace }),
        Mode::Apply | Mode::Check if json.is_some() => {
            return Err(usage("You need to supply the 'replace' option for the 'json' option"));
        }
        Mode::Apply => RestoreMode::Apply,
        Mode::Check => RestoreMode::Check,
    };
    Ok(Request::Restore(Box::new(Restore { file: options.file(), mode, all_errors: options.all_errors })))
}

/// `-S`
pub(in crate::grammar) fn save(line: &mut Line<'_>) -> Result<Request, Error> {
    Ok(Request::Save(Box::new(Save {
        numeric: line.numeric,
        resolve_timeout: line.resolve_timeout,
        all: line.rules.all,
        file: line.rules.file(),
    })))
}
