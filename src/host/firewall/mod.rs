//! What this machine's packet filter would do with a packet: read from the kernel over nf_tables' netlink, and followed
//! through its chains. Nothing is changed, no other program is run.
//!
//! ```no_run
//! use ipvsadm_rs::host::firewall::{Destiny, Firewall, Packet, Verdict};
//! use ipvsadm_rs::model::Protocol;
//!
//! let firewall = Firewall::read()?;
//! let packet = Packet::first(Protocol::Tcp, [192, 0, 2, 1].into(), 80, None);
//! match firewall.verdict(&packet, Destiny::Delivered) {
//!     Verdict::Accepted => println!("gets through"),
//!     Verdict::Dropped(place) => println!("dropped by {place}"),
//!     Verdict::Redirected { place, .. } => println!("goes elsewhere by {place}"),
//!     Verdict::Unknown(because) => println!("who knows: {because}"),
//! }
//! # Ok::<(), ipvsadm_rs::host::firewall::Unreadable>(())
//! ```
//!
//! What is in it: [`Ruleset`] holds the rules as they were read, `evaluate` follows packets through them, `text` writes
//! rules as nft does.
//!
//! Rules of bridges are left out, as is what happens to a packet before it is one of IP: traffic control and XDP. Of the
//! older iptables (not iptables-nft) only the names of the tables can be seen; where there are any, nothing is sure to get
//! through.

mod bits;
mod evaluate;
mod expression;
#[allow(missing_docs)] // The names are the headers', see there.
mod numbers;
mod packet;
mod read;
mod ruleset;
#[cfg(test)]
mod tests;
mod text;
mod xt;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use evaluate::{At, Doubt, Outcome};
use packet::Facts;
pub use packet::{Interface, Packet, State};
pub use read::{Legacy, Unreadable};
pub use ruleset::{Hook, Ruleset, TableFamily};

/// IPVS schedules packets in the input hook at this priority (`NF_IP_PRI_NAT_SRC - 1`, in `ip_vs_ops4` and `ip_vs_ops6`).
/// Chains of the same one come first if they are newer; so they count.
const IPVS: i32 = 99;

/// The packet filter of a network namespace, as it was when it was read.
#[derive(Clone, Debug, Default)]
pub struct Firewall {
    /// The rules of nf_tables, those of iptables-nft among them.
    pub ruleset: Ruleset,
    /// The tables of the older iptables.
    pub legacy: Legacy,
}

/// Where a packet is going.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destiny {
    /// To a program on this machine, as on a real server: all of prerouting and input.
    Delivered,
    /// To IPVS, as on a director: of input only what comes before IPVS. What IPVS sends on goes through output and
    /// postrouting, [`Destiny::Sent`], mostly untracked (`net.ipv4.vs.conntrack` is 0).
    Scheduled,
    /// Through this machine, out by that interface: prerouting, forward, postrouting.
    Forwarded(Option<Interface>),
    /// From this machine, out by that interface: output, postrouting.
    Sent(Option<Interface>),
}

/// A rule, or the policy of a base chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The family of the table.
    pub family: TableFamily,
    /// The table.
    pub table: String,
    /// The chain.
    pub chain: String,
    /// The rule's number, as `nft -a list ruleset` shows it; `None` for a policy.
    pub handle: Option<u64>,
    /// The rule, as near to nft's spelling as may be.
    pub rule: String,
}

impl Place {
    /// The command that deletes the rule, or changes the policy.
    #[must_use]
    pub fn undo(&self) -> String {
        let Self { family, table, chain, .. } = self;
        match self.handle {
            Some(handle) => format!("nft delete rule {family} {table} {chain} handle {handle}"),
            None => format!("nft chain {family} {table} {chain} '{{ policy accept; }}'"),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { family, table, chain, handle, rule } = self;
        write!(f, "{family} {table} {chain}: {rule}")?;
        match handle {
            Some(handle) => write!(f, " # handle {handle}"),
            None => Ok(()),
        }
    }
}

/// Why nothing certain can be said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Because {
    /// In words.
    pub reason: String,
    /// The rule that has to do with it, if one has.
    pub place: Option<Place>,
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{} in {place}", self.reason),
            None => f.write_str(&self.reason),
        }
    }
}

