//! Other programs: where they are looked for, and with what environment they run.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Once};

use nix::libc::SIGCHLD;

/// Where programs are looked for, whatever the caller's PATH.
const FOLDERS: [&str; 6] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/local/bin"];

/// Where a program is, if it is installed.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    FOLDERS.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.is_file())
}

/// The program with an environment of its own, and nothing on its standard input.
pub(crate) fn command(program: impl AsRef<Path>) -> Command {
    wait_for_children();
    let mut command = Command::new(program.as_ref());
    command.env_clear().env("LC_ALL", "C").env("PATH", FOLDERS.join(":")).stdin(Stdio::null());
    command
}

/// Have the kernel keep the exit status of programs that end. It does not where the caller ignores SIGCHLD, as some daemons
/// and scripts do: that is inherited.
fn wait_for_children() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // A handler that only notes the signal takes the place of ignoring it. Without it programs still run.
        let _ = signal_hook::flag::register(SIGCHLD, Arc::new(AtomicBool::new(false)));
    });
}
