//! When a certificate is renewed, and when it is tried again.

use std::time::{Duration, SystemTime};

use crate::agent::settings::IdentitySettings;

/// The part of its life that is left when a certificate is renewed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Renewal {
    grace_ratio: f64,
    jitter: f64,
}

impl Renewal {
    /// As the settings say.
    pub(super) fn of(settings: &IdentitySettings) -> Self {
        Self { grace_ratio: settings.grace_ratio, jitter: settings.grace_jitter }
    }

    /// How long a certificate that is got now, and ends at `end`, is left
    /// alone.  `random` is from 0 to 1: proxies that start together do not
    /// come back together.
    pub(super) fn wait(&self, now: SystemTime, end: SystemTime, random: f64) -> Duration {
        let life = end.duration_since(now).unwrap_or_default();
        let grace = self.grace_ratio + self.jitter * (2.0 * random - 1.0);
        life.mul_f64((1.0 - grace).clamp(0.0, 1.0))
    }
}

/// How long to wait after the failed attempt `attempt`, counted from 0: twice
/// as long each time, of which a random part up to a half is left out.
pub(super) fn pause(attempt: u32, first: Duration, longest: Duration, random: f64) -> Duration {
    let full = first.saturating_mul(2u32.saturating_pow(attempt)).min(longest);
    full.mul_f64(1.0 - random / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn half_a_day_is_left_of_a_day() {
        let renewal = Renewal { grace_ratio: 0.5, jitter: 0.01 };
        let now = SystemTime::UNIX_EPOCH + DAY * 20_000;
        let wait = |random| renewal.wait(now, now + DAY, random).as_secs();
        assert_eq!((wait(0.5), wait(0.0), wait(1.0)), (43_200, 44_064, 42_336));
        assert_eq!(renewal.wait(now, now - DAY, 0.5), Duration::ZERO, "it has expired");
        let at_once = Renewal { grace_ratio: 1.0, jitter: 0.5 };
        assert_eq!(at_once.wait(now, now + DAY, 1.0), Duration::ZERO);
    }

    #[test]
    fn pauses_grow_to_a_limit() {
        let (first, longest) = (Duration::from_secs(1), Duration::from_secs(20));
        let pauses: Vec<u64> = (0..7).map(|attempt| pause(attempt, first, longest, 0.0).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 20, 20]);
        assert_eq!(pause(0, first, longest, 1.0), first / 2);
        assert_eq!(pause(u32::MAX, first, longest, 0.0), longest);
    }
}
