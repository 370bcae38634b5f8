//! A check and what it found.

use super::facts::Facts;
use super::judgement::{Judged, Judgement};

/// What a machine is in the cluster. One can be both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It has the table, and sends clients' packets on.
    Director,
    /// It serves clients.
    RealServer,
    /// It is one of several directors that announce the same addresses at once, and do not know each other's connections.
    ScaleOut,
}

impl Role {
    /// The word for it on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Director => "director",
            Self::RealServer => "real-server",
            Self::ScaleOut => "scale-out",
        }
    }
}

/// A check.
pub struct Check {
    /// Its name, as `D4`.
    pub id: &'static str,
    /// On which machines it makes sense.
    pub role: Role,
    /// What is so where all is well.
    pub title: &'static str,
    /// What is so where it is not.
    pub fault: &'static str,
    /// Why it matters, in one sentence.
    pub why: &'static str,
    /// The judgement: at least one.
    pub judge: fn(&Facts) -> Judged,
}

/// A judgement and the check it belongs to.
pub struct Finding {
    /// The check.
    pub check: &'static Check,
    /// What it found.
    pub judgement: Judgement,
    /// The check whose failure explains this one.
    pub follows: Option<&'static str>,
}

/// How long what a command does stays, if it goes by itself.
#[must_use]
pub fn lasts(command: &str) -> Option<&'static str> {
    const GONE_AT_BOOT: &[&str] =
        &["sysctl -w", "ip ", "nft ", "iptables ", "ip6tables ", "arptables", "ethtool ", "modprobe "];
    let mut goes = false;
    for part in command.split(" && ") {
        let is_gone = GONE_AT_BOOT.iter().any(|begin| part.starts_with(begin))
            || (part.contains(" realserver start ") && !part.contains("--persist"));
        goes |= is_gone;
    }
    goes.then_some("until the next boot")
}
