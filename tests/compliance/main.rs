//! Ours beside the original, on a real kernel: chosen command lines, which do the same to the byte (`cases`), and random lines
//! (`differential`).

mod case;
mod cases;
mod deviations;
mod differential;
mod matrix;

#[path = "../support/strategies.rs"]
mod strategies;
#[path = "../support/mod.rs"]
mod support;

use std::process::ExitCode;

fn main() -> ExitCode {
    support::run_in_kernel(&[cases::subject(), differential::subject()])
}
