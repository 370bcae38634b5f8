//! Adds a TCP service and its real servers, round robin and by direct routing. As root:
//! `cargo run --example add_service 192.0.2.1:80 10.0.0.1 10.0.0.2`

use std::env;
use std::net::{IpAddr, SocketAddr};

use ipvsadm_rs::kernel::{Client, Error};
use ipvsadm_rs::model::{Change, Destination, Protocol, SchedulerName, Service, ServiceFlags, ServiceKey};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = env::args().skip(1);
    let vip: SocketAddr = words.next().ok_or("which service? VIP:PORT RIP...")?.parse()?;
    let servers: Vec<IpAddr> = words.map(|word| word.parse()).collect::<Result<_, _>>()?;

    let key = ServiceKey::Address { protocol: Protocol::Tcp, address: vip.ip(), port: vip.port() };
    let service = Service {
        key,
        scheduler: SchedulerName::new(b"rr").ok_or("too long a name")?,
        flags: ServiceFlags::default(),
        persistence: None,
        engine: SchedulerName::EMPTY,
    };

    let mut client = Client::connect()?;
    match client.change(&Change::AddService(service)) {
        Err(Error::Refused(refusal)) => return Err(format!("the kernel refuses the service: {refusal}").into()),
        outcome => outcome?,
    }
    // Many changes go in one batch; each that the kernel refuses is told with what it was tagged with.
    let mut refused = Vec::new();
    let mut batch = client.batch(|server, refusal| refused.push(format!("{server}: {refusal}")))?;
    for server in servers {
        batch.push(server, &Change::AddDestination(key, Destination::new(server, vip.port())))?;
    }
    batch.finish()?;
    if refused.is_empty() { Ok(()) } else { Err(refused.join("; ").into()) }
}
