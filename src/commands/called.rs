//! How the program was called, for commands that it suggests.

use std::ffi::OsString;
use std::sync::OnceLock;

/// What `--netns` named.
static NAMESPACE: OnceLock<OsString> = OnceLock::new();

/// The program was called for the table of this network namespace.
pub(super) fn in_namespace(name: OsString) {
    let _ = NAMESPACE.set(name);
}

/// The start of a command line for the same table.
pub(super) fn again() -> String {
    match NAMESPACE.get() {
        Some(name) => format!("ipvsadm-rs --netns {}", name.display()),
        None => "ipvsadm-rs".to_owned(),
    }
}
