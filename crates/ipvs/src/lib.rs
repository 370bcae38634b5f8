//! IPVS, the Linux virtual server, administered from Rust.

// What comes from outside is never trusted to be right. In tests a panic is an answer.
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used))]

pub mod connections;
pub mod kernel;
pub mod model;
pub mod plan;
