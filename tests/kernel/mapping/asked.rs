//! `where`: what it says of real clients.

use std::collections::HashMap;
use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use ipvs_client::{Family, Protocol};

use super::packets::{First, Sender};
use super::{Listed, Random, network, read_until};
use crate::schema::Schema;
use crate::support::{Output, run, succeed};

/// Many clients at once get the server that the kernel gave them, and those that have one keep it.
pub fn many(seed: u64) -> Result<()> {
    const CLIENTS: usize = 300;
    network()?;
    let rules = "-A -t 192.168.7.7:80 -s mh -b mh-port\n-A -u 192.168.7.7:53 -s sh -b sh-fallback\n\
                 -A -f 7 -6 -s sh -b sh-port\n-A -f 7 -s dh\n";
    succeed(&["-R"], rules.as_bytes())?;
    for (number, weight) in (1..=5).zip(["1", "3", "0", "7", "1"]) {
        let (v4, v6) = (format!("10.50.0.{number}:80"), format!("[fd50::{number}]:80"));
        // A weight of 0 hides from outside what mh does.
        succeed(&["-a", "-t", "192.168.7.7:80", "-r", &v4, "-w", &format!("{number}")], b"")?;
        succeed(&["-a", "-u", "192.168.7.7:53", "-r", &v4, "-w", weight], b"")?;
        succeed(&["-a", "-f", "7", "-6", "-r", &v6, "-w", weight], b"")?;
        succeed(&["-a", "-f", "7", "-r", &v4, "-w", weight], b"")?;
    }
    let mut random = Random(seed);
    let sender = Sender::new()?;
    let v4: SocketAddr = "192.168.9.9:80".parse()?;
    let v6: SocketAddr = "[fd77::9]:80".parse()?;
    let cases: [(&[&str], Protocol, SocketAddr, u32); 4] = [
        (&["-t", "192.168.7.7:80"], Protocol::Tcp, "192.168.7.7:80".parse()?, 0),
        (&["-u", "192.168.7.7:53"], Protocol::Udp, "192.168.7.7:53".parse()?, 0),
        (&["-f", "7", "-6", "--to", "[fd77::9]:80"], Protocol::Tcp, v6, 7),
        (&["-f", "7", "--to", "192.168.9.9:80"], Protocol::Tcp, v4, 7),
    ];
    for (service, protocol, to, mark) in cases {
        let family = if to.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 };
        let clients: Vec<SocketAddr> =
            (0..CLIENTS).map(|_| SocketAddr::new(random.client(family), random.port())).collect();
        let text: String = clients.iter().map(|client| format!("{client}\n")).collect();
        let words: Vec<&str> = ["where", "-"].iter().chain(service).copied().collect();
        let before = succeed(&words, text.as_bytes())?;
        let mut listed = Listed::new();
        let firsts: Vec<First> = clients.iter().map(|&client| First { protocol, client, to, mark }).collect();
        firsts.iter().try_for_each(|first| sender.send(first))?;
        let predicted: HashMap<&str, &str> = before.lines().filter_map(|line| line.split_once(' ')).collect();
        ensure!(predicted.len() == CLIENTS, "seed {seed}: {before}");
        let is_refused = |first: &First| predicted.get(&*first.client.to_string()) == Some(&"- refused");
        read_until(&mut listed, |listed| {
            firsts.iter().all(|first| is_refused(first) || listed.contains_key(&first.name()))
        })?;
        let chosen = predicted.values().find(|answer| !answer.starts_with('-')).context("all are refused")?;
        let scheduler = chosen.rsplit(' ').next().unwrap_or_default();
        for first in &firsts {
            let expected = match listed.get(&first.name()) {
                Some(server) => format!("{server} {scheduler}"),
                None => "- refused".to_owned(),
            };
            let answer = predicted[&*first.client.to_string()];
            ensure!(answer == expected, "seed {seed}: {service:?}: {}: {answer}, not {expected}", first.client);
        }
        // Now they have it.
        let after = succeed(&words, text.as_bytes())?;
        for line in after.lines() {
            let (client, answer) = line.split_once(' ').context("a line")?;
            let server = predicted[client].split(' ').next().unwrap_or_default();
            let expected = if server == "-" { "- refused".to_owned() } else { format!("{server} connection") };
            ensure!(answer == expected, "seed {seed}: {line}, not {expected}");
        }
    }
    Ok(())
}

