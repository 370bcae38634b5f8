//! A terminal with a program in it: a pair of pseudo-terminals and the screen that the bytes make.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nix::fcntl::{OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::sys::termios::{Termios, tcgetattr};
use nix::unistd::Pid;

use crate::support::ours;

/// How long anything may take to appear.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program in a terminal.
pub struct Terminal {
    near: File,
    /// Kept open, to ask for its settings and so that what was written last can be read.
    far: OwnedFd,
    /// The settings before the program began.
    pub settings: Termios,
    pub child: Child,
    parser: vt100::Parser,
    /// Everything that was written.
    pub bytes: Vec<u8>,
}

impl Terminal {
    /// Starts the program with these words.
    pub fn start(rows: u16, columns: u16, words: &[&str]) -> Result<Self> {
        Self::start_any(rows, columns, Command::new(ours()).args(words))
    }

    /// Starts any program.
    pub fn start_any(rows: u16, columns: u16, program: &Command) -> Result<Self> {
        // Not openpty(3): programs started by other tests in that time must not hold this end open.
        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let near = posix_openpt(flags)?;
        grantpt(&near)?;
        unlockpt(&near)?;
        let far = open(ptsname_r(&near)?.as_str(), flags, Mode::empty())?;
        set_size(&far, rows, columns)?;
        let settings = tcgetattr(&far)?;
        // Its controlling terminal is this one, so that Ctrl-C and a hang-up reach it.
        let mut command = Command::new("setsid");
        command.args(["--ctty"]).arg(program.get_program()).args(program.get_args());
        command.env("TERM", "xterm-256color").env_remove("NO_COLOR");
        command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        if let Some(directory) = program.get_current_dir() {
            command.current_dir(directory);
        }
        command.stdin(far.try_clone()?).stdout(far.try_clone()?).stderr(far.try_clone()?);
        let child = command.spawn().context("starting setsid")?;
        let parser = vt100::Parser::new(rows, columns, 0);
        let near = File::from(OwnedFd::from(near));
        Ok(Self { near, far, settings, child, parser, bytes: Vec::new() })
    }

    /// What the screen shows, a line per row.
    pub fn screen(&self) -> String {
        self.parser.screen().contents()
    }

    /// The screen with its colours.
    pub fn cells(&self) -> &vt100::Screen {
        self.parser.screen()
    }

    /// Types something.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.near.write_all(bytes)?)
    }

    /// Makes the terminal another size.
    pub fn resize(&mut self, rows: u16, columns: u16) -> Result<()> {
        set_size(&self.far, rows, columns)?;
        self.parser.screen_mut().set_size(rows, columns);
        Ok(())
    }

    /// The settings now.
    pub fn settings(&self) -> Result<Termios> {
        Ok(tcgetattr(&self.far)?)
    }

    /// The process.
    pub fn process(&self) -> Result<Pid> {
        Ok(Pid::from_raw(self.child.id().try_into()?))
    }

    /// Reads what there is, waiting this long for it.
    fn read(&mut self, wait: Duration) -> Result<()> {
        let timeout = PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX);
        let mut fds = [PollFd::new(self.near.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, timeout)?;
        if fds[0].revents().is_some_and(|events| events.contains(PollFlags::POLLIN)) {
            let mut bytes = [0; 4096];
            let length = self.near.read(&mut bytes)?;
            self.parser.process(&bytes[..length]);
            self.bytes.extend_from_slice(&bytes[..length]);
        }
        Ok(())
    }

    /// Waits until the screen is as it should be.
    pub fn wait_for(&mut self, what: &str, mut is_so: impl FnMut(&str) -> bool) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        while !is_so(&self.screen()) {
            let ended = self.child.try_wait()?;
            self.read(Duration::from_millis(20))?;
            if Instant::now() > end || (ended.is_some() && !is_so(&self.screen())) {
                self.read(Duration::from_millis(20))?;
                if is_so(&self.screen()) {
                    return Ok(());
                }
                bail!("no {what} on the screen (ended: {ended:?}):\n{}", self.screen());
            }
        }
        Ok(())
    }

    /// Waits until the program has ended, and says how.
    pub fn end(&mut self) -> Result<String> {
        let end = Instant::now() + PATIENCE;
        let status = loop {
            self.read(Duration::from_millis(20))?;
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if Instant::now() > end {
                kill(self.process()?, Signal::SIGKILL)?;
                bail!("it does not end; the screen:\n{}", self.screen());
            }
        };
        self.read(Duration::from_millis(20))?;
        Ok(match (status.code(), status.signal()) {
            (Some(code), _) => code.to_string(),
            (_, Some(signal)) => format!("signal {signal}"),
            _ => "unknown".to_owned(),
        })
    }

    /// Takes the terminal away from the program, and waits until that has ended.
    pub fn hang_up(self) -> Result<()> {
        let Self { near, far, mut child, .. } = self;
        drop(far);
        drop(near);
        let end = Instant::now() + PATIENCE;
        while child.try_wait()?.is_none() {
            std::thread::sleep(Duration::from_millis(20));
            if Instant::now() > end {
                child.kill()?;
                bail!("it goes on without a terminal");
            }
        }
        Ok(())
    }
}

fn set_size(terminal: &OwnedFd, rows: u16, columns: u16) -> Result<()> {
    let size = ["rows", &rows.to_string(), "cols", &columns.to_string()];
    let status = Command::new("stty").args(size).stdin(Stdio::from(terminal.try_clone()?)).status()?;
    ensure!(status.success(), "stty: {status}");
    Ok(())
}
