//! The completion scripts, made by clap_complete from the table.

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
    generate(shell, &mut command_line(), PROGRAM, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

fn bash() -> String {
    let script = generated(shells::Bash);
    with_other_name(script, "bashdefault -o default ipvsadm-rs\n", "bashdefault -o default ipvsadm-rs ipvsadm\n")
}

fn zsh() -> String {
    let script = with_other_name(generated(shells::Zsh), "#compdef ipvsadm-rs\n", "#compdef ipvsadm-rs ipvsadm\n");
    let script =
        with_other_name(script, "compdef _ipvsadm-rs ipvsadm-rs\n", "compdef _ipvsadm-rs ipvsadm-rs ipvsadm\n");
    // A colon in the name of a value would end it; clap_complete leaves that to us.
    OPTIONS.iter().fold(script, |script, spec| match spec.value {
        Value::Required(name) | Value::Optional(name) if name.contains(':') => {
            script.replace(&format!(":{name}:"), &format!(":{}:", name.replace(':', "\\:")))
        }
        _ => script,
    })
}

fn fish() -> String {
    generated(shells::Fish) + "complete -c ipvsadm -w ipvsadm-rs\n"
}

/// What is linked as ipvsadm completes alike, but clap_complete knows one name only.
fn with_other_name(script: String, one: &str, both: &str) -> String {
    assert!(script.contains(one), "clap_complete writes its scripts differently now: no {one:?}");
    script.replace(one, both)
}