/// Persistence goes first, under the service's mask, of addresses and of marks, in both families.
pub fn persistence() -> Result<()> {
    network()?;
    let rules = "-A -t 192.168.7.7:80 -s sh -p 600 -M 255.255.255.0\n-A -t 192.168.7.8:0 -s sh -p 600\n\
                 -A -t 192.168.7.9:21 -s sh -p 600\n-A -f 7 -s mh -p 600\n-A -f 7 -6 -s mh -p 600 -M 64\n";
    succeed(&["-R"], rules.as_bytes())?;
    let cases: [(&[&str], &str, &str, u32, &str); 5] = [
        (&["-t", "192.168.7.7:80"], "8.1.2.3:1000", "192.168.7.7:80", 0, "8.1.2.77:9"),
        (&["-t", "192.168.7.8:0"], "8.1.2.3:1000", "192.168.7.8:8080", 0, "8.1.2.3:9"),
        (&["-t", "192.168.7.9:21"], "8.1.2.3:1000", "192.168.7.9:21", 0, "8.1.2.3:9"),
        (&["-f", "7"], "8.1.2.3:1000", "192.168.9.9:80", 7, "8.1.2.3:9"),
        (&["-f", "7", "-6"], "[2a00::1:3]:1000", "[fd77::9]:80", 7, "[2a00::1:77]:9"),
    ];
    let sender = Sender::new()?;
    for (service, client, to, mark, other) in cases {
        let (first, second) = if client.starts_with('[') { ("fd50::1", "fd50::2") } else { ("10.50.0.1", "10.50.0.2") };
        // Only one server can be chosen at first, and only the other one later.
        succeed(&[&["-a"], service, &["-r", first]].concat(), b"")?;
        let ask = |client: &str| succeed(&[&["where", client], service].concat(), b"");
        ensure!(ask(client)?.lines().count() == 1, "{service:?}: {}", ask(client)?);
        sender.send(&First { protocol: Protocol::Tcp, client: client.parse()?, to: to.parse()?, mark })?;
        succeed(&[&["-a"], service, &["-r", second]].concat(), b"")?;
        let server = |answer: &str, what: &str| {
            let line = answer.lines().find(|line| line.starts_with(what)).map(str::to_owned);
            line.with_context(|| format!("{service:?}: no line {what}: {answer}"))
        };
        for asked in [client, other] {
            let line = server(&ask(asked)?, "persistence: ")?;
            let address = first.trim_start_matches("fd50");
            ensure!(line.contains(address) && line.contains("(for "), "{asked}: {line}");
        }
        if mark == 0 {
            server(&ask(client)?, "connection from port 1000: ")?;
        }
        // Weight 0 keeps it, unless such templates expire.
        succeed(&[&["-e"], service, &["-r", first, "-w", "0"]].concat(), b"")?;
        server(&ask(other)?, "persistence: ")?;
        std::fs::write("/proc/sys/net/ipv4/vs/expire_quiescent_template", "1")?;
        let answer = run(&[&["where", other], service].concat(), b"")?.stdout;
        ensure!(!answer.contains("persistence"), "{service:?}: {answer}");
        std::fs::write("/proc/sys/net/ipv4/vs/expire_quiescent_template", "0")?;
    }
    Ok(())
}

