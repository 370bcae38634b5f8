//! Where rules come from: a file, or standard input.

use std::fmt::{self, Write as _};
use std::io::{self, BufReader};
use std::path::Path;

use anyhow::Result;

use super::{Told, status};
use crate::escape::escaped;
use crate::host::{SystemNames, input, stdio};
use crate::rules::{self, BadLine, CUT_OFF, Collector, Desired, Line, ReadError};

/// Bytes of a rules file read at once.
const BUFFER: usize = 64 * 1024;

/// Messages of a kind that are printed; after them there is a count.
const MESSAGES: usize = 100;

/// Where rules come from. Its text is what messages call it.
pub(super) struct Source<'p> {
    path: Option<&'p Path>,
    /// Print every message (`--all-errors`).
    all_errors: bool,
}

impl fmt::Display for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path {
            Some(path) => f.write_str(&escaped(path)),
            None => f.write_str("<stdin>"),
        }
    }
}

impl<'p> Source<'p> {
    /// This file, or standard input.
    pub(super) fn of(path: Option<&'p Path>) -> Self {
        Self { path, all_errors: false }
    }

    /// The same; all that is wrong with it is printed if so wanted.
    pub(super) fn all_errors(self, all_errors: bool) -> Self {
        Self { all_errors, ..self }
    }

    /// Read and understand every line. What is wrong is reported.
    pub(super) fn read(&self, mut take: impl FnMut(Line)) -> Result<()> {
        let mut bad = Report::new(self);
        let outcome = self.each(|line| match line {
            Ok(line) if bad.is_empty() => take(line),
            Ok(_) => {}
            Err(line) => bad.add(line.number, line.message),
        });
        match outcome {
            Ok(()) if bad.is_empty() => Ok(()),
            Ok(()) => Err(Told(status::USAGE).into()),
            Err(ReadError::Source(error)) => Err(anyhow::Error::new(error).context(self.to_string())),
            Err(ReadError::CutOff) => {
                say!("{self}: {CUT_OFF}");
                Err(Told(status::USAGE).into())
            }
            // Bad lines are given one by one.
            Err(ReadError::Bad(_)) => Err(Told(status::USAGE).into()),
        }
    }

    /// Read and understand every line, and say nothing.
    pub(super) fn read_quietly(&self, mut take: impl FnMut(Line)) -> Result<(), ReadError> {
        let mut good = true;
        self.each(|line| match line {
            Ok(line) if good => take(line),
            Ok(_) => {}
            Err(_) => good = false,
        })
    }

    fn each(&self, take: impl FnMut(Result<Line, BadLine>)) -> Result<(), ReadError> {
        let names = SystemNames::default();
        match self.path {
            // It would read as empty, and empty the table.
            None if stdio::was_closed(io::stdin()) => Err(ReadError::Source(io::Error::other("it is closed"))),
            None => rules::read_each(BufReader::with_capacity(BUFFER, io::stdin().lock()), &names, take),
            Some(path) => input::open(path)
                .map_err(ReadError::Source)
                .and_then(|file| rules::read_each(BufReader::with_capacity(BUFFER, file), &names, take)),
        }
    }

    /// Print findings about lines on standard error.
    pub(super) fn report(&self, findings: impl IntoIterator<Item = (u32, impl fmt::Display)>) {
        let mut report = Report::new(self);
        for (line, message) in findings {
            report.add(line, message);
        }
    }

    /// Read everything as the desired state.
    pub(super) fn desired(&self) -> Result<Desired> {
        let mut collector = Collector::default();
        self.read(|line| collector.take(line))?;
        Ok(collector.finish())
    }
}

/// Messages of a kind about lines. They are printed in one piece when this is dropped: the first hundred and the number of
/// the others, or all of them.
pub(super) struct Report<'s> {
    source: &'s Source<'s>,
    /// Print nothing before the end.
    hold: bool,
    text: String,
    count: usize,
}

impl<'s> Report<'s> {
    pub(super) fn new(source: &'s Source<'s>) -> Self {
        Self { source, hold: false, text: String::new(), count: 0 }
    }

    /// One that prints nothing before the end, for a time when signals are kept back: a reader that does not read would keep the
    /// program from ever ending.
    pub(super) fn held(source: &'s Source<'s>) -> Self {
        let mut report = Self::new(source);
        report.hold = true;
        report
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn add(&mut self, line: u32, message: impl fmt::Display) {
        self.count += 1;
        if self.source.all_errors || self.count <= MESSAGES {
            let separator = if self.text.is_empty() { "" } else { "\n" };
            let _ = write!(self.text, "{separator}{}:{line}: {message}", self.source);
            if !self.hold && self.text.len() > BUFFER {
                say_lines!("{}", std::mem::take(&mut self.text));
            }
        }
    }
}

impl Drop for Report<'_> {
    fn drop(&mut self) {
        let more = if self.source.all_errors { 0 } else { self.count.saturating_sub(MESSAGES) };
        if more > 0 {
            self.text.push_str(&format!("\n{}: {more} more; --all-errors prints all", self.source));
        }
        if !self.text.is_empty() {
            say_lines!("{}", self.text.trim_start_matches('\n'));
        }
    }
}
