//! Rules in words, as near to nft's spelling as may be: for people, who find the rule by its handle.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::expression::{Base, Data, Expression, Operator, REGISTERS, Register, Target, Verdict};
use super::numbers::{ct, family as nfproto, meta};
use super::ruleset::{Chain, Element, Rule, Ruleset, Set, TableFamily};
use super::xt;

/// Elements of a set without a name that are spelled out.
const ELEMENTS: usize = 8;

/// What a value is, for its spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// An IPv4 address or its first bytes.
    Ipv4,
    /// An IPv6 address or its first bytes.
    Ipv6,
    /// A number in network order.
    Number,
    /// A number in host order.
    HostNumber,
    /// A mark, in host order.
    Mark,
    /// A protocol of the network layer's.
    Protocol,
    /// `NFPROTO_*`.
    Family,
    /// `ETH_P_*`, in network order.
    EtherType,
    /// A name.
    Name,
    /// States of connections, bits in host order.
    States,
    /// TCP flags.
    Flags,
    /// `RTN_*`, in host order.
    Route,
    /// `PACKET_*`.
    Packet,
    /// An operation of ARP.
    Operation,
    /// Anything else.
    Bytes,
}

/// What is in a register.
#[derive(Clone, Debug)]
struct Held {
    name: String,
    kind: Kind,
    length: usize,
    mask: Option<Vec<u8>>,
}

/// A rule.
pub fn rule(ruleset: &Ruleset, chain: &Chain, rule: &Rule) -> String {
    let mut speller = Speller::new(chain.family);
    for (index, expression) in rule.expressions.iter().enumerate() {
        speller.spell(Some((ruleset, chain)), expression, rule.expressions.get(index + 1));
    }
    speller.text()
}

/// What an expression of a rule asks for: what it loads, or itself.
pub fn part(rule: &Rule, index: usize) -> String {
    let mut speller = Speller::new(TableFamily::Inet);
    for expression in rule.expressions.iter().take(index) {
        speller.spell(None, expression, None);
    }
    let Some(expression) = rule.expressions.get(index) else { return String::new() };
    speller.pieces.clear();
    speller.spell(None, expression, None);
    let target = match expression {
        Expression::Payload { target, .. }
        | Expression::Meta { target, .. }
        | Expression::Ct { target, .. }
        | Expression::Fib { target, .. } => Some(*target),
        _ => None,
    };
    match target.and_then(|target| speller.registers.get(target.0)?.as_ref()) {
        Some(held) => held.name.clone(),
        None => speller.text(),
    }
}

struct Speller {
    registers: [Option<Held>; REGISTERS],
    /// Constants in registers.
    values: [Option<Vec<u8>>; REGISTERS],
    pieces: Vec<String>,
    /// The network protocol, `NFPROTO_*`, and the piece that says so.
    network: (u8, Option<usize>),
    /// The transport protocol, and the piece that says so.
    transport: (u8, Option<usize>),
    /// The second half of a range has been spelled with the first.
    skip: bool,
}

impl Speller {
    fn new(family: TableFamily) -> Self {
        Self {
            registers: [const { None }; REGISTERS],
            values: [const { None }; REGISTERS],
            pieces: Vec::new(),
            network: (family.number(), None),
            transport: (0, None),
            skip: false,
        }
    }

    fn text(&self) -> String {
        let pieces: Vec<&str> = self.pieces.iter().map(String::as_str).filter(|piece| !piece.is_empty()).collect();
        pieces.join(" ")
    }

    fn hold(&mut self, register: Register, held: Held) {
        if let Some(place) = self.registers.get_mut(register.0) {
            *place = Some(held);
        }
    }

    fn held(&self, register: Register, length: usize) -> Held {
        let other = Held { name: "?".to_owned(), kind: Kind::Bytes, length, mask: None };
        self.registers.get(register.0).cloned().flatten().unwrap_or(other)
    }

    fn value(&self, register: Register, kind: Kind) -> String {
        match self.values.get(register.0) {
            Some(Some(bytes)) => spelled(kind, bytes),
            _ => self.held(register, 0).name,
        }
    }

