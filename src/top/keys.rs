//! Keys, and from the bytes of a terminal to keys.

/// A key, whatever the terminal sends for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Char(char),
    Up,
    Down,
    Left,
    Right,
    PageUp,
    PageDown,
    Home,
    End,
    Enter,
    Escape,
    Backspace,
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-Z, which is the terminal's affair and not the view's.
    Suspend,
}

/// What may still become a key: the beginning of an escape sequence or of a letter.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    bytes: Vec<u8>,
}

impl Keys {
    /// More bytes have come.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Whether something is begun, and nothing may ever follow: the Escape key sends what longer sequences begin with.
    pub(crate) fn is_begun(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// Nothing has followed for a while: what is there is all.
    pub(crate) fn end(&mut self) -> Option<Key> {
        let escape = self.bytes == [0x1b];
        self.bytes.clear();
        escape.then_some(Key::Escape)
    }

    /// The next key that is complete. What no key is meant by is passed over.
    pub(crate) fn next(&mut self) -> Option<Key> {
        loop {
            let (length, key) = first(&self.bytes)?;
            self.bytes.drain(..length);
            if key.is_some() {
                return key;
            }
        }
    }
}

/// The length of the first key, and which it is if it is one of ours. None if it is not complete.
fn first(bytes: &[u8]) -> Option<(usize, Option<Key>)> {
    let (&byte, rest) = bytes.split_first()?;
    Some(match byte {
        0x1b => return sequence(rest).map(|(length, key)| (length + 1, key)),
        b'\r' | b'\n' => (1, Some(Key::Enter)),
        0x7f | 0x08 => (1, Some(Key::Backspace)),
        0x03 => (1, Some(Key::Interrupt)),
        0x1a => (1, Some(Key::Suspend)),
        // Ctrl-B and Ctrl-U, Ctrl-F and Ctrl-D, as in vi and less.
        0x02 | 0x15 => (1, Some(Key::PageUp)),
        0x06 | 0x04 => (1, Some(Key::PageDown)),
        0x00..0x20 => (1, None),
        0x20..0x7f => (1, Some(Key::Char(char::from(byte)))),
        _ => {
            let length = match byte {
                0xc0..0xe0 => 2,
                0xe0..0xf0 => 3,
                0xf0..0xf8 => 4,
                _ => 1,
            };
            let letter = std::str::from_utf8(bytes.get(..length)?).ok().and_then(|text| text.chars().next());
            // What is not a letter is passed over byte by byte.
            (if letter.is_some() { length } else { 1 }, letter.map(Key::Char))
        }
    })
}

/// What follows an escape: `[A`, `OA`, `[5~`, `[1;5A`.
fn sequence(rest: &[u8]) -> Option<(usize, Option<Key>)> {
    let (&kind, rest) = rest.split_first()?;
    if kind == b'O' {
        return rest.first().map(|&last| (2, named(last)));
    }
    if kind != b'[' {
        // Two keys, or one with Alt: the escape by itself.
        return Some((0, Some(Key::Escape)));
    }
    let end = rest.iter().position(|byte| (0x40..0x7f).contains(byte))?;
    let key = match (rest[end], &rest[..end]) {
        (b'~', number) => match number.split(|&byte| byte == b';').next() {
            Some(b"1" | b"7") => Some(Key::Home),
            Some(b"4" | b"8") => Some(Key::End),
            Some(b"5") => Some(Key::PageUp),
            Some(b"6") => Some(Key::PageDown),
            _ => None,
        },
        (last, _) => named(last),
    };
    Some((end + 2, key))
}

fn named(last: u8) -> Option<Key> {
    Some(match last {
        b'A' => Key::Up,
        b'B' => Key::Down,
        b'C' => Key::Right,
        b'D' => Key::Left,
        b'H' => Key::Home,
        b'F' => Key::End,
        b'M' => Key::Enter,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(pieces: &[&[u8]]) -> Vec<Key> {
        let mut keys = Keys::default();
        let mut found = Vec::new();
        for piece in pieces {
            keys.push(piece);
            found.extend(std::iter::from_fn(|| keys.next()));
        }
        found.extend(keys.end());
        found
    }

    #[test]
    fn keys_come_out_of_bytes_however_they_are_cut() {
        let text = "jü\x1b[A\x1bOB\x1b[5~\x1b[1;5C\r\x7f\x03\x01\x06\x1a\x1b[200~\x1b";
        let expected = [
            Key::Char('j'),
            Key::Char('ü'),
            Key::Up,
            Key::Down,
            Key::PageUp,
            Key::Right,
            Key::Enter,
            Key::Backspace,
            Key::Interrupt,
            Key::PageDown,
            Key::Suspend,
            Key::Escape,
        ];
        assert_eq!(keys(&[text.as_bytes()]), expected);
        let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        assert_eq!(keys(&bytes), expected);
    }

    #[test]
    fn what_is_no_key_is_passed_over() {
        assert_eq!(keys(&[b"\xff\xfe\x80q"]), [Key::Char('q')]);
        assert_eq!(keys(&[b"\xc3q"]), [Key::Char('q')]);
        assert_eq!(keys(&[b"\x1bx"]), [Key::Escape, Key::Char('x')]);
        assert_eq!(keys(&[b"\x1b[12"]), []);
    }
}
