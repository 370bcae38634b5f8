//! What this machine's packet filter would do with the first packet of a connection to it: PROTOCOL ADDRESS PORT [INTERFACE].

use std::env;
use std::error::Error;

use packet_filter::{Firewall, Interface, Outcome, Packet, Protocol, Way};

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = env::args().skip(1).collect();
    let (protocol, address, port, interface) = match words.as_slice() {
        [protocol, address, port] => (protocol, address, port, None),
        [protocol, address, port, interface] => (protocol, address, port, Some(interface)),
        _ => return Err("PROTOCOL ADDRESS PORT [INTERFACE]".into()),
    };
    let protocol = match protocol.as_str() {
        "tcp" => Protocol::TCP,
        "udp" => Protocol::UDP,
        "sctp" => Protocol::SCTP,
        number => Protocol(number.parse()?),
    };
    let mut packet = Packet::first(protocol, address.parse()?, port.parse()?);
    if let Some(name) = interface {
        packet = packet.on(Interface { name: name.clone(), index: None });
    }
    match Firewall::read()?.outcome(&packet, &Way::delivered()) {
        Outcome::Accepted => println!("gets through"),
        Outcome::Dropped(place) => println!("dropped by {place}"),
        Outcome::Redirected { place, address, port } => {
            let address = address.map_or("this machine".to_owned(), |address| address.to_string());
            let port = port.map_or(String::new(), |port| format!(" port {port}"));
            println!("goes to {address}{port} by {place}");
        }
        Outcome::Unknown(because) => println!("not certain: {because}"),
        other => println!("{other:?}"),
    }
    Ok(())
}
