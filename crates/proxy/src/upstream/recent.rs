//! How many requests began within the last while, counted without a lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The while is cut into so many parts; what falls out of it does so part by
/// part.
const PARTS: u64 = 8;
/// The bits of a part that count; the others are its number.
const COUNT: u64 = (1 << 24) - 1;

/// Counts of the parts that are over, and of the one that is not.
#[derive(Debug, Default)]
pub struct Recent([AtomicU64; PARTS as usize + 1]);

impl Recent {
    /// One more, at that time since the beginning.
    pub fn add(&self, now: Duration, interval: Duration) {
        let number = number(now, interval);
        let next = |seen: u64| match seen >> 24 == number {
            true if seen & COUNT == COUNT => None,
            true => Some(seen + 1),
            false => Some((number << 24) | 1),
        };
        // Beyond what can be counted nothing is lost.
        let _ = self.part(number).fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
    }

    /// How many there were within the interval, and a little longer.
    pub fn count(&self, now: Duration, interval: Duration) -> u32 {
        let number = number(now, interval);
        let parts = self.0.iter().map(|part| part.load(Ordering::Acquire));
        let recent = parts.filter(|part| (part >> 24) + PARTS >= number && part >> 24 <= number);
        u32::try_from(recent.map(|part| part & COUNT).sum::<u64>()).unwrap_or(u32::MAX)
    }

    fn part(&self, number: u64) -> &AtomicU64 {
        &self.0[(number % (PARTS + 1)) as usize]
    }
}

fn number(now: Duration, interval: Duration) -> u64 {
    let part = (interval.as_micros() / u128::from(PARTS)).max(1);
    // The first one is not that of parts never written.
    u64::try_from(now.as_micros() / part).unwrap_or(u64::MAX >> 24) + PARTS + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_count_for_the_interval_and_a_part_of_it_more() {
        let (recent, interval) = (Recent::default(), Duration::from_secs(8));
        assert_eq!(recent.count(Duration::ZERO, interval), 0);
        for second in 0..4 {
            for _ in 0..10 {
                recent.add(Duration::from_secs(second), interval);
            }
        }
        let counts = [3, 8, 9, 10, 11, 12, 100].map(|at| recent.count(Duration::from_secs(at), interval));
        assert_eq!(counts, [40, 40, 30, 20, 10, 0, 0]);
        recent.add(Duration::from_secs(100), interval);
        assert_eq!(recent.count(Duration::from_secs(100), interval), 1);
    }
}
