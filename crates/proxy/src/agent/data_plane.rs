//! The proxy that the agent stands beside: our own in this process, or stock
//! Envoy as a child.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use tokio::net::UnixListener;
use tokio::task::JoinHandle;

use super::bootstrap::AgentSockets;
use super::envoy::{self, Envoy, EnvoyAdmin};
use super::settings::Settings;
use super::{AgentError, http_ports, node, relay, sds};
use crate::secrets::Secrets;
use crate::sockets::Sockets;
use crate::start::{self, Handle, NameTables, ProxyOptions, XdsAddress};

/// A running data plane and what belongs to it.
pub enum DataPlane {
    /// Our own, on threads of this process.
    Lateen {
        /// The data path.
        handle: Arc<Handle>,
    },
    /// Stock Envoy.
    Envoy {
        /// The child.
        child: Box<Envoy>,
        /// Its way to the control plane, and its certificates.
        servers: [JoinHandle<()>; 2],
    },
}

impl DataPlane {
    /// Starts what the settings ask for.
    ///
    /// Our own sends the mesh's names to `names`.
    pub fn start(
        settings: &Settings,
        names: Option<NameTables>,
        sockets: &Arc<Sockets>,
        secrets: &Secrets,
    ) -> Result<Self, AgentError> {
        match &settings.envoy_path {
            Some(path) => Self::start_envoy(settings, path, secrets),
            None => Self::start_lateen(settings, names, sockets, secrets),
        }
    }

    fn start_lateen(
        settings: &Settings,
        names: Option<NameTables>,
        sockets: &Arc<Sockets>,
        secrets: &Secrets,
    ) -> Result<Self, AgentError> {
        let handle = start::start(ProxyOptions {
            node: node::node(settings),
            xds: Some(XdsAddress::Tcp(settings.discovery_address().to_owned())),
            admin: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, settings.admin_port()))),
            concurrency: settings.proxy_config.concurrency.unwrap_or(0) as usize,
            upstream_tos: settings.upstream_tos.map(u32::from),
            connection_limit: settings.connection_limit()?,
            names,
            sockets: Arc::clone(sockets),
            secrets: secrets.clone(),
            ..ProxyOptions::default()
        })?;
        Ok(Self::Lateen { handle: Arc::new(handle) })
    }

    /// Serves the ports that Envoy has as static listeners.
    pub fn serve_ports(&self, sockets: &Sockets) -> Result<Option<JoinHandle<()>>, AgentError> {
        match self {
            Self::Lateen { handle } => {
                http_ports::serve(Probe::Lateen(Arc::clone(handle)), sockets).map(Some)
            }
            Self::Envoy { .. } => Ok(None),
        }
    }

    fn start_envoy(settings: &Settings, path: &Path, secrets: &Secrets) -> Result<Self, AgentError> {
        std::fs::create_dir_all(&settings.run_folder)
            .map_err(|source| AgentError::RunFolder { path: settings.run_folder.clone(), source })?;
        let sockets = AgentSockets::within(&settings.run_folder);
        let listener: UnixListener = relay::bind(&sockets.xds)?;
        let relay = tokio::spawn(relay::serve(
            listener,
            settings.discovery_address().to_owned(),
            settings.upstream_tos.map(u32::from),
        ));
        let sds = sds::serve(&sockets.sds, secrets.clone())?;
        let child = Envoy::start(path, settings, &sockets)?;
        Ok(Self::Envoy { child: Box::new(child), servers: [relay, sds] })
    }

    /// What can be asked of it from any task.
    pub fn probe(&self) -> Probe {
        match self {
            Self::Lateen { handle } => Probe::Lateen(Arc::clone(handle)),
            Self::Envoy { child, .. } => Probe::Envoy(child.admin()),
        }
    }

    /// Returns when it ended by itself: a child that dies, or our own after
    /// `/quitquitquit` on its admin.
    pub async fn ended(&mut self) -> Result<(), AgentError> {
        match self {
            Self::Envoy { child, .. } => {
                let status = child.wait().await?;
                Err(AgentError::EnvoyEnded(envoy::describe(status)))
            }
            Self::Lateen { handle } => {
                handle.ended().await;
                Ok(())
            }
        }
    }

    /// Ends it now.
    pub async fn stop(self) {
        match self {
            Self::Envoy { mut child, servers } => {
                child.kill().await;
                servers.iter().for_each(JoinHandle::abort);
            }
            Self::Lateen { handle } => handle.order_stop(),
        }
    }
}

/// What can be asked of a running data plane from any task.
#[derive(Clone)]
pub enum Probe {
    /// Our own.
    Lateen(Arc<Handle>),
    /// Stock Envoy, through its admin.
    Envoy(EnvoyAdmin),
}

impl Probe {
    /// Ready to take traffic, or what it still waits for.
    pub async fn readiness(&self) -> Result<(), String> {
        match self {
            Self::Lateen(handle) if handle.ready() => Ok(()),
            Self::Lateen(_) => Err("no listeners and clusters from the control plane yet".to_owned()),
            Self::Envoy(admin) => admin.readiness().await,
        }
    }

    /// Its Prometheus page under Istio's names.
    pub async fn metrics(&self) -> String {
        match self {
            Self::Lateen(handle) => handle.stats_text(),
            Self::Envoy(admin) => admin.metrics().await,
        }
    }

    /// Takes no new connections.
    pub async fn drain(&self) {
        match self {
            Self::Lateen(handle) => handle.drain(),
            Self::Envoy(admin) => admin.drain().await,
        }
    }

    /// Connections still open, where that can be told.
    pub async fn active_connections(&self) -> Option<u64> {
        match self {
            Self::Lateen(handle) => u64::try_from(handle.active_connections()).ok(),
            Self::Envoy(admin) => admin.active_connections().await,
        }
    }
}
