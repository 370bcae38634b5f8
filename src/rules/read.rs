//! From the text of a rules file to requests with their line numbers.

use std::fmt;

use crate::grammar::{self, Names, Request};

/// A request and the line it stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// The line's number, from 1.
    pub number: u32,
    /// What it asks for.
    pub request: Request,
}

/// A line that is not right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// The line's number, from 1.
    pub number: u32,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.number, self.message)
    }
}

/// Read all lines.
///
/// Words are parted by blanks, tabs and carriage returns; a `#` that begins a word begins a comment; a first word
/// `ipvsadm` is passed over; there is no quoting. Lines and words may have any length, and the last line need not end.
///
/// # Errors
/// Every line that is not right.
pub fn parse(text: &[u8], names: &impl Names) -> Result<Vec<Line>, Vec<BadLine>> {
    let mut lines = Vec::new();
    let mut bad = Vec::new();
    for (number, line) in (1..).zip(text.split(|&byte| byte == b'\n')) {
        match request(line, names) {
            Ok(Some(request)) => lines.push(Line { number, request }),
            Ok(None) => {}
            Err(message) => bad.push(BadLine { number, message }),
        }
    }
    if bad.is_empty() { Ok(lines) } else { Err(bad) }
}

/// The request of one line, if it holds any.
fn request(line: &[u8], names: &impl Names) -> Result<Option<Request>, String> {
    if line.contains(&0) {
        return Err("a NUL byte".to_owned());
    }
    let mut words = line
        .split(|byte| matches!(byte, b' ' | b'\t' | b'\r'))
        .filter(|word| !word.is_empty())
        .take_while(|word| word[0] != b'#')
        .peekable();
    words.next_if(|word| *word == b"ipvsadm");
    if words.peek().is_none() {
        return Ok(None);
    }
    match grammar::parse(words, names) {
        Ok(Request::Restore | Request::Help | Request::Version) => {
            Err("-R, -h and -v have no place in a rules file".to_owned())
        }
        Ok(request) => Ok(Some(request)),
        Err(error) => Err(error.to_string()),
    }
}
