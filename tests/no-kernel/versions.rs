//! The version stands in many files, and is the same in all of them; `dist/cut-release` sets it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Our crates, which have one version.
const CRATES: [&str; 4] = ["ipvsadm-rs", "ipvs-client", "netlink-exchange", "packet-filter"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Files that have the version: the workspace's manifests and locks, and the manual pages with this ending.
fn files(folder: &Path, man: &str) -> Vec<PathBuf> {
    let in_folder = |name: &str| {
        let entries = fs::read_dir(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        entries.map(|entry| entry.unwrap().path()).collect::<Vec<_>>()
    };
    let mut files = ["Cargo.toml", "Cargo.lock", "fuzz/Cargo.lock"].map(|name| folder.join(name)).to_vec();
    files.extend(in_folder("crates").into_iter().map(|path| path.join("Cargo.toml")));
    files.extend(in_folder("man").into_iter().filter(|path| path.to_string_lossy().ends_with(man)));
    files
}

/// What is between these, in each line that has both.
fn between<'t>(text: &'t str, before: &str, after: &str) -> Vec<&'t str> {
    let found = |line: &'t str| Some(line.split_once(before)?.1.split_once(after)?.0);
    text.lines().filter_map(found).collect()
}

/// Every version of ours in a file.
fn versions(path: &Path) -> Vec<String> {
    let text = read(path);
    let mut found: Vec<&str> = Vec::new();
    match path.file_name().and_then(|name| name.to_str()).unwrap_or_default() {
        "Cargo.toml" => {
            let section = text.split("\n[").find_map(|section| section.strip_prefix("workspace.package]"));
            found.extend(section.into_iter().flat_map(|section| between(section, "version = \"", "\"")).take(1));
            let ours = text.lines().filter(|line| CRATES.iter().any(|name| line.starts_with(&format!("{name} = "))));
            found.extend(ours.flat_map(|line| between(line, "version = \"", "\"")));
        }
        "Cargo.lock" => {
            for name in CRATES {
                let (_, rest) = text.split_once(&format!("name = \"{name}\"\n")).expect(name);
                found.push(between(rest, "version = \"", "\"")[0]);
            }
        }
        _ => found.extend(between(&text, " \"ipvsadm-rs ", "\"")),
    }
    found.into_iter().map(str::to_owned).collect()
}

/// The version that the changelog is about: the one to come, or else the last one.
fn of_changelog(folder: &Path) -> String {
    let text = read(&folder.join("CHANGELOG.md"));
    let line = text.lines().find_map(|line| {
        let to_be = line.strip_prefix("To be ").and_then(|rest| rest.strip_suffix('.'));
        to_be.or_else(|| Some(line.strip_prefix("## [")?.split_once("] - ")?.0))
    });
    line.expect("a version in CHANGELOG.md").to_owned()
}

fn run(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

fn program(words: &[&str]) -> String {
    run(Command::new(env!("CARGO_BIN_EXE_ipvsadm-rs")).args(words))
}

/// Asserts that all files of a folder that have a version have this one.
fn assert_agree(folder: &Path, version: &str, man: &str, in_man: &str) {
    for file in files(folder, man) {
        let found = versions(&file);
        let is_page = file.starts_with(folder.join("man"));
        let expected = if is_page { in_man } else { version };
        assert!(found.iter().all(|found| found == expected), "{}: {found:?}, not {expected}", file.display());
        // The original's names have pages that only refer to ours.
        let may_lack =
            is_page || file.ends_with("crates/netlink/Cargo.toml") || file.ends_with("packet-filter/Cargo.toml");
        assert!(may_lack || !found.is_empty(), "{}: no version", file.display());
    }
    assert_eq!(of_changelog(folder), version, "CHANGELOG.md");
    // Packages and releases are named by this.
    assert_eq!(run(Command::new(folder.join("dist/cut-release")).arg("--version")).trim_end(), version);
}

#[test]
fn all_files_and_the_program_have_one_version() {
    assert_agree(root(), VERSION, ".8", VERSION);
    assert_agree(root(), VERSION, ".5", VERSION);
    assert_agree(root(), VERSION, ".in", "@VERSION@");
    assert!(program(&["-v"]).contains(&format!("(ipvsadm-rs {VERSION}, ")), "-v");
    let json: serde_json::Value = serde_json::from_str(&program(&["-v", "--json"])).expect("JSON");
    assert_eq!(json["version"]["version"], VERSION);
    let page = versions(&root().join("man/ipvsadm-rs.8"));
    assert_eq!(page, [VERSION], "the manual page");
}

#[test]
fn cutting_a_release_sets_the_version_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let script = "tar -cf - Cargo.toml Cargo.lock CHANGELOG.md crates/*/Cargo.toml fuzz/Cargo.lock man dist/cut-release \
                  dist/stage tests/packages | tar -xf - -C \"$0\"";
    run(Command::new("bash").args(["-c", script]).arg(folder.path()).current_dir(root()));
    let cut = |version: &str| {
        let mut command = Command::new(folder.path().join("dist/cut-release"));
        command.args(["--set", version]).env("SOURCE_DATE_EPOCH", "1700000000");
        command
    };
    run(&mut cut("7.8.9"));
    assert_agree(folder.path(), "7.8.9", ".in", "@VERSION@");
    let changelog = read(&folder.path().join("CHANGELOG.md"));
    assert!(changelog.contains("## [Unreleased]\n\n## [7.8.9] - 2023-11-14\n\n### "), "{}", &changelog[..500]);
    assert!(!changelog.contains("To be "), "the version to come is still there");
    let page = read(&folder.path().join("man/ipvsadm-rs-service.8.in"));
    assert!(page.starts_with(".TH IPVSADM-RS-SERVICE 8 2023-11-14 "), "{}", &page[..80]);
    // Not twice, and not back.
    for version in ["7.8.9", "7.8.8", "7.8", "v8.0.0"] {
        assert!(!cut(version).output().unwrap().status.success(), "{version}");
    }
    assert_agree(folder.path(), "7.8.9", ".in", "@VERSION@");
}
