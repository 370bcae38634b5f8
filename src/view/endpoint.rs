//! Addresses and ports as text, by number or by name.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipvs_client::{Protocol, ServiceKey};

use super::append::{Draft, Field};
use crate::escape::escaped;

/// An address and port, and the protocol that the port's name depends on.
type Endpoint = (IpAddr, u16, Option<Protocol>);

/// How addresses and ports are written: as numbers, or with names that were looked up before.
#[derive(Debug, Default)]
pub struct Labels {
    names: Option<Names>,
    /// What is written as numbers, because the names of two would be the same.
    services_alike: HashSet<Endpoint>,
    servers_alike: HashSet<Endpoint>,
    /// Whether what is written must mean the same when it is read.
    restorable: bool,
    /// Room for the line being written. That it is used again saves 7 % of the instructions of `-Sn`, kernel included.
    line: Draft,
}

#[derive(Debug, Default)]
struct Names {
    hosts: HashMap<IpAddr, String>,
    ports: HashMap<(u16, Protocol), String>,
}

impl Labels {
    /// Numbers only (`-n`).
    #[must_use]
    pub fn numeric() -> Self {
        Self::default()
    }

    /// Names where there are any: these of ports, and those of hosts that [`Labels::add_hosts`] adds.
    #[must_use]
    pub fn with_names(ports: HashMap<(u16, Protocol), String>) -> Self {
        Self { names: Some(Names { hosts: HashMap::new(), ports }), ..Self::default() }
    }

    /// The same, but only names that can be read back: what cannot is written as a number.
    #[must_use]
    pub fn restorable(self) -> Self {
        Self { restorable: true, ..self }
    }

    /// Whether there are no names.
    #[must_use]
    pub fn are_numeric(&self) -> bool {
        self.names.is_none()
    }

    /// Add names of hosts.
    pub fn add_hosts(&mut self, hosts: impl IntoIterator<Item = (IpAddr, String)>) {
        let restorable = self.restorable;
        if let Some(names) = &mut self.names {
            let safe = |(address, name): (IpAddr, String)| match reads_as_an_address(&name) {
                true => None,
                false => Some((address, printed(&name, restorable)?.into_owned())),
            };
            names.hosts.extend(hosts.into_iter().filter_map(safe));
        }
    }

    /// Forget the names of hosts.
    pub fn forget_hosts(&mut self) {
        if let Some(names) = &mut self.names {
            names.hosts.clear();
        }
    }

    /// Write those of these services as numbers that would be written alike. Two addresses can have one name, and rules with
    /// that name would be the same rule twice.
    pub fn distinguish_services(&mut self, services: impl Iterator<Item = (IpAddr, u16, Protocol)>) {
        if self.are_numeric() {
            return;
        }
        self.services_alike = self.alike(services.map(|(address, port, protocol)| (address, port, Some(protocol))));
    }

    /// The same for the servers of the service that is written next.
    pub(super) fn distinguish_servers(&mut self, servers: impl Iterator<Item = Endpoint>) {
        if self.are_numeric() {
            return;
        }
        self.servers_alike = self.alike(servers);
    }

    /// Those that have the same text as another of the same protocol.
    fn alike(&mut self, endpoints: impl Iterator<Item = Endpoint>) -> HashSet<Endpoint> {
        let mut alike = HashSet::new();
        let mut named: HashMap<(Option<Protocol>, Vec<u8>), Endpoint> = HashMap::new();
        for endpoint in endpoints {
            let mut name = Draft::new();
            self.write_with_names(&mut name, endpoint);
            if let Some(other) = named.insert((endpoint.2, name.as_bytes().to_vec()), endpoint) {
                alike.extend([other, endpoint]);
            }
        }
        alike
    }

    /// Write a line that `build` makes, without its end.
    pub(super) fn line(
        &mut self,
        out: &mut impl io::Write,
        build: impl FnOnce(&mut Draft, &mut Self),
    ) -> io::Result<()> {
        self.with_room(|line, labels| {
            build(line, labels);
            line.push(b'\n');
            out.write_all(line.as_bytes())
        })
    }

    /// Do this with an empty line, the room for which is used again.
    pub(super) fn with_room<T>(&mut self, work: impl FnOnce(&mut Draft, &mut Self) -> T) -> T {
        let mut line = std::mem::take(&mut self.line);
        line.clear();
        let outcome = work(&mut line, self);
        self.line = line;
        outcome
    }

    /// The name of this address, if names are wanted and it has one.
    fn host(&self, address: IpAddr) -> Option<&str> {
        self.names.as_ref()?.hosts.get(&address).map(String::as_str)
    }

