//! Pod: containers that share a network namespace.
//!
//! # Manual
//!
#![doc = include_str!("manual.md")]

mod container;
mod probe;
mod security;
mod status;
pub(crate) mod validate;
mod volume;

pub use container::{
    ConfigMapEnvSource, Container, ContainerPort, EnvFromSource, EnvVar, EnvVarSource, FieldRef, KeySelector,
    SecretEnvSource, VolumeMount,
};
pub use probe::{
    ExecAction, GrpcAction, Handler, HttpGetAction, HttpHeader, Lifecycle, Probe, SleepAction,
    TcpSocketAction,
};
pub use security::{Capabilities, PodSecurityContext, SecurityContext};
pub use status::{ContainerState, ContainerStatus, PodCondition, PodIp, PodPhase, PodStatus};
pub use volume::{
    ConfigMapVolume, DownwardApiFile, DownwardApiVolume, EmptyDirVolume, KeyToPath, ProjectedSource,
    ProjectedVolume, SecretVolume, ServiceAccountTokenProjection, Volume, VolumeSource,
};

use serde::Deserialize;
use serde_json::Value;

use crate::metadata::ObjectMeta;

/// A Kubernetes Pod.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Pod {
    /// What is wanted.
    pub spec: PodSpec,
    /// What is.
    pub status: PodStatus,
}

/// What the pods of a Deployment are like.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodTemplateSpec {
    /// Their labels and annotations.
    pub metadata: ObjectMeta,
    /// Their containers.
    pub spec: PodSpec,
}

/// What a pod is.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSpec {
    /// Containers that run side by side.
    pub containers: Vec<Container>,
    /// Containers that run first, one after the other; with `restartPolicy: Always` they stay (sidecars).
    pub init_containers: Vec<Container>,
    /// Containers added for debugging.
    pub ephemeral_containers: Vec<Value>,
    /// What can be mounted.
    pub volumes: Vec<Volume>,
    /// Its identity; empty means `default`.
    pub service_account_name: String,
    /// Deprecated spelling of `service_account_name`.
    pub service_account: String,
    /// Whether a token is mounted.
    pub automount_service_account_token: Option<bool>,
    /// When containers are started again.
    pub restart_policy: RestartPolicy,
    /// Seconds between SIGTERM and SIGKILL; none means 30.
    pub termination_grace_period_seconds: Option<u64>,
    /// Seconds that the pod may live.
    pub active_deadline_seconds: Option<u64>,
    /// Users and groups of all containers.
    pub security_context: Option<PodSecurityContext>,
    /// Use the node's network.
    pub host_network: bool,
    /// Use the node's process ids.
    #[serde(rename = "hostPID")]
    pub host_pid: bool,
    /// Use the node's IPC.
    #[serde(rename = "hostIPC")]
    pub host_ipc: bool,
    /// Use the node's users; none means yes.
    pub host_users: Option<bool>,
    /// See each other's processes.
    pub share_process_namespace: Option<bool>,
    /// Host name; empty means the pod's name.
    pub hostname: String,
    /// Subdomain, with a headless Service.
    pub subdomain: String,
    /// Full host name in place of the computed one.
    pub hostname_override: Option<String>,
    /// Use the full name as host name.
    #[serde(rename = "setHostnameAsFQDN")]
    pub set_hostname_as_fqdn: Option<bool>,
    /// Entries for /etc/hosts.
    pub host_aliases: Vec<HostAlias>,
    /// `ClusterFirst`, `Default`, `None` or `ClusterFirstWithHostNet`.
    pub dns_policy: String,
    /// Settings for resolv.conf.
    pub dns_config: Option<PodDnsConfig>,
    /// Whether variables for Services are set; none means yes.
    pub enable_service_links: Option<bool>,
    /// Node on which it runs.
    pub node_name: String,
    /// Labels of the node.
    pub node_selector: std::collections::BTreeMap<String, String>,
    /// Which nodes; never read.
    pub affinity: Option<Value>,
    /// Which taints are accepted; never read.
    pub tolerations: Vec<Value>,
    /// Spread over nodes; never read.
    pub topology_spread_constraints: Vec<Value>,
    /// Who places it; never read.
    pub scheduler_name: String,
    /// What holds back its placement; never read.
    pub scheduling_gates: Vec<Value>,
    /// Its priority; never read.
    pub priority_class_name: String,
    /// Its priority; never read.
    pub priority: Option<i64>,
    /// Whether it displaces others; never read.
    pub preemption_policy: Option<String>,
    /// Secrets for pulling images; never read.
    pub image_pull_secrets: Vec<Value>,
    /// Further conditions for readiness.
    pub readiness_gates: Vec<ReadinessGate>,
    /// Container runtime; never read.
    pub runtime_class_name: Option<String>,
    /// What the runtime adds; never read.
    pub overhead: Option<Value>,
    /// Operating system; never read.
    pub os: Option<Value>,
    /// Claims on devices; never read.
    pub resource_claims: Vec<Value>,
    /// Limits of the whole pod; never read.
    pub resources: Option<Value>,
    /// Group that is placed together; never read.
    pub workload_ref: Option<Value>,
}

impl PodSpec {
    /// Name of the identity that the pod runs with.
    pub fn service_account(&self) -> &str {
        [&self.service_account_name, &self.service_account]
            .into_iter()
            .find(|name| !name.is_empty())
            .map_or("default", String::as_str)
    }
}

/// When containers are started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum RestartPolicy {
    /// Whenever they end.
    #[default]
    Always,
    /// When they end with an error.
    OnFailure,
    /// Not at all.
    Never,
}

/// Names for an address.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HostAlias {
    /// The address.
    pub ip: String,
    /// Its names.
    pub hostnames: Vec<String>,
}

/// Settings for resolv.conf.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodDnsConfig {
    /// DNS servers.
    pub nameservers: Vec<String>,
    /// Suffixes for short names.
    pub searches: Vec<String>,
    /// Options.
    pub options: Vec<PodDnsOption>,
}

/// An option in resolv.conf.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodDnsOption {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Option<String>,
}

/// A further condition for readiness.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReadinessGate {
    /// Condition of the pod that must be true.
    pub condition_type: String,
}
