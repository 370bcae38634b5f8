//! The two ways to servers, netlink and socket options: they tell the same, and what is told was there.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{IpAddr, Ipv6Addr};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context as _, Result, anyhow, ensure};
use ipvs_client::{
    Change, Client, Destination, DestinationKey, Family, Forwarding, Service, ServiceKey, Statistics, Tunnel, scheduler,
};
use proptest::prelude::ProptestConfig;
use proptest::test_runner::{TestCaseError, TestRunner};

use crate::strategies::{self, Reach, Rules, RulesOfService};
use crate::support::{self, Subject, Trial, in_fresh_namespace, succeed, trial};

/// What a trial does.
type Run = fn() -> Result<()>;

/// What is tried, and where.
pub fn subject() -> Subject {
    Subject { prepare: crate::tables::find_schedulers, trials, ..Subject::named("readers") }
}

fn trials() -> Result<Vec<Trial>> {
    let trials: [(&str, Run); _] = [
        ("both: random tables", both_tell_the_same),
        ("both: which way is taken", options_are_asked_where_they_tell_all),
        ("both: tunnels in many services", tunnels_are_not_asked_for_over_and_over),
        ("options: a storm of edits", a_storm_of_edits),
        ("options: under valgrind", no_memory_is_misused),
        ("options: in a user namespace", listed_in_a_user_namespace),
    ];
    Ok(trials.into_iter().map(|(name, run)| trial(name, move || in_fresh_namespace(run))).collect())
}

// ---- tools ----------------------------------------------------------------------------------------------------------

fn fill(client: &mut Client, rules: &Rules) -> Result<()> {
    for change in strategies::changes(rules) {
        client.change(&change).with_context(|| format!("{change:?}"))?;
    }
    Ok(())
}

fn web() -> Service {
    Service::tcp([192, 0, 2, 1], 80, scheduler::RR)
}

fn server(host: u8) -> Destination {
    Destination::direct([10, 0, 0, host], 80)
}

fn through_a_tunnel(host: u16) -> Destination {
    Destination::tunnel(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, host), 80, Tunnel::Ipip)
}

/// Whether socket options tell all of a service.
fn is_plain(of_service: &RulesOfService) -> bool {
    let is_plain =
        |server: &Destination| server.key.address.is_ipv4() && !matches!(server.forwarding, Forwarding::Tunnel(_));
    of_service.service.key.family() == Family::Ipv4 && of_service.servers.values().all(is_plain)
}

/// Reads every service both ways, which have to tell the same in the same order. Returns how many were read by options.
fn read_both(rules: &Rules) -> Result<usize> {
    let mut read = 0;
    for key in rules.keys() {
        // A client of its own, as one that was told too little does not ask for the next service.
        let mut client = Client::connect()?;
        let netlink = client.destinations_with::<Statistics>(key)?.context("no service")?;
        ensure!(client.read_by_options() == 0, "counters were asked of socket options");
        let options = client.destinations_with::<()>(key)?.context("no service")?;
        let entries = client.read_by_options();
        let numbers = |active, inactive, persistent| [active, inactive, persistent];
        let one = netlink.iter().map(|entry| {
            let connections =
                numbers(entry.active_connections, entry.inactive_connections, entry.persistent_connections);
            (entry.destination, connections)
        });
        let other = options.iter().map(|entry| {
            let connections =
                numbers(entry.active_connections, entry.inactive_connections, entry.persistent_connections);
            (entry.destination, connections)
        });
        ensure!(one.eq(other), "{key:?}: netlink tells {netlink:?}, options tell {options:?}");
        let rules = client.destination_rules(key)?.context("no service")?;
        ensure!(netlink.iter().map(|entry| entry.destination).eq(rules), "{key:?}: rules differ");
        ensure!(client.read_by_options() == 2 * entries, "{key:?}: rules are not read as entries are");
        read += entries;
    }
    Ok(read)
}

