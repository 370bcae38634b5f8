//! Other programs: where they are looked for, and with what environment they run.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where programs are looked for, whatever the caller's PATH.
const FOLDERS: [&str; 6] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/local/bin"];

/// Where a program is, if it is installed.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    FOLDERS.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.is_file())
}

/// The program with an environment of its own, and nothing on its standard input.
pub(crate) fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("LC_ALL", "C").env("PATH", FOLDERS.join(":")).stdin(Stdio::null());
    command
}
