//! What holds for any bytes at all. The fuzzers look for bytes for which it does not; `tests/no-kernel/fuzz.rs` tries the kept ones.

#![allow(dead_code)] // Each fuzzer uses one of these.

use std::cell::Cell;
use std::io::BufReader;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use ipvs_client::{
    Change, Daemon, DaemonRole, Destination, DestinationEntry, Family, InterfaceName, Name, Netmask, Persistence,
    Protocol, SchedulerName, Service, ServiceEntry, ServiceKey, Statistics, TableService,
    connections::{ConnectionKey, CountKeys, Counter, EngineTable, Row, rows},
    decode,
};
use ipvsadm_rs::doctor::readiness::{self, Readiness};
use ipvsadm_rs::doctor::{CHECKS, Finding, Fix, Judgement, State, quiet};
use ipvsadm_rs::escape::{escaped, escaped_bytes};
use ipvsadm_rs::grammar::{self, Columns, Listing, Names, Request};
use ipvsadm_rs::host::names;
use ipvsadm_rs::host::sysconfig::{Settings, SettingsError, holds_variables};
use ipvsadm_rs::rules::{ReadError, read};
use ipvsadm_rs::view::boxed::Canvas;
use ipvsadm_rs::view::doctor::{Report, Style};
use ipvsadm_rs::view::json::ConnectionDocument;
use ipvsadm_rs::view::{self, Labels, connections};
use netlink_exchange::{Attributes, Messages};

/// A few names, known once they have been looked up.
#[derive(Default)]
struct SomeNames {
    looked_up: Cell<bool>,
}

impl Names for SomeNames {
    fn host(&self, name: &str) -> Option<Result<IpAddr, String>> {
        self.looked_up.get().then(|| match name {
            "a" | "director" => Ok([192, 0, 2, 1].into()),
            "b" => Ok(Ipv6Addr::LOCALHOST.into()),
            _ => Err("it is not one of these".to_owned()),
        })
    }

    fn look_up(&self) {
        self.looked_up.set(true);
    }

    fn port(&self, name: &str, _: Protocol) -> Option<u16> {
        (name == "http").then_some(80)
    }
}

/// Words, parted by NUL as a process gets them, are taken or refused. What they ask to change can be written as a rule,
/// and that rule means the same.
pub fn words(bytes: &[u8]) {
    match grammar::parse(bytes.split(|&byte| byte == 0), &SomeNames::default()) {
        Ok(Request::Change(change)) => means_the_same(&change),
        Ok(_) => {}
        Err(error) => assert!(!error.message("ipvsadm-rs").is_empty()),
    }
}

fn means_the_same(change: &Change) {
    let line = view::rules::text(change);
    let mut read_back = Vec::new();
    let outcome = read(line.as_bytes(), &SomeNames::default(), |line| read_back.push(line.request));
    // A word of a command line may hold what parts words in a rule, or no text at all. Nothing has such a name: the kernel
    // refuses it.
    let names = match change {
        Change::AddService(service) | Change::EditService(service) => [service.scheduler, service.engine],
        Change::StartDaemon(daemon) | Change::StopDaemon(daemon) => [daemon.interface, Name::EMPTY],
        _ => [Name::EMPTY; 2],
    };
    let is_word = |name: &Name<15>| name.as_bytes().iter().all(u8::is_ascii_graphic);
    let is_comment = |name: &Name<15>| {
        name.as_bytes().starts_with(b"#") && matches!(change, Change::AddService(_) | Change::EditService(_))
    };
    if !names.iter().all(is_word) || names.iter().any(is_comment) {
        return;
    }
    assert!(outcome.is_ok(), "{line}: {outcome:?}");
    match (&read_back[..], change) {
        // What stops a daemon needs no more than its role.
        ([Request::Change(Change::StopDaemon(read))], Change::StopDaemon(meant)) => assert_eq!(read.role, meant.role),
        ([Request::Change(Change::DeleteDestination(key, read))], Change::DeleteDestination(meant_key, meant)) => {
            assert_eq!((key, read), (meant_key, meant), "{line}");
        }
        (read, change) => assert_eq!(read, [Request::Change(*change)], "{line}"),
    }
}

