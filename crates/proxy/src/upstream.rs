//! Clusters in use by a worker: their balancers, endpoints and idle
//! connections.

pub mod connect;
pub mod host;
pub mod pool;
pub mod protection;
pub mod recent;
pub mod vitals;

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use routing::address::Address;
use routing::balance::{Balancer, Hosts, Loads, Query};
use routing::cluster::{Cluster, Discovery, Limits};
use routing::endpoint::{Endpoint, Endpoints};
use routing::retry::priorities::TriedPriorities;
use routing::retry_guard::RetryGuard;
use routing::route::Priority;
use routing::tls::{ClientTls, Transport};
use tokio::time::Instant;

use crate::identities::{Identities, PeerId, ServiceId};
use crate::shared::{Live, Shared};
use crate::stats::ClusterStats;
use crate::tls::stats::{Owner, TlsStats};
use host::{Host, Upstream};
use protection::{Permit, Protection, Resource};
use vitals::Outcome;

/// The clusters that a worker has met.
#[derive(Debug, Default)]
pub struct Upstreams {
    clusters: RefCell<HashMap<Arc<str>, Rc<ClusterState>, RandomState>>,
}

/// A cluster in use by a worker.
#[derive(Debug)]
pub struct ClusterState {
    /// Its configuration.
    pub cluster: Arc<Cluster>,
    /// The service that it stands for, in metrics.
    pub service: ServiceId,
    /// What is counted about it.
    pub stats: Rc<ClusterStats>,
    /// What is counted about TLS to it.
    pub tls_stats: Rc<TlsStats>,
    endpoints: Option<Arc<Endpoints>>,
    balancer: RefCell<Balancer>,
    /// In the order of the endpoints.
    hosts: Box<[Rc<Host>]>,
    /// Hosts of original destinations.
    destinations: RefCell<HashMap<SocketAddr, Rc<Host>, RandomState>>,
    generation: Cell<u64>,
    /// What all workers share.
    pub protection: Arc<Protection>,
    /// The state of health that the balancer knows.
    health: Cell<u64>,
    guard: RefCell<RetryGuard>,
}

/// Which host is wanted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wish<'w> {
    /// A hash of the request.
    pub hash: Option<u64>,
    /// Hosts that are avoided.
    pub tried: &'w [Rc<Host>],
    /// How often the choice is repeated to avoid them.
    pub repeats: u32,
    /// Loads of the priorities in place of the usual ones.
    pub loads: Option<&'w Loads>,
}

/// Hosts as a balancer sees them.
struct View<'c>(&'c ClusterState);

impl View<'_> {
    fn host(&self, number: u32) -> Option<&Rc<Host>> {
        self.0.hosts.get(usize::try_from(number).ok()?)
    }
}

impl Hosts for View<'_> {
    fn active(&self, number: u32) -> u32 {
        self.host(number).map_or(0, |host| host.active.get())
    }

    fn total_active(&self) -> u32 {
        self.0.hosts.iter().map(|host| host.active.get()).sum()
    }

    fn age(&self, number: u32) -> Duration {
        self.host(number).map_or(Duration::MAX, |host| host.since.elapsed())
    }
}

impl Upstreams {
    /// The cluster with a name as the configuration has it now.
    pub fn find(
        &self,
        name: &str,
        live: &Live,
        identities: &Identities,
        shared: &Shared,
    ) -> Option<Rc<ClusterState>> {
        let mut clusters = self.clusters.borrow_mut();
        let known = clusters.get(name);
        if let Some(state) = known.filter(|state| state.generation.get() == live.generation) {
            return Some(state.clone());
        }
        let cluster = live.config.cluster(name)?;
        let endpoints = live.config.endpoints_of(cluster);
        if let Some(state) = known.filter(|state| state.is_of(cluster, endpoints)) {
            state.generation.set(live.generation);
            return Some(state.clone());
        }
        let previous = known.cloned();
        let state = Rc::new(ClusterState::new(cluster, endpoints, previous.as_deref(), identities, shared));
        state.generation.set(live.generation);
        clusters.insert(cluster.name.clone(), state.clone());
        Some(state)
    }

    /// Closes connections that have been idle for too long or that the peer
    /// closed, and forgets clusters that are gone.
    pub fn sweep(&self, live: &Live, now: Instant) {
        self.clusters.borrow_mut().retain(|name, state| {
            state.sweep(now);
            live.config.cluster(name).is_some()
        });
    }

