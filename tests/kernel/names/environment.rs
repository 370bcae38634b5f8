//! No variable of the environment changes what is done to the table: every command is run with a plain environment and with
//! a hostile one, and both send the same to the kernel, leave the same table, and end the same way.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use ipvs_client::Client;
use ipvs_client::TableService;

use super::server::{ADDRESS, Server};
use super::{evil_folder, sh, usual};
use crate::support::{self, difference, ours};

/// The table before each command.
const RULES: &str = "-A -t 10.0.0.9:80 -s rr\n-a -t 10.0.0.9:80 -r 10.0.0.1:8080 -m -w 3\n\
                     -a -t 10.0.0.9:80 -r 10.0.0.2:8080 -m -w 3\n-A -f 7 -s wlc -p 60\n";
/// Rules that commands read, with names.
const FILE: &str =
    "-A -t multi.example:http -s wrr\n-a -t multi.example:http -r short:http-alt -m\n-A -f 7 -s wlc -p 60\n";

/// Every command that changes something or reads the table.
const COMMANDS: &[&str] = &[
    "-A -t multi.example:81 -s wrr -p 60 -M 255.255.0.0",
    "-A -u both.example:53 -s rr",
    "-A -t short:http",
    "-E -t multi.example:http -s wlc",
    "-D -t files.example:http",
    "-a -t multi.example:http -r both.example:http-alt -m -w 2",
    "-e -t multi.example:http -r 10.0.0.1:8080 -m -w 9",
    "-d -t multi.example:http -r 10.0.0.2:http-alt",
    "-d -t multi.example:http -r 10.0.0.2:8080 --drain=3",
    "-D -t multi.example:http --drain",
    "-Z",
    "-Z -t multi.example:http",
    "-C",
    "--set 100 200 300",
    "--start-daemon master --mcast-interface lo --syncid 3",
    "--stop-daemon master",
    "-R",
    "-R --file /run/rules",
    "-R --replace",
    "-R --replace --dry-run",
    "-R --check",
    "-L",
    "-L -n --sort",
    "-L -c",
    "-L --json",
    "-L --table",
    "-L --wide",
    "-L --timeout",
    "-L --daemon",
    "-S",
    "-S --all",
    "-S -n --file /run/saved",
    "-A -t 6.6.6.6:80 --netns other",
    "-A -t nosuch.example:80",
    "diff /run/rules",
    "service save",
    "service start",
    "service reload",
    "service force-reload",
    "service restart",
    "service status",
    "service rate",
    "service stop",
    "service panic",
    "realserver status",
    "realserver start --vip 192.0.2.1 --dev lo",
    "realserver stop --vip 192.0.2.1",
    "doctor",
    "ipvsadm-save",
    "ipvsadm-restore",
];

