//! The lines that saved rules mostly are, read at once.

use ipvs_client::{
    Change, Destination, Family, Forwarding, Netmask, Persistence, Protocol, SchedulerName, Service, ServiceKey, Tunnel,
};

use super::values::{address_and_port, plain_number};

/// Reads such lines one after the other.
#[derive(Debug, Default)]
pub struct PlainRules {
    /// The service of the last line, as it stands there and as what it is: a service's servers stand in a row.
    service: Vec<u8>,
    key: Option<ServiceKey>,
}

impl PlainRules {
    /// The change of `-A -t VIP:PORT -s SCHEDULER [-p SECONDS]` or of `-a -t VIP:PORT -r RIP:PORT -g -w WEIGHT` (or with `-u`,
    /// with `-m`, or with `-i` and `--tun-type ipip` behind it), where addresses are of IPv4, all numbers are decimal and there is
    /// one blank between words. It is what the parser reads there.
    ///
    /// `None` is for the parser: all other lines, and what is wrong with these. Of `-R --check` it saves more than half of the
    /// instructions, of an unchanged `--replace` a fifth, kernel included.
    pub fn read(&mut self, line: &[u8]) -> Option<Change> {
        match line {
            [b'-', b'A', b' ', rest @ ..] => {
                let (key, rest) = self.service(rest)?;
                let rest = rest.strip_prefix(b" -s ")?;
                let length = rest.iter().take_while(|byte| byte.is_ascii_lowercase()).count();
                let (scheduler @ [_, ..], rest) = rest.split_at(length) else { return None };
                let mut service = Service::new(key, SchedulerName::cut(scheduler));
                if !rest.is_empty() {
                    let (timeout @ 1.., []) = plain_number(rest.strip_prefix(b" -p ")?)? else { return None };
                    service.persistence =
                        Some(Persistence { timeout: timeout.into(), netmask: Netmask::host(Family::Ipv4) });
                }
                Some(Change::AddService(service))
            }
            [b'-', b'a', b' ', rest @ ..] => {
                let (key, rest) = self.service(rest)?;
                let (address, port, rest) = address_and_port(rest.strip_prefix(b" -r ")?)?;
                let (words, rest) = rest.split_first_chunk()?;
                let forwarding = match words {
                    b" -g -w " => Forwarding::DirectRoute,
                    b" -i -w " => Forwarding::Tunnel(Tunnel::Ipip),
                    b" -m -w " => Forwarding::Masquerade,
                    _ => return None,
                };
                // Only masquerading can change the port: there is something to be said.
                if Some(port) != key.port() && forwarding != Forwarding::Masquerade {
                    return None;
                }
                let (weight, rest) = plain_number(rest)?;
                let is_all = match forwarding {
                    Forwarding::Tunnel(_) => matches!(rest, [] | b" --tun-type ipip"),
                    _ => rest.is_empty(),
                };
                let server = Destination::new(address.into(), port).forwarding(forwarding).weight(weight.into());
                is_all.then_some(Change::AddDestination(key, server))
            }
            _ => None,
        }
    }

    /// The service that `-t VIP:PORT` names, and what stands behind.
    fn service<'l>(&mut self, text: &'l [u8]) -> Option<(ServiceKey, &'l [u8])> {
        if let Some(key) = self.key
            && let Some(rest @ [b' ', ..]) = text.strip_prefix(&self.service[..])
        {
            return Some((key, rest));
        }
        let (protocol, rest) = match text {
            [b'-', b't', b' ', rest @ ..] => (Protocol::Tcp, rest),
            [b'-', b'u', b' ', rest @ ..] => (Protocol::Udp, rest),
            _ => return None,
        };
        let (address, port, rest) = address_and_port(rest)?;
        // Every port is for persistent services.
        if port == 0 {
            return None;
        }
        let key = ServiceKey::Address { protocol, address: address.into(), port };
        self.service.clear();
        self.service.extend_from_slice(&text[..text.len() - rest.len()]);
        self.key = Some(key);
        Some((key, rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::{NoNames, Request, parse};

    #[test]
    fn saved_lines_are_read_as_the_parser_reads_them() {
        let mut rules = PlainRules::default();
        for line in [
            "-A -t 20.20.20.20:80 -s wlc",
            "-A -t 20.20.20.20:80 -s wlc -p 300",
            "-a -t 20.20.20.20:80 -r 30.30.30.30:80 -i -w 1 --tun-type ipip",
            "-A -u 0.0.0.0:65535 -s abcdefghijklmnopqrstuvwxyz",
            "-a -t 20.20.20.20:80 -r 30.30.30.30:80 -g -w 1",
            "-a -t 20.20.20.20:8080 -r 30.30.30.30:8080 -g -w 1",
            "-a -u 20.20.20.20:8080 -r 30.30.30.30:8080 -g -w 1",
            "-a -u 255.255.255.255:1 -r 0.0.0.0:1 -i -w 0",
            "-a -t 20.20.20.20:80 -r 30.30.30.30:8080 -m -w 65535",
        ] {
            let change = rules.read(line.as_bytes()).map(Request::Change);
            assert!(change.is_some(), "{line}");
            assert_eq!(change, parse(line.split(' ').map(str::as_bytes), &NoNames).ok(), "{line}");
        }
    }

    #[test]
    fn all_others_are_for_the_parser() {
        let mut rules = PlainRules::default();
        for line in [
            "",
            "-C",
            "-A -t 20.20.20.20:0 -s wlc",
            "-A -t 20.20.20.20:80",
            "-A -t 20.20.20.20:80 -s ",
            "-A -t 20.20.20.20:80 -s wlc ",
            "-A -t 20.20.20.20:80 -s wlc -p",
            "-A -t 20.20.20.20:80 -s wlc -p 0",
            "-A -t 20.20.20.20:80 -s wlc -p 300 -M 255.255.255.0",
            "-A -t 20.20.20.20:80 -p 300 -s wlc",
            "-A -f 1 -s wlc",
            "-E -t 20.20.20.20:80 -s wlc",
            "-A -t 020.20.20.20:80 -s wlc",
            "-a -t 20.20.20.20:80 -r 30.30.30.30:81 -g -w 1",
            "-a -t 20.20.20.20:80 -r 30.30.30.30:81 -i -w 1",
            "-a -t 20.20.20.20:80 -r 30.30.30.30:80 -g -w 1 ",
            "-a -t 20.20.20.20:80 -r 30.30.30.30:80 -g -w 1 --tun-type ipip",
            "-a -t 20.20.20.20:80 -r 30.30.30.30:80 -i -w 1 --tun-type gre",
            "-a -t 20.20.20.20:80 -r 30.30.30.30:80 -g -w ",
            "-a -t 20.20.20.20:80 -r 30.30.30.30:80 -g -w 01",
            "-a -t 20.20.20.20:80 -r 30.30.30.30:80 -g -w 65536",
            "-a -t 20.20.20.20:80 -r 30.30.30.30:80 -g -w 1 -x 5",
            "-a -t 20.20.20.20:80 -r 30.30.30.30 -g -w 1",
        ] {
            assert_eq!(rules.read(line.as_bytes()), None, "{line}");
        }
    }
}