/// A rules file is read to its end or refused with a line that it has, whatever is in it, and in pieces as in one.
pub fn rules(bytes: &[u8]) {
    let lines = bytes.split(|&byte| byte == b'\n').count();
    let outcome = |pieces: usize| {
        let mut requests = Vec::new();
        let outcome = read(BufReader::with_capacity(pieces, bytes), &SomeNames::default(), |line| requests.push(line));
        (requests, outcome)
    };
    let (requests, whole) = outcome(bytes.len().max(1));
    assert!(requests.iter().all(|line| (1..=lines).contains(&(line.number as usize))));
    let (same_requests, pieces) = outcome(7);
    assert_eq!(requests, same_requests);
    match (whole, pieces) {
        (Ok(()), Ok(())) | (Err(ReadError::CutOff), Err(ReadError::CutOff)) => {}
        (Err(ReadError::Bad(whole)), Err(ReadError::Bad(pieces))) => {
            assert_eq!(whole, pieces);
            assert!(!whole.is_empty() && whole.iter().all(|bad| (1..=lines).contains(&(bad.number as usize))));
        }
        other => panic!("{other:?}"),
    }
}

/// What a name server answers is an answer or is not; a name in it is one that can be printed.
pub fn names(bytes: &[u8]) {
    for name in names::read_reply("a.example", bytes) {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        assert!(!name.is_empty() && name.len() < 255 && name.bytes().all(plain), "{name:?}");
    }
}

/// What came from a netlink socket is read or refused, by every decoder; and no message is read from beyond its end.
pub fn replies(bytes: &[u8]) {
    for message in Messages::new(bytes) {
        let Ok(message) = message else { break };
        every_decoder(message.payload);
    }
    every_decoder(bytes);
}

fn every_decoder(payload: &[u8]) {
    let _ = decode::info(payload);
    let _ = decode::timeouts(payload);
    let _ = decode::daemon(payload);
    for family in [Family::Ipv4, Family::Ipv6] {
        if let (Ok(whole), Ok(rule)) = (decode::destination(payload, family), decode::destination_rule(payload, family))
        {
            assert_eq!(whole.destination, rule);
        }
    }
    if let (Ok(whole), Ok(rule)) = (decode::service(payload), decode::service_rule(payload)) {
        assert_eq!(whole.service, rule);
    }
    if let Ok(attributes) = Attributes::generic(payload) {
        let mut read = 0;
        for attribute in attributes {
            let Ok(attribute) = attribute else { break };
            read += attribute.payload.len();
        }
        assert!(read <= payload.len());
    }
}

