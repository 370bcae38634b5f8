//! Adds a TCP service and its real servers, round robin and by direct routing. As root:
//! `cargo run --example add_service 192.0.2.1:80 10.0.0.1 10.0.0.2`

use std::env;
use std::net::{IpAddr, SocketAddr};

use ipvs_client::{Change, Client, Destination, Error, Service, scheduler};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = env::args().skip(1);
    let vip: SocketAddr = words.next().ok_or("which service? VIP:PORT RIP...")?.parse()?;
    let servers: Vec<IpAddr> = words.map(|word| word.parse()).collect::<Result<_, _>>()?;

    let service = Service::tcp(vip.ip(), vip.port(), scheduler::RR);
    let mut client = Client::connect()?;
    match client.add_service(&service) {
        Err(Error::Refused(refusal)) => return Err(format!("the kernel refuses the service: {refusal}").into()),
        outcome => outcome?,
    }
    // Many changes go in one batch. Each that the kernel refuses is reported with its tag.
    let mut refused = Vec::new();
    let mut batch = client.batch(|server, refusal| refused.push(format!("{server}: {refusal}")))?;
    for server in servers {
        let destination = Destination::direct(server, vip.port());
        batch.push(server, &Change::AddDestination(service.key, destination))?;
    }
    batch.finish()?;
    if refused.is_empty() { Ok(()) } else { Err(refused.join("; ").into()) }
}
