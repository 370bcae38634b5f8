//! The man pages: the templates `man/*.in` with the lists of commands and options filled in from the tables.
//!
//! Lines of the template that are replaced:
//! - `@COMMANDS@`: an entry for each command.
//! - `@OPTIONS FIRST LAST@`: an entry for each option from `--FIRST` to `--LAST`, in the table's order.
//! - `@MORE OPTIONS@`: a section with the options that are in none of these lists, if there are any.
//! - `@CHECKS ROLE@`: an entry for each of the doctor's checks of this role (`director`, `real-server`).
//! - `@SUBCOMMAND WORD...@`: an entry for each argument and option of this subcommand (`diff`).
//! - `@DEVIATIONS@`: an entry for each heading of `tests/compliance/deviations.md`.
//!
//! `@VERSION@` stands for the version anywhere.

use ipvsadm_rs::doctor::CHECKS;
use ipvsadm_rs::grammar::table::{COMMANDS, OPTIONS, OptionSpec, Value};

/// The page, or what is wrong with the template.
pub fn page(name: &str, template: &str, deviations: &str) -> Result<String, String> {
    let mut page =
        format!(".\\\" Made from {name}.in, what the program knows of its options, and the list of deviations.\n");
    let mut covered: Vec<&OptionSpec> = Vec::new();
    for line in template.lines() {
        match line.strip_prefix('@').and_then(|line| line.strip_suffix('@')) {
            Some("COMMANDS") => COMMANDS.iter().for_each(|spec| {
                let letters = spec.short.iter().map(|&letter| format!("-{}", char::from(letter)));
                let names: Vec<String> = letters.chain([format!("--{}", spec.long)]).collect();
                entry(&mut page, &names, spec.value, spec.operands, spec.help);
            }),
            Some("MORE OPTIONS") => {
                let mut rest =
                    OPTIONS.iter().filter(|spec| !covered.iter().any(|done| done.long == spec.long)).peekable();
                if rest.peek().is_some() {
                    page.push_str(".SS More options\n");
                }
                rest.for_each(|spec| option(&mut page, spec));
            }
            Some("DEVIATIONS") => deviations.split("\n## ").skip(1).try_for_each(|text| deviation(&mut page, text))?,
            Some(list) if list.starts_with("CHECKS ") => checks(&mut page, list)?,
            Some(list) if list.starts_with("SUBCOMMAND ") => subcommand(&mut page, list)?,
            Some(list) => {
                for spec in range(list).ok_or_else(|| format!("the line @{list}@ makes no sense"))? {
                    if covered.iter().any(|done| done.long == spec.long) {
                        return Err(format!("an option of @{list}@ is in another list as well"));
                    }
                    covered.push(spec);
                    option(&mut page, spec);
                }
            }
            None => {
                page.push_str(&line.replace("@VERSION@", env!("CARGO_PKG_VERSION")));
                page.push('\n');
            }
        }
    }
    Ok(page)
}

/// The options of `OPTIONS FIRST LAST`.
fn range(list: &str) -> Option<&'static [OptionSpec]> {
    let words: Vec<&str> = list.split(' ').collect();
    let ["OPTIONS", first, last] = words[..] else { return None };
    let position = |name| OPTIONS.iter().position(|spec| spec.long == name);
    OPTIONS.get(position(first)?..=position(last)?)
}

fn option(page: &mut String, spec: &OptionSpec) {
    let letter = spec.short.map(|letter| format!("-{}", char::from(letter)));
    let names: Vec<String> = letter.into_iter().chain([format!("--{}", spec.long)]).collect();
    entry(page, &names, spec.value, &[], spec.help);
}

/// Append the checks of `CHECKS ROLE`.
fn checks(page: &mut String, list: &str) -> Result<(), String> {
    let role = list.split(' ').nth(1).unwrap_or_default();
    let of_role: Vec<_> = CHECKS.iter().filter(|check| check.role.name() == role).collect();
    if of_role.is_empty() {
        return Err(format!("@{list}@: there is no such role"));
    }
    for check in of_role {
        let title = check.title[..1].to_uppercase() + &check.title[1..];
        // Sentences begin on lines of their own.
        page.push_str(&format!(".TP\n\\fB{}\\fR\n{}.\n{}\n", check.id, markdown(&title), markdown(check.why)));
    }
    Ok(())
}

