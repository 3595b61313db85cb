//! ServiceEntry: services that the platform does not know.
//!
//! # Manual
//!
#![doc = include_str!("manual.md")]

pub(crate) mod validate;

use std::collections::BTreeMap;

use serde::Deserialize;

/// Hosts added to the registry.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceEntry {
    /// Names, wildcard prefixes allowed.
    pub hosts: Vec<String>,
    /// Virtual addresses, with or without a prefix length.
    pub addresses: Vec<String>,
    /// Ports of the service.
    pub ports: Vec<ServicePort>,
    /// Inside or outside the mesh.
    pub location: Location,
    /// How endpoints are found.
    pub resolution: Resolution,
    /// Endpoints.
    pub endpoints: Vec<WorkloadEntry>,
    /// Labels of the workloads that are the endpoints.
    pub workload_selector: Option<WorkloadSelector>,
    /// Namespaces that may see the object: `*` all, `.` its own, `~` none, or names. Empty means the mesh default.
    pub export_to: Vec<String>,
    /// Names of which the server's certificate must carry one.
    pub subject_alt_names: Vec<String>,
}

/// A port of the service.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServicePort {
    /// Its number.
    pub number: u16,
    /// `HTTP`, `HTTPS`, `GRPC`, `HTTP2`, `MONGO`, `TCP`, `TLS` and so on; empty means detected.
    pub protocol: String,
    /// Its name.
    pub name: String,
    /// Port of the endpoint; 0 means the same number.
    pub target_port: u16,
}

/// Inside or outside the mesh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Location {
    /// Outside: no mesh certificates.
    #[default]
    MeshExternal,
    /// Inside.
    MeshInternal,
}

/// How endpoints are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Resolution {
    /// The address that the client asked for.
    #[default]
    None,
    /// The addresses given.
    Static,
    /// By DNS, every address.
    Dns,
    /// By DNS, one address per new connection.
    DnsRoundRobin,
    /// By DNS, the name of each request.
    DynamicDns,
}

/// An endpoint outside the platform.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkloadEntry {
    /// Address, name or `unix://` socket.
    pub address: String,
    /// Ports by name of the service's port.
    pub ports: BTreeMap<String, u16>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Network; endpoints of another one are reached through its gateway.
    pub network: String,
    /// `region/zone/subzone`.
    pub locality: String,
    /// Load balancing weight; 0 means not set.
    pub weight: u32,
    /// Service account, when the workload has a sidecar.
    pub service_account: String,
}

/// Labels of workloads in the object's namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkloadSelector {
    /// Labels that a workload must carry.
    pub labels: BTreeMap<String, String>,
}
