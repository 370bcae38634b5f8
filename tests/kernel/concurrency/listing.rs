//! What is listed is a table that there was, whatever others change at that time.

use std::collections::BTreeSet;
use std::io::{self, Read as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use ipvs_client::{Change, Client, Destination, DestinationEntry, DestinationKey, ServiceKey, Step, TableService};
use netlink_exchange::{Netlink, Transport};

use super::{add, by_mark, key, server, server_key, start};
use crate::support::run;

/// A netlink socket on which something happens before the next part of an answer is read.
struct Meddled<M> {
    netlink: Netlink,
    reads: u32,
    meddle: M,
}

impl<M: FnMut(u32) + Send> Transport for Meddled<M> {
    fn port(&self) -> u32 {
        self.netlink.port()
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.netlink.send(bytes)
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reads += 1;
        (self.meddle)(self.reads);
        self.netlink.receive(buffer)
    }
}

/// A client that meets these changes before its read of this number; the first one is of connecting.
fn meddled(read: u32, changes: Vec<Change>) -> Result<Client> {
    let mut other = Client::connect()?;
    let meddle = move |number| {
        if number == read {
            for change in &changes {
                other.change(change).unwrap();
            }
        }
    };
    Client::over(Box::new(Meddled { netlink: Netlink::generic()?, reads: 0, meddle }))?.context("no IPVS")
}

/// More than fit into one part of a dump by far.
const MANY: u8 = 120;
/// Reads that a dump of this many takes at most, with those of connecting.
const READS: u32 = 12;

/// The servers of the first service, held or passed on.
fn servers(client: &mut Client, passed: bool) -> Result<Vec<DestinationEntry>> {
    if !passed {
        return client.destinations(&key(1))?.context("no service");
    }
    let mut servers = Vec::new();
    let is_there = client.each_destination(&key(1), |step| match step {
        Step::Begin => servers.clear(),
        Step::Entry(entry) => servers.push(entry),
    })?;
    ensure!(is_there, "no service");
    Ok(servers)
}

/// The keys of all services, as they are held or passed on.
fn service_keys(client: &mut Client, passed: bool) -> Result<Vec<ServiceKey>> {
    if !passed {
        return Ok(client.services()?.iter().map(|entry| entry.service.key).collect());
    }
    let mut keys = Vec::new();
    client.each_service(|step| match step {
        Step::Begin => keys.clear(),
        Step::Entry(entry) => keys.push(entry.service.key),
    })?;
    Ok(keys)
}

/// Between two parts of a dump the kernel only remembers how many entries it has sent.
pub(super) fn a_dump_in_parts_is_of_one_moment() -> Result<()> {
    let mut client = Client::connect()?;
    let all: BTreeSet<u8> = (1..=MANY).collect();
    let mut parts = 0;
    for (read, passed) in (2..READS).flat_map(|read| [(read, false), (read, true)]) {
        client.change(&Change::Flush)?;
        add(&mut client, 1, all.iter().copied())?;
        let order: Vec<DestinationKey> =
            client.destinations(&key(1))?.context("no service")?.iter().map(|entry| entry.destination.key).collect();
        let (first, last) = (order[0], order[order.len() - 1]);

        // Deleted at the front, and one behind would be passed over.
        let delete = vec![Change::DeleteDestination(key(1), first)];
        let listed = servers(&mut meddled(read, delete)?, passed)?;
        let listed: Vec<DestinationKey> = listed.iter().map(|entry| entry.destination.key).collect();
        ensure!(listed == order || listed == order[1..], "before read {read}: {} of {MANY}", listed.len());
        parts += u32::from(listed.len() < order.len());

        // Added at the front, and one would come twice.
        let add_again = vec![Change::AddDestination(key(1), Destination::new(first.address, first.port))];
        let listed = servers(&mut meddled(read, add_again)?, passed)?;
        let different: BTreeSet<DestinationKey> = listed.iter().map(|entry| entry.destination.key).collect();
        ensure!(different.len() == listed.len(), "before read {read}: one is listed twice");
        ensure!(listed.len() >= order.len() - 1, "before read {read}: {} of {MANY}", listed.len());

        // The first one is changed before the last one.
        let heavier = |server: DestinationKey| {
            Change::EditDestination(key(1), Destination::new(server.address, server.port).weight(2))
        };
        let listed = servers(&mut meddled(read, vec![heavier(first), heavier(last)])?, passed)?;
        let weight =
            |key| listed.iter().find(|entry| entry.destination.key == key).map(|entry| entry.destination.weight);
        let weights = (weight(first), weight(last));
        ensure!(weights != (Some(1), Some(2)), "before read {read}: weights that there never were together");

        client.change(&Change::Flush)?;
        (1..=MANY).try_for_each(|mark| add(&mut client, mark.into(), []))?;
        let order: Vec<ServiceKey> = client.services()?.iter().map(|entry| entry.service.key).collect();
        let listed = service_keys(&mut meddled(read, vec![Change::DeleteService(order[0])])?, passed)?;
        ensure!(listed == order || listed == order[1..], "before read {read}: {} services of {MANY}", listed.len());
    }
    ensure!(parts > 1, "no dump came in parts");
    Ok(())
}

/// A service that is deleted between the dump of services and that of its servers was never without servers.
pub(super) fn a_service_deleted_in_between_is_not_listed() -> Result<()> {
    let mut client = Client::connect()?;
    for read in 2..READS {
        client.change(&Change::Flush)?;
        add(&mut client, 1, [1, 2])?;
        add(&mut client, 2, [1, 2])?;
        add(&mut client, 3, [])?;
        let table = meddled(read, vec![Change::DeleteService(key(2))])?.table()?;
        for TableService { entry, destinations } in &table.services {
            let expected = if entry.service.key == key(3) { 0 } else { 2 };
            ensure!(
                destinations.len() == expected,
                "before read {read}: {entry:?} with {} servers",
                destinations.len()
            );
        }
        let marks = table.services.len();
        ensure!(marks == 2 || marks == 3, "before read {read}: {marks} services");
    }
    client.change(&Change::Flush)?;
    add(&mut client, 3, [])?;
    for (mark, is_there) in [(2, false), (3, true)] {
        let mut servers = 0;
        let found = client.each_destination(&key(mark), |step| servers += u32::from(matches!(step, Step::Entry(_))))?;
        ensure!(found == is_there && servers == 0, "service {mark}: {found}, {servers} servers");
    }

    // The program, which is made to wait for its reader once it has read which services there are.
    const SERVICES: u32 = 2500;
    let mut batch = client.batch(|mark: u32, refusal| panic!("{mark}: {refusal}"))?;
    batch.push(0, &Change::Flush)?;
    for mark in 1..=SERVICES {
        batch.push(mark, &Change::AddService(by_mark(mark)))?;
        batch.push(mark, &Change::AddDestination(key(mark), server(1, 1)))?;
    }
    batch.finish()?;
    for words in [&["-L", "-n"][..], &["-L", "-n", "--stats"], &["-L", "--json"]] {
        let mut listing = start(words)?;
        let mut stdout = listing.stdout.take().context("no standard output")?;
        let mut text = vec![0];
        stdout.read_exact(&mut text)?;
        client.change(&Change::DeleteService(key(SERVICES)))?;
        stdout.read_to_end(&mut text)?;
        let status = listing.wait()?;
        ensure!(status.success(), "{words:?}: {status}");
        let listed = listed(&String::from_utf8(text)?)?;
        let marks: Vec<u32> = listed.iter().map(|(mark, _)| *mark).collect();
        ensure!(marks == (1..SERVICES).collect::<Vec<u32>>(), "{words:?}: {} services", marks.len());
        ensure!(listed.iter().all(|(_, hosts)| *hosts == [1]), "{words:?}: a service without its server");
        add(&mut client, SERVICES, [1])?;
    }
    Ok(())
}

/// The services that a listing, a file of rules or a document shows, by marks, and the hosts of their servers, sorted.
fn listed(text: &str) -> Result<Vec<(u32, Vec<u8>)>> {
    let host = |address: &str| -> Result<u8> {
        let quad = address.split(':').next().unwrap_or_default();
        let host = quad.strip_prefix("10.0.0.").and_then(|host| host.parse().ok());
        host.with_context(|| format!("an address that was never there: {address:?}"))
    };
    let mut services: Vec<(u32, Vec<u8>)> = Vec::new();
    if text.starts_with('#') {
        for line in text.lines() {
            let value = |label: &str| line.split_once(&format!("{label}=\""))?.1.split('"').next();
            let mark = value("local_mark").map(|mark| u32::from_str_radix(mark, 16)).transpose()?;
            match (mark, value("remote_address")) {
                (Some(mark), None) => services.push((mark, Vec::new())),
                (Some(mark), Some(address)) => {
                    let of = services.iter_mut().find(|(other, _)| *other == mark);
                    of.context("a server without its service")?.1.push(host(address)?);
                }
                (None, _) => {}
            }
        }
    } else if text.starts_with('{') {
        let document: serde_json::Value = serde_json::from_str(text)?;
        for service in document["table"]["services"].as_array().context("no services")? {
            let mark = service["fwmark"].as_u64().context("no mark")?;
            let servers = service["servers"].as_array().context("no servers")?;
            let hosts = servers.iter().map(|server| host(server["address"].as_str().unwrap_or_default()));
            services.push((u32::try_from(mark)?, hosts.collect::<Result<_>>()?));
        }
    } else {
        for line in text.lines() {
            match line.split_whitespace().collect::<Vec<_>>()[..] {
                ["FWM", mark, "rr"] | ["-A", "-f", mark, "-s", "rr"] => services.push((mark.parse()?, Vec::new())),
                // Counters.
                ["FWM", mark, _, _, _, _, _] => services.push((mark.parse()?, Vec::new())),
                ["IP" | "Prot", ..] | ["->", "RemoteAddress:Port", ..] => {}
                ["->", address, _, _, _, _] | ["->", address, _, _, _, _, _] | ["-a", _, _, "-r", address, ..] => {
                    services.last_mut().context("a server before the first service")?.1.push(host(address)?);
                }
                _ => bail!("a line that is none: {line:?}"),
            }
        }
    }
    services.iter_mut().for_each(|(_, hosts)| hosts.sort_unstable());
    Ok(services)
}

/// While another program changes services and servers all the time, whatever is listed was there: no service is without the
/// servers that it never was without, none is missing or there twice. Or it is reported that the list cannot be read.
pub(super) fn a_storm_of_edits() -> Result<()> {
    const ROUNDS: u32 = 12;
    const STEADY: std::ops::Range<u32> = 10..50;
    let mut client = Client::connect()?;
    add(&mut client, 1, [1, 2])?;
    add(&mut client, 2, 1..=MANY)?;
    STEADY.into_iter().try_for_each(|mark| add(&mut client, mark, [1, 2]))?;
    let stop = AtomicBool::new(false);
    let storm = || -> Result<u32> {
        let mut client = Client::connect()?;
        let mut cycles = 0;
        while !stop.load(Ordering::Relaxed) {
            // Of the first service at least two of three servers are there; of the second one always most; the third one
            // comes without servers, gets two, and goes with them.
            for change in [
                Change::AddDestination(key(1), server(3, 1)),
                Change::DeleteDestination(key(1), server_key(1)),
                Change::AddService(by_mark(3)),
                Change::AddDestination(key(3), server(1, 1)),
                Change::AddDestination(key(2), server(201, 1)),
                Change::AddDestination(key(1), server(1, 1)),
                Change::AddDestination(key(3), server(2, 1)),
                Change::DeleteDestination(key(1), server_key(3)),
                Change::DeleteService(key(3)),
                Change::DeleteDestination(key(2), server_key(201)),
            ] {
                client.change(&change)?;
            }
            cycles += 1;
            thread::sleep(Duration::from_millis(2));
        }
        Ok(cycles)
    };
    let read = || -> Result<()> {
        for words in [
            &["-L", "-n"][..],
            &["-L", "-n", "--nosort"],
            &["-L", "-n", "--stats"],
            &["-S", "-n"],
            &["-L", "--json"],
            &["-L", "--prometheus", "--only", "service_info,server_info"],
        ] {
            let mut well = 0;
            for _ in 0..ROUNDS {
                let output = run(words, b"")?;
                if output.status == "1" {
                    let expected = "the table keeps changing while it is read; try again\n";
                    ensure!(output.stderr == expected, "{words:?}: {output:?}");
                    continue;
                }
                ensure!(output.status == "0" && output.stderr.is_empty(), "{words:?}: {output:?}");
                well += 1;
                let services = listed(&output.stdout).with_context(|| format!("{words:?}"))?;
                let marks: BTreeSet<u32> = services.iter().map(|(mark, _)| *mark).collect();
                ensure!(marks.len() == services.len(), "{words:?}: a service is there twice: {services:?}");
                let missing: Vec<u32> = STEADY.chain([1, 2]).filter(|mark| !marks.contains(mark)).collect();
                ensure!(missing.is_empty(), "{words:?}: without {missing:?}");
                for (mark, hosts) in &services {
                    let right = match mark {
                        1 => [&[1, 2][..], &[1, 2, 3], &[2, 3]].contains(&hosts.as_slice()),
                        2 => {
                            hosts.iter().copied().filter(|&host| host != 201).eq(1..=MANY)
                                && hosts.len() <= 1 + usize::from(MANY)
                        }
                        3 => [&[][..], &[1], &[1, 2]].contains(&hosts.as_slice()),
                        _ => *hosts == [1, 2],
                    };
                    ensure!(right, "{words:?}: {mark} never was with {hosts:?}");
                }
            }
            ensure!(well > 0, "{words:?} never printed anything");
        }
        Ok(())
    };
    let cycles = thread::scope(|scope| {
        let storm = scope.spawn(storm);
        let outcome = read();
        stop.store(true, Ordering::Relaxed);
        let cycles = storm.join().map_err(|_| anyhow!("the storm panicked"))?;
        outcome.and(cycles)
    })?;
    ensure!(cycles > 10, "only {cycles} cycles of edits");
    Ok(())
}
