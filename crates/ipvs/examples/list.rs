//! Prints the table, a line for each virtual service and each of its real servers. As root: `cargo run --example list`

use ipvs_client::{Client, Error};

fn main() -> Result<(), Error> {
    let mut table = Client::connect()?.table()?;
    // The kernel's order is that of its hash table.
    table.sort();
    for service in &table.services {
        let rule = &service.entry.service;
        let connections = service.entry.statistics.counters.connections;
        println!("{} by {}, {connections} connections", rule.key, rule.scheduler);
        for server in &service.destinations {
            let rule = &server.destination;
            println!("  {} weight {}, {} active", rule.key, rule.weight, server.active_connections);
        }
    }
    Ok(())
}
