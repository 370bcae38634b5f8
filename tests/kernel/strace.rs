//! The program under strace, which ends it at a system call of choice.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;

use crate::support::{Invocation, Output, ours};

/// A way to call the program.
#[derive(Clone, Debug)]
pub struct Call {
    program: PathBuf,
    words: Vec<String>,
}

impl Call {
    /// With these words.
    pub fn of(words: &[&str]) -> Self {
        Self { program: ours(), words: words.iter().map(|word| (*word).to_owned()).collect() }
    }

    /// The same by another name, as which the program is in that folder.
    pub fn by_name(self, folder: &Path, name: &str) -> Result<Self> {
        let program = folder.join(name);
        if !program.exists() {
            std::os::unix::fs::symlink(ours(), &program)?;
        }
        Ok(Self { program, ..self })
    }

    /// Run it as it is.
    pub fn run(&self, stdin: &[u8]) -> Result<Output> {
        self.through("env", &[], stdin)
    }

    /// How many of these system calls it makes.
    pub fn count(&self, calls: &str, stdin: &[u8]) -> Result<usize> {
        let trace = tempfile::NamedTempFile::new_in("/run")?;
        let output = self.traced(&["-o", path(trace.path())?, "-e", &format!("trace={calls}")], stdin)?;
        ensure!(!output.status.starts_with("signal"), "{self:?}: {output:?}");
        let text = std::fs::read_to_string(trace.path())?;
        Ok(text.lines().filter(|line| !line.starts_with(['+', '-'])).count())
    }

    /// Run it. With the so manyth of these system calls comes this signal.
    pub fn signalled(&self, calls: &str, signal: Signal, number: usize, stdin: &[u8]) -> Result<Output> {
        let signal = signal.as_str().trim_start_matches("SIG");
        let inject = format!("inject={calls}:signal={signal}:when={number}");
        // strace ends as what it runs does.
        self.traced(&["-o", "/dev/null", "-e", &format!("trace={calls}"), "-e", &inject], stdin)
    }

    fn traced(&self, strace: &[&str], stdin: &[u8]) -> Result<Output> {
        self.through("strace", strace, stdin)
    }

    /// Both of these programs call it by its name, which [`Invocation`] does not.
    fn through(&self, program: &str, options: &[&str], stdin: &[u8]) -> Result<Output> {
        let own = self.words.iter().map(String::as_str);
        let words: Vec<&str> = options.iter().copied().chain([path(&self.program)?]).chain(own).collect();
        Invocation { stdin, ..Invocation::of(&words) }.run(Path::new(program)).with_context(|| program.to_owned())
    }
}

fn path(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is not UTF-8")
}
