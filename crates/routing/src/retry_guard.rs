//! A guard against storms of retries where nobody set a limit.
//!
//! An endpoint that fails under load gets worse when every failure brings
//! more requests, and each proxy on the way multiplies them. So what is sent
//! again after an answer or after it had reached an endpoint may only be a
//! part of what is sent at all, beside a fixed number per second that lets
//! small traffic be tried again as often as its policy says. Connections
//! that do not come about cost endpoints nothing and are not counted.

use std::time::Duration;

/// Retries that a cluster may have, as a bucket of tokens.
#[derive(Debug, Clone)]
pub struct RetryGuard {
    tokens: f64,
    filled_at: Duration,
}

/// The part of the requests that may be sent again. Three proxies in a row
/// make at most `1.1³ = 1.33` times the load.
const PART: f64 = 0.1;
/// So many more each second.
const PER_SECOND: f64 = 10.0;
/// The most tokens that are saved up.
const MOST: f64 = 100.0;

impl RetryGuard {
    /// A full bucket.
    pub fn new(now: Duration) -> RetryGuard {
        RetryGuard { tokens: MOST, filled_at: now }
    }

    /// A request is sent for the first time.
    pub fn on_request(&mut self) {
        self.tokens = (self.tokens + PART).min(MOST);
    }

    /// Whether a request may be sent again; if so, it is counted.
    pub fn allows(&mut self, now: Duration) -> bool {
        let passed = now.saturating_sub(self.filled_at).as_secs_f64();
        self.filled_at = now;
        self.tokens = (self.tokens + passed * PER_SECOND).min(MOST);
        let allowed = self.tokens >= 1.0;
        if allowed {
            self.tokens -= 1.0;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_traffic_is_tried_again_as_often_as_it_likes() {
        let mut guard = RetryGuard::new(Duration::ZERO);
        for second in 0..100 {
            for retry in 0..10 {
                guard.on_request();
                assert!(guard.allows(Duration::from_secs(second)), "{second}, {retry}");
            }
        }
    }

    #[test]
    fn large_traffic_is_multiplied_by_little() {
        let mut guard = RetryGuard::new(Duration::ZERO);
        let requests = 1_000_000u64;
        let retries = (0..requests)
            .filter(|number| {
                guard.on_request();
                // 1,000 requests a second, all of which fail.
                guard.allows(Duration::from_millis(*number))
            })
            .count();
        let part = retries as f64 / requests as f64;
        assert!((0.1..0.12).contains(&part), "{part}");
    }
}
