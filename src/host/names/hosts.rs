//! hosts(5), as the C library reads it.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr};

use super::message::Kind;

/// Where it is.
pub(super) const PATH: &str = "/etc/hosts";

/// Its text.
pub(super) struct Hosts(String);

impl Hosts {
    /// # Errors
    /// It cannot be read.
    pub(super) fn read() -> io::Result<Self> {
        std::fs::read(PATH).map(|text| Self(String::from_utf8_lossy(&text).into_owned()))
    }

    /// The first address of this kind of each of these names that has one.
    pub(super) fn addresses<'n>(
        &self,
        names: impl IntoIterator<Item = &'n str>,
        kind: Kind,
    ) -> HashMap<&'n str, IpAddr> {
        let mut wanted: HashMap<String, Vec<&str>> = HashMap::new();
        for name in names {
            wanted.entry(name.to_ascii_lowercase()).or_default().push(name);
        }
        let mut found = HashMap::new();
        for (address, names) in self.lines() {
            for name in names.split_ascii_whitespace() {
                let Some(same) = wanted.get(&name.to_ascii_lowercase()) else { continue };
                let Some(address) = of_kind(address, kind) else { break };
                for name in same {
                    found.entry(*name).or_insert(address);
                }
            }
        }
        found
    }

    /// The first name of each of these addresses that has one.
    pub(super) fn names(&self, addresses: &[IpAddr]) -> HashMap<IpAddr, String> {
        let wanted: HashSet<IpAddr> = addresses.iter().copied().collect();
        let mut found = HashMap::new();
        for (text, names) in self.lines() {
            let Some(name) = names.split_ascii_whitespace().next() else { continue };
            for address in [of_kind(text, Kind::Ipv4), of_kind(text, Kind::Ipv6)].into_iter().flatten() {
                if wanted.contains(&address) {
                    found.entry(address).or_insert_with(|| name.to_owned());
                }
            }
        }
        found
    }

    /// The address of each line, as text, and its names.
    fn lines(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.lines().filter_map(|line| {
            // The C library sees the end of a line in a NUL.
            let line = line.split(['#', '\0']).next()?.trim_ascii_start();
            line.split_once([' ', '\t'])
        })
    }
}

/// The address, if it can be one of this kind. For a look-up of IPv4, `::1` is 127.0.0.1, and an IPv4 address may be mapped.
fn of_kind(text: &str, kind: Kind) -> Option<IpAddr> {
    let address: IpAddr = text.parse().ok()?;
    match (kind, address) {
        (Kind::Ipv4, IpAddr::V6(address)) if address.is_loopback() => Some(Ipv4Addr::LOCALHOST.into()),
        (Kind::Ipv4, IpAddr::V6(address)) => address.to_ipv4_mapped().map(IpAddr::V4),
        (Kind::Ipv6, IpAddr::V4(_)) => None,
        _ => Some(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "::1 ip6-localhost ip6-loopback\n127.0.0.1 localhost\n10.0.0.9 Multi.Example multi2\n\
        10.0.0.1 multi.example\n::ffff:10.0.0.7 mapped.example\n10.0.0.10 hash.example#x\n10.0.0.11 a.b.\tc.d\n \
        10.0.0.12 leading.example\n10.0.0.013 zeros.example\n2001:db8::1 six.example\nfe80::1%lo scope.example\n\
        10.0.0.15 zwölf.example\n10.0.0.17 -dash 10.9.9.9\n10.0.0.19 \n10.0.0.21 crlf.example\r\n\
        10.0.0.22 nul.ex\0ample\n10.0.0.23 last.example";

    // What gethostbyname(3) and gethostbyaddr(3) of glibc 2.36 make of the same file.
    #[test]
    fn names_mean_what_they_mean_to_the_c_library() {
        let hosts = Hosts(TEXT.into());
        let address = |name: &str| hosts.addresses([name], Kind::Ipv4).get(name).map(ToString::to_string);
        for (name, expected) in [
            ("multi.example", "10.0.0.9"),
            ("MULTI2", "10.0.0.9"),
            ("ip6-localhost", "127.0.0.1"),
            ("mapped.example", "10.0.0.7"),
            ("hash.example", "10.0.0.10"),
            ("a.b.", "10.0.0.11"),
            ("c.d", "10.0.0.11"),
            ("leading.example", "10.0.0.12"),
            ("zwölf.example", "10.0.0.15"),
            ("-dash", "10.0.0.17"),
            ("crlf.example", "10.0.0.21"),
            ("nul.ex", "10.0.0.22"),
            ("last.example", "10.0.0.23"),
        ] {
            assert_eq!(address(name).as_deref(), Some(expected), "{name}");
        }
        for name in ["a.b", "multi.example.", "hash.example#x", "zeros.example", "six.example", "scope.example"] {
            assert_eq!(address(name), None, "{name}");
        }
        assert_eq!(hosts.addresses(["six.example"], Kind::Ipv6)["six.example"].to_string(), "2001:db8::1");
        assert_eq!(hosts.addresses(["c.d", "C.D"], Kind::Ipv4).len(), 2);
    }

    #[test]
    fn an_address_has_the_first_name() {
        let hosts = Hosts(TEXT.into());
        let name = |address: &str| hosts.names(&[address.parse().unwrap()]).into_values().next();
        for (address, expected) in [
            ("127.0.0.1", "ip6-localhost"),
            ("::1", "ip6-localhost"),
            ("10.0.0.9", "Multi.Example"),
            ("10.0.0.7", "mapped.example"),
            ("10.0.0.11", "a.b."),
            ("2001:db8::1", "six.example"),
        ] {
            assert_eq!(name(address).as_deref(), Some(expected), "{address}");
        }
        for address in ["10.0.0.13", "10.0.0.19", "::ffff:10.0.0.9"] {
            assert_eq!(name(address), None, "{address}");
        }
    }
}
