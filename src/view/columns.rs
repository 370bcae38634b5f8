//! Columns as wide as what is in them, for [`super::boxed`] and [`super::wide`].

use std::borrow::Cow;
use std::io;

use prettytable::format::{Alignment, FormatBuilder};
use prettytable::{Cell, Row, Table};

use crate::escape::escaped;

/// Blanks between two columns.
pub(super) const GAP: usize = 2;

/// How a column is filled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub header: &'static str,
    pub right: bool,
    /// How narrow its texts may be cut if there is no room; `None` for never.
    pub least: Option<usize>,
    /// It only holds bars, and can be left out.
    pub bars: bool,
}

impl Column {
    pub(super) const fn left(header: &'static str) -> Self {
        Self { header, right: false, least: None, bars: false }
    }

    pub(super) const fn right(header: &'static str) -> Self {
        Self { header, right: true, least: None, bars: false }
    }

    /// A column of texts that may be cut, but no narrower than this.
    pub(super) const fn cut(header: &'static str, least: usize) -> Self {
        Self { header, right: false, least: Some(least), bars: false }
    }

    /// A column of shares.
    pub(super) const fn bars(header: &'static str) -> Self {
        Self { header, right: false, least: None, bars: true }
    }
}

/// What stands in a place, and its colour (SGR parameters, as in ECMA-48), empty for none.
#[derive(Clone, Debug, Default)]
pub(super) struct Text {
    pub text: String,
    pub color: &'static str,
}

impl Text {
    pub(super) fn plain(text: impl Into<String>) -> Self {
        Self::colored(text, "")
    }

    pub(super) fn colored(text: impl Into<String>, color: &'static str) -> Self {
        let text = text.into();
        let text = match escaped(&text) {
            Cow::Borrowed(_) => text,
            Cow::Owned(safe) => safe,
        };
        Self { text, color }
    }

    pub(super) fn width(&self) -> usize {
        width(&self.text)
    }
}

/// The places that a text takes; as elsewhere in listings, one for each character.
pub(super) fn width(text: &str) -> usize {
    text.chars().count()
}

/// The widths of columns of these rows.
pub(super) fn widths(columns: &[Column], rows: &[Vec<Text>]) -> Vec<usize> {
    let widest = |(index, column): (usize, &Column)| {
        let texts = rows.iter().filter_map(|row| row.get(index)).map(Text::width);
        texts.max().unwrap_or(0).max(width(column.header))
    };
    columns.iter().enumerate().map(widest).collect()
}

/// Columns so wide, with the gaps between them.
pub(super) fn total(widths: &[usize]) -> usize {
    widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1)
}

/// Cut what may be cut, from the widest, until the lines are so wide.
pub(super) fn cut_to(columns: &[Column], rows: &mut [Vec<Text>], room: usize, ellipsis: &str) {
    let mut widths = widths(columns, rows);
    let mut cut = false;
    while total(&widths) > room {
        let candidates = columns.iter().enumerate().filter(|(index, column)| {
            column.least.is_some_and(|least| widths[*index] > least.max(width(column.header)))
        });
        let Some((widest, _)) = candidates.max_by_key(|(index, _)| widths[*index]) else { break };
        widths[widest] -= 1;
        cut = true;
    }
    if cut {
        for row in rows {
            for ((text, &width), column) in row.iter_mut().zip(&widths).zip(columns) {
                if column.least.is_some() {
                    text.text = shortened(&text.text, width, ellipsis);
                }
            }
        }
    }
}

/// A text that is no wider than this: the middle goes, because an address differs from others at its end.
pub(super) fn shortened(text: &str, room: usize, ellipsis: &str) -> String {
    let long = width(text);
    if long <= room {
        return text.to_owned();
    }
    let left = room.saturating_sub(width(ellipsis));
    let tail = left / 2;
    let head: String = text.chars().take(left - tail).collect();
    head + ellipsis + &text.chars().skip(long - tail).collect::<String>()
}

/// A line, and which of its characters have a colour: from which on, how many, and which.
#[derive(Clone, Debug, Default)]
pub(super) struct Line {
    pub text: String,
    pub colors: Vec<(usize, usize, &'static str)>,
}

impl Line {
    /// All of it in one colour.
    pub(super) fn colored(text: String, color: &'static str) -> Self {
        Self { colors: vec![(0, width(&text), color)], text }
    }

    /// Colour what of it stands in `line` from this character on.
    pub(super) fn paint(&self, line: &str, offset: usize) -> String {
        let place = |index: usize| line.char_indices().nth(index).map_or(line.len(), |(place, _)| place);
        let mut painted = String::with_capacity(line.len() + 16 * self.colors.len());
        let mut done = 0;
        for &(start, length, color) in &self.colors {
            let (start, end) = (place(offset + start), place(offset + start + length));
            painted.push_str(&line[done..start]);
            painted.push_str(&format!("\x1b[{color}m{}\x1b[0m", &line[start..end]));
            done = end;
        }
        painted + &line[done..]
    }
}

/// The rows as lines, the header's first. They are laid out bare and coloured afterwards: escapes have no width.
pub(super) fn lines(columns: &[Column], rows: &[Vec<Text>]) -> io::Result<Vec<Line>> {
    let mut table = Table::new();
    table.set_format(FormatBuilder::new().padding(0, GAP).build());
    let place = |text: &str, column: &Column| {
        Cell::new_align(text, if column.right { Alignment::RIGHT } else { Alignment::LEFT })
    };
    table.add_row(Row::new(columns.iter().map(|column| place(column.header, column)).collect()));
    for row in rows {
        table.add_row(Row::new(row.iter().zip(columns).map(|(text, column)| place(&text.text, column)).collect()));
    }
    let mut bytes = Vec::new();
    table.print(&mut bytes)?;
    let text = String::from_utf8(bytes).map_err(io::Error::other)?;
    let mut texts = text.lines().map(|line| line.trim_end().to_owned());
    let widths = widths(columns, rows);
    let header = texts.next().map(|text| Line { text, colors: Vec::new() });
    let lines = texts.zip(rows).map(|(text, row)| Line { text, colors: colors(columns, &widths, row) });
    Ok(header.into_iter().chain(lines).collect())
}

/// Where in its line each coloured text of a row stands.
fn colors(columns: &[Column], widths: &[usize], row: &[Text]) -> Vec<(usize, usize, &'static str)> {
    let mut colors = Vec::new();
    let mut start = 0;
    for ((column, &width), text) in columns.iter().zip(widths).zip(row) {
        let long = self::width(text.text.trim_end());
        if !text.color.is_empty() && long > 0 {
            let indent = if column.right { width.saturating_sub(text.width()) } else { 0 };
            colors.push((start + indent, long, text.color));
        }
        start += width + GAP;
    }
    colors
}