/// What becomes of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It gets through.
    Accepted,
    /// It is dropped or rejected.
    Dropped(Place),
    /// It goes to another address or port.
    Redirected {
        /// By what.
        place: Place,
        /// To which address; `None` if it is the interface's own (`redirect`), or not known.
        address: Option<IpAddr>,
        /// To which port, if that is known.
        port: Option<u16>,
    },
    /// It depends.
    Unknown(Because),
}

/// What becomes of a connection to a virtual service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Of its first packet.
    pub first: Verdict,
    /// Of its packets for which connection tracking knows no connection. A director in direct routing or tunnelling sees
    /// only the client's half, so all but the first may be such.
    pub invalid: Verdict,
}

impl Connection {
    /// What drops packets of state "invalid", though the first one is not dropped: `ct state invalid drop`, or a policy.
    #[must_use]
    pub fn invalid_dropped(&self) -> Option<&Place> {
        match (&self.first, &self.invalid) {
            (Verdict::Dropped(_), _) => None,
            (_, Verdict::Dropped(place)) => Some(place),
            _ => None,
        }
    }
}

/// What the rules for ARP do about a VIP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arp {
    /// The rules in which it stands: as an address that must match, in a range or a set, or as a new address.
    pub rules: Vec<Place>,
    /// Of a request for it that comes in.
    pub request: Verdict,
    /// Of an answer that says where it is (and of a request that has it as its source) as it goes out.
    pub answer: Verdict,
    /// The address that an outgoing ARP packet with the VIP as its source has in the end, if that is another.
    pub mangled: Option<Ipv4Addr>,
}

impl Firewall {
    /// Read the rules of the network namespace this thread is in.
    ///
    /// # Errors
    /// They cannot be read, and why. Loading rules that have not been needed yet takes nothing but reading them, so a
    /// kernel without nf_tables is such an error, too; it can have no rules of nf_tables.
    pub fn read() -> Result<Self, Unreadable> {
        Ok(Self { ruleset: read::ruleset()?, legacy: Legacy::read()? })
    }

    /// What becomes of a packet.
    #[must_use]
    pub fn verdict(&self, packet: &Packet, destiny: Destiny) -> Verdict {
        let (hooks, limit, output): (&[Hook], _, _) = match destiny {
            Destiny::Delivered => (&[Hook::Ingress, Hook::Prerouting, Hook::Input], None, None),
            Destiny::Scheduled => (&[Hook::Ingress, Hook::Prerouting, Hook::Input], Some((Hook::Input, IPVS)), None),
            Destiny::Forwarded(output) => {
                (&[Hook::Ingress, Hook::Prerouting, Hook::Forward, Hook::Postrouting], None, output)
            }
            Destiny::Sent(output) => (&[Hook::Output, Hook::Postrouting], None, output),
        };
        let local = matches!(destiny, Destiny::Delivered | Destiny::Scheduled);
        let legacy = if packet.destination.is_ipv4() { &self.legacy.ip } else { &self.legacy.ip6 };
        self.run(Facts::of(packet, local, output), hooks, limit, legacy).0
    }

    /// What becomes of a connection: of its first packet and of the others. The packet's own state does not matter.
    #[must_use]
    pub fn connection(&self, packet: &Packet, destiny: Destiny) -> Connection {
        let of = |state| self.verdict(&Packet { state, ..packet.clone() }, destiny);
        Connection { first: of(State::New), invalid: of(State::Invalid) }
    }

