//! The kernel module of IPVS: loaded where it is missing, with the reason where that fails, and unloaded.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use ipvs_client::{Client, Error};
use nix::unistd::geteuid;

use super::program;

/// The program that loads kernel modules.
const MODPROBE: &str = "/sbin/modprobe";

/// Why the kernel module `ip_vs` could not be loaded.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoadFailure {
    /// There is no modprobe to ask.
    NoModprobe(String),
    /// We are not root.
    NotPermitted,
    /// The running kernel's modules are not on this machine: a container, or a kernel just replaced.
    NoModules(String),
    /// The running kernel's modules are here, and `ip_vs` is not among them.
    NoSuchModule(String),
    /// The module is there and the kernel did not take it.
    NotLoadable(String),
    /// It was loaded, and still there is no family of that name.
    NoFamily,
}

/// As ipvsadm words it, and the reason.
impl fmt::Display for LoadFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Can't initialize ipvs: Protocol not available\n{IS_IT_THERE}")?;
        match self {
            Self::NoModprobe(why) => {
                write!(
                    f,
                    "The module ip_vs is not loaded, and {MODPROBE} cannot be run ({why}): load it from the host."
                )
            }
            Self::NotPermitted => {
                f.write_str("The module ip_vs is not loaded, and only root can load it: modprobe ip_vs.")
            }
            Self::NoModules(release) => write!(
                f,
                "The module ip_vs is not loaded, and /lib/modules/{release} is not here: in a container, load it on the \
                 host (modprobe ip_vs); after a kernel update, reboot."
            ),
            Self::NoSuchModule(release) => write!(
                f,
                "The kernel {release} comes without IPVS: /lib/modules/{release} has no module ip_vs (some \
                 distributions keep it in a package of extra modules)."
            ),
            Self::NotLoadable(release) => write!(
                f,
                "The module ip_vs of kernel {release} is there but could not be loaded: no privilege for that here (a \
                 container: load it on the host), a modprobe.d line against it, or a signature that is required."
            ),
            Self::NoFamily => f.write_str("The module ip_vs was loaded, but the kernel knows no IPVS over netlink."),
        }
    }
}

impl std::error::Error for LoadFailure {}

/// The question that ipvsadm asks where there is no IPVS, or not for us.
const IS_IT_THERE: &str = "Are you sure that IP Virtual Server is built in the kernel or as module?";

/// Why root of another user namespace than the first is not permitted.
const USER_NAMESPACE: &str = "\nThis is a user namespace (a container without privileges, say): the kernel takes changes of IPVS only \
                              from outside of it.";

/// How user numbers are mapped, user_namespaces(7): in the first namespace all of them, to themselves.
const USER_NUMBERS: &str = "/proc/self/uid_map";

/// Whether this is another user namespace than the first.
fn in_user_namespace() -> bool {
    let map = std::fs::read_to_string(USER_NUMBERS).unwrap_or_default();
    !map.is_empty() && map.split_whitespace().ne(["0", "0", "4294967295"])
}

/// An error of IPVS, as ipvsadm words it.
#[must_use]
pub fn message(error: &Error) -> String {
    match error {
        Error::NotPermitted => {
            let why = if in_user_namespace() { USER_NAMESPACE } else { "" };
            format!("Can't initialize ipvs: Permission denied (you must be root)\n{IS_IT_THERE}{why}")
        }
        error => error.to_string(),
    }
}

/// Connect to the IPVS of the network namespace we are in, loading the module if the kernel does not have it yet.
///
/// # Errors
/// There is no IPVS, and why ([`LoadFailure`]); or netlink fails ([`Error`]).
pub fn connect() -> anyhow::Result<Client> {
    if let Some(client) = Client::connect_if_present()? {
        return Ok(client);
    }
    load()?;
    Ok(Client::connect_if_present()?.ok_or(LoadFailure::NoFamily)?)
}

