//! Probes and hooks of a container.

use serde::Deserialize;
use serde_json::Value;

use crate::field::IntOrString;

/// A question asked again and again.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Probe {
    /// By HTTP.
    pub http_get: Option<HttpGetAction>,
    /// By connecting.
    pub tcp_socket: Option<TcpSocketAction>,
    /// By gRPC health.
    pub grpc: Option<GrpcAction>,
    /// By a command.
    pub exec: Option<ExecAction>,
    /// Seconds before the first; 0 means at once.
    pub initial_delay_seconds: u32,
    /// Seconds that an answer may take; 0 means 1.
    pub timeout_seconds: u32,
    /// Seconds between two; 0 means 10.
    pub period_seconds: u32,
    /// Answers in a row that count as success; 0 means 1.
    pub success_threshold: u32,
    /// Answers in a row that count as failure; 0 means 3.
    pub failure_threshold: u32,
    /// Grace of a container that failed; none means the pod's.
    pub termination_grace_period_seconds: Option<u64>,
}

impl Probe {
    /// Seconds that an answer may take.
    pub fn timeout_seconds(&self) -> u32 {
        self.timeout_seconds.max(1)
    }

    /// Seconds between two probes.
    pub fn period_seconds(&self) -> u32 {
        if self.period_seconds == 0 { 10 } else { self.period_seconds }
    }

    /// Answers in a row that count as success.
    pub fn success_threshold(&self) -> u32 {
        self.success_threshold.max(1)
    }

    /// Answers in a row that count as failure.
    pub fn failure_threshold(&self) -> u32 {
        if self.failure_threshold == 0 { 3 } else { self.failure_threshold }
    }
}

/// An HTTP request.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpGetAction {
    /// Path; empty means `/`.
    pub path: String,
    /// Port by number or name.
    pub port: IntOrString,
    /// Address; empty means the pod's.
    pub host: String,
    /// `HTTP` or `HTTPS`; empty means `HTTP`.
    pub scheme: String,
    /// Headers.
    pub http_headers: Vec<HttpHeader>,
}

/// A header of a probe.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpHeader {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// A TCP connection.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TcpSocketAction {
    /// Port by number or name.
    pub port: IntOrString,
    /// Address; empty means the pod's.
    pub host: String,
}

/// A gRPC health request.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GrpcAction {
    /// Port.
    pub port: u16,
    /// Service asked for.
    pub service: Option<String>,
}

/// A command.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExecAction {
    /// Program and arguments.
    pub command: Vec<String>,
}

/// A wait.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SleepAction {
    /// How many seconds.
    pub seconds: u64,
}

/// What happens after start and before stop.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Lifecycle {
    /// After start; the container counts as started when it is done.
    pub post_start: Option<Handler>,
    /// Before SIGTERM.
    pub pre_stop: Option<Handler>,
    /// Signal in place of SIGTERM.
    pub stop_signal: Option<String>,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Handler {
    /// A command.
    pub exec: Option<ExecAction>,
    /// An HTTP request.
    pub http_get: Option<HttpGetAction>,
    /// A wait.
    pub sleep: Option<SleepAction>,
    /// Deprecated and without effect.
    pub tcp_socket: Option<Value>,
}
