//! What it costs clients when servers get weight 0, or are deleted.

use super::member::HashScheduler;
use super::table::Mapping;
use crate::model::DestinationKey;

/// Slots whose clients lose something; all slots have about as many clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loss {
    /// All slots.
    pub slots: usize,
    /// Of them, those whose clients are refused and were not.
    pub refused: usize,
    /// Of them, those whose clients get another server, though theirs stays.
    pub moved: usize,
}

impl Mapping {
    /// What clients lose if the table becomes another one, in which these servers are out of service. Servers between
    /// their thresholds count as in service.
    #[must_use]
    pub fn loss(&self, after: &Self, without: &[DestinationKey]) -> Loss {
        let slots = self.slots.len();
        let mut loss = Loss { slots, ..Loss::default() };
        for slot in 0..slots {
            // The tables of a service have one size, but for one without servers, which has none.
            let (Some(had), gets) = (self.of_slot(slot), after.of_slot(slot)) else { continue };
            match gets {
                None => loss.refused += 1,
                Some(gets) if gets != had && !without.contains(&had) => loss.moved += 1,
                Some(_) => {}
            }
        }
        loss
    }

    /// The server that clients of a slot get. With `mh` and its fallback the clients of one slot get different servers; then
    /// it is the slot's own, as long as any server is in service.
    pub(super) fn of_slot(&self, slot: usize) -> Option<DestinationKey> {
        let place = |slot: usize| self.slots.get(slot).map(|&place| place as usize);
        let takes = |place: &usize| self.available[*place] != Some(false);
        let own = place(slot)?;
        let found = match self.scheduler {
            _ if takes(&own) => Some(own),
            _ if !self.with_fallback => None,
            HashScheduler::Sh => {
                (0..self.slots.len()).filter_map(|offset| place((2 * slot + offset) % self.slots.len())).find(takes)
            }
            _ => self.slots.iter().any(|&place| takes(&(place as usize))).then_some(own),
        };
        found.map(|place| self.members[place].server)
    }
}
