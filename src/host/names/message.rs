//! Messages of the Domain Name System (RFC 1035): a question made, an answer read. Answers come from the network, so every
//! byte of them is checked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The longest name, in the form that messages have.
const NAME: usize = 255;
/// The longest part of a name.
const LABEL: usize = 63;
/// Bytes before the question.
const HEADER: usize = 12;
/// Aliases that are followed from name to name.
const ALIASES: usize = 16;

const CLASS_INTERNET: u16 = 1;
const TYPE_ALIAS: u16 = 5;

const IS_ANSWER: u16 = 1 << 15;
const OPERATION: u16 = 0xf << 11;
const IS_AUTHORITATIVE: u16 = 1 << 10;
const IS_TRUNCATED: u16 = 1 << 9;
const RECURSION_WANTED: u16 = 1 << 8;
const RECURSION_AVAILABLE: u16 = 1 << 7;
const STATUS: u16 = 0xf;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Ipv4 = 1,
    Ipv6 = 28,
    Name = 12,
}

/// A question to a name server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    /// The name in the form that messages have.
    name: Vec<u8>,
    kind: Kind,
}

/// What a message is to the question.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// It does not answer this question.
    Unrelated,
    /// The answer is longer than a datagram.
    Truncated,
    /// The answer.
    Answer(Answer),
}

/// An answer of a name server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Addresses of the kind asked for, in the order of the message; at least one.
    Addresses(Vec<IpAddr>),
    /// A host's name.
    Name(String),
    /// The name has nothing of the kind asked for.
    Nothing,
    /// There is no such name.
    NoSuchName,
    /// The server does not answer the question.
    Failure(Failure),
}

/// Why a name server has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The status of its message (RFC 1035, section 4.1.1).
    Status(u8),
    /// The message makes no sense.
    Malformed,
}

impl Question {
    /// The question for this name, if it can be the name of a host.
    pub(super) fn new(name: &str, kind: Kind) -> Option<Self> {
        let mut wire = Vec::with_capacity(name.len() + 2);
        if !is_host_name(name.as_bytes()) {
            return None;
        }
        for label in name.strip_suffix('.').unwrap_or(name).split('.') {
            if label.is_empty() || label.len() > LABEL {
                return None;
            }
            wire.push(label.len() as u8);
            wire.extend(label.bytes());
        }
        wire.push(0);
        (wire.len() <= NAME).then_some(Self { name: wire, kind })
    }

    /// The question for the name of an address.
    pub(super) fn name_of(address: IpAddr) -> Option<Self> {
        let name = match address {
            IpAddr::V4(address) => {
                let [a, b, c, d] = address.octets();
                format!("{d}.{c}.{b}.{a}.in-addr.arpa")
            }
            IpAddr::V6(address) => {
                let digits = address.octets().into_iter().rev().map(|byte| format!("{:x}.{:x}.", byte & 15, byte >> 4));
                digits.collect::<String>() + "ip6.arpa"
            }
        };
        Self::new(&name, Kind::Name)
    }

    /// The message that asks it.
    pub(super) fn message(&self, id: u16) -> Vec<u8> {
        let mut message = Vec::with_capacity(HEADER + self.name.len() + 4);
        for field in [id, RECURSION_WANTED, 1, 0, 0, 0] {
            message.extend(field.to_be_bytes());
        }
        message.extend(&self.name);
        message.extend((self.kind as u16).to_be_bytes());
        message.extend(CLASS_INTERNET.to_be_bytes());
        message
    }

    /// What this message says to the question asked with this id.
    pub(super) fn reply(&self, id: u16, message: &[u8]) -> Reply {
        let mut reader = Reader { message, place: 0 };
        let Some([its_id, flags, questions, answers, authorities, _]) = reader.header() else {
            return Reply::Unrelated;
        };
        if its_id != id || flags & IS_ANSWER == 0 || flags & OPERATION != 0 {
            return Reply::Unrelated;
        }
        let status = (flags & STATUS) as u8;
        // A server that does not take the question need not repeat it.
        if questions == 0 && answers == 0 && status != 0 {
            return Reply::Answer(Answer::Failure(Failure::Status(status)));
        }
        let mut repeated = || Some((reader.name()?, reader.number()?, reader.number()?));
        let same = repeated().is_some_and(|(name, kind, class)| {
            name.eq_ignore_ascii_case(&self.name) && kind == self.kind as u16 && class == CLASS_INTERNET
        });
        if questions != 1 || !same {
            return Reply::Unrelated;
        }
        if flags & IS_TRUNCATED != 0 {
            return Reply::Truncated;
        }
        Reply::Answer(match status {
            // NXDOMAIN
            3 => Answer::NoSuchName,
            0 => match self.records(reader, answers) {
                Some(Answer::Nothing)
                    if answers == 0 && authorities != 0 && flags & (IS_AUTHORITATIVE | RECURSION_AVAILABLE) == 0 =>
                {
                    // It only says who might know.
                    Answer::Failure(Failure::Status(0))
                }
                Some(answer) => answer,
                None => Answer::Failure(Failure::Malformed),
            },
            status => Answer::Failure(Failure::Status(status)),
        })
    }

