//! `health`: the statuses, the line and the document, on a real kernel.

use anyhow::{Result, ensure};

use crate::schema::Schema;
use crate::support::{Links, Subject, Trial, in_fresh_namespace, run, succeed, trial};

/// What a trial does.
type Run = fn() -> Result<()>;

/// What is tried, and where.
pub fn subject() -> Subject {
    Subject { trials, ..Subject::named("health") }
}

fn trials() -> Result<Vec<Trial>> {
    let trials: [(&str, Run); _] =
        [("statuses and lines", statuses_and_lines), ("what is not known", what_is_not_known), ("as JSON", as_json)];
    Ok(trials.into_iter().map(|(name, run)| trial(name, run)).collect())
}

const RULES: &str = "\
-A -t 10.0.0.1:80 -s wrr
-a -t 10.0.0.1:80 -r 10.0.0.2 -w 3
-a -t 10.0.0.1:80 -r 10.0.0.3 -w 0
-A -u [2001:db8::1]:53 -s rr
-a -u [2001:db8::1]:53 -r [2001:db8::2]:53 -m -w 7
-A -f 1 -s rr
-A -f 1 -6 -s rr
-a -f 1 -6 -r 2001:db8::3
";

/// The words behind `health`, the status, the status with `--gate`, and the line up to the performance data.
const ASKED: [(&str, u8, u8, &str); 14] = [
    ("-t 10.0.0.1:80", 0, 0, "IPVS OK - services: 1, servers: 1, connections: 0"),
    ("-t 10.0.0.1:80 --min-servers 2:1", 1, 0, "IPVS WARNING - TCP 10.0.0.1:80: servers 1, at least 2"),
    ("-t 10.0.0.1:80 --min-servers 2", 2, 2, "IPVS CRITICAL - TCP 10.0.0.1:80: servers 1, at least 2"),
    ("-t 10.0.0.1:80 --min-weight 3", 0, 0, "IPVS OK - services: 1, servers: 1, connections: 0"),
    ("-t 10.0.0.1:80 --min-weight 5:4", 2, 2, "IPVS CRITICAL - TCP 10.0.0.1:80: weight 3, at least 4"),
    ("-t 10.0.0.1:80 --max-connections 0", 0, 0, "IPVS OK - services: 1, servers: 1, connections: 0"),
    ("-f 1", 2, 2, "IPVS CRITICAL - FWM 1: servers 0, at least 1"),
    ("-f 1 -6", 0, 0, "IPVS OK - services: 1, servers: 1, connections: 0"),
    ("-f 1 -6 -f 1", 2, 2, "IPVS CRITICAL - FWM 1: servers 0, at least 1"),
    (
        "-u [2001:db8::1]:53 -t 10.0.0.1:80 --min-weight 8:4",
        2,
        2,
        "IPVS CRITICAL - TCP 10.0.0.1:80: weight 3, at least 4; UDP [2001:db8::1]:53: weight 7, at least 8",
    ),
    ("-t 10.0.0.9:80", 2, 2, "IPVS CRITICAL - TCP 10.0.0.9:80: no such service"),
    ("-t 10.0.0.1:80 --daemon backup", 2, 2, "IPVS CRITICAL - no backup synchronisation daemon runs"),
    ("-t 10.0.0.1:80 --daemon master", 0, 0, "IPVS OK - services: 1, servers: 1, connections: 0"),
    ("", 2, 2, "IPVS CRITICAL - FWM 1: servers 0, at least 1"),
];

