//! From a snapshot and a node to the node's resources.
//!
//! First everything is named and given its key ([`draft`]); then each key is
//! looked up or built. What nodes that see the same services have in common is
//! drawn once for all of them, and whole plans are remembered by what they
//! read, so that a change of endpoints alone does not draw any again.

mod draft;
mod gateway;
mod inbound;
mod outbound;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use resources::mesh_config::MeshConfig;
use xds::envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;
use xds::resource::{Named, Resource, ResourceSet};
use xds::type_url::{CLUSTER, ENDPOINT, LISTENER, NAME_TABLE, ROUTE, SECRET};

use crate::cluster::InboundKey;
use crate::endpoint::{EndpointsKey, Place};
use crate::extensions::Extensions;
use crate::listener::{self, OutboundShape, VirtualOutboundKey};
use crate::memo::{Interner, Memo, Shared};
use crate::name_table::{self, NameTableKey};
use crate::node::{Facets, Kind, Node};
use crate::route::RouteKey;
use crate::scope::{Scope, ScopeKey};
use crate::server_tls::{Credential, CredentialKey};
use crate::service::Endpoints;
use crate::snapshot::{
    AccountIndex, EndpointIndex, Objects, Part, PeerAuthentications, Policies, Rules, Snapshot,
};

use draft::{ClusterKey, EndpointsName, ListenerKey, Scene};
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
    shapes: Interner<OutboundShape>,
    endpoint_names: Interner<Vec<EndpointsName>>,
    scopes: Memo<ScopeKey, Scope>,
    clusters: Memo<ClusterKey, Resource>,
    endpoints: Memo<EndpointsKey, Resource>,
    listeners: Memo<ListenerKey, Resource>,
    routes: Memo<RouteKey, Resource>,
    name_tables: Memo<NameTableKey, Resource>,
    secrets: Memo<CredentialKey, Resource>,
    shared: Recent<SharedKey, Arc<SharedPlan>>,
    plans: Recent<PlanKey, Plan>,
    own_clusters: Recent<(Shared<Named>, Vec<InboundKey>), Arc<Named>>,
    assignments: Recent<AssignmentsKey, Arc<Named>>,
    sets: Sets,
}

/// The endpoints that are asked for, and where all endpoints are.
type AssignmentsKey = (
    Shared<Vec<EndpointsName>>,
    Part<EndpointIndex>,
    Option<Shared<Place>>,
    Option<Part<PeerAuthentications>>,
);

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

/// All that nodes which see the same services have in common is made from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct SharedKey {
    /// Says the kind, the namespace, services and VirtualServices too.
    scope: Shared<Scope>,
    extensions: Shared<Extensions>,
    rules: Part<Rules>,
    /// Endpoints that stand in clusters or listeners themselves.
    inline: Vec<Shared<Endpoints>>,
    /// Only when a rule looks at the labels of clients.
    client: Option<Shared<Facets>>,
    /// Only when endpoints of several places stand in clusters themselves.
    place: Option<Shared<Place>>,
    /// Where applications find an HTTP proxy.
    http_proxy: Option<u16>,
    /// Only where nodes have certificates.
    mutual: Option<Mutual>,
}

/// What TLS between workloads is made from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Mutual {
    accounts: Part<AccountIndex>,
    mesh_config: Arc<MeshConfig>,
}

/// What such nodes have in common.
#[derive(Debug)]
struct SharedPlan {
    clusters: Arc<Named>,
    routes: Arc<Named>,
    endpoints: Shared<Vec<EndpointsName>>,
    listeners: Vec<Shared<OutboundShape>>,
}

/// All that the resources of a node are made from, endpoints of its clusters
/// left out.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct PlanKey {
    shared: SharedKey,
    facets: Shared<Facets>,
    own_ports: Vec<OwnPort>,
    /// Gateways only.
    gateways: Option<Part<Objects>>,
    /// What the own ports take, where the node has a certificate.
    policies: Option<Shared<Policies>>,
}

/// The resources of a node, endpoints of its clusters left out.
#[derive(Debug, Clone)]
struct Plan {
    clusters: Arc<Named>,
    listeners: Arc<Named>,
    routes: Arc<Named>,
    endpoints: Shared<Vec<EndpointsName>>,
    /// Secrets that the listeners name.
    credentials: Arc<BTreeSet<Credential>>,
}

