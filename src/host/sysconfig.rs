//! The settings of the service: the files that distributions have had for ipvsadm, read as what they are, assignments of
//! a shell. Nothing in them is executed.

mod assignments;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use ipvs_client::{Daemon, DaemonRole, InterfaceName, RemovalLimit};

use super::input;
use crate::escape::escaped;
pub use assignments::holds_variables;
use assignments::{Assignment, ONLY_ASSIGNMENTS, assignments};

/// The files that may hold settings; a later one has the last word. The first two are those of EL (both spellings are
/// found in the field), then Debian's and SUSE's, and the last two belong to this program.
pub const FILES: [&str; 6] = [
    "/etc/sysconfig/ipvsadm-config",
    "/etc/sysconfig/ipvsadm_config",
    "/etc/default/ipvsadm",
    EL_RULES,
    "/etc/default/ipvsadm-rs",
    "/etc/sysconfig/ipvsadm-rs",
];

/// The rules of EL. The same name is SUSE's for a file of variables.
const EL_RULES: &str = "/etc/sysconfig/ipvsadm";
/// The rules of Debian and SUSE.
const RULES: &str = "/etc/ipvsadm.rules";

/// Where something stands: file and line, as messages name them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", escaped(&self.file), self.line)
    }
}

/// Why settings cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum SettingsError {
    /// A file cannot be read.
    Unreadable(PathBuf, io::Error),
    /// Something in a file is not right.
    Bad(Place, String),
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(file, _) => f.write_str(&escaped(file)),
            Self::Bad(place, what) => write!(f, "{place}: {what}"),
        }
    }
}

impl std::error::Error for SettingsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable(_, error) => Some(error),
            Self::Bad(..) => None,
        }
    }
}

/// What the files say, and the defaults where they say nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Unload the kernel's modules on stop (`IPVS_MODULES_UNLOAD`, yes).
    pub modules_unload: bool,
    /// Save the table before it is cleared on stop (`IPVS_SAVE_ON_STOP`, no).
    pub save_on_stop: bool,
    /// Save the table before a restart (`IPVS_SAVE_ON_RESTART`, no).
    pub save_on_restart: bool,
    /// Numbers instead of names in `status` (`IPVS_STATUS_NUMERIC`, yes).
    pub status_numeric: bool,
    /// Let a table that has rules become one without, when rules are loaded (`IPVS_ALLOW_EMPTY`, no).
    pub allow_empty: bool,
    /// Refuse to load rules where that deletes more than these (`IPVS_MAX_REMOVALS`, no limit).
    pub max_removals: Option<RemovalLimit>,
    /// Where it is said that the rules are not the service's affair (`AUTO=false`).
    pub rules_left_alone: Option<Place>,
    /// The synchronisation daemons to run (`DAEMON`, `IFACE`, `SYNCID`; none), and where they are asked for.
    pub daemons: Vec<(Daemon, Place)>,
    /// The rules (`IPVSADM_CONFIG`, else the first of the known places that is there).
    pub rules: PathBuf,
    /// Assignments that mean nothing here.
    pub unknown: Vec<(Place, String)>,
    /// Where rules begin in a file of settings. They are not read.
    pub misplaced: Vec<Place>,
}

impl Settings {
    /// Read those of [`FILES`] that are there.
    ///
    /// # Errors
    /// A file cannot be read; or something in it is not an assignment, or not a value that is known.
    pub fn read() -> Result<Self, SettingsError> {
        let mut draft = Draft::default();
        let mut el_rules_are_variables = false;
        for file in FILES.map(Path::new) {
            let text = match input::settings(file) {
                Ok(text) => text,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(SettingsError::Unreadable(file.to_owned(), error)),
            };
            let text = String::from_utf8_lossy(&text);
            if file == Path::new(EL_RULES) {
                if !holds_variables(&text) {
                    continue;
                }
                el_rules_are_variables = true;
            }
            draft.take(file, &text)?;
            // Here rules may well be meant to be loaded.
            if file == Path::new(EL_RULES)
                && let Some(place) = draft.misplaced.pop_if(|place| place.file == file)
            {
                return Err(SettingsError::Bad(place, ONLY_ASSIGNMENTS.to_owned()));
            }
        }
        let exists = |path: &str| Path::new(path).exists();
        let rules = if !el_rules_are_variables && (exists(EL_RULES) || exists("/etc/sysconfig") && !exists(RULES)) {
            EL_RULES
        } else {
            RULES
        };
        draft.finish(rules)
    }

    /// The settings that this text makes, as if it stood in this file and there were no other.
    ///
    /// # Errors
    /// Something in it is not an assignment, or not a value that is known.
    pub fn of(file: &Path, text: &str) -> Result<Self, SettingsError> {
        let mut draft = Draft::default();
        draft.take(file, text)?;
        draft.finish(RULES)
    }
}

