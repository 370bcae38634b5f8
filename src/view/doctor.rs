//! What the doctor found, for people and for programs.

use std::borrow::Cow;
use std::io::{self, Write};

use ipvs_client::Change;
use prettytable::format::FormatBuilder;
use prettytable::{Cell, Row, Table};
use serde::Serialize;

use super::rules;
use crate::doctor::{Finding, Fix, Role, State, VipRole, lasts};
use crate::escape::escaped;

/// All that was found.
#[derive(Debug, Serialize)]
pub struct Report<'f> {
    roles: Vec<&'static str>,
    vips: Vec<String>,
    /// What the machine is for each of them.
    vip_roles: Vec<VipLine<'f>>,
    /// The worst state.
    state: &'static str,
    findings: Vec<Line<'f>>,
}

/// What the machine is for a virtual address.
#[derive(Debug, Serialize)]
struct VipLine<'f> {
    vip: String,
    roles: Vec<&'static str>,
    /// From what that was seen.
    seen: &'f str,
}

/// A finding.
#[derive(Debug, Serialize)]
struct Line<'f> {
    id: &'static str,
    role: &'static str,
    title: &'static str,
    state: &'static str,
    /// The fact; of what was skipped, the reason.
    fact: &'f str,
    /// Where it was read.
    source: Option<&'f str>,
    why: &'static str,
    /// The command that fixes it.
    fix: Option<Cow<'f, str>>,
    /// The command that takes the fix back.
    undo: Option<Cow<'f, str>>,
    /// How long the fix stays, if it goes by itself.
    lasts: Option<&'static str>,
    /// The machine on which that command is to be typed, if not this one.
    machine: Option<&'f str>,
    /// What to do, where no command can do it.
    advice: Option<Cow<'f, str>>,
    /// The check whose failure explains this one.
    follows: Option<&'static str>,
}

/// How to write a report for people.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// What is well and what was skipped is shown, too.
    pub all: bool,
    /// With colours.
    pub colored: bool,
}

impl<'f> Report<'f> {
    /// The report of these findings, about these addresses; `program` begins the commands that it suggests.
    #[must_use]
    pub fn new(program: &str, roles: &[Role], vips: &'f [VipRole], findings: &'f [Finding]) -> Self {
        let worst = findings.iter().map(|finding| finding.judgement.state).filter(|state| *state >= State::Warn).max();
        Self {
            roles: roles.iter().map(|role| role.name()).collect(),
            vips: vips.iter().map(|role| role.vip.to_string()).collect(),
            vip_roles: vips
                .iter()
                .map(|role| VipLine {
                    vip: role.vip.to_string(),
                    roles: role.roles.iter().map(|role| role.name()).collect(),
                    seen: &role.seen,
                })
                .collect(),
            state: worst.unwrap_or(State::Ok).name(),
            findings: findings.iter().map(|finding| Line::of(program, finding)).collect(),
        }
    }

    fn of_state(&self, state: State) -> impl Iterator<Item = &Line<'f>> {
        self.findings.iter().filter(move |line| line.state == state.name())
    }
}

