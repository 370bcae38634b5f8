//! Names of hosts and ports, as this machine knows them.
//!
//! Host names belong to the name service switch (nsswitch.conf(5)), whose modules are the C library's own and cannot be
//! loaded into a statically linked program; getent(1), which comes with that library, asks it for us. Ports are read from
//! services(5).

use std::collections::HashMap;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use ipvs_client::Protocol;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::grammar::Names;

/// Addresses asked for in one run of getent at most; the limit is the length of a command line.
const ADDRESSES_AT_MOST: usize = 500;
/// Runs of getent at the same time.
const RUNS_AT_ONCE: usize = 32;

/// The names this machine knows. Nothing is read before it is asked for.
#[derive(Debug, Default)]
pub struct SystemNames {
    services: OnceLock<Services>,
}

impl Names for SystemNames {
    fn ipv4(&self, host: &str) -> Option<Ipv4Addr> {
        first_address("ahostsv4", host)
    }

    fn ipv6(&self, host: &str) -> Option<Ipv6Addr> {
        first_address("ahostsv6", host)
    }

    fn port(&self, name: &str, protocol: Protocol) -> Option<u16> {
        let services = self.services();
        services
            .lines
            .iter()
            .find(|line| line.protocol == protocol && line.names.iter().any(|n| n == name))
            .map(|l| l.port)
    }
}

impl SystemNames {
    /// The first name of a port, if it has one.
    #[must_use]
    pub fn port_name(&self, port: u16, protocol: Protocol) -> Option<&str> {
        let services = self.services();
        let index = services.by_port.get(&(port, protocol))?;
        services.lines[*index].names.first().map(String::as_str)
    }

    /// The host names of these addresses, of those for which there is an answer within `patience`.
    #[must_use]
    pub fn hosts(&self, addresses: &[IpAddr], patience: Duration) -> HashMap<IpAddr, String> {
        let mut found = HashMap::new();
        if files_come_first() {
            // One run for all, which waits for nobody: the names in a file are never too late.
            for some in addresses.chunks(ADDRESSES_AT_MOST) {
                let keys: Vec<String> = some.iter().map(IpAddr::to_string).collect();
                take_names(getent(&["-s", "files"], "hosts", &keys).iter(), &mut found);
            }
        }
        let unknown: Vec<IpAddr> = addresses.iter().copied().filter(|address| !found.contains_key(address)).collect();
        take_names(ask_together(&unknown, patience).iter(), &mut found);
        found
    }

    fn services(&self) -> &Services {
        self.services.get_or_init(|| Services::parse(&std::fs::read("/etc/services").unwrap_or_default()))
    }
}

/// Whether /etc/hosts is asked before anybody else (nsswitch.conf(5)).
fn files_come_first() -> bool {
    let text = std::fs::read_to_string("/etc/nsswitch.conf").unwrap_or_default();
    text.lines()
        .any(|line| line.trim().strip_prefix("hosts:").is_some_and(|rest| rest.trim_start().starts_with("files")))
}

/// The names in what getent answered.
fn take_names<'a>(answers: impl Iterator<Item = &'a String>, found: &mut HashMap<IpAddr, String>) {
    for line in answers.flat_map(|answer| answer.lines()) {
        let mut words = line.split_ascii_whitespace();
        if let (Some(Ok(address)), Some(name)) = (words.next().map(str::parse::<IpAddr>), words.next()) {
            found.insert(address, name.to_owned());
        }
    }
}

/// A run of getent.
struct Run {
    child: Child,
    stdout: ChildStdout,
    answer: Vec<u8>,
}

impl Run {
    fn start(addresses: &[IpAddr]) -> io::Result<Self> {
        let mut child = Command::new("getent")
            .arg("hosts")
            .args(addresses.iter().map(IpAddr::to_string))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self { child, stdout, answer: Vec::new() })
    }

    /// Read what has been said. Whether that was all.
    fn read(&mut self) -> bool {
        let mut bytes = [0; 4096];
        match self.stdout.read(&mut bytes) {
            Ok(0) => true,
            Ok(length) => {
                self.answer.extend_from_slice(&bytes[..length]);
                false
            }
            Err(error) => error.kind() != io::ErrorKind::Interrupted,
        }
    }

    /// End it, if it has not ended, and take its answer.
    fn finish(mut self) -> Option<String> {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        String::from_utf8(self.answer).ok()
    }
}

