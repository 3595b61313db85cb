//! From decoded xDS messages to the configuration, resource by resource.
//!
//! A resource whose message is the same as before is not compiled again but
//! shared. One that cannot be compiled is rejected alone: its last good
//! version stays, and the others of the same update take effect.

use std::net::IpAddr;
use std::sync::Arc;

use prost::Message;
use xds::envoy::config::cluster::v3::Cluster as WireCluster;
use xds::envoy::config::endpoint::v3::ClusterLoadAssignment;
use xds::envoy::config::listener::v3::Listener as WireListener;
use xds::envoy::config::route::v3::RouteConfiguration;
use xxhash_rust::xxh3::xxh3_64;

use crate::cluster::{Cluster, Discovery};
use crate::config::{Config, Entry, Table, Warmed};
use crate::endpoint::Endpoints;
use crate::invalid::Invalid;
use crate::listener::Listener;
use crate::virtual_host::RouteTable;

/// What changes: messages that are new or different, and names that go.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// Listeners.
    pub listeners: Vec<WireListener>,
    /// Listeners that go.
    pub removed_listeners: Vec<String>,
    /// Clusters.
    pub clusters: Vec<WireCluster>,
    /// Clusters that go.
    pub removed_clusters: Vec<String>,
    /// Route configurations.
    pub routes: Vec<RouteConfiguration>,
    /// Route configurations that go.
    pub removed_routes: Vec<String>,
    /// Load assignments.
    pub endpoints: Vec<ClusterLoadAssignment>,
    /// Load assignments that go.
    pub removed_endpoints: Vec<String>,
    /// Names that the proxy resolved.
    pub resolutions: Vec<Resolution>,
}

/// What the names in a cluster resolved to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolution {
    /// The cluster.
    pub cluster: String,
    /// Each name and its addresses.
    pub addresses: Vec<(String, Vec<IpAddr>)>,
}

/// The kind of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A cluster.
    Cluster,
    /// A load assignment.
    Endpoints,
    /// A listener.
    Listener,
    /// A route configuration.
    Routes,
}

/// A resource that could not be compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// What is wrong with it.
    pub reason: Invalid,
}

/// Something that is configured and has no effect here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The listener.
    pub listener: String,
    /// What is passed over.
    pub what: String,
}

/// What became of the changes.
#[derive(Debug, Clone, Default)]
pub struct Compiled {
    /// The configuration after them.
    pub config: Config,
    /// How many resources were compiled: neither the same as before nor
    /// rejected.
    pub compiled: usize,
    /// How many were the same as before.
    pub unchanged: usize,
    /// Resources that could not be compiled.
    pub rejections: Vec<Rejection>,
    /// What compiled listeners hold that has no effect here.
    pub skipped: Vec<Skipped>,
}

/// Applies changes to a configuration.
pub fn compile(previous: &Config, changes: &Changes) -> Compiled {
    let mut result = Compiled { config: previous.clone(), ..Compiled::default() };
    result.clusters(changes);
    result.endpoints(changes);
    result.resolutions(changes);
    result.routes(changes);
    result.listeners(changes);
    result.warm();
    result
}

impl Compiled {
    fn clusters(&mut self, changes: &Changes) {
        if changes.clusters.is_empty() && changes.removed_clusters.is_empty() {
            return;
        }
        let mut clusters = self.config.clusters.clone();
        for name in &changes.removed_clusters {
            remove(&mut clusters, name);
            Arc::make_mut(&mut self.config.resolved).remove(name.as_str());
        }
        for message in &changes.clusters {
            self.upsert(Kind::Cluster, &message.name, message, &mut clusters, |message, _| {
                Cluster::compile(message)
            });
        }
        self.config.clusters = clusters;
    }

    fn listeners(&mut self, changes: &Changes) {
        if changes.listeners.is_empty() && changes.removed_listeners.is_empty() {
            return;
        }
        let mut listeners = self.config.listeners.clone();
        for name in &changes.removed_listeners {
            remove(&mut listeners, name);
        }
        for message in &changes.listeners {
            let before = self.compiled;
            self.upsert(Kind::Listener, &message.name, message, &mut listeners, Listener::compile);
            if self.compiled > before
                && let Some(entry) = listeners.warming.get(message.name.as_str())
            {
                self.skipped.extend(skipped(&entry.value));
            }
        }
        self.config.listeners = listeners;
    }

    /// Compiles one resource into the waiting ones, unless the same message
    /// is in use or waiting already.
    fn upsert<M: Message, T>(
        &mut self,
        kind: Kind,
        name: &str,
        message: &M,
        tables: &mut Warmed<T>,
        compile: impl Fn(&M, Option<&T>) -> Result<T, Invalid>,
    ) {
        let hash = hash(message);
        let same = |table: &Table<T>| table.get(name).is_some_and(|entry| entry.hash == hash);
        if same(&tables.warming) {
            self.unchanged += 1;
            return;
        }
        if same(&tables.active) {
            // Back to what is in use: nothing has to wait any more.
            if tables.warming.contains_key(name) {
                Arc::make_mut(&mut tables.warming).remove(name);
            }
            self.unchanged += 1;
            return;
        }
        let previous = tables.active.get(name).map(|entry| &*entry.value);
        match compile(message, previous) {
            Ok(value) => {
                self.compiled += 1;
                Arc::make_mut(&mut tables.warming)
                    .insert(name.into(), Entry { hash, value: Arc::new(value) });
            }
            Err(reason) => self.rejections.push(Rejection { kind, name: name.to_owned(), reason }),
        }
    }

