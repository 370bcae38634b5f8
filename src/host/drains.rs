//! Notes of drains under way that have changed a service: `/run/ipvsadm-rs/drains/INODE-PROCESS-NUMBER`.
//!
//! The process has its note locked (flock(2)), and takes it away when the drain ends. One that is not locked is of a process
//! that was killed. As in [`super::journal`], the first lines are comments: who drains, and which namespace and boot it is of.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::fcntl::OFlag;

use super::journal::{FOLDER, identity};
use super::namespace::Namespace;

/// Where the notes are. It is there only as long as there is one.
const DRAINS: &str = "/run/ipvsadm-rs/drains";
/// No note is longer.
const LENGTH: u64 = 64 * 1024;

/// A note of ours. It goes away when this is dropped.
#[derive(Debug)]
pub struct Note {
    /// Locked as long as it is open.
    _file: File,
    path: PathBuf,
}

/// A note that another process left behind.
#[derive(Debug)]
pub struct Abandoned {
    path: PathBuf,
    /// The process, as it named itself.
    pub by: String,
    /// What it wrote.
    pub text: String,
}

impl Note {
    /// Write a note, for process `by` (this one, as messages are to name it).
    ///
    /// # Errors
    /// It cannot be written.
    pub fn begin(by: &str, text: &str) -> io::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let namespace = Namespace::current()?;
        DirBuilder::new().recursive(true).mode(0o755).create(FOLDER)?;
        match DirBuilder::new().mode(0o700).create(DRAINS) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{}-{number}", namespace.inode, std::process::id());
        let path = Path::new(DRAINS).join(name);
        // One of that name is of a process that is gone.
        let _ = fs::remove_file(&path);
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&path)?;
        file.try_lock().map_err(io::Error::from)?;
        file.write_all(format!("# A drain by {by}\n{}\n{text}", identity(&namespace)).as_bytes())?;
        Ok(Self { _file: file, path })
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
        let _ = fs::remove_dir(DRAINS);
    }
}

impl Abandoned {
    /// It needs no attention any more.
    pub fn settle(self) {
        let _ = fs::remove_file(&self.path);
        let _ = fs::remove_dir(DRAINS);
    }
}

/// The notes that were left behind in the network namespace that we are in. Nearly always there is no folder, and this is one
/// system call.
#[must_use]
pub fn abandoned() -> Vec<Abandoned> {
    let Ok(entries) = fs::read_dir(DRAINS) else { return Vec::new() };
    let Ok(namespace) = Namespace::current() else { return Vec::new() };
    let (start, identity) = (format!("{}-", namespace.inode), identity(&namespace));
    let mut found = Vec::new();
    for entry in entries.flatten() {
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(&start)) {
            found.extend(read(entry.path(), &identity));
        }
    }
    found
}

/// The note in this file, if no process has it any more and it is of this namespace.
fn read(path: PathBuf, identity: &str) -> Option<Abandoned> {
    let file =
        File::options().read(true).custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits()).open(&path).ok()?;
    match file.try_lock_shared() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock | TryLockError::Error(_)) => return None,
    }
    let mut whole = String::new();
    (&file).take(LENGTH).read_to_string(&mut whole).ok()?;
    let (first, rest) = whole.split_once('\n')?;
    let by = first.strip_prefix("# A drain by ")?.to_owned();
    let text = rest.strip_prefix(identity)?.strip_prefix('\n')?.to_owned();
    Some(Abandoned { path, by, text })
}