// ---- both -----------------------------------------------------------------------------------------------------------

fn both_tell_the_same() -> Result<()> {
    let config =
        ProptestConfig { cases: 64, failure_persistence: None, max_shrink_iters: 60, ..ProptestConfig::default() };
    let strategy = strategies::rules(0..12, 0..8, Reach::Kernel, true);
    let plain = std::cell::Cell::new(0);
    let holds = |rules: Rules| -> Result<()> {
        let mut client = Client::connect()?;
        client.flush()?;
        fill(&mut client, &rules)?;
        let expected = rules.values().filter(|of_service| is_plain(of_service)).count();
        plain.set(plain.get() + expected);
        let read = read_both(&rules)?;
        ensure!(read == expected, "{read} services were read by options, not {expected}");
        Ok(())
    };
    TestRunner::new(config)
        .run(&strategy, |rules| holds(rules).map_err(|error| TestCaseError::fail(format!("{error:#}"))))
        .map_err(|error| anyhow!("{error}"))?;
    ensure!(plain.get() > 20, "only {} services without tunnels", plain.get());
    Ok(())
}

/// One service after the other that options cannot tell all of, and sizes at which parts of netlink end.
fn options_are_asked_where_they_tell_all() -> Result<()> {
    let mut client = Client::connect()?;
    let mark = Service::mark(u32::MAX, Family::Ipv4, scheduler::RR);
    let six = Service::tcp(Ipv6Addr::LOCALHOST, 80, scheduler::RR);
    let heavy = Destination::masquerade([10, 0, 0, 1], 8080).weight(i32::MAX as u32);
    let heavy = heavy.thresholds(i32::MAX as u32, 1);
    let four = Destination::tunnel([10, 0, 0, 2], 80, Tunnel::Ipip);
    let many = || (1..=250).map(server);
    let tables: [(Service, Vec<Destination>, bool); _] = [
        (web(), vec![], true),
        (web(), vec![heavy, server(2)], true),
        (web(), many().collect(), true),
        (mark, vec![heavy, server(1)], true),
        (web(), vec![server(1), four], false),
        (web(), vec![server(1), through_a_tunnel(1)], false),
        (web(), vec![through_a_tunnel(1)], false),
        (six, vec![Destination::direct(Ipv6Addr::LOCALHOST, 80)], false),
        (six, vec![], false),
    ];
    for (service, servers, expected) in tables {
        client.flush()?;
        let servers = servers.into_iter().map(|server| (server.key, server)).collect();
        let rules = Rules::from([(service.key, RulesOfService { service, servers })]);
        fill(&mut client, &rules)?;
        let read = read_both(&rules)?;
        ensure!(read == usize::from(expected), "{rules:?}: {read}");
    }
    client.flush()?;
    ensure!(client.destination_rules(&web().key)?.is_none(), "there is a service that is none");
    Ok(())
}

/// Where tunnels are common, options are seldom asked in vain; after the last of them they are asked again.
fn tunnels_are_not_asked_for_over_and_over() -> Result<()> {
    let mut client = Client::connect()?;
    let (tunnels, plain) = (web(), Service::tcp([192, 0, 2, 2], 80, scheduler::RR));
    let servers = [(&tunnels, through_a_tunnel(1)), (&plain, server(1))];
    for (service, server) in servers {
        client.add_service(service)?;
        client.add_destination(&service.key, &server)?;
    }
    let mut reads = |service: &Service, times: usize| -> Result<usize> {
        let before = client.read_by_options();
        for _ in 0..times {
            ensure!(client.destination_rules(&service.key)?.is_some_and(|servers| servers.len() == 1), "a server");
        }
        Ok(client.read_by_options() - before)
    };
    ensure!(reads(&plain, 3)? == 3);
    ensure!(reads(&tunnels, 1)? == 0);
    let after_one = reads(&plain, 4)?;
    ensure!(after_one == 4, "{after_one} of 4 services after one with tunnels");
    ensure!(reads(&tunnels, 2)? == 0);
    let after_two = reads(&plain, 4)?;
    ensure!(after_two == 3, "{after_two} of 4 services after two with tunnels");
    ensure!(reads(&tunnels, 200)? == 0);
    let after_many = reads(&plain, 40)?;
    ensure!((9..40).contains(&after_many), "{after_many} of 40 services after 200 with tunnels");
    ensure!(reads(&plain, 10)? == 10);
    Ok(())
}

