//! What all workers share about one cluster: how much is under way, and who
//! is left out. Nothing here is locked on the path of a request.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use routing::cluster::{Cluster, Limits, OutlierDetection};
use routing::outlier::Fault;
use routing::route::Priority;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::upstream::recent::Recent;
use crate::upstream::vitals::Vitals;

/// The clusters that workers use, by name.
#[derive(Debug)]
pub struct Protections {
    clusters: Mutex<HashMap<Arc<str>, Arc<Protection>, RandomState>>,
    notices: UnboundedSender<Notice>,
    received: Mutex<Option<UnboundedReceiver<Notice>>>,
}

/// What workers tell the one who decides about outliers.
#[derive(Debug)]
pub enum Notice {
    /// The cluster's endpoints or settings are other ones.
    Changed(Arc<Protection>),
    /// An endpoint has failed often enough in a row.
    Failing(Arc<Protection>, SocketAddr, Fault),
}

/// What all workers share about one cluster.
#[derive(Debug)]
pub struct Protection {
    /// The cluster's name.
    pub name: Arc<str>,
    /// The name under which it is counted.
    pub stat_name: Arc<str>,
    normal: UnderWay,
    high: UnderWay,
    health: AtomicU64,
    made: Instant,
    endpoints: Mutex<Watched>,
    notices: UnboundedSender<Notice>,
}

/// Endpoints and by which rules they are watched.
#[derive(Debug, Default, Clone)]
pub struct Watched {
    /// The rules; none: nobody is left out.
    pub rules: Option<OutlierDetection>,
    /// The endpoints.
    pub vitals: HashMap<SocketAddr, Arc<Vitals>, RandomState>,
}

/// How much is under way.
#[derive(Debug, Default)]
struct UnderWay {
    connections: AtomicU32,
    pending: AtomicU32,
    requests: AtomicU32,
    retries: AtomicU32,
    /// Requests that began lately, where a budget of retries looks at them.
    recent: Recent,
}

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// A connection.
    Connection,
    /// A request that waits for a connection.
    Pending,
    /// A request.
    Request,
    /// A request that is tried again.
    Retry,
}

