//! Two directors with the same rules and different histories: their digests are equal if and only if every client gets the
//! same server, and rules that are saved with their order bring the order along.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context as _, Result, ensure};
use ipvs_client::mapping::{Kernel, Mapping, Member, Unknown};
use ipvs_client::{
    Client, Destination, DestinationKey, Family, Protocol, Service, ServiceFlags, ServiceKey, scheduler,
};

use super::packets::{First, Sender};
use super::{Listed, Random, network, read_until};
use crate::schema::Schema;
use crate::support::{Output, in_fresh_namespace, run, succeed};

/// Pairs of directors.
const PAIRS: u64 = 16;
/// Clients of each that are computed, and that are real.
const PREDICTED: usize = 10_000;
const REAL: usize = 500;
/// Saved rules that are restored.
const SAVED: u64 = 12;

/// What a director is like.
struct Seen {
    /// `-L --json`
    table: String,
    /// What `diff` says of the table of the other one.
    diff: Option<Output>,
    digest: String,
    /// The server of each client, and the one whose slot it has, which may have weight 0; nothing if it is not known.
    predicted: Option<Vec<(Option<DestinationKey>, Option<DestinationKey>)>>,
    real: Vec<Option<DestinationKey>>,
}

/// Some client and where it goes, always the same of one number.
fn client(number: usize) -> (SocketAddr, SocketAddr) {
    let mut random = Random(number as u64);
    let client = SocketAddr::new(random.client(Family::Ipv4), random.port());
    let IpAddr::V4(to) = random.virtual_address(Family::Ipv4) else { return (client, client) };
    (client, SocketAddr::new(to.into(), 80))
}

/// The digests of this namespace, of a single service.
fn digest() -> Result<String> {
    let output = run(&["where", "--digest"], b"")?;
    let (_, digest) = output.stdout.trim_end().rsplit_once("FWM 7 ").with_context(|| format!("{output:?}"))?;
    // The reason is left out: it names the first such server, whose place may be another.
    Ok(digest.split(':').next().unwrap_or_default().to_owned())
}

/// A random life of a service, which ends with these servers: they come in any order, some of them twice, others come and go,
/// weights fall and rise, and flags are set and taken away.
fn history(seed: u64, kernel: &mut Client, service: &Service, servers: &[Destination]) -> Result<()> {
    let mut random = Random(seed);
    let key = &service.key;
    kernel.add_service(service)?;
    for server in shuffled(&mut random, servers.to_vec()) {
        let weight = random.of(&[server.weight, 1, 7]);
        kernel.add_destination(key, &server.weight(weight))?;
    }
    for _ in 0..random.below(8) {
        let server = random.of(servers);
        match random.below(5) {
            0 | 1 => {
                kernel.delete_destination(key, &server.key)?;
                kernel.add_destination(key, &server)?;
            }
            2 => kernel.edit_destination(key, &server.weight(random.of(&[0, 1, 5])))?,
            3 => {
                let other = Destination::direct([10, 50, 0, 77], 80);
                kernel.add_destination(key, &other)?;
                kernel.edit_destination(key, &server.weight(0))?;
                kernel.delete_destination(key, &other.key)?;
            }
            _ => {
                kernel.edit_service(&service.flags(ServiceFlags::from_bits(random.of(&[0, 8, 16, 24]))))?;
                kernel.edit_service(service)?;
            }
        }
    }
    servers.iter().try_for_each(|server| Ok(kernel.edit_destination(key, server)?))
}

/// A director with these rules and a random history, and how it differs from another one.
fn director(service: Service, servers: &[Destination], seed: u64, peer: Option<&Seen>) -> Result<Seen> {
    in_fresh_namespace(|| {
        network()?;
        let mut kernel = Client::connect()?;
        history(seed, &mut kernel, &service, servers)?;
        let servers = kernel.destinations_with::<()>(&service.key)?.context("no service")?;
        let members: Vec<Member> = servers.iter().map(Member::reported).collect();
        let predicted = match Mapping::new(&service, &members, &Kernel::DEFAULT) {
            Ok(mapping) => {
                let clients = (0..PREDICTED).map(client);
                let choose = |(client, to): (SocketAddr, SocketAddr)| {
                    let (address, port, to) = (client.ip(), Some(client.port()), to.ip());
                    let owner = mapping.owner(address, port, to)?.map(|member| member.server);
                    Ok((mapping.choice(address, port, to)?, owner))
                };
                Some(clients.map(choose).collect::<Result<Vec<_>, Unknown>>()?)
            }
            Err(Unknown::LastWeight(_)) => None,
            Err(unknown) => return Err(unknown.into()),
        };
        let firsts: Vec<First> =
            (0..REAL).map(client).map(|(client, to)| First { protocol: Protocol::Udp, client, to, mark: 7 }).collect();
        let sender = Sender::new()?;
        firsts.iter().try_for_each(|first| sender.send(first))?;
        let mut listed = Listed::new();
        read_until(&mut listed, |listed| {
            // Of what is not known there is no telling whether it is refused.
            predicted.as_ref().is_none_or(|predicted| {
                let mut both = firsts.iter().zip(predicted);
                both.all(|(first, (server, _))| server.is_none() || listed.contains_key(&first.name()))
            })
        })?;
        let real: Vec<_> = firsts.iter().map(|first| listed.get(&first.name()).copied()).collect();
        let digest = digest()?;
        let table = succeed(&["-L", "--json"], b"")?;
        let document = Schema::new()?.check("table", &table)?;
        let hash = &document["services"][0]["hash"];
        let is_canonical = members.is_sorted_by(|newer, older| newer.server > older.server);
        let is_digest = if predicted.is_some() { hash["digest"] == digest.as_str() } else { hash["digest"].is_null() };
        ensure!(is_digest && hash["canonical_order"] == is_canonical, "{digest}: {hash}");
        let wide = succeed(&["-L", "-n", "--wide"], b"")?;
        let note = if is_canonical { "\n" } else { " servers not in the order of their addresses\n" };
        ensure!(wide.contains(&format!(" digest {digest}{note}")), "{digest}: {wide}");
        let diff = peer.map(|peer| diff(&peer.table)).transpose()?;
        Ok(Seen { table, diff, digest, predicted, real })
    })
}