/// Ask for the names of all these addresses at the same time, as far as that is sensible, and take what answers there are
/// within `patience`.
///
/// A run of getent asks one by one, and a name server that does not answer holds it up for seconds; worse, it says what it
/// knows only at its end. So few addresses have a run each, and many are dealt out in portions that become smaller.
fn ask_together(addresses: &[IpAddr], patience: Duration) -> Vec<String> {
    let end = Instant::now() + patience;
    let mut answers = Vec::new();
    let mut rest = addresses;
    let mut runs: Vec<Run> = Vec::new();
    loop {
        let left = end.saturating_duration_since(Instant::now());
        while !rest.is_empty() && !left.is_zero() && runs.len() < RUNS_AT_ONCE {
            let portion = (rest.len() / (4 * RUNS_AT_ONCE)).clamp(1, ADDRESSES_AT_MOST);
            let (now, later) = rest.split_at(portion);
            match Run::start(now) {
                Ok(run) => {
                    runs.push(run);
                    rest = later;
                }
                // One more than there may be now; with none at all there never will be.
                Err(_) if !runs.is_empty() => break,
                Err(_) => return answers,
            }
        }
        if runs.is_empty() || left.is_zero() {
            break;
        }
        let mut waiting: Vec<PollFd<'_>> =
            runs.iter().map(|run| PollFd::new(run.stdout.as_fd(), PollFlags::POLLIN)).collect();
        // A millisecond that has begun counts, or the last one would be spent in circles.
        let timeout = PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
        match poll(&mut waiting, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => break,
        }
        let ready: Vec<bool> = waiting.iter().map(|fd| fd.any() == Some(true)).collect();
        for index in (0..ready.len()).rev() {
            if ready[index] && runs[index].read() {
                answers.extend(runs.swap_remove(index).finish());
            }
        }
    }
    runs.into_iter().for_each(|run| drop(run.finish()));
    answers
}

/// Ask the name service switch. No answer and no getent come to the same: no name.
fn getent(options: &[&str], database: &str, keys: &[impl AsRef<std::ffi::OsStr>]) -> Option<String> {
    // `--` is not understood by every getent; what looks like an option is no host name anyway.
    if keys.iter().any(|key| key.as_ref().as_encoded_bytes().starts_with(b"-")) {
        return None;
    }
    let output = Command::new("getent")
        .args(options)
        .arg(database)
        .args(keys)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    // 2 is for keys not found; anything but that and 0 is about the call.
    matches!(output.status.code(), Some(0 | 2)).then(|| String::from_utf8(output.stdout).ok())?
}

fn first_address<A: std::str::FromStr>(database: &str, host: &str) -> Option<A> {
    // By default addresses are kept back of a family that no interface has, and so all of them before the network is up.
    // Older programs cannot be told otherwise.
    let answer = getent(&["--no-addrconfig"], database, &[host]).or_else(|| getent(&[], database, &[host]))?;
    answer.split_ascii_whitespace().next()?.parse().ok()
}

/// services(5), as far as it is of use here.
#[derive(Debug, Default)]
struct Services {
    lines: Vec<ServiceLine>,
    by_port: HashMap<(u16, Protocol), usize>,
}

#[derive(Debug)]
struct ServiceLine {
    names: Vec<String>,
    port: u16,
    protocol: Protocol,
}

impl Services {
    fn parse(text: &[u8]) -> Self {
        let mut services = Self::default();
        for line in String::from_utf8_lossy(text).lines() {
            if let Some(line) = ServiceLine::parse(line) {
                services.by_port.entry((line.port, line.protocol)).or_insert(services.lines.len());
                services.lines.push(line);
            }
        }
        services
    }
}

impl ServiceLine {
    /// `name port/protocol alias… # comment`
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split('#').next()?.split_ascii_whitespace();
        let name = words.next()?;
        let (port, protocol) = words.next()?.split_once('/')?;
        let protocol = Protocol::named(protocol)?;
        let names = std::iter::once(name).chain(words).map(str::to_owned).collect();
        Some(Self { names, port: port.parse().ok()?, protocol })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_found_by_name_alias_and_port_of_their_protocol() {
        let text =
            b"# a comment\nhttp\t\t80/tcp\t\twww\t# web\nntp 123/udp\nbad\nworse x/tcp\nodd 9/ddp\nhttp-alt 80/tcp\n";
        let names = SystemNames::default();
        assert!(names.services.set(Services::parse(text)).is_ok());
        assert_eq!(names.port("http", Protocol::Tcp), Some(80));
        assert_eq!(names.port("www", Protocol::Tcp), Some(80));
        assert_eq!(names.port("http", Protocol::Udp), None);
        assert_eq!(names.port("HTTP", Protocol::Tcp), None);
        assert_eq!(names.port_name(80, Protocol::Tcp), Some("http"));
        assert_eq!(names.port_name(123, Protocol::Udp), Some("ntp"));
        assert_eq!(names.port_name(9, Protocol::Tcp), None);
    }
}
