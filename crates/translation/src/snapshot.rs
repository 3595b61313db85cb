//! The mesh at one moment: immutable, indexed, cheap to clone.
//!
//! [`Snapshot::apply`] makes the next one. Each index is a part of its own; a
//! change replaces only the parts that hold it, and inside a part only the
//! entries that read it: everything else keeps its identity, which is what
//! `memo` compares. Endpoints are such a part, so scaling touches nothing else.

mod destination_rules;
mod made_up;
mod peer_authentications;
mod virtual_services;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use resources::mesh_config::{self, MeshConfig};
use resources::{Kind, Object, ObjectKey};

use crate::memo::Shared;
use crate::mesh::ROOT_NAMESPACE;
use crate::mutual_tls;
use crate::service::{self, Endpoints, Service};

pub(crate) use destination_rules::{Client, Rule, Rules};
pub(crate) use peer_authentications::{PeerAuthentications, Policies};
pub(crate) use virtual_services::{HttpRule, VirtualService, VirtualServices};

/// One step from a snapshot to the next.
#[derive(Debug, Clone)]
pub enum Change {
    /// The object is new, or differs from the one of its name.
    Upsert(Arc<Object>),
    /// There is no such object any more.
    Remove(ObjectKey),
}

/// The mesh at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    objects: Arc<BTreeMap<ObjectKey, Arc<Object>>>,
    pods: Arc<BTreeMap<ObjectKey, Arc<Object>>>,
    pub(crate) services: Part<Services>,
    pub(crate) endpoints: Part<EndpointIndex>,
    pub(crate) virtual_services: Part<VirtualServices>,
    pub(crate) rules: Part<Rules>,
    pub(crate) gateways: Part<Objects>,
    pub(crate) sidecars: Part<Objects>,
    pub(crate) peer_authentications: Part<PeerAuthentications>,
    /// Whom the endpoints of services run as.
    pub(crate) accounts: Part<AccountIndex>,
    pub(crate) mesh_config: Arc<MeshConfig>,
}

/// A part of a snapshot with its identity.
pub(crate) type Part<T> = Shared<T>;

impl<T: Default> Default for Part<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

/// Endpoints by service.
pub(crate) type EndpointIndex = BTreeMap<ServiceId, Shared<Endpoints>>;

/// Whom the endpoints of services run as, each once.
pub(crate) type AccountIndex = BTreeMap<ServiceId, Shared<Vec<String>>>;

/// Objects of one kind, the oldest first.
pub(crate) type Objects = Vec<Shared<Object>>;

/// A host may be registered in several namespaces.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ServiceId {
    pub(crate) host: String,
    pub(crate) namespace: String,
    pub(crate) object: ObjectKey,
}

impl ServiceId {
    pub(crate) fn of(service: &Service) -> Self {
        Self {
            host: service.host.clone(),
            namespace: service.namespace.clone(),
            object: service.object.clone(),
        }
    }
}

/// All services.
#[derive(Debug, Clone, Default)]
pub(crate) struct Services {
    by_object: BTreeMap<ObjectKey, Vec<Shared<Service>>>,
    by_host: BTreeMap<String, Vec<Shared<Service>>>,
    /// Services that have no address of their own, with one that was made up.
    addressed: BTreeMap<ServiceId, Shared<Service>>,
}

impl Services {
    /// Every service, by host.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Shared<Service>> {
        self.by_host.values().flatten()
    }

    /// Those of `host` that `namespace` sees, the one it would use first: its
    /// own, then Kubernetes', then the oldest.
    pub(crate) fn find(&self, host: &str, namespace: &str) -> Option<&Shared<Service>> {
        let visible = self.by_host.get(host)?.iter().filter(|service| service.is_visible_in(namespace));
        visible.min_by_key(|service| {
            let foreign = service.namespace != namespace;
            let created = (service.created.is_none(), service.created);
            (foreign, service.registry, created, &service.namespace, &service.object)
        })
    }

    /// The same service with an address, where one was made up for it.
    pub(crate) fn with_address(&self, service: &Shared<Service>) -> Shared<Service> {
        self.addressed.get(&ServiceId::of(service)).unwrap_or(service).clone()
    }

    /// Makes addresses up for services that need one; what has one keeps it.
    fn make_addresses_up(&mut self) {
        let wanting: Vec<Shared<Service>> =
            self.iter().filter(|service| service.wants_address()).cloned().collect();
        let addresses = made_up::addresses(&wanting);
        let known = std::mem::take(&mut self.addressed);
        for (service, address) in wanting.iter().zip(addresses) {
            let id = ServiceId::of(service);
            let address = address.to_string();
            let same = known.get(&id).filter(|known| {
                known.addresses == [address.clone()]
                    && Service { addresses: Vec::new(), ..(***known).clone() } == **service
            });
            let addressed = same
                .cloned()
                .unwrap_or_else(|| Shared::new(Service { addresses: vec![address], ..(**service).clone() }));
            self.addressed.insert(id, addressed);
        }
    }

    fn replace(&mut self, key: &ObjectKey, services: Vec<Service>) {
        for old in self.by_object.remove(key).into_iter().flatten() {
            if let Some(same_host) = self.by_host.get_mut(&old.host) {
                same_host.retain(|service| service.object != *key);
                if same_host.is_empty() {
                    self.by_host.remove(&old.host);
                }
            }
        }
        let services: Vec<Shared<Service>> = services.into_iter().map(Shared::new).collect();
        for service in &services {
            let same_host = self.by_host.entry(service.host.clone()).or_default();
            same_host.push(service.clone());
            same_host.sort_by(|left, right| left.object.cmp(&right.object));
        }
        if !services.is_empty() {
            self.by_object.insert(key.clone(), services);
        }
    }

    fn of_object(&self, key: &ObjectKey) -> &[Shared<Service>] {
        self.by_object.get(key).map_or(&[], Vec::as_slice)
    }

    /// Services whose pods would be in `namespace`.
    pub(crate) fn in_namespace<'a>(
        &'a self,
        namespace: &'a str,
    ) -> impl Iterator<Item = &'a Shared<Service>> {
        [Kind::Service, Kind::ServiceEntry].into_iter().flat_map(move |kind| {
            let first = ObjectKey::new(kind, namespace, "");
            self.by_object
                .range(first..)
                .take_while(move |(key, _)| key.kind == kind && key.namespace == namespace)
                .flat_map(|(_, services)| services)
        })
    }
}

