//! services(5): names of ports.

use std::collections::HashMap;

use ipvs_client::Protocol;

/// Where they are.
pub(super) const PATH: &str = "/etc/services";

/// Its lines, as far as they are of use here.
#[derive(Debug, Default)]
pub(super) struct Services(Vec<Line>);

#[derive(Debug)]
struct Line {
    names: Vec<String>,
    port: u16,
    protocol: Protocol,
}

impl Services {
    pub(super) fn parse(text: &[u8]) -> Self {
        Self(String::from_utf8_lossy(text).lines().filter_map(Line::parse).collect())
    }

    /// The port of this name or alias.
    pub(super) fn port(&self, name: &str, protocol: Protocol) -> Option<u16> {
        let mut lines = self.0.iter();
        lines.find(|line| line.protocol == protocol && line.names.iter().any(|n| n == name)).map(|line| line.port)
    }

    /// The first name of each port.
    pub(super) fn names(self) -> HashMap<(u16, Protocol), String> {
        let mut names = HashMap::with_capacity(self.0.len());
        for line in self.0 {
            names
                .entry((line.port, line.protocol))
                .or_insert_with(|| line.names.into_iter().next().unwrap_or_default());
        }
        names
    }
}

impl Line {
    /// `name port/protocol alias… # comment`
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split('#').next()?.split_ascii_whitespace();
        let name = words.next()?;
        let (port, protocol) = words.next()?.split_once('/')?;
        let protocol = Protocol::named(protocol)?;
        let names = std::iter::once(name).chain(words).map(str::to_owned).collect();
        Some(Self { names, port: port.parse().ok()?, protocol })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_found_by_name_alias_and_port_of_their_protocol() {
        let text =
            b"# a comment\nhttp\t\t80/tcp\t\twww\t# web\nntp 123/udp\nbad\nworse x/tcp\nodd 9/ddp\nhttp-alt 80/tcp\n";
        let services = Services::parse(text);
        assert_eq!(services.port("http", Protocol::Tcp), Some(80));
        assert_eq!(services.port("www", Protocol::Tcp), Some(80));
        assert_eq!(services.port("http", Protocol::Udp), None);
        assert_eq!(services.port("HTTP", Protocol::Tcp), None);
        let names = services.names();
        let name = |port, protocol| names.get(&(port, protocol)).map(String::as_str);
        assert_eq!(name(80, Protocol::Tcp), Some("http"));
        assert_eq!(name(123, Protocol::Udp), Some("ntp"));
        assert_eq!(name(9, Protocol::Tcp), None);
    }
}
