//! Reads the case files; `README.md` beside this file describes them.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

use crate::support::{difference, split_words, unescape_line};

/// One case.
#[derive(Debug, Clone, Default)]
pub(crate) struct Case {
    /// `FILE::NAME`.
    pub(crate) name: String,
    /// Done in the namespace before the runs.
    pub(crate) preparations: Vec<Preparation>,
    /// What is run, in this order.
    pub(crate) runs: Vec<Run>,
    /// The deviation this case shows.
    pub(crate) deviation: Option<String>,
    /// What `-S -n` of our namespace must be afterwards, if not the same as the original's.
    pub(crate) table: Option<String>,
    /// Whether both programs look at the same namespace.
    pub(crate) live: bool,
    /// It is for a byte order that is not this machine's.
    pub(crate) elsewhere: bool,
    /// The user.
    pub(crate) uid: Option<u32>,
    /// Where standard output goes.
    pub(crate) stdout: Option<PathBuf>,
    /// What a shell says to close a standard stream.
    pub(crate) closed: Option<&'static str>,
}

/// A step on the way to where a case begins.
#[derive(Debug, Clone)]
pub(crate) enum Preparation {
    /// Lines for the original's -R.
    Rules(Vec<u8>),
    /// A dummy interface.
    Dummy(String),
    /// An address of an interface.
    Address(String, IpAddr, u8),
    /// A program listens (TCP).
    Listen(SocketAddr),
    /// A connection is opened from … to …
    Tcp(SocketAddr, SocketAddr),
    /// A datagram goes from … to …
    Udp(SocketAddr, SocketAddr, Vec<u8>),
    /// Seconds pass.
    Sleep(f64),
}

/// One run of the program.
#[derive(Debug, Clone, Default)]
pub(crate) struct Run {
    /// The words as they are written in the case.
    pub(crate) text: String,
    /// The words.
    pub(crate) words: Vec<Vec<u8>>,
    /// What it reads.
    pub(crate) stdin: Vec<u8>,
    /// What ours does, if it does not do what the original does.
    pub(crate) expectation: Option<Expectation>,
}

impl Run {
    /// A run of these words.
    pub(crate) fn new(text: &str) -> Result<Self> {
        Ok(Self { text: text.to_owned(), words: split_words(text)?, ..Self::default() })
    }

    /// Whether this can have changed the table.
    pub(crate) fn can_change(&self) -> bool {
        let reading = ["-L", "-l", "--list", "-S", "--save", "-h", "--help", "-v", "--version"];
        let first = self.words.first().map(Vec::as_slice).unwrap_or_default();
        let looks = reading.iter().any(|command| {
            if command.starts_with("--") { first == command.as_bytes() } else { first.starts_with(command.as_bytes()) }
        });
        !(first.is_empty() || looks)
    }
}

/// What ours must do.
#[derive(Debug, Clone)]
pub(crate) struct Expectation {
    pub(crate) stdout: Text,
    pub(crate) stderr: Text,
    /// The status; `!0` is any but 0.
    pub(crate) status: String,
}

impl Default for Expectation {
    fn default() -> Self {
        let nothing = || Text::Exactly(String::new());
        Self { stdout: nothing(), stderr: nothing(), status: "0".to_owned() }
    }
}

/// What is expected of an output.
#[derive(Debug, Clone)]
pub(crate) enum Text {
    /// This and nothing else.
    Exactly(String),
    /// At least one line, which begins so.
    Begins(String),
}

impl Text {
    /// What is wrong with `actual`, or nothing.
    pub(crate) fn complaint(&self, what: &str, actual: &str) -> String {
        match self {
            Self::Exactly(text) if text == actual => String::new(),
            Self::Exactly(text) => format!("    {what}:\n{}", difference(text, actual)),
            Self::Begins(start) if actual.starts_with(start) && actual.ends_with('\n') => String::new(),
            Self::Begins(start) => format!("    {what} must begin {start:?} but is:\n{}", difference("", actual)),
        }
    }

    fn add_line(&mut self, line: &str) -> Result<()> {
        let Self::Exactly(text) = self else { bail!("either `>` or `~`, not both") };
        text.push_str(line);
        text.push('\n');
        Ok(())
    }
}

/// The cases of a file.
pub(crate) fn read(path: &Path) -> Result<Vec<Case>> {
    let topic = path.file_stem().unwrap_or_default().to_string_lossy();
    let text = fs::read_to_string(path)?;
    let mut cases = Vec::new();
    for block in text.split("\n\n") {
        let first = block.lines().find(|line| !line.is_empty()).unwrap_or_default();
        cases.extend(read_block(&topic, block).with_context(|| format!("in the block that begins {first:?}"))?);
    }
    // The same command line after other preparations.
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for case in &mut cases {
        let number = seen.entry(case.name.clone()).or_default();
        *number += 1;
        if *number > 1 {
            case.name.push_str(&format!(" ({number})"));
        }
    }
    Ok(cases)
}

