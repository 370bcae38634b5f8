//! The memory that listings of connections take: the program lists generated rows under a limit of its address space.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::memory::{SLACK, USUAL, does, least};
use crate::support::{in_fresh_namespace, ours, succeed};
use crate::terminal::pty::Terminal;

/// Rows of the long list: a power of two, as is the room that a vector of them takes.
const MANY: u32 = 1 << 16;
/// Rows of the short list.
const FEW: u32 = 16;

/// Words, and the bytes that each row may take.
const LISTINGS: [(&[&str], u64); 19] = [
    (&["-Lnc"], 0),
    (&["-Lnc", "-t", "10.1.1.1:80"], 0),
    (&["-Lnc", "-r", "10.2.0.1"], 0),
    (&["-Lnc", "--client", "11.0.0.0/16"], 0),
    (&["-Lnc", "--state", "ESTABLISHED"], 0),
    (&["-Lnc", "--origin", "sync"], 0),
    (&["-Lnc", "--expires-within", "100"], 0),
    (&["-Lnc", "--persistent-conn"], 0),
    (&["-Lnc", "--json"], 0),
    (&["-Lnc", "--count-by", "state"], 0),
    (&["-Lnc", "--count-by", "server,state"], 0),
    (&["-Lnc", "--count-by", "server,state", "--json"], 0),
    // Each row is of a client of its own.
    (&["-Lnc", "--count-by", "client"], 64),
    (&["-Lnc", "--count-by", "client,server"], 64),
    (&["-Lnc", "--count-by", "client,state", "--json"], 64),
    (&["-Lnc", "--sort-by", "client"], 64),
    (&["-Lnc", "--sort-by", "expires", "--json"], 64),
    (&["-Lnc", "--sort-by", "state", "--persistent-conn"], 64),
    (&["-Lnc", "--wide", "--sort-by", "server"], 64),
];

/// The kernel's two lists with so many rows, in this folder. The first row has the data of an engine.
fn generate(folder: &Path, rows: u32) -> Result<()> {
    let mut sync = "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Origin Expires\n".to_owned();
    let mut with_data = "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData\n".to_owned();
    for row in 0..rows {
        let state = ["ESTABLISHED", "TIME_WAIT", "SYN_RECV", "FIN_WAIT"][row as usize % 4];
        let origin = if row.is_multiple_of(10) { "SYNC" } else { "LOCAL" };
        let begin = format!(
            "TCP {:08X} {:04X} 0A010101 0050 {:08X} 1F90 {state:<11}",
            0x0b00_0000 + row,
            1024 + row % 60_000,
            0x0a02_0000 + row % 50,
        );
        writeln!(sync, "{begin} {origin:<6} {:>7}", row % 900)?;
        writeln!(with_data, "{begin} {:>7}{}", row % 900, if row == 0 { " sip data" } else { "" })?;
    }
    fs::create_dir_all(folder)?;
    fs::write(folder.join("ip_vs_conn_sync"), sync)?;
    fs::write(folder.join("ip_vs_conn"), with_data)?;
    Ok(())
}

/// Past 100,000 connections it is said on a terminal why the list takes so long, where the kernel makes it so.
pub(super) fn a_slow_list_is_explained() -> Result<()> {
    const SAID: &str = "100001 connections: before Linux 6.14 the kernel takes time by the square of their number";
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("slow-list");
    let script = r#"mount --bind "$1" /proc/$$/net && exec "${@:2}""#;
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let mut numbers = release.split('.').map(str::parse::<u32>);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else { bail!("{release}") };
    in_fresh_namespace(|| {
        succeed(&["-A", "-t", "10.1.1.1:80"], b"")?;
        for (rows, is_long) in [(100_000, false), (100_001, true)] {
            generate(&folder, rows)?;
            let mut command = Command::new("unshare");
            command.args(["--mount", "bash", "-c", script, "bash"]).arg(&folder).arg(ours());
            command.args(["-Lnc", "--count-by", "state"]);
            let quiet = command.output()?;
            ensure!(quiet.status.success() && quiet.stderr.is_empty(), "{quiet:?}");
            let mut terminal = Terminal::start_any(20, 200, &command)?;
            let status = terminal.end()?;
            let said = String::from_utf8_lossy(&terminal.bytes);
            ensure!(status == "0", "{status}: {said}");
            ensure!(said.contains("ESTABLISHED"), "{said}");
            ensure!(said.contains(SAID) == (is_long && (major, minor) < (6, 14)), "{release}: {said}");
        }
        Ok(())
    })?;
    fs::remove_dir_all(&folder).context("the folder of lists")
}

pub(super) fn a_long_list_takes_no_more_than_a_short_one() -> Result<()> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lists-of-connections");
    let (few, many) = (folder.join("few"), folder.join("many"));
    generate(&few, FEW)?;
    generate(&many, MANY)?;
    in_fresh_namespace(|| {
        succeed(&["-A", "-t", "10.1.1.1:80"], b"")?;
        let mut base = USUAL;
        for (words, bytes_each) in LISTINGS {
            base = least(words, Some(&few), base)?;
            let allowed = base + SLACK + bytes_each * u64::from(MANY) / 1024;
            ensure!(
                does(words, Some(&many), allowed, Path::new("/dev/null"))?,
                "{words:?} takes more than {allowed} KiB"
            );
        }
        let [short, list] = ["short.json", "long.json"].map(|name| folder.join(name));
        for (from, to) in [(&few, &short), (&many, &list)] {
            ensure!(does(&["-Lnc", "--json"], Some(from), 1024 * 1024, to)?, "no list");
        }
        let [short, list] = [&short, &list].map(|path| path.to_str().unwrap_or_default());
        let base = least(&["compare", short, short], None, base)?;
        for (words, bytes_each) in [(["compare", short, short], 0), (["compare", list, list], 64)] {
            let allowed = base + SLACK + bytes_each * u64::from(MANY) / 1024;
            ensure!(does(&words, None, allowed, Path::new("/dev/null"))?, "{words:?} takes more than {allowed} KiB");
        }
        Ok(())
    })?;
    fs::remove_dir_all(&folder).context("the folder of lists")
}
