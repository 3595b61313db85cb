//! Ingest, snapshot, generate, serve: the mesh's brain.
//!
//! Objects come from a `config-store`; each of its revisions becomes a
//! generation: an immutable snapshot.  Every connected proxy is a task that
//! turns the newest snapshot into its own target and lets
//! `xds::subscription` decide what to send and what an answer means.
//! [`ControlPlane::wait_for`] tells when a generation is held.
//!
//! The crate decides nothing about routing (that is `translation`), and keeps
//! no state that a restart could not make again.

mod ads;
pub mod ca;
mod caller;
mod certificates;
mod connection;
mod debug;
mod delivery;
mod http_server;
mod ingest;
mod maintenance;
mod mesh;
mod metrics;
mod registry;
mod secured;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use config_store::State;
use telemetry::status::MeshStatus;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use translation::node::Node;
use translation::snapshot::Snapshot;
use xds::resource::ResourceSet;

pub use delivery::{Delivery, Missing};

use ca::{Ca, telling};
use mesh::Mesh;

/// Where to listen; `None` does not.
#[derive(Clone, Default)]
pub struct Options {
    /// xDS over plain gRPC, 15010 in Istio.
    pub xds: Option<SocketAddr>,
    /// xDS and certificates over TLS, 15012 in Istio; needs an authority.
    pub secured: Option<SocketAddr>,
    /// The mesh's certificate authority.
    pub ca: Option<Arc<Ca>>,
    /// Metrics, readiness and debug pages, 15014 in Istio.
    pub monitoring: Option<SocketAddr>,
}

/// Why a control plane did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port is taken.
    #[error("listen for {what} on {address}")]
    Listen {
        /// For what.
        what: &'static str,
        /// Where.
        address: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// The secured port has no certificate.
    #[error("serve the secured port: {0}")]
    Secure(String),
}

/// A running control plane; dropped, it ends.
pub struct ControlPlane {
    mesh: Arc<Mesh>,
    ca: Option<Arc<Ca>>,
    tasks: Vec<JoinHandle<()>>,
    xds_address: Option<SocketAddr>,
    secured_address: Option<SocketAddr>,
    monitoring_address: Option<SocketAddr>,
}

impl ControlPlane {
    /// Starts in the current tokio runtime, on what `store` says now and from
    /// now on.
    pub async fn start(store: watch::Receiver<Arc<State>>, options: &Options) -> Result<Self, StartError> {
        let mesh = Arc::new(Mesh::default());
        ingest::take(&mesh, &store.borrow());
        let mut tasks = vec![tokio::spawn(ingest::follow(Arc::clone(&mesh), store.clone()))];
        if let Some(ca) = &options.ca {
            maintenance::take(ca, &store.borrow());
            tasks.push(tokio::spawn(maintenance::keep(Arc::clone(ca), store)));
        }
        let mut xds_address = None;
        if let Some(address) = options.xds {
            let listener = listen("xDS", address).await?;
            xds_address = listener.local_addr().ok();
            tasks.push(tokio::spawn(ads::serve(listener, Arc::clone(&mesh))));
        }
        let mut secured_address = None;
        if let (Some(address), Some(ca)) = (options.secured, &options.ca) {
            let listener = listen("secured xDS", address).await?;
            secured_address = listener.local_addr().ok();
            tasks.extend(secure(listener, &mesh, ca)?);
        }
        let mut monitoring_address = None;
        if let Some(address) = options.monitoring {
            let listener = listen("monitoring", address).await?;
            monitoring_address = listener.local_addr().ok();
            tasks.push(tokio::spawn(http_server::serve(listener, Arc::clone(&mesh), options.ca.clone())));
        }
        let ca = options.ca.clone();
        Ok(Self { mesh, ca, tasks, xds_address, secured_address, monitoring_address })
    }

    /// Where xDS is served; useful after asking for port 0.
    pub fn xds_address(&self) -> Option<SocketAddr> {
        self.xds_address
    }

    /// Where xDS and certificates are served over TLS.
    pub fn secured_address(&self) -> Option<SocketAddr> {
        self.secured_address
    }

    /// The mesh's certificate authority, when it has one.
    pub fn ca(&self) -> Option<&Arc<Ca>> {
        self.ca.as_ref()
    }

    /// Where metrics and debug pages are served.
    pub fn monitoring_address(&self) -> Option<SocketAddr> {
        self.monitoring_address
    }

    /// The newest generation and who holds what.
    pub fn status(&self) -> MeshStatus {
        self.mesh.status()
    }

    /// The newest snapshot.
    pub fn snapshot(&self) -> Snapshot {
        self.mesh.published().snapshot.clone()
    }

    /// What a node should hold of the newest snapshot.
    pub fn resources_of(&self, node: &Node) -> ResourceSet {
        let published = self.mesh.published();
        self.mesh.generate(&published.snapshot, node)
    }

    /// The node that a pod's proxy told it is; `None` while none is connected.
    pub fn node_of(&self, name: &str, namespace: &str) -> Option<Node> {
        self.mesh.registry.node_of(name, namespace)
    }

    /// Waits until every connected proxy holds `generation`, at most `limit`,
    /// and tells who does and who does not.
    pub async fn wait_for(&self, generation: u64, limit: Duration) -> Delivery {
        delivery::wait_for(&self.mesh, generation, limit).await
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// The tasks of the secured port.
fn secure(listener: TcpListener, mesh: &Arc<Mesh>, ca: &Arc<Ca>) -> Result<[JoinHandle<()>; 3], StartError> {
    let configuration =
        secured::Configuration::new(ca).map_err(|error| StartError::Secure(telling(&error)))?;
    let configuration = Arc::new(configuration);
    let (connections, accepting) = secured::accept(listener, Arc::clone(&configuration), Arc::clone(ca));
    Ok([
        accepting,
        tokio::spawn(configuration.keep(Arc::clone(ca))),
        tokio::spawn(ads::serve_secured(connections, Arc::clone(mesh), Arc::clone(ca))),
    ])
}

async fn listen(what: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { what, address, source })
}
