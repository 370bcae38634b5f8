//! Building lines of text quickly. A listing can have a million lines, and the standard formatting machinery would be most
//! of the time that each takes; so would many small copies. What belongs together is put together first, in a [`Field`].

use std::net::Ipv4Addr;

/// A short piece of ASCII text: columns, or an address.
pub(super) struct Field {
    /// What is not written yet is blank.
    bytes: [u8; Field::ROOM],
    length: usize,
}

impl Field {
    /// Longer than the columns of any listing.
    const ROOM: usize = 64;

    pub(super) const fn new() -> Self {
        Self { bytes: [b' '; Self::ROOM], length: 0 }
    }

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte;
            self.length += 1;
        }
    }

    fn push_number(&mut self, number: u32) {
        if number >= 1000 {
            itoa::Buffer::new().format(number).bytes().for_each(|digit| self.push(digit));
            return;
        }
        if number >= 100 {
            self.push(b'0' + (number / 100) as u8);
        }
        if number >= 10 {
            self.push(b'0' + (number / 10 % 10) as u8);
        }
        self.push(b'0' + (number % 10) as u8);
    }

    fn column(&mut self, width: usize, write: impl FnOnce(&mut Self)) {
        self.length += 1;
        let end = self.length + width;
        write(self);
        self.length = self.length.max(end).min(Self::ROOM);
    }

    /// A blank, and a word that fills so many places.
    pub(super) fn word(&mut self, word: &str, width: usize) {
        self.column(width, |field| word.bytes().for_each(|byte| field.push(byte)));
    }

    /// A blank, and a number that fills so many places, from the left.
    pub(super) fn number(&mut self, number: u32, width: usize) {
        self.column(width, |field| field.push_number(number));
    }

    /// An IPv4 address.
    fn ipv4(&mut self, address: Ipv4Addr) {
        let [a, b, c, d] = address.octets();
        self.push_number(a.into());
        for octet in [b, c, d] {
            self.push(b'.');
            self.push_number(octet.into());
        }
    }

    /// An IPv4 address and port.
    pub(super) fn endpoint(&mut self, address: Ipv4Addr, port: u16) {
        self.ipv4(address);
        self.push(b':');
        self.push_number(port.into());
    }

    /// Blanks up to this width, and one more.
    pub(super) fn end_column(&mut self, width: usize) {
        self.length = self.length.max(width) + 1;
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }
}

/// What a line is built with.
pub(super) trait Append {
    /// Append what was put together.
    fn push_field(&mut self, field: &Field);
    /// Append a number in decimal.
    fn push_number(&mut self, number: impl itoa::Integer);
    /// Append an IPv4 address.
    fn push_ipv4(&mut self, address: Ipv4Addr);
    /// Append blanks until what begins at `start` is so wide.
    fn pad(&mut self, start: usize, width: usize);
}

/// Wider than most columns.
const BLANKS: &str = "                                        ";

impl Append for String {
    fn push_field(&mut self, field: &Field) {
        self.push_str(field.text());
    }

    fn push_number(&mut self, number: impl itoa::Integer) {
        self.push_str(itoa::Buffer::new().format(number));
    }

    fn push_ipv4(&mut self, address: Ipv4Addr) {
        let mut field = Field::new();
        field.ipv4(address);
        self.push_field(&field);
    }

    fn pad(&mut self, start: usize, width: usize) {
        let text = &self[start..];
        // Names may have letters of more than one byte.
        let long = if text.len() >= width || !text.is_ascii() { text.chars().count() } else { text.len() };
        let mut missing = width.saturating_sub(long);
        while missing > 0 {
            let piece = missing.min(BLANKS.len());
            self.push_str(&BLANKS[..piece]);
            missing -= piece;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_filled_and_no_number_is_cut() {
        let mut line = String::from("x");
        let mut field = Field::new();
        field.number(7, 6);
        field.number(u32::MAX, 6);
        field.word("Route", 7);
        field.number(1000, 10);
        line.push_field(&field);
        assert_eq!(line, "x 7      4294967295 Route   1000      ");
        let mut line = String::from("x: zwölf");
        line.pad(3, 7);
        assert_eq!(line, "x: zwölf  ");
    }

    #[test]
    fn every_octet_reads_as_the_standard_library_writes_it() {
        for octet in 0..=255 {
            let address = Ipv4Addr::new(octet, 0, 255 - octet, octet);
            let mut line = String::new();
            line.push_ipv4(address);
            assert_eq!(line, address.to_string());
        }
    }
}
