//! Features of network cards, over the generic netlink family `ethtool` (`linux/ethtool_netlink.h`, from Linux 5.7 on).

use std::fmt;

use netlink_exchange::{Attributes, Connection, Part, Protocol, Request, WireError, Writer};

/// `ETHTOOL_GENL_NAME`
const FAMILY: &str = "ethtool";
/// `ETHTOOL_GENL_VERSION`
const VERSION: u8 = 1;
/// `ETHTOOL_MSG_FEATURES_GET`
const FEATURES_GET: u8 = 11;
/// `ETHTOOL_A_FEATURES_HEADER`
const HEADER: u16 = 1;
/// `ETHTOOL_A_HEADER_DEV_NAME`
const DEVICE: u16 = 2;
/// `ETHTOOL_A_FEATURES_ACTIVE`
const ACTIVE: u16 = 4;
/// `ETHTOOL_A_BITSET_BITS`
const BITS: u16 = 3;
/// `ETHTOOL_A_BITSET_BIT_NAME`
const BIT_NAME: u16 = 2;

/// Why features are not known. The text includes the cause.
#[derive(Debug)]
pub enum Error {
    /// The kernel does not have the family: it is older than Linux 5.6, or built without it.
    NoFamily,
    /// The kernel refused, or netlink failed.
    Netlink(netlink_exchange::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFamily => f.write_str("the kernel does not have ethtool over netlink (CONFIG_ETHTOOL_NETLINK)"),
            Self::Netlink(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

impl From<netlink_exchange::Error> for Error {
    fn from(error: netlink_exchange::Error) -> Self {
        Self::Netlink(error)
    }
}

/// A connection to the family.
pub struct Features {
    connection: Connection,
    family: u16,
}

impl Features {
    /// Connect.
    ///
    /// # Errors
    /// The kernel has no such family; or netlink fails.
    pub fn connect() -> Result<Self, Error> {
        Self::over(Connection::open(Protocol::Generic, Part::Most)?)
    }

    fn over(mut connection: Connection) -> Result<Self, Error> {
        let family = connection.family(FAMILY)?.ok_or(Error::NoFamily)?;
        Ok(Self { connection, family })
    }

    /// The names of the features that are on, as `rx-lro`.
    ///
    /// # Errors
    /// There is no such interface; or netlink fails.
    pub fn active(&mut self, interface: &str) -> Result<Vec<String>, Error> {
        let device = |writer: &mut Writer| {
            let header = writer.nest(HEADER);
            writer.string(DEVICE, interface.as_bytes());
            writer.end_nest(header);
        };
        let names = self.connection.one(Request::generic(self.family, FEATURES_GET, VERSION), device, |message| {
            for attribute in Attributes::generic(message.payload)? {
                let attribute = attribute?;
                if attribute.kind == ACTIVE {
                    return set(attribute.nested()).map(Some);
                }
            }
            Ok(Some(Vec::new()))
        })?;
        Ok(names)
    }
}

/// The names in a set of bits that lists those that are set.
fn set(attributes: Attributes<'_>) -> Result<Vec<String>, WireError> {
    let mut names = Vec::new();
    for attribute in attributes {
        let attribute = attribute?;
        if attribute.kind != BITS {
            continue;
        }
        for bit in attribute.nested() {
            for part in bit?.nested() {
                let part = part?;
                if part.kind == BIT_NAME {
                    names.push(String::from_utf8_lossy(part.string()).into_owned());
                }
            }
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use netlink_exchange::Errno;
    use netlink_exchange::fake::{self, Reply};

    use super::*;

    #[test]
    fn loopback_has_features_and_what_is_no_interface_has_none() {
        let mut features = Features::connect().unwrap();
        let active = features.active("lo").unwrap();
        assert!(
            active.iter().any(|name| name == "loopback") && !active.iter().any(|name| name == "rx-lro"),
            "{active:?}"
        );
        assert!(features.active("none-such").is_err());
    }

    #[test]
    fn a_kernel_without_the_family_is_reported_as_that() {
        let connection = Connection::over(fake::kernel(|_| vec![vec![Reply::error(Errno::ENOENT.raw())]]));
        let error = Features::over(connection).err().unwrap();
        assert_eq!(error.to_string(), "the kernel does not have ethtool over netlink (CONFIG_ETHTOOL_NETLINK)");
    }

    #[test]
    fn a_card_without_features_is_not_about_ipvs() {
        let connection = Connection::over(fake::kernel(|request| {
            // CTRL_ATTR_FAMILY_ID, 2 bytes: 0x30
            let attribute = [6_u16, 1, 0x30, 0].map(u16::to_ne_bytes).concat();
            let family = [vec![1, 2, 0, 0], attribute].concat();
            let is_resolving = request.kind != 0x30;
            let refusal = Reply::error(Errno::EOPNOTSUPP.raw());
            vec![vec![if is_resolving { Reply::new(request.kind, family) } else { refusal }]]
        }));
        let error = Features::over(connection).unwrap().active("eth0").unwrap_err();
        assert_eq!(error.to_string(), "Operation not supported");
    }
}
