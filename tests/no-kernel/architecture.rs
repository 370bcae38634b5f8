//! The rooms of the program, and what each may use. The table is printed in CONTRIBUTING.md
//! (`UPDATE_GENERATED=1 cargo test --test no-kernel architecture` writes it there); every path in `src/` and `crates/` is held
//! against it, and no files may import each other in a circle.

mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use source::{Files, Program, Reference, Target};

/// A part of the program.
struct Room {
    name: &'static str,
    /// The modules it consists of, with all that is in them and has no room of its own.
    modules: &'static [&'static str],
    /// What is in it.
    holds: &'static str,
    /// The rooms, crates and doors of [`DOORS`] that it uses, all of them.
    uses: &'static [&'static str],
    /// What it therefore must not know, in words.
    not: &'static str,
}

/// All rooms, each after those that it uses.
const ROOMS: &[Room] = &[
    Room {
        name: "crates/netlink",
        modules: &["netlink_exchange"],
        holds: "requests and answers of any netlink family: messages, sockets, dumps, batches, acknowledgements",
        uses: &["libc", "netlink_sys"],
        not: "IPVS, text, files; what an error means to the caller",
    },
    Room {
        name: "crates/packet-filter",
        modules: &["packet_filter"],
        holds: "what nftables does with a packet",
        uses: &["crates/netlink", "files"],
        not: "IPVS, other programs",
    },
    Room {
        name: "model",
        modules: &["ipvs_client::model"],
        holds: "in `crates/ipvs`: the nouns, as plain types that cannot hold nonsense: service, destination, daemon, counters, table",
        uses: &[],
        not: "input and output, netlink",
    },
    Room {
        name: "mapping",
        modules: &["ipvs_client::mapping"],
        holds: "in `crates/ipvs`: which server the hash schedulers choose for a client; pure functions",
        uses: &["model"],
        not: "input and output",
    },
    Room {
        name: "plan",
        modules: &["ipvs_client::plan"],
        holds: "in `crates/ipvs`: what differs between two tables, and the fewest changes from one to the other; pure functions",
        uses: &["model", "mapping"],
        not: "input and output",
    },
    Room {
        name: "kernel",
        modules: &["ipvs_client::kernel"],
        holds: "in `crates/ipvs`: IPVS over netlink: attributes, encoding, decoding, errors and what they mean for the request; servers by socket options",
        uses: &["crates/netlink", "model", "nix"],
        not: "text, files, modprobe",
    },
    Room {
        name: "transaction",
        modules: &["ipvs_client::transaction"],
        holds: "in `crates/ipvs`: many changes, all or none: what a plan is made by, verified and rolled back",
        uses: &["model", "plan", "kernel"],
        not: "text, files, signals",
    },
    Room {
        name: "connections",
        modules: &["ipvs_client::connections", "ipvs_client::hash_tables", "ipvs_client::estimation"],
        holds: "in `crates/ipvs`: readers of the kernel's lists of connections, of how full its tables are, and of whether it counts",
        uses: &["model", "files"],
        not: "netlink, files other than `/proc/net/ip_vs*`",
    },
    Room {
        name: "escape",
        modules: &["ipvsadm_rs::escape"],
        holds: "text from outside, made safe to print",
        uses: &[],
        not: "anything else",
    },
    Room {
        name: "metrics",
        modules: &["ipvsadm_rs::metrics"],
        holds: "the catalogue of metrics: names, types, meanings",
        uses: &[],
        not: "anything else",
    },
    Room {
        name: "grammar",
        modules: &["ipvsadm_rs::grammar"],
        holds: "one table of commands and options; the parser; `clap`'s description for help and completions",
        uses: &["model", "clap", "connections", "escape", "metrics"],
        not: "the kernel, input and output",
    },
    Room {
        name: "rules",
        modules: &["ipvsadm_rs::rules"],
        holds: "rules files: lines to requests with line numbers, and the state that they want",
        uses: &["grammar", "model", "plan", "memchr"],
        not: "the kernel",
    },
    Room {
        name: "machine",
        modules: &["ipvsadm_rs::machine"],
        holds: "what is on a machine, as plain types: links, addresses, routes, sockets, lines of settings",
        uses: &["model"],
        not: "how it is read",
    },
    Room {
        name: "host",
        modules: &["ipvsadm_rs::host"],
        holds: "what is on this machine apart from the table: names, files, links, addresses and routes, settings, sockets, what comes at boot, other programs",
        uses: &[
            "crates/netlink",
            "crates/packet-filter",
            "escape",
            "model",
            "mapping",
            "kernel",
            "anyhow",
            "nix",
            "rustix",
            "signal_hook",
            "files",
            "sockets",
            "programs",
            "clock",
            "machine",
            "serde",
        ],
        not: "the grammar",
    },
    Room {
        name: "doctor",
        modules: &["ipvsadm_rs::doctor"],
        holds: "checks of a machine of the cluster, each a pure function over facts; how to add one stands in `doctor/mod.rs`",
        uses: &["model", "mapping", "machine"],
        not: "input and output",
    },
    Room {
        name: "realserver",
        modules: &["ipvsadm_rs::realserver"],
        holds: "a real server started, stopped and looked at, by the doctor's rules",
        uses: &[
            "crates/netlink",
            "machine",
            "host",
            "doctor",
            "anyhow",
            "nix",
            "serde",
            "serde_json",
            "files",
            "programs",
        ],
        not: "how it is printed",
    },
    Room {
        name: "top",
        modules: &["ipvsadm_rs::top"],
        holds: "the live view's state, and what keys do to it",
        uses: &["model", "plan", "connections"],
        not: "input and output, the kernel, how it looks",
    },
    Room {
        name: "monitor",
        modules: &["ipvsadm_rs::monitor"],
        holds: "what changes in the table from one reading to the next; pure",
        uses: &["model", "plan"],
        not: "input and output, the kernel",
    },
    Room {
        name: "view",
        modules: &["ipvsadm_rs::view"],
        holds: "every rendering, to any `io::Write`",
        uses: &[
            "escape",
            "grammar",
            "model",
            "plan",
            "doctor",
            "top",
            "itoa",
            "prettytable",
            "ratatui",
            "serde",
            "serde_json",
            "connections",
            "machine",
            "metrics",
            "monitor",
        ],
        not: "netlink, `/proc`, other programs, the clock",
    },
    Room {
        name: "commands",
        modules: &["ipvsadm_rs::commands"],
        holds: "a file for each thing a user can ask for: a request in, an exit status out",
        uses: &[
            "crates/netlink",
            "crates/packet-filter",
            "model",
            "plan",
            "kernel",
            "transaction",
            "mapping",
            "escape",
            "grammar",
            "rules",
            "host",
            "doctor",
            "top",
            "view",
            "anyhow",
            "clap",
            "crossterm",
            "nix",
            "ratatui",
            "serde",
            "serde_json",
            "terminal_size",
            "files",
            "clock",
            "environment",
            "terminal",
            "connections",
            "machine",
            "metrics",
            "monitor",
            "realserver",
        ],
        not: "",
    },
];

