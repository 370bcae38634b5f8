//! What services and servers are called: one spelling, written and read.
//!
//! A service is `TCP 192.0.2.1:80`, `UDP [2001:db8::1]:53`, `FWM 5` or, for IPv6, `FWM 5 IPv6`; a server is `10.0.0.1:80` or
//! `[2001:db8::2]:80`. Protocols are read in small letters, too.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use super::{DestinationKey, Family, Protocol, ServiceKey};

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Address { protocol, address, port } => write!(f, "{protocol} {}", SocketAddr::new(address, port)),
            Self::Mark { mark, family: Family::Ipv4 } => write!(f, "FWM {mark}"),
            Self::Mark { mark, family: Family::Ipv6 } => write!(f, "FWM {mark} IPv6"),
        }
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
            "FWM" => {
                let (mark, family) = match rest.strip_suffix(" IPv6") {
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
    use super::*;

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