/// The kernel's two lists of connections, parted by the first NUL, are printed in every form as [`model`] has it, in pieces
/// as in one: a row for each line of the first list that is a connection, and of the second only data.
pub fn connections(bytes: &[u8]) {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    let (list, engine_list) = (&bytes[..end], bytes.get(end + 1..).unwrap_or_default());
    let (expected, skipped) = model::rows(list);
    let (data, engines_skipped) = model::data(engine_list);
    for pieces in [list.len().max(1), 11] {
        let engines =
            EngineTable::read(|| Ok(BufReader::with_capacity(pieces, engine_list))).expect("memory can be read");
        assert_eq!(engines.skipped().lines, engines_skipped);
        let (mut quick, mut with_data, mut all) = (Vec::new(), Vec::new(), Vec::new());
        let labels = &mut Labels::numeric();
        let read = rows(BufReader::with_capacity(pieces, list), |row| {
            let connection = row.connection();
            all.push((connection, engines.of(&connection)));
            match row {
                Row::Usual(usual) => connections::usual(&mut quick, usual)?,
                Row::Other(connection) => connections::line(&mut quick, labels, connection, None)?,
            }
            connections::line(&mut with_data, labels, &connection, engines.of(&connection))
        });
        assert_eq!(read.expect("memory can be read and written").lines, skipped);
        assert_eq!(as_text(&quick), expected.iter().map(model::Row::line).collect::<String>());
        assert_eq!(as_text(&with_data), expected.iter().map(|row| row.line_with(&data)).collect::<String>());
        let mut wide = Vec::new();
        view::wide::connections(&mut wide, labels, all.iter().copied(), true).expect("memory takes all");
        let wide = as_text(&wide);
        assert_eq!(wide.lines().count(), expected.len() + 2);
        for (line, row) in wide.lines().skip(2).zip(&expected) {
            let data = data.get(&row.key()).map_or("", |(_, data)| data.trim_end());
            assert!(line.contains(row.origin) && line.ends_with(data));
        }
        for unicode in [false, true] {
            let canvas = Canvas { width: Some(100), color: false, unicode };
            let mut boxed = Vec::new();
            view::boxed::connections(&mut boxed, labels, &all, true, canvas).expect("memory takes all");
            assert_eq!(as_text(&boxed).lines().count(), expected.len() + if expected.is_empty() { 3 } else { 4 });
        }
        for key in [ConnectionKey::State, ConnectionKey::Server, ConnectionKey::Client] {
            let keys = CountKeys { first: key, second: None };
            let mut counter = Counter::by(keys);
            all.iter().for_each(|(connection, _)| assert!(counter.add(connection)));
            let counts = counter.counts();
            assert_eq!(counts.iter().map(|count| count.connections).sum::<u64>(), expected.len() as u64);
            let mut out = Vec::new();
            connections::list_counts(&counts, &mut out, labels).expect("memory takes all");
            assert_eq!(as_text(&out).lines().count(), counts.len());
            out.clear();
            let canvas = Canvas { width: Some(100), color: false, unicode: false };
            view::boxed::counts(&mut out, labels, keys, &counts, canvas).expect("memory takes all");
            assert_eq!(as_text(&out).lines().count(), counts.len() + if counts.is_empty() { 3 } else { 4 });
        }
        let mut json = Vec::new();
        let documents: Vec<_> =
            all.iter().map(|(connection, engine)| ConnectionDocument::new(connection, *engine)).collect();
        view::json::write(&mut json, "connections", &documents, false).expect("memory takes all");
        assert_eq!(as_text(&json).lines().count(), 1);
    }
}

/// Whatever strings come from outside, parted by NUL as words are, no text form has a control character but newlines, and
/// no line that the strings bring along.
pub fn forms(bytes: &[u8]) {
    let mut strings = bytes.split(|&byte| byte == 0);
    let mut next = || strings.next().unwrap_or_default();
    let (scheduler, engine, interface) = (Name::cut(next()), Name::cut(next()), Name::cut(next()));
    let (program, fact, command) = (next(), next(), next());
    let fact = String::from_utf8_lossy(fact);
    services(scheduler, engine);
    daemon(interface);
    names_of_hosts(&String::from_utf8_lossy(program), &fact);
    real_server(&fact, &String::from_utf8_lossy(command));
    report(&fact, &String::from_utf8_lossy(command));
    one_line(&view::drain::bar(&escaped(fact.as_ref()), &view::drain::Status::default(), 200));
    // What is wrong with words and with rules is said in a line, and perhaps in one more with what may have been meant.
    if let Err(error) = grammar::parse(bytes.split(|&byte| byte == 0), &SomeNames::default()) {
        let message = error.message(&escaped_bytes(program));
        assert!(as_text(message.as_bytes()).lines().count() <= 2, "{message}");
        as_text(error.to_string().as_bytes());
    }
    if let Err(ReadError::Bad(bad)) = read(bytes, &SomeNames::default(), |_| {}) {
        for line in bad {
            assert!(as_text(line.to_string().as_bytes()).lines().count() <= 2, "{line}");
        }
    }
}