// ---- options --------------------------------------------------------------------------------------------------------

/// What is read while another program edits was there in one moment. Servers 1 and 2 get every new weight in this order; the
/// others come and go, one of them through a tunnel and of the other family.
fn a_storm_of_edits() -> Result<()> {
    const READS: usize = 4000;
    let key = web().key;
    let mut client = Client::connect()?;
    client.add_service(&web())?;
    for host in [1, 2] {
        client.add_destination(&key, &server(host))?;
    }
    let stop = AtomicBool::new(false);
    let storm = || -> Result<u32> {
        let mut client = Client::connect()?;
        let mut weight = 1;
        while !stop.load(Ordering::Relaxed) {
            weight += 1;
            for change in [
                Change::EditDestination(key, server(1).weight(weight)),
                Change::EditDestination(key, server(2).weight(weight)),
                Change::AddDestination(key, server(3)),
                Change::AddDestination(key, through_a_tunnel(1)),
                Change::DeleteDestination(key, server(3).key),
                Change::AddDestination(key, server(4)),
                Change::DeleteDestination(key, through_a_tunnel(1).key),
                Change::DeleteDestination(key, server(4).key),
            ] {
                client.change(&change)?;
            }
        }
        Ok(weight)
    };
    let there = |hosts: &[u8], tunnel: bool| -> BTreeSet<IpAddr> {
        let tunnel = tunnel.then(|| through_a_tunnel(1).key.address);
        hosts.iter().map(|&host| server(host).key.address).chain(tunnel).collect()
    };
    let were = [
        there(&[1, 2], false),
        there(&[1, 2, 3], false),
        there(&[1, 2, 3], true),
        there(&[1, 2], true),
        there(&[1, 2, 4], true),
        there(&[1, 2, 4], false),
    ];
    let mut seen: BTreeSet<usize> = BTreeSet::new();
    let mut read = || -> Result<()> {
        for _ in 0..READS {
            let servers = client.destination_rules(&key)?.context("no service")?;
            let hosts: BTreeSet<IpAddr> = servers.iter().map(|server| server.key.address).collect();
            ensure!(hosts.len() == servers.len(), "one is there twice: {servers:?}");
            let state = were.iter().position(|state| *state == hosts);
            seen.insert(state.with_context(|| format!("servers that never were together: {hosts:?}"))?);
            let weight = |host| {
                let wanted: DestinationKey = server(host).key;
                servers.iter().find(|server| server.key == wanted).map(|server| server.weight)
            };
            let (first, second) = (weight(1).unwrap_or(0), weight(2).unwrap_or(0));
            ensure!(first == second || first == second + 1, "weights that never were together: {first}, {second}");
        }
        Ok(())
    };
    let weight = thread::scope(|scope| {
        let storm = scope.spawn(storm);
        let outcome = read();
        stop.store(true, Ordering::Relaxed);
        let weight = storm.join().map_err(|_| anyhow!("the storm panicked"))?;
        outcome.and(weight)
    })?;
    ensure!(weight > 10, "only {weight} rounds of edits");
    ensure!(client.read_by_options() > READS / 100, "{} reads by options", client.read_by_options());
    Ok(())
}

