//! Features of network cards, over the generic netlink family `ethtool` (`linux/ethtool_netlink.h`, from Linux 5.7 on).

use neli::consts::genl::{CtrlAttr, CtrlCmd};
use neli::consts::nl::{GenlId, NlmF};
use neli::consts::socket::NlFamily;

use crate::kernel::socket::{Part, Socket};
use crate::kernel::verdict::{Verdict, verdict};
use crate::kernel::wire::{Attributes, Messages, WireError, Writer};
use crate::kernel::{self};

/// `ETHTOOL_GENL_NAME`
const FAMILY: &[u8] = b"ethtool";
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

/// A connection to the family.
pub struct Features {
    socket: Socket,
    family: u16,
    sequence: u32,
}

impl Features {
    /// Connect.
    ///
    /// # Errors
    /// The kernel has no such family; or netlink fails.
    pub fn connect() -> Result<Self, kernel::Error> {
        let mut client =
            Self { socket: Socket::open(NlFamily::Generic, Part::Most)?, family: GenlId::Ctrl.into(), sequence: 0 };
        let mut family = None;
        client.ask(
            CtrlCmd::Getfamily.into(),
            |writer| writer.string(CtrlAttr::FamilyName.into(), FAMILY),
            |attributes| {
                for attribute in attributes {
                    let attribute = attribute?;
                    if attribute.kind == u16::from(CtrlAttr::FamilyId) {
                        family = Some(attribute.u16("the family's number")?);
                    }
                }
                Ok(())
            },
        )?;
        client.family = family.ok_or(kernel::Error::NoAnswer)?;
        Ok(client)
    }

    /// The names of the features that are on, as `rx-lro`.
    ///
    /// # Errors
    /// There is no such interface; or netlink fails.
    pub fn active(&mut self, interface: &str) -> Result<Vec<String>, kernel::Error> {
        let mut names = Vec::new();
        let device = |writer: &mut Writer| {
            let header = writer.nest(HEADER);
            writer.string(DEVICE, interface.as_bytes());
            writer.end_nest(header);
        };
        self.ask(FEATURES_GET, device, |attributes| {
            for attribute in attributes {
                let attribute = attribute?;
                if attribute.kind == ACTIVE {
                    names = set(attribute.nested())?;
                }
            }
            Ok(())
        })?;
        Ok(names)
    }

    /// Ask, and read the one message that answers.
    fn ask(
        &mut self,
        command: u8,
        attributes: impl FnOnce(&mut Writer),
        mut take: impl FnMut(Attributes<'_>) -> Result<(), WireError>,
    ) -> Result<(), kernel::Error> {
        self.sequence += 1;
        let mut writer = Writer::with_capacity(128);
        let message = writer.begin(self.family, NlmF::REQUEST.bits(), self.sequence, command, 1);
        attributes(&mut writer);
        writer.end(message);
        self.socket.send(writer.as_bytes())?;
        for message in Messages::new(self.socket.receive()?) {
            let message = message?;
            match verdict(&message)? {
                Verdict::Payload => return Ok(take(Attributes::generic(message.payload)?)?),
                Verdict::Refused { errno, words } => {
                    let asked = kernel::Asked::Other;
                    return Err(kernel::Error::Refused(kernel::Refusal { asked, errno, words }));
                }
                Verdict::End | Verdict::Nothing => {}
            }
        }
        Err(kernel::Error::NoAnswer)
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
}
