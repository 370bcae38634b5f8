//! Real servers on a real kernel: rtnetlink there and back, and `realserver` in any order, killed at any point. Each trial
//! has a network namespace of its own.

pub mod redirect;

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context as _, Result, anyhow, ensure};
use ipvsadm_rs::host::route::{Address, AddressFlags, Client, Prefix, Route, RouteKind, RouteQuery, Scope};
use netlink_exchange::Errno;
use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestRunner};

use crate::support::{self, Subject, Trial, in_fresh_namespace, ours, trial, until};

/// What a trial does.
type Run = fn() -> Result<()>;

/// What is tried, and where.
pub fn subject() -> Subject {
    Subject { prepare: need_ipv6, trials, ..Subject::named("realserver") }
}

fn trials() -> Result<Vec<Trial>> {
    let trials: [(&str, Run); _] = [
        ("any order, killed at any time", any_order_killed_at_any_time),
        ("killed at each change", killed_at_each_change),
        ("many at once", many_at_once),
        ("route: addresses and routes there and back", addresses_and_routes_there_and_back),
        ("what start makes", what_start_makes),
        ("on a dummy", a_vip_on_a_dummy),
        ("in a VRF", a_vip_in_a_vrf),
        ("bad input", bad_input_leaves_the_machine_as_it_was),
        ("stricter values", stricter_values_are_left_alone),
        ("other programs' changes", changes_of_others_are_left_and_reported),
        ("a namespace that is gone", a_record_of_a_namespace_that_is_gone),
        ("a record that is lost", a_record_that_is_lost),
        ("made by hand", start_and_stop_agree_about_a_vip_made_by_hand),
        ("rules on ARP packets", rules_on_arp_packets),
        ("redirect: by iptables", redirect::by_iptables),
        ("redirect: what is in the way", redirect::in_the_way),
        ("--persist", persistence_there_and_back),
    ];
    Ok(trials.into_iter().map(|(name, run)| trial(name, run)).collect())
}

/// A namespace made before that has no IPv6.
fn need_ipv6() -> Result<()> {
    sh("[ -e /proc/sys/net/ipv6 ] || modprobe ipv6").map(drop)
}

// ---- tools ----------------------------------------------------------------------------------------------------------

/// Runs `work` in a namespace with an interface that speaks ARP and has an address.
fn on_a_network<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    in_fresh_namespace(|| {
        sh("ip link add eth0 type veth peer name far
            ip link set eth0 addrgenmode none; ip link set far addrgenmode none
            ip link set eth0 up; ip link set far up
            ip address add 10.0.0.5/24 dev eth0
            for name in all lo eth0 far; do
                for key in arp_ignore arp_announce; do echo 0 >/proc/sys/net/ipv4/conf/$name/$key; done
            done")?;
        work()
    })
}

