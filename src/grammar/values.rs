//! Values as the original reads them: numbers, addresses, masks, ports, names.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipvs_client::Protocol;

/// Names of hosts and ports. The grammar does not know how they are looked up.
pub trait Names {
    /// The first IPv4 address of a host, or if it has none its first IPv6 address; or why that is not known. `None` if the
    /// host has not been looked up: [`Names::look_up`] does it.
    fn host(&self, name: &str) -> Option<Result<IpAddr, String>>;
    /// Look up all hosts that [`Names::host`] was asked for and had no answer to, together.
    fn look_up(&self) {}
    /// The port of a named service of this protocol.
    fn port(&self, name: &str, protocol: Protocol) -> Option<u16>;
}

/// Only numbers are understood. Looking a name up can take long, and differs from machine to machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoNames;

impl Names for NoNames {
    fn host(&self, _name: &str) -> Option<Result<IpAddr, String>> {
        Some(Err("names are not looked up here".to_owned()))
    }

    fn port(&self, _name: &str, _protocol: Protocol) -> Option<u16> {
        None
    }
}

/// Why a text is not an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadAddress {
    /// It cannot be one.
    Illegal,
    /// It is the name of a host whose address is not known.
    Unresolved {
        /// The host.
        host: String,
        /// Why.
        why: String,
    },
    /// It is the name of a host that has not been looked up.
    Pending,
}

/// What stands for an address until it is known.
pub trait Placeholder {
    /// It.
    const PLACEHOLDER: Self;
}

impl Placeholder for Ipv4Addr {
    const PLACEHOLDER: Self = Self::UNSPECIFIED;
}

impl Placeholder for (IpAddr, Option<u16>) {
    const PLACEHOLDER: Self = (IpAddr::V4(Ipv4Addr::UNSPECIFIED), None);
}

/// A number within bounds: leading blanks, a sign and zeros are fine, anything behind the digits is not.
#[must_use]
pub fn number(text: &[u8], minimum: u64, maximum: u64) -> Option<u64> {
    // What isspace(3) calls a blank.
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let mut digits = &text[text.iter().take_while(|byte| blank(byte)).count()..];
    let negative = match digits {
        [b'-', rest @ ..] => {
            digits = rest;
            true
        }
        [b'+', rest @ ..] => {
            digits = rest;
            false
        }
        _ => false,
    };
    if digits.is_empty() {
        return None;
    }
    let mut value: u64 = 0;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
    }
    if negative && value != 0 {
        return None;
    }
    (minimum..=maximum).contains(&value).then_some(value)
}

/// An IPv4 address as inet_aton(3) reads it: one to four parts, each decimal, octal (0…) or hexadecimal (0x…), the last
/// filling all bytes that are left. Unlike there, nothing may follow.
#[must_use]
pub fn inet_aton(text: &[u8]) -> Option<Ipv4Addr> {
    let mut address: u32 = 0;
    let mut parts = text.split(|&byte| byte == b'.').peekable();
    let mut count = 0;
    while let Some(part) = parts.next() {
        count += 1;
        let value = aton_part(part)?;
        if parts.peek().is_some() {
            if count == 4 || value > 0xff {
                return None;
            }
            address |= value << (32 - 8 * count);
        } else {
            if count > 1 && value >= 1 << (8 * (5 - count)) {
                return None;
            }
            address |= value;
        }
    }
    Some(Ipv4Addr::from(address))
}

fn aton_part(part: &[u8]) -> Option<u32> {
    let (radix, digits) = match part {
        [b'0', b'x' | b'X', rest @ ..] => (16, rest),
        [b'0', rest @ ..] if !rest.is_empty() => (8, rest),
        _ => (10, part),
    };
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u32, |value, &byte| {
        let digit = char::from(byte).to_digit(radix)?;
        value.checked_mul(radix)?.checked_add(digit)
    })
}

/// The text as a name to look up, if it can be one: what holds blanks or controls is not a host, and what consists of digits
/// and dots would be an address.
fn name(text: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(text).ok()?;
    (!text.is_empty() && !text.bytes().any(|byte| byte.is_ascii_whitespace() || byte.is_ascii_control()))
        .then_some(text)
}

