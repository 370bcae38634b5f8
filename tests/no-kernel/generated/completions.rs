//! The completion scripts: clap_complete makes them from the table, and what lies in this folder is added, which asks the
//! program itself for values that only the machine knows (`src/commands/complete.rs`). What clap_complete gets wrong for
//! us is set right here; each of these places fails loudly when it writes its scripts differently.

use clap_complete::{Generator, generate, shells};
use ipvsadm_rs::commands::command_line;
use ipvsadm_rs::grammar::table::{OPTIONS, Value};

/// What completes.
const PROGRAM: &str = "ipvsadm-rs";

/// A shell that there is a script for.
pub struct Shell {
    /// Where its script lies in the repository.
    pub file: &'static str,
    make: fn() -> String,
}

/// Every shell.
pub const SHELLS: [Shell; 3] = [
    Shell { file: "completions/ipvsadm-rs.bash", make: bash },
    Shell { file: "completions/_ipvsadm-rs", make: zsh },
    Shell { file: "completions/ipvsadm-rs.fish", make: fish },
];

impl Shell {
    /// Its script.
    pub fn script(&self) -> String {
        (self.make)()
    }
}

fn generated(shell: impl Generator) -> String {
    let mut script = Vec::new();
    generate(shell, &mut command_line(PROGRAM), PROGRAM, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

fn bash() -> String {
    let script = generated(shells::Bash);
    // Ours goes first and hands on to clap_complete's what is not live.
    let (functions, _) = script
        .split_once("if [[ \"${BASH_VERSINFO[0]}\" -eq 4 ")
        .expect("clap_complete registers its function differently now");
    // It calls the same function of a subcommand by two names if the program's has a dash.
    replaced(functions.to_owned(), "ipvsadm__subcmd__rs", "ipvsadm__rs") + include_str!("live.bash")
}

fn zsh() -> String {
    let script = replaced(generated(shells::Zsh), "#compdef ipvsadm-rs\n", "#compdef ipvsadm-rs ipvsadm\n");
    let script = replaced(script, "compdef _ipvsadm-rs ipvsadm-rs\n", "compdef _ipvsadm-rs ipvsadm-rs ipvsadm\n");
    // Before `_arguments` takes the line apart.
    let script = replaced(
        script,
        "    typeset -A opt_args\n",
        "    local -a ipvsadm_line=(\"${(@)words[1,CURRENT]}\")\n    typeset -A opt_args\n",
    );
    let (begin, functions) =
        script.split_once("\n_ipvsadm-rs() {").expect("clap_complete names its function otherwise");
    let mut script = format!("{begin}\n{}\n_ipvsadm-rs() {{{functions}", include_str!("live.zsh"));
    for spec in OPTIONS {
        if let Value::Optional(name) = spec.value {
            // With nothing to choose from, the next word can be an option.
            script = replaced(script, &format!("::{name}:'"), &format!("::{name}:( )'"));
        }
        match spec.value {
            Value::Required(name) | Value::Optional(name) => {
                // A colon in the name of a value would end it; clap_complete leaves that to us.
                let escaped = name.replace(':', "\\:");
                script = script.replace(&format!(":{name}:"), &format!(":{escaped}:"));
                if spec.completion.is_live() {
                    script = script.replace(&format!(":{escaped}:'"), &format!(":{escaped}:_ipvsadm-rs_live'"));
                    // Subcommands have options of the same kind.
                    script = script.replace(&format!(":{escaped}:_default'"), &format!(":{escaped}:_ipvsadm-rs_live'"));
                }
            }
            Value::Attached(_) => {
                let long = spec.long;
                script = replaced(script, &format!("'--{long}=["), &format!("'--{long}=-["));
            }
            Value::None => {}
        }
    }
    script
}

fn fish() -> String {
    let script = generated(shells::Fish);
    // Its own way to find the subcommand gives up at every option that still lacks its value.
    let (_, rest) = script
        .split_once("function __fish_ipvsadm_rs_using_subcommand")
        .expect("clap_complete names its functions otherwise");
    let mut made = format!("{}\nfunction __fish_ipvsadm_rs_using_subcommand", include_str!("live.fish"));
    for line in rest.lines() {
        let has_option = |long: &str| line.contains(&format!(" -l {long} "));
        let of = |spec: &&ipvsadm_rs::grammar::table::OptionSpec| has_option(spec.long);
        let spec = OPTIONS.iter().find(of);
        let may_lack_value = spec.is_some_and(|spec| matches!(spec.value, Value::Optional(_) | Value::Attached(_)));
        let is_live = spec.is_some_and(|spec| spec.completion.is_live()) || has_option("interface");
        // A subcommand comes first or not at all.
        let line = match line.strip_prefix("complete -c ipvsadm-rs -n \"__fish_ipvsadm_rs_needs_command\" -f -a ") {
            Some(word) => format!("complete -c ipvsadm-rs -n \"__fish_ipvsadm_rs_is_first\" -f -a {word}"),
            None => line.to_owned(),
        };
        if line.starts_with("complete ") && may_lack_value {
            let without = line.strip_suffix(" -r -f").expect("clap_complete writes optional values otherwise");
            made.push_str(without);
        } else if line.starts_with("complete ") && is_live {
            let with_value = line.strip_suffix(" -f").unwrap_or(&line);
            let with_value = with_value.strip_suffix(" -r").expect("clap_complete writes values otherwise");
            made.push_str(&format!("{with_value} -x -a \"(__fish_ipvsadm_rs_live)\""));
        } else {
            made.push_str(&line);
        }
        made.push('\n');
    }
    made + "complete -c ipvsadm -w ipvsadm-rs\n"
}

fn replaced(script: String, old: &str, new: &str) -> String {
    assert!(script.contains(old), "clap_complete writes its scripts differently now: no {old:?}");
    script.replace(old, new)
}
