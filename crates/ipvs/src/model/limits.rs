//! How much a replacement may take out of the table.

use std::fmt;

/// What a replacement must not exceed. The default has no limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// A table that has services must not become one without.
    pub keep_some: bool,
    /// No more rules than these may be deleted.
    pub removals: Option<RemovalLimit>,
}

/// A number of rules: services and servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemovalLimit {
    /// This many.
    Rules(u32),
    /// This part of those that the table has, in percent.
    Percent(u8),
}

impl RemovalLimit {
    /// `N`, or `P%` from 0% to 100%.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let number = |digits: &[u8]| {
            let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
            is_number.then(|| std::str::from_utf8(digits).ok()?.parse::<u32>().ok()).flatten()
        };
        match text.strip_suffix(b"%") {
            Some(digits) => {
                number(digits).filter(|&percent| percent <= 100).map(|percent| Self::Percent(percent as u8))
            }
            None => number(text).map(Self::Rules),
        }
    }

    /// Whether this many may be removed of that many.
    #[must_use]
    pub fn allows(self, removed: usize, of: usize) -> bool {
        match self {
            Self::Rules(limit) => removed <= limit as usize,
            Self::Percent(percent) => removed * 100 <= of * usize::from(percent),
        }
    }
}

impl fmt::Display for RemovalLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rules(limit) => limit.fmt(f),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_numbers_or_percentages() {
        for (text, limit) in [
            ("0", Some(RemovalLimit::Rules(0))),
            ("4294967295", Some(RemovalLimit::Rules(u32::MAX))),
            ("0%", Some(RemovalLimit::Percent(0))),
            ("100%", Some(RemovalLimit::Percent(100))),
            ("101%", None),
            ("4294967296", None),
            ("", None),
            ("%", None),
            ("-1", None),
            ("+1", None),
            ("5 %", None),
            ("5%%", None),
        ] {
            assert_eq!(RemovalLimit::parse(text.as_bytes()), limit, "{text:?}");
        }
    }

    #[test]
    fn a_percentage_is_not_rounded() {
        let third = RemovalLimit::Percent(33);
        assert!(third.allows(1, 4) && third.allows(0, 0) && !third.allows(1, 3));
        assert!(RemovalLimit::Percent(100).allows(3, 3) && !RemovalLimit::Percent(0).allows(1, 1000));
        assert!(RemovalLimit::Rules(2).allows(2, 2) && !RemovalLimit::Rules(2).allows(3, 1000));
    }
}
