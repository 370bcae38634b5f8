//! Connections on a real kernel, and what strangers can do about their listing: data of persistence engines and messages for
//! the sync daemon come from the network as they are.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::schema::Schema;
use crate::support::{self, Invocation, Links, Output, Subject, Trial, in_fresh_namespace, ours, run, succeed, trial};

mod memory;

/// Whether a connection's document passes.
type Filter<'f> = &'f dyn Fn(&serde_json::Value) -> bool;

/// What a trial does.
type Run = fn() -> Result<()>;

/// What is tried, and where.
pub fn subject() -> Subject {
    Subject { trials, ..Subject::named("connections") }
}

fn trials() -> Result<Vec<Trial>> {
    let trials: [(&str, Run); _] = [
        ("forged: no row, no control character, no failure", nothing_is_forged),
        ("forged: drain and top", drain_and_top_go_on),
        ("engine data: of the row it belongs to", engine_data_of_its_row),
        ("list: the rows of the original", the_rows_of_the_original),
        ("list: one file, read once", one_file_is_read_once),
        ("list: questions are filters", questions_are_filters),
        ("counters: what came by synchronisation is in none", synchronised_connections_are_not_counted),
        ("list: why a very long one takes long", memory::a_slow_list_is_explained),
        ("memory: a long list takes no more than a short one", memory::a_long_list_takes_no_more_than_a_short_one),
    ];
    Ok(trials.into_iter().map(|(name, run)| trial(name, run)).collect())
}

// ---- messages for the sync daemon (net/netfilter/ipvs/ip_vs_sync.c: ip_vs_sync_mesg, ip_vs_sync_v4, ip_vs_sync_v6) --------

const TEMPLATE: u32 = 0x1000;
const UDP: u8 = 17;
const TCP: u8 = 6;
const ESTABLISHED: u16 = 1;

#[derive(Clone, Copy)]
struct Sent<'d> {
    protocol: u8,
    flags: u32,
    state: u16,
    client: (IpAddr, u16),
    service: (IpAddr, u16),
    server: (IpAddr, u16),
    mark: u32,
    data: &'d [u8],
}

const VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 1, 1, 1));
const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A template of this client, with this data of the engine sip.
fn template(client: u8, data: &[u8]) -> Sent<'_> {
    Sent {
        protocol: UDP,
        flags: TEMPLATE,
        state: 0,
        client: ([10, 7, 7, client].into(), 0),
        service: (VIP, 5060),
        server: (SERVER, 5060),
        mark: 0,
        data,
    }
}

impl Sent<'_> {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![u8::from(self.client.0.is_ipv6()), self.protocol, 0, 0];
        bytes.extend(self.flags.to_be_bytes());
        for number in [self.state, self.client.1, self.service.1, self.server.1] {
            bytes.extend(number.to_be_bytes());
        }
        bytes.extend(self.mark.to_be_bytes());
        bytes.extend(300u32.to_be_bytes());
        for (address, _) in [self.client, self.service, self.server] {
            match address {
                IpAddr::V4(address) => bytes.extend(address.octets()),
                IpAddr::V6(address) => bytes.extend(address.octets()),
            }
        }
        if !self.data.is_empty() {
            for (option, value) in [(2, self.data), (3, b"sip")] {
                bytes.extend([option, value.len() as u8]);
                bytes.extend(value);
            }
        }
        let length = (bytes.len() as u16).to_be_bytes();
        bytes[2..4].copy_from_slice(&length);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }
}

/// Sends these to the daemon of this namespace, as any machine of its segment can.
fn send(sent: &[Sent<'_>]) -> Result<()> {
    // The kernel takes multicast for the link that has the sender's address.
    let socket = UdpSocket::bind("10.1.1.2:0")?;
    for some in sent.chunks(20) {
        let body: Vec<u8> = some.iter().flat_map(Sent::bytes).collect();
        let size = (8 + body.len() as u16).to_be_bytes();
        let head = [0, 0, size[0], size[1], some.len() as u8, 1, 0, 0];
        socket.send_to(&[&head[..], &body].concat(), "224.0.0.81:8848")?;
        // This many fit into the daemon's socket.
        if some.len() == 20 {
            thread::sleep(Duration::from_millis(2));
        }
    }
    Ok(())
}

/// A namespace with SIP services and a backup daemon.
fn with_daemon<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    in_fresh_namespace(|| {
        let links = Links::new()?;
        for last in 1..=9 {
            links.add_address("lo", [10, 1, 1, last].into(), 32)?;
        }
        let rules = "-A -u 10.1.1.1:5060 -s rr -p 100 --pe sip\n-a -u 10.1.1.1:5060 -r 127.0.0.1:5060 -m\n\
                     --start-daemon backup --mcast-interface lo\n";
        succeed(&["-R"], rules.as_bytes())?;
        work()
    })
}

