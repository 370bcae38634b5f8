//! Copies of the table from before it was changed, as files of rules that bring it back.
//!
//! - `/run/ipvsadm-rs/changes/INODE-PROCESS.rules` is there while a process changes the table of the network namespace INODE, or
//!   waits for the confirmation of its change. The process has it locked (flock(2)): one that is not locked is of a change
//!   that was not finished.
//! - `/run/ipvsadm-rs/before-INODE.rules` is of the last change that was finished.
//!
//! The first lines are comments: who changed the table, and which namespace and boot it is of. An inode is given again when
//! its namespace is gone.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use super::namespace::Namespace;

/// Where the copies are.
pub const FOLDER: &str = "/run/ipvsadm-rs";
/// Where those of changes under way are. It is there only as long as there is one.
const CHANGES: &str = "/run/ipvsadm-rs/changes";

/// The copy of a table that we are changing.
#[derive(Debug)]
pub struct Journal {
    /// Locked as long as it is open.
    file: File,
    path: PathBuf,
    before: PathBuf,
}

/// A copy that another process has made.
#[derive(Debug)]
pub struct Other {
    /// Where it is.
    pub path: PathBuf,
    /// The process, as it named itself.
    pub by: String,
    /// Whether the process is still there.
    pub is_alive: bool,
}

impl Journal {
    /// Write down the rules of the table that process `by` (this one, as messages are to name it) is about to change.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn begin(by: &str, rules: &[u8]) -> io::Result<Self> {
        let namespace = Namespace::current()?;
        let folder = Path::new(CHANGES);
        DirBuilder::new().recursive(true).mode(0o755).create(FOLDER)?;
        let name = format!("{}-{}.rules", namespace.inode, std::process::id());
        let (path, new) = (folder.join(&name), folder.join(format!(".{name}")));
        // Another process may be done in this moment, and take the folder away.
        let mut tries = 0..3;
        let mut file = loop {
            match DirBuilder::new().mode(0o700).create(folder) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
            // One of that name is of a process that is gone.
            let _ = fs::remove_file(&new);
            match File::options().write(true).create_new(true).mode(0o600).open(&new) {
                Err(error) if error.kind() == io::ErrorKind::NotFound && tries.next().is_some() => {}
                opened => break opened?,
            }
        };
        let write = |file: &mut File| -> io::Result<()> {
            file.try_lock().map_err(io::Error::from)?;
            let header = format!("# The table before {by} changed it\n{}\n", identity(&namespace));
            file.write_all(header.as_bytes())?;
            file.write_all(rules)?;
            fs::rename(&new, &path)
        };
        if let Err(error) = write(&mut file) {
            let _ = fs::remove_file(&new);
            let _ = fs::remove_dir(folder);
            return Err(error);
        }
        let before = Path::new(FOLDER).join(format!("before-{}.rules", namespace.inode));
        Ok(Self { file, path, before })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether no other process has replaced the whole table since.
    #[must_use]
    pub fn is_current(&self) -> bool {
        match (fs::symlink_metadata(&self.path), self.file.metadata()) {
            (Ok(there), Ok(ours)) => (there.dev(), there.ino()) == (ours.dev(), ours.ino()),
            _ => false,
        }
    }

    /// Nothing was changed, or it is as it was before.
    pub fn discard(self) {
        if self.is_current() {
            let _ = fs::remove_file(&self.path);
        }
        let _ = fs::remove_dir(CHANGES);
    }

    /// The change is made. Returns where the copy is from now on.
    ///
    /// If the whole table was replaced, that also settles the changes of others: one that was not finished is over, and its
    /// copy is the one that is kept; one that waits for its confirmation has nothing to roll back any more.
    ///
    /// # Errors
    /// The file cannot be renamed.
    pub fn finish(self, replaced_all: bool) -> io::Result<PathBuf> {
        let mut kept = self.path.clone();
        if replaced_all {
            let mut others = others();
            others.retain(|other| other.path != self.path);
            let made = |other: &&Other| fs::metadata(&other.path).and_then(|file| file.modified()).ok();
            if let Some(first) = others.iter().filter(|other| !other.is_alive).min_by_key(made) {
                kept.clone_from(&first.path);
            }
            for path in others.iter().map(|other| &other.path).chain([&self.path]).filter(|path| **path != kept) {
                let _ = fs::remove_file(path);
            }
        }
        let outcome = fs::rename(&kept, &self.before);
        let _ = fs::remove_dir(CHANGES);
        outcome.map(|()| self.before)
    }
}

/// The copies of changes under way, and of those that were not finished, of the network namespace that we are in. Nearly always
/// there is no folder, and this is one system call.
#[must_use]
pub fn others() -> Vec<Other> {
    let Ok(entries) = fs::read_dir(CHANGES) else { return Vec::new() };
    let Ok(namespace) = Namespace::current() else { return Vec::new() };
    let (start, identity) = (format!("{}-", namespace.inode), identity(&namespace));
    let mut others = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| name.starts_with(&start) && name.ends_with(".rules")) {
            others.extend(other(entry.path(), &identity));
        }
    }
    others
}

/// What this file is, if it is of this namespace and can be read.
fn other(path: PathBuf, identity: &str) -> Option<Other> {
    let file = File::options().read(true).custom_flags(OFlag::O_NOFOLLOW.bits()).open(&path).ok()?;
    let is_alive = match file.try_lock_shared() {
        Ok(()) => false,
        Err(TryLockError::WouldBlock) => true,
        Err(TryLockError::Error(_)) => return None,
    };
    let mut lines = BufReader::new(file).lines();
    let first = lines.next()?.ok()?;
    let by = first.strip_prefix("# The table before ")?.strip_suffix(" changed it")?;
    let is_ours = lines.next()?.is_ok_and(|line| line == identity);
    is_ours.then(|| Other { path, by: by.to_owned(), is_alive })
}

/// The line that identifies a namespace.
pub(super) fn identity(namespace: &Namespace) -> String {
    let Namespace { inode, cookie, boot } = namespace;
    let cookie = cookie.map_or_else(|| "unknown".to_owned(), |cookie| cookie.to_string());
    format!("# network namespace {inode}, cookie {cookie}, boot {boot}")
}
