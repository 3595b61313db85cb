//! Addresses and links of pods.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use crate::network::POD_RANGE;

/// Places for pods: an address each, and a number for its link.
#[derive(Debug, Default)]
pub(crate) struct Places {
    taken: BTreeSet<u32>,
    last: u32,
}

impl Places {
    /// A place that nobody had lately, so that no client meets a stranger at an old address.
    pub(crate) fn take(&mut self) -> Option<u32> {
        let count = (1u32 << (32 - POD_RANGE.prefix_len())) - 2;
        let free = (0..count)
            .map(|step| (self.last + step) % count + 1)
            .find(|place| !self.taken.contains(place))?;
        self.taken.insert(free);
        self.last = free;
        Some(free)
    }

    /// Gives a place back.
    pub(crate) fn give_back(&mut self, place: u32) {
        self.taken.remove(&place);
    }
}

/// The address at a place.
pub(crate) fn address(place: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(POD_RANGE.network()) + place)
}

#[cfg(test)]
mod tests;
