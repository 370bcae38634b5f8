//! What systemd is about to do.

use std::process::Stdio;

use super::program;

/// The program to ask it with.
const SYSTEMCTL: &str = "/usr/bin/systemctl";

/// Whether systemd is restarting this unit: then its stop is only the first half, though the unit's own commands are not
/// reported so. Without systemd nothing restarts.
#[must_use]
pub fn is_restarting(unit: &str) -> bool {
    let mut command = program::command(SYSTEMCTL);
    command.args(["list-jobs", "--no-legend", "--no-pager", "--plain", "--full"]);
    let answer = command.stderr(Stdio::null()).output();
    answer.is_ok_and(|answer| has_restart(&String::from_utf8_lossy(&answer.stdout), unit))
}

/// Lines of `JOB UNIT TYPE STATE`.
fn has_restart(jobs: &str, unit: &str) -> bool {
    jobs.lines().any(|line| {
        let mut words = line.split_whitespace().skip(1);
        words.next() == Some(unit) && words.next() == Some("restart")
    })
}

#[cfg(test)]
mod tests {
    use super::has_restart;

    #[test]
    fn the_job_of_the_unit_decides() {
        let jobs = "  117 ipvsadm-rs.service restart running\n 118 other.service stop waiting\n";
        assert!(has_restart(jobs, "ipvsadm-rs.service"));
        assert!(!has_restart(jobs, "other.service"));
        assert!(!has_restart(jobs, "restart"));
        assert!(!has_restart("No jobs running.\n", "ipvsadm-rs.service"));
    }
}