fn services(scheduler: SchedulerName, engine: SchedulerName) {
    let key = ServiceKey::Address { protocol: Protocol::Udp, address: Ipv4Addr::LOCALHOST.into(), port: 5060 };
    let mut service = Service::new(key, scheduler);
    service.persistence = Some(Persistence { timeout: 360, netmask: Netmask::V4(Ipv4Addr::BROADCAST) });
    service.engine = engine;
    let entry = ServiceEntry::new(service, Statistics::default());
    let all = [TableService { entry, destinations: Vec::new() }];
    let labels = &mut Labels::numeric();
    for columns in [Columns::Plain, Columns::Stats, Columns::Thresholds] {
        let listing = Listing { columns, numeric: true, ..Listing::DEFAULT };
        let mut out = Vec::new();
        view::text::service(&mut out, labels, &listing, &entry).expect("memory takes all");
        one_line(as_text(&out).trim_end_matches('\n'));
        out.clear();
        view::wide::services(&mut out, labels, &listing, None, &all, &Default::default(), false)
            .expect("memory takes all");
        assert_eq!(as_text(&out).lines().count(), 3);
        for unicode in [false, true] {
            out.clear();
            let canvas = Canvas { width: None, color: false, unicode };
            view::boxed::services(&mut out, labels, &listing, None, &all, canvas).expect("memory takes all");
            assert_eq!(as_text(&out).lines().count(), 5);
        }
    }
    rule(&Change::AddService(service));
}

/// Whatever the name service says, a listing has no lines but its own, and what is saved is read back.
fn names_of_hosts(host: &str, port: &str) {
    let addresses = [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()];
    let named = || {
        let mut labels = Labels::with_names([((80, Protocol::Tcp), port.to_owned())].into());
        labels.add_hosts(addresses.map(|address| (address, host.to_owned())));
        labels
    };
    let all = addresses.map(|address| {
        let service =
            Service::new(ServiceKey::Address { protocol: Protocol::Tcp, address, port: 80 }, Name::cut(b"wlc"));
        let entry = DestinationEntry::new(Destination::new(address, 80), Statistics::default());
        let destinations = vec![entry];
        TableService { entry: ServiceEntry::new(service, Statistics::default()), destinations }
    });
    let labels = &mut named();
    let listing = Listing::DEFAULT;
    let mut out = Vec::new();
    for service in &all {
        view::text::service(&mut out, labels, &listing, &service.entry).expect("memory takes all");
        for server in &service.destinations {
            view::text::destination(&mut out, labels, &listing, &service.entry.service.key, server)
                .expect("memory takes all");
        }
    }
    assert_eq!(as_text(&out).lines().count(), 4);
    out.clear();
    view::wide::services(&mut out, labels, &listing, None, &all, &Default::default(), false).expect("memory takes all");
    assert_eq!(as_text(&out).lines().count(), 6);
    out.clear();
    let canvas = Canvas { width: Some(100), color: false, unicode: true };
    view::boxed::services(&mut out, labels, &listing, None, &all, canvas).expect("memory takes all");
    as_text(&out);
    let labels = &mut named().restorable();
    for service in &all {
        out.clear();
        let rules = service.destinations.iter().map(|entry| &entry.destination);
        view::rules::service(&mut out, labels, &service.entry.service, rules).expect("memory takes all");
        assert_eq!(as_text(&out).lines().count(), 2);
    }
}

