//! Drawing the live view. It depends on nothing but the state and the size.

use std::collections::VecDeque;

use ipvs_client::Forwarding;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph, Sparkline, Wrap};

use super::number::{rate, short};
use super::words;
use crate::escape::escaped;
use crate::top::{App, Column, Connections, Mode, PerSecond, Rates, Row};
use crate::view::drain::counted;
use crate::view::estimation::stopped as stopped_words;

/// The smallest terminal that it fits in: columns and rows.
pub(crate) const MINIMUM: (u16, u16) = (76, 14);

/// The names of the graphs; as wide as each other.
const GRAPHS: [&str; 3] = [" Connections/s", " Bytes in/s", " Bytes out/s"];
/// Columns of a graph's name and number.
const GRAPH_NUMBER: u16 = 24;
/// Columns of a terminal in which there is room for more columns: how packets are forwarded, and persistent clients.
const WIDE: u16 = 100;
/// From so many columns on there are upper thresholds.
const WIDER: u16 = 120;
/// From so many columns on there are rates and totals of connections.
const WIDEST: u16 = 150;

const HELP: &[(&str, &str)] = &[
    ("up down, k j", "choose a service or server"),
    ("PgUp PgDn, b space", "ten rows at once"),
    ("Home End, g G", "the first row, the last"),
    ("left right, < >", "sort by another column"),
    ("r", "sort the other way round"),
    ("t", "totals in place of rates, and back"),
    ("/", "show only what has this text in its name"),
    ("Enter, l", "look inside: connections by state and by client"),
    ("Esc, h", "back out; without anything to leave, no filter"),
    ("w", "another weight for the server"),
    ("d", "drain the server: weight 0, deleted once it is idle"),
    ("q, Ctrl-C", "end; drains under way are undone"),
];

/// Draw the view.
pub(crate) fn render(frame: &mut Frame<'_>, app: &App) {
    let area = frame.area();
    if area.width < MINIMUM.0 || area.height < MINIMUM.1 {
        let text = format!(
            "This terminal is too small: {}x{}, and {}x{} are needed. q ends.",
            area.width, area.height, MINIMUM.0, MINIMUM.1
        );
        frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: true }), area);
        return;
    }
    let [title, graphs, sums, body, last] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(GRAPHS.len() as u16),
        Constraint::Length(1),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(area);
    draw_title(frame, app, title);
    draw_graphs(frame, app, graphs);
    draw_sums(frame, app, sums);
    if app.inside.is_some() {
        let rows = app.rows().len() as u16 + 1;
        // The connections get half of it at least.
        let [table, connections] =
            Layout::vertical([Constraint::Length(rows.min(body.height / 2)), Constraint::Fill(1)]).areas(body);
        draw_table(frame, app, table);
        draw_connections(frame, app, connections);
    } else {
        draw_table(frame, app, body);
    }
    draw_last_line(frame, app, last);
    match &app.mode {
        Mode::Help => draw_help(frame, app),
        Mode::Confirm(question) => draw_question(frame, app, body, &words::question(question)),
        _ => {}
    }
}

fn color(app: &App, color: Color) -> Style {
    if app.colored { Style::new().fg(color) } else { Style::new() }
}

fn draw_title(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let (services, servers) = app.size();
    let mut text = format!(
        " ipvsadm-rs top   every {}   {}, {}",
        counted(app.interval.into(), "second"),
        counted(services as u64, "service"),
        counted(servers as u64, "server")
    );
    if let Some((service, server)) = app.inside {
        text = format!(" ipvsadm-rs top   inside {}", service);
        if let Some(server) = server {
            text.push_str(&format!("   {}", server));
        }
    }
    if !app.filter.is_empty() {
        text.push_str(&format!("   only {}", escaped(&app.filter)));
    }
    let style = color(app, Color::Cyan).add_modifier(Modifier::BOLD);
    frame.render_widget(Paragraph::new(Line::styled(text, style)), area);
}