    fn push(&mut self, piece: impl Into<String>) {
        self.pieces.push(piece.into());
    }

    /// What a piece says is said by another, too.
    fn drop_piece(&mut self, piece: Option<usize>) {
        if let Some(piece) = piece.and_then(|piece| self.pieces.get_mut(piece)) {
            piece.clear();
        }
    }

    fn spell(&mut self, sets: Option<(&Ruleset, &Chain)>, expression: &Expression, next: Option<&Expression>) {
        if std::mem::take(&mut self.skip) {
            return;
        }
        match expression {
            Expression::Payload { target, base, offset, length } => {
                let held = self.field(*base, *offset, *length);
                self.hold(*target, held);
            }
            Expression::PayloadWrite { source, base, offset, length } => {
                let Held { name, kind, .. } = self.field(*base, *offset, *length);
                let value = self.value(*source, kind);
                self.push(format!("{name} set {value}"));
            }
            Expression::Meta { target, key } => {
                let (name, kind) = meta_key(*key);
                let length = if kind == Kind::Name { 16 } else { 4 };
                self.hold(*target, Held { name, kind, length, mask: None });
            }
            Expression::MetaWrite { source, key } => {
                let (name, kind) = meta_key(*key);
                let name = if name.starts_with("meta ") { name } else { format!("meta {name}") };
                let value = self.value(*source, kind);
                self.push(format!("{name} set {value}"));
            }
            Expression::Ct { target, key } => {
                let (name, kind) = ct_key(*key);
                self.hold(*target, Held { name, kind, length: 4, mask: None });
            }
            Expression::CtWrite { source, key } => {
                let (name, kind) = ct_key(*key);
                let value = self.value(*source, kind);
                self.push(format!("{name} set {value}"));
            }
            Expression::Fib { target, local } => {
                let name = if *local { "fib daddr type" } else { "fib" };
                self.hold(*target, Held { name: name.to_owned(), kind: Kind::Route, length: 4, mask: None });
            }
            Expression::Bitwise { source, target, mask, flip } => {
                let mut held = self.held(*source, mask.len());
                held.mask = (flip.iter().all(|&byte| byte == 0)).then(|| mask.clone());
                if held.mask.is_none() {
                    held.name.push_str(" ^ …");
                }
                self.hold(*target, held);
            }
            Expression::ByteOrder { source, target, length, .. } => {
                let mut held = self.held(*source, *length);
                held.kind = match held.kind {
                    Kind::HostNumber | Kind::Mark => Kind::Number,
                    kind => kind,
                };
                self.hold(*target, held);
            }
            Expression::Compare { source, operator, data } => self.compare(*source, *operator, data, next),
            Expression::Range { source, inverted, from, to } => {
                let held = self.held(*source, from.len());
                let not = if *inverted { "!= " } else { "" };
                let (from, to) = (spelled(held.kind, from), spelled(held.kind, to));
                self.push(format!("{} {not}{from}-{to}", held.name));
            }
            Expression::Lookup { set, source, target, inverted } => {
                self.lookup(sets, set, *source, *target, *inverted);
            }
            Expression::Value { target, data } => {
                if let Some(place) = self.values.get_mut(target.0) {
                    *place = Some(data.clone());
                }
            }
            Expression::Verdict(content) => {
                let content = verdict(content);
                self.push(content);
            }
            Expression::Reject { reset: true } => self.push("reject with tcp reset"),
            Expression::Reject { reset: false } => self.push("reject"),
            Expression::DestinationNat { address, port } => {
                let kind = if self.network.0 == nfproto::IPV6 { Kind::Ipv6 } else { Kind::Ipv4 };
                let address = address.map(|register| self.value(register, kind));
                let port = port.map(|register| self.value(register, Kind::Number));
                let address = address.map(|text| if text.contains(':') { format!("[{text}]") } else { text });
                self.push(format!("dnat to {}", endpoint(address, port)));
            }
            Expression::SourceNat { masquerade } => self.push(if *masquerade { "masquerade" } else { "snat" }),
            Expression::Redirect { port: None } => self.push("redirect"),
            Expression::Redirect { port: Some(port) } => {
                let port = self.value(*port, Kind::Number);
                self.push(format!("redirect to :{port}"));
            }
            Expression::NoTrack => self.push("notrack"),
            Expression::Match(content) => self.xt_match(content),
            Expression::Target(content) => self.xt_target(content),
            Expression::Ignored(name) | Expression::Elsewhere(name) | Expression::Unknown(name) => {
                self.push(name.clone());
            }
        }
    }

