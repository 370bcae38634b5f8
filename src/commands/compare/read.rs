//! A list of connections as `-L -c --json` prints it, read connection by connection: none of it is held.

use std::fmt;
use std::io::{self, BufRead};
use std::net::IpAddr;

use anyhow::Result;
use ipvs_client::connections::{Connection, Origin, Word};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::view::json::SCHEMA;

/// Give each connection of the list to `take`.
///
/// # Errors
/// It is not such a list, reading fails, or `take` does.
pub(super) fn connections(source: impl BufRead, take: impl FnMut(&Connection) -> io::Result<()>) -> Result<()> {
    let mut reader = Reader { take, failed: None };
    let mut source = serde_json::Deserializer::from_reader(source);
    let outcome = Document(&mut reader).deserialize(&mut source).and_then(|()| source.end());
    match reader.failed {
        Some(error) => Err(error.into()),
        None => Ok(outcome?),
    }
}

struct Reader<T> {
    take: T,
    /// Why `take` failed, which the error of a deserializer cannot hold.
    failed: Option<io::Error>,
}

/// A connection's members; others are passed over.
#[derive(Deserialize)]
struct Row {
    protocol: String,
    state: String,
    origin: String,
    expires_seconds: u32,
    client_address: IpAddr,
    client_port: u16,
    virtual_address: IpAddr,
    virtual_port: u16,
    server_address: IpAddr,
    server_port: u16,
}

impl Row {
    fn connection(&self) -> Option<Connection> {
        let word = |text: &str| {
            let is_name = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
            if is_name { Word::new(text.as_bytes()) } else { None }
        };
        let origin = [Origin::Local, Origin::Sync].into_iter().find(|origin| origin.name() == self.origin)?;
        let endpoints = [
            (self.client_address, self.client_port),
            (self.virtual_address, self.virtual_port),
            (self.server_address, self.server_port),
        ];
        let protocol = word(&self.protocol.to_ascii_uppercase())?;
        Some(Connection::new(protocol, endpoints, word(&self.state)?, origin, self.expires_seconds))
    }
}

/// The whole document.
struct Document<'r, T>(&'r mut Reader<T>);

impl<'de, T: FnMut(&Connection) -> io::Result<()>> DeserializeSeed<'de> for Document<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de, T: FnMut(&Connection) -> io::Result<()>> Visitor<'de> for Document<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a document of -L -c --json")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let mut lists = 0;
        while let Some(name) = members.next_key::<String>()? {
            match name.as_str() {
                "schema" => {
                    let version: u32 = members.next_value()?;
                    if version != SCHEMA {
                        return Err(A::Error::custom(format_args!("version {version} of the schema is not known")));
                    }
                }
                "connections" => {
                    lists += 1;
                    members.next_value_seed(List(&mut *self.0))?;
                }
                _ => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        if lists == 1 { Ok(()) } else { Err(A::Error::custom("not a list of connections, as -L -c --json prints it")) }
    }
}

/// The list in it.
struct List<'r, T>(&'r mut Reader<T>);

impl<'de, T: FnMut(&Connection) -> io::Result<()>> DeserializeSeed<'de> for List<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de, T: FnMut(&Connection) -> io::Result<()>> Visitor<'de> for List<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of connections")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<(), A::Error> {
        while let Some(row) = rows.next_element::<Row>()? {
            let connection = row.connection().ok_or_else(|| A::Error::custom("not a connection"))?;
            if let Err(error) = (self.0.take)(&connection) {
                let message = A::Error::custom(&error);
                self.0.failed = Some(error);
                return Err(message);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &str = r#"{"protocol":"tcp","state":"TIME_WAIT","origin":"sync","expires_seconds":7,"client_address":"::1",
        "client_port":1,"virtual_address":"10.0.0.1","virtual_port":80,"server_address":"10.0.0.2","server_port":80,
        "persistence_engine":null,"new":[1]}"#;

    fn listed(text: &str) -> Result<Vec<Connection>, String> {
        let mut all = Vec::new();
        let read = connections(text.as_bytes(), |connection| {
            all.push(*connection);
            Ok(())
        });
        read.map(|()| all).map_err(|error| error.to_string())
    }

    #[test]
    fn a_list_is_read_as_it_was_printed() {
        let all = listed(&format!(r#"{{"schema":1,"connections":[{ROW},{ROW}],"more":{{}}}}"#)).unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!((all[0].protocol.text(), all[0].state.text()), ("TCP".into(), "TIME_WAIT".into()));
        assert_eq!((all[0].source.1, all[0].origin, all[0].expires), (1, Origin::Sync, 7));
    }

    #[test]
    fn what_is_no_list_is_refused() {
        let not_printable = ROW.replace("TIME_WAIT", "\\u001b");
        for (text, message) in [
            ("", "EOF while parsing a value"),
            (r#"{"schema":2,"connections":[]}"#, "version 2 of the schema is not known"),
            (r#"{"schema":1,"table":{}}"#, "not a list of connections, as -L -c --json prints it"),
            (r#"{"schema":1,"connections":[{}]}"#, "missing field `protocol`"),
            (&format!(r#"{{"schema":1,"connections":[{not_printable}]}}"#), "not a connection"),
            (r#"{"schema":1,"connections":["#, "EOF while parsing a list"),
            (r#"{"schema":1,"connections":[]} x"#, "trailing characters"),
        ] {
            let error = listed(text).unwrap_err();
            assert!(error.starts_with(message), "{text}: {error}");
        }
    }
}
