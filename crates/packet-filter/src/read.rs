//! Reading the rules from the kernel, over netfilter's netlink.

use std::{fmt, fs, io};

use netlink_exchange::{
    Connection, Errno, Error, Message, Next, Part, Protocol, Request, WireError, Writer, flag, system_message,
};

use crate::numbers::{SUBSYSTEM, elements, message};
use crate::ruleset::Ruleset;

/// How often rules that change under our eyes are read again.
const TRIES: u32 = 16;

/// Why the rules are not known.
#[derive(Debug)]
#[non_exhaustive]
pub enum Unreadable {
    /// Only a process with `CAP_NET_ADMIN` may read them.
    NotPermitted,
    /// The kernel has no nf_tables.
    NoNftables,
    /// They kept changing.
    Unsettled,
    /// The kernel refused, netlink failed, or the answer makes no sense.
    Netlink(Error),
    /// A file that lists the tables of the older iptables cannot be read.
    File(&'static str, io::Error),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPermitted => f.write_str("reading the packet filter takes root (CAP_NET_ADMIN)"),
            Self::NoNftables => f.write_str("the kernel has no nf_tables"),
            Self::Unsettled => f.write_str("the packet filter keeps changing while it is read; try again"),
            Self::Netlink(error) => write!(f, "the packet filter cannot be read: {error}"),
            Self::File(file, error) => write!(f, "{file}: {}", system_message(error)),
        }
    }
}

// Its text has the cause, so it has no source: it would be printed twice.
impl std::error::Error for Unreadable {}

impl From<Error> for Unreadable {
    fn from(error: Error) -> Self {
        match (&error, error.errno()) {
            (Error::Unsettled, _) => Self::Unsettled,
            (Error::Refused(_), Some(Errno::EPERM)) => Self::NotPermitted,
            // What nfnetlink answers when nothing serves the subsystem.
            (Error::Refused(_), Some(Errno::EINVAL | Errno::EOPNOTSUPP)) => Self::NoNftables,
            // Without NETLINK_NETFILTER there is no nf_tables either.
            (Error::Socket { .. }, Some(Errno::EPROTONOSUPPORT)) => Self::NoNftables,
            _ => Self::Netlink(error),
        }
    }
}

/// The rules of the network namespace we are in.
///
/// # Errors
/// They cannot be read, and why.
pub fn ruleset() -> Result<Ruleset, Unreadable> {
    read(Connection::open(Protocol::Netfilter, Part::Most)?)
}

fn read(connection: Connection) -> Result<Ruleset, Unreadable> {
    let mut reader = Reader { connection };
    for _ in 0..TRIES {
        match reader.ruleset() {
            Err(Unreadable::Unsettled) => {}
            outcome => return outcome,
        }
    }
    Err(Unreadable::Unsettled)
}

struct Reader {
    connection: Connection,
}

impl Reader {
    /// All of it, as it stood between two changes.
    fn ruleset(&mut self) -> Result<Ruleset, Unreadable> {
        let before = self.generation()?;
        let mut ruleset = Ruleset::default();
        for kind in [message::GETTABLE, message::GETCHAIN, message::GETRULE, message::GETSET] {
            self.list(kind, 0, &[], |message| ruleset.add(message))?;
        }
        for (family, table, set) in ruleset.sets_in_use() {
            let attributes = [(elements::TABLE, table.as_bytes()), (elements::SET, set.as_bytes())];
            let kind = message::GETSETELEM;
            match self.list(kind, family.number(), &attributes, |message| ruleset.add(message)) {
                // It has gone since.
                Err(error) if error.refused() == Some(Errno::ENOENT) => return Err(Unreadable::Unsettled),
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
        let request = Request::new(SUBSYSTEM | message::GETGEN, header(0));
        Ok(self.connection.one(request, |_| {}, |message| Ok(Some(message.payload.to_vec())))?)
    }

    /// Read a list once: the whole ruleset is read again if a part of it changed.
    fn list(
        &mut self,
        kind: u16,
        family: u8,
        attributes: &[(u16, &[u8])],
        mut take: impl FnMut(&Message<'_>) -> Result<(), WireError>,
    ) -> Result<(), Error> {
        let request = Request::new(SUBSYSTEM | kind, header(family)).with(flag::DUMP);
        let write = |writer: &mut Writer| attributes.iter().for_each(|(kind, text)| writer.string(*kind, text));
        self.connection.each(request, write, |message| take(message).map(|()| Next::More)).map(drop)
    }
}

/// `struct nfgenmsg`: the family, NFNETLINK_V0, and a resource number that nf_tables does not use.
const fn header(family: u8) -> [u8; 4] {
    [family, 0, 0, 0]
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
        Ok(Self {
            ip: names("/proc/net/ip_tables_names")?,
            ip6: names("/proc/net/ip6_tables_names")?,
            arp: names("/proc/net/arp_tables_names")?,
        })
    }
}

fn names(file: &'static str) -> Result<Vec<String>, Unreadable> {
    // /proc/net is that of the process, and a thread may be in another namespace.
    match fs::read_to_string(file.replacen("/proc/", "/proc/thread-self/", 1)) {
        Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(Unreadable::NotPermitted),
        Err(error) => Err(Unreadable::File(file, error)),
    }
}

#[cfg(test)]
mod tests {
    use netlink_exchange::fake::{self, Reply};

    use super::*;

    fn failure(reply: Reply) -> String {
        read(Connection::over(fake::kernel(move |_| vec![vec![reply.clone()]]))).unwrap_err().to_string()
    }

    #[test]
    fn why_rules_cannot_be_read_is_reported() {
        let cases = [
            (Errno::ENOBUFS, "the packet filter cannot be read: No buffer space available"),
            (Errno::ENOENT, "the packet filter cannot be read: No such file or directory"),
            (Errno::EPERM, "reading the packet filter takes root (CAP_NET_ADMIN)"),
            (Errno::EINVAL, "the kernel has no nf_tables"),
        ];
        for (errno, text) in cases {
            assert_eq!(failure(Reply::error(errno.raw())), text);
        }
        let socket = Error::Socket { doing: "netlink receive", source: Errno::ENOBUFS.into() };
        assert_eq!(
            Unreadable::from(socket).to_string(),
            "the packet filter cannot be read: netlink receive: No buffer space available"
        );
        let file = Unreadable::File("/proc/net/ip_tables_names", Errno::ENOMEM.into());
        assert_eq!(file.to_string(), "/proc/net/ip_tables_names: Cannot allocate memory");
    }

    #[test]
    fn rules_that_keep_changing_are_reported_as_that() {
        let mut generation = 0;
        let changing = fake::kernel(move |request| {
            generation += 1;
            let is_list = request.flags & flag::DUMP == flag::DUMP;
            vec![vec![if is_list { Reply::done() } else { Reply::new(request.kind, vec![generation, 0, 0, 0]) }]]
        });
        let error = read(Connection::over(changing)).unwrap_err();
        assert_eq!(error.to_string(), "the packet filter keeps changing while it is read; try again");
    }
}