impl<'f> Line<'f> {
    fn of(program: &str, finding: &'f Finding) -> Self {
        let judgement = &finding.judgement;
        let mut line = Self {
            id: finding.check.id,
            role: finding.check.role.name(),
            title: if judgement.state >= State::Warn { finding.check.fault } else { finding.check.title },
            state: judgement.state.name(),
            fact: &judgement.fact,
            source: Some(judgement.from.as_str()).filter(|from| !from.is_empty()),
            why: finding.check.why,
            fix: None,
            undo: None,
            lasts: None,
            machine: None,
            advice: None,
            follows: finding.follows,
        };
        match &judgement.fix {
            None => {}
            Some(Fix::Command(command)) => line.fix = Some(Cow::Borrowed(command)),
            Some(Fix::Changes(changes)) => {
                line.fix = Some(Cow::Owned(command(program, changes)));
                line.lasts = Some("until the saved rules are loaded; ipvsadm-rs -S saves");
            }
            Some(Fix::Elsewhere { machine, command }) => {
                line.fix = Some(Cow::Borrowed(command));
                line.machine = Some(machine);
            }
            Some(Fix::Advice(words)) => line.advice = Some(Cow::Borrowed(words)),
            Some(Fix::AddServer(service)) => {
                let service = rules::service_option(service);
                line.advice = Some(Cow::Owned(format!("Add one: {program} -a {service} -r RIP -g")));
            }
        }
        line.lasts = line.lasts.or_else(|| lasts(line.fix.as_deref()?));
        line.undo = match &judgement.undo {
            Some(Fix::Command(command)) => Some(Cow::Borrowed(command)),
            Some(Fix::Changes(changes)) => Some(Cow::Owned(command(program, changes))),
            _ => None,
        };
        line
    }
}

/// Changes as they are typed.
fn command(program: &str, changes: &[Change]) -> String {
    changes.iter().map(|change| format!("{program} {}", rules::text(change))).collect::<Vec<_>>().join(" && ")
}

/// Write a report: failures first, then warnings; of the rest only the names, unless all is wanted.
///
/// # Errors
/// The output fails.
pub fn write(out: &mut impl Write, report: &Report<'_>, style: Style) -> io::Result<()> {
    let about =
        if report.vips.is_empty() { "no VIP known".to_owned() } else { format!("VIP {}", report.vips.join(", ")) };
    writeln!(out, "{}; {about}", report.roles.join(" and "))?;
    for one in &report.vip_roles {
        let roles = if one.roles.is_empty() { "not judged".to_owned() } else { one.roles.join(" and ") };
        writeln!(out, "  {}: {roles}: {}", one.vip, escaped(one.seen))?;
    }
    writeln!(out)?;
    let mut table = Table::new();
    table.set_format(FormatBuilder::new().padding(0, 2).build());
    let mut counts = Vec::new();
    for state in [State::Fail, State::Warn, State::Note, State::Ok, State::Skip] {
        let lines: Vec<_> = report.of_state(state).collect();
        if lines.is_empty() {
            continue;
        }
        counts.push(format!("{} {}", lines.len(), state.name()));
        if style.all || matches!(state, State::Fail | State::Warn | State::Note) {
            for line in lines {
                table.add_row(row(state, line.id, &text(line), style));
            }
        } else {
            let mut ids: Vec<_> = lines.iter().map(|line| line.id).collect();
            ids.dedup();
            table.add_row(row(state, "", &ids.join(" "), style));
        }
    }
    for line in table.to_string().lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    let hint = if style.all || report.of_state(State::Skip).next().is_none() {
        ""
    } else {
        "; --all shows why checks were skipped"
    };
    writeln!(out, "\n{}{hint}", counts.join(", "))
}

fn row(state: State, id: &str, text: &str, style: Style) -> Row {
    let color = match state {
        State::Fail => "31;1",
        State::Warn => "33",
        State::Note => "36",
        State::Ok => "32",
        State::Skip => "2",
    };
    let word = match state {
        State::Fail => "FAIL",
        State::Warn => "WARN",
        state => state.name(),
    };
    let word = if style.colored { format!("\x1b[{color}m{word}\x1b[0m") } else { word.to_owned() };
    Row::new(vec![Cell::new(&word), Cell::new(id), Cell::new(text)])
}

