//! A rule's expressions: the small programs that the kernel runs on packets, from netlink's bytes to typed values.
//!
//! What is not known here, or is laid out otherwise than expected, becomes [`Expression::Unknown`]: rules of newer kernels
//! must not make the rest unreadable.

use crate::numbers::{data as d, expression as e, verdict as v};
use crate::xt;
use netlink_exchange::{Attribute, Attributes, WireError};

/// Where in the kernel's registers a value begins, in 32-bit words. All the registers are [`REGISTERS`] words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Register(pub usize);

/// `NFT_REG32_COUNT`: the words of data.
pub const REGISTERS: usize = 16;

/// Where a load or a lookup puts what it finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Into the verdict (`NFT_REG_VERDICT`).
    Verdict,
    /// Into data registers.
    Data(Register),
}

/// `NFTA_PAYLOAD_BASE`: which header an offset counts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// The network header: IPv4, IPv6 or ARP.
    Network,
    /// The transport header.
    Transport,
    /// The link layer's or an inner one, of which nothing is known.
    Other,
}

/// A verdict as it stands in a rule or a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on, with the next expression.
    Continue,
    /// Go on, with the next rule.
    Break,
    /// Done with this base chain.
    Accept,
    /// Done with the packet.
    Drop,
    /// A program decides, or another part of the kernel took the packet.
    Elsewhere,
    /// Into another chain, and back.
    Jump(String),
    /// Into another chain.
    Goto(String),
    /// Back.
    Return,
}

/// A value, or a verdict: the content of `NFTA_DATA_*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// Bytes.
    Value(Vec<u8>),
    /// A verdict.
    Verdict(Verdict),
}

/// `NFT_CMP_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
}

/// One step of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    /// Load bytes of a header.
    Payload { target: Register, base: Base, offset: usize, length: usize },
    /// Write into a header.
    PayloadWrite { source: Register, base: Base, offset: usize, length: usize },
    /// Load what the kernel knows about the packet (`NFT_META_*`).
    Meta { target: Register, key: u32 },
    /// Change it.
    MetaWrite { source: Register, key: u32 },
    /// Load a fact of the connection (`NFT_CT_*`).
    Ct { target: Register, key: u32 },
    /// Change it.
    CtWrite { source: Register, key: u32 },
    /// Ask the routing tables (`fib`); `local` if the question is of which type the packet's destination is.
    Fib { target: Register, local: bool },
    /// Go on if this holds.
    Compare { source: Register, operator: Operator, data: Vec<u8> },
    /// Go on if the value is in this range, or is not if `inverted`.
    Range { source: Register, inverted: bool, from: Vec<u8>, to: Vec<u8> },
    /// `target = (source & mask) ^ flip`.
    Bitwise { source: Register, target: Register, mask: Vec<u8>, flip: Vec<u8> },
    /// From network to host order or back, in groups of `size` bytes.
    ByteOrder { source: Register, target: Register, length: usize, size: usize },
    /// Go on if the value is in the set, or is not if `inverted`; what a map has for it goes to `target`.
    Lookup { set: String, source: Register, target: Option<Target>, inverted: bool },
    /// Load a constant.
    Value { target: Register, data: Vec<u8> },
    /// A verdict.
    Verdict(Verdict),
    /// Drop, with an answer to the sender.
    Reject,
    /// Translate the destination address and port to those in these registers.
    DestinationNat { address: Option<Register>, port: Option<Register> },
    /// Translate the source address, one way or the other; done with this base chain.
    SourceNat,
    /// Take the packet to this machine itself, to the port in the register.
    Redirect { port: Option<Register> },
    /// Let the packet go without connection tracking.
    NoTrack,
    /// Something that decides nothing: `counter`, `log`, …
    Ignored,
    /// A match of iptables.
    Match(xt::Match),
    /// A target of iptables.
    Target(xt::Target),
    /// Another program or another part of the kernel decides: `queue`, `synproxy`, …
    Elsewhere(String),
    /// Something else, which may match or not and load anything.
    Unknown(String),
}

impl Expression {
    /// One expression, from an element of `NFTA_RULE_EXPRESSIONS`.
    ///
    /// # Errors
    /// The element itself is broken; not what it holds.
    pub fn decode(attribute: &Attribute<'_>) -> Result<Self, WireError> {
        let mut name = String::new();
        let mut content = Attributes::new(&[]);
        for attribute in attribute.nested() {
            let attribute = attribute?;
            match attribute.kind {
                e::NAME => name = text(&attribute),
                e::DATA => content = attribute.nested(),
                _ => {}
            }
        }
        Ok(Content::read(content).and_then(|content| content.expression(&name)).unwrap_or(Self::Unknown(name)))
    }
}

/// The attributes of one expression, by number.
struct Content<'a>(Vec<Attribute<'a>>);