fn draw_graphs(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let total = app.rates();
    let rates = [total.connections, total.incoming_bytes, total.outgoing_bytes];
    for (index, row) in area.rows().enumerate() {
        let [name, graph] = Layout::horizontal([Constraint::Length(GRAPH_NUMBER), Constraint::Fill(1)]).areas(row);
        let number = unless_unknown(app, rates[index]);
        frame.render_widget(Paragraph::new(format!("{:<16}{number:>6}", GRAPHS[index])), name);
        let data = newest(&app.history[index], graph.width.into());
        frame.render_widget(Sparkline::default().data(data).style(color(app, Color::Green)), graph);
    }
}

/// The newest of these numbers that there is room for, the newest one rightmost.
fn newest(history: &VecDeque<u64>, width: usize) -> Vec<u64> {
    let shown = history.iter().skip(history.len().saturating_sub(width));
    std::iter::repeat_n(0, width.saturating_sub(history.len())).chain(shown.copied()).collect()
}

fn draw_sums(frame: &mut Frame<'_>, app: &App, area: Rect) {
    if let Some(stopped) = app.stopped {
        let text = format!(" {}", stopped_words(stopped));
        frame.render_widget(Line::styled(text, color(app, Color::Yellow).add_modifier(Modifier::BOLD)), area);
        return;
    }
    let (active, inactive, persistent) = app.connected();
    let text =
        format!(" Now: {} active, {} inactive, {} persistent", short(active), short(inactive), short(persistent));
    frame.render_widget(Line::raw(text), area);
}

/// What stands above a column, and its width.
const fn title(column: Column, totals: bool) -> (&'static str, usize) {
    match (column, totals) {
        (Column::Name, _) => ("Service, server", 0),
        (Column::Weight, _) => ("Weight", 6),
        (Column::Active, _) => ("Active", 6),
        (Column::Inactive, _) => ("InAct", 6),
        (Column::Connections, false) => ("Conn/s", 6),
        (Column::IncomingPackets, false) => ("In p/s", 6),
        (Column::OutgoingPackets, false) => ("Out p/s", 7),
        (Column::IncomingBytes, false) => ("In B/s", 6),
        (Column::OutgoingBytes, false) => ("Out B/s", 7),
        (Column::Connections, true) => ("Conns", 6),
        (Column::IncomingPackets, true) => ("InPkts", 6),
        (Column::OutgoingPackets, true) => ("OutPkts", 7),
        (Column::IncomingBytes, true) => ("InByte", 6),
        (Column::OutgoingBytes, true) => ("OutByte", 7),
    }
}

/// What stands behind a column where the terminal is wide enough.
const fn extra(column: Column, totals: bool, width: u16) -> Option<&'static str> {
    match column {
        Column::Name if width >= WIDE => Some("Forward"),
        Column::Inactive if width >= WIDE => Some("Persis"),
        Column::Weight if width >= WIDER => Some("UpThr"),
        Column::Connections if width >= WIDEST => Some(if totals { "Conn/s" } else { "Conns" }),
        _ => None,
    }
}

/// The width of what `extra` names.
const EXTRA: usize = 7;

/// The width of the first column: what the others leave.
fn first_width(app: &App, width: u16) -> usize {
    let others: usize = Column::ALL.iter().skip(1).map(|column| title(*column, app.totals).1 + 1).sum();
    let extras = Column::ALL.iter().filter(|column| extra(**column, app.totals, width).is_some()).count();
    usize::from(width).saturating_sub(others + extras * EXTRA)
}

/// Text of exactly this width: cut, with a mark, or filled up.
fn fit(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return format!("{text:<width$}");
    }
    let cut: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{cut}~")
}