    /// The answer in the records that follow. `None` if they make no sense.
    fn records(&self, mut reader: Reader<'_>, count: u16) -> Option<Answer> {
        let mut records = Vec::new();
        for _ in 0..count {
            records.push(reader.record()?);
        }
        let mut name = self.name.clone();
        for _ in 0..ALIASES {
            let of_name = |kind: u16| {
                let name = &name;
                records.iter().filter(move |record| record.kind == kind && record.owner.eq_ignore_ascii_case(name))
            };
            let found: Vec<_> = of_name(self.kind as u16).collect();
            let addresses: Vec<IpAddr> = found.iter().filter_map(|record| record.address(self.kind)).collect();
            if !addresses.is_empty() {
                return Some(Answer::Addresses(addresses));
            }
            if !found.is_empty() {
                let mut names = found.iter().filter_map(|record| record.host_name());
                return Some(names.next().map_or(Answer::Nothing, Answer::Name));
            }
            match of_name(TYPE_ALIAS).next() {
                Some(alias) => name = alias.data.clone().name()?,
                None => break,
            }
        }
        Some(Answer::Nothing)
    }
}

/// Whether this can be the name of a host: a program that prints it, or gives it to a shell, has nothing to fear.
pub(super) fn is_host_name(name: &[u8]) -> bool {
    !name.is_empty()
        && name[0] != b'-'
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// A record of an answer.
struct Record<'m> {
    owner: Vec<u8>,
    kind: u16,
    length: usize,
    /// At its data.
    data: Reader<'m>,
}

impl Record<'_> {
    fn address(&self, kind: Kind) -> Option<IpAddr> {
        let data = self.data.message.get(self.data.place..)?;
        match (kind, self.length) {
            (Kind::Ipv4, 4) => Some(Ipv4Addr::from(*data.first_chunk()?).into()),
            (Kind::Ipv6, 16) => Some(Ipv6Addr::from(*data.first_chunk()?).into()),
            _ => None,
        }
    }

    fn host_name(&self) -> Option<String> {
        let wire = self.data.clone().name()?;
        let mut labels = Vec::new();
        let mut rest = wire.as_slice();
        while let Some((&length, behind)) = rest.split_first().filter(|(length, _)| **length > 0) {
            let (label, behind) = behind.split_at_checked(length.into())?;
            // A dot inside a label would make two of it.
            if label.contains(&b'.') {
                return None;
            }
            labels.push(label);
            rest = behind;
        }
        let name = labels.join(&b'.');
        if is_host_name(&name) { String::from_utf8(name).ok() } else { None }
    }
}

/// A place in a message.
#[derive(Clone)]
struct Reader<'m> {
    message: &'m [u8],
    place: usize,
}

impl<'m> Reader<'m> {
    fn number(&mut self) -> Option<u16> {
        let bytes = self.message.get(self.place..)?.first_chunk()?;
        self.place += 2;
        Some(u16::from_be_bytes(*bytes))
    }

    fn header(&mut self) -> Option<[u16; 6]> {
        let mut fields = [0; 6];
        for field in &mut fields {
            *field = self.number()?;
        }
        Some(fields)
    }

    /// A name, without compression. Each part that it shares with another name lies before the place that refers to it, so
    /// that reading it ends.
    fn name(&mut self) -> Option<Vec<u8>> {
        let mut name = Vec::new();
        let mut place = self.place;
        let mut barrier = place;
        let mut end = None;
        loop {
            let length = *self.message.get(place)?;
            match length & 0xc0 {
                0x00 => {
                    let next = place + 1 + usize::from(length);
                    name.extend_from_slice(self.message.get(place..next)?);
                    if name.len() > NAME {
                        return None;
                    }
                    place = next;
                    if length == 0 {
                        self.place = end.unwrap_or(place);
                        return Some(name);
                    }
                }
                0xc0 => {
                    let target = usize::from(length & 0x3f) << 8 | usize::from(*self.message.get(place + 1)?);
                    end.get_or_insert(place + 2);
                    if target >= barrier {
                        return None;
                    }
                    (place, barrier) = (target, target);
                }
                _ => return None,
            }
        }
    }

