//! Locks that one process at a time can hold, and that end with their process.
//!
//! They are record locks (`F_SETLK`, fcntl(2)), because the kernel says who holds one. Such a lock belongs to the process, and is
//! lost as soon as the process closes *any* descriptor of the file: have one of a file at a time.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;

/// A lock that is held until this is dropped.
#[derive(Debug)]
pub struct Lock {
    _record: Record,
}

/// Why a lock was not taken.
#[derive(Debug)]
#[non_exhaustive]
pub enum LockError {
    /// Another process holds it: the one of this number, if it can be seen from our PID namespace.
    Held(Option<u32>),
    /// The file cannot be made or locked.
    Failed(io::Error),
}

impl From<io::Error> for LockError {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl Lock {
    /// Take the lock that this file stands for, without waiting. The file and its folder are made if need be, for us alone,
    /// and the file stays: to take it away would let two hold a lock of the same name.
    ///
    /// # Errors
    /// Another process holds it; or the file cannot be made or locked.
    pub fn take(path: &Path) -> Result<Self, LockError> {
        let record = Record { file: open(path)?, byte: 0 };
        match record.try_take(Share::Alone)? {
            true => Ok(Self { _record: record }),
            false => Err(LockError::Held(record.holder())),
        }
    }
}

/// Open the file of a lock, which is made for us alone if need be, as is its folder.
fn open(path: &Path) -> io::Result<File> {
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(OFlag::O_NOFOLLOW.bits());
    match (options.open(path), path.parent()) {
        (Err(error), Some(folder)) if error.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
            options.open(path)
        }
        (outcome, _) => outcome,
    }
}

/// The file of the locks on tables.
pub const TABLE_LOCK: &str = "/run/ipvsadm-rs/table.lock";

/// The network namespace of this thread, and so its table.
const NETWORK_NAMESPACE: &str = "/proc/thread-self/ns/net";

/// With whom a lock is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// With no other process.
    Alone,
    /// With all that ask for the same.
    WithReaders,
}

/// The lock on the IPVS table of the network namespace that we are in: one byte of a file that only root can open, by whose
/// offset a namespace is distinguished from others.
#[derive(Debug)]
pub struct TableLock {
    record: Record,
}

impl TableLock {
    /// Open the file of the lock, which is made if need be. The lock is not taken yet.
    ///
    /// # Errors
    /// The file cannot be made or opened, or the namespace has no name.
    pub fn open(path: &Path) -> io::Result<Self> {
        let namespace = fs::metadata(NETWORK_NAMESPACE)?.ino();
        // As many bits as every off_t holds. Two namespaces of one byte would merely wait for each other.
        let byte = (namespace & i32::MAX as u64) as libc::off_t;
        Ok(Self { record: Record { file: open(path)?, byte } })
    }

    /// Take the lock if no other process holds it. Whether it is ours now; it is until this is dropped.
    ///
    /// # Errors
    /// The file system has no locks, or the kernel no room for one.
    pub fn try_take(&self, share: Share) -> io::Result<bool> {
        self.record.try_take(share)
    }

    /// The process that holds the lock now, unless it is we, or it is not to be seen from our PID namespace.
    #[must_use]
    pub fn holder(&self) -> Option<u32> {
        self.record.holder()
    }
}

/// One byte of a file, as something to lock.
#[derive(Debug)]
struct Record {
    file: File,
    byte: libc::off_t,
}

impl Record {
    fn try_take(&self, share: Share) -> io::Result<bool> {
        let kind = match share {
            Share::Alone => libc::F_WRLCK,
            Share::WithReaders => libc::F_RDLCK,
        };
        match fcntl(&self.file, FcntlArg::F_SETLK(&self.lock(kind))) {
            Ok(_) => Ok(true),
            Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    fn holder(&self) -> Option<u32> {
        let mut lock = self.lock(libc::F_WRLCK);
        fcntl(&self.file, FcntlArg::F_GETLK(&mut lock)).ok()?;
        if libc::c_int::from(lock.l_type) == libc::F_UNLCK {
            return None;
        }
        u32::try_from(lock.l_pid).ok().filter(|&process| process > 0)
    }

    fn lock(&self, kind: libc::c_int) -> libc::flock {
        libc::flock {
            l_type: kind as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: self.byte,
            l_len: 1,
            l_pid: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_s_file_is_made_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/lock");
        drop(Lock::take(&path).unwrap());
        assert!(Lock::take(&path).is_ok());
        assert_eq!(fs::metadata(&path).unwrap().len(), 0);
    }

    #[test]
    fn a_folder_that_cannot_be_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("run"), "").unwrap();
        assert!(matches!(Lock::take(&folder.path().join("run/lock")), Err(LockError::Failed(_))));
        assert!(TableLock::open(&folder.path().join("run/lock")).is_err());
    }

    #[test]
    fn the_table_s_lock_is_a_file_of_our_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/lock");
        let lock = TableLock::open(&path).unwrap();
        assert!(lock.try_take(Share::Alone).unwrap());
        assert_eq!(lock.holder(), None, "our own is not held by another process");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(TableLock::open(&link).unwrap_err().raw_os_error(), Some(Errno::ELOOP as i32));
    }
}
