//! What one call of the service leaves for the next, in files that go away when the machine stops.

use std::fs;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, Result};

use crate::commands::report::plain;
use crate::host::file;

/// What could not be loaded of the rules that the table has now, line by line as it was reported.
const NOT_LOADED: &str = "/run/ipvsadm-rs/not-loaded";
/// There while systemd restarts the service, from its stop to its start.
const RESTARTING: &str = "/run/ipvsadm-rs/restarting";

/// Keep for the status what could not be loaded. That this fails is printed, and nothing to fail for.
pub(super) fn note_not_loaded(faults: &[String]) {
    if faults.is_empty() {
        return forget_not_loaded();
    }
    let path = Path::new(NOT_LOADED);
    let text: String = faults.iter().map(|line| format!("{line}\n")).collect();
    let made = path.parent().map_or(Ok(()), fs::create_dir_all);
    if let Err(error) = made.and_then(|()| file::replace(path, text.as_bytes()).map_err(io::Error::other)) {
        say!("{NOT_LOADED}: {error}");
    }
}

pub(super) fn forget_not_loaded() {
    if has_not_loaded()
        && let Err(error) = fs::remove_file(NOT_LOADED)
    {
        say!("{NOT_LOADED}: {}: status goes on to list what is in it", plain(&error.to_string()));
    }
}

pub(super) fn has_not_loaded() -> bool {
    Path::new(NOT_LOADED).exists()
}

/// What could not be loaded of the rules that the table has.
pub(super) fn not_loaded() -> Vec<String> {
    let text = fs::read(NOT_LOADED).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().map(str::to_owned).collect()
}

/// Leave the mark for the start that follows. Neither settings nor the lock can keep it from being left: without it, that
/// start would not save what is to be saved.
pub(super) fn note_restarting() -> Result<()> {
    let mark = Path::new(RESTARTING);
    mark.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(mark, "")).context(RESTARTING)
}

/// When the first half of a restart was, if this is the other one. The mark is used up.
pub(super) fn take_restarting() -> Result<Option<SystemTime>> {
    let mark = Path::new(RESTARTING);
    let since = match fs::symlink_metadata(mark).and_then(|mark| mark.modified()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        since => since.context(RESTARTING)?,
    };
    fs::remove_file(mark).context(RESTARTING)?;
    Ok(Some(since))
}
