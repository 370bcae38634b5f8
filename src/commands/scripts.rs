//! The programs ipvsadm-save and ipvsadm-restore. The originals are shell scripts that hardly look at their words, and
//! other scripts call them with words that mean nothing. What the originals ignore is ignored here, too, with a message.

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use anyhow::Result;

use super::{Output, called, restore, save, status};
use crate::escape::escaped;
use crate::grammar::{self, Faults, LOCK_WAIT_DEFAULT, RESOLVE_TIMEOUT_DEFAULT, Replace, Restore, RestoreMode, Save};

/// `ipvsadm-save [-n]`: `-S`.
pub(super) fn save(program: &OsStr, arguments: &[OsString], output: &mut Output) -> Result<u8> {
    let (dashed, ignored): (Vec<&OsStr>, Vec<&OsStr>) =
        arguments.iter().map(OsString::as_os_str).partition(|word| word.as_bytes().starts_with(b"-"));
    if dashed.iter().any(|option| *option != "-n") {
        // Not on standard output, which may be the file that the rules go to.
        say!("Usage: {} [-n]", escaped(program));
        say!("Writes the virtual server table to standard output, as rules.");
        say!("  -n  addresses and ports as numbers");
        return Ok(status::FAILED);
    }
    report_ignored(program, &ignored, "the only option is -n");
    let numeric = !dashed.is_empty();
    let save = Save { numeric, resolve_timeout: RESOLVE_TIMEOUT_DEFAULT, all: false, file: None };
    save::run(&save, LOCK_WAIT_DEFAULT, output)
}

/// `ipvsadm-restore < RULES`: `-R --replace`.
pub(super) fn restore(program: &OsStr, arguments: &[OsString], output: &mut Output) -> Result<u8> {
    let words: Vec<&OsStr> = arguments.iter().map(OsString::as_os_str).collect();
    let asks_for_help = |word: &&OsStr| *word == "--help" || *word == "-h" && io::stdin().is_terminal();
    if words.iter().any(asks_for_help) {
        say!("Usage: {} < RULES", escaped(program));
        say!("Makes the virtual server table what the rules on standard input say.");
        return Ok(status::FAILED);
    }
    // An option that is to limit the change, or to make none at all, must not be ignored.
    if let Some((word, option)) =
        words.iter().find_map(|word| Some((word, grammar::long_option_like(word.as_bytes())?)))
    {
        say!(
            "{}: {}: nothing was changed: this program takes no options; {} -R --replace may take --{option}",
            name_of(program),
            escaped(*word),
            called::command_line()
        );
        return Ok(status::FAILED);
    }
    report_ignored(program, &words, "it takes no options, and reads rules from standard input");
    let mode = RestoreMode::Replace(Replace { faults: Faults::SkipIfEmpty, ..Replace::default() });
    restore::run(&Restore { file: None, mode, all_errors: false }, LOCK_WAIT_DEFAULT, output)
}

fn report_ignored(program: &OsStr, words: &[&OsStr], why: &str) {
    if !words.is_empty() {
        let words = words.join(OsStr::new(" "));
        say!("{}: ignored `{}': {why}", name_of(program), escaped(&words));
    }
}

/// The program's name without its folder.
fn name_of(program: &OsStr) -> String {
    escaped(Path::new(program).file_name().unwrap_or(program)).into_owned()
}
