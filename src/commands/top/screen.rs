//! The whole screen: drawn by ratatui, left as it was found, however the program ends.

use std::cell::Cell;
use std::io::{self, Write, stdin, stdout};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use crossterm::cursor::{Hide, Show};
use crossterm::execute;
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use ipvs_client::{Change, Destination, DestinationKey, Error, ServiceKey};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, raise};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;

use super::reader::Reader;
use crate::commands::called;
use crate::commands::drain;
use crate::commands::drain::spare::{self, Fallback, Terms};
use crate::commands::lock::{self, Locked};
use crate::commands::signals::{Interrupted, Signals};
use crate::commands::status;
use crate::grammar::LOCK_WAIT_DEFAULT;
use crate::host::table_sizes;
use crate::top::{Action, App, Key, Keys, Message};
use crate::view::top::render;

/// How long the rest of a key's bytes may take, before what there is counts as the Escape key.
const ESCAPE: Duration = Duration::from_millis(50);

/// Why the view ended.
enum End {
    /// It was asked to, or the terminal is gone.
    Quit,
    /// The signal of this number came.
    Signal(i32),
}

pub(super) fn run(reader: &mut Reader, mut app: App, interval: u32) -> Result<u8> {
    let signals = Signals::hold_for_screen()?;
    let entered = signals.in_foreground(Entered::enter)?;
    let interval = Duration::from_secs(interval.into());
    let (mut late, mut fallbacks) = (Vec::new(), Vec::new());
    let screen = Screen::default();
    let (late_ones, set) = (&mut late, &mut fallbacks);
    let ended =
        View { reader, app: &mut app, interval, signals: &signals, screen, late: late_ones, fallbacks: set }.run();
    drop(entered);
    let undo = app.leave();
    let locked = (!undo.is_empty() || !late.is_empty() || !fallbacks.is_empty())
        .then(|| lock::take_to_go_back(LOCK_WAIT_DEFAULT, Some(&signals)));
    for change in late {
        if let Err(error) = reader.client.change(&change) {
            say!("{error}");
        }
    }
    for change in undo {
        let Change::EditDestination(_, server) = change else { continue };
        let name = server.key;
        match reader.client.change(&change) {
            Ok(()) => say!("{name}: the weight is {} again", server.weight),
            Err(error) => say!("{name}: the weight cannot be put back: {error}"),
        }
    }
    for message in fallbacks.into_iter().filter_map(|fallback| fallback.put_back(&mut reader.client)) {
        say!("{message}");
    }
    drop(locked);
    Ok(match ended? {
        End::Quit => status::OK,
        End::Signal(signal) => Interrupted(signal).end(),
    })
}

/// Standard output, where it is a terminal. That it has gone is noted rather than reported: what draws must be able to end in
/// good order, and ratatui would panic on the way.
#[derive(Clone, Default)]
struct Screen {
    gone: Rc<Cell<bool>>,
}

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.gone.get() {
            self.gone.set(stdout().write_all(bytes).is_err());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.gone.get() {
            self.gone.set(stdout().flush().is_err());
        }
        Ok(())
    }
}

fn new_terminal(screen: &Screen) -> Result<Terminal<CrosstermBackend<Screen>>> {
    Terminal::new(CrosstermBackend::new(screen.clone())).context("the terminal")
}

/// The terminal while it is ours.
struct Entered;

impl Entered {
    fn enter() -> Result<Self> {
        // A panic ends the program without unwinding, so nothing would be dropped.
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            leave();
            hook(panic);
        }));
        enter()?;
        Ok(Self)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        leave();
        drop(std::panic::take_hook());
    }
}

fn enter() -> Result<()> {
    enable_raw_mode().context("the terminal")?;
    let entered = execute!(stdout(), EnterAlternateScreen, Hide).context("the terminal");
    if entered.is_err() {
        leave();
    }
    entered
}

/// Give the terminal back. That it fails means that there is none any more.
fn leave() {
    let _ = execute!(stdout(), LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
}

struct View<'v> {
    reader: &'v mut Reader,
    app: &'v mut App,
    interval: Duration,
    signals: &'v Signals,
    screen: Screen,
    /// Changes that follow from drains and have not been made yet, because another program was changing the table.
    late: &'v mut Vec<Change>,
    /// Flags that spare clients of servers that are being drained.
    fallbacks: &'v mut Vec<Fallback>,
}