impl Snapshot {
    /// A mesh with nothing in it.
    pub fn empty() -> Self {
        Self::default()
    }

    /// The mesh after `changes`. What does not change keeps its identity.
    #[must_use]
    pub fn apply(&self, changes: &[Change]) -> Self {
        let mut next = self.clone();
        let mut touched = Touched::default();
        for change in changes {
            next.put(change, &mut touched);
        }
        next.index(&touched);
        next
    }

    /// An object of any kind.
    pub fn object(&self, key: &ObjectKey) -> Option<&Arc<Object>> {
        if key.kind == Kind::Pod { self.pods.get(key) } else { self.objects.get(key) }
    }

    /// How many services there are.
    pub fn service_count(&self) -> usize {
        self.services.iter().count()
    }

    /// The endpoints of a service.
    pub(crate) fn endpoints_of(&self, service: &Service) -> Shared<Endpoints> {
        self.endpoints_by_id(&ServiceId::of(service))
    }

    /// The endpoints of a service.
    pub(crate) fn endpoints_by_id(&self, id: &ServiceId) -> Shared<Endpoints> {
        self.endpoints.get(id).cloned().unwrap_or_else(no_endpoints)
    }

    /// The port of a pod's container by its name.
    pub(crate) fn container_port(&self, namespace: &str, pod: &str, name: &str) -> Option<u16> {
        let object = self.pods.get(&ObjectKey::new(Kind::Pod, namespace, pod))?;
        service::named_port(object.as_pod()?, name)
    }

    fn put(&mut self, change: &Change, touched: &mut Touched) {
        let key = match change {
            Change::Upsert(object) => &object.key,
            Change::Remove(key) => key,
        };
        let old = self.object(key).cloned();
        let new = match change {
            Change::Upsert(object) => Some(object),
            Change::Remove(_) => None,
        };
        // The text may have moved in its file; what it says counts.
        if old.as_ref().map(|old| &old.raw) == new.map(|new| &new.raw) {
            return;
        }
        if key.kind == Kind::Pod {
            for pod in old.iter().chain(new) {
                touched.pods.push(Arc::clone(pod));
            }
        } else {
            touched.keys.insert(key.clone());
        }
        let objects = if key.kind == Kind::Pod { &mut self.pods } else { &mut self.objects };
        match new {
            Some(new) => _ = Arc::make_mut(objects).insert(key.clone(), Arc::clone(new)),
            None => _ = Arc::make_mut(objects).remove(key),
        }
    }

    fn index(&mut self, touched: &Touched) {
        let mut stale: BTreeSet<ServiceId> = BTreeSet::new();
        if touched.any(&[Kind::Service, Kind::ServiceEntry]) {
            let mut services = (*self.services).clone();
            for key in touched.of(&[Kind::Service, Kind::ServiceEntry]) {
                stale.extend(services.of_object(key).iter().map(|service| ServiceId::of(service)));
                let of_object = self.objects.get(key).map(service::of_object).unwrap_or_default();
                stale.extend(of_object.iter().map(ServiceId::of));
                services.replace(key, of_object);
            }
            services.make_addresses_up();
            self.services = Shared::new(services);
        }
        for pod in &touched.pods {
            let serving = self.services.in_namespace(&pod.key.namespace);
            let serving =
                serving.filter(|service| service.is_served_by(&pod.key.namespace, &pod.meta.labels));
            stale.extend(serving.map(|service| ServiceId::of(service)));
        }
        self.index_endpoints(&stale);
        if touched.any(&[Kind::VirtualService]) {
            self.virtual_services =
                Shared::new(self.virtual_services.next(self.of_kind(Kind::VirtualService)));
        }
        if touched.any(&[Kind::DestinationRule]) {
            self.rules = Shared::new(self.rules.next(self.of_kind(Kind::DestinationRule)));
        }
        if touched.any(&[Kind::Gateway]) {
            self.gateways = Shared::new(oldest_first(self.of_kind(Kind::Gateway)));
        }
        if touched.any(&[Kind::ConfigMap]) {
            let key = ObjectKey::new(Kind::ConfigMap, ROOT_NAMESPACE, mesh_config::NAME);
            let object = self.objects.get(&key).and_then(|object| object.as_config_map());
            self.mesh_config = Arc::new(object.map(MeshConfig::of).unwrap_or_default());
        }
        if touched.any(&[Kind::PeerAuthentication]) {
            let objects = self.of_kind(Kind::PeerAuthentication);
            self.peer_authentications = Shared::new(self.peer_authentications.next(objects));
        }
        if touched.any(&[Kind::Sidecar]) {
            self.sidecars = Shared::new(oldest_first(self.of_kind(Kind::Sidecar)));
        }
    }

