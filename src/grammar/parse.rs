//! The parser: words in, a checked request out. It reads command lines and rules alike.
//!
//! It follows popt(3) in how words are taken apart, and the original in the order of its checks: values as they are
//! read, then words left over, then which options the command takes, then what they mean together. Without an error it
//! allocates nothing, because a rules file is tens of thousands of lines.

use super::check;
use super::error::{Error, shown, usage};
use super::line::{Argument, Line};
use super::options::{Json, Listing, common, drain};
use super::request::Request;
use super::table::{self, Command, CommandSpec, OptionSpec, Value, Word};
use super::values::Names;

/// Read a command line, without the program's name. No words at all ask for the table.
///
/// # Errors
/// The command line is not right; the first mistake in the original's order is reported.
pub fn parse<'w>(
    words: impl IntoIterator<Item = &'w [u8], IntoIter: Clone>,
    names: &impl Names,
) -> Result<Request, Error> {
    parse_noting(words, names).map(|parsed| parsed.request)
}

/// A request, what was quietly put right in reading it, and how it is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// What is asked for.
    pub request: Request,
    /// The port given for a server, where the service's had to take its place.
    pub replaced_port: Option<u16>,
    /// Seconds to wait for the lock on the table (`--lock-wait`), if that was said.
    pub lock_wait: Option<u32>,
}

/// As [`parse`], with all that goes with the request.
///
/// # Errors
/// As for [`parse`].
pub fn parse_noting<'w>(
    words: impl IntoIterator<Item = &'w [u8], IntoIter: Clone>,
    names: &impl Names,
) -> Result<Parsed, Error> {
    let words = words.into_iter();
    match parse_known(words.clone(), names) {
        Err(Error::Pending) => {
            names.look_up();
            parse_known(words, names)
        }
        outcome => outcome,
    }
}

/// As [`parse_noting`], without looking up names: where some have to be, the error is [`Error::Pending`], and they are noted
/// by [`Names::host`].
///
/// # Errors
/// As for [`parse`].
pub fn parse_known<'w>(
    words: impl IntoIterator<Item = &'w [u8], IntoIter: Clone>,
    names: &impl Names,
) -> Result<Parsed, Error> {
    let mut words = words.into_iter();
    let Some(word) = words.next() else {
        return Ok(Parsed { request: Request::List(Box::new(Listing::DEFAULT)), replaced_port: None, lock_wait: None });
    };
    let mut line = Line::new(names);
    let request = line.read(word, &mut words);
    if line.is_pending {
        // Whatever else is wrong: what comes first in the original's order may be a name.
        return Err(Error::Pending);
    }
    Ok(Parsed { request: request?, replaced_port: line.replaced_port, lock_wait: line.lock_wait })
}