/// What the kernel's own list says, without engine data; once it has as many connections.
fn kernel_rows(count: usize) -> Result<Vec<String>> {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let text = fs::read_to_string("/proc/thread-self/net/ip_vs_conn_sync")?;
        let rows: Vec<String> = text.lines().skip(1).map(str::to_owned).collect();
        if rows.len() >= count {
            ensure!(rows.len() == count, "more than {count} connections:\n{text}");
            return Ok(rows);
        }
        ensure!(Instant::now() < end, "not {count} connections:\n{text}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Sends a SIP message, which makes a connection and a template.
fn call(client: &str, id: &[u8]) -> Result<UdpSocket> {
    let socket = UdpSocket::bind(client)?;
    let message = [b"INVITE sip:a@b SIP/2.0\r\nCall-ID: ", id, b"\r\n\r\n"].concat();
    socket.send_to(&message, "10.1.1.1:5060")?;
    Ok(socket)
}

// ---- forged ---------------------------------------------------------------------------------------------------------

/// A row as the kernel writes it, of a connection that is not there.
const FORGED: &[u8] = b"TCP 0A010101 D4FC 0A010102 0050 7F000001 1F90 ESTABLISHED     899";

/// Data to clear the screen, to ring the bell, to forge rows and to stop readers, and bytes that are no text.
fn hostile() -> Vec<Vec<u8>> {
    vec![
        [b"x\x1b[2J\x1b]0;title\x07\r\n", FORGED].concat(),
        [b"\n", FORGED, b"\nrubbish\xff\xfe \x9b31m"].concat(),
        b"\xc2\x9b31m \xe2\x80\xaeabc\xe2\x81\xa9 \x7f\x08\t".to_vec(),
        b"a\0b\nUDP\n\n \n".to_vec(),
        (0..=255).collect::<Vec<u8>>()[1..].to_vec(),
        vec![b'\n'; 100],
    ]
}

/// Words that print connections.
const LISTINGS: [&[&str]; 15] = [
    &["-Lnc"],
    &["-Lc", "--resolve-timeout", "1"],
    &["-Lnc", "--persistent-conn"],
    &["-Lc", "--persistent-conn", "--resolve-timeout", "1"],
    &["-Lnc", "--wide"],
    &["-Lnc", "--wide", "--persistent-conn"],
    &["-Lnc", "--table", "--persistent-conn"],
    &["-Lnc", "--table"],
    &["-Lnc", "--sort-by", "client"],
    &["-Lnc", "--sort-by", "state", "--persistent-conn"],
    &["-Lnc", "-u", "10.1.1.1:5060", "--persistent-conn"],
    &["-Lnc", "--json"],
    &["-Lnc", "--count-by", "state"],
    &["-Lnc", "--count-by", "client,state"],
    &["-Lnc", "--count-by", "client", "--json"],
];

fn is_printable(text: &str) -> bool {
    text.chars().all(|letter| letter == '\n' || !(letter.is_control() || ('\u{202a}'..='\u{2069}').contains(&letter)))
}

fn nothing_is_forged() -> Result<()> {
    with_daemon(|| {
        let data = hostile();
        let sent: Vec<_> = data.iter().zip(1..).map(|(data, client)| template(client, data)).collect();
        send(&sent)?;
        // The Call-ID of a packet reaches the list only as far as it consists of what a Call-ID may have.
        let _calls = (call("10.1.1.3:40000", b"one\x1b[2J\r\nX: y"), call("10.1.1.4:40000", b"two\x9b\xff\n\n"));
        thread::sleep(Duration::from_millis(50));
        let rows = fs::read_to_string("/proc/thread-self/net/ip_vs_conn_sync")?.lines().count() - 1;
        let rows = kernel_rows(rows.max(sent.len()))?.len();
        let schema = Schema::new()?;
        for words in LISTINGS {
            let output = run(words, b"")?;
            let Output { status, stdout, stderr } = &output;
            // JSON has its own escapes.
            let printable = (words.contains(&"--json") || is_printable(stdout)) && is_printable(stderr);
            ensure!(status == "0" && printable, "{words:?}: {output:?}");
            let reported: Vec<&str> = stderr.lines().collect();
            let of_skipped = |line: &&str| line.starts_with("/proc/net/ip_vs_conn: skipped ");
            let counts = words.contains(&"--count-by");
            let reads_data = !counts && words.iter().any(|word| ["--persistent-conn", "--json"].contains(word));
            ensure!(
                reported.len() == usize::from(reads_data) && reported.iter().all(of_skipped),
                "{words:?}: {output:?}"
            );
            ensure!(!stdout.contains("54524") && !stdout.contains("TCP 14:"), "{words:?}: {output:?}");
            if counts {
                ensure!(!stdout.contains("ESTABLISHED"), "{words:?}: {output:?}");
            } else if words.contains(&"--json") {
                let list = schema.check("connections", stdout)?;
                let list = list.as_array().context("no list")?;
                let synced = list.iter().filter(|one| one["origin"] == "sync").count();
                ensure!((list.len(), synced) == (rows, sent.len()), "{output:?}");
            } else {
                let frame = if words.contains(&"--table") { 4 } else { 2 };
                ensure!(stdout.lines().count() == rows + frame, "{words:?}: {rows} rows: {output:?}");
            }
        }
        let wide = succeed(&["-Lnc", "--wide"], b"")?;
        let synced = wide.lines().filter(|line| line.ends_with("  sync")).count();
        ensure!(synced == sent.len() && wide.lines().filter(|line| line.ends_with("  local")).count() == rows - synced);
        Ok(())
    })
}

fn drain_and_top_go_on() -> Result<()> {
    with_daemon(|| {
        let data = hostile();
        let sent: Vec<_> = data.iter().zip(1..).map(|(data, client)| template(client, data)).collect();
        send(&sent)?;
        kernel_rows(sent.len())?;
        let top = succeed(&["top", "--once", "--interval", "1"], b"")?;
        ensure!(top.lines().count() == 3 && is_printable(&top), "{top}");
        succeed(&["-a", "-u", "10.1.1.1:5060", "-r", "127.0.0.2:5060", "-m"], b"")?;
        // The templates are there until they expire: the drain gives up and takes its weight back.
        let drain = run(&["-e", "-u", "10.1.1.1:5060", "-r", "127.0.0.1:5060", "-m", "-w", "0", "--drain=1"], b"")?;
        ensure!(is_printable(&drain.stderr) && !drain.stderr.contains("ip_vs_conn"), "{drain:?}");
        ensure!(drain.stderr.contains("6 persistent clients (the last for 4:5"), "{drain:?}");
        Ok(())
    })
}

// ---- engine data ----------------------------------------------------------------------------------------------------

fn engine_data_of_its_row() -> Result<()> {
    with_daemon(|| {
        let twin =
            [b"false\n".as_slice(), b"UDP 0A070703 0000 0A010101 13C4 7F000001 13C4 NONE            299 sip forged"]
                .concat();
        let sent = [
            template(1, b"plain"),
            template(2, b"one\x1b[2J \xff two "),
            // Of this one there is a second line, which the next brings along.
            template(3, b"true"),
            template(4, &twin),
        ];
        send(&sent)?;
        let _calls = (
            call("10.1.1.3:40000", b"own@10.1.1.3")?,
            call("10.1.1.4:40000", b"first")?,
            call("10.1.1.4:40001", b"second")?,
        );
        kernel_rows(sent.len() + 6)?;
        let text = succeed(&["-Lnc", "--persistent-conn"], b"")?;
        let of = |client: &str| -> Vec<&str> {
            let lines = text.lines().filter(|line| line.contains(&format!(" {client}:0 ")));
            lines.map(|line| line.split_once("127.0.0.1:5060").map_or("", |(_, rest)| rest)).collect()
        };
        for (client, data) in [
            ("10.7.7.1", &["   sip                plain"][..]),
            ("10.7.7.2", &[r"   sip                one\x1b[2J \xff two "]),
            ("10.7.7.3", &[""]),
            ("10.7.7.4", &["   sip                false"]),
            ("10.1.1.3", &["   sip                own@10.1.1.3"]),
            // Two calls of a client have rows that are alike.
            ("10.1.1.4", &["", ""]),
        ] {
            ensure!(of(client) == data, "{client}: {:?} in\n{text}", of(client));
        }
        let json = succeed(&["-Lnc", "--json"], b"")?;
        let list = Schema::new()?.check("connections", &json)?;
        let data = |client: &str| {
            let own = list.as_array().and_then(|all| all.iter().find(|one| one["client_address"] == client));
            own.map(|one| one["persistence_engine"].clone())
        };
        ensure!(
            data("10.7.7.2") == Some(serde_json::json!({ "name": "sip", "data": "one\u{1b}[2J \u{fffd} two " })),
            "{json}"
        );
        ensure!(data("10.7.7.3") == Some(serde_json::Value::Null), "{json}");
        Ok(())
    })
}

// ---- the list -------------------------------------------------------------------------------------------------------

fn original(words: &[&str]) -> Result<Output> {
    Invocation::of(words).run(std::path::Path::new("/sbin/ipvsadm"))
}

fn the_rows_of_the_original() -> Result<()> {
    with_daemon(|| {
        succeed(&["-R"], b"-A -f 4294967295 -s rr -p 100\n-a -f 4294967295 -r 127.0.0.1:0 -m\n")?;
        let v6 = |last: u16| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last));
        let mut sent = Vec::new();
        for number in 0..1000u16 {
            let [high, low] = number.to_be_bytes();
            let tcp = Sent {
                protocol: TCP,
                flags: 0,
                state: ESTABLISHED + number % 9,
                client: ([10, 8, high, low].into(), 1024 + number),
                ..template(0, b"")
            };
            let other = match number % 4 {
                0 => Sent { client: (v6(number), number), service: (v6(0x5060), 80), server: (v6(1), 8080), ..tcp },
                1 => Sent { client: (v6(number), 0), service: (v6(0x5060), 0), server: (v6(1), 0), ..template(0, b"") },
                // A template of a service by mark has the mark for an address, and no protocol.
                2 => Sent {
                    protocol: 0,
                    client: ([10, 9, high, low].into(), 0),
                    service: ([0xff; 4].into(), 0),
                    server: (SERVER, 0),
                    mark: u32::MAX,
                    ..template(0, b"")
                },
                _ => Sent { client: ([10, 9, high, low].into(), 0), ..template(0, b"") },
            };
            sent.extend([tcp, other]);
        }
        send(&sent)?;
        let rows = kernel_rows(sent.len())?;
        ensure!(rows.iter().all(|row| row.contains(" SYNC ")), "not all of them came by synchronisation");
        for words in [&["-L", "-n", "-c"][..], &["-L", "-n", "-c", "--persistent-conn"]] {
            // Time goes on, so the original must say the same before and after; the minute is so long that it will.
            let same = (0..10).any(|_| {
                let (Ok(before), Ok(mine), Ok(after)) = (original(words), run(words, b""), original(words)) else {
                    return false;
                };
                before.stdout.lines().count() == rows.len() + 2 && (mine == before || mine == after)
            });
            if !same {
                let (theirs, mine) = (original(words)?, run(words, b"")?);
                ensure!(false, "{words:?}:\n{}", support::difference(&theirs.stdout, &mine.stdout));
            }
        }
        Ok(())
    })
}

