//! Metrics on a real kernel: what JSON has, in a file as a collector wants it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::schema::Schema;
use crate::support::{Links, Subject, Trial, in_fresh_namespace, run, succeed, trial};

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

fn they_are_what_json_has() -> Result<()> {
    in_fresh_namespace(|| {
        let links = Links::new()?;
        links.add_address("lo", [10, 0, 0, 1].into(), 32)?;
        succeed(&["-R"], RULES.as_bytes())?;
        succeed(&["--start-daemon", "master", "--mcast-interface", "lo", "--syncid", "7"], b"")?;
        succeed(&["--set", "901", "121", "301"], b"")?;
        let schema = Schema::new()?;
        let table = schema.check("table", &succeed(&["-L", "--json"], b"")?)?;
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
                for (name, member) in COUNTERS {
                    expect(format!("ipvs_service_{name}_total{{{labels}}}"), &service["counters"][member])?;
                }
                for server in service["servers"].as_array().context("no servers")? {
                    let (address, port) = (server["address"].as_str().context("no address")?, &server["port"]);
                    let labels = format!("{labels},remote_address=\"{address}\",remote_port=\"{port}\"");
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
            expect("ipvs_estimation_running".to_owned(), &1.into())?;
            expect("ipvs_estimation_uncounted_servers".to_owned(), &0.into())?;
            expect("ipvs_scrape_success".to_owned(), &1.into())?;
            let rest: Vec<&str> = samples.into_keys().collect();
            let infos = rest.iter().filter(|name| name.contains("_info{")).count();
            ensure!(infos == 1 + 8 + 8 + 1, "{rest:#?}");
            ensure!(
                rest.iter().all(|name| name.contains("_info{")
                    || name.starts_with("ipvs_hash_table_")
                    || ["ipvs_last_update_seconds", "ipvs_connection_limit"].contains(name)),
                "{rest:#?}"
            );
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
        let status = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=4k,nr_inodes=3", "tmpfs", "/run/full"])
            .status()?;
        ensure!(status.success(), "mount: {status}");
        fs::write("/run/full/ipvs.prom", "old")?;
        let output = run(&["-L", "--prometheus", "--file", "/run/full/ipvs.prom"], b"")?;
        ensure!(output.status == "1" && output.stderr.starts_with("/run/full/ipvs.prom: "), "{output:?}");
        ensure!(!Path::new("/run/full/ipvs.prom").exists(), "the old file is there: {output:?}");
        Ok(())
    })
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
