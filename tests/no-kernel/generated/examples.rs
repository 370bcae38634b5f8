//! The command lines that documents show: found, and given to the parser.

use std::ffi::OsString;
use std::net::IpAddr;

use ipvs_client::Protocol;
use ipvsadm_rs::grammar::{self, Names};

/// What the documents call by name.
struct ExampleNames;

impl Names for ExampleNames {
    fn host(&self, name: &str) -> Option<Result<IpAddr, String>> {
        let address = name.contains("example").then_some(IpAddr::from([192, 0, 2, 1]));
        Some(address.ok_or_else(|| "it is not in the examples".to_owned()))
    }

    fn port(&self, name: &str, protocol: Protocol) -> Option<u16> {
        (name == "http" && protocol == Protocol::Tcp).then_some(80)
    }
}

/// The lines that run the program, after a prompt or none, in a document's blocks of code: those between lines that
/// begin with these.
pub fn command_lines(text: &str, (begin, end): (&str, &str)) -> Vec<String> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if inside && line.starts_with(end) {
            inside = false;
        } else if line.starts_with(begin) {
            inside = true;
        } else if inside {
            let line = line.trim_start_matches("director").trim_start_matches(['#', '$', ' ']);
            let line = line.trim_start_matches("sudo ");
            if line.starts_with("ipvsadm-rs -") || line.starts_with("ipvsadm -") {
                found.push(line.to_owned());
            }
        }
    }
    found
}

/// Whether the parser takes it. A redirection, a pipe or a comment ends it, as in a shell.
pub fn check(line: &str) -> Result<(), String> {
    let words: Vec<String> = line
        .split_ascii_whitespace()
        .skip(1)
        .take_while(|word| !word.starts_with(['>', '<', '|', '#', '&', ';']))
        .map(|word| word.replace(['\'', '"'], ""))
        .collect();
    let words: Vec<OsString> = words.into_iter().map(OsString::from).collect();
    let (_, words) = grammar::take_namespace(&words).map_err(|error| error.message("ipvsadm-rs"))?;
    let request = grammar::parse(words.iter().map(|word| word.as_encoded_bytes()), &ExampleNames);
    request.map(|_| ()).map_err(|error| error.message("ipvsadm-rs"))
}
