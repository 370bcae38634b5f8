//! What programs read, on a real kernel: every listing as JSON is what the schema says and what the kernel has.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context as _, Result, ensure};
use ipvs_client::Client;
use serde_json::{Value, json};

use crate::schema::Schema;
use crate::support::{self, Invocation, Links, Output, Subject, Trial, in_fresh_namespace, trial};

/// What a trial does.
type Run = fn() -> Result<()>;

/// What is tried, and where.
pub fn subject() -> Subject {
    Subject { trials, ..Subject::named("json") }
}

fn trials() -> Result<Vec<Trial>> {
    let trials: [(&str, Run); _] = [
        ("the table", the_table),
        ("how full the kernel's tables are", hash_tables),
        ("counters and connections", counters_and_connections),
        ("timeouts and daemons", timeouts_and_daemons),
        ("what differs", what_differs),
        ("what was replaced", what_was_replaced),
        ("doctor, realserver and service", of_subcommands),
        ("of no listing and of none that succeeds", no_listing),
        ("connections: chosen, sorted, counted", connections_for_people),
        ("forms: colours and widths", colours_and_widths),
    ];
    Ok(trials.into_iter().map(|(name, run)| trial(name, run)).collect())
}

fn run(words: &[&str], stdin: &str) -> Result<Output> {
    Invocation { stdin: stdin.as_bytes(), ..Invocation::of(words) }.run(&support::ours())
}

fn succeed(words: &[&str], stdin: &str) -> Result<String> {
    let output = run(words, stdin)?;
    ensure!(output.status == "0" && output.stderr.is_empty(), "{words:?}: {output:?}");
    Ok(output.stdout)
}

/// The document of this kind that the program prints, which is the same on one line and on several.
fn document(kind: &str, words: &[&str]) -> Result<Value> {
    let schema = Schema::new()?;
    let print = |options: &[&str]| succeed(&[words, options].concat(), "");
    let mut line = print(&["--json"])?;
    loop {
        let lines = print(&["-j", "--pretty"])?;
        let again = print(&["--json"])?;
        ensure!(line.lines().count() == 1, "not on one line: {line}");
        ensure!(lines.lines().count() > 1, "not on several lines: {lines}");
        let (one, other) = (schema.check(kind, &line)?, schema.check(kind, &lines)?);
        // Time goes on between the two. What the kernel counted in between is in what comes after, too.
        if kind.starts_with("connections") || one == other {
            return Ok(one);
        }
        ensure!(line != again, "another document:\n{line}\n{lines}");
        line = again;
    }
}

/// The document of a subcommand, whatever its status says.
fn of_subcommand(kind: &str, words: &[&str], status: &str) -> Result<Value> {
    let schema = Schema::new()?;
    let print = |options: &[&str]| -> Result<String> {
        let words = [words, options].concat();
        let output = run(&words, "")?;
        ensure!(output.status == status && output.stderr.is_empty(), "{words:?}: {output:?}");
        Ok(output.stdout)
    };
    let (line, lines) = (print(&["--json"])?, print(&["--json", "--pretty"])?);
    ensure!(line.lines().count() == 1 && lines.lines().count() > 1, "{line}{lines}");
    let (one, other) = (schema.check(kind, &line)?, schema.check(kind, &lines)?);
    ensure!(one == other, "another document:\n{line}\n{lines}");
    Ok(one)
}

fn of_subcommands() -> Result<()> {
    in_fresh_namespace(|| {
        let none = of_subcommand("service_status", &["service", "status"], "3")?;
        ensure!(none["running"] == false && none["virtual_services"] == 0, "{none}");
        succeed(&["-R"], RULES)?;
        let service = of_subcommand("service_status", &["service", "status"], "0")?;
        ensure!(service["virtual_services"] == 4 && service["real_servers"] == 7, "{service}");
        let doctor = of_subcommand("doctor", &["doctor", "--role", "director"], "2")?;
        ensure!(doctor["roles"] == json!(["director"]) && doctor["state"] == "fail", "{doctor}");
        let vip = "192.0.2.9";
        let status = of_subcommand("realserver_status", &["realserver", "status", vip], "3")?;
        ensure!(status["ready"] == false && status["vips"][0]["vip"] == vip, "{status}");
        succeed(&["realserver", "start", vip], "")?;
        let status = of_subcommand("realserver_status", &["realserver", "status", vip], "0")?;
        ensure!(status["ready"] == true && status["vips"][0]["started"] == true, "{status}");
        succeed(&["realserver", "stop", vip], "")?;
        Ok(())
    })
}