/// IPVS schedules no packet from port 20, whatever the service: there is no connection and no server, and `where` says so.
/// From the next port there is one, and `where` knows which.
pub fn port_of_ftp_data() -> Result<()> {
    network()?;
    let sender = Sender::new()?;
    /// A service, its scheduler, and how a client comes to it.
    type Case = (&'static [&'static str], &'static [&'static str], Protocol, &'static str, u32);
    let cases: [Case; 6] = [
        (&["-t", "192.168.7.7:80"], &["sh"], Protocol::Tcp, "192.168.7.7:80", 0),
        (&["-u", "192.168.7.7:53"], &["mh", "-b", "mh-port"], Protocol::Udp, "192.168.7.7:53", 0),
        (&["--sctp-service", "192.168.7.7:9"], &["sh", "-b", "sh-port"], Protocol::Sctp, "192.168.7.7:9", 0),
        (&["-f", "7", "--to", "192.168.9.9:80"], &["dh"], Protocol::Tcp, "192.168.9.9:80", 7),
        (&["-f", "7", "-6", "--to", "[fd77::9]:80"], &["mh"], Protocol::Udp, "[fd77::9]:80", 7),
        (&["-t", "192.168.7.8:80"], &["sh", "-p", "600"], Protocol::Tcp, "192.168.7.8:80", 0),
    ];
    for (service, scheduler, protocol, to, mark) in cases {
        let named: Vec<&str> = service.iter().copied().take_while(|word| *word != "--to").collect();
        succeed(&[&["-A"], &named[..], &["-s"], scheduler].concat(), b"")?;
        let to: SocketAddr = to.parse()?;
        let (client, servers) = match to.is_ipv6() {
            true => ("2a00::1", ["fd50::1", "fd50::2"]),
            false => ("8.1.2.3", ["10.50.0.1", "10.50.0.2"]),
        };
        for server in servers {
            let server = SocketAddr::new(server.parse()?, to.port()).to_string();
            succeed(&[&["-a"], &named[..], &["-r", &server]].concat(), b"")?;
        }
        for port in [20, 21] {
            let client = SocketAddr::new(client.parse()?, port);
            let answer = run(&[&["where", &client.to_string()], service].concat(), b"")?;
            let first = First { protocol, client, to, mark };
            sender.send(&first)?;
            let mut listed = Listed::new();
            read_until(&mut listed, |listed| port == 20 || listed.contains_key(&first.name()))?;
            let server = listed.get(&first.name());
            let last = answer.stdout.lines().last().unwrap_or_default();
            match port {
                20 => {
                    let expected = "new connection: not known, because IPVS schedules no packet from port 20, the port of \
                                    FTP's data";
                    ensure!(last == expected && answer.status == "1", "{service:?}: {answer:?}");
                    ensure!(server.is_none(), "{service:?}: {server:?}");
                }
                _ => {
                    let server = server.with_context(|| format!("{service:?}: no connection"))?;
                    let expected = format!("new connection: {server} (");
                    ensure!(
                        last.starts_with(&expected) && answer.status == "0",
                        "{service:?}: {answer:?}, not {server}"
                    );
                }
            }
        }
    }
    Ok(())
}

