//! What the files of this machine say will be after the next boot: settings, forbidden modules, addresses.

mod scripts;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::input;
use crate::machine::SettingLine;

/// Where sysctl.d(5) looks, the first that has a file of a name before the others.
const SYSCTL_FOLDERS: &[&str] =
    &["/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d"];
/// Read by `sysctl --system` after all others.
const SYSCTL_FILE: &str = "/etc/sysctl.conf";
/// Where modprobe.d(5) looks.
const MODPROBE_FOLDERS: &[&str] =
    &["/etc/modprobe.d", "/run/modprobe.d", "/usr/local/lib/modprobe.d", "/usr/lib/modprobe.d", "/lib/modprobe.d"];
/// Where the networks of distributions are written down.
const NETWORK_FOLDERS: &[&str] = &[
    "/etc/network/interfaces.d",
    "/etc/systemd/network",
    "/run/systemd/network",
    "/etc/netplan",
    "/etc/NetworkManager/system-connections",
    "/etc/sysconfig/network-scripts",
    "/etc/sysconfig/network",
    "/etc/conf.d",
];
/// Those that are a single file.
const NETWORK_FILES: &[&str] = &["/etc/network/interfaces", "/etc/rc.local", "/etc/keepalived/keepalived.conf"];
/// Where units that start at boot are linked.
const UNIT_FOLDERS: &[&str] =
    &["/etc/systemd/system/multi-user.target.wants", "/etc/systemd/system/network-online.target.wants"];

/// The files with this ending in folders, by name: of two with a name the one in the earlier folder.
fn files(folders: &[&str], ending: &str) -> Vec<PathBuf> {
    let mut found = BTreeMap::new();
    for folder in folders.iter().rev() {
        let Ok(entries) = fs::read_dir(folder) else { continue };
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        found.extend(
            paths
                .filter(|path| path.to_string_lossy().ends_with(ending))
                .map(|path| (path.file_name().map(ToOwned::to_owned), path)),
        );
    }
    found.into_values().collect()
}

/// The settings of sysctl.d and of scripts that run at boot, in the order in which they take effect. A file that cannot be
/// read is an error.
///
/// # Errors
/// Reading fails.
pub fn settings() -> io::Result<Vec<SettingLine>> {
    let mut lines = Vec::new();
    let last = Path::new(SYSCTL_FILE);
    for path in files(SYSCTL_FOLDERS, ".conf").into_iter().chain(last.exists().then(|| last.to_owned())) {
        // A link to /dev/null masks a file.
        let Some(text) = input::settings_text(&path) else { continue };
        lines.extend(parse_settings(&text, &path.to_string_lossy()));
    }
    // Scripts run when the settings are made.
    lines.extend(scripts::all().iter().flat_map(scripts::settings));
    Ok(lines)
}

/// The lines of one file: `key = value`, with comments after `#` or `;`. A `-` before the key lets errors pass.
fn parse_settings(text: &str, file: &str) -> Vec<SettingLine> {
    let line = |(index, line): (usize, &str)| {
        let line = line.trim();
        if line.starts_with(['#', ';']) {
            return None;
        }
        let (key, value) = line.split_once('=')?;
        let key = key.trim().trim_start_matches('-').trim();
        // The first separator decides how the key is written: with slashes, dots are part of names.
        let slashes = key.find(['.', '/']).is_some_and(|at| key[at..].starts_with('/'));
        let key = match slashes {
            true => key.to_owned(),
            false => key
                .chars()
                .map(|c| match c {
                    '.' => '/',
                    '/' => '.',
                    c => c,
                })
                .collect(),
        };
        Some(SettingLine { key, value: value.trim().to_owned(), file: file.to_owned(), number: index + 1 })
    };
    text.lines().enumerate().filter_map(line).collect()
}

/// The lines of modprobe.d that forbid modules: `install MODULE /bin/false` and the like. A `blacklist` line does not: it
/// is about aliases only.
#[must_use]
pub fn forbidden_modules() -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    for path in files(MODPROBE_FOLDERS, ".conf") {
        let Some(text) = input::settings_text(&path) else { continue };
        found.extend(text.lines().filter_map(|line| {
            let module = forbidden(line)?;
            Some((module, path.to_string_lossy().into_owned(), line.trim().to_owned()))
        }));
    }
    found
}

/// The module that a line forbids.
fn forbidden(line: &str) -> Option<String> {
    let mut words = line.split_ascii_whitespace();
    let (Some("install"), Some(module), Some(program)) = (words.next(), words.next(), words.next()) else {
        return None;
    };
    matches!(program, "/bin/false" | "/bin/true" | "/usr/bin/false" | "/usr/bin/true" | "false" | "true" | ":")
        .then(|| module.replace('-', "_"))
}

