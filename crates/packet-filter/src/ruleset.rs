//! All rules of a network namespace: from the messages of nf_tables to tables, chains, rules and sets.

use std::collections::BTreeMap;
use std::fmt;

use crate::expression::{Data, Expression, REGISTERS, be32, text};
use crate::numbers::{
    SUBSYSTEM, chain as c, element as el, elements as els, family, hook as h, message as m, rule as r, set as s,
    table as t,
};
use netlink_exchange::{Attribute, Attributes, Message, WireError};

/// The family of a table: which packets its chains see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TableFamily {
    /// IPv4 and IPv6.
    Inet,
    /// IPv4.
    Ip,
    /// ARP.
    Arp,
    /// What comes in on one device.
    Netdev,
    /// IPv6.
    Ip6,
}

impl TableFamily {
    /// From `NFPROTO_*`; `None` for families whose packets are not ours (bridges).
    pub(crate) const fn from_number(number: u8) -> Option<Self> {
        match number {
            family::INET => Some(Self::Inet),
            family::IPV4 => Some(Self::Ip),
            family::ARP => Some(Self::Arp),
            family::NETDEV => Some(Self::Netdev),
            family::IPV6 => Some(Self::Ip6),
            _ => None,
        }
    }

    /// `NFPROTO_*`.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Inet => family::INET,
            Self::Ip => family::IPV4,
            Self::Arp => family::ARP,
            Self::Netdev => family::NETDEV,
            Self::Ip6 => family::IPV6,
        }
    }
}

impl fmt::Display for TableFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Inet => "inet",
            Self::Ip => "ip",
            Self::Arp => "arp",
            Self::Netdev => "netdev",
            Self::Ip6 => "ip6",
        })
    }
}

/// Where the kernel asks a base chain (`enum nf_inet_hooks`, `enum nf_dev_hooks`, `NF_ARP_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hook {
    /// As a packet comes in on a device, before anything else.
    Ingress,
    /// Before the routing decision.
    Prerouting,
    /// For this machine.
    Input,
    /// For another.
    Forward,
    /// From this machine.
    Output,
    /// As a packet leaves.
    Postrouting,
}

/// A base chain's hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseChain {
    /// Where; `None` for a hook that no packet of ours gets to.
    pub hook: Option<Hook>,
    /// Lower ones are asked first.
    pub priority: i32,
    /// Whether a packet that gets to the end is dropped.
    pub drops: bool,
    /// Whether it is of type `nat`: asked for the first packet of a connection only.
    pub nat: bool,
    /// The devices, for [`Hook::Ingress`]; a name that ends in `*` stands for all that begin so.
    pub devices: Vec<String>,
}

/// A chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Its table's family.
    pub family: TableFamily,
    /// Its table.
    pub table: String,
    /// Its name.
    pub name: String,
    /// Where the kernel asks it; `None` for a chain that others jump to.
    pub base: Option<BaseChain>,
    /// What is in it, in order.
    pub rules: Vec<Rule>,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its number in the table, as `nft -a` shows it.
    pub handle: u64,
    /// What it does.
    pub expressions: Vec<Expression>,
}

/// A set or map.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Set {
    /// Whether its elements are ranges.
    pub interval: bool,
    /// The lengths of the parts of its keys in bytes, if they have parts.
    pub fields: Vec<usize>,
    /// What is in it.
    pub elements: Vec<Element>,
}

/// An element of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// What matches it; empty for the one that matches all the others.
    pub key: Vec<u8>,
    /// The end of the range that begins at `key`, with it, in sets of ranges with parts.
    pub end: Option<Vec<u8>>,
    /// Whether `key` is the first past a range, in other sets of ranges.
    pub ends_range: bool,
    /// Whether it matches what no other element does.
    pub catches_all: bool,
    /// What a map has for it.
    pub data: Option<Data>,
}

/// A set's full name.
pub type SetKey = (TableFamily, String, String);

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ruleset {
    /// The chains of all tables that are awake.
    pub chains: Vec<Chain>,
    /// The sets, by name.
    pub sets: BTreeMap<SetKey, Set>,
    /// Tables that sleep.
    dormant: Vec<(TableFamily, String)>,
    /// Where in `chains` each is.
    index: BTreeMap<SetKey, usize>,
}

