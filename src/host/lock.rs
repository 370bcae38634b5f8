//! A lock that one process at a time can hold, and that ends with its process.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// A lock that is held until this is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Why a lock was not taken.
#[derive(Debug)]
#[non_exhaustive]
pub enum LockError {
    /// Somebody else holds it: the process of this number, if it could be read.
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
    /// Take the lock that this file stands for (flock(2)), without waiting. The file and its folder are made if need be,
    /// for us alone, and the file stays: to take it away would let two hold a lock of the same name.
    ///
    /// # Errors
    /// Somebody else holds it; or the file cannot be made or locked.
    pub fn take(path: &Path) -> Result<Self, LockError> {
        if let Some(folder) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
        }
        let mut file =
            fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        match file.try_lock() {
            Ok(()) => {
                // For whoever finds it locked; nobody depends on it.
                file.set_len(0)?;
                file.rewind()?;
                writeln!(file, "{}", std::process::id())?;
                Ok(Self { _file: file })
            }
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = file.read_to_string(&mut holder);
                Err(LockError::Held(holder.trim().parse().ok()))
            }
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/lock");
        let lock = Lock::take(&path).unwrap();
        match Lock::take(&path) {
            Err(LockError::Held(Some(holder))) => assert_eq!(holder, std::process::id()),
            other => panic!("{other:?}"),
        }
        drop(lock);
        assert!(Lock::take(&path).is_ok());
    }

    #[test]
    fn a_folder_that_cannot_be_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("run"), "").unwrap();
        assert!(matches!(Lock::take(&folder.path().join("run/lock")), Err(LockError::Failed(_))));
    }
}