/// What `diff` says of another director's table.
fn diff(peer: &str) -> Result<Output> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), peer)?;
    let path = file.path().to_str().context("a path")?;
    let output = run(&["diff", path], b"")?;
    let document = Schema::new()?.check("diff", &run(&["diff", "--json", path], b"")?.stdout)?;
    ensure!(document["equal"] == (output.status == "0") && document["digests"].is_array(), "{output:?}: {document}");
    Ok(output)
}

/// The service and its servers.
fn rules(random: &mut Random, weights: &[u32]) -> (Service, Vec<Destination>) {
    let flags = random.of(&[0, 8, 16, 24]);
    let chosen = random.of(&[scheduler::SH, scheduler::MH, scheduler::DH]);
    let service = Service::new(ServiceKey::mark(7, Family::Ipv4), chosen).flags(ServiceFlags::from_bits(flags));
    let count = 2 + random.below(4) as u8;
    // With a port, a connection's server is called as in the table.
    let servers = (1..=count)
        .map(|last| Destination::direct([10, 50, 0, last], 80).weight(if last < 3 { 1 } else { random.of(weights) }));
    (service, servers.collect())
}

fn shuffled(random: &mut Random, mut servers: Vec<Destination>) -> Vec<Destination> {
    for place in (1..servers.len()).rev() {
        servers.swap(place, random.below(place + 1));
    }
    servers
}

pub fn digests(seed: u64) -> Result<()> {
    let (mut alike, mut different, mut unknown) = (0, 0, 0);
    for seed in (seed..).take(PAIRS as usize) {
        let mut random = Random(seed);
        let (service, servers) = rules(&mut random, &[0, 1, 2, 3, 100]);
        let other = if seed % 2 == 0 { seed } else { seed + PAIRS };
        let one = director(service, &servers, seed, None)?;
        let another = director(service, &servers, other, Some(&one))?;
        let diff = another.diff.context("no diff")?;
        let digests = (&one.digest, &another.digest);
        let (Some(predicted), Some(of_other)) = (&one.predicted, &another.predicted) else {
            ensure!(digests == (&"unknown".to_owned(), &"unknown".to_owned()), "seed {seed}: {digests:?}");
            ensure!(diff.status == "0" && diff.stderr.contains("is not known here: whether"), "seed {seed}: {diff:?}");
            unknown += 1;
            continue;
        };
        for (predicted, real) in [(predicted, &one.real), (of_other, &another.real)] {
            ensure!(predicted.iter().map(|(server, _)| server).take(REAL).eq(real), "seed {seed}");
        }
        let agree = predicted == of_other;
        ensure!((digests.0 == digests.1) == agree, "seed {seed}: {digests:?}, clients agree: {agree}");
        let expected = match agree {
            true => String::new(),
            false => format!("- # digest of FWM 7: {}\n+ # digest of FWM 7: {}\n", digests.1, digests.0),
        };
        ensure!(diff.status == if agree { "0" } else { "1" } && diff.stdout == expected, "seed {seed}: {diff:?}");
        ensure!(!agree || one.real == another.real, "seed {seed}: {digests:?}");
        *(if agree { &mut alike } else { &mut different }) += 1;
    }
    eprintln!("{alike} pairs of directors choose alike, {different} do not, of {unknown} it is not known");
    ensure!(alike > 0 && different > 0, "seed {seed}: {alike} alike, {different} different");
    Ok(())
}

pub fn saved_order(seed: u64) -> Result<()> {
    let mut reversed = 0;
    for seed in (seed..).take(SAVED as usize) {
        let mut random = Random(seed);
        let (service, servers) = rules(&mut random, &[0, 1, 2, 100]);
        let (digests, plain, all) = in_fresh_namespace(|| {
            history(seed, &mut Client::connect()?, &service, &servers)?;
            Ok((digest()?, succeed(&["-S", "-n"], b"")?, succeed(&["-S", "--all", "-n"], b"")?))
        })?;
        let first = "# Saved by ipvsadm-rs; the last line counts the rules; servers of sh, mh and dh are in their order of addition";
        ensure!(all.lines().next() == Some(first), "seed {seed}: {all}");
        let restored = |words: &[&str], rules: &str| {
            in_fresh_namespace(|| {
                succeed(words, rules.as_bytes())?;
                Ok((digest()?, succeed(&["-S", "-n"], b"")?))
            })
        };
        for words in [&["-R"][..], &["-R", "--replace"]] {
            let same = restored(words, &all)?;
            ensure!(same == (digests.clone(), plain.clone()), "seed {seed}: {words:?}: {same:?}, not {digests}: {all}");
        }
        // Without the order, a replacement adds servers in that of their addresses, whatever the order of the lines.
        let backwards: String = plain
            .lines()
            .take(1)
            .chain(plain.lines().skip(1).collect::<Vec<_>>().into_iter().rev())
            .map(|line| format!("{line}\n"))
            .collect();
        let canonical = restored(&["-R", "--replace"], &plain)?;
        ensure!(canonical == restored(&["-R", "--replace"], &backwards)?, "seed {seed}: {backwards}");
        reversed += usize::from(canonical.0 != digests);
    }
    ensure!(reversed > 0, "seed {seed}: every order was that of the addresses");
    Ok(())
}
