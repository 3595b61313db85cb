//! Waiting on behalf of a client.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::http::ends::{Departure, Downstream};

/// Why waiting ended early.
#[derive(Debug)]
pub enum Interrupted {
    /// The client went away.
    Gone(Departure),
    /// Time is up.
    TimedOut,
}

/// Waits, but no longer than the client does.
pub async fn wait(
    duration: Duration,
    deadline: Option<Instant>,
    io: &mut Downstream<'_, '_>,
) -> Result<(), Interrupted> {
    let mut timer = pin!(sleep(duration));
    let mut end = pin!(deadline.map(tokio::time::sleep_until));
    poll_fn(|context| {
        if timer.as_mut().poll(context).is_ready() {
            return Poll::Ready(Ok(()));
        }
        if let Some(end) = end.as_mut().as_pin_mut()
            && end.poll(context).is_ready()
        {
            return Poll::Ready(Err(Interrupted::TimedOut));
        }
        if let Poll::Ready(departure) = io.poll_gone(context) {
            return Poll::Ready(Err(Interrupted::Gone(departure)));
        }
        Poll::Pending
    })
    .await
}
