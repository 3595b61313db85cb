//! DestinationRule: how connections to a host are made, and which subsets it has.
//!
//! # Manual
//!
#![doc = include_str!("manual.md")]

mod connection_pool;
mod load_balancer;
mod outlier_detection;
mod tls;
pub(crate) mod validate;

pub use connection_pool::{
    ConnectionKeepalive, ConnectionPoolSettings, H2UpgradePolicy, HttpSettings, TcpKeepalive, TcpSettings,
};
pub use load_balancer::{
    ConsistentHashLb, CookieAttribute, Distribute, Failover, HashAlgorithm, HashKey, HttpCookie,
    LoadBalancerPolicy, LoadBalancerSettings, LocalityLoadBalancerSetting, SimpleLb, WarmupConfiguration,
    ZoneAwareLoadBalancerSetting,
};
pub use outlier_detection::OutlierDetection;
pub use tls::{ClientTlsMode, ClientTlsSettings};

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use crate::field;

/// Policy for traffic to a host, applied after routing.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DestinationRule {
    /// Service name; a short name is completed with the object's namespace; wildcard prefixes are allowed.
    pub host: String,
    /// Policy for all subsets.
    pub traffic_policy: Option<TrafficPolicy>,
    /// Named sets of endpoints.
    pub subsets: Vec<Subset>,
    /// Namespaces that may see the object: `*` all, `.` its own, `~` none, or names. Empty means the mesh default.
    pub export_to: Vec<String>,
    /// Clients to which the rule is limited, in its own namespace.
    pub workload_selector: Option<PolicySelector>,
}

/// Labels of the workloads to which a policy is limited.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PolicySelector {
    /// Labels that a workload must carry.
    pub match_labels: BTreeMap<String, String>,
}

/// Settings for connections to a host.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TrafficPolicy {
    /// How an endpoint is chosen.
    pub load_balancer: Option<LoadBalancerSettings>,
    /// How many connections and requests at once.
    pub connection_pool: Option<ConnectionPoolSettings>,
    /// When an endpoint is left out.
    pub outlier_detection: Option<OutlierDetection>,
    /// How connections are secured.
    pub tls: Option<ClientTlsSettings>,
    /// Settings for single ports; they replace, not merge with, the ones above.
    pub port_level_settings: Vec<PortTrafficPolicy>,
    /// Tunnel for TCP and TLS.
    pub tunnel: Option<TunnelSettings>,
    /// PROXY protocol sent to the endpoint.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Limit on concurrent retries.
    pub retry_budget: Option<RetryBudget>,
}

/// Settings for connections to one port of a host.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PortTrafficPolicy {
    /// The port.
    #[serde(deserialize_with = "field::port_selector")]
    pub port: Option<u16>,
    /// How an endpoint is chosen.
    pub load_balancer: Option<LoadBalancerSettings>,
    /// How many connections and requests at once.
    pub connection_pool: Option<ConnectionPoolSettings>,
    /// When an endpoint is left out.
    pub outlier_detection: Option<OutlierDetection>,
    /// How connections are secured.
    pub tls: Option<ClientTlsSettings>,
}

/// A tunnel through the host.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TunnelSettings {
    /// `CONNECT` or `POST`; empty means `CONNECT`.
    pub protocol: String,
    /// Name or address to which the tunnel leads.
    pub target_host: String,
    /// Port to which the tunnel leads.
    pub target_port: u16,
}

/// PROXY protocol settings.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyProtocol {
    /// Which version is sent.
    pub version: ProxyProtocolVersion,
}

/// A version of the PROXY protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum ProxyProtocolVersion {
    /// Text.
    #[default]
    V1,
    /// Binary.
    V2,
}

/// A limit on concurrent retries relative to active requests.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RetryBudget {
    /// Share of active and pending requests; none means 20.
    pub percent: Option<f64>,
    /// Retries always allowed.
    pub min_retry_concurrency: u32,
    /// Over what time requests are counted.
    #[serde(deserialize_with = "field::duration")]
    pub budget_interval: Option<Duration>,
}

/// A named set of endpoints of the host.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Subset {
    /// Its name, used in routes.
    pub name: String,
    /// Labels that an endpoint must carry.
    pub labels: BTreeMap<String, String>,
    /// Policy for this subset; what it sets replaces the rule's.
    pub traffic_policy: Option<TrafficPolicy>,
}
