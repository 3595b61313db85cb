//! Limits of connections of filter chains: counted over all workers, told by
//! each.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use routing::connection_limit::ConnectionLimit;
use routing::filter_chain::FilterChain;
use telemetry::metrics::{Counter, Gauge, Metric, Registry, Series};

/// A listener's name, and the hash of one of its chains.
type ChainId = (Arc<str>, u64);

/// How many connections each limited chain has, found when a worker meets the
/// chain.
#[derive(Debug, Default)]
pub struct ConnectionLimits(Mutex<HashMap<ChainId, Weak<AtomicU64>>>);

impl ConnectionLimits {
    fn of(&self, listener: &Arc<str>, chain: &FilterChain) -> Arc<AtomicU64> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, open| open.strong_count() > 0);
        let open = known.entry((listener.clone(), chain.hash)).or_default();
        open.upgrade().unwrap_or_else(|| {
            let fresh = Arc::default();
            *open = Arc::downgrade(&fresh);
            fresh
        })
    }
}

/// A chain's limit as one worker sees it.
#[derive(Debug)]
pub struct Limit {
    config: ConnectionLimit,
    open: Arc<AtomicU64>,
    active: Gauge,
    limited: Counter,
}

/// A connection that counts; counted out when dropped.
#[derive(Debug)]
pub struct Admitted<'l>(&'l Limit);

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::AcqRel);
        self.0.active.add(-1);
    }
}

impl Limit {
    /// The limit of a chain, if it has one.
    pub fn new(
        limits: &ConnectionLimits,
        registry: &Registry,
        listener: &Arc<str>,
        chain: &FilterChain,
    ) -> Option<Limit> {
        let config = chain.connection_limit.clone()?;
        let prefix = &*config.stat_prefix;
        let labels = [("envoy_connection_limit_prefix", prefix)];
        let dotted = |name: &str| format!("connection_limit.{prefix}.{name}");
        let active = Metric { name: "envoy_connection_limit_active_connections", help: "" };
        let limited = Metric { name: "envoy_connection_limit_limited_connections", help: "" };
        Some(Limit {
            open: limits.of(listener, chain),
            active: registry.gauge(active, Series { labels: &labels, dotted: &dotted("active_connections") }),
            limited: registry
                .counter(limited, Series { labels: &labels, dotted: &dotted("limited_connections") }),
            config,
        })
    }

    /// Takes one more connection in, or says that there are too many.
    pub fn admit(&self) -> Option<Admitted<'_>> {
        let before = self.open.fetch_add(1, Ordering::AcqRel);
        self.active.add(1);
        let admitted = Admitted(self);
        (before < self.config.most).then_some(admitted)
    }

    /// Counts a connection that was not taken in; returns when it may be
    /// closed.
    pub async fn turn_away(&self) {
        self.limited.increment();
        if let Some(delay) = self.config.delay {
            tokio::time::sleep(delay).await;
        }
    }
}
