//! What a message says of the request it answers: the control messages of netlink, alike in all its protocols.

use neli::consts::nl::Nlmsg;
use nix::errno::Errno;

use super::wire::{Attributes, MESSAGE_HEADER, Message, WireError};

/// What a message says of the request it answers.
pub enum Verdict {
    /// It carries something.
    Payload,
    /// The request is done.
    End,
    /// The request was refused.
    Refused {
        /// With which error.
        errno: Errno,
        /// The kernel's own words (an extended acknowledgement), if it sent any.
        words: Option<String>,
    },
    /// Nothing.
    Nothing,
}

/// Read a message as the answer it is.
///
/// # Errors
/// An error message without an error.
pub fn verdict(message: &Message<'_>) -> Result<Verdict, WireError> {
    /// Where the numbers of families begin (`linux/netlink.h`). Below it are the control messages: NLMSG_NOOP, NLMSG_ERROR,
    /// NLMSG_DONE; all others are reserved.
    const MIN_TYPE: u16 = 0x10;
    if message.kind >= MIN_TYPE {
        return Ok(Verdict::Payload);
    }
    if message.kind == u16::from(Nlmsg::Noop) {
        return Ok(Verdict::Nothing);
    }
    let done = message.kind == u16::from(Nlmsg::Done);
    if !done && message.kind != u16::from(Nlmsg::Error) {
        return Ok(Verdict::Payload);
    }
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
        code => Ok(Verdict::Refused {
            errno: Errno::from_raw(code.saturating_neg()),
            words: if done { None } else { words(message, rest) },
        }),
    }
}

/// The text of an extended acknowledgement (`NLMSGERR_ATTR_MSG`): it follows the copy of the request. Whatever is wrong
/// with it, the refusal itself stands.
fn words(message: &Message<'_>, copy: &[u8]) -> Option<String> {
    /// `NLM_F_CAPPED`: of the request only the header is copied.
    const CAPPED: u16 = 0x100;
    /// `NLM_F_ACK_TLVS`: attributes follow.
    const ACK_TLVS: u16 = 0x200;
    const TEXT: u16 = 1;
    if message.flags & ACK_TLVS == 0 {
        return None;
    }
    let length = match message.flags & CAPPED {
        0 => u32::from_ne_bytes(*copy.first_chunk::<4>()?) as usize,
        _ => MESSAGE_HEADER,
    };
    let attributes = copy.get(length.checked_next_multiple_of(4)?..)?;
    let text = Attributes::new(attributes).find_map(|attribute| attribute.ok().filter(|a| a.kind == TEXT))?;
    Some(String::from_utf8_lossy(text.string()).into_owned())
}
