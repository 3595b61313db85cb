//! The proxy that the agent stands beside: stock Envoy as a child, or our own
//! in this process.

use super::envoy::EnvoyAdmin;

/// What can be asked of a running data plane from any task.
#[derive(Clone)]
pub enum Probe {
    /// Stock Envoy, through its admin.
    Envoy(EnvoyAdmin),
}

impl Probe {
    /// Ready to take traffic, or what it still waits for.
    pub async fn readiness(&self) -> Result<(), String> {
        match self {
            Self::Envoy(admin) => admin.readiness().await,
        }
    }

    /// Its Prometheus page under Istio's names.
    pub async fn metrics(&self) -> String {
        match self {
            Self::Envoy(admin) => admin.metrics().await,
        }
    }

    /// Takes no new connections.
    pub async fn drain(&self) {
        match self {
            Self::Envoy(admin) => admin.drain().await,
        }
    }

    /// Connections still open, where that can be told.
    pub async fn active_connections(&self) -> Option<u64> {
        match self {
            Self::Envoy(admin) => admin.active_connections().await,
        }
    }
}
