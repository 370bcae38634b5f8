//! That a VIP is started at every boot: a file of settings, and a unit of systemd.
//!
//! Each VIP has files of its own, so that none of them needs to be shared. No VIP needs to be escaped to be a part of a
//! unit's name: digits, letters, dots and colons stand for themselves there (systemd-escape(1)).

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::error::state;
use super::record::{Entry, Setting};
use crate::doctor::quiet::Method;
use crate::host::{file, input, program};

/// Where systemd-sysctl(8) reads what the administrator sets.
const SETTINGS: &str = "/etc/sysctl.d";
/// Where the administrator's units are.
const UNITS: &str = "/etc/systemd/system";
/// Where a unit can be, in systemd's order (systemd.unit(5)).
const UNIT_FOLDERS: [&str; 5] =
    [UNITS, "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];
/// The unit that stands for all VIPs.
const TEMPLATE: &str = "ipvsadm-rs-realserver@.service";
/// There while systemd is the one that runs the machine (sd_booted(3)).
const RUNNING: &str = "/run/systemd/system";
/// What begins a line that keeps a value.
const BEFORE: &str = "# before: ";

/// The unit of systemd that starts a VIP at boot.
#[must_use]
pub fn unit(vip: IpAddr) -> String {
    TEMPLATE.replace('@', &format!("@{vip}"))
}

fn settings_file(vip: IpAddr) -> PathBuf {
    Path::new(SETTINGS).join(format!("60-ipvsadm-rs-realserver-{vip}.conf"))
}

fn link(vip: IpAddr) -> PathBuf {
    Path::new(UNITS).join("multi-user.target.wants").join(unit(vip))
}

fn drop_in(vip: IpAddr) -> PathBuf {
    Path::new(UNITS).join(format!("{}.d/options.conf", unit(vip)))
}

/// Whether a VIP is started at boot.
pub(super) fn is_written(vip: IpAddr) -> bool {
    link(vip).is_symlink()
}

/// Whether it is started at boot in this way.
pub(super) fn is_written_as(vip: IpAddr, entry: &Entry) -> bool {
    is_written(vip) && input::settings_text(&drop_in(vip)) == options(entry)
}

/// What the drop-in says, if there has to be one.
fn options(entry: &Entry) -> Option<String> {
    (entry.method != Method::ArpSysctl || entry.interface != "lo").then(|| {
        // systemd's specifiers begin with a percent sign.
        let interface = entry.interface.replace('%', "%%");
        format!("[Service]\nEnvironment=\"OPTIONS=--method {} --interface {interface}\"\n", entry.method)
    })
}

/// Whether anything of that is there.
pub(super) fn is_there(vip: IpAddr) -> bool {
    is_written(vip) || settings_file(vip).exists() || drop_in(vip).exists()
}

/// What the file says of a setting.
pub(super) fn setting(vip: IpAddr, key: &str) -> Option<Setting> {
    let text = input::settings_text(&settings_file(vip))?;
    let value = |start: &str| {
        let rest = text.lines().filter_map(|line| line.strip_prefix(start)).filter_map(|line| line.strip_prefix(key));
        rest.filter_map(|line| line.strip_prefix(" = ")).map(str::to_owned).next()
    };
    Some(Setting { before: value(BEFORE)?, ours: value("")? })
}

/// Have a VIP started at every boot.
pub(super) fn write(vip: IpAddr, entry: &Entry, settings: &BTreeMap<String, Setting>) -> Result<()> {
    let template = UNIT_FOLDERS.iter().map(|folder| Path::new(folder).join(TEMPLATE)).find(|path| path.exists());
    let template = template.ok_or_else(|| {
        state(format!(
            "there is no unit {TEMPLATE} in {}: it comes with ipvsadm-rs, as dist/systemd/{TEMPLATE}",
            UNIT_FOLDERS.join(", ")
        ))
    })?;
    let ours: Vec<_> = settings.iter().filter(|(key, _)| entry.settings.contains(*key)).collect();
    if !ours.is_empty() {
        let mut text =
            format!("# For the VIP {vip}. `ipvsadm-rs realserver stop --persist {vip}' removes this file.\n");
        for (key, setting) in ours {
            text.push_str(&format!("{BEFORE}{key} = {}\n{key} = {}\n", setting.before, setting.ours));
        }
        put(&settings_file(vip), &text)?;
    }
    match options(entry) {
        Some(text) => put(&drop_in(vip), &text)?,
        None => take(&drop_in(vip))?,
    }
    if entry.method != Method::ArpSysctl {
        take(&settings_file(vip))?;
    }
    if Path::new(RUNNING).is_dir() {
        return systemctl("enable", vip);
    }
    let link = link(vip);
    make_folder(&link)?;
    match symlink(&template, &link) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(error).with_context(|| link.display().to_string())
        }
        _ => Ok(()),
    }
}

/// Take that back, as far as it is there.
pub(super) fn remove(vip: IpAddr) -> Result<()> {
    if Path::new(RUNNING).is_dir() && is_written(vip) {
        systemctl("disable", vip)?;
    }
    for path in [link(vip), drop_in(vip), settings_file(vip)] {
        take(&path)?;
    }
    // The folders that were made for them go, if there is nothing else in them.
    for path in [link(vip), drop_in(vip)] {
        if let Some(folder) = path.parent() {
            let _ = fs::remove_dir(folder);
        }
    }
    Ok(())
}

/// Write a file that everybody may read.
fn put(path: &Path, text: &str) -> Result<()> {
    make_folder(path)?;
    // What others did to a file of ours is not ours to keep.
    let _lost = file::replace(path, text.as_bytes()).with_context(|| path.display().to_string())?;
    fs::set_permissions(path, Permissions::from_mode(0o644)).with_context(|| path.display().to_string())
}

/// Remove a file, if it is there.
fn take(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).with_context(|| path.display().to_string()),
        _ => Ok(()),
    }
}

fn make_folder(of: &Path) -> Result<()> {
    let Some(folder) = of.parent() else { return Ok(()) };
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())
}

fn systemctl(verb: &str, vip: IpAddr) -> Result<()> {
    let path = ["/usr/bin/systemctl", "/bin/systemctl"].into_iter().find(|path| Path::new(path).is_file());
    let path = path.ok_or_else(|| state("systemd runs, but there is no systemctl".into()))?;
    let output = program::command(path).args([verb, &unit(vip)]).output().context(path)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    Err(state(format!("systemctl {verb} {}: {}", unit(vip), said.join("; "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_address_needs_escaping_in_a_unit_s_name() {
        for text in ["192.0.2.1", "2001:db8::1", "2001:db8:a:b:c:d:e:f", "64:ff9b::192.0.2.33"] {
            let vip: IpAddr = text.parse().unwrap();
            let spelled = vip.to_string();
            assert!(spelled.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":.".contains(&byte)), "{spelled}");
            assert!(!spelled.starts_with('.'));
            assert_eq!(unit(vip), format!("ipvsadm-rs-realserver@{spelled}.service"));
        }
    }
}
