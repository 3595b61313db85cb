//! The state that all connections share: the newest snapshot, what was
//! generated from it, and who is connected.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use telemetry::status::MeshStatus;
use tokio::sync::watch;
use translation::Generator;
use translation::node::Node;
use translation::snapshot::Snapshot;
use xds::resource::ResourceSet;

use crate::metrics::Metrics;
use crate::registry::Registry;

/// A snapshot and its number.
#[derive(Debug, Clone, Default)]
pub(crate) struct Published {
    pub(crate) generation: u64,
    pub(crate) snapshot: Snapshot,
}

/// What connections share.
pub(crate) struct Mesh {
    published: watch::Sender<Arc<Published>>,
    generator: Mutex<Generator>,
    pub(crate) registry: Registry,
    pub(crate) metrics: Metrics,
}

impl Default for Mesh {
    fn default() -> Self {
        Self {
            published: watch::Sender::new(Arc::default()),
            generator: Mutex::default(),
            registry: Registry::default(),
            metrics: Metrics::default(),
        }
    }
}

impl Mesh {
    /// The newest snapshot.
    pub(crate) fn published(&self) -> Arc<Published> {
        Arc::clone(&self.published.borrow())
    }

    /// Tells of every newer snapshot.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<Published>> {
        self.published.subscribe()
    }

    /// Makes `published` the newest snapshot.
    pub(crate) fn publish(&self, published: Published) {
        self.published.send_replace(Arc::new(published));
    }

    /// What `node` should hold of `snapshot`.
    ///
    /// Nodes with equal keys share what is built; one node is generated for at
    /// a time.
    pub(crate) fn generate(&self, snapshot: &Snapshot, node: &Node) -> ResourceSet {
        self.generator().generate(snapshot, node)
    }

    /// Forgets what was generated and is held by nobody any more.
    pub(crate) fn sweep(&self) {
        self.generator().sweep();
    }

    /// The newest generation and who holds what.
    pub(crate) fn status(&self) -> MeshStatus {
        MeshStatus { generation: self.published().generation, proxies: self.registry.proxies() }
    }

    fn generator(&self) -> MutexGuard<'_, Generator> {
        self.generator.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