fn draw_table(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let rows = app.rows();
    let height = usize::from(area.height.saturating_sub(1));
    let selected = app.selected(&rows);
    // The selection is in the middle, but for both ends.
    let first = selected.saturating_sub(height / 2).min(rows.len().saturating_sub(height));
    let mut lines = vec![header(app, area.width)];
    for (index, row) in rows.iter().enumerate().skip(first).take(height) {
        lines.push(line(app, row, area.width, index == selected));
    }
    if rows.is_empty() {
        let why = if app.filter.is_empty() { " The table is empty." } else { " Nothing has this in its name." };
        lines.push(Line::raw(why));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

fn header(app: &App, width: u16) -> Line<'static> {
    let first = first_width(app, width);
    let style = Style::new().add_modifier(Modifier::REVERSED);
    let mut spans = Vec::new();
    for column in Column::ALL {
        let (title, own) = title(column, app.totals);
        let mut text = match column {
            Column::Name => fit(title, first),
            _ => format!(" {title:>own$}"),
        };
        if let Some(extra) = extra(column, app.totals, width) {
            text.push_str(&format!("{extra:>EXTRA$}"));
        }
        let chosen = column == app.column;
        spans.push(Span::styled(
            text,
            if chosen { style.add_modifier(Modifier::BOLD | Modifier::UNDERLINED) } else { style },
        ));
    }
    Line::from(spans)
}

fn line(app: &App, row: &Row, width: u16, selected: bool) -> Line<'static> {
    let first = first_width(app, width);
    let name = match row.server {
        Some(_) => format!("  {}", row.name()),
        None => format!("{} {}", row.name(), escaped(&row.scheduler)),
    };
    // Rather no scheduler than half of one.
    let name = if row.server.is_none() && name.chars().count() > first { row.name() } else { name };
    let mut text = fit(&name, first);
    let drain = app.drain_of(row);
    for column in Column::ALL {
        let (_, own) = title(column, app.totals);
        match column {
            Column::Name => {}
            Column::Weight if drain.is_some() => text.push_str(&format!(" {:>own$}", "drain")),
            _ => text.push_str(&format!(" {:>own$}", number(app, row, column))),
        }
        if extra(column, app.totals, width).is_some() {
            text.push_str(&format!("{:>EXTRA$}", extra_text(app, row, column)));
        }
    }
    let mut style = match row.server {
        _ if drain.is_some() => color(app, Color::Magenta),
        // It gets nothing new: that should be seen.
        Some(server) if server.weight == 0 => color(app, Color::Yellow),
        Some(server) if is_full(row, server.upper_threshold) => color(app, Color::Red),
        Some(_) if app.known() == Rates::Known && row.rates == PerSecond::default() => color(app, Color::DarkGray),
        Some(_) => Style::new(),
        None => Style::new().add_modifier(Modifier::BOLD),
    };
    if selected {
        style = style.add_modifier(Modifier::REVERSED);
    }
    Line::styled(text, style)
}

/// Whether it has as many connections as its upper threshold, 0 being none.
fn is_full(row: &Row, threshold: u32) -> bool {
    threshold > 0 && row.active + row.inactive >= threshold.into()
}

/// What stands behind a column, see [`extra`].
fn extra_text(app: &App, row: &Row, column: Column) -> String {
    match (column, row.server) {
        (Column::Name, Some(server)) => forwarding(server.forwarding).to_owned(),
        (Column::Weight, Some(server)) if server.upper_threshold > 0 => short(server.upper_threshold.into()),
        (Column::Inactive, _) => short(row.persistent),
        (Column::Connections, _) if app.totals => unless_unknown(app, row.rates.connections),
        (Column::Connections, _) => short(row.counters.connections),
        _ => String::new(),
    }
}

/// How packets get to a server, in a word.
const fn forwarding(forwarding: Forwarding) -> &'static str {
    match forwarding {
        Forwarding::Masquerade => "Masq",
        Forwarding::Local => "Local",
        Forwarding::Tunnel(_) => "Tunnel",
        Forwarding::DirectRoute => "Route",
        Forwarding::Bypass => "Bypass",
    }
}

fn number(app: &App, row: &Row, column: Column) -> String {
    let (total, per_second) = match column {
        Column::Name => return row.name(),
        Column::Weight => return short(row.weight),
        Column::Active => return short(row.active),
        Column::Inactive => return short(row.inactive),
        Column::Connections => (row.counters.connections, row.rates.connections),
        Column::IncomingPackets => (row.counters.incoming_packets, row.rates.incoming_packets),
        Column::OutgoingPackets => (row.counters.outgoing_packets, row.rates.outgoing_packets),
        Column::IncomingBytes => (row.counters.incoming_bytes, row.rates.incoming_bytes),
        Column::OutgoingBytes => (row.counters.outgoing_bytes, row.rates.outgoing_bytes),
    };
    if app.totals { short(total) } else { unless_unknown(app, per_second) }
}

