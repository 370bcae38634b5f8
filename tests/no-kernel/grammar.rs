//! Properties of the grammar: what is written is read back, every spelling means the same, and nothing at all makes the
//! parser panic.

use std::collections::BTreeMap;

use ipvs_client::{Change, Daemon, DaemonRole, InterfaceName};
use ipvsadm_rs::grammar::table::{self, COMMANDS, OPTIONS, OptionSet, Value, Word};
use ipvsadm_rs::grammar::{NoNames, Request, parse};
use ipvsadm_rs::rules::{self, Line, ReadError};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::strategies::{self, Reach};

fn config() -> ProptestConfig {
    ProptestConfig { cases: 2048, failure_persistence: None, ..ProptestConfig::default() }
}

/// The lines of a file.
fn read(text: &[u8]) -> Result<Vec<Line>, ReadError> {
    let mut lines = Vec::new();
    rules::read(text, &NoNames, |line| lines.push(line)).map(|()| lines)
}

/// Every change that a rule can say.
fn change() -> BoxedStrategy<Change> {
    let service = || strategies::service_key().prop_flat_map(|key| strategies::service(key, Reach::Rule));
    let server = || {
        strategies::service_key().prop_flat_map(|key| {
            strategies::server_key(key, Reach::Rule, true)
                .prop_flat_map(move |name| (Just(key), strategies::server(key, name, Reach::Rule)))
        })
    };
    // The kernel does not ask more than the role of a daemon to stop, and a rule says no more.
    let stop = select(&[DaemonRole::Master, DaemonRole::Backup][..]).prop_map(|role| {
        let interface = InterfaceName::cut(b"eth0");
        Change::StopDaemon(Daemon::new(role, interface, 0))
    });
    let start = select(&[DaemonRole::Master, DaemonRole::Backup][..])
        .prop_flat_map(|role| strategies::daemon(role, strategies::interface()));
    prop_oneof![
        4 => service().prop_map(Change::AddService),
        2 => service().prop_map(Change::EditService),
        1 => strategies::service_key().prop_map(Change::DeleteService),
        4 => server().prop_map(|(key, server)| Change::AddDestination(key, server)),
        2 => server().prop_map(|(key, server)| Change::EditDestination(key, server)),
        1 => server().prop_map(|(key, server)| Change::DeleteDestination(key, server.key)),
        1 => Just(Change::Flush),
        1 => proptest::option::of(strategies::service_key()).prop_map(Change::Zero),
        1 => strategies::timeouts().prop_map(Change::SetTimeouts),
        2 => start.prop_map(Change::StartDaemon),
        1 => stop,
    ]
    .boxed()
}

/// How to spell one word of the table.
#[derive(Clone, Copy, Debug)]
enum Spelling {
    Letter,
    LetterAttached,
    LetterEquals,
    Long,
    LongEquals,
}

const SPELLINGS: [Spelling; 5] =
    [Spelling::Letter, Spelling::LetterAttached, Spelling::LetterEquals, Spelling::Long, Spelling::LongEquals];

