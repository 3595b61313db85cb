//! A load with a beat of its own: requests are sent at a constant rate,
//! whatever becomes of those before. Nothing is sent twice but what a server of
//! HTTP/2 has said that it did nothing with, and that is told.

mod http1;
mod http2;
mod streams;
mod tally;
mod tcp;

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use super::Options;
pub use tally::Tally;
use tally::{Counts, Outcome};

/// An answer that has not come by then does not count any more.
const PATIENCE: Duration = Duration::from_secs(30);
/// More requests than this under way at once are not sent, and failed.
const UNDER_WAY: usize = 4000;
/// Five kinds, each through two proxies.
const KINDS: usize = 10;
/// Streams of each kind, to each target.
const STREAMS: u32 = 3;
/// How often a stream says something.
const STREAM_BEAT: Duration = Duration::from_millis(200);

/// One way into the mesh.
#[derive(Clone, Copy, Debug)]
pub struct Targets {
    /// In messages.
    pub name: &'static str,
    /// Where HTTP/1.1 goes.
    pub http1: SocketAddr,
    /// Where HTTP/2 goes.
    pub http2: SocketAddr,
    /// Where bytes are repeated.
    pub tcp: SocketAddr,
}

/// A load that runs until it is asked for its result.
pub struct Load {
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
    counts: Arc<Counts>,
}

impl Load {
    /// Requests of every kind to all targets, at the rate of the options
    /// together.
    pub fn start(options: &Options, targets: &[Targets]) -> Self {
        let (stop, stopped) = watch::channel(false);
        let counts = Arc::new(Counts::default());
        let mut tasks = JoinSet::new();
        let streams_rate = f64::from(2 * STREAMS) / STREAM_BEAT.as_secs_f64();
        let rest = (f64::from(options.rate) / targets.len() as f64 - streams_rate).max(10.0);
        for target in targets {
            let each = |kind| Sender {
                kind: format!("{kind} {}", target.name),
                counts: Arc::clone(&counts),
                stopped: stopped.clone(),
            };
            tasks.spawn(http1::send(each("HTTP/1.1"), target.http1, period(rest * 0.4)));
            tasks.spawn(http2::send(each("HTTP/2"), target.http2, period(rest * 0.4)));
            tasks.spawn(tcp::send(each("TCP"), target.tcp, period(rest * 0.2)));
            for number in 0..STREAMS {
                // They do not begin and end all at once.
                let first = options.stream * (number + 1) / STREAMS;
                let plan = streams::Plan { first, life: options.stream, beat: STREAM_BEAT };
                tasks.spawn(streams::tcp(each("TCP stream"), target.tcp, plan));
                tasks.spawn(streams::http2(each("HTTP/2 stream"), target.http2, plan));
            }
        }
        Self { stop, tasks, counts }
    }

    /// Returns when so many more requests have been answered.
    pub async fn goes_on(&self, requests: u64) -> Result<()> {
        let wanted = self.counts.sent() + requests;
        let deadline = Instant::now() + PATIENCE * 2;
        while self.counts.sent() < wanted {
            ensure!(Instant::now() < deadline, "the load does not go on");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// Ends the load and tells what came of it.
    pub async fn finish(mut self) -> Result<Tally> {
        self.stop.send_replace(true);
        while let Some(ended) = self.tasks.join_next().await {
            ended?;
        }
        Ok(self.counts.tally())
    }
}

fn period(rate: f64) -> Duration {
    Duration::from_secs_f64(1.0 / rate)
}

/// What every kind of load has.
#[derive(Clone)]
struct Sender {
    kind: String,
    counts: Arc<Counts>,
    stopped: watch::Receiver<bool>,
}

impl Sender {
    fn is_stopped(&self) -> bool {
        *self.stopped.borrow()
    }

    /// Waits for one request, not for ever, and counts what came of it.
    async fn count<T, E: Display>(&self, request: impl Future<Output = Result<T, E>>) -> Option<T> {
        let (outcome, value) = match tokio::time::timeout(PATIENCE, request).await {
            Ok(Ok(value)) => (Outcome::Fine, Some(value)),
            Ok(Err(error)) => (Outcome::Failed(format!("{error:#}")), None),
            Err(_) => (Outcome::Failed(format!("no answer within {PATIENCE:?}")), None),
        };
        self.counts.add(&self.kind, outcome);
        value
    }

    /// Starts a request at each beat until the load ends, then waits for all.
    async fn keep_sending<F: Future<Output = ()> + Send + 'static>(
        &self,
        period: Duration,
        request: impl Fn() -> F,
    ) {
        let mut beat = tokio::time::interval(period);
        beat.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let under_way = Arc::new(AtomicUsize::new(0));
        let mut requests = JoinSet::new();
        while !self.is_stopped() {
            beat.tick().await;
            while requests.try_join_next().is_some() {}
            if under_way.load(Ordering::Relaxed) > UNDER_WAY {
                self.counts.add(&self.kind, Outcome::Failed("too many are under way".to_owned()));
                continue;
            }
            let (request, counter) = (request(), Arc::clone(&under_way));
            counter.fetch_add(1, Ordering::Relaxed);
            requests.spawn(async move {
                request.await;
                counter.fetch_sub(1, Ordering::Relaxed);
            });
        }
        while requests.join_next().await.is_some() {}
    }
}
