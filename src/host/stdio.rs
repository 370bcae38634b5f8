//! Standard streams that were closed when the program was started.

use std::os::fd::AsFd;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::sys::stat::{fstat, major, minor};

/// The numbers of /dev/null.
const NULL: (u64, u64) = (1, 3);

/// Whether a standard stream was closed when the program was started (`<&-` and `>&-` in a shell).
///
/// Before `main`, Rust's runtime opens /dev/null for reading and writing in place of such a stream, so that no file gets its
/// number. Shells, systemd and cron open /dev/null for one or the other. daemon(3) and Python's `DEVNULL` open it for both,
/// which looks the same here: ask only where nothing useful could be read from there or written to it, as with rules.
#[must_use]
pub fn was_closed(stream: impl AsFd) -> bool {
    let Ok(status) = fstat(&stream) else { return true };
    let is_null =
        status.st_mode & libc::S_IFMT == libc::S_IFCHR && (major(status.st_rdev), minor(status.st_rdev)) == NULL;
    let is_for_both = |flags| OFlag::from_bits_retain(flags) & OFlag::O_ACCMODE == OFlag::O_RDWR;
    is_null && fcntl(&stream, FcntlArg::F_GETFL).is_ok_and(is_for_both)
}