    /// Append an address without a port, and so without brackets.
    pub(super) fn write_host(&mut self, text: &mut Draft, address: IpAddr) {
        match (self.host(address), address) {
            (Some(host), _) => text.push_str(host),
            (None, IpAddr::V4(address)) => text.push_ipv4(address),
            (None, IpAddr::V6(address)) => write_ipv6(text, address),
        }
    }

    /// `address:port`, an IPv6 address in brackets. Without a protocol the port has no name.
    pub fn text(&mut self, address: IpAddr, port: u16, protocol: Option<Protocol>) -> String {
        let mut text = Draft::new();
        self.write(&mut text, address, port, protocol);
        text.into_string()
    }

    /// The name of a service, whose first word has room for `width` characters: `TCP  www:http`, `FWM  5 IPv6`.
    pub(super) fn service_name(&mut self, key: &ServiceKey, width: usize) -> String {
        let mut text = Draft::new();
        self.write_service_name(&mut text, key, width, |text, labels, address, port| {
            labels.write(text, address, port, key.protocol());
        });
        text.into_string()
    }

    /// Append the name of a service with its address and port as `endpoint` writes them.
    pub(super) fn write_service_name(
        &mut self,
        text: &mut Draft,
        key: &ServiceKey,
        width: usize,
        endpoint: impl FnOnce(&mut Draft, &mut Self, IpAddr, u16),
    ) {
        // There is always room in a draft.
        let _ = key.write_name(text, width, |text, address, port, _| {
            endpoint(text, self, address, port);
            Ok(())
        });
    }

    /// Append what [`Labels::text`] gives.
    pub(super) fn write(&mut self, text: &mut Draft, address: IpAddr, port: u16, protocol: Option<Protocol>) {
        if let (None, IpAddr::V4(address)) = (&self.names, address) {
            let mut field = Field::new();
            field.endpoint(address, port);
            text.push_field(&field);
            return;
        }
        self.write_with_names(text, (address, port, protocol));
    }

    /// The same for the service of a rule, as numbers if need be, see [`Labels::distinguish_services`].
    pub(super) fn write_service(&mut self, text: &mut Draft, address: IpAddr, port: u16, protocol: Protocol) {
        self.write_apart(|labels| &labels.services_alike, text, (address, port, Some(protocol)));
    }

    /// The same for a server of a rule.
    pub(super) fn write_server(&mut self, text: &mut Draft, address: IpAddr, port: u16, protocol: Option<Protocol>) {
        self.write_apart(|labels| &labels.servers_alike, text, (address, port, protocol));
    }

    fn write_apart(
        &mut self,
        alike: impl Fn(&Self) -> &HashSet<Endpoint>,
        text: &mut Draft,
        (address, port, protocol): Endpoint,
    ) {
        if !self.are_numeric() && alike(self).contains(&(address, port, protocol)) {
            Self::numeric().write(text, address, port, protocol);
        } else {
            self.write(text, address, port, protocol);
        }
    }

    /// Append the names of these, where there are any.
    fn write_with_names(&mut self, text: &mut Draft, (address, port, protocol): Endpoint) {
        let host = self.host(address);
        match (address, host) {
            (IpAddr::V4(_), Some(host)) => text.push_str(host),
            (IpAddr::V6(_), Some(host)) => {
                text.push(b'[');
                text.push_str(host);
                text.push(b']');
            }
            (IpAddr::V4(address), None) => text.push_ipv4(address),
            (IpAddr::V6(address), None) => {
                text.push(b'[');
                write_ipv6(text, address);
                text.push(b']');
            }
        }
        text.push(b':');
        let name = match (&self.names, protocol) {
            (Some(names), Some(protocol)) => names.ports.get(&(port, protocol)),
            _ => None,
        };
        match name.and_then(|name| printed(name, self.restorable)) {
            Some(name) => text.push_str(&name),
            None => text.push_number(port),
        }
    }
}

/// How a name is printed, whatever the name service says; not, if it must be read back and cannot.
fn printed(name: &str, restorable: bool) -> Option<Cow<'_, str>> {
    let safe = escaped(name);
    (!restorable || matches!(safe, Cow::Borrowed(_))).then_some(safe)
}

/// Whether a name would be read as an address: by a person, or by inet_aton(3) in a saved rule. Who answers for an address
/// could have another one printed in its place.
fn reads_as_an_address(name: &str) -> bool {
    let is_number = |part: &str| match part.strip_prefix("0x").or_else(|| part.strip_prefix("0X")) {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()),
    };
    name.contains(':') || name.trim_end_matches('.').split('.').all(is_number)
}

