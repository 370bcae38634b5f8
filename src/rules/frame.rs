//! The first and the last line of saved rules. The last one counts the lines between them, and a file that has the first
//! but not the last is cut off: a copy that was broken off, a disk that was full.

/// How the first line begins. What follows says more about the rules and may change.
const FIRST: &str = "# Saved by ipvsadm-rs; ";
/// How the last line begins; a number of lines follows.
const LAST: &str = "# End of saved rules: ";

/// The first line of saved rules.
#[must_use]
pub fn first() -> String {
    format!("{FIRST}the last line counts the rules")
}

/// The last line of saved rules, after this many others that are rules.
#[must_use]
pub fn last(lines: usize) -> String {
    format!("{LAST}{lines} lines")
}

/// Looks whether saved rules that begin also end.
#[derive(Debug, Default)]
pub(super) struct Frame {
    open: bool,
    cut_off: bool,
}

impl Frame {
    /// The next line.
    #[inline]
    pub(super) fn line(&mut self, line: &[u8]) {
        if line.first() == Some(&b'#') {
            self.comment(line);
        }
    }

    fn comment(&mut self, line: &[u8]) {
        if line.starts_with(FIRST.as_bytes()) {
            self.cut_off |= self.open;
            self.open = true;
        } else if line.strip_prefix(LAST.as_bytes()).is_some_and(|rest| rest.first().is_some_and(u8::is_ascii_digit)) {
            self.open = false;
        }
    }

    /// Whether an end was missing by now, when there are no more lines.
    pub(super) fn is_cut_off(&self) -> bool {
        self.cut_off || self.open
    }
}
