//! One timer per connection for all of its time limits.
//!
//! Setting a timer for each request costs more than most requests need. The
//! timer of a connection stays armed at the earliest point it was ever asked
//! for; when it goes off too early it is set anew. A request that ends in
//! time costs no timer at all.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep_until};

/// The timer of a connection.
#[derive(Debug, Default)]
pub struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    /// Ready when the deadline has passed; never without one.
    pub fn poll(&mut self, deadline: Option<Instant>, context: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = deadline else { return Poll::Pending };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        }
        loop {
            if sleep.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            if sleep.deadline() >= deadline || Instant::now() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }
}

/// The earlier of two deadlines.
pub fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_timer_goes_off_at_the_deadline_of_the_moment() {
        let mut alarm = Alarm::default();
        let start = Instant::now();
        let at = |seconds| Some(start + Duration::from_secs(seconds));
        let asked = poll_fn(|context| Poll::Ready(alarm.poll(at(10), context).is_ready())).await;
        assert!(!asked);
        for seconds in [20, 25, 21] {
            poll_fn(|context| alarm.poll(at(seconds.max(20)), context)).await;
            assert!(Instant::now() >= start + Duration::from_secs(seconds), "{seconds}");
        }
        let never = poll_fn(|context| Poll::Ready(alarm.poll(None, context).is_pending())).await;
        assert!(never);
    }

    #[test]
    fn the_earlier_deadline_counts() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        assert_eq!(earlier(Some(now), Some(later)), Some(now));
        assert_eq!(earlier(None, Some(later)), Some(later));
        assert_eq!(earlier(None, None), None);
    }
}
