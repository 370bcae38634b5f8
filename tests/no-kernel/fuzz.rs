//! What the fuzzers in `fuzz/` look for, tried on every input that they kept: what once went another way through the code,
//! and what once was wrong.

use std::fs;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::TestRunner;

use crate::holds;

fn kept_inputs(name: &str) -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name).with_extension("hex");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let byte = |line: &str, at: usize| u8::from_str_radix(&line[2 * at..2 * at + 2], 16).expect("hexadecimal digits");
    let inputs: Vec<Vec<u8>> =
        text.lines().map(|line| (0..line.len() / 2).map(|at| byte(line, at)).collect()).collect();
    assert!(inputs.len() >= 10, "{} has only {} inputs", path.display(), inputs.len());
    inputs
}

fn every_input(name: &str, holds: fn(&[u8])) {
    kept_inputs(name).iter().for_each(|input| holds(input));
    spoilt_inputs(name, holds);
}

#[test]
fn words() {
    every_input("words", holds::words);
}

#[test]
fn rules() {
    every_input("rules", holds::rules);
}

#[test]
fn names() {
    every_input("names", holds::names);
}

#[test]
fn replies() {
    every_input("replies", holds::replies);
}

#[test]
fn connections() {
    every_input("connections", holds::connections);
}

#[test]
fn forms() {
    every_input("forms", holds::forms);
}

#[test]
fn settings() {
    every_input("settings", holds::settings);
}

/// Kept inputs cut, mixed and spoilt: a short run of what the fuzzers do for hours.
fn spoilt_inputs(name: &str, holds: fn(&[u8])) {
    let kept = kept_inputs(name);
    let pieces = (select(kept.clone()), select(kept), any::<Index>(), any::<Index>());
    let spoilt = (pieces, vec((any::<Index>(), any::<u8>()), 0..4)).prop_map(|((one, two, end, begin), bytes)| {
        let mut input = one[..end.index(one.len() + 1)].to_vec();
        input.extend_from_slice(&two[begin.index(two.len() + 1)..]);
        for (at, byte) in bytes {
            if !input.is_empty() {
                let at = at.index(input.len());
                input[at] = byte;
            }
        }
        input
    });
    let config = ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() };
    let outcome = TestRunner::new(config).run(&spoilt, |input| {
        holds(&input);
        Ok(())
    });
    assert_eq!(outcome, Ok(()));
}
