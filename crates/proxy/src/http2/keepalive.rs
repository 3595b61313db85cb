//! Pings that find out whether the peer is still there.

use std::cell::RefCell;
use std::time::Duration;

use h2::{Ping, PingPong};
use routing::http2::Keepalive;

/// The pings of a connection, while nobody waits for an answer to one.
pub type Pings = RefCell<Option<PingPong>>;

/// Returns when the peer has not answered a ping in time; never without
/// pings.
pub async fn lost(pings: &Pings, keepalive: Option<Keepalive>) {
    let Some(keepalive) = keepalive else { return std::future::pending().await };
    loop {
        tokio::time::sleep(pause(&keepalive, fastrand::f64())).await;
        match tokio::time::timeout(keepalive.timeout, answered(pings)).await {
            Ok(true) => {}
            // The connection itself tells how it ended.
            Ok(false) => return std::future::pending().await,
            Err(_) => return,
        }
    }
}

/// Pings once, if nobody else does; false when the connection has ended.
pub async fn answered(pings: &Pings) -> bool {
    let Some(mut ping) = pings.borrow_mut().take() else { return true };
    let answered = ping.ping(Ping::opaque()).await.is_ok();
    *pings.borrow_mut() = Some(ping);
    answered
}

fn pause(keepalive: &Keepalive, random: f64) -> Duration {
    keepalive.interval + keepalive.jitter.mul_f64(random)
}
