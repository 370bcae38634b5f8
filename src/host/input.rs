//! Files that an option or a setting names, or that stand in a folder of settings, opened so that none of them can hang or feed
//! the program for ever.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};

/// How long a named pipe is waited for until a program opens it for writing.
const WRITER_WAIT: Duration = Duration::from_secs(5);
/// Between two looks at it.
const PAUSE: Duration = Duration::from_millis(20);
/// The longest settings file in bytes. Those of distributions have a few thousand.
const SETTINGS_LENGTH: u64 = 1024 * 1024;

/// An open input file: what was read while it was opened, and the rest.
pub type Input = io::Chain<io::Cursor<Vec<u8>>, File>;

/// Open a file to read it. A regular file, `/dev/null`, and a pipe that a program writes to, such as the shell's `<(…)`, are
/// taken. No open blocks.
///
/// # Errors
/// It cannot be opened; it is a folder or a device; or it is a named pipe, and no program has opened it for writing within five
/// seconds.
pub fn open(path: &Path) -> io::Result<Input> {
    let mut file =
        File::options().read(true).custom_flags(OFlag::O_NONBLOCK.bits() | OFlag::O_NOCTTY.bits()).open(path)?;
    let there = file.metadata()?;
    let kind = there.file_type();
    let mut begun = Vec::new();
    if kind.is_dir() {
        return Err(Errno::EISDIR.into());
    } else if kind.is_fifo() {
        begun = wait_for_writer(&mut file)?;
    } else if !kind.is_file() && !is_null(&there) {
        return Err(io::Error::other("is a device, not a file"));
    }
    wait_as_usual(&file)?;
    Ok(io::Cursor::new(begun).chain(file))
}

/// All of a file, as [`open`] opens it.
///
/// # Errors
/// As [`open`]; or reading fails.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    open(path)?.read_to_end(&mut text)?;
    Ok(text)
}

/// The text of a settings file.
///
/// # Errors
/// As [`open`]; reading fails; or it is longer than any settings file.
pub fn settings(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    open(path)?.take(SETTINGS_LENGTH + 1).read_to_end(&mut text)?;
    if text.len() as u64 > SETTINGS_LENGTH {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "longer than 1 MiB, which no settings file is"));
    }
    Ok(text)
}

/// The same as text, whatever its bytes are. Nothing if it cannot be read.
#[must_use]
pub fn settings_text(path: &Path) -> Option<String> {
    Some(String::from_utf8_lossy(&settings(path).ok()?).into_owned())
}

/// Open a file to append to it, which is made if need be. No open blocks.
///
/// # Errors
/// It cannot be opened or made; or it is a named pipe that no program reads from.
pub fn append(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = match File::options().append(true).create(true).custom_flags(flags.bits()).open(path) {
        Err(error) if error.raw_os_error() == Some(Errno::ENXIO as i32) => {
            return Err(io::Error::new(io::ErrorKind::NotConnected, "is a pipe that no program reads from"));
        }
        opened => opened?,
    };
    wait_as_usual(&file)?;
    Ok(file)
}

/// From here on reading and writing wait.
fn wait_as_usual(file: &File) -> io::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(file, FcntlArg::F_GETFL)?);
    fcntl(file, FcntlArg::F_SETFL(flags - OFlag::O_NONBLOCK))?;
    Ok(())
}

/// `/dev/null`, by any name: character device 1:3 (Documentation/admin-guide/devices.txt).
fn is_null(there: &std::fs::Metadata) -> bool {
    there.file_type().is_char_device() && there.rdev() == nix::sys::stat::makedev(1, 3)
}

/// Wait until a program writes to this pipe, which is in non-blocking mode. Returns what was read in finding out.
///
/// A pipe that no program has open for writing reads as ended; one that is open and empty does not.
fn wait_for_writer(pipe: &mut File) -> io::Result<Vec<u8>> {
    let end = Instant::now() + WRITER_WAIT;
    let mut bytes = vec![0; 4096];
    loop {
        match pipe.read(&mut bytes) {
            Ok(0) if Instant::now() < end => thread::sleep(PAUSE),
            Ok(0) => return Err(io::Error::new(io::ErrorKind::TimedOut, "is a pipe that no program writes to")),
            Ok(length) => {
                bytes.truncate(length);
                return Ok(bytes);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Vec::new()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(path: &Path) -> io::Result<String> {
        let mut text = String::new();
        open(path)?.read_to_string(&mut text)?;
        Ok(text)
    }

    fn pipe(folder: &Path) -> std::path::PathBuf {
        let path = folder.join("pipe");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        path
    }

    #[test]
    fn devices_and_folders_are_refused_but_for_null() {
        assert_eq!(text(Path::new("/dev/null")).unwrap(), "");
        for path in ["/dev/zero", "/dev/full", "/dev/tty"] {
            assert!(open(Path::new(path)).is_err(), "{path}");
        }
        assert_eq!(open(Path::new("/dev/zero")).unwrap_err().to_string(), "is a device, not a file");
        assert_eq!(open(Path::new("/etc")).unwrap_err().kind(), io::ErrorKind::IsADirectory);
    }

    #[test]
    fn a_pipe_is_read_once_a_program_writes_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = pipe(folder.path());
        let writer = path.clone();
        let writer = thread::spawn(move || std::fs::write(writer, "-C\n"));
        assert_eq!(text(&path).unwrap(), "-C\n");
        writer.join().unwrap().unwrap();
    }

    #[test]
    fn a_pipe_without_a_writer_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = pipe(folder.path());
        assert_eq!(open(&path).unwrap_err().to_string(), "is a pipe that no program writes to");
    }

    #[test]
    fn a_pipe_without_a_reader_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = pipe(folder.path());
        assert_eq!(append(&path).unwrap_err().to_string(), "is a pipe that no program reads from");
        let reader = File::options().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(&path).unwrap();
        let file = append(&path).unwrap();
        let flags = OFlag::from_bits_retain(fcntl(&file, FcntlArg::F_GETFL).unwrap());
        assert!(!flags.contains(OFlag::O_NONBLOCK));
        drop(reader);
    }

    #[test]
    fn a_settings_file_has_a_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("settings");
        std::fs::write(&path, vec![b'#'; 1024 * 1024]).unwrap();
        assert_eq!(settings(&path).unwrap().len(), 1024 * 1024);
        std::fs::write(&path, vec![b'#'; 1024 * 1024 + 1]).unwrap();
        assert!(settings(&path).unwrap_err().to_string().contains("1 MiB"));
    }
}