    /// A field of a header.
    fn field(&mut self, base: Base, offset: usize, length: usize) -> Held {
        let field = |name: &str, kind: Kind| Held { name: name.to_owned(), kind, length, mask: None };
        let raw = |base: &str| {
            let name = format!("@{base},{},{}", offset.saturating_mul(8), length.saturating_mul(8));
            Held { name, kind: Kind::Bytes, length, mask: None }
        };
        match base {
            Base::Network => {
                // In tables of two families an address of 16 bytes tells which.
                let family = match (self.network.0, length) {
                    (nfproto::INET | nfproto::NETDEV, 16) => nfproto::IPV6,
                    (nfproto::INET | nfproto::NETDEV, _) => nfproto::IPV4,
                    (family, _) => family,
                };
                let piece = self.network.1.take();
                self.drop_piece(piece);
                match (family, offset, length) {
                    (nfproto::IPV4, 12, 1..=4) => field("ip saddr", Kind::Ipv4),
                    (nfproto::IPV4, 16, 1..=4) => field("ip daddr", Kind::Ipv4),
                    (nfproto::IPV4, 9, 1) => field("ip protocol", Kind::Protocol),
                    (nfproto::IPV4, 8, 1) => field("ip ttl", Kind::Number),
                    (nfproto::IPV4, 6, 2) => field("ip frag-off", Kind::Bytes),
                    (nfproto::IPV4, 2, 2) => field("ip length", Kind::Number),
                    (nfproto::IPV6, 8, 1..=16) => field("ip6 saddr", Kind::Ipv6),
                    (nfproto::IPV6, 24, 1..=16) => field("ip6 daddr", Kind::Ipv6),
                    (nfproto::IPV6, 6, 1) => field("ip6 nexthdr", Kind::Protocol),
                    (nfproto::IPV6, 7, 1) => field("ip6 hoplimit", Kind::Number),
                    (nfproto::ARP, 0, 2) => field("arp htype", Kind::Number),
                    (nfproto::ARP, 2, 2) => field("arp ptype", Kind::Bytes),
                    (nfproto::ARP, 4, 1) => field("arp hlen", Kind::Number),
                    (nfproto::ARP, 5, 1) => field("arp plen", Kind::Number),
                    (nfproto::ARP, 6, 2) => field("arp operation", Kind::Operation),
                    (nfproto::ARP, 8, 6) => field("arp saddr ether", Kind::Bytes),
                    (nfproto::ARP, 14, 1..=4) => field("arp saddr ip", Kind::Ipv4),
                    (nfproto::ARP, 18, 6) => field("arp daddr ether", Kind::Bytes),
                    (nfproto::ARP, 24, 1..=4) => field("arp daddr ip", Kind::Ipv4),
                    _ => raw("nh"),
                }
            }
            Base::Transport => {
                let protocol = match self.transport.0 {
                    6 => "tcp",
                    17 => "udp",
                    132 => "sctp",
                    1 => "icmp",
                    58 => "icmpv6",
                    _ => "th",
                };
                if protocol != "th" {
                    let piece = self.transport.1.take();
                    self.drop_piece(piece);
                }
                match (self.transport.0, offset, length) {
                    (1 | 58, 0, 1) => field(&format!("{protocol} type"), Kind::Number),
                    (_, 0, 2) => field(&format!("{protocol} sport"), Kind::Number),
                    (_, 2, 2) => field(&format!("{protocol} dport"), Kind::Number),
                    (6, 13, 1) => field("tcp flags", Kind::Flags),
                    _ => raw("th"),
                }
            }
            Base::Other => raw("ll"),
        }
    }

