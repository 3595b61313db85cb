//! From a snapshot and a node to the node's resources.
//!
//! First everything is named and given its key ([`draft`]); then each key is
//! looked up or built. Whole drafts are remembered too, by the parts of the
//! snapshot that they read, so that a change of endpoints alone does not even
//! draw them again.

mod draft;
mod gateway;
mod inbound;
mod outbound;

use std::collections::HashMap;
use std::sync::Arc;

use xds::resource::{Named, Resource, ResourceSet};
use xds::type_url::{CLUSTER, ENDPOINT, LISTENER, ROUTE};

use crate::endpoint::EndpointsKey;
use crate::extensions::Extensions;
use crate::memo::{Interner, Memo, Shared};
use crate::node::{Facets, Node};
use crate::route::RouteKey;
use crate::scope::{Scope, ScopeKey};
use crate::service::Endpoints;
use crate::snapshot::{EndpointIndex, Objects, Part, Rules, Services, Snapshot, VirtualServices};

use draft::{ClusterKey, Draft, EndpointsName, ListenerKey};
use inbound::OwnPort;

/// Everything a node should hold, without a memory of earlier work.
pub fn generate(snapshot: &Snapshot, node: &Node) -> ResourceSet {
    Generator::default().generate(snapshot, node)
}

/// Makes resources and remembers them by what they were made from.
#[derive(Debug, Default)]
pub struct Generator {
    facets: Interner<Facets>,
    extensions: Interner<Extensions>,
    scopes: Memo<ScopeKey, Scope>,
    clusters: Memo<ClusterKey, Resource>,
    endpoints: Memo<EndpointsKey, Resource>,
    listeners: Memo<ListenerKey, Resource>,
    routes: Memo<RouteKey, Resource>,
    endpoint_names: Interner<Vec<EndpointsName>>,
    plans: Recent<PlanKey, Plan>,
    assignments: Recent<AssignmentsKey, Arc<Named>>,
    sets: Sets,
}

/// The endpoints that are asked for, and where all endpoints are.
type AssignmentsKey = (Shared<Vec<EndpointsName>>, Part<EndpointIndex>);

/// How many resources were built since the generator began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Builds {
    /// Clusters.
    pub clusters: u64,
    /// Endpoints of clusters.
    pub endpoints: u64,
    /// Listeners.
    pub listeners: u64,
    /// Route configurations.
    pub routes: u64,
}

/// All that the resources of a node are made from, endpoints of its clusters
/// left out.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct PlanKey {
    facets: Shared<Facets>,
    services: Part<Services>,
    virtual_services: Part<VirtualServices>,
    rules: Part<Rules>,
    gateways: Part<Objects>,
    sidecars: Part<Objects>,
    own_ports: Vec<OwnPort>,
    /// Endpoints that stand in clusters or listeners themselves.
    inline: Vec<Shared<Endpoints>>,
}

/// The resources of a node, endpoints of its clusters left out.
#[derive(Debug, Clone)]
struct Plan {
    clusters: Arc<Named>,
    listeners: Arc<Named>,
    routes: Arc<Named>,
    endpoints: Shared<Vec<EndpointsName>>,
}

impl Generator {
    /// Everything the node should hold.
    pub fn generate(&mut self, snapshot: &Snapshot, node: &Node) -> ResourceSet {
        let facets = self.facets.intern(node.facets.clone());
        let scope = self.scopes.get(ScopeKey::new(snapshot, &facets), ScopeKey::build);
        let own_ports = inbound::own_ports(snapshot, node);
        let key = PlanKey {
            facets,
            services: snapshot.services.clone(),
            virtual_services: snapshot.virtual_services.clone(),
            rules: snapshot.rules.clone(),
            gateways: snapshot.gateways.clone(),
            sidecars: snapshot.sidecars.clone(),
            own_ports,
            inline: outbound::inline_endpoints(snapshot, &scope),
        };
        let plan = match self.plans.known(&key) {
            Some(plan) => plan,
            None => {
                let plan = self.plan(snapshot, &key, &scope);
                self.plans.put(key, plan)
            }
        };
        let mut set = ResourceSet::default();
        set.insert(CLUSTER, plan.clusters);
        set.insert(ENDPOINT, self.assignments(snapshot, &plan.endpoints));
        set.insert(LISTENER, plan.listeners);
        set.insert(ROUTE, plan.routes);
        set
    }

