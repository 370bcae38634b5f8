//! A line of a list: by columns, where it has the usual width, or word by word. What both read, they read alike.
//!
//! `-Lnc` of 200,000 connections takes 3.5 times the instructions word by word, kernel included.

use std::net::{IpAddr, Ipv4Addr};

use super::{Connection, Origin, Usual, Word};

/// Bytes of a line with IPv4 addresses and its end, as the kernel lays it out (`ip_vs_conn_sync_seq_show`:
/// `%-3s %08X %04X %08X %04X %08X %04X %-11s %-6s %7u`).
pub(super) const USUAL: usize = 73;

/// The same in the list with engine data (`ip_vs_conn_seq_show`: `%-3s %08X %04X %08X %04X %08X %04X %-11s %7u`), of a
/// connection that has none.
pub(super) const USUAL_WITHOUT_DATA: usize = 66;

/// Where protocol, endpoints and state end. Both lists begin alike.
const BEGINNING: usize = 57;

/// Client, virtual address and server.
type Endpoints<A> = [(A, u16); 3];

/// The parts of a line of the usual width.
pub(super) fn usual(line: &[u8; USUAL]) -> Option<Usual<'_>> {
    let (protocol, endpoints, state) = beginning(line.first_chunk()?)?;
    let origin = match &line[BEGINNING..=64] {
        b" LOCAL  " => Origin::Local,
        b" SYNC   " => Origin::Sync,
        _ => return None,
    };
    let expires = padded_number(line[65..].first_chunk()?)?;
    (line[USUAL - 1] == b'\n').then_some(Usual { protocol, endpoints, state, origin, expires })
}

/// What connection a line of the usual width in the list with engine data is.
pub(super) fn usual_without_data(line: &[u8; USUAL_WITHOUT_DATA]) -> Option<(&[u8], Endpoints<Ipv4Addr>)> {
    let (protocol, endpoints, _) = beginning(line.first_chunk()?)?;
    padded_number(line[58..].first_chunk()?)?;
    let ends = line[BEGINNING] == b' ' && line[USUAL_WITHOUT_DATA - 1] == b'\n';
    ends.then_some((protocol.trim_ascii_end(), endpoints))
}

type Beginning<'l> = (&'l [u8; 3], Endpoints<Ipv4Addr>, &'l [u8; 11]);

fn beginning(line: &[u8; BEGINNING]) -> Option<Beginning<'_>> {
    let (protocol, state) = (line.first_chunk()?, line.last_chunk()?);
    let blanks = [3, 12, 17, 26, 31, 40, 45].iter().all(|&at| line[at] == b' ');
    if !blanks || !is_padded_word(protocol) || !is_padded_word(state) {
        return None;
    }
    let endpoint = |at: usize| {
        let address = Ipv4Addr::from(hexadecimal(&line[at..at + 8], 8)?);
        Some((address, hexadecimal(&line[at + 9..at + 13], 4)? as u16))
    };
    Some((protocol, [endpoint(4)?, endpoint(18)?, endpoint(32)?], state))
}

/// A word of graphic ASCII characters, and blanks behind it; of 16 bytes at most, which are looked at together. It saves 6.5 % of
/// the instructions of `-Lnc`.
fn is_padded_word<const WIDTH: usize>(bytes: &[u8; WIDTH]) -> bool {
    const fn all(byte: u8) -> u128 {
        u128::from_ne_bytes([byte; 16])
    }
    let mut padded = [b' '; 16];
    padded[..WIDTH].copy_from_slice(bytes);
    // The first byte is the lowest. The highest bit of each byte is free in ASCII, so no sum carries into the next one.
    let word = u128::from_le_bytes(padded);
    let high = all(0x80);
    let is_ascii = word & high == 0;
    let word = word & !high;
    let is_printable = (word + all(0x80 - b' ')) & !(word + all(0x80 - 0x7f)) & high == high;
    let is_graphic = (word + all(0x80 - b'!')) & high;
    // None of the graphic ones stands behind a blank, and the first is one.
    is_ascii && is_printable && is_graphic & (!is_graphic & high) << 8 == 0 && is_graphic & 0x80 != 0
}

/// Blanks, and a number behind them.
fn padded_number(bytes: &[u8; 7]) -> Option<u32> {
    let digits = &bytes[bytes.iter().take_while(|&&byte| byte == b' ').count()..];
    let number = digits
        .iter()
        .try_fold(0, |value: u32, byte| byte.is_ascii_digit().then(|| value * 10 + u32::from(byte - b'0')));
    number.filter(|_| !digits.is_empty())
}

