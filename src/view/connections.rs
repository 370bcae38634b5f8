//! `-L -c`: connections, a line for each, and how many there are of a kind.

use std::io::{self, Write};
use std::net::IpAddr;

use ipvs_client::{
    Protocol,
    connections::{Connection, Count, Counted, Counts, EngineData, Usual},
};

use super::Labels;
use super::append::{Draft, Field};
use crate::escape::escaped_bytes;

/// What stands above connections.
///
/// # Errors
/// Writing fails.
pub fn header(out: &mut impl Write, engine_data: bool) -> io::Result<()> {
    out.write_all(b"IPVS connection entries\n")?;
    out.write_all(if engine_data {
        b"pro expire state       source             virtual            destination        pe name          pe_data\n"
    } else {
        b"pro expire state       source             virtual            destination\n".as_slice()
    })
}

/// The line of a connection of the usual width, by number and without the data of an engine. `-Lnc` takes four times the
/// instructions with [`line()`] in its place, kernel included.
///
/// # Errors
/// Writing fails.
pub fn usual(out: &mut impl Write, connection: &Usual<'_>) -> io::Result<()> {
    out.write_all(usual_line(connection).bytes())
}

fn usual_line(connection: &Usual<'_>) -> Field {
    let mut field = Field::new();
    field.fixed(connection.protocol);
    let start = field.length();
    field.two_digits(connection.expires / 60);
    field.push(b':');
    field.two_digits(connection.expires % 60);
    field.end_column(start, EXPIRY);
    field.fixed(connection.state);
    let [source, virtual_address, destination] = connection.endpoints;
    for (address, port) in [source, virtual_address] {
        let start = field.length();
        field.endpoint(address, port);
        field.end_column(start, ENDPOINT);
    }
    field.endpoint(destination.0, destination.1);
    field.push(b'\n');
    field
}

/// How wide the columns are.
const EXPIRY: usize = 6;
const ENDPOINT: usize = 18;
/// The destination where the engine's name and data stand behind it, and the name.
const NARROW_ENDPOINT: usize = 16;
const ENGINE: usize = 18;

/// The line of a connection.
///
/// # Errors
/// Writing fails.
pub fn line(
    out: &mut impl Write,
    labels: &mut Labels,
    connection: &Connection,
    engine: Option<&EngineData>,
) -> io::Result<()> {
    labels.line(out, |line, labels| write(line, labels, connection, engine))
}

fn write(line: &mut Draft, labels: &mut Labels, connection: &Connection, engine: Option<&EngineData>) {
    // Only names of ports depend on it.
    let protocol = Protocol::named(&connection.protocol.text());
    column(line, 3, |line| line.push_str(&connection.protocol.text()));
    column(line, EXPIRY, |line| write_expiry(line, connection));
    column(line, 11, |line| line.push_str(&connection.state.text()));
    let mut endpoint = |line: &mut Draft, (address, port)| labels.write(line, address, port, protocol);
    column(line, ENDPOINT, |line| endpoint(line, connection.source));
    column(line, ENDPOINT, |line| endpoint(line, connection.virtual_address));
    match engine {
        Some(engine) => {
            column(line, NARROW_ENDPOINT, |line| endpoint(line, connection.destination));
            column(line, ENGINE, |line| line.push_str(&escaped_bytes(engine.name.as_bytes())));
            line.push_str(&escaped_bytes(&engine.data));
        }
        None => endpoint(line, connection.destination),
    }
}

/// What `write` writes, so wide at least, and a blank.
fn column(line: &mut Draft, width: usize, write: impl FnOnce(&mut Draft)) {
    let start = line.len();
    write(line);
    line.pad(start, width);
    line.push(b' ');
}

/// Minutes and seconds until it is forgotten.
fn write_expiry(text: &mut Draft, connection: &Connection) {
    push_two_digits(text, connection.expires / 60);
    text.push(b':');
    push_two_digits(text, connection.expires % 60);
}

/// A number of at least two digits.
fn push_two_digits(text: &mut Draft, number: u32) {
    if number < 10 {
        text.push(b'0');
    }
    text.push_number(number);
}

/// Minutes and seconds until it is forgotten.
pub(super) fn expiry(connection: &Connection) -> String {
    let mut text = Draft::new();
    write_expiry(&mut text, connection);
    text.into_string()
}

/// What is counted, as text.
pub(super) fn counted(of: &Counted, labels: &mut Labels) -> String {
    match *of {
        Counted::State(state) => state.to_string(),
        Counted::Client(address) => host(address, labels),
        Counted::Server(address, port) => labels.text(address, port, None),
    }
}

fn host(address: IpAddr, labels: &mut Labels) -> String {
    let mut text = Draft::new();
    labels.write_host(&mut text, address);
    text.into_string()
}

