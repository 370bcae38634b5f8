//! What is made from the table of commands and options: the man page's lists and the completions. The files in the
//! repository must be current; `UPDATE_GENERATED=1 cargo test --test no-kernel generated` writes them. And what the manual
//! and the README show as commands must be what the parser takes.

mod completions;
mod examples;
mod man;

use std::collections::BTreeSet;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use ipvsadm_rs::commands::command_line;
use ipvsadm_rs::grammar::table::{COMMANDS, OPTIONS};

/// A file of the repository.
fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The file must be what was just made; with UPDATE_GENERATED it becomes that.
fn assert_current(name: &str, made: &str) {
    if env::var_os("UPDATE_GENERATED").is_some_and(|value| !value.is_empty() && value != "0") {
        // In one step: other tests read it at the same time.
        let new = path(&format!("{name}.{}", std::process::id()));
        let written = fs::write(&new, made).and_then(|()| fs::rename(&new, path(name)));
        return written.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    let there = fs::read_to_string(path(name)).unwrap_or_default();
    if there != made {
        let line = 1 + there.lines().zip(made.lines()).take_while(|(old, new)| old == new).count();
        panic!(
            "{name} is out of date from line {line} on; UPDATE_GENERATED=1 cargo test --test no-kernel generated writes it"
        );
    }
}

/// The manual pages: man/PAGE is made from man/PAGE.in.
fn pages() -> Vec<String> {
    let names = fs::read_dir(path("man")).expect("man/").map(|entry| entry.expect("man/").file_name());
    let mut pages: Vec<String> =
        names.filter_map(|name| name.to_str()?.strip_suffix(".in").map(str::to_owned)).collect();
    pages.sort();
    pages
}
fn man_page(page: &str) -> String {
    let deviations = read("tests/compliance/deviations.md");
    let template = format!("man/{page}.in");
    man::page(page, &read(&template), &deviations).unwrap_or_else(|problem| panic!("{template}: {problem}"))
}

#[test]
fn the_man_pages_are_current() {
    for page in &pages() {
        assert_current(&format!("man/{page}"), &man_page(page));
    }
}

#[test]
fn every_man_page_in_the_folder_is_made() {
    let mut there: Vec<String> = fs::read_dir(path("man"))
        .expect("man/")
        .map(|entry| entry.expect("man/").file_name().to_string_lossy().into_owned())
        .collect();
    there.sort();
    let mut made: Vec<String> = pages().into_iter().flat_map(|page| [format!("{page}.in"), page]).collect();
    made.sort();
    assert_eq!(there, made);
}

#[test]
fn the_completions_are_current() {
    for shell in completions::SHELLS {
        assert_current(shell.file, &shell.script());
    }
}

#[test]
fn the_man_page_has_every_command_option_and_word() {
    let page = man::plain(&man_page("ipvsadm-rs.8"));
    let commands = COMMANDS.iter().flat_map(|spec| {
        let letters = spec.short.iter().map(|&letter| format!("-{}", char::from(letter)));
        letters.chain([format!("--{}", spec.long)]).map(|name| (name, spec.help))
    });
    let options = OPTIONS.iter().flat_map(|spec| {
        let letter = spec.short.map(|letter| format!("-{}", char::from(letter)));
        letter.into_iter().chain([format!("--{}", spec.long)]).map(|name| (name, spec.help))
    });
    for (name, help) in commands.chain(options) {
        assert!(page.contains(help), "the man page does not say of {name}: {help}");
        let is_there = page.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).any(|word| word == name);
        assert!(is_there, "the man page does not name {name}");
    }
    let of_commands = COMMANDS.iter().map(|spec| spec.completion);
    for completion in of_commands.chain(OPTIONS.iter().map(|spec| spec.completion)) {
        // Some words are lists of words.
        for word in completion.words().iter().flat_map(|word| word.split(',')) {
            let is_there =
                page.split(|c: char| !(c.is_ascii_alphanumeric() || "-_".contains(c))).any(|there| there == word);
            assert!(is_there, "the man page does not mention {word}");
        }
    }
}

/// The options of a synopsis. Both have the options that name a service, the manual page below its forms.
fn synopsis_options(text: &str) -> BTreeSet<&str> {
    let is_option = |word: &&str| word.starts_with('-') && word.chars().any(|c| c != '-');
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    words.filter(is_option).filter(|word| !["-t", "-u", "--sctp-service", "-f", "-6"].contains(word)).collect()
}

#[test]
fn the_man_page_and_the_help_have_the_same_synopsis() {
    let page = man::plain(&man_page("ipvsadm-rs.8"));
    let (_, synopsis) = page.split_once("SYNOPSIS").expect("a synopsis");
    let (synopsis, _) = synopsis.split_once("is one of").expect("what SERVICE is");
    let help = command_line("ipvsadm-rs").render_usage().to_string();
    // The manual page has the forms of a listing as FORM.
    assert_eq!(synopsis_options(synopsis), synopsis_options(&help));
}

