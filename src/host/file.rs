//! Files that are written as a whole or not at all.

use std::fmt;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::geteuid;

/// What the name of a file that is being written begins with; six letters and digits follow. Only a program that was
/// killed (SIGKILL) or a machine that went down leaves one behind, and nothing reads it.
pub const TEMPORARY: &str = ".ipvsadm-rs.";

/// Mode of a rules file that was not there before: the addresses in it are nobody else's business.
const NEW_MODE: u32 = 0o600;

/// Why a file was not replaced, or not for good.
///
/// The error of the system call is told, but is not a source: a pipe that nobody reads any longer is no failure where
/// output goes to, and must not be taken for that here.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReplaceError {
    /// The old file is there, as it was; or none, if there was none.
    Untouched(io::Error),
    /// The new file is there, whole. If the machine goes down now, the old one may be there afterwards.
    NotDurable(io::Error),
}

impl fmt::Display for ReplaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Untouched(error) => error.fmt(f),
            Self::NotDurable(error) => {
                write!(f, "the new file is there, but may be lost if the machine goes down now: {error}")
            }
        }
    }
}

impl std::error::Error for ReplaceError {}

/// Write a file by way of a temporary one beside it: whatever happens, there is the old file or the new one. A file that
/// is there keeps its mode and owner, a link stays one.
///
/// # Errors
/// The file cannot be written to disk. The error tells whether the old file is there or the new one.
pub fn replace(path: &Path, text: &[u8]) -> Result<(), ReplaceError> {
    let folder = put_in_place(path, text).map_err(ReplaceError::Untouched)?;
    // The new name is on disk only with its folder.
    match folder.sync_all() {
        // On this file system there is no such thing.
        Err(error) if matches!(error.raw_os_error().map(Errno::from_raw), Some(Errno::EINVAL | Errno::ENOTSUP)) => {
            Ok(())
        }
        synced => synced.map_err(ReplaceError::NotDurable),
    }
}

/// Everything but the last step, which makes the name durable. Returns the folder.
fn put_in_place(path: &Path, text: &[u8]) -> io::Result<File> {
    refuse_what_others_laid(path)?;
    let target = match fs::canonicalize(path) {
        Ok(target) => target,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if fs::symlink_metadata(path).is_ok_and(|there| there.is_symlink()) {
                return Err(io::Error::other("a link to a file that is not there"));
            }
            path.to_owned()
        }
        Err(error) => return Err(error),
    };
    let folder = folder_of(&target);
    let old = match fs::metadata(&target) {
        Ok(old) if old.is_file() => Some(old),
        Ok(_) => return Err(io::Error::other("not a regular file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    // Opened while there is a way back.
    let opened = File::open(folder)?;
    let _signals = KeptBack::new();
    // Opened by ourselves, for an error without the name of a file that means nothing to anybody.
    let make = |path: &Path| File::options().write(true).create_new(true).mode(NEW_MODE).open(path);
    let (mut file, temporary) = tempfile::Builder::new().prefix(TEMPORARY).make_in(folder, make)?.into_parts();
    file.write_all(text)?;
    if let Some(old) = &old {
        fchown(&file, Some(old.uid()), Some(old.gid()))?;
    }
    // After the owner: a change of owner takes some bits of the mode away.
    file.set_permissions(Permissions::from_mode(old.map_or(NEW_MODE, |old| old.mode() & 0o7777)))?;
    file.sync_all()?;
    match nix::unistd::close(file) {
        // It is closed, and all of it is on disk.
        Ok(()) | Err(Errno::EINTR) => {}
        Err(errno) => return Err(errno.into()),
    }
    temporary.persist(&target).map_err(|error| error.error)?;
    Ok(opened)
}

/// Signals that end a program are kept back until this is dropped, so that none leaves a temporary file.
struct KeptBack {
    before: Option<SigSet>,
}

impl KeptBack {
    fn new() -> Self {
        let ending = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGXFSZ];
        let ending: SigSet = ending.into_iter().collect();
        Self { before: ending.thread_swap_mask(SigmaskHow::SIG_BLOCK).ok() }
    }
}

impl Drop for KeptBack {
    fn drop(&mut self) {
        // That a file would be too large the failing call has told.
        let too_large = SigSet::from(Signal::SIGXFSZ);
        let _ = SignalFd::with_flags(&too_large, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
            .and_then(|queue| queue.read_signal());
        let _ = self.before.map(|before| before.thread_set_mask());
    }
}

/// The folder that a path lies in.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// In a folder that everybody may write to, such as /tmp, a link or a file of another user is a trap: the kernel's rules
/// `fs.protected_symlinks` and `fs.protected_regular`, which do not see that we rename.
fn refuse_what_others_laid(path: &Path) -> io::Result<()> {
    /// Everybody may write.
    const BY_OTHERS: u32 = 0o002;
    let there = match fs::symlink_metadata(path) {
        Ok(there) => there,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let folder = fs::metadata(folder_of(path))?;
    let trusted = [geteuid().as_raw(), folder.uid()].contains(&there.uid());
    if folder.mode() & BY_OTHERS != 0 && !trusted {
        return Err(io::Error::other("belongs to another user, in a folder that everybody may write to"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn write(path: &Path, text: &str) -> Result<(), ReplaceError> {
        replace(path, text.as_bytes())
    }

    #[test]
    fn a_new_file_is_private_and_an_old_one_keeps_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rules");
        write(&path, "one").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        write(&path, "two").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o640);
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(names(folder.path()), ["rules"]);
    }

    #[test]
    fn a_link_stays_and_what_it_points_to_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("rules"), folder.path().join("link"));
        fs::write(&path, "old").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        write(&link, "new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    }

    #[test]
    fn a_link_to_nothing_is_not_lost() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("nothing", &link).unwrap();
        assert_eq!(write(&link, "new").unwrap_err().to_string(), "a link to a file that is not there");
        assert_eq!(names(folder.path()), ["link"]);
    }

    #[test]
    fn signals_are_let_through_again() {
        let folder = tempfile::tempdir().unwrap();
        let before = SigSet::thread_get_mask().unwrap();
        write(&folder.path().join("rules"), "x").unwrap();
        let after = SigSet::thread_get_mask().unwrap();
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGXFSZ] {
            assert_eq!(after.contains(signal), before.contains(signal), "{signal}");
        }
    }

    #[test]
    fn a_folder_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(write(folder.path(), "x").unwrap_err().to_string(), "not a regular file");
        assert!(write(&folder.path().join("none/rules"), "x").is_err());
    }
}
