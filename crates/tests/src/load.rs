//! A constant rate of somebody else's requests, and how many of them failed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

use crate::bookinfo::{Reviews, Visitor};

/// A load that runs until it is asked for its result.
pub struct Load {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Tally>>,
}

/// What came of a load.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Requests sent.
    pub sent: usize,
    /// What failed, in words; empty when nothing did.
    pub failures: Vec<String>,
}

impl Load {
    /// Pages per second, spread over `visitors` connections that each keep
    /// their own beat.
    pub fn start(gateway: SocketAddr, per_second: u32, visitors: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let period = Duration::from_secs(1) * visitors / per_second;
        let tasks = (0..visitors)
            .map(|visitor| {
                let offset = period * visitor / visitors;
                tokio::spawn(visit(gateway, period, offset, Arc::clone(&stop)))
            })
            .collect();
        Self { stop, tasks }
    }

    /// Ends the load and tells what came of it.
    pub async fn finish(self) -> Result<Tally> {
        self.stop.store(true, Ordering::Relaxed);
        let mut total = Tally::default();
        for task in self.tasks {
            let tally = task.await.context("a visitor")?;
            total.sent += tally.sent;
            total.failures.extend(tally.failures);
        }
        Ok(total)
    }
}

async fn visit(gateway: SocketAddr, period: Duration, offset: Duration, stop: Arc<AtomicBool>) -> Tally {
    let mut tally = Tally::default();
    let mut visitor = Visitor::anonymous(gateway);
    let mut beat = interval_at(offset, period);
    while !stop.load(Ordering::Relaxed) {
        beat.tick().await;
        tally.sent += 1;
        match visitor.reviews().await {
            Ok(Reviews::Starless | Reviews::BlackStars | Reviews::RedStars) => {}
            Ok(other) => tally.failures.push(format!("{other:?}")),
            Err(error) => tally.failures.push(format!("{error:#}")),
        }
    }
    tally
}

fn interval_at(offset: Duration, period: Duration) -> tokio::time::Interval {
    let mut beat = tokio::time::interval_at(Instant::now() + offset, period);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    beat
}

/// Polls `condition` until it holds; a failure tells what was waited for.
pub async fn eventually(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) -> Result<()> {
    let deadline = Instant::now() + limit;
    let mut beat = tokio::time::interval(Duration::from_millis(20));
    while !condition() {
        anyhow::ensure!(Instant::now() < deadline, "not within {limit:?}: {what}");
        beat.tick().await;
    }
    Ok(())
}
