//! Two directors with the same rules and different histories: their digests are equal if and only if every client gets the
//! same server, and rules that are saved with their order bring the order along.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context as _, Result, ensure};
use ipvs_client::mapping::{Kernel, Mapping, Member};
use ipvs_client::{
    Client, Destination, DestinationKey, Family, Protocol, Service, ServiceFlags, ServiceKey, scheduler,
};

use super::packets::{First, Sender};
use super::{Listed, Random, network, read_until};
use crate::schema::Schema;
use crate::support::{in_fresh_namespace, run, succeed};

/// Pairs of directors.
const PAIRS: u64 = 9;
/// Clients of each that are computed, and that are real.
const PREDICTED: usize = 10_000;
const REAL: usize = 500;
/// Saved rules that are restored.
const SAVED: u64 = 12;

/// What a director is like.
struct Seen {
    digest: String,
    predicted: Vec<Option<DestinationKey>>,
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

/// A director whose servers came in this order, some of them twice.
fn director(service: Service, order: &[Destination], again: &[usize]) -> Result<Seen> {
    in_fresh_namespace(|| {
        network()?;
        let mut kernel = Client::connect()?;
        kernel.add_service(&service)?;
        order.iter().try_for_each(|server| kernel.add_destination(&service.key, server))?;
        for &place in again {
            kernel.delete_destination(&service.key, &order[place].key)?;
            kernel.add_destination(&service.key, &order[place])?;
        }
        let servers = kernel.destinations_with::<()>(&service.key)?.context("no service")?;
        let members: Vec<Member> = servers.iter().map(Member::reported).collect();
        let mapping = Mapping::new(&service, &members, &Kernel::DEFAULT)?;
        let predicted = (0..PREDICTED)
            .map(client)
            .map(|(client, to)| mapping.choice(client.ip(), Some(client.port()), to.ip()))
            .collect::<Result<Vec<_>, _>>()?;
        let firsts: Vec<First> =
            (0..REAL).map(client).map(|(client, to)| First { protocol: Protocol::Udp, client, to, mark: 7 }).collect();
        let sender = Sender::new()?;
        firsts.iter().try_for_each(|first| sender.send(first))?;
        let mut listed = Listed::new();
        read_until(&mut listed, |listed| {
            firsts.iter().zip(&predicted).all(|(first, server)| server.is_none() || listed.contains_key(&first.name()))
        })?;
        let real = firsts.iter().map(|first| listed.get(&first.name()).copied()).collect();
        let digest = digest()?;
        let table = Schema::new()?.check("table", &succeed(&["-L", "--json"], b"")?)?;
        let hash = &table["services"][0]["hash"];
        let is_canonical = members.is_sorted_by(|newer, older| newer.server > older.server);
        ensure!(hash["digest"] == digest.as_str() && hash["canonical_order"] == is_canonical, "{digest}: {hash}");
        let wide = succeed(&["-L", "-n", "--wide"], b"")?;
        let note = if is_canonical { "\n" } else { " servers not in the order of their addresses\n" };
        ensure!(wide.contains(&format!(" digest {digest}{note}")), "{digest}: {wide}");
        Ok(Seen { digest, predicted, real })
    })
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
    let (mut alike, mut different) = (0, 0);
    for seed in (seed..).take(PAIRS as usize) {
        let mut random = Random(seed);
        let (service, servers) = rules(&mut random, &[1, 2, 3, 100]);
        let first = shuffled(&mut random, servers.clone());
        let second = if random.one_in(2) { first.clone() } else { shuffled(&mut random, servers) };
        // The last is the head of the list, and stays that.
        let again: &[usize] = if random.one_in(2) { &[first.len() - 1] } else { &[0] };
        let (one, another) = (director(service, &first, &[])?, director(service, &second, again)?);
        ensure!(one.predicted[..REAL] == one.real && another.predicted[..REAL] == another.real, "seed {seed}");
        let agree = one.predicted == another.predicted;
        let digests = (&one.digest, &another.digest);
        ensure!((digests.0 == digests.1) == agree, "seed {seed}: {digests:?}, clients agree: {agree}");
        ensure!(!agree || one.real == another.real, "seed {seed}: {digests:?}");
        *(if agree { &mut alike } else { &mut different }) += 1;
    }
    eprintln!("{alike} pairs of directors choose alike, {different} do not");
    Ok(())
}

pub fn saved_order(seed: u64) -> Result<()> {
    let mut reversed = 0;
    for seed in (seed..).take(SAVED as usize) {
        let mut random = Random(seed);
        let (service, servers) = rules(&mut random, &[0, 1, 2, 100]);
        let servers = shuffled(&mut random, servers);
        let (digests, plain, all) = in_fresh_namespace(|| {
            let mut kernel = Client::connect()?;
            kernel.add_service(&service)?;
            servers.iter().try_for_each(|server| kernel.add_destination(&service.key, server))?;
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
