//! Metrics: what they promise, and that both formats are what their readers take.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::time::Duration;

use ipvs_client::{
    Counters, Daemon, DaemonRole, Destination, DestinationEntry, Info, Name, Rates, Service, ServiceEntry, Statistics,
    Timeouts,
};
use ipvsadm_rs::grammar::{Exposition, Metrics, NoNames, Request, parse};
use ipvsadm_rs::metrics::{Kind, METRICS, Metric, SERVER_LABELS, SERVICE_LABELS, Scope, Selection};
use ipvsadm_rs::view::metrics::{RowMaker, RowReader, Sample, Table, write, write_failure};
use proptest::prelude::*;
use serde_json::Value;

use crate::strategies::{self, Reach};

const PROMISE: &str = include_str!("../../schema/ipvsadm-rs.metrics.txt");

/// A metric's line in the promise.
fn promised(metric: &Metric) -> String {
    let scope = match metric.scope {
        Scope::Whole => &[][..],
        Scope::Service => &SERVICE_LABELS,
        Scope::Server => &[&SERVICE_LABELS[..], &SERVER_LABELS[..]].concat(),
    };
    let labels = [scope, metric.labels].concat();
    format!("{} {:?} {}", metric.name, metric.kind, labels.join(",")).trim_end().to_lowercase()
}

#[test]
fn what_is_promised_stays() {
    let lines: Vec<&str> = PROMISE.lines().filter(|line| !line.starts_with('#')).collect();
    let there: Vec<String> = METRICS.iter().map(promised).collect();
    for line in &lines {
        assert!(there.iter().any(|metric| metric == line), "no longer as promised: {line}");
    }
    for metric in &there {
        assert!(lines.contains(&metric.as_str()), "not promised yet, in schema/ipvsadm-rs.metrics.txt: {metric}");
    }
}

#[test]
fn the_document_has_every_metric() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    let text = fs::read_to_string(path).expect("docs/metrics.md");
    for metric in METRICS {
        let line = format!("| `{}` | {} | {} |", metric.name, format!("{:?}", metric.kind).to_lowercase(), metric.help);
        assert!(text.contains(&line), "docs/metrics.md does not have the line\n{line}");
    }
    let servers = METRICS.iter().filter(|metric| metric.scope == Scope::Server).count();
    let services = METRICS.iter().filter(|metric| metric.scope == Scope::Service).count();
    let stated = format!("{services} series a service and {servers} series a server");
    assert!(text.contains(&stated), "docs/metrics.md does not say: {stated}");
}

fn sample() -> Sample {
    let mut daemon = Daemon::new(DaemonRole::Master, Name::cut(b"a\\b\"c\x1b"), 7);
    daemon.port = Some(8848);
    Sample {
        info: Info::new(0x010201, 4096),
        estimation_runs: true,
        hash_tables: None,
        timeouts: Timeouts::new(900, 120, 300),
        daemons: vec![daemon],
        saved_rules_changes: Some(0),
        uncounted_servers: 0,
        read_at: Duration::from_millis(1_700_000_000_123),
    }
}

/// Rows of a table.
type Rows = Table<Cursor<Vec<u8>>>;

/// A table of these services with these servers.
fn table(services: impl Iterator<Item = (ServiceEntry, Vec<DestinationEntry>)>) -> Rows {
    let (mut maker, mut rows, mut servers, mut buffer) = (RowMaker::default(), Vec::new(), Vec::new(), Vec::new());
    for (service, entries) in services {
        let row = maker.service(&service).to_vec();
        rows.extend_from_slice(&row);
        let mut source = Cursor::new(row);
        let mut reader = RowReader::new(&mut source, &mut buffer).unwrap();
        servers.extend_from_slice(maker.heading(reader.next_row().unwrap().expect("a row")));
        entries.iter().for_each(|entry| servers.extend_from_slice(maker.server(entry)));
    }
    Table { services: Cursor::new(rows), servers: Cursor::new(servers) }
}

fn written(format: Exposition, only: Selection, table: &mut Rows) -> String {
    let mut out = Vec::new();
    write(&mut out, format, only, &sample(), table).unwrap();
    String::from_utf8(out).expect("UTF-8")
}

/// A sample as it is read back: name, labels, value.
type Read = (String, BTreeMap<String, String>, String);