impl<'w> Line<'w> {
    /// The first word, and the others.
    fn read<'l: 'w>(
        &mut self,
        mut word: &'l [u8],
        words: &mut (impl Iterator<Item = &'l [u8]> + Clone),
    ) -> Result<Request, Error> {
        let mut options_ended = false;
        loop {
            match word {
                _ if options_ended => self.leave_over(word),
                [b'-', b'-'] => options_ended = true,
                [b'-', b'-', name @ ..] => self.long(word, name, words)?,
                [b'-', letters @ ..] if !letters.is_empty() => self.cluster(word, letters, words)?,
                _ => self.leave_over(word),
            }
            if self.is_answered {
                words.for_each(|word| self.after_version(word));
                break;
            }
            match words.next() {
                Some(next) => word = next,
                None => break,
            }
        }
        self.finish()
    }

    fn leave_over(&mut self, word: &'w [u8]) {
        if let Some(slot) = self.left_over.get_mut(self.left_over_count) {
            *slot = word;
        }
        self.left_over_count += 1;
    }

    /// Whatever is wrong with the first option, ipvsadm only says where to find help.
    fn bad_option(&self, word: &[u8], reason: &'static str, name: Option<&[u8]>) -> Error {
        if self.spec.is_none() {
            return Error::NoCommand;
        }
        Error::BadOption { word: shown(word), reason, suggestion: name.and_then(super::suggest::long_option) }
    }

    /// `--name`, `--name=value` or `--name value`.
    fn long<'l: 'w>(
        &mut self,
        word: &'l [u8],
        name: &'l [u8],
        words: &mut (impl Iterator<Item = &'l [u8]> + Clone),
    ) -> Result<(), Error> {
        let (name, value) = match name.iter().position(|&byte| byte == b'=') {
            Some(equals) => (&name[..equals], Some(&name[equals + 1..])),
            None => (name, None),
        };
        let Some(meaning) = table::long(name) else {
            return Err(self.bad_option(word, "unknown option", Some(name)));
        };
        let value = match (meaning.value(), value) {
            (Value::None, None) => None,
            (Value::None, Some(_)) => {
                return Err(self.bad_option(word, "option does not take an argument", None));
            }
            (_, Some(value)) => Some(value),
            (kind, None) => self.next_value(kind, word, words)?,
        };
        self.take(meaning, word, value)
    }

    /// `-abc`: letters that take no value, and at the end one that may.
    fn cluster<'l: 'w>(
        &mut self,
        word: &'l [u8],
        mut letters: &'l [u8],
        words: &mut (impl Iterator<Item = &'l [u8]> + Clone),
    ) -> Result<(), Error> {
        while let [letter, rest @ ..] = letters {
            letters = rest;
            let Some(meaning) = table::short(*letter) else {
                return Err(self.bad_option(word, "unknown option", None));
            };
            let value = match (meaning.value(), rest) {
                (Value::None, [b'=', ..]) => {
                    return Err(self.bad_option(word, "option does not take an argument", None));
                }
                (Value::None, _) => None,
                (kind, []) => self.next_value(kind, word, words)?,
                (_, [b'=', value @ ..] | value) => {
                    letters = &[];
                    Some(value)
                }
            };
            self.take(meaning, word, value)?;
            if self.is_answered {
                if letters.contains(&b'j') {
                    self.version_json.get_or_insert_default();
                }
                return Ok(());
            }
        }
        Ok(())
    }

    /// The original does not look at what follows `-v`, whatever it is; we look for `--json` and `--pretty`.
    fn after_version(&mut self, word: &[u8]) {
        match word {
            b"-j" | b"--json" => {
                self.version_json.get_or_insert_default();
            }
            b"--pretty" => {
                self.version_json = Some(Json { pretty: true });
            }
            _ => {}
        }
    }

    /// The next word, as a value. A required value eats whatever comes; an optional one stops at a dash.
    fn next_value<'l>(
        &self,
        kind: Value,
        word: &[u8],
        words: &mut (impl Iterator<Item = &'l [u8]> + Clone),
    ) -> Result<Option<&'l [u8]>, Error> {
        match kind {
            Value::None | Value::Attached(_) => Ok(None),
            Value::Optional(_) => {
                let mut behind = words.clone();
                Ok(match behind.next() {
                    Some([b'-', ..]) | None => None,
                    value => {
                        *words = behind;
                        value
                    }
                })
            }
            Value::Required(_) => match words.next() {
                Some(value) => Ok(Some(value)),
                None => Err(self.bad_option(word, "missing argument", None)),
            },
        }
    }

    fn take(&mut self, meaning: Word, word: &'w [u8], value: Option<&'w [u8]>) -> Result<(), Error> {
        match (meaning, self.spec) {
            (Word::Command(spec), None) => {
                self.spec = Some(spec);
                self.is_answered = matches!(spec.command, Command::Help | Command::Version);
                (spec.set)(self, value.unwrap_or_default())
            }
            (Word::Option(_), None) => Err(Error::NoCommand),
            // The last word read is named: of a daemon command the value, if it stands by itself.
            (Word::Command(_), Some(_)) => {
                let last = value.filter(|_| !word.contains(&b'=')).unwrap_or(word);
                Err(usage(format!("invalid option `{}'", shown(last))))
            }
            (Word::Option(option), Some(_)) => {
                if self.given.meets(option.once) {
                    return Err(repeated(option));
                }
                self.given = self.given.with(option.once);
                (option.set)(self, Argument { option, value }).map_err(|error| match value {
                    Some(value) => error.of_value(value),
                    None => error,
                })
            }
        }
    }

    /// The request, once all words are read.
    fn finish(&mut self) -> Result<Request, Error> {
        let Some(spec) = self.spec else { return Err(Error::NoCommand) };
        if !self.is_answered {
            self.late_values()?;
            self.operands(spec)?;
            self.service.read_flags()?;
            check::command(spec, self.given)?;
        }
        if self.drain.are_given() { drain::drain(self) } else { (spec.request)(self) }
    }

    /// `--set` wants three words; no other command wants any.
    fn operands(&mut self, spec: &CommandSpec) -> Result<(), Error> {
        let wanted = spec.operands.len();
        let there = self.left_over.get(..self.left_over_count).unwrap_or(&self.left_over);
        if wanted > 0 {
            self.timeouts = common::timeouts(there)?;
        }
        match there.get(wanted) {
            Some(word) => Err(usage(format!("unexpected argument {}", shown(word)))),
            None => Ok(()),
        }
    }
}

fn repeated(option: &OptionSpec) -> Error {
    usage(format!("multiple '{}' options specified", option.name().unwrap_or(option.long)))
}