/// A caller's environment.
type Variables = Vec<(&'static str, String)>;

fn plain() -> Variables {
    vec![("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned())]
}

/// What might make a program, its libraries or programs that it runs do something else.
fn hostile(folder: &Path) -> Variables {
    let folder = folder.display();
    let named = |names: &[&'static str], value: &str| -> Variables {
        names.iter().map(|name| (*name, value.to_owned())).collect()
    };
    [
        named(&["PATH", "HOME", "TMPDIR", "TMP", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "CDPATH"], &folder.to_string()),
        named(&["LD_PRELOAD", "LD_AUDIT"], &format!("{folder}/none.so")),
        named(&["LD_LIBRARY_PATH", "LOCPATH", "NLSPATH", "GCONV_PATH", "GETCONF_DIR"], &folder.to_string()),
        named(&["LANG", "LC_ALL", "LANGUAGE", "LC_NUMERIC", "LC_CTYPE", "LC_COLLATE"], "tr_TR.UTF-8"),
        named(&["COLUMNS", "LINES"], "3"),
        named(&["NO_COLOR", "CLICOLOR_FORCE", "FORCE_COLOR", "POSIXLY_CORRECT", "RUST_BACKTRACE"], "1"),
        named(&["IPVSADM_CONFIG", "IPVS_SYNC", "IPVS_STATUS_ON_STOP", "IPVSADM_SAVE_ON_STOP", "AUTO"], "/dev/zero"),
        named(&["ENV", "BASH_ENV", "RES_CONFIG", "RESOLV_HOST_CONF"], &format!("{folder}/run.sh")),
        named(&["MODPROBE_OPTIONS"], "--dry-run --dirname /nonexistent"),
        named(
            &["XTABLES_LIBDIR", "EBTABLES_SAVE_COUNTER", "NFT_CONFIG", "SYSTEMD_UNIT_PATH", "DBUS_SYSTEM_BUS_ADDRESS"],
            "x",
        ),
        vec![
            ("TERM", "none".to_owned()),
            ("TZ", ":/dev/zero".to_owned()),
            ("IFS", "/".to_owned()),
            ("GLIBC_TUNABLES", "glibc.malloc.check=3:glibc.pthread.rseq=0".to_owned()),
            ("RES_OPTIONS", "ndots:15 attempts:1 use-vc".to_owned()),
            ("LOCALDOMAIN", "evil.example".to_owned()),
            ("HOSTALIASES", format!("{folder}/aliases")),
            ("RESOLV_ADD_TRIM_DOMAINS", ".example".to_owned()),
            ("NOTIFY_SOCKET", "/run/none".to_owned()),
            ("MAINPID", "1".to_owned()),
        ],
    ]
    .concat()
}

/// What a command did.
#[derive(Debug, PartialEq, Eq)]
struct Deed {
    /// The bytes sent over netlink, as strace shows them.
    sent: String,
    /// The table of this network namespace and of another.
    table: String,
    /// How it ended.
    status: Option<i32>,
}

pub fn changes_nothing() -> Result<()> {
    let fakes = [
        "getent",
        "modprobe",
        "systemctl",
        "nft",
        "arptables",
        "arptables-legacy",
        "ip",
        "sysctl",
        "sh",
        "iptables",
        "ip6tables",
        "logger",
        "hostname",
        "uname",
    ];
    let folder = evil_folder(&fakes)?;
    fs::write(folder.path().join("aliases"), "short evil.example\nmulti evil.example\n")?;
    fs::write(folder.path().join("run.sh"), format!("echo run.sh >>{}/run\n", folder.path().display()))?;
    let mut differences = String::new();
    for words in COMMANDS {
        let one = deed(words, &plain()).with_context(|| (*words).to_owned())?;
        let other = deed(words, &hostile(folder.path())).with_context(|| (*words).to_owned())?;
        if one != other {
            differences += &format!("\n{words}: - plain, + hostile, {:?} and {:?}", one.status, other.status);
            differences += &difference(&one.sent, &other.sent);
            differences += &difference(&one.table, &other.table);
        }
        ensure!(
            !one.sent.is_empty() || one.status == Some(2) || words.contains("--check"),
            "{words}: nothing was sent"
        );
    }
    ensure!(differences.is_empty(), "{differences}");
    let run = fs::read_to_string(folder.path().join("run")).unwrap_or_default();
    ensure!(run.is_empty(), "these were run, which only PATH or ENV name:\n{run}");
    Ok(())
}

/// Runs a command on a machine that is as every time.
fn deed(words: &str, variables: &Variables) -> Result<Deed> {
    support::in_fresh_namespace(|| {
        for left in fs::read_dir("/run")? {
            let left = left?.path();
            // Network namespaces are mounted there.
            if left.is_dir() && !left.ends_with("netns") {
                fs::remove_dir_all(left)?;
            } else if !left.is_dir() {
                fs::remove_file(left)?;
            }
        }
        let other = words.contains("--netns other");
        if other {
            sh("ip netns add other")?;
        }
        let _server = Server::start(ADDRESS, usual)?;
        fs::write("/etc/ipvsadm.rules", FILE)?;
        fs::write("/run/rules", FILE)?;
        fs::create_dir_all("/etc/default")?;
        fs::write("/etc/default/ipvsadm", "AUTO=true\nDAEMON=none\nIPVS_MODULES_UNLOAD=no\n")?;
        let mut client = Client::connect()?;
        let mut rules = RULES.to_owned();
        if words.starts_with("--stop-daemon") {
            rules += "--start-daemon master --mcast-interface lo\n";
        }
        support::succeed(&["-R"], rules.as_bytes())?;
        let status = run(words, variables)?;
        let sent = fs::read_to_string("/run/trace")?;
        let service = |service: &TableService| {
            let servers = service.destinations.iter().map(|server| format!("  {:?}\n", server.destination));
            format!("{:?}\n{}", service.entry.service, servers.collect::<String>())
        };
        // The kernel's own order is another in each network namespace.
        let mut services: Vec<String> = client.table()?.services.iter().map(service).collect();
        services.sort();
        let mut table = services.concat();
        table += &format!("{:?}\n{:?}\n", client.timeouts()?, client.daemons()?);
        if other {
            table += &support::succeed(&["-S", "-n", "--netns", "other"], b"")?;
            sh("ip netns delete other")?;
        }
        Ok(Deed { sent: normal(&sent), table, status })
    })
}

fn run(words: &str, variables: &Variables) -> Result<Option<i32>> {
    let mut program = ours();
    let mut words: Vec<&str> = words.split(' ').collect();
    if words[0].starts_with("ipvsadm-") {
        let name = Path::new("/run").join(words.remove(0));
        symlink(&program, &name)?;
        program = name;
    }
    let mut command = Command::new("strace");
    // Everything, however long, of this program and of those that it runs; only what is sent.
    command.args(["-f", "-qqq", "-s", "1000000", "-x", "-e", "trace=sendto,sendmsg,sendmmsg", "-e", "signal=none"]);
    command.args(["-o", "/run/trace", "-E", "PATH"]);
    for (name, value) in variables {
        command.args(["-E", &format!("{name}={value}")]);
    }
    command.arg("--").arg(&program).args(&words).arg0("strace");
    command.stdin(fs::File::open("/run/rules")?).stdout(Stdio::null()).stderr(fs::File::create("/run/stderr")?);
    command.env_clear().env("PATH", OsStr::new("/usr/sbin:/usr/bin:/sbin:/bin"));
    Ok(command.status()?.code())
}

/// What was sent over netlink, without what is another each time: processes, ports, sequence numbers and descriptors.
fn normal(trace: &str) -> String {
    let is_netlink = |line: &&str| line.contains("nlmsg_len") || line.contains("AF_NETLINK");
    let mut lines = String::new();
    for line in trace.lines().filter(is_netlink) {
        let call = line.split_once(' ').map_or(line, |(_, call)| call.trim_start());
        let mut rest = call;
        while let Some(at) = ["nlmsg_seq=", "nlmsg_pid="].iter().filter_map(|field| rest.find(field)).min() {
            let (before, field) = rest.split_at(at + "nlmsg_seq=".len());
            lines += before;
            rest = field.trim_start_matches(|letter: char| letter.is_ascii_alphanumeric());
        }
        lines += rest;
        lines.push('\n');
    }
    lines
}