impl Ruleset {
    /// Take in what is in a message of nf_tables: a table, a chain, a rule, a set or elements of one. Tables come before
    /// chains, chains before rules, sets before elements; [`Ruleset::finish`] comes last. Other messages, and those about
    /// bridges, are passed over.
    ///
    /// # Errors
    /// The message is not what the kernel promises.
    pub fn add(&mut self, message: &Message<'_>) -> Result<(), WireError> {
        let take = match message.kind.checked_sub(SUBSYSTEM) {
            Some(m::NEWTABLE) => Self::add_table,
            Some(m::NEWCHAIN) => Self::add_chain,
            Some(m::NEWRULE) => Self::add_rule,
            Some(m::NEWSET) => Self::add_set,
            Some(m::NEWSETELEM) => Self::add_elements,
            _ => return Ok(()),
        };
        // The header before the attributes, `struct nfgenmsg`, begins with the family.
        match message.payload.first().copied().and_then(TableFamily::from_number) {
            Some(family) => take(self, family, Attributes::generic(message.payload)?),
            None => Ok(()),
        }
    }

    fn add_table(&mut self, family: TableFamily, attributes: Attributes<'_>) -> Result<(), WireError> {
        let (mut name, mut flags) = (String::new(), 0);
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                t::NAME => name = text(&attribute),
                t::FLAGS => flags = be32(&attribute).unwrap_or(0),
                _ => {}
            }
        }
        if flags & t::DORMANT != 0 {
            self.dormant.push((family, name));
        }
        Ok(())
    }

    fn add_chain(&mut self, family: TableFamily, attributes: Attributes<'_>) -> Result<(), WireError> {
        let (mut table, mut name, mut kind) = (String::new(), String::new(), String::new());
        let (mut hook, mut drops) = (None, false);
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                c::TABLE => table = text(&attribute),
                c::NAME => name = text(&attribute),
                c::TYPE => kind = text(&attribute),
                c::HOOK => hook = Some(attribute),
                // NF_DROP is 0, NF_ACCEPT is 1.
                c::POLICY => drops = be32(&attribute) == Some(0),
                _ => {}
            }
        }
        let dormant = self.dormant.iter().any(|(other, name)| *other == family && *name == table);
        let base = match hook {
            Some(hook) if !dormant => Some(base_chain(family, &hook, drops, kind == "nat")?),
            _ => None,
        };
        self.index.insert((family, table.clone(), name.clone()), self.chains.len());
        self.chains.push(Chain { family, table, name, base, rules: Vec::new() });
        Ok(())
    }

    fn add_rule(&mut self, family: TableFamily, attributes: Attributes<'_>) -> Result<(), WireError> {
        let (mut table, mut chain, mut handle, mut expressions) = (String::new(), String::new(), 0, Vec::new());
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                r::TABLE => table = text(&attribute),
                r::CHAIN => chain = text(&attribute),
                r::HANDLE => handle = attribute.array("a rule's handle").map(u64::from_be_bytes)?,
                r::EXPRESSIONS => {
                    expressions = attribute
                        .nested()
                        .map(|element| element.and_then(|element| Expression::decode(&element)))
                        .collect::<Result<_, _>>()?;
                }
                _ => {}
            }
        }
        if let Some(chain) = self.chain_index(family, &table, &chain).and_then(|index| self.chains.get_mut(index)) {
            chain.rules.push(Rule { handle, expressions });
        }
        Ok(())
    }

    fn add_set(&mut self, family: TableFamily, attributes: Attributes<'_>) -> Result<(), WireError> {
        let (mut table, mut name, mut set) = (String::new(), String::new(), Set::default());
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                s::TABLE => table = text(&attribute),
                s::NAME => name = text(&attribute),
                s::FLAGS => set.interval = be32(&attribute).unwrap_or(0) & s::INTERVAL != 0,
                s::DESC => set.fields = fields(&attribute)?,
                _ => {}
            }
        }
        self.sets.insert((family, table, name), set);
        Ok(())
    }

    fn add_elements(&mut self, family: TableFamily, attributes: Attributes<'_>) -> Result<(), WireError> {
        let (mut table, mut name, mut elements) = (String::new(), String::new(), Vec::new());
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                els::TABLE => table = text(&attribute),
                els::SET => name = text(&attribute),
                els::ELEMENTS => {
                    for attribute in attribute.nested() {
                        elements.push(Element::decode(&attribute?)?);
                    }
                }
                _ => {}
            }
        }
        if let Some(set) = self.sets.get_mut(&(family, table, name)) {
            set.elements.extend(elements);
        }
        Ok(())
    }

    /// All elements are there: put them in the order in which they are looked up.
    pub fn finish(&mut self) {
        for set in self.sets.values_mut() {
            // Where one range ends another may begin; the beginning counts, so it comes last.
            set.elements.sort_by(|one, other| (&one.key, !one.ends_range).cmp(&(&other.key, !other.ends_range)));
        }
    }

    /// The chain of this name in a table.
    pub fn chain(&self, family: TableFamily, table: &str, name: &str) -> Option<&Chain> {
        self.chains.get(self.chain_index(family, table, name)?)
    }

    fn chain_index(&self, family: TableFamily, table: &str, name: &str) -> Option<usize> {
        self.index.get(&(family, table.to_owned(), name.to_owned())).copied()
    }

    /// The set of this name in the table of a chain.
    pub fn set(&self, chain: &Chain, name: &str) -> Option<&Set> {
        let Chain { family, table, .. } = chain;
        self.sets.get(&(*family, table.clone(), name.to_owned()))
    }

    /// The sets that some rule asks, in the order of their names.
    pub fn sets_in_use(&self) -> Vec<SetKey> {
        let mut names: Vec<SetKey> = Vec::new();
        for chain in &self.chains {
            for expression in chain.rules.iter().flat_map(|rule| &rule.expressions) {
                if let Expression::Lookup { set, .. } = expression {
                    names.push((chain.family, chain.table.clone(), set.clone()));
                }
            }
        }
        names.sort();
        names.dedup();
        names.retain(|name| self.sets.contains_key(name));
        names
    }
}