    fn compare(&mut self, source: Register, operator: Operator, data: &[u8], next: Option<&Expression>) {
        let held = self.held(source, data.len());
        let sign = match operator {
            Operator::Equal => "",
            Operator::NotEqual => "!= ",
            Operator::Less => "< ",
            Operator::AtMost => "<= ",
            Operator::Greater => "> ",
            Operator::AtLeast => ">= ",
        };
        if operator == Operator::AtLeast
            && let Some(Expression::Compare { source: other, operator: Operator::AtMost, data: last }) = next
            && *other == source
        {
            self.skip = true;
            self.push(format!("{} {}-{}", held.name, spelled(held.kind, data), spelled(held.kind, last)));
            return;
        }
        let equal = operator == Operator::Equal;
        let piece = self.pieces.len();
        match (held.kind, data) {
            (Kind::Family, [family]) if equal => self.network = (*family, Some(piece)),
            (Kind::EtherType, [0x08, 0x00]) if equal => self.network = (nfproto::IPV4, Some(piece)),
            (Kind::EtherType, [0x86, 0xdd]) if equal => self.network = (nfproto::IPV6, Some(piece)),
            (Kind::Protocol, [protocol, ..]) if equal => {
                // "ip protocol" says more than "tcp" and stays.
                self.transport = (*protocol, (held.name == "meta l4proto").then_some(piece));
            }
            _ => {}
        }
        let Held { name, kind, length, mask } = held;
        let value = match (&mask, kind) {
            (Some(mask), Kind::Ipv4 | Kind::Ipv6) => match prefix(mask) {
                Some(prefix) => format!("{sign}{}/{prefix}", spelled(kind, data)),
                None => format!("& {} == {sign}{}", spelled(kind, mask), spelled(kind, data)),
            },
            (Some(mask), Kind::Flags | Kind::States) if equal => {
                format!("{} / {}", spelled(kind, data), spelled(kind, mask))
            }
            (Some(mask), Kind::Flags | Kind::States) if operator == Operator::NotEqual && is_zero(data) => {
                spelled(kind, mask)
            }
            (Some(mask), _) => {
                let sign = if equal { "== " } else { sign };
                format!("& {} {sign}{}", spelled(kind, mask), spelled(kind, data))
            }
            // The first bytes of an address are a prefix.
            (None, Kind::Ipv4) if length < 4 => format!("{sign}{}/{}", spelled(kind, data), length * 8),
            (None, Kind::Ipv6) if length < 16 => format!("{sign}{}/{}", spelled(kind, data), length * 8),
            // A name without its final NUL is the beginning of names.
            (None, Kind::Name) if data.last() != Some(&0) && data.len() < 16 => {
                format!("{sign}\"{}*\"", String::from_utf8_lossy(data))
            }
            (None, _) => format!("{sign}{}", spelled(kind, data)),
        };
        self.push(format!("{name} {value}"));
    }

    fn lookup(
        &mut self,
        sets: Option<(&Ruleset, &Chain)>,
        name: &str,
        source: Register,
        target: Option<Target>,
        inverted: bool,
    ) {
        let set =
            sets.and_then(|(ruleset, chain)| ruleset.sets.get(&(chain.family, chain.table.clone(), name.to_owned())));
        let length = set.and_then(|set| set.elements.iter().map(|element| element.key.len()).max()).unwrap_or(0);
        // What lies in the registers that make up the key.
        let (mut parts, mut offset) = (Vec::new(), 0);
        loop {
            let held = self.held(Register(source.0 + offset / 4), length);
            offset += held.length.max(1).next_multiple_of(4);
            parts.push(held);
            if offset >= length || source.0 + offset / 4 >= REGISTERS {
                break;
            }
        }
        if let [Held { kind: Kind::Protocol, .. }] = parts.as_slice() {
            self.transport = (0, None);
        }
        let left: Vec<&str> = parts.iter().map(|held| held.name.as_str()).collect();
        let not = if inverted { "!= " } else { "" };
        let map = match target {
            None => "",
            Some(Target::Verdict) => "vmap ",
            Some(Target::Data(_)) => "map ",
        };
        let right = match set {
            Some(set) if name.starts_with("__") => elements(set, &parts),
            _ => format!("@{name}"),
        };
        let text = format!("{} {not}{map}{right}", left.join(" . "));
        match target {
            Some(Target::Data(register)) => {
                if let Some(place) = self.values.get_mut(register.0) {
                    *place = None;
                }
                self.hold(register, Held { name: text, kind: Kind::Bytes, length: 4, mask: None });
            }
            _ => self.push(text),
        }
    }

