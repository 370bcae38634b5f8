//! Answers of a kernel that is made up.

use std::sync::{Arc, Mutex};

use crate::fake::{Reply, kernel};
use crate::wire::Writer;
use crate::{Connection, Errno, Error, Message, Next, Part, Protocol, Request, WireError, flag};

/// A type of message, of no protocol in particular.
const KIND: u16 = 0x20;

const REQUEST: Request<4> = Request::new(KIND, [0; 4]);

fn over(answer: impl FnMut(&Message<'_>) -> Vec<Vec<Reply>> + Send + 'static) -> Connection {
    Connection::over(kernel(answer))
}

fn byte(value: u8) -> Reply {
    Reply::new(KIND, vec![value])
}

fn first(message: &Message<'_>) -> Result<Option<u8>, WireError> {
    message.payload.first().copied().map(Some).ok_or(WireError::Missing("a byte"))
}

/// The attributes that these calls write.
fn attributes(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::default();
    write(&mut writer);
    writer.as_bytes().to_vec()
}

#[test]
fn answers_to_others_do_not_count() {
    let mut connection = over(|request| {
        let other_socket = Reply { port: Some(8), ..byte(1) };
        let other_request = Reply { sequence: Some(request.sequence.wrapping_sub(1)), ..byte(2) };
        vec![vec![other_socket, other_request, byte(3)]]
    });
    assert_eq!(connection.one(REQUEST, |_| {}, first).unwrap(), 3);
}

#[test]
fn errors_for_others_do_not_count() {
    let other = Reply { port: Some(8), ..Reply::error(13) };
    let mut connection = over(move |_| vec![vec![other.clone()], vec![Reply::error(0)]]);
    connection.ask(REQUEST, |_| {}).unwrap();
    let mut batch = connection.batch().unwrap();
    assert!(!batch.push("tag", REQUEST, |_| {}));
    batch.flush(|tag, refusal| panic!("{tag}: {refusal}")).unwrap();
}

#[test]
fn a_list_that_changes_is_read_again() {
    let mut times = 0;
    let mut connection = over(move |request| {
        assert_eq!(request.flags, flag::REQUEST | flag::DUMP);
        times += 1;
        let flags = if times < 3 { flag::DUMP_INTERRUPTED } else { 0 };
        vec![vec![byte(times), byte(times)], vec![Reply::done().with(flags)]]
    });
    assert_eq!(connection.dump(REQUEST, |_| {}, first).unwrap(), [3, 3]);
}

#[test]
fn a_list_that_never_settles_is_an_error() {
    let mut connection = over(|_| vec![vec![byte(1).with(flag::DUMP_INTERRUPTED), Reply::done()]]);
    let error = connection.dump(REQUEST, |_| {}, first).unwrap_err();
    assert!(matches!(error, Error::Unsettled));
    assert_eq!(error.to_string(), "another program keeps changing what is read; try again");
}

#[test]
fn what_makes_no_sense_may_be_due_to_a_change() {
    let empty = Reply::new(KIND, Vec::new());
    for (flags, again) in [(0, false), (flag::DUMP_INTERRUPTED, true)] {
        let empty = empty.clone();
        let mut times = 0;
        let mut connection = over(move |_| {
            times += 1;
            let entry = if times == 1 { empty.clone() } else { byte(9) };
            let flags = if times == 1 { flags } else { 0 };
            vec![vec![entry], vec![byte(1), Reply::done().with(flags)]]
        });
        match connection.dump(REQUEST, |_| {}, first) {
            Ok(entries) => assert!(again && entries == [9, 1], "{entries:?}"),
            Err(error) => {
                assert!(!again && matches!(error, Error::Wire(_)), "{error}");
                assert_eq!(error.to_string(), "the kernel's answer cannot be read: a byte is missing");
            }
        }
        // Nothing of it is left.
        assert_eq!(connection.dump(REQUEST, |_| {}, first).unwrap(), [9, 1]);
    }
}

#[test]
fn refusals_carry_the_words_of_the_kernel() {
    /// `NLM_F_CAPPED`, `NLM_F_ACK_TLVS`
    const WORDS: u16 = 0x300;
    let words = attributes(|writer| writer.string(1, b"no such thing"));
    let mut refused = Reply::error(Errno::ENOENT.raw()).with(WORDS);
    refused.payload.extend(&words);
    // The end of a list has its attributes right behind the number.
    let mut done = Reply::done().with(0x200);
    done.payload = (-Errno::ENOENT.raw()).to_ne_bytes().to_vec();
    done.payload.extend(&words);
    for reply in [refused, done] {
        let mut connection = over(move |_| vec![vec![reply.clone()]]);
        let error = connection.dump(REQUEST, |_| {}, first).unwrap_err();
        assert_eq!(error.refused(), Some(Errno::ENOENT));
        assert_eq!(error.to_string(), "No such file or directory (no such thing)");
    }
}

#[test]
fn what_is_left_of_an_answer_is_not_taken_for_the_next() {
    let mut connection = over(|_| vec![vec![byte(1)], vec![byte(2)], vec![Reply::done()]]);
    let list = REQUEST.with(flag::DUMP);
    assert_eq!(connection.each(list, |_| {}, |_| Ok(Next::Done)).unwrap(), 1);
    // The kernel refuses a second list before the first is read to its end.
    assert_eq!(connection.each(list, |_| {}, |_| Ok(Next::More)).unwrap(), 2);
}

#[test]
fn a_family_is_found_by_name_or_is_not_there() {
    let mut connection = over(|request| {
        let known = request.payload.windows(5).any(|text| text == b"known");
        let number = attributes(|writer| writer.u16(1, 33));
        let found = Reply::new(request.kind, [vec![1, 2, 0, 0], number].concat());
        vec![vec![if known { found } else { Reply::error(Errno::ENOENT.raw()) }]]
    });
    assert_eq!(connection.family("known").unwrap(), Some(33));
    assert_eq!(connection.family("other").unwrap(), None);
}

#[test]
fn a_batch_reports_what_is_refused_and_goes_on() {
    let asked: Arc<Mutex<Vec<u16>>> = Arc::default();
    let seen = Arc::clone(&asked);
    let mut connection = over(move |request| {
        seen.lock().unwrap().push(request.flags);
        let refused = request.payload[0] == 1;
        let acknowledged = request.flags & flag::ACK != 0;
        match (refused, acknowledged) {
            (true, _) => vec![vec![Reply::error(Errno::EEXIST.raw())]],
            (false, true) => vec![vec![Reply::error(0)]],
            (false, false) => Vec::new(),
        }
    });
    let mut batch = connection.batch().unwrap();
    let mut refused = Vec::new();
    for round in 0..2 {
        for (number, header) in [0, 1, 0, 1].into_iter().enumerate() {
            let full = batch.push((round, number), Request::new(KIND, [header, 0, 0, 0]), |_| {});
            assert!(!full);
        }
        batch.flush(|tag, refusal| refused.push((tag, refusal.errno))).unwrap();
    }
    let expected = [(0, 1), (0, 3), (1, 1), (1, 3)].map(|tag| (tag, Errno::EEXIST));
    assert_eq!(refused, expected);
    // The last of each send is the only one to be acknowledged.
    let (plain, last) = (flag::REQUEST, flag::REQUEST | flag::ACK);
    assert_eq!(*asked.lock().unwrap(), [plain, plain, plain, last, plain, plain, plain, last]);
}

#[test]
fn a_batch_without_privilege_ends() {
    let mut connection = over(|_| vec![vec![Reply::error(Errno::EPERM.raw())]]);
    let mut batch = connection.batch().unwrap();
    let _ = batch.push((), REQUEST, |_| {});
    let error = batch.flush(|(), refusal| panic!("{refusal}")).unwrap_err();
    assert_eq!(error.refused(), Some(Errno::EPERM));
}

#[test]
fn a_failing_socket_is_reported_with_its_cause() {
    let error = Error::Socket { doing: "netlink receive", source: Errno::ENOBUFS.into() };
    assert_eq!(error.to_string(), "netlink receive: No buffer space available");
    assert_eq!((error.refused(), error.errno()), (None, Some(Errno::ENOBUFS)));
}

#[test]
fn a_connection_can_be_given_to_another_thread() {
    fn is_send<T: Send>() {}
    is_send::<Connection>();
}

#[test]
fn no_answer_is_an_error() {
    let mut connection = over(|_| Vec::new());
    assert!(matches!(connection.ask(REQUEST, |_| {}), Err(Error::NoAnswer)));
}

#[test]
fn what_is_too_long_for_an_attribute_is_not_sent() {
    let mut connection = over(|_| vec![vec![Reply::error(0)]]);
    let text = vec![b'a'; 0x10000];
    for written in [0xfff0, 0x10000] {
        let part = |writer: &mut Writer| {
            let nest = writer.nest(1);
            writer.bytes(2, &text[..written - 8]);
            writer.u8(3, 0);
            writer.end_nest(nest);
        };
        let outcome = connection.ask(REQUEST, part);
        match written {
            0x10000 => assert!(matches!(outcome, Err(Error::TooLong)), "{outcome:?}"),
            _ => outcome.unwrap(),
        }
    }
    let mut batch = connection.batch().unwrap();
    let _ = batch.push((), REQUEST, |writer| writer.string(1, &text));
    assert!(matches!(batch.flush(|(), _| {}), Err(Error::TooLong)));
    // And the next one is.
    connection.ask(REQUEST, |writer| writer.string(1, b"short")).unwrap();
}

/// The kernel of this machine: `RTM_GETLINK` of the loopback interface, which is number 1.
#[test]
fn the_kernel_answers() {
    let mut connection = Connection::open(Protocol::Route, Part::Most).unwrap();
    let mut header = [0; 16];
    header[4..8].copy_from_slice(&1_i32.to_ne_bytes());
    // `struct ifinfomsg`: the interface's number comes after four bytes.
    let number_of = |message: &Message<'_>| {
        let bytes = message.payload.get(4..8).and_then(|bytes| bytes.first_chunk());
        bytes.map(|bytes| i32::from_ne_bytes(*bytes)).ok_or(WireError::Missing("a number"))
    };
    let number = connection.one(Request::new(18, header), |_| {}, |message| number_of(message).map(Some));
    assert_eq!(number.unwrap(), 1);
    let numbers = connection.dump(Request::new(18, [0; 16]), |_| {}, |message| number_of(message).map(Some));
    assert!(numbers.unwrap().contains(&1));
}