fn base_chain(family: TableFamily, hook: &Attribute<'_>, drops: bool, nat: bool) -> Result<BaseChain, WireError> {
    let (mut number, mut priority, mut devices) = (None, 0, Vec::new());
    for attribute in hook.nested() {
        let attribute = attribute?;
        match attribute.kind {
            h::HOOKNUM => number = be32(&attribute),
            h::PRIORITY => priority = attribute.array("a chain's priority").map(i32::from_be_bytes)?,
            h::DEV => devices.push(text(&attribute)),
            h::DEVS => {
                for attribute in attribute.nested() {
                    let attribute = attribute?;
                    match attribute.kind {
                        h::DEVICE_NAME => devices.push(text(&attribute)),
                        h::DEVICE_PREFIX => devices.push(text(&attribute) + "*"),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    let number = number.ok_or(WireError::Missing("a chain's hook"))?;
    let hook = match (family, number) {
        (TableFamily::Arp, 0) => Some(Hook::Input),
        (TableFamily::Arp, 1) => Some(Hook::Output),
        (TableFamily::Netdev, 0) | (TableFamily::Inet, 5) => Some(Hook::Ingress),
        (TableFamily::Arp | TableFamily::Netdev, _) => None,
        (_, 0) => Some(Hook::Prerouting),
        (_, 1) => Some(Hook::Input),
        (_, 2) => Some(Hook::Forward),
        (_, 3) => Some(Hook::Output),
        (_, 4) => Some(Hook::Postrouting),
        _ => None,
    };
    // The device is in both attributes for chains of a single one.
    devices.sort();
    devices.dedup();
    Ok(BaseChain { hook, priority, drops, nat, devices })
}

/// The lengths of a key's parts, from `NFTA_SET_DESC`.
fn fields(description: &Attribute<'_>) -> Result<Vec<usize>, WireError> {
    let mut fields = Vec::new();
    for attribute in description.nested() {
        let attribute = attribute?;
        if attribute.kind != s::DESC_CONCAT {
            continue;
        }
        for element in attribute.nested() {
            for attribute in element?.nested() {
                let attribute = attribute?;
                if attribute.kind == s::FIELD_LEN {
                    let length = attribute.array("the length of a key's part").map(u32::from_be_bytes)?;
                    fields.push(length.min(REGISTERS as u32 * 4) as usize);
                }
            }
        }
    }
    Ok(fields)
}

impl Element {
    fn decode(attribute: &Attribute<'_>) -> Result<Self, WireError> {
        let mut element = Self { key: Vec::new(), end: None, ends_range: false, catches_all: false, data: None };
        for attribute in attribute.nested() {
            let attribute = attribute?;
            match attribute.kind {
                el::KEY => element.key = bytes(&attribute)?,
                el::KEY_END => element.end = Some(bytes(&attribute)?),
                el::DATA => element.data = Some(Data::decode(&attribute)?),
                el::FLAGS => {
                    let flags = be32(&attribute).unwrap_or(0);
                    element.ends_range = flags & el::INTERVAL_END != 0;
                    element.catches_all = flags & el::CATCHALL != 0;
                }
                _ => {}
            }
        }
        Ok(element)
    }
}

fn bytes(attribute: &Attribute<'_>) -> Result<Vec<u8>, WireError> {
    match Data::decode(attribute)? {
        Data::Value(bytes) => Ok(bytes),
        Data::Verdict(_) => Err(WireError::Missing("an element's key")),
    }
}