    /// How much was built so far.
    pub fn builds(&self) -> Builds {
        Builds {
            clusters: self.clusters.builds(),
            endpoints: self.endpoints.builds(),
            listeners: self.listeners.builds(),
            routes: self.routes.builds(),
        }
    }

    /// Forgets what no node holds any more. To be called when every node was
    /// given what the newest snapshot says.
    pub fn sweep(&mut self) {
        self.plans.sweep();
        self.assignments.sweep();
        self.sets.sweep();
        self.clusters.sweep();
        self.endpoints.sweep();
        self.listeners.sweep();
        self.routes.sweep();
        self.scopes.sweep();
        self.endpoint_names.sweep();
        self.facets.sweep();
        self.extensions.sweep();
    }

    fn plan(&mut self, snapshot: &Snapshot, key: &PlanKey, scope: &Scope) -> Plan {
        let extensions = self.extensions.intern(key.facets.extensions.clone());
        let draft = Draft::new(snapshot, &key.facets, &extensions, scope, &key.own_ports);
        let clusters = draft.clusters.into_iter().map(|(name, key)| {
            let resource = self.clusters.get(key, ClusterKey::build);
            (name, resource)
        });
        let clusters = self.sets.intern(clusters.collect());
        let listeners = draft.listeners.into_iter().map(|(name, key)| {
            let resource = self.listeners.get(key, ListenerKey::build);
            (name, resource)
        });
        let listeners = self.sets.intern(listeners.collect());
        let routes = draft.routes.into_iter().map(|(name, key)| {
            let resource = self.routes.get(key, RouteKey::build);
            (name, resource)
        });
        let routes = self.sets.intern(routes.collect());
        Plan { clusters, listeners, routes, endpoints: self.endpoint_names.intern(draft.endpoints) }
    }

    fn assignments(&mut self, snapshot: &Snapshot, names: &Shared<Vec<EndpointsName>>) -> Arc<Named> {
        let key = (names.clone(), snapshot.endpoints.clone());
        if let Some(known) = self.assignments.known(&key) {
            return known;
        }
        let mut named = Named::new();
        for name in names.iter() {
            let key = name.key(snapshot);
            named.insert(name.name.clone(), self.endpoints.get(key, EndpointsKey::build));
        }
        let named = self.sets.intern(named);
        self.assignments.put(key, named)
    }
}

/// Values that were asked for since the sweep before the last.
#[derive(Debug)]
struct Recent<K, V> {
    entries: HashMap<K, (V, u64)>,
    epoch: u64,
}

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self { entries: HashMap::new(), epoch: 0 }
    }
}

impl<K: std::hash::Hash + Eq, V: Clone> Recent<K, V> {
    fn known(&mut self, key: &K) -> Option<V> {
        let (value, used) = self.entries.get_mut(key)?;
        *used = self.epoch;
        Some(value.clone())
    }

    fn put(&mut self, key: K, value: V) -> V {
        self.entries.insert(key, (value.clone(), self.epoch));
        value
    }

    fn sweep(&mut self) {
        let epoch = self.epoch;
        self.entries.retain(|_, (_, used)| *used == epoch);
        self.epoch += 1;
    }
}

/// One allocation for sets of the same resources.
#[derive(Debug, Default)]
struct Sets {
    /// By the addresses of the resources, which the value keeps from being reused.
    known: HashMap<Vec<usize>, Arc<Named>>,
}

impl Sets {
    fn intern(&mut self, named: Named) -> Arc<Named> {
        let addresses = named.values().map(|resource| Arc::as_ptr(resource) as usize).collect();
        Arc::clone(self.known.entry(addresses).or_insert_with(|| Arc::new(named)))
    }

    fn sweep(&mut self) {
        self.known.retain(|_, named| Arc::strong_count(named) > 1);
    }
}

#[cfg(test)]
mod tests;
