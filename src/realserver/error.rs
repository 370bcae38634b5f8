//! Why something was not done.

use std::fmt;
use std::io;

use crate::host::route;

/// A refusal in words of our own, which say all there is to say.
#[derive(Debug)]
pub struct Refusal {
    /// Whether what was asked for is wrong in itself, or does not fit the state of things.
    pub wrong_use: bool,
    /// What is wrong, and the fix.
    pub message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

/// What was asked for is wrong in itself.
pub(super) fn wrong(message: String) -> anyhow::Error {
    Refusal { wrong_use: true, message }.into()
}

/// What was asked for does not fit the state of things.
pub(super) fn state(message: String) -> anyhow::Error {
    Refusal { wrong_use: false, message }.into()
}

/// Whether an error comes from us not being allowed to.
#[must_use]
pub fn is_not_permitted(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
            || cause.downcast_ref::<route::Error>().is_some_and(route::Error::is_not_permitted)
    })
}

/// Whether an error comes from something being mounted read-only, as `/proc/sys` is in most containers.
#[must_use]
pub fn is_read_only(error: &anyhow::Error) -> bool {
    let of = |error: &io::Error| error.kind() == io::ErrorKind::ReadOnlyFilesystem;
    error.chain().any(|cause| cause.downcast_ref::<io::Error>().is_some_and(of))
}
