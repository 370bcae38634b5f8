//! Where rules come from: a file, or standard input.

use std::fmt::{self, Write as _};
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use anyhow::Result;

use super::priority;
use super::{Reported, status};
use crate::escape::escaped;
use crate::host::{SystemNames, input, stdio};
use crate::rules::{self, BadLine, CUT_OFF, Collector, Desired, Heading, Line, ReadError};

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
    pub(super) fn read(&self, take: impl FnMut(Line)) -> Result<Heading> {
        self.read_from(None::<&[u8]>, take)
    }

    /// The same of this text, if it is open already.
    fn read_from(&self, text: Option<impl BufRead>, mut take: impl FnMut(Line)) -> Result<Heading> {
        let mut bad = Report::new(self);
        let outcome = self.each(text, |line| match line {
            Ok(line) if bad.is_empty() => take(line),
            Ok(_) => {}
            Err(line) => _ = bad.add(line.number, line.message),
        });
        match outcome {
            Ok(heading) if bad.is_empty() => Ok(heading),
            Ok(_) => Err(Reported(status::USAGE).into()),
            Err(error) => Err(self.failure(error)),
        }
    }

    /// What a source that fails as a whole is reported as. Bad lines are given one by one before.
    fn failure(&self, error: ReadError) -> anyhow::Error {
        match error {
            ReadError::Source(error) => return anyhow::Error::new(error).context(self.to_string()),
            ReadError::CutOff => say!("{self}: {CUT_OFF}"),
            ReadError::Bad(_) => {}
        }
        Reported(status::USAGE).into()
    }

    fn each(&self, text: Option<impl BufRead>, take: impl FnMut(Result<Line, BadLine>)) -> Result<Heading, ReadError> {
        let names = SystemNames::default();
        if let Some(text) = text {
            return rules::read_each(text, &names, take);
        }
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
        let heading = self.read(|line| collector.take(line))?;
        Ok(collector.finish_under(heading))
    }

    /// Read this text, which is the source's and open already, as the desired state.
    pub(super) fn desired_from(&self, text: impl BufRead) -> Result<Desired> {
        let mut collector = Collector::default();
        let heading = self.read_from(Some(text), |line| collector.take(line))?;
        Ok(collector.finish_under(heading))
    }

    /// Read everything as the desired state, where lines that are not right keep no other from counting.
    pub(super) fn desired_with_faults(&self) -> Result<Desired> {
        self.good_lines().map_err(|error| self.failure(error))
    }

    /// As [`Source::desired_with_faults`], and say nothing.
    pub(super) fn good_lines(&self) -> Result<Desired, ReadError> {
        let mut collector = Collector::default();
        let mut bad = 0;
        let heading = self.each(None::<&[u8]>, |line| match line {
            Ok(line) => collector.take(line),
            Err(line) => {
                bad += 1;
                collector.take_bad(line, !self.all_errors && bad > MESSAGES);
            }
        })?;
        Ok(collector.finish_under(heading))
    }

    /// Print what is wrong with lines, and how many more there are, as errors also for the journal of systemd. Returns what was
    /// printed, line by line.
    pub(super) fn report_errors(
        &self,
        findings: impl IntoIterator<Item = (u32, impl fmt::Display)>,
        more: usize,
    ) -> Vec<String> {
        let mut report = Report::held(self);
        report.priority = priority::of_errors();
        let mut lines = Vec::new();
        for (line, message) in findings {
            let message = message.to_string();
            if report.add(line, &message) {
                lines.push(escaped(&format!("{self}:{line}: {message}")).into_owned());
            }
        }
        report.count += more;
        lines
    }
}

/// Messages of a kind about lines. They are printed in one piece when this is dropped: the first hundred and the number of
/// the others, or all of them.
pub(super) struct Report<'s> {
    source: &'s Source<'s>,
    /// What each line begins with.
    priority: &'static str,
    /// Print nothing before the end.
    hold: bool,
    text: String,
    count: usize,
}

impl<'s> Report<'s> {
    pub(super) fn new(source: &'s Source<'s>) -> Self {
        Self { source, priority: "", hold: false, text: String::new(), count: 0 }
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

    /// Whether it is printed, and not only counted.
    pub(super) fn add(&mut self, line: u32, message: impl fmt::Display) -> bool {
        self.count += 1;
        let prints = self.source.all_errors || self.count <= MESSAGES;
        if prints {
            let separator = if self.text.is_empty() { "" } else { "\n" };
            let _ = write!(self.text, "{separator}{}{}:{line}: {message}", self.priority, self.source);
            if !self.hold && self.text.len() > BUFFER {
                say_lines!("{}", std::mem::take(&mut self.text));
            }
        }
        prints
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
