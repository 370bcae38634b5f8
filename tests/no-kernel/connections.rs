//! Questions to the list of connections: each answer is a filter over the full list.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;
use std::sync::LazyLock;

use ipvs_client::connections::{Choice, Connection, Counter, Held, read};
use ipvsadm_rs::grammar::{ConnectionView, Connections, NoNames, Request, Subject, parse};
use ipvsadm_rs::view::json::{ConnectionDocument, Stream};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value;

use crate::schema::Schema;

const HEADER: &str = "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Origin Expires\n";

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| Schema::new().unwrap());

/// A few of everything, so that much is alike.
const V4: [&str; 4] = ["10.1.1.1", "10.1.1.2", "10.1.2.1", "0.0.0.0"];
const V6: [&str; 3] = ["2001:db8::1", "2001:db8::2", "a01:101::"];
const STATES: [&str; 4] = ["ESTABLISHED", "TIME_WAIT", "NONE", "SHUTDOWN_ACK_SENT"];

/// A line of the kernel's list.
fn line() -> impl Strategy<Value = String> {
    let address = |is_v6: bool| {
        if is_v6 {
            select(&V6[..]).prop_map(|text| expanded(text.parse().unwrap())).boxed()
        } else {
            select(&V4[..])
                .prop_map(|text| format!("{:08X}", text.parse::<std::net::Ipv4Addr>().unwrap().to_bits()))
                .boxed()
        }
    };
    any::<bool>().prop_flat_map(move |is_v6| {
        let endpoints = vec((address(is_v6), select(&[0u16, 80, 8080][..])), 3);
        (
            endpoints,
            select(&["TCP", "UDP", "IP"][..]),
            select(&STATES[..]),
            select(&["LOCAL", "SYNC"][..]),
            select(&[0u32, 9, 10, 11, 899][..]),
        )
            .prop_map(|(endpoints, protocol, state, origin, expires)| {
                let endpoints: Vec<String> =
                    endpoints.iter().map(|(address, port)| format!("{address} {port:04X}")).collect();
                format!("{protocol:<3} {} {state:<11} {origin:<6} {expires:>7}\n", endpoints.join(" "))
            })
    })
}

/// As the kernel writes it.
fn expanded(address: std::net::Ipv6Addr) -> String {
    address.segments().map(|segment| format!("{segment:04x}")).join(":")
}

