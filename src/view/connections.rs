//! `-L -c`: the connections, read from the kernel's file line by line and written as they come; sorted and counted.

use std::borrow::Cow;
use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt;
use std::io::{self, BufRead, Write};
use std::net::{IpAddr, Ipv4Addr};

use super::Labels;
use super::append::{Draft, Field};
use crate::grammar::{ConnectionKey, Connections, number};
use crate::model::{DestinationKey, Protocol, ServiceKey};

/// The kernel's list of connections, of the network namespace we are in.
pub const PATH: &str = "/proc/net/ip_vs_conn";

/// Connections whose names are looked up together.
const LOOKED_UP_TOGETHER: usize = 16 * 1024;

/// A line of that file that makes no sense.
#[derive(Debug)]
pub struct BadLine {
    /// Its number, from 1.
    pub number: u64,
    /// The field that is wrong.
    pub field: &'static str,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PATH}:{}: {} cannot be read", self.number, self.field)
    }
}

impl std::error::Error for BadLine {}

/// One connection, or what persistence remembers of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection<'l> {
    /// The kernel's name of the protocol; `IP` for a persistence template of all protocols and ports.
    pub protocol: Cow<'l, str>,
    /// The client. A persistence template has the port 0.
    pub source: (IpAddr, u16),
    /// What the client connected to. A template of a service by mark has the mark in the address's place.
    pub virtual_address: (IpAddr, u16),
    /// The real server.
    pub destination: (IpAddr, u16),
    /// The kernel's name of the state.
    pub state: Cow<'l, str>,
    /// Seconds until it is forgotten.
    pub expires: u64,
    /// Name and data of the persistence engine.
    pub engine: Option<(Cow<'l, str>, Cow<'l, str>)>,
}

/// Read the kernel's list and give each connection to `take`, in its order. Only one line of it is held.
///
/// # Errors
/// Reading fails, `take` does, or a line makes no sense ([`BadLine`] inside).
pub fn read(source: impl BufRead, take: impl FnMut(&Connection<'_>) -> io::Result<()>) -> io::Result<()> {
    lines(source, |_| Ok(false), take)
}

/// As [`read`]; but a line as long as the usual ones goes to `usual` first, which says whether that does for it.
fn lines(
    mut source: impl BufRead,
    mut usual: impl FnMut(&[u8; LINE]) -> io::Result<bool>,
    mut take: impl FnMut(&Connection<'_>) -> io::Result<()>,
) -> io::Result<()> {
    let unreadable = |error: io::Error| io::Error::new(error.kind(), format!("{PATH}: {error}"));
    let mut number = 0;
    let mut line = Vec::new();
    loop {
        // The first line names the columns.
        if number > 0 {
            let buffer = source.fill_buf().map_err(unreadable)?;
            let mut count = 0;
            for line in buffer.chunks_exact(LINE).filter_map(<[u8]>::first_chunk) {
                if !usual(line)? {
                    break;
                }
                count += 1;
            }
            source.consume(count * LINE);
            number += count as u64;
        }
        // A persistence engine's data comes from strangers and is as long as they like: lines are read whole.
        line.clear();
        if source.read_until(b'\n', &mut line).map_err(unreadable)? == 0 {
            return Ok(());
        }
        number += 1;
        if number == 1 || line.trim_ascii().is_empty() {
            continue;
        }
        let connection = Connection::parse(&line)
            .map_err(|field| io::Error::new(io::ErrorKind::InvalidData, BadLine { number, field }))?;
        take(&connection)?;
    }
}

/// Write the list: its header, and a line for each of the kernel's that is wanted.
///
/// # Errors
/// Reading or writing fails, or a line makes no sense ([`BadLine`] inside).
pub fn list(
    source: impl BufRead,
    out: &mut impl Write,
    labels: &mut Labels,
    engine_data: bool,
    wanted: &Connections,
) -> io::Result<()> {
    header(out, engine_data)?;
    let mut text = Draft::new();
    if labels.are_numeric() {
        let all = *wanted == Connections::default();
        // Two that write: the one must be done with the output before the other has it.
        let out = RefCell::new(out);
        let usual = |line: &[u8; LINE]| match translate(line) {
            Some(translated) if all => out.borrow_mut().write_all(translated.bytes()).map(|()| true),
            _ => Ok(false),
        };
        return lines(source, usual, |connection| {
            if !connection.is_of(wanted) {
                return Ok(());
            }
            text.clear();
            connection.write(&mut text, labels, engine_data);
            out.borrow_mut().write_all(text.as_bytes())
        });
    }
    // Names are looked up together, so some connections have to wait for each other; all of them could be too many.
    let mut waiting = Vec::new();
    let mut write_waiting = |waiting: &mut Vec<Connection<'static>>, labels: &mut Labels| {
        labels.look_up(waiting.iter().flat_map(Connection::addresses));
        waiting.drain(..).try_for_each(|connection| {
            text.clear();
            connection.write(&mut text, labels, engine_data);
            out.write_all(text.as_bytes())
        })
    };
    read(source, |connection| {
        if connection.is_of(wanted) {
            waiting.push(connection.clone().into_owned());
        }
        if waiting.len() < LOOKED_UP_TOGETHER { Ok(()) } else { write_waiting(&mut waiting, labels) }
    })?;
    write_waiting(&mut waiting, labels)
}

/// Write a list of connections held already.
///
/// # Errors
/// Writing fails.
pub fn list_of(
    connections: &[Connection<'_>],
    out: &mut impl Write,
    labels: &mut Labels,
    engine_data: bool,
) -> io::Result<()> {
    header(out, engine_data)?;
    connections
        .iter()
        .try_for_each(|connection| labels.line(out, |line, labels| connection.write_bare(line, labels, engine_data)))
}

fn header(out: &mut impl Write, engine_data: bool) -> io::Result<()> {
    out.write_all(b"IPVS connection entries\n")?;
    out.write_all(if engine_data {
        b"pro expire state       source             virtual            destination        pe name          pe_data\n"
    } else {
        b"pro expire state       source             virtual            destination\n".as_slice()
    })
}

/// How many connections there are of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// What they have in common.
    pub of: Counted,
    /// How many.
    pub connections: u64,
}

/// What connections that are counted together have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Counted {
    /// Their state.
    State(String),
    /// The client's address.
    Client(IpAddr),
    /// The real server's address and port.
    Server(IpAddr, u16),
}