    fn xt_match(&mut self, content: &xt::Match) {
        let protocol = match self.transport.0 {
            6 => "tcp",
            17 => "udp",
            132 => "sctp",
            _ => "th",
        };
        if protocol != "th"
            && let xt::Match::Ports { .. } | xt::Match::AnyPort { .. } | xt::Match::TcpFlags { .. } = content
        {
            let piece = self.transport.1.take();
            self.drop_piece(piece);
        }
        let not = |inverted: bool| if inverted { "!= " } else { "" };
        let ports = |name: &str, range: &xt::PortRange| match (range.from, range.to, range.inverted) {
            (0, u16::MAX, false) => String::new(),
            (from, to, inverted) if from == to => format!("{protocol} {name} {}{from}", not(inverted)),
            (from, to, inverted) => format!("{protocol} {name} {}{from}-{to}", not(inverted)),
        };
        let text = match content {
            xt::Match::Comment => String::new(),
            xt::Match::State { states, inverted } => {
                let names = [(1, "invalid"), (2, "established"), (4, "related"), (8, "new")];
                let more = [(xt::STATE_DNAT, "dnat"), (xt::STATE_UNTRACKED, "untracked")];
                let names = names.iter().chain(&more).filter(|(bit, _)| states & bit != 0).map(|(_, name)| *name);
                format!("ct state {}{}", not(*inverted), names.collect::<Vec<_>>().join(","))
            }
            xt::Match::Ports { source, destination } => {
                [ports("sport", source), ports("dport", destination)].join(" ").trim().to_owned()
            }
            xt::Match::AnyPort { which, ranges, inverted } => {
                let name = match which {
                    xt::Which::Source => "sport",
                    xt::Which::Destination => "dport",
                    xt::Which::Either => "sport or dport",
                };
                let range = |&(from, to): &(u16, u16)| match from == to {
                    true => from.to_string(),
                    false => format!("{from}-{to}"),
                };
                let ranges: Vec<String> = ranges.iter().map(range).collect();
                format!("{protocol} {name} {}{{ {} }}", not(*inverted), ranges.join(", "))
            }
            xt::Match::TcpFlags { ports: (source, destination), mask, flags, inverted } => {
                let set = match mask {
                    0 => String::new(),
                    mask => format!(
                        "tcp flags {}{} / {}",
                        not(*inverted),
                        spelled(Kind::Flags, &[*flags]),
                        spelled(Kind::Flags, &[*mask])
                    ),
                };
                let parts = [ports("sport", source), ports("dport", destination), set];
                parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
            }
            xt::Match::Mark { mark, mask, inverted } => match *mask {
                u32::MAX => format!("meta mark {}{mark:#x}", not(*inverted)),
                mask => format!("meta mark & {mask:#x} {} {mark:#x}", if *inverted { "!=" } else { "==" }),
            },
            xt::Match::Addresses { source, destination } => {
                let size = if self.network.0 == nfproto::IPV6 { 16 } else { 4 };
                let kind = if size == 16 { Kind::Ipv6 } else { Kind::Ipv4 };
                let family = if size == 16 { "ip6" } else { "ip" };
                let range = |name: &str, range: &Option<xt::AddressRange>| {
                    let xt::AddressRange { from, to, inverted } = range.as_ref()?;
                    let (from, to) = (from.get(..size)?, to.get(..size)?);
                    Some(format!("{family} {name} {}{}-{}", not(*inverted), spelled(kind, from), spelled(kind, to)))
                };
                let ranges = [range("saddr", source), range("daddr", destination)];
                ranges.into_iter().flatten().collect::<Vec<_>>().join(" ")
            }
            xt::Match::DestinationType { mask, inverted } => match *mask {
                4 => format!("fib daddr type {}local", not(*inverted)),
                mask => format!("fib daddr type {}{mask:#x}", not(*inverted)),
            },
            xt::Match::PacketType { kind, inverted } => {
                let kind = u8::try_from(*kind).unwrap_or(u8::MAX);
                format!("meta pkttype {}{}", not(*inverted), spelled(Kind::Packet, &[kind]))
            }
            xt::Match::Other(name) => format!("xt match {name}"),
        };
        self.push(text);
    }

