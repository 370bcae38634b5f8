//! Files that are written as a whole or not at all.

mod kept;
mod place;

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{self, Write};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::{UnlinkatFlags, unlinkat};

use kept::Old;
use place::Place;

/// What the name of a file that is being written begins with; six letters and digits follow. Only a program that was
/// killed (SIGKILL) or a machine that went down leaves one behind, and nothing reads it.
pub const TEMPORARY: &str = ".ipvsadm-rs.";

/// Mode of a rules file that was not there before: the addresses in it are of no concern to other users.
const NEW_MODE: u32 = 0o600;

/// Mode of a file that other programs collect.
const PUBLISHED_MODE: u32 = 0o644;

/// Why a file was not replaced, or not for good.
///
/// The error of the system call is in the text, but is not a source: a pipe that is no longer read is not a failure where
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
/// is there keeps its owner, mode, access control list and attributes, a link stays one. Returns what is not kept, a line
/// each.
///
/// # Errors
/// The file cannot be written to disk, or would give more access than the old one. The error says whether the old file is
/// there or the new one.
pub fn replace(path: &Path, text: &[u8]) -> Result<Vec<String>, ReplaceError> {
    let (folder, lost) = put_in_place(path, text).map_err(ReplaceError::Untouched)?;
    // The new name is on disk only with its folder.
    match folder.sync_all() {
        // On this file system there is no such thing.
        Err(error) if matches!(error.raw_os_error().map(Errno::from_raw), Some(Errno::EINVAL | Errno::ENOTSUP)) => {
            Ok(lost)
        }
        synced => synced.map(|()| lost).map_err(ReplaceError::NotDurable),
    }
}

/// Write a file that every user may read, by way of a temporary one beside it: there is the old file or the new one. A program
/// that collects such files never sees half of one.
///
/// # Errors
/// The file cannot be written. The old one, if there is one, is as it was.
pub fn publish(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let place = Place::find(path)?;
    let _signals = KeptBack::new();
    let (file, temporary) = Temporary::new(&place.folder)?;
    let mut file = io::BufWriter::new(file);
    write(&mut file)?;
    let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    fchmod(&file, Mode::from_bits_truncate(PUBLISHED_MODE))?;
    match nix::unistd::close(file) {
        Ok(()) | Err(Errno::EINTR) => {}
        Err(errno) => return Err(errno.into()),
    }
    temporary.rename(&place.name)
}

/// A file without a name, for reading and writing: it is gone when it is closed.
///
/// # Errors
/// There is no such folder, or no file can be made there.
pub fn unnamed(folder: &Path) -> io::Result<File> {
    let folder = File::open(folder)?;
    let _signals = KeptBack::new();
    // O_TMPFILE does the same, but not on every file system.
    Temporary::new(&folder).map(|(file, _)| file)
}

/// Remove a file.
///
/// # Errors
/// It cannot be removed, or is not there.
pub fn remove(path: &Path) -> io::Result<()> {
    std::fs::remove_file(path)
}

/// Everything but the last step, which makes the name durable. Returns the folder, and what is not kept of the old file.
fn put_in_place(path: &Path, text: &[u8]) -> io::Result<(File, Vec<String>)> {
    let place = Place::find(path)?;
    let old = place.old.as_ref().map(Old::of).transpose()?;
    let _signals = KeptBack::new();
    let (mut file, temporary) = Temporary::new(&place.folder)?;
    file.write_all(text)?;
    let lost = old.map(|old| old.hand_to(&file)).transpose()?.unwrap_or_default();
    file.sync_all()?;
    match nix::unistd::close(file) {
        // It is closed, and all of it is on disk.
        Ok(()) | Err(Errno::EINTR) => {}
        Err(errno) => return Err(errno.into()),
    }
    temporary.rename(&place.name)?;
    Ok((place.folder, lost))
}

/// The name of a file that is being written, in a folder. It is removed when this is dropped.
struct Temporary<'a> {
    folder: &'a File,
    name: String,
}

impl<'a> Temporary<'a> {
    /// Make a file that is private, with a name that was free.
    fn new(folder: &'a File) -> io::Result<(File, Self)> {
        /// Letters and digits of a name.
        const LENGTH: u32 = 6;
        const BASE: u32 = 36;
        /// How often another name is tried.
        const ATTEMPTS: usize = 100;
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mut result = Errno::EEXIST;
        for _ in 0..ATTEMPTS {
            // Any number that others cannot guess.
            let random = RandomState::new().build_hasher().finish();
            let digit = |place| (random / u64::from(BASE.pow(place)) % u64::from(BASE)) as u32;
            let random: String = (0..LENGTH).filter_map(|place| char::from_digit(digit(place), BASE)).collect();
            let name = format!("{TEMPORARY}{random}");
            match openat(folder, name.as_str(), flags, Mode::from_bits_truncate(NEW_MODE)) {
                Ok(file) => return Ok((File::from(file), Self { folder, name })),
                Err(errno @ (Errno::EEXIST | Errno::EINTR)) => result = errno,
                Err(errno) => return Err(errno.into()),
            }
        }
        Err(result.into())
    }

    /// Give it its name.
    fn rename(mut self, name: &OsStr) -> io::Result<()> {
        renameat(self.folder, self.name.as_str(), self.folder, name)?;
        self.name.clear();
        Ok(())
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if !self.name.is_empty() {
            let _ = unlinkat(self.folder, self.name.as_str(), UnlinkatFlags::NoRemoveDir);
        }
    }
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
        // That a file would be too large the failing call has reported.
        let too_large = SigSet::from(Signal::SIGXFSZ);
        let _ = SignalFd::with_flags(&too_large, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
            .and_then(|queue| queue.read_signal());
        let _ = self.before.map(|before| before.thread_set_mask());
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn write(path: &Path, text: &str) -> Result<(), ReplaceError> {
        replace(path, text.as_bytes()).map(|lost| assert!(lost.is_empty(), "{lost:?}"))
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
