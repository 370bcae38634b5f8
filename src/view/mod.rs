//! Every rendering of what the kernel reports, to any [`std::io::Write`].

pub mod connections;
mod endpoint;
pub mod rules;
pub mod text;

pub use endpoint::Labels;
