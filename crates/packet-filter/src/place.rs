//! Where in the rules something happens, and why an answer is not certain.

use std::fmt;

use crate::expression::{Expression, Target, Verdict};
use crate::property::Property;
use crate::ruleset::{Rule, TableFamily};
use crate::xt;

/// A rule, or the policy of a base chain: `family table chain # handle N`, with what the rule matched and what it does.
/// `nft -a list chain FAMILY TABLE CHAIN` prints the rule itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// The family of the table.
    pub family: TableFamily,
    /// The table.
    pub table: String,
    /// The chain.
    pub chain: String,
    /// The rule's number; `None` for a policy.
    pub handle: Option<u64>,
    /// What the rule asks for, with what the packet has there. Without any it matches every packet.
    pub matched: Vec<Property>,
    /// What the rule does, or the policy.
    pub action: Action,
}

/// What a rule does with a packet that it matches: its verdict or its last statement.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// The next rule follows.
    Continue,
    /// The packet is done with this base chain.
    Accept,
    /// The packet is dropped.
    Drop,
    /// The packet is dropped, with an answer to its sender.
    Reject,
    /// The calling chain follows.
    Return,
    /// This chain follows, and then the next rule.
    Jump(String),
    /// This chain follows instead.
    Goto(String),
    /// The verdict is looked up in this set, `__map0` and so on if it has no name.
    Map(String),
    /// The packet gets another destination.
    DestinationNat,
    /// The packet goes to this machine itself.
    Redirect,
    /// The packet gets another source.
    SourceNat,
    /// Anything else, by the name that netfilter has for it: `queue`, `tproxy`, `mangle`.
    Other(String),
}

impl Action {
    /// What a rule does; of several things the last.
    pub(super) fn of(rule: &Rule) -> Self {
        rule.expressions.iter().rev().find_map(Self::of_expression).unwrap_or(Self::Continue)
    }

    fn of_expression(expression: &Expression) -> Option<Self> {
        Some(match expression {
            Expression::Verdict(verdict) => match verdict {
                Verdict::Continue | Verdict::Break => Self::Continue,
                Verdict::Accept => Self::Accept,
                Verdict::Drop => Self::Drop,
                Verdict::Elsewhere => Self::Other("queue".to_owned()),
                Verdict::Jump(chain) => Self::Jump(chain.clone()),
                Verdict::Goto(chain) => Self::Goto(chain.clone()),
                Verdict::Return => Self::Return,
            },
            Expression::Lookup { set, target: Some(Target::Verdict), .. } => Self::Map(set.clone()),
            Expression::Reject | Expression::Target(xt::Target::Reject) => Self::Reject,
            Expression::DestinationNat { .. } | Expression::Target(xt::Target::Destination { .. }) => {
                Self::DestinationNat
            }
            Expression::Redirect { .. } | Expression::Target(xt::Target::Redirect { .. }) => Self::Redirect,
            Expression::SourceNat | Expression::Target(xt::Target::Source) => Self::SourceNat,
            Expression::Target(xt::Target::Mangle { .. }) => Self::Other("mangle".to_owned()),
            Expression::Target(xt::Target::Other(name)) | Expression::Elsewhere(name) => Self::Other(name.clone()),
            _ => return None,
        })
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Continue => f.write_str("continue"),
            Self::Accept => f.write_str("accept"),
            Self::Drop => f.write_str("drop"),
            Self::Reject => f.write_str("reject"),
            Self::Return => f.write_str("return"),
            Self::Jump(chain) => write!(f, "jump {chain}"),
            Self::Goto(chain) => write!(f, "goto {chain}"),
            Self::Map(set) => write!(f, "vmap @{set}"),
            Self::DestinationNat => f.write_str("dnat"),
            Self::Redirect => f.write_str("redirect"),
            Self::SourceNat => f.write_str("snat"),
            Self::Other(name) => f.write_str(name),
        }
    }
}

impl Place {
    /// Family, table and chain as nft takes them on its command line; `None` if it would not take a name, or take it for
    /// something else.
    #[must_use]
    pub fn chain_words(&self) -> Option<[String; 3]> {
        let is_plain = |name: &str| {
            name.starts_with(|first: char| first.is_ascii_alphabetic() || "_.".contains(first))
                && name.chars().all(|one| one.is_ascii_alphanumeric() || "_./-".contains(one))
        };
        (is_plain(&self.table) && is_plain(&self.chain))
            .then(|| [self.family.to_string(), self.table.clone(), self.chain.clone()])
    }

    /// The command that deletes the rule, or makes the policy "accept"; `None` if a name cannot be typed.
    #[must_use]
    pub fn undo(&self) -> Option<String> {
        let words = self.chain_words()?.join(" ");
        Some(match self.handle {
            Some(handle) => format!("nft delete rule {words} handle {handle}"),
            None => format!("nft chain {words} '{{ policy accept; }}'"),
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { family, table, chain, handle, matched, action } = self;
        let Some(handle) = handle else { return write!(f, "{family} {table} {chain}: policy {action}") };
        write!(f, "{family} {table} {chain} # handle {handle} ({action}")?;
        for (number, property) in matched.iter().enumerate() {
            write!(f, "{} {property}", if number == 0 { "; matches" } else { "," })?;
        }
        f.write_str(")")
    }
}

/// What an answer depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Doubt {
    /// On these properties of the packet, which are not known, or not what becomes of them.
    Packet(Vec<Property>),
    /// On tables of the older iptables, which netlink does not show.
    OlderTables(Vec<String>),
    /// The rules ask for so much that is not known that not all ways can be followed.
    TooMany,
}

/// Why nothing certain can be said.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Because {
    /// What it depends on.
    pub doubt: Doubt,
    /// The rule that asks for it, if one does; a policy stands for the whole base chain.
    pub place: Option<Place>,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Packet(properties) => {
                let words: Vec<String> = properties.iter().map(ToString::to_string).collect();
                write!(f, "it depends on: {}", words.join(", "))
            }
            Self::OlderTables(tables) => write!(
                f,
                "tables of the older iptables are in use ({}), and netlink does not show their rules",
                tables.join(", ")
            ),
            Self::TooMany => f.write_str("the rules ask for too much that is not known"),
        }
    }
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{} in {place}", self.doubt),
            None => self.doubt.fmt(f),
        }
    }
}
