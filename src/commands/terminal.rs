//! What standard output can show.

use std::env;

use terminal_size::{Width, terminal_size_of};

use super::color;
use crate::grammar::ColorWhen;
use crate::view::boxed::Canvas;

/// Standard output as something to draw tables on.
pub(super) fn canvas(when: ColorWhen) -> Canvas {
    Canvas { width: width(), color: color::wanted(when), unicode: has_unicode(|name| env::var(name).ok()) }
}

/// The width that the environment has (watch(1) does), or that of the terminal. In a file or a pipe lines may be as long
/// as they need be.
fn width() -> Option<usize> {
    let set = env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).filter(|&columns| columns > 0);
    set.or_else(|| terminal_size_of(std::io::stdout()).map(|(Width(columns), _)| columns.into()))
}

/// Whether the locale's characters are those of Unicode: the first of these variables that is set decides, locale(7).
fn has_unicode(variable: impl Fn(&str) -> Option<String>) -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(variable).find(|value| !value.is_empty());
    let locale = locale.unwrap_or_default().to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

#[cfg(test)]
mod tests {
    use super::has_unicode;

    #[test]
    fn the_first_variable_that_is_set_decides() {
        let with = |set: &'static [(&str, &str)]| {
            has_unicode(|name| set.iter().find(|(variable, _)| *variable == name).map(|(_, value)| (*value).to_owned()))
        };
        assert!(with(&[("LANG", "de_DE.UTF-8")]));
        assert!(with(&[("LANG", "C"), ("LC_CTYPE", "C.utf8"), ("LC_ALL", "")]));
        assert!(!with(&[("LANG", "de_DE.UTF-8"), ("LC_ALL", "C")]));
        assert!(!with(&[("LANG", "de_DE")]));
        assert!(!with(&[]));
    }
}