/// valgrind watches what the program hands to the kernel and what it reads of what comes back.
fn no_memory_is_misused() -> Result<()> {
    let mut client = Client::connect()?;
    let key: ServiceKey = web().key;
    client.add_service(&web())?;
    for host in 1..=50 {
        client.add_destination(&key, &server(host))?;
    }
    client.add_service(&Service::mark(1, Family::Ipv4, scheduler::RR))?;
    for words in [&["-L", "-n"][..], &["-S", "-n"]] {
        let expected = succeed(words, b"")?;
        let output = Command::new("valgrind")
            // The program is linked statically: its malloc is its own, and what the C library does with words of which it needs a
            // part looks like a mistake. All that is handed to the kernel is written before.
            .args(["--quiet", "--error-exitcode=99", "--undef-value-errors=no", "--soname-synonyms=somalloc=NONE"])
            .arg(support::ours())
            .args(words)
            .stdin(Stdio::null())
            .output()
            .context("valgrind (the package valgrind)")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success() && said.is_empty(), "{words:?}: {}: {said}", output.status);
        ensure!(output.stdout == expected.as_bytes(), "{words:?}: another listing under valgrind");
    }
    Ok(())
}

/// There netlink is refused, and a listing shows what options tell.
fn listed_in_a_user_namespace() -> Result<()> {
    let ours = support::ours();
    let program = ours.to_str().context("a path that is not UTF-8")?;
    let script = r#"ip link set lo up; echo ready; read -r _
        for words in "-L -n" "-L -n -t 192.0.2.1:80" "-L -n -t 192.0.2.9:80" "-S -n" "-A -t 192.0.2.2:80"; do
            "$0" $words; echo "status $?"
        done 2>&1"#;
    let mut inside = Command::new("unshare")
        .args(["--user", "--map-root-user", "--net", "sh", "-c", script, program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("unshare (the package util-linux)")?;
    let mut stdout = BufReader::new(inside.stdout.take().context("no standard output")?);
    let mut text = String::new();
    stdout.read_line(&mut text)?;
    ensure!(text == "ready\n", "{text:?}");
    text.clear();
    let outside = format!("--net=/proc/{}/ns/net", inside.id());
    for words in [
        "-A -t 192.0.2.1:80 -s rr -p 300 --pe sip",
        "-a -t 192.0.2.1:80 -r 10.0.0.2:80 -m -w 3",
        "-a -t 192.0.2.1:80 -r 10.0.0.1 -m -w 2",
        "-a -t 192.0.2.1:80 -r 10.0.0.3 -i",
        "-A -t [2001:db8::1]:80",
    ] {
        let status = Command::new("nsenter").arg(&outside).arg(program).args(words.split(' ')).status()?;
        ensure!(status.success(), "{words}: {status}");
    }
    drop(inside.stdin.take());
    stdout.read_to_string(&mut text)?;
    inside.wait()?;
    let header = "Prot LocalAddress:Port Scheduler Flags\n\
                  \x20 -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\n";
    let services = "TCP  192.0.2.1:80 rr persistent 300\n\
                    \x20 -> 10.0.0.1:80                  Masq    2      0          0         \n\
                    \x20 -> 10.0.0.2:80                  Masq    3      0          0         \n";
    let left_out = "the kernel answers netlink only in the first user namespace: left out are IPv6 services, persistence \
                    engines and servers through tunnels (servers left out: 1)\n";
    let refused = "Can't initialize ipvs: Permission denied (you must be root)\n\
                   Are you sure that IP Virtual Server is built in the kernel or as module?\n\
                   This is a user namespace (a container without privileges, say): the kernel takes changes of IPVS only \
                   from outside of it.\n";
    // What is said comes before what was gathered.
    let listed = format!("{left_out}{header}{services}status 0\n");
    let expected = format!("{listed}{listed}No such service\nstatus 1\n{refused}status 2\n{refused}status 2\n");
    let shown: String =
        text.split_inclusive('\n').filter(|line| !line.starts_with("IP Virtual Server version ")).collect();
    ensure!(shown == expected, "{}", support::difference(&expected, &shown));
    Ok(())
}
