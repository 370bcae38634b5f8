//! Building lines of text quickly. A listing can have a million lines, and the standard formatting machinery would be most
//! of the time that each takes.

use std::net::Ipv4Addr;

/// What a line is built with.
pub(super) trait Append {
    /// Append a number in decimal.
    fn push_number(&mut self, number: impl itoa::Integer);
    /// Append an IPv4 address.
    fn push_ipv4(&mut self, address: Ipv4Addr);
    /// Append blanks until what begins at `start` is so wide.
    fn pad(&mut self, start: usize, width: usize);
    /// Append a text and blanks up to a width, after a blank.
    fn push_left(&mut self, text: &str, width: usize);
    /// Append a number and blanks up to a width, after a blank.
    fn push_number_left(&mut self, number: u32, width: usize);
}

impl Append for String {
    fn push_number(&mut self, number: impl itoa::Integer) {
        self.push_str(itoa::Buffer::new().format(number));
    }

    fn push_ipv4(&mut self, address: Ipv4Addr) {
        let [a, b, c, d] = address.octets();
        self.push_number(a);
        for octet in [b, c, d] {
            self.push('.');
            self.push_number(octet);
        }
    }

    fn pad(&mut self, start: usize, width: usize) {
        let text = &self[start..];
        // Names may have letters of more than one byte.
        let long = if text.is_ascii() { text.len() } else { text.chars().count() };
        for _ in long..width {
            self.push(' ');
        }
    }

    fn push_left(&mut self, text: &str, width: usize) {
        self.push(' ');
        let start = self.len();
        self.push_str(text);
        self.pad(start, width);
    }

    fn push_number_left(&mut self, number: u32, width: usize) {
        self.push_left(itoa::Buffer::new().format(number), width);
    }
}
