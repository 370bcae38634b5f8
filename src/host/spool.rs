//! Bytes that are written once and read several times, and do not stay in memory if there are many.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom, Take, Write};
use std::path::{Path, PathBuf};

use netlink_exchange::system_message;

use super::file;
use crate::escape::escaped;

/// As much stays in memory, and is written at once.
const KEPT: usize = 64 * 1024;

/// Bytes that are being written. Beyond 64 KiB they are in a file without a name, which is gone with the
/// program.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    file: Option<File>,
    /// The bytes in the file.
    in_file: u64,
    /// The bytes after those.
    pending: Vec<u8>,
}

impl Spool {
    /// Nothing yet; a file will be in this folder.
    #[must_use]
    pub const fn new(folder: PathBuf) -> Self {
        Self { folder, file: None, in_file: 0, pending: Vec::new() }
    }

    /// How many bytes there are.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.in_file + self.pending.len() as u64
    }

    /// Forget what was written beyond this length.
    ///
    /// # Errors
    /// The place in the file cannot be set.
    pub fn truncate(&mut self, length: u64) -> io::Result<()> {
        match length.checked_sub(self.in_file) {
            Some(pending) => self.pending.truncate(usize::try_from(pending).unwrap_or(usize::MAX)),
            None => {
                self.pending.clear();
                self.in_file = length;
                if let Some(file) = &mut self.file {
                    file.seek(SeekFrom::Start(length)).map_err(|error| named(&self.folder, &error))?;
                }
            }
        }
        Ok(())
    }

    /// All of it, to be read from the beginning.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn finish(mut self) -> io::Result<Spooled> {
        let Some(mut file) = self.file.take() else { return Ok(Spooled::InMemory(Cursor::new(self.pending))) };
        file.write_all(&self.pending).and_then(|()| file.rewind()).map_err(|error| named(&self.folder, &error))?;
        // Behind it there may be what was forgotten. The protocol 9p cannot shorten a file without a name.
        Ok(Spooled::InFile(file.take(self.length())))
    }

    /// Move what is in memory to the file.
    fn pass_on(&mut self) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(file::unnamed(&self.folder)?),
        };
        file.write_all(&self.pending)?;
        self.in_file += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }
}

/// An error of the file, which has no name.
fn named(folder: &Path, error: &io::Error) -> io::Error {
    let reason = system_message(error);
    io::Error::other(format!("temporary file in {}: {reason} (TMPDIR names another folder)", escaped(folder)))
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.pending.len() + bytes.len() > KEPT {
            self.pass_on().map_err(|error| named(&self.folder, &error))?;
        }
        self.pending.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes that were written.
#[derive(Debug)]
pub enum Spooled {
    /// Few.
    InMemory(Cursor<Vec<u8>>),
    /// Many.
    InFile(Take<File>),
}

impl Read for Spooled {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::InMemory(bytes) => bytes.read(buffer),
            Self::InFile(file) => file.read(buffer),
        }
    }
}

impl Seek for Spooled {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match self {
            Self::InMemory(bytes) => bytes.seek(to),
            Self::InFile(file) => file.seek(to),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// What is written, cut and read, of pieces around the size from which on there is a file.
    #[test]
    fn what_was_written_is_read_again_and_again() {
        let folder = tempfile::tempdir().unwrap();
        for pieces in [0, 1, KEPT / 100, KEPT / 100 + 1, KEPT / 10] {
            for kept in [0, pieces / 2, pieces] {
                let mut spool = Spool::new(folder.path().to_owned());
                let mut expected = Vec::new();
                let mut length = 0;
                for piece in 0..pieces {
                    if piece == kept {
                        length = spool.length();
                    }
                    spool.write_all(format!("{piece:0100}").as_bytes()).unwrap();
                }
                if kept == pieces {
                    length = spool.length();
                }
                (0..kept).for_each(|piece| expected.extend(format!("{piece:0100}").bytes()));
                spool.truncate(length).unwrap();
                spool.write_all(b"end").unwrap();
                expected.extend(b"end");
                let mut spooled = spool.finish().unwrap();
                for _ in 0..2 {
                    let mut read = Vec::new();
                    spooled.rewind().unwrap();
                    spooled.read_to_end(&mut read).unwrap();
                    assert!(read == expected, "{pieces} pieces, {kept} of them kept");
                }
                assert_eq!(matches!(spooled, Spooled::InFile(_)), pieces > KEPT / 100);
                assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
            }
        }
    }

    #[test]
    fn a_folder_that_cannot_be_used_is_named() {
        let mut spool = Spool::new("/nonexistent".into());
        spool.write_all(&[b'x'; KEPT]).unwrap();
        assert_eq!(
            spool.write_all(b"y").unwrap_err().to_string(),
            "temporary file in /nonexistent: No such file or directory (TMPDIR names another folder)"
        );
    }
}