/// Crates' first modules. They have no code of their own, and only hand on what is in rooms.
const ROOTS: [&str; 2] = ["ipvs_client", "ipvsadm_rs"];

/// Where crates begin: their names in paths, and their first files.
const CRATES: [(&str, &str); 4] = [
    ("netlink_exchange", "crates/netlink/src/lib.rs"),
    ("packet_filter", "crates/packet-filter/src/lib.rs"),
    ("ipvs_client", "crates/ipvs/src/lib.rs"),
    ("ipvsadm_rs", "src/lib.rs"),
];

/// Ways out of the program, of the standard library.
const DOORS: &[(&str, &[&str])] = &[
    ("files", &["std::fs"]),
    ("programs", &["std::process"]),
    ("clock", &["std::time::Instant", "std::time::SystemTime", "std::time::UNIX_EPOCH", "std::thread"]),
    ("environment", &["std::env"]),
    (
        "sockets",
        &[
            "std::net::TcpStream",
            "std::net::TcpListener",
            "std::net::UdpSocket",
            "std::net::ToSocketAddrs",
            "std::os::unix::net",
        ],
    ),
    (
        "terminal",
        &[
            "std::io::stdin",
            "std::io::stdout",
            "std::io::stderr",
            "std::io::print",
            "std::io::println",
            "std::io::eprint",
            "std::io::eprintln",
            "std::io::dbg",
        ],
    ),
];