/// Settings on the way, with the places they come from.
#[derive(Default)]
struct Draft {
    modules_unload: Option<bool>,
    save_on_stop: Option<bool>,
    save_on_restart: Option<bool>,
    status_numeric: Option<bool>,
    auto: Option<(bool, Place)>,
    daemon: Option<(&'static [DaemonRole], Place)>,
    interface: Option<InterfaceName>,
    sync_id: Option<u32>,
    allow_empty: Option<bool>,
    max_removals: Option<RemovalLimit>,
    rules: Option<PathBuf>,
    unknown: Vec<(Place, String)>,
    misplaced: Vec<Place>,
}

impl Draft {
    fn take(&mut self, file: &Path, text: &str) -> Result<(), SettingsError> {
        let place = |line| Place { file: file.to_owned(), line };
        let (assignments, rules) = assignments(text).map_err(|(line, what)| SettingsError::Bad(place(line), what))?;
        self.misplaced.extend(rules.map(place));
        for Assignment { line, name, value } in assignments {
            let place = place(line);
            let taken = self.set(&name, &value, &place);
            taken.map_err(|wanted| SettingsError::Bad(place, format!("{name}={value}: it must be {wanted}")))?;
        }
        Ok(())
    }

    /// Take a value, or say what it must be. An empty one stands for the default, as in these files' own readers.
    fn set(&mut self, name: &str, value: &str, place: &Place) -> Result<(), &'static str> {
        match name {
            "IPVS_MODULES_UNLOAD" => self.modules_unload = yes_or_no(value)?,
            "IPVS_SAVE_ON_STOP" => self.save_on_stop = yes_or_no(value)?,
            "IPVS_SAVE_ON_RESTART" => self.save_on_restart = yes_or_no(value)?,
            "IPVS_STATUS_NUMERIC" => self.status_numeric = yes_or_no(value)?,
            "IPVS_ALLOW_EMPTY" => self.allow_empty = yes_or_no(value)?,
            "IPVS_MAX_REMOVALS" => {
                self.max_removals = match value {
                    "" => None,
                    _ => Some(RemovalLimit::parse(value.as_bytes()).ok_or("a number, or a percentage such as 20%")?),
                };
            }
            "AUTO" => self.auto = yes_or_no(value)?.map(|auto| (auto, place.clone())),
            "DAEMON" => {
                let roles: &[DaemonRole] = match value {
                    "none" | "" => &[],
                    "master" => &[DaemonRole::Master],
                    "backup" => &[DaemonRole::Backup],
                    "both" => &[DaemonRole::Master, DaemonRole::Backup],
                    _ => return Err("none, master, backup or both"),
                };
                self.daemon = Some((roles, place.clone()));
            }
            "IFACE" => {
                let name = InterfaceName::new(value.as_bytes());
                let name = name.filter(|_| !value.contains(|c: char| c == '/' || c.is_whitespace()));
                self.interface = Some(name.ok_or("the name of one interface, of 15 bytes at most")?);
            }
            "SYNCID" => {
                let number = if value.is_empty() { Some(0) } else { value.parse().ok().filter(|id| *id <= 255) };
                self.sync_id = Some(number.ok_or("a number from 0 to 255")?);
            }
            "IPVSADM_CONFIG" => {
                let path = Path::new(value);
                self.rules = match (value, path.is_absolute()) {
                    ("", _) => None,
                    (_, true) => Some(path.to_owned()),
                    (_, false) => return Err("the path of a file of rules, from / on"),
                };
            }
            _ => self.unknown.push((place.clone(), name.to_owned())),
        }
        Ok(())
    }

    fn finish(self, rules: &str) -> Result<Settings, SettingsError> {
        let (roles, asked) = match self.daemon {
            Some((roles, place)) => (roles, Some(place)),
            None => (&[][..], None),
        };
        let interface = self.interface.filter(|name| !name.is_empty());
        let mut daemons = Vec::new();
        for (&role, place) in roles.iter().zip(asked.iter().cycle()) {
            let Some(interface) = interface else {
                let what = "a daemon needs an interface: IFACE=NAME";
                return Err(SettingsError::Bad(place.clone(), what.to_owned()));
            };
            let sync_id = self.sync_id.unwrap_or(0);
            let daemon = Daemon::new(role, interface, sync_id);
            daemons.push((daemon, place.clone()));
        }
        Ok(Settings {
            modules_unload: self.modules_unload.unwrap_or(true),
            save_on_stop: self.save_on_stop.unwrap_or(false),
            save_on_restart: self.save_on_restart.unwrap_or(false),
            status_numeric: self.status_numeric.unwrap_or(true),
            rules_left_alone: self.auto.and_then(|(auto, place)| (!auto).then_some(place)),
            daemons,
            rules: self.rules.unwrap_or_else(|| rules.into()),
            allow_empty: self.allow_empty.unwrap_or(false),
            max_removals: self.max_removals,
            unknown: self.unknown,
            misplaced: self.misplaced,
        })
    }
}

