//! How the program was called, for commands that it suggests.

use std::ffi::OsString;
use std::sync::OnceLock;

use crate::escape::escaped_bytes;

/// What the program is called where it is installed.
pub(super) const OWN_NAME: &str = env!("CARGO_PKG_NAME");

/// The name of the program, and what `--netns` named; nothing if it was called as it is installed and for its own network
/// namespace, as nearly always.
static CALL: OnceLock<Call> = OnceLock::new();

struct Call {
    /// Safe to print.
    name: String,
    namespace: Option<OsString>,
}

/// The program was called by this name, for the table of this network namespace.
pub(super) fn by(name: &[u8], namespace: Option<OsString>) {
    if name != OWN_NAME.as_bytes() || namespace.is_some() {
        let _ = CALL.set(Call { name: escaped_bytes(name).into_owned(), namespace });
    }
}

/// The name of the program, safe to print.
pub(super) fn name() -> &'static str {
    CALL.get().map_or(OWN_NAME, |call| &call.name)
}

/// The start of a command line for the same table.
pub(super) fn command_line() -> String {
    match CALL.get().and_then(|call| call.namespace.as_ref()) {
        Some(namespace) => format!("{} --netns {}", name(), namespace.display()),
        None => name().to_owned(),
    }
}