/// Files that import each other in a circle, and why that may be.
const CIRCLES: &[(&[&str], &str)] = &[(
    &[
        "src/grammar/check.rs",
        "src/grammar/commands.rs",
        "src/grammar/line.rs",
        "src/grammar/options/",
        "src/grammar/request.rs",
        "src/grammar/table.rs",
    ],
    "a line is made of what each option says, and the entry of an option says what it does to the line: one table, in a \
         file for each kind of option",
)];

// ---- what there is ------------------------------------------------------------------------------------------------------

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All sources of the program and its libraries.
fn files() -> Files {
    let mut files = Files::new();
    let crates = fs::read_dir(root().join("crates")).unwrap().map(|entry| entry.unwrap().path().join("src"));
    let mut folders: Vec<_> = crates.chain([root().join("src")]).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let name = path.strip_prefix(root()).unwrap().display().to_string();
                files.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    files
}

/// The crates that any of ours depends on, as they are spelt in paths.
fn dependencies() -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for (_, first) in CRATES {
        let manifest = root().join(first.replace("src/lib.rs", "Cargo.toml"));
        let text = fs::read_to_string(manifest).unwrap();
        let section = text.split("\n[").find_map(|section| section.strip_prefix("dependencies]\n")).unwrap_or_default();
        all.extend(
            section.lines().filter_map(|line| line.split_once([' ', '=', '.'])).map(|(name, _)| name.replace('-', "_")),
        );
    }
    // Its library has another name.
    if all.remove("prettytable_rs") {
        all.insert("prettytable".to_owned());
    }
    all
}

/// Whether a path is this one or below it.
fn is_within(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// The room of a module: the one that names most of its path.
fn room(module: &str) -> Option<&'static Room> {
    let named =
        |room: &&Room| room.modules.iter().filter(|prefix| is_within(module, prefix)).map(|prefix| prefix.len()).max();
    ROOMS.iter().filter(|room| named(room).is_some()).max_by_key(named)
}

/// What a reference uses: a room, a crate or a door; nothing, if it is free for all.
fn used(program: &Program, outside: &BTreeSet<String>, target: &Target) -> Option<String> {
    match target {
        Target::Module(module) => room(program.name(*module)).map(|room| room.name.to_owned()),
        Target::Outside(path) if path[0] == "std" => {
            let path = path.join("::");
            let door = DOORS.iter().find(|(_, paths)| paths.iter().any(|prefix| is_within(&path, prefix)));
            door.map(|(name, _)| (*name).to_owned())
        }
        Target::Outside(path) => outside.get(&path[0]).cloned(),
    }
}

