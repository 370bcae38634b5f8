//! Single requests to the kernel's IPVS.

use netlink_exchange::{Connection, Request, WireError, Writer};

use super::attributes::{FAMILY_VERSION, command};
use super::decode;
use super::encode;
use super::error::{Asked, Error};
use crate::model::{Change, Daemon, ServiceKey};

/// The start of a request to this family.
pub(super) const fn request(family: u16, command: u8) -> Request<4> {
    Request::generic(family, command, FAMILY_VERSION)
}

/// Requests to the family of this number.
pub(super) struct Ipvs<'c> {
    pub connection: &'c mut Connection,
    pub family: u16,
}

impl Ipvs<'_> {
    pub const fn request(&self, command: u8) -> Request<4> {
        request(self.family, command)
    }

    pub fn one<T>(
        &mut self,
        command: u8,
        asked: Asked,
        attributes: impl FnOnce(&mut Writer),
        decode: impl Fn(&[u8]) -> Result<T, WireError>,
    ) -> Result<T, Error> {
        let request = self.request(command);
        self.connection.one(request, attributes, |message| decode(message.payload).map(Some)).map_err(Error::of(asked))
    }

    pub fn service<T>(&mut self, key: &ServiceKey, decode: impl Fn(&[u8]) -> Result<T, WireError>) -> Result<T, Error> {
        self.one(command::GET_SERVICE, Asked::OneService, |writer| encode::write_key(writer, key), decode)
    }

    pub fn daemons(&mut self) -> Result<Vec<Daemon>, Error> {
        let request = self.request(command::GET_DAEMON);
        self.connection
            .dump(request, |_| {}, |message| decode::daemon(message.payload).map(Some))
            .map_err(Error::of(Asked::Other))
    }

    pub fn change(&mut self, change: &Change) -> Result<(), Error> {
        let request = self.request(encode::command_of(change));
        let outcome = self.connection.ask(request, |writer| encode::write_change(writer, change));
        match (outcome.map_err(Error::of(change.into())), change) {
            // A daemon that is stopped before it has begun to run ends with EINTR, and to that netlink gives no answer
            // (`netlink_rcv_skb`), though all is done.
            (Err(Error::Netlink(netlink_exchange::Error::NoAnswer)), Change::StopDaemon(daemon)) => {
                match self.daemons()?.iter().any(|running| running.role == daemon.role) {
                    true => Err(Error::Netlink(netlink_exchange::Error::NoAnswer)),
                    false => Ok(()),
                }
            }
            (outcome, _) => outcome,
        }
    }
}
