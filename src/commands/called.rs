//! How the program was called, for commands that it suggests.

use std::ffi::OsString;
use std::sync::OnceLock;

/// What the program is called where it is installed.
pub(super) const OWN_NAME: &str = env!("CARGO_PKG_NAME");

/// The name of the program, and what `--netns` named.
static CALL: OnceLock<Call> = OnceLock::new();

struct Call {
    name: String,
    namespace: Option<OsString>,
}

/// The program was called by this name, for the table of this network namespace.
pub(super) fn by(name: &str, namespace: Option<OsString>) {
    let _ = CALL.set(Call { name: name.to_owned(), namespace });
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
