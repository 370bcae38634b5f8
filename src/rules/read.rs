//! From the text of a rules file to requests with their line numbers.

use std::fmt;
use std::io::{self, BufRead};

use ipvs_client::Change;
use memchr::{memchr, memchr2};

use super::frame::Frame;
use crate::grammar::{self, Names, Parsed, Request};

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

/// The longest line in bytes.
pub const LINE_LENGTH: usize = 1024 * 1024;

/// Why rules could not be read.
#[derive(Debug)]
pub enum ReadError {
    /// The source fails.
    Source(io::Error),
    /// These lines are not right; there is at least one.
    Bad(Vec<BadLine>),
    /// The rules begin as saved ones do, and their last line is missing.
    CutOff,
}

/// What is to be said of a line that is too long.
const TOO_LONG: &str = "longer than 1 MiB: nothing from here on was read";

/// What is to be said of rules that are cut off.
pub const CUT_OFF: &str = "it is cut off: it begins as saved rules do, and their last line is missing. To use what is there, \
                           delete the first line";

/// Read all lines, and give each that asks for something to `take`. After a line that is not right no more are given, as
/// then none of them counts.
///
/// Words are parted by blanks, tabs and carriage returns; a `#` that begins a word begins a comment; a first word
/// `ipvsadm` is passed over; there is no quoting. A line has at most [`LINE_LENGTH`] bytes, and the last one need not end.
///
/// # Errors
/// The source fails, the rules are cut off, or some lines are not right, and then all of them are returned.
pub fn read(source: impl BufRead, names: &impl Names, mut take: impl FnMut(Line)) -> Result<(), ReadError> {
    let mut bad = Vec::new();
    read_each(source, names, |line| match line {
        Ok(line) if bad.is_empty() => take(line),
        Ok(_) => {}
        Err(line) => bad.push(line),
    })?;
    if bad.is_empty() { Ok(()) } else { Err(ReadError::Bad(bad)) }
}

/// As [`read`], but a line that is not right keeps no other from being given. Returns those that are not right.
///
/// # Errors
/// The source fails, or the rules are cut off.
pub fn read_good(
    source: impl BufRead,
    names: &impl Names,
    mut take: impl FnMut(Line),
) -> Result<Vec<BadLine>, ReadError> {
    let mut bad = Vec::new();
    read_each(source, names, |line| match line {
        Ok(line) => take(line),
        Err(line) => bad.push(line),
    })?;
    Ok(bad)
}

/// Give each line that asks for something, or is not right. At a line that is too long reading ends, as such a source is no file
/// of rules, and need not have an end.
///
/// # Errors
/// The source fails, or the rules are cut off.
pub fn read_each(
    mut source: impl BufRead,
    names: &impl Names,
    mut take: impl FnMut(Result<Line, BadLine>),
) -> Result<(), ReadError> {
    let mut number = 0;
    let mut frame = Frame::default();
    // Whether reading goes on.
    let mut line = |text: &[u8]| {
        number += 1;
        if text.len() > LINE_LENGTH {
            take(Err(BadLine { number, message: TOO_LONG.to_owned() }));
            return false;
        }
        frame.line(text);
        match request(text, names) {
            Ok(Some(Parsed { request, replaced_port, .. })) => take(Ok(Line { number, replaced_port, request })),
            Ok(None) => {}
            Err(message) => take(Err(BadLine { number, message })),
        }
        true
    };
    // The beginning of a line whose end was not read yet.
    let mut begun = Vec::new();
    loop {
        let read = match source.fill_buf() {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(ReadError::Source(error)),
        };
        if read.is_empty() {
            break;
        }
        let mut rest = read;
        while let Some(end) = memchr(b'\n', rest) {
            let goes_on = if begun.is_empty() {
                line(&rest[..end])
            } else {
                begun.extend_from_slice(&rest[..end]);
                let goes_on = line(&begun);
                begun.clear();
                goes_on
            };
            if !goes_on {
                return Ok(());
            }
            rest = &rest[end + 1..];
        }
        begun.extend_from_slice(rest);
        let length = read.len();
        source.consume(length);
        if begun.len() > LINE_LENGTH {
            break;
        }
    }
    if !begun.is_empty() && !line(&begun) {
        return Ok(());
    }
    if frame.is_cut_off() { Err(ReadError::CutOff) } else { Ok(()) }
}

/// The words of a line, up to a comment.
#[derive(Clone)]
struct Words<'l>(&'l [u8]);

impl<'l> Iterator for Words<'l> {
    type Item = &'l [u8];

    #[inline(always)]
    fn next(&mut self) -> Option<&'l [u8]> {
        let mut rest = self.0;
        while let [b' ' | b'\t' | b'\r', behind @ ..] = rest {
            rest = behind;
        }
        // Nearly every byte is above a blank, and one comparison does for it.
        let blank = |&byte: &u8| byte <= b' ' && matches!(byte, b' ' | b'\t' | b'\r');
        let end = rest.iter().position(blank).unwrap_or(rest.len());
        let word = &rest[..end];
        if let [] | [b'#', ..] = word {
            self.0 = &[];
            return None;
        }
        // What ends a word is a blank.
        self.0 = rest.get(end + 1..).unwrap_or_default();
        Some(word)
    }
}

