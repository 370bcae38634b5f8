//! Metrics on a real kernel: what JSON has, in a file as a collector wants it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, anyhow, ensure};
use serde_json::Value;

use crate::memory::{SLACK, USUAL, does, least};
use crate::schema::Schema;
use crate::support::{Links, Subject, Trial, in_fresh_namespace, ours, run, succeed, trial};

/// What a trial does.
type Run = fn() -> Result<()>;

/// What is tried, and where.
pub fn subject() -> Subject {
    Subject { trials, ..Subject::named("metrics") }
}

fn trials() -> Result<Vec<Trial>> {
    let trials: [(&str, Run); _] = [
        ("they are what JSON has", they_are_what_json_has),
        ("labels are those of node_exporter", labels_of_node_exporter),
        ("a file for the collector", a_file_for_the_collector),
        ("a failure does not pass for success", failures),
        ("the saved rules", the_saved_rules),
        ("a temporary file for a large table", a_temporary_file),
        ("a large table takes no more memory than a small one", no_more_memory),
    ];
    Ok(trials.into_iter().map(|(name, run)| trial(name, run)).collect())
}

const RULES: &str = "\
-A -t 10.0.0.1:80 -s wrr -p 300 -M 255.255.255.0
-a -t 10.0.0.1:80 -r 10.0.0.2 -w 7 -x 100 -y 50
-a -t 10.0.0.1:80 -r 10.0.0.3:8080 -m -w 0
-A -u 10.0.0.1:80 -s wrr
-a -u 10.0.0.1:80 -r 10.0.0.2 -w 7
-A --sctp-service 10.0.0.1:80 -s rr
-a --sctp-service 10.0.0.1:80 -r 10.0.0.2
-A -t 10.0.0.9:80 -s rr
-a -t 10.0.0.9:80 -r 10.0.0.2
-A -u [2001:db8::1]:53 -s mh -b mh-port -o
-a -u [2001:db8::1]:53 -r [2001:db8::2]:53 -m
-A -f 1 -s rr -p 60
-a -f 1 -r 10.0.0.2 -i --tun-type gue --tun-port 6080 --tun-remcsum
-a -f 1 -r 10.0.0.3 -i --tun-type gue --tun-port 6081 --tun-csum
-a -f 1 -r 10.0.0.4 -i --tun-type gue --tun-port 6082
-a -f 1 -r 10.0.0.5 -i --tun-type gre --tun-csum
-a -f 1 -r 10.0.0.6 -i --tun-type gre
-a -f 1 -r 10.0.0.7 -i
-A -f 1 -6 -s rr -p 60
-a -f 1 -6 -r 2001:db8::3 -w 2147483647
-A -f 4294967295 -s rr
";

/// Samples by name and labels, as they stand there.
fn samples(text: &str) -> BTreeMap<&str, &str> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.rsplit_once(' ')).collect()
}

/// The labels of a service's document.
fn labels(service: &Value) -> String {
    let text = |name: &str| service[name].as_str().unwrap_or_default().to_owned();
    let (port, proto, mark) = match service["fwmark"].as_u64() {
        Some(mark) => (0, "FWM".to_owned(), format!("{mark:08X}")),
        None => (service["port"].as_u64().unwrap_or_default(), text("protocol").to_uppercase(), String::new()),
    };
    format!(
        "local_address=\"{}\",local_port=\"{port}\",proto=\"{proto}\",local_mark=\"{mark}\",family=\"{}\"",
        text("address"),
        text("family")
    )
}

