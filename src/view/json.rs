//! JSON, for programs.

use std::io::{self, Write};

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

/// The version of all documents. Within a version fields are only added, never renamed, removed or given another meaning.
pub const SCHEMA: u32 = 1;

/// Write a document and a line feed: an object of the [`SCHEMA`] version and, by the name of its kind, the body.
///
/// # Errors
/// `out` fails.
pub fn write(mut out: impl Write, kind: &str, body: &impl Serialize, pretty: bool) -> io::Result<()> {
    fn document<S: Serializer>(to: S, kind: &str, body: &impl Serialize) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(2))?;
        map.serialize_entry("schema", &SCHEMA)?;
        map.serialize_entry(kind, body)?;
        map.end()
    }
    if pretty {
        document(&mut serde_json::Serializer::pretty(&mut out), kind, body)?;
    } else {
        document(&mut serde_json::Serializer::new(&mut out), kind, body)?;
    }
    out.write_all(b"\n")
}
