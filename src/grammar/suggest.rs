//! What an unknown option may have been meant to be.

use super::table::{COMMANDS, OPTIONS};

/// The long option nearest to this name: one that it begins, or one a slip or two away.
pub(super) fn long_option(name: &[u8]) -> Option<&'static str> {
    let known = || COMMANDS.iter().map(|spec| spec.long).chain(OPTIONS.iter().map(|spec| spec.long));
    if name.len() < 2 {
        return None;
    }
    let mut begun = known().filter(|long| long.as_bytes().starts_with(name));
    if let (Some(only), None) = (begun.next(), begun.next()) {
        return Some(only);
    }
    let allowed = if name.len() < 5 { 1 } else { 2 };
    known()
        .map(|long| (distance(name, long.as_bytes()), long))
        .filter(|&(distance, _)| distance <= allowed)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, long)| long)
}

/// The long option that a word like `--name` or `--name=value` is, or may have been meant to be.
#[must_use]
pub fn long_option_like(word: &[u8]) -> Option<&'static str> {
    let name = word.strip_prefix(b"--")?;
    long_option(name.split(|&byte| byte == b'=').next().unwrap_or_default())
}

/// The number of letters to add, drop or change between two words (Levenshtein).
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
