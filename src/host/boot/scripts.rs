//! Scripts that run at boot: systemd units that are switched on, rc scripts, and the scripts that these call, one level deep.

use std::fs;
use std::path::{Path, PathBuf};

use crate::host::input;
use crate::machine::SettingLine;

/// Where links to units that start at boot are, in folders `*.wants`.
const UNITS: &str = "/etc/systemd/system";
/// Scripts that init runs.
const RC: &[&str] = &["/etc/rc.local", "/etc/rc.d/rc.local"];
/// Folders of such scripts.
const RC_FOLDERS: &[&str] =
    &["/etc/local.d", "/etc/init.d", "/etc/network/if-up.d", "/etc/networkd-dispatcher/routable.d"];
/// Scripts that are longer are programs.
const LONGEST: u64 = 64 * 1024;

/// A script or unit, with its text.
pub(super) struct Script {
    pub(super) path: PathBuf,
    pub(super) text: String,
}

/// All of them.
pub(super) fn all() -> Vec<Script> {
    let mut found = Vec::new();
    for folder in entries(Path::new(UNITS)).filter(|path| path.extension().is_some_and(|end| end == "wants")) {
        for unit in entries(&folder).filter(|path| path.extension().is_some_and(|end| end == "service")) {
            found.extend(read(&unit));
        }
    }
    let of_folders = RC_FOLDERS.iter().flat_map(|folder| entries(Path::new(folder)).collect::<Vec<_>>());
    for path in RC.iter().map(PathBuf::from).chain(of_folders) {
        found.extend(read(&path));
    }
    let called: Vec<Script> =
        found.iter().flat_map(|script| called(&script.text)).filter_map(|path| read(&path)).collect();
    found.extend(called);
    found
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    paths.into_iter()
}

/// A file of text that is not long.
fn read(path: &Path) -> Option<Script> {
    let about = fs::metadata(path).ok()?;
    if !about.is_file() || about.len() > LONGEST {
        return None;
    }
    let text = String::from_utf8(input::settings(path).ok()?).ok()?;
    (!text.contains('\0')).then(|| Script { path: path.to_owned(), text })
}

/// The scripts that a text calls, by their full names.
fn called(text: &str) -> Vec<PathBuf> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with(['#', ';']));
    let words = lines
        .flat_map(|line| line.split(|c: char| c.is_whitespace() || matches!(c, '=' | ';' | '"' | '\'' | '&' | '|')));
    let is_script = |word: &&str| word.starts_with('/') && !word.starts_with("/proc/") && !word.starts_with("/dev/");
    words.map(|word| word.trim_start_matches(['-', '@', '!', '+'])).filter(is_script).map(PathBuf::from).collect()
}

/// The settings that a script makes: by sysctl(8), or by writing below `/proc/sys`.
pub(super) fn settings(script: &Script) -> Vec<SettingLine> {
    let mut found = Vec::new();
    for (index, line) in script.text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with('#') {
            continue;
        }
        let mut add = |key: &str, value: &str| {
            found.push(SettingLine {
                key: key.to_owned(),
                value: value.trim_matches(['"', '\'']).to_owned(),
                file: script.path.to_string_lossy().into_owned(),
                number: index + 1,
            });
        };
        if let Some((_, path)) = line.split_once("/proc/sys/")
            && let Some(value) = line.split_once("echo ").and_then(|(_, rest)| rest.split_ascii_whitespace().next())
        {
            let path: String = path.chars().take_while(|c| !c.is_whitespace() && !";&|\"'".contains(*c)).collect();
            add(&path, value.trim_end_matches('>'));
        } else if line.contains("sysctl ") {
            for (key, value) in line.split_ascii_whitespace().filter_map(|word| word.split_once('=')) {
                add(&key.replace('.', "/"), value.trim_end_matches([';', '&']));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_call_others_by_their_names() {
        let text =
            "#!/bin/sh\n# /etc/not\nExecStart=-/usr/local/sbin/lvs.sh start\n. /etc/lvs/vip; echo 1 >/proc/sys/x\n";
        assert_eq!(called(text), [PathBuf::from("/usr/local/sbin/lvs.sh"), PathBuf::from("/etc/lvs/vip")]);
    }

    #[test]
    fn scripts_make_settings() {
        let text = "# echo 3 >/proc/sys/net/ipv4/conf/all/arp_ignore\necho \"1\" >/proc/sys/net/ipv4/conf/lo/arp_ignore\n\
                    sysctl -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2;\n";
        let script = Script { path: "/etc/rc.local".into(), text: text.to_owned() };
        let found: Vec<_> = settings(&script).into_iter().map(|line| (line.number, line.key, line.value)).collect();
        let of = |number, key: &str, value: &str| (number, format!("net/ipv4/conf/{key}"), value.to_owned());
        assert_eq!(found, [of(2, "lo/arp_ignore", "1"), of(3, "all/arp_ignore", "1"), of(3, "all/arp_announce", "2")]);
    }
}