const RULES: &str = "\
-A -t 10.0.0.1:80 -s wrr -p 300 -M 255.255.255.0
-a -t 10.0.0.1:80 -r 10.0.0.2 -w 7 -x 100 -y 50
-a -t 10.0.0.1:80 -r 10.0.0.3:8080 -m -w 0
-a -t 10.0.0.1:80 -r 10.0.0.4 -i --tun-type gue --tun-port 6080 --tun-remcsum
-a -t 10.0.0.1:80 -r 10.0.0.5 -i --tun-type gre --tun-csum
-a -t 10.0.0.1:80 -r 10.0.0.6 -i
-A -u [2001:db8::1]:53 -s mh -b mh-port -o
-a -u [2001:db8::1]:53 -r [2001:db8::2]:53 -m
-A --sctp-service 10.0.0.1:0 -s rr -p 9
-A -f 4294967295 -6 -s rr -p 60 -M 64
-a -f 4294967295 -6 -r 2001:db8::3 -w 2147483647
";

/// A server that has a connection which its counters do not have, as in the first two seconds: here after `-Z`.
fn uncounted_servers() -> Result<()> {
    let expect = |uncounted: u64| -> Result<()> {
        let table = document("table", &["-L"])?;
        let servers = table["services"].as_array().into_iter().flatten();
        let servers: Vec<&Value> = servers.flat_map(|service| service["servers"].as_array()).flatten().collect();
        let found = servers.iter().filter(|server| server["counted"] == json!(false)).count() as u64;
        ensure!(found == uncounted && servers.len() > 1, "{found} instead of {uncounted}: {table}");
        let metrics = succeed(&["-L", "--prometheus", "--only", "estimation_uncounted_servers"], "")?;
        ensure!(metrics.contains(&format!("\nipvs_estimation_uncounted_servers {uncounted}\n")), "{metrics}");
        Ok(())
    };
    let links = Links::new()?;
    links.add_address("lo", [10, 9, 9, 9].into(), 32)?;
    let listener = TcpListener::bind("10.9.9.9:81")?;
    succeed(&["-R"], "-A -t 10.9.9.9:80 -s rr\n-a -t 10.9.9.9:80 -r 10.9.9.9:81 -m\n")?;
    expect(0)?;
    let _open = (TcpStream::connect("10.9.9.9:80")?, listener.accept()?);
    // Until the kernel has counted it; Linux waits longer for a new namespace's first time.
    let end = Instant::now() + Duration::from_secs(60);
    while document("table", &["-L", "-t", "10.9.9.9:80"])?["services"][0]["counters"]["connections"] != json!(1) {
        ensure!(Instant::now() < end, "it is not counted");
        thread::sleep(Duration::from_millis(100));
    }
    expect(0)?;
    succeed(&["-Z"], "")?;
    expect(1)?;
    succeed(&["-D", "-t", "10.9.9.9:80"], "")?;
    Ok(())
}

/// Where the kernel can be kept from counting, that is reported; with metrics, too.
fn estimation() -> Result<()> {
    let setting = Path::new("/proc/sys/net/ipv4/vs/run_estimation");
    let expect = |running: bool| -> Result<()> {
        let estimation = &document("table", &["-L"])?["estimation"];
        let stopped_by = if running { Value::Null } else { json!("run_estimation") };
        ensure!(
            *estimation == json!({ "running": running, "stopped_by": stopped_by, "interval_seconds": 2 }),
            "{estimation}"
        );
        let metrics = succeed(&["-L", "--prometheus", "--only", "estimation"], "")?;
        ensure!(metrics.contains(&format!("\nipvs_estimation_running {}\n", u8::from(running))), "{metrics}");
        Ok(())
    };
    expect(true)?;
    uncounted_servers()?;
    if setting.exists() {
        fs::write(setting, "0")?;
        expect(false)?;
        fs::write(setting, "1")?;
    }
    Ok(())
}

