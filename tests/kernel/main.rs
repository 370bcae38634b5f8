//! What is tested on a real kernel, a module for each subject: `cargo test --test kernel -- SUBJECT::` runs one. A trial is
//! called `SUBJECT::what is tried`, and any part of that chooses it. What kernel a subject needs stands beside its trials.

mod changes;
mod completion;
mod concurrency;
mod connections;
mod doctor;
mod drain;
mod escapes;
mod examples;
mod faults;
mod files;
mod firewall;
mod health;
mod json;
mod library;
mod mapping;
mod memory;
mod metrics;
mod monitor;
mod names;
mod readers;
mod realserver;
mod service;
mod strace;
mod tables;
mod terminal;

#[path = "../support/schema.rs"]
mod schema;
#[path = "../support/strategies.rs"]
mod strategies;
#[path = "../support/mod.rs"]
mod support;

use std::process::ExitCode;

fn main() -> ExitCode {
    if firewall::only_read() {
        return ExitCode::SUCCESS;
    }
    support::run_in_kernel(&[
        // What takes longest comes first.
        firewall::director::subject(),
        firewall::subject(),
        service::subject(),
        changes::subject(),
        faults::subject(),
        completion::subject(),
        concurrency::subject(),
        connections::subject(),
        doctor::subject(),
        drain::subject(),
        escapes::subject(),
        examples::subject(),
        files::subject(),
        health::subject(),
        json::subject(),
        library::subject(),
        mapping::subject(),
        metrics::subject(),
        monitor::subject(),
        names::subject(),
        readers::subject(),
        realserver::subject(),
        realserver::redirect::subject(),
        tables::subject(),
        terminal::subject(),
    ])
}