    fn xt_target(&mut self, content: &xt::Target) {
        let text = match content {
            xt::Target::Reject => "reject".to_owned(),
            xt::Target::Continue(name) => name.to_lowercase(),
            xt::Target::Mark { bits, mask: u32::MAX } => format!("meta mark set {bits:#x}"),
            xt::Target::Mark { bits, mask } => format!("meta mark set meta mark & {:#x} ^ {bits:#x}", !mask),
            xt::Target::AnyMark => "xt target CONNMARK".to_owned(),
            xt::Target::NoTrack => "notrack".to_owned(),
            xt::Target::Destination { address, port } => {
                let address = address.map(|address| match address.is_ipv6() {
                    true => format!("[{address}]"),
                    false => address.to_string(),
                });
                format!("dnat to {}", endpoint(address, port.map(|port| port.to_string())))
            }
            xt::Target::Redirect { port: None } => "redirect".to_owned(),
            xt::Target::Redirect { port: Some(port) } => format!("redirect to :{port}"),
            xt::Target::Source => "snat".to_owned(),
            xt::Target::Mangle { source, target, then } => {
                let mut text = String::new();
                for (name, address) in [("saddr", source), ("daddr", target)] {
                    if let Some(address) = address {
                        let _ = write!(text, "arp {name} ip set {address} ");
                    }
                }
                text + match then {
                    xt::Then::Accept => "accept",
                    xt::Then::Drop => "drop",
                    xt::Then::Continue => "continue",
                }
            }
            xt::Target::Other(name) => format!("xt target {name}"),
        };
        self.push(text);
    }
}

fn meta_key(key: u32) -> (String, Kind) {
    let (name, kind) = match key {
        meta::PROTOCOL => ("meta protocol", Kind::EtherType),
        meta::MARK => ("meta mark", Kind::Mark),
        meta::IIF => ("iif", Kind::HostNumber),
        meta::OIF => ("oif", Kind::HostNumber),
        meta::IIFNAME => ("iifname", Kind::Name),
        meta::OIFNAME => ("oifname", Kind::Name),
        meta::NFPROTO => ("meta nfproto", Kind::Family),
        meta::L4PROTO => ("meta l4proto", Kind::Protocol),
        meta::PKTTYPE => ("meta pkttype", Kind::Packet),
        0 => ("meta length", Kind::HostNumber),
        2 => ("meta priority", Kind::HostNumber),
        10 => ("meta skuid", Kind::HostNumber),
        11 => ("meta skgid", Kind::HostNumber),
        12 => ("meta nftrace", Kind::HostNumber),
        23 => ("meta cgroup", Kind::HostNumber),
        30 => ("meta time", Kind::Bytes),
        31 => ("meta day", Kind::Bytes),
        32 => ("meta hour", Kind::Bytes),
        key => return (format!("meta key {key}"), Kind::Bytes),
    };
    (name.to_owned(), kind)
}

fn ct_key(key: u32) -> (String, Kind) {
    let (name, kind) = match key {
        ct::STATE => ("ct state", Kind::States),
        ct::DIRECTION => ("ct direction", Kind::Number),
        ct::STATUS => ("ct status", Kind::Mark),
        ct::MARK => ("ct mark", Kind::Mark),
        5 => ("ct expiration", Kind::HostNumber),
        6 => ("ct helper", Kind::Bytes),
        7 => ("ct l3proto", Kind::Family),
        8 | 19 | 21 => ("ct original saddr", Kind::Bytes),
        9 | 20 | 22 => ("ct original daddr", Kind::Bytes),
        10 => ("ct protocol", Kind::Protocol),
        11 => ("ct original proto-src", Kind::Number),
        12 => ("ct original proto-dst", Kind::Number),
        13 => ("ct label", Kind::Bytes),
        14 => ("ct packets", Kind::Bytes),
        15 => ("ct bytes", Kind::Bytes),
        17 => ("ct zone", Kind::HostNumber),
        key => return (format!("ct key {key}"), Kind::Bytes),
    };
    (name.to_owned(), kind)
}

