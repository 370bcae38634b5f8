//! Text from outside, made safe to print: names of hosts, files, interfaces, words of rules, data of persistence engines.
//!
//! A terminal takes control characters for commands, and a newline would look like a line of ours. So each byte of such a
//! character is written as `\x1b`, and so are bytes that are not UTF-8. Everything else stays as it is, backslashes included.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;

/// Whether a terminal could take this character for a command, for the end of a line, or show others in another order
/// because of it (bidirectional formatting, Unicode Standard Annex 9).
const fn is_unsafe(letter: char) -> bool {
    matches!(letter,
        '\0'..='\x1f' | '\x7f'..='\u{9f}'
        | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        | '\u{2028}' | '\u{2029}')
}

/// This text, or this path, in one line and safe to print.
#[must_use]
pub fn escaped(text: &(impl AsRef<OsStr> + ?Sized)) -> Cow<'_, str> {
    escaped_bytes(text.as_ref().as_bytes())
}

/// The same, of bytes.
#[must_use]
pub fn escaped_bytes(text: &[u8]) -> Cow<'_, str> {
    escape(text, |_| false)
}

/// The same, of lines that are ours: newlines stay.
#[must_use]
pub fn escaped_lines(text: &str) -> Cow<'_, str> {
    escape(text.as_bytes(), |letter| letter == '\n')
}

/// The same, of a piece of JSON: each such character becomes an escape sequence of JSON, with the same meaning. Only in
/// strings JSON has any but newlines.
#[must_use]
pub fn escaped_in_json(json: &str) -> Cow<'_, str> {
    let is_safe = |letter: char| !is_unsafe(letter) || letter == '\n';
    if json.bytes().all(|byte| byte < 0x7f) || json.chars().all(is_safe) {
        return Cow::Borrowed(json);
    }
    let mut safe = String::with_capacity(json.len() + 16);
    for letter in json.chars() {
        if is_safe(letter) {
            safe.push(letter);
        } else {
            // None of them takes more than four digits. Writing to memory cannot fail.
            let _ = write!(safe, "\\u{:04x}", u32::from(letter));
        }
    }
    Cow::Owned(safe)
}

/// Whether this text is printed as it is.
#[must_use]
pub fn is_safe(text: &[u8]) -> bool {
    matches!(escaped_bytes(text), Cow::Borrowed(_))
}

/// Whether a terminal has nothing to take for a command in it, if perhaps not text either.
#[must_use]
pub fn has_no_control(text: &[u8]) -> bool {
    text.utf8_chunks()
        .all(|chunk| !chunk.valid().chars().any(is_unsafe) && chunk.invalid().iter().all(|byte| *byte >= 0xa0))
}

fn escape(text: &[u8], stays: impl Fn(char) -> bool) -> Cow<'_, str> {
    let is_safe = |letter: char| !is_unsafe(letter) || stays(letter);
    if let Ok(text) = std::str::from_utf8(text)
        && text.chars().all(is_safe)
    {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for chunk in text.utf8_chunks() {
        for letter in chunk.valid().chars() {
            if is_safe(letter) {
                safe.push(letter);
            } else {
                push_bytes(&mut safe, letter.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        push_bytes(&mut safe, chunk.invalid());
    }
    Cow::Owned(safe)
}

fn push_bytes(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to memory cannot fail.
        let _ = write!(text, "\\x{byte:02x}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_written_as_their_bytes() {
        assert_eq!(escaped("\x1b[2J\x07\r\n\t\0\x7f"), r"\x1b[2J\x07\x0d\x0a\x09\x00\x7f");
        assert_eq!(escaped("\u{9b}31m\u{85}"), r"\xc2\x9b31m\xc2\x85");
        assert_eq!(escaped("abc\u{202e}fed\u{2069}"), r"abc\xe2\x80\xaefed\xe2\x81\xa9");
        assert_eq!(escaped_bytes(b"caf\xe9 \xff\xfe"), r"caf\xe9 \xff\xfe");
        assert_eq!(escaped(OsStr::from_bytes(b"/tmp/\xff\n")), r"/tmp/\xff\x0a");
        assert_eq!(escaped_lines("one\ntwo\r\n"), "one\ntwo\\x0d\n");
    }

    #[test]
    fn json_keeps_its_meaning() {
        assert_eq!(
            escaped_in_json("\"a\u{7f}\u{9b}31m\u{202e}\u{2028}ö\"\n"),
            "\"a\\u007f\\u009b31m\\u202e\\u2028ö\"\n"
        );
        assert!(matches!(escaped_in_json("{\"zwölf\": [1]}\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn bytes_that_are_not_text_need_not_be_control_characters() {
        for (text, safe, no_control) in [
            (&b"eth0"[..], true, true),
            (b"v\xff\xe4#", false, true),
            (b"v\x9b", false, false),
            (b"\x1b", false, false),
            ("\u{9b}".as_bytes(), false, false),
        ] {
            assert_eq!((is_safe(text), has_no_control(text)), (safe, no_control), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn other_text_stays_as_it_is() {
        for text in ["", "eth0", r"dev-sda\x2d1", "zwölf Bäume", "中文 🦀", "a b"] {
            assert!(matches!(escaped(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }
}
