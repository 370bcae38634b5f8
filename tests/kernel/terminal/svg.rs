//! A screen as a picture.

use std::fmt::Write as _;

use vt100::{Color, Screen};

/// Of a character, in pixels.
const WIDTH: u16 = 9;
const HEIGHT: u16 = 19;
const MARGIN: u16 = 12;

const INK: &str = "#d4d4d4";
const PAPER: &str = "#16181d";

/// The screen as SVG.
pub fn of(screen: &Screen) -> String {
    let (rows, columns) = screen.size();
    let (width, height) = (columns * WIDTH + 2 * MARGIN, rows * HEIGHT + 2 * MARGIN);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace\" \
         font-size=\"15\">\n<rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{PAPER}\"/>\n"
    );
    for row in 0..rows {
        let mut column = 0;
        while column < columns {
            let look = look(screen, row, column);
            let begin = column;
            let mut text = String::new();
            while column < columns && self::look(screen, row, column) == look {
                let letters = screen.cell(row, column).map(vt100::Cell::contents).unwrap_or_default();
                text.push_str(if letters.is_empty() { " " } else { letters });
                column += 1;
            }
            run(&mut svg, &look, (begin, row), column - begin, &text);
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// How characters look.
#[derive(PartialEq)]
struct Look {
    ink: &'static str,
    paper: &'static str,
    bold: bool,
    underlined: bool,
}

fn look(screen: &Screen, row: u16, column: u16) -> Look {
    let Some(cell) = screen.cell(row, column) else {
        return Look { ink: INK, paper: PAPER, bold: false, underlined: false };
    };
    let (ink, paper) = (color(cell.fgcolor(), INK), color(cell.bgcolor(), PAPER));
    let (ink, paper) = if cell.inverse() { (paper, ink) } else { (ink, paper) };
    Look { ink, paper, bold: cell.bold(), underlined: cell.underline() }
}

fn color(color: Color, default: &'static str) -> &'static str {
    // The ninth is the bright black of a terminal, which is grey.
    const NAMED: [&str; 9] =
        ["#16181d", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#d4d4d4", "#7f848e"];
    match color {
        Color::Idx(8) => NAMED[8],
        Color::Idx(index) => NAMED.get(usize::from(index % 8)).copied().unwrap_or(default),
        _ => default,
    }
}

/// Characters in a row that look the same.
fn run(svg: &mut String, look: &Look, (column, row): (u16, u16), length: u16, text: &str) {
    let (x, y, width) = (MARGIN + column * WIDTH, MARGIN + row * HEIGHT, length * WIDTH);
    if look.paper != PAPER {
        let _ =
            writeln!(svg, "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{HEIGHT}\" fill=\"{}\"/>", look.paper);
    }
    if text.trim().is_empty() {
        return;
    }
    let weight = if look.bold { " font-weight=\"bold\"" } else { "" };
    let line = if look.underlined { " text-decoration=\"underline\"" } else { "" };
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let _ = writeln!(
        svg,
        "<text x=\"{x}\" y=\"{}\" fill=\"{}\"{weight}{line} xml:space=\"preserve\" textLength=\"{width}\" \
         lengthAdjust=\"spacingAndGlyphs\">{text}</text>",
        y + HEIGHT - 5,
        look.ink
    );
}
