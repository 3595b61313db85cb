//! Retries that leave the priorities of earlier attempts (Envoy's
//! `previous_priorities`): a request that failed nearby is tried farther
//! away.

use smallvec::SmallVec;

use crate::balance::{Loads, Spread};

/// Which priorities a request has been to.
#[derive(Debug, Clone, Default)]
pub struct TriedPriorities {
    pending: SmallVec<[usize; 4]>,
    excluded: SmallVec<[bool; 4]>,
    loads: Option<Loads>,
}

impl TriedPriorities {
    /// An attempt was made with an endpoint of this priority.
    pub fn add(&mut self, priority: u32) {
        self.pending.extend(usize::try_from(priority));
    }

    /// The loads for the next attempt; `None`: the usual ones. They change
    /// after every `frequency` attempts.
    pub fn loads(&mut self, spread: &Spread, frequency: usize) -> Option<&Loads> {
        if self.pending.len() >= frequency.max(1) {
            for priority in self.pending.drain(..) {
                while self.excluded.len() <= priority {
                    self.excluded.push(false);
                }
                self.excluded[priority] = true;
            }
            self.loads = spread.without(&self.excluded);
            if self.loads.is_none() {
                // All were tried: from the beginning.
                self.excluded.clear();
                self.loads = spread.without(&[]);
            }
        }
        self.loads.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::Counts;

    #[test]
    fn priorities_are_left_after_so_many_attempts_and_come_back_when_all_were_tried() {
        let healthy = Counts { healthy: 2, degraded: 0, total: 2 };
        let spread = Spread::of(&[healthy; 3], 140, 50);
        let mut tried = TriedPriorities::default();
        let next = |tried: &mut TriedPriorities| tried.loads(&spread, 2).map(|loads| loads.choose(7).0);
        assert_eq!(next(&mut tried), None);
        tried.add(0);
        assert_eq!(next(&mut tried), None);
        tried.add(0);
        assert_eq!(next(&mut tried), Some(1));
        tried.add(1);
        assert_eq!(next(&mut tried), Some(1));
        tried.add(1);
        assert_eq!(next(&mut tried), Some(2));
        tried.add(2);
        tried.add(2);
        assert_eq!(next(&mut tried), Some(0));
    }
}
