//! What the lines of a rules file ask for, taken together: the desired state. Everything that compares rules with the table
//! (replace, diff, the service, the doctor) asks here.

use std::collections::{HashMap, HashSet};

use ipvs_client::{
    Change, Daemon, DaemonRole, SchedulerName, ServiceKey,
    plan::{Finding, RuleSet, State, Traced},
};

use super::{BadLine, Heading, Line};
use crate::grammar::{Request, table};

/// What the lines of a file come to, starting from nothing.
#[derive(Clone, Debug, Default)]
pub struct Desired {
    /// The state that they would make of an empty table.
    pub state: State,
    /// Lines that are not right, where they keep no other from being taken.
    pub bad: Vec<BadLine>,
    /// More of them, which are only counted.
    pub more_bad: usize,
    /// What the kernel would refuse, by line.
    pub refused: Vec<(u32, Finding)>,
    /// Of these the servers whose service is not there, with that service.
    pub orphans: Vec<(u32, ServiceKey)>,
    /// Rules that are there twice: the line, and the line of the same rule before it.
    pub repeated: Vec<(u32, u32)>,
    /// What the kernel would change silently, or might not know, by line.
    pub doubtful: Vec<(u32, String)>,
    /// What they ask for apart from rules.
    pub rest: Vec<Line>,
}

impl From<State> for Desired {
    fn from(state: State) -> Self {
        Self { state, ..Self::default() }
    }
}

/// Takes the lines in their order.
#[derive(Debug, Default)]
pub struct Collector {
    set: RuleSet,
    desired: Desired,
}

impl Collector {
    /// Take the next line.
    pub fn take(&mut self, line: Line) {
        let number = line.number;
        let desired = &mut self.desired;
        if let Some(port) = line.replaced_port {
            let message = format!("port {port} has no effect: without -m the packet keeps the service's port");
            desired.doubtful.push((number, message));
        }
        match &line.request {
            Request::Change(Change::SetTimeouts(new)) => {
                let old = desired.state.timeouts.map(|traced| traced.rule).unwrap_or_default();
                desired.state.timeouts = Some(Traced { rule: new.over(old), line: number });
            }
            Request::Change(Change::StartDaemon(daemon)) => desired.daemon(daemon.role, Some(*daemon), number),
            Request::Change(Change::StopDaemon(daemon)) => desired.daemon(daemon.role, None, number),
            Request::Change(change) => {
                if let Err(finding) = self.set.apply(change, number) {
                    match self.set.line_of(change) {
                        Some(same) => desired.repeated.push((number, same)),
                        None => {
                            desired.refused.push((number, finding));
                            if let (Finding::ServiceNotDefined, Change::AddDestination(key, _)) = (finding, change) {
                                desired.orphans.push((number, *key));
                            }
                        }
                    }
                } else if let Change::AddService(service) | Change::EditService(service) = change
                    && !is_known(service.scheduler)
                {
                    desired.doubtful.push((number, format!("unknown scheduler `{}'", service.scheduler)));
                }
                if let Change::Zero(_) = change {
                    desired.rest.push(line);
                }
            }
            _ => desired.rest.push(line),
        }
    }

    /// Take a line that is not right, or with `count` only count it.
    pub fn take_bad(&mut self, line: BadLine, count: bool) {
        match count {
            true => self.desired.more_bad += 1,
            false => self.desired.bad.push(line),
        }
    }

    /// What the lines under this heading come to.
    #[must_use]
    pub fn finish_under(self, heading: Heading) -> Desired {
        let mut desired = self.finish();
        desired.state.keeps_order = heading.keeps_order;
        desired
    }

    /// What the lines come to.
    #[must_use]
    pub fn finish(self) -> Desired {
        let mut desired = self.desired;
        desired.state.services = self.set.finish();
        desired
    }
}

impl Desired {
    /// Whether a line is wrong or would be refused.
    #[must_use]
    pub fn has_faults(&self) -> bool {
        !self.bad.is_empty() || !self.refused.is_empty()
    }

