//! What a message says of the request it answers: the control messages of netlink, alike in all its protocols.

use crate::error::{Errno, Refusal};
use crate::wire::{Attributes, MESSAGE_HEADER, Message, WireError};

/// What a message says of the request it answers.
pub(crate) enum Verdict {
    /// It carries something.
    Payload,
    /// The request is done.
    End,
    /// The request was refused.
    Refused(Refusal),
    /// Nothing.
    Nothing,
}

/// `NLMSG_NOOP`
const NOOP: u16 = 1;
/// `NLMSG_ERROR`
const ERROR: u16 = 2;
/// `NLMSG_DONE`
const DONE: u16 = 3;
/// Where the numbers of families begin (`NLMSG_MIN_TYPE`). Below it are the control messages: those above; all others are
/// reserved.
const MIN_TYPE: u16 = 0x10;

/// Read a message as the answer it is.
///
/// # Errors
/// An error message without an error.
#[inline]
pub(crate) fn verdict(message: &Message<'_>) -> Result<Verdict, WireError> {
    if message.kind >= MIN_TYPE { Ok(Verdict::Payload) } else { control(message) }
}

fn control(message: &Message<'_>) -> Result<Verdict, WireError> {
    let done = match message.kind {
        NOOP => return Ok(Verdict::Nothing),
        DONE => true,
        ERROR => false,
        _ => return Ok(Verdict::Payload),
    };
    // struct nlmsgerr begins with the negative error number; so does the end of a dump that failed.
    let Some((code, rest)) = message.payload.split_first_chunk::<4>() else {
        return if done {
            Ok(Verdict::End)
        } else {
            Err(WireError::Truncated { what: "an error message", need: 4, have: message.payload.len() })
        };
    };
    match i32::from_ne_bytes(*code) {
        0.. => Ok(Verdict::End),
        code => Ok(Verdict::Refused(Refusal {
            errno: Errno::from_raw(code.saturating_neg()),
            words: words(message, rest, done),
        })),
    }
}

/// The text of an extended acknowledgement (`NLMSGERR_ATTR_MSG`). It follows the copy of the request, which the end of a dump
/// does not have. Whatever is wrong with it, the refusal itself stands.
fn words(message: &Message<'_>, rest: &[u8], done: bool) -> Option<String> {
    /// `NLM_F_CAPPED`: of the request only the header is copied.
    const CAPPED: u16 = 0x100;
    /// `NLM_F_ACK_TLVS`: attributes follow.
    const ACK_TLVS: u16 = 0x200;
    const TEXT: u16 = 1;
    if message.flags & ACK_TLVS == 0 {
        return None;
    }
    let length = match message.flags & CAPPED {
        _ if done => 0,
        0 => u32::from_ne_bytes(*rest.first_chunk::<4>()?) as usize,
        _ => MESSAGE_HEADER,
    };
    let attributes = rest.get(length.checked_next_multiple_of(4)?..)?;
    let text = Attributes::new(attributes).find_map(|attribute| attribute.ok().filter(|a| a.kind == TEXT))?;
    Some(String::from_utf8_lossy(text.string()).into_owned())
}
