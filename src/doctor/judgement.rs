//! What checks come to, and what they say.

use std::fmt;

use ipvs_client::{Change, ServiceKey};

/// What a check comes to: a judgement for everything that is wrong, or one that all is well; or it could not be made.
pub type Judged = Result<Vec<Judgement>, Skip>;

/// Why a check was not made: a fact that cannot be read, or something it is about that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skip(pub String);

impl Skip {
    /// What the check is about is not there.
    pub(super) fn does_not_apply(why: impl fmt::Display) -> Self {
        Self(format!("does not apply: {why}"))
    }
}

/// How a thing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// As it should be.
    Ok,
    /// It was not judged.
    Skip,
    /// Worth knowing, and neither right nor wrong by itself.
    Note,
    /// It can do harm.
    Warn,
    /// Clients are not served as they should be.
    Fail,
}

impl State {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Skip => "skip",
            Self::Note => "note",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// How to fix what is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fix {
    /// A shell command.
    Command(String),
    /// Changes to the table.
    Changes(Vec<Change>),
    /// A server for this service, which has none; which one, the administrator has to say.
    AddServer(ServiceKey),
    /// A shell command, on another machine.
    Elsewhere {
        /// On which.
        machine: String,
        /// The command.
        command: String,
    },
    /// No command can do it: what to do, in words.
    Advice(String),
}

/// A judgement on a fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// How it stands.
    pub state: State,
    /// The fact.
    pub fact: String,
    /// Where it was read.
    pub from: String,
    /// How to fix it.
    pub fix: Option<Fix>,
    /// What takes the fix back.
    pub undo: Option<Fix>,
}

impl Judgement {
    pub(super) fn new(state: State, fact: impl Into<String>, from: impl Into<String>) -> Self {
        Self { state, fact: fact.into(), from: from.into(), fix: None, undo: None }
    }

    pub(super) fn ok(fact: impl Into<String>, from: impl Into<String>) -> Self {
        Self::new(State::Ok, fact, from)
    }

    pub(super) fn warn(fact: impl Into<String>, from: impl Into<String>) -> Self {
        Self::new(State::Warn, fact, from)
    }

    pub(super) fn note(fact: impl Into<String>, from: impl Into<String>) -> Self {
        Self::new(State::Note, fact, from)
    }

    pub(super) fn fail(fact: impl Into<String>, from: impl Into<String>) -> Self {
        Self::new(State::Fail, fact, from)
    }

    pub(super) fn command(mut self, command: impl Into<String>) -> Self {
        self.fix = Some(Fix::Command(command.into()));
        self
    }

    /// What takes the command back.
    pub(super) fn undo(mut self, command: impl Into<String>) -> Self {
        self.undo = Some(Fix::Command(command.into()));
        self
    }

    /// What takes the changes back.
    pub(super) fn undo_changes(mut self, changes: impl IntoIterator<Item = Change>) -> Self {
        self.undo = Some(Fix::Changes(changes.into_iter().collect()));
        self
    }

    /// An edit of a file by sed(1), which keeps the file as it was for the undo.
    pub(super) fn edit(self, script: &str, file: &str, then: &str) -> Self {
        let path = shell(file);
        let kept = shell(&format!("{file}.before"));
        self.command(format!("sed -i.before '{script}' {path}{then}")).undo(format!("mv {kept} {path}"))
    }

    pub(super) fn advice(mut self, words: impl Into<String>) -> Self {
        self.fix = Some(Fix::Advice(words.into()));
        self
    }

    pub(super) fn changes(mut self, changes: impl IntoIterator<Item = Change>) -> Self {
        self.fix = Some(Fix::Changes(changes.into_iter().collect()));
        self
    }

    pub(super) fn add_server(mut self, service: ServiceKey) -> Self {
        self.fix = Some(Fix::AddServer(service));
        self
    }

    pub(super) fn elsewhere(mut self, machine: impl Into<String>, command: impl Into<String>) -> Self {
        self.fix = Some(Fix::Elsewhere { machine: machine.into(), command: command.into() });
        self
    }
}

/// Where routes are read.
pub(super) const ROUTES: &str = "the kernel's routes";

/// A file's name, or an interface's, as a shell takes it.
#[must_use]
pub fn shell(path: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._+@:-".contains(c);
    if path.chars().all(plain) { path.to_owned() } else { format!("'{}'", path.replace('\'', "'\\''")) }
}

/// A setting's path below `/proc/sys` as sysctl(8) takes it: with dots, unless there are some in a name (`eth0.5`).
pub(super) fn sysctl_key(key: &str) -> String {
    if key.contains('.') { key.to_owned() } else { key.replace('/', ".") }
}

/// What is wrong, or that all is well.
pub(super) fn unless_bad(bad: Vec<Judgement>, fact: impl Into<String>, from: impl Into<String>) -> Judged {
    Ok(if bad.is_empty() { vec![Judgement::ok(fact, from)] } else { bad })
}