/// The same line, spelt otherwise. `cluster` says where letters that can be are joined with what follows.
fn respell(line: &str, spellings: &[Spelling], cluster: &[bool]) -> Vec<String> {
    let mut words = line.split(' ');
    let mut spelt: Vec<String> = Vec::new();
    // Whether the last word of `spelt` is letters without a value.
    let mut open = false;
    let mut number = 0;
    while let Some(word) = words.next() {
        let meaning = match word.as_bytes() {
            [b'-', b'-', name @ ..] => table::long(name),
            [b'-', letter] => table::short(*letter),
            _ => None,
        };
        let Some(meaning) = meaning else {
            // The numbers of --set.
            spelt.push(word.to_owned());
            open = false;
            continue;
        };
        let (letter, long) = match meaning {
            Word::Command(spec) => (spec.short.last().copied(), Some(spec.long)),
            Word::Option(spec) => (spec.short, Some(spec.long)),
        };
        let value = if meaning.value() == Value::None { None } else { words.next() };
        let spelling = spellings[number % spellings.len()];
        let joined = open && cluster[number % cluster.len()];
        number += 1;
        let letter = letter.map(char::from);
        let as_letter = match (spelling, long) {
            (Spelling::Long | Spelling::LongEquals, Some(_)) => None,
            _ => letter,
        };
        let (head, tail) = match (as_letter, value, spelling) {
            (Some(letter), None, _) => (letter.to_string(), None),
            (Some(letter), Some(value), Spelling::LetterAttached) if !value.starts_with('=') => {
                (format!("{letter}{value}"), None)
            }
            (Some(letter), Some(value), Spelling::LetterEquals) => (format!("{letter}={value}"), None),
            (Some(letter), Some(value), _) => (letter.to_string(), Some(value)),
            (None, Some(value), Spelling::LongEquals | Spelling::LetterEquals) => {
                (format!("--{}={value}", long.unwrap_or_default()), None)
            }
            (None, value, _) => (format!("--{}", long.unwrap_or_default()), value),
        };
        match (as_letter, spelt.last_mut()) {
            (Some(_), Some(last)) if joined => last.push_str(&head),
            (Some(_), _) => spelt.push(format!("-{head}")),
            (None, _) => spelt.push(head),
        }
        open = as_letter.is_some() && value.is_none();
        spelt.extend(tail.map(str::to_owned));
    }
    spelt
}

