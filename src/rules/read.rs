//! From the text of a rules file to requests with their line numbers.

use std::fmt;
use std::io::{self, BufRead};

use ipvs_client::Change;
use memchr::{memchr, memchr2};

use super::frame::Frame;
use crate::grammar::{self, Names, Parsed, PlainRules, Request};

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
/// `ipvsadm` is passed over; there is no quoting. A line has at most 1 MiB, and the last one need not end.
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

/// What the comments of saved rules say of all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heading {
    /// Servers stand in the order in which they were added.
    pub keeps_order: bool,
}

/// Give each line that asks for something, or is not right. At a line that is too long reading ends, as such a source is not a file
/// of rules, and need not have an end.
///
/// # Errors
/// The source fails, or the rules are cut off.
pub fn read_each(
    mut source: impl BufRead,
    names: &impl Names,
    take: impl FnMut(Result<Line, BadLine>),
) -> Result<Heading, ReadError> {
    let mut lines = Lines {
        names,
        take,
        number: 0,
        frame: Frame::default(),
        plain: PlainRules::default(),
        held: Vec::new(),
        held_bytes: 0,
    };
    // Lines are read where they are in the source's buffer, and their ends are looked for by memchr: that saves 3 % and 7 % of the
    // instructions of `--check` of 11,000 lines.
    // The beginning of a line whose end was not read yet.
    let mut begun = Vec::new();
    let mut goes_on = true;
    while goes_on {
        let read = match source.fill_buf() {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(ReadError::Source(error)),
        };
        if read.is_empty() {
            break;
        }
        let mut rest = read;
        while goes_on && let Some(end) = memchr(b'\n', rest) {
            if begun.is_empty() {
                goes_on = lines.add(&rest[..end]);
            } else {
                begun.extend_from_slice(&rest[..end]);
                goes_on = lines.add(&begun);
                begun.clear();
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
    if goes_on && !begun.is_empty() {
        goes_on = lines.add(&begun);
    }
    if goes_on && lines.frame.is_cut_off() {
        return Err(ReadError::CutOff);
    }
    lines.give_held();
    Ok(Heading { keeps_order: lines.frame.keeps_order() })
}

/// The lines of a source, given to `take` in their order.
struct Lines<'n, N, T> {
    names: &'n N,
    take: T,
    /// The number of the last one.
    number: u32,
    frame: Frame,
    plain: PlainRules,
    /// Lines from the first one on that has a name which is not known yet: names are looked up together.
    held: Vec<Held>,
    held_bytes: usize,
}

/// A line that waits for names.
enum Held {
    /// It does not itself, but comes after one that does.
    Read(Result<Line, BadLine>),
    /// Its number and its text.
    Text(u32, Vec<u8>),
}

/// What is held at most before names are looked up.
const HELD: usize = 16 * 1024 * 1024;

impl<N: Names, T: FnMut(Result<Line, BadLine>)> Lines<'_, N, T> {
    /// Read the next one. Whether reading goes on.
    fn add(&mut self, text: &[u8]) -> bool {
        self.number += 1;
        let number = self.number;
        if text.len() > LINE_LENGTH {
            self.give(Err(BadLine { number, message: TOO_LONG.to_owned() }));
            return false;
        }
        if let Some(change) = self.plain.read(text) {
            self.give(Ok(Line { number, replaced_port: None, request: Request::Change(change) }));
            return true;
        }
        self.frame.line(text);
        match request(text, self.names) {
            Ok(None) => {}
            Ok(Some(Parsed { request, replaced_port, .. })) => self.give(Ok(Line { number, replaced_port, request })),
            Err(Bad::Line(message)) => self.give(Err(BadLine { number, message })),
            Err(Bad::Pending) => self.hold(Held::Text(number, text.to_owned()), text.len()),
        }
        true
    }

    fn give(&mut self, line: Result<Line, BadLine>) {
        if self.held.is_empty() {
            (self.take)(line);
        } else {
            let length = line.as_ref().map_or_else(|bad| bad.message.len(), |_| 0);
            self.hold(Held::Read(line), length);
        }
    }

    fn hold(&mut self, line: Held, length: usize) {
        self.held.push(line);
        self.held_bytes += size_of::<Held>() + length;
        if self.held_bytes > HELD {
            self.give_held();
        }
    }

    /// Look names up, and give the lines that waited for them.
    fn give_held(&mut self) {
        if self.held.is_empty() {
            return;
        }
        self.names.look_up();
        self.held_bytes = 0;
        for held in std::mem::take(&mut self.held) {
            let (number, text) = match held {
                Held::Read(line) => {
                    (self.take)(line);
                    continue;
                }
                Held::Text(number, text) => (number, text),
            };
            match request(&text, self.names) {
                Ok(None) => {}
                Ok(Some(Parsed { request, replaced_port, .. })) => {
                    (self.take)(Ok(Line { number, replaced_port, request }));
                }
                Err(bad) => (self.take)(Err(BadLine { number, message: bad.message() })),
            }
        }
    }
}

/// Why a line has no request.
enum Bad {
    /// It is not right.
    Line(String),
    /// Names have to be looked up first.
    Pending,
}

impl Bad {
    fn message(self) -> String {
        match self {
            Self::Line(message) => message,
            Self::Pending => grammar::Error::Pending.to_string(),
        }
    }
}

impl From<&str> for Bad {
    fn from(message: &str) -> Self {
        Self::Line(message.to_owned())
    }
}

impl From<grammar::Error> for Bad {
    fn from(error: grammar::Error) -> Self {
        match error {
            grammar::Error::Pending => Self::Pending,
            error => Self::Line(error.to_string()),
        }
    }
}

/// The words of a line, up to a comment.
#[derive(Clone)]
struct Words<'l>(&'l [u8]);

