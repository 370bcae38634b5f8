//! The record of what was changed for which VIP, and what was there before.
//!
//! It is one JSON file for each network namespace, `/run/ipvsadm-rs/realserver-INODE.json`:
//!
//! ```json
//! {
//!   "schema": 1,
//!   "namespace": { "inode": 4026531840, "cookie": 1, "boot": "b2f0…" },
//!   "settings": { "net/ipv4/conf/all/arp_ignore": { "before": "0", "ours": "1" }, … },
//!   "vips": {
//!     "192.0.2.1": {
//!       "interface": "lo", "method": "arp-sysctl", "label": "lo:0",
//!       "address": true, "route": true, "settings": ["net/ipv4/conf/all/arp_ignore", …], "filter": null
//!     }
//!   }
//! }
//! ```
//!
//! `address` and `route` are true if they are ours to take away again, false if they were there before. `settings` of a
//! VIP are those it needs, whether they had to be changed or not; the changed ones are in `settings` above, put back
//! when no VIP needs them any longer. `filter` is what drops and fixes ARP packets, see [`super::filter`].
//!
//! The record is on disk before the first change that it describes, and forgets what was undone only after that. So whatever
//! happened in between, `stop` finds all of it in the record.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use super::filter::Filter;
use crate::doctor::quiet::Method;
use crate::host::file;
use crate::host::namespace::Namespace;

/// Where the records are.
const FOLDER: &str = "/run/ipvsadm-rs";
/// The version of the format. A record of another one is not touched.
const SCHEMA: u32 = 1;

/// A setting that was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Setting {
    /// What was there.
    pub before: String,
    /// What we wrote.
    pub ours: String,
}

/// A VIP that was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// The interface that has it.
    pub interface: String,
    /// How ARP is kept quiet.
    #[serde(with = "method")]
    pub method: Method,
    /// The label of the address (IPv4).
    pub label: Option<String>,
    /// Whether the address is ours.
    pub address: bool,
    /// Whether the host route is ours.
    pub route: bool,
    /// The settings that it needs.
    pub settings: BTreeSet<String>,
    /// What drops and fixes ARP packets.
    pub filter: Option<Filter>,
}

/// A method, by its name.
mod method {
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;

    use super::Method;

    pub(super) fn serialize<S: Serializer>(method: &Method, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(method)
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(deserializer: D) -> Result<Method, D::Error> {
        let name = String::deserialize(deserializer)?;
        Method::named(&name).ok_or_else(|| D::Error::custom(format!("`{name}' is not a method")))
    }
}

/// All that was changed in a network namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    schema: u32,
    namespace: Namespace,
    /// The changed settings.
    pub settings: BTreeMap<String, Setting>,
    /// The started VIPs.
    pub vips: BTreeMap<IpAddr, Entry>,
}

/// The record, and the lock that makes us the only one to change it and what it describes.
pub(super) struct Book {
    path: PathBuf,
    /// Held for writing; None for those who only look.
    lock: Option<Flock<File>>,
    /// As it is on disk.
    pub record: Record,
}

impl Book {
    /// Open the record of this network namespace, when no other process has it open.
    pub(super) fn open() -> Result<Self> {
        let folder = Path::new(FOLDER);
        let made = DirBuilder::new().recursive(true).mode(0o755).create(folder);
        made.with_context(|| folder.display().to_string())?;
        let path = folder.join("lock");
        // No other user may open it, and hold us up.
        let opened = File::options().create(true).append(true).mode(0o600).open(&path);
        let file = opened.with_context(|| path.display().to_string())?;
        let lock = loop {
            // Its holder is done in a moment.
            match Flock::lock(file.try_clone()?, FlockArg::LockExclusive) {
                Ok(lock) => break lock,
                Err((_, nix::errno::Errno::EINTR)) => {}
                Err((_, errno)) => return Err(io::Error::from(errno)).with_context(|| path.display().to_string()),
            }
        };
        sweep(folder);
        Self::read(Some(lock))
    }

