//! Standard output, in large pieces.

use std::io::{self, Write};
use std::os::fd::AsFd;

/// Bytes gathered before they are written.
const SIZE: usize = 64 * 1024;

/// Standard output behind one large buffer, without the standard library's own, which cuts at lines.
pub(super) struct Output {
    buffer: Vec<u8>,
    stdout: io::Stdout,
}

impl Output {
    pub(super) fn new() -> Self {
        Self { buffer: Vec::new(), stdout: io::stdout() }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() + bytes.len() > SIZE {
            self.flush()?;
        }
        self.buffer.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut rest = self.buffer.as_slice();
        while !rest.is_empty() {
            match nix::unistd::write(self.stdout.as_fd(), rest) {
                Ok(written) => rest = &rest[written..],
                Err(nix::errno::Errno::EINTR) => {}
                Err(errno) => {
                    self.buffer.clear();
                    let kind = io::Error::from(errno).kind();
                    return Err(io::Error::new(
                        kind,
                        format!("standard output: {}", crate::kernel::system_message(errno)),
                    ));
                }
            }
        }
        self.buffer.clear();
        Ok(())
    }
}