impl<'l> Iterator for Words<'l> {
    type Item = &'l [u8];

    fn next(&mut self) -> Option<&'l [u8]> {
        let mut rest = self.0;
        while let [b' ' | b'\t' | b'\r', behind @ ..] = rest {
            rest = behind;
        }
        let blank = |&byte: &u8| matches!(byte, b' ' | b'\t' | b'\r');
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
fn look_closer(line: &[u8]) -> Result<(), Bad> {
    if memchr(0, line).is_some() {
        return Err("a NUL byte".into());
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
            Err("a rule behind a comment and a carriage return would be ignored: a newline must end each line".into())
        }
        false => Ok(()),
    }
}

/// The request of one line, if it holds any.
fn request(line: &[u8], names: &impl Names) -> Result<Option<Parsed>, Bad> {
    // It saves 7 % of the instructions of `--check` of 11,000 lines.
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
    let parsed = grammar::parse_known(words, names)?;
    if parsed.lock_wait.is_some() {
        return Err("--lock-wait has no place in a rules file".into());
    }
    match &parsed.request {
        Request::Restore(_) | Request::Help | Request::Version(_) => {
            Err("-R, -h and -v have no place in a rules file".into())
        }
        Request::Drain(_) => Err("--drain has no place in a rules file".into()),
        Request::Metrics(_) => Err("--prometheus and --openmetrics have no place in a rules file".into()),
        Request::Save(save) if save.file.is_some() => Err("--file has no place in a rules file".into()),
        Request::Save(_) | Request::List(_) | Request::Change(_) => Ok(Some(parsed)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::net::IpAddr;

    use crate::grammar::NoNames;
    use crate::rules::frame;
    use ipvs_client::Protocol;

    fn lines(text: &[u8]) -> Result<Vec<Line>, ReadError> {
        let mut lines = Vec::new();
        read(text, &NoNames, |line| lines.push(line)).map(|()| lines)
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
    fn every_bad_line_is_reported() {
        let text = b"-A -t x\n-C\n-Q\nwhat\n-A -t 1.2.3.4:80 -w\n-R\n-S --file /x\n-\0C\n-d -t 1.2.3.4:80 -r 1.2.3.5 --drain\n-C --lock-wait 5\n";
        assert_eq!(
            bad(text),
            [
                "1: illegal virtual server address[:port] specified: could not resolve `x': names are not looked up here",
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
        let saved = format!("{}\n-C\n{}\n", frame::first(false), frame::last(1));
        assert_eq!(numbers(saved.as_bytes()), [2]);
        assert_eq!(numbers(format!("# mine\n{saved}-C\n").as_bytes()), [3, 5]);
        let first = frame::first(false).len();
        for length in first..saved.len() - " 1 lines\n".len() {
            assert!(matches!(lines(&saved.as_bytes()[..length]), Err(ReadError::CutOff)), "{length}");
        }
        let two = format!("{}\n-C\n{saved}", frame::first(true));
        assert!(matches!(lines(two.as_bytes()), Err(ReadError::CutOff)));
        // More is said there one day.
        let more = saved.replacen("the last", "servers in order; the last", 1);
        assert!(matches!(lines(&more.as_bytes()[..more.len() - 20]), Err(ReadError::CutOff)));
    }

    #[test]
    fn the_first_line_says_whether_servers_are_in_order() {
        for keeps_order in [false, true] {
            let saved = format!("{}\n{}\n", frame::first(keeps_order), frame::last(0));
            assert_eq!(read_each(saved.as_bytes(), &NoNames, |_| {}).unwrap(), Heading { keeps_order });
        }
        assert_eq!(read_each(&b"-C\n"[..], &NoNames, |_| {}).unwrap(), Heading::default());
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
        read_each(source, &NoNames, |line| found.push(line.unwrap_err().message)).unwrap();
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
            read(source, &NoNames, |line| lines.push(line)).unwrap();
            assert_eq!(lines, expected, "{at_once} bytes at once");
        }
    }

    /// Names that are known once they have been looked up, and what was asked for until then.
    #[derive(Default)]
    struct SomeNames {
        wanted: RefCell<Vec<String>>,
        looked_up: RefCell<Vec<Vec<String>>>,
    }

    impl Names for SomeNames {
        fn host(&self, name: &str) -> Option<Result<IpAddr, String>> {
            if self.looked_up.borrow().is_empty() {
                self.wanted.borrow_mut().push(name.to_owned());
                return None;
            }
            let number = name.strip_prefix("host-").and_then(|number| number.parse().ok());
            Some(number.map(|number| IpAddr::from([10, 0, 0, number])).ok_or_else(|| "unheard of".to_owned()))
        }

        fn look_up(&self) {
            self.looked_up.borrow_mut().push(self.wanted.take());
        }

        fn port(&self, _: &str, _: Protocol) -> Option<u16> {
            None
        }
    }

    #[test]
    fn names_of_all_lines_are_looked_up_at_once() {
        let names = SomeNames::default();
        let text =
            b"-A -t 1.2.3.4:80\n-A -t host-1:80\n-C\n-a -t host-1:80 -r host-2:80\n-A -t 1.2.3.4:81 -p -M host-3";
        let mut lines = Vec::new();
        read(&text[..], &names, |line| lines.push(line)).unwrap();
        assert_eq!(*names.looked_up.borrow(), [["host-1", "host-1", "host-2", "host-3"]]);
        let as_numbers = "-A -t 1.2.3.4:80\n-A -t 10.0.0.1:80\n-C\n-a -t 10.0.0.1:80 -r 10.0.0.2:80\n\
                          -A -t 1.2.3.4:81 -p -M 10.0.0.3";
        assert_eq!(lines, self::lines(as_numbers.as_bytes()).unwrap());
        let names = SomeNames::default();
        let text =
            b"-A -t host-1:80\n-Q\n-A -t host-2:80 -w\n-A -t x:80 -r host-3\n-C\n-A -t 1.2.3.400:80\n-A -t */2:80";
        let Err(ReadError::Bad(bad)) = read(&text[..], &names, |_| {}) else { panic!("it is wrong") };
        let bad: Vec<String> = bad.iter().map(ToString::to_string).collect();
        let illegal = "illegal virtual server address[:port] specified";
        assert_eq!(
            bad,
            [
                "2: a line must begin with a command, such as -A or -a".to_owned(),
                "3: -w: missing argument".to_owned(),
                format!("4: {illegal}: could not resolve `x': unheard of"),
                format!("6: {illegal}: `1.2.3.400:80'"),
                format!("7: {illegal}: `*/2:80'"),
            ]
        );
    }

    #[test]
    fn a_port_that_cannot_be_is_noted() {
        let text =
            b"-a -t 1.2.3.4:80 -r 10.0.0.1:8080\n-a -t 1.2.3.4:80 -r 10.0.0.1:8080 -m\n-a -t 1.2.3.4:80 -r 10.0.0.1\n";
        let ports: Vec<_> = lines(text).unwrap().iter().map(|line| line.replaced_port).collect();
        assert_eq!(ports, [Some(8080), None, None]);
    }
}