/// Connections of every origin, and what the backup of them lacks.
fn questions_are_filters() -> Result<()> {
    with_daemon(|| {
        let tcp = |client: u8, port| Sent {
            protocol: TCP,
            flags: 0,
            state: ESTABLISHED + u16::from(client % 3),
            client: ([10, 8, 1, client].into(), port),
            ..template(0, b"")
        };
        let sent: Vec<_> = (0..60).map(|client| tcp(client, 1024)).chain([template(1, b"")]).collect();
        send(&sent)?;
        let _call = call("10.1.1.3:40000", b"one")?;
        kernel_rows(sent.len() + 2)?;
        let schema = Schema::new()?;
        let list = |words: &[&str]| {
            let text = succeed(&[&["-L", "-c", "--json"], words].concat(), b"")?;
            let list = schema.check("connections", &text)?;
            Ok::<_, anyhow::Error>((text, list.as_array().context("no list")?.clone()))
        };
        let (whole, all) = list(&[])?;
        let key = |row: &serde_json::Value| (row["client_address"].to_string(), row["client_port"].to_string());
        let filters: [(&[&str], Filter<'_>); 5] = [
            (&["--state", "ESTABLISHED"], &|row| row["state"] == "ESTABLISHED"),
            (&["--origin", "local"], &|row| row["origin"] == "local"),
            (&["--origin", "sync", "--state", "none"], &|row| row["origin"] == "sync" && row["state"] == "NONE"),
            (&["--expires-within", "0"], &|_| false),
            (&["--expires-within", "2678400", "--client", "10.8.1.0/28"], &|row| {
                row["client_address"].as_str().and_then(|text| text.strip_prefix("10.8.1.")?.parse().ok()) < Some(16)
                    && row["client_address"].as_str().is_some_and(|text| text.starts_with("10.8.1."))
            }),
        ];
        for (words, filter) in filters {
            let expected: Vec<_> = all.iter().filter(|row| filter(row)).map(key).collect();
            let found: Vec<_> = list(words)?.1.iter().map(key).collect();
            ensure!(found == expected, "{words:?}: {found:?} instead of {expected:?}");
        }
        let counts = succeed(&["-L", "-n", "-c", "--client", "10.8.0.0/16", "--count-by", "server,state"], b"")?;
        ensure!(
            counts.lines().count() == 3 && counts.lines().all(|line| line.starts_with("20 127.0.0.1:5060 ")),
            "{counts}"
        );
        // As a backup that lacks a state.
        let (master, backup) = ("/run/master.json", "/run/backup.json");
        fs::write(master, whole)?;
        fs::write(backup, list(&["--origin", "sync"])?.0)?;
        let missing = run(&["compare", master, backup], b"")?;
        ensure!(
            missing.status == "1" && missing.stdout.ends_with(" 2 missing there (0 to another server)\n"),
            "{missing:?}"
        );
        let none = run(&["compare", backup, master], b"")?;
        ensure!(none.status == "0" && none.stdout.lines().count() == 1, "{none:?}");
        Ok(())
    })
}

fn synchronised_connections_are_not_counted() -> Result<()> {
    with_daemon(|| {
        let sent = Sent { flags: 0, client: ([10, 8, 1, 1].into(), 1024), ..template(0, b"") };
        send(&[sent])?;
        kernel_rows(1)?;
        let text = succeed(&["-L", "--json"], b"")?;
        let table = Schema::new()?.check("table", &text)?;
        let server = &table["services"][0]["servers"][0];
        ensure!(server["active_connections"] == 1 && server["counted"] == false, "{table}");
        Ok(())
    })
}

fn one_file_is_read_once() -> Result<()> {
    with_daemon(|| {
        send(&[template(1, b"data"), template(2, b"")])?;
        kernel_rows(2)?;
        for (words, files) in [
            (&["-L", "-n", "-c"][..], &["/proc/net/ip_vs_conn_sync"][..]),
            (&["-L", "-n", "-c", "-u", "10.1.1.1:5060"], &["/proc/net/ip_vs_conn_sync"]),
            (&["-L", "-n", "-c", "--sort-by", "client"], &["/proc/net/ip_vs_conn_sync"]),
            (&["-L", "-n", "-c", "--count-by", "client"], &["/proc/net/ip_vs_conn_sync"]),
            (&["-L", "-n", "-c", "--wide"], &["/proc/net/ip_vs_conn_sync"]),
            (
                &["-L", "-n", "-c", "--persistent-conn"],
                &["/proc/net/ip_vs_conn", "/proc/net/ip_vs_conn", "/proc/net/ip_vs_conn_sync"],
            ),
            (
                &["-L", "-n", "-c", "-t", "10.1.1.1:1", "--persistent-conn"],
                &["/proc/net/ip_vs_conn", "/proc/net/ip_vs_conn", "/proc/net/ip_vs_conn_sync"],
            ),
        ] {
            let trace = "/run/connections.trace";
            let traced = ["-f", "-o", trace, "-e", "trace=open,openat,lseek,pread64,preadv"];
            let output = Command::new("strace").args(traced).arg(ours()).args(words).output().context("strace")?;
            ensure!(output.status.success() && output.stderr.is_empty(), "{words:?}: {output:?}");
            let text = fs::read_to_string(trace)?;
            let opened: Vec<&str> =
                text.lines().filter(|line| line.contains("ip_vs")).filter_map(|line| line.split('"').nth(1)).collect();
            ensure!(opened == files, "{words:?} opened {opened:?}:\n{text}");
            ensure!(!text.contains("seek(") && !text.contains("pread"), "{words:?}:\n{text}");
        }
        Ok(())
    })
}
