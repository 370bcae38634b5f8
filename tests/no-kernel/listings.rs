//! The forms of listings, without a kernel: which options go together, `--table` and `--wide` to the character, JSON by its
//! schema and read back.

use std::cell::Cell;
use std::io::{self, BufReader, Read, Write};
use std::net::IpAddr;
use std::rc::Rc;

use ipvs_client::{
    Checksum, Counters, Daemon, DaemonRole, Destination, DestinationEntry, Forwarding, Info, InterfaceName, Netmask,
    Persistence, Protocol, Rates, SchedulerName, Service, ServiceEntry, ServiceFlags, ServiceKey, Statistics,
    TableService, Timeouts, Tunnel,
    connections::{Choice, Connection, ConnectionKey, CountKeys, Counter, Counts, EngineTable, Origin, Word, read},
    scheduler,
};
use ipvsadm_rs::grammar::{
    ColorWhen, Columns, ConnectionView, Connections, Error, Format, Json, Listing, NoNames, Request, Subject, parse,
};
use ipvsadm_rs::view::boxed::{self, Canvas};
use ipvsadm_rs::view::connections;
use ipvsadm_rs::view::json::{
    self, ConnectionDocument, DaemonDocument, ServiceDocument, Stream, TableHead, TimeoutsDocument,
};
use ipvsadm_rs::view::{Labels, wide};
use proptest::prelude::*;
use serde_json::Value;

use crate::schema::Schema;
use crate::strategies::{self, Reach, Rules};

// ---- options --------------------------------------------------------------------------------------------------------

fn parsed(line: &str) -> Result<Request, Error> {
    parse(line.split(' ').map(str::as_bytes), &NoNames)
}