/// Counts, kept while connections are read.
#[derive(Debug)]
pub struct Counter {
    key: ConnectionKey,
    counts: HashMap<Counted, u64>,
}

impl Counter {
    /// Nothing counted yet.
    #[must_use]
    pub fn by(key: ConnectionKey) -> Self {
        Self { key, counts: HashMap::new() }
    }

    /// Count one.
    pub fn add(&mut self, connection: &Connection<'_>) {
        let of = match self.key {
            ConnectionKey::Client => Counted::Client(connection.source.0),
            ConnectionKey::Server => Counted::Server(connection.destination.0, connection.destination.1),
            ConnectionKey::State | ConnectionKey::Expires => Counted::State(connection.state.as_ref().to_owned()),
        };
        *self.counts.entry(of).or_default() += 1;
    }

    /// What was counted, the most first, and of as many in order.
    #[must_use]
    pub fn counts(self) -> Vec<Count> {
        let mut counts: Vec<Count> =
            self.counts.into_iter().map(|(of, connections)| Count { of, connections }).collect();
        counts.sort_unstable_by(|a, b| b.connections.cmp(&a.connections).then_with(|| a.of.cmp(&b.of)));
        counts
    }
}

impl Counted {
    /// The address, if it is one.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        match *self {
            Self::State(_) => None,
            Self::Client(address) | Self::Server(address, _) => Some(address),
        }
    }

    /// As text.
    #[must_use]
    pub fn text(&self, labels: &mut Labels) -> String {
        let mut text = Draft::new();
        match self {
            Self::State(state) => text.push_str(state),
            Self::Client(address) => labels.write_host(&mut text, *address),
            Self::Server(address, port) => labels.write(&mut text, *address, *port, None),
        }
        text.into_string()
    }
}

/// Write counts: the number, as wide as the largest, and what was counted.
///
/// # Errors
/// Writing fails.
pub fn list_counts(counts: &[Count], out: &mut impl Write, labels: &mut Labels) -> io::Result<()> {
    let width = counts.first().map_or(1, |most| most.connections.to_string().len());
    counts.iter().try_for_each(|count| writeln!(out, "{:>width$} {}", count.connections, count.of.text(labels)))
}

