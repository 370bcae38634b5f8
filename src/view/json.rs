//! JSON, for programs. `schema/ipvsadm-rs.schema.json` describes every document; the manual page promises what stays.

mod change;
mod connections;
mod table;
mod whole;

use std::io::{self, Write};

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::escape::escaped_in_json;

pub use change::{ChangeDocument, ReplaceDocument, named};
pub use connections::{ConnectionDocument, counts};
pub use table::{KeyDocument, ServerKeyDocument, ServiceDocument, TableHead};
pub use whole::{DaemonDocument, TimeoutsDocument, VersionDocument};

/// The version of all documents. Within a version fields are only added, never renamed, removed or given another meaning.
pub const SCHEMA: u32 = 1;

/// Write a document and a line feed: an object of the [`SCHEMA`] version and, by the name of its kind, the body.
///
/// # Errors
/// `out` fails.
pub fn write(out: impl Write, kind: &str, body: &impl Serialize, pretty: bool) -> io::Result<()> {
    fn document<S: Serializer>(to: S, kind: &str, body: &impl Serialize) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(2))?;
        map.serialize_entry("schema", &SCHEMA)?;
        map.serialize_entry(kind, body)?;
        map.end()
    }
    let mut json = Vec::new();
    if pretty {
        document(&mut serde_json::Serializer::pretty(&mut json), kind, body)?;
    } else {
        document(&mut serde_json::Serializer::new(&mut json), kind, body)?;
    }
    json.push(b'\n');
    write_safe(out, &json)
}

/// Write JSON so that it is safe to print on a terminal: the serializer leaves characters from DEL on as they are. The whole of
/// a document or element at once, because the serializer writes very many small pieces.
fn write_safe(mut out: impl Write, json: &[u8]) -> io::Result<()> {
    // It is ASCII nearly always, which is found out many bytes at a time.
    if json.is_ascii() && !json.contains(&0x7f) {
        return out.write_all(json);
    }
    let text = std::str::from_utf8(json).map_err(io::Error::other)?;
    out.write_all(escaped_in_json(text).as_bytes())
}

/// A document whose last part is a list that is written element by element: none of it is held. If it is not ended, what
/// was written is not JSON, so that half a list is not taken for a whole one.
#[derive(Debug)]
pub struct Stream<W: Write> {
    out: W,
    /// What an element's lines begin with, if it has lines.
    indent: Option<String>,
    /// What follows the list.
    end: String,
    /// What the next element is parted by.
    separator: &'static str,
    element: Vec<u8>,
}

impl<W: Write> Stream<W> {
    /// Begin a document: of this body the last list, which must be empty and the last thing in it, is the one to be written.
    ///
    /// # Errors
    /// `out` fails.
    pub fn begin(mut out: W, kind: &str, body: &impl Serialize, pretty: bool) -> io::Result<Self> {
        const LIST: &str = "[]";
        let mut document = Vec::new();
        write(&mut document, kind, body, pretty)?;
        let document = String::from_utf8(document).map_err(io::Error::other)?;
        let (begin, end) = document.rsplit_once(LIST).ok_or_else(|| io::Error::other("a document without a list"))?;
        let line = begin.rsplit('\n').next().unwrap_or_default();
        let blanks = line.len() - line.trim_start_matches(' ').len();
        out.write_all(begin.as_bytes())?;
        out.write_all(b"[")?;
        let indent = pretty.then(|| " ".repeat(blanks + 2));
        Ok(Self { out, indent, end: end.to_owned(), separator: "", element: Vec::new() })
    }

    /// Write an element.
    ///
    /// # Errors
    /// `out` fails.
    pub fn element(&mut self, element: &impl Serialize) -> io::Result<()> {
        self.element.clear();
        self.element.extend_from_slice(self.separator.as_bytes());
        self.separator = ",";
        match &self.indent {
            None => serde_json::to_writer(&mut self.element, element)?,
            // There are no line feeds within JSON's strings.
            Some(indent) => {
                for line in serde_json::to_string_pretty(element)?.split('\n') {
                    self.element.push(b'\n');
                    self.element.extend_from_slice(indent.as_bytes());
                    self.element.extend_from_slice(line.as_bytes());
                }
            }
        }
        write_safe(&mut self.out, &self.element)
    }

    /// Write what follows the list.
    ///
    /// # Errors
    /// `out` fails.
    pub fn end(mut self) -> io::Result<()> {
        if let Some(indent) = self.indent.filter(|_| !self.separator.is_empty()) {
            self.out.write_all(b"\n")?;
            self.out.write_all(&indent.as_bytes()[2..])?;
        }
        self.out.write_all(b"]")?;
        self.out.write_all(self.end.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is streamed is what would be written in one piece.
    #[test]
    fn a_streamed_document_is_the_document() {
        #[derive(Serialize)]
        struct Body<'a> {
            name: &'a str,
            list: &'a [(u64, &'a str)],
        }
        for pretty in [false, true] {
            for list in [&[][..], &[(u64::MAX, "[]\n")], &[(1, ""), (2, "x\u{9b}\u{7f}ö"), (3, "[]")]] {
                let mut streamed = Vec::new();
                let body = Body { name: "[] and more", list: &[] };
                let mut stream = Stream::begin(&mut streamed, "kind", &body, pretty).unwrap();
                list.iter().for_each(|element| stream.element(element).unwrap());
                stream.end().unwrap();
                let mut whole = Vec::new();
                write(&mut whole, "kind", &Body { list, ..body }, pretty).unwrap();
                let (streamed, whole) = (String::from_utf8(streamed).unwrap(), String::from_utf8(whole).unwrap());
                assert_eq!(streamed, whole);
                assert!(!whole.contains(['\u{9b}', '\u{7f}']), "{whole}");
            }
        }
    }
}
