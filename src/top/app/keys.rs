//! What keys do to the live view.

use ipvs_client::{Destination, ServiceKey};

use super::{Action, App, Draining, Message, Mode, Question};
use crate::top::keys::Key;
use crate::top::rows::Row;

/// Rows that a page key moves by.
const PAGE: isize = 10;
/// The longest filter; a wider one would not be seen.
const FILTER: usize = 40;

impl App {
    /// A key was pressed.
    pub(crate) fn key(&mut self, key: Key) -> Vec<Action> {
        self.message = None;
        match std::mem::replace(&mut self.mode, Mode::Normal) {
            _ if key == Key::Interrupt => vec![Action::Quit],
            Mode::Normal => self.normal(key),
            Mode::Filter => self.filter(key),
            Mode::Weight { service, server, text } => {
                self.weight(key, service, server, text);
                Vec::new()
            }
            Mode::Confirm(question) => self.answered(key, question),
            Mode::Help => Vec::new(),
        }
    }

    fn normal(&mut self, key: Key) -> Vec<Action> {
        match key {
            Key::Char('q') => return self.quit(),
            Key::Char('?') => self.mode = Mode::Help,
            Key::Char('/') => self.mode = Mode::Filter,
            Key::Char('j') | Key::Down => self.select(1),
            Key::Char('k') | Key::Up => self.select(-1),
            Key::Char(' ') | Key::PageDown => self.select(PAGE),
            Key::Char('b') | Key::PageUp => self.select(-PAGE),
            Key::Char('g') | Key::Home => self.select(isize::MIN),
            Key::Char('G') | Key::End => self.select(isize::MAX),
            Key::Char('<') | Key::Left => self.sort_by(-1),
            Key::Char('>') | Key::Right => self.sort_by(1),
            Key::Char('r') => self.reversed = !self.reversed,
            Key::Char('t') => self.totals = !self.totals,
            Key::Enter | Key::Char('l') => return self.enter(),
            Key::Escape | Key::Backspace => self.back_out(),
            Key::Char('h') if self.inside.is_some() => self.back_out(),
            Key::Char('w') => self.ask_for_weight(),
            Key::Char('d') => self.ask_to_drain(),
            Key::Char(_) | Key::Interrupt | Key::Suspend => {}
        }
        Vec::new()
    }

    fn quit(&mut self) -> Vec<Action> {
        if self.draining.is_empty() {
            return vec![Action::Quit];
        }
        self.mode = Mode::Confirm(Question::End);
        Vec::new()
    }

    fn sort_by(&mut self, by: isize) {
        self.column = self.column.step(by);
        self.reversed = false;
    }

    fn select(&mut self, by: isize) {
        let rows = self.rows();
        let last = rows.len().saturating_sub(1);
        let index = self.selected(&rows).saturating_add_signed(by).min(last);
        self.selected = rows.get(index).map(Row::id);
    }

    /// The row that is selected; the first one, if none has been chosen.
    fn row(&self) -> Option<Row> {
        let rows = self.rows();
        let index = self.selected(&rows);
        rows.into_iter().nth(index)
    }

    fn enter(&mut self) -> Vec<Action> {
        let Some(row) = self.row() else { return Vec::new() };
        self.inside = Some(row.id());
        self.selected = self.inside;
        self.connections = None;
        vec![Action::Read]
    }

    fn back_out(&mut self) {
        self.connections = None;
        if let Some((service, _)) = self.inside.take() {
            self.selected = Some((service, None));
        } else {
            self.filter.clear();
        }
    }

    fn filter(&mut self, key: Key) -> Vec<Action> {
        match key {
            Key::Enter => return Vec::new(),
            Key::Escape => {
                self.filter.clear();
                return Vec::new();
            }
            Key::Backspace => drop(self.filter.pop()),
            Key::Char(letter) if self.filter.chars().count() < FILTER => self.filter.push(letter),
            Key::Up => self.select(-1),
            Key::Down => self.select(1),
            _ => {}
        }
        self.mode = Mode::Filter;
        Vec::new()
    }

    fn ask_for_weight(&mut self) {
        match self.row() {
            Some(row) if self.drain_of(&row).is_some() => self.say(Message::IsDraining),
            Some(Row { service, server: Some(server), .. }) => {
                self.mode = Mode::Weight { service, server, text: String::new() };
            }
            Some(_) => self.say(Message::ServiceHasNoWeight),
            None => {}
        }
    }

    fn weight(&mut self, key: Key, service: ServiceKey, server: Destination, mut text: String) {
        match key {
            Key::Escape => return,
            Key::Enter if text.is_empty() => return,
            Key::Enter => {
                // At most ten digits.
                let wanted = text.parse().unwrap_or(u64::MAX);
                match u32::try_from(wanted).ok().filter(|weight| i32::try_from(*weight).is_ok()) {
                    Some(weight) => self.mode = Mode::Confirm(Question::Weight { service, server, weight }),
                    None => self.say(Message::NoWeight(wanted)),
                }
                return;
            }
            Key::Backspace => drop(text.pop()),
            Key::Char(digit) if digit.is_ascii_digit() && text.len() < 10 => text.push(digit),
            _ => {}
        }
        self.mode = Mode::Weight { service, server, text };
    }

    fn ask_to_drain(&mut self) {
        let Some(row) = self.row() else { return };
        let Some(server) = row.server else {
            self.say(Message::ServiceIsNotDrained);
            return;
        };
        let service = row.service;
        self.mode = Mode::Confirm(match self.drain_of(&row) {
            None => Question::Drain { service, server },
            Some(_) => Question::StopDraining { service, server: server.key },
        });
    }

    fn answered(&mut self, key: Key, question: Question) -> Vec<Action> {
        if !matches!(key, Key::Char('y' | 'Y')) {
            self.say(Message::NothingChanged);
            return Vec::new();
        }
        match question {
            Question::End => vec![Action::Quit],
            Question::Weight { service, server, weight } => vec![Action::SetWeight(service, server.key, weight)],
            Question::Drain { service, server } => vec![Action::Drain(service, server.key)],
            Question::StopDraining { service, server } => {
                let is_it = |draining: &mut Draining| (draining.service, draining.server) == (service, server);
                let stopped: Vec<Draining> = self.draining.extract_if(.., is_it).collect();
                stopped.iter().flat_map(|draining| self.back(draining)).map(Action::Change).collect()
            }
        }
    }
}