/// What is found of a real server stands in lines of its own.
fn real_server(interface: &str, error: &str) {
    let findings = vec![
        readiness::Finding::Address(readiness::Standing::NoInterface),
        readiness::Finding::Elsewhere(Some(interface.to_owned())),
        readiness::Finding::Delivered(Err(error.to_owned())),
        readiness::Finding::HostRoute(false),
        readiness::Finding::Setting(quiet::IGNORE, readiness::Silence::Value(interface.to_owned(), 0)),
        readiness::Finding::Rules(readiness::Rules::Unreadable(error.to_owned())),
        readiness::Finding::Rules(readiness::Rules::MissingOn(interface.to_owned())),
    ];
    let lines = findings.len() + 2;
    let readiness = Readiness {
        vip: [192, 0, 2, 1].into(),
        started: false,
        method: quiet::Method::ArpSysctl,
        interface: interface.to_owned(),
        findings,
        without_record: vec![readiness::Remain::Address],
    };
    let mut out = Vec::new();
    view::realserver::text(&mut out, &readiness, false).expect("memory takes all");
    assert_eq!(as_text(&out).lines().count(), lines);
}

fn daemon(interface: InterfaceName) {
    let daemon = Daemon::new(DaemonRole::Backup, interface, 1);
    let mut out = Vec::new();
    view::text::daemon(&mut out, &daemon).expect("memory takes all");
    one_line(as_text(&out).trim_end_matches('\n'));
    out.clear();
    let canvas = Canvas { width: None, color: false, unicode: false };
    view::boxed::daemons(&mut out, &[daemon], canvas).expect("memory takes all");
    assert_eq!(as_text(&out).lines().count(), 5);
    rule(&Change::StartDaemon(daemon));
}

/// A rule is a line that is safe to print, or an error that is.
fn rule(change: &Change) {
    let mut out = Vec::new();
    match view::rules::change(&mut out, &mut Labels::numeric(), change) {
        // A name must be read back as it is, even if it is not text.
        Ok(()) => {
            let line = out.strip_suffix(b"\n").expect("a line");
            for chunk in line.utf8_chunks() {
                one_line(chunk.valid());
                assert!(chunk.invalid().iter().all(|byte| *byte >= 0xa0), "{}", line.escape_ascii());
            }
        }
        Err(error) => one_line(&error.to_string()),
    }
}

fn report(fact: &str, command: &str) {
    let fixes = [
        None,
        Some(Fix::Command(command.to_owned())),
        Some(Fix::Advice(command.to_owned())),
        Some(Fix::Elsewhere { machine: fact.to_owned(), command: command.to_owned() }),
    ];
    for fix in fixes {
        let judgement =
            Judgement { state: State::Fail, fact: fact.to_owned(), from: command.to_owned(), undo: fix.clone(), fix };
        let lines = |judgement: Judgement| {
            let findings = [Finding { check: &CHECKS[0], judgement, follows: None }];
            let mut out = Vec::new();
            let style = Style { all: true, colored: false };
            view::doctor::write(&mut out, &Report::new("ipvsadm-rs", &[], &[], &findings), style)
                .expect("memory takes all");
            // How long a fix lasts depends on its words.
            as_text(&out).lines().filter(|line| !line.trim_start().starts_with("lasts ")).count()
        };
        let plain = |fix: &Fix| match fix {
            Fix::Command(_) => Fix::Command("x".to_owned()),
            Fix::Advice(_) => Fix::Advice("x".to_owned()),
            _ => Fix::Elsewhere { machine: "x".to_owned(), command: "x".to_owned() },
        };
        let fact = if fact.is_empty() { "" } else { "x" }.to_owned();
        let from = if command.is_empty() { "" } else { "x" }.to_owned();
        let same = Judgement {
            state: State::Fail,
            fact,
            from,
            fix: judgement.fix.as_ref().map(plain),
            undo: judgement.undo.as_ref().map(plain),
        };
        assert_eq!(lines(judgement), lines(same));
    }
}

fn one_line(text: &str) {
    as_text(text.as_bytes());
    assert!(!text.contains('\n'), "{text:?}");
}

/// What was printed: text without control characters but newlines.
fn as_text(bytes: &[u8]) -> &str {
    let text = std::str::from_utf8(bytes).expect("text");
    assert!(text.chars().all(|letter| letter == '\n' || !model::is_dangerous(letter)), "{text:?}");
    text
}