/// Linux 7 reports how full its tables are, and limits connections; before that, it says nothing of it.
fn hash_tables() -> Result<()> {
    in_fresh_namespace(|| {
        succeed(&["-R"], RULES)?;
        estimation()?;
        let tables = &document("table", &["-L"])?["hash_tables"];
        let doctor = |state: &str, fact: &str| -> Result<()> {
            let output = run(&["doctor", "--role", "director", "--json"], "")?;
            let report: Value = serde_json::from_str(&output.stdout)?;
            let findings = report["doctor"]["findings"].as_array().context("no findings")?;
            let check = findings.iter().find(|finding| finding["id"] == "D16").context("no D16")?;
            let printed = check["fact"].as_str().is_some_and(|printed| printed.contains(fact));
            ensure!(check["state"] == state && printed, "not {state}, {fact:?}: {check}");
            Ok(())
        };
        if !Path::new("/proc/thread-self/net/ip_vs_status").exists() {
            ensure!(*tables == Value::Null, "{tables}");
            return doctor("ok", "0 connections in");
        }
        let settings = Path::new("/proc/sys/net/ipv4/vs");
        let set = |name: &str, value: &str| fs::write(settings.join(name), value).with_context(|| name.to_owned());
        // The kernel's own values differ between namespaces.
        set("conn_lfactor", "-4")?;
        set("svc_lfactor", "-3")?;
        let tables = &document("table", &["-L"])?["hash_tables"];
        let (connections, services) = (&tables["connections"], &tables["services"]);
        ensure!(connections["entries"] == 0 && connections["load_factor"] == -4, "{tables}");
        ensure!(connections["buckets"].as_u64() >= Some(1), "{tables}");
        ensure!(services["entries"] == 4 && services["load_factor"] == -3, "{tables}");
        ensure!(services["buckets"].as_u64() > services["empty_buckets"].as_u64(), "{tables}");
        ensure!(tables["connection_limit"].as_u64() > Some(0), "{tables}");
        doctor("ok", "more of them above one for every 8 buckets (svc_lfactor = -3)")?;
        set("conn_lfactor", "2")?;
        doctor("warn", "more of them above 4 for every bucket (conn_lfactor = 2)")?;
        set("conn_lfactor", "-4")?;
        set("conn_max", "0")?;
        doctor("fail", "no more than conn_max = 0 are taken")?;
        ensure!(document("table", &["-L"])?["hash_tables"]["connection_limit"] == 0, "another limit");
        Ok(())
    })
}

fn the_table() -> Result<()> {
    in_fresh_namespace(|| {
        let empty = document("table", &["-L"])?;
        ensure!(empty["services"] == json!([]), "{empty}");
        succeed(&["-R"], RULES)?;
        let table = document("table", &["-L"])?;
        ensure!(table["ipvs_version"] == "1.2.1", "{table}");
        let services = table["services"].as_array().context("no services")?;
        ensure!(services.len() == 4, "{table}");
        let (web, sctp, dns, mark) = (&services[0], &services[1], &services[2], &services[3]);
        ensure!(
            web["persistence"] == json!({"timeout_seconds": 300, "netmask": "255.255.255.0", "prefix_length": null})
        );
        ensure!(web["fwmark"].is_null() && web["protocol"] == "tcp" && web["port"] == 80, "{web}");
        let servers = web["servers"].as_array().context("no servers")?;
        let column = |name: &str| servers.iter().map(|server| server[name].clone()).collect::<Vec<_>>();
        ensure!(column("weight") == [json!(7), json!(0), json!(1), json!(1), json!(1)], "{web}");
        ensure!(column("forwarding") == ["dr", "nat", "tunnel", "tunnel", "tunnel"], "{web}");
        ensure!(column("upper_threshold") == [100, 0, 0, 0, 0] && column("lower_threshold") == [50, 0, 0, 0, 0]);
        let tunnels = [
            Value::Null,
            Value::Null,
            json!({"type": "gue", "port": 6080, "checksum": "remote"}),
            json!({"type": "gre", "port": null, "checksum": "full"}),
            json!({"type": "ipip", "port": null, "checksum": "none"}),
        ];
        ensure!(column("tunnel") == tunnels, "{web}");
        ensure!(sctp["protocol"] == "sctp" && sctp["port"] == 0 && sctp["servers"] == json!([]), "{sctp}");
        ensure!(dns["scheduler_flags"] == json!(["mh-port"]) && dns["one_packet"] == true, "{dns}");
        ensure!(dns["address"] == "2001:db8::1" && dns["family"] == "ipv6" && dns["persistence"].is_null(), "{dns}");
        ensure!(mark["fwmark"] == 4_294_967_295_u32 && mark["address"].is_null() && mark["family"] == "ipv6", "{mark}");
        ensure!(mark["persistence"]["prefix_length"] == 64 && mark["persistence"]["netmask"].is_null(), "{mark}");
        ensure!(mark["servers"][0]["weight"] == 2_147_483_647, "{mark}");

        // Columns change nothing.
        for columns in ["--stats", "--rate", "--thresholds", "--persistent-conn", "--tun-info", "--exact", "-n"] {
            ensure!(document("table", &["-L", columns])? == table, "{columns}");
        }
        let one = document("table", &["-L", "-t", "10.0.0.1:80"])?;
        ensure!(one["services"] == json!([web]), "{one}");
        // The kernel's order has the same services.
        let mut unsorted = document("table", &["-L", "--nosort"])?;
        let services = unsorted["services"].as_array_mut().context("no services")?;
        for service in services.iter_mut() {
            let servers = service["servers"].as_array_mut().context("no servers")?;
            servers.sort_by_key(|server| server["address"].to_string());
        }
        services.sort_by_key(|service| (service["fwmark"].to_string(), service["family"].to_string()));
        ensure!(
            services.len() == 4
                && services.iter().all(|service| table["services"].as_array().is_some_and(|all| all.contains(service)))
        );
        Ok(())
    })
}

const VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 1, 1, 1));
const VIP6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));

/// Connections: two from one client and one from another, of which the last is IPv6.
fn traffic() -> Result<Vec<impl Sized>> {
    let links = Links::new()?;
    links.add_address("lo", VIP, 32)?;
    links.add_address("lo", VIP6, 128)?;
    let rules = "-A -t 10.1.1.1:80 -s rr -p 100\n-a -t 10.1.1.1:80 -r 127.0.0.1:8080 -m\n\
                 -A -t [2001:db8::1]:80 -s rr\n-a -t [2001:db8::1]:80 -r [::1]:8080 -m\n";
    succeed(&["-R"], rules)?;
    let listeners = [TcpListener::bind("127.0.0.1:8080")?, TcpListener::bind("[::1]:8080")?];
    let mut open = Vec::new();
    for (vip, port) in [(VIP, 40001), (VIP, 40002), (VIP6, 40003)] {
        open.push(support::connect_tcp(SocketAddr::new(vip, port), SocketAddr::new(vip, 80))?);
    }
    // The listeners are to live as long as the connections.
    Ok(vec![(open, Vec::from(listeners))])
}

fn counters_and_connections() -> Result<()> {
    in_fresh_namespace(|| {
        let none = document("connections", &["-L", "-c"])?;
        ensure!(none == json!([]), "{none}");
        let _open = traffic()?;
        let connections = document("connections", &["-L", "-c"])?;
        let all = connections.as_array().context("no list")?;
        // With what persistence remembers of the one client.
        ensure!(all.len() == 4, "{connections}");
        let of =
            |port: u16| all.iter().find(|connection| connection["client_port"] == port).context("none of this port");
        let (first, remembered, ipv6) = (of(40001)?, of(0)?, of(40003)?);
        ensure!(first["state"] == "ESTABLISHED" && first["protocol"] == "tcp", "{first}");
        ensure!(first["virtual_address"] == "10.1.1.1" && first["virtual_port"] == 80, "{first}");
        ensure!(first["server_address"] == "127.0.0.1" && first["server_port"] == 8080, "{first}");
        ensure!(first["expires_seconds"].as_u64().is_some_and(|seconds| (1..=900).contains(&seconds)), "{first}");
        ensure!(remembered["expires_seconds"].as_u64().is_some_and(|seconds| seconds <= 360), "{remembered}");
        ensure!(ipv6["client_address"] == "2001:db8::1" && ipv6["server_address"] == "::1", "{ipv6}");

        // The kernel adds its counters up every two seconds; they must become what has happened.
        let deadline = Instant::now() + Duration::from_secs(30);
        let counted = |table: &Value| table["services"][0]["counters"]["connections"] == 2;
        let mut table = document_once(&["-L", "-t", "10.1.1.1:80", "-j"])?;
        while !counted(&table) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(200));
            table = document_once(&["-L", "-t", "10.1.1.1:80", "-j"])?;
        }
        let (service, server) = (&table["services"][0], &table["services"][0]["servers"][0]);
        ensure!(service["counters"]["connections"] == 2, "{table}");
        ensure!(service["counters"] == server["counters"], "{table}");
        ensure!(service["counters"]["bytes_in"].as_u64() > Some(0), "{table}");
        ensure!(server["active_connections"] == 2 && server["persistent_connections"] == 1, "{table}");
        let kernel = Client::connect()?.table()?;
        let there = kernel.services.iter().map(|service| service.entry.statistics.counters.incoming_bytes);
        ensure!(there.max() == service["counters"]["bytes_in"].as_u64(), "{table}");
        Ok(())
    })
}

