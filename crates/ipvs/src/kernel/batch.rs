//! Many changes in few system calls.

use super::encode;
use super::error::{Asked, Error, Refusal};
use super::request::{Ipvs, request};
use crate::model::Change;

/// Changes on their way to the kernel, see [`Client::batch`](super::Client::batch).
///
/// What was pushed is made at the latest by [`Batch::finish`]; a batch dropped before that leaves its last part unsent.
#[must_use]
pub struct Batch<'c, T, F: FnMut(T, Refusal)> {
    batch: netlink_exchange::Batch<'c, (T, Asked)>,
    family: u16,
    refused: F,
}

impl<'c, T, F: FnMut(T, Refusal)> Batch<'c, T, F> {
    pub(super) fn new(batch: netlink_exchange::Batch<'c, (T, Asked)>, family: u16, refused: F) -> Self {
        Self { batch, family, refused }
    }

    /// Add a change; send what has gathered if that is enough.
    ///
    /// # Errors
    /// Netlink fails, or we may not change anything.
    pub fn push(&mut self, tag: T, change: &Change) -> Result<(), Error> {
        if let Change::StartDaemon(_) | Change::StopDaemon(_) = change {
            // These may go without an answer, and so are no acknowledgement of others; see `Ipvs::change`.
            self.flush()?;
            let mut ipvs = Ipvs { connection: self.batch.connection(), family: self.family };
            return match ipvs.change(change) {
                Err(Error::Refused(refusal)) => {
                    (self.refused)(tag, refusal);
                    Ok(())
                }
                outcome => outcome,
            };
        }
        let request = request(self.family, encode::command_of(change));
        let is_full = self.batch.push((tag, change.into()), request, |writer| encode::write_change(writer, change));
        if is_full { self.flush() } else { Ok(()) }
    }

    /// Changes that were pushed and not yet sent.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.batch.pending()
    }

    /// Send what has gathered, and hear what became of it.
    ///
    /// # Errors
    /// Netlink fails, or we may not change anything.
    pub fn flush(&mut self) -> Result<(), Error> {
        let refused = &mut self.refused;
        self.batch
            .flush(|(tag, asked), refusal| refused(tag, Refusal::of(asked, refusal)))
            .map_err(Error::of(Asked::Other))
    }

    /// Send the rest.
    ///
    /// # Errors
    /// Netlink fails, or we may not change anything.
    pub fn finish(mut self) -> Result<(), Error> {
        self.flush()
    }
}