#[test]
fn mandoc_finds_nothing_wrong_with_the_man_pages() {
    let output = Command::new("mandoc")
        .args(["-Tlint", "-W", "warning"])
        .args(pages().iter().map(|page| path(&format!("man/{page}"))))
        .output()
        .unwrap_or_else(|error| panic!("mandoc cannot be run ({error}): it is in the package mandoc"));
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && printed.is_empty(), "{printed}");
}

#[test]
fn the_shells_read_their_completions() {
    for (shell, script) in ["bash", "zsh", "fish"].into_iter().zip(completions::SHELLS.map(|shell| shell.file)) {
        let output = Command::new(shell)
            .arg("-n")
            .arg(path(script))
            .output()
            .unwrap_or_else(|error| panic!("{shell} cannot be run ({error}): it is in the package {shell}"));
        assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Completes in a real bash: what is offered after these words.
fn offered_by_bash(words: &[&str]) -> Vec<String> {
    let program = r#"
        eval "$1"; shift
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=${#COMP_LINE}
        compopt() { :; } # it works while completing only
        _ipvsadm_rs "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let output = Command::new("bash")
        .args(["--norc", "-c", program, "bash"])
        .arg(completions::SHELLS[0].script())
        .args(words)
        .output()
        .unwrap_or_else(|error| panic!("bash cannot be run: {error}"));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_options_and_their_words() {
    assert_eq!(offered_by_bash(&["ipvsadm-rs", "--add-se"]), ["--add-service", "--add-server"]);
    assert_eq!(offered_by_bash(&["ipvsadm", "-A", "--sched"]), ["--scheduler", "--sched-flags"]);
    assert_eq!(offered_by_bash(&["ipvsadm-rs", "--start-daemon", ""]), ["master", "backup"]);
}

#[test]
fn what_the_manual_and_the_readme_show_can_be_typed() {
    let pages = pages().into_iter().map(|page| (man::plain(&man_page(&page)), page, (".EX", ".EE")));
    let documents = ["README.md", "docs/install.md", "docs/high-availability.md"]
        .map(|name| (read(name), name.to_owned(), ("```", "```")));
    for (text, name, block) in pages.chain(documents) {
        let examples = examples::command_lines(&text, block);
        let least = if ["README.md", "ipvsadm-rs.8"].contains(&name.as_str()) { 10 } else { 0 };
        assert!(examples.len() >= least, "{name}: only {} examples were found", examples.len());
        for example in examples {
            examples::check(&example).unwrap_or_else(|problem| panic!("{name}: {example}\n{problem}"));
        }
    }
}

/// A README is read from top to bottom in three minutes.
#[test]
fn the_readme_has_at_most_200_lines() {
    assert!(read("README.md").lines().count() <= 200);
}

#[test]
fn links_between_documents_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut links = 0;
    for document in [
        "README.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "BENCHMARKS.md",
        "docs/install.md",
        "docs/lab.md",
        "docs/reliability.md",
        "docs/high-availability.md",
    ] {
        let folder = root.join(document);
        let folder = folder.parent().unwrap_or(root);
        for link in read(document).split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            if !link.is_empty() && !link.contains("://") {
                assert!(folder.join(link).exists(), "{document}: {link} is not there");
                links += 1;
            }
        }
    }
    assert!(links > 20, "only {links} links were found");
}

#[test]
fn help_calls_the_program_by_the_name_that_it_was_called_by() {
    for (called, name) in [("ipvsadm", "ipvsadm"), ("/usr/local/sbin/ipvsadm", "ipvsadm"), ("ipvsadm-rs", "ipvsadm-rs")]
    {
        for (words, usage) in [
            (&["-h"][..], format!("Usage: {name} -A|-E ")),
            (&["diff", "--help"], format!("Usage: {name} diff ")),
            (&["diff", "--nonsense"], format!("Usage: {name} diff ")),
        ] {
            let output = Command::new(env!("CARGO_BIN_EXE_ipvsadm-rs")).arg0(called).args(words).output();
            let output = output.unwrap_or_else(|error| panic!("{called}: {error}"));
            let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            assert!(text.contains(&usage), "{called} {words:?}: no {usage:?} in {text}");
            // Every form begins with the name.
            let forms = text.lines().filter(|line| line.trim_start().starts_with("ipvsadm"));
            for form in forms.filter(|line| line.starts_with("       ")) {
                assert!(form.trim_start().starts_with(&format!("{name} ")), "{called}: {form}");
            }
        }
    }
}
