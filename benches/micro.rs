//! What the parts cost, each by itself: `cargo bench`. Whole programs on a real kernel are measured by `benches/run`.

use std::fmt::Write as _;
use std::hint::black_box;
use std::io;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use ipvs_client::{
    Change, DestinationEntry, Family, ServiceEntry, Statistics,
    connections::{Row, rows},
    decode,
    plan::{self, Options, RuleSet, State},
};
use ipvsadm_rs::grammar::{self, Columns, Listing, Subject};
use ipvsadm_rs::host::SystemNames;
use ipvsadm_rs::rules::{self, Line};
use ipvsadm_rs::view::{self, Labels, connections, text};
use netlink_exchange::{Writer, wire::Mark};

fn main() {
    divan::main();
}

// ---- inputs ---------------------------------------------------------------------------------------------------------

/// Rules of this many lines, ten servers to a service. Of the servers one in `other` has another weight; 0 is none.
fn rules_text(lines: usize, other: usize) -> String {
    let mut text = String::new();
    for line in 0..lines {
        let service = line / 11;
        let name = format!("10.0.{}.{}:80", service / 250, service % 250 + 1);
        let _ = match line % 11 {
            0 => writeln!(text, "-A -t {name} -s wlc -p 300"),
            server => {
                let weight = if other != 0 && line % other == 1 { 1000 } else { server };
                writeln!(text, "-a -t {name} -r 172.16.{}.{server}:8080 -m -w {weight}", service % 250)
            }
        };
    }
    text
}

fn rule_lines(lines: usize, other: usize) -> Vec<Line> {
    let text = rules_text(lines, other);
    let mut lines = Vec::new();
    rules::read(text.as_bytes(), &SystemNames::default(), |line| lines.push(line)).expect("the rules are right");
    lines
}

fn state(lines: &[Line]) -> State {
    let mut set = RuleSet::new();
    for line in lines {
        set.apply(line.change().expect("every line is a change"), line.number).expect("the rules are right");
    }
    State { services: set.finish(), ..State::default() }
}

/// The payload of a message, as the kernel writes it: `write` fills the nest of this number.
fn payload(nest: u16, write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::with_capacity(1024);
    let message: Mark = writer.begin(0, 0, 0, 0, 1);
    let mark = writer.nest(nest);
    write(&mut writer);
    writer.end_nest(mark);
    writer.end(message);
    // Without the netlink header.
    writer.as_bytes()[16..].to_vec()
}

/// Both nests of counters, `IPVS_*_ATTR_STATS` and `IPVS_*_ATTR_STATS64`.
fn write_statistics(writer: &mut Writer, narrow: u16, wide: u16) {
    let nest = writer.nest(narrow);
    for kind in 1..=10 {
        match kind {
            4 | 5 => writer.bytes(kind, &7u64.to_ne_bytes()),
            _ => writer.u32(kind, 7),
        }
    }
    writer.end_nest(nest);
    let nest = writer.nest(wide);
    for kind in 1..=10 {
        writer.bytes(kind, &7u64.to_ne_bytes());
    }
    writer.end_nest(nest);
}

