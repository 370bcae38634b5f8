//! Connections, as the kernel lists them.
//!
//! The kernel has two lists of the same connections. `/proc/net/ip_vs_conn_sync` consists of what the kernel knows itself.
//! `/proc/net/ip_vs_conn` ends a line with the data of a persistence engine, which came from the network as it is: with a
//! newline in it, that looks like another connection. So connections are read from the first ([`open`], [`read`]), and the
//! second only gives data of engines to connections that exist ([`EngineTable`]).
//!
//! ```no_run
//! use ipvs_client::connections;
//!
//! connections::read(connections::open()?, |connection| {
//!     println!("{} to {}", connection.source.0, connection.destination.0);
//!     Ok(())
//! })?;
//! # Ok::<(), std::io::Error>(())
//! ```

mod choice;
mod compare;
mod counter;
mod engine;
mod held;
mod line;

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::model::{DestinationKey, Family, Name, ServiceKey};

pub use choice::{BadNetwork, Choice, ConnectionKey, Count, CountKeys, Counted, Network, STATES};
pub use compare::{ConnectionSet, Found};
pub use counter::{Counter, Counts};
pub use engine::{EngineData, EngineTable};
pub use held::Held;

/// The list of connections, of the network namespace that the thread is in.
pub const PATH: &str = "/proc/net/ip_vs_conn_sync";

/// The list with the data of persistence engines.
pub const ENGINE_PATH: &str = "/proc/net/ip_vs_conn";

/// Bytes of a list that are read at once.
const BUFFER: usize = 64 * 1024;

/// Where a connection was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// By packets that came here.
    Local,
    /// By a message for the sync daemon.
    Sync,
}

impl Origin {
    /// Its name, in lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Sync => "sync",
        }
    }
}

/// A name of the kernel's for a protocol or a state. It consists of graphic ASCII characters.
pub type Word = Name<23>;

/// One connection, or what persistence remembers of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Connection {
    /// The kernel's name of the protocol; `IP` for a persistence template of all protocols and ports.
    pub protocol: Word,
    /// The client. A persistence template has the port 0.
    pub source: (IpAddr, u16),
    /// What the client connected to. A template of a service by mark has the mark in the address's place.
    pub virtual_address: (IpAddr, u16),
    /// The real server.
    pub destination: (IpAddr, u16),
    /// The kernel's name of the state.
    pub state: Word,
    /// Where it was made.
    pub origin: Origin,
    /// Seconds until it is forgotten.
    pub expires: u32,
}

impl Connection {
    /// The connection of this client, virtual address and real server.
    #[must_use]
    pub const fn new(
        protocol: Word,
        [source, virtual_address, destination]: [(IpAddr, u16); 3],
        state: Word,
        origin: Origin,
        expires: u32,
    ) -> Self {
        Self { protocol, source, virtual_address, destination, state, origin, expires }
    }

    /// Whether this is what persistence remembers of a client, and not a connection.
    #[must_use]
    pub fn is_template(&self) -> bool {
        // Connections of one client's many ports hang on it.
        self.source.1 == 0
    }

    /// Whether it belongs to this service, as far as can be known: what came by a mark has only the server to go by, one of
    /// `servers`.
    #[must_use]
    pub fn belongs_to(&self, service: &ServiceKey, servers: &[DestinationKey]) -> bool {
        let (address, port) = self.destination;
        let to_server =
            servers.iter().any(|key| key.address == address && (key.port == port || key.port == 0 || port == 0));
        to_server
            && match *service {
                ServiceKey::Mark { .. } => true,
                ServiceKey::Address { protocol, address, port } => {
                    let own = self.protocol.as_bytes();
                    // A service of all ports has templates of all protocols.
                    let same_protocol = own == protocol.name().as_bytes() || (port == 0 && own == b"IP");
                    let same_port = self.virtual_address.1 == port || port == 0;
                    same_protocol && self.virtual_address.0 == address && same_port
                }
            }
    }
}

/// What a template of this service has in the place of the virtual address: of a service by mark the mark, which of IPv6 is
/// the first word of four.
#[must_use]
pub fn template_address(service: &ServiceKey) -> IpAddr {
    match *service {
        ServiceKey::Address { address, .. } => address,
        ServiceKey::Mark { mark, family: Family::Ipv4 } => Ipv4Addr::from(mark).into(),
        ServiceKey::Mark { mark, family: Family::Ipv6 } => Ipv6Addr::from(u128::from(mark) << 96).into(),
    }
}

/// A connection, as it comes.
#[derive(Debug)]
pub enum Row<'l> {
    /// One of IPv4 addresses whose line has the usual width, as nearly all have: for those who read millions.
    Usual(Usual<'l>),
    /// Any other.
    Other(Connection),
}

impl Row<'_> {
    /// The connection.
    #[must_use]
    pub fn connection(&self) -> Connection {
        match self {
            Self::Usual(usual) => usual.connection(),
            Self::Other(connection) => *connection,
        }
    }
}