/// What is wrong with a line that has a comment or a NUL, whatever its words are.
///
/// Carriage returns are blanks, as for the original, and end no line. A file that has nothing else at the ends of its lines
/// would be one long comment.
fn look_closer(line: &[u8]) -> Result<(), String> {
    if memchr(0, line).is_some() {
        return Err("a NUL byte".to_owned());
    }
    let is_blank = |byte: u8| matches!(byte, b' ' | b'\t' | b'\r');
    let begins = |&at: &usize| line[at] == b'#' && (at == 0 || is_blank(line[at - 1]));
    let Some(comment) = (0..line.len()).find(begins) else { return Ok(()) };
    let mut behind = line[comment..].split(|&byte| byte == b'\r').skip(1);
    let is_rule = |text: &[u8]| {
        let text = text.trim_ascii_start();
        matches!(text, [b'-', b'a'..=b'z' | b'A'..=b'Z', ..] | [b'-', b'-', b'a'..=b'z', ..])
            || text.starts_with(b"ipvsadm ")
    };
    match behind.any(is_rule) {
        true => {
            Err("a rule behind a comment and a carriage return would be ignored: a newline must end each line"
                .to_owned())
        }
        false => Ok(()),
    }
}

/// The request of one line, if it holds any.
fn request(line: &[u8], names: &impl Names) -> Result<Option<Parsed>, String> {
    if memchr2(0, b'#', line).is_some() {
        look_closer(line)?;
    }
    let mut words = Words(line);
    let mut behind = words.clone();
    let mut first = behind.next();
    if first == Some(b"ipvsadm") {
        words = behind.clone();
        first = behind.next();
    }
    if first.is_none() {
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
    use crate::rules::frame;

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
    fn carriage_returns_end_no_line() {
        let hidden = "a rule behind a comment and a carriage return would be ignored: a newline must end each line";
        assert_eq!(bad(b"# mine\r-A -t 1.2.3.4:80\r-C\r"), [format!("1: {hidden}")]);
        assert_eq!(bad(b"-C\n-C # mine\r# more\r --set 1 2 3\n"), [format!("2: {hidden}")]);
        assert_eq!(bad(b"#\ripvsadm -C"), [format!("1: {hidden}")]);
        assert_eq!(bad(b"-C\r-C\n"), ["1: invalid option `-C'"]);
        assert_eq!(
            numbers(b"# a\r# b\r\r\n\r-C\r\n# ----\r ----\r\n-C a#b\r-n\n".strip_suffix(b" a#b\r-n\n").unwrap()),
            [2, 4]
        );
    }

    #[test]
    fn saved_rules_that_do_not_end_are_cut_off() {
        let saved = format!("{}\n-C\n{}\n", frame::first(), frame::last(1));
        assert_eq!(numbers(saved.as_bytes()), [2]);
        assert_eq!(numbers(format!("# mine\n{saved}-C\n").as_bytes()), [3, 5]);
        let first = frame::first().len();
        for length in first..saved.len() - " 1 lines\n".len() {
            assert!(matches!(lines(&saved.as_bytes()[..length]), Err(ReadError::CutOff)), "{length}");
        }
        let two = format!("{}\n-C\n{saved}", frame::first());
        assert!(matches!(lines(two.as_bytes()), Err(ReadError::CutOff)));
        // More is said there one day.
        let more = saved.replacen("the last", "servers in order; the last", 1);
        assert!(matches!(lines(&more.as_bytes()[..more.len() - 20]), Err(ReadError::CutOff)));
    }

    #[test]
    fn a_line_has_at_most_a_mebibyte() {
        let mut text = b"-A -t 1.2.3.4:80".to_vec();
        text.resize(LINE_LENGTH - 5, b' ');
        text.extend_from_slice(b"-s rr");
        let rules = lines(&text).unwrap();
        assert!(matches!(&rules[0].request, Request::Change(Change::AddService(s)) if s.scheduler.as_bytes() == b"rr"));
        text.push(b' ');
        for end in [&b""[..], b"\n", b"\n-Q\n"] {
            let text = [b"-C\n", &text[..], end].concat();
            assert_eq!(bad(&text), ["2: longer than 1 MiB: nothing from here on was read"]);
        }
    }

    #[test]
    fn a_source_without_an_end_is_given_up() {
        let source = io::BufReader::new(io::repeat(0));
        let mut found = Vec::new();
        read_each(source, &SystemNames::default(), |line| found.push(line.unwrap_err().message)).unwrap();
        assert_eq!(found, ["longer than 1 MiB: nothing from here on was read"]);
    }

    #[test]
    fn lines_are_the_same_however_much_is_read_at_once() {
        let text = b"# first\n\n-A -t 1.2.3.4:80 -s rr\n-a -t 1.2.3.4:80 -r 10.0.0.1:80 -m\r\n-C\n-D -t 1.2.3.4:80";
        let expected = lines(text).unwrap();
        assert_eq!(expected.iter().map(|line| line.number).collect::<Vec<_>>(), [3, 4, 5, 6]);
        for at_once in 1..=text.len() {
            let mut lines = Vec::new();
            let source = io::BufReader::with_capacity(at_once, &text[..]);
            read(source, &SystemNames::default(), |line| lines.push(line)).unwrap();
            assert_eq!(lines, expected, "{at_once} bytes at once");
        }
    }

    #[test]
    fn a_port_that_cannot_be_is_noted() {
        let text =
            b"-a -t 1.2.3.4:80 -r 10.0.0.1:8080\n-a -t 1.2.3.4:80 -r 10.0.0.1:8080 -m\n-a -t 1.2.3.4:80 -r 10.0.0.1\n";
        let ports: Vec<_> = lines(text).unwrap().iter().map(|line| line.replaced_port).collect();
        assert_eq!(ports, [Some(8080), None, None]);
    }
}