fn verdict(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Continue => "continue".to_owned(),
        Verdict::Break => "break".to_owned(),
        Verdict::Accept => "accept".to_owned(),
        Verdict::Drop => "drop".to_owned(),
        Verdict::Elsewhere => "queue".to_owned(),
        Verdict::Jump(chain) => format!("jump {chain}"),
        Verdict::Goto(chain) => format!("goto {chain}"),
        Verdict::Return => "return".to_owned(),
    }
}

fn endpoint(address: Option<String>, port: Option<String>) -> String {
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    address.unwrap_or_default() + &port
}

/// The elements of a set without a name.
fn elements(set: &Set, parts: &[Held]) -> String {
    let shown = set.elements.iter().enumerate().filter(|(_, element)| !element.ends_range);
    let mut texts: Vec<String> = Vec::new();
    for (index, element) in shown {
        if texts.len() == ELEMENTS {
            texts.push("…".to_owned());
            break;
        }
        let mut text = match (element.catches_all, &element.end, set.interval && set.fields.is_empty()) {
            (true, ..) => "*".to_owned(),
            (_, Some(end), _) if *end != element.key => keys(&element.key, end, parts),
            (_, None, true) => {
                let kind = parts.first().map_or(Kind::Bytes, |held| held.kind);
                range(kind, element, set.elements.get(index + 1))
            }
            _ => keys(&element.key, &element.key, parts),
        };
        match &element.data {
            Some(Data::Verdict(content)) => {
                text.push_str(" : ");
                text.push_str(&verdict(content));
            }
            Some(Data::Value(content)) => {
                text.push_str(" : ");
                text.push_str(&spelled(Kind::Bytes, content));
            }
            None => {}
        }
        texts.push(text);
    }
    format!("{{ {} }}", texts.join(", "))
}

/// A key of several parts, or the range from one to another.
fn keys(from: &[u8], to: &[u8], parts: &[Held]) -> String {
    let mut offset = 0;
    let mut texts = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        let rest = from.len().saturating_sub(offset);
        let length = if index + 1 == parts.len() && part.length > rest { rest } else { part.length.min(rest) };
        // A single part is all there is.
        let length = if parts.len() == 1 { from.len() } else { length };
        let (Some(one), Some(other)) = (from.get(offset..offset + length), to.get(offset..offset + length)) else {
            break;
        };
        texts.push(match one == other {
            true => spelled(part.kind, one),
            false => format!("{}-{}", spelled(part.kind, one), spelled(part.kind, other)),
        });
        offset += length.next_multiple_of(4);
    }
    texts.join(" . ")
}

/// A range that goes up to the next element.
fn range(kind: Kind, element: &Element, next: Option<&Element>) -> String {
    let from = &element.key;
    let Some(to) = next.map(|next| before(&next.key)) else { return format!("{}-", spelled(kind, from)) };
    if *from == to {
        return spelled(kind, from);
    }
    // A prefix is where the range has the same first bits, then zeros in the one end and ones in the other.
    let mask: Vec<u8> = from.iter().zip(&to).map(|(from, to)| !(from ^ to)).collect();
    let whole = from.iter().zip(&to).zip(&mask).all(|((from, to), mask)| from & !mask == 0 && to | mask == 0xff);
    match (whole, prefix(&mask), kind) {
        (true, Some(prefix), Kind::Ipv4 | Kind::Ipv6) => format!("{}/{prefix}", spelled(kind, from)),
        _ => format!("{}-{}", spelled(kind, from), spelled(kind, &to)),
    }
}

/// The number before this one.
fn before(number: &[u8]) -> Vec<u8> {
    let mut number = number.to_vec();
    for byte in number.iter_mut().rev() {
        let (less, borrow) = byte.overflowing_sub(1);
        *byte = less;
        if !borrow {
            break;
        }
    }
    number
}

