//! Every rendering of what the kernel reports, to any [`std::io::Write`].

mod append;
pub mod connections;
pub mod doctor;
pub mod drain;
mod endpoint;
pub mod json;
pub mod rules;
pub mod text;
pub mod top;

pub use endpoint::Labels;