impl<'a> Content<'a> {
    fn read(attributes: Attributes<'a>) -> Option<Self> {
        attributes.collect::<Result<_, _>>().ok().map(Self)
    }

    fn find(&self, kind: u16) -> Option<&Attribute<'a>> {
        self.0.iter().find(|attribute| attribute.kind == kind)
    }

    fn number(&self, kind: u16) -> Option<u32> {
        be32(self.find(kind)?)
    }

    fn size(&self, kind: u16) -> Option<usize> {
        self.number(kind).and_then(|number| usize::try_from(number).ok())
    }

    fn register(&self, kind: u16) -> Option<Register> {
        match self.target(kind)? {
            Target::Data(register) => Some(register),
            Target::Verdict => None,
        }
    }

    /// A register by its number (`nft_parse_register`): 0 is the verdict, 1 to 4 are of 16 bytes, 8 to 23 of 4.
    fn target(&self, kind: u16) -> Option<Target> {
        match self.size(kind)? {
            0 => Some(Target::Verdict),
            number @ 1..=4 => Some(Target::Data(Register((number - 1) * 4))),
            number @ 8..=23 => Some(Target::Data(Register(number - 8))),
            _ => None,
        }
    }

    fn value(&self, kind: u16) -> Option<Vec<u8>> {
        match Data::decode(self.find(kind)?).ok()? {
            Data::Value(bytes) => Some(bytes),
            Data::Verdict(_) => None,
        }
    }

    /// The expression of this name; `None` if it is not laid out as expected.
    fn expression(&self, name: &str) -> Option<Expression> {
        Some(match name {
            "payload" => {
                let base = match self.number(e::PAYLOAD_BASE)? {
                    1 => Base::Network,
                    2 => Base::Transport,
                    _ => Base::Other,
                };
                let (offset, length) = (self.size(e::PAYLOAD_OFFSET)?, self.size(e::PAYLOAD_LEN)?);
                (offset.max(length) <= usize::from(u16::MAX)).then_some(())?;
                match self.find(e::PAYLOAD_SREG) {
                    Some(_) => {
                        Expression::PayloadWrite { source: self.register(e::PAYLOAD_SREG)?, base, offset, length }
                    }
                    None => Expression::Payload { target: self.register(e::PAYLOAD_DREG)?, base, offset, length },
                }
            }
            "meta" => {
                let key = self.number(e::META_KEY)?;
                match self.find(e::META_SREG) {
                    Some(_) => Expression::MetaWrite { source: self.register(e::META_SREG)?, key },
                    None => Expression::Meta { target: self.register(e::META_DREG)?, key },
                }
            }
            "ct" => {
                let key = self.number(e::CT_KEY)?;
                match self.find(e::CT_SREG) {
                    Some(_) => Expression::CtWrite { source: self.register(e::CT_SREG)?, key },
                    None => Expression::Ct { target: self.register(e::CT_DREG)?, key },
                }
            }
            "fib" => Expression::Fib {
                target: self.register(e::FIB_DREG)?,
                local: self.number(e::FIB_RESULT)? == e::FIB_ADDRTYPE && self.number(e::FIB_FLAGS)? == e::FIB_DADDR,
            },
            "cmp" => Expression::Compare {
                source: self.register(e::CMP_SREG)?,
                operator: match self.number(e::CMP_OP)? {
                    0 => Operator::Equal,
                    1 => Operator::NotEqual,
                    2 => Operator::Less,
                    3 => Operator::AtMost,
                    4 => Operator::Greater,
                    5 => Operator::AtLeast,
                    _ => return None,
                },
                data: self.value(e::CMP_DATA)?,
            },
            "range" => {
                let (from, to) = (self.value(e::RANGE_FROM)?, self.value(e::RANGE_TO)?);
                let inverted = match self.number(e::RANGE_OP)? {
                    0 => false,
                    1 => true,
                    _ => return None,
                };
                (from.len() == to.len()).then_some(())?;
                Expression::Range { source: self.register(e::RANGE_SREG)?, inverted, from, to }
            }
            "bitwise" => {
                // Shifts, and the operations on two registers of newer kernels, are other numbers.
                (self.number(e::BITWISE_OP).unwrap_or(0) == 0).then_some(())?;
                let (mask, flip) = (self.value(e::BITWISE_MASK)?, self.value(e::BITWISE_XOR)?);
                let length = self.size(e::BITWISE_LEN)?;
                (mask.len() == length && flip.len() == length).then_some(())?;
                let (source, target) = (self.register(e::BITWISE_SREG)?, self.register(e::BITWISE_DREG)?);
                Expression::Bitwise { source, target, mask, flip }
            }
            "byteorder" => Expression::ByteOrder {
                source: self.register(e::BYTEORDER_SREG)?,
                target: self.register(e::BYTEORDER_DREG)?,
                length: self.size(e::BYTEORDER_LEN).filter(|&length| length <= REGISTERS * 4)?,
                size: self.size(e::BYTEORDER_SIZE)?,
            },
            "lookup" => Expression::Lookup {
                set: text(self.find(e::LOOKUP_SET)?),
                source: self.register(e::LOOKUP_SREG)?,
                target: match self.find(e::LOOKUP_DREG) {
                    Some(_) => Some(self.target(e::LOOKUP_DREG)?),
                    None => None,
                },
                inverted: self.number(e::LOOKUP_FLAGS).unwrap_or(0) & e::LOOKUP_INVERTED != 0,
            },
            "immediate" => match Data::decode(self.find(e::IMMEDIATE_DATA)?).ok()? {
                Data::Verdict(verdict) => Expression::Verdict(verdict),
                Data::Value(data) => Expression::Value { target: self.register(e::IMMEDIATE_DREG)?, data },
            },
            "reject" => Expression::Reject,
            "nat" if self.number(e::NAT_TYPE)? == e::NAT_DNAT => Expression::DestinationNat {
                address: self.optional_register(e::NAT_REG_ADDR_MIN)?,
                port: self.optional_register(e::NAT_REG_PROTO_MIN)?,
            },
            "nat" | "masq" => Expression::SourceNat,
            "redir" => Expression::Redirect { port: self.optional_register(e::REDIR_REG_PROTO_MIN)? },
            "notrack" => Expression::NoTrack,
            "counter" | "log" | "last" | "dup" | "flow_offload" => Expression::Ignored,
            // Counters, helpers, timeouts, marks of SELinux, expectations; not quotas, limits, and the like.
            "objref" if matches!(self.number(e::OBJREF_IMM_TYPE)?, 1 | 3 | 7 | 8 | 9) => Expression::Ignored,
            "match" => Expression::Match(xt::Match::decode(
                &text(self.find(e::XT_NAME)?),
                self.number(e::XT_REV)?,
                self.find(e::XT_INFO)?.payload,
            )),
            "target" => Expression::Target(xt::Target::decode(
                &text(self.find(e::XT_NAME)?),
                self.number(e::XT_REV)?,
                self.find(e::XT_INFO)?.payload,
            )),
            "queue" | "synproxy" | "tproxy" | "fwd" => Expression::Elsewhere(name.to_owned()),
            _ => return None,
        })
    }

    fn optional_register(&self, kind: u16) -> Option<Option<Register>> {
        match self.find(kind) {
            Some(_) => self.register(kind).map(Some),
            None => Some(None),
        }
    }
}

