//! Reading the rules from the kernel, over netfilter's netlink.

use std::{fmt, fs, io};

use neli::consts::nl::NlmF;
use neli::consts::socket::NlFamily;
use nix::errno::Errno;

use super::numbers::{SUBSYSTEM, elements, message};
use super::ruleset::Ruleset;
use crate::kernel::Error;
use crate::kernel::socket::{Part, Socket};
use crate::kernel::verdict::{Verdict, verdict};
use crate::kernel::wire::{Message, Messages, WireError, Writer};

/// How often rules that change under our eyes are read again.
const TRIES: u32 = 16;

/// Why the rules are not known.
#[derive(Debug)]
pub enum Unreadable {
    /// Only who has `CAP_NET_ADMIN` may read them.
    NotPermitted,
    /// The kernel has no nf_tables.
    NoNftables,
    /// They kept changing.
    Unsettled,
    /// Netlink failed, or the answer makes no sense.
    Failed(Error),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPermitted => f.write_str("reading the packet filter takes root (CAP_NET_ADMIN)"),
            Self::NoNftables => f.write_str("the kernel has no nf_tables"),
            Self::Unsettled => f.write_str("the packet filter keeps changing while it is read; try again"),
            Self::Failed(error) => write!(f, "the packet filter cannot be read: {error}"),
        }
    }
}

impl std::error::Error for Unreadable {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Failed(error) => Some(error),
            _ => None,
        }
    }
}

impl From<WireError> for Unreadable {
    fn from(error: WireError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<Error> for Unreadable {
    fn from(error: Error) -> Self {
        match error {
            Error::Unsettled => Self::Unsettled,
            // Without NETLINK_NETFILTER there is no nf_tables either.
            Error::Socket { ref source, .. } if source.raw_os_error() == Some(Errno::EPROTONOSUPPORT as i32) => {
                Self::NoNftables
            }
            error => Self::Failed(error),
        }
    }
}

/// The rules of the network namespace we are in.
///
/// # Errors
/// They cannot be read, and why.
pub fn ruleset() -> Result<Ruleset, Unreadable> {
    let mut reader = Reader { socket: Socket::open(NlFamily::Netfilter, Part::Most)?, sequence: 1 };
    for _ in 0..TRIES {
        match reader.ruleset() {
            Err(Unreadable::Unsettled) => {}
            outcome => return outcome,
        }
    }
    Err(Unreadable::Unsettled)
}

struct Reader {
    socket: Socket,
    sequence: u32,
}

impl Reader {
    /// All of it, as it stood between two changes.
    fn ruleset(&mut self) -> Result<Ruleset, Unreadable> {
        let before = self.generation()?;
        let mut ruleset = Ruleset::default();
        for kind in [message::GETTABLE, message::GETCHAIN, message::GETRULE, message::GETSET] {
            self.ask(kind, NlmF::DUMP, 0, &[], |message| ruleset.add(message))?;
        }
        for (family, table, set) in ruleset.sets_in_use() {
            let attributes = [(elements::TABLE, table.as_bytes()), (elements::SET, set.as_bytes())];
            let kind = message::GETSETELEM;
            match self.ask(kind, NlmF::DUMP, family.number(), &attributes, |message| ruleset.add(message)) {
                // It has gone since.
                Err(Failure::Refused(Errno::ENOENT)) => return Err(Unreadable::Unsettled),
                done => done?,
            }
        }
        if self.generation()? != before {
            return Err(Unreadable::Unsettled);
        }
        ruleset.finish();
        Ok(ruleset)
    }

    /// The number of the last change, as bytes.
    fn generation(&mut self) -> Result<Vec<u8>, Unreadable> {
        let mut generation = Vec::new();
        self.ask(message::GETGEN, NlmF::ACK, 0, &[], |message| {
            generation = message.payload.to_vec();
            Ok(())
        })?;
        Ok(generation)
    }

    /// Ask, and hand on every message of the answer.
    fn ask(
        &mut self,
        kind: u16,
        flags: NlmF,
        family: u8,
        attributes: &[(u16, &[u8])],
        mut take: impl FnMut(&Message<'_>) -> Result<(), WireError>,
    ) -> Result<(), Failure> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut writer = Writer::with_capacity(512);
        // struct nfgenmsg: the family, NFNETLINK_V0, and a resource number that nf_tables does not use.
        let header = [family, 0, 0, 0];
        let message = writer.begin_with(SUBSYSTEM | kind, (NlmF::REQUEST | flags).bits(), self.sequence, header);
        for (kind, text) in attributes {
            writer.string(*kind, text);
        }
        writer.end(message);
        self.socket.send(writer.as_bytes())?;
        let mut settled = true;
        let mut wrong = None;
        loop {
            for message in Messages::new(self.socket.receive()?) {
                let message = message?;
                if message.sequence != self.sequence {
                    continue;
                }
                settled &= message.flags & NlmF::DUMP_INTR.bits() == 0;
                match verdict(&message)? {
                    // A dump is read to its end all the same: the socket serves one at a time.
                    Verdict::Payload => wrong = wrong.or(take(&message).err()),
                    Verdict::Nothing => {}
                    Verdict::Refused { errno, .. } => return Err(Failure::Refused(errno)),
                    Verdict::End => {
                        return match wrong {
                            Some(error) if settled => Err(error.into()),
                            _ if settled => Ok(()),
                            _ => Err(Failure::Other(Unreadable::Unsettled)),
                        };
                    }
                }
            }
        }
    }
}

/// What became of a question.
enum Failure {
    Refused(Errno),
    Other(Unreadable),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Other(error.into())
    }
}

impl From<WireError> for Failure {
    fn from(error: WireError) -> Self {
        Self::Other(error.into())
    }
}

impl From<Failure> for Unreadable {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Other(unreadable) => unreadable,
            Failure::Refused(Errno::EPERM) => Self::NotPermitted,
            // What nfnetlink says when nobody serves the subsystem.
            Failure::Refused(Errno::EINVAL | Errno::EOPNOTSUPP) => Self::NoNftables,
            Failure::Refused(errno) => {
                Self::Failed(Error::Socket { doing: "reading the packet filter", source: errno.into() })
            }
        }
    }
}

/// The tables of the older iptables, ip6tables and arptables that are in use; netlink does not show what is in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Legacy {
    /// `/proc/net/ip_tables_names`.
    pub ip: Vec<String>,
    /// `/proc/net/ip6_tables_names`.
    pub ip6: Vec<String>,
    /// `/proc/net/arp_tables_names`.
    pub arp: Vec<String>,
}

impl Legacy {
    /// Those of the network namespace we are in. A file that is not there says that there are none; root alone may read
    /// them, as the rules.
    ///
    /// # Errors
    /// A file is there and cannot be read.
    pub fn read() -> Result<Self, Unreadable> {
        Ok(Self { ip: names("ip_tables_names")?, ip6: names("ip6_tables_names")?, arp: names("arp_tables_names")? })
    }
}

fn names(file: &str) -> Result<Vec<String>, Unreadable> {
    // /proc/net is that of the process, and a thread may be in another namespace.
    match fs::read_to_string(format!("/proc/thread-self/net/{file}")) {
        Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(Unreadable::NotPermitted),
        Err(source) => Err(Unreadable::Failed(Error::Socket { doing: "/proc/net/ip_tables_names", source })),
    }
}
