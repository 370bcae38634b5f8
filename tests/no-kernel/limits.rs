//! What wrong or endless rules cost: messages and memory.

use std::fs;
use std::process::{Command, Output};

fn check(words: &[&str], text: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules");
    fs::write(&rules, text).unwrap();
    let program = std::env::var_os("IPVSADM_UNDER_TEST").unwrap_or_else(|| env!("CARGO_BIN_EXE_ipvsadm-rs").into());
    Command::new(program).args(["-R", "--check", "--file"]).arg(rules).args(words).output().unwrap()
}

fn messages(output: &Output) -> Vec<String> {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    text.lines().map(|line| line.rsplit_once("rules:").unwrap().1.to_owned()).collect()
}

#[test]
fn after_a_hundred_messages_there_is_a_count() {
    for (lines, more) in [
        (100, None),
        (101, Some(" 1 more; --all-errors prints all")),
        (5000, Some(" 4900 more; --all-errors prints all")),
    ] {
        let output = check(&[], &"-Q\n".repeat(lines));
        let messages = messages(&output);
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(messages[99], "100: a line must begin with a command, such as -A or -a");
        assert_eq!(messages.get(100).map(String::as_str), more, "{lines}");
        assert_eq!(messages.len(), 100 + usize::from(more.is_some()));
    }
}

#[test]
fn all_errors_prints_all() {
    let messages = messages(&check(&["--all-errors"], &"-Q\n".repeat(5000)));
    assert_eq!(messages.len(), 5000);
    assert!(messages[4999].starts_with("5000: "), "{}", messages[4999]);
}

/// What is repeated is not an error, but a finding of its own kind.
#[test]
fn findings_are_counted_likewise() {
    let messages = messages(&check(&[], &format!("-A -t 1.2.3.4:80\n{}", "-d -t 1.2.3.4:80 -r 1.2.3.5\n".repeat(300))));
    assert_eq!(messages.len(), 101);
    assert_eq!(messages[100], " 200 more; --all-errors prints all");
}

/// 20 MB of wrong lines once took 2.3 GB.
#[test]
fn memory_does_not_grow_with_wrong_lines() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules");
    fs::write(&rules, "-A -t 1.2.3.4:x\n".repeat(600_000)).unwrap();
    let program = std::env::var_os("IPVSADM_UNDER_TEST").unwrap_or_else(|| env!("CARGO_BIN_EXE_ipvsadm-rs").into());
    // 96 MiB of address space; the messages about these lines would take more.
    let output = Command::new("sh")
        .args(["-c", "ulimit -v 98304; exec \"$@\"", "sh"])
        .arg(program)
        .args(["-R", "--check", "--file"])
        .arg(rules)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{:?}", String::from_utf8_lossy(&output.stderr).lines().last());
}