    fn index_endpoints(&mut self, stale: &BTreeSet<ServiceId>) {
        let mut next: Option<EndpointIndex> = None;
        for id in stale {
            let service =
                self.services.by_host.get(&id.host).into_iter().flatten().find(|it| ServiceId::of(it) == *id);
            let fresh = service.map(|service| service.endpoints(self.pods_of(&id.namespace)));
            let known = next.as_ref().unwrap_or(&self.endpoints).get(id);
            if known.map(|known| &**known) == fresh.as_ref() {
                continue;
            }
            let index = next.get_or_insert_with(|| (*self.endpoints).clone());
            match fresh {
                Some(fresh) => _ = index.insert(id.clone(), Shared::new(fresh)),
                None => _ = index.remove(id),
            }
        }
        if let Some(next) = next {
            self.endpoints = Shared::new(next);
            self.index_accounts(stale);
        }
    }

    /// Endpoints come and go far more often than those whom they run as.
    fn index_accounts(&mut self, stale: &BTreeSet<ServiceId>) {
        let mut next: Option<AccountIndex> = None;
        for id in stale {
            let endpoints = self.endpoints.get(id);
            let fresh = endpoints.map(|endpoints| {
                let accounts = endpoints.list.iter().map(|endpoint| mutual_tls::account(&endpoint.workload));
                accounts.collect::<BTreeSet<String>>().into_iter().collect::<Vec<String>>()
            });
            let known = next.as_ref().unwrap_or(&self.accounts).get(id);
            if known.map(|known| &**known) == fresh.as_ref() {
                continue;
            }
            let index = next.get_or_insert_with(|| (*self.accounts).clone());
            match fresh {
                Some(fresh) => _ = index.insert(id.clone(), Shared::new(fresh)),
                None => _ = index.remove(id),
            }
        }
        if let Some(next) = next {
            self.accounts = Shared::new(next);
        }
    }

    /// Whom the endpoints of a service run as.
    pub(crate) fn accounts_of(&self, service: &Service) -> Shared<Vec<String>> {
        self.accounts.get(&ServiceId::of(service)).cloned().unwrap_or_default()
    }

    fn pods_of<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a Arc<Object>> {
        let first = ObjectKey::new(Kind::Pod, namespace, "");
        self.pods.range(first..).take_while(move |(key, _)| key.namespace == namespace).map(|(_, pod)| pod)
    }

    fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Arc<Object>> {
        let first = ObjectKey { kind, namespace: String::new(), name: String::new() };
        self.objects.range(first..).take_while(move |(key, _)| key.kind == kind).map(|(_, object)| object)
    }
}

/// What a batch of changes touched.
#[derive(Default)]
struct Touched {
    keys: BTreeSet<ObjectKey>,
    /// Both the old and the new state.
    pods: Vec<Arc<Object>>,
}

impl Touched {
    fn any(&self, kinds: &[Kind]) -> bool {
        self.of(kinds).next().is_some()
    }

    fn of<'a>(&'a self, kinds: &'a [Kind]) -> impl Iterator<Item = &'a ObjectKey> {
        self.keys.iter().filter(|key| kinds.contains(&key.kind))
    }
}

/// The order in which objects of a kind win over each other.
pub(crate) fn seniority(object: &Object) -> (bool, Option<jiff::Timestamp>, &ObjectKey) {
    let created = object.meta.creation_timestamp;
    (created.is_none(), created, &object.key)
}

fn oldest_first<'a>(objects: impl Iterator<Item = &'a Arc<Object>>) -> Objects {
    let mut objects: Vec<&Arc<Object>> = objects.collect();
    objects.sort_by(|left, right| seniority(left).cmp(&seniority(right)));
    objects.into_iter().map(|object| Shared::from(Arc::clone(object))).collect()
}

fn no_endpoints() -> Shared<Endpoints> {
    static NONE: std::sync::LazyLock<Shared<Endpoints>> =
        std::sync::LazyLock::new(|| Shared::new(Endpoints::default()));
    NONE.clone()
}

#[cfg(test)]
mod tests;