fn service_payload() -> Vec<u8> {
    payload(1, |writer| {
        writer.u16(1, 2);
        writer.u16(2, 6);
        writer.bytes(3, &[10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        writer.be16(4, 80);
        writer.string(6, b"wlc");
        writer.bytes(7, &[0; 8]);
        writer.u32(8, 0);
        writer.u32(9, u32::MAX);
        write_statistics(writer, 10, 12);
    })
}

fn destination_payload() -> Vec<u8> {
    payload(2, |writer| {
        writer.bytes(1, &[10, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        writer.be16(2, 80);
        writer.u32(3, 3);
        writer.u32(4, 1);
        writer.u8(13, 0);
        writer.be16(14, 0);
        writer.u16(15, 0);
        for kind in 5..=9 {
            writer.u32(kind, 0);
        }
        writer.u16(11, 2);
        write_statistics(writer, 10, 12);
    })
}

const LISTING: Listing = Listing { columns: Columns::Plain, numeric: true, ..Listing::DEFAULT };

// ---- reading rules --------------------------------------------------------------------------------------------------

#[divan::bench]
fn read_rules(bencher: Bencher<'_, '_>) {
    let text = rules_text(1000, 0);
    bencher
        .counter(ItemsCount::new(1000usize))
        .counter(BytesCount::of_str(&text))
        .bench(|| rules::read(black_box(text.as_bytes()), &SystemNames::default(), |line| drop(black_box(line))));
}

#[divan::bench(args = [
    "-A -t 10.0.0.1:80 -s wlc -p 300",
    "-a -t 10.0.0.1:80 -r 172.16.0.1:8080 -m -w 1",
    "-a -t [2001:db8::1]:80 -r [2001:db8::2]:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-nocsum",
    "-Ln",
])]
fn parse(bencher: Bencher<'_, '_>, line: &str) {
    let names = SystemNames::default();
    let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    bencher.bench(|| grammar::parse(black_box(&words).iter().copied(), &names));
}

#[divan::bench]
fn collect_rules(bencher: Bencher<'_, '_>) {
    let lines = rule_lines(10_000, 0);
    bencher.counter(ItemsCount::new(lines.len())).bench(|| state(black_box(&lines)));
}

// ---- messages -------------------------------------------------------------------------------------------------------

#[divan::bench]
fn decode_service(bencher: Bencher<'_, '_>) {
    let payload = service_payload();
    decode::service(&payload).expect("the payload is right");
    bencher.bench(|| decode::service(black_box(&payload)));
}

#[divan::bench]
fn decode_destination(bencher: Bencher<'_, '_>) {
    let payload = destination_payload();
    decode::destination(&payload, Family::Ipv4).expect("the payload is right");
    bencher.bench(|| decode::destination(black_box(&payload), Family::Ipv4));
}

// ---- planning -------------------------------------------------------------------------------------------------------

/// All of a new table; nothing; one in a hundred.
#[divan::bench(args = ["all", "nothing", "a hundredth"])]
fn difference(bencher: Bencher<'_, '_>, what: &str) {
    let want = state(&rule_lines(10_000, 0));
    let have = match what {
        "all" => State::default(),
        "nothing" => want.clone(),
        _ => state(&rule_lines(10_000, 100)),
    };
    bencher
        .counter(ItemsCount::new(10_000usize))
        .bench(|| plan::difference(black_box(&have), black_box(&want), Options::default()));
}

// ---- rendering ------------------------------------------------------------------------------------------------------

#[divan::bench]
fn write_rules(bencher: Bencher<'_, '_>) {
    let lines = rule_lines(1000, 0);
    let mut labels = Labels::numeric();
    bencher.counter(ItemsCount::new(lines.len())).bench_local(|| {
        let mut out = Vec::with_capacity(100_000);
        for line in &lines {
            view::rules::change(&mut out, &mut labels, line.change().expect("a change")).expect("memory takes all");
        }
        out
    });
}

#[divan::bench(args = [Columns::Plain, Columns::Stats])]
fn write_listing(bencher: Bencher<'_, '_>, columns: Columns) {
    let lines = rule_lines(1000, 0);
    let listing = Listing { columns, ..LISTING };
    let mut labels = Labels::numeric();
    let statistics = Statistics::default();
    bencher.counter(ItemsCount::new(lines.len())).bench_local(|| {
        let mut out = Vec::with_capacity(100_000);
        for line in &lines {
            match line.change() {
                Some(&Change::AddService(service)) => {
                    let entry = ServiceEntry::new(service, statistics);
                    text::service(&mut out, &mut labels, &listing, &entry)
                }
                Some(&Change::AddDestination(key, destination)) => {
                    let mut entry = DestinationEntry::new(destination, statistics);
                    (entry.active_connections, entry.inactive_connections) = (5, 1000);
                    text::destination(&mut out, &mut labels, &listing, &key, &entry)
                }
                _ => Ok(()),
            }
            .expect("memory takes all");
        }
        out
    });
}

#[divan::bench]
fn list_connections(bencher: Bencher<'_, '_>) {
    let mut file = "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Origin Expires\n".to_owned();
    for n in 0..1000 {
        let _ = writeln!(
            file,
            "TCP {:08X} {:04X} C0A80001 0050 AC100001 1F90 ESTABLISHED LOCAL  {n:7}",
            0x0A00_0001 + n,
            1024 + n
        );
    }
    let mut labels = Labels::numeric();
    bencher.counter(ItemsCount::new(1000usize)).counter(BytesCount::of_str(&file)).bench_local(|| {
        rows(black_box(file.as_bytes()), |row| match row {
            Row::Usual(usual) => connections::usual(&mut io::sink(), usual),
            Row::Other(connection) => connections::line(&mut io::sink(), &mut labels, connection, None),
        })
    });
}

#[divan::bench]
fn parse_list_of_one(bencher: Bencher<'_, '_>) {
    let names = SystemNames::default();
    bencher.bench(|| {
        let words: [&[u8]; 3] = [b"-Ln", b"-t", b"10.0.0.1:80"];
        let request = grammar::parse(black_box(words), &names);
        debug_assert!(
            matches!(&request, Ok(grammar::Request::List(listing)) if matches!(listing.subject, Subject::Service(_)))
        );
        request
    });
}
