//! The language of rules files: lines of commands, read whole and understood before anything is done.

mod read;

pub use read::{BadLine, Line, ReadError, read};
