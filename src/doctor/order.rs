//! The order of findings: what explains others comes before them.

use super::check::Finding;
use super::judgement::State;

/// Failing checks, the first of which explains the most: in the order in which a packet meets what they are about.
const CAUSES: &[&str] = &[
    "D1", "D8", "D20", "D2", "D23", "D26", "D14", "D7", "D28", "D12", "D4", "D5", "D13", "D25", "D18",
    "D27", // director
    "R11", "R10", "R4", "R1", "R2", "R3", "R7", "R9", "R8", "R6", // real server
];

/// What follows from what: a check, and those whose failure explains its own.
const EFFECTS: &[(&str, &[&str])] = &[
    ("D2", &["D1"]),
    ("D7", &["D1", "D8"]),
    ("D22", &["D1", "D8"]),
    ("D5", &["D4"]),
    ("D18", &["D25"]),
    ("D27", &["D2", "D26", "D14", "D7", "D12", "D4", "D5", "D13"]),
    ("R1", &["R11", "R4"]),
    ("R2", &["R10", "R4"]),
    ("R3", &["R10", "R4"]),
    ("R5", &["R1", "R2", "R3", "R4"]),
    ("R7", &["R6"]),
    ("R8", &["R1"]),
    ("R9", &["R8"]),
];

/// Put failures first, the cause before what follows from it, and say what follows from what.
pub(super) fn put_causes_first(findings: &mut [Finding]) {
    let bad: Vec<&str> = findings
        .iter()
        .filter(|finding| finding.judgement.state >= State::Warn)
        .map(|finding| finding.check.id)
        .collect();
    for finding in findings.iter_mut().filter(|finding| finding.judgement.state >= State::Warn) {
        let causes =
            EFFECTS.iter().find(|(effect, _)| *effect == finding.check.id).map_or(&[][..], |(_, causes)| causes);
        finding.follows = causes.iter().find(|cause| bad.contains(cause)).copied();
    }
    let place = |finding: &Finding| {
        let state = match finding.judgement.state {
            State::Fail => 0,
            State::Warn => 1,
            State::Note => 2,
            State::Ok | State::Skip => return (3, false, 0),
        };
        let cause = CAUSES.iter().position(|id| *id == finding.check.id).unwrap_or(CAUSES.len());
        // What only may be broken on the way comes after what is.
        (state, finding.follows.is_some(), cause)
    };
    findings.sort_by_key(place);
}
