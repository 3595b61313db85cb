//! What a sidecar can reach: everything it sees, or what a Sidecar object
//! leaves of it.

use std::collections::{BTreeMap, BTreeSet};

use resources::Object;
use resources::sidecar::{EgressListener, OutboundTrafficMode, SidecarPort};

use crate::host::{covers, full_name, overlap};
use crate::memo::Shared;
use crate::mesh::ROOT_NAMESPACE;
use crate::node::{Facets, Kind};
use crate::service::Service;
use crate::snapshot::{Objects, Services, Snapshot, VirtualService, VirtualServices};

/// What a node's outbound side is made from.
#[derive(Debug)]
pub(crate) struct Scope {
    /// The Sidecar object that holds for the node.
    pub(crate) sidecar: Option<Shared<Object>>,
    /// Listeners with the hosts that they reach; the last may be without port.
    pub(crate) egress: Vec<Egress>,
    /// Every service of all of them, by host.
    pub(crate) services: BTreeMap<String, Shared<Service>>,
    /// What happens to unknown destinations.
    pub(crate) unknown: Unknown,
}

/// One outbound listener, or with no port, one for each port of its services.
#[derive(Debug)]
pub(crate) struct Egress {
    pub(crate) port: Option<SidecarPort>,
    pub(crate) bind: String,
    pub(crate) services: Vec<Shared<Service>>,
    pub(crate) virtual_services: Vec<Shared<VirtualService>>,
    /// Nothing that the namespace sees is left out.
    is_complete: bool,
}

/// What happens to traffic to unknown destinations.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Unknown {
    /// It goes where it was going.
    Pass,
    /// It is refused.
    Block,
    /// It goes through this cluster.
    Through(String),
}

/// All that a scope is made from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ScopeKey {
    namespace: String,
    kind: Kind,
    sidecar: Option<Shared<Object>>,
    services: Shared<Services>,
    virtual_services: Shared<VirtualServices>,
    /// Services without an address are reached by one that the mesh made up.
    captures_names: bool,
}

impl Egress {
    /// Whether the rules of a VirtualService reach here.
    pub(crate) fn imports(&self, rules: &Shared<VirtualService>) -> bool {
        self.is_complete || self.virtual_services.contains(rules)
    }
}

impl ScopeKey {
    pub(crate) fn new(snapshot: &Snapshot, facets: &Facets) -> Self {
        let sidecar = match facets.kind {
            Kind::Sidecar => sidecar_of(&snapshot.sidecars, facets),
            Kind::Router => None,
        };
        Self {
            namespace: facets.namespace.clone(),
            kind: facets.kind,
            sidecar,
            services: snapshot.services.clone(),
            virtual_services: snapshot.virtual_services.clone(),
            captures_names: facets.captures_names,
        }
    }

    pub(crate) fn build(&self) -> Scope {
        let spec = self.sidecar.as_ref().and_then(|object| object.as_sidecar());
        let listeners = spec.map(|spec| spec.egress.as_slice()).unwrap_or_default();
        let egress: Vec<Egress> = match listeners {
            [] => vec![self.everything()],
            some => some.iter().map(|listener| self.egress(listener)).collect(),
        };
        let services = egress.iter().flat_map(|egress| &egress.services);
        let services = services.map(|service| (service.host.clone(), service.clone())).collect();
        let unknown = match spec.and_then(|spec| spec.outbound_traffic_policy.as_ref()) {
            Some(policy) => match (&policy.mode, &policy.egress_proxy) {
                (OutboundTrafficMode::RegistryOnly, _) => Unknown::Block,
                (_, Some(proxy)) => Unknown::Through(format!(
                    "outbound|{}|{}|{}",
                    proxy.port.unwrap_or_default(),
                    proxy.subset,
                    full_name(&proxy.host, &self.namespace)
                )),
                (_, None) => Unknown::Pass,
            },
            None => Unknown::Pass,
        };
        Scope { sidecar: self.sidecar.clone(), egress, services, unknown }
    }

    fn everything(&self) -> Egress {
        let hosts: BTreeSet<&str> = self.services.iter().map(|service| service.host.as_str()).collect();
        let services = hosts.into_iter().filter_map(|host| self.services.find(host, &self.namespace));
        let services = services.map(|service| match self.captures_names {
            true => self.services.with_address(service),
            false => service.clone(),
        });
        Egress {
            port: None,
            bind: String::new(),
            services: services.collect(),
            virtual_services: self.virtual_services.for_mesh(&self.namespace).cloned().collect(),
            is_complete: true,
        }
    }

    fn egress(&self, listener: &EgressListener) -> Egress {
        let imports: Vec<Import<'_>> =
            listener.hosts.iter().map(|host| Import::parse(host, &self.namespace)).collect();
        let mut all = self.everything();
        all.virtual_services.retain(|it| {
            it.hosts.iter().any(|host| imports.iter().any(|import| import.overlaps(it.namespace(), host)))
        });
        // What an imported rule sends to is imported with it.
        let destinations: BTreeSet<&String> =
            all.virtual_services.iter().flat_map(|it| &it.destinations).collect();
        all.services.retain(|service| {
            imports.iter().any(|import| import.takes(service)) || destinations.contains(&service.host)
        });
        if let Some(number) = listener.port.as_ref().map(|port| port.number) {
            all.services.retain(|service| service.port(number).is_some());
        }
        Egress { port: listener.port.clone(), bind: listener.bind.clone(), is_complete: false, ..all }
    }
}

/// An entry of `hosts` of an egress listener.
struct Import<'a> {
    /// `None` for any.
    namespace: Option<&'a str>,
    host: &'a str,
}

impl<'a> Import<'a> {
    fn parse(text: &'a str, own: &'a str) -> Self {
        let (namespace, host) = text.split_once('/').unwrap_or(("*", text));
        let namespace = match namespace {
            "*" => None,
            "." => Some(own),
            other => Some(other),
        };
        Self { namespace, host }
    }

    fn is_of(&self, namespace: &str) -> bool {
        self.namespace.is_none_or(|wanted| wanted == namespace)
    }

    fn takes(&self, service: &Service) -> bool {
        self.is_of(&service.namespace) && covers(self.host, &service.host)
    }

    fn overlaps(&self, namespace: &str, host: &str) -> bool {
        self.is_of(namespace) && overlap(self.host, host)
    }
}

/// The Sidecar for a workload: one that selects it, else its namespace's, else
/// the mesh's.
fn sidecar_of(sidecars: &Objects, facets: &Facets) -> Option<Shared<Object>> {
    let selector = |object: &Object| {
        object.as_sidecar().and_then(|spec| spec.workload_selector.as_ref()).map(|it| it.labels.clone())
    };
    let mut in_own = sidecars.iter().filter(|object| object.key.namespace == facets.namespace);
    let selecting = in_own.clone().find(|object| {
        selector(object)
            .is_some_and(|labels| labels.iter().all(|(key, value)| facets.labels.get(key) == Some(value)))
    });
    let of_namespace = in_own.find(|object| selector(object).is_none());
    let of_mesh = || {
        sidecars.iter().find(|object| object.key.namespace == ROOT_NAMESPACE && selector(object).is_none())
    };
    selecting.or(of_namespace).or_else(of_mesh).cloned()
}
