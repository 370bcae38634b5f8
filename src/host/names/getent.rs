//! getent(1), which asks the C library where only that knows how: its modules for nsswitch.conf(5) cannot be loaded into a
//! statically linked program.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::process::{Child, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::host::program;

/// The program.
pub(super) const PATH: &str = "/usr/bin/getent";
/// Runs at the same time.
pub(super) const AT_ONCE: usize = 32;

/// A run of getent.
struct Run {
    /// Which of the runs asked for.
    index: usize,
    child: Child,
    stdout: ChildStdout,
    answer: Vec<u8>,
}

impl Run {
    /// Only these sources of nsswitch.conf(5) are asked.
    fn start(index: usize, sources: &str, database: &[&str], keys: &[String]) -> io::Result<Self> {
        let mut command = program::command(PATH);
        command.args(["-s", &format!("hosts:{sources}")]).args(database).args(keys);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self { index, child, stdout, answer: Vec::new() })
    }

    /// Read what has been printed. Whether that was all.
    fn read(&mut self) -> bool {
        let mut bytes = [0; 4096];
        match self.stdout.read(&mut bytes) {
            Ok(0) => true,
            Ok(length) => {
                self.answer.extend_from_slice(&bytes[..length]);
                false
            }
            Err(error) => error.kind() != io::ErrorKind::Interrupted,
        }
    }

    /// End it, if it has not ended, and take its answer.
    fn finish(mut self) -> String {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        String::from_utf8_lossy(&self.answer).into_owned()
    }
}

/// What getent prints from this database, which options may precede, for each of these lists of keys; `None` where it did not end before `end`.
///
/// A run asks for one key after the other and prints what it found at its end, so what can be slow has a run of its own.
///
/// # Errors
/// It cannot be run.
pub(super) fn ask(
    sources: &str,
    database: &[&str],
    keys: &[Vec<String>],
    end: Instant,
) -> io::Result<Vec<Option<String>>> {
    let mut answers = vec![None; keys.len()];
    let mut rest = keys.iter().enumerate();
    let mut runs: Vec<Run> = Vec::new();
    loop {
        let left = end.saturating_duration_since(Instant::now());
        while !left.is_zero()
            && runs.len() < AT_ONCE
            && let Some((index, keys)) = rest.next()
        {
            runs.push(Run::start(index, sources, database, keys)?);
        }
        if runs.is_empty() || left.is_zero() {
            break;
        }
        let mut waiting: Vec<PollFd<'_>> =
            runs.iter().map(|run| PollFd::new(run.stdout.as_fd(), PollFlags::POLLIN)).collect();
        // A millisecond that has begun counts, or the last one would be spent in circles.
        let timeout = PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
        let ready: Vec<bool> = match poll(&mut waiting, timeout) {
            Ok(_) => waiting.iter().map(|fd| fd.any() == Some(true)).collect(),
            Err(Errno::EINTR) => continue,
            Err(_) => break,
        };
        for place in (0..runs.len()).rev() {
            if ready[place] && runs[place].read() {
                let run = runs.swap_remove(place);
                let index = run.index;
                answers[index] = Some(run.finish());
            }
        }
    }
    runs.into_iter().for_each(|run| drop(run.finish()));
    Ok(answers)
}