/// A rate, or what stands in place of one that is not known.
fn unless_unknown(app: &App, per_second: f64) -> String {
    match app.known() {
        Rates::Known => rate(per_second),
        Rates::NotYet => "...".to_owned(),
        Rates::Never => "-".to_owned(),
    }
}

fn draw_connections(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let [states, clients] = Layout::horizontal([Constraint::Percentage(40), Constraint::Fill(1)]).areas(area);
    let nothing = Connections::default();
    let found = app.connections.as_ref().unwrap_or(&nothing);
    let list = |title: &str, entries: Vec<(String, u64)>, area: Rect| {
        let width = usize::from(area.width.saturating_sub(2));
        let title = format!(" {title}");
        let mut lines = vec![Line::styled(fit(&title, width), Style::new().add_modifier(Modifier::UNDERLINED))];
        let shown = entries.iter().take(usize::from(area.height.saturating_sub(1)));
        lines.extend(shown.map(|(name, number)| {
            let name = fit(&format!(" {}", escaped(name)), width.saturating_sub(8));
            Line::raw(format!("{name} {:>7}", short(*number)))
        }));
        if entries.is_empty() {
            lines.push(Line::raw(if app.connections.is_none() { " ..." } else { " none" }));
        }
        Paragraph::new(lines)
    };
    let by_state = found.by_state.iter().map(|(state, number)| (state.name().to_owned(), *number)).collect();
    let title = match app.chosen_connections.as_str() {
        "" => "Connections by state".to_owned(),
        words => format!("Connections by state, only {}", escaped(words)),
    };
    frame.render_widget(list(&title, by_state, states), states);
    let by_client = found.by_client.iter().map(|(client, number)| (client.to_string(), *number)).collect();
    frame.render_widget(list("Connections by client", by_client, clients), clients);
}

fn draw_last_line(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let line = match (&app.mode, &app.message) {
        (Mode::Filter, _) => {
            let filter = escaped(&app.filter);
            Line::raw(format!(" Only what has in its name: {filter}_   (Enter keeps it, Esc drops it)"))
        }
        (Mode::Weight { server, text, .. }, _) => {
            Line::raw(format!(" Weight of {}, now {}: {text}_   (Enter, Esc)", server.key, server.weight))
        }
        (_, Some(message)) => Line::styled(format!(" {}", words::message(message)), color(app, Color::Yellow)),
        _ => match app.draining.iter().find(|draining| draining.left.total() > 0) {
            Some(draining) => Line::raw(format!(
                " Draining {}: {} left",
                draining.server,
                counted(draining.left.connections, "connection")
                    + &match draining.left.clients {
                        0 => String::new(),
                        clients => format!(", {}", counted(clients, "persistent client")),
                    }
            )),
            None => Line::raw(" ? help  / filter  < > sort  t totals  Enter inside  w weight  d drain"),
        },
    };
    frame.render_widget(line, area);
}

fn draw_help(frame: &mut Frame<'_>, app: &App) {
    let lines: Vec<Line<'_>> = HELP.iter().map(|(keys, what)| Line::raw(format!(" {keys:<19} {what}"))).collect();
    popup(frame, app, frame.area(), " Keys; any key closes this ", lines, 75);
}

fn draw_question(frame: &mut Frame<'_>, app: &App, area: Rect, question: &str) {
    let lines = vec![Line::raw(question.to_owned()), Line::raw(""), Line::raw("y is yes, any other key is no.")];
    popup(frame, app, area, " Sure? ", lines, 74);
}

/// A box in the middle, as high as its text is.
fn popup(frame: &mut Frame<'_>, app: &App, area: Rect, title: &str, lines: Vec<Line<'_>>, width: u16) {
    let width = width.min(area.width);
    let room = usize::from(width.saturating_sub(2)).max(1);
    let height: usize = lines.iter().map(|line| line.width().div_ceil(room).max(1)).sum();
    let height = (height as u16 + 2).min(frame.area().height);
    let y = area.y + area.height.saturating_sub(height) / 2;
    let place = Rect { x: area.x + (area.width - width) / 2, y, width, height }.intersection(frame.area());
    let block = Block::bordered().title(title.to_owned()).border_style(color(app, Color::Cyan));
    frame.render_widget(Clear, place);
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: false }).block(block), place);
}

#[cfg(test)]
mod tests;
