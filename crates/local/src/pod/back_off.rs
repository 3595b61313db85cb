//! How long a container that ended waits for its next start.

use std::time::Duration;

/// The first wait; each one after it is twice as long.
const FIRST: Duration = Duration::from_secs(10);

/// The longest wait.
const LONGEST: Duration = Duration::from_secs(300);

/// A container that ran this long is forgiven what was before.
const FORGIVEN_AFTER: Duration = Duration::from_secs(600);

/// Waits of one container: none, then 10 s, doubling to 5 min.
#[derive(Debug, Default)]
pub(crate) struct BackOff {
    last: Option<Duration>,
}

impl BackOff {
    /// The wait after a run of this length.
    pub(crate) fn after(&mut self, run: Duration) -> Duration {
        let wait = match self.last {
            _ if run >= FORGIVEN_AFTER => Duration::ZERO,
            None => Duration::ZERO,
            Some(Duration::ZERO) => FIRST,
            Some(last) => (last * 2).min(LONGEST),
        };
        self.last = Some(wait);
        wait
    }
}

#[cfg(test)]
mod tests;