    fn record(&mut self) -> Option<Record<'m>> {
        let owner = self.name()?;
        let (kind, class) = (self.number()?, self.number()?);
        // For how long it may be kept, which is not kept here.
        self.place += 4;
        let length = usize::from(self.number()?);
        let data = self.clone();
        self.place += length;
        if self.place > self.message.len() {
            return None;
        }
        // Records of other classes do not concern us.
        let kind = if class == CLASS_INTERNET { kind } else { 0 };
        Some(Record { owner, kind, length, data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: u16 = 0x1234;

    /// An answer with this status to the question, and these records: owner, kind, data.
    fn answer(question: &Question, status: u16, records: &[(&[u8], u16, &[u8])]) -> Vec<u8> {
        let mut message = question.message(ID);
        message[2..4].copy_from_slice(&(IS_ANSWER | RECURSION_AVAILABLE | status).to_be_bytes());
        message[6..8].copy_from_slice(&(records.len() as u16).to_be_bytes());
        for (owner, kind, data) in records {
            message.extend(*owner);
            message.extend(kind.to_be_bytes());
            message.extend([0, 1, 0, 0, 0, 60]);
            message.extend((data.len() as u16).to_be_bytes());
            message.extend(*data);
        }
        message
    }

    fn question(kind: Kind) -> Question {
        Question::new("www.example", kind).unwrap()
    }

    fn addresses(addresses: &[&str]) -> Reply {
        Reply::Answer(Answer::Addresses(addresses.iter().map(|address| address.parse().unwrap()).collect()))
    }

    /// Where the name of the question is.
    const SAME: &[u8] = &[0xc0, 12];

    #[test]
    fn a_question_is_written_as_the_standard_has_it() {
        let wire = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03www\x07example\0\0\x1c\0\x01";
        assert_eq!(question(Kind::Ipv6).message(ID), wire);
        assert_eq!(Question::new("www.example.", Kind::Ipv6), Some(question(Kind::Ipv6)));
        let name = |address: &str| Question::name_of(address.parse().unwrap()).unwrap().name;
        assert_eq!(name("10.0.2.1"), b"\x011\x012\x010\x0210\x07in-addr\x04arpa\0");
        assert!(name("2001:db8::1").starts_with(b"\x011\x010\x010"));
        assert!(name("2001:db8::1").ends_with(b"\x018\x01b\x01d\x010\x011\x010\x010\x012\x03ip6\x04arpa\0"));
        let (label, long) = ("x".repeat(64), ["x".repeat(63).as_str(); 4].join("."));
        for name in ["", ".", "a..b", ".a", "zwölf.example", "a b", "-x", "a/b", &label, &long] {
            assert_eq!(Question::new(name, Kind::Ipv4), None, "{name}");
        }
    }

    #[test]
    fn addresses_come_in_the_order_of_the_answer() {
        let question = question(Kind::Ipv4);
        let message = answer(&question, 0, &[(SAME, 1, &[10, 0, 0, 9]), (SAME, 1, &[10, 0, 0, 1])]);
        assert_eq!(question.reply(ID, &message), addresses(&["10.0.0.9", "10.0.0.1"]));
        // Other owners, kinds, classes and lengths are not what was asked for.
        let mut records = vec![(&b"\x01x\0"[..], 1, &[10, 0, 0, 2][..]), (SAME, 28, &[0; 16]), (SAME, 1, &[1, 2, 3])];
        let message = answer(&question, 0, &records);
        assert_eq!(question.reply(ID, &message), Reply::Answer(Answer::Nothing));
        records.push((SAME, 1, &[10, 0, 0, 3]));
        let message = answer(&question, 0, &records);
        assert_eq!(question.reply(ID, &message), addresses(&["10.0.0.3"]));
    }

    #[test]
    fn aliases_are_followed_in_any_order_and_not_for_ever() {
        let question = question(Kind::Ipv4);
        let (one, two) = (&b"\x01a\0"[..], &b"\x01b\0"[..]);
        let records: [(&[u8], u16, &[u8]); 3] = [(b"\x01B\0", 1, &[10, 0, 0, 9]), (one, 5, two), (SAME, 5, one)];
        assert_eq!(question.reply(ID, &answer(&question, 0, &records)), addresses(&["10.0.0.9"]));
        let circle: [(&[u8], u16, &[u8]); 3] = [(SAME, 5, one), (one, 5, two), (two, 5, one)];
        assert_eq!(question.reply(ID, &answer(&question, 0, &circle)), Reply::Answer(Answer::Nothing));
    }

    #[test]
    fn names_that_are_no_host_s_are_not_taken() {
        let question = Question::name_of("10.0.0.1".parse().unwrap()).unwrap();
        let named = |names: &[&[u8]]| {
            let records: Vec<(&[u8], u16, &[u8])> = names.iter().map(|name| (SAME, 12, *name)).collect();
            question.reply(ID, &answer(&question, 0, &records))
        };
        let www = Reply::Answer(Answer::Name("www_1.example".into()));
        assert_eq!(named(&[b"\x05www_1\x07example\0"]), www);
        assert_eq!(named(&[b"\x05\x1b[31m\0", b"\x05www_1\x07example\0"]), www);
        for name in [&b"\x03a\nb\0"[..], b"\x02-x\0", b"\x03a.b\0", b"\0", b"\x02\xc3\xb6\0", b"\x03a b\0", b"\x05abc"]
        {
            let mut message = named(&[name]);
            if let Reply::Answer(Answer::Failure(Failure::Malformed)) = message {
                message = Reply::Answer(Answer::Nothing);
            }
            assert_eq!(message, Reply::Answer(Answer::Nothing), "{name:?}");
        }
    }

    #[test]
    fn what_does_not_answer_the_question_is_not_looked_at() {
        let question = question(Kind::Ipv4);
        let message = answer(&question, 0, &[(SAME, 1, &[10, 0, 0, 9])]);
        assert_eq!(question.reply(ID + 1, &message), Reply::Unrelated);
        let changed = |place: usize, byte: u8| {
            let mut message = message.clone();
            message[place] = byte;
            question.reply(ID, &message)
        };
        // The question itself, another operation, another name, another kind, another class.
        for (place, byte) in [(2, 0x01), (2, 0x91), (13, b'v'), (26, 28), (28, 3), (5, 0), (5, 2)] {
            assert_eq!(changed(place, byte), Reply::Unrelated, "{place}");
        }
        // Letters of either size are the same name.
        assert_eq!(changed(13, b'W'), addresses(&["10.0.0.9"]));
        assert_eq!(changed(2, 0x83), Reply::Truncated);
        assert_eq!(question.reply(ID, &message[..11]), Reply::Unrelated);
        for length in 29..message.len() {
            let reply = question.reply(ID, &message[..length]);
            assert_eq!(reply, Reply::Answer(Answer::Failure(Failure::Malformed)), "{length}");
        }
    }

    #[test]
    fn a_status_says_what_became_of_the_question() {
        let question = question(Kind::Ipv4);
        let reply = |status| question.reply(ID, &answer(&question, status, &[]));
        assert_eq!(reply(0), Reply::Answer(Answer::Nothing));
        assert_eq!(reply(3), Reply::Answer(Answer::NoSuchName));
        assert_eq!(reply(2), Reply::Answer(Answer::Failure(Failure::Status(2))));
        let mut bare = answer(&question, 5, &[]);
        bare[5] = 0;
        assert_eq!(question.reply(ID, &bare[..12]), Reply::Answer(Answer::Failure(Failure::Status(5))));
        let mut referral = answer(&question, 0, &[]);
        (referral[3], referral[9]) = (0, 1);
        assert_eq!(question.reply(ID, &referral), Reply::Answer(Answer::Failure(Failure::Status(0))));
    }

    #[test]
    fn compressed_names_end() {
        let question = question(Kind::Ipv4);
        // To itself, forward, to a place that leads back, and beyond the end.
        for owner in [[0xc0, 29], [0xc0, 31], [0xc0, 13], [0xff, 0xff]] {
            let mut message = answer(&question, 0, &[(&owner, 1, &[10, 0, 0, 9])]);
            let reply = question.reply(ID, &message);
            let nothing = [Answer::Nothing, Answer::Failure(Failure::Malformed)].map(Reply::Answer);
            assert!(nothing.contains(&reply), "{owner:?}: {reply:?}");
            message.truncate(30);
            assert_eq!(question.reply(ID, &message), Reply::Answer(Answer::Failure(Failure::Malformed)));
        }
    }
}