    /// The clusters that are known here, for the admin endpoint.
    pub fn known(&self) -> Vec<Rc<ClusterState>> {
        self.clusters.borrow().values().cloned().collect()
    }
}

impl ClusterState {
    fn new(
        cluster: &Arc<Cluster>,
        endpoints: Option<&Arc<Endpoints>>,
        previous: Option<&ClusterState>,
        identities: &Identities,
        shared: &Shared,
    ) -> ClusterState {
        let stats = previous.map_or_else(
            || Rc::new(ClusterStats::new(&shared.registry, cluster)),
            |state| state.stats.clone(),
        );
        let tls_stats = previous.map_or_else(
            || Rc::new(TlsStats::new(&shared.registry, Owner::Cluster(&cluster.stat_name))),
            |state| state.tls_stats.clone(),
        );
        let nothing = Endpoints::default();
        let list = endpoints.map_or(&nothing, |endpoints| endpoints);
        let service =
            cluster.services.first().map_or(ServiceId::UNKNOWN, |service| identities.service(service));
        let before: HashMap<SocketAddr, &Rc<Host>, RandomState> = previous
            .into_iter()
            .flat_map(|previous| previous.hosts.iter())
            .map(|host| (host.address, host))
            .collect();
        let protection = shared.protections.of(cluster, list.list.iter().map(address_of));
        let hosts = list
            .list
            .iter()
            .map(|endpoint| {
                let address = address_of(endpoint);
                let peer =
                    endpoint.workload.as_deref().map_or(PeerId::UNKNOWN, |text| identities.endpoint(text));
                let transport = transport(cluster, &endpoint.marks);
                match before.get(&address) {
                    Some(host)
                        if host.peer == peer
                            && host.transport == transport
                            && host.priority == endpoint.priority =>
                    {
                        (*host).clone()
                    }
                    _ => {
                        let vitals = protection.vitals(address);
                        let mut host = Host::new(address, &endpoint.hostname, peer, transport, vitals);
                        host.priority = endpoint.priority;
                        Rc::new(host)
                    }
                }
            })
            .collect::<Box<[_]>>();
        let health = protection.health();
        let guard = previous.map_or_else(
            || RetryGuard::new(shared.started.elapsed()),
            |previous| previous.guard.borrow().clone(),
        );
        let state = ClusterState {
            balancer: RefCell::new(balancer(cluster, list, &hosts)),
            cluster: cluster.clone(),
            service,
            stats,
            tls_stats,
            endpoints: endpoints.cloned(),
            hosts,
            destinations: RefCell::default(),
            generation: Cell::new(0),
            protection,
            health: Cell::new(health),
            guard: RefCell::new(guard),
        };
        if let Some(previous) = previous {
            previous.retire(&state);
        }
        state
    }

    /// Hosts that the successor does not have keep no idle connections.
    fn retire(&self, successor: &ClusterState) {
        for host in &self.hosts {
            if !successor.hosts.iter().any(|kept| Rc::ptr_eq(kept, host)) {
                host.retire();
            }
        }
        for host in self.destinations.borrow().values() {
            host.retire();
        }
    }

    fn is_of(&self, cluster: &Arc<Cluster>, endpoints: Option<&Arc<Endpoints>>) -> bool {
        let same_endpoints = match (&self.endpoints, endpoints) {
            (Some(mine), Some(theirs)) => Arc::ptr_eq(mine, theirs),
            (None, None) => true,
            _ => false,
        };
        Arc::ptr_eq(&self.cluster, cluster) && same_endpoints
    }

    /// The host for a request: balanced, or where the client wanted to go.
    pub fn choose(
        &self,
        destination: impl FnOnce() -> Option<SocketAddr>,
        wish: &Wish<'_>,
    ) -> Option<Rc<Host>> {
        if let Discovery::OriginalDestination { port, .. } = &self.cluster.discovery {
            let mut address = destination()?;
            if let Some(port) = port {
                address.set_port(*port);
            }
            return Some(self.destination(address));
        }
        let query =
            Query { hash: wish.hash, random: fastrand::u64(..), loads: wish.loads, repeats: wish.repeats };
        let is_tried = |number: u32| {
            let host = usize::try_from(number).ok().and_then(|at| self.hosts.get(at));
            host.is_some_and(|host| wish.tried.iter().any(|known| Rc::ptr_eq(known, host)))
        };
        self.refresh();
        let number = self.balancer.borrow_mut().pick(&query, &View(self), is_tried)?;
        self.hosts.get(usize::try_from(number).ok()?).cloned()
    }