/// A member as a label's value: nothing where there is none.
fn text(member: &Value) -> String {
    match member {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Labels in their order.
fn joined<const N: usize>(labels: [(&str, String); N]) -> String {
    labels.map(|(name, value)| format!("{name}=\"{value}\"")).join(",")
}

/// What the document of a service says beside its key and counters.
fn service_info(service: &Value) -> String {
    let flags = service["scheduler_flags"].as_array().map(|flags| flags.iter().map(text).collect::<Vec<_>>().join(","));
    let persistence = &service["persistence"];
    let mask = [&persistence["netmask"], &persistence["prefix_length"]].map(text).concat();
    joined([
        ("scheduler", text(&service["scheduler"])),
        ("scheduler_flags", flags.unwrap_or_default()),
        ("one_packet", text(&service["one_packet"])),
        ("persistence_seconds", text(&persistence["timeout_seconds"])),
        ("persistence_mask", mask),
        ("persistence_engine", text(&service["persistence_engine"])),
    ])
}

/// The same of a server.
fn server_info(server: &Value) -> String {
    let tunnel = &server["tunnel"];
    joined([
        ("forwarding", text(&server["forwarding"])),
        ("tunnel_type", text(&tunnel["type"])),
        ("tunnel_port", text(&tunnel["port"])),
        ("tunnel_checksum", text(&tunnel["checksum"])),
        ("remote_family", text(&server["family"])),
    ])
}

/// And of a daemon.
fn daemon_info(daemon: &Value) -> String {
    let names =
        ["role", "interface", "sync_id", "maximum_length_bytes", "multicast_group", "multicast_port", "multicast_ttl"];
    joined(names.map(|name| (name, text(&daemon[name]))))
}

fn they_are_what_json_has() -> Result<()> {
    in_fresh_namespace(|| {
        let links = Links::new()?;
        links.add_address("lo", [10, 0, 0, 1].into(), 32)?;
        succeed(&["-R"], RULES.as_bytes())?;
        succeed(&["--start-daemon", "master", "--mcast-interface", "lo", "--syncid", "7"], b"")?;
        succeed(&["--set", "901", "121", "301"], b"")?;
        let schema = Schema::new()?;
        let table = schema.check("table", &succeed(&["-L", "--json"], b"")?)?;
        let daemons = schema.check("daemons", &succeed(&["-L", "--daemon", "--json"], b"")?)?;
        for form in ["--prometheus", "--openmetrics"] {
            let text = succeed(&["-L", form], b"")?;
            ensure!((form == "--openmetrics") == text.ends_with("\n# EOF\n"), "{text}");
            let mut samples = samples(&text);
            let mut expect = |name: String, value: &Value| {
                let found = samples.remove(&*name);
                ensure!(found == Some(&*value.to_string()), "{name}: {found:?} instead of {value}");
                Ok(())
            };
            for service in table["services"].as_array().context("no services")? {
                let labels = labels(service);
                expect(format!("ipvs_service_info{{{labels},{}}}", service_info(service)), &1.into())?;
                for (name, member) in COUNTERS {
                    expect(format!("ipvs_service_{name}_total{{{labels}}}"), &service["counters"][member])?;
                }
                for server in service["servers"].as_array().context("no servers")? {
                    let (address, port) = (server["address"].as_str().context("no address")?, &server["port"]);
                    let labels = format!("{labels},remote_address=\"{address}\",remote_port=\"{port}\"");
                    expect(format!("ipvs_server_info{{{labels},{}}}", server_info(server)), &1.into())?;
                    for (name, member) in COUNTERS {
                        expect(format!("ipvs_server_{name}_total{{{labels}}}"), &server["counters"][member])?;
                    }
                    for name in GAUGES {
                        expect(format!("ipvs_server_{name}{{{labels}}}"), &server[name])?;
                    }
                }
            }
            for (name, seconds) in [("tcp", 901), ("tcpfin", 121), ("udp", 301)] {
                expect(format!("ipvs_timeout_seconds{{timeout=\"{name}\"}}"), &seconds.into())?;
            }
            for daemon in daemons.as_array().context("no daemons")? {
                expect(format!("ipvs_daemon_info{{{}}}", daemon_info(daemon)), &1.into())?;
            }
            expect(format!("ipvs_info{{version={}}}", table["ipvs_version"]), &1.into())?;
            let hash_tables = &table["hash_tables"];
            if hash_tables.is_null() {
                let buckets = &table["connection_table_size"];
                expect("ipvs_hash_table_buckets{table=\"connections\"}".to_owned(), buckets)?;
            }
            for name in ["connections", "services"] {
                for member in ["entries", "buckets", "empty_buckets", "load_factor"] {
                    let value = &hash_tables[name][member];
                    if !value.is_null() {
                        expect(format!("ipvs_hash_table_{member}{{table=\"{name}\"}}"), value)?;
                    }
                }
            }
            if !hash_tables["connection_limit"].is_null() {
                expect("ipvs_connection_limit".to_owned(), &hash_tables["connection_limit"])?;
            }
            expect("ipvs_estimation_running".to_owned(), &1.into())?;
            expect("ipvs_estimation_uncounted_servers".to_owned(), &0.into())?;
            expect("ipvs_scrape_success".to_owned(), &1.into())?;
            let rest: Vec<&str> = samples.into_keys().collect();
            ensure!(rest == ["ipvs_last_update_seconds"], "{rest:#?}");
        }
        let only = succeed(&["-L", "--prometheus", "--only", "server_weight", "-t", "10.0.0.1:80"], b"")?;
        ensure!(only.lines().filter(|line| !line.starts_with('#')).count() == 2 + 2, "{only}");
        Ok(())
    })
}

const COUNTERS: [(&str, &str); 5] = [
    ("connections", "connections"),
    ("incoming_packets", "packets_in"),
    ("outgoing_packets", "packets_out"),
    ("incoming_bytes", "bytes_in"),
    ("outgoing_bytes", "bytes_out"),
];
const GAUGES: [&str; 6] = [
    "weight",
    "active_connections",
    "inactive_connections",
    "persistent_connections",
    "upper_threshold",
    "lower_threshold",
];

/// What node_exporter reads in /proc/net/ip_vs: protocol, addresses, ports and marks as it writes them.
fn labels_of_node_exporter() -> Result<()> {
    in_fresh_namespace(|| {
        succeed(&["-R"], RULES.as_bytes())?;
        let text = succeed(&["-L", "--prometheus", "--only", "server_weight"], b"")?;
        for labels in [
            r#"local_address="10.0.0.1",local_port="80",proto="SCTP",local_mark="",family="ipv4",remote_address="10.0.0.2",remote_port="80""#,
            r#"local_address="10.0.0.9",local_port="80",proto="TCP",local_mark="",family="ipv4",remote_address="10.0.0.2",remote_port="80""#,
            r#"local_address="2001:db8::1",local_port="53",proto="UDP",local_mark="",family="ipv6",remote_address="2001:db8::2",remote_port="53""#,
            r#"local_address="",local_port="0",proto="FWM",local_mark="00000001",family="ipv4",remote_address="10.0.0.2",remote_port="0""#,
            r#"local_address="",local_port="0",proto="FWM",local_mark="00000001",family="ipv6",remote_address="2001:db8::3",remote_port="0""#,
        ] {
            ensure!(text.contains(&format!("ipvs_server_weight{{{labels}}} ")), "{labels} is not in\n{text}");
        }
        Ok(())
    })
}

fn a_file_for_the_collector() -> Result<()> {
    in_fresh_namespace(|| {
        succeed(&["-R"], RULES.as_bytes())?;
        let folder = Path::new("/run/collector");
        fs::create_dir_all(folder)?;
        let path = folder.join("ipvs.prom");
        let words = ["-L", "--prometheus", "--file", "/run/collector/ipvs.prom"];
        ensure!(succeed(&words, b"")?.is_empty(), "something was printed");
        let mode = || Ok::<_, std::io::Error>(fs::metadata(&path)?.permissions().mode() & 0o7777);
        ensure!(mode()? == 0o644, "mode {:o}", mode()?);
        let open = fs::File::open(&path)?;
        // Whatever the old file's mode was.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        succeed(&words, b"")?;
        ensure!(mode()? == 0o644, "mode {:o}", mode()?);
        // By rename: who has the old file open reads the old file.
        ensure!(open.metadata()?.permissions().mode() & 0o7777 == 0o600, "the old file was written to");
        let names: Vec<_> = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect::<Result<_>>()?;
        ensure!(names == ["ipvs.prom"], "{names:?}");
        ensure!(fs::read_to_string(&path)?.contains("\nipvs_scrape_success 1\n"));
        Ok(())
    })
}

fn failures() -> Result<()> {
    in_fresh_namespace(|| {
        let path = "/run/failing.prom";
        succeed(&["-L", "--prometheus", "--file", path], b"")?;
        // A service that is not there: the table could not be read as asked.
        let words = ["-L", "--prometheus", "-t", "10.0.0.1:80", "--file", path];
        let output = run(&words, b"")?;
        ensure!(output.status != "0" && output.stderr == "No such service\n", "{output:?}");
        let text = fs::read_to_string(path)?;
        ensure!(samples(&text).into_iter().eq([("ipvs_scrape_success", "0")]), "{text}");
        let output = run(&["-L", "--openmetrics", "-t", "10.0.0.1:80"], b"")?;
        ensure!(output.status != "0" && output.stdout.ends_with("ipvs_scrape_success 0\n# EOF\n"), "{output:?}");
        // The folder takes no more: the old file is taken away.
        succeed(&["-L", "--prometheus", "--file", path], b"")?;
        fs::create_dir_all("/run/full")?;
        mount(&["-t", "tmpfs", "-o", "size=4k,nr_inodes=3", "tmpfs", "/run/full"])?;
        fs::write("/run/full/ipvs.prom", "old")?;
        let output = run(&["-L", "--prometheus", "--file", "/run/full/ipvs.prom"], b"")?;
        ensure!(output.status == "1" && output.stderr.starts_with("/run/full/ipvs.prom: "), "{output:?}");
        ensure!(!Path::new("/run/full/ipvs.prom").exists(), "the old file is there: {output:?}");
        Ok(())
    })
}

fn mount(words: &[&str]) -> Result<()> {
    let status = Command::new("mount").args(words).status()?;
    ensure!(status.success(), "mount {words:?}: {status}");
    Ok(())
}

fn the_saved_rules() -> Result<()> {
    in_fresh_namespace(|| {
        succeed(&["-R"], RULES.as_bytes())?;
        let path = "/run/saved.rules";
        succeed(&["-S", "-n", "--file", path], b"")?;
        let changes = || -> Result<String> {
            let text = succeed(&["-L", "--prometheus", "--saved", path], b"")?;
            Ok(samples(&text).get("ipvs_saved_rules_changes").context("no such metric")?.to_string())
        };
        ensure!(changes()? == "0");
        succeed(&["-e", "-t", "10.0.0.1:80", "-r", "10.0.0.2", "-w", "8", "-x", "100", "-y", "50"], b"")?;
        succeed(&["-A", "-t", "10.0.0.7:80"], b"")?;
        ensure!(changes()? == "2");
        // A file that cannot be compared: all other metrics are there.
        let output = run(&["-L", "--prometheus", "--saved", "/run/none"], b"")?;
        ensure!(output.status == "1" && output.stderr.starts_with("/run/none: "), "{output:?}");
        let samples = samples(&output.stdout);
        ensure!(samples["ipvs_scrape_success"] == "1" && !samples.contains_key("ipvs_saved_rules_changes"));
        Ok(())
    })
}

/// Rules of so many services with so many servers each.
fn table(services: u32, servers: u32) -> Result<String> {
    let mut rules = String::new();
    for mark in 1..=services {
        writeln!(rules, "-A -f {mark} -s rr")?;
        for server in 0..servers {
            writeln!(rules, "-a -f {mark} -r 10.{}.{}.1:80", server / 256, server % 256)?;
        }
    }
    Ok(rules)
}

/// What does not stay in memory is in a file where TMPDIR says, which has no name.
fn a_temporary_file() -> Result<()> {
    in_fresh_namespace(|| {
        let folder = Path::new("/run/spool");
        fs::create_dir_all(folder)?;
        succeed(&["-R"], table(1, 10)?.as_bytes())?;
        let with = |folder: &str| -> Result<(bool, String, String)> {
            let output = Command::new(ours()).args(["-L", "--prometheus"]).env("TMPDIR", folder).output()?;
            let text = |bytes| String::from_utf8(bytes).context("UTF-8");
            Ok((output.status.success(), text(output.stdout)?, text(output.stderr)?))
        };
        // Nothing is written for a small table.
        let (well, small, error) = with("/nonexistent")?;
        ensure!(well && error.is_empty() && samples(&small)["ipvs_scrape_success"] == "1", "{error}{small}");
        succeed(&["-R"], format!("-C\n{}", table(100, 5)?).as_bytes())?;
        let (well, large, error) = with("/run/spool")?;
        ensure!(well && error.is_empty(), "{error}");
        ensure!(samples(&large).keys().filter(|name| name.starts_with("ipvs_server_weight{")).count() == 500);
        let left = fs::read_dir(folder)?.count();
        ensure!(left == 0, "{left} files were left");
        // A folder that is not there, one that is full, and one that cannot be written to.
        mount(&["-t", "tmpfs", "-o", "size=8k", "tmpfs", "/run/spool"])?;
        for (folder, reason) in
            [("/nonexistent", "No such file or directory"), ("/run/spool", "No space left on device"), ("/proc", "")]
        {
            let (well, text, error) = with(folder)?;
            let message = format!("temporary file in {folder}: {reason}");
            ensure!(!well && error.starts_with(&message), "{error}");
            ensure!(error.ends_with(" (TMPDIR names another folder)\n"), "{error}");
            ensure!(samples(&text).into_iter().eq([("ipvs_scrape_success", "0")]), "{text}");
        }
        Ok(())
    })
}

fn no_more_memory() -> Result<()> {
    const FORMS: [[&str; 2]; 2] = [["-L", "--prometheus"], ["-L", "--openmetrics"]];
    let replace = |rules: String| succeed(&["-R"], format!("-C\n{rules}").as_bytes());
    in_fresh_namespace(|| {
        // This, too, is more than stays in memory.
        replace(table(100, 5)?)?;
        let least = FORMS.map(|words| least(&words, None, USUAL));
        for (services, servers) in [(4000, 1), (1, 4000)] {
            replace(table(services, servers)?)?;
            for (words, least) in FORMS.iter().zip(&least) {
                let allowed = least.as_ref().map_err(|error| anyhow!("{error:#}"))? + SLACK;
                ensure!(
                    does(words, None, allowed, Path::new("/dev/null"))?,
                    "{words:?} of {services} services with {servers} servers takes more than {allowed} KiB"
                );
            }
        }
        Ok(())
    })
}
