//! What is wrong with a command line, in the original's words.

use std::fmt;

use crate::escape::escaped_bytes;

/// A command line that is not right.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// It does not begin with a command.
    NoCommand,
    /// A word that is not an option, or a value missing or too much: what popt(3) finds.
    BadOption {
        /// The word as typed.
        word: String,
        /// What is wrong with it.
        reason: &'static str,
        /// An option that may have been meant.
        suggestion: Option<&'static str>,
    },
    /// Wrong use: a value, or a combination.
    Usage {
        /// What is wrong.
        message: String,
        /// The value that is wrong, where the message does not show it.
        value: Option<String>,
    },
    /// The name of a host stands where an address should, and its address is not known.
    Unresolved {
        /// What the original says of the value.
        message: &'static str,
        /// The host, as messages show it.
        host: String,
        /// Why its address is not known.
        why: String,
    },
    /// Hosts have to be looked up first ([`crate::grammar::Names::look_up`]).
    Pending,
    /// Something that the kernel would refuse and that cannot even be sent to it.
    Impossible(&'static str),
}

impl Error {
    /// The same, of this value, unless the message shows it.
    #[must_use]
    pub(super) fn of_value(mut self, text: &[u8]) -> Self {
        if let Self::Usage { message, value: value @ None } = &mut self
            && !message.contains('`')
        {
            *value = Some(shown(text));
        }
        self
    }

    /// The exit status of the original for it.
    #[must_use]
    pub fn status(&self) -> u8 {
        match self {
            Self::Usage { .. } | Self::Unresolved { .. } | Self::Pending => 2,
            Self::NoCommand | Self::BadOption { .. } | Self::Impossible(_) => 255,
        }
    }

    /// The message, for a program of this name.
    #[must_use]
    pub fn message(&self, program: &str) -> String {
        match self {
            Self::NoCommand => format!("Try `{program} -h' or '{program} --help' for more information."),
            Self::BadOption { word, reason, suggestion: None } => format!("{word}: {reason}"),
            Self::BadOption { word, reason, suggestion: Some(option) } => {
                format!("{word}: {reason}\nDid you mean --{option}?")
            }
            Self::Usage { message, .. } => message.clone(),
            Self::Unresolved { message, host, why } => format!("{message}\ncould not resolve `{host}': {why}"),
            Self::Pending => "the names of hosts were not looked up".to_owned(),
            Self::Impossible(message) => (*message).to_owned(),
        }
    }
}

pub(super) fn usage(message: impl Into<String>) -> Error {
    Error::Usage { message: message.into(), value: None }
}

/// A word as messages show it, in one line and safe to print.
pub(super) fn shown(word: &[u8]) -> String {
    escaped_bytes(word).into_owned()
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // In a rules file there is no program to ask for help.
            Self::NoCommand => f.write_str("a line must begin with a command, such as -A or -a"),
            Self::Usage { message, value: Some(value) } => write!(f, "{message}: `{value}'"),
            Self::Unresolved { message, host, why } => {
                write!(f, "{message}: could not resolve `{host}': {why}")
            }
            _ => f.write_str(self.message("").trim_end()),
        }
    }
}

impl std::error::Error for Error {}