fn document_once(words: &[&str]) -> Result<Value> {
    Schema::new()?.check("table", &succeed(words, "")?)
}

fn timeouts_and_daemons() -> Result<()> {
    in_fresh_namespace(|| {
        succeed(&["--set", "7", "8", "9"], "")?;
        let timeouts = document("timeouts", &["-L", "--timeout"])?;
        ensure!(timeouts == json!({"tcp_seconds": 7, "tcp_fin_seconds": 8, "udp_seconds": 9}), "{timeouts}");
        ensure!(document("daemons", &["-L", "--daemon"])? == json!([]));
        succeed(&["--start-daemon", "master", "--mcast-interface", "lo", "--syncid", "7", "--mcast-ttl", "3"], "")?;
        let daemons = document("daemons", &["-L", "--daemon"])?;
        let daemon = &daemons[0];
        ensure!(daemon["role"] == "master" && daemon["interface"] == "lo" && daemon["sync_id"] == 7, "{daemons}");
        ensure!(daemon["multicast_ttl"] == 3 && daemon["multicast_group"] == "224.0.0.81", "{daemons}");
        succeed(&["--stop-daemon", "master"], "")?;
        Ok(())
    })
}

fn what_differs() -> Result<()> {
    in_fresh_namespace(|| {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("rules");
        let file = path.to_str().context("a path that is not UTF-8")?;
        std::fs::write(&path, RULES)?;
        succeed(&["-R"], RULES)?;
        let schema = Schema::new()?;
        let same = succeed(&["diff", "--json", file], "")?;
        ensure!(
            schema.check("diff", &same)? == json!({"equal": true, "changes": [], "refusing": [], "digests": []}),
            "{same}"
        );
        succeed(&["-e", "-t", "10.0.0.1:80", "-r", "10.0.0.2", "-w", "8"], "")?;
        succeed(&["-D", "-f", "4294967295", "-6"], "")?;
        succeed(&["-A", "-f", "1"], "")?;
        for form in [&["--json"][..], &["-j", "--pretty"]] {
            let output = run(&[&["diff"], form, &[file]].concat(), "")?;
            ensure!(output.status == "1" && output.stderr.is_empty(), "{output:?}");
            let diff = schema.check("diff", &output.stdout)?;
            let changes = diff["changes"].as_array().context("no changes")?;
            let actions: Vec<&str> = changes.iter().filter_map(|change| change["action"].as_str()).collect();
            ensure!(
                diff["equal"] == false && actions == ["add_service", "add_server", "edit_server", "delete_service"],
                "{diff}"
            );
            let edit = &changes[2];
            ensure!(
                edit["server"] == json!({"address": "10.0.0.2", "port": 80}) && edit["service"]["port"] == 80,
                "{edit}"
            );
            ensure!(edit["removed"] == json!(["-a -t 10.0.0.1:80 -r 10.0.0.2:80 -g -w 8"]), "{edit}");
            ensure!(edit["added"] == json!(["-a -t 10.0.0.1:80 -r 10.0.0.2:80 -g -w 7 -x 100 -y 50"]), "{edit}");
            ensure!(changes[3]["service"]["fwmark"] == 1 && changes[3]["added"] == json!([]), "{diff}");
        }
        let pretty = run(&["diff", "--pretty", file], "")?;
        ensure!(pretty.status == "2" && pretty.stderr.contains("--json"), "{pretty:?}");
        Ok(())
    })
}

