//! Who is connected, and what each holds.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use telemetry::status::ProxyStatus;
use tokio::sync::watch;
use translation::node::Node;
use xds::subscription::server::Memory;

use crate::mesh::Mesh;

/// Connected proxies by connection, and what is remembered of those that went.
pub(crate) struct Registry {
    inner: Mutex<Inner>,
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct Inner {
    next: u64,
    connections: BTreeMap<u64, (Node, ProxyStatus)>,
    /// What clients held when their last connection ended, by node id and
    /// program.
    memories: BTreeMap<String, Memory>,
}

/// A connection's place in the registry; dropped, the place is free.
pub(crate) struct Place {
    mesh: Arc<Mesh>,
    number: u64,
}

impl Default for Registry {
    fn default() -> Self {
        Self { inner: Mutex::default(), changes: watch::Sender::new(0) }
    }
}

impl Registry {
    /// Every connected proxy, by node id.
    pub(crate) fn proxies(&self) -> Vec<ProxyStatus> {
        let mut proxies: Vec<ProxyStatus> =
            self.lock().connections.values().map(|(_, status)| status.clone()).collect();
        proxies.sort_by(|left, right| left.node.cmp(&right.node));
        proxies
    }

    /// The node that a pod's proxy is.
    pub(crate) fn node_of(&self, name: &str, namespace: &str) -> Option<Node> {
        let inner = self.lock();
        // An agent beside Envoy asks for names alone, on a stream of its own.
        let mut proxies =
            inner.connections.values().filter(|(_, status)| status.user_agent != "lateen-agent");
        let found = proxies.find(|(node, _)| node.name == name && node.facets.namespace == namespace);
        found.map(|(node, _)| node.clone())
    }

    /// Tells whenever a proxy's state changes.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// What is remembered of a client, which then belongs to the caller.
    pub(crate) fn recall(&self, client: &str) -> Memory {
        self.lock().memories.remove(client).unwrap_or_default()
    }

    /// Keeps what a client held for its next connection.
    pub(crate) fn remember(&self, client: &str, memory: Memory) {
        self.lock().memories.insert(client.to_owned(), memory);
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Enters a proxy.
    pub(crate) fn enter(mesh: &Arc<Mesh>, node: Node, status: ProxyStatus) -> Self {
        let mut inner = mesh.registry.lock();
        inner.next += 1;
        let number = inner.next;
        inner.connections.insert(number, (node, status));
        drop(inner);
        mesh.registry.changed();
        Self { mesh: Arc::clone(mesh), number }
    }

    /// Replaces what is known of the proxy.
    pub(crate) fn update(&self, change: impl FnOnce(&mut ProxyStatus)) {
        if let Some((_, status)) = self.mesh.registry.lock().connections.get_mut(&self.number) {
            change(status);
        }
        self.mesh.registry.changed();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.mesh.registry.lock().connections.remove(&self.number);
        self.mesh.registry.changed();
    }
}