    /// Makes the balancer anew when endpoints were left out or came back.
    fn refresh(&self) {
        let health = self.protection.health();
        if health != self.health.get()
            && let Some(endpoints) = &self.endpoints
        {
            self.health.set(health);
            self.balancer.replace(balancer(&self.cluster, endpoints, &self.hosts));
        }
    }

    /// The limits that hold for a priority.
    pub fn limits(&self, priority: Priority) -> &Limits {
        match priority {
            Priority::Normal => &self.cluster.limits,
            Priority::High => &self.cluster.high_limits,
        }
    }

    /// Leave to use something that is limited; `None`: there is too much of
    /// it.
    pub fn admit(&self, priority: Priority, resource: Resource) -> Option<Permit> {
        self.protection.admit(self.limits(priority), priority, resource)
    }

    /// A request is sent for the first time.
    pub fn first_attempt(&self) {
        self.guard.borrow_mut().on_request();
    }

    /// Whether the guard against storms of retries lets one more pass. Where
    /// a user set a limit, that holds alone.
    pub fn guard_allows(&self, priority: Priority, now: Duration) -> bool {
        self.limits(priority).limits_retries || self.guard.borrow_mut().allows(now)
    }

    /// Loads for an attempt that shall leave the priorities of earlier ones.
    pub fn loads_beyond(&self, tried: &mut TriedPriorities, frequency: usize) -> Option<Loads> {
        tried.loads(self.balancer.borrow().spread(), frequency).cloned()
    }

    /// Whether a connection has served or lived long enough.
    pub fn is_worn(&self, upstream: &Upstream) -> bool {
        let cluster = &self.cluster;
        if cluster.max_requests_per_connection.is_some_and(|most| upstream.served >= most) {
            self.stats.rare("upstream_cx_max_requests").increment();
            return true;
        }
        let is_old = cluster.max_connection_duration.is_some_and(|most| upstream.opened.elapsed() >= most);
        if is_old {
            self.stats.rare("upstream_cx_max_duration_reached").increment();
        }
        is_old
    }

    /// Takes in how an attempt with a host went.
    pub fn note(&self, host: &Host, outcome: Outcome) {
        let Some(rules) = &self.cluster.outlier_detection else { return };
        for fault in host.vitals.note(outcome, rules) {
            self.protection.failing(host.address, fault);
        }
    }

    fn destination(&self, address: SocketAddr) -> Rc<Host> {
        let mut destinations = self.destinations.borrow_mut();
        let make = || {
            let vitals = Arc::default();
            Rc::new(Host::new(address, "", PeerId::UNKNOWN, self.cluster.transport.clone(), vitals))
        };
        destinations.entry(address).or_insert_with(make).clone()
    }

    fn sweep(&self, now: Instant) {
        let idle = self.cluster.idle_timeout.unwrap_or(Duration::MAX);
        let open = |host: &Rc<Host>| host.sweep(now, idle);
        for host in &self.hosts {
            self.stats.closed(open(host));
        }
        self.destinations.borrow_mut().retain(|_, host| {
            self.stats.closed(open(host));
            host.active.get() > 0 || host.has_idle()
        });
    }

    /// The hosts with a fixed address.
    pub fn hosts(&self) -> &[Rc<Host>] {
        &self.hosts
    }
}

fn address_of(endpoint: &Endpoint) -> SocketAddr {
    match &endpoint.address {
        Address::Socket(address) => *address,
        // Never resolved and Unix endpoints cannot be reached.
        Address::Name { .. } | Address::Pipe(_) => SocketAddr::from(([0, 0, 0, 0], 0)),
    }
}

fn balancer(cluster: &Cluster, endpoints: &Endpoints, hosts: &[Rc<Host>]) -> Balancer {
    let is_ejected = |number: u32| {
        let host = usize::try_from(number).ok().and_then(|at| hosts.get(at));
        host.is_some_and(|host| host.vitals.is_ejected())
    };
    Balancer::new(cluster, endpoints, is_ejected, fastrand::u64(..))
}

/// How bytes travel to an endpoint with these marks.
fn transport(cluster: &Cluster, marks: &std::collections::BTreeMap<String, String>) -> Transport<ClientTls> {
    cluster
        .transport_matches
        .iter()
        .find(|entry| entry.marks.iter().all(|(name, value)| marks.get(name) == Some(value)))
        .map_or(&cluster.transport, |entry| &entry.transport)
        .clone()
}