impl Generator {
    /// Everything the node should hold.
    pub fn generate(&mut self, snapshot: &Snapshot, node: &Node) -> ResourceSet {
        let mesh_config = Arc::clone(&snapshot.mesh_config);
        let facets = self.facets.intern(Facets { mesh_config, ..node.facets.clone() });
        let scope = Shared::from(self.scopes.get(ScopeKey::new(snapshot, &facets), ScopeKey::build));
        let reads_client = snapshot.rules.reads_client() || snapshot.virtual_services.reads_client();
        let captures_names = facets.captures_names;
        let known_scope = scope.clone();
        let place = outbound::has_places(snapshot, &scope).then(|| Shared::new(Place::of(&facets)));
        let shared = SharedKey {
            inline: outbound::inline_endpoints(snapshot, &scope),
            scope,
            extensions: self.extensions.intern(facets.extensions.clone()),
            rules: snapshot.rules.clone(),
            client: reads_client.then(|| facets.clone()),
            mutual: facets.has_certificate().then(|| Mutual {
                accounts: snapshot.accounts.clone(),
                mesh_config: snapshot.mesh_config.clone(),
            }),
            place,
            http_proxy: facets.http_proxy(),
        };
        let key = PlanKey {
            shared,
            own_ports: inbound::own_ports(snapshot, node),
            gateways: (facets.kind == Kind::Router).then(|| snapshot.gateways.clone()),
            policies: (facets.kind == Kind::Sidecar && facets.has_certificate())
                .then(|| snapshot.peer_authentications.of(&facets.namespace).clone()),
            facets,
        };
        let facets = key.facets.clone();
        let plan = match self.plans.known(&key) {
            Some(plan) => plan,
            None => {
                let plan = self.plan(snapshot, &key);
                self.plans.put(key, plan)
            }
        };
        let mut set = ResourceSet::default();
        set.insert(CLUSTER, plan.clusters);
        set.insert(ENDPOINT, self.assignments(snapshot, &plan.endpoints, &facets));
        set.insert(LISTENER, plan.listeners);
        set.insert(ROUTE, plan.routes);
        if !plan.credentials.is_empty() {
            set.insert(SECRET, self.secrets(snapshot, &plan.credentials, &facets.namespace));
        }
        if captures_names {
            set.insert(NAME_TABLE, self.names(snapshot, known_scope));
        }
        set
    }

    /// Secrets of the gateway's own namespace, and of no other.
    fn secrets(
        &mut self,
        snapshot: &Snapshot,
        credentials: &BTreeSet<Credential>,
        namespace: &str,
    ) -> Arc<Named> {
        let keys = credentials.iter().filter_map(|credential| credential.key(snapshot, namespace));
        let built = keys.filter(CredentialKey::is_complete).map(|key| {
            let secret = self.secrets.get(key, CredentialKey::build);
            (secret.name.clone(), secret)
        });
        let named = built.collect();
        self.sets.intern(named)
    }