/// All that goes against the table.
fn faults(files: &Files) -> Vec<String> {
    let program = Program::read(files, &CRATES);
    let references = program.references();
    let outside = dependencies();
    let mut faults = Vec::new();
    let mut done: BTreeSet<(&str, String)> = BTreeSet::new();
    for reference in &references {
        let from = program.name(reference.from);
        let place = format!("{}:{}: {}", program.file(reference.from), reference.line, reference.text);
        let Some(here) = room(from) else {
            if !ROOTS.contains(&from) {
                faults.push(format!("{}: {from} is in no room", program.file(reference.from)));
            } else if !reference.handed_on && used(&program, &outside, &reference.to).is_some() {
                faults.push(format!("{place}: only `pub use` is for {from}"));
            }
            continue;
        };
        let Some(used) = used(&program, &outside, &reference.to).filter(|used| used != here.name) else { continue };
        if !here.uses.contains(&used.as_str()) {
            faults.push(format!("{place}: {} must not use {used}", here.name));
        }
        done.insert((here.name, used));
    }
    for room in ROOMS {
        for used in room.uses {
            if !done.contains(&(room.name, (*used).to_owned())) {
                faults.push(format!("{} does not use {used} (any more): take it out of the table", room.name));
            }
        }
    }
    faults.extend(circles(&program, &references));
    faults.dedup();
    faults
}

/// Files that import each other in a circle.
fn circles(program: &Program, references: &[Reference]) -> Vec<String> {
    let mut imports: BTreeMap<&str, BTreeMap<&str, String>> = BTreeMap::new();
    for reference in references {
        let Target::Module(to) = reference.to else { continue };
        let (one, other) = (program.file(reference.from), program.file(to));
        // A module that hands on what is in its own parts does not depend on them.
        if one != other && !reference.handed_on {
            imports
                .entry(one)
                .or_default()
                .entry(other)
                .or_insert_with(|| format!("line {}: {}", reference.line, reference.text));
        }
    }
    let reachable = |from: &str| {
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let mut next: Vec<&str> = imports.get(from).into_iter().flatten().map(|(file, _)| *file).collect();
        while let Some(file) = next.pop() {
            if seen.insert(file) {
                next.extend(imports.get(file).into_iter().flatten().map(|(file, _)| *file));
            }
        }
        seen
    };
    let reached: BTreeMap<&str, BTreeSet<&str>> = imports.keys().map(|file| (*file, reachable(file))).collect();
    let mut faults = Vec::new();
    let mut done: BTreeSet<&str> = BTreeSet::new();
    let mut allowed: BTreeSet<usize> = BTreeSet::new();
    for (file, all) in reached.iter().filter(|(file, all)| all.contains(*file)) {
        if !done.insert(file) {
            continue;
        }
        let circle: BTreeSet<&str> =
            all.iter().copied().filter(|other| reached.get(other).is_some_and(|all| all.contains(file))).collect();
        done.extend(&circle);
        let may =
            |(files, _): &(&[&str], &str)| circle.iter().all(|file| files.iter().any(|begin| file.starts_with(begin)));
        if let Some(index) = CIRCLES.iter().position(may) {
            allowed.insert(index);
            continue;
        }
        for one in &circle {
            let inner = imports[one].iter().filter(|(other, _)| circle.contains(*other));
            faults.extend(inner.map(|(other, place)| format!("{one} imports {other} in a circle: {place}")));
        }
    }
    faults.extend(
        (0..CIRCLES.len())
            .filter(|index| !allowed.contains(index))
            .map(|index| format!("no circle (any more): {:?}", CIRCLES[index].0)),
    );
    faults
}

// ---- tests --------------------------------------------------------------------------------------------------------------

#[test]
fn rooms_use_what_the_table_says() {
    let faults = faults(&files());
    assert!(faults.is_empty(), "\n{}\n{} faults", faults.join("\n"), faults.len());
}

#[test]
fn rooms_come_after_what_they_use() {
    let mut before = BTreeSet::new();
    for room in ROOMS {
        for used in room.uses.iter().filter(|used| ROOMS.iter().any(|room| room.name == **used)) {
            assert!(before.contains(used), "{} uses {used}, which does not stand before it", room.name);
        }
        before.insert(room.name);
    }
}