/// Append the arguments and options of `SUBCOMMAND WORD...`.
fn subcommand(page: &mut String, list: &str) -> Result<(), String> {
    let root = ipvsadm_rs::commands::command_line("ipvsadm-rs");
    let command = list.split(' ').skip(1).try_fold(&root, |command, word| command.find_subcommand(word));
    let command = command.ok_or_else(|| format!("@{list}@: there is no such subcommand"))?;
    for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
        let value = argument.get_value_names().unwrap_or_default().join(" ");
        let letter = argument.get_short().map(|letter| format!("-{letter}"));
        let names: Vec<String> =
            letter.into_iter().chain(argument.get_long().map(|long| format!("--{long}"))).collect();
        let words = if argument.get_action().takes_values() { value } else { String::new() };
        let names = names.iter().map(|name| format!("\\fB{}\\fR", name.replace('-', "\\-"))).collect::<Vec<_>>();
        let words = if words.is_empty() { words } else { value_name(&words) };
        let tag = [names.join(", "), words].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        page.push_str(&format!(".TP\n{tag}\n{}.\n", markdown(&help)));
    }
    Ok(())
}

/// Append a deviation: `ID: TITLE`, and lines of reasons up to the example.
fn deviation(page: &mut String, text: &str) -> Result<(), String> {
    let mut lines = text.lines();
    let heading = lines.next().unwrap_or_default();
    let (_, title) = heading.split_once(": ").ok_or_else(|| format!("no title in {heading:?}"))?;
    page.push_str(&format!(".TP\n\\fB{}\\fR\n", markdown(title)));
    for line in lines.take_while(|line| !line.starts_with("Example:")).filter(|line| !line.is_empty()) {
        // The list speaks of two programs, the page of this one.
        let line = line.replace("Ours ", "`ipvsadm-rs` ").replace("ours ", "`ipvsadm-rs` ");
        page.push_str(&format!("{}\n", markdown(&line)));
    }
    Ok(())
}

/// Markdown's code as bold text.
fn markdown(line: &str) -> String {
    let mut text = String::new();
    for (index, part) in line.split('`').enumerate() {
        if index % 2 == 1 {
            text.push_str(&format!("\\fB{}\\fR", part.replace('\\', "\\e").replace('-', "\\-")));
        } else {
            let words: Vec<String> = part.split(' ').map(roff).collect();
            text.push_str(&words.join(" "));
        }
    }
    // A line of text must not look like a request.
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

/// Append a tagged paragraph: the names in bold, the value in italics, and the help.
fn entry(page: &mut String, names: &[String], value: Value, operands: &[&str], help: &str) {
    let names: Vec<String> = names.iter().map(|name| format!("\\fB{}\\fR", name.replace('-', "\\-"))).collect();
    page.push_str(&format!(".TP\n{}", names.join(", ")));
    match value {
        Value::None => {}
        Value::Required(name) => page.push_str(&format!(" {}", value_name(name))),
        Value::Optional(name) => page.push_str(&format!(" [{}]", value_name(name))),
        Value::Attached(name) => page.push_str(&format!("[={}]", value_name(name))),
    }
    for operand in operands {
        page.push_str(&format!(" {}", value_name(operand)));
    }
    page.push('\n');
    page.push_str(&format!("{}.\n", markdown(help)));
}

/// What stands for a value in italics (`MARK`), what is typed as it is in bold (`master`).
fn value_name(name: &str) -> String {
    let mut text = String::new();
    for word in name.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
        let (word, mark) = word.split_at(word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric()).len());
        let font = if word.bytes().any(|byte| byte.is_ascii_uppercase()) { 'I' } else { 'B' };
        if !word.is_empty() {
            text.push_str(&format!("\\f{font}{word}\\fR"));
        }
        text.push_str(mark);
    }
    text
}

/// A word of a help text. What is meant to be typed must not have its hyphens made typographic.
fn roff(word: &str) -> String {
    let bare = word.trim_matches([',', ';', ':', '.', '(', ')']);
    let of_commands = COMMANDS.iter().map(|spec| spec.completion);
    let typed = bare.starts_with('-')
        || of_commands.chain(OPTIONS.iter().map(|spec| spec.completion)).any(|kind| kind.words().contains(&bare));
    let word = word.replace('\\', "\\e");
    if typed { word.replace('-', "\\-") } else { word }
}

/// The words of a page, without fonts and escapes, lines kept.
pub fn plain(page: &str) -> String {
    let mut text = String::new();
    for line in page.lines().filter(|line| !line.starts_with(".\\\"")) {
        let line = match line.split_once(' ') {
            // Macros of fonts; of the others the name does no harm.
            Some((".B" | ".I" | ".BR" | ".IR" | ".RB" | ".RI" | ".BI" | ".IB" | ".SS" | ".SH", rest)) => rest,
            _ => line,
        };
        text.push_str(line);
        text.push('\n');
    }
    for (escape, meaning) in [
        ("\\fB", ""),
        ("\\fI", ""),
        ("\\fR", ""),
        ("\\-", "-"),
        ("\\(aq", "'"),
        ("\\(ga", "`"),
        ("\\(lq", "\u{201c}"),
        ("\\(rq", "\u{201d}"),
        ("\\&", ""),
        ("\\:", ""),
        ("\\e", "\\"),
    ] {
        text = text.replace(escape, meaning);
    }
    text
}
