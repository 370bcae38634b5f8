//! Sets of options, and what goes together: what a command requires, takes and forbids, and what options want of each
//! other.

use super::error::{Error, usage};
use super::options;
use super::table::{Command, CommandSpec, OPTIONS};

/// The order in which the original checks options, and so which of several mistakes is reported. Our own options follow
/// in the table's order.
const ORIGINAL: [&str; 34] = [
    "numeric",
    "connection",
    "service-address",
    "scheduler",
    "persistent",
    "netmask",
    "real-server",
    "forwarding-method",
    "weight",
    "u-threshold",
    "l-threshold",
    "mcast-interface",
    "timeout",
    "daemon",
    "stats",
    "rate",
    "thresholds",
    "persistent-conn",
    "nosort",
    "syncid",
    "exact",
    "ops",
    "pe",
    "sched-flags",
    "mcast-group",
    "mcast-port",
    "mcast-ttl",
    "sync-maxlen",
    "tun-info",
    "tun-type",
    "tun-port",
    "tun-nocsum",
    "tun-csum",
    "tun-remcsum",
];

/// A set of options, by the names that messages give them; those that share a name are one. There is room for 128.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OptionSet(u128);

/// The names, in the order of the checks, and how many they are.
const NAMES: ([&str; u128::BITS as usize], usize) = {
    let mut names = [""; u128::BITS as usize];
    let mut count = 0;
    while count < ORIGINAL.len() {
        names[count] = ORIGINAL[count];
        count += 1;
    }
    let mut i = 0;
    while i < options::ALL.len() {
        if let Some(name) = options::ALL[i].name()
            && position(&names, count, name).is_none()
        {
            names[count] = name;
            count += 1;
        }
        i += 1;
    }
    (names, count)
};

const fn position(names: &[&str], count: usize, name: &str) -> Option<usize> {
    let mut i = 0;
    while i < count {
        if equal(names[i], name) {
            return Some(i);
        }
        i += 1;
    }
    None
}

const fn equal(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut i = 0;
    while i < a.len() && i < b.len() && a[i] == b[i] {
        i += 1;
    }
    i == a.len() && i == b.len()
}

impl OptionSet {
    /// No option.
    pub const NONE: Self = Self(0);

    /// The set of these, for constants: a name that no option has does not compile.
    pub(super) const fn of(names: &[&str]) -> Self {
        let mut bits = 0;
        let mut i = 0;
        while i < names.len() {
            match position(&NAMES.0, NAMES.1, names[i]) {
                Some(place) => bits |= 1 << place,
                None => panic!("no option has this name"),
            }
            i += 1;
        }
        Self(bits)
    }

    /// Whether the two have an option in common.
    #[must_use]
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether all of `other` are in this set.
    #[must_use]
    pub const fn covers(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }

    /// Both together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// These without those.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// What is in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// How many.
    #[must_use]
    pub const fn count(self) -> u32 {
        self.0.count_ones()
    }

    /// The names of every option, each with the set of it alone, in the order of the checks.
    pub fn all() -> impl Iterator<Item = (&'static str, Self)> {
        NAMES.0.iter().take(NAMES.1).enumerate().map(|(place, name)| (*name, Self(1 << place)))
    }

    /// The first of these names that is in this set.
    fn first(self, names: &[&'static str]) -> Option<&'static str> {
        names.iter().copied().find(|name| Self::all().any(|(known, alone)| known == *name && self.meets(alone)))
    }
}

/// The options that want something of others. Building it refuses an entry that names an option that does not exist.
const WANTING: OptionSet = {
    let mut wanting = OptionSet::NONE;
    let mut i = 0;
    while i < options::ALL.len() {
        let spec = &options::ALL[i];
        let others = OptionSet::of(spec.conflicts).with(match spec.needs {
            Some(needed) => OptionSet::of(&[needed]),
            None => OptionSet::NONE,
        });
        if others.count() > 0 {
            wanting = wanting.with(spec.set_of());
        }
        i += 1;
    }
    wanting
};

/// What the command requires, forbids, and takes only one of; then what its options want of each other.
pub(super) fn command(spec: &CommandSpec, given: OptionSet) -> Result<(), Error> {
    const CONNECTION: OptionSet = OptionSet::of(&["connection"]);
    const SERVER: OptionSet = OptionSet::of(&["real-server"]);
    const SERVICE: OptionSet = OptionSet::of(&["service-address"]);
    let (mut allowed, mut exclusive) = (spec.allowed, spec.exclusive);
    if spec.command == Command::List {
        // With -c, a service and a server choose among the connections.
        if given.meets(CONNECTION) {
            exclusive = exclusive.without(SERVICE);
        } else {
            allowed = allowed.without(SERVER);
        }
    }
    together("command", spec.name, given, spec.required, allowed, exclusive)?;
    // It saves 4.5 % of the instructions of `-R`, kernel included.
    if given.meets(WANTING) { each_other(spec.name, given) } else { Ok(()) }
}

/// What is given has all of `required`, no more than `allowed`, and one of `exclusive` at most; otherwise the first
/// mistake in the order of the checks.
pub(super) fn together(
    kind: &str,
    name: &str,
    given: OptionSet,
    required: OptionSet,
    allowed: OptionSet,
    exclusive: OptionSet,
) -> Result<(), Error> {
    // All is right nearly always. It saves 8 % of the instructions of `-R`, kernel included.
    if given.covers(required) && allowed.covers(given) && given.and(exclusive).count() <= 1 {
        return Ok(());
    }
    let mut first = None;
    for (option, alone) in OptionSet::all() {
        if !given.meets(alone) {
            if required.meets(alone) {
                return Err(usage(format!("You need to supply the '{option}' option for the '{name}' {kind}")));
            }
        } else if !allowed.meets(alone) {
            return Err(usage(format!("Illegal '{option}' option with the '{name}' {kind}")));
        } else if exclusive.meets(alone)
            && let Some(first) = first.replace(option)
        {
            return Err(conflict(option, first, name, kind));
        }
    }
    Ok(())
}

/// What the entries of the options say: `needs` and `conflicts`.
fn each_other(command: &str, given: OptionSet) -> Result<(), Error> {
    for spec in OPTIONS.iter().filter(|spec| given.meets(spec.once)) {
        let option = spec.name().unwrap_or(spec.long);
        if let Some(needed) = spec.needs
            && given.first(&[needed]).is_none()
        {
            return Err(usage(format!("You need to supply the '{needed}' option for the '{option}' option")));
        }
        if let Some(other) = given.first(spec.conflicts) {
            return Err(conflict(option, other, command, "command"));
        }
    }
    Ok(())
}

fn conflict(option: &str, first: &str, name: &str, kind: &str) -> Error {
    usage(format!("The option '{option}' conflicts with the '{first}' option in the '{name}' {kind}"))
}
