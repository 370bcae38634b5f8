//! The one table of commands and options. The parser, `-h`, the manual page's lists and the completions come from it.
//!
//! To add an option, add an [`OptionSpec`] to the file of its subject in `options/`: its words, help and completion, the
//! commands that it goes with, the options that it needs or conflicts with, and `set`, which writes its value into the
//! line. What it means in the end stands in the same file: a field of the request, such as
//! [`Listing`](super::Listing), that the command reads. The checks, help, completions and manual page follow.

pub use super::check::OptionSet;
use ipvs_client::Protocol;

use super::error::Error;
use super::line::{Argument, Line};
use super::request::Request;
use super::{commands, options};

/// What the user wants done. One of these begins every command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Command {
    /// `-A`
    AddService,
    /// `-E`
    EditService,
    /// `-D`
    DeleteService,
    /// `-C`
    Clear,
    /// `-R`
    Restore,
    /// `-S`
    Save,
    /// `-a`
    AddServer,
    /// `-e`
    EditServer,
    /// `-d`
    DeleteServer,
    /// `-L`
    List,
    /// `-Z`
    Zero,
    /// `--set`
    Set,
    /// `--start-daemon`
    StartDaemon,
    /// `--stop-daemon`
    StopDaemon,
    /// `-h`
    Help,
    /// `-v`
    Version,
}

/// Whether a word takes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// It takes none.
    None,
    /// It needs one, called this in the manual.
    Required(&'static str),
    /// It takes the next word only if that does not begin with `-`.
    Optional(&'static str),
    /// It takes one only behind an equals sign in the same word (`--drain=60`), never the next word. The kind for new
    /// options that can do without a value: unlike [`Value::Optional`] it cannot take for its value what was meant to be
    /// something else, as `-p` does in `-p 10`.
    Attached(&'static str),
}

/// What can stand for a value, for completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Completion {
    /// Nothing to offer.
    Nothing,
    /// One of these words.
    Words(&'static [&'static str]),
    /// A scheduler: one that the kernel has; of those that Linux has, these.
    Schedulers(&'static [&'static str]),
    /// A virtual service of the table, of this protocol or by its mark.
    Services(Option<Protocol>),
    /// A real server of the service given.
    Servers,
    /// A network interface.
    Interfaces,
    /// A network namespace.
    Namespaces,
    /// A file.
    File,
}

impl Completion {
    /// Whether it is known only on the machine, when it is typed: what completion scripts ask the program then.
    #[must_use]
    pub const fn is_live(self) -> bool {
        match self {
            Self::Nothing | Self::Words(_) | Self::File => false,
            Self::Schedulers(_) | Self::Services(_) | Self::Servers | Self::Interfaces | Self::Namespaces => true,
        }
    }

    /// The words that are known anywhere.
    #[must_use]
    pub const fn words(self) -> &'static [&'static str] {
        match self {
            Self::Words(words) | Self::Schedulers(words) => words,
            _ => &[],
        }
    }
}

/// A command of the table.
#[derive(Clone, Copy, Debug)]
pub struct CommandSpec {
    /// Which.
    pub command: Command,
    /// The letters that mean it.
    pub short: &'static [u8],
    /// Its long name.
    pub long: &'static str,
    /// Its name in messages, which is not always the long name.
    pub name: &'static str,
    /// Its value.
    pub value: Value,
    /// Words that it wants beside its options.
    pub operands: &'static [&'static str],
    /// What its value can be.
    pub completion: Completion,
    /// What it does, in half a line.
    pub help: &'static str,
    /// The options that it cannot do without, by their names in messages.
    pub(super) requires: &'static [&'static str],
    /// Of these options it takes one at most.
    pub(super) one_of: &'static [&'static str],
    /// Reads its value.
    pub(super) set: fn(&mut Line<'_>, &[u8]) -> Result<(), Error>,
    /// What it comes to, once its options are read and checked.
    pub(super) request: fn(&mut Line<'_>) -> Result<Request, Error>,
    /// `requires`, as a set.
    pub required: OptionSet,
    /// The options that it takes, those included.
    pub allowed: OptionSet,
    /// `one_of`, as a set.
    pub exclusive: OptionSet,
}

impl CommandSpec {
    /// A command without anything special; the entries say what differs.
    pub(super) const PLAIN: Self = Self {
        command: Command::Help,
        short: &[],
        long: "",
        name: "",
        value: Value::None,
        operands: &[],
        completion: Completion::Nothing,
        help: "",
        requires: &[],
        one_of: &[],
        set: |_, _| Ok(()),
        request: |_| Ok(Request::Help),
        required: OptionSet::NONE,
        allowed: OptionSet::NONE,
        exclusive: OptionSet::NONE,
    };

    /// The same, with its sets made from the entries.
    const fn complete(mut self) -> Self {
        self.required = OptionSet::of(self.requires);
        self.allowed = self.required;
        self.exclusive = OptionSet::of(self.one_of);
        let mut i = 0;
        while i < options::ALL.len() {
            let spec = &options::ALL[i];
            let mut j = 0;
            while j < spec.with.len() {
                if spec.with[j] as u8 == self.command as u8 {
                    self.allowed = self.allowed.with(spec.set_of());
                }
                j += 1;
            }
            i += 1;
        }
        self
    }
}

/// An option of the table.
#[derive(Clone, Copy, Debug)]
pub struct OptionSpec {
    /// Its letter.
    pub short: Option<u8>,
    /// Its long name, by which messages call it as well.
    pub long: &'static str,
    /// Options of the same group count as one, which messages call by this name.
    pub group: Option<&'static str>,
    /// Whether it can be given several times, and then with every command.
    pub repeatable: bool,
    /// Its value.
    pub value: Value,
    /// What its value can be.
    pub completion: Completion,
    /// The commands that take it.
    pub with: &'static [Command],
    /// An option without which it makes no sense, by its name in messages.
    pub needs: Option<&'static str>,
    /// Options that it cannot be together with, by their names in messages.
    pub conflicts: &'static [&'static str],
    /// What it means, in a line.
    pub help: &'static str,
    /// What it does to the line.
    pub(super) set: for<'w> fn(&mut Line<'w>, Argument<'w>) -> Result<(), Error>,
    /// It alone, or its group; nothing if it is repeatable.
    pub once: OptionSet,
}