fn yes_or_no(value: &str) -> Result<Option<bool>, &'static str> {
    match value.to_ascii_lowercase().as_str() {
        "" => Ok(None),
        "yes" | "true" | "on" | "1" => Ok(Some(true)),
        "no" | "false" | "off" | "0" => Ok(Some(false)),
        _ => Err("yes or no"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Result<Settings, String> {
        let mut draft = Draft::default();
        draft.take(Path::new("/f"), text).map_err(|error| error.to_string())?;
        draft.finish(RULES).map_err(|error| error.to_string())
    }

    #[test]
    fn rules_and_variables_are_distinguished() {
        for text in ["A=1", "# c\n\n export A='x'\n", "IPVSADM_CONFIG=\"/etc/ipvsadm.rules\"\n-A -t 1.2.3.4:80"] {
            assert!(holds_variables(text), "{text:?}");
        }
        for text in ["", "# A=1\n", "-A -t 1.2.3.4:80 -s=rr", "ipvsadm -A -t 1.2.3.4:80 -s=rr", "--set 1 2 3", "-w=3"] {
            assert!(!holds_variables(text), "{text:?}");
        }
    }

    #[test]
    fn the_defaults_are_those_of_old() {
        let settings = settings("IPVS_SAVE_ON_STOP=\n").unwrap();
        assert!(settings.modules_unload && settings.status_numeric);
        assert!(!settings.save_on_stop && !settings.save_on_restart);
        assert_eq!(settings.rules_left_alone, None);
        assert!(!settings.allow_empty && settings.max_removals.is_none());
        assert!(settings.daemons.is_empty());
        assert_eq!(settings.rules, Path::new(RULES));
    }

    #[test]
    fn every_setting_is_read() {
        let text = "IPVS_MODULES_UNLOAD=no\nIPVS_SAVE_ON_STOP=\"yes\"\nIPVS_SAVE_ON_RESTART='YES'\nIPVS_STATUS_NUMERIC=false\n\
                    AUTO=\"false\"\nDAEMON=both\nIFACE=\"eth1\"\nSYNCID=7\nIPVSADM_CONFIG=/srv/my\\ rules\nIPVS_SAVE=1\n";
        let settings = settings(text).unwrap();
        assert!(!settings.modules_unload && !settings.status_numeric);
        assert!(settings.save_on_stop && settings.save_on_restart);
        assert_eq!(settings.rules_left_alone.map(|place| place.to_string()).as_deref(), Some("/f:5"));
        let daemons: Vec<_> = settings.daemons.iter().map(|(daemon, _)| (daemon.role, daemon.sync_id)).collect();
        assert_eq!(daemons, [(DaemonRole::Master, 7), (DaemonRole::Backup, 7)]);
        assert_eq!(settings.daemons[0].0.interface.as_bytes(), b"eth1");
        assert_eq!(settings.daemons[0].1.to_string(), "/f:6");
        assert_eq!(settings.rules, Path::new("/srv/my rules"));
        assert_eq!(settings.unknown.len(), 1);
    }

    #[test]
    fn unknown_values_are_errors_with_their_place() {
        for (text, message) in [
            ("\nIPVS_SAVE_ON_STOP=maybe", "/f:2: IPVS_SAVE_ON_STOP=maybe: it must be yes or no"),
            ("IPVS_MAX_REMOVALS=-1", "/f:1: IPVS_MAX_REMOVALS=-1: it must be a number, or a percentage such as 20%"),
            ("AUTO=2", "/f:1: AUTO=2: it must be yes or no"),
            ("DAEMON=all", "/f:1: DAEMON=all: it must be none, master, backup or both"),
            ("DAEMON=master", "/f:1: a daemon needs an interface: IFACE=NAME"),
            ("SYNCID=256", "/f:1: SYNCID=256: it must be a number from 0 to 255"),
            ("IFACE='a b'", "/f:1: IFACE=a b: it must be the name of one interface, of 15 bytes at most"),
            (
                "IFACE=0123456789abcdef",
                "/f:1: IFACE=0123456789abcdef: it must be the name of one interface, of 15 bytes at most",
            ),
            ("IPVSADM_CONFIG=rules", "/f:1: IPVSADM_CONFIG=rules: it must be the path of a file of rules, from / on"),
        ] {
            assert_eq!(settings(text).unwrap_err(), message);
        }
    }
}