    /// All that is wrong or would be refused, in words, by line. Servers of a service that is not there are counted.
    #[must_use]
    pub fn faults(&self) -> Vec<(u32, String)> {
        let mut faults: Vec<(u32, String)> = self.bad.iter().map(|line| (line.number, line.message.clone())).collect();
        let mut orphans: Vec<(u32, ServiceKey, usize)> = Vec::new();
        let mut places = HashMap::new();
        for (line, key) in &self.orphans {
            let place = *places.entry(*key).or_insert(orphans.len());
            match orphans.get_mut(place) {
                Some((_, _, count)) => *count += 1,
                None => orphans.push((*line, *key, 1)),
            }
        }
        let is_orphan: HashSet<u32> = self.orphans.iter().map(|(line, _)| *line).collect();
        let refused = self.refused.iter().filter(|(line, _)| !is_orphan.contains(line));
        faults.extend(refused.map(|(line, finding)| (*line, finding.message().to_owned())));
        faults.extend(orphans.into_iter().map(|(line, key, count)| match count {
            1 => (line, format!("Service not defined: {key}")),
            _ => (line, format!("Service not defined: {key}, with {count} servers")),
        }));
        faults.sort_by_key(|(line, _)| *line);
        faults
    }

    /// The rules that are there twice, in words, by line.
    pub fn repetitions(&self) -> impl Iterator<Item = (u32, String)> {
        self.repeated.iter().map(|(line, same)| (*line, format!("the same rule as on line {same}, which counts once")))
    }

    /// The last line about a role counts.
    fn daemon(&mut self, role: DaemonRole, daemon: Option<Daemon>, line: u32) {
        self.state.daemons.retain(|traced| traced.rule.0 != role);
        self.state.daemons.push(Traced { rule: (role, daemon), line });
    }
}

/// Whether the Linux kernel has a scheduler of this name. `none` leaves a service without one.
fn is_known(scheduler: SchedulerName) -> bool {
    scheduler.as_bytes() == b"none" || table::schedulers().iter().any(|word| word.as_bytes() == scheduler.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::SystemNames;
    use ipvs_client::Timeouts;

    fn desired(text: &str) -> Desired {
        let mut collector = Collector::default();
        crate::rules::read(text.as_bytes(), &SystemNames::default(), |line| collector.take(line)).unwrap();
        collector.finish()
    }

    #[test]
    fn timeouts_add_up_and_the_last_line_about_a_daemon_counts() {
        let state = desired(
            "--set 900 0 0\n--set 0 120 300\n--start-daemon master --mcast-interface lo\n\
             --start-daemon backup --mcast-interface lo\n--stop-daemon master\n",
        )
        .state;
        let timeouts = Timeouts::new(900, 120, 300);
        assert_eq!(state.timeouts, Some(Traced { rule: timeouts, line: 2 }));
        let daemons: Vec<_> =
            state.daemons.iter().map(|traced| (traced.line, traced.rule.0, traced.rule.1.is_some())).collect();
        assert_eq!(daemons, [(4, DaemonRole::Backup, true), (5, DaemonRole::Master, false)]);
    }

    #[test]
    fn servers_of_a_service_that_is_not_there_are_counted() {
        let desired = desired(
            "-a -t 1.2.3.4:80 -r 1.1.1.1\n-d -t 1.2.3.4:80 -r 1.1.1.1\n-a -t 1.2.3.4:80 -r 1.1.1.2\n\
             -a -f 5 -r 1.1.1.1\n-A -f 1 -p\n-A -f 1\n",
        );
        assert_eq!(desired.refused.len(), 5);
        let faults = desired.faults();
        let faults: Vec<_> = faults.iter().map(|(line, text)| (*line, text.as_str())).collect();
        assert_eq!(
            faults,
            [
                (1, "Service not defined: TCP 1.2.3.4:80, with 2 servers"),
                (2, "Service not defined"),
                (4, "Service not defined: FWM 5"),
                (6, "Service already exists"),
            ]
        );
    }

    #[test]
    fn what_is_refused_and_what_is_doubtful_is_kept_by_line() {
        let desired = desired(
            "-A -t 1.2.3.4:80\n-A -t 1.2.3.4:80 -s wlc\n-A -t 1.2.3.4:80 -p\n-A -t 1.2.3.4:81 -s rrr\n-Z\n-L\n",
        );
        assert_eq!((&desired.repeated[..], &desired.refused[..]), (&[(2, 1)][..], &[(3, Finding::ServiceExists)][..]));
        assert_eq!(desired.doubtful, [(4, "unknown scheduler `rrr'".to_owned())]);
        assert_eq!(desired.rest.iter().map(|line| line.number).collect::<Vec<_>>(), [5, 6]);
        assert_eq!(desired.state.services.len(), 2);
    }
}
