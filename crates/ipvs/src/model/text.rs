//! What services and servers are called: one spelling, written and read.
//!
//! A service is `TCP 192.0.2.1:80`, `UDP [2001:db8::1]:53`, `FWM 5` or, for IPv6, `FWM 5 IPv6`; a server is `10.0.0.1:80` or
//! `[2001:db8::2]:80`. Protocols are read in small letters, too.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use super::{DestinationKey, Family, Protocol, ServiceKey};

/// The first word of the name of a service that is a firewall mark.
const MARK: &str = "FWM";
/// The end of that name, of IPv6 packets.
const IPV6: &str = " IPv6";

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl ServiceKey {
    /// Write the service's name with the address and port as `endpoint` writes them, for example by name, after a first word
    /// of at least `width` characters. [`Display`](fmt::Display) is this with numbers.
    ///
    /// # Errors
    /// The output or `endpoint` fails.
    pub fn write_name<W: fmt::Write>(
        &self,
        out: &mut W,
        width: usize,
        endpoint: impl FnOnce(&mut W, IpAddr, u16, Protocol) -> fmt::Result,
    ) -> fmt::Result {
        let kind = self.protocol().map_or(MARK, Protocol::name);
        out.write_str(kind)?;
        (kind.len()..width).try_for_each(|_| out.write_char(' '))?;
        out.write_char(' ')?;
        match *self {
            Self::Address { protocol, address, port } => endpoint(out, address, port, protocol),
            Self::Mark { mark, family: Family::Ipv4 } => write!(out, "{mark}"),
            Self::Mark { mark, family: Family::Ipv6 } => write!(out, "{mark}{IPV6}"),
        }
    }
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_name(f, 0, |f, address, port, _| write!(f, "{}", SocketAddr::new(address, port)))
    }
}

impl fmt::Display for DestinationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::new(self.address, self.port).fmt(f)
    }
}

/// A text that names no service, server or protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadKey {
    text: String,
    wanted: &'static str,
}

impl fmt::Display for BadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not {}", self.text, self.wanted)
    }
}

impl std::error::Error for BadKey {}

fn bad(text: &str, wanted: &'static str) -> BadKey {
    BadKey { text: text.to_owned(), wanted }
}

impl FromStr for Protocol {
    type Err = BadKey;

    fn from_str(text: &str) -> Result<Self, BadKey> {
        Self::named(text).ok_or_else(|| bad(text, "TCP, UDP or SCTP"))
    }
}

impl FromStr for ServiceKey {
    type Err = BadKey;

    fn from_str(text: &str) -> Result<Self, BadKey> {
        let key = text.split_once(' ').and_then(|(kind, rest)| match kind {
            MARK => {
                let (mark, family) = match rest.strip_suffix(IPV6) {
                    Some(mark) => (mark, Family::Ipv6),
                    None => (rest, Family::Ipv4),
                };
                let mark = mark.parse().ok().filter(|number| *number != 0)?;
                Some(Self::Mark { mark, family })
            }
            protocol => {
                let (address, port) = endpoint(rest)?;
                Some(Self::Address { protocol: Protocol::named(protocol)?, address, port })
            }
        });
        key.ok_or_else(|| bad(text, "a service, such as \"TCP 192.0.2.1:80\" or \"FWM 5\""))
    }
}

impl FromStr for DestinationKey {
    type Err = BadKey;

    fn from_str(text: &str) -> Result<Self, BadKey> {
        let (address, port) = endpoint(text).ok_or_else(|| bad(text, "a server, such as \"10.0.0.1:80\""))?;
        Ok(Self { address, port })
    }
}

/// An address and port. IPVS does not know scopes of addresses.
fn endpoint(text: &str) -> Option<(IpAddr, u16)> {
    let endpoint: SocketAddr = text.parse().ok()?;
    (!text.contains('%')).then(|| (endpoint.ip(), endpoint.port()))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    #[test]
    fn a_name_is_written_in_columns_and_with_names_of_hosts() {
        let name = |key: &str| {
            let mut text = String::new();
            let key: ServiceKey = key.parse().unwrap();
            key.write_name(&mut text, 4, |text, _, port, protocol| write!(text, "www:{port}/{protocol}")).unwrap();
            text
        };
        assert_eq!(name("TCP 192.0.2.1:80"), "TCP  www:80/TCP");
        assert_eq!(name("SCTP [2001:db8::1]:80"), "SCTP www:80/SCTP");
        assert_eq!((name("FWM 5"), name("FWM 6 IPv6")), ("FWM  5".to_owned(), "FWM  6 IPv6".to_owned()));
    }

    #[test]
    fn what_is_written_is_read_back() {
        for text in ["TCP 192.0.2.1:80", "UDP [2001:db8::1]:53", "SCTP 192.0.2.1:0", "FWM 5", "FWM 4294967295 IPv6"] {
            assert_eq!(text.parse::<ServiceKey>().unwrap().to_string(), text);
        }
        for text in ["10.0.0.1:80", "[2001:db8::2]:65535"] {
            assert_eq!(text.parse::<DestinationKey>().unwrap().to_string(), text);
        }
        assert_eq!("tcp 192.0.2.1:80".parse(), Ok(ServiceKey::tcp([192, 0, 2, 1], 80)));
        assert_eq!("sctp".parse(), Ok(Protocol::Sctp));
    }

    #[test]
    fn other_texts_are_refused() {
        let texts = [
            "",
            "TCP",
            "TCP ",
            "TCP 192.0.2.1",
            "TCP  192.0.2.1:80",
            "Tcp 192.0.2.1:80",
            "TCP 192.0.2.1:65536",
            "FWM 0",
            "FWM -1",
            "FWM 5 IPv4",
            "TCP [fe80::1%1]:80",
            "TCP 2001:db8::1:80",
            "192.0.2.1:80",
        ];
        for text in texts {
            let error = text.parse::<ServiceKey>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("{text:?} is not a service")), "{error}");
        }
        for text in ["", "10.0.0.1", ":80", "10.0.0.1:", "[fe80::1%1]:80", "example:80"] {
            assert!(text.parse::<DestinationKey>().is_err(), "{text}");
        }
        assert!("icmp".parse::<Protocol>().is_err());
    }
}