    fn names(&mut self, snapshot: &Snapshot, scope: Shared<Scope>) -> Arc<Named> {
        let headless = scope.services.values().filter(|service| name_table::is_headless(service));
        let headless = headless.map(|service| snapshot.endpoints_of(service)).collect();
        let table = self.name_tables.get(NameTableKey { scope, headless }, NameTableKey::build);
        self.sets.intern(Named::from([(table.name.clone(), table)]))
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

    /// Forgets what was not asked for since the last sweep and what no node
    /// holds any more. To be called once for each snapshot.
    pub fn sweep(&mut self) {
        self.plans.sweep();
        self.shared.sweep();
        self.own_clusters.sweep();
        self.assignments.sweep();
        self.sets.sweep();
        self.clusters.sweep();
        self.endpoints.sweep();
        self.listeners.sweep();
        self.routes.sweep();
        self.name_tables.sweep();
        self.secrets.sweep();
        self.scopes.sweep();
        self.endpoint_names.sweep();
        self.shapes.sweep();
        self.facets.sweep();
        self.extensions.sweep();
    }

    fn plan(&mut self, snapshot: &Snapshot, key: &PlanKey) -> Plan {
        let facets = &key.facets;
        let shared = match self.shared.known(&key.shared) {
            Some(shared) => shared,
            None => {
                let shared = Arc::new(self.shared_plan(snapshot, &key.shared, facets));
                self.shared.put(key.shared.clone(), shared)
            }
        };
        let endpoints = shared.endpoints.clone();
        if facets.kind == Kind::Router {
            let servers =
                gateway::draw(&scene(snapshot, &key.shared, facets, Some(facets)), facets, &key.own_ports);
            let listeners = servers.listeners.into_iter().map(|key| (key.name(), ListenerKey::Gateway(key)));
            return Plan {
                clusters: Arc::clone(&shared.clusters),
                listeners: self.listeners(listeners.collect()),
                routes: self.routes(servers.routes),
                endpoints,
                credentials: Arc::new(servers.credentials),
            };
        }
        let own = inbound::Own {
            ports: &key.own_ports,
            sidecar: key.shared.scope.sidecar.as_ref(),
            extensions: &key.shared.extensions,
        };
        let own = inbound::clusters(&own);
        Plan {
            listeners: self.listeners(sidecar_listeners(key, &shared, &own)),
            clusters: self.with_own_clusters(&shared.clusters, own),
            routes: Arc::clone(&shared.routes),
            endpoints,
            credentials: Arc::default(),
        }
    }

    fn shared_plan(&mut self, snapshot: &Snapshot, key: &SharedKey, facets: &Shared<Facets>) -> SharedPlan {
        let outbound = outbound::draw(&scene(snapshot, key, facets, key.client.as_ref()));
        let clusters = outbound.clusters.into_iter().map(|(name, key)| {
            let resource = self.clusters.get(key, ClusterKey::build);
            (name, resource)
        });
        let clusters = self.sets.intern(clusters.collect());
        SharedPlan {
            clusters,
            routes: self.routes(outbound.routes),
            endpoints: self.endpoint_names.intern(outbound.endpoints),
            listeners: outbound.listeners.into_iter().map(|shape| self.shapes.intern(shape)).collect(),
        }
    }

    fn with_own_clusters(&mut self, shared: &Arc<Named>, own: Vec<InboundKey>) -> Arc<Named> {
        let key = (Shared::from(Arc::clone(shared)), own);
        if let Some(known) = self.own_clusters.known(&key) {
            return known;
        }
        let mut named = Named::clone(shared);
        for own in &key.1 {
            let resource = self.clusters.get(ClusterKey::Inbound(own.clone()), ClusterKey::build);
            named.insert(resource.name.clone(), resource);
        }
        let named = self.sets.intern(named);
        self.own_clusters.put(key, named)
    }

    fn listeners(&mut self, keys: BTreeMap<String, ListenerKey>) -> Arc<Named> {
        let named = keys.into_iter().map(|(name, key)| (name, self.listeners.get(key, ListenerKey::build)));
        self.sets.intern(named.collect())
    }

    fn routes(&mut self, keys: BTreeMap<String, RouteKey>) -> Arc<Named> {
        let named = keys.into_iter().map(|(name, key)| (name, self.routes.get(key, RouteKey::build)));
        self.sets.intern(named.collect())
    }

    fn assignments(
        &mut self,
        snapshot: &Snapshot,
        names: &Shared<Vec<EndpointsName>>,
        facets: &Facets,
    ) -> Arc<Named> {
        // Only where somebody prefers near endpoints does it matter where
        // the node is.
        let prefers = names.iter().any(|name| name.preference.is_some());
        let place = prefers.then(|| Shared::new(Place::of(facets)));
        let policies =
            snapshot.mesh_config.gives_certificates().then(|| snapshot.peer_authentications.clone());
        let key = (names.clone(), snapshot.endpoints.clone(), place.clone(), policies);
        if let Some(known) = self.assignments.known(&key) {
            return known;
        }
        let mut named = Named::new();
        for name in names.iter() {
            let key = name.key(snapshot, place.as_ref());
            named.insert(name.name.clone(), self.endpoints.get(key, EndpointsKey::build));
        }
        let named = self.sets.intern(named);
        self.assignments.put(key, named)
    }
}

fn scene<'a>(
    snapshot: &'a Snapshot,
    key: &'a SharedKey,
    facets: &'a Facets,
    client: Option<&'a Shared<Facets>>,
) -> Scene<'a> {
    Scene {
        snapshot,
        kind: facets.kind,
        namespace: &facets.namespace,
        extensions: &key.extensions,
        scope: &key.scope,
        client,
        has_certificate: key.mutual.is_some(),
        place: key.place.as_ref(),
        http_proxy: key.http_proxy,
    }
}

fn sidecar_listeners(
    key: &PlanKey,
    shared: &SharedPlan,
    own: &[InboundKey],
) -> BTreeMap<String, ListenerKey> {
    let facets = &key.facets;
    let outbound = shared.listeners.iter().map(|shape| {
        let name = shape.name();
        (name, ListenerKey::Outbound(listener::OutboundKey { facets: facets.clone(), shape: shape.clone() }))
    });
    let mut listeners: BTreeMap<String, ListenerKey> = outbound.collect();
    if facets.extensions.hold::<TcpProxy>() {
        let unknown = key.shared.scope.unknown.clone();
        let outbound = VirtualOutboundKey { facets: facets.clone(), unknown };
        listeners.insert("virtualOutbound".to_owned(), ListenerKey::VirtualOutbound(outbound));
        let inbound = inbound::listener(facets, own, key.policies.as_ref());
        let inbound = ListenerKey::VirtualInbound(inbound);
        listeners.insert("virtualInbound".to_owned(), inbound);
    }
    listeners
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
