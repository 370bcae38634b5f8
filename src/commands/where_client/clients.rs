//! Clients as they are typed: an address, or an address and a port.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// A client, and the port that it comes from if that was said.
pub(super) type Client = (IpAddr, Option<u16>);

/// `198.51.100.7`, `198.51.100.7:40000`, `2001:db8::7`, `[2001:db8::7]:40000` or `[2001:db8::7]`. Names are not looked up.
pub(super) fn client(text: &[u8]) -> Option<Client> {
    if let Some(client) = dotted_quad(text) {
        return Some(client);
    }
    let text = std::str::from_utf8(text).ok()?;
    if let Ok(address) = text.parse::<SocketAddr>() {
        // A zone means nothing to IPVS.
        return (!text.contains('%')).then_some((address.ip(), Some(address.port())));
    }
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    match bare {
        Some(bare) => bare.parse().ok().map(|address: std::net::Ipv6Addr| (address.into(), None)),
        None => text.parse().ok().map(|address| (address, None)),
    }
}

/// The usual form, quickly: `A.B.C.D` or `A.B.C.D:PORT`.
fn dotted_quad(text: &[u8]) -> Option<Client> {
    let mut rest = text;
    let mut octets = [0; 4];
    for (place, octet) in octets.iter_mut().enumerate() {
        if place > 0 {
            rest = rest.strip_prefix(b".")?;
        }
        let number;
        (number, rest) = leading_number(rest)?;
        *octet = u8::try_from(number).ok()?;
    }
    let port = match rest {
        [] => None,
        [b':', digits @ ..] => {
            let (port, rest) = leading_number(digits)?;
            Some(u16::try_from(port).ok().filter(|_| rest.is_empty())?)
        }
        _ => return None,
    };
    Some((Ipv4Addr::from(octets).into(), port))
}

/// At most five digits, without zeros in front, and what follows them.
#[inline]
fn leading_number(text: &[u8]) -> Option<(u32, &[u8])> {
    let length = text.iter().take(6).take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(length);
    let is_plain = matches!(digits, [b'0'] | [b'1'..=b'9', ..]) && length < 6;
    is_plain.then(|| (digits.iter().fold(0, |number, digit| number * 10 + u32::from(digit - b'0')), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_addresses_with_or_without_a_port() {
        for (text, address, port) in [
            ("198.51.100.7", "198.51.100.7", None),
            ("198.51.100.7:0", "198.51.100.7", Some(0)),
            ("198.51.100.7:65535", "198.51.100.7", Some(65535)),
            ("2001:db8::7", "2001:db8::7", None),
            ("[2001:db8::7]", "2001:db8::7", None),
            ("[2001:db8::7]:80", "2001:db8::7", Some(80)),
        ] {
            assert_eq!(client(text.as_bytes()), Some((address.parse().unwrap(), port)), "{text}");
        }
        for text in [
            "",
            "-",
            "198.51.100",
            "198.51.100.7:",
            "198.51.100.7:65536",
            "198.51.100.256",
            "198.51.100.07",
            "198.51.100.7:http",
            "198.51.100.7 ",
            "[198.51.100.7]",
            "[2001:db8::7",
            "[fe80::1%1]:80",
            "fe80::1%1",
            "web",
            "\x7f",
        ] {
            assert_eq!(client(text.as_bytes()), None, "{text}");
        }
    }
}
