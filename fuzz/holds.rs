//! What holds for any bytes at all. The fuzzers look for bytes for which it does not; `tests/no-kernel/fuzz.rs` tries the kept ones.

#![allow(dead_code)] // Each fuzzer uses one of these.

use std::io::BufReader;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;

use ipvsadm_rs::grammar::{self, Connections, Names, Request};
use ipvsadm_rs::host::sysconfig::{Settings, SettingsError, holds_variables};
use ipvsadm_rs::kernel::decode;
use ipvsadm_rs::kernel::wire::{Attributes, Messages};
use ipvsadm_rs::model::{Change, Family, Name, Protocol};
use ipvsadm_rs::rules::{ReadError, read};
use ipvsadm_rs::view::{self, Labels, connections};

/// A few names, and no questions to anybody.
struct SomeNames;

impl Names for SomeNames {
    fn ipv4(&self, host: &str) -> Option<Ipv4Addr> {
        matches!(host, "a" | "director").then_some(Ipv4Addr::new(192, 0, 2, 1))
    }

    fn ipv6(&self, host: &str) -> Option<Ipv6Addr> {
        matches!(host, "b" | "director").then_some(Ipv6Addr::LOCALHOST)
    }

    fn port(&self, name: &str, _: Protocol) -> Option<u16> {
        (name == "http").then_some(80)
    }
}

/// Words, parted by NUL as a process gets them, are taken or refused. What they ask to change can be written as a rule,
/// and that rule means the same.
pub fn words(bytes: &[u8]) {
    match grammar::parse(bytes.split(|&byte| byte == 0), &SomeNames) {
        Ok(Request::Change(change)) => means_the_same(&change),
        Ok(_) => {}
        Err(error) => assert!(!error.message("ipvsadm-rs").is_empty()),
    }
}

fn means_the_same(change: &Change) {
    let line = view::rules::text(change);
    let mut read_back = Vec::new();
    let outcome = read(line.as_bytes(), &SomeNames, |line| read_back.push(line.request));
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
        let outcome = read(BufReader::with_capacity(pieces, bytes), &SomeNames, |line| requests.push(line));
        (requests, outcome)
    };
    let (requests, whole) = outcome(bytes.len().max(1));
    assert!(requests.iter().all(|line| (1..=lines).contains(&(line.number as usize))));
    let (same_requests, pieces) = outcome(7);
    assert_eq!(requests, same_requests);
    match (whole, pieces) {
        (Ok(()), Ok(())) => {}
        (Err(ReadError::Bad(whole)), Err(ReadError::Bad(pieces))) => {
            assert_eq!(whole, pieces);
            assert!(!whole.is_empty() && whole.iter().all(|bad| (1..=lines).contains(&(bad.number as usize))));
        }
        other => panic!("{other:?}"),
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

/// Lines of connections are printed or refused, in pieces as in one.
pub fn connections(bytes: &[u8]) {
    let listed = |pieces: usize, engine_data: bool| {
        let mut out = Vec::new();
        let source = BufReader::with_capacity(pieces, bytes);
        let outcome = connections::list(source, &mut out, &mut Labels::numeric(), engine_data, &Connections::default());
        (out, outcome.map_err(|error| error.to_string()))
    };
    for engine_data in [false, true] {
        assert_eq!(listed(bytes.len().max(1), engine_data), listed(11, engine_data));
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