fn read_block(topic: &str, block: &str) -> Result<Vec<Case>> {
    let mut case = Case::default();
    let mut each = false;
    let mut title = None;
    let mut named = Vec::new();
    for line in block.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "each" => each = true,
            "name" => title = Some(rest.to_owned()),
            ":" => add_rule(&mut case.preparations, rest)?,
            "dummy" => case.preparations.push(Preparation::Dummy(rest.to_owned())),
            "address" => case.preparations.push(read_address(rest)?),
            "listen" => case.preparations.push(Preparation::Listen(rest.parse()?)),
            "tcp" | "udp" => case.preparations.push(read_traffic(word, rest)?),
            "sleep" => case.preparations.push(Preparation::Sleep(rest.parse()?)),
            "live" => case.live = true,
            "only" => {
                case.elsewhere = match rest {
                    "little-endian" => cfg!(target_endian = "big"),
                    "big-endian" => cfg!(target_endian = "little"),
                    "32-bit" => cfg!(target_pointer_width = "64"),
                    "64-bit" => cfg!(target_pointer_width = "32"),
                    _ => bail!("only little-endian, big-endian, 32-bit or 64-bit"),
                };
            }
            "as" => case.uid = Some(rest.parse()?),
            "closed" => {
                case.closed = Some(match rest {
                    "stdin" => "<&-",
                    "stdout" => ">&-",
                    _ => bail!("closed stdin, or closed stdout"),
                });
            }
            "stdout" => case.stdout = Some(PathBuf::from(rest)),
            "deviation" => case.deviation = Some(rest.to_owned()),
            "t>" => add_to_table(&mut case.table, rest),
            "$" => {
                case.runs.push(Run::new(rest)?);
                named.push(title.take());
            }
            _ => add_to_run(case.runs.last_mut().context("before the first `$`")?, word, rest, line)?,
        }
    }
    let expects = case.runs.iter().any(|run| run.expectation.is_some()) || case.table.is_some();
    ensure!(expects == case.deviation.is_some(), "`deviation` and what ours does belong together");
    if case.runs.is_empty() {
        ensure!(case.preparations.is_empty(), "no `$` line");
        return Ok(Vec::new());
    }
    if !each {
        let own = named.iter().flatten().next().cloned().or(title);
        case.name = format!("{topic}::{}", own.unwrap_or_else(|| label(&case.runs[0])));
        return Ok(vec![case]);
    }
    ensure!(case.table.is_none(), "`t>` and `each` do not go together");
    let single = |(run, title): (&Run, Option<String>)| {
        let name = format!("{topic}::{}", title.unwrap_or_else(|| label(run)));
        Case { name, runs: vec![run.clone()], ..case.clone() }
    };
    Ok(case.runs.iter().zip(named).map(single).collect())
}

/// A name for a case that has none: its command line and the beginning of its input.
fn label(run: &Run) -> String {
    let words = if run.text.is_empty() { "(no words)" } else { run.text.as_str() };
    if run.stdin.is_empty() {
        return words.to_owned();
    }
    let input: String = String::from_utf8_lossy(&run.stdin).chars().take(60).collect();
    format!("{words} < {}", input.escape_debug())
}

fn add_rule(preparations: &mut Vec<Preparation>, rule: &str) -> Result<()> {
    ensure!(!rule.contains(['\'', '"']), "preparations go through -R, which knows no quotes");
    if !matches!(preparations.last(), Some(Preparation::Rules(_))) {
        preparations.push(Preparation::Rules(Vec::new()));
    }
    if let Some(Preparation::Rules(rules)) = preparations.last_mut() {
        rules.extend_from_slice(rule.as_bytes());
        rules.push(b'\n');
    }
    Ok(())
}

fn add_to_table(table: &mut Option<String>, line: &str) {
    let table = table.get_or_insert_default();
    if line != "(empty)" {
        table.push_str(line);
        table.push('\n');
    }
}

fn read_address(rest: &str) -> Result<Preparation> {
    let (name, address) = rest.split_once(' ').context("address INTERFACE ADDRESS/PREFIX")?;
    let (address, prefix) = address.split_once('/').context("no prefix")?;
    Ok(Preparation::Address(name.to_owned(), address.parse()?, prefix.parse()?))
}

fn read_traffic(protocol: &str, rest: &str) -> Result<Preparation> {
    let mut words = rest.splitn(3, ' ');
    let from = words.next().unwrap_or_default().parse()?;
    let to = words.next().context("FROM TO")?.parse()?;
    Ok(match protocol {
        "tcp" => Preparation::Tcp(from, to),
        _ => Preparation::Udp(from, to, unescape_line(words.next().unwrap_or("x"))?),
    })
}

fn add_to_run(run: &mut Run, word: &str, rest: &str, line: &str) -> Result<()> {
    match word {
        "<" => {
            run.stdin.extend(unescape_line(rest)?);
            run.stdin.push(b'\n');
        }
        // Without an end of line.
        "<|" => run.stdin.extend(unescape_line(rest)?),
        "<*" => {
            let (times, text) = rest.split_once(' ').context("<* TIMES TEXT")?;
            run.stdin.extend(unescape_line(text)?.repeat(times.parse()?));
        }
        "1>" => run.expectation.get_or_insert_default().stdout.add_line(rest)?,
        "2>" => run.expectation.get_or_insert_default().stderr.add_line(rest)?,
        "1~" => run.expectation.get_or_insert_default().stdout = Text::Begins(rest.to_owned()),
        "2~" => run.expectation.get_or_insert_default().stderr = Text::Begins(rest.to_owned()),
        "?" => run.expectation.get_or_insert_default().status = rest.to_owned(),
        _ => bail!("not understood: {line}"),
    }
    Ok(())
}