/// What may be printed of lists of connections, by plainer means than those of the program.
mod model {
    use std::collections::HashMap;
    use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

    pub struct Row<'l> {
        protocol: &'l str,
        endpoints: [SocketAddr; 3],
        state: &'l str,
        pub origin: &'static str,
        expires: u32,
    }

    /// Protocol and endpoints.
    type Key<'l> = (&'l str, [SocketAddr; 3]);

    /// An engine's name and data, as printed.
    type Data = (String, String);

    impl<'l> Row<'l> {
        pub fn key(&self) -> Key<'l> {
            (self.protocol, self.endpoints)
        }

        fn before_destination(&self) -> String {
            let Self { protocol, state, .. } = self;
            let expiry = format!("{:02}:{:02}", self.expires / 60, self.expires % 60);
            let [source, virtual_address] = [0, 1].map(|at| endpoint(self.endpoints[at]));
            format!("{protocol:<3} {expiry:<6} {state:<11} {source:<18} {virtual_address:<18} ")
        }

        pub fn line(&self) -> String {
            format!("{}{}\n", self.before_destination(), endpoint(self.endpoints[2]))
        }

        pub fn line_with(&self, data: &HashMap<Key<'l>, Data>) -> String {
            match data.get(&self.key()) {
                Some((name, data)) => {
                    let destination = endpoint(self.endpoints[2]);
                    format!("{}{destination:<16} {name:<18} {data}\n", self.before_destination())
                }
                None => self.line(),
            }
        }
    }

    /// As inet_ntop(3) writes it: the standard library does not know addresses such as ::1.2.3.4.
    fn endpoint(endpoint: SocketAddr) -> String {
        match endpoint {
            SocketAddr::V6(v6) if v6.ip().segments()[..6] == [0; 6] && v6.ip().segments()[6] != 0 => {
                let [.., a, b, c, d] = v6.ip().octets();
                format!("[::{a}.{b}.{c}.{d}]:{}", v6.port())
            }
            other => other.to_string(),
        }
    }

    /// The lines below the first that have something in them.
    fn lines(list: &[u8]) -> impl Iterator<Item = &[u8]> {
        list.split(|&byte| byte == b'\n').skip(1).filter(|line| !line.is_empty())
    }

    /// The words between blanks, as text where they are ASCII without control characters; empty where they are not.
    fn words(line: &[u8]) -> impl Iterator<Item = &str> {
        let words = line.split(|&byte| byte == b' ').filter(|word| !word.is_empty());
        words.map(
            |word| if word.iter().all(u8::is_ascii_graphic) { std::str::from_utf8(word).unwrap_or("") } else { "" },
        )
    }

    fn hexadecimal(word: &str, most: usize) -> Option<u32> {
        let is = word.len() <= most && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        is.then(|| u32::from_str_radix(word, 16).ok())?
    }

    fn beginning<'l>(words: &mut impl Iterator<Item = &'l str>) -> Option<(Key<'l>, &'l str)> {
        let name = |word: Option<&'l str>| word.filter(|word| (1..=23).contains(&word.len()));
        let protocol = name(words.next())?;
        let mut endpoint = || {
            let (address, port) = (words.next()?, hexadecimal(words.next()?, 4)?);
            let address = match address.contains(':') {
                true => address.parse::<Ipv6Addr>().ok()?.into(),
                false => Ipv4Addr::from(hexadecimal(address, 8)?).into(),
            };
            Some(SocketAddr::new(address, port as u16))
        };
        let endpoints = [endpoint()?, endpoint()?, endpoint()?];
        Some(((protocol, endpoints), name(words.next())?))
    }

    fn number(word: &str) -> Option<u32> {
        word.bytes().all(|byte| byte.is_ascii_digit()).then(|| word.parse().ok())?
    }

    /// The connections, and how many lines are none.
    pub fn rows(list: &[u8]) -> (Vec<Row<'_>>, u64) {
        let row = |line| {
            let mut words = words(line);
            let ((protocol, endpoints), state) = beginning(&mut words)?;
            let origin = match words.next()? {
                "LOCAL" => "local",
                "SYNC" => "sync",
                _ => return None,
            };
            let expires = number(words.next()?)?;
            words.next().is_none().then_some(Row { protocol, endpoints, state, origin, expires })
        };
        let rows: Vec<_> = lines(list).map(row).collect();
        let skipped = rows.iter().filter(|row| row.is_none()).count();
        (rows.into_iter().flatten().collect(), skipped as u64)
    }

    /// Name and data of engines as printed, of connections that one line alone is about; and how many lines are about none.
    pub fn data(list: &[u8]) -> (HashMap<Key<'_>, Data>, u64) {
        let mut all: HashMap<Key<'_>, Vec<Option<Data>>> = HashMap::new();
        let mut skipped = 0;
        for line in lines(list) {
            match entry(line) {
                Some((key, data)) => all.entry(key).or_default().push(data),
                None => skipped += 1,
            }
        }
        let single = |(key, data): (_, Vec<Option<Data>>)| match &data[..] {
            [Some(data)] => Some((key, data.clone())),
            _ => None,
        };
        (all.into_iter().filter_map(single).collect(), skipped)
    }

    fn entry(line: &[u8]) -> Option<(Key<'_>, Option<Data>)> {
        let mut words = words(line);
        let (key, _) = beginning(&mut words)?;
        number(words.next()?)?;
        // Behind nine words and their blanks.
        let mut rest = line;
        for word in 0..10 {
            let blanks = rest.iter().take_while(|&&byte| byte == b' ').count();
            rest = &rest[blanks..];
            if word < 9 {
                rest = &rest[rest.iter().take_while(|&&byte| byte != b' ').count()..];
            }
        }
        let (name, data) = rest.split_at(rest.iter().position(|&byte| byte == b' ').unwrap_or(rest.len()));
        if name.is_empty() {
            return Some((key, None));
        }
        let data = if data.is_empty() { data } else { &data[1..] };
        (name.len() <= 15 && !name.contains(&0)).then(|| (key, Some((escaped(name), escaped(data)))))
    }

    /// Bytes of control characters and of what is not text, in hexadecimal.
    fn escaped(bytes: &[u8]) -> String {
        let mut text = String::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let letter = (1..=4.min(rest.len())).find_map(|length| std::str::from_utf8(&rest[..length]).ok());
            let length = letter.map_or(1, str::len);
            match letter {
                Some(letter) if letter.chars().all(|letter| !is_dangerous(letter)) => text.push_str(letter),
                _ => rest[..length].iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}"))),
            }
            rest = &rest[length..];
        }
        text
    }

    pub fn is_dangerous(letter: char) -> bool {
        letter.is_control()
            || "\u{61c}\u{200e}\u{200f}\u{2028}\u{2029}".contains(letter)
            || ('\u{202a}'..='\u{202e}').contains(&letter)
            || ('\u{2066}'..='\u{2069}').contains(&letter)
    }
}

/// A file of settings is taken or refused with a line that it has, and a path in it is a whole one.
pub fn settings(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = holds_variables(&text);
    match Settings::of(Path::new("/etc/default/ipvsadm"), &text) {
        Ok(settings) => {
            assert!(settings.rules.is_absolute());
            for (daemon, _) in &settings.daemons {
                assert!(!daemon.interface.is_empty() && daemon.sync_id <= 255);
            }
        }
        Err(SettingsError::Bad(place, what)) => {
            assert!(!what.is_empty() && (1..=text.lines().count()).contains(&(place.line as usize)), "{place:?}");
        }
        Err(error) => panic!("{error:?}"),
    }
}
