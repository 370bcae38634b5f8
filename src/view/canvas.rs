//! Boxes and bars, as wide as the terminal.

use std::io::{self, Write};

use prettytable::format::{FormatBuilder, LinePosition, LineSeparator};
use prettytable::{Cell, Row, Table};

use super::columns::{Column, Line, Text, cut_to, lines};

/// The SGR parameter of names of columns.
pub(super) const BOLD: &str = "1";

/// What the table is drawn on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Canvas {
    /// Characters in a line; as many as it takes, if `None`.
    pub width: Option<usize>,
    /// Whether it has colours.
    pub color: bool,
    /// Whether it has more than ASCII.
    pub unicode: bool,
}

/// How shares are shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Detail {
    /// Characters of a whole bar.
    pub(super) bar: usize,
    pub(super) percent: bool,
}

/// From what is best to what needs the least room.
pub(super) const DETAILS: [Detail; 6] = [
    Detail { bar: 12, percent: true },
    Detail { bar: 8, percent: true },
    Detail { bar: 5, percent: true },
    Detail { bar: 8, percent: false },
    Detail { bar: 5, percent: false },
    Detail { bar: 4, percent: false },
];

impl Canvas {
    pub(super) const fn ellipsis(self) -> &'static str {
        if self.unicode { "…" } else { "~" }
    }

    /// Room for text between the borders and their blanks.
    pub(super) fn room(self) -> usize {
        self.width.map_or(usize::MAX, |width| width.saturating_sub(4))
    }

    /// Part of a whole as a bar and in percent; nothing of nothing.
    pub(super) fn share(self, part: u64, whole: u64, detail: Detail) -> String {
        let share = if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
        let mut text = self.bar(share.min(1.0), detail.bar);
        if detail.percent {
            let percent = if whole == 0 { "-".to_owned() } else { format!("{:.0} %", share * 100.0) };
            text.push_str(&format!(" {percent:>5}"));
        }
        text
    }

    /// So much of a bar, in eighths of a character where there are such; something is never nothing.
    pub(super) fn bar(self, share: f64, length: usize) -> String {
        let (steps, full, parts) = if self.unicode { (8, '█', " ▏▎▍▌▋▊▉") } else { (1, '#', " ") };
        let mut filled = (share * (length * steps) as f64).round() as usize;
        if share > 0.0 {
            filled = filled.max(1);
        }
        let mut bar: String = std::iter::repeat_n(full, filled / steps).collect();
        let rest = filled % steps;
        if rest > 0 {
            bar.extend(parts.chars().nth(rest));
        }
        let blanks = length - bar.chars().count();
        bar + &" ".repeat(blanks)
    }

    /// A box of parts, each of lines, with a line between them.
    pub(super) fn draw(self, out: &mut impl Write, parts: &[Vec<Line>]) -> io::Result<()> {
        let (border, line, corners) = if self.unicode {
            ('│', '─', ['┌', '┐', '├', '┤', '└', '┘'])
        } else {
            ('|', '-', ['+'; 6])
        };
        let separator = |left: char, right: char| LineSeparator::new(line, line, left, right);
        let format = FormatBuilder::new()
            .borders(border)
            .padding(1, 1)
            .separator(LinePosition::Top, separator(corners[0], corners[1]))
            .separator(LinePosition::Intern, separator(corners[2], corners[3]))
            .separator(LinePosition::Bottom, separator(corners[4], corners[5]))
            .build();
        let mut table = Table::new();
        table.set_format(format);
        for part in parts {
            let texts: Vec<&str> = part.iter().map(|line| line.text.as_str()).collect();
            table.add_row(Row::new(vec![Cell::new(&texts.join("\n"))]));
        }
        if !self.color {
            return table.print(out).map(|_| ());
        }
        let mut bytes = Vec::new();
        table.print(&mut bytes)?;
        let text = String::from_utf8(bytes).map_err(io::Error::other)?;
        let mut drawn = text.lines();
        // Over each part there is a line of the box, and within it a border and a blank before the text.
        for part in parts {
            writeln!(out, "{}", drawn.next().unwrap_or_default())?;
            for (line, text) in part.iter().zip(drawn.by_ref()) {
                writeln!(out, "{}", line.paint(text, 2))?;
            }
        }
        drawn.try_for_each(|line| writeln!(out, "{line}"))
    }

    /// A box of columns under their names.
    pub(super) fn draw_columns(
        self,
        out: &mut impl Write,
        columns: &[Column],
        mut rows: Vec<Vec<Text>>,
    ) -> io::Result<()> {
        cut_to(columns, &mut rows, self.room(), self.ellipsis());
        let mut lines = lines(columns, &rows)?.into_iter();
        let header = lines.next().unwrap_or_default();
        let mut parts = vec![vec![Line::colored(header.text, BOLD)], lines.collect()];
        parts.retain(|part| !part.is_empty());
        self.draw(out, &parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_the_share() {
        let canvas = Canvas { width: None, color: false, unicode: true };
        let ascii = Canvas { unicode: false, ..canvas };
        assert_eq!(canvas.bar(0.0, 4), "    ");
        assert_eq!(canvas.bar(0.001, 4), "▏   ");
        assert_eq!(canvas.bar(0.5, 4), "██  ");
        assert_eq!(canvas.bar(0.53125, 4), "██▏ ");
        assert_eq!(canvas.bar(1.0, 4), "████");
        assert_eq!((ascii.bar(0.3, 4), ascii.bar(0.01, 4)), ("#   ".into(), "#   ".into()));
        let detail = Detail { bar: 4, percent: true };
        assert_eq!(canvas.share(1, 4, detail), "█     25 %");
        assert_eq!(canvas.share(0, 0, detail), "        - ".replace("- ", " -"));
    }
}
