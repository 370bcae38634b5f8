//! From the text of a rules file to requests with their line numbers.

use std::fmt;
use std::io::{self, BufRead};

use crate::grammar::{self, Names, Parsed, Request};
use crate::model::Change;

/// A request and the line it stands on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The line's number, from 1.
    pub number: u32,
    /// The port given for a server, where the service's had to take its place.
    pub replaced_port: Option<u16>,
    /// What the line asks for.
    pub request: Request,
}

impl Line {
    /// The change it asks for, if it asks for one.
    #[must_use]
    pub fn change(&self) -> Option<&Change> {
        match &self.request {
            Request::Change(change) => Some(change),
            _ => None,
        }
    }
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

/// Why rules could not be read.
#[derive(Debug)]
pub enum ReadError {
    /// The source fails.
    Source(io::Error),
    /// These lines are not right; there is at least one.
    Bad(Vec<BadLine>),
}

/// Read all lines, and give each that asks for something to `take`. After a line that is not right no more are given, as
/// then none of them counts.
///
/// Words are parted by blanks, tabs and carriage returns; a `#` that begins a word begins a comment; a first word
/// `ipvsadm` is passed over; there is no quoting. Lines and words may have any length, and the last line need not end.
///
/// # Errors
/// The source fails, or some lines are not right, and then all of them are told.
pub fn read(mut source: impl BufRead, names: &impl Names, mut take: impl FnMut(Line)) -> Result<(), ReadError> {
    let mut bad = Vec::new();
    let mut text = Vec::new();
    for number in 1.. {
        text.clear();
        if source.read_until(b'\n', &mut text).map_err(ReadError::Source)? == 0 {
            break;
        }
        match request(text.strip_suffix(b"\n").unwrap_or(&text), names) {
            Ok(Some(Parsed { request, replaced_port, .. })) if bad.is_empty() => {
                take(Line { number, replaced_port, request });
            }
            Ok(_) => {}
            Err(message) => bad.push(BadLine { number, message }),
        }
    }
    if bad.is_empty() { Ok(()) } else { Err(ReadError::Bad(bad)) }
}

/// The words of a line, up to a comment.
struct Words<'l>(&'l [u8]);

impl<'l> Iterator for Words<'l> {
    type Item = &'l [u8];

    fn next(&mut self) -> Option<&'l [u8]> {
        let mut rest = self.0;
        while let [b' ' | b'\t' | b'\r', behind @ ..] = rest {
            rest = behind;
        }
        // Nearly every byte is above a blank, and one comparison does for it.
        let blank = |&byte: &u8| byte <= b' ' && matches!(byte, b' ' | b'\t' | b'\r');
        let end = rest.iter().position(blank).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        self.0 = behind;
        match word {
            [] | [b'#', ..] => {
                self.0 = &[];
                None
            }
            word => Some(word),
        }
    }
}

/// The request of one line, if it holds any.
fn request(line: &[u8], names: &impl Names) -> Result<Option<Parsed>, String> {
    if line.contains(&0) {
        return Err("a NUL byte".to_owned());
    }
    let mut words = Words(line).peekable();
    words.next_if(|word| *word == b"ipvsadm");
    if words.peek().is_none() {
        return Ok(None);
    }
    let parsed = grammar::parse_noting(words, names).map_err(|error| error.to_string())?;
    if parsed.lock_wait.is_some() {
        return Err("--lock-wait has no place in a rules file".to_owned());
    }
    match &parsed.request {
        Request::Restore(_) | Request::Help | Request::Version(_) => {
            Err("-R, -h and -v have no place in a rules file".to_owned())
        }
        Request::Drain(_) => Err("--drain has no place in a rules file".to_owned()),
        Request::Save(save) if save.file.is_some() => Err("--file has no place in a rules file".to_owned()),
        Request::Save(_) | Request::List(_) | Request::Change(_) => Ok(Some(parsed)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::SystemNames;

    fn lines(text: &[u8]) -> Result<Vec<Line>, ReadError> {
        let mut lines = Vec::new();
        read(text, &SystemNames::default(), |line| lines.push(line)).map(|()| lines)
    }

    fn numbers(text: &[u8]) -> Vec<u32> {
        lines(text).unwrap().iter().map(|line| line.number).collect()
    }

    fn bad(text: &[u8]) -> Vec<String> {
        match lines(text) {
            Err(ReadError::Bad(bad)) => bad.iter().map(ToString::to_string).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn blanks_comments_and_the_program_s_name_are_passed_over() {
        assert_eq!(numbers(b""), [0; 0]);
        let text = b"# first\n\n  -C # all\r\n\tipvsadm\t-C\r\nipvsadm\n-A -t 1.2.3.4:80 -s rr\xff\n#\xff\xfe\n-C";
        assert_eq!(numbers(text), [3, 4, 6, 8]);
        assert_eq!(bad(b"-C\n-C ipvsadm\n"), ["2: unexpected argument ipvsadm"]);
    }

    #[test]
    fn every_bad_line_is_told() {
        let text = b"-A -t x\n-C\n-Q\nwhat\n-A -t 1.2.3.4:80 -w\n-R\n-S --file /x\n-\0C\n-d -t 1.2.3.4:80 -r 1.2.3.5 --drain\n-C --lock-wait 5\n";
        assert_eq!(
            bad(text),
            [
                "1: illegal virtual server address[:port] specified: `x'",
                "3: a line must begin with a command, such as -A or -a",
                "4: a line must begin with a command, such as -A or -a",
                "5: -w: missing argument",
                "6: -R, -h and -v have no place in a rules file",
                "7: --file has no place in a rules file",
                "8: a NUL byte",
                "9: --drain has no place in a rules file",
                "10: --lock-wait has no place in a rules file",
            ]
        );
    }

    #[test]
    fn lines_of_any_length() {
        let mut text = b"-A -t 1.2.3.4:80".to_vec();
        text.resize(5_000_000, b' ');
        text.extend_from_slice(b"-s rr");
        let lines = lines(&text).unwrap();
        assert!(matches!(&lines[0].request, Request::Change(Change::AddService(s)) if s.scheduler.as_bytes() == b"rr"));
    }

    #[test]
    fn a_port_that_cannot_be_is_noted() {
        let text =
            b"-a -t 1.2.3.4:80 -r 10.0.0.1:8080\n-a -t 1.2.3.4:80 -r 10.0.0.1:8080 -m\n-a -t 1.2.3.4:80 -r 10.0.0.1\n";
        let ports: Vec<_> = lines(text).unwrap().iter().map(|line| line.replaced_port).collect();
        assert_eq!(ports, [Some(8080), None, None]);
    }
}