/// The one file that may have `unsafe` code, and all that allows it there.
#[test]
fn unsafe_code_stands_in_one_function() {
    const FILE: &str = "crates/ipvs/src/kernel/getsockopt.rs";
    let code = |text: &str| -> String {
        let lines = text.lines().map(|line| line.split_once("//").map_or(line, |(code, _)| code));
        lines.collect::<Vec<_>>().join("\n")
    };
    for (file, text) in files() {
        let code = code(&text);
        let keywords = code.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
        let unsafe_code = keywords.clone().filter(|word| *word == "unsafe").count();
        let allowed = code.matches("unsafe_code").count();
        let expected = if file == FILE { (1, 1) } else { (0, 0) };
        assert_eq!((unsafe_code, allowed), expected, "{file}: `unsafe`, and lints of `unsafe_code`");
        if file == FILE {
            assert_eq!(keywords.filter(|word| *word == "fn").count(), 1, "{file}");
            assert!(text.contains("// SAFETY: "), "{file}");
        }
    }
    let manifest = |folder: &str| fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
    assert!(manifest("").contains("[workspace.lints.rust]\nunsafe_code = \"forbid\"\n"));
    for (_, library) in CRATES {
        let folder = library.strip_suffix("src/lib.rs").unwrap();
        let lints = match folder {
            "crates/ipvs/" => "\n[lints.rust]\nunsafe_code = \"deny\"\n",
            _ => "\n[lints]\nworkspace = true\n",
        };
        assert!(manifest(folder).contains(lints), "{folder}");
    }
}

/// The table of CONTRIBUTING.md.
#[test]
fn the_table_is_printed() {
    let mut table = "| room | what lives there | it uses | it must not know |\n|---|---|---|---|\n".to_owned();
    for Room { name, holds, uses, not, .. } in ROOMS {
        let uses: Vec<String> = uses
            .iter()
            .map(
                |used| {
                    if DOORS.iter().any(|(door, _)| door == used) { (*used).to_owned() } else { format!("`{used}`") }
                },
            )
            .collect();
        table.push_str(&format!("| `{name}` | {holds} | {} | {not} |\n", uses.join(", ")));
    }
    let path = root().join("CONTRIBUTING.md");
    let text = fs::read_to_string(&path).unwrap();
    let start = text.find("| room |").expect("a table of rooms");
    let end = start + text[start..].find("\n\n").expect("the end of the table") + 1;
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        fs::write(&path, format!("{}{table}{}", &text[..start], &text[end..])).unwrap();
    } else {
        assert!(
            text[start..end] == table,
            "UPDATE_GENERATED=1 cargo test --test no-kernel architecture writes the table"
        );
    }
}

/// What is wrong with the program when this is added to these files, and was not before.
fn with(additions: &[(&str, &str)]) -> Vec<String> {
    static BEFORE: OnceLock<BTreeSet<String>> = OnceLock::new();
    let mut files = files();
    let before = BEFORE.get_or_init(|| faults(&files).into_iter().collect());
    for (file, text) in additions {
        files.get_mut(*file).unwrap_or_else(|| panic!("{file} is not there")).push_str(text);
    }
    faults(&files).into_iter().filter(|fault| !before.contains(fault)).collect()
}

/// Asserts that each of these lines, added to a file, is a fault that says this.
fn assert_seen(file: &str, lines: &[(&str, String)]) {
    let end = files()[file].lines().count();
    let text: Vec<&str> = lines.iter().map(|(line, _)| *line).collect();
    let found = with(&[(file, &text.join("\n"))]);
    for (index, (line, fault)) in lines.iter().enumerate() {
        let place = format!("{file}:{}: ", end + index + 1);
        assert!(found.iter().any(|one| one.starts_with(&place) && one.contains(fault)), "{line}: {found:#?}");
    }
}

