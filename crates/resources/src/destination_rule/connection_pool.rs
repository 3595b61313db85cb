//! Limits on connections and requests.

use std::time::Duration;

use serde::Deserialize;

use crate::field;

/// Limits on connections and requests to a host.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConnectionPoolSettings {
    /// For TCP and HTTP alike.
    pub tcp: Option<TcpSettings>,
    /// For HTTP only.
    pub http: Option<HttpSettings>,
}

/// Limits on connections.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TcpSettings {
    /// Connections at once (HTTP/1.1 and TCP); 0 means no limit.
    pub max_connections: u32,
    /// Time to connect; none means the mesh default.
    #[serde(deserialize_with = "field::duration")]
    pub connect_timeout: Option<Duration>,
    /// TCP keep-alive.
    pub tcp_keepalive: Option<TcpKeepalive>,
    /// Longest life of a connection.
    #[serde(deserialize_with = "field::duration")]
    pub max_connection_duration: Option<Duration>,
    /// Idle time after which a TCP connection is closed; zero means never.
    #[serde(deserialize_with = "field::duration")]
    pub idle_timeout: Option<Duration>,
}

/// TCP keep-alive; what is not set is left to the operating system.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TcpKeepalive {
    /// Probes without answer before the connection is dead.
    pub probes: u32,
    /// Idle time before the first probe.
    #[serde(deserialize_with = "field::duration")]
    pub time: Option<Duration>,
    /// Time between probes.
    #[serde(deserialize_with = "field::duration")]
    pub interval: Option<Duration>,
}

/// Limits on requests. A limit of 0 means that it is not set.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpSettings {
    /// Requests that wait for a connection.
    pub http1_max_pending_requests: u32,
    /// Requests at once.
    pub http2_max_requests: u32,
    /// Requests on one connection; 1 turns keep-alive off.
    pub max_requests_per_connection: u32,
    /// Retries at once.
    pub max_retries: u32,
    /// Idle time after which a pooled connection is closed.
    #[serde(deserialize_with = "field::duration")]
    pub idle_timeout: Option<Duration>,
    /// Whether HTTP/1.1 is carried over HTTP/2.
    pub h2_upgrade_policy: H2UpgradePolicy,
    /// Keep the client's protocol towards the endpoint.
    pub use_client_protocol: bool,
    /// Streams at once on one HTTP/2 connection.
    pub max_concurrent_streams: u32,
    /// HTTP/2 PING frames.
    pub http2_keep_alive: Option<ConnectionKeepalive>,
}

/// Whether HTTP/1.1 is carried over HTTP/2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum H2UpgradePolicy {
    /// As the mesh says.
    #[default]
    Default,
    /// No.
    DoNotUpgrade,
    /// Yes.
    Upgrade,
}

/// HTTP/2 PING frames towards the endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConnectionKeepalive {
    /// Time between PINGs.
    #[serde(deserialize_with = "field::duration")]
    pub interval: Option<Duration>,
    /// Time to wait for the answer.
    #[serde(deserialize_with = "field::duration")]
    pub timeout: Option<Duration>,
}
