//! Copies of the table from before it was changed, as files of rules that bring it back.
//!
//! - `/run/ipvsadm-rs/changes/INODE-PROCESS.rules` (or with a number, if there is one of that name) is there while a process
//!   changes the table of the network namespace INODE, or waits for the confirmation of its change. The process has it locked
//!   (flock(2)): one that is not locked is of a change that was not finished.
//! - `/run/ipvsadm-rs/before-INODE.rules` is of the last change that was finished.
//!
//! The first lines are comments: who changed the table, and which namespace and boot it is of. An inode is given again when
//! its namespace is gone.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

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
    /// When it was made.
    made: Option<SystemTime>,
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
        let path = free_name(folder, &format!("{}-{}", namespace.inode, std::process::id()));
        let new = folder.join(format!(".{}-{}", namespace.inode, std::process::id()));
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
        Ok(Self { file, path, before: before(&namespace) })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether no other process has replaced the whole table since, for good.
    #[must_use]
    pub fn is_there(&self) -> bool {
        is_at(&self.file, &self.path)
    }

    /// Whether no other process has replaced the whole table since, not even one that waits for the confirmation of that. To be
    /// called with the lock on the table.
    #[must_use]
    pub fn is_current(&self) -> bool {
        let is_older = |other: &Other| !other.is_alive || other.path == self.path || other.is_older(self.made());
        self.is_there() && others().iter().all(is_older)
    }

    /// When it was made.
    fn made(&self) -> Option<SystemTime> {
        self.file.metadata().and_then(|file| file.modified()).ok()
    }

    /// Nothing was changed, or it is as it was before, or another process has replaced the table since.
    pub fn discard(self) {
        if self.is_there() {
            let _ = fs::remove_file(&self.path);
        }
        let _ = fs::remove_dir(CHANGES);
    }

    /// The change is made. Returns where the copy is from now on. If the whole table was replaced, that also settles the changes
    /// of others before it.
    ///
    /// # Errors
    /// The file cannot be renamed.
    pub fn finish(self, replaced_all: bool) -> io::Result<PathBuf> {
        let older = if replaced_all { settle(Some(&self)) } else { None };
        if older.is_some() {
            let _ = fs::remove_file(&self.path);
        }
        let outcome = fs::rename(older.as_ref().unwrap_or(&self.path), &self.before);
        let _ = fs::remove_dir(CHANGES);
        outcome.map(|()| self.before)
    }
}

impl Other {
    /// Whether it was made before that time.
    fn is_older(&self, than: Option<SystemTime>) -> bool {
        than.is_some_and(|than| self.made.is_some_and(|made| made < than))
    }
}

/// What is done if the whole table was replaced: a change before it that waits for its confirmation has nothing to roll back any
/// more, and one that was not finished is over. Of the latter the first copy is left, and returned: it is of the table from
/// before all of them.
fn settle(own: Option<&Journal>) -> Option<PathBuf> {
    let mut others = others();
    if let Some(own) = own {
        others.retain(|other| other.path != own.path && (!other.is_alive || other.is_older(own.made())));
    }
    let first = others.iter().filter(|other| !other.is_alive).min_by_key(|other| other.made);
    let first = first.map(|other| other.path.clone());
    for other in others.iter().filter(|other| Some(&other.path) != first.as_ref()) {
        let _ = fs::remove_file(&other.path);
    }
    first
}

/// The whole table is replaced, and there is no copy of it to keep: it was empty, or there was nothing to change. The changes of
/// others are settled by that.
pub fn settle_others() {
    if let Some(first) = settle(None)
        && let Ok(namespace) = Namespace::current()
    {
        let _ = fs::rename(first, before(&namespace));
    }
    let _ = fs::remove_dir(CHANGES);
}

/// Where the copy is of the last change that was finished.
fn before(namespace: &Namespace) -> PathBuf {
    Path::new(FOLDER).join(format!("before-{}.rules", namespace.inode))
}

/// A name that begins like this, and that no copy has: one that a process of the same number has left behind, in this PID
/// namespace or in another, is still of use.
fn free_name(folder: &Path, start: &str) -> PathBuf {
    let with_number = |number: u32| folder.join(format!("{start}-{number}.rules"));
    let names = [folder.join(format!("{start}.rules"))].into_iter().chain((2..).map(with_number));
    let is_free = |name: &PathBuf| fs::symlink_metadata(name).is_err();
    names.into_iter().find(is_free).unwrap_or_else(|| folder.join(start))
}

/// Whether this file is the one that is at this path.
fn is_at(file: &File, path: &Path) -> bool {
    match (fs::symlink_metadata(path), file.metadata()) {
        (Ok(there), Ok(file)) => (there.dev(), there.ino()) == (file.dev(), file.ino()),
        _ => false,
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
    let file =
        File::options().read(true).custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits()).open(&path).ok()?;
    let is_alive = match file.try_lock_shared() {
        Ok(()) => false,
        Err(TryLockError::WouldBlock) => true,
        Err(TryLockError::Error(_)) => return None,
    };
    if !is_at(&file, &path) {
        // Its process was just about to end.
        return None;
    }
    let made = file.metadata().and_then(|file| file.modified()).ok();
    let mut lines = BufReader::new(file).lines();
    let first = lines.next()?.ok()?;
    let by = first.strip_prefix("# The table before ")?.strip_suffix(" changed it")?;
    let is_ours = lines.next()?.is_ok_and(|line| line == identity);
    is_ours.then(|| Other { path, by: by.to_owned(), is_alive, made })
}

/// The line that identifies a namespace.
pub(super) fn identity(namespace: &Namespace) -> String {
    let Namespace { inode, cookie, boot } = namespace;
    let cookie = cookie.map_or_else(|| "unknown".to_owned(), |cookie| cookie.to_string());
    format!("# network namespace {inode}, cookie {cookie}, boot {boot}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_copy_takes_the_place_of_another() {
        let folder = tempfile::tempdir().unwrap();
        let names: Vec<_> = (0..3)
            .map(|_| {
                let name = free_name(folder.path(), "7-12");
                fs::write(&name, "").unwrap();
                name.file_name().unwrap().to_str().unwrap().to_owned()
            })
            .collect();
        assert_eq!(names, ["7-12.rules", "7-12-2.rules", "7-12-3.rules"]);
    }

    #[test]
    fn a_file_that_is_gone_or_another_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("7-12.rules");
        let file = File::create(&path).unwrap();
        assert!(is_at(&file, &path));
        fs::rename(&path, folder.path().join("before-7.rules")).unwrap();
        assert!(!is_at(&file, &path));
        fs::write(&path, "").unwrap();
        assert!(!is_at(&file, &path));
    }
}
