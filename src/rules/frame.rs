//! The first and the last line of saved rules. The last one counts the lines between them, and a file that has the first
//! but not the last is cut off: a copy that was broken off, a disk that was full.

/// How the first line begins. What follows says more about the rules and may change.
const FIRST: &str = "# Saved by ipvsadm-rs; ";
/// How it ends where servers stand in the order in which they were added.
const ORDER: &str = "; servers of sh, mh and dh are in their order of addition";
/// How the last line begins; a number of lines follows.
const LAST: &str = "# End of saved rules: ";

/// The first line of saved rules; whether they keep the order in which servers were added.
#[must_use]
pub fn first(keeps_order: bool) -> String {
    format!("{FIRST}the last line counts the rules{}", if keeps_order { ORDER } else { "" })
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
    keeps_order: bool,
}

impl Frame {
    /// The next line.
    pub(super) fn line(&mut self, line: &[u8]) {
        if line.first() == Some(&b'#') {
            self.comment(line);
        }
    }

    fn comment(&mut self, line: &[u8]) {
        if line.starts_with(FIRST.as_bytes()) {
            self.cut_off |= self.open;
            self.open = true;
            self.keeps_order |= line.trim_ascii_end().ends_with(ORDER.as_bytes());
        } else if line.strip_prefix(LAST.as_bytes()).is_some_and(|rest| rest.first().is_some_and(u8::is_ascii_digit)) {
            self.open = false;
        }
    }

    /// Whether servers stand in the order in which they were added.
    pub(super) fn keeps_order(&self) -> bool {
        self.keeps_order
    }

    /// Whether an end was missing by now, when there are no more lines.
    pub(super) fn is_cut_off(&self) -> bool {
        self.cut_off || self.open
    }
}