/// `TCP 0A010101 D4FC 0A010102 0050 7F000001 1F90 TIME_WAIT LOCAL 119`
pub(super) fn connection(line: &[u8]) -> Option<Connection> {
    let mut words = Words(line);
    let (protocol, [source, virtual_address, destination], state) = words.connection()?;
    let origin = match words.next() {
        b"LOCAL" => Origin::Local,
        b"SYNC" => Origin::Sync,
        _ => return None,
    };
    let expires = number(words.next())?;
    let ends = words.next().is_empty();
    ends.then_some(Connection { protocol, source, virtual_address, destination, state, origin, expires })
}

/// Protocol, endpoints and what stands behind the expiry, of a line of the list with engine data:
/// `TCP 0A010101 D4FC 0A010102 0050 7F000001 1F90 TIME_WAIT 119 sip CALL-ID`
pub(super) fn with_data(line: &[u8]) -> Option<(Word, Endpoints<IpAddr>, &[u8])> {
    let mut words = Words(line);
    let (protocol, endpoints, _) = words.connection()?;
    number(words.next())?;
    Some((protocol, endpoints, words.0))
}

/// The words of a line, with blanks between them; empty ones behind the last.
pub(super) struct Words<'l>(pub(super) &'l [u8]);

impl<'l> Words<'l> {
    pub(super) fn next(&mut self) -> &'l [u8] {
        let start = self.0.iter().position(|&byte| byte != b' ').unwrap_or(self.0.len());
        let rest = &self.0[start..];
        let (word, rest) = rest.split_at(rest.iter().position(|&byte| byte == b' ').unwrap_or(rest.len()));
        self.0 = rest;
        word
    }

    fn connection(&mut self) -> Option<(Word, Endpoints<IpAddr>, Word)> {
        let protocol = name(self.next())?;
        let mut endpoint = || endpoint(self.next(), self.next());
        let endpoints = [endpoint()?, endpoint()?, endpoint()?];
        Some((protocol, endpoints, name(self.next())?))
    }
}

fn name(word: &[u8]) -> Option<Word> {
    let is_name = !word.is_empty() && word.iter().all(u8::is_ascii_graphic);
    is_name.then(|| Word::new(word))?
}

fn number(word: &[u8]) -> Option<u32> {
    if !word.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(word).ok()?.parse().ok()
}

/// An IPv4 address is eight hexadecimal digits, an IPv6 address eight groups; a port is hexadecimal.
fn endpoint(address: &[u8], port: &[u8]) -> Option<(IpAddr, u16)> {
    let address = if address.contains(&b':') {
        IpAddr::V6(std::str::from_utf8(address).ok()?.parse().ok()?)
    } else {
        IpAddr::V4(Ipv4Addr::from(hexadecimal(address, 8)?))
    };
    Some((address, hexadecimal(port, 4)? as u16))
}

/// What a hexadecimal digit stands for; of other bytes something larger than 15. It saves 17 % of the instructions of `-Lnc`.
const DIGITS: [u8; 256] = {
    let mut digits = [u8::MAX; 256];
    let mut value = 0;
    while value < 16 {
        digits[b"0123456789ABCDEF"[value] as usize] = value as u8;
        digits[b"0123456789abcdef"[value] as usize] = value as u8;
        value += 1;
    }
    digits
};

/// A hexadecimal number of at most this many digits, of which 8 fill it.
fn hexadecimal(digits: &[u8], most: usize) -> Option<u32> {
    let (value, largest) = digits.iter().fold((0, 0), |(value, largest): (u32, u8), &byte| {
        let digit = DIGITS[usize::from(byte)];
        (value << 4 | u32::from(digit), largest | digit)
    });
    (!digits.is_empty() && digits.len() <= most && largest < 16).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::is_padded_word;

    #[test]
    fn a_padded_word_is_a_word_and_blanks() {
        let plainly = |bytes: &[u8]| {
            let length = bytes.iter().position(|&byte| byte == b' ').unwrap_or(bytes.len());
            length > 0
                && bytes[..length].iter().all(u8::is_ascii_graphic)
                && bytes[length..].iter().all(|&byte| byte == b' ')
        };
        let mut words = 0;
        for first in 0..=255 {
            for second in 0..=255 {
                for third in [0, 9, b' ', b'!', b'~', 0x7f, 0x80, 0xa0, 0xff] {
                    let short = [first, second, third];
                    assert_eq!(is_padded_word(&short), plainly(&short), "{short:?}");
                    let mut long = *b"ESTABLISHED";
                    long[8..].copy_from_slice(&short);
                    assert_eq!(is_padded_word(&long), plainly(&long), "{long:?}");
                    words += u32::from(plainly(&short));
                }
            }
        }
        assert_eq!(words, 94 * (94 * 3 + 1));
    }
}
