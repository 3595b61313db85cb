//! The compiled configuration: what the proxy looks things up in.
//!
//! Immutable; one that follows another shares all unchanged parts with it.
//! A listener is in use when the route configurations that it names are
//! there, a cluster when its endpoints are: until then the version before
//! stays, so nothing is routed into the void (Envoy calls this warming).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::address::canonical;
use crate::balance;
use crate::cluster::{Cluster, Discovery};
use crate::endpoint::{Endpoint, Endpoints};
use crate::hcm::{HttpConnectionManager, RouteSource};
use crate::listener::Listener;
use crate::tls::Transport;
use crate::virtual_host::RouteTable;

/// A map from a resource's name to what it was compiled to.
pub type Table<T> = HashMap<Arc<str>, Entry<T>, RandomState>;

/// A compiled resource and the hash of the message that it came from.
#[derive(Debug)]
pub struct Entry<T> {
    /// The hash of the encoded message.
    pub hash: u64,
    /// What it was compiled to.
    pub value: Arc<T>,
}

impl<T> Clone for Entry<T> {
    fn clone(&self) -> Entry<T> {
        Entry { hash: self.hash, value: self.value.clone() }
    }
}

/// Resources of one kind: those in use, and newer ones that wait.
#[derive(Debug)]
pub struct Warmed<T> {
    /// In use.
    pub active: Arc<Table<T>>,
    /// Waiting for what they name.
    pub warming: Arc<Table<T>>,
}

impl<T> Clone for Warmed<T> {
    fn clone(&self) -> Warmed<T> {
        Warmed { active: self.active.clone(), warming: self.warming.clone() }
    }
}

impl<T> Default for Warmed<T> {
    fn default() -> Warmed<T> {
        Warmed { active: Arc::default(), warming: Arc::default() }
    }
}

/// A whole compiled configuration.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Listeners by name.
    pub listeners: Warmed<Listener>,
    /// Clusters by name.
    pub clusters: Warmed<Cluster>,
    /// Route configurations by name.
    pub routes: Arc<Table<RouteTable>>,
    /// Load assignments by name.
    pub endpoints: Arc<Table<Endpoints>>,
    /// Endpoints of clusters whose names the proxy resolves, by cluster.
    pub resolved: Arc<Table<Endpoints>>,
    pub(crate) by_address: Arc<HashMap<SocketAddr, Arc<Listener>, RandomState>>,
}

impl Config {
    /// The listener with a name.
    pub fn listener(&self, name: &str) -> Option<&Arc<Listener>> {
        self.listeners.active.get(name).map(|entry| &entry.value)
    }

    /// The cluster with a name.
    pub fn cluster(&self, name: &str) -> Option<&Arc<Cluster>> {
        self.clusters.active.get(name).map(|entry| &entry.value)
    }

    /// The route configuration with a name.
    pub fn route_table(&self, name: &str) -> Option<&Arc<RouteTable>> {
        self.routes.get(name).map(|entry| &entry.value)
    }

    /// The routes of a connection manager.
    pub fn routes_of<'c>(&'c self, manager: &'c HttpConnectionManager) -> Option<&'c RouteTable> {
        match &manager.routes {
            RouteSource::Inline(table) => Some(table),
            RouteSource::Named(name) => self.route_table(name).map(|table| &**table),
        }
    }

    /// The endpoints of a cluster as they are known now. A cluster that goes
    /// to the original destination has none.
    pub fn endpoints_of<'c>(&'c self, cluster: &'c Cluster) -> Option<&'c Arc<Endpoints>> {
        match &cluster.discovery {
            Discovery::Static(endpoints) => Some(endpoints),
            Discovery::Eds(name) => self.endpoints.get(name).map(|entry| &entry.value),
            Discovery::StrictDns { .. } => self.resolved.get(&cluster.name).map(|entry| &entry.value),
            Discovery::OriginalDestination { .. } => None,
        }
    }

    /// The endpoints among which a request to the cluster is balanced.
    pub fn candidates<'c>(&'c self, cluster: &'c Cluster) -> Vec<&'c Endpoint> {
        let Some(endpoints) = self.endpoints_of(cluster) else { return Vec::new() };
        balance::candidates(cluster, endpoints)
            .iter()
            .filter_map(|number| endpoints.list.get(usize::try_from(*number).ok()?))
            .collect()
    }

    /// The listener that takes connections to an original destination: the
    /// one with that address, else the one with any address and that port.
    pub fn listener_for(&self, destination: SocketAddr) -> Option<&Arc<Listener>> {
        let destination = canonical(destination);
        let any = match destination.ip() {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let of_port = |ip| self.by_address.get(&SocketAddr::new(ip, destination.port()));
        of_port(destination.ip()).or_else(|| of_port(any)).or_else(|| of_port(Ipv6Addr::UNSPECIFIED.into()))
    }

    /// Takes a listener back to what it was before: its socket could not be
    /// opened.
    pub fn restore_listener(&mut self, name: &str, previous: &Config) {
        let active = Arc::make_mut(&mut self.listeners.active);
        match previous.listeners.active.get(name) {
            Some(entry) => active.insert(entry.value.name.clone(), entry.clone()),
            None => active.remove(name),
        };
        self.index_addresses();
    }

    /// Makes the index of listeners by address anew.
    pub(crate) fn index_addresses(&mut self) {
        let mut by_address = HashMap::default();
        for entry in self.listeners.active.values() {
            for address in &entry.value.addresses {
                by_address.insert(canonical(*address), entry.value.clone());
            }
        }
        self.by_address = Arc::new(by_address);
    }

    /// Whether everything that was received is in use.
    pub fn is_warm(&self) -> bool {
        self.listeners.warming.is_empty() && self.clusters.warming.is_empty()
    }

    /// The names of all route configurations that listeners name, in use or
    /// waiting.
    pub fn wanted_routes(&self) -> Vec<Arc<str>> {
        let listeners = self.listeners.active.values().chain(self.listeners.warming.values());
        let mut names: Vec<_> = listeners.flat_map(|entry| entry.value.route_names()).cloned().collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The names of all secrets that only the control plane has.
    pub fn wanted_secrets(&self) -> Vec<Arc<str>> {
        let mut names = Vec::new();
        let listeners = self.listeners.active.values().chain(self.listeners.warming.values());
        for chain in listeners.flat_map(|entry| entry.value.all_chains()) {
            if let Transport::Tls(context) = &chain.transport {
                names.extend(context.common.wanted_secrets().cloned());
            }
        }
        let clusters = self.clusters.active.values().chain(self.clusters.warming.values());
        for entry in clusters {
            for transport in entry.value.transports() {
                if let Transport::Tls(context) = transport {
                    names.extend(context.common.wanted_secrets().cloned());
                }
            }
        }
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The names of all load assignments that clusters name, in use or
    /// waiting.
    pub fn wanted_endpoints(&self) -> Vec<Arc<str>> {
        let clusters = self.clusters.active.values().chain(self.clusters.warming.values());
        let mut names: Vec<_> = clusters.filter_map(|entry| entry.value.eds_name()).cloned().collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}