fn what_was_replaced() -> Result<()> {
    in_fresh_namespace(|| {
        let schema = Schema::new()?;
        let replace = |rules: &str, options: &[&str]| -> Result<(String, Value)> {
            let output = run(&[&["-R", "--replace", "--json"], options].concat(), rules)?;
            Ok((output.status, schema.check("replace", &output.stdout)?))
        };
        let counts = |document: &Value| json!([document["added"], document["edited"], document["deleted"]]);
        let (status, all) = replace(RULES, &[])?;
        let number = RULES.lines().filter(|line| line.starts_with("-A") || line.starts_with("-a")).count();
        ensure!(status == "0" && counts(&all) == json!([number, 0, 0]) && all["dry_run"] == false, "{all}");
        let (status, none) = replace(RULES, &["--pretty"])?;
        ensure!(status == "0" && counts(&none) == json!([0, 0, 0]) && none["changes"] == json!([]), "{none}");

        // A server of another weight, a service that goes with its servers, and one that comes.
        let other = "-A -t 10.0.0.1:80 -s rr\n-a -t 10.0.0.1:80 -r 10.0.0.2 -w 3\n-A -f 9\n";
        let limited = replace(other, &["--max-removals", "0"])?;
        ensure!(limited.0 == "1" && limited.1["changes"] == json!([]), "{limited:?}");
        ensure!(limited.1["exceeds"].as_str().is_some_and(|words| words.contains("--max-removals")), "{limited:?}");
        let planned = replace(other, &["--dry-run"])?;
        let done = replace(other, &[])?;
        ensure!(planned.0 == "1" && done.0 == "0", "{planned:?}, {done:?}");
        ensure!(planned.1["dry_run"] == true && planned.1["changes"] == done.1["changes"], "{planned:?}, {done:?}");
        let changes = done.1["changes"].as_array().context("no changes")?;
        let number = |action: &str| changes.iter().filter(|change| change["action"] == action).count();
        let (added, edited) =
            (number("add_service") + number("add_server"), number("edit_service") + number("edit_server"));
        let deleted = number("delete_service") + number("delete_server");
        ensure!(
            counts(&done.1) == json!([added, edited, deleted]) && added == 1 && edited > 0 && deleted > 0,
            "{done:?}"
        );
        ensure!(changes.iter().any(|change| change["added"] == json!(["-A -f 9 -s wlc"])), "{done:?}");

        // What the kernel refuses is rolled back, and nothing was changed; with --keep-going the rest is.
        let bad = "-A -t 10.0.0.1:80 -s rr\n-A -f 10\n-A -f 11 -s nosuch\n";
        let (status, refused) = replace(bad, &[])?;
        ensure!(status == "1" && counts(&refused) == json!([0, 0, 0]), "{refused}");
        let (status, partly) = replace(bad, &["--keep-going"])?;
        ensure!(status == "3" && counts(&partly)[0] == 1 && counts(&partly)[2] == 0, "{partly}");

        for words in [&["-R", "--json"][..], &["-R", "--check", "--json"]] {
            let output = run(words, "")?;
            ensure!(
                output.status == "2" && output.stdout.is_empty() && output.stderr.contains("'replace'"),
                "{output:?}"
            );
        }
        Ok(())
    })
}

fn no_listing() -> Result<()> {
    in_fresh_namespace(|| {
        let version = document("version", &["-v"])?;
        ensure!(version["version"] == env!("CARGO_PKG_VERSION") && version["ipvsadm_version"] == "1.31", "{version}");
        // Nothing that could be taken for a document.
        for words in [&["-L", "-t", "10.0.0.1:80", "--json"][..], &["-L", "--json", "--wide"], &["-S", "--json"]] {
            let output = run(words, "")?;
            ensure!(
                output.status != "0" && output.stdout.is_empty() && !output.stderr.is_empty(),
                "{words:?}: {output:?}"
            );
        }
        let rules = succeed(&["-R"], "-A -f 1\n-L --json\n")?;
        ensure!(Schema::new()?.check("table", &rules)?["services"][0]["fwmark"] == 1, "{rules}");
        Ok(())
    })
}