impl Data {
    /// A value or a verdict, from `NFTA_DATA_*`.
    ///
    /// # Errors
    /// It is neither, or broken.
    pub fn decode(attribute: &Attribute<'_>) -> Result<Self, WireError> {
        for attribute in attribute.nested() {
            let attribute = attribute?;
            match attribute.kind {
                d::VALUE => return Ok(Self::Value(attribute.payload.to_vec())),
                d::VERDICT => return Verdict::decode(&attribute).map(Self::Verdict),
                _ => {}
            }
        }
        Err(WireError::Missing("a value"))
    }
}

impl Verdict {
    fn decode(attribute: &Attribute<'_>) -> Result<Self, WireError> {
        let mut code = None;
        let mut chain = String::new();
        for attribute in attribute.nested() {
            let attribute = attribute?;
            match attribute.kind {
                d::VERDICT_CODE => code = Some(attribute.array("a verdict").map(i32::from_be_bytes)?),
                d::VERDICT_CHAIN => chain = text(&attribute),
                _ => {}
            }
        }
        Ok(match code.ok_or(WireError::Missing("a verdict"))? {
            v::CONTINUE => Self::Continue,
            v::BREAK => Self::Break,
            v::JUMP => Self::Jump(chain),
            v::GOTO => Self::Goto(chain),
            v::RETURN => Self::Return,
            // The upper bits hold a queue's number or an error's.
            code => match code & v::MASK {
                v::DROP => Self::Drop,
                v::ACCEPT => Self::Accept,
                v::STOLEN | v::QUEUE => Self::Elsewhere,
                _ => return Err(WireError::Value { what: "a verdict", value: u64::from(code.cast_unsigned()) }),
            },
        })
    }
}

/// A string; what is not UTF-8 in it is replaced.
pub(super) fn text(attribute: &Attribute<'_>) -> String {
    String::from_utf8_lossy(attribute.string()).into_owned()
}

/// A 32-bit number in network order, as all of nf_tables' are; `None` if it is of another size.
pub(super) fn be32(attribute: &Attribute<'_>) -> Option<u32> {
    attribute.array("a number").ok().map(u32::from_be_bytes)
}