/// Reads samples, by the rules of both formats; panics at what they do not allow.
fn read(text: &str, format: Exposition) -> Vec<Read> {
    let mut samples: Vec<Read> = Vec::new();
    let (mut current, mut seen) = (String::new(), BTreeSet::new());
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line == "# EOF" {
            assert!(format == Exposition::OpenMetrics && lines.peek().is_none(), "{text}");
            return samples;
        }
        if let Some(rest) = line.strip_prefix("# ") {
            let [keyword, name, _] = rest.splitn(3, ' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
            assert!(["HELP", "TYPE", "UNIT"].contains(&keyword), "{line}");
            if name != current {
                assert!(seen.insert(name.to_owned()), "the samples of {name} are not together");
                name.clone_into(&mut current);
            }
            continue;
        }
        let end = line.find(['{', ' ']).expect("a sample");
        let name = &line[..end];
        let base = name.strip_prefix(&*current).unwrap_or_else(|| panic!("{line} below the head of {current}"));
        assert!(["", "_total", "_info"].contains(&base), "{line} below the head of {current}");
        let mut labels = BTreeMap::new();
        let mut rest = &line[end..];
        if let Some(inside) = rest.strip_prefix('{') {
            let mut inside = inside;
            loop {
                let (label, after) = inside.split_once("=\"").expect("a label");
                let (mut value, mut letters) = (String::new(), after.char_indices());
                let end = loop {
                    match letters.next().expect("an end of the value") {
                        (_, '\\') => match letters.next().expect("an escape").1 {
                            'n' => value.push('\n'),
                            other if "\\\"".contains(other) => value.push(other),
                            other => panic!("\\{other} in {line}"),
                        },
                        (at, '"') => break at,
                        (_, letter) => value.push(letter),
                    }
                };
                assert!(labels.insert(label.to_owned(), value).is_none(), "{label} twice in {line}");
                match after[end + 1..].strip_prefix(',') {
                    Some(more) => inside = more,
                    None => {
                        rest = after[end + 1..].strip_prefix('}').expect("an end of the labels");
                        break;
                    }
                }
            }
        }
        let value = rest.strip_prefix(' ').expect("a value").to_owned();
        assert!(value.parse::<f64>().is_ok(), "{line}");
        samples.push((name.to_owned(), labels, value));
    }
    assert_eq!(format, Exposition::Prometheus, "no # EOF: {text}");
    samples
}

const BOTH: [Exposition; 2] = [Exposition::Prometheus, Exposition::OpenMetrics];

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// Every kind of service is told apart: no two samples have the same name and labels. Both formats have the same.
    #[test]
    fn every_sample_is_there_once(rules in strategies::rules(0..6, 0..5, Reach::Kernel, true), number in any::<u64>()) {
        let counters = Counters { connections: number, incoming_bytes: u64::MAX, ..Counters::default() };
        let statistics = Statistics::new(counters, Rates::default());
        let servers: usize = rules.values().map(|of| of.servers.len()).sum();
        let mut table = table(rules.values().map(|of| {
            let servers = of.servers.values().map(|server| DestinationEntry::new(*server, statistics)).collect();
            (ServiceEntry::new(of.service, statistics), servers)
        }));
        let [prometheus, openmetrics] = BOTH.map(|format| read(&written(format, Selection::ALL, &mut table), format));
        prop_assert_eq!(&prometheus, &openmetrics);
        let keys: BTreeSet<_> = prometheus.iter().map(|(name, labels, _)| (name, labels)).collect();
        prop_assert_eq!(keys.len(), prometheus.len());
        let of = |name: &str| prometheus.iter().filter(|sample| sample.0 == name).collect::<Vec<_>>();
        prop_assert_eq!(of("ipvs_service_info").len(), rules.len());
        for (_, labels, value) in of("ipvs_server_connections_total") {
            prop_assert_eq!(value, &number.to_string());
            let names: BTreeSet<&str> = labels.keys().map(String::as_str).collect();
            prop_assert_eq!(names, SERVICE_LABELS.into_iter().chain(SERVER_LABELS).collect());
        }
        prop_assert_eq!(of("ipvs_server_weight").len(), servers);
        for metric in METRICS {
            let labels = of(metric.name).first().map(|sample| sample.1.clone());
            let names: Option<BTreeSet<String>> = labels.map(|labels| labels.into_keys().collect());
            let line = promised(metric);
            let listed = line.split(' ').nth(2).unwrap_or_default();
            let listed: BTreeSet<String> = listed.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
            prop_assert!(names.is_none_or(|names| names == listed), "{}", metric.name);
        }
    }
}

