//! Where rules come from: a file, or standard input.

use std::fmt;
use std::io::{self, BufReader};
use std::path::Path;

use anyhow::Result;

use super::{Told, status};
use crate::host::{SystemNames, input, stdio};
use crate::rules::{self, CUT_OFF, Collector, Desired, Line, ReadError};

/// Bytes of a rules file read at once.
const BUFFER: usize = 64 * 1024;

/// Where rules come from. Its text is what messages call it.
pub(super) struct Source<'p> {
    path: Option<&'p Path>,
}

impl fmt::Display for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path {
            Some(path) => path.display().fmt(f),
            None => f.write_str("<stdin>"),
        }
    }
}

impl<'p> Source<'p> {
    /// This file, or standard input.
    pub(super) fn of(path: Option<&'p Path>) -> Self {
        Self { path }
    }

    /// Read and understand every line. All that is wrong is reported.
    pub(super) fn read(&self, take: impl FnMut(Line)) -> Result<()> {
        match self.read_quietly(take) {
            Ok(()) => Ok(()),
            Err(ReadError::Source(error)) => Err(anyhow::Error::new(error).context(self.to_string())),
            Err(ReadError::CutOff) => {
                say!("{self}: {CUT_OFF}");
                Err(Told(status::USAGE).into())
            }
            Err(ReadError::Bad(bad)) => {
                self.report(bad.into_iter().map(|line| (line.number, line.message)));
                Err(Told(status::USAGE).into())
            }
        }
    }

    /// Read and understand every line, and say nothing.
    pub(super) fn read_quietly(&self, take: impl FnMut(Line)) -> Result<(), ReadError> {
        let names = SystemNames::default();
        match self.path {
            // It would read as empty, and empty the table.
            None if stdio::was_closed(io::stdin()) => Err(ReadError::Source(io::Error::other("it is closed"))),
            None => rules::read(BufReader::with_capacity(BUFFER, io::stdin().lock()), &names, take),
            Some(path) => input::open(path)
                .map_err(ReadError::Source)
                .and_then(|file| rules::read(BufReader::with_capacity(BUFFER, file), &names, take)),
        }
    }

    /// Print findings about lines on standard error.
    pub(super) fn report(&self, findings: impl IntoIterator<Item = (u32, impl fmt::Display)>) {
        let text: Vec<String> =
            findings.into_iter().map(|(line, message)| format!("{self}:{line}: {message}")).collect();
        if !text.is_empty() {
            say!("{}", text.join("\n"));
        }
    }

    /// Read everything as the desired state.
    pub(super) fn desired(&self) -> Result<Desired> {
        let mut collector = Collector::default();
        self.read(|line| collector.take(line))?;
        Ok(collector.finish())
    }
}