/// Words of `-L -c`, and the filter that they mean, on JSON.
fn question() -> impl Strategy<Value = (String, Vec<(&'static str, Value)>)> {
    let origin = prop_oneof![Just("local"), Just("sync")];
    (
        proptest::option::of(select(&STATES[..])),
        proptest::option::of(origin),
        proptest::option::of(select(&[0u32, 10, 11, 900][..])),
        proptest::option::of(select(&["10.1.1.0/24", "10.1.1.1", "0.0.0.0/0", "2001:db8::/127", "::/0"][..])),
        proptest::option::of(select(&["10.1.1.2", "10.1.1.2:80", "[2001:db8::1]:8080"][..])),
        proptest::option::of(select(&["-t 10.1.1.1:80", "-u 10.1.1.1:80", "-t [2001:db8::1]:80"][..])),
    )
        .prop_map(|(state, origin, within, client, server, service)| {
            let mut words = "-L -c".to_owned();
            let mut filter = Vec::new();
            for (name, option, value) in [
                ("state", "--state ", state.map(str::to_owned)),
                ("origin", "--origin ", origin.map(str::to_owned)),
                ("client", "--client ", client.map(str::to_owned)),
                ("server", "-r ", server.map(str::to_owned)),
                ("service", "", service.map(str::to_owned)),
                ("within", "--expires-within ", within.map(|seconds| seconds.to_string())),
            ] {
                if let Some(value) = value {
                    words.push_str(&format!(" {option}{value}"));
                    filter.push((name, Value::from(value)));
                }
            }
            (words, filter)
        })
}

/// Whether a connection's document passes, written without the program's own types.
fn passes(row: &Value, filter: &[(&str, Value)]) -> bool {
    filter.iter().all(|(name, value)| {
        let value = value.as_str().unwrap();
        match *name {
            "state" | "origin" => row[*name] == value,
            "within" => row["expires_seconds"].as_u64().unwrap() <= value.parse().unwrap(),
            "client" => {
                let client = row["client_address"].as_str().unwrap();
                match value {
                    "10.1.1.0/24" => client.starts_with("10.1.1."),
                    "0.0.0.0/0" => !client.contains(':'),
                    "::/0" => client.contains(':'),
                    // The last bit does not count: of these two only ::1 is in 2001:db8::0/127.
                    "2001:db8::/127" => client == "2001:db8::1",
                    address => client == address,
                }
            }
            "server" => match value {
                "10.1.1.2" => row["server_address"] == "10.1.1.2",
                "10.1.1.2:80" => row["server_address"] == "10.1.1.2" && row["server_port"] == 80,
                _ => row["server_address"] == "2001:db8::1" && row["server_port"] == 8080,
            },
            _ => {
                let (protocol, address) = match value {
                    "-t 10.1.1.1:80" => ("tcp", "10.1.1.1"),
                    "-u 10.1.1.1:80" => ("udp", "10.1.1.1"),
                    _ => ("tcp", "2001:db8::1"),
                };
                row["protocol"] == protocol && row["virtual_address"] == address && row["virtual_port"] == 80
            }
        }
    })
}

fn connections(words: &str) -> Connections {
    match parse(words.split(' ').map(str::as_bytes), &NoNames) {
        Ok(Request::List(listing)) => match listing.subject {
            Subject::Connections(connections) => connections,
            other => panic!("{words}: {other:?}"),
        },
        other => panic!("{words}: {other:?}"),
    }
}

fn each(lines: &[String], mut take: impl FnMut(&Connection)) {
    let text = format!("{HEADER}{}", lines.concat());
    let skipped = read(text.as_bytes(), |connection| {
        take(connection);
        Ok(())
    });
    assert_eq!(skipped.unwrap().lines, 0, "{text}");
}

/// The list as JSON, as it is printed.
fn json(lines: &[String], choice: &Choice) -> String {
    let mut out = Vec::new();
    let mut list = Stream::begin(&mut out, "connections", &[(); 0], false).unwrap();
    each(lines, |connection| {
        if choice.has(connection) {
            list.element(&ConnectionDocument::new(connection, None)).unwrap();
        }
    });
    list.end().unwrap();
    String::from_utf8(out).unwrap()
}

fn rows(json: &str) -> Vec<Value> {
    let document: Value = serde_json::from_str(json).unwrap();
    document["connections"].as_array().unwrap().clone()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_question_is_a_filter_over_the_full_list(lines in vec(line(), 0..60), (words, filter) in question()) {
        let Connections { choice, view } = connections(&words);
        prop_assert_eq!(view, ConnectionView::AsTheyCome);
        let expected: Vec<Value> = rows(&json(&lines, &Choice::ALL)).into_iter().filter(|row| passes(row, &filter)).collect();
        prop_assert_eq!(rows(&json(&lines, &choice)), expected, "{}", words);
    }

    #[test]
    fn counts_are_those_of_the_full_list(lines in vec(line(), 0..60), (words, filter) in question(), keys in select(&KEYS[..])) {
        let Connections { choice, view } = connections(&format!("{words} --count-by {keys}"));
        let ConnectionView::Counted(by) = view else { panic!("{keys}: {view:?}") };
        let mut counter = Counter::by(by);
        each(&lines, |connection| if choice.has(connection) { assert!(counter.add(connection)) });
        let counts = counter.counts();
        let mut text = Vec::new();
        ipvsadm_rs::view::json::counts(&mut text, by, &counts, false).unwrap();
        let document = SCHEMA.check("connection_counts", &String::from_utf8(text).unwrap()).unwrap();
        let mut expected = BTreeMap::new();
        let members: Vec<&str> = keys.split(',').flat_map(|key| match key {
            "state" => &["state"][..],
            "client" => &["client_address"],
            _ => &["server_address", "server_port"],
        }).copied().collect();
        let of = |row: &Value| members.iter().map(|member| row[*member].to_string()).collect::<Vec<_>>();
        for row in rows(&json(&lines, &Choice::ALL)).iter().filter(|row| passes(row, &filter)) {
            *expected.entry(of(row)).or_insert(0u64) += 1;
        }
        prop_assert_eq!(&document["total"], &Value::from(expected.values().sum::<u64>()));
        let found: Vec<_> = document["counts"].as_array().unwrap().clone();
        prop_assert!(found.is_sorted_by_key(|count| std::cmp::Reverse(count["connections"].as_u64().unwrap())));
        let found: BTreeMap<_, _> = found.iter().map(|count| (of(count), count["connections"].as_u64().unwrap())).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn what_is_held_is_what_was_read(lines in vec(line(), 0..60), key in select(&["state", "server", "client", "expires"][..])) {
        let ConnectionView::Sorted(key) = connections(&format!("-L -c --sort-by {key}")).view else { panic!() };
        let (mut held, mut expected) = (Held::default(), Vec::new());
        each(&lines, |connection| {
            assert!(held.push(connection));
            expected.push(*connection);
        });
        prop_assert_eq!(held.iter().collect::<Vec<_>>(), expected.clone());
        held.sort(key);
        let sorted: Vec<Connection> = held.iter().collect();
        prop_assert!(sorted.is_sorted_by(|a, b| a.order(b, key).is_le()));
        let texts = |all: &[Connection]| {
            let mut texts: Vec<String> = all.iter().map(|one| format!("{one:?}")).collect();
            texts.sort();
            texts
        };
        prop_assert_eq!(texts(&sorted), texts(&expected));
    }
}

const KEYS: [&str; 9] = [
    "state",
    "server",
    "client",
    "server,state",
    "server,client",
    "client,state",
    "client,server",
    "state,server",
    "state,client",
];

/// The program's output and status.
fn compare(words: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_ipvsadm-rs")).arg("compare").args(words).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn comparing_two_lists_gives_their_difference(master in vec(line(), 0..40), backup in vec(line(), 0..40)) {
        let folder = tempfile::tempdir().unwrap();
        let [a, b] = ["master", "backup"].map(|name| folder.path().join(name).to_str().unwrap().to_owned());
        fs::write(&a, json(&master, &Choice::ALL)).unwrap();
        fs::write(&b, json(&backup, &Choice::ALL)).unwrap();
        let key = |row: &Value| {
            ["protocol", "client_address", "client_port", "virtual_address", "virtual_port", "server_address", "server_port"]
                .map(|member| row[member].to_string())
        };
        let backup: BTreeSet<_> = rows(&json(&backup, &Choice::ALL)).iter().map(key).collect();
        let missing: Vec<_> = rows(&json(&master, &Choice::ALL)).into_iter().filter(|row| !backup.contains(&key(row))).collect();
        let (status, text, error) = compare(&["--json", &a, &b]);
        prop_assert_eq!((status, error.as_str()), (Some(i32::from(!missing.is_empty())), ""));
        let document = SCHEMA.check("connection_comparison", &text).unwrap();
        prop_assert_eq!(&document["backup_connections"], &Value::from(backup.len()));
        let found = document["missing"].as_array().unwrap();
        prop_assert_eq!(found.iter().map(key).collect::<Vec<_>>(), missing.iter().map(key).collect::<Vec<_>>());
        for row in found {
            let elsewhere = backup.iter().any(|other| other[..5] == key(row)[..5]);
            prop_assert_eq!(&row["backup_has_other_server"], &Value::from(elsewhere));
        }
        let (status, text, _) = compare(&[&a, &b]);
        prop_assert_eq!(status, Some(i32::from(!missing.is_empty())));
        let expected = if missing.is_empty() { 1 } else { missing.len() + 3 };
        prop_assert_eq!(text.lines().count(), expected, "{}", text);
    }
}

#[test]
fn comparing_what_is_no_list_is_trouble() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("list").to_str().unwrap().to_owned();
    fs::write(&path, "{\"schema\":1,\"table\":{}}\n").unwrap();
    let (status, _, error) = compare(&[&path, &path]);
    assert_eq!(status, Some(2));
    assert!(error.ends_with("not a list of connections, as -L -c --json prints it at line 1 column 23\n"), "{error}");
    assert_eq!(compare(&["-", "-"]).0, Some(2));
}
