//! Files that are written as a whole or not at all.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::Path;

use nix::unistd::geteuid;
use tempfile::NamedTempFile;

/// Mode of a rules file that was not there before: the addresses in it are nobody else's business.
const NEW_MODE: u32 = 0o600;

/// Write a file by way of a temporary one beside it: whatever happens, there is the old file or the new one. A file that
/// is there keeps its mode and owner, a link stays one.
///
/// # Errors
/// `fill` fails, or the file cannot be written to disk; the old one is untouched then.
pub fn replace<E: From<io::Error>>(
    path: &Path,
    fill: impl FnOnce(&mut io::BufWriter<&mut File>) -> Result<(), E>,
) -> Result<(), E> {
    refuse_what_others_laid(path)?;
    let target = match fs::canonicalize(path) {
        Ok(target) => target,
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
        Err(error) => return Err(error.into()),
    };
    let folder = match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let old = match fs::metadata(&target) {
        Ok(old) if old.is_file() => Some(old),
        Ok(_) => return Err(io::Error::other("not a regular file").into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    let mut temporary = NamedTempFile::new_in(folder).map_err(bare)?;
    {
        let mut buffer = io::BufWriter::new(temporary.as_file_mut());
        fill(&mut buffer)?;
        buffer.flush()?;
    }
    let file = temporary.as_file();
    if let Some(old) = &old {
        fchown(file, Some(old.uid()), Some(old.gid()))?;
    }
    // After the owner: a change of owner takes some bits of the mode away.
    file.set_permissions(Permissions::from_mode(old.map_or(NEW_MODE, |old| old.mode() & 0o7777)))?;
    file.sync_all()?;
    temporary.persist(&target).map_err(|error| error.error)?;
    // The new name is on disk only with its folder.
    File::open(folder)?.sync_all()?;
    Ok(())
}

/// In a folder that everybody may write to, such as /tmp, a link or a file of another user is a trap: the kernel's rules
/// `fs.protected_symlinks` and `fs.protected_regular`, which do not see that we rename.
fn refuse_what_others_laid(path: &Path) -> io::Result<()> {
    /// Everybody may write.
    const BY_OTHERS: u32 = 0o002;
    let Ok(there) = fs::symlink_metadata(path) else { return Ok(()) };
    let folder = fs::metadata(match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    })?;
    let trusted = [geteuid().as_raw(), folder.uid()].contains(&there.uid());
    if folder.mode() & BY_OTHERS != 0 && !trusted {
        return Err(io::Error::other("belongs to another user, in a folder that everybody may write to"));
    }
    Ok(())
}

/// The error of the system call, without the name of the temporary file that means nothing to anybody.
fn bare(error: io::Error) -> io::Error {
    let cause = error.get_ref().and_then(|inner| inner.source()).and_then(|cause| cause.downcast_ref::<io::Error>());
    match cause.and_then(io::Error::raw_os_error) {
        Some(number) => io::Error::from_raw_os_error(number),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn write(path: &Path, text: &str) -> io::Result<()> {
        replace(path, |out| out.write_all(text.as_bytes()))
    }

    #[test]
    fn a_new_file_is_private_and_an_old_one_keeps_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rules");
        write(&path, "one").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        write(&path, "two").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o640);
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(names(folder.path()), ["rules"]);
    }

    #[test]
    fn a_failure_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rules");
        fs::write(&path, "old").unwrap();
        let failed = replace(&path, |out| {
            out.write_all(b"half")?;
            Err(io::Error::other("no more"))
        });
        assert_eq!(failed.unwrap_err().to_string(), "no more");
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(names(folder.path()), ["rules"]);
    }

    #[test]
    fn a_link_stays_and_what_it_points_to_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("rules"), folder.path().join("link"));
        fs::write(&path, "old").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        write(&link, "new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    }

    #[test]
    fn a_folder_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(write(folder.path(), "x").unwrap_err().to_string(), "not a regular file");
        assert!(write(&folder.path().join("none/rules"), "x").is_err());
    }
}
