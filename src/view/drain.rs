//! How far a drain is: a bar for a terminal, a line for a log.

use std::fmt::Write as _;

use ipvs_client::plan::drain::Left;

/// The narrowest bar that shows anything.
const NARROWEST_BAR: usize = 5;
/// The widest bar that is pleasant to look at.
const WIDEST_BAR: usize = 30;

/// How far a drain is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// What is left.
    pub left: Left,
    /// The most that was left at any time.
    pub most: u64,
    /// Seconds until persistence forgets the last client, if that is known.
    pub clients_for: Option<u64>,
    /// Seconds until the drain gives up, if it does.
    pub gives_up: Option<u64>,
}

/// `12 connections, 3 persistent clients (the last for 4:12), gives up in 0:20`
#[must_use]
pub fn line(status: &Status) -> String {
    let Status { left, clients_for, gives_up, .. } = *status;
    let mut text = counted(left.connections, "connection");
    if left.clients > 0 {
        let _ = write!(text, ", {}", counted(left.clients, "persistent client"));
        if let Some(seconds) = clients_for {
            let _ = write!(text, " (the last for {})", minutes(seconds));
        }
    }
    if let Some(seconds) = gives_up {
        let _ = write!(text, ", gives up in {}", minutes(seconds));
    }
    text
}

/// The same behind a name and a bar, at most so wide: `10.0.0.1:80 [####....] 12 connections`.
#[must_use]
pub fn bar(name: &str, status: &Status, width: usize) -> String {
    let line = line(status);
    let room = width.saturating_sub(name.chars().count() + line.chars().count() + " [] ".len());
    let mut text = name.to_owned();
    if room >= NARROWEST_BAR {
        let cells = room.min(WIDEST_BAR);
        let gone = status.most.saturating_sub(status.left.total());
        let full = match status.most {
            0 => cells,
            most => usize::try_from(u128::from(gone) * cells as u128 / u128::from(most)).unwrap_or(cells),
        };
        let _ = write!(text, " [{}{}]", "#".repeat(full), ".".repeat(cells - full));
    }
    text.push(' ');
    text.push_str(&line);
    text.chars().take(width).collect()
}

/// `1 connection`, `2 connections`
#[must_use]
pub fn counted(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Seconds as minutes and seconds.
fn minutes(seconds: u64) -> String {
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: Status =
        Status { left: Left { connections: 12, clients: 3 }, most: 20, clients_for: Some(252), gives_up: Some(20) };

    #[test]
    fn a_line_says_what_is_left() {
        assert_eq!(line(&STATUS), "12 connections, 3 persistent clients (the last for 4:12), gives up in 0:20");
        let one = Status { left: Left { connections: 1, clients: 0 }, ..Status::default() };
        assert_eq!(line(&one), "1 connection");
    }

    #[test]
    fn a_bar_fills_as_connections_go_and_fits_the_terminal() {
        let status = Status { clients_for: None, gives_up: None, ..STATUS };
        let text = bar("10.0.0.1:80", &status, 80);
        assert_eq!(text, "10.0.0.1:80 [#######......................] 12 connections, 3 persistent clients");
        assert_eq!(bar("10.0.0.1:80", &status, 60).chars().count(), 60);
        assert_eq!(bar("10.0.0.1:80", &STATUS, 40), "10.0.0.1:80 12 connections, 3 persistent");
        let done = Status { left: Left::default(), most: 4, ..Status::default() };
        assert!(bar("x", &done, 30).starts_with("x [#########"));
    }
}