impl Connection<'_> {
    /// Whether it is one of these.
    #[must_use]
    pub fn is_of(&self, wanted: &Connections) -> bool {
        let of_service = match wanted.service {
            Some(ServiceKey::Address { protocol, address, port }) => {
                self.virtual_address.0 == address
                    && (port == 0 || self.virtual_address.1 == port)
                    && self.protocol == protocol.name()
            }
            // The parser lets no mark pass: connections do not tell theirs.
            Some(ServiceKey::Mark { .. }) => false,
            None => true,
        };
        let of_server = wanted.server.is_none_or(|(address, port)| {
            self.destination.0 == address && port.is_none_or(|port| self.destination.1 == port)
        });
        of_service && of_server
    }

    /// The same, with a life of its own.
    #[must_use]
    pub fn into_owned(self) -> Connection<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        Connection {
            protocol: owned(self.protocol),
            source: self.source,
            virtual_address: self.virtual_address,
            destination: self.destination,
            state: owned(self.state),
            expires: self.expires,
            engine: self.engine.map(|(name, data)| (owned(name), owned(data))),
        }
    }

    /// The order by this key; what is equal by it comes in order of client, virtual address and server.
    #[must_use]
    pub fn order(&self, other: &Self, key: ConnectionKey) -> Ordering {
        let rest = |c: &Self| (c.source, c.virtual_address, c.destination);
        match key {
            ConnectionKey::State => self.state.cmp(&other.state),
            ConnectionKey::Server => self.destination.cmp(&other.destination),
            ConnectionKey::Client => Ordering::Equal,
            ConnectionKey::Expires => self.expires.cmp(&other.expires),
        }
        .then_with(|| rest(self).cmp(&rest(other)))
    }

    /// Minutes and seconds until it is forgotten.
    pub(super) fn expiry(&self) -> String {
        let mut text = Draft::new();
        self.write_expiry(&mut text);
        text.into_string()
    }

    fn write_expiry(&self, text: &mut Draft) {
        push_two_digits(text, self.expires / 60);
        text.push(b':');
        push_two_digits(text, self.expires % 60);
    }
}

/// Bytes of an IPv4 line as the kernel lays it out (`ip_vs_conn_seq_show`: `%-3s %08X %04X %08X %04X %08X %04X %-11s %7u`),
/// without data of a persistence engine, and of its end.
const LINE: usize = 66;

/// What is printed of such a line, by number. Any other line is read word by word; what both read, they read alike.
// Small and in one piece: as a part of the function around it, it took an emulated processor twice as long.
#[inline(never)]
fn translate(line: &[u8; LINE]) -> Option<Field> {
    let (protocol, state) = (&line[..3], &line[46..57]);
    let blanks = [3, 12, 17, 26, 31, 40, 45, 57].iter().all(|&at| line[at] == b' ');
    if !blanks || line[LINE - 1] != b'\n' || !is_padded_word(protocol) || !is_padded_word(state) {
        return None;
    }
    let expires = &line[58..LINE - 1];
    let expires = &expires[expires.iter().take_while(|&&byte| byte == b' ').count()..];
    let expires = expires
        .iter()
        .try_fold(0, |value: u32, byte| byte.is_ascii_digit().then(|| value * 10 + u32::from(byte - b'0')));
    let expires = expires.filter(|_| line[LINE - 2] != b' ')?;
    let mut field = Field::new();
    protocol.iter().for_each(|&byte| field.push(byte));
    field.push(b' ');
    field.two_digits(expires / 60);
    field.push(b':');
    field.two_digits(expires % 60);
    field.push(b' ');
    field.push(b' ');
    state.iter().for_each(|&byte| field.push(byte));
    field.push(b' ');
    for at in [4, 18, 32] {
        let start = field.length();
        let address = Ipv4Addr::from(hexadecimal(&line[at..at + 8], 8)?);
        field.endpoint(address, hexadecimal(&line[at + 9..at + 13], 4)? as u16);
        if at != 32 {
            field.end_column(start, 18);
        }
    }
    field.push(b'\n');
    Some(field)
}

/// A word, and blanks behind it.
fn is_padded_word(bytes: &[u8]) -> bool {
    let length = bytes.iter().position(|&byte| byte == b' ').unwrap_or(bytes.len());
    length > 0 && bytes[..length].iter().all(u8::is_ascii_graphic) && bytes[length..].iter().all(|&byte| byte == b' ')
}

impl<'l> Connection<'l> {
    fn addresses(&self) -> [IpAddr; 3] {
        [self.source.0, self.virtual_address.0, self.destination.0]
    }

    /// Whether this is no connection but what persistence remembers of a client.
    #[must_use]
    pub fn is_template(&self) -> bool {
        // Connections of one client's many ports hang on it.
        self.source.1 == 0
    }

