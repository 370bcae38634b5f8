//! Prints the table, a line for each virtual service and each of its real servers. As root: `cargo run --example list`

use ipvsadm_rs::kernel::Client;
use ipvsadm_rs::model::ServiceKey;
use ipvsadm_rs::view::Labels;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Loads the module if need be. `connect_if_present` does not.
    let mut client = Client::connect()?;
    let mut table = client.table()?;
    // The kernel's order is that of its hash table.
    table.sort();

    let mut labels = Labels::numeric();
    for service in &table.services {
        let rule = &service.entry.service;
        let name = match rule.key {
            ServiceKey::Address { protocol, address, port } => {
                format!("{} {}", protocol.name(), labels.text(address, port, Some(protocol)))
            }
            ServiceKey::Mark { mark, .. } => format!("mark {mark}"),
        };
        println!("{name} by {}, {} connections", rule.scheduler, service.entry.statistics.counters.connections);
        for server in &service.destinations {
            let key = server.destination.key;
            let name = labels.text(key.address, key.port, rule.key.protocol());
            println!("  {name} weight {}, {} active", server.destination.weight, server.active_connections);
        }
    }
    Ok(())
}
