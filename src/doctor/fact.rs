//! A fact, with where it was read, or why it could not be.

use std::borrow::Cow;

use super::judgement::Skip;

/// Something read from the machine, or the reason why it could not be read.
#[derive(Clone, Debug)]
pub struct Fact<T> {
    read: Result<T, String>,
    from: Cow<'static, str>,
}

impl<T> Fact<T> {
    /// A value, and where it was read: a path, or what was asked.
    pub fn known(value: T, from: impl Into<Cow<'static, str>>) -> Self {
        Self { read: Ok(value), from: from.into() }
    }

    /// Something that could not be read, and why.
    pub fn unreadable(why: impl ToString, from: impl Into<Cow<'static, str>>) -> Self {
        Self { read: Err(words(why)), from: from.into() }
    }

    /// What was read, or what was not.
    pub fn of<E: ToString>(read: Result<T, E>, from: impl Into<Cow<'static, str>>) -> Self {
        Self { read: read.map_err(words), from: from.into() }
    }

    /// The value.
    ///
    /// # Errors
    /// It could not be read: the check that needs it is skipped.
    pub fn get(&self) -> Result<&T, Skip> {
        self.read.as_ref().map_err(|why| Skip(format!("{} cannot be read: {why}", self.from)))
    }

    /// The value, if there is one.
    pub fn value(&self) -> Option<&T> {
        self.read.as_ref().ok()
    }

    /// The value, to be completed.
    pub fn value_mut(&mut self) -> Option<&mut T> {
        self.read.as_mut().ok()
    }

    /// Where it was read.
    pub fn from(&self) -> &str {
        &self.from
    }
}

/// An error as a reason, without the number that the standard library adds to what the C library says.
fn words(error: impl ToString) -> String {
    let text = error.to_string();
    match text.rsplit_once(" (os error ") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}