#[test]
fn each_value_is_that_of_its_name() {
    let counters = |first| Counters {
        connections: first,
        incoming_packets: first + 1,
        outgoing_packets: first + 2,
        incoming_bytes: first + 3,
        outgoing_bytes: first + 4,
    };
    let statistics = |first| Statistics::new(counters(first), Rates::default());
    let service = ServiceEntry::new(Service::tcp([10, 0, 0, 1], 80, ipvs_client::scheduler::WLC), statistics(1 << 40));
    let mut destination = Destination::new([10, 0, 0, 2].into(), 80).weight(9);
    (destination.upper_threshold, destination.lower_threshold) = (10, 11);
    let mut server = DestinationEntry::new(destination, statistics(1 << 50));
    (server.active_connections, server.inactive_connections, server.persistent_connections) = (6, 7, 8);
    let mut table = table([(service, vec![server])].into_iter());
    let read = read(&written(Exposition::Prometheus, Selection::ALL, &mut table), Exposition::Prometheus);
    let values = read.iter().map(|(name, _, value)| (name.as_str(), value.as_str())).collect::<BTreeMap<_, _>>();
    for (scope, first) in [("service", 1_u64 << 40), ("server", 1 << 50)] {
        let names = ["connections", "incoming_packets", "outgoing_packets", "incoming_bytes", "outgoing_bytes"];
        for (name, value) in names.into_iter().zip(first..) {
            assert_eq!(values[&*format!("ipvs_{scope}_{name}_total")], value.to_string(), "{scope} {name}");
        }
    }
    let gauges = ["active_connections", "inactive_connections", "persistent_connections", "weight"];
    for (name, value) in gauges.into_iter().chain(["upper_threshold", "lower_threshold"]).zip(6..) {
        assert_eq!(values[&*format!("ipvs_server_{name}")], value.to_string(), "{name}");
    }
}

#[test]
fn names_from_outside_are_escaped_twice() {
    for format in BOTH {
        let samples = read(&written(format, Selection::ALL, &mut table([].into_iter())), format);
        let daemon = samples.iter().find(|sample| sample.0 == "ipvs_daemon_info").expect("a daemon");
        // Once as text, and once as a label.
        assert_eq!(daemon.1["interface"], "a\\b\"c\\x1b");
        assert_eq!((&*daemon.1["multicast_port"], &*daemon.1["multicast_group"]), ("8848", ""));
        let time = samples.iter().find(|sample| sample.0 == "ipvs_last_update_seconds").expect("a time");
        assert_eq!(time.2, "1700000000.123");
    }
}

#[test]
fn a_failure_is_a_whole_document() {
    let texts = BOTH.map(|format| {
        let mut out = Vec::new();
        write_failure(&mut out, format).unwrap();
        String::from_utf8(out).unwrap()
    });
    let help = "Whether the table was read. Where this is 0, there is nothing else.";
    assert_eq!(
        texts[0],
        format!("# HELP ipvs_scrape_success {help}\n# TYPE ipvs_scrape_success gauge\nipvs_scrape_success 0\n")
    );
    assert_eq!(
        texts[1],
        format!("# TYPE ipvs_scrape_success gauge\n# HELP ipvs_scrape_success {help}\nipvs_scrape_success 0\n# EOF\n")
    );
}

#[test]
fn heads_are_those_of_the_format() {
    let service = Service::tcp([10, 0, 0, 1], 80, ipvs_client::scheduler::WLC);
    let server = DestinationEntry::new(Destination::new([10, 0, 0, 2].into(), 80), Statistics::default());
    let mut table = table([(ServiceEntry::new(service, Statistics::default()), vec![server])].into_iter());
    let only = Selection::of(["server_incoming_bytes", "server_info"].into_iter().map(str::as_bytes)).unwrap();
    let labels = "local_address=\"10.0.0.1\",local_port=\"80\",proto=\"TCP\",local_mark=\"\",family=\"ipv4\",\
                  remote_address=\"10.0.0.2\",remote_port=\"80\"";
    let info = "forwarding=\"dr\",tunnel_type=\"\",tunnel_port=\"\",tunnel_checksum=\"\",remote_family=\"ipv4\"";
    let prometheus = written(Exposition::Prometheus, only, &mut table);
    assert!(prometheus.starts_with(&format!(
        "# HELP ipvs_server_info A real server.\n# TYPE ipvs_server_info gauge\nipvs_server_info{{{labels},{info}}} 1\n\
         # HELP ipvs_server_incoming_bytes_total Bytes from clients to a server.\n\
         # TYPE ipvs_server_incoming_bytes_total counter\nipvs_server_incoming_bytes_total{{{labels}}} 0\n"
    )), "{prometheus}");
    let openmetrics = written(Exposition::OpenMetrics, only, &mut table);
    assert!(
        openmetrics.starts_with(&format!(
            "# TYPE ipvs_server info\n# HELP ipvs_server A real server.\nipvs_server_info{{{labels},{info}}} 1\n\
         # TYPE ipvs_server_incoming_bytes counter\n# UNIT ipvs_server_incoming_bytes bytes\n\
         # HELP ipvs_server_incoming_bytes Bytes from clients to a server.\n\
         ipvs_server_incoming_bytes_total{{{labels}}} 0\n"
        )),
        "{openmetrics}"
    );
    assert_eq!(prometheus.lines().filter(|line| !line.starts_with('#')).count(), 4);
    assert!(METRICS.iter().any(|metric| metric.kind == Kind::Info && metric.name == "ipvs_info"));
}

