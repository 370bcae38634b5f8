//! The memory that the program takes: it runs under a limit of its address space.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::support::ours;

/// What may be different between two runs whose memory does not depend on how much there is, in KiB.
pub const SLACK: u64 = 256;

/// What the program takes at least, in KiB, or less.
pub const USUAL: u64 = 8 * 1024;

/// Whether the program does it with so many KiB of address space, and the files in this folder in place of those in /proc/net.
/// Its output goes into a file.
pub fn does(words: &[&str], net: Option<&Path>, kibibytes: u64, output: &Path) -> Result<bool> {
    // Of a file under /proc/net the kernel forgets that something is mounted there; of the folder it does not.
    const SCRIPT: &str = r#"
        if [[ $1 ]]; then mount --bind "$1" /proc/$$/net || exit; fi
        ulimit -v "$2" && exec "${@:4}" >"$3""#;
    let net = net.map_or(Some(""), Path::to_str).context("the path")?;
    let output = output.to_str().context("the path")?;
    let run = Command::new("unshare")
        .args(["--mount", "bash", "-c", SCRIPT, "bash", net, &kibibytes.to_string(), output])
        .arg(ours())
        .args(words)
        .output()
        .context("unshare")?;
    let error = String::from_utf8_lossy(&run.stderr);
    let short = error.contains("memory allocation") || error.contains("annot allocate memory") || error.is_empty();
    ensure!(run.status.success() && error.is_empty() || short && !run.status.success(), "{words:?}: {run:?}");
    Ok(run.status.success())
}

/// The least address space, in KiB, with which the program does it, or little more; it is looked for around this.
pub fn least(words: &[&str], net: Option<&Path>, near: u64) -> Result<u64> {
    const EXACT: u64 = 64;
    let is_enough = |kibibytes| does(words, net, kibibytes, Path::new("/dev/null"));
    let (mut too_little, mut enough) = (near, near);
    let mut step = EXACT;
    if is_enough(near)? {
        while too_little > 0 && is_enough(too_little)? {
            (too_little, enough) = (too_little.saturating_sub(step), too_little);
            step *= 2;
        }
    } else {
        while !is_enough(enough)? {
            (too_little, enough) = (enough, enough + step);
            step *= 2;
            ensure!(enough < 1024 * 1024, "{words:?} does not work with {too_little} KiB");
        }
    }
    while enough - too_little > EXACT {
        let middle = too_little.midpoint(enough);
        if is_enough(middle)? { enough = middle } else { too_little = middle }
    }
    Ok(enough)
}