fn statuses_and_lines() -> Result<()> {
    in_fresh_namespace(|| {
        let _links = Links::new()?;
        let none = run(&["health"], b"")?;
        ensure!(none.status == "2" && none.stdout.starts_with("IPVS CRITICAL - no virtual service | "), "{none:?}");
        succeed(&["-R"], RULES.as_bytes())?;
        succeed(&["--start-daemon", "master", "--mcast-interface", "lo"], b"")?;
        for (words, status, gate, line) in ASKED {
            let words: Vec<&str> = ["health"].into_iter().chain(words.split_whitespace()).collect();
            let output = run(&words, b"")?;
            let (text, performance) = output.stdout.trim_end().split_once(" | ").unwrap_or_default();
            ensure!(output.status == status.to_string() && output.stderr.is_empty(), "{words:?}: {output:?}");
            ensure!(text == line && output.stdout.lines().count() == 1, "{words:?}: {output:?}");
            is_performance_data(performance)?;
            let output = run(&[&words[..], &["--gate"]].concat(), b"")?;
            ensure!(output.status == gate.to_string(), "{words:?} --gate: {output:?}");
        }
        let line = succeed(&["health", "-t", "10.0.0.1:80", "--max-connections", "5:9"], b"")?;
        let performance = "services=1;;;0 servers=1;;;0 connections=0;;;0 'TCP 10.0.0.1:80 servers'=1;;1:;0 \
                           'TCP 10.0.0.1:80 weight'=3;;;0 'TCP 10.0.0.1:80 connections'=0;5;9;0\n";
        ensure!(line.ends_with(performance), "{line}");
        Ok(())
    })
}

/// `'label'=value;warn;crit;min`, with blanks between.
fn is_performance_data(text: &str) -> Result<()> {
    let mut rest = text;
    while !rest.is_empty() {
        let (label, values) = match rest.strip_prefix('\'') {
            Some(quoted) => quoted.split_once("'=").unwrap_or_default(),
            None => rest.split_once('=').unwrap_or_default(),
        };
        ensure!(!label.is_empty() && !label.contains(['=', '\'']), "{text}");
        let (values, more) = values.split_once(' ').unwrap_or((values, ""));
        let parts: Vec<&str> = values.split(';').collect();
        let number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        ensure!(parts.len() == 4 && !parts[0].is_empty() && number(parts[0]) && number(parts[3]), "{values} in {text}");
        ensure!(parts[1..3].iter().all(|part| number(part.trim_end_matches(':'))), "{values} in {text}");
        rest = more;
    }
    Ok(())
}

fn what_is_not_known() -> Result<()> {
    in_fresh_namespace(|| {
        succeed(&["-R"], RULES.as_bytes())?;
        for words in [
            &["--min-servers", "1:2"][..],
            &["--max-connections", "2:1"],
            &["--min-weight", "x"],
            &["-t", "nonsense"],
            &["--daemon", "other"],
            &["--nonsense"],
            &["--netns", "none"],
        ] {
            let words = [&["health"], words].concat();
            let output = run(&words, b"")?;
            ensure!(output.status == "3", "{words:?}: {output:?}");
            let output = run(&[&words[..], &["--gate"]].concat(), b"")?;
            ensure!(output.status == "2", "{words:?} --gate: {output:?}");
        }
        Ok(())
    })
}

fn as_json() -> Result<()> {
    in_fresh_namespace(|| {
        succeed(&["-R"], RULES.as_bytes())?;
        let schema = Schema::new()?;
        let output = run(&["health", "--json", "--min-servers", "2:1"], b"")?;
        let document = schema.check("health", &output.stdout)?;
        ensure!(output.status == "2" && document["status"] == 2 && document["state"] == "critical", "{document}");
        let services = document["services"].as_array().map(Vec::len);
        ensure!(services == Some(4) && document["problems"].as_array().map(Vec::len) == Some(4), "{document}");
        ensure!(document["services"][0]["weight"] == 3 && document["services"][0]["state"] == "warning", "{document}");
        let output = run(&["health", "--json", "--pretty", "--min-servers", "x"], b"")?;
        let document = schema.check("health", &output.stdout)?;
        ensure!(output.status == "3" && document["state"] == "unknown", "{output:?}");
        Ok(())
    })
}