/// What cannot be answered, and what is wrong, each in a line.
pub fn refusals() -> Result<()> {
    network()?;
    let rules = "-A -t 192.168.7.7:80 -s sh -b sh-port\n-a -t 192.168.7.7:80 -r 10.50.0.1\n\
                 -A -t 192.168.7.7:81 -s mh\n-a -t 192.168.7.7:81 -r 10.50.0.1 -w 0\n-a -t 192.168.7.7:81 -r 10.50.0.2\n\
                 -A -t 192.168.7.7:82 -s wlc\n-a -t 192.168.7.7:82 -r 10.50.0.1 -w 4\n-a -t 192.168.7.7:82 -r 10.50.0.2 -w 0\n\
                 -A -t 192.168.7.7:83 -s sh\n-a -t 192.168.7.7:83 -r 10.50.0.1 -w 0\n-A -f 7 -s dh\n-a -f 7 -r 10.50.0.1\n";
    succeed(&["-R"], rules.as_bytes())?;
    let ask = |words: &str, stdin: &str| {
        run(&[&["where"], &words.split(' ').collect::<Vec<_>>()[..]].concat(), stdin.as_bytes())
    };
    let said = |status: &str, stdout: &str| Output {
        status: status.to_owned(),
        stdout: stdout.to_owned(),
        stderr: String::new(),
    };
    for (words, expected) in [
        (
            "8.1.1.1 -t 192.168.7.7:80",
            said("1", "new connection: not known, because the port of the client counts: give CLIENT:PORT\n"),
        ),
        ("8.1.1.1:9 -t 192.168.7.7:80", said("0", "new connection: 10.50.0.1:80 (sh, 256 slots: the default)\n")),
        (
            "8.1.1.1 -t 192.168.7.7:81",
            said(
                "1",
                "new connection: not known, because 10.50.0.1:81 has weight 0, and the kernel does not report its last \
                 weight, by which mh counts its slots\n",
            ),
        ),
        (
            "8.1.1.1 -t 192.168.7.7:82",
            said(
                "0",
                "new connection: wlc takes the server with the fewest connections for its weight; an active one counts \
                 as 256 inactive ones\ncandidates: 10.50.0.1:82 (weight 4, 0 active)\n",
            ),
        ),
        (
            "8.1.1.1 -t 192.168.7.7:83",
            said(
                "0",
                "new connection: refused, because its server 10.50.0.1:83 has weight 0, and sh-fallback is not set\n",
            ),
        ),
        ("8.1.1.1 -f 7 --to 8.2.2.2", said("0", "new connection: 10.50.0.1:0 (dh, 256 slots: fixed)\n")),
        (
            "8.1.1.1:9 -t 192.168.7.7:80 --sh-tab-bits 10",
            said("0", "new connection: 10.50.0.1:80 (sh, 1024 slots: as given)\n"),
        ),
    ] {
        let output = ask(words, "")?;
        ensure!(output == expected, "{words}: {output:?}");
    }
    let schema = Schema::new()?;
    for words in
        ["8.1.1.1 -t 192.168.7.7:81 --json", "8.1.1.1:9 -t 192.168.7.7:82 -j", "8.1.1.1:9 -t 192.168.7.7:80 -j"]
    {
        schema.check("where", &ask(words, "")?.stdout).with_context(|| words.to_owned())?;
    }
    let digests = schema.check("digests", &ask("--digest --json", "")?.stdout)?;
    ensure!(digests.as_array().is_some_and(|digests| digests.len() == 4), "{digests}");
    let many = ask("- -t 192.168.7.7:80 --json", "8.1.1.1:9\n\n8.1.1.1\n")?;
    ensure!(many.status == "1" && many.stdout.lines().count() == 2, "{many:?}");
    for (words, stdin, expected) in [
        ("web -t 192.168.7.7:80", "", "`web' is not an address"),
        ("fd00::1 -t 192.168.7.7:80", "", "fd00::1 is IPv6, and TCP 192.168.7.7:80 is IPv4"),
        ("8.1.1.1 -f 7 --to fd00::1", "", "fd00::1 is IPv6, and FWM 7 is IPv4"),
        ("8.1.1.1 -f 7", "", "FWM 7: dh chooses by the address that the client connects to: give --to ADDRESS"),
        ("8.1.1.1 -t 192.168.7.7:99", "", "No such service"),
        ("- -t 192.168.7.7:82", "", "TCP 192.168.7.7:82: the scheduler wlc does not choose by a table"),
        ("- -t 192.168.7.7:80", "8.1.1.1:1\nx\x1b\n", "<stdin>:2: `x\\x1b' is not an address"),
        ("--digest -t 192.168.7.7:99", "", "No such service"),
    ] {
        let output = ask(words, stdin)?;
        ensure!(output.status == "2" && output.stderr == format!("{expected}\n"), "{words}: {output:?}");
    }
    Ok(())
}