    /// Look at the record without changing anything.
    pub(super) fn look() -> Result<Self> {
        Self::read(None)
    }

    fn read(lock: Option<Flock<File>>) -> Result<Self> {
        let namespace = Namespace::current().context("this network namespace")?;
        let path = Path::new(FOLDER).join(format!("realserver-{}.json", namespace.inode));
        let empty = Record { schema: SCHEMA, namespace, settings: BTreeMap::new(), vips: BTreeMap::new() };
        let record = match fs::read(&path) {
            Ok(text) => parse(&text, empty).with_context(|| path.display().to_string())?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => empty,
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        };
        Ok(Self { path, lock, record })
    }

    /// The open file that holds the lock. A program that has it too keeps others waiting until it ends, even if we do not
    /// live to see that.
    pub(super) fn lock_for_child(&self) -> Result<Option<File>> {
        Ok(self.lock.as_ref().map(|lock| lock.try_clone()).transpose()?)
    }

    /// Write the record, to be on disk when this returns. Without VIPs there is nothing to be kept.
    pub(super) fn save(&self) -> Result<()> {
        let save = || -> Result<()> {
            if self.record.vips.is_empty() {
                return match fs::remove_file(&self.path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
                    _ => Ok(File::open(FOLDER).and_then(|folder| folder.sync_all())?),
                };
            }
            let mut text = serde_json::to_vec_pretty(&self.record)?;
            text.push(b'\n');
            let _lost = file::replace(&self.path, &text)?;
            // There is nothing secret in it, and anybody may ask for the status.
            Ok(fs::set_permissions(&self.path, Permissions::from_mode(0o644))?)
        };
        save().with_context(|| self.path.display().to_string())
    }
}

/// The record in a file. One of a namespace that is gone is as good as none: what it describes went with it.
fn parse(text: &[u8], empty: Record) -> Result<Record> {
    #[derive(Deserialize)]
    struct Head {
        schema: u32,
    }
    let unreadable = "this is not a record of ours; if nothing was started here, delete it";
    let head: Head = serde_json::from_slice(text).context(unreadable)?;
    anyhow::ensure!(head.schema == SCHEMA, "this record is of another version of the program; stop its VIPs with that");
    let record: Record = serde_json::from_slice(text).context(unreadable)?;
    Ok(if record.namespace == empty.namespace { record } else { empty })
}

/// What a killed program has left half written: with the lock held, no other process is writing.
fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if entry.file_name().as_encoded_bytes().starts_with(file::TEMPORARY.as_bytes()) {
            // What cannot be removed does no harm.
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty(cookie: u64) -> Record {
        let namespace = Namespace { inode: 5, cookie: Some(cookie), boot: "b".into() };
        Record { schema: SCHEMA, namespace, settings: BTreeMap::new(), vips: BTreeMap::new() }
    }

    #[test]
    fn a_record_is_read_as_it_was_written_unless_its_namespace_is_gone() {
        let mut record = empty(7);
        record.settings.insert("net/x".into(), Setting { before: "0".into(), ours: "1".into() });
        let entry = Entry {
            interface: "lo".into(),
            method: Method::ArpSysctl,
            label: None,
            address: true,
            route: false,
            settings: ["net/x".into()].into(),
            filter: None,
        };
        record.vips.insert("2001:db8::1".parse().unwrap(), entry);
        let text = serde_json::to_vec(&record).unwrap();
        assert_eq!(parse(&text, empty(7)).unwrap(), record);
        assert_eq!(parse(&text, empty(8)).unwrap(), empty(8));
    }

    #[test]
    fn what_is_no_record_is_refused() {
        for text in ["", "{", "[]", "{\"schema\":2}", "{\"schema\":1}"] {
            assert!(parse(text.as_bytes(), empty(1)).is_err(), "{text}");
        }
    }
}