/// Runs a script that must succeed; returns what it prints.
fn sh(script: &str) -> Result<String> {
    let output = Command::new("sh").args(["-ec", script]).stdin(Stdio::null()).output().context("sh")?;
    ensure!(output.status.success(), "{script}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// All that a real server's VIPs are made of.
fn machine() -> Result<String> {
    sh("ip -d addr; ip route show table all; ip -6 route show table all; ip rule
        grep . /proc/sys/net/ipv4/conf/*/arp_* /proc/sys/net/ipv4/conf/*/rp_filter
        nft list ruleset")
    .and_then(|text| Ok(if has_arptables()? { text + &sh("arptables-legacy -n -L")? } else { text }))
    .and_then(|text| Ok(text + &redirect::rules_of_iptables()?))
}

fn ensure_same(before: &str, after: &str) -> Result<()> {
    ensure!(before == after, "the machine is not as it was:\n{}", support::difference(before, after));
    Ok(())
}

/// What became of a run: its exit status, or None if it was killed, and what it said.
struct Outcome {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs `realserver` with these words.
fn realserver(words: &str) -> Result<Outcome> {
    run(Command::new(ours()), words)
}

fn run(mut command: Command, words: &str) -> Result<Outcome> {
    let output =
        command.arg("realserver").args(words.split(' ')).stdin(Stdio::null()).output().context("running it")?;
    Ok(Outcome {
        // strace ends as what it runs does.
        status: output.status.code().filter(|_| output.status.signal().is_none()),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

fn ensure_status(words: &str, status: i32) -> Result<Outcome> {
    let outcome = realserver(words)?;
    ensure!(
        outcome.status == Some(status),
        "{words}: status {:?}, not {status}: {}{}",
        outcome.status,
        outcome.stdout,
        outcome.stderr
    );
    Ok(outcome)
}

/// Whether this kernel's nftables filter ARP: distributions' do, user-mode-linux's do not.
fn filters_arp() -> Result<bool> {
    in_fresh_namespace(|| Ok(sh("nft add table arp x").is_ok()))
}

/// Whether this kernel has arptables of its own: user-mode-linux of Linux 7 has not.
fn has_arptables() -> Result<bool> {
    static HAS: OnceLock<bool> = OnceLock::new();
    if let Some(has) = HAS.get() {
        return Ok(*has);
    }
    let has = in_fresh_namespace(|| Ok(sh("arptables-legacy -n -L").is_ok()))?;
    Ok(*HAS.get_or_init(|| has))
}

/// The ways to filter ARP that go here.
fn methods() -> Result<&'static [&'static str]> {
    Ok(match (has_arptables()?, filters_arp()?) {
        // Without its own, arptables is made of nftables.
        (_, true) => &["arptables", "nftables"],
        (true, false) => &["arptables"],
        (false, false) => &[],
    })
}

/// These, and `redirect` where this kernel can.
fn all_methods() -> Result<Vec<&'static str>> {
    Ok([methods()?, if redirect::is_possible()? { &["redirect"] } else { &[] }].concat())
}

/// The record of this namespace.
fn record() -> Result<PathBuf> {
    let inode = fs::metadata("/proc/thread-self/ns/net")?.ino();
    Ok(Path::new("/run/ipvsadm-rs").join(format!("realserver-{inode}.json")))
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn addresses_and_routes_there_and_back() -> Result<()> {
    in_fresh_namespace(|| {
        let mut client = Client::connect()?;
        let lo = client.links()?.into_iter().find(|link| link.name == "lo").context("no lo")?;
        ensure!(lo.flags.is_up() && lo.flags.is_loopback(), "{lo:?}");
        let before = (client.addresses()?, client.routes()?);
        for (text, label, flags) in [("192.0.2.1", Some("lo:0"), 0), ("2001:db8::1", None, AddressFlags::NO_DAD)] {
            let mut address = Address::host(lo.index, ip(text));
            address.label = label.map(str::to_owned);
            address.flags = AddressFlags(flags);
            client.add_address(&address)?;
            ensure!(client.add_address(&address).is_err_and(|error| error.errno() == Some(Errno::EEXIST)));
            let found = client.addresses()?.into_iter().find(|found| found.address == ip(text)).context("not there")?;
            ensure!(found.label.as_deref() == label && found.prefix == address.prefix, "{found:?}");
            ensure!(found.scope == Scope::Universe && found.flags.is_permanent(), "{found:?}");
            ensure!(found.valid.is_none() && found.preferred.is_none(), "{found:?}");
            // The kernel sets the local route of an IPv6 address a moment later.
            until(&format!("a local route to {text}"), || {
                let way = client.route_to(&RouteQuery::to(ip(text)))?;
                Ok(way.kind == RouteKind::Local && way.output == Some(lo.index))
            })?;
            // In a table whose number needs more than the header.
            for table in [Route::MAIN, 1000] {
                let route = Route { table, ..Route::on_link(Prefix::host(ip(text)), lo.index) };
                client.add_route(&route)?;
                let found = client.routes()?;
                let found = found
                    .iter()
                    .find(|found| {
                        // With an IPv6 address the kernel has set a route in main itself.
                        (found.destination, found.table, found.protocol) == (route.destination, table, route.protocol)
                    })
                    .context("no such route")?;
                ensure!(found.output == Some(lo.index) && found.kind == RouteKind::Unicast, "{found:?}");
                client.delete_route(&route)?;
                ensure!(client.delete_route(&route).is_err_and(|error| error.errno() == Some(Errno::ESRCH)));
            }
            client.delete_address(&address)?;
            ensure!(client.delete_address(&address).is_err_and(|error| error.errno() == Some(Errno::EADDRNOTAVAIL)));
        }
        ensure!((client.addresses()?, client.routes()?) == before, "something is left");
        let rules = client.rules()?;
        ensure!(rules.iter().any(|rule| rule.table == Route::LOCAL && rule.priority == 0), "{rules:?}");
        let error = client.add_address(&Address::host(4711, ip("192.0.2.1"))).err().context("added to no interface")?;
        ensure!(error.errno() == Some(Errno::ENODEV), "{error}");
        ensure!(error.to_string().starts_with("cannot add the address 192.0.2.1/32: No such device"), "{error}");
        Ok(())
    })
}

// ---- in any order ---------------------------------------------------------------------------------------------------

const VIPS: [&str; 4] = ["192.0.2.1", "192.0.2.2", "198.51.100.3", "2001:db8::4"];

/// System calls by which the program changes something, or is about to.
const CALLS: [&str; 10] = [
    "write",
    "sendto",
    "rename,renameat,renameat2",
    "fsync",
    "openat",
    "chmod",
    "unlink,unlinkat",
    "fchmod",
    "flock",
    "wait4,waitid",
];

/// One run of the program.
#[derive(Clone, Debug)]
struct Step {
    start: bool,
    vips: BTreeSet<usize>,
    method: &'static str,
    /// Killed at the call of this number among these.
    kill: Option<(&'static str, u32)>,
}

fn step(others: Vec<&'static str>) -> impl Strategy<Value = Step> {
    let vips = proptest::collection::btree_set(0..VIPS.len(), 1..3);
    let method = prop_oneof![2 => Just("arp-sysctl"), 1 => proptest::sample::select(others)];
    let kill = proptest::option::weighted(
        0.6,
        prop_oneof![
            3 => (proptest::sample::select(&CALLS[..2]), 1..12_u32),
            2 => (proptest::sample::select(&CALLS[2..]), 1..4_u32),
            1 => (Just("openat"), 1..60_u32),
        ],
    );
    (prop::bool::weighted(0.6), vips, method, kill).prop_map(|(start, vips, method, kill)| Step {
        start,
        vips,
        method,
        kill,
    })
}

impl Step {
    fn run(&self) -> Result<Outcome> {
        let vips: Vec<&str> = self.vips.iter().map(|&vip| VIPS[vip]).collect();
        let words = match self.start {
            true => format!("start --method {} {}", self.method, vips.join(" ")),
            false => format!("stop {}", vips.join(" ")),
        };
        let outcome = match self.kill {
            None => realserver(&words)?,
            Some((calls, number)) => {
                let mut command = Command::new("strace");
                command.args(["-o", "/dev/null", "-e", &format!("trace={calls}")]);
                command.args(["-e", &format!("inject={calls}:signal=KILL:when={number}")]).arg(ours());
                run(command, &words)?
            }
        };
        let known = match outcome.status {
            // Killed.
            None => self.kill.is_some(),
            Some(0) => true,
            Some(1) => {
                let expected = ["is started already", "is not started", "it may be on no interface"];
                expected.iter().any(|words| outcome.stderr.contains(words))
            }
            Some(_) => false,
        };
        ensure!(known, "{words}: status {:?}: {}{}", outcome.status, outcome.stdout, outcome.stderr);
        if outcome.status == Some(0) && self.start {
            // Whatever was left by those before: now all is there.
            ensure_status(&format!("status {}", vips.join(" ")), 0)?;
        }
        Ok(outcome)
    }
}

fn any_order_killed_at_any_time() -> Result<()> {
    let values = (0..3_usize, 0..5_usize, 0..3_usize, any::<bool>(), any::<bool>());
    let mut methods = all_methods()?;
    if methods.is_empty() {
        methods.push("arp-sysctl");
    }
    let strategy = (values, proptest::collection::vec(step(methods), 2..8));
    let config =
        ProptestConfig { cases: 16, failure_persistence: None, max_shrink_iters: 40, ..ProptestConfig::default() };
    let killed = std::cell::Cell::new(0);
    let outcome = TestRunner::new(config).run(&strategy, |((all_announce, all_ignore, lo_ignore, by_hand, table), steps)| {
        let one = || {
            on_a_network(|| {
                let ignore = [0, 1, 2, 3, 8];
                sh(&format!(
                    "cd /proc/sys/net/ipv4/conf; echo {all_announce} >all/arp_announce
                     echo {} >all/arp_ignore; echo {} >lo/arp_ignore",
                    ignore[all_ignore], ignore[lo_ignore]
                ))?;
                if by_hand {
                    sh("ip address add 192.0.2.1/32 dev lo; ip route add 198.51.100.3 dev lo; ip address add 203.0.113.1/32 dev lo label lo:0")?;
                }
                if table {
                    sh("nft 'table bridge others { chain c { type filter hook input priority 0; accept; }; }'")?;
                    if has_arptables()? {
                        sh("arptables-legacy -A INPUT -d 203.0.113.9 -j DROP")?;
                    }
                }
                let before = machine()?;
                let mut killed = 0;
                for step in &steps {
                    killed += u32::from(step.run()?.status.is_none());
                }
                for vip in VIPS {
                    let outcome = realserver(&format!("stop {vip}"))?;
                    let well = match outcome.status {
                        Some(0) => outcome.stderr.lines().all(|line| by_hand && line.contains(", found before start; ")),
                        Some(1) => outcome.stderr.contains("is not started"),
                        _ => false,
                    };
                    ensure!(well, "stop {vip}: status {:?}: {}", outcome.status, outcome.stderr);
                }
                ensure_same(&before, &machine()?)?;
                ensure!(!record()?.exists(), "a record is left");
                Ok(killed)
            })
        };
        match one() {
            Ok(count) => {
                killed.set(killed.get() + count);
                Ok(())
            }
            Err(error) => Err(TestCaseError::fail(format!("{error:#}"))),
        }
    });
    outcome.map_err(|error| anyhow!("{error}"))?;
    // A dozen or more as a rule; without any, this would have been another test.
    ensure!(killed.get() >= 3, "only {} runs were killed", killed.get());
    Ok(())
}

/// Runs `realserver` to be killed at the call of this number among these system calls. Returns whether it was.
fn killed(calls: &str, number: u32, words: &str) -> Result<bool> {
    let mut command = Command::new("strace");
    command.args(["-o", "/dev/null", "-e", &format!("trace={calls}")]);
    command.args(["-e", &format!("inject={calls}:signal=KILL:when={number}")]).arg(ours());
    let outcome = run(command, words)?;
    ensure!(matches!(outcome.status, None | Some(0)), "{words}: status {:?}: {}", outcome.status, outcome.stderr);
    Ok(outcome.status.is_none())
}

fn killed_at_each_change() -> Result<()> {
    on_a_network(|| {
        let before = machine()?;
        // What writes settings and files, what speaks netlink, what a record is put in its place and taken away by.
        for (calls, at_least) in [("write", 4), ("sendto", 7), ("rename,renameat,renameat2", 0), ("unlink,unlinkat", 0)]
        {
            let vips = "192.0.2.1 2001:db8::1";
            let (start, stop) = (format!("start {vips}"), format!("stop {vips}"));
            let mut number = 1;
            while killed(calls, number, &start)? {
                // Killed after the last change, there is nothing left to be done.
                let outcome = realserver(&start)?;
                let well = outcome.status == Some(0) || outcome.stderr.contains("2001:db8::1 is started already");
                ensure!(well, "{calls} {number}: {}", outcome.stderr);
                ensure_status(&format!("status {vips}"), 0).with_context(|| format!("{calls} {number}"))?;
                if killed(calls, number, &stop)? {
                    let outcome = realserver(&stop)?;
                    let well = outcome.status == Some(0) || outcome.stderr.contains("2001:db8::1 is not started");
                    ensure!(well, "{calls} {number}: {}", outcome.stderr);
                }
                ensure_same(&before, &machine()?).with_context(|| format!("{calls} {number}"))?;
                number += 1;
            }
            ensure_status(&stop, 0)?;
            ensure!(number > at_least, "only {number} calls of {calls}");
            ensure_same(&before, &machine()?)?;
        }
        Ok(())
    })
}

fn many_at_once() -> Result<()> {
    on_a_network(|| {
        let before = machine()?;
        for verb in ["start", "stop"] {
            let mut children = Vec::new();
            for number in 1..=8 {
                let mut command = Command::new(ours());
                command.args(["realserver", verb, &format!("192.0.2.{number}")]).stdin(Stdio::null());
                children.push(command.stderr(Stdio::piped()).spawn()?);
            }
            for child in children {
                let output = child.wait_with_output()?;
                ensure!(output.status.success(), "{verb}: {}", String::from_utf8_lossy(&output.stderr));
            }
            if verb == "start" {
                let said = ensure_status("status", 0)?.stdout;
                ensure!(said.matches("  ready (lo, arp-sysctl)").count() == 8, "{said}");
            }
        }
        ensure_same(&before, &machine()?)
    })
}

// ---- one by one -----------------------------------------------------------------------------------------------------

fn what_start_makes() -> Result<()> {
    on_a_network(|| {
        let before = machine()?;
        ensure_status("status 192.0.2.1", 3)?;
        ensure_status("start 192.0.2.1 2001:db8::1 192.0.2.2", 0)?;
        let lo = sh("ip addr show lo")?;
        for line in ["inet 192.0.2.1/32 scope global lo:0", "inet 192.0.2.2/32 scope global lo:1"] {
            ensure!(lo.contains(line), "{lo}");
        }
        ensure!(lo.contains("inet6 2001:db8::1/128 scope global nodad deprecated"), "{lo}");
        let routes = sh("ip route show table main; ip -6 route show table main")?;
        ensure!(routes.contains("192.0.2.1 dev lo scope link"), "{routes}");
        ensure!(routes.contains("2001:db8::1 dev lo proto kernel"), "{routes}");
        let values =
            sh("cd /proc/sys/net/ipv4/conf; cat all/arp_ignore all/arp_announce lo/arp_ignore lo/arp_announce")?;
        ensure!(values == "1\n2\n1\n2\n", "{values}");
        let status = ensure_status("status --json --pretty 192.0.2.1 2001:db8::1", 0)?.stdout;
        ensure!(
            status.starts_with("{\n  \"schema\": 1,\n  \"realserver_status\": {\n    \"ready\": true,"),
            "{status}"
        );
        ensure!(!status.contains("\"pass\": false") && status.contains("\"fact\": \"arp_ignore\""), "{status}");
        // The settings stay as long as another VIP needs them.
        ensure_status("stop 192.0.2.1", 0)?;
        ensure_status("status 192.0.2.2", 0)?;
        // Each fact by itself, of which the doctor says the same.
        for (fact, check, undo, redo) in [
            (
                "arp_ignore",
                "R2",
                "echo 0 >/proc/sys/net/ipv4/conf/all/arp_ignore",
                "echo 1 >/proc/sys/net/ipv4/conf/all/arp_ignore",
            ),
            (
                "arp_ignore",
                "R2",
                "echo 3 >/proc/sys/net/ipv4/conf/eth0/arp_ignore",
                "echo 0 >/proc/sys/net/ipv4/conf/eth0/arp_ignore",
            ),
            (
                "arp_announce",
                "R3",
                "echo 1 >/proc/sys/net/ipv4/conf/all/arp_announce",
                "echo 2 >/proc/sys/net/ipv4/conf/all/arp_announce",
            ),
            ("host_route", "", "ip route del 192.0.2.2 dev lo", "ip route add 192.0.2.2 dev lo"),
            ("elsewhere", "R4", "ip addr add 192.0.2.2/32 dev eth0", "ip addr del 192.0.2.2/32 dev eth0"),
            ("address", "R1", "ip addr del 192.0.2.2/32 dev lo", "ip addr add 192.0.2.2/32 dev lo label lo:1"),
        ] {
            sh(undo)?;
            let said = ensure_status("status 192.0.2.2", 3)?.stdout;
            ensure!(said.contains(&format!("  fail  {fact} ")), "{undo}: {said}");
            let failed = failed_checks("192.0.2.2")?;
            ensure!(failed == Vec::from_iter((!check.is_empty()).then_some(check)), "{undo}: {failed:?}");
            sh(redo)?;
            ensure_status("status 192.0.2.2", 0).with_context(|| redo.to_owned())?;
            ensure!(failed_checks("192.0.2.2")?.is_empty(), "{redo}: {:?}", failed_checks("192.0.2.2"));
        }
        // What is missing is made again.
        sh("ip addr del 192.0.2.2/32 dev lo")?;
        ensure_status("start 192.0.2.2", 0)?;
        ensure_status("status", 0)?;
        ensure_status("stop 2001:db8::1 192.0.2.2", 0)?;
        ensure_same(&before, &machine()?)
    })
}

/// Those of the checks R1 to R4 that fail for a VIP.
fn failed_checks(vip: &str) -> Result<Vec<String>> {
    let words = ["doctor", "--role", "real-server", "--all", "--json", vip];
    let output = Command::new(ours()).args(words).output()?;
    let document: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let findings = document["doctor"]["findings"].as_array().context("no findings")?;
    let checks = ["R1", "R2", "R3", "R4"];
    ensure!(checks.iter().all(|check| findings.iter().any(|one| one["id"] == **check)), "{document}");
    let failed = findings.iter().filter(|one| one["state"] == "fail").filter_map(|one| one["id"].as_str());
    Ok(failed.filter(|check| checks.contains(check)).map(str::to_owned).collect())
}

fn a_vip_on_a_dummy() -> Result<()> {
    on_a_network(|| {
        // With dots in its name, as VLANs have them.
        sh("ip link add vip.0 type dummy; ip link set vip.0 addrgenmode none; ip link set vip.0 up
            for key in arp_ignore arp_announce; do echo 0 >/proc/sys/net/ipv4/conf/vip.0/$key; done")?;
        let before = machine()?;
        ensure_status("start --interface vip.0 192.0.2.1 2001:db8::1", 0)?;
        let held = sh("ip addr show vip.0; ip route show table main")?;
        for line in
            ["inet 192.0.2.1/32 scope global vip.0:0", "inet6 2001:db8::1/128", "192.0.2.1 dev vip.0 scope link"]
        {
            ensure!(held.contains(line), "{held}");
        }
        let values = sh("cd /proc/sys/net/ipv4/conf; cat all/arp_ignore vip.0/arp_ignore lo/arp_ignore")?;
        ensure!(values == "1\n1\n0\n", "{values}");
        ensure_status("status", 0)?;
        ensure_status("stop 192.0.2.1 2001:db8::1", 0)?;
        ensure_same(&before, &machine()?)
    })
}

fn a_vip_in_a_vrf() -> Result<()> {
    on_a_network(|| {
        sh("ip link add red type vrf table 10; ip link set red addrgenmode none; ip link set red up
            ip link add vip0 type dummy; ip link set vip0 addrgenmode none; ip link set vip0 master red up
            for name in red vip0; do for key in arp_ignore arp_announce; do
                echo 0 >/proc/sys/net/ipv4/conf/$name/$key; done; done")?;
        let before = machine()?;
        ensure_status("start --interface vip0 192.0.2.1 2001:db8::1", 0)?;
        // Outside of the VRF nothing is led to it.
        let main = sh("ip route show table main; ip -6 route show table main")?;
        ensure!(!main.contains("192.0.2.1") && !main.contains("2001:db8::1"), "{main}");
        let own = sh("ip route show table 10; ip -6 route show table 10")?;
        for route in ["local 192.0.2.1 dev vip0", "local 2001:db8::1 dev vip0"] {
            ensure!(own.contains(route), "{own}");
        }
        let outcome = ensure_status("status", 0)?;
        for line in ["pass  host_route", "pass  delivered"] {
            ensure!(outcome.stdout.matches(line).count() == 2, "{}", outcome.stdout);
        }
        // Answers have a way there, which is not in the main table.
        let doctor = |vip: &str| Command::new(ours()).args(["doctor", "--json", "--pretty", vip]).output();
        let way_back = |vip: &str| -> Result<serde_json::Value> {
            let report: serde_json::Value = serde_json::from_slice(&doctor(vip)?.stdout)?;
            let mut checks = report["doctor"]["findings"].as_array().into_iter().flatten();
            Ok(checks.find(|check| check["id"] == "R6").context("no R6")?.clone())
        };
        for vip in ["192.0.2.1", "2001:db8::1"] {
            let found = way_back(vip)?;
            let advice = found["advice"].as_str().unwrap_or_default();
            ensure!(found["state"] == "fail" && advice.ends_with("via ROUTER vrf red"), "{found}");
        }
        sh("ip route add default dev vip0 vrf red; ip -6 route add default dev vip0 vrf red")?;
        for vip in ["192.0.2.1", "2001:db8::1"] {
            let found = way_back(vip)?;
            ensure!(found["state"] == "ok", "{found}");
        }
        sh("ip route del default vrf red; ip -6 route del default vrf red")?;
        ensure_status("stop 192.0.2.1 2001:db8::1", 0)?;
        ensure_same(&before, &machine()?)
    })
}

fn bad_input_leaves_the_machine_as_it_was() -> Result<()> {
    on_a_network(|| {
        ensure_status("start 192.0.2.9", 0)?;
        sh(
            "ip link add down0 type dummy; ip link add 'e;x' type dummy; ip addr add 192.0.2.8/24 dev lo; ip addr add 192.0.2.7/32 dev eth0",
        )?;
        let before = machine()?;
        let kept = fs::read(record()?)?;
        for (words, status, says) in [
            ("start 224.0.0.1", 2, "it is a multicast address"),
            ("start 0.0.0.0", 2, "it is not the address of a host"),
            ("start 127.0.0.1", 2, "it never leaves this host"),
            ("start fe80::1", 2, "of one link only"),
            ("start 192.0.2.1/24", 2, "without a prefix: 192.0.2.1"),
            ("start example.org", 2, "not an IPv4 or IPv6 address"),
            ("start", 2, "VIP"),
            ("restart 192.0.2.1", 2, "restart"),
            ("start --method none 192.0.2.1", 2, "none"),
            ("start --interface none0 192.0.2.1", 2, "there is no interface none0"),
            ("start --interface eth0 192.0.2.1", 2, "eth0 itself answers"),
            ("start --interface down0 192.0.2.1", 1, "down0 is down: ip link set down0 up\n"),
            // What is printed to be typed does what it says, whatever is in a name.
            ("start --interface e;x 192.0.2.1", 1, "ip link set 'e;x' up\n"),
            ("start 192.0.2.9", 1, "192.0.2.9 is started already"),
            ("start --method arptables 192.0.2.9", 1, "stop it first"),
            ("start 192.0.2.8", 1, "192.0.2.8 is on lo as /24"),
            ("start 192.0.2.1 192.0.2.7", 1, "192.0.2.7 is on eth0 already"),
            ("stop 192.0.2.1", 1, "192.0.2.1 is not started"),
            ("stop 192.0.2.1 192.0.2.2", 1, "192.0.2.1 is not started; 192.0.2.2 is not started"),
            ("stop --persist 192.0.2.1", 1, "192.0.2.1 is not started"),
        ] {
            let outcome = ensure_status(words, status)?;
            ensure!(outcome.stderr.contains(says), "{words}: {}", outcome.stderr);
            ensure!(outcome.stdout.is_empty(), "{words}: {}", outcome.stdout);
            ensure_same(&before, &machine()?).with_context(|| words.to_owned())?;
            ensure!(fs::read(record()?)? == kept, "{words}: the record has changed");
        }
        // Of several some are: the rest is done, and reported.
        let outcome = ensure_status("start 192.0.2.1 192.0.2.9", 0)?;
        ensure!(outcome.stderr.contains("192.0.2.9 is started already"), "{}", outcome.stderr);
        let outcome = ensure_status("stop 192.0.2.1 192.0.2.2", 0)?;
        ensure!(outcome.stderr.contains("192.0.2.2 is not started"), "{}", outcome.stderr);
        ensure_same(&before, &machine()?)?;
        // Without privileges, and where the settings cannot be written.
        let us = ours();
        let us = us.display();
        for (script, status, says) in [
            (format!("setpriv --reuid 65534 --clear-groups {us} realserver start 192.0.2.1"), 2, "you must be root"),
            (
                format!("setpriv --bounding-set -all --inh-caps -all {us} realserver start 192.0.2.1"),
                2,
                "you must be root",
            ),
            (
                format!(
                    "unshare -m sh -c 'mount -o bind,ro /proc/sys /proc/sys && {us} realserver start 2001:db8::1 192.0.2.1'"
                ),
                0,
                "",
            ),
        ] {
            let output = Command::new("sh").args(["-c", &script]).output()?;
            let said = String::from_utf8_lossy(&output.stderr);
            if status == 0 {
                // The settings have their values from the VIP that is there: nothing is to be written.
                ensure!(output.status.success(), "{script}: {said}");
                ensure_status("stop 2001:db8::1 192.0.2.1", 0)?;
            } else {
                ensure!(
                    output.status.code() == Some(status) && said.contains(says),
                    "{script}: {}: {said}",
                    output.status
                );
            }
            ensure_same(&before, &machine()?).with_context(|| script.clone())?;
        }
        ensure_status("stop 192.0.2.9", 0)?;
        let before = machine()?;
        let script =
            format!("mount -o bind,ro /proc/sys /proc/sys && exec {us} realserver start 2001:db8::1 192.0.2.1");
        let output = Command::new("unshare").args(["-m", "sh", "-c", &script]).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.code() == Some(2), "{script}: {}: {said}", output.status);
        for words in ["/proc/sys/net/ipv4/conf/all/arp_ignore cannot be written: Read-only file system", "container"] {
            ensure!(said.contains(words), "{said}");
        }
        ensure_same(&before, &machine()?)?;
        ensure!(!record()?.exists(), "a record is left");
        // Stopping needs them, too: what could not be put back is still known.
        ensure_status("start 192.0.2.1", 0)?;
        let script = format!("mount -o bind,ro /proc/sys /proc/sys && exec {us} realserver stop 192.0.2.1");
        let output = Command::new("unshare").args(["-m", "sh", "-c", &script]).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.code() == Some(2) && said.contains("Read-only file system"), "{}: {said}", output.status);
        ensure_status("stop 192.0.2.1", 0)?;
        ensure_same(&before, &machine()?)?;
        // A setting of the interface itself that would undo ours.
        sh("echo 3 >/proc/sys/net/ipv4/conf/eth0/arp_ignore")?;
        let before = machine()?;
        let outcome = ensure_status("start 192.0.2.1", 1)?;
        ensure!(outcome.stderr.contains("sysctl -w net/ipv4/conf/eth0/arp_ignore=1"), "{}", outcome.stderr);
        ensure_same(&before, &machine()?)
    })
}

fn stricter_values_are_left_alone() -> Result<()> {
    on_a_network(|| {
        sh("echo 8 >/proc/sys/net/ipv4/conf/all/arp_ignore; echo 2 >/proc/sys/net/ipv4/conf/lo/arp_ignore")?;
        let before = machine()?;
        ensure_status("start 192.0.2.1", 0)?;
        let values = sh("cd /proc/sys/net/ipv4/conf; cat all/arp_ignore lo/arp_ignore all/arp_announce")?;
        ensure!(values == "8\n2\n2\n", "{values}");
        ensure_status("stop 192.0.2.1", 0)?;
        ensure_same(&before, &machine()?)
    })
}

fn changes_of_others_are_left_and_reported() -> Result<()> {
    on_a_network(|| {
        ensure_status("start 192.0.2.1 192.0.2.2", 0)?;
        sh("echo 2 >/proc/sys/net/ipv4/conf/all/arp_ignore
            ip addr del 192.0.2.2/32 dev lo; ip addr add 192.0.2.2/32 dev lo label lo:mine")?;
        let outcome = ensure_status("stop 192.0.2.1", 0)?;
        ensure!(outcome.stderr.is_empty(), "the setting is still needed: {}", outcome.stderr);
        let outcome = ensure_status("stop 192.0.2.2", 0)?;
        for printed in ["net/ipv4/conf/all/arp_ignore is 2 now", "192.0.2.2 on lo has the label lo:mine now"] {
            ensure!(outcome.stderr.contains(printed), "{}", outcome.stderr);
        }
        let values = sh("cd /proc/sys/net/ipv4/conf; cat all/arp_ignore lo/arp_ignore all/arp_announce")?;
        ensure!(values == "2\n0\n0\n", "{values}");
        ensure!(sh("ip addr show lo")?.contains("lo:mine"), "the address is gone");
        Ok(())
    })
}

fn a_record_of_a_namespace_that_is_gone() -> Result<()> {
    on_a_network(|| {
        let before = machine()?;
        ensure_status("start 192.0.2.1", 0)?;
        // As if it were of a namespace before this one, with the same inode.
        let record = record()?;
        let text = fs::read_to_string(&record)?;
        let mut document: serde_json::Value = serde_json::from_str(&text)?;
        let cookie = document["namespace"]["cookie"].as_u64().context("no cookie: a kernel before 5.14?")?;
        document["namespace"]["cookie"] = (cookie + 1).into();
        fs::write(&record, document.to_string())?;
        let outcome = ensure_status("stop 192.0.2.1", 1)?;
        ensure!(outcome.stderr.contains("is not started"), "{}", outcome.stderr);
        fs::write(&record, &text)?;
        ensure_status("stop 192.0.2.1", 0)?;
        ensure_same(&before, &machine()?)?;
        // What cannot be read is not overwritten.
        fs::write(&record, "{}")?;
        let outcome = ensure_status("start 192.0.2.1", 1)?;
        ensure!(outcome.stderr.contains("not a record of ours"), "{}", outcome.stderr);
        ensure!(fs::read_to_string(&record)? == "{}", "the record was overwritten");
        ensure_same(&before, &machine()?)?;
        Ok(fs::remove_file(&record)?)
    })
}

/// The status of a VIP, as the document has it, and the exit status.
fn status_of(vip: &str) -> Result<(serde_json::Value, Option<i32>)> {
    let outcome = realserver(&format!("status --json {vip}"))?;
    let document: serde_json::Value = serde_json::from_str(&outcome.stdout)?;
    Ok((document["realserver_status"]["vips"][0].clone(), outcome.status))
}

/// The command that a message says to type, which is run then.
fn typed(message: &str, expected: &str) -> Result<Outcome> {
    let (_, command) =
        message.trim_end().rsplit_once("to remove: ipvsadm-rs realserver ").with_context(|| message.to_owned())?;
    ensure!(command == expected, "{message}");
    ensure_status(command, 0)
}

fn a_record_that_is_lost() -> Result<()> {
    let all_methods = [&["arp-sysctl"][..], methods()?].concat();
    for method in all_methods {
        on_a_network(|| {
            let before = machine()?;
            let start = format!("start --method {method} 192.0.2.1");
            let expected = match method {
                "arp-sysctl" => serde_json::json!(["address", "host_route"]),
                _ => serde_json::json!(["address", "host_route", "arp_rules"]),
            };
            ensure_status("start 192.0.2.2", 0)?;
            let with_other = machine()?;
            let with_other_record = fs::read(record()?)?;
            ensure_status(&start, 0)?;
            ensure!(status_of("192.0.2.1")?.0["without_record"] == serde_json::json!([]), "it has a record");
            let started = machine()?;
            fs::write(record()?, &with_other_record)?;
            // What is there is said, and stop changes nothing.
            let (status, _) = status_of("192.0.2.1")?;
            ensure!(status["without_record"] == expected && status["started"] == false, "{status}");
            let outcome = realserver("status 192.0.2.1")?;
            ensure!(outcome.stdout.contains("note  host_route    there without a record"), "{}", outcome.stdout);
            let outcome = ensure_status("stop 192.0.2.1", 1)?;
            ensure!(outcome.stderr.contains("the host route"), "{}", outcome.stderr);
            ensure_same(&started, &machine()?)?;
            let removed = typed(&outcome.stderr, "stop --force 192.0.2.1")?;
            // The settings are the other one's.
            ensure!(removed.stderr.is_empty(), "{}", removed.stderr);
            ensure_same(&with_other, &machine()?)?;
            ensure!(fs::read(record()?)? == with_other_record, "the other's record has changed");
            ensure_status("stop --force 192.0.2.1", 1)?;
            ensure_status("stop 192.0.2.2", 0)?;
            ensure_same(&before, &machine()?)?;
            // start takes it over, and stop leaves what start did not make.
            ensure_status(&start, 0)?;
            fs::remove_file(record()?)?;
            let outcome = ensure_status("status", 3)?;
            ensure!(outcome.stdout == "no VIP is started\n192.0.2.1 is on lo without a record\n", "{}", outcome.stdout);
            let outcome = ensure_status(&start, 0)?;
            ensure!(
                outcome.stderr.contains("to remove: ipvsadm-rs realserver stop --force 192.0.2.1"),
                "{}",
                outcome.stderr
            );
            let (status, code) = status_of("192.0.2.1")?;
            ensure!(status["started"] == true && status["method"] == method && code == Some(0), "{status}");
            ensure!(ensure_status(&start, 1)?.stderr.contains("192.0.2.1 is started already"), "started twice");
            let outcome = ensure_status("stop 192.0.2.1", 0)?;
            ensure!(sh("ip addr show lo")?.contains("192.0.2.1/32"), "{}", outcome.stderr);
            let removed = typed(&outcome.stderr, "stop --force 192.0.2.1")?;
            if method == "arp-sysctl" {
                ensure!(removed.stderr.contains("net/ipv4/conf/all/arp_ignore is 1"), "{}", removed.stderr);
                sh("cd /proc/sys/net/ipv4/conf; for name in all lo; do for key in arp_ignore arp_announce; do
                        echo 0 >$name/$key; done; done")?;
            } else {
                ensure!(removed.stderr.is_empty(), "{}", removed.stderr);
            }
            ensure_same(&before, &machine()?)?;
            ensure!(!record()?.exists(), "a record is left");
            Ok(())
        })
        .with_context(|| format!("--method {method}"))?;
    }
    Ok(())
}

fn start_and_stop_agree_about_a_vip_made_by_hand() -> Result<()> {
    on_a_network(|| {
        sh("ip link add quiet0 type dummy; ip link set quiet0 addrgenmode none; ip link set quiet0 up
            ip addr add 192.0.2.1/32 dev lo; ip route add 192.0.2.1 dev lo
            ip addr add 192.0.2.2/32 dev quiet0; ip addr add 198.51.100.3/24 dev lo; ip addr add 2001:db8::1/128 dev lo
            for name in all lo; do echo 1 >/proc/sys/net/ipv4/conf/$name/arp_ignore; done
            for name in all lo; do echo 2 >/proc/sys/net/ipv4/conf/$name/arp_announce; done")?;
        let before = machine()?;
        for vip in ["192.0.2.1", "2001:db8::1"] {
            // All of it was there. Started is started: stop takes that back, and nothing else.
            let outcome = ensure_status(&format!("start {vip}"), 0)?;
            ensure!(outcome.stderr.contains("without a record, which `stop' leaves"), "{}", outcome.stderr);
            ensure!(status_of(vip)?.0["started"] == true, "{vip} is not started");
            ensure_same(&before, &machine()?)?;
            let outcome = ensure_status(&format!("stop {vip}"), 0)?;
            ensure!(outcome.stderr.contains("found before start"), "{}", outcome.stderr);
            ensure_same(&before, &machine()?)?;
            ensure!(!record()?.exists(), "a record is left");
        }
        // What start would not have made so is not removed, and where it is is said.
        for (words, says) in [
            ("stop --force 198.51.100.3", "198.51.100.3 is not started\n"),
            ("stop --force 192.0.2.2", "192.0.2.2 is on quiet0"),
            ("stop --force 10.0.0.5", "10.0.0.5 is on eth0"),
            ("stop --force --interface eth0 10.0.0.5", "10.0.0.5 is not started"),
            ("stop --force 192.0.2.9", "192.0.2.9 is not started\n"),
        ] {
            let outcome = ensure_status(words, 1)?;
            ensure!(outcome.stderr.contains(says), "{words}: {}", outcome.stderr);
            ensure_same(&before, &machine()?)?;
        }
        ensure_status("stop --force --interface quiet0 192.0.2.2", 0)?;
        ensure_status("stop --force 192.0.2.1 2001:db8::1", 0)?;
        let left = sh("ip addr; ip route show table all")?;
        for gone in ["192.0.2.1", "192.0.2.2", "2001:db8::1"] {
            ensure!(!left.contains(gone), "{left}");
        }
        ensure!(left.contains("198.51.100.3/24"), "{left}");
        Ok(())
    })
}

fn rules_on_arp_packets() -> Result<()> {
    let methods = methods()?;
    for method in methods {
        on_a_network(|| {
            let before = machine()?;
            ensure_status(&format!("start --method {method} 192.0.2.1 192.0.2.2"), 0)?;
            let with_both = machine()?;
            ensure!(with_both.matches("10.0.0.5").count() > before.matches("10.0.0.5").count(), "{with_both}");
            ensure!(!with_both.contains("arp_ignore 1"), "the settings were changed: {with_both}");
            ensure_status("stop 192.0.2.1", 0)?;
            ensure_status("status 192.0.2.2", 0)?;
            match *method {
                "arptables" if has_arptables()? => sh("arptables-legacy -F INPUT")?,
                _ => sh("nft delete table arp ipvsadm-rs-192.0.2.2")?,
            };
            let outcome = ensure_status("status 192.0.2.2", 3)?;
            ensure!(outcome.stdout.contains("fail  arp_rules"), "{}", outcome.stdout);
            ensure_status(&format!("start --method {method} 192.0.2.2"), 0)?;
            ensure_status("status 192.0.2.2", 0)?;
            ensure_status("stop 192.0.2.2", 0)?;
            ensure_same(&before, &machine()?)
        })
        .with_context(|| format!("--method {method}"))?;
    }
    for method in ["arptables", "nftables"].iter().filter(|method| !methods.contains(method)) {
        on_a_network(|| {
            let before = machine()?;
            let outcome = ensure_status(&format!("start --method {method} 192.0.2.1"), 1)?;
            ensure!(outcome.stderr.contains("nftables filter no ARP"), "{}", outcome.stderr);
            ensure!(!record()?.exists(), "--method {method}: nothing was started, and there is a record");
            ensure_same(&before, &machine()?)
        })?;
    }
    Ok(())
}

fn persistence_there_and_back() -> Result<()> {
    on_a_network(|| {
        // Anything but the usual, which a file has to contain.
        let (options, printed) = match methods()? {
            [] => ("--interface quiet0", "--method arp-sysctl --interface quiet0"),
            _ => ("--method arptables", "--method arptables --interface lo"),
        };
        sh("ip link add quiet0 type dummy; ip link set quiet0 up")?;
        let before = machine()?;
        let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("dist/systemd/ipvsadm-rs-realserver@.service");
        // This machine's own files are not for that. One script, because the mounts end with it.
        let script = format!(
            "set -eu
             mkdir -p /etc/sysctl.d /etc/systemd/system
             mount -t tmpfs none /etc/sysctl.d; mount -t tmpfs none /etc/systemd/system
             us={us}
             $us realserver start --persist 192.0.2.1 && exit 1 || echo status $?
             cp {template} /etc/systemd/system/
             find /etc/sysctl.d /etc/systemd/system | sort >/tmp/before-$$
             $us realserver start 192.0.2.1
             $us realserver start --persist 192.0.2.1
             $us realserver start --persist {options} 192.0.2.2
             $us realserver start --persist 2001:db8::1
             $us realserver status --persist
             cd /etc; grep -r . sysctl.d systemd/system/*.d; readlink systemd/system/*.wants/*
             find sysctl.d systemd/system -name '*@*' | sort
             echo == as after a boot
             $us realserver stop 192.0.2.1
             cat sysctl.d/*192.0.2.1.conf | grep -v '^#' | while read -r key _ value; do echo $value >/proc/sys/$key; done
             $us realserver start 192.0.2.1
             echo == another way
             $us realserver stop 192.0.2.2
             $us realserver start --persist 192.0.2.2
             ls systemd/system/ipvsadm-rs-realserver@192.0.2.2.service.d/options.conf && exit 1
             $us realserver stop --persist 192.0.2.1 192.0.2.2 2001:db8::1
             find /etc/sysctl.d /etc/systemd/system | sort | diff /tmp/before-$$ -
             rm /tmp/before-$$",
            us = ours().display(),
            template = template.display()
        );
        let output = Command::new("unshare").args(["-m", "sh", "-c", &script]).output()?;
        let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success(), "{}: {said}{complained}", output.status);
        for line in [
            "status 1",
            "sysctl.d/60-ipvsadm-rs-realserver-192.0.2.1.conf:# before: net/ipv4/conf/all/arp_ignore = 0",
            "sysctl.d/60-ipvsadm-rs-realserver-192.0.2.1.conf:net/ipv4/conf/all/arp_ignore = 1",
            &format!("Environment=\"OPTIONS={printed}\""),
            "/etc/systemd/system/ipvsadm-rs-realserver@.service",
            "systemd/system/multi-user.target.wants/ipvsadm-rs-realserver@192.0.2.1.service",
            "systemd/system/multi-user.target.wants/ipvsadm-rs-realserver@2001:db8::1.service",
            "  pass  persist       it is started at every boot",
        ] {
            ensure!(said.contains(line), "no line {line} in:\n{said}");
        }
        ensure!(complained.matches("there is no unit").count() == 1, "{complained}");
        ensure_same(&before, &machine()?)
    })
}