fn connections_for_people() -> Result<()> {
    in_fresh_namespace(|| {
        let _open = traffic()?;
        let ports = |words: &[&str]| -> Result<Vec<u64>> {
            let list = Schema::new()?.check("connections", &succeed(&[&["-L", "-c", "-j"], words].concat(), "")?)?;
            let list = list.as_array().context("no list")?;
            Ok(list.iter().filter_map(|connection| connection["client_port"].as_u64()).collect())
        };
        let sorted = |words: &[&str]| -> Result<Vec<u64>> { ports(&[words, &["--sort-by", "client"]].concat()) };
        ensure!(sorted(&[])? == [0, 40001, 40002, 40003], "{:?}", sorted(&[])?);
        ensure!(sorted(&["-t", "10.1.1.1:80"])? == [0, 40001, 40002]);
        ensure!(sorted(&["-t", "[2001:db8::1]:80"])? == [40003]);
        ensure!(sorted(&["-t", "10.1.1.1:81"])?.is_empty() && sorted(&["-u", "10.1.1.1:80"])?.is_empty());
        ensure!(sorted(&["-r", "[::1]:8080"])? == [40003] && sorted(&["-r", "[::1]:8081"])?.is_empty());
        ensure!(sorted(&["-r", "127.0.0.1", "-t", "10.1.1.1:80"])? == [0, 40001, 40002]);
        let chosen = succeed(&["-L", "-c", "-n", "-t", "[2001:db8::1]:80"], "")?;
        ensure!(chosen.lines().count() == 3 && chosen.contains("[2001:db8::1]:40003"), "{chosen}");
        let by_server = succeed(&["-L", "-c", "-n", "--sort-by", "server"], "")?;
        ensure!(by_server.lines().last().is_some_and(|line| line.ends_with("[::1]:8080")), "{by_server}");
        let by_client = succeed(&["-L", "-c", "-n", "--count-by", "client"], "")?;
        ensure!(by_client == "3 10.1.1.1\n1 2001:db8::1\n", "{by_client}");
        let by_server = document("connection_counts", &["-L", "-c", "--count-by", "server"])?;
        let counts = json!([
            {"server_address": "127.0.0.1", "server_port": 8080, "connections": 3},
            {"server_address": "::1", "server_port": 8080, "connections": 1},
        ]);
        let expected = json!({"by": "server", "then_by": null, "total": 4, "counts": counts});
        ensure!(by_server == expected, "{by_server}");
        let boxed = succeed(&["-L", "-c", "-n", "--table", "-r", "::1"], "")?;
        ensure!(boxed.contains("[2001:db8::1]:40003") && !boxed.contains("10.1.1.1"), "{boxed}");
        Ok(())
    })
}

fn colours_and_widths() -> Result<()> {
    in_fresh_namespace(|| {
        succeed(&["-R"], RULES)?;
        // What is not a terminal has no colours, unless they are asked for.
        for (words, colored) in [
            (&["-L", "-n", "--table"][..], false),
            (&["-L", "-n", "--table", "--color=auto"], false),
            (&["-L", "-n", "--table", "--color=never"], false),
            (&["-L", "-n", "--table", "--color=always"], true),
            (&["-L", "-n", "--wide", "--color=always"], true),
            (&["-L", "-n", "--color=always"], false),
            (&["-L", "-n", "--json", "--color=always"], false),
        ] {
            let text = succeed(words, "")?;
            ensure!(text.contains("10.0.0.3") && text.contains('\x1b') == colored, "{words:?}: {text}");
        }
        // Neither has it a width, and then nothing is cut; unless the environment has one.
        for (columns, locale, corner) in [("", "C", '+'), ("70", "C", '+'), ("70", "C.UTF-8", '┌')] {
            let mut command = Command::new(support::ours());
            command.args(["-L", "-n", "--table"]).env("LC_ALL", locale).env("COLUMNS", columns);
            let boxed = String::from_utf8(command.output()?.stdout)?;
            let drawn: Vec<&str> =
                boxed.lines().filter(|line| line.starts_with(['+', '|', '┌', '│', '├', '└'])).collect();
            ensure!(drawn.len() > 10 && drawn[0].starts_with(corner), "{boxed}");
            let width = drawn[0].chars().count();
            ensure!(drawn.iter().all(|line| line.chars().count() == width), "{boxed}");
            ensure!(boxed.contains("70 %") == columns.is_empty() && (columns.is_empty() || width <= 70), "{boxed}");
        }
        let wide = succeed(&["-L", "-n", "--wide"], "")?;
        let column = |line: &str| line.rfind("Forward").or_else(|| line.rfind(" Route ").map(|at| at + 1));
        let columns: Vec<usize> = wide.lines().filter_map(column).collect();
        ensure!(columns.len() == 3 && columns.iter().all(|at| *at == columns[0]), "{wide}");
        Ok(())
    })
}