fn metrics(line: &str) -> Result<Metrics, String> {
    match parse(line.split(' ').map(str::as_bytes), &NoNames) {
        Ok(Request::Metrics(metrics)) => Ok(*metrics),
        Ok(other) => panic!("{line}: {other:?}"),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn the_options_of_metrics() {
    let plain = metrics("-L --prometheus").unwrap();
    assert_eq!((plain.exposition, plain.only, plain.file.clone()), (Exposition::Prometheus, Selection::ALL, None));
    let one = metrics("-L -n --openmetrics -t 10.0.0.1:80 --only server_weight --file /run/x --saved /etc/r").unwrap();
    assert_eq!((one.exposition, one.file.as_deref()), (Exposition::OpenMetrics, Some(Path::new("/run/x"))));
    assert_eq!(one.saved.as_deref(), Some(Path::new("/etc/r")));
    assert!(one.service.is_some() && one.only != Selection::ALL);
    for (line, message) in [
        ("-L --prometheus --openmetrics", "multiple 'metrics' options specified"),
        ("-L --prometheus --json", "The option 'metrics' conflicts with the 'json' option in the 'list' command"),
        ("-L -c --prometheus", "The option 'metrics' conflicts with the 'connection' option in the 'list' command"),
        ("-L --only server", "You need to supply the 'metrics' option for the 'only' option"),
        ("-L --saved /x", "You need to supply the 'metrics' option for the 'saved' option"),
        ("-L --file /x", "You need to supply the 'metrics' option for the 'file' option"),
        ("-L --prometheus --only serv", "--only takes the beginnings of metrics' names, not `serv'"),
        (
            "-L --prometheus --file /x",
            "--file of --prometheus has to end in .prom: the textfile collector reads no other files",
        ),
    ] {
        assert_eq!(metrics(line).unwrap_err(), message, "{line}");
    }
}

/// A file of `dist/prometheus`.
fn shipped(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("dist/prometheus").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn rules_and_dashboard_name_metrics_that_there_are() {
    for file in ["ipvs.rules.yml", "ipvs.rules.test.yml", "dashboard.json"] {
        let text = shipped(file);
        let is_of_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let names: BTreeSet<&str> =
            text.split(|letter| !is_of_name(letter)).filter(|word| word.starts_with("ipvs_")).collect();
        assert!(names.len() > 5, "{file}: {names:?}");
        for name in names {
            assert!(METRICS.iter().any(|metric| metric.name == name), "{file}: there is no metric {name}");
        }
    }
}

/// What Grafana takes for granted, which reads a dashboard without complaint and shows nothing.
#[test]
fn the_dashboard_is_whole() {
    let dashboard: Value = serde_json::from_str(&shipped("dashboard.json")).expect("JSON");
    let list = |value: &Value| value.as_array().expect("a list").clone();
    let variables: BTreeSet<String> =
        list(&dashboard["templating"]["list"]).iter().map(|variable| text(&variable["name"])).collect();
    let panels = list(&dashboard["panels"]);
    let (mut ids, mut cells) = (BTreeSet::new(), BTreeSet::new());
    for panel in &panels {
        let title = text(&panel["title"]);
        assert!(!title.is_empty() && ids.insert(panel["id"].as_u64()), "{title}: its number is that of another");
        assert!(["stat", "table", "timeseries"].contains(&&*text(&panel["type"])), "{title}: {}", panel["type"]);
        assert_eq!(panel["datasource"], serde_json::json!({"type": "prometheus", "uid": "${datasource}"}), "{title}");
        let [x, y, width, height] = ["x", "y", "w", "h"].map(|name| panel["gridPos"][name].as_u64().expect("a number"));
        assert!(width > 0 && height > 0 && x + width <= 24, "{title}: {}", panel["gridPos"]);
        for cell in (x..x + width).flat_map(|x| (y..y + height).map(move |y| (x, y))) {
            assert!(cells.insert(cell), "{title} lies on another panel");
        }
        let targets = list(&panel["targets"]);
        let marks: BTreeSet<String> = targets.iter().map(|target| text(&target["refId"])).collect();
        assert!(!targets.is_empty() && marks.len() == targets.len(), "{title}: {marks:?}");
        for target in targets {
            let query = text(&target["expr"]);
            for part in query.split('$').skip(1) {
                let name: String =
                    part.chars().take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '_').collect();
                assert!(name == "__rate_interval" || variables.contains(&name), "{title}: no variable {name}");
            }
            assert!(query.contains("ipvs_") && query.contains("instance=~\"$instance\""), "{title}: {query}");
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}
