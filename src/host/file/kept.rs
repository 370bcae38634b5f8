//! What a new file keeps of the old one that it replaces: owner, group, mode, access control list, labels and attributes.
//!
//! What may not be kept is reported. The new file never gives more access than the old one: a mode that would is narrowed,
//! and where a security module would use another label, the file is not replaced.

use std::ffi::{CStr, CString};
use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};

use nix::errno::Errno;
use rustix::buffer::{SpareCapacity, spare_capacity};
use rustix::fs::{
    XattrFlags, fgetxattr, fgetxattr_query, fremovexattr, fsetxattr, getxattr, getxattr_query, listxattr,
    listxattr_query,
};
use rustix::io::Errno as XattrError;

/// The access control list.
const ACL: &CStr = c"system.posix_acl_access";
/// Labels by which a security module decides who has access.
const LABELS: [&CStr; 2] = [c"security.selinux", c"security.SMACK64"];
/// What users and programs keep with a file. The rest belongs to the content (`security.ima`, `security.evm`) or to a
/// program that is run (`security.capability`).
const ATTRIBUTES: [&str; 2] = ["user.", "trusted."];

/// A list of names or a value: how long it is, and then all of it.
fn whole(
    length: impl Fn() -> Result<usize, XattrError>,
    read: impl Fn(SpareCapacity<'_, u8>) -> Result<usize, XattrError>,
) -> Result<Vec<u8>, XattrError> {
    loop {
        let mut bytes = Vec::with_capacity(length()?);
        if bytes.capacity() == 0 {
            return Ok(bytes);
        }
        match read(spare_capacity(&mut bytes)) {
            // It has grown in between.
            Err(XattrError::RANGE) => {}
            Err(error) => return Err(error),
            Ok(_) => return Ok(bytes),
        }
    }
}

/// An old file.
pub(super) struct Old {
    metadata: Metadata,
    acl: Option<Vec<u8>>,
    labels: Vec<(CString, Vec<u8>)>,
    attributes: Vec<(CString, Vec<u8>)>,
    /// What is lost, and why.
    lost: Vec<String>,
}

impl Old {
    /// Look at a file, which may be opened with `O_PATH`.
    pub(super) fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let (labels, attributes, lost) = (Vec::new(), Vec::new(), Vec::new());
        let mut old = Self { metadata, acl: None, labels, attributes, lost };
        if old.metadata.nlink() > 1 {
            old.lost
                .push(format!("it had {} names (hard links): the others keep the old content", old.metadata.nlink()));
        }
        // Calls that take a descriptor refuse one that is not open for reading.
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let value = |name: &CStr| match whole(|| getxattr_query(&path, name), |value| getxattr(&path, name, value)) {
            Ok(value) => Ok(Some(value)),
            // There is none; of those that were listed it has just been removed.
            Err(XattrError::NODATA) => Ok(None),
            Err(error) => Err(error),
        };
        // A file system in memory leaves labels to their module to list, and there may be none (`simple_xattr_list`).
        for name in [ACL].into_iter().chain(LABELS) {
            match value(name) {
                Ok(value) if name == ACL => old.acl = value,
                Ok(value) => old.labels.extend(value.map(|value| (name.to_owned(), value))),
                Err(XattrError::OPNOTSUPP | XattrError::NOSYS) => {}
                Err(XattrError::NOENT) => {
                    return Err(io::Error::other("its attributes cannot be read: /proc is not mounted"));
                }
                Err(error) => return Err(error.into()),
            }
        }
        let names = match whole(|| listxattr_query(&path), |names| listxattr(&path, names)) {
            Ok(names) => names,
            Err(XattrError::OPNOTSUPP | XattrError::NOSYS) => return Ok(old),
            Err(error) => return Err(error.into()),
        };
        for name in names.split_inclusive(|byte| *byte == 0).filter_map(|name| CStr::from_bytes_with_nul(name).ok()) {
            if !ATTRIBUTES.iter().any(|kind| name.to_bytes().starts_with(kind.as_bytes())) {
                continue;
            }
            match value(name) {
                Ok(value) => old.attributes.extend(value.map(|value| (name.to_owned(), value))),
                Err(error) if not_permitted(error) => old.lose(name, error.into()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(old)
    }

    /// Give the new file what the old one has, as far as that is permitted. Returns what is lost.
    ///
    /// It has to be new and private: what takes access away comes first, the mode that gives it last.
    pub(super) fn hand_to(mut self, new: &File) -> io::Result<Vec<String>> {
        // From the folder's defaults.
        match fremovexattr(new, ACL) {
            Ok(()) | Err(XattrError::NODATA | XattrError::OPNOTSUPP | XattrError::NOSYS) => {}
            Err(error) => return Err(error.into()),
        }
        for (name, value) in std::mem::take(&mut self.labels) {
            let of = name.as_c_str();
            let current = whole(|| fgetxattr_query(new, of), |label| fgetxattr(new, of, label));
            if current.as_ref() == Ok(&value) {
                continue;
            }
            match fsetxattr(new, name.as_c_str(), &value, XattrFlags::empty()) {
                Ok(()) => {}
                // Every new file gets a label: so there is a module that goes by it.
                Err(error) if current.is_ok() && not_permitted(error) => {
                    let error = reason(&error.into());
                    return Err(io::Error::other(format!(
                        "the new file may not have the old one's {}: {error}",
                        text(&name)
                    )));
                }
                Err(error) if not_permitted(error) => self.lose(&name, error.into()),
                Err(error) => return Err(error.into()),
            }
        }
        for (name, value) in std::mem::take(&mut self.attributes) {
            match fsetxattr(new, name.as_c_str(), &value, XattrFlags::empty()) {
                Err(error) if not_permitted(error) => self.lose(&name, error.into()),
                set => set?,
            }
        }
        self.hand_access_to(new)?;
        Ok(self.lost)
    }

    /// Owner and group, access control list, mode, in this order: a change of owner takes some bits of the mode away.
    fn hand_access_to(&mut self, new: &File) -> io::Result<()> {
        let (uid, gid) = (self.metadata.uid(), self.metadata.gid());
        let (mut mode, mut kept) = (self.metadata.mode() & 0o7777, true);
        if let Err(error) = fchown(new, Some(uid), Some(gid)) {
            let error = forgiven(error)?;
            let _ = fchown(new, None, Some(gid));
            let now = new.metadata()?;
            let same = (now.uid() == uid, now.gid() == gid);
            kept = same == (true, true);
            if !kept {
                mode = self.narrowed(same.1);
                self.lost.push(format!(
                    "it belonged to user {uid} and group {gid}, and now to user {} and group {} with mode {mode:04o}: {}",
                    now.uid(),
                    now.gid(),
                    reason(&error)
                ));
            }
        }
        if let (true, Some(acl)) = (kept, &self.acl)
            && let Err(error) = fsetxattr(new, ACL, acl, XattrFlags::empty())
        {
            let error = forgiven(error.into())?;
            mode = self.narrowed(false);
            self.lost.push(format!("its access control list is lost, the mode is {mode:04o}: {}", reason(&error)));
        }
        if let Err(error) = new.set_permissions(Permissions::from_mode(mode)) {
            let error = forgiven(error)?;
            self.lost.push(format!("its mode is lost: {}", reason(&error)));
        }
        Ok(())
    }

    /// The mode of a file that belongs to another user or group, or lacks the access control list: no user gets what the
    /// old one did not give.
    fn narrowed(&self, same_group: bool) -> u32 {
        let mode = self.metadata.mode();
        let (owner, group, others) = (mode >> 6 & 7, mode >> 3 & 7, mode & 7);
        let common = common(mode, self.acl.as_deref());
        match same_group && self.acl.is_none() {
            // The old owner is now one of the group, or of the others.
            true => owner << 6 | (group & owner) << 3 | (others & owner),
            false => owner << 6 | common << 3 | common,
        }
    }

    fn lose(&mut self, name: &CStr, error: io::Error) {
        self.lost.push(format!("the attribute {} is lost: {}", text(name), reason(&error)));
    }
}

/// What everybody may do. The permissions of an access control list stand in entries of eight bytes after a number of four;
/// its mask stands in the mode in place of the group.
fn common(mode: u32, acl: Option<&[u8]>) -> u32 {
    let entries = acl.and_then(|acl| acl.get(4..)).unwrap_or_default().chunks(8);
    let permissions = entries.map(|entry| entry.get(2).map_or(0, |permissions| u32::from(*permissions)));
    permissions.fold(mode >> 6 & mode >> 3 & mode & 7, |common, permissions| common & permissions)
}

/// An error for a message.
fn reason(error: &io::Error) -> String {
    error.raw_os_error().map_or_else(|| error.to_string(), |number| Errno::from_raw(number).desc().to_owned())
}

/// A name for a message.
fn text(name: &CStr) -> String {
    name.to_string_lossy().into_owned()
}

/// Whether an attribute cannot be had here: by us, or on this file system.
fn not_permitted(error: XattrError) -> bool {
    [XattrError::PERM, XattrError::ACCESS, XattrError::OPNOTSUPP, XattrError::INVAL].contains(&error)
}

/// The error, if owner or mode may not be changed by us or on this file system; others are a file system's failures.
fn forgiven(error: io::Error) -> io::Result<io::Error> {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EPERM | Errno::EINVAL | Errno::ENOTSUP) => Ok(error),
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_everybody_may_do_is_common_to_mode_and_access_control_list() {
        assert_eq!(common(0o644, None), 4);
        assert_eq!(common(0o640, None), 0);
        // user::rw-, user:1000:---, group::r--, mask::r--, other::r--
        let denying = [(1, 6, !0), (2, 0, 1000), (4, 4, !0), (16, 4, !0), (32, 4, !0u32)];
        let entries = denying.iter().flat_map(|(tag, permissions, id)| {
            [u16::to_le_bytes(*tag), u16::to_le_bytes(*permissions)].concat().into_iter().chain(id.to_le_bytes())
        });
        let acl: Vec<u8> = 2u32.to_le_bytes().into_iter().chain(entries).collect();
        assert_eq!(common(0o644, Some(&acl)), 0);
    }
}
