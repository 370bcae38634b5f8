//! What is tested without a kernel, a module for each subject: `cargo test --test no-kernel -- SUBJECT` runs one.

mod architecture;
mod connections;
mod decoder;
mod fuzz;
mod generated;
mod grammar;
mod limits;
mod listings;
mod metrics;
mod plan;
mod versions;

#[path = "../../fuzz/holds.rs"]
mod holds;
#[path = "../support/schema.rs"]
mod schema;
#[path = "../support/strategies.rs"]
mod strategies;
