//! Connections: each by itself, or counted.

use std::borrow::Cow;
use std::io::{self, Write};
use std::net::IpAddr;

use ipvs_client::connections::{Connection, ConnectionKey, Count, CountKeys, Counted, Counts, EngineData};
use serde::Serialize;

use super::Stream;

/// A connection.
#[derive(Debug, Serialize)]
pub struct ConnectionDocument<'l> {
    protocol: String,
    state: Cow<'l, str>,
    origin: &'static str,
    expires_seconds: u32,
    client_address: IpAddr,
    client_port: u16,
    virtual_address: IpAddr,
    virtual_port: u16,
    server_address: IpAddr,
    server_port: u16,
    persistence_engine: Option<EngineDocument<'l>>,
}

#[derive(Debug, Serialize)]
struct EngineDocument<'l> {
    name: Cow<'l, str>,
    data: Cow<'l, str>,
}

impl<'l> ConnectionDocument<'l> {
    /// This one, with the data of its persistence engine.
    #[must_use]
    pub fn new(connection: &'l Connection, engine: Option<&'l EngineData>) -> Self {
        Self {
            protocol: connection.protocol.text().to_ascii_lowercase(),
            state: connection.state.text(),
            origin: connection.origin.name(),
            expires_seconds: connection.expires,
            client_address: connection.source.0,
            client_port: connection.source.1,
            virtual_address: connection.virtual_address.0,
            virtual_port: connection.virtual_address.1,
            server_address: connection.destination.0,
            server_port: connection.destination.1,
            persistence_engine: engine
                .map(|engine| EngineDocument { name: engine.name.text(), data: String::from_utf8_lossy(&engine.data) }),
        }
    }
}

/// What stands before the counts.
#[derive(Debug, Serialize)]
struct CountsHead {
    by: &'static str,
    then_by: Option<&'static str>,
    total: u64,
    counts: [(); 0],
}

/// What connections have in common, and how many.
#[derive(Debug, Serialize)]
struct CountDocument<'c> {
    #[serde(flatten)]
    of: CountedDocument<'c>,
    #[serde(flatten)]
    and: Option<CountedDocument<'c>>,
    connections: u64,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum CountedDocument<'c> {
    State { state: Cow<'c, str> },
    Client { client_address: IpAddr },
    Server { server_address: IpAddr, server_port: u16 },
}

/// Write how many connections there are of each kind, count by count.
///
/// # Errors
/// `out` fails.
pub fn counts(out: &mut impl Write, keys: CountKeys, counts: &Counts, pretty: bool) -> io::Result<()> {
    let name = |key| match key {
        ConnectionKey::State | ConnectionKey::Expires => "state",
        ConnectionKey::Server => "server",
        ConnectionKey::Client => "client",
    };
    let head = CountsHead {
        by: name(keys.first),
        then_by: keys.second.map(name),
        total: counts.iter().map(|count| count.connections).sum(),
        counts: [],
    };
    let mut list = Stream::begin(out, "connection_counts", &head, pretty)?;
    for Count { of, and, connections } in counts.iter() {
        list.element(&CountDocument { of: (&of).into(), and: and.as_ref().map(Into::into), connections })?;
    }
    list.end()
}

impl<'c> From<&'c Counted> for CountedDocument<'c> {
    fn from(of: &'c Counted) -> Self {
        match of {
            Counted::State(state) => Self::State { state: state.text() },
            Counted::Client(address) => Self::Client { client_address: *address },
            Counted::Server(address, port) => Self::Server { server_address: *address, server_port: *port },
        }
    }
}