/// Whether this was meant as the name of a host, more likely than as an address.
fn is_like_a_name(text: &str) -> bool {
    text.starts_with(|first: char| !first.is_ascii() || first.is_ascii_alphanumeric())
        && text.contains(|letter: char| !letter.is_ascii() || letter.is_ascii_alphabetic())
        && text.bytes().all(|byte| !byte.is_ascii() || byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// The address of a host.
fn host(text: &[u8], names: &dyn Names) -> Result<IpAddr, BadAddress> {
    let is_number = text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'.'));
    let host = name(text).filter(|_| !is_number).ok_or(BadAddress::Illegal)?;
    match names.host(host) {
        Some(Ok(address)) => Ok(address),
        Some(Err(why)) if is_like_a_name(host) => Err(BadAddress::Unresolved { host: host.to_owned(), why }),
        Some(Err(_)) => Err(BadAddress::Illegal),
        None => Err(BadAddress::Pending),
    }
}

/// An IPv4 address, or the first one of a host.
///
/// # Errors
/// It is none.
pub fn ipv4(text: &[u8], names: &dyn Names) -> Result<Ipv4Addr, BadAddress> {
    match inet_aton(text).map_or_else(|| host(text, names), |address| Ok(address.into()))? {
        IpAddr::V4(address) => Ok(address),
        IpAddr::V6(_) => Err(BadAddress::Illegal),
    }
}

/// An address and the port that stands behind it, if any.
///
/// IPv6 addresses stand bare, and then without a port, or in brackets, and then with one. The port may be a name of
/// `protocol`'s.
///
/// # Errors
/// It is none.
pub fn address_port(
    text: &[u8],
    protocol: Option<Protocol>,
    names: &dyn Names,
) -> Result<(IpAddr, Option<u16>), BadAddress> {
    if let Some((address, port)) = dotted_quad_and_port(text) {
        return Ok((address.into(), Some(port)));
    }
    // Digits alone would be an address to inet_aton, and never are one.
    if text.iter().all(u8::is_ascii_digit) {
        return Err(BadAddress::Illegal);
    }
    let (address, port) = if let [b'[', rest @ ..] = text {
        let end = rest.iter().position(|&byte| byte == b']').ok_or(BadAddress::Illegal)?;
        match &rest[end + 1..] {
            [b':', port @ ..] => (&rest[..end], Some(port)),
            _ => return Err(BadAddress::Illegal),
        }
    } else if let Some(address) = ipv6_literal(text) {
        return Ok((address.into(), None));
    } else {
        match text.iter().rposition(|&byte| byte == b':') {
            Some(colon) => (&text[..colon], Some(&text[colon + 1..])),
            None => (text, None),
        }
    };
    let address = match ipv6_literal(address).map(IpAddr::V6).or_else(|| inet_aton(address).map(IpAddr::V4)) {
        Some(address) => address,
        None => host(address, names)?,
    };
    let port = match port {
        None => None,
        Some(text) => Some(self::port(text, protocol, names).ok_or(BadAddress::Illegal)?),
    };
    Ok((address, port))
}

/// `A.B.C.D:PORT` in plain decimal, which is what nearly every line of a rules file has. Anything else is for the slow way:
/// a zero in front may mean octal. It saves 4.4 % of the instructions of `-R`, kernel included.
fn dotted_quad_and_port(text: &[u8]) -> Option<(Ipv4Addr, u16)> {
    match address_and_port(text)? {
        (address, port, []) => Some((address, port)),
        _ => None,
    }
}

/// `A.B.C.D:PORT` in plain decimal, and what stands behind.
pub(super) fn address_and_port(text: &[u8]) -> Option<(Ipv4Addr, u16, &[u8])> {
    let mut octets = [0; 4];
    let mut rest = text;
    for (place, octet) in octets.iter_mut().enumerate() {
        let (number, [end, behind @ ..]) = plain_number(rest)? else { return None };
        if *end != if place == 3 { b':' } else { b'.' } {
            return None;
        }
        *octet = u8::try_from(number).ok()?;
        rest = behind;
    }
    let (port, rest) = plain_number(rest)?;
    Some((octets.into(), port, rest))
}

