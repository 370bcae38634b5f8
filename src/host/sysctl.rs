//! Kernel settings under `/proc/sys`, named by their path there: `net/ipv4/conf/all/arp_ignore`. The names of sysctl(8),
//! with dots, are ambiguous for interfaces whose names have dots.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where the settings are.
const ROOT: &str = "/proc/sys";

/// A setting that could not be read or written.
#[derive(Debug)]
pub struct Error {
    /// Its file.
    pub path: PathBuf,
    /// What was being done: "read" or "written".
    pub doing: &'static str,
    /// Why it failed.
    pub source: io::Error,
}

impl Error {
    /// Whether there is no such setting in this kernel, or no such interface.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cannot be {}", self.path.display(), self.doing)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// The file of a setting.
///
/// # Errors
/// The key is not a path below `/proc/sys`.
pub fn path(key: &str) -> Result<PathBuf, Error> {
    let path = Path::new(ROOT).join(key);
    if key.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(Error { path, doing: "read", source: io::ErrorKind::InvalidInput.into() });
    }
    Ok(path)
}

/// The version of the running kernel: 6 and 1 for `6.1.0-50-amd64`; nothing if its name does not begin so.
///
/// # Errors
/// It cannot be read.
pub fn kernel_version() -> Result<Option<(u32, u32)>, Error> {
    let release = read("kernel/osrelease")?;
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|word| word.parse().ok());
    Ok(numbers.next().zip(numbers.next()))
}

/// The value of a setting, without the line feed.
///
/// # Errors
/// There is no such setting, or it cannot be read.
pub fn read(key: &str) -> Result<String, Error> {
    let path = path(key)?;
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text.trim_end().to_owned()),
        Err(source) => Err(Error { path, doing: "read", source }),
    }
}

/// The value of a setting that is a whole number.
///
/// # Errors
/// There is no such setting, it cannot be read, or it is not a number.
pub fn read_number(key: &str) -> Result<i64, Error> {
    let text = read(key)?;
    text.parse().map_err(|_| Error {
        path: Path::new(ROOT).join(key),
        doing: "read",
        source: io::Error::new(io::ErrorKind::InvalidData, format!("`{text}' is not a number")),
    })
}

/// Give a setting a value, if it has another. Returns the other.
///
/// # Errors
/// There is no such setting, or it cannot be read or written; what stood there stands.
pub fn write(key: &str, value: &str) -> Result<Option<String>, Error> {
    let old = read(key)?;
    if old == value {
        return Ok(None);
    }
    let path = path(key)?;
    match fs::write(&path, value) {
        Ok(()) => Ok(Some(old)),
        Err(source) => Err(Error { path, doing: "written", source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_read_and_what_is_none_is_named() {
        assert!(!read("kernel/osrelease").unwrap().ends_with('\n'));
        assert!(read_number("kernel/pid_max").unwrap() > 0);
        let error = read("kernel/no_such_setting").unwrap_err();
        assert!(error.is_missing());
        assert_eq!(error.to_string(), "/proc/sys/kernel/no_such_setting cannot be read");
        assert!(read_number("kernel/osrelease").unwrap_err().source.to_string().ends_with("is not a number"));
    }

    #[test]
    fn a_key_leads_nowhere_else() {
        for key in ["", "/etc/passwd", "kernel/../../self/comm", "net//x", "./kernel"] {
            assert_eq!(read(key).unwrap_err().source.kind(), io::ErrorKind::InvalidInput, "{key}");
        }
    }

    #[test]
    fn the_value_that_stands_is_not_written() {
        let value = read("kernel/osrelease").unwrap();
        // This one cannot be written.
        assert_eq!(write("kernel/osrelease", &value).unwrap(), None);
        assert_eq!(write("kernel/osrelease", "other").unwrap_err().doing, "written");
    }
}