    fn routes(&mut self, changes: &Changes) {
        let mut table = self.config.routes.clone();
        for name in &changes.removed_routes {
            if table.contains_key(name.as_str()) {
                Arc::make_mut(&mut table).remove(name.as_str());
            }
        }
        for message in &changes.routes {
            self.replace(Kind::Routes, &message.name, message, &mut table, RouteTable::compile);
        }
        self.config.routes = table;
    }

    fn endpoints(&mut self, changes: &Changes) {
        let mut table = self.config.endpoints.clone();
        for name in &changes.removed_endpoints {
            if table.contains_key(name.as_str()) {
                Arc::make_mut(&mut table).remove(name.as_str());
            }
        }
        for message in &changes.endpoints {
            self.replace(Kind::Endpoints, &message.cluster_name, message, &mut table, Endpoints::compile);
        }
        self.config.endpoints = table;
    }

    /// Compiles one resource that waits for nothing.
    fn replace<M: Message, T>(
        &mut self,
        kind: Kind,
        name: &str,
        message: &M,
        table: &mut Arc<Table<T>>,
        compile: impl Fn(&M) -> Result<T, Invalid>,
    ) {
        let hash = hash(message);
        if table.get(name).is_some_and(|entry| entry.hash == hash) {
            self.unchanged += 1;
            return;
        }
        match compile(message) {
            Ok(value) => {
                self.compiled += 1;
                Arc::make_mut(table).insert(name.into(), Entry { hash, value: Arc::new(value) });
            }
            Err(reason) => self.rejections.push(Rejection { kind, name: name.to_owned(), reason }),
        }
    }

    fn resolutions(&mut self, changes: &Changes) {
        for resolution in &changes.resolutions {
            let name = resolution.cluster.as_str();
            let waiting = self.config.clusters.warming.get(name);
            let Some(entry) = waiting.or_else(|| self.config.clusters.active.get(name)) else { continue };
            let Discovery::StrictDns { endpoints, logical, .. } = &entry.value.discovery else { continue };
            let mut resolved = endpoints.resolve(|host| {
                let found = resolution.addresses.iter().find(|(name, _)| name == host);
                let addresses = found.map(|(_, addresses)| addresses.as_slice()).unwrap_or_default();
                if *logical { addresses.iter().take(1).copied().collect() } else { addresses.to_vec() }
            });
            let key = entry.value.name.clone();
            let table = Arc::make_mut(&mut self.config.resolved);
            match table.get(name) {
                Some(present) if *present.value == resolved => {}
                _ => {
                    let value = Arc::new(std::mem::take(&mut resolved));
                    table.insert(key, Entry { hash: 0, value });
                }
            }
        }
    }

    /// Puts into use what waited for something that is there now.
    fn warm(&mut self) {
        let endpoints = &self.config.endpoints;
        let resolved = &self.config.resolved;
        let cluster_ready = |cluster: &Cluster| match &cluster.discovery {
            Discovery::Eds(name) => endpoints.contains_key(name),
            Discovery::StrictDns { .. } => resolved.contains_key(&cluster.name),
            Discovery::Static(_) | Discovery::OriginalDestination { .. } => true,
        };
        promote(&mut self.config.clusters, cluster_ready);
        let routes = &self.config.routes;
        let listener_ready =
            |listener: &Listener| listener.route_names().all(|name| routes.contains_key(name));
        promote(&mut self.config.listeners, listener_ready);
        self.config.index_addresses();
    }
}

fn promote<T>(tables: &mut Warmed<T>, ready: impl Fn(&T) -> bool) {
    let names: Vec<Arc<str>> = tables
        .warming
        .iter()
        .filter(|(_, entry)| ready(&entry.value))
        .map(|(name, _)| name.clone())
        .collect();
    if names.is_empty() {
        return;
    }
    let warming = Arc::make_mut(&mut tables.warming);
    let active = Arc::make_mut(&mut tables.active);
    for name in names {
        if let Some(entry) = warming.remove(&name) {
            active.insert(name, entry);
        }
    }
}

fn remove<T>(tables: &mut Warmed<T>, name: &str) {
    for table in [&mut tables.active, &mut tables.warming] {
        if table.contains_key(name) {
            Arc::make_mut(table).remove(name);
        }
    }
}

fn skipped(listener: &Listener) -> Vec<Skipped> {
    let chains = listener.all_chains().flat_map(|chain| chain.skipped.iter());
    listener
        .skipped
        .iter()
        .chain(chains)
        .map(|what| Skipped { listener: listener.name.to_string(), what: what.clone() })
        .collect()
}

fn hash(message: &impl Message) -> u64 {
    xxh3_64(&message.encode_to_vec())
}

#[cfg(test)]
mod tests;