fn listing(line: &str) -> Listing {
    match parsed(line) {
        Ok(Request::List(listing)) => *listing,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn the_options_of_forms_are_read() {
    assert_eq!(listing("-L").format, Format::Classic);
    assert_eq!(listing("-Ljn").format, Format::Json(Json { pretty: false }));
    assert_eq!(listing("-L --pretty --json").format, Format::Json(Json { pretty: true }));
    assert!(listing("-Lj").numeric, "JSON has no names");
    assert_eq!(listing("-L --table").format, Format::Table);
    assert_eq!(listing("-L --wide --stats").format, Format::Wide);
    assert_eq!((listing("-L").color, listing("-L --color=always").color), (ColorWhen::Auto, ColorWhen::Always));
    let version = |line| match parsed(line) {
        Ok(Request::Version(json)) => json,
        other => panic!("{line}: {other:?}"),
    };
    assert_eq!(version("-v"), None);
    assert_eq!(version("-vnA"), None);
    assert_eq!(version("-v nonsense --stats"), None);
    for line in ["-vj", "-v -j", "--version --json", "-v nonsense --json"] {
        assert_eq!(version(line), Some(Json { pretty: false }), "{line}");
    }
    assert_eq!(version("-v --json --pretty"), Some(Json { pretty: true }));
    assert_eq!(version("-vj --pretty"), Some(Json { pretty: true }));
}

#[test]
fn connections_are_chosen_sorted_and_counted() {
    let of = |line| match listing(line).subject {
        Subject::Connections(connections) => connections,
        other => panic!("{line}: {other:?}"),
    };
    assert_eq!(of("-L -c"), Connections::default());
    assert_eq!(of("-L -c --sort"), Connections::default());
    let vip: IpAddr = [10, 0, 0, 1].into();
    let service = Some(ServiceKey::Address { protocol: Protocol::Udp, address: vip, port: 53 });
    let of_choice = |choice| Connections { choice, ..Connections::default() };
    let only = |service, server| of_choice(Choice { service, server, ..Choice::ALL });
    assert_eq!(of("-L -c -u 10.0.0.1:53"), only(service, None));
    let server = Some(([10, 0, 0, 2].into(), None));
    assert_eq!(of("-L -r 10.0.0.2 -c"), only(None, server));
    let client = Some("10.1.0.0/16".parse().unwrap());
    assert_eq!(of("-L --client 10.1.0.0/16 -c"), of_choice(Choice { client, ..Choice::ALL }));
    let view = ConnectionView::Sorted(ConnectionKey::Expires);
    assert_eq!(of("-Lc -u 10.0.0.1:53 -r 10.0.0.2 --sort-by expires"), Connections { view, ..only(service, server) });
    let keys = CountKeys { first: ConnectionKey::Client, second: None };
    let view = ConnectionView::Counted(keys);
    assert_eq!(of("-L --count-by client -c"), Connections { view, ..Connections::default() });
    let view = ConnectionView::Counted(CountKeys { second: Some(ConnectionKey::State), ..keys });
    assert_eq!(of("-L --count-by client,state -c"), Connections { view, ..Connections::default() });
    let state = Some(Word::cut(b"TIME_WAIT"));
    assert_eq!(of("-L -c --state time_wait"), of_choice(Choice { state, ..Choice::ALL }));
    assert_eq!(of("-L -c --origin sync"), of_choice(Choice { origin: Some(Origin::Sync), ..Choice::ALL }));
    assert_eq!(of("-L -c --expires-within 0"), of_choice(Choice { expires_within: Some(0), ..Choice::ALL }));
}

#[test]
fn what_does_not_go_together_is_reported() {
    for (line, message) in [
        ("-L --json --table", "The option 'table' conflicts with the 'json' option in the 'list' command"),
        ("-L --wide --table", "The option 'wide' conflicts with the 'table' option in the 'list' command"),
        ("-Lj --wide", "The option 'wide' conflicts with the 'json' option in the 'list' command"),
        ("-L --pretty", "You need to supply the 'json' option for the 'pretty' option"),
        ("-L --table --pretty", "You need to supply the 'json' option for the 'pretty' option"),
        ("-L --sort-by state", "You need to supply the 'connection' option for the 'sort-by' option"),
        ("-L --timeout --count-by state", "You need to supply the 'connection' option for the 'count-by' option"),
        (
            "-Lc --sort-by state --count-by state",
            "The option 'count-by' conflicts with the 'sort-by' option in the 'list' command",
        ),
        ("-Lc --sort-by age", "--sort-by takes state, server, client or expires, not `age'"),
        ("-Lc --count-by expires", "--count-by takes state, server or client, not `expires'"),
        ("-Lc --count-by state,", "--count-by takes state, server or client, not `'"),
        ("-Lc --count-by state,state", "--count-by takes two different keys, not `state,state'"),
        ("-Lc --origin master", "--origin takes local or sync, not `master'"),
        ("-Lc --expires-within 1m", "illegal number of seconds specified for --expires-within"),
        ("-L --state NONE", "You need to supply the 'connection' option for the 'state' option"),
        ("-L --client ::1", "You need to supply the 'connection' option for the 'client' option"),
        ("-L --color=blue", "--color takes auto, always or never, not `blue'"),
        (
            "-Lc -f 1",
            "The kernel does not show which connections came by a firewall mark: choose them by -t, -u, --sctp-service \
             or -r",
        ),
        // As the original has it.
        ("-L -w 1 -r 10.0.0.2", "Illegal 'real-server' option with the 'list' command"),
        ("-Lc --timeout", "The option 'timeout' conflicts with the 'connection' option in the 'list' command"),
        (
            "-L -t 10.0.0.1:80 --timeout",
            "The option 'timeout' conflicts with the 'service-address' option in the 'list' command",
        ),
        ("-Lc -t 10.0.0.1:80 --stats", "options conflicts in the list command"),
        ("-S --json", "Illegal 'json' option with the 'save' command"),
    ] {
        let error = parsed(line).expect_err(line);
        assert_eq!((error.message("ipvsadm").as_str(), error.status()), (message, 2), "{line}");
    }
}

// ---- a table --------------------------------------------------------------------------------------------------------

const INFO: Info = Info::new(0x10201, 4096);

fn name(text: &str) -> SchedulerName {
    SchedulerName::cut(text.as_bytes())
}

fn statistics(connections: u64, packets: u64, incoming_bytes: u64, outgoing_bytes: u64) -> Statistics {
    let counters = Counters {
        connections,
        incoming_packets: packets,
        outgoing_packets: packets / 2,
        incoming_bytes,
        outgoing_bytes,
    };
    let rates = Rates { connections: connections / 10, incoming_bytes: incoming_bytes / 10, ..Rates::default() };
    Statistics::new(counters, rates)
}

fn server(address: &str, port: u16, weight: u32, active: u32, statistics: Statistics) -> DestinationEntry {
    let destination = Destination::new(address.parse().unwrap(), port).weight(weight);
    let mut entry = DestinationEntry::new(destination, statistics);
    (entry.active_connections, entry.inactive_connections) = (active, 2 * active);
    entry
}

/// Direct routing with a server that is being drained and one that is full; a mark of IPv6 with a tunnel.
fn table() -> Vec<TableService> {
    let mut full = server("30.30.30.50", 80, 1, 30, statistics(30, 300, 40_000, 0));
    full.destination.upper_threshold = 90;
    full.destination.lower_threshold = 60;
    let persistence = Persistence { timeout: 300, netmask: Netmask::V4([255, 255, 255, 0].into()) };
    let service = Service::tcp([20, 20, 20, 20], 80, scheduler::WRR).persistence(persistence);
    let web = TableService {
        entry: ServiceEntry::new(service, statistics(150, 1_234_567, 160_000, 0)),
        destinations: vec![
            server("30.30.30.30", 80, 3, 12, statistics(120, 1_234_000, 120_000, 0)),
            server("30.30.30.40", 80, 0, 1, statistics(0, 0, 0, 0)),
            full,
        ],
    };
    let mut tunnel = server("2001:db8:30:0:aaaa:bbbb:cccc:41", 8080, 2_000_000_000, 0, Statistics::default());
    tunnel.destination.forwarding = Forwarding::Tunnel(Tunnel::Gue { port: 6080, checksum: Checksum::Remote });
    let flags = ServiceFlags::from_bits(ServiceFlags::SCHEDULER_2);
    let service = Service::mark(7, ipvs_client::Family::Ipv6, scheduler::SH).flags(flags);
    let mark = TableService {
        entry: ServiceEntry::new(service, Statistics::default()),
        destinations: vec![server("2001:db8:30::40", 8080, 1, 0, Statistics::default()), tunnel],
    };
    vec![web, mark]
}

fn drawn(columns: Columns, services: &[TableService], canvas: Canvas) -> String {
    let mut out = Vec::new();
    let listing = Listing { columns, numeric: true, format: Format::Table, ..Listing::DEFAULT };
    boxed::services(&mut out, &mut Labels::numeric(), &listing, Some(&INFO), services, canvas).unwrap();
    String::from_utf8(out).unwrap()
}

/// What is expected, from a file; UPDATE_GENERATED=1 writes what is there.
fn assert_text(name: &str, actual: &str) {
    let path = format!("{}/tests/listings/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(&path, actual).unwrap();
    }
    assert_eq!(actual, std::fs::read_to_string(&path).unwrap(), "{name}");
}

const PLAIN: Canvas = Canvas { width: Some(80), color: false, unicode: true };

/// Every line is no longer than this; returns the text for comparison, without the line of the version.
fn fitting(columns: Columns, services: &[TableService], canvas: Canvas) -> String {
    let text = drawn(columns, services, canvas);
    let (version, rest) = text.split_once('\n').unwrap();
    assert_eq!(version, "IP Virtual Server version 1.2.1 (size=4096)");
    for line in rest.lines() {
        assert!(line.chars().count() <= canvas.width.unwrap_or(usize::MAX), "too long: {line}");
    }
    rest.to_owned()
}

#[test]
fn the_table_fits_eighty_columns() {
    assert_text("table-80", &fitting(Columns::Plain, &table()[..1], PLAIN));
    assert_text("table-stats-80", &fitting(Columns::Stats, &table()[..1], PLAIN));
    // There are no bars where names and numbers take all the room, and then names are cut.
    assert_text("table-cut-80", &fitting(Columns::Plain, &table(), PLAIN));
}

#[test]
fn the_table_fits_a_hundred_and_twenty_columns() {
    let canvas = Canvas { width: Some(120), ..PLAIN };
    assert_text("table-120", &fitting(Columns::Plain, &table(), canvas));
    assert_text("table-thresholds-120", &fitting(Columns::Thresholds, &table(), canvas));
}

#[test]
fn the_table_is_ascii_where_there_is_no_more() {
    let text = fitting(Columns::TunnelInfo, &table(), Canvas { width: Some(100), color: false, unicode: false });
    assert!(text.is_ascii(), "{text}");
    assert_text("table-ascii-100", &text);
}

#[test]
fn colours_change_nothing_but_colours() {
    let canvas = Canvas { width: Some(120), color: true, unicode: true };
    for columns in [Columns::Plain, Columns::Rate, Columns::PersistentConnections] {
        let (colored, plain) =
            (drawn(columns, &table(), canvas), drawn(columns, &table(), Canvas { color: false, ..canvas }));
        let mut bare = String::new();
        for (index, part) in colored.split("\x1b[").enumerate() {
            bare.push_str(if index == 0 { part } else { part.split_once('m').unwrap().1 });
        }
        assert_eq!(bare, plain);
        assert!(colored.contains("\x1b[33m○ 30.30.30.40:80\x1b[0m"), "{colored}");
        assert!(colored.contains("\x1b[31m▲ 30.30.30.50:80\x1b[0m"), "{colored}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// From where the names can be cut enough, no line is wider than the terminal, whatever stands in the table.
    #[test]
    fn no_table_is_wider_than_the_terminal(
        rules in strategies::rules(0..6, 0..6, Reach::Kernel, true),
        width in 76usize..200,
        unicode: bool,
    ) {
        let services = table_of(&rules, &mut std::iter::repeat(Statistics::default()));
        let canvas = Canvas { width: Some(width), color: false, unicode };
        let mut out = Vec::new();
        let listing = Listing { numeric: true, ..Listing::DEFAULT };
        boxed::services(&mut out, &mut Labels::numeric(), &listing, None, &services, canvas).unwrap();
        let text = String::from_utf8(out).unwrap();
        for line in text.lines() {
            prop_assert!(line.chars().count() <= width, "{width}:\n{text}");
        }
    }
}

#[test]
fn wide_listings_cut_nothing() {
    let drawn = |columns| {
        let mut out = Vec::new();
        let listing = Listing { columns, numeric: true, format: Format::Wide, ..Listing::DEFAULT };
        wide::services(&mut out, &mut Labels::numeric(), &listing, Some(&INFO), &table(), &Default::default(), false)
            .unwrap();
        String::from_utf8(out).unwrap()
    };
    assert_text("wide", &drawn(Columns::Plain));
    assert_text("wide-stats", &drawn(Columns::Stats));
    assert_text("wide-tunnels", &drawn(Columns::TunnelInfo));
}

// ---- connections ----------------------------------------------------------------------------------------------------

const CONNECTIONS: &str = "\
Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Origin Expires
TCP 0A010101 D4FC 0A010102 0050 7F000001 1F90 TIME_WAIT   LOCAL      119
TCP 0A010103 D4FC 0A010102 0050 7F000002 1F90 ESTABLISHED SYNC       899
UDP 0A010103 D4FD 0A010102 0035 7F000001 0035 UDP         LOCAL      299
TCP 2001:0db8:0000:0000:0000:0000:0000:0001 E24F 2001:0db8:0000:0000:0000:0000:0000:0002 0050 \
2001:0db8:0000:0000:0000:0000:0000:0003 1F90 ESTABLISHED SYNC        10
";

/// The same, with engine data of the last.
const ENGINES: &str = "\
Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
TCP 0A010101 D4FC 0A010102 0050 7F000001 1F90 TIME_WAIT       119
TCP 2001:0db8:0000:0000:0000:0000:0000:0001 E24F 2001:0db8:0000:0000:0000:0000:0000:0002 0050 \
2001:0db8:0000:0000:0000:0000:0000:0003 1F90 ESTABLISHED     10 sip call\"1\x1b[2J
";

fn engines() -> EngineTable {
    EngineTable::read(|| Ok(ENGINES.as_bytes())).unwrap()
}

fn held(choice: &Choice) -> Vec<Connection> {
    let mut all = Vec::new();
    let skipped = read(CONNECTIONS.as_bytes(), |connection| {
        if choice.has(connection) {
            all.push(*connection);
        }
        Ok(())
    });
    assert_eq!(skipped.unwrap().lines, 0);
    all
}

#[test]
fn connections_are_chosen_by_service_and_server() {
    let vip: IpAddr = [10, 1, 1, 2].into();
    let server = |last, port| Some(([127, 0, 0, last].into(), port));
    let service = |protocol, port| Some(ServiceKey::Address { protocol, address: vip, port });
    for (service, server, ports) in [
        (None, None, &[0xd4fc, 0xd4fc, 0xd4fd, 0xe24f][..]),
        (service(Protocol::Tcp, 80), None, &[0xd4fc, 0xd4fc]),
        (service(Protocol::Tcp, 0), None, &[0xd4fc, 0xd4fc]),
        (service(Protocol::Tcp, 53), None, &[]),
        (service(Protocol::Udp, 53), None, &[0xd4fd]),
        (service(Protocol::Tcp, 80), server(2, None), &[0xd4fc]),
        (None, server(1, None), &[0xd4fc, 0xd4fd]),
        (None, server(1, Some(8080)), &[0xd4fc]),
    ] {
        let choice = Choice { service, server, ..Choice::ALL };
        let found: Vec<u16> = held(&choice).iter().map(|connection| connection.source.1).collect();
        assert_eq!(found, ports, "{choice:?}");
    }
}

#[test]
fn connections_are_chosen_by_client() {
    for (client, ports) in [
        ("10.1.1.3", &[0xd4fc, 0xd4fd][..]),
        ("10.1.1.0/30", &[0xd4fc, 0xd4fc, 0xd4fd]),
        // What is behind the prefix does not count.
        ("10.1.1.2/31", &[0xd4fc, 0xd4fd]),
        ("10.1.1.1/32", &[0xd4fc]),
        ("0.0.0.0/0", &[0xd4fc, 0xd4fc, 0xd4fd]),
        ("2001:db8::/64", &[0xe24f]),
        ("2001:db8::2", &[]),
        ("::/0", &[0xe24f]),
    ] {
        let Subject::Connections(Connections { choice, .. }) = listing(&format!("-Lc --client {client}")).subject
        else {
            panic!("{client}");
        };
        let found: Vec<u16> = held(&choice).iter().map(|connection| connection.source.1).collect();
        assert_eq!(found, ports, "{client}");
    }
    for client in ["", "10.1", "10.1.1.1/33", "10.1.1.1/", "10.1.1.1/+8", "::1/129", "[::1]", "client.example"] {
        let error = parsed(&format!("-Lc --client={client}")).expect_err(client).to_string();
        assert_eq!(error, format!("--client takes ADDRESS or ADDRESS/PREFIX, not `{client}'"));
    }
}

#[test]
fn connections_are_sorted_by_every_key() {
    for (key, ports) in [
        (ConnectionKey::State, [0xd4fc, 0xe24f, 0xd4fc, 0xd4fd]),
        (ConnectionKey::Server, [0xd4fd, 0xd4fc, 0xd4fc, 0xe24f]),
        (ConnectionKey::Client, [0xd4fc, 0xd4fc, 0xd4fd, 0xe24f]),
        (ConnectionKey::Expires, [0xe24f, 0xd4fc, 0xd4fd, 0xd4fc]),
    ] {
        let mut all = held(&Choice::default());
        all.sort_by(|a, b| a.order(b, key));
        assert_eq!(all.iter().map(|connection| connection.source.1).collect::<Vec<_>>(), ports, "{key:?}");
    }
}

fn by(first: ConnectionKey) -> CountKeys {
    CountKeys { first, second: None }
}

fn counted(key: ConnectionKey) -> Counts {
    let mut counter = Counter::by(by(key));
    held(&Choice::default()).iter().for_each(|connection| assert!(counter.add(connection)));
    counter.counts()
}

#[test]
fn connections_are_counted_the_most_first() {
    let text = |key| {
        let mut out = Vec::new();
        connections::list_counts(&counted(key), &mut out, &mut Labels::numeric()).unwrap();
        String::from_utf8(out).unwrap()
    };
    assert_eq!(text(ConnectionKey::State), "2 ESTABLISHED\n1 TIME_WAIT\n1 UDP\n");
    assert_eq!(text(ConnectionKey::Client), "2 10.1.1.3\n1 10.1.1.1\n1 2001:db8::1\n");
    assert_eq!(
        text(ConnectionKey::Server),
        "1 127.0.0.1:53\n1 127.0.0.1:8080\n1 127.0.0.2:8080\n1 [2001:db8::3]:8080\n"
    );
}

#[test]
fn connections_in_columns() {
    let engines = engines();
    let all: Vec<_> = held(&Choice::default()).into_iter().map(|one| (one, engines.of(&one))).collect();
    let mut out = Vec::new();
    wide::connections(&mut out, &mut Labels::numeric(), all.iter().copied(), true).unwrap();
    boxed::connections(&mut out, &mut Labels::numeric(), &all, false, PLAIN).unwrap();
    boxed::counts(&mut out, &mut Labels::numeric(), by(ConnectionKey::State), &counted(ConnectionKey::State), PLAIN)
        .unwrap();
    assert_text("connections", &String::from_utf8(out).unwrap());
}

/// This many connections, made while they are read; says how many have been.
struct Made {
    left: u64,
    made: Rc<Cell<u64>>,
    line: io::Cursor<Vec<u8>>,
}

impl Read for Made {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.line.read(buffer)?;
        if read > 0 || self.left == 0 {
            return Ok(read);
        }
        self.left -= 1;
        self.made.set(self.made.get() + 1);
        let number = self.left;
        let line = format!("TCP {number:08X} D4FC 0A010102 0050 7F000001 1F90 ESTABLISHED LOCAL      899\n");
        self.line = io::Cursor::new(line.into_bytes());
        self.line.read(buffer)
    }
}

/// Counts what is written, and how far that is behind what is read.
struct Behind {
    made: Rc<Cell<u64>>,
    written: u64,
    most: u64,
}

impl Write for Behind {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.written += bytes.iter().filter(|byte| **byte == b'{').count() as u64;
        self.most = self.most.max(self.made.get().saturating_sub(self.written));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// However many connections pass through, at no time are more of them held than fit into the buffer that is read into.
#[test]
fn connections_stream_as_json() {
    const MANY: u64 = 50_000;
    const BUFFER: usize = 4096;
    let made = Rc::new(Cell::new(0));
    let source = Made { left: MANY + 1, made: made.clone(), line: io::Cursor::default() };
    let mut out = Behind { made: made.clone(), written: 0, most: 0 };
    let mut list = Stream::begin(&mut out, "connections", &[(); 0], false).unwrap();
    let skipped = read(BufReader::with_capacity(BUFFER, source), |connection| {
        list.element(&ConnectionDocument::new(connection, None))
    });
    assert_eq!(skipped.unwrap().lines, 0);
    list.end().unwrap();
    // One more for the document itself; the first line is a header.
    assert_eq!((made.get(), out.written), (MANY + 1, MANY + 1));
    assert!(out.most <= 1 + BUFFER as u64 / 60, "{} lines were held", out.most);
}

// ---- JSON -----------------------------------------------------------------------------------------------------------

fn document(kind: &str, pretty: bool, write: impl Fn(&mut Vec<u8>, bool) -> io::Result<()>) -> Value {
    let mut out = Vec::new();
    write(&mut out, pretty).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert_eq!(text.lines().count() > 1, pretty, "{text}");
    Schema::new().and_then(|schema| schema.check(kind, &text)).unwrap()
}

fn table_document(services: &[TableService], pretty: bool) -> Value {
    document("table", pretty, |out, pretty| {
        let mut list = Stream::begin(out, "table", &TableHead::of(&INFO, None, None), pretty)?;
        services.iter().try_for_each(|service| list.element(&ServiceDocument::from(service)))?;
        list.end()
    })
}

#[test]
fn every_document_is_as_the_schema_has_it() {
    let all = held(&Choice::default());
    let engines = engines();
    for pretty in [false, true] {
        assert_eq!(table_document(&table(), pretty)["services"][0]["servers"][2]["upper_threshold"], 90);
        let connections = document("connections", pretty, |out, pretty| {
            let mut list = Stream::begin(out, "connections", &[(); 0], pretty)?;
            all.iter().try_for_each(|one| list.element(&ConnectionDocument::new(one, engines.of(one))))?;
            list.end()
        });
        assert_eq!(connections[3]["persistence_engine"]["data"], "call\"1\u{1b}[2J");
        assert_eq!((&connections[2]["origin"], &connections[3]["origin"]), (&"local".into(), &"sync".into()));
        assert_eq!(connections[3]["client_address"], "2001:db8::1");
        for key in [ConnectionKey::State, ConnectionKey::Server, ConnectionKey::Client] {
            let counts =
                document("connection_counts", pretty, |out, pretty| json::counts(out, by(key), &counted(key), pretty));
            assert_eq!(counts["total"], 4);
        }
        let timeouts = TimeoutsDocument::from(&Timeouts::new(900, 120, 300));
        let timeouts = document("timeouts", pretty, |out, pretty| json::write(out, "timeouts", &timeouts, pretty));
        assert_eq!(timeouts["tcp_fin_seconds"], 120);
        let daemon = Daemon::new(DaemonRole::Backup, InterfaceName::cut(b"eth1"), 7);
        let daemon = daemon.group("ff02::1".parse().unwrap()).port(8848);
        let daemons = [DaemonDocument::from(&daemon)];
        let daemons = document("daemons", pretty, |out, pretty| json::write(out, "daemons", &daemons, pretty));
        assert_eq!(daemons[0]["multicast_group"], "ff02::1");
    }
}

#[test]
fn the_schema_refuses_what_is_wrong() {
    let schema = Schema::new().unwrap();
    for (kind, text) in [
        ("timeouts", r#"{"schema":2,"timeouts":{"tcp_seconds":1,"tcp_fin_seconds":1,"udp_seconds":1}}"#),
        ("timeouts", r#"{"timeouts":{"tcp_seconds":1,"tcp_fin_seconds":1,"udp_seconds":1}}"#),
        ("timeouts", r#"{"schema":1,"timeouts":{"tcp_seconds":1,"tcp_fin_seconds":1}}"#),
        ("timeouts", r#"{"schema":1,"timeouts":{"tcp_seconds":-1,"tcp_fin_seconds":1,"udp_seconds":1}}"#),
        ("timeouts", r#"{"schema":1,"timeouts":{"tcp_seconds":"1","tcp_fin_seconds":1,"udp_seconds":1}}"#),
        ("timeouts", r#"{"schema":1,"timeouts":{"tcp_seconds":1,"tcp_fin_seconds":1,"udp_seconds":1,"x":1}}"#),
        ("schema", r#"{"schema":1}"#),
        (
            "connection_counts",
            r#"{"schema":1,"connection_counts":{"by":"client","total":1,"counts":[{"client_address":"host","connections":1}]}}"#,
        ),
    ] {
        assert!(schema.check(kind, &format!("{text}\n")).is_err(), "{text}");
    }
}

/// A table of these rules, with these statistics, one after the other.
fn table_of(rules: &Rules, statistics: &mut impl Iterator<Item = Statistics>) -> Vec<TableService> {
    let mut next = || statistics.next().unwrap_or_default();
    rules
        .values()
        .map(|of| TableService {
            entry: ServiceEntry::new(of.service, next()),
            destinations: of
                .servers
                .values()
                .map(|server| {
                    let mut entry = DestinationEntry::new(*server, next());
                    entry.active_connections = next().counters.connections as u32;
                    entry.inactive_connections = next().counters.connections as u32;
                    entry.persistent_connections = next().counters.connections as u32;
                    entry
                })
                .collect(),
        })
        .collect()
}

fn any_statistics() -> impl Strategy<Value = Statistics> {
    proptest::array::uniform10(prop_oneof![Just(0), Just(u64::MAX), any::<u64>()]).prop_map(
        |[a, b, c, d, e, f, g, h, i, j]| {
            let counters = Counters {
                connections: a,
                incoming_packets: b,
                outgoing_packets: c,
                incoming_bytes: d,
                outgoing_bytes: e,
            };
            let rates = Rates {
                connections: f,
                incoming_packets: g,
                outgoing_packets: h,
                incoming_bytes: i,
                outgoing_bytes: j,
            };
            Statistics::new(counters, rates)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_table_is_read_back_from_json(
        rules in strategies::rules(0..6, 0..5, Reach::Kernel, true),
        statistics in proptest::collection::vec(any_statistics(), 8),
        pretty: bool,
    ) {
        let services = table_of(&rules, &mut statistics.into_iter().cycle());
        let document = table_document(&services, pretty);
        let read: Vec<TableService> =
            document["services"].as_array().unwrap().iter().map(|service| read_service(service).unwrap()).collect();
        prop_assert_eq!(read, services);
    }
}

// What a program would do that reads the documents.

fn read_service(value: &Value) -> Option<TableService> {
    let family = match value["family"].as_str()? {
        "ipv4" => ipvs_client::Family::Ipv4,
        _ => ipvs_client::Family::Ipv6,
    };
    let key = match value["fwmark"].as_u64() {
        Some(mark) => ServiceKey::Mark { mark: mark as u32, family },
        None => ServiceKey::Address {
            protocol: Protocol::named(value["protocol"].as_str()?)?,
            address: value["address"].as_str()?.parse().ok()?,
            port: value["port"].as_u64()? as u16,
        },
    };
    let flags = value["scheduler_flags"].as_array()?.iter().fold(0, |bits, flag| {
        bits | match flag.as_str() {
            Some("sh-fallback" | "mh-fallback" | "flag-1") => ServiceFlags::SCHEDULER_1,
            Some("sh-port" | "mh-port" | "flag-2") => ServiceFlags::SCHEDULER_2,
            Some("flag-3") => ServiceFlags::SCHEDULER_3,
            _ => panic!("{flag}"),
        }
    });
    let one_packet = if value["one_packet"].as_bool()? { ServiceFlags::ONE_PACKET } else { 0 };
    let persistence = &value["persistence"];
    let mut service = Service::new(key, name(value["scheduler"].as_str()?));
    service.flags = ServiceFlags::from_bits(flags | one_packet);
    service.persistence = persistence.is_object().then(|| Persistence {
        timeout: persistence["timeout_seconds"].as_u64().unwrap() as u32,
        netmask: match persistence["netmask"].as_str() {
            Some(mask) => Netmask::V4(mask.parse().unwrap()),
            None => Netmask::V6(persistence["prefix_length"].as_u64().unwrap() as u8),
        },
    });
    service.engine = name(value["persistence_engine"].as_str().unwrap_or_default());
    Some(TableService {
        entry: ServiceEntry::new(service, read_statistics(value)?),
        destinations: value["servers"].as_array()?.iter().map(read_server).collect::<Option<_>>()?,
    })
}

fn read_server(value: &Value) -> Option<DestinationEntry> {
    let number = |name: &str| value[name].as_u64().map(|number| number as u32);
    let tunnel = &value["tunnel"];
    let checksum = match tunnel["checksum"].as_str() {
        Some("full") => Checksum::Full,
        Some("remote") => Checksum::Remote,
        _ => Checksum::None,
    };
    let forwarding = match (value["forwarding"].as_str()?, tunnel["type"].as_str()) {
        ("dr", None) => Forwarding::DirectRoute,
        ("nat", None) => Forwarding::Masquerade,
        ("local", None) => Forwarding::Local,
        ("bypass", None) => Forwarding::Bypass,
        ("tunnel", Some("ipip")) => Forwarding::Tunnel(Tunnel::Ipip),
        ("tunnel", Some("gue")) => Forwarding::Tunnel(Tunnel::Gue { port: tunnel["port"].as_u64()? as u16, checksum }),
        ("tunnel", Some("gre")) => Forwarding::Tunnel(Tunnel::Gre { checksum: checksum == Checksum::Full }),
        other => panic!("{other:?}"),
    };
    let destination = Destination::new(value["address"].as_str()?.parse().ok()?, value["port"].as_u64()? as u16)
        .forwarding(forwarding)
        .weight(number("weight")?)
        .thresholds(number("upper_threshold")?, number("lower_threshold")?);
    let mut entry = DestinationEntry::new(destination, read_statistics(value)?);
    entry.active_connections = number("active_connections")?;
    entry.inactive_connections = number("inactive_connections")?;
    entry.persistent_connections = number("persistent_connections")?;
    Some(entry)
}

fn read_statistics(value: &Value) -> Option<Statistics> {
    let counter = |name: &str| value["counters"][name].as_u64();
    let rate = |name: &str| value["rates"][format!("{name}_per_second")].as_u64();
    let counters = Counters {
        connections: counter("connections")?,
        incoming_packets: counter("packets_in")?,
        outgoing_packets: counter("packets_out")?,
        incoming_bytes: counter("bytes_in")?,
        outgoing_bytes: counter("bytes_out")?,
    };
    let rates = Rates {
        connections: rate("connections")?,
        incoming_packets: rate("packets_in")?,
        outgoing_packets: rate("packets_out")?,
        incoming_bytes: rate("bytes_in")?,
        outgoing_bytes: rate("bytes_out")?,
    };
    Some(Statistics::new(counters, rates))
}