/// As inet_ntop(3) of the C library writes it, which knows addresses with an IPv4 address at their end, too
/// (`::1.2.3.4`). The standard library does not, and with it `-Sn` of IPv6 takes 5 % more instructions, kernel included.
fn write_ipv6(text: &mut Draft, address: Ipv6Addr) {
    let segments = address.segments();
    let dotted = match segments {
        [0, 0, 0, 0, 0, 0xffff, ..] => Some("::ffff:"),
        [0, 0, 0, 0, 0, 0, 1..=u16::MAX, _] => Some("::"),
        _ => None,
    };
    if let Some(start) = dotted {
        let [.., a, b, c, d] = address.octets();
        text.push_str(start);
        text.push_ipv4(Ipv4Addr::new(a, b, c, d));
        return;
    }
    // The longest run of zeros is left out; of several the first (RFC 5952, 4.2).
    let (mut start, mut longest) = (0, 0..0);
    for (index, segment) in segments.iter().enumerate() {
        if *segment != 0 {
            start = index + 1;
        } else if index - start >= longest.len() {
            longest = start..index + 1;
        }
    }
    if longest.len() < 2 {
        write_segments(text, &segments);
    } else {
        write_segments(text, &segments[..longest.start]);
        text.push_str("::");
        write_segments(text, &segments[longest.end..]);
    }
}

/// In hexadecimal, with colons between.
fn write_segments(text: &mut Draft, segments: &[u16]) {
    for (index, segment) in segments.iter().enumerate() {
        if index > 0 {
            text.push(b':');
        }
        let digits = 4 - (segment | 1).leading_zeros() / 4;
        for digit in (0..digits).rev() {
            text.push(b"0123456789abcdef"[usize::from(segment >> (4 * digit) & 0xf)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::array;
    use proptest::prelude::*;

    use super::*;

    fn label(address: &str, port: u16) -> String {
        Labels::numeric().text(address.parse().unwrap(), port, Some(Protocol::Tcp))
    }

    #[test]
    fn names_are_safe_to_print_and_can_be_read_back_where_they_must() {
        let address: IpAddr = [10, 0, 0, 1].into();
        for (name, shown, restorable) in [
            ("www", "www", Some("www")),
            ("zwölf", "zwölf", Some("zwölf")),
            ("e\x1b[2J\u{9b}", r"e\x1b[2J\xc2\x9b", None),
        ] {
            assert_eq!(printed(name, false).as_deref(), Some(shown));
            assert_eq!(printed(name, true).as_deref(), restorable);
            let mut labels = Labels::with_names(HashMap::new());
            labels.add_hosts([(address, name.to_owned())]);
            assert_eq!(labels.text(address, 9, None), format!("{shown}:9"));
        }
    }

    #[test]
    fn a_name_that_reads_as_an_address_is_not_printed() {
        let address: IpAddr = [10, 0, 0, 1].into();
        for (name, shown) in [
            ("192.0.2.9", false),
            ("192.0.2.9.", false),
            ("10.9", false),
            ("0xa.0.0.2", false),
            ("167772161", false),
            ("2001:db8::1", false),
            ("9.example", true),
            ("rack.1", true),
            ("1.2.3.4.example", true),
            ("10-0-0-2", true),
        ] {
            let mut labels = Labels::with_names(HashMap::new());
            labels.add_hosts([(address, name.to_owned())]);
            assert_eq!(labels.text(address, 9, None), format!("{}:9", if shown { name } else { "10.0.0.1" }));
        }
    }

    #[test]
    fn addresses_read_as_the_c_library_writes_them() {
        assert_eq!(label("1.2.3.4", 80), "1.2.3.4:80");
        assert_eq!(label("2001:db8::1", 0), "[2001:db8::1]:0");
        assert_eq!(label("::1:80", 0), "[::0.1.0.128]:0");
        assert_eq!(label("::1", 1), "[::1]:1");
        assert_eq!(label("::", 1), "[::]:1");
        assert_eq!(label("::ffff:1.2.3.4", 1), "[::ffff:1.2.3.4]:1");
    }

    proptest! {
        /// All others read as the standard library writes them.
        #[test]
        fn addresses_read_as_the_standard_library_writes_them(
            segments in array::uniform8(prop_oneof![Just(0), 0..=0x11_u16, any::<u16>()]),
        ) {
            let address = Ipv6Addr::from(segments);
            prop_assume!(segments[..6] != [0; 6]);
            let mut text = Draft::new();
            write_ipv6(&mut text, address);
            prop_assert_eq!(text.into_string(), address.to_string());
        }
    }
}