/// Run `modprobe -- ip_vs`, as ipvsadm does: no shell, modprobe's own message left to be seen.
///
/// # Errors
/// The module was not loaded, and why.
fn load() -> Result<(), LoadFailure> {
    match modprobe(["--", "ip_vs"]).stderr(Stdio::inherit()).status() {
        Ok(status) if status.success() => return Ok(()),
        Ok(_) => {}
        Err(error) => return Err(LoadFailure::NoModprobe(error.to_string())),
    }
    if !geteuid().is_root() {
        return Err(LoadFailure::NotPermitted);
    }
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned();
    Err(if !Path::new("/lib/modules").join(&release).is_dir() {
        LoadFailure::NoModules(release)
    } else if known().unwrap_or(true) {
        LoadFailure::NotLoadable(release)
    } else {
        LoadFailure::NoSuchModule(release)
    })
}

/// Where the kernel lists its modules, proc_modules(5): the name comes first, who uses it fourth.
const MODULES: &str = "/proc/modules";

/// Whether the kernel has IPVS now. Unlike connecting to it, asking does not load the module.
#[must_use]
pub fn is_loaded() -> bool {
    Path::new("/proc/net/ip_vs").exists()
}

/// Unload `ip_vs` and before it the modules that use it, such as its schedulers. If IPVS is built into the kernel there is
/// nothing to unload.
///
/// # Errors
/// Some are still there: which, and what modprobe said.
pub fn unload() -> Result<(), UnloadFailure> {
    let mut said = String::new();
    // One by one, as modprobe stops at the first that it cannot unload.
    for module in ours() {
        match modprobe(["-r", "--", &module]).output() {
            Ok(output) => said.push_str(&String::from_utf8_lossy(&output.stderr)),
            Err(error) => said = format!("{MODPROBE}: {error}"),
        }
    }
    let said = said.trim().to_owned();
    match ours() {
        left if left.is_empty() => Ok(()),
        left => Err(UnloadFailure { left, said }),
    }
}

/// Modules that could not be unloaded.
#[derive(Debug, PartialEq, Eq)]
pub struct UnloadFailure {
    /// Which, `ip_vs` last.
    pub left: Vec<String>,
    /// What modprobe said of them.
    pub said: String,
}

impl fmt::Display for UnloadFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "these kernel modules cannot be unloaded: {} (another network namespace or a packet filter may use them)",
            self.left.join(" ")
        )?;
        if self.said.is_empty() { Ok(()) } else { write!(f, "\n{}", self.said) }
    }
}

impl std::error::Error for UnloadFailure {}

/// The modules that use `ip_vs`, and itself last; none if it is not a module or not loaded.
fn ours() -> Vec<String> {
    users(&std::fs::read_to_string(MODULES).unwrap_or_default())
}

fn users(modules: &str) -> Vec<String> {
    let line = modules.lines().find(|line| line.split(' ').next() == Some("ip_vs"));
    let Some(line) = line else { return Vec::new() };
    let users = line.split(' ').nth(3).unwrap_or_default();
    let users = users.split(',').filter(|user| !matches!(*user, "" | "-" | "[permanent]"));
    users.chain(["ip_vs"]).map(str::to_owned).collect()
}

/// Whether modprobe finds the module at all: a dry run needs no privilege.
fn known() -> io::Result<bool> {
    Ok(modprobe(["-n", "ip_vs"]).stderr(Stdio::null()).status()?.success())
}

fn modprobe<const N: usize>(arguments: [&str; N]) -> Command {
    // The caller's environment (MODPROBE_OPTIONS, say) has no part in what is loaded; lines `install` of modprobe.d find
    // their programs by PATH.
    let mut command = program::command(MODPROBE);
    command.args(arguments.map(OsStr::new)).stdout(Stdio::null());
    command
}

#[cfg(test)]
mod tests {
    use super::users;

    #[test]
    fn users_go_before_the_module() {
        let modules = "ip_vs_wrr 16384 1 - Live 0x0\nip_vs_rr 16384 0 - Live 0x0\n\
                       ip_vs 200704 5 ip_vs_wrr,ip_vs_rr, Live 0x0\nnf_conntrack 180224 1 ip_vs, Live 0x0\n";
        assert_eq!(users(modules), ["ip_vs_wrr", "ip_vs_rr", "ip_vs"]);
        assert_eq!(users("ip_vs 200704 0 - Live 0x0\n"), ["ip_vs"]);
        assert_eq!(users("ip_vs_rr 16384 0 - Live 0x0\n"), [""; 0]);
    }
}