/// The modules that the running kernel has built in or could load.
///
/// # Errors
/// Its modules are not on this machine.
pub fn modules() -> io::Result<BTreeSet<String>> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let folder = Path::new("/lib/modules").join(release.trim());
    let mut names = BTreeSet::new();
    // Each line begins with the path of a module.
    let list = fs::read_to_string(folder.join("modules.dep"))?;
    let built_in = fs::read_to_string(folder.join("modules.builtin")).unwrap_or_default();
    for line in list.lines().chain(built_in.lines()) {
        let path = line.split(':').next().unwrap_or_default();
        let name = path.rsplit('/').next().unwrap_or_default();
        if let Some((name, _)) = name.split_once(".ko") {
            names.insert(name.replace('-', "_"));
        }
    }
    let loaded = fs::read_to_string("/proc/modules").unwrap_or_default();
    names.extend(loaded.lines().filter_map(|line| Some(line.split(' ').next()?.to_owned())));
    Ok(names)
}

/// The files that name one of these addresses, so that it is there after a boot.
#[must_use]
pub fn addresses(wanted: &[IpAddr]) -> Vec<(IpAddr, String)> {
    let mut found = Vec::new();
    let single = NETWORK_FILES.iter().map(PathBuf::from);
    for path in files(NETWORK_FOLDERS, "").into_iter().chain(single) {
        let Some(text) = input::settings_text(&path) else { continue };
        let named = named(&text);
        let here = wanted.iter().filter(|address| named.contains(address));
        found.extend(here.map(|address| (*address, path.to_string_lossy().into_owned())));
    }
    for script in scripts::all() {
        let path = script.path.to_string_lossy().into_owned();
        let is_new = |address: &IpAddr| !found.iter().any(|(known, file)| known == address && *file == path);
        let named = named(&script.text);
        let here: Vec<IpAddr> =
            wanted.iter().filter(|address| named.contains(address)).filter(|one| is_new(one)).copied().collect();
        found.extend(here.into_iter().map(|address| (address, path.clone())));
    }
    // A unit of ours has the address in its name, with systemd-escape(1)'s colons.
    for path in files(UNIT_FOLDERS, ".service") {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let named = named(&name.replace("@", " ").replace(".service", " "));
        let here = wanted.iter().filter(|address| named.contains(address));
        found.extend(here.map(|address| (*address, path.to_string_lossy().into_owned())));
    }
    found
}

/// The addresses that a text has as words: not as parts of longer ones, and not in comments.
fn named(text: &str) -> BTreeSet<IpAddr> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with(['#', ';', '!']));
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':');
    let words = lines.flat_map(|line| line.split(|c: char| !is_part(c))).filter(|word| word.contains(['.', ':']));
    words.flat_map(|word| [word.trim_matches(['.', ':']).parse(), word.parse()]).flatten().collect()
}

/// The files of network scripts that put one of these addresses on `lo` and do not say `ARPUPDATE=no`.
#[must_use]
pub fn announced(wanted: &[IpAddr]) -> Vec<String> {
    let of_loopback =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ifcfg-lo:"));
    let wanted = wanted.iter().copied().collect();
    let mut found = Vec::new();
    for path in files(&["/etc/sysconfig/network-scripts"], "").into_iter().filter(of_loopback) {
        let Some(text) = input::settings_text(&path) else { continue };
        if !is_quiet(&text) && !named(&text).is_disjoint(&wanted) {
            found.push(path.to_string_lossy().into_owned());
        }
    }
    found
}

fn is_quiet(text: &str) -> bool {
    let value =
        |line: &str| Some(line.trim().strip_prefix("ARPUPDATE=")?.trim_matches(['"', '\'']).to_ascii_lowercase());
    text.lines().filter_map(value).next_back().is_some_and(|value| value == "no")
}

/// Whether ufw's rules are loaded at boot, and so it is in charge of the packet filter.
#[must_use]
pub fn has_ufw() -> bool {
    let text = input::settings_text(Path::new("/etc/ufw/ufw.conf")).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("ENABLED="))
        .next_back()
        .is_some_and(|value| value.trim_matches(['"', '\'']).eq_ignore_ascii_case("yes"))
}

/// The interfaces on which keepalived speaks VRRP to its group: those of its instances without `unicast_peer`.
#[must_use]
pub fn vrrp_interfaces() -> Vec<String> {
    let text = input::settings_text(Path::new("/etc/keepalived/keepalived.conf")).unwrap_or_default();
    parse_vrrp(&text)
}

