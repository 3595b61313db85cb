//! Who is connected, and what each holds.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use telemetry::status::ProxyStatus;
use tokio::sync::watch;
use xds::subscription::server::Memory;

/// Connected proxies by connection, and what is remembered of those that went.
pub(crate) struct Registry {
    inner: Mutex<Inner>,
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct Inner {
    next: u64,
    connections: BTreeMap<u64, ProxyStatus>,
    /// What proxies held when their last connection ended, by node id.
    memories: BTreeMap<String, Memory>,
}

/// A connection's place in the registry; dropped, the place is free.
pub(crate) struct Place {
    registry: Arc<crate::mesh::Mesh>,
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
        let mut proxies: Vec<ProxyStatus> = self.lock().connections.values().cloned().collect();
        proxies.sort_by(|left, right| left.node.cmp(&right.node));
        proxies
    }

    /// Tells whenever a proxy's state changes.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// What is remembered of a node, which then belongs to the caller.
    pub(crate) fn recall(&self, node: &str) -> Memory {
        self.lock().memories.remove(node).unwrap_or_default()
    }

    /// Keeps what a node held for its next connection.
    pub(crate) fn remember(&self, node: &str, memory: Memory) {
        self.lock().memories.insert(node.to_owned(), memory);
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
    pub(crate) fn enter(mesh: &Arc<crate::mesh::Mesh>, status: ProxyStatus) -> Self {
        let mut inner = mesh.registry.lock();
        inner.next += 1;
        let number = inner.next;
        inner.connections.insert(number, status);
        drop(inner);
        mesh.registry.changed();
        Self { registry: Arc::clone(mesh), number }
    }

    /// Replaces what is known of the proxy.
    pub(crate) fn update(&self, change: impl FnOnce(&mut ProxyStatus)) {
        if let Some(status) = self.registry.registry.lock().connections.get_mut(&self.number) {
            change(status);
        }
        self.registry.registry.changed();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.registry.registry.lock().connections.remove(&self.number);
        self.registry.registry.changed();
    }
}