/// Write counts: the number, as wide as the largest, and what was counted, in columns if it is two things.
///
/// # Errors
/// Writing fails.
pub fn list_counts(counts: &Counts, out: &mut impl Write, labels: &mut Labels) -> io::Result<()> {
    let width = counts.iter().next().map_or(1, |most| most.connections.to_string().len());
    // Of two parts the first has a column.
    let of_two = counts.iter().filter(|count| count.and.is_some());
    let widest = of_two.map(|count| counted(&count.of, labels).len()).max().unwrap_or_default();
    counts.iter().try_for_each(|Count { of, and, connections }| {
        let first = counted(&of, labels);
        match and {
            None => writeln!(out, "{connections:>width$} {first}"),
            Some(and) => writeln!(out, "{connections:>width$} {first:widest$} {}", counted(&and, labels)),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipvs_client::connections::{Row, rows};

    const HEADER: &str = "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Origin Expires\n";

    /// Each line twice: as it comes, and as any connection.
    fn listed(lines: &str) -> [String; 2] {
        let (mut quick, mut slow) = (Vec::new(), Vec::new());
        let source = format!("{HEADER}{lines}");
        let skipped = rows(source.as_bytes(), |row| {
            match row {
                Row::Usual(row) => usual(&mut quick, row)?,
                Row::Other(connection) => line(&mut quick, &mut Labels::numeric(), connection, None)?,
            }
            line(&mut slow, &mut Labels::numeric(), &row.connection(), None)
        });
        assert_eq!(skipped.unwrap().lines, 0);
        [quick, slow].map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn lines_have_the_original_s_columns() {
        for (line, expected) in [
            (
                "TCP 0A010101 D4FC 0A010102 0050 7F000001 1F90 TIME_WAIT   LOCAL      119\n",
                "TCP 01:59  TIME_WAIT   10.1.1.1:54524     10.1.1.2:80        127.0.0.1:8080\n",
            ),
            // From a hundred minutes on the column is full.
            (
                "TCP 0A010101 0000 0A010102 0050 7F000001 1F90 NONE        LOCAL     5999\n",
                "TCP 99:59  NONE        10.1.1.1:0         10.1.1.2:80        127.0.0.1:8080\n",
            ),
            (
                "TCP 0A010101 0000 0A010102 0050 7F000001 1F90 NONE        SYNC      6000\n",
                "TCP 100:00 NONE        10.1.1.1:0         10.1.1.2:80        127.0.0.1:8080\n",
            ),
            (
                "TCP 0A010101 0000 0A010102 0050 7F000001 1F90 NONE        LOCAL  2678399\n",
                "TCP 44639:59 NONE        10.1.1.1:0         10.1.1.2:80        127.0.0.1:8080\n",
            ),
            (
                "SCT FFFFFFFF FFFF FFFFFFFF FFFF FFFFFFFF FFFF ESTABLISHED SYNC   9999999\n",
                "SCT 166666:39 ESTABLISHED 255.255.255.255:65535 255.255.255.255:65535 255.255.255.255:65535\n",
            ),
            (
                "IP  2001:0db8:0000:0000:0000:0000:0000:0001 E24F 2001:0db8:0000:0000:0000:0000:0000:0001 0050 \
                 0000:0000:0000:0000:0000:0000:0000:0001 1F90 CLOSE       LOCAL        9\n",
                "IP  00:09  CLOSE       [2001:db8::1]:57935 [2001:db8::1]:80   [::1]:8080\n",
            ),
        ] {
            assert_eq!(listed(line), [expected; 2]);
        }
    }

    #[test]
    fn engine_data_has_columns_of_its_own_and_no_control_characters() {
        let mut template = None;
        let source = format!("{HEADER}UDP 0A010101 0000 0A010102 13C4 7F000001 13C4 NONE        LOCAL      300\n");
        let skipped = rows(source.as_bytes(), |row| {
            template = Some(row.connection());
            Ok(())
        });
        assert_eq!(skipped.unwrap().lines, 0);
        for (data, written) in [("abc", "abc"), ("", ""), ("a\x1b[2J\n\u{9b}", r"a\x1b[2J\x0a\xc2\x9b")] {
            let engine = EngineData::new(ipvs_client::Name::cut(b"sip"), data.as_bytes());
            let mut out = Vec::new();
            line(&mut out, &mut Labels::numeric(), &template.unwrap(), Some(&engine)).unwrap();
            let expected =
                "UDP 05:00  NONE        10.1.1.1:0         10.1.1.2:5060      127.0.0.1:5060   sip                ";
            assert_eq!(String::from_utf8(out).unwrap(), format!("{expected}{written}\n"));
        }
    }
}