    /// What the rules for ARP do about a VIP on an interface.
    #[must_use]
    pub fn arp(&self, vip: Ipv4Addr, interface: Option<Interface>) -> Arp {
        const REQUEST: u16 = 1;
        const ANSWER: u16 = 2;
        let request = Facts::arp(REQUEST, None, Some(vip), interface, None);
        let answer = Facts::arp(ANSWER, Some(vip), None, None, interface);
        let (request, _) = self.run(request, &[Hook::Ingress, Hook::Input], None, &self.legacy.arp);
        let (answer, sender) = self.run(answer, &[Hook::Output], None, &self.legacy.arp);
        let mangled = match sender {
            Some(IpAddr::V4(sender)) if sender != vip => Some(sender),
            _ => None,
        };
        Arp { rules: self.arp_rules(vip), request, answer, mangled }
    }

    /// The rules of the arp family in which an address stands.
    fn arp_rules(&self, vip: Ipv4Addr) -> Vec<Place> {
        let chains = self.ruleset.chains.iter().enumerate().filter(|(_, chain)| chain.family == TableFamily::Arp);
        let rules = chains.flat_map(|(index, chain)| (0..chain.rules.len()).map(move |rule| (index, rule)));
        rules
            .filter(|&(chain, rule)| evaluate::mentions(&self.ruleset, chain, rule, vip))
            .map(|(chain, rule)| self.place(At { chain, rule: Some(rule) }))
            .collect()
    }

    fn run(
        &self,
        facts: Facts,
        hooks: &[Hook],
        limit: Option<(Hook, i32)>,
        legacy: &[String],
    ) -> (Verdict, Option<IpAddr>) {
        let verdict = match evaluate::evaluate(&self.ruleset, facts, hooks, limit) {
            // What the older tables do may be anything, but they bring back nothing that is dropped.
            Outcome::Accepted(sender) if legacy.is_empty() => return (Verdict::Accepted, sender),
            Outcome::Accepted(_) => Verdict::Unknown(Because {
                reason: format!(
                    "tables of the older iptables are in use ({}), and netlink does not show what is in them",
                    legacy.join(", ")
                ),
                place: None,
            }),
            Outcome::Dropped(at) => Verdict::Dropped(self.place(at)),
            Outcome::Redirected { at, address, port } => Verdict::Redirected { place: self.place(at), address, port },
            Outcome::Unknown(doubt) => Verdict::Unknown(self.because(doubt)),
        };
        (verdict, None)
    }

    fn place(&self, at: At) -> Place {
        let Some(chain) = self.ruleset.chains.get(at.chain) else {
            // Places come from the same rules.
            return Place {
                family: TableFamily::Inet,
                table: String::new(),
                chain: String::new(),
                handle: None,
                rule: String::new(),
            };
        };
        let rule = at.rule.and_then(|index| chain.rules.get(index));
        Place {
            family: chain.family,
            table: chain.table.clone(),
            chain: chain.name.clone(),
            handle: rule.map(|rule| rule.handle),
            rule: rule.map_or("policy drop".to_owned(), |rule| text::rule(&self.ruleset, chain, rule)),
        }
    }

    fn because(&self, doubt: Doubt) -> Because {
        match doubt {
            Doubt::TooMany => Because {
                reason: "the rules ask for so much that is not known that not all ways can be followed".to_owned(),
                place: None,
            },
            Doubt::Device(chain) => Because {
                reason: "it is not known on which interface the packet comes in".to_owned(),
                place: Some(Place {
                    rule: "the chain is a device's".to_owned(),
                    ..self.place(At { chain, rule: None })
                }),
            },
            Doubt::Expression(at, index) => {
                let place = self.place(at);
                let chain = self.ruleset.chains.get(at.chain);
                let rule = chain.and_then(|chain| chain.rules.get(at.rule?));
                let what = rule.map(|rule| text::part(rule, index)).unwrap_or_default();
                Because { reason: format!("it depends on \"{what}\""), place: Some(place) }
            }
        }
    }
}