/// A number of at most 65535, the first digit of which is a zero only if it is the only one, and what stands behind.
#[inline]
pub(super) fn plain_number(text: &[u8]) -> Option<(u16, &[u8])> {
    let [first, rest @ ..] = text else { return None };
    let mut number = digit(*first)?;
    let mut at = 0;
    while let Some(digit) = rest.get(at).and_then(|byte| digit(*byte)) {
        if number == 0 {
            return None;
        }
        number = number * 10 + digit;
        if number > u16::MAX.into() {
            return None;
        }
        at += 1;
    }
    Some((number as u16, &rest[at..]))
}

fn digit(byte: u8) -> Option<u32> {
    let value = byte.wrapping_sub(b'0');
    (value < 10).then_some(value.into())
}

fn port(text: &[u8], protocol: Option<Protocol>, names: &dyn Names) -> Option<u16> {
    match number(text, 0, 65535) {
        Some(number) => Some(number as u16),
        None => names.port(name(text)?, protocol?),
    }
}

/// An IPv6 address as inet_pton(3) reads it.
fn ipv6_literal(text: &[u8]) -> Option<Ipv6Addr> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A multicast group of the family that the text looks like.
///
/// # Errors
/// The name of that family.
pub fn multicast_group(text: &[u8]) -> Result<IpAddr, &'static str> {
    let parsed = std::str::from_utf8(text).ok();
    if text.contains(&b':') {
        let address: Option<Ipv6Addr> = parsed.and_then(|text| text.parse().ok());
        address.filter(Ipv6Addr::is_multicast).map(IpAddr::V6).ok_or("IPv6")
    } else {
        let address: Option<Ipv4Addr> = parsed.and_then(|text| text.parse().ok());
        address.filter(Ipv4Addr::is_multicast).map(IpAddr::V4).ok_or("IPv4")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_way_reads_what_the_long_way_reads() {
        for text in ["1.2.3.4:80", "0.0.0.0:0", "255.255.255.255:65535", "10.0.0.1:443"] {
            let (address, port) = dotted_quad_and_port(text.as_bytes()).unwrap();
            let (host, number) = text.split_once(':').unwrap();
            assert_eq!(Some(address), inet_aton(host.as_bytes()));
            assert_eq!(port.to_string(), number);
        }
        for text in [
            "",
            "1.2.3.4",
            "1.2.3:80",
            "1.2.3.4.5:80",
            "1.2.3.256:80",
            "1.2.3.4:65536",
            "1.2.3.4:",
            "1.2..4:80",
            "01.2.3.4:80",
            "1.2.3.4:080",
            "1.2.3.4:80:80",
            "1.2.3.4:+80",
            "0x1.2.3.4:80",
            "1.2.3.4:http",
            "::1:80",
            ":",
        ] {
            assert_eq!(dotted_quad_and_port(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn inet_aton_reads_what_the_c_library_reads() {
        for (text, address) in [
            ("10.1", "10.0.0.1"),
            ("10.1.1", "10.1.0.1"),
            ("0x0a000002", "10.0.0.2"),
            ("012.0.0.3", "10.0.0.3"),
            ("0", "0.0.0.0"),
            ("4294967295", "255.255.255.255"),
            ("255.255.255", "255.255.0.255"),
        ] {
            assert_eq!(inet_aton(text.as_bytes()), address.parse().ok(), "{text}");
        }
        for text in [
            "",
            ".",
            "1.",
            ".1",
            "1..2",
            "256.1.1.1",
            "1.2.3.256",
            "1.2.65536",
            "4294967296",
            "0x",
            "08",
            "1.2.3.4.5",
            "1 ",
        ] {
            assert_eq!(inet_aton(text.as_bytes()), None, "{text}");
        }
    }
}
