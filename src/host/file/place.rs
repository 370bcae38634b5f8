//! Where a file is: its folder, opened, and its name in it. No part of the way is a link that another user laid.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat, readlinkat};
use nix::sys::stat::Mode;
use nix::unistd::geteuid;

/// The number of links that are followed, as in the kernel (`MAXSYMLINKS`).
const MAX_LINKS: u32 = 40;

/// Users other than the owner may write.
const BY_GROUP: u32 = 0o020;
const BY_OTHERS: u32 = 0o002;
/// Only the owner of a file may remove it.
const STICKY: u32 = 0o1000;

/// A place for a file.
pub(super) struct Place {
    /// The folder, open for reading.
    pub folder: File,
    /// The name in it.
    pub name: OsString,
    /// The file that is there, if there is one. It can be asked, but not read.
    pub old: Option<File>,
}

impl Place {
    /// Find the place that a path stands for. Each link on the way is opened before it is judged, and each folder before it
    /// is gone into: so nothing can be put in its place in between.
    pub(super) fn find(path: &Path) -> io::Result<Self> {
        let mut folder = open(None, OsStr::new("."), OFlag::O_DIRECTORY)?;
        let mut left = Vec::new();
        push(&mut left, path);
        let (mut links, mut is_link) = (0, false);
        while let Some(part) = left.pop() {
            let last = left.is_empty();
            if !last || part == ".." || part == "/" {
                match open(Some(&folder), &part, OFlag::O_DIRECTORY) {
                    Ok(next) => {
                        folder = next;
                        continue;
                    }
                    // Or a link.
                    Err(error) if is(&error, &[Errno::ENOTDIR, Errno::ELOOP]) => {}
                    Err(error) => return Err(error),
                }
            }
            let there = match open(Some(&folder), &part, OFlag::empty()) {
                Ok(there) => there,
                Err(error) if last && error.kind() == io::ErrorKind::NotFound => {
                    if is_link {
                        return Err(io::Error::other("a link to a file that is not there"));
                    }
                    return Self::new(&folder, part, None);
                }
                Err(error) => return Err(error),
            };
            let (around, inside) = (folder.metadata()?, there.metadata()?);
            if inside.is_symlink() {
                if around.mode() & (BY_GROUP | BY_OTHERS) != 0 && !trusted(&around, &inside) {
                    let part = part.to_string_lossy();
                    let what =
                        format!("the link {part:?} belongs to another user, in a folder that others may write to");
                    return Err(io::Error::other(what));
                }
                links += 1;
                is_link |= last;
                if links > MAX_LINKS {
                    return Err(Errno::ELOOP.into());
                }
                push(&mut left, Path::new(&readlinkat(&there, "")?));
            } else if !last {
                return Err(Errno::ENOTDIR.into());
            } else if !inside.is_file() {
                return Err(io::Error::other("not a regular file"));
            } else {
                refuse_a_trap(&around, &inside)?;
                return Self::new(&folder, part, Some(there));
            }
        }
        // The path is one of a folder.
        Err(io::Error::other("not a regular file"))
    }

    fn new(folder: &File, name: OsString, old: Option<File>) -> io::Result<Self> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let folder = File::from(openat(folder, ".", flags, Mode::empty())?);
        Ok(Self { folder, name, old })
    }
}

/// Open something to ask about it and to go on from there; a link is not followed.
fn open(folder: Option<&File>, name: &OsStr, flags: OFlag) -> io::Result<File> {
    let flags = flags | OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let opened = match folder {
        Some(folder) => openat(folder, name, flags, Mode::empty()),
        None => openat(AT_FDCWD, name, flags, Mode::empty()),
    };
    Ok(File::from(opened?))
}

/// Put the parts of a path in front of those that are left; the next one is the last.
fn push(left: &mut Vec<OsString>, path: &Path) {
    let parts = path.components().rev().filter(|part| *part != Component::CurDir);
    left.extend(parts.map(|part| part.as_os_str().to_owned()));
}

fn is(error: &io::Error, of: &[Errno]) -> bool {
    error.raw_os_error().is_some_and(|number| of.contains(&Errno::from_raw(number)))
}

/// Whether something is our own or the folder's owner's.
fn trusted(folder: &Metadata, there: &Metadata) -> bool {
    [geteuid().as_raw(), folder.uid()].contains(&there.uid())
}

/// In a folder that everybody may write to, such as /tmp, a file of another user is a trap: its owner waits for what is
/// written. The kernel's rule `fs.protected_regular`, which does not see that we rename.
fn refuse_a_trap(folder: &Metadata, file: &Metadata) -> io::Result<()> {
    let mode = folder.mode();
    let open_to_others = mode & BY_OTHERS != 0 || mode & (BY_GROUP | STICKY) == BY_GROUP | STICKY;
    if open_to_others && !trusted(folder, file) {
        return Err(io::Error::other("belongs to another user, in a folder that others may write to"));
    }
    Ok(())
}