/// A finding in lines. The fixing command has one for itself, to be copied.
fn text(line: &Line<'_>) -> String {
    let mut text = String::from(line.title);
    text.push('\n');
    text.push_str(&escaped(line.fact));
    if let Some(source) = line.source {
        text.push_str(&format!(" ({})", escaped(source)));
    }
    if line.state == State::Fail.name() || line.state == State::Warn.name() {
        text.push_str(&format!("\n{}", line.why));
    }
    if let Some(cause) = line.follows {
        text.push_str(&format!("\nThis follows from {cause}: fix that first."));
    }
    match (&line.fix, line.machine, &line.advice) {
        (Some(fix), None, _) => text.push_str(&format!("\nfix:\n    {}", escaped(fix.as_ref()))),
        (Some(fix), Some(machine), _) => {
            text.push_str(&format!("\nfix, on {}:\n    {}", escaped(machine), escaped(fix.as_ref())));
        }
        (None, _, Some(advice)) => text.push_str(&format!("\nfix: {}", escaped(advice.as_ref()))),
        (None, _, None) => {}
    }
    if let Some(lasts) = line.lasts.filter(|_| line.fix.is_some()) {
        text.push_str(&format!("\nlasts {lasts}"));
    }
    if let Some(undo) = &line.undo {
        text.push_str(&format!("\nundo:\n    {}", escaped(undo.as_ref())));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{CHECKS, Judgement};
    use ipvs_client::Timeouts;

    fn finding(id: &str, state: State, fix: Option<Fix>) -> Finding {
        let check = CHECKS.iter().find(|check| check.id == id).unwrap();
        let (fact, from) = ("a fact".to_owned(), "/proc".to_owned());
        Finding { check, judgement: Judgement { state, fact, from, fix, undo: None }, follows: None }
    }

    fn findings() -> [Finding; 5] {
        let timeouts = Timeouts::new(7300, 0, 0);
        [
            finding("D1", State::Ok, None),
            finding("D19", State::Warn, Some(Fix::Changes(vec![Change::SetTimeouts(timeouts)]))),
            finding("D20", State::Skip, None),
            finding("D23", State::Fail, Some(Fix::Elsewhere { machine: "rs1".to_owned(), command: "x".to_owned() })),
            finding("R8", State::Warn, Some(Fix::Advice("Do that.".to_owned()))),
        ]
    }

    fn text(style: Style) -> String {
        let findings = findings();
        let mut out = Vec::new();
        write(&mut out, &Report::new("ipvsadm-rs", &[Role::Director], &[], &findings), style).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn failures_come_first_and_commands_have_lines_of_their_own() {
        let text = text(Style { all: false, colored: false });
        let lines: Vec<_> = text.lines().map(str::trim).collect();
        let at =
            |line: &str| lines.iter().position(|one| *one == line).unwrap_or_else(|| panic!("no {line:?} in {text}"));
        assert_eq!(at("fix, on rs1:") + 1, at("x"));
        assert!(at("x") < at("ipvsadm-rs --set 7300 0 0") && at("ipvsadm-rs --set 7300 0 0") < at("fix: Do that."));
        assert!(text.contains("\nok         D1\nskip       D20\n"), "{text}");
        assert!(text.ends_with("1 fail, 2 warn, 1 ok, 1 skip; --all shows why checks were skipped\n"), "{text}");
        assert!(!text.contains(" \n") && !text.contains('\x1b'), "{text}");
    }

    #[test]
    fn all_is_shown_on_demand_and_coloured_on_demand() {
        assert_eq!(text(Style { all: true, colored: false }).matches("a fact (/proc)").count(), 5);
        assert!(text(Style { all: false, colored: true }).contains("\x1b[31;1mFAIL\x1b[0m  D23  "));
    }

    #[test]
    fn programs_get_every_field() {
        let findings = findings();
        let json = serde_json::to_value(Report::new("ipvsadm-rs", &[Role::Director], &[], &findings)).unwrap();
        assert_eq!(json["state"], "fail");
        assert_eq!(json["findings"][1]["fix"], "ipvsadm-rs --set 7300 0 0");
        assert_eq!((&json["findings"][3]["fix"], &json["findings"][3]["machine"]), (&"x".into(), &"rs1".into()));
        assert_eq!((&json["findings"][4]["fix"], &json["findings"][4]["advice"]), (&().into(), &"Do that.".into()));
    }
}
