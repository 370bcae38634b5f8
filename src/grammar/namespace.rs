//! `--netns`, which can stand anywhere on a command line, before the command, too, and with subcommands. It is read
//! before all else, because to read the rest can mean to look up names, and these are the namespace's.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::error::Error;

const OPTION: &[u8] = b"--netns";

/// The network namespace that a command line names, if it does, and the other words.
///
/// # Errors
/// It is named twice, or the name is missing.
pub fn take_namespace(words: &[OsString]) -> Result<(Option<OsString>, Cow<'_, [OsString]>), Error> {
    if !words.iter().any(|word| word.as_bytes().starts_with(OPTION)) {
        return Ok((None, Cow::Borrowed(words)));
    }
    let mut namespace = None;
    let mut others = Vec::with_capacity(words.len());
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        let value = match word.as_bytes().strip_prefix(OPTION) {
            _ if word == "--" => {
                others.push(word.clone());
                others.extend(rest.by_ref().cloned());
                break;
            }
            Some([]) => rest.next().cloned(),
            Some([b'=', value @ ..]) => Some(OsStr::from_bytes(value).to_owned()),
            _ => {
                others.push(word.clone());
                continue;
            }
        };
        let wrong = |message: &str| Error::Usage { message: message.to_owned(), value: None };
        let value = value.filter(|value| !value.is_empty()).ok_or_else(|| wrong("--netns: missing argument"))?;
        if namespace.replace(value).is_some() {
            return Err(wrong("multiple 'netns' options specified"));
        }
    }
    Ok((namespace, Cow::Owned(others)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(line: &str) -> Result<(Option<String>, String), String> {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let (namespace, others) = take_namespace(&words).map_err(|error| error.to_string())?;
        let others: Vec<_> = others.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        Ok((namespace.map(|name| name.to_string_lossy().into_owned()), others.join(" ")))
    }

    #[test]
    fn it_is_found_anywhere() {
        let blue = |others: &str| Ok((Some("blue".to_owned()), others.to_owned()));
        assert_eq!(taken("--netns blue -L -n"), blue("-L -n"));
        assert_eq!(taken("-L --netns=blue -n"), blue("-L -n"));
        assert_eq!(taken("top --once --netns blue"), blue("top --once"));
        assert_eq!(taken("-L -n"), Ok((None, "-L -n".to_owned())));
        assert_eq!(taken("-L --netnsx -- --netns"), Ok((None, "-L --netnsx -- --netns".to_owned())));
        assert_eq!(taken("-L --netns"), Err("--netns: missing argument".to_owned()));
        assert_eq!(taken("-L --netns="), Err("--netns: missing argument".to_owned()));
        assert_eq!(taken("--netns a -L --netns b"), Err("multiple 'netns' options specified".to_owned()));
    }
}
