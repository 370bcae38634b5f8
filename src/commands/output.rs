//! Standard output, in large pieces.

use std::io::{self, Write};
use std::os::fd::AsFd;

use nix::errno::Errno;

use crate::host::stdio;

/// Bytes gathered before they are written.
const SIZE: usize = 64 * 1024;

/// Standard output behind one large buffer, without the standard library's own, which cuts at lines.
pub(super) struct Output {
    buffer: Vec<u8>,
    /// Whether anything has been written yet.
    written: bool,
    /// Whether everything stays in memory for now.
    kept: bool,
}

impl Output {
    pub(super) fn new() -> Self {
        Self { buffer: Vec::new(), written: false, kept: false }
    }

    /// Keep everything in memory from now on, or no longer. While signals are kept back, a reader that does not read would
    /// keep us from ever ending.
    pub(super) fn keep(&mut self, kept: bool) {
        self.kept = kept;
    }

    /// What is written must get somewhere: an error if standard output was closed when the program was started.
    pub(super) fn must_be_open(&self) -> io::Result<()> {
        if stdio::was_closed(io::stdout()) { Err(failed(Errno::EBADF)) } else { Ok(()) }
    }

    /// Write what is left, when nothing more will come. Some file systems, NFS above all, report only at closing that there
    /// was no room.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.flush()?;
        if self.written {
            // Standard output itself is not ours to close; closing another descriptor of it asks the same question.
            let Ok(same) = nix::unistd::dup(io::stdout().as_fd()) else { return Ok(()) };
            match nix::unistd::close(same) {
                Ok(()) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(failed(errno)),
            }
        }
        Ok(())
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() + bytes.len() > SIZE && !self.kept {
            self.flush()?;
        }
        self.buffer.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let stdout = io::stdout();
        let mut rest = self.buffer.as_slice();
        while !rest.is_empty() {
            match nix::unistd::write(&stdout, rest) {
                Ok(written) => {
                    rest = &rest[written..];
                    self.written = true;
                }
                Err(Errno::EINTR) => {}
                Err(errno) => {
                    self.buffer.clear();
                    return Err(failed(errno));
                }
            }
        }
        self.buffer.clear();
        Ok(())
    }
}

/// The error of a write that came to this.
fn failed(errno: Errno) -> io::Error {
    let error = io::Error::from(errno);
    io::Error::new(error.kind(), format!("standard output: {}", netlink_exchange::system_message(&error)))
}