    /// Whether it belongs to this service, as far as can be told: what came by a mark has only the server to go by, one
    /// of `servers`.
    #[must_use]
    pub fn belongs_to(&self, service: &ServiceKey, servers: &[DestinationKey]) -> bool {
        let (address, port) = self.destination;
        let to_server =
            servers.iter().any(|key| key.address == address && (key.port == port || key.port == 0 || port == 0));
        to_server
            && match *service {
                ServiceKey::Mark { .. } => true,
                ServiceKey::Address { protocol, address, port } => {
                    // A service of all ports has templates of all protocols.
                    let same_protocol = self.protocol == protocol.name() || (port == 0 && self.protocol.trim() == "IP");
                    let same_port = self.virtual_address.1 == port || port == 0;
                    same_protocol && self.virtual_address.0 == address && same_port
                }
            }
    }

    /// `TCP 0A010101 D4FC 0A010102 0050 7F000001 1F90 TIME_WAIT 119 sip callid`; the field that is wrong, otherwise.
    fn parse(line: &'l [u8]) -> Result<Self, &'static str> {
        let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
        let mut rest = line.trim_ascii_end();
        let mut next = || {
            let start = rest.iter().position(|byte| !blank(byte)).unwrap_or(rest.len());
            let word = &rest[start..];
            let (word, behind) = word.split_at(word.iter().position(blank).unwrap_or(word.len()));
            rest = behind;
            word
        };
        let protocol = String::from_utf8_lossy(next());
        let source = endpoint(next(), next()).ok_or("the source")?;
        let virtual_address = endpoint(next(), next()).ok_or("the virtual address")?;
        let destination = endpoint(next(), next()).ok_or("the destination")?;
        let state = String::from_utf8_lossy(next());
        let expires = number(next(), 0, u64::MAX).ok_or("the expiry")?;
        let engine = match next() {
            [] => None,
            name => Some((String::from_utf8_lossy(name), String::from_utf8_lossy(rest.trim_ascii_start()))),
        };
        Ok(Self { protocol, source, virtual_address, destination, state, expires, engine })
    }

    fn write(&self, text: &mut Draft, labels: &mut Labels, engine_data: bool) {
        self.write_bare(text, labels, engine_data);
        text.push(b'\n');
    }

    /// Without the end of the line.
    fn write_bare(&self, text: &mut Draft, labels: &mut Labels, engine_data: bool) {
        // Only names of ports depend on it.
        let protocol = if labels.are_numeric() { None } else { Protocol::named(&self.protocol) };
        let start = text.len();
        text.push_str(&self.protocol);
        text.pad(start, 3);
        text.push(b' ');
        self.write_expiry(text);
        text.push_str("  ");
        let start = text.len();
        text.push_str(&self.state);
        text.pad(start, 11);
        text.push(b' ');
        column(text, labels, self.source, protocol);
        column(text, labels, self.virtual_address, protocol);
        match &self.engine {
            Some((name, data)) if engine_data => {
                column(text, labels, self.destination, protocol);
                let start = text.len();
                text.push_str(name);
                text.pad(start, 17);
                text.push_str(data);
            }
            _ => labels.write(text, self.destination.0, self.destination.1, protocol),
        }
    }
}

/// A number of at least two digits.
fn push_two_digits(text: &mut Draft, number: u64) {
    if number < 10 {
        text.push(b'0');
    }
    text.push_number(number);
}

/// An endpoint, 18 wide and a blank.
fn column(text: &mut Draft, labels: &mut Labels, (address, port): (IpAddr, u16), protocol: Option<Protocol>) {
    let start = text.len();
    labels.write(text, address, port, protocol);
    text.pad(start, 18);
    text.push(b' ');
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

/// What a hexadecimal digit stands for; of other bytes something larger than 15.
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

/// A hexadecimal number of at most so many digits, of which 8 fill it.
fn hexadecimal(digits: &[u8], most: usize) -> Option<u32> {
    let (value, largest) = digits.iter().fold((0, 0), |(value, largest): (u32, u8), &byte| {
        let digit = DIGITS[usize::from(byte)];
        (value << 4 | u32::from(digit), largest | digit)
    });
    (!digits.is_empty() && digits.len() <= most && largest < 16).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData\n";

    fn listed(lines: &str, engine_data: bool) -> String {
        let mut out = Vec::new();
        let source = format!("{HEADER}{lines}");
        list(source.as_bytes(), &mut out, &mut Labels::numeric(), engine_data, &Connections::default()).unwrap();
        let text = String::from_utf8(out).unwrap();
        text.lines().skip(2).map(|line| format!("{line}\n")).collect()
    }

    #[test]
    fn lines_of_both_families_and_any_protocol() {
        let tcp = "TCP 0A010101 D4FC 0A010102 0050 7F000001 1F90 TIME_WAIT       119\n";
        assert_eq!(listed(tcp, false), "TCP 01:59  TIME_WAIT   10.1.1.1:54524     10.1.1.2:80        127.0.0.1:8080\n");
        let ipv6 = "IP  2001:0db8:0000:0000:0000:0000:0000:0001 E24F 2001:0db8:0000:0000:0000:0000:0000:0001 0050 \
                    0000:0000:0000:0000:0000:0000:0000:0001 1F90 CLOSE             9\n";
        assert_eq!(listed(ipv6, false), "IP  00:09  CLOSE       [2001:db8::1]:57935 [2001:db8::1]:80   [::1]:8080\n");
    }

    #[test]
    fn columns_and_words_read_alike() {
        let by_word = |line: &str| {
            let mut text = Draft::new();
            Connection::parse(line.as_bytes()).unwrap().write(&mut text, &mut Labels::numeric(), false);
            text.into_string()
        };
        for line in [
            "TCP 0A010101 D4FC 0A010102 0050 7F000001 1F90 TIME_WAIT       119\n",
            "UDP 00000000 0000 FFFFFFFF FFFF 7F000001 0001 UDP         9999999\n",
            "IP  0A010101 D4FC 0A010102 0050 7F000001 1f90 NONE              0\n",
            "SCT FFFFFFFF FFFF FFFFFFFF FFFF FFFFFFFF FFFF ESTABLISHED       5\n",
        ] {
            let translated = translate(line.as_bytes().first_chunk().unwrap()).unwrap();
            assert_eq!(str::from_utf8(translated.bytes()).unwrap(), by_word(line));
        }
        for line in [
            "TCP 0A010101 D4FC 0A010102 0050 7F000001 1F90 TIME_WAIT       119 sip x\n",
            "TCP 0A010101 D4FC 0A010102 0050 7F000001 1F90 TIME WAIT       119\n",
            "TCP 0A01010  D4FC 0A010102 0050 7F000001 1F90 TIME_WAIT       119\n",
            "TCP 0A010101 D4FC 0A010102 0050 7F000001 1F90 TIME_WAIT      1 19\n",
            "TCP 0A010101 D4FC 0A010102 0050 7F000001 1F90 TIME_WAIT      119 \n",
            "TCP 0A010101 D4FC 0A010102 0050 7F000001 1F90 TIME_WAIT          \n",
        ] {
            assert!(translate(line.as_bytes().first_chunk().unwrap()).is_none(), "{line}");
        }
    }

    /// Lines are looked at in buffers; where one ends has nothing to do with where a line does.
    #[test]
    fn lines_that_span_buffers() {
        let line = "TCP 0A010101 D4FC 0A010102 0050 7F000001 1F90 TIME_WAIT       119\n";
        let odd = "TCP 0A010101 D4FC 0A010102 0050 7F000001 1F90 TIME_WAIT    3 sip data\n";
        let source = format!("{HEADER}{line}{odd}\n{line}{line}{}", line.trim_end());
        let expected = listed(&format!("{line}{odd}{line}{line}{line}"), false);
        for size in 1..200 {
            let mut out = Vec::new();
            let source = io::BufReader::with_capacity(size, source.as_bytes());
            list(source, &mut out, &mut Labels::numeric(), false, &Connections::default()).unwrap();
            assert!(String::from_utf8(out).unwrap().ends_with(&expected), "{size}");
        }
    }

    #[test]
    fn long_data_of_a_persistence_engine_is_whole() {
        let data = "x".repeat(100_000);
        let line = format!("UDP 0A010101 13C4 0A010102 13C4 7F000001 13C4 UDP             300 sip {data}\n");
        let expected = "UDP 05:00  UDP         10.1.1.1:5060      10.1.1.2:5060      127.0.0.1:5060";
        assert_eq!(listed(&line, true), format!("{expected}     sip              {data}\n"));
        assert_eq!(listed(&line, false), format!("{expected}\n"));
    }

    #[test]
    fn a_line_that_makes_no_sense_is_named() {
        for (line, field) in [
            ("TCP 0A0101ZZ D4FC 0A010102 0050 7F000001 1F90 TIME_WAIT 119\n", "the source"),
            ("TCP 0A010101 D4FC 0A010102 0050 7F000001 1F90 TIME_WAIT soon\n", "the expiry"),
            ("TCP 0A010101 D4FC 0A010102\n", "the virtual address"),
        ] {
            let source = format!("{HEADER}{line}");
            let error =
                list(source.as_bytes(), &mut Vec::new(), &mut Labels::numeric(), false, &Connections::default())
                    .unwrap_err();
            assert_eq!(error.to_string(), format!("{PATH}:2: {field} cannot be read"));
        }
    }
}