#[test]
fn every_way_to_name_a_room_is_seen() {
    let lines = [
        "use crate::host::lock;",
        "use crate::host as machine;",
        "use crate::{model::Change, host::{lock::TableLock, file}};",
        "use super::super::host::lock::TableLock;",
        "pub use crate::host::lock::TableLock;",
        "fn f() { crate::host::lock::open() }",
        "fn f(lock: &crate::host::lock::TableLock) {}",
        "fn f() { use crate::host::lock::open; }",
        "mod inner { use super::super::super::host::lock; }",
        "impl From<crate::host::lock::TableLock> for u8 {}",
        "fn f() { <crate::host::lock::TableLock as Default>::default(); }",
        "macro_rules! m { () => { $crate::host::lock::open() } }",
        "fn f() { assert!(crate::host::lock::open().is_ok(), \"{}\", 1); }",
        "#[serde(with = \"text\")] #[crate::host::lock::attribute] struct S;",
        "use ipvsadm_rs::host::lock;",
    ];
    assert_seen("src/grammar/suggest.rs", &lines.map(|line| (line, "grammar must not use host".to_owned())));
}

#[test]
fn what_is_handed_on_is_seen() {
    // By a name, by another one, and with all that is there.
    let handed_on =
        "pub use crate::host::sysctl; pub use crate::host::lock as door; pub mod all { pub use crate::host::*; }";
    let found = with(&[
        ("src/commands/help.rs", handed_on),
        ("src/grammar/suggest.rs", "fn f() { crate::commands::help::sysctl::read() }"),
        ("src/grammar/error.rs", "use crate::commands::help::door::TableLock;"),
        ("src/grammar/values.rs", "use crate::commands::help::all::file;"),
    ]);
    for file in ["suggest", "error", "values"] {
        let seen = |fault: &String| {
            fault.starts_with(&format!("src/grammar/{file}.rs")) && fault.contains("must not use host")
        };
        assert!(found.iter().any(seen), "{file}: {found:#?}");
    }
}

#[test]
fn doors_and_crates_are_seen() {
    let lines = [
        ("fn f() { std::fs::read(\"/proc/net/ip_vs\"); }", "files"),
        ("use std::{fs::File, io};", "files"),
        ("use std::io as stream; fn f() { stream::stdin().read(&mut []); }", "terminal"),
        ("fn f() { println!(); }", "terminal"),
        ("use std::time::{Instant as Moment};", "clock"),
        ("use std::time as hours; fn f() { hours::SystemTime::now(); }", "clock"),
        ("fn f() { std::process::Command::new(\"getent\"); }", "programs"),
        ("fn f() { std::net::TcpStream::connect(x); }", "sockets"),
        ("use nix::unistd;", "nix"),
        ("fn f() { ::nix::unistd::getpid(); }", "nix"),
    ];
    assert_seen("src/top/meter.rs", &lines.map(|(line, used)| (line, format!("top must not use {used}"))));
}

#[test]
fn circles_are_seen() {
    let there = [
        ("src/top/meter.rs", "use super::keys::Key;"),
        ("src/top/keys.rs", "fn f() { crate::top::rows::server_name() }"),
    ];
    let found = with(&there);
    // rows uses meter.
    assert!(
        found.iter().any(|fault| fault.contains("src/top/keys.rs imports src/top/rows.rs in a circle")),
        "{found:?}"
    );
    assert!(with(&there[..1]).is_empty());
}

#[test]
fn tests_comments_and_strings_are_free() {
    let text = [
        "// crate::host::lock",
        "/// [`crate::host::lock`]\nfn f() {}",
        "fn f() -> &'static str { \"crate::host::lock\" }",
        "#[cfg(test)] mod more_tests { use crate::host::lock; }",
        "#[cfg(test)] use crate::host::{file, lock};",
        "#[cfg(test)] #[allow(unused)] fn f() { crate::host::lock::open(); }",
    ];
    assert_eq!(with(&[("src/grammar/suggest.rs", &text.join("\n"))]), [""; 0]);
}