/// Leave to use something that is limited; given back when dropped.
#[derive(Debug, Default)]
pub struct Permit(Option<(Arc<Protection>, Priority, Resource)>);

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some((protection, priority, resource)) = &self.0 {
            protection.counter(*priority, *resource).fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl Default for Protections {
    fn default() -> Protections {
        let (notices, received) = unbounded_channel();
        Protections { clusters: Mutex::default(), notices, received: Mutex::new(Some(received)) }
    }
}

impl Protections {
    /// The state of a cluster, with these endpoints from now on.
    pub fn of(&self, cluster: &Cluster, endpoints: impl Iterator<Item = SocketAddr>) -> Arc<Protection> {
        let protection = lock(&self.clusters)
            .entry(cluster.name.clone())
            .or_insert_with(|| {
                Arc::new(Protection {
                    name: cluster.name.clone(),
                    stat_name: cluster.stat_name.clone(),
                    normal: UnderWay::default(),
                    high: UnderWay::default(),
                    health: AtomicU64::new(0),
                    made: Instant::now(),
                    endpoints: Mutex::default(),
                    notices: self.notices.clone(),
                })
            })
            .clone();
        protection.watch(cluster, endpoints);
        protection
    }

    /// Every cluster that a worker uses.
    pub fn all(&self) -> Vec<Arc<Protection>> {
        lock(&self.clusters).values().cloned().collect()
    }

    /// The state of a cluster that a worker uses.
    pub fn find(&self, name: &str) -> Option<Arc<Protection>> {
        lock(&self.clusters).get(name).cloned()
    }

    /// Forgets clusters that are gone.
    pub fn retain(&self, exists: impl Fn(&str) -> bool) {
        lock(&self.clusters).retain(|name, _| exists(name));
    }

    /// What workers tell; only the first who asks gets it.
    pub fn notices(&self) -> Option<UnboundedReceiver<Notice>> {
        lock(&self.received).take()
    }
}

impl Protection {
    fn watch(self: &Arc<Self>, cluster: &Cluster, endpoints: impl Iterator<Item = SocketAddr>) {
        let mut watched = self.endpoints();
        let mut before = std::mem::take(&mut watched.vitals);
        watched.vitals =
            endpoints.map(|address| (address, before.remove(&address).unwrap_or_default())).collect();
        let was_watched = watched.rules.is_some();
        if watched.rules != cluster.outlier_detection {
            watched.rules.clone_from(&cluster.outlier_detection);
        }
        let tells = was_watched || watched.rules.is_some();
        drop(watched);
        if tells {
            // Without a receiver nobody is left out.
            let _ = self.notices.send(Notice::Changed(self.clone()));
        }
    }

    /// The endpoints and how they are watched.
    pub fn endpoints(&self) -> MutexGuard<'_, Watched> {
        lock(&self.endpoints)
    }

    /// What is known of an endpoint.
    pub fn vitals(&self, address: SocketAddr) -> Arc<Vitals> {
        self.endpoints().vitals.entry(address).or_default().clone()
    }

    /// Grows whenever an endpoint is left out or comes back.
    pub fn health(&self) -> u64 {
        self.health.load(Ordering::Acquire)
    }

    /// An endpoint was left out or came back.
    pub fn health_changed(&self) {
        self.health.fetch_add(1, Ordering::AcqRel);
    }

    /// An endpoint has failed often enough in a row.
    pub fn failing(self: &Arc<Self>, address: SocketAddr, fault: Fault) {
        // Without a receiver nobody is left out.
        let _ = self.notices.send(Notice::Failing(self.clone(), address, fault));
    }

    fn under_way(&self, priority: Priority) -> &UnderWay {
        match priority {
            Priority::Normal => &self.normal,
            Priority::High => &self.high,
        }
    }

    fn counter(&self, priority: Priority, resource: Resource) -> &AtomicU32 {
        let under_way = self.under_way(priority);
        match resource {
            Resource::Connection => &under_way.connections,
            Resource::Pending => &under_way.pending,
            Resource::Request => &under_way.requests,
            Resource::Retry => &under_way.retries,
        }
    }

    /// How much of something there is.
    pub fn used(&self, priority: Priority, resource: Resource) -> u32 {
        self.counter(priority, resource).load(Ordering::Relaxed)
    }

    /// Leave to use one more; `None`: there are too many. What has no limit
    /// is not even counted, unless a budget of retries asks for it.
    pub fn admit(
        self: &Arc<Self>,
        limits: &Limits,
        priority: Priority,
        resource: Resource,
    ) -> Option<Permit> {
        let limit = self.limit(limits, priority, resource);
        let is_counted = limits.retry_budget.is_some() && resource != Resource::Connection;
        if limit == u32::MAX && !is_counted {
            return Some(Permit::default());
        }
        // Two threads may pass at once, as in Envoy; a limit is no promise
        // to the last one.
        if self.used(priority, resource) >= limit {
            return None;
        }
        if let Some(interval) = counted_interval(limits).filter(|_| resource == Resource::Request) {
            self.under_way(priority).recent.add(self.made.elapsed(), interval);
        }
        Some(self.take(priority, resource))
    }

    /// Uses one more, whatever the limit.
    pub fn take(self: &Arc<Self>, priority: Priority, resource: Resource) -> Permit {
        self.counter(priority, resource).fetch_add(1, Ordering::AcqRel);
        Permit(Some((self.clone(), priority, resource)))
    }

    fn limit(&self, limits: &Limits, priority: Priority, resource: Resource) -> u32 {
        match (resource, &limits.retry_budget) {
            (Resource::Connection, _) => limits.connections,
            (Resource::Pending, _) => limits.pending_requests,
            (Resource::Request, _) => limits.requests,
            (Resource::Retry, None) => limits.retries,
            (Resource::Retry, Some(budget)) => {
                let under_way =
                    self.used(priority, Resource::Request) + self.used(priority, Resource::Pending);
                let recent = counted_interval(limits).map_or(0, |interval| {
                    self.under_way(priority).recent.count(self.made.elapsed(), interval)
                });
                budget.allows(under_way.max(recent))
            }
        }
    }
}

/// For how long a request counts after its beginning.
fn counted_interval(limits: &Limits) -> Option<Duration> {
    limits.retry_budget.map(|budget| budget.interval).filter(|interval| !interval.is_zero())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
