//! Network namespaces, by the names that ip-netns(8) gives them.

mod identity;

use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use netlink_exchange::system_message;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sched::{CloneFlags, setns};

use crate::escape::escaped;

pub use identity::Namespace;

/// Where ip-netns(8) keeps its namespaces by name.
const DIRECTORY: &str = "/run/netns";

/// Why a network namespace cannot be entered.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// No namespace has this name; there are these.
    NoSuchName(String, Vec<String>),
    /// It cannot be opened.
    Open(PathBuf, io::Error),
    /// It is a file, and no network namespace.
    NoNamespace(PathBuf),
    /// We may not enter it.
    NotPermitted(PathBuf),
    /// The kernel refuses otherwise.
    Enter(PathBuf, Errno),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchName(name, there) if there.is_empty() => write!(
                f,
                "--netns: there is no network namespace {name}, nor any other in {DIRECTORY}; a path needs a slash: ./{name}"
            ),
            Self::NoSuchName(name, there) => {
                let there: Vec<_> = there.iter().map(escaped).collect();
                write!(f, "--netns: there is no network namespace {name}; there are: {}", there.join(", "))
            }
            Self::Open(path, error) => {
                write!(f, "--netns: {}: {}", escaped(path), system_message(error))
            }
            Self::NoNamespace(path) => write!(f, "--netns: {} is not a network namespace", escaped(path)),
            Self::NotPermitted(path) => {
                write!(f, "--netns: {}: Permission denied (you must be root to enter it)", escaped(path))
            }
            Self::Enter(path, errno) => write!(f, "--netns: {}: {}", escaped(path), system_message(&(*errno).into())),
        }
    }
}

impl std::error::Error for Error {}

/// Enter a network namespace: a name below `/run/netns`, or a path, which has a slash in it.
///
/// It holds for this thread and those it starts. Of the main thread, `/proc/net` is the namespace's from then on, and so
/// are the sysctls below `/proc/sys/net`; `/sys/class/net` stays that of the process that mounted `/sys`.
///
/// # Errors
/// There is no such namespace, or we may not enter it.
pub fn enter(name: &OsStr) -> Result<(), Error> {
    let is_path = name.as_bytes().contains(&b'/');
    let path = if is_path { PathBuf::from(name) } else { Path::new(DIRECTORY).join(name) };
    let no_such_name = || Error::NoSuchName(escaped(name).into_owned(), names());
    // These are in every directory, and no names.
    if name == "." || name == ".." {
        return Err(no_such_name());
    }
    // Without blocking: a pipe is not a network namespace, but must not hold the program up.
    let opened = File::options().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(&path);
    let file = opened.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound if !is_path => no_such_name(),
        _ => Error::Open(path.clone(), error),
    })?;
    setns(file, CloneFlags::CLONE_NEWNET).map_err(|errno| match errno {
        Errno::EINVAL => Error::NoNamespace(path),
        Errno::EPERM => Error::NotPermitted(path),
        errno => Error::Enter(path, errno),
    })
}

/// The names there are, in order.
#[must_use]
pub fn names() -> Vec<String> {
    let entries = fs::read_dir(DIRECTORY).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
