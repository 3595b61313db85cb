//! Sidecar: what a sidecar listens on and what it can reach.
//!
//! # Manual
//!
#![doc = include_str!("manual.md")]

pub(crate) mod validate;

use serde::Deserialize;

use crate::destination_rule::ConnectionPoolSettings;
use crate::gateway::ServerTlsSettings;
use crate::service_entry::WorkloadSelector;
use crate::virtual_service::Destination;

/// Scope of the sidecars of some workloads.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Sidecar {
    /// Workloads meant; none means all of the namespace.
    pub workload_selector: Option<WorkloadSelector>,
    /// Inbound listeners; empty means what the workload's services say.
    pub ingress: Vec<IngressListener>,
    /// What can be reached; empty means as the mesh says.
    pub egress: Vec<EgressListener>,
    /// Limits on inbound connections.
    pub inbound_connection_pool: Option<ConnectionPoolSettings>,
    /// What happens to traffic to unknown destinations; none means as the mesh says.
    pub outbound_traffic_policy: Option<OutboundTrafficPolicy>,
}

/// An inbound listener.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressListener {
    /// Its port.
    pub port: Option<SidecarPort>,
    /// Address to listen on; empty means every address.
    pub bind: String,
    /// How traffic gets to it.
    pub capture_mode: CaptureMode,
    /// Where traffic goes: `127.0.0.1:PORT`, `0.0.0.0:PORT` or `unix:///path`; empty means the same port.
    pub default_endpoint: String,
    /// TLS from outside the mesh.
    pub tls: Option<ServerTlsSettings>,
    /// Limits on connections, in place of the object's.
    pub connection_pool: Option<ConnectionPoolSettings>,
}

/// An outbound listener and the hosts it reaches.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EgressListener {
    /// Its port; none means every port of the hosts.
    pub port: Option<SidecarPort>,
    /// Address or socket to listen on; empty means chosen by the mesh.
    pub bind: String,
    /// How traffic gets to it.
    pub capture_mode: CaptureMode,
    /// Hosts, `namespace/name`; `.` is the object's namespace, `*` any, `~` none.
    pub hosts: Vec<String>,
}

/// A port of a sidecar's listener.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SidecarPort {
    /// Its number; 0 for a socket.
    pub number: u16,
    /// `HTTP`, `HTTPS`, `GRPC`, `HTTP2`, `MONGO`, `TCP`, `TLS` and so on.
    pub protocol: String,
    /// Its name.
    pub name: String,
    /// Deprecated, without effect here.
    pub target_port: u16,
}

/// How traffic gets to a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CaptureMode {
    /// As the environment does it.
    #[default]
    Default,
    /// By redirection.
    Iptables,
    /// The application connects to it.
    None,
}

/// What happens to traffic to unknown destinations.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OutboundTrafficPolicy {
    /// Let through or not.
    pub mode: OutboundTrafficMode,
    /// Proxy through which unknown traffic leaves, with [`OutboundTrafficMode::AllowAny`] only.
    pub egress_proxy: Option<Destination>,
}

/// Whether traffic to unknown destinations is let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OutboundTrafficMode {
    /// Only what the registry knows.
    #[default]
    RegistryOnly,
    /// Everything.
    AllowAny,
    /// Everything, names resolved per request; mesh-wide only, validation refuses it here.
    AllowAnyDynamicDns,
}