/// A word that may or may not be one of the language.
fn any_word() -> impl Strategy<Value = Vec<u8>> {
    const VALUES: [&str; 24] = [
        "1.2.3.4:80",
        "10.0.0.1",
        "[2001:db8::1]:80",
        "2001:db8::1",
        "rr",
        "wlc",
        "1",
        "0",
        "-1",
        "4294967296",
        "gue",
        "gre",
        "ipip",
        "master",
        "backup",
        "sh-port",
        "flag-1,flag-3",
        "255.255.255.0",
        "128",
        "-",
        "--",
        "=",
        "",
        "lo",
    ];
    let names: Vec<String> = COMMANDS
        .iter()
        .flat_map(|spec| {
            spec.short.iter().map(|letter| format!("-{}", char::from(*letter))).chain([format!("--{}", spec.long)])
        })
        .chain(OPTIONS.iter().flat_map(|spec| {
            let letter = spec.short.map(|letter| format!("-{}", char::from(letter)));
            letter.into_iter().chain([format!("--{}", spec.long)])
        }))
        .collect();
    let value = || select(&VALUES[..]).prop_map(|value| value.as_bytes().to_vec());
    let noise = || vec(any::<u8>(), 0..12);
    prop_oneof![
        6 => select(names.clone()).prop_map(String::into_bytes),
        4 => value(),
        1 => noise(),
        1 => (select(names.clone()), prop_oneof![value(), noise()])
            .prop_map(|(name, value)| [name.as_bytes(), b"=", &value].concat()),
        1 => (select(names), prop_oneof![value(), noise()]).prop_map(|(name, value)| [name.as_bytes(), &value].concat()),
        1 => vec(0x21_u8..0x7f, 1..6).prop_map(|letters| [b"-", &letters[..]].concat()),
    ]
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_is_written_is_read_back(changes in vec(change(), 1..4)) {
        let text: String = changes.iter().map(|change| strategies::line(change) + "\n").collect();
        let lines = read(text.as_bytes()).map_err(|error| TestCaseError::fail(format!("{error:?}\n{text}")))?;
        let read: Vec<Change> = lines.iter().filter_map(|line| line.change().copied()).collect();
        prop_assert_eq!(read, changes, "{}", text);
        prop_assert!((1..).zip(&lines).all(|(number, line)| line.number == number && line.replaced_port.is_none()));
    }

    #[test]
    fn every_spelling_means_the_same(
        change in change(),
        spellings in vec(select(&SPELLINGS[..]), 1..12),
        cluster in vec(any::<bool>(), 1..12),
    ) {
        let line = strategies::line(&change);
        let words = respell(&line, &spellings, &cluster);
        let parsed = parse(words.iter().map(String::as_bytes), &NoNames);
        prop_assert_eq!(parsed, Ok(Request::Change(change)), "{:?} for {}", words, line);
    }

    #[test]
    fn no_words_make_the_parser_panic(words in vec(any_word(), 0..10)) {
        if let Err(error) = parse(words.iter().map(Vec::as_slice), &NoNames) {
            prop_assert!(!error.message("ipvsadm").is_empty());
            prop_assert!(!error.to_string().is_empty());
            prop_assert!([2, 255].contains(&error.status()));
        }
    }

    #[test]
    fn a_line_is_read_as_its_words_are(words in vec(any_word(), 1..10)) {
        // What parts words or lines cannot be in one, and # would begin a comment.
        let words: Vec<Vec<u8>> = words
            .into_iter()
            .map(|word| word.into_iter().filter(|byte| !b" \t\r\n\0#".contains(byte)).collect())
            .filter(|word: &Vec<u8>| !word.is_empty())
            .collect();
        prop_assume!(words.first().is_some_and(|first| first != b"ipvsadm"));
        let line = words.join(&b' ');
        let expected = parse(words.iter().map(Vec::as_slice), &NoNames);
        match (read(&line), expected) {
            (Ok(lines), Ok(request)) => prop_assert_eq!(&lines[0].request, &request),
            (Err(ReadError::Bad(bad)), Err(error)) => prop_assert_eq!(&bad[0].message, &error.to_string()),
            (
                Err(ReadError::Bad(_)),
                Ok(Request::Restore(_) | Request::Help | Request::Version(_) | Request::Save(_) | Request::Drain(_)),
            ) => {}
            (read, parsed) => prop_assert!(false, "{:?}\n{:?}", read, parsed),
        }
    }

    #[test]
    fn a_line_that_is_nearly_a_saved_one_is_read_as_its_words_are(
        change in change(),
        place in any::<prop::sample::Index>(),
        length in 0..3_usize,
        other in vec(select(&b"0129.:- agimrtuwAsx"[..]), 0..3),
    ) {
        let saved = strategies::line(&change).into_bytes();
        let mut line = saved.clone();
        let at = place.index(line.len());
        line.splice(at..(at + length).min(line.len()), other);
        let words: Vec<&[u8]> = line.split(|&byte| byte == b' ').filter(|word| !word.is_empty()).collect();
        prop_assume!(!words.is_empty());
        // Behind the saved one, as what is in both is not read again.
        match (read(&[&saved[..], b"\n", &line].concat()), parse(words, &NoNames)) {
            (Ok(lines), Ok(request)) => prop_assert_eq!(&lines[1].request, &request),
            (Err(ReadError::Bad(bad)), Err(error)) => prop_assert_eq!(&bad[0].message, &error.to_string()),
            (Err(ReadError::Bad(_)), Ok(request)) => prop_assert!(!matches!(request, Request::Change(_)), "{:?}", request),
            (read, parsed) => prop_assert!(false, "{:?}\n{:?}", read, parsed),
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(text in vec(prop_oneof![any::<u8>(), select(&b" \t\r\n#-AatrLR:.1\0"[..])], 0..300)) {
        match read(&text) {
            Ok(lines) => prop_assert!(lines.is_sorted_by(|one, other| one.number < other.number)),
            Err(ReadError::Bad(bad)) => {
                prop_assert!(!bad.is_empty() && bad.iter().all(|bad| bad.number > 0 && !bad.message.is_empty()));
            }
            Err(ReadError::CutOff) => {}
            Err(ReadError::Source(error)) => prop_assert!(false, "{}", error),
        }
    }
}

#[test]
fn respelling_reaches_every_form() {
    let line = "-A -t 1.2.3.4:80 -s rr -p 5";
    let letters = [Spelling::Letter];
    assert_eq!(respell(line, &letters, &[true]).join(" "), "-At 1.2.3.4:80 -s rr -p 5");
    assert_eq!(respell(line, &[Spelling::LetterAttached], &[true]).join(" "), "-At1.2.3.4:80 -srr -p5");
    assert_eq!(respell(line, &[Spelling::LetterEquals], &[false]).join(" "), "-A -t=1.2.3.4:80 -s=rr -p=5");
    let long = "--add-service --tcp-service=1.2.3.4:80 --scheduler=rr --persistent=5";
    assert_eq!(respell(line, &[Spelling::LongEquals], &[true]).join(" "), long);
    let server = "-e -f 1 -6 -r [::1]:80 -m -w 2";
    assert_eq!(respell(server, &letters, &[true]).join(" "), "-ef 1 -6r [::1]:80 -mw 2");
}

/// The names that the original's messages call options by, in the order of its checks. Ours follow in the table's order.
const NAMES: [&str; 34] = [
    "numeric",
    "connection",
    "service-address",
    "scheduler",
    "persistent",
    "netmask",
    "real-server",
    "forwarding-method",
    "weight",
    "u-threshold",
    "l-threshold",
    "mcast-interface",
    "timeout",
    "daemon",
    "stats",
    "rate",
    "thresholds",
    "persistent-conn",
    "nosort",
    "syncid",
    "exact",
    "ops",
    "pe",
    "sched-flags",
    "mcast-group",
    "mcast-port",
    "mcast-ttl",
    "sync-maxlen",
    "tun-info",
    "tun-type",
    "tun-port",
    "tun-nocsum",
    "tun-csum",
    "tun-remcsum",
];

#[test]
fn options_are_checked_in_the_original_s_order() {
    let names: Vec<&str> = OptionSet::all().map(|(name, _)| name).collect();
    assert_eq!(names[..NAMES.len()], NAMES);
    let mut ours: Vec<&str> = OPTIONS.iter().filter_map(|spec| spec.name()).collect();
    ours.retain(|name| !NAMES.contains(name));
    // Options of a group are one in messages.
    ours.dedup();
    assert_eq!(names[NAMES.len()..], ours);
}

#[test]
fn every_option_goes_with_a_command() {
    for spec in OPTIONS.iter().filter(|spec| !spec.repeatable) {
        assert!(COMMANDS.iter().any(|command| command.allowed.covers(spec.once)), "no command takes --{}", spec.long);
    }
}

#[test]
fn every_option_given_twice_is_reported_by_its_name() {
    for spec in OPTIONS {
        let Some(name) = spec.name() else { continue };
        let word = format!("--{}", spec.long);
        // A value that is fine for all options; those that want another report that first.
        let value = match spec.value {
            Value::None => None,
            _ if name == "service-address" && spec.long != "fwmark-service" => Some("1.2.3.4:1"),
            Value::Required(kind) if kind.contains("ADDRESS") => Some("224.0.0.1"),
            _ => Some(spec.completion.words().first().copied().unwrap_or("1")),
        };
        let word = match (spec.value, value) {
            (Value::Attached(_), Some(value)) => format!("{word}={value}"),
            _ => word,
        };
        let value = value.filter(|_| !matches!(spec.value, Value::Attached(_)));
        let once: Vec<&str> = std::iter::once(word.as_str()).chain(value).collect();
        let words = [vec!["-L"], once.clone(), once].concat();
        let error = parse(words.iter().map(|word| word.as_bytes()), &NoNames).expect_err(&word);
        assert_eq!(error.to_string(), format!("multiple '{name}' options specified"), "{words:?}");
    }
}

#[test]
fn no_two_words_are_called_the_same() {
    let mut letters = BTreeMap::new();
    let mut longs = BTreeMap::new();
    let commands = COMMANDS.iter().flat_map(|spec| spec.short.iter().map(|letter| (*letter, spec.long)));
    let options = OPTIONS.iter().filter_map(|spec| spec.short.map(|letter| (letter, spec.long)));
    for (letter, word) in commands.chain(options) {
        assert_eq!(letters.insert(letter, word), None, "-{}", char::from(letter));
        assert!(table::short(letter).is_some());
    }
    for long in COMMANDS.iter().map(|spec| spec.long).chain(OPTIONS.iter().map(|spec| spec.long)) {
        assert_eq!(longs.insert(long, ()), None, "--{long}");
        assert!(table::long(long.as_bytes()).is_some());
    }
}
