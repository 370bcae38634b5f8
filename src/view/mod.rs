//! Every rendering of what the kernel reports, to any [`std::io::Write`].

mod append;
pub mod boxed;
mod columns;
pub mod connections;
pub mod doctor;
pub mod drain;
mod endpoint;
pub mod json;
mod marks;
pub mod rules;
pub mod text;
pub mod top;
pub mod wide;

pub use endpoint::Labels;