/// The parts of a line of the usual width.
#[derive(Debug)]
pub struct Usual<'l> {
    /// The protocol's name, filled with blanks.
    pub protocol: &'l [u8; 3],
    /// Client, virtual address and server.
    pub endpoints: [(Ipv4Addr, u16); 3],
    /// The state's name, filled with blanks.
    pub state: &'l [u8; 11],
    /// Where it was made.
    pub origin: Origin,
    /// Seconds until it is forgotten.
    pub expires: u32,
}

impl Usual<'_> {
    fn connection(&self) -> Connection {
        let [source, virtual_address, destination] = self.endpoints.map(|(address, port)| (address.into(), port));
        Connection {
            protocol: Word::cut(self.protocol.trim_ascii_end()),
            source,
            virtual_address,
            destination,
            state: Word::cut(self.state.trim_ascii_end()),
            origin: self.origin,
            expires: self.expires,
        }
    }
}

/// Lines that are not connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Skipped {
    /// How many.
    pub lines: u64,
    /// The number of the first, from 1.
    pub first: u64,
    /// Of how many lines of the list, without its head.
    pub of: u64,
}

impl Skipped {
    fn add(&mut self, number: u64) {
        if self.lines == 0 {
            self.first = number;
        }
        self.lines += 1;
    }

    /// What there is to say of it, if there is anything, of the list at this path.
    #[must_use]
    pub fn message(&self, path: &'static str) -> Option<impl fmt::Display + use<>> {
        struct Message(&'static str, Skipped);
        impl fmt::Display for Message {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let Self(path, Skipped { lines, first, .. }) = self;
                match lines {
                    1 => write!(f, "{path}: skipped line {first}, which is not a connection"),
                    _ => write!(f, "{path}: skipped {lines} lines that are not connections; the first is line {first}"),
                }
            }
        }
        (self.lines > 0).then_some(Message(path, *self))
    }
}

/// Open the list of connections, of the network namespace that the thread is in.
///
/// # Errors
/// There is no IPVS here.
pub fn open() -> io::Result<impl BufRead + use<>> {
    open_list(PATH)
}

fn open_list(path: &str) -> io::Result<BufReader<File>> {
    let file = File::open(path).map_err(|error| of_list(path, &error))?;
    Ok(BufReader::with_capacity(BUFFER, file))
}

fn of_list(path: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{path}: {error}"))
}

/// Read the list and give each connection to `take`, in the kernel's order. Only one line is held. Lines that are not
/// connections are skipped and counted.
///
/// # Errors
/// Reading fails, or `take` does.
pub fn read(source: impl BufRead, mut take: impl FnMut(&Connection) -> io::Result<()>) -> io::Result<Skipped> {
    rows(source, |row| take(&row.connection()))
}

/// As [`read`], but with each connection as it comes.
///
/// # Errors
/// As [`read`].
pub fn rows(source: impl BufRead, mut take: impl FnMut(&Row<'_>) -> io::Result<()>) -> io::Result<Skipped> {
    let mut skipped = Skipped::default();
    let of = lines(source, PATH, |line: Line<'_, { line::USUAL }>| {
        match line {
            Line::Usual(bytes) => match line::usual(bytes) {
                Some(usual) => take(&Row::Usual(usual))?,
                None => return Ok(false),
            },
            Line::Other(number, line) => match line::connection(line) {
                Some(connection) => take(&Row::Other(connection))?,
                None => skipped.add(number),
            },
        }
        Ok(true)
    })?;
    Ok(Skipped { of, ..skipped })
}

/// A piece of a list.
enum Line<'l, const WIDTH: usize> {
    /// This many bytes, which may be a line of the usual width with its end.
    Usual(&'l [u8; WIDTH]),
    /// A line without its end, and its number.
    Other(u64, &'l [u8]),
}

/// Give each line below the first, which names the columns, to `take`. It says of bytes whether they are a line.
/// Returns how many there are.
fn lines<const WIDTH: usize>(
    mut source: impl BufRead,
    path: &str,
    mut take: impl FnMut(Line<'_, WIDTH>) -> io::Result<bool>,
) -> io::Result<u64> {
    let mut number = 0;
    let mut line = Vec::new();
    loop {
        if number > 0 {
            let buffer = match source.fill_buf() {
                Ok(buffer) => buffer,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(of_list(path, &error)),
            };
            let mut count = 0;
            for bytes in buffer.chunks_exact(WIDTH).filter_map(<[u8]>::first_chunk) {
                if !take(Line::Usual(bytes))? {
                    break;
                }
                count += 1;
            }
            source.consume(count * WIDTH);
            number += count as u64;
        }
        line.clear();
        if source.read_until(b'\n', &mut line).map_err(|error| of_list(path, &error))? == 0 {
            return Ok(number.saturating_sub(1));
        }
        number += 1;
        let line = line.strip_suffix(b"\n").unwrap_or(&line);
        if number > 1 && !line.is_empty() {
            take(Line::Other(number, line))?;
        }
    }
}

#[cfg(test)]
mod tests;