/// How many ones a mask begins with, if only zeros follow.
fn prefix(mask: &[u8]) -> Option<u32> {
    let ones: u32 = mask.iter().map(|byte| byte.count_ones()).sum();
    let mut left = ones;
    for &byte in mask {
        let here = left.min(8);
        left -= here;
        // The upper `here` bits.
        if u32::from(byte) != (0xff00_u32 >> here) & 0xff {
            return None;
        }
    }
    Some(ones)
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == 0)
}

/// A value.
fn spelled(kind: Kind, bytes: &[u8]) -> String {
    let host = || match bytes.first_chunk::<4>() {
        Some(bytes) => u32::from_ne_bytes(*bytes),
        None => bytes.first().copied().map_or(0, u32::from),
    };
    match kind {
        Kind::Ipv4 if bytes.len() <= 4 => {
            let mut octets = [0; 4];
            octets[..bytes.len()].copy_from_slice(bytes);
            Ipv4Addr::from(octets).to_string()
        }
        Kind::Ipv6 if bytes.len() <= 16 => {
            let mut octets = [0; 16];
            octets[..bytes.len()].copy_from_slice(bytes);
            Ipv6Addr::from(octets).to_string()
        }
        Kind::Number if bytes.len() <= 8 => {
            bytes.iter().fold(0_u64, |number, &byte| number << 8 | u64::from(byte)).to_string()
        }
        Kind::HostNumber => host().to_string(),
        Kind::Mark => format!("{:#x}", host()),
        Kind::Protocol => match bytes.first() {
            Some(1) => "icmp".to_owned(),
            Some(6) => "tcp".to_owned(),
            Some(17) => "udp".to_owned(),
            Some(58) => "icmpv6".to_owned(),
            Some(132) => "sctp".to_owned(),
            number => number.copied().unwrap_or(0).to_string(),
        },
        Kind::Family => match bytes.first() {
            Some(&nfproto::IPV4) => "ipv4".to_owned(),
            Some(&nfproto::IPV6) => "ipv6".to_owned(),
            number => number.copied().unwrap_or(0).to_string(),
        },
        Kind::EtherType => match bytes {
            [0x08, 0x00] => "ip".to_owned(),
            [0x86, 0xdd] => "ip6".to_owned(),
            [0x08, 0x06] => "arp".to_owned(),
            bytes => spelled(Kind::Bytes, bytes),
        },
        Kind::Name => {
            let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
            format!("\"{}\"", String::from_utf8_lossy(&bytes[..end]))
        }
        Kind::States => {
            bits(host(), &[(1, "invalid"), (2, "established"), (4, "related"), (8, "new"), (64, "untracked")])
        }
        Kind::Flags => bits(
            bytes.first().copied().map_or(0, u32::from),
            &[(1, "fin"), (2, "syn"), (4, "rst"), (8, "psh"), (16, "ack"), (32, "urg"), (64, "ecn"), (128, "cwr")],
        ),
        Kind::Route => match host() {
            1 => "unicast".to_owned(),
            2 => "local".to_owned(),
            3 => "broadcast".to_owned(),
            5 => "multicast".to_owned(),
            number => number.to_string(),
        },
        Kind::Packet => match bytes.first() {
            Some(0) => "host".to_owned(),
            Some(1) => "broadcast".to_owned(),
            Some(2) => "multicast".to_owned(),
            number => number.copied().unwrap_or(0).to_string(),
        },
        Kind::Operation => match bytes {
            [0, 1] => "request".to_owned(),
            [0, 2] => "reply".to_owned(),
            bytes => spelled(Kind::Number, bytes),
        },
        _ => bytes.iter().fold("0x".to_owned(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        }),
    }
}

/// The names of the bits that are set.
fn bits(value: u32, names: &[(u32, &str)]) -> String {
    let set: Vec<&str> = names.iter().filter(|(bit, _)| value & bit != 0).map(|(_, name)| *name).collect();
    let known = names.iter().fold(0, |known, (bit, _)| known | bit);
    match set.is_empty() || value & !known != 0 {
        true => format!("{value:#x}"),
        false => set.join(","),
    }
}
