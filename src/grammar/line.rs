//! A command line while it is read: what each option of the table writes its value into.

use ipvs_client::{Daemon, Timeouts};

use super::check::OptionSet;
use super::error::{Error, shown, usage};
use super::options::daemon;
use super::options::drain::DrainOptions;
use super::options::listing::ListingOptions;
use super::options::metrics::MetricsOptions;
use super::options::rules::RulesOptions;
use super::options::server::ServerOptions;
use super::options::service::ServiceOptions;
use super::options::{Json, RESOLVE_TIMEOUT_DEFAULT};
use super::table::{Command, CommandSpec, OptionSpec};
use super::values::{self, BadAddress, Names, Placeholder};

/// A command line as far as it has been read. `'w` is the life of its words.
pub(super) struct Line<'w> {
    pub names: &'w dyn Names,
    /// Whether an address stands for a name that has to be looked up first.
    pub is_pending: bool,
    pub spec: Option<&'static CommandSpec>,
    /// It is `-h` or `-v`, and what follows does not matter.
    pub is_answered: bool,
    pub given: OptionSet,
    /// Words that are not options, as many as any command takes and one more.
    pub left_over: [&'w [u8]; 4],
    pub left_over_count: usize,

    pub service: ServiceOptions<'w>,
    pub server: ServerOptions<'w>,
    pub daemon: Daemon,
    pub timeouts: Timeouts,
    /// Made with the first option of a listing: rules have none.
    pub listing: Option<Box<ListingOptions>>,
    /// The same of metrics.
    pub metrics: Option<Box<MetricsOptions<'w>>>,
    pub rules: RulesOptions<'w>,
    pub drain: DrainOptions,
    pub numeric: bool,
    pub resolve_timeout: u32,
    pub lock_wait: Option<u32>,
    /// What `-v` prints as JSON, if it does.
    pub version_json: Option<Json>,
    pub replaced_port: Option<u16>,
}

impl<'w> Line<'w> {
    pub fn new(names: &'w dyn Names) -> Self {
        Self {
            names,
            is_pending: false,
            spec: None,
            is_answered: false,
            given: OptionSet::NONE,
            left_over: [b""; 4],
            left_over_count: 0,
            service: ServiceOptions::DEFAULT,
            server: ServerOptions::DEFAULT,
            daemon: daemon::plain(),
            timeouts: Timeouts::new(0, 0, 0),
            listing: None,
            metrics: None,
            rules: RulesOptions::DEFAULT,
            drain: DrainOptions::DEFAULT,
            numeric: false,
            resolve_timeout: RESOLVE_TIMEOUT_DEFAULT,
            lock_wait: None,
            version_json: None,
            replaced_port: None,
        }
    }

    /// The address, or what is wrong with the text. A placeholder for a name not looked up yet lets the rest be read, so that
    /// all names are found.
    pub fn known<T: Placeholder>(
        &mut self,
        outcome: Result<T, BadAddress>,
        text: &[u8],
        message: &'static str,
    ) -> Result<T, Error> {
        outcome.or_else(|bad| match bad {
            BadAddress::Illegal => Err(usage(message).of_value(text)),
            BadAddress::Unresolved { host, why } => {
                Err(Error::Unresolved { message, host: shown(host.as_bytes()), why })
            }
            BadAddress::Pending => {
                self.is_pending = true;
                Ok(T::PLACEHOLDER)
            }
        })
    }

    pub fn command(&self) -> Option<Command> {
        self.spec.map(|spec| spec.command)
    }
}

/// The value of an option, as its entry gets it.
#[derive(Clone, Copy)]
pub(super) struct Argument<'w> {
    pub option: &'static OptionSpec,
    pub value: Option<&'w [u8]>,
}

impl<'w> Argument<'w> {
    /// Whether there is one: an option can do without.
    pub fn is_given(self) -> bool {
        self.value.is_some()
    }

    /// As it was typed; empty without one.
    pub fn text(self) -> &'w [u8] {
        self.value.unwrap_or_default()
    }

    /// A number within bounds, or this message.
    pub fn number(self, minimum: u32, maximum: u32, wrong: &'static str) -> Result<u32, Error> {
        let number = values::number(self.text(), minimum.into(), maximum.into());
        number.map(|number| number as u32).ok_or_else(|| usage(wrong))
    }

    /// A number of seconds within bounds, for options of our own.
    pub fn seconds(self, minimum: u32, maximum: u32) -> Result<u32, Error> {
        let number = values::number(self.text(), minimum.into(), maximum.into());
        number
            .map(|number| number as u32)
            .ok_or_else(|| usage(format!("illegal number of seconds specified for --{}", self.option.long)))
    }

    /// What one of these words stands for, for options of our own.
    pub fn one_of<T: Copy>(self, choices: &[(&'static str, T)]) -> Result<T, Error> {
        let found = choices.iter().find(|(word, _)| word.as_bytes() == self.text());
        found.map(|(_, meaning)| *meaning).ok_or_else(|| {
            let (last, others) = choices.split_last().map_or(("", &[][..]), |(last, others)| (last.0, others));
            let others: Vec<&str> = others.iter().map(|(word, _)| *word).collect();
            usage(format!("--{} takes {} or {last}, not `{}'", self.option.long, others.join(", "), shown(self.text())))
        })
    }
}

/// The words of choices, for completion.
pub(super) const fn words_of<T: Copy, const N: usize>(choices: &[(&'static str, T); N]) -> [&'static str; N] {
    let mut words = [""; N];
    let mut i = 0;
    while i < N {
        words[i] = choices[i].0;
        i += 1;
    }
    words
}

/// Put a value in its place: most of what the entries of options do.
pub(super) fn set<T>(place: &mut T, value: T) -> Result<(), Error> {
    *place = value;
    Ok(())
}