impl View<'_> {
    fn run(&mut self) -> Result<End> {
        let mut terminal = new_terminal(&self.screen)?;
        let mut keys = Keys::default();
        let mut next = Instant::now();
        loop {
            if Instant::now() >= next {
                if self.read()? {
                    return Ok(End::Quit);
                }
                next = Instant::now() + self.interval;
            }
            if !self.draw(&mut terminal) {
                return Ok(End::Quit);
            }
            let until = next.saturating_duration_since(Instant::now());
            let until = if keys.is_begun() { until.min(ESCAPE) } else { until };
            // A millisecond that has begun counts.
            let timeout = PollTimeout::try_from(until + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
            let input = stdin();
            let mut wait =
                [PollFd::new(input.as_fd(), PollFlags::POLLIN), PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
            match poll(&mut wait, timeout) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno).context("waiting for keys"),
            }
            let typed = wait[0].revents().unwrap_or(PollFlags::empty());
            while let Some(signal) = self.signals.next() {
                match Signal::try_from(signal) {
                    Ok(Signal::SIGWINCH) => {}
                    Ok(Signal::SIGTSTP) => {
                        if let Some(signal) = self.pause(&mut terminal)? {
                            return Ok(End::Signal(signal));
                        }
                    }
                    _ => return Ok(End::Signal(signal)),
                }
            }
            if typed.contains(PollFlags::POLLIN) {
                let mut bytes = [0; 1024];
                match nix::unistd::read(input.as_fd(), &mut bytes) {
                    // The terminal is gone.
                    Ok(0) | Err(Errno::EIO) => return Ok(End::Quit),
                    Ok(length) => keys.push(&bytes[..length]),
                    Err(Errno::EINTR | Errno::EAGAIN) => {}
                    Err(errno) => return Err(errno).context("reading keys"),
                }
            } else if typed.intersects(PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL) {
                return Ok(End::Quit);
            } else if keys.is_begun()
                && let Some(key) = keys.end()
                && self.key(key)?
            {
                return Ok(End::Quit);
            }
            while let Some(key) = keys.next() {
                if self.key(key)? {
                    return Ok(End::Quit);
                }
            }
        }
    }

    /// Whether there still is a terminal to draw on.
    fn draw(&self, terminal: &mut Terminal<CrosstermBackend<Screen>>) -> bool {
        terminal.draw(|frame| render(frame, self.app)).is_ok() && !self.screen.gone.get()
    }

    /// Stop, as at Ctrl-Z elsewhere, with the terminal as it was; and go on some day. Returns the signal that came in between, if
    /// one did.
    fn pause(&self, terminal: &mut Terminal<CrosstermBackend<Screen>>) -> Result<Option<i32>> {
        leave();
        // Not SIGTSTP, which is kept back.
        let _ = raise(Signal::SIGSTOP);
        let ends = |signal: &i32| ![Signal::SIGWINCH as i32, Signal::SIGTSTP as i32].contains(signal);
        if let Some(signal) = std::iter::from_fn(|| self.signals.next()).find(ends) {
            return Ok(Some(signal));
        }
        self.signals.in_foreground(enter)?;
        // A new one knows nothing of what was drawn, and draws everything.
        *terminal = new_terminal(&self.screen)?;
        Ok(None)
    }

    fn key(&mut self, key: Key) -> Result<bool> {
        if key == Key::Suspend {
            // Kept back and read with the other signals.
            let _ = raise(Signal::SIGTSTP);
            return Ok(false);
        }
        let actions = self.app.key(key);
        self.act(actions)
    }

    fn read(&mut self) -> Result<bool> {
        let actions = self.reader.read(self.app)?;
        let late = std::mem::take(self.late).into_iter().map(Action::Change);
        let ends = self.act(late.chain(actions).collect())?;
        self.put_fallbacks_back();
        Ok(ends)
    }

    /// Take the fallback flags away of services that no drain is under way of, once nothing else is to be done there.
    fn put_fallbacks_back(&mut self) {
        let app = &self.app;
        if !self.late.is_empty() || self.fallbacks.iter().all(|fallback| fallback.is_needed(|key| app.drains(key))) {
            return;
        }
        let Some(_locked) = self.lock() else { return };
        let app = &self.app;
        let done: Vec<Fallback> =
            self.fallbacks.extract_if(.., |fallback| !fallback.is_needed(|key| app.drains(key))).collect();
        for message in done.into_iter().filter_map(|fallback| fallback.put_back(&mut self.reader.client)) {
            self.app.say(Message::Failed(message));
        }
    }

    /// Whether a drain goes ahead, and if the service's fallback flag spares clients, that is set. What clients it costs is
    /// reported.
    fn spare(&mut self, key: ServiceKey, server: DestinationKey) -> Result<bool, Error> {
        let client = &mut self.reader.client;
        let service = client.service_with::<()>(&key)?.service;
        let have = client.destinations_with::<()>(&key)?.unwrap_or_default();
        let quiescent_templates_expire = drain::quiescent_templates_expire() != Some(false);
        let terms = Terms { server, no_fallback: false, deletes: true, quiescent_templates_expire };
        let cost = spare::cost(&service, &have, terms, || table_sizes::read().kernel);
        if cost.refuses {
            let why = cost.lines.join("; ");
            let message = format!("{why}; to drain it anyway: {} -d --drain --force", called::command_line());
            self.app.say(Message::Failed(message));
            return Ok(false);
        }
        if cost.flag && !self.fallbacks.iter().any(|fallback| fallback.is_needed(|of| *of == key)) {
            self.fallbacks.push(Fallback::set(client, &service, server)?);
        }
        Ok(true)
    }

    /// Do what the view asks for. Whether that was to end.
    fn act(&mut self, actions: Vec<Action>) -> Result<bool> {
        for action in actions {
            match action {
                Action::Quit => return Ok(true),
                Action::Read => {
                    if self.read()? {
                        return Ok(true);
                    }
                }
                Action::SetWeight(service, server, weight) => self.set_weight(service, server, weight)?,
                Action::Drain(service, server) => self.drain(service, server)?,
                Action::Change(change) => match self.lock() {
                    Some(_locked) => {
                        self.change(&change)?;
                    }
                    // With the next reading.
                    None => self.late.push(change),
                },
            }
        }
        Ok(false)
    }

    /// Lock the table. If another program is changing it, that is reported, and top goes on.
    fn lock(&mut self) -> Option<Locked> {
        lock::take_briefly().map_err(|message| self.app.say(Message::Failed(message))).ok()
    }

    /// Make a change. Whether the kernel did; a refusal is reported, and does not end the program.
    fn change(&mut self, change: &Change) -> Result<bool> {
        match self.reader.client.change(change) {
            Ok(()) => Ok(true),
            Err(Error::Refused(refusal)) => {
                self.app.say(Message::Failed(refusal.to_string()));
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The server as it is at this moment, not as it was when it was last shown.
    fn server(&mut self, service: ServiceKey, server: DestinationKey) -> Result<Option<Destination>> {
        let now = self.reader.client.destinations(&service)?.unwrap_or_default();
        let found = now.iter().find(|entry| entry.destination.key == server).map(|entry| entry.destination);
        if found.is_none() {
            self.app.say(Message::NoServer);
        }
        Ok(found)
    }

    fn set_weight(&mut self, service: ServiceKey, server: DestinationKey, weight: u32) -> Result<()> {
        let Some(locked) = self.lock() else { return Ok(()) };
        let Some(now) = self.server(service, server)? else { return Ok(()) };
        let changed = self.change(&Change::EditDestination(service, now.weight(weight)))?;
        drop(locked);
        if changed {
            self.read()?;
        }
        Ok(())
    }

    fn drain(&mut self, service: ServiceKey, server: DestinationKey) -> Result<()> {
        let Some(locked) = self.lock() else { return Ok(()) };
        let Some(former) = self.server(service, server)? else { return Ok(()) };
        match self.spare(service, server) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(Error::Refused(refusal)) => {
                self.app.say(Message::Failed(refusal.to_string()));
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
        let changed = self.change(&Change::EditDestination(service, former.weight(0)))?;
        drop(locked);
        if changed {
            self.app.drain_began(service, former);
            self.read()?;
        }
        Ok(())
    }
}