fn parse_vrrp(text: &str) -> Vec<String> {
    let lines = text.lines().map(|line| line.split(['#', '!']).next().unwrap_or_default().trim());
    let text: Vec<&str> = lines.collect();
    let text = text.join("\n");
    let mut found = Vec::new();
    for instance in text.split("vrrp_instance").skip(1) {
        let words: Vec<&str> = instance.split_ascii_whitespace().collect();
        let interface = words.iter().position(|word| *word == "interface").and_then(|at| words.get(at + 1));
        if let (Some(interface), false) = (interface, words.contains(&"unicast_peer")) {
            found.push((*interface).to_owned());
        }
    }
    found.sort();
    found.dedup();
    found
}

/// The programs of these names that run in our network namespace. Each is named once.
///
/// # Errors
/// `/proc` cannot be read.
pub fn running(wanted: &[&str]) -> io::Result<Vec<String>> {
    let ours = fs::read_link("/proc/self/ns/net")?;
    let mut found = BTreeSet::new();
    for entry in fs::read_dir("/proc")? {
        let Ok(path) = entry.map(|entry| entry.path()) else { continue };
        let is_process = path.file_name().is_some_and(|name| name.as_encoded_bytes().iter().all(u8::is_ascii_digit));
        if !is_process {
            continue;
        }
        // Processes come and go while we look.
        let Ok(name) = fs::read_to_string(path.join("comm")) else { continue };
        if let Some(name) = wanted.iter().find(|wanted| **wanted == name.trim_end())
            && fs::read_link(path.join("ns/net")).is_ok_and(|theirs| theirs == ours)
        {
            found.insert((*name).to_owned());
        }
    }
    Ok(found.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_as_sysctl_reads_them() {
        let text = "# c\n; c\nnet.ipv4.conf.all.arp_ignore = 1\n -net/ipv4/conf/eth0.5/rp_filter=2\nnet.ipv4.conf.eth0/5.rp_filter=0\nkey\n";
        let lines = parse_settings(text, "f");
        let short: Vec<_> = lines.iter().map(|line| (line.number, line.key.as_str(), line.value.as_str())).collect();
        assert_eq!(
            short,
            [
                (3, "net/ipv4/conf/all/arp_ignore", "1"),
                (4, "net/ipv4/conf/eth0.5/rp_filter", "2"),
                (5, "net/ipv4/conf/eth0.5/rp_filter", "0"),
            ]
        );
    }

    #[test]
    fn earlier_folders_hide_files_of_later_ones() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for (folder, name) in [(&one, "10-a.conf"), (&two, "10-a.conf"), (&two, "05-b.conf"), (&two, "x.txt")] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let folders = [one.path().to_str().unwrap(), two.path().to_str().unwrap()];
        assert_eq!(files(&folders, ".conf"), [two.path().join("05-b.conf"), one.path().join("10-a.conf")]);
    }

    #[test]
    fn an_address_is_a_word() {
        let vip: IpAddr = "20.20.20.20".parse().unwrap();
        assert!(named("Address=20.20.20.20/32\n").contains(&vip) && named("x\n\"20.20.20.20\"").contains(&vip));
        for text in ["120.20.20.20", "20.20.20.200", "# 20.20.20.20", "20.20.20.20.5"] {
            assert!(!named(text).contains(&vip), "{text}");
        }
        assert!(named("- 2001:db8:0::20/128").contains(&"2001:db8::20".parse().unwrap()));
    }

    #[test]
    fn modules_are_forbidden_by_install_lines_only() {
        assert_eq!(forbidden("install ip-vs /bin/false").as_deref(), Some("ip_vs"));
        assert_eq!(forbidden("blacklist ip_vs"), None);
        assert_eq!(forbidden("install ip_vs /sbin/modprobe -i ip_vs"), None);
    }

    #[test]
    fn quiet_scripts_say_so() {
        assert!(is_quiet("DEVICE=lo:0\nARPUPDATE=\"no\"\n"));
        assert!(!is_quiet("ARPUPDATE=yes\n") && !is_quiet("#ARPUPDATE=no\n"));
    }

    #[test]
    fn keepalived_speaks_on_the_interfaces_of_its_instances() {
        let text = "vrrp_instance A {\n  state MASTER # interface eth9\n  interface eth0\n}\n\
                    vrrp_instance B {\n interface eth1\n unicast_peer {\n 192.0.2.1\n }\n}\nvirtual_server 1 {\n}\n";
        assert_eq!(parse_vrrp(text), ["eth0"]);
    }

    #[test]
    fn this_very_program_runs() {
        let name = fs::read_to_string("/proc/self/comm").unwrap();
        assert_eq!(running(&[name.trim_end(), "no-such-program"]).unwrap(), [name.trim_end()]);
    }
}