impl OptionSpec {
    /// An option without anything special; the entries say what differs. That it was given is noted in any case.
    pub(super) const PLAIN: Self = Self {
        short: None,
        long: "",
        group: None,
        repeatable: false,
        value: Value::None,
        completion: Completion::Nothing,
        with: &[],
        needs: None,
        conflicts: &[],
        help: "",
        set: |_, _| Ok(()),
        once: OptionSet::NONE,
    };

    /// The name by which it is given once.
    #[must_use]
    pub const fn name(&self) -> Option<&'static str> {
        match (self.repeatable, self.group) {
            (true, _) => None,
            (false, Some(group)) => Some(group),
            (false, None) => Some(self.long),
        }
    }

    /// It alone, or its group, made from the entry.
    pub(super) const fn set_of(&self) -> OptionSet {
        match self.name() {
            Some(name) => OptionSet::of(&[name]),
            None => OptionSet::NONE,
        }
    }
}

/// Every command, in the order of the manual.
pub const COMMANDS: &[CommandSpec] = &COMMAND_TABLE;

static COMMAND_TABLE: [CommandSpec; commands::ALL.len()] = {
    let mut table = commands::ALL;
    let mut i = 0;
    while i < table.len() {
        table[i] = table[i].complete();
        i += 1;
    }
    table
};

/// Every option, in the order of the manual.
pub const OPTIONS: &[OptionSpec] = &OPTION_TABLE;

static OPTION_TABLE: [OptionSpec; options::ALL.len()] = {
    let mut table = options::ALL;
    let mut i = 0;
    while i < table.len() {
        table[i].once = table[i].set_of();
        i += 1;
    }
    table
};

/// A word of the table.
#[derive(Clone, Copy, Debug)]
pub enum Word {
    /// A command.
    Command(&'static CommandSpec),
    /// An option.
    Option(&'static OptionSpec),
}

impl Word {
    /// Whether a value follows.
    #[must_use]
    pub const fn value(self) -> Value {
        match self {
            Self::Command(spec) => spec.value,
            Self::Option(spec) => spec.value,
        }
    }
}

/// Index into the table by letter: 0 is none, then the commands from 1, then the options. It saves 2.5 % of the instructions of
/// `-R`, kernel included, against looking through the table.
const SHORT: [u8; 256] = {
    let mut index = [0; 256];
    let mut i = 0;
    while i < COMMAND_TABLE.len() {
        let mut j = 0;
        while j < commands::ALL[i].short.len() {
            index[commands::ALL[i].short[j] as usize] = 1 + i as u8;
            j += 1;
        }
        i += 1;
    }
    let mut i = 0;
    while i < OPTION_TABLE.len() {
        if let Some(letter) = options::ALL[i].short {
            index[letter as usize] = 1 + (COMMAND_TABLE.len() + i) as u8;
        }
        i += 1;
    }
    index
};

/// The word of this letter.
#[must_use]
pub fn short(letter: u8) -> Option<Word> {
    let index = usize::from(SHORT[usize::from(letter)]).checked_sub(1)?;
    match COMMAND_TABLE.get(index) {
        Some(spec) => Some(Word::Command(spec)),
        None => OPTION_TABLE.get(index - COMMAND_TABLE.len()).map(Word::Option),
    }
}

/// The word of this long name.
#[must_use]
pub fn long(name: &[u8]) -> Option<Word> {
    let option = OPTIONS.iter().find(|spec| spec.long.as_bytes() == name).map(Word::Option);
    option.or_else(|| COMMANDS.iter().find(|spec| spec.long.as_bytes() == name).map(Word::Command))
}

/// The option of this long name.
#[must_use]
pub fn option(name: &str) -> Option<&'static OptionSpec> {
    OPTIONS.iter().find(|spec| spec.long == name)
}

/// The schedulers that Linux has.
#[must_use]
pub fn schedulers() -> &'static [&'static str] {
    option("scheduler").map_or(&[], |spec| spec.completion.words())
}
