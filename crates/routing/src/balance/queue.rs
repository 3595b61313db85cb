//! Earliest deadline first: entries come back after one divided by their
//! weight, so each is taken as often as it weighs.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// A queue of numbers with weights.
#[derive(Debug, Default)]
pub(super) struct Queue {
    heap: BinaryHeap<Due>,
    time: f64,
    order: u64,
}

#[derive(Debug)]
struct Due {
    deadline: f64,
    order: u64,
    number: u32,
}

impl PartialEq for Due {
    fn eq(&self, other: &Due) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Due) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    /// The greatest is due first.
    fn cmp(&self, other: &Due) -> Ordering {
        other.deadline.total_cmp(&self.deadline).then(other.order.cmp(&self.order))
    }
}

impl Queue {
    /// A queue after so many picks, so that proxies do not walk in step.
    pub(super) fn new(
        entries: impl Iterator<Item = (u32, f64)>,
        weight: impl Fn(u32) -> f64,
        picks: u64,
    ) -> Queue {
        let mut queue = Queue::default();
        for (number, weight) in entries.filter(|(_, weight)| *weight > 0.0) {
            queue.add(number, weight);
        }
        for _ in 0..picks % (queue.heap.len().max(1) as u64) {
            queue.pick(&weight);
        }
        queue
    }

    /// Takes the entry that is due and puts it back with the weight that it
    /// has now.
    pub(super) fn pick(&mut self, weight: impl Fn(u32) -> f64) -> Option<u32> {
        let due = self.heap.pop()?;
        self.time = due.deadline;
        self.add(due.number, weight(due.number));
        Some(due.number)
    }

    fn add(&mut self, number: u32, weight: f64) {
        // A weight of nothing would never come back, and block its slot.
        let weight = if weight > 0.0 { weight } else { f64::MIN_POSITIVE };
        self.heap.push(Due { deadline: self.time + 1.0 / weight, order: self.order, number });
        self.order += 1;
    }
}
